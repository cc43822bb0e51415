//! What a notebook needs by name: `use flowlens::prelude::*;`. It leaves out the modules, because their names
//! are those that people give to their own variables: `model`, `trace`, `lens`; only the course's `check` is there.

pub use crate::attention::{Attention, HeadView, Measure, ModelView, NeuronView, RolloutView};
pub use crate::check;
pub use crate::display::{Show, ShowDebug, display};
pub use crate::experiment::{Ablation, By, Effects, Metric, Noise, Pair, Pairs};
pub use crate::figure::{Export, Figure, Gallery};
pub use crate::flow::{FlowGraph, Heads, Method, Palette};
pub use crate::lens::LogitLens;
pub use crate::trajectory::{AttentionMaps, AttributionMaps, Decoding, PositionKernels, ReadAs, SimilarityMaps, Walk};
pub use crate::{Array, Change, DType, Device, Estimate, Input, Model, Seq2Seq, Site, Trace};
