//! Experiments: what happens to an answer when something on the way to it is changed.
//!
//! [`Pairs`] are the prompts, clean and corrupted, with their right and wrong answers; a [`Metric`] makes one number of
//! what a run answers; [`Effects`] are these numbers for every changed place and every pair.

mod effects;
mod metric;
mod pairs;

pub use effects::{Axis, Candidate, Cell, CellAnswers, EffectKind, Effects, PairTokens};
pub use metric::Metric;
pub use pairs::{Answers, Pair, Pairs};
