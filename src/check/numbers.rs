//! What several checks compute.

use super::Verdict;
use crate::{Error, Input, Result, Trace};

/// Whether an answer is the truth but for a share of it: people round.
pub(super) fn near(answer: f64, truth: f64, share: f64) -> bool {
    (answer - truth).abs() <= share * truth.abs()
}

/// What to say of a number that counts nothing.
pub(super) fn no_such(what: &str, number: usize, count: usize) -> Verdict {
    Verdict::not_yet(format!("There is no {what} {number}: they are counted from 0, and there are {count}."))
}

/// The place of the largest number; none where there is none.
pub(super) fn largest(numbers: impl Iterator<Item = f32>) -> Option<usize> {
    let known = numbers.enumerate().filter(|(_, number)| !number.is_nan());
    known.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(place, _)| place)
}

/// The place of the smallest number.
pub(super) fn smallest(numbers: impl Iterator<Item = f32>) -> Option<usize> {
    largest(numbers.map(|number| -number))
}

pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
}

pub(super) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// What a run read, to run it again with a change.
///
/// # Errors
/// When it was changed itself, or read more than one text: a second run would be another one.
pub(super) fn same_again(trace: &Trace) -> Result<Input> {
    let name = trace.model().name();
    if trace.model().encoder_layers() > 0 || trace.second_text().is_some() {
        return Err(Error::Input(format!("this check runs one text again, and this run of {name} read two")));
    }
    if !trace.changes().is_empty() {
        return Err(Error::Input("this run was changed already; give the check one as it is".to_owned()));
    }
    Ok(trace.ids().into_iter().map(i64::from).collect::<Vec<i64>>().into())
}
