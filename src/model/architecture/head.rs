//! How vectors become logits.

use super::{Activation, Linear, Norm};

/// How vectors become logits.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Head {
    /// The layer before the matrix in masked language models.
    pub transform: Option<Transform>,
    /// Matrix (V,D), without bias.
    pub linear: Linear,
    /// Another name for it that some files use.
    pub other_name: Option<String>,
    /// Whether the token table serves as the matrix; a file with a separate matrix unties them.
    pub tied: bool,
    /// Whole tensor names of the bias (V), of which a file has one, or none where it is 0; empty without a bias.
    pub bias: Vec<String>,
    /// A factor for logits, before the bias.
    pub scale: f64,
    /// A cap c: logits become c·tanh(logit / c).
    pub soft_cap: Option<f64>,
    /// Whether a file may lack the head altogether, as those of bare encoders do.
    pub optional: bool,
}

/// A layer before the matrix: linear, non-linearity, norm.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Transform {
    /// The map.
    pub linear: Linear,
    /// The non-linearity.
    pub activation: Activation,
    /// The norm; ALBERT, BERT and their kin have one.
    pub norm: Option<Norm>,
}
