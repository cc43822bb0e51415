//! Attention, and how positions enter it.

use super::{Linear, Norm, Table};

/// Attention of queries over keys and values.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Attention {
    /// Where queries, keys and values come from.
    pub projection: Projection,
    /// The biases that a fused projection has in tensors of their own.
    pub biases_apart: Option<BiasesApart>,
    /// From the concatenated heads back to the stream.
    pub output: Linear,
    /// Query heads H.
    pub heads: usize,
    /// Key and value heads K; each is shared by H/K query heads.
    pub kv_heads: usize,
    /// Width d of a head.
    pub head_dim: usize,
    /// A factor for products of queries and keys.
    pub scale: f64,
    /// Rotation of queries and keys by position.
    pub rotary: Option<Rotary>,
    /// Norms of queries and keys before rotation.
    pub head_norms: Option<HeadNorms>,
    /// What positions add to the scaled scores.
    pub position_bias: Option<PositionBias>,
    /// What distances add to the products of queries and keys through matrices of the layer's own.
    pub relative: Option<Relative>,
    /// A cap c: scores become c·tanh(score / c), before the mask.
    pub soft_cap: Option<f64>,
    /// How far a position sees, its own place included: backwards, and as far forwards where it sees both ways. All
    /// when absent.
    pub window: Option<usize>,
}

impl Attention {
    /// As many key heads as query heads, scores over √d, and no positions.
    pub fn plain(projection: Projection, output: Linear, heads: usize, head_dim: usize) -> Attention {
        Attention {
            projection,
            biases_apart: None,
            output,
            heads,
            kv_heads: heads,
            head_dim,
            scale: (head_dim as f64).powf(-0.5),
            rotary: None,
            head_norms: None,
            position_bias: None,
            relative: None,
            soft_cap: None,
            window: None,
        }
    }
}

/// Where queries, keys and values come from.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Projection {
    /// A matrix each.
    Separate {
        /// H·d outputs.
        query: Linear,
        /// K·d outputs.
        key: Linear,
        /// K·d outputs.
        value: Linear,
    },
    /// One matrix for all three.
    Fused {
        /// (H + 2K)·d outputs.
        linear: Linear,
        /// The order of its outputs.
        order: FusedOrder,
    },
}

/// Biases of queries and values, none of keys, where one matrix gives all three head by head (DeBERTa): whole tensor
/// names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BiasesApart {
    /// Of queries (H·d).
    pub query: String,
    /// Of values (H·d).
    pub value: String,
}

/// In which order a fused projection gives queries, keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FusedOrder {
    /// All queries, all keys, all values.
    Blocks,
    /// For every key head the queries that read it, then its key, then its value (GPT-NeoX, Bloom, Falcon).
    Groups,
}

/// Norms of queries and keys before rotation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HeadNorms {
    /// Of queries.
    pub query: Norm,
    /// Of keys.
    pub key: Norm,
    /// How many heads one norm spans.
    pub span: Span,
}

/// How many heads one norm spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Span {
    /// One, and all heads have the same (Qwen 3).
    Head,
    /// One, and each head has its own; the head's number follows the norm's name (StableLM).
    EachHead,
    /// All of them, concatenated: H·d numbers (OLMo 2).
    AllHeads,
}

/// What positions add to the scaled scores, head by head.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PositionBias {
    /// A learned number for every bucket of distances (T5, MPNet).
    Buckets {
        /// Rows of H numbers; a file may have more of them than there are buckets.
        table: Table,
        /// Which row a distance has.
        buckets: Buckets,
    },
    /// The distance to the key times a number for each head (ALiBi).
    Slopes(Slopes),
}

/// ALiBi: a number for each head, by which scores fall with distance.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Slopes {
    /// The slope of each head.
    pub by_head: Vec<f64>,
    /// A factor for slope times position.
    pub scale: f64,
    /// Whether slopes and their products with positions are rounded to bfloat16 before that, as Falcon's are.
    pub rounded: bool,
}

