//! What a transformer is made of, as plain data.
//!
//! A family reads `config.json` into an [`Architecture`]; `layers/` and `stack.rs` compute whatever it says. So a
//! family is data, and the maths stands in one place. Names are tensor names in the checkpoint, without `.weight`
//! and `.bias`.

/// A whole model: embedding, blocks, final norm and head.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// The `model_type` of `config.json`, e.g. `llama`.
    pub family: &'static str,
    /// Prefix of all names but the head's, e.g. `transformer.`; files of the bare model leave it out.
    pub prefix: &'static str,
    /// Width D of the residual stream.
    pub width: usize,
    /// Vocabulary size V.
    pub vocab: usize,
    /// The longest prompt, in tokens.
    pub context: usize,
    /// How tokens become vectors.
    pub embedding: Embedding,
    /// The blocks, first to last. They may differ from each other.
    pub blocks: Vec<Block>,
    /// The norm after the last block.
    pub final_norm: Norm,
    /// How vectors become logits.
    pub head: Head,
}

/// How tokens become vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// Table (V,D) of token embeddings.
    pub tokens: String,
    /// Table (context,D) of learned positions, where positions are added to the stream.
    pub positions: Option<String>,
    /// How token types enter.
    pub segments: Segments,
}

/// How token types (`token_type_ids`) enter the embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segments {
    /// The family has none.
    None,
    /// A type is looked up in the token table, as GPT-2 does.
    TokenTable,
}

/// How vectors become logits.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Matrix (V,D).
    pub linear: Linear,
    /// Another name of it that some files use.
    pub other_name: Option<String>,
    /// Whether the token table stands in for a matrix that the file does not hold.
    pub tied: bool,
}

/// One block: attention and MLP, each reading the stream through a norm and adding to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Whether the MLP reads what attention wrote.
    pub order: Order,
    /// The norm before attention.
    pub attn_norm: Norm,
    /// Attention.
    pub attention: Attention,
    /// The norm before the MLP; the same name as `attn_norm` where both share one.
    pub mlp_norm: Norm,
    /// The MLP.
    pub mlp: Mlp,
}

/// Whether the MLP reads what attention wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The MLP reads the stream after attention.
    Sequential,
    /// Attention and MLP both read the stream as it enters the block.
    Parallel,
}

/// A norm over the last axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// Name of gain (and bias).
    pub name: String,
    /// What it computes.
    pub kind: NormKind,
}

/// What a norm computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NormKind {
    /// Mean removed, divided by the standard deviation, gain and bias.
    Layer {
        /// Added to the variance.
        eps: f64,
    },
    /// Divided by the root of the mean square, gain only.
    Rms {
        /// Added to the mean square.
        eps: f64,
    },
}

/// An affine map.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Name of weight and bias.
    pub name: String,
    /// Numbers it reads.
    pub inputs: usize,
    /// Numbers it gives.
    pub outputs: usize,
    /// How the weight lies in the file.
    pub layout: Layout,
    /// Whether it has a bias.
    pub bias: bool,
}

/// How a weight matrix lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Rows are outputs (PyTorch's `Linear`).
    OutIn,
    /// Rows are inputs (GPT-2's `Conv1D`).
    InOut,
}

/// Attention of queries over keys and values.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Where queries, keys and values come from.
    pub projection: Projection,
    /// Back from the heads, side by side, to the stream.
    pub output: Linear,
    /// Query heads H.
    pub heads: usize,
    /// Key and value heads K; each serves H/K query heads.
    pub kv_heads: usize,
    /// Width d of a head.
    pub head_dim: usize,
    /// Scores are multiplied by it.
    pub scale: f64,
    /// Rotation of queries and keys by position.
    pub rotary: Option<Rotary>,
    /// Norm of each query and key head before rotation.
    pub head_norms: Option<HeadNorms>,
    /// How many positions back, its own included, a position sees; all when absent.
    pub window: Option<usize>,
}

/// Norms of single heads (width d) before rotation.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadNorms {
    /// Of queries.
    pub query: Norm,
    /// Of keys.
    pub key: Norm,
}

/// Where queries, keys and values come from.
#[derive(Debug, Clone, PartialEq)]
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
        /// In which order they lie.
        order: FusedOrder,
    },
}

/// In which order a fused projection gives queries, keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FusedOrder {
    /// All queries, all keys, all values.
    Blocks,
    /// For every head its query, key and value.
    PerHead,
}

