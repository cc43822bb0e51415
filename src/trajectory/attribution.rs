//! What reaches a position through the mean attention of all layers.

use std::fmt;

use crate::attention::Attention;
use crate::text::list;
use crate::{Array, Result, Trace};

/// Products of mean attention, layer by layer, as maps of queries by keys. Made by [`Trace::attribution_maps`].
#[derive(Debug, Clone, PartialEq)]
pub struct AttributionMaps {
    /// Name of the model.
    pub model: String,
    /// `attribution` and `rollout`; of an encoder-decoder `encoder attribution`, `cross attribution`, ..
    pub blocks: Vec<AttributionBlock>,
}

/// The maps of one block.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributionBlock {
    /// What was multiplied.
    pub name: String,
    /// The tokens that are reached, as they are shown: T rows.
    pub queries: Vec<String>,
    /// The tokens that it comes from: S columns.
    pub keys: Vec<String>,
    /// Layers and their maps (T,S).
    pub layers: Vec<(usize, Array)>,
}

impl Trace {
    /// Through the heads' mean attention of all layers: for each layer, what its output gives to the last one's
    /// ([`Attention::attribution`], as the trajectories paper has it), and beside it how much of each token is in a
    /// position behind each layer ([`Attention::rollout`], which also counts what bypasses the heads).
    ///
    /// ```
    /// # fn main() -> flowlens::Result<()> {
    /// let model = flowlens::Model::load("tests/fixtures/parity/t5_tied")?;
    /// let maps = model.run("The capital of Japan")?.attribution_maps()?;
    /// assert!(maps.blocks.iter().any(|block| block.name == "cross attribution"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the run did not keep the pattern of every layer.
    pub fn attribution_maps(&self) -> Result<AttributionMaps> {
        AttributionMaps::of(&self.attention()?)
    }
}

impl AttributionMaps {
    /// The maps of attention from anywhere.
    ///
    /// # Errors
    /// When a layer is missing.
    pub fn of(attention: &Attention) -> Result<AttributionMaps> {
        let mut blocks = Vec::new();
        for computed in [attention.attribution()?, attention.rollout(true)?] {
            for block in computed.blocks() {
                let shown =
                    |tokens: &[crate::attention::Token]| tokens.iter().map(|token| token.shown.clone()).collect();
                let map = |&number: &usize| Ok((number, computed.weights(block.name(), number, 0)?));
                blocks.push(AttributionBlock {
                    name: block.name().to_owned(),
                    queries: shown(block.queries()),
                    keys: shown(block.keys()),
                    layers: block.layers().iter().map(map).collect::<Result<_>>()?,
                });
            }
        }
        Ok(AttributionMaps { model: attention.model.clone(), blocks })
    }
}

impl fmt::Display for AttributionMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attribution maps of {}", self.model)?;
        for block in &self.blocks {
            let layers: Vec<usize> = block.layers.iter().map(|(number, _)| *number).collect();
            write!(f, "\n  {}: layers {}", block.name, list(&layers))?;
        }
        Ok(())
    }
}
