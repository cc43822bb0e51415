//! The maths, each piece once, driven by [`architecture`](super::architecture).
//!
//! A stream is (T,D), heads are (H,T,d). Axes are counted from the end, so that more of them may stand in front.

mod attention;
mod block;
mod convolution;
mod experts;
mod head_norm;
mod linear;
mod mlp;
mod norm;
mod position_bias;
mod relative;
mod rotary;

pub(crate) use attention::{Attention, Positions, Role, masked_softmax};
pub(crate) use block::{Block, Memory};
pub(crate) use convolution::Convolution;
pub(crate) use experts::Experts;
pub(crate) use head_norm::HeadNorm;
pub(crate) use linear::{Linear, soft_capped};
pub(crate) use mlp::{Mlp, activate};
pub(crate) use norm::Norm;
pub(crate) use position_bias::PositionBias;
pub(crate) use relative::{DistanceVectors, Distances, Relative, Seen};
pub(crate) use rotary::{Angles, Rotary};
