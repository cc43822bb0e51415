//! Attention as data: what the head, model and neuron views show, and what can be computed from it.
//!
//! An [`Attention`] holds blocks: one for a decoder or an encoder (`all`), three for an encoder-decoder (`encoder`,
//! `decoder`, `cross`), others for what was computed from them. A [`Block`] has the tokens of both sides and, layer by
//! layer, the weights of each head. It comes from a run ([`Trace::attention`](crate::Trace::attention)) or from arrays
//! of any other source ([`Attention::new`]).

mod attribution;
mod compare;
mod derived;
mod files;
mod flow;
mod given;
mod measure;
mod neuron;
mod of_trace;
mod rollout;
mod rollout_view;
mod view;
mod words;

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use tch::Tensor;

use crate::text::list;
use crate::{Array, Error, Result};

pub use given::Matrices;
pub use measure::{HeadScore, HeadScores, Measure};
pub use neuron::NeuronView;
pub(crate) use neuron::{Form, Neurons};
pub(crate) use of_trace::{in_part, layers, parts, plan, sides, visible};
pub use rollout_view::RolloutView;
pub(crate) use view::Options;
pub use view::{HeadView, ModelView};

/// Attention weights with the tokens that they belong to; in blocks: three in an encoder-decoder, otherwise one.
///
/// ```
/// # fn main() -> flowlens::Result<()> {
/// use flowlens::attention::Attention;
///
/// // One layer of one head over two tokens, from anywhere.
/// let weights = flowlens::ndarray::array![[[1.0f32, 0.0], [0.25, 0.75]]];
/// let attention = Attention::new(["to", "be"], [weights])?;
/// assert_eq!(attention.weights("all", 0, 0)?.get(&[1, 0]), Some(0.25));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Attention {
    /// The model, for titles; empty when it is not known.
    pub(crate) model: String,
    pub(crate) blocks: Vec<Block>,
    /// Tells the views of one run from those of another: links between views on a page go by it.
    pub(crate) run: u64,
}

/// What the numbers of a block are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Rows are distributions: they sum to 1, or to 0 where a query sees nothing.
    Probability,
    /// Numbers of 0 and more whose rows have no fixed sum.
    Weight,
    /// Differences of two blocks, of either sign.
    Difference,
}

/// Attention of some queries over some keys, layer by layer.
pub struct Block {
    pub(crate) name: String,
    pub(crate) kind: Quantity,
    pub(crate) queries: Vec<Token>,
    /// The queries once more, where a text attends to itself.
    pub(crate) keys: Vec<Token>,
    pub(crate) to_itself: bool,
    /// Where the second text of a pair begins.
    pub(crate) second: Option<usize>,
    pub(crate) layers: Vec<Layer>,
}

/// One token of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its text, raw.
    pub text: String,
    /// Its text as it is shown to a person: see [`visible`](crate::text::visible).
    pub shown: String,
    /// Whether it is one of the tokenizer's own, such as `[CLS]` or `<s>`.
    pub special: bool,
    /// Whether a word begins with it.
    pub(crate) begins: bool,
}

/// One layer of a block.
pub(crate) struct Layer {
    /// Its number in the model.
    pub number: usize,
    /// The numbers in the model of the heads that are here.
    pub heads: Vec<usize>,
    /// The key head that each of them reads.
    pub key_heads: Vec<usize>,
    /// (heads,T,S), float32 on the CPU, without gaps.
    pub weights: Tensor,
    /// (heads,S): the length of what each position's value writes through the head's slice of the output matrix.
    pub written: Option<Tensor>,
}

impl Attention {
    pub(crate) fn of_blocks(model: String, blocks: Vec<Block>) -> Result<Attention> {
        let mut hasher = DefaultHasher::new();
        model.hash(&mut hasher);
        for block in &blocks {
            block.queries.iter().chain(&block.keys).for_each(|token| token.text.hash(&mut hasher));
            // Weights of a row are enough to tell a changed run of the same text.
            if let Some(layer) = block.layers.last() {
                let row = Array::from_tensor(&layer.weights.f_select(1, -1)?)?;
                row.data().iter().for_each(|weight| weight.to_bits().hash(&mut hasher));
            }
        }
        Ok(Attention { model, blocks, run: hasher.finish() })
    }

    /// The blocks.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The names of the blocks, in order.
    pub fn names(&self) -> Vec<&str> {
        self.blocks.iter().map(|block| block.name.as_str()).collect()
    }

