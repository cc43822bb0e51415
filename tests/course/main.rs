//! The checks of the course's exercises: right answers are accepted, plausible wrong ones are not, and get their hint.
//!
//! Answers are worked out here by other means than the checks have. Lessons' own models are not in this repository: tests
//! with them are ignored unless they are asked for, and try what the folded solutions of the lessons say.

mod attention;
mod changes;
mod encoders;
mod graph;
mod neurons;
mod own_model;
mod position;
mod stream;
mod tokens;
mod walk;

use std::path::Path;

use flowlens::check::Verdict;
use flowlens::{Array, Model, Result, Site, Trace};

/// A tiny model with random weights.
fn tiny(name: &str) -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name);
    Model::load(folder.to_str().unwrap()).unwrap()
}

/// A run of a decoder with rotation, shared keys and gated neurons, as the lessons' model has them.
fn run() -> Trace {
    tiny("llama_gqa").run(" she sells the shells and the sea").unwrap()
}

/// The model of the lessons.
fn smollm() -> Model {
    Model::load("smollm2-135m").unwrap()
}

#[track_caller]
fn right(verdict: Result<Verdict>) {
    let verdict = verdict.unwrap();
    assert!(verdict.is_right(), "{verdict}");
}

fn row(trace: &Trace, site: Site, position: usize) -> Vec<f64> {
    numbers(&trace.get(site).unwrap().row(position).unwrap())
}

fn numbers(array: &Array) -> Vec<f64> {
    array.data().iter().map(|&number| f64::from(number)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn length(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// The index of the largest number.
fn best(numbers: impl IntoIterator<Item = f64>) -> usize {
    numbers.into_iter().enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0
}

/// The probability of `id` after the last position.
fn prob(trace: &Trace, id: u32) -> f64 {
    let all = trace.next_tokens(usize::MAX).unwrap();
    f64::from(all.into_iter().find(|token| token.id == id).unwrap().prob)
}

/// The check says not yet, and why.
#[track_caller]
fn not_yet(verdict: Result<Verdict>, hint: &str) {
    let verdict = verdict.unwrap();
    assert!(!verdict.is_right(), "{verdict}");
    assert!(verdict.to_string().contains(hint), "{verdict}\nlacks: {hint}");
}

/// The check cannot be asked so, and says why.
#[track_caller]
fn refused(verdict: Result<Verdict>, problem: &str) {
    let error = verdict.unwrap_err().to_string();
    assert!(error.contains(problem), "{error}\nlacks: {problem}");
}