/// Rotary positions.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// Which numbers of a head turn together.
    pub pairing: Pairing,
    /// Angle per position of every pair, in radians, in a prompt of trained length; the numbers of a head beyond the pairs stay as they are.
    pub frequencies: Vec<f32>,
    /// Queries and keys are multiplied by it (YaRN, LongRoPE); 1 otherwise.
    pub magnitude: f64,
    /// Other frequencies for long prompts.
    pub stretch: Option<Stretch>,
}

/// Frequencies that a prompt longer than the trained length gets instead.
#[derive(Debug, Clone, PartialEq)]
pub enum Stretch {
    /// The base grows with the prompt (dynamic NTK scaling).
    Base {
        /// The base up to the trained length.
        theta: f64,
        /// How fast it grows.
        factor: f64,
        /// The trained length in tokens.
        trained: usize,
        /// Numbers of a head that turn.
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
pub enum Pairing {
    /// Number i of the first half with number i of the second half (GPT-NeoX, Llama).
    Halves,
    /// Neighbours 2i and 2i+1 (GPT-J).
    Neighbours,
}

/// The feed-forward part of a block.
#[derive(Debug, Clone, PartialEq)]
pub struct Mlp {
    /// From the stream to the neurons.
    pub up: Linear,
    /// Second matrix of gated MLPs: neurons are activation(gate) · up.
    pub gate: Option<Linear>,
    /// From the neurons back to the stream.
    pub down: Linear,
    /// The non-linearity.
    pub activation: Activation,
}

/// A non-linearity, element by element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x·Φ(x), exact.
    Gelu,
    /// The tanh form of GELU.
    GeluTanh,
    /// x·σ(1.702·x).
    QuickGelu,
    /// max(x, 0).
    Relu,
    /// max(x, 0)².
    Relu2,
    /// x·σ(x), also called swish.
    Silu,
    /// tanh(x).
    Tanh,
    /// σ(x).
    Sigmoid,
    /// x itself.
    Identity,
    /// [`Gelu`](Self::Gelu), cut off below -10 and above 10.
    ClippedGelu,
    /// max(x, 0), at most 6.
    Relu6,
    /// x, below 0 a hundredth of it.
    LeakyRelu,
    /// x·tanh(ln(1 + eˣ)).
    Mish,
    /// x times a straight ramp from -3 to 3.
    HardSwish,
    /// The normal distribution's Φ with mean 0.707107 and deviation 0.282095.
    Laplace,
    /// √ln(1 + eˣ).
    SqrtSoftplus,
}

impl Architecture {
    /// Number of parameters that the computation uses, a tied head counted once.
    pub fn parameters(&self) -> u64 {
        let positions = if self.embedding.positions.is_some() { self.context * self.width } else { 0 };
        let head = if self.head.tied { 0 } else { self.head.linear.parameters() };
        let ends = self.vocab * self.width + positions + self.final_norm.parameters(self.width) + head;
        (ends as u64) + self.blocks.iter().map(|block| block.parameters(self.width) as u64).sum::<u64>()
    }
}

impl Block {
    fn parameters(&self, width: usize) -> usize {
        let Attention { projection, output, head_norms, head_dim, .. } = &self.attention;
        let projection = match projection {
            Projection::Separate { query, key, value } => query.parameters() + key.parameters() + value.parameters(),
            Projection::Fused { linear, .. } => linear.parameters(),
        };
        let head_norms =
            head_norms.as_ref().map_or(0, |norms| norms.query.parameters(*head_dim) + norms.key.parameters(*head_dim));
        let mlp_norm = if self.mlp_norm == self.attn_norm { 0 } else { self.mlp_norm.parameters(width) };
        let gate = self.mlp.gate.as_ref().map_or(0, Linear::parameters);
        self.attn_norm.parameters(width)
            + projection
            + head_norms
            + output.parameters()
            + mlp_norm
            + self.mlp.up.parameters()
            + gate
            + self.mlp.down.parameters()
    }
}

impl Norm {
    fn parameters(&self, width: usize) -> usize {
        match self.kind {
            NormKind::Layer { .. } => 2 * width,
            NormKind::Rms { .. } => width,
        }
    }
}

impl Linear {
    fn parameters(&self) -> usize {
        self.inputs * self.outputs + if self.bias { self.outputs } else { 0 }
    }
}
