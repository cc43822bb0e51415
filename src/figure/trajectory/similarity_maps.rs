//! Similarity maps: how alike the vectors of positions are, at each site.

use super::maps::{Block, First, Kindred, Layer, Maps};
use super::{RAW, missing, title};
use crate::Result;
use crate::figure::Figure;
use crate::figure::chart::Kind;
use crate::text::visible;
use crate::trajectory::{ReadThrough, Similarity, SimilarityMaps};

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
        let read = match self.through {
            ReadThrough::Raw => RAW,
            _ => "through the final norm",
        };
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
            axes: ["position", "position"],
            depth: "site",
            kinds: vec![Kindred {
                name: if cosine { "cosine" } else { "dot" },
                title: if cosine { "Cosine" } else { "Dot product" }.to_owned(),
                kind: Kind::Signed,
                ends: cosine.then_some((-1.0, 1.0)),
            }],
            blocks: vec![block],
            cka: (self.cka.data().len() > 1).then_some(&self.cka),
            words: self.maps.iter().any(|map| !map.nearest.is_empty()).then_some(read),
            first: First { block: 0, layer, heads: Vec::new() },
        };
        maps.figure()
    }
}

fn caption(maps: &SimilarityMaps, read: &str) -> String {
    let mut text = String::from(match maps.measure {
        Similarity::Cosine => {
            "The cosine between the vectors of every two positions, on the same scale from −1 to 1 at every site."
        }
        _ => {
            "The inner product of the vectors of every two positions, on one scale for all sites; few positions with long \
             vectors can outshine all others."
        }
    });
    let treatment = &maps.treatment;
    let steps = [
        (treatment.without_first, "the first token is left out"),
        (treatment.centred, "each site's mean vector is subtracted"),
        (treatment.unit_norm, "vectors are scaled to length 1"),
    ];
    let steps: Vec<&str> = steps.into_iter().filter_map(|(on, step)| on.then_some(step)).collect();
    if steps.is_empty() {
        text.push_str(" The vectors are as the model has them.");
    } else {
        text.push_str(&format!(" Before that, {}.", steps.join(", ")));
    }
    if maps.cka.data().len() > 1 {
        text.push_str(" The small map is the linear CKA of two sites: 1 where their positions are arranged alike.");
    }
    let example = maps.maps.iter().rev().find_map(|map| map.nearest.first().zip(maps.rows.first()));
    if let Some((words, token)) = example {
        let words: Vec<String> = words.iter().take(3).map(|score| format!("“{}”", visible(&score.text))).collect();
        let token = crate::figure::escape::short(token, 40);
        text.push_str(&format!(
            " Hover and table tell the vocabulary words nearest to each position, read {read}: {} for “{token}”.",
            crate::figure::escape::clipped(&words.join(", "), 120)
        ));
    }
    text
}
