//! What a sweep gives: a number for every changed place and every pair, with both baselines.

mod files;
mod statistics;
#[cfg(test)]
mod tests;
mod text;

use serde::{Deserialize, Serialize};

use super::Metric;
use crate::{Array, Error, Result};

/// The values of an experiment for every pair and every cell, a cell being one place that was changed: a layer and a
/// position, a layer and a head, or whatever the axes say.
///
/// Made by sweeps and attributions. Shows itself as a map; plain data for the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Effects {
    /// What was done: `patch.resid_pre`, `ablate.mean.z`, `attribute.attn_out`.
    pub name: String,
    /// Name of the model.
    pub model: String,
    /// What was measured.
    pub metric: Metric,
    /// What the values mean.
    pub kind: EffectKind,
    /// What the axes of `values` after the first stand for.
    pub axes: Vec<Axis>,
    /// The values (N,..), N pairs and then one axis for each of `axes`. Where pairs differ in length, positions beyond a
    /// pair's end are not a number, and no mean counts them.
    pub values: Array,
    /// The metric of each pair's clean run (N).
    pub clean: Vec<f32>,
    /// The metric of each pair's corrupted run (N); empty where there is none.
    pub corrupted: Vec<f32>,
    /// The tokens of each pair (N).
    pub pairs: Vec<PairTokens>,
    /// The best answers of the runs behind the cells, for the pairs whose answers were kept.
    pub answers: Vec<CellAnswers>,
}

/// What the values of an experiment mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EffectKind {
    /// The metric of the corrupted run with something of the clean run in it. Normalised: 0 is the corrupted run, 1 the
    /// clean one.
    Patched,
    /// The metric of the clean run with something of the corrupted run in it. Normalised: 0 is the clean run, 1 the
    /// corrupted one.
    Noised,
    /// The metric of the clean run with something ablated, added or otherwise changed. Has no second baseline, so it is
    /// not normalised.
    Ablated,
    /// An estimate of how far a patch would take the metric from the corrupted run's towards the clean one's.
    /// Normalised: as a part of the whole way.
    Estimated,
    /// What a part of the model adds to the metric directly. Not normalised.
    Direct,
}

/// One axis of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axis {
    /// What it counts: `layer`, `position`, `source position`, `head`, `key head`, `neuron`, `strength`, ..
    pub name: String,
    /// What each place on it is called; of positions the number and the token: `0 The`.
    pub labels: Vec<String>,
}

impl Axis {
    /// Name of the axis of positions.
    pub(crate) const POSITION: &str = "position";
    /// Name of the axis of the encoder's positions.
    pub(crate) const SOURCE_POSITION: &str = "source position";

    /// An axis whose places have the numbers from 0.
    pub(crate) fn numbers(name: &str, count: usize) -> Axis {
        Axis { name: name.to_owned(), labels: (0..count).map(|number| number.to_string()).collect() }
    }
}

/// The tokens of a pair as they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PairTokens {
    /// The clean prompt; the decoder's in an encoder-decoder.
    pub clean: Vec<String>,
    /// The corrupted prompt; empty where there is none.
    pub corrupted: Vec<String>,
    /// What the encoder reads in the clean run; empty where there is no encoder.
    pub source_clean: Vec<String>,
    /// What the encoder reads in the corrupted run.
    pub source_corrupted: Vec<String>,
    /// The right answers.
    pub right: Vec<String>,
    /// The wrong answers.
    pub wrong: Vec<String>,
    /// The position at which the answer is read.
    pub position: usize,
}

/// The best answers of one pair's runs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CellAnswers {
    /// Number of the pair.
    pub pair: usize,
    /// Of its clean run, best first.
    pub clean: Vec<Candidate>,
    /// Of its corrupted run; empty where there is none.
    pub corrupted: Vec<Candidate>,
    /// Of the run behind each cell, row by row as the values of a pair; empty where they were not kept.
    pub cells: Vec<Vec<Candidate>>,
}

/// A token that a run may answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The token as it is shown.
    pub token: String,
    /// Its probability.
    pub prob: f32,
}

/// One cell of an experiment, with how sure its effect is.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Its index on each axis.
    pub index: Vec<usize>,
    /// What it is called on each axis.
    pub place: Vec<String>,
    /// Mean over pairs of its effect: the value less its baseline.
    pub effect: f32,
    /// The effect as a part of the way between both baselines, where that is known.
    pub normalized: Option<f32>,
    /// Bounds of the 95 % confidence interval of the effect; `None` of fewer than two pairs.
    pub interval: Option<(f32, f32)>,
    /// The p-value of the sign-flip test that there is no effect; 1 of one pair, which can show nothing.
    pub p: f32,
}