    /// The block of a name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn block(&self, name: &str) -> Result<&Block> {
        self.blocks.iter().find(|block| block.name == name).ok_or_else(|| {
            Error::Attention(format!("there is no block {name:?}; there are: {}", self.names().join(", ")))
        })
    }

    /// The weights (T,S) of one head, rows of queries.
    ///
    /// # Errors
    /// When there is no such block, layer or head.
    pub fn weights(&self, block: &str, layer: usize, head: usize) -> Result<Array> {
        self.block(block)?.weights(layer, head)
    }

    /// The same with another name for its model in titles, to tell runs apart in a comparison.
    #[must_use]
    pub fn named(mut self, model: impl Into<String>) -> Attention {
        self.model = model.into();
        self
    }
}

impl fmt::Display for Attention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.blocks.iter().map(Block::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Debug for Attention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Block {
    /// Its name: `all`, `encoder`, `decoder`, `cross`, or what it was computed as.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its numbers are.
    pub fn kind(&self) -> Quantity {
        self.kind
    }

    /// The tokens that attend: T.
    pub fn queries(&self) -> &[Token] {
        &self.queries
    }

    /// The tokens that are attended to: S.
    pub fn keys(&self) -> &[Token] {
        &self.keys
    }

    /// Where the second text of a pair begins.
    pub fn second(&self) -> Option<usize> {
        self.second
    }

    /// The numbers of its layers.
    pub fn layers(&self) -> Vec<usize> {
        self.layers.iter().map(|layer| layer.number).collect()
    }

    /// The numbers of the heads of a layer.
    ///
    /// # Errors
    /// When there is no such layer.
    pub fn heads(&self, layer: usize) -> Result<&[usize]> {
        Ok(&self.layer(layer)?.heads)
    }

    /// The weights (T,S) of one head, rows of queries.
    ///
    /// # Errors
    /// When there is no such layer or head.
    pub fn weights(&self, layer: usize, head: usize) -> Result<Array> {
        let found = self.layer(layer)?;
        let place = found.heads.iter().position(|&number| number == head).ok_or_else(|| {
            Error::Attention(format!("{}, layer {layer}, has no head {head}; it has {}", self.name, list(&found.heads)))
        })?;
        Array::from_tensor(&found.weights.f_get(place as i64)?)
    }

    /// The weights (T,S) of one head as comma-separated values: a first line with the keys, then a line for each query.
    ///
    /// # Errors
    /// As [`weights`](Block::weights).
    pub fn csv(&self, layer: usize, head: usize) -> Result<String> {
        let weights = self.weights(layer, head)?;
        let quoted = |token: &Token| format!("\"{}\"", token.shown.replace('"', "\"\""));
        let mut text =
            std::iter::once("\"\"".to_owned()).chain(self.keys.iter().map(quoted)).collect::<Vec<_>>().join(",");
        for (query, row) in self.queries.iter().zip(weights.data().chunks(self.keys.len().max(1))) {
            let cells: Vec<String> = std::iter::once(quoted(query)).chain(row.iter().map(f32::to_string)).collect();
            text.push('\n');
            text.push_str(&cells.join(","));
        }
        text.push('\n');
        Ok(text)
    }

    pub(crate) fn layer(&self, number: usize) -> Result<&Layer> {
        self.layers.iter().find(|layer| layer.number == number).ok_or_else(|| {
            let there = list(&self.layers());
            Error::Attention(format!("block {} has no layer {number}; it has {there}", self.name))
        })
    }
}

impl Clone for Block {
    /// Shares the weights.
    fn clone(&self) -> Block {
        Block {
            name: self.name.clone(),
            kind: self.kind,
            queries: self.queries.clone(),
            keys: self.keys.clone(),
            to_itself: self.to_itself,
            second: self.second,
            layers: self.layers.iter().map(Layer::clone).collect(),
        }
    }
}

impl Clone for Layer {
    fn clone(&self) -> Layer {
        Layer {
            number: self.number,
            heads: self.heads.clone(),
            key_heads: self.key_heads.clone(),
            weights: self.weights.shallow_clone(),
            written: self.written.as_ref().map(Tensor::shallow_clone),
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = self.layers.first().map_or(0, |layer| layer.heads.len());
        let (queries, keys, layers) = (self.queries.len(), self.keys.len(), self.layers.len());
        write!(f, "attention {}: {layers} layers of {heads} heads, {queries} queries over {keys} keys", self.name)
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
