//! How the next token is taken from the logits.

use tch::{Kind, Tensor};

use crate::{Error, Result};

/// How the next token is taken: the best, or one drawn from the probabilities.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sampling {
    /// 0 takes the best.
    pub temperature: f64,
    /// Only so many of the best are drawn from.
    pub top_k: Option<usize>,
    /// Only the best that together have this probability are drawn from.
    pub top_p: Option<f64>,
}

impl Sampling {
    pub fn check(&self) -> Result<()> {
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return Err(Error::Input(format!(
                "temperature {} is not a number from 0 up; give 0 to take the best token each time",
                self.temperature
            )));
        }
        if self.top_k == Some(0) {
            return Err(Error::Input("top_k 0 leaves no token; give 1 or more".to_owned()));
        }
        if let Some(p) = self.top_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
            return Err(Error::Input(format!("top_p {p} is no probability above 0 and up to 1; give e.g. 0.9")));
        }
        if self.temperature == 0.0 && (self.top_k.is_some() || self.top_p.is_some()) {
            return Err(Error::Input(
                "top_k and top_p say what is drawn from, and at temperature 0 nothing is drawn; set temperature(1.0) \
                 or leave them out"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// A token by its logits (V), which are numbers.
    pub fn choose(&self, logits: &Tensor) -> Result<u32> {
        let chosen = match self.temperature == 0.0 {
            true => logits.f_argmax(0, false)?,
            false => self.probabilities(logits)?.f_multinomial(1, true)?.f_squeeze()?,
        };
        Ok(chosen.f_int64_value(&[])? as u32)
    }

    /// The probabilities (V) that are drawn from, in the order of `transformers`: temperature, then `top_k`, then
    /// `top_p`.
    fn probabilities(&self, logits: &Tensor) -> Result<Tensor> {
        // Below the best one, and in float64: a temperature near 0 divides by what float32 takes for 0.
        let best = logits.f_max()?;
        let below = logits.f_sub(&best)?.f_to_kind(Kind::Double)?;
        let mut logits = below.f_div_scalar(self.temperature)?.f_to_kind(Kind::Float)?;
        if let Some(k) = self.top_k {
            let best = logits.f_topk((k as i64).min(logits.size()[0]), 0, true, true)?.0;
            let least = best.f_select(0, -1)?;
            logits = logits.f_masked_fill(&logits.f_lt_tensor(&least)?, f64::NEG_INFINITY)?;
        }
        if let Some(p) = self.top_p {
            let (sorted, order) = logits.f_sort(0, false)?;
            // What the less probable have together; the best one always stays.
            let below = sorted.f_softmax(0, Kind::Float)?.f_cumsum(0, Kind::Float)?;
            let out = below.f_le(1.0 - p)?;
            let best =
                Tensor::f_arange(logits.size()[0], (Kind::Int64, logits.device()))?.f_eq(logits.size()[0] - 1)?;
            let out = out.f_logical_and(&best.f_logical_not()?)?;
            let out = out.f_scatter(0, &order, &out)?;
            logits = logits.f_masked_fill(&out, f64::NEG_INFINITY)?;
        }
        Ok(logits.f_softmax(-1, Kind::Float)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the definitions, token by token.
    fn brute_force(logits: &[f32], sampling: Sampling) -> Vec<f64> {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        order.truncate(sampling.top_k.unwrap_or(usize::MAX));
        let weight = |&id: &usize| (f64::from(logits[id]) / sampling.temperature).exp();
        let sum: f64 = order.iter().map(weight).sum();
        let mut before = 0.0;
        let p = sampling.top_p.unwrap_or(1.0);
        // As long as those that are better have less than p.
        let kept: Vec<usize> = order
            .iter()
            .copied()
            .take_while(|id| {
                let take = before < p;
                before += weight(id) / sum;
                take
            })
            .collect();
        let sum: f64 = kept.iter().map(weight).sum();
        (0..logits.len()).map(|id| if kept.contains(&id) { weight(&id) / sum } else { 0.0 }).collect()
    }

    #[test]
    fn what_is_drawn_from_is_what_the_definitions_say() {
        let mut checked = 0;
        for seed in 0..200u64 {
            let count = 2 + seed as usize % 37;
            let logits: Vec<f32> =
                (0..count).map(|i| ((i as u64 * 7919 + seed * 104_729) as f32).sin() * 4.0).collect();
            for top_k in [None, Some(1), Some(3), Some(1000)] {
                for top_p in [None, Some(1e-6), Some(0.3), Some(0.9), Some(1.0)] {
                    let sampling = Sampling { temperature: 0.5 + seed as f64 % 3.0, top_k, top_p };
                    sampling.check().unwrap();
                    let found = sampling.probabilities(&Tensor::from_slice(&logits)).unwrap();
                    let found = Vec::<f32>::try_from(found).unwrap();
                    let wanted = brute_force(&logits, sampling);
                    for (found, wanted) in found.iter().zip(&wanted) {
                        assert!((f64::from(*found) - wanted).abs() < 1e-5, "{sampling:?}: {found} for {wanted}");
                    }
                    checked += usize::from(wanted.contains(&0.0));
                }
            }
        }
        assert!(checked > 1000, "{checked}");
    }

    #[test]
    fn a_temperature_near_zero_draws_the_best() {
        let logits = Tensor::from_slice(&[1.0f32, 3.0, -2e4, 2.999, f32::NEG_INFINITY]);
        for temperature in [1e-5, 1e-40, 1e-300, f64::MIN_POSITIVE, 5e-324] {
            for (top_k, top_p) in [(None, None), (Some(2), None), (Some(4), Some(0.9))] {
                let sampling = Sampling { temperature, top_k, top_p };
                sampling.check().unwrap();
                assert_eq!(sampling.choose(&logits).unwrap(), 1, "{sampling:?}");
            }
        }
        let even = Sampling { temperature: 1e308, ..Sampling::default() }.probabilities(&logits).unwrap();
        assert_eq!(Vec::<f32>::try_from(even).unwrap(), [0.25, 0.25, 0.25, 0.25, 0.0]);
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let says = |sampling: Sampling, part: &str| {
            let error = sampling.check().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        let at = |temperature| Sampling { temperature, ..Sampling::default() };
        says(at(-1.0), "temperature -1");
        says(at(f64::NAN), "temperature NaN");
        says(Sampling { top_k: Some(0), ..at(1.0) }, "top_k 0");
        for p in [0.0, -0.1, 1.1, f64::NAN] {
            says(Sampling { top_p: Some(p), ..at(1.0) }, "top_p");
        }
        says(Sampling { top_k: Some(5), ..at(0.0) }, "set temperature(1.0)");
    }
}
