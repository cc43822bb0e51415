//! The maths, each piece once, driven by [`architecture`](super::architecture).
//!
//! Tensors have no batch axis: a stream is (T,D), heads stand first (H,T,d).

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

pub(crate) use attention::{Attention, Positions, Role};
pub(crate) use block::{Block, Memory};
pub(crate) use convolution::Convolution;
pub(crate) use experts::Experts;
pub(crate) use head_norm::HeadNorm;
pub(crate) use linear::Linear;
pub(crate) use mlp::{Mlp, activate};
pub(crate) use norm::Norm;
pub(crate) use position_bias::PositionBias;
pub(crate) use relative::{DistanceVectors, Distances, Relative, Seen};
pub(crate) use rotary::{Angles, Rotary};
