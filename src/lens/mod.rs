//! Vectors of the residual stream read as vocabulary words.

mod directions;
#[allow(clippy::module_inception)]
mod lens;
mod logit_lens;
mod scan;

pub(crate) use self::directions::Directions;
pub use self::lens::Lens;
pub(crate) use self::lens::multiply;
pub use logit_lens::{LensCell, LensRow, LogitLens};

/// One vocabulary entry and how strongly a vector points to it.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenScore {
    /// Token id.
    pub id: u32,
    /// The token decoded by itself, raw: leading blanks kept, nothing escaped.
    pub text: String,
    /// Logit, after scale and soft cap where the model has them.
    pub logit: f32,
    /// Probability over the whole vocabulary.
    pub prob: f32,
}

/// How strongly a vector points to one requested token.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetScore {
    /// Token id.
    pub id: u32,
    /// The token decoded by itself, raw.
    pub text: String,
    /// Logit of the token.
    pub logit: f32,
    /// Probability of the token.
    pub prob: f32,
    /// 1 + the number of tokens with a larger logit: 1 is the best, V the worst.
    pub rank: usize,
}

/// A vector read through the final norm and the head: what it would say if the model ended here.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The best tokens, best first; ties by id.
    pub top: Vec<TokenScore>,
    /// The worst tokens, worst first; ties by id.
    pub bottom: Vec<TokenScore>,
    /// Entropy of the whole distribution, in bits.
    pub entropy: f32,
    /// One entry for every requested target, in the order of the request.
    pub targets: Vec<TargetScore>,
}
