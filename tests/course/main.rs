//! The checks of the course's exercises: each accepts what is right and refuses what is plausibly wrong.

mod changes;
mod encoders;
mod own_model;
mod position;
mod walk;

use flowlens::check::Verdict;
use flowlens::{Model, Result};

/// A tiny checkpoint with random weights.
fn tiny(name: &str) -> Model {
    Model::load(format!("tests/fixtures/parity/{name}")).unwrap()
}

/// The check says right.
#[track_caller]
fn right(verdict: Result<Verdict>) {
    let verdict = verdict.unwrap();
    assert!(verdict.is_right(), "{verdict}");
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
