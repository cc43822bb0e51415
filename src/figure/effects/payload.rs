//! What a page of effects carries beside the script: its names are those of `assets/src/effects/payload.js`.

use serde::Serialize;

use crate::figure::trajectory::payload::{Numbers, Scale};

/// An experiment's map.
#[derive(Serialize)]
pub(super) struct Effects {
    pub model: String,
    pub axes: Vec<Axis>,
    /// The axes that go down and across; none goes down where there is one alone.
    pub rows: Option<usize>,
    pub columns: usize,
    /// The cell that a figure opens on: its place on each axis.
    pub first: Vec<usize>,
    pub shows: Vec<Show>,
    /// Lower and upper bounds of the effects.
    pub interval: Option<[Numbers; 2]>,
    pub pairs: Vec<Pair>,
    /// (pairs, cells)
    pub values: Option<Numbers>,
    pub answers: Vec<Answers>,
    /// What is said where there are no answers.
    pub silent: String,
}

/// An axis; what stands at its places.
#[derive(Serialize, Clone)]
pub(super) struct Axis {
    pub name: String,
    pub labels: Vec<String>,
    /// Of positions: the token at each, where there is one.
    pub tokens: Option<Vec<Option<String>>>,
    /// The corrupted prompt's, where it differs.
    pub corrupted: Option<Vec<Option<String>>>,
}

/// One way to look at the effects, means over pairs.
#[derive(Serialize)]
pub(super) struct Show {
    pub name: &'static str,
    pub title: String,
    pub scale: Scale,
    /// The scale of single pairs.
    pub pairs: Scale,
    pub values: Numbers,
}

/// A pair: its value less `base` is its effect, and that over `way` is normalised.
#[derive(Serialize)]
pub(super) struct Pair {
    pub name: String,
    pub base: Option<f32>,
    pub way: Option<f32>,
    /// Its own tokens, where an axis has any.
    pub axes: Vec<Option<Axis>>,
}

/// The best answers of a pair's runs: token and probability.
#[derive(Serialize)]
pub(super) struct Answers {
    pub pair: usize,
    pub clean: Vec<(String, f32)>,
    pub corrupted: Vec<(String, f32)>,
    /// All tokens of the cells' runs.
    pub tokens: Vec<String>,
    /// The chunk of the cells' answers as JSON: places in `tokens` and hundredths of a per cent, in turn.
    pub cells: usize,
}
