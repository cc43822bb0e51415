//! Attention maps: what a head's scores are made of, and what becomes of them.

use super::maps::{Block, First, Kindred, Layer, Maps};
use super::{missing, title};
use crate::Result;
use crate::figure::Figure;
use crate::figure::chart::Kind;
use crate::trajectory::{AttentionMaps, LayerMaps, MapBlock};

impl AttentionMaps {
    /// Draws the maps; opens on the first layer's first head.
    pub fn figure(&self) -> Figure {
        self.opened(First { heads: vec![0], ..First::default() })
    }

    /// Draws the maps, opened on some heads of a layer, by their numbers in the model.
    ///
    /// # Errors
    /// When there is no such block, layer or head.
    pub fn figure_of(&self, block: &str, layer: usize, heads: &[usize]) -> Result<Figure> {
        let names: Vec<String> = self.blocks.iter().map(|block| block.name.clone()).collect();
        let at = names.iter().position(|name| name == block).ok_or_else(|| missing("block", block, &names))?;
        let layers = &self.blocks[at].layers;
        let numbers: Vec<String> = layers.iter().map(|layer| layer.number.to_string()).collect();
        let place = layers.iter().position(|it| it.number == layer);
        let place = place.ok_or_else(|| missing("layer", &layer.to_string(), &numbers))?;
        let there = &layers[place].heads;
        let find = |head: &usize| {
            let found = there.iter().position(|it| it == head);
            found.ok_or_else(|| {
                missing("head", &head.to_string(), &there.iter().map(usize::to_string).collect::<Vec<_>>())
            })
        };
        let heads = heads.iter().map(find).collect::<Result<Vec<usize>>>()?;
        Ok(self.opened(First { block: at, layer: place, heads: if heads.is_empty() { vec![0] } else { heads } }))
    }

    fn opened(&self, first: First) -> Figure {
        let kind = |name, title: &str, kind| Kindred { name, title: title.to_owned(), kind, ends: None };
        let maps = Maps {
            view: "attention-maps",
            title: title("Attention maps", &self.model),
            caption: caption(self),
            model: &self.model,
            axes: ["query", "key"],
            depth: "layer",
            kinds: vec![
                kind("content", "Content score", Kind::Signed),
                kind("bias", "Position bias", Kind::Signed),
                kind("scores", "Score before softmax", Kind::Signed),
                Kindred { ends: Some((0.0, 1.0)), ..kind("probabilities", "Probability", Kind::Root) },
            ],
            blocks: self.blocks.iter().map(block).collect(),
            cka: None,
            words: None,
            first,
        };
        maps.figure()
    }
}

fn block(block: &MapBlock) -> Block<'_> {
    Block {
        name: &block.name,
        rows: &block.queries,
        columns: &block.keys,
        layers: block.layers.iter().map(layer).collect(),
    }
}

fn layer(layer: &LayerMaps) -> Layer<'_> {
    // Without a bias the sum says the content score again, unless the model changes it on the way.
    let again = layer.bias.is_none() && alike(layer.content.data(), layer.scores.data(), &layer.visible);
    Layer {
        name: format!("layer {}", layer.number),
        number: layer.number,
        heads: layer.heads.clone(),
        values: vec![
            Some(&layer.content),
            layer.bias.as_ref(),
            (!again).then_some(&layer.scores),
            Some(&layer.probabilities),
        ],
        visible: &layer.visible,
        nearest: &[],
    }
}

fn alike(a: &[f32], b: &[f32], visible: &[bool]) -> bool {
    let cells = visible.len().max(1);
    let seen = |at: usize| visible.get(at % cells).copied().unwrap_or(true);
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .enumerate()
            .all(|(at, (a, b))| !seen(at) || !b.is_finite() || (a - b).abs() <= 1e-4 * (1.0 + a.abs()))
}

fn caption(maps: &AttentionMaps) -> String {
    let biased = maps.blocks.iter().flat_map(|block| &block.layers).any(|layer| layer.bias.is_some());
    let mut text = String::from(if biased {
        "The content score of each query with each key, the bias that their positions add, the sum of both, and the \
         probabilities that the softmax makes of it."
    } else {
        "The score of each query with each key, and the probabilities that the softmax makes of it. Nothing is added to \
         these scores for position."
    });
    text.push_str(
        " What the mask hides is blank. Each kind has one colour scale for all layers and heads; the bars over it count \
         the cells shown, by the square root. Attention says where a head looks, not why the model answers as it does.",
    );
    for block in maps.blocks.iter().filter(|block| !block.left_out.is_empty()) {
        let layers = crate::text::list(&block.left_out);
        text.push_str(&format!(
            " Layers {layers} of {:?} were not taken; layers([..]) names those to take.",
            block.name
        ));
    }
    text
}
