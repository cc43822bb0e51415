//! Similarity maps: how alike the vectors of positions are, at each site.

use super::maps::{Block, First, Kindred, Layer, Maps};
use super::{missing, read_as, title, treated};
use crate::Result;
use crate::figure::Figure;
use crate::figure::chart::Kind;
use crate::text::visible;
use crate::trajectory::{Similarity, SimilarityMaps};

impl SimilarityMaps {
    /// Draws the maps; opens on the last one.
    pub fn figure(&self) -> Figure {
        self.opened(self.maps.len().saturating_sub(1))
    }

    /// Draws the maps, opened on the one of a name, such as `after layer 3`.
    ///
    /// # Errors
    /// When there is no such map.
    pub fn figure_of(&self, name: &str) -> Result<Figure> {
        let at = self.maps.iter().position(|map| map.name == name);
        let names: Vec<String> = self.maps.iter().map(|map| format!("{:?}", map.name)).collect();
        at.map(|at| self.opened(at)).ok_or_else(|| missing("map", &format!("{name:?}"), &names))
    }

    fn opened(&self, layer: usize) -> Figure {
        let cosine = self.measure == Similarity::Cosine;
        let read = read_as(self.read);
        // At one position, depths are compared with each other.
        let depths = self.maps.iter().all(|map| map.site.is_none());
        let layers = self.maps.iter().enumerate().map(|(at, map)| Layer {
            name: map.name.clone(),
            number: at,
            heads: Vec::new(),
            values: vec![Some(&map.values)],
            visible: &[],
            nearest: &map.nearest,
        });
        let block = Block { name: &self.block, rows: &self.rows, columns: &self.columns, layers: layers.collect() };
        let maps = Maps {
            view: "similarity-maps",
            title: title("Similarity maps", &self.model),
            caption: caption(self, read),
            model: &self.model,
            axes: if depths { ["depth", "depth"] } else { ["position", "position"] },
            depth: if depths { "position" } else { "site" },
            kinds: vec![Kindred {
                name: if cosine { "cosine" } else { "dot" },
                title: if cosine { "Cosine" } else { "Dot product" }.to_owned(),
                kind: Kind::Signed,
                ends: cosine.then_some((-1.0, 1.0)),
            }],
            blocks: vec![block],
            cka: self.cka.as_ref().filter(|cka| cka.data().len() > 1),
            words: self.maps.iter().any(|map| !map.nearest.is_empty()).then_some(read),
            first: First { block: 0, layer, heads: Vec::new() },
        };
        maps.figure()
    }
}

fn caption(maps: &SimilarityMaps, read: &str) -> String {
    let mut text = String::from(match maps.measure {
        Similarity::Cosine => {
            "The cosine between the vectors of every row and column, on the same scale from −1 to 1 in every map."
        }
        _ => {
            "The inner product of the vectors of every row and column, on one scale for all maps; few long vectors can \
             outshine all others."
        }
    });
    text.push_str(&treated(&maps.treatment));
    if maps.cka.as_ref().is_some_and(|cka| cka.data().len() > 1) {
        text.push_str(" The small map is the linear CKA of two depths: 1 where their positions are arranged alike.");
    }
    let example = maps.maps.iter().rev().find_map(|map| map.nearest.first().zip(maps.rows.first()));
    if let Some((words, token)) = example {
        let words: Vec<String> =
            words.iter().take(3).map(|near| format!("“{}”", visible(near.text.trim_start()))).collect();
        let token = crate::figure::escape::short(token.trim_start_matches(['␣', ' ']), 40);
        text.push_str(&format!(
            " Hover and table tell the vocabulary words nearest to each position, read {read}: {} for “{token}”.",
            crate::figure::escape::clipped(&words.join(", "), 120)
        ));
    }
    text
}
