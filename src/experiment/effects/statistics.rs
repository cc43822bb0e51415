//! How sure effects are: confidence intervals and p-values over pairs.

use ndarray::{Array2, Axis as Along, s};

use super::{Cell, Effects};
use crate::{Array, Error, Result, interrupt};

/// Draws of a bootstrap.
const DRAWS: usize = 2_000;
/// Random flips of a test of more pairs than are flipped in all ways.
const FLIPS: usize = 10_000;
/// The most pairs whose signs are flipped in all ways.
const EXACT: usize = 12;
/// Cells whose draws are held at one time: 20 MB of float64.
const CHUNK: usize = 256;
/// Makes every interval and p-value come out again.
const SEED: u64 = 0x5eed;

impl Effects {
    /// Lower and upper bounds (axes.. each) of the confidence interval of the mean effect: the bootstrap over pairs (2000
    /// draws, always the same), by percentiles. Not a number where fewer than two pairs have a cell. A few pairs give too
    /// narrow an interval.
    ///
    /// # Errors
    /// When `level` is not between 0 and 1, and as [`mean`](Effects::mean).
    pub fn interval(&self, level: f64) -> Result<(Array, Array)> {
        let cells: Vec<usize> = (0..self.cells()).collect();
        let (low, high) = self.intervals_of(&cells, level)?.into_iter().unzip();
        Ok((self.map(low)?, self.map(high)?))
    }

    /// The p-value of each cell (axes..): of all ways to flip the signs of the pairs' effects the part whose mean is at
    /// least as far from 0. Exact for up to 12 pairs, beyond that from 10,000 random flips, always the same. The smallest
    /// that N pairs can give is 2 / 2^N, and nothing is corrected for the number of cells.
    ///
    /// # Errors
    /// As [`mean`](Effects::mean).
    pub fn p_values(&self) -> Result<Array> {
        let cells: Vec<usize> = (0..self.cells()).collect();
        self.map(self.p_values_of(&cells)?)
    }

    /// The cells of the largest absolute mean effect, largest first.
    ///
    /// # Errors
    /// As [`mean`](Effects::mean).
    pub fn top(&self, count: usize) -> Result<Vec<Cell>> {
        let effects = self.mean_effect()?;
        let size = |cell: &usize| effects.data().get(*cell).map_or(0.0, |effect| effect.abs());
        let mut cells: Vec<usize> = (0..self.cells()).filter(|cell| !size(cell).is_nan()).collect();
        cells.sort_by(|a, b| size(b).total_cmp(&size(a)));
        cells.truncate(count);
        let normalized = self.normalized().ok();
        let intervals = self.intervals_of(&cells, 0.95)?;
        let at = |array: &Array, cell: usize| array.data().get(cell).copied().filter(|number| !number.is_nan());
        let sure = intervals.into_iter().zip(self.p_values_of(&cells)?);
        Ok(cells
            .into_iter()
            .zip(sure)
            .map(|(cell, ((low, high), p))| Cell {
                index: self.index(cell),
                place: self.place(cell),
                effect: at(&effects, cell).unwrap_or(f32::NAN),
                normalized: normalized.as_ref().and_then(|normalized| at(normalized, cell)),
                interval: (!low.is_nan()).then_some((low, high)),
                p,
            })
            .collect())
    }

    fn map(&self, numbers: Vec<f32>) -> Result<Array> {
        Array::new(&self.axes.iter().map(|axis| axis.labels.len()).collect::<Vec<_>>(), numbers)
    }

    /// The effects of some cells (N,cells), and 1 where a pair has the cell; 0 in both where it has not.
    fn columns(&self, cells: &[usize]) -> Result<(Array2<f64>, Array2<f64>)> {
        let effects = self.effects()?;
        let width = self.cells();
        let at = |pair: usize, cell: usize| effects.data().get(pair * width + cell).map_or(f64::NAN, |&x| f64::from(x));
        let numbers = Array2::from_shape_fn((self.len(), cells.len()), |(pair, place)| at(pair, cells[place]));
        let present = numbers.mapv(|number| if number.is_nan() { 0.0 } else { 1.0 });
        Ok((numbers.mapv(|number| if number.is_nan() { 0.0 } else { number }), present))
    }

