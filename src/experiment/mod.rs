//! Experiments: what happens to an answer when something on the way to it is changed.
//!
//! [`Pairs`] are the prompts, clean and corrupted, with their right and wrong answers; a [`Metric`] makes one number of
//! what a run answers; [`Effects`] are these numbers for every changed place and every pair.

mod ablation;
mod answers;
mod arrays;
mod attribution;
mod direct;
mod edges;
mod effects;
mod group;
mod induction;
mod metric;
mod noise;
mod pairs;
mod partial;
mod path;
mod steering;
mod sweep;
mod variants;
mod work;

pub use ablation::Ablation;
pub use attribution::{Agreement, AttributionPatching};
pub use direct::LogitAttribution;
pub(crate) use direct::{input, shares};
pub use effects::{Axis, Candidate, Cell, CellAnswers, EffectKind, Effects, PairTokens};
pub use metric::Metric;
pub use noise::Noise;
pub use pairs::{Answers, Pair, Pairs};
pub use path::PathPatching;
pub use steering::{Direction, Steering};
pub use sweep::{By, Sweep};
pub use work::SweepEstimate;
use work::Work;

use crate::Model;

impl Model {
    /// Prepares a sweep over pairs of prompts: [`patch`](Sweep::patch) or [`ablate`](Sweep::ablate) says what is done.
    pub fn sweep(&self, pairs: &Pairs) -> Sweep {
        Sweep::new(self.clone(), pairs.clone())
    }
}
