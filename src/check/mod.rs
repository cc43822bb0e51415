//! Checks of the course's exercises: `check::name(answer, ..)` says right, or what is amiss, and never the answer.
//!
//! A check does not know its answer: it works it out from the model or the run that it is given, so it holds as well for
//! another model or another text. The lessons are in `notebooks/`; each has a file here.
//!
//! ```
//! use flowlens::prelude::*;
//!
//! # fn main() -> flowlens::Result<()> {
//! let model = Model::load("tests/fixtures/parity/llama_gqa")?;
//! let trace = model.run("one two three")?;
//! assert!(!check::numbers_in_the_stream(0, &trace)?.is_right());
//! assert!(check::numbers_in_the_stream(trace.get(Site::ResidPost(0))?.data().len(), &trace)?.is_right());
//! # Ok(()) }
//! ```

use std::fmt;

mod attention;
mod changes;
mod encoders;
mod graph;
mod neurons;
mod numbers;
mod own_model;
mod position;
mod stream;
mod tokens;
mod walk;

pub use attention::*;
pub use changes::*;
pub use encoders::*;
pub use graph::*;
pub use neurons::*;
pub use own_model::*;
pub use position::*;
pub use stream::*;
pub use tokens::*;
pub use walk::*;

use crate::run::Watch;
use crate::{Error, Result, Trace};

/// What a check says of an answer.
#[derive(Clone, PartialEq, Eq)]
#[must_use = "end the cell with the check, without `;`, and it shows what it says"]
pub struct Verdict {
    right: bool,
    says: String,
}

impl Verdict {
    /// Right, and what the right answer tells.
    fn right(says: impl Into<String>) -> Verdict {
        Verdict { right: true, says: says.into() }
    }

    /// Not right, and where to look. It must not tell the answer.
    fn not_yet(says: impl Into<String>) -> Verdict {
        Verdict { right: false, says: says.into() }
    }

    /// Whether the answer is right.
    pub fn is_right(&self) -> bool {
        self.right
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}", if self.right { "Right." } else { "Not yet." }, self.says)
    }
}

/// As in the sentence: what a cell ends with may be shown by its `Debug` text.
impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether an answer is a number that was worked out, to three digits or so.
fn close(answer: f64, truth: f64) -> bool {
    (answer - truth).abs() <= 0.01 * truth.abs() + 1e-4
}

/// What there is to say of an answer that is not a number at all.
fn unless_a_number(answer: f64) -> Option<Verdict> {
    let says = "That is not a number: something was divided by zero, or a root taken of what is negative.";
    (!answer.is_finite()).then(|| Verdict::not_yet(says))
}

/// What there is to say of a place that does not exist; `count` are counted from 0.
fn unless_there(what: &str, index: usize, count: usize) -> Option<Verdict> {
    let says = || format!("There is no {what} {index}: there are {count}, counted from 0.");
    (index >= count).then(|| Verdict::not_yet(says()))
}

/// The same input once more, to be changed; of a run that nobody has changed.
fn again(trace: &Trace) -> Result<Watch> {
    unchanged(trace)?;
    Ok(trace.model().watch(crate::experiment::input(trace.tokens())))
}

/// A check runs the model again, so it needs to know what the run was.
fn unchanged(trace: &Trace) -> Result<()> {
    match trace.changes() {
        [] => Ok(()),
        _ => Err(Error::Input("this run was changed by hand; give the check the run as it was".to_owned())),
    }
}

/// The token that a run puts first after its text, and its probability.
fn answer_of(trace: &Trace) -> Result<(u32, f64)> {
    let best = trace.next_tokens(1)?;
    match best.first() {
        Some(best) if best.prob.is_finite() => Ok((best.id, f64::from(best.prob))),
        _ => Err(Error::Input("the run's logits are not numbers; check the weights and the changes".to_owned())),
    }
}

/// The length of a vector.
fn length(vector: &[f32]) -> f64 {
    dot(vector, vector).sqrt()
}

/// The inner product of two vectors.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}