impl Slopes {
    /// The slopes of `heads` heads (arXiv 2108.12409): powers of one base for the largest power of two that fits, and
    /// for the remaining heads every second power of the next finer base.
    pub fn of(heads: usize) -> Slopes {
        let powers = 1 << heads.ilog2();
        let slope = |heads: usize, power: usize| (-8.0 * power as f64 / heads as f64).exp2();
        let coarse = (1..=powers).map(|power| slope(powers, power));
        let left = (0..heads - powers).map(|left| slope(2 * powers, 2 * left + 1));
        Slopes { by_head: coarse.chain(left).collect(), scale: 1.0, rounded: false }
    }
}

/// Distances sorted into buckets: near ones exactly, far ones by their logarithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Buckets {
    /// Number of buckets.
    pub count: usize,
    /// The distance from which all fall into the last bucket.
    pub max_distance: usize,
    /// Whether keys after the query have separate buckets.
    pub both_ways: bool,
}

/// What the distance between query and key adds to their product, through matrices of each layer (XLNet, DeBERTa).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Relative {
    /// The vectors of distances, the same for all layers.
    pub distances: Distances,
    /// From them to the position keys (H·d) that queries meet.
    pub key: Option<Linear>,
    /// From them to the position queries (H·d) that keys meet.
    pub query: Option<Linear>,
    /// What is added to queries on the way.
    pub query_biases: Option<QueryBiases>,
}

/// The vectors of distances.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Distances {
    /// Sines of the distance over 10000^(2i/width), then the cosines (Transformer-XL, XLNet).
    Sinusoidal {
        /// Width of a vector.
        width: usize,
        /// Larger distances count as this one.
        clamp: Option<usize>,
    },
    /// Rows of the file, half of them for keys after the query; farther distances have the outermost rows (DeBERTa).
    Learned {
        /// The rows.
        table: Table,
        /// The norm of the rows.
        norm: Option<Norm>,
        /// Where only the nearer half have rows of their own and farther ones share rows by their logarithm: how far
        /// these reach.
        reach: Option<usize>,
    },
}

/// What XLNet adds to queries before they meet keys, position keys and segments: whole tensor names, (H,d) each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryBiases {
    /// Before they meet keys.
    pub content: String,
    /// Before they meet position keys.
    pub position: String,
    /// Before they meet segments.
    pub segment: String,
    /// The vectors for the same segment and for a different one (2,H,d).
    pub segments: String,
}

/// Rotary positions.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Rotary {
    /// Which numbers of a head turn together.
    pub pairing: Pairing,
    /// Angle per position of every pair, in radians, in a prompt of trained length. Numbers of a
    /// head beyond the pairs do not turn.
    pub frequencies: Vec<f32>,
    /// A factor for queries and keys (YaRN, LongRoPE); 1 otherwise.
    pub magnitude: f64,
    /// Other frequencies for long prompts.
    pub stretch: Option<Stretch>,
}

/// Frequencies that a prompt longer than the trained length gets instead.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Stretch {
    /// The base grows with the prompt (dynamic NTK scaling).
    Base {
        /// The base up to the trained length.
        theta: f64,
        /// How fast it grows.
        factor: f64,
        /// The trained length in tokens.
        trained: usize,
        /// How many numbers of a head turn.
        dims: usize,
    },
    /// A second set of frequencies (LongRoPE).
    Table {
        /// The trained length in tokens.
        trained: usize,
        /// Angle per position of every pair beyond it.
        frequencies: Vec<f32>,
    },
}

impl Rotary {
    /// Angle per position of every pair in a prompt of `tokens`.
    pub fn frequencies(&self, tokens: usize) -> std::borrow::Cow<'_, [f32]> {
        match &self.stretch {
            Some(Stretch::Table { trained, frequencies }) if tokens > *trained => frequencies.as_slice().into(),
            Some(Stretch::Base { theta, factor, trained, dims }) if tokens > *trained => {
                let growth = factor * tokens as f64 / *trained as f64 - (factor - 1.0);
                let base = theta * growth.powf(*dims as f64 / (*dims as f64 - 2.0));
                let frequency = |place: usize| 1.0 / (base as f32).powf(place as f32 / *dims as f32);
                (0..*dims).step_by(2).map(frequency).collect()
            }
            _ => self.frequencies.as_slice().into(),
        }
    }
}

/// Which numbers of a head turn together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pairing {
    /// Number i of the first half with number i of the second half (GPT-NeoX, Llama).
    Halves,
    /// Neighbours 2i and 2i+1 (GPT-J).
    Neighbours,
}
