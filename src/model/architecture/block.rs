//! One block: attention and MLP, and the norms around them.

use super::{Attention, Linear, Norm};

/// One block: attention, in decoders that read an encoder also cross attention, and MLP, each adding to the stream.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Block {
    /// Whether the MLP reads what attention wrote.
    pub order: Order,
    /// The norms around attention.
    pub attn_norms: Norms,
    /// Attention.
    pub attention: Attention,
    /// Attention to the encoder's output, after the block's own.
    pub cross: Option<Cross>,
    /// The norms around the MLP. In parallel blocks without a norm before the MLP it reads what attention reads.
    pub mlp_norms: Norms,
    /// The MLP.
    pub mlp: Mlp,
}

/// Whether the MLP reads what attention wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// The MLP reads the stream after attention.
    Sequential,
    /// Attention and MLP both read the stream as it enters the block.
    Parallel,
}

/// The norms around attention or MLP.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Norms {
    /// Of the stream, which continues from it: what is read is also what is added to (an option of Bloom).
    pub first: Option<Norm>,
    /// Of what is read (pre-norm blocks).
    pub before: Option<Norm>,
    /// Of what is written, before it is added to the stream (Gemma 2, OLMo 2).
    pub written: Option<Norm>,
    /// Of the stream, after what is written has been added (post-norm blocks: BERT).
    pub after: Option<Norm>,
}

impl Norms {
    /// Where the normed stream goes on.
    pub fn first(norm: Norm) -> Norms {
        Norms { first: Some(norm), ..Norms::default() }
    }

    /// A pre-norm block's.
    pub fn before(norm: Norm) -> Norms {
        Norms { before: Some(norm), ..Norms::default() }
    }

    /// A post-norm block's.
    pub fn after(norm: Norm) -> Norms {
        Norms { after: Some(norm), ..Norms::default() }
    }
}

/// Attention of a decoder to the encoder's output.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Cross {
    /// The norms around it.
    pub norms: Norms,
    /// Queries come from the stream, keys and values from the encoder's output.
    pub attention: Attention,
}

/// The feed-forward part of a block.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Mlp {
    /// From the stream to the neurons.
    pub up: Linear,
    /// Second matrix of gated MLPs: neurons are activation(gate) · up.
    pub gate: Option<Linear>,
    /// From the neurons back to the stream.
    pub down: Linear,
    /// The non-linearity.
    pub activation: Activation,
    /// Where there are many MLPs of these sizes, of which each token uses a few.
    pub experts: Option<Experts>,
}

impl Mlp {
    /// Two matrices and a non-linearity between them.
    pub fn plain(up: Linear, activation: Activation, down: Linear) -> Mlp {
        Mlp { up, gate: None, down, activation, experts: None }
    }

    /// A third matrix: neurons are activation(gate) · up.
    pub fn gated(gate: Linear, up: Linear, activation: Activation, down: Linear) -> Mlp {
        Mlp { gate: Some(gate), ..Mlp::plain(up, activation, down) }
    }

    /// Number of neurons; with experts, of all of them together.
    pub fn neurons(&self) -> usize {
        match &self.experts {
            None => self.up.outputs,
            Some(experts) => {
                experts.count * self.up.outputs + experts.shared.as_ref().map_or(0, |shared| shared.mlp.neurons())
            }
        }
    }
}

/// Many MLPs and the router that chooses among them for each token.
///
/// Files have the matrices of one expert after the other (`NAME.experts.3.w1.weight`, the last part being the name of
/// the MLP's map), or those of all stacked (`NAME.experts.gate_up_proj`, `NAME.experts.down_proj`), and beside them the
/// router, `NAME.gate`: its softmax over all experts weighs them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Experts {
    /// What files call router and experts; the first name that is there counts.
    pub names: Vec<String>,
    /// Number of experts E.
    pub count: usize,
    /// How many experts each token uses: those with the largest weights.
    pub chosen: usize,
    /// Whether their weights are divided by their sum.
    pub normed: bool,
    /// One more MLP, used by all tokens.
    pub shared: Option<SharedExpert>,
}

/// An MLP in addition to the experts, used by all tokens.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SharedExpert {
    /// The MLP.
    pub mlp: Box<Mlp>,
    /// One number for each token: what the MLP writes is multiplied by its sigmoid.
    pub opening: Linear,
}

/// A non-linearity, element by element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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
    /// x, or x/100 below 0.
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
