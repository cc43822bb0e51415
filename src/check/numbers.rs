//! What several checks say and compute.

use super::Verdict;
use crate::run::Watch;
use crate::{Error, Result, Trace};

/// Whether an answer is the truth but for a share of it: people round.
pub(super) fn near(answer: f64, truth: f64, share: f64) -> bool {
    (answer - truth).abs() <= share * truth.abs()
}

/// Whether an answer is a number that was worked out, to three digits or so.
pub(super) fn close(answer: f64, truth: f64) -> bool {
    near(answer, truth, 0.01) || (answer - truth).abs() <= 1e-4
}

/// What to say of a place that does not exist; `count` are counted from 0.
pub(super) fn no_such(what: &str, index: usize, count: usize) -> Verdict {
    Verdict::not_yet(format!("There is no {what} {index}: there are {count}, counted from 0."))
}

/// The same where it does not exist.
pub(super) fn unless_there(what: &str, index: usize, count: usize) -> Option<Verdict> {
    (index >= count).then(|| no_such(what, index, count))
}

/// What there is to say of an answer that is not a number at all.
pub(super) fn unless_a_number(answer: f64) -> Option<Verdict> {
    let says = "That is not a number: something was divided by zero, or a root taken of what is negative.";
    (!answer.is_finite()).then(|| Verdict::not_yet(says))
}

/// The place of the largest number; none where there is none.
pub(super) fn largest(numbers: impl Iterator<Item = impl Into<f64>>) -> Option<usize> {
    let known = numbers.map(Into::<f64>::into).enumerate().filter(|(_, number)| !number.is_nan());
    known.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(place, _)| place)
}

/// The place of the smallest number.
pub(super) fn smallest(numbers: impl Iterator<Item = impl Into<f64>>) -> Option<usize> {
    largest(numbers.map(|number| -number.into()))
}

/// The inner product of two vectors.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// The length of a vector.
pub(super) fn length(vector: &[f32]) -> f64 {
    dot(vector, vector).sqrt()
}

pub(super) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    dot(a, b) / (length(a) * length(b))
}

/// The same input once more, to be changed; of a run that nobody has changed.
pub(super) fn again(trace: &Trace) -> Result<Watch> {
    unchanged(trace)?;
    Ok(trace.model().watch(crate::experiment::input(trace.tokens())))
}

/// A check runs the model again, so it needs to know what the run was.
pub(super) fn unchanged(trace: &Trace) -> Result<()> {
    match trace.changes() {
        [] => Ok(()),
        _ => Err(Error::Input("this run was changed by hand; give the check the run as it was".to_owned())),
    }
}

/// The token that a run puts first after its text, and its probability.
pub(super) fn answer_of(trace: &Trace) -> Result<(u32, f64)> {
    let best = trace.next_tokens(1)?;
    match best.first() {
        Some(best) if best.prob.is_finite() => Ok((best.id, f64::from(best.prob))),
        _ => Err(Error::Input("the run's logits are not numbers; check the weights and the changes".to_owned())),
    }
}