impl Effects {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.clean.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.clean.is_empty()
    }

    /// Mean of the values over pairs (axes..), in the metric's unit.
    ///
    /// # Errors
    /// As all that computes with the values: when they do not fit the axes and the baselines.
    pub fn mean(&self) -> Result<Array> {
        self.check()?;
        self.over_pairs(self.values.data())
    }

    /// The effect of every cell for every pair (N,axes..): the value less its baseline, which is the corrupted run's metric
    /// of patches, the clean run's where the clean run was changed, and 0 of estimates and direct parts.
    ///
    /// # Errors
    /// As [`mean`](Effects::mean).
    pub fn effects(&self) -> Result<Array> {
        self.check()?;
        let baseline = |pair: usize| match self.kind {
            EffectKind::Patched => self.corrupted.get(pair).copied(),
            EffectKind::Noised | EffectKind::Ablated => self.clean.get(pair).copied(),
            EffectKind::Estimated | EffectKind::Direct => Some(0.0),
        };
        let rows = self.values.data().chunks(self.cells().max(1)).enumerate();
        let effects = rows.flat_map(|(pair, row)| {
            let baseline = baseline(pair).unwrap_or(f32::NAN);
            row.iter().map(move |value| value - baseline)
        });
        Array::new(self.values.shape(), effects.collect())
    }

    /// Mean over pairs of the effects (axes..).
    ///
    /// # Errors
    /// As [`mean`](Effects::mean).
    pub fn mean_effect(&self) -> Result<Array> {
        self.over_pairs(self.effects()?.data())
    }

    /// The mean effect as a part of the way between both baselines' means (axes..): of patches 0 is the corrupted run and 1
    /// the clean one, of their mirror image 0 the clean run and 1 the corrupted one. A cell that not every pair has is
    /// normalised by the baselines of those that have it.
    ///
    /// # Errors
    /// When there is no second baseline, or no way between them, and as [`mean`](Effects::mean).
    pub fn normalized(&self) -> Result<Array> {
        let effects = self.effects()?;
        let spans = self.spans()?;
        let cells = self.cells();
        let mut sums = vec![(0.0f64, 0.0f64, 0.0f64); cells];
        for (row, &span) in effects.data().chunks(cells.max(1)).zip(&spans) {
            for (sum, &effect) in sums.iter_mut().zip(row).filter(|(_, effect)| !effect.is_nan()) {
                *sum = (sum.0 + f64::from(effect), sum.1 + span.way, sum.2 + span.size);
            }
        }
        let part = |(effect, way, size)| if is_none(way, size) { f32::NAN } else { (effect / way) as f32 };
        Array::new(&effects.shape()[1..], sums.into_iter().map(part).collect())
    }

    /// One pair's effects alone.
    ///
    /// # Errors
    /// When there is no such pair, and as [`mean`](Effects::mean).
    pub fn pair(&self, number: usize) -> Result<Effects> {
        self.check()?;
        let (Some(row), Some(&clean)) = (self.values.row(number), self.clean.get(number)) else {
            return Err(Error::Experiment(format!("there is no pair {number}; {} has {}", self.name, self.len())));
        };
        let shape: Vec<usize> = std::iter::once(1).chain(row.shape().iter().copied()).collect();
        let answers = self.answers.iter().filter(|answers| answers.pair == number);
        Ok(Effects {
            axes: self.axes.iter().map(|axis| self.axis_of(axis, number)).collect(),
            values: Array::new(&shape, row.data().to_vec())?,
            clean: vec![clean],
            corrupted: self.corrupted.get(number).copied().into_iter().collect(),
            pairs: self.pairs.get(number).cloned().into_iter().collect(),
            answers: answers.map(|answers| CellAnswers { pair: 0, ..answers.clone() }).collect(),
            name: self.name.clone(),
            model: self.model.clone(),
            ..*self
        })
    }

    /// An axis with the tokens of one pair, where it counts positions.
    pub(crate) fn axis_of(&self, axis: &Axis, pair: usize) -> Axis {
        let tokens = self.pairs.get(pair).and_then(|pair| match axis.name.as_str() {
            Axis::POSITION => Some(&pair.clean),
            Axis::SOURCE_POSITION => Some(&pair.source_clean),
            _ => None,
        });
        let Some(tokens) = tokens else { return axis.clone() };
        // A sweep over some positions begins after 0: the label says which one it is.
        let label = |label: &String| {
            let place = label.split(' ').next().unwrap_or_default();
            match place.parse().ok().and_then(|place: usize| tokens.get(place)) {
                Some(token) => format!("{place} {token}"),
                // Beyond this pair's end there is no token.
                None => place.to_owned(),
            }
        };
        Axis { name: axis.name.clone(), labels: axis.labels.iter().map(label).collect() }
    }

    /// Number of cells.
    pub(crate) fn cells(&self) -> usize {
        self.axes.iter().map(|axis| axis.labels.len()).product()
    }

    /// The index of a cell on each axis.
    pub(crate) fn index(&self, cell: usize) -> Vec<usize> {
        let mut rest = cell;
        let mut index: Vec<usize> = Vec::new();
        for axis in self.axes.iter().rev() {
            let length = axis.labels.len().max(1);
            index.push(rest % length);
            rest /= length;
        }
        index.reverse();
        index
    }

    /// What a cell is called on each axis.
    pub(crate) fn place(&self, cell: usize) -> Vec<String> {
        let labels = self.index(cell).into_iter().zip(&self.axes);
        labels.map(|(index, axis)| axis.labels.get(index).cloned().unwrap_or_default()).collect()
    }

    /// Mean over pairs of numbers (N,axes..); without those that are none.
    fn over_pairs(&self, numbers: &[f32]) -> Result<Array> {
        let cells = self.cells();
        let mut sums = vec![(0.0f64, 0usize); cells];
        for row in numbers.chunks(cells.max(1)) {
            for (sum, &number) in sums.iter_mut().zip(row).filter(|(_, number)| !number.is_nan()) {
                *sum = (sum.0 + f64::from(number), sum.1 + 1);
            }
        }
        let mean = |(sum, count): (f64, usize)| if count == 0 { f32::NAN } else { (sum / count as f64) as f32 };
        let shape: Vec<usize> = self.axes.iter().map(|axis| axis.labels.len()).collect();
        Array::new(&shape, sums.into_iter().map(mean).collect())
    }

    /// For each pair the way from the baseline of no effect to that of the whole.
    fn spans(&self) -> Result<Vec<Span>> {
        let refused = |why: &str| Err(Error::Experiment(format!("{} cannot be normalised: {why}", self.name)));
        let sign = match self.kind {
            EffectKind::Patched | EffectKind::Estimated => 1.0,
            EffectKind::Noised => -1.0,
            EffectKind::Ablated => return refused("a changed clean run has no second baseline; take mean_effect()"),
            EffectKind::Direct => return refused("its values are parts of the metric itself; take mean()"),
        };
        let both = self.clean.iter().zip(&self.corrupted);
        let both = both.map(|(&clean, &corrupted)| (f64::from(clean), f64::from(corrupted)));
        let span = |(clean, corrupted): (f64, f64)| Span {
            way: sign * (clean - corrupted),
            size: clean.abs() + corrupted.abs(),
        };
        let spans: Vec<Span> = both.map(span).collect();
        let sum = spans.iter().fold((0.0, 0.0), |sum, span| (sum.0 + span.way, sum.1 + span.size));
        if is_none(sum.0, sum.1) {
            let mean = self.clean.iter().map(|&clean| f64::from(clean)).sum::<f64>() / self.len().max(1) as f64;
            return refused(&format!(
                "the {} of the clean and of the corrupted runs has the same mean, {mean:.4}, and nothing lies between; take \
                 prompts that the model answers differently, or mean_effect()",
                self.metric
            ));
        }
        Ok(spans)
    }

    /// Fails where the parts do not fit each other, which public fields and files allow.
    pub(crate) fn check(&self) -> Result<()> {
        let refused = |problem: String| Err(Error::Experiment(format!("the effects of {:?} {problem}", self.name)));
        let pairs = self.clean.len();
        let shape: Vec<usize> = std::iter::once(pairs).chain(self.axes.iter().map(|axis| axis.labels.len())).collect();
        if self.values.shape() != shape {
            return refused(format!(
                "have values of shape {:?}, but {pairs} clean baselines and axes ask for {shape:?}",
                self.values.shape()
            ));
        }
        let needs = matches!(self.kind, EffectKind::Patched | EffectKind::Noised | EffectKind::Estimated);
        if self.corrupted.len() != pairs && (needs || !self.corrupted.is_empty()) {
            return refused(format!("have {} corrupted baselines for {pairs} pairs", self.corrupted.len()));
        }
        if pairs == 0 {
            return refused("have no pair".to_owned());
        }
        Ok(())
    }
}

/// The way between a pair's baselines, and the size of both, by which rounding is told from a way.
#[derive(Clone, Copy)]
struct Span {
    way: f64,
    size: f64,
}

/// Whether a way is none: 0 but for float32 rounding.
fn is_none(way: f64, size: f64) -> bool {
    way.is_nan() || size.is_nan() || way.abs() <= 1e-6 * size
}
