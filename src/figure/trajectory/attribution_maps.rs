//! Attribution maps: products of mean attention, layer by layer.

use super::maps::{Block, First, Kindred, Layer, Maps};
use super::{missing, title};
use crate::Result;
use crate::figure::Figure;
use crate::figure::chart::Kind;
use crate::trajectory::{AttributionBlock, AttributionMaps};

impl AttributionMaps {
    /// Draws the maps; opens on the first layer of the first block.
    pub fn figure(&self) -> Figure {
        self.opened(First::default())
    }

    /// Draws the maps, opened on a layer.
    ///
    /// # Errors
    /// When there is no such block or layer.
    pub fn figure_of(&self, block: &str, layer: usize) -> Result<Figure> {
        let names: Vec<String> = self.blocks.iter().map(|block| block.name.clone()).collect();
        let at = names.iter().position(|name| name == block).ok_or_else(|| missing("block", block, &names))?;
        let layers = &self.blocks[at].layers;
        let numbers: Vec<String> = layers.iter().map(|(number, _)| number.to_string()).collect();
        let place = layers.iter().position(|(number, _)| *number == layer);
        let place = place.ok_or_else(|| missing("layer", &layer.to_string(), &numbers))?;
        Ok(self.opened(First { block: at, layer: place, heads: Vec::new() }))
    }

    fn opened(&self, first: First) -> Figure {
        let maps = Maps {
            view: "attribution-maps",
            title: title("Attribution maps", &self.model),
            caption: "Products of the layers' attention, each the mean of its heads: how much of an output position comes \
                      from each input position if attention were all that mixes. One colour scale for all layers, by the \
                      square root."
                .to_owned(),
            model: &self.model,
            axes: ["to", "from"],
            depth: "layer",
            kinds: vec![Kindred { name: "attribution", title: "Attribution".to_owned(), kind: Kind::Root, ends: None }],
            blocks: self.blocks.iter().map(block).collect(),
            cka: None,
            words: None,
            first,
        };
        maps.figure()
    }
}

fn block(block: &AttributionBlock) -> Block<'_> {
    let layers = block.layers.iter().map(|(number, values)| Layer {
        name: format!("layer {number}"),
        number: *number,
        heads: Vec::new(),
        values: vec![Some(values)],
        visible: &[],
        nearest: &[],
    });
    Block { name: &block.name, rows: &block.queries, columns: &block.keys, layers: layers.collect() }
}
