//! What a transformer is made of, as plain data.
//!
//! A family reads `config.json` into an [`Architecture`]; `layers/`, `stack.rs` and `network.rs` compute whatever it
//! says. So a family is data, and the maths is in one place. Names are tensor names in the checkpoint, without
//! `.weight` and `.bias`.

mod attention;
mod block;
mod embedding;
mod head;
mod size;

pub use attention::*;
pub use block::*;
pub use embedding::*;
pub use head::*;

/// A whole model: one stack or two, and a head.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Architecture {
    /// The `model_type` of `config.json`, e.g. `llama`.
    pub family: &'static str,
    /// Prefix of all names but the head's, e.g. `transformer.`; files of the bare model leave it out.
    pub prefix: &'static str,
    /// The encoder of an encoder-decoder.
    pub encoder: Option<Stack>,
    /// The decoder, or the only stack.
    pub main: Stack,
    /// How the main stack's vectors become logits.
    pub head: Head,
    /// The token that an encoder-decoder's decoder starts with.
    pub start_token: Option<i64>,
}

impl Architecture {
    /// A model of one stack.
    pub fn of(family: &'static str, prefix: &'static str, main: Stack, head: Head) -> Architecture {
        Architecture { family, prefix, encoder: None, main, head, start_token: None }
    }

    /// Whether the main stack sees what comes after a position: it then predicts the position's own token (BERT), not
    /// the next one.
    pub fn reads_both_ways(&self) -> bool {
        self.main.sees == Sees::Both
    }

    /// Vocabulary size V of what the model writes.
    pub fn vocab(&self) -> usize {
        self.head.linear.outputs
    }
}

/// Embedding, blocks and final norm: what is between token ids and the head.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Stack {
    /// Width D of the residual stream.
    pub width: usize,
    /// The longest input in tokens; `None` where there is no limit.
    pub context: Option<usize>,
    /// How tokens become vectors.
    pub embedding: Embedding,
    /// Which positions a position may see.
    pub sees: Sees,
    /// The blocks, first to last. They may differ from each other; equal ones share their weights (ALBERT).
    pub blocks: Vec<Block>,
    /// The norm after the last block.
    pub final_norm: Option<Norm>,
    /// A map after the final norm (OPT 350M).
    pub project: Option<Linear>,
}

/// Which positions a position may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sees {
    /// Itself and those before it.
    Causal,
    /// Itself and those before it, padded ones too (XLM).
    CausalAndPadding,
    /// All.
    Both,
}

/// A norm over the last axis.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Norm {
    /// Name of gain and bias.
    pub name: String,
    /// What it computes.
    pub kind: NormKind,
    /// What the normed numbers are multiplied by.
    pub gain: Gain,
    /// Whether it has a bias.
    pub bias: bool,
}

impl Norm {
    /// A layer norm with gain and bias.
    pub fn layer(name: impl Into<String>, eps: f64) -> Norm {
        Norm { name: name.into(), kind: NormKind::Layer { eps }, gain: Gain::Stored, bias: true }
    }

    /// A root-mean-square norm with gain.
    pub fn rms(name: impl Into<String>, eps: f64) -> Norm {
        Norm { name: name.into(), kind: NormKind::Rms { eps }, gain: Gain::Stored, bias: false }
    }
}

/// What a norm computes before gain and bias.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum NormKind {
    /// Mean removed, divided by the standard deviation.
    Layer {
        /// Added to the variance.
        eps: f64,
    },
    /// Divided by the root of the mean square.
    Rms {
        /// Added to the mean square.
        eps: f64,
    },
}

/// What normed numbers are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gain {
    /// The numbers in the file.
    Stored,
    /// The numbers in the file plus 1 (Gemma).
    StoredLessOne,
    /// Nothing: the file holds none.
    None,
}

/// An affine map.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Linear {
    /// Name of weight and bias.
    pub name: String,
    /// How many numbers it reads.
    pub inputs: usize,
    /// How many numbers it gives.
    pub outputs: usize,
    /// How the weight is stored in the file.
    pub layout: Layout,
    /// Whether it has a bias.
    pub bias: bool,
    /// First row of a matrix of more rows, and their number, where the file keeps several maps in one.
    pub part_of: Option<(usize, usize)>,
}

/// How a weight matrix is stored in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// Rows are outputs (PyTorch's `Linear`).
    OutIn,
    /// Rows are inputs (GPT-2's `Conv1D`).
    InOut,
    /// Rows are outputs, inputs stand on two axes, so many heads and a head's width, and the tensor has the name
    /// alone (XLNet).
    OutByHead(usize),
    /// Rows are inputs, outputs take two axes.
    InByHead(usize),
}