    fn intervals_of(&self, cells: &[usize], level: f64) -> Result<Vec<(f32, f32)>> {
        if !(level > 0.0 && level < 1.0) {
            return Err(Error::Experiment(format!(
                "a confidence level lies between 0 and 1, e.g. 0.95, not at {level}"
            )));
        }
        interrupt::during("the confidence intervals", || {
            let mut random = fastrand::Rng::with_seed(SEED);
            // How often each draw takes each pair.
            let mut draws = Array2::<f64>::zeros((DRAWS, self.len()));
            for mut draw in draws.axis_iter_mut(Along(0)) {
                (0..self.len()).for_each(|_| draw[random.usize(..self.len())] += 1.0);
            }
            let (numbers, present) = self.columns(cells)?;
            let mut intervals = Vec::with_capacity(cells.len());
            for start in (0..cells.len()).step_by(CHUNK) {
                interrupt::check()?;
                let part = s![.., start..cells.len().min(start + CHUNK)];
                let present = present.slice(part);
                let (sums, counts) = (draws.dot(&numbers.slice(part)), draws.dot(&present));
                for (place, pairs) in present.axis_iter(Along(1)).enumerate() {
                    let drawn = sums.column(place).into_iter().zip(counts.column(place));
                    let means = drawn.filter(|(_, count)| **count > 0.0).map(|(sum, count)| sum / count).collect();
                    intervals.push(if pairs.sum() < 2.0 { (f32::NAN, f32::NAN) } else { percentiles(means, level) });
                }
            }
            Ok(intervals)
        })
    }

    fn p_values_of(&self, cells: &[usize]) -> Result<Vec<f32>> {
        interrupt::during("the p-values", || {
            let (numbers, present) = self.columns(cells)?;
            let exact = self.len() <= EXACT;
            let flips = flips(self.len(), exact);
            let mut found = Vec::with_capacity(cells.len());
            for start in (0..cells.len()).step_by(CHUNK) {
                interrupt::check()?;
                let part = s![.., start..cells.len().min(start + CHUNK)];
                let (numbers, present) = (numbers.slice(part), present.slice(part));
                // A mean has the same number of pairs whatever the signs, so that sums do.
                let flipped = flips.dot(&numbers);
                for (place, column) in flipped.axis_iter(Along(1)).enumerate() {
                    let own = numbers.column(place);
                    // Equal sums that were rounded otherwise are equal.
                    let bound = own.sum().abs() - 1e-12 * own.iter().map(|number| number.abs()).sum::<f64>();
                    let as_far = column.iter().filter(|sum| sum.abs() >= bound).count();
                    let p = match exact {
                        true => as_far as f64 / flips.nrows() as f64,
                        // The signs as they are count among the flips.
                        false => (as_far + 1) as f64 / (flips.nrows() + 1) as f64,
                    };
                    found.push(if present.column(place).sum() == 0.0 { f32::NAN } else { p as f32 });
                }
            }
            Ok(found)
        })
    }
}

/// Signs for each pair: all ways (half of them, since the other half mirrors them), or random ones.
fn flips(pairs: usize, exact: bool) -> Array2<f64> {
    if exact {
        let rows = 1usize << pairs.saturating_sub(1);
        return Array2::from_shape_fn((rows, pairs), |(row, pair)| if row >> pair & 1 == 1 { -1.0 } else { 1.0 });
    }
    let mut random = fastrand::Rng::with_seed(SEED);
    Array2::from_shape_simple_fn((FLIPS, pairs), || if random.bool() { 1.0 } else { -1.0 })
}

/// The bounds between which the middle part `level` of the numbers lies.
fn percentiles(mut numbers: Vec<f64>, level: f64) -> (f32, f32) {
    numbers.sort_by(f64::total_cmp);
    let at = |part: f64| -> f32 {
        let place = part * numbers.len().saturating_sub(1) as f64;
        let (below, rest) = (place.floor(), place - place.floor());
        let number = |place: f64| numbers.get(place as usize).copied().unwrap_or(f64::NAN);
        let (low, high) = (number(below), number(place.ceil()));
        (low + rest * (high - low)) as f32
    };
    (at((1.0 - level) / 2.0), at((1.0 + level) / 2.0))
}
