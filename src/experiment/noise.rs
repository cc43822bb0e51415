//! Noise on embeddings: the corrupted run of causal tracing.

use std::ops::Range;

use tch::{Kind, Tensor};

use super::pairs::Case;
use crate::model::Model;
use crate::site::Site;
use crate::{Array, Change, Error, Result};

/// Noise on the embeddings of some positions of the clean text: the corrupted run of causal tracing (Meng and others,
/// 2202.05262). Replacing tokens and the logit difference are often the better choice (Zhang and Nanda, 2309.16042).
#[derive(Debug, Clone, PartialEq)]
pub struct Noise {
    /// Standard deviation of the noise, in those of the embeddings' own entries; 3 unless set.
    pub deviations: f64,
    /// How often it is drawn; values are means over the draws; 10 unless set.
    pub samples: usize,
    /// The positions, in every pair; those where clean and corrupted text differ when absent.
    pub positions: Option<Range<usize>>,
    /// The same seed gives the same noise.
    pub seed: i64,
}

impl Default for Noise {
    fn default() -> Noise {
        Noise { deviations: 3.0, samples: 10, positions: None, seed: 0 }
    }
}

impl Noise {
    /// As in the paper, on these positions (those of the subject).
    pub fn at(positions: Range<usize>) -> Noise {
        Noise { positions: Some(positions), ..Noise::default() }
    }

    /// The positions of a case that get noise.
    fn noisy(&self, number: usize, case: &Case) -> Result<Vec<usize>> {
        let count = case.clean.len();
        let found: Vec<usize> = match (&self.positions, &case.corrupted) {
            (Some(positions), _) if positions.end > count => {
                return Err(Error::Experiment(format!(
                    "noise was asked for at positions {positions:?}, and pair {number} has {count} (0 to {})",
                    count - 1
                )));
            }
            (Some(positions), _) => positions.clone().collect(),
            (None, Some(corrupted)) => {
                (0..count).filter(|&place| case.clean.ids[place] != corrupted.ids[place]).collect()
            }
            (None, None) => Vec::new(),
        };
        if found.is_empty() {
            return Err(Error::Experiment(format!(
                "pair {number} has no position to put noise on; name them with Noise::at(1..4), or give a corrupted text \
                 that differs"
            )));
        }
        Ok(found)
    }

    /// Refuses what draws nothing.
    pub(super) fn check(&self, cases: &[Case]) -> Result<()> {
        if self.samples == 0 || !(self.deviations > 0.0 && self.deviations.is_finite()) {
            return Err(Error::Experiment(format!(
                "{} samples of noise of {} standard deviations corrupt nothing; the paper takes 10 of 3",
                self.samples, self.deviations
            )));
        }
        cases.iter().enumerate().try_for_each(|(number, case)| self.noisy(number, case).map(drop))
    }

    /// What is added to the embeddings of `cases` run together, (T,D): drawn anew for each, by its number and `sample`.
    pub(super) fn drawn(&self, model: &Model, cases: &[(usize, &Case)], sample: usize) -> Result<Change> {
        let table = &model.stack().embedding.tokens;
        let width = table.size()[1];
        let mut rows = Vec::new();
        for &(number, case) in cases {
            let noisy = self.noisy(number, case)?;
            let ids: Vec<i64> = noisy.iter().map(|&place| case.clean.ids[place]).collect();
            let own = table.f_index_select(0, &Tensor::f_from_slice(&ids)?.f_to_device(table.device())?)?;
            let spread =
                own.f_to_kind(Kind::Double)?.f_std(false)?.f_double_value(&[])? * model.stack().embedding.scale();
            // One seed for each case and sample: what a sweep draws does not depend on what ran before.
            tch::manual_seed(self.seed.wrapping_mul(1_000_003) + (number * self.samples + sample) as i64);
            let drawn = Tensor::f_randn([noisy.len() as i64, width], (Kind::Float, tch::Device::Cpu))?;
            let drawn = drawn.f_mul_scalar(spread * self.deviations)?;
            let places: Vec<i64> = noisy.iter().map(|&place| place as i64).collect();
            let all = Tensor::f_zeros([case.clean.len() as i64, width], (Kind::Float, tch::Device::Cpu))?;
            rows.push(all.f_index_copy(0, &Tensor::f_from_slice(&places)?, &drawn)?);
        }
        let noise = Array::from_tensor(&Tensor::f_cat(&rows, 0)?)?;
        Change::add(Site::Embedding, noise).prepared(model.network().dtype.torch(), model.network().device.torch())
    }
}
