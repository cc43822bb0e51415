//! Transformer dynamics as trajectories in embedding space, after Singh 2023 (arXiv 2308.10874), as plain data.
//!
//! What a head attends to because of position ([`PositionKernels`]) and because of content ([`AttentionMaps`]), how alike
//! positions are before, within and after the model ([`SimilarityMaps`]), how a vector moves through the layers
//! ([`Walk`]), what reaches a position through all of them ([`AttributionMaps`]), and what the model thinks of each token
//! of a text ([`Decoding`]). Each draws itself with `figure()`.

mod arrays;
mod attribution;
mod decoding;
mod geometry;
mod kernels;
mod maps;
mod nearest;
mod pca;
mod similarity;
mod stream;
mod walk;

pub use attribution::{AttributionBlock, AttributionMaps};
pub use decoding::Decoding;
pub use kernels::{Kernel, KernelKind, PositionKernels};
pub use maps::{AttentionMaps, AttentionMapsBuilder, LayerMaps, MapBlock};
pub use nearest::{Near, ReadAs};
pub use similarity::{Similarity, SimilarityMap, SimilarityMaps, SimilarityMapsBuilder};
pub use stream::Treatment;
pub use walk::{Share, Walk, WalkBuilder, WalkStep};
