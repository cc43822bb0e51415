//! One number of what a run answers.

use std::fmt;
use std::str::FromStr;

use tch::{Kind, Tensor};

use super::pairs::{Case, Pairs};
use crate::model::Tokens;
use crate::{Error, Result};

/// What is measured of a run. All but [`Loss`](Metric::Loss) look at the logits at the answer's position alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// Mean logit of the right answers less mean logit of the wrong ones.
    #[default]
    LogitDiff,
    /// Logarithm (natural) of the right answers' probability, summed over them.
    LogProb,
    /// Probability of the right answers, summed over them.
    Prob,
    /// Kullback-Leibler divergence, in nats, of the clean run's distribution from the changed run's: KL(clean || changed).
    /// Needs no answers; 0 in the clean run.
    Kl,
    /// Mean cross entropy, in nats, of the text's own next tokens. Needs no answers; a higher loss is a worse model.
    Loss,
}

/// Every metric with its name in files and on the command line, and as people read it.
const NAMES: [(Metric, &str, &str); 5] = [
    (Metric::LogitDiff, "logit_diff", "logit difference"),
    (Metric::LogProb, "log_prob", "log probability"),
    (Metric::Prob, "prob", "probability"),
    (Metric::Kl, "kl", "KL divergence from the clean run"),
    (Metric::Loss, "loss", "loss"),
];

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.iter().find(|(metric, ..)| metric == self).map_or("", |(_, _, words)| words))
    }
}

impl FromStr for Metric {
    type Err = Error;

    fn from_str(name: &str) -> Result<Metric> {
        let found = NAMES.iter().find(|(_, short, _)| *short == name);
        found.map(|(metric, ..)| *metric).ok_or_else(|| {
            let known: Vec<&str> = NAMES.iter().map(|(_, short, _)| *short).collect();
            Error::Experiment(format!("there is no metric {name:?}; these are: {}", known.join(", ")))
        })
    }
}

impl Metric {
    /// Whether the pairs have what the metric needs.
    ///
    /// # Errors
    /// When a pair lacks answers, or a text has no next tokens.
    pub(crate) fn check(&self, pairs: &Pairs) -> Result<()> {
        pairs.model().head()?;
        if *self == Metric::Loss && pairs.model().architecture().reads_both_ways() {
            return Err(Error::Experiment(format!(
                "{} reads both ways and predicts no next token, so its text has no loss; measure the answer at a masked \
                 position instead",
                pairs.model().name()
            )));
        }
        for (number, case) in pairs.cases().iter().enumerate() {
            let missing = |what: &str| {
                Error::Experiment(format!(
                    "pair {number} has no {what} answer, which the {self} needs; give it with .{what}(..)"
                ))
            };
            match self {
                Metric::LogitDiff | Metric::LogProb | Metric::Prob if case.right.is_empty() => {
                    return Err(missing("right"));
                }
                Metric::LogitDiff if case.wrong.is_empty() => return Err(missing("wrong")),
                Metric::Loss if next_tokens(&case.clean).0.is_empty() => {
                    return Err(Error::Experiment(format!(
                        "pair {number} is one token long, so that none comes next and there is no loss; give a longer text"
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the metric looks at the logits of all positions, not only at those of the answer's.
    pub(crate) fn needs_all_positions(&self) -> bool {
        *self == Metric::Loss
    }

    /// The metric of each of the runs whose logits these are, (..): float32, and gradients go through.
    ///
    /// `logits` are (..,V) at the answer's position, for the loss (..,T,V) at all; `clean` (V) are those of the clean run
    /// at the answer's position, which only the divergence needs.
    pub(crate) fn value(&self, logits: &Tensor, case: &Case, clean: Option<&Tensor>) -> Result<Tensor> {
        let logits = logits.f_to_kind(Kind::Float)?;
        let of = |numbers: &Tensor, ids: &[u32]| -> Result<Tensor> {
            let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
            Ok(numbers.f_index_select(-1, &Tensor::f_from_slice(&ids)?.f_to_device(numbers.device())?)?)
        };
        let mean = |ids: &[u32]| -> Result<Tensor> { Ok(of(&logits, ids)?.f_mean_dim(-1, false, Kind::Float)?) };
        match self {
            Metric::LogitDiff => Ok(mean(&case.right)?.f_sub(&mean(&case.wrong)?)?),
            Metric::LogProb => {
                Ok(of(&logits.f_log_softmax(-1, Kind::Float)?, &case.right)?.f_logsumexp(&[-1i64][..], false)?)
            }
            Metric::Prob => {
                let probs = logits.f_softmax(-1, Kind::Float)?;
                Ok(of(&probs, &case.right)?.f_sum_dim_intlist(-1, false, Kind::Float)?)
            }
            Metric::Kl => divergence(&logits, clean),
            Metric::Loss => loss(&logits, &case.clean),
        }
    }
}

/// KL(clean || changed) over the last axis.
fn divergence(logits: &Tensor, clean: Option<&Tensor>) -> Result<Tensor> {
    let clean = clean.ok_or_else(|| Error::Experiment("the divergence needs the clean run's logits".to_owned()))?;
    let clean = clean.f_to_device(logits.device())?.f_log_softmax(-1, Kind::Float)?;
    let probs = clean.f_exp()?;
    // What cannot come (probability 0) adds nothing, whatever the other run says of it.
    let ratio = clean.f_sub(&logits.f_log_softmax(-1, Kind::Float)?)?.f_masked_fill(&probs.f_eq(0.0)?, 0.0)?;
    Ok(ratio.f_mul(&probs)?.f_sum_dim_intlist(-1, false, Kind::Float)?)
}

/// Mean cross entropy of a text's own next tokens; `logits` (..,T,V).
fn loss(logits: &Tensor, tokens: &Tokens) -> Result<Tensor> {
    let (places, next) = next_tokens(tokens);
    let size = logits.size();
    if places.is_empty() || size.len() < 2 || size[size.len() - 2] != tokens.len() as i64 {
        return Err(Error::Experiment(format!(
            "the loss of {} tokens needs logits at every position of a longer text, not of shape {size:?}",
            tokens.len()
        )));
    }
    let device = logits.device();
    let places = Tensor::f_from_slice(&places)?.f_to_device(device)?;
    let logs = logits.f_index_select(-2, &places)?.f_log_softmax(-1, Kind::Float)?;
    let mut shape = logs.size();
    if let Some(last) = shape.last_mut() {
        *last = 1;
    }
    let next = Tensor::f_from_slice(&next)?.f_to_device(device)?.f_view([-1, 1])?.f_expand(shape, false)?;
    Ok(logs.f_gather(-1, &next, false)?.f_squeeze_dim(-1)?.f_mean_dim(-1, false, Kind::Float)?.f_neg()?)
}

/// The positions that a next token follows in the same text, and that token's id for each.
fn next_tokens(tokens: &Tokens) -> (Vec<i64>, Vec<i64>) {
    let real = |place: usize| !tokens.is_padding(place);
    let follows =
        |place: &usize| real(*place) && real(place + 1) && tokens.text_index(*place) == tokens.text_index(place + 1);
    let places = (0..tokens.len().saturating_sub(1)).filter(follows);
    places.map(|place| (place as i64, tokens.ids[place + 1])).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Array;

    fn case() -> Case {
        Case { clean: Tokens::from_ids(vec![2, 0, 3]), corrupted: None, right: vec![1, 2], wrong: vec![0], position: 2 }
    }

    fn numbers(metric: Metric, logits: &Tensor, clean: Option<&Tensor>) -> Vec<f32> {
        Array::from_tensor(&metric.value(logits, &case(), clean).unwrap()).unwrap().data().to_vec()
    }

    fn near(found: &[f32], wanted: &[f64]) {
        assert_eq!(found.len(), wanted.len());
        assert!(found.iter().zip(wanted).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6), "{found:?} {wanted:?}");
    }

    /// Logits of probabilities in tenths, each run with a constant of its own, which changes no probability.
    fn two_runs() -> Tensor {
        let of = |tenths: [f64; 4], constant: f64| tenths.map(|tenth| (tenth / 10.0).ln() + constant);
        Tensor::from_slice(&[of([1., 2., 3., 4.], 0.5), of([4., 3., 2., 1.], -2.0)].concat()).view([2, 4])
    }

    #[test]
    fn every_metric_is_what_its_definition_says() {
        let runs = two_runs();
        let diff = |a: f64, b: f64, wrong: f64| ((a / wrong).ln() + (b / wrong).ln()) / 2.0;
        near(&numbers(Metric::LogitDiff, &runs, None), &[diff(2., 3., 1.), diff(3., 2., 4.)]);
        near(&numbers(Metric::Prob, &runs, None), &[0.5, 0.5]);
        near(&numbers(Metric::LogProb, &runs, None), &[0.5f64.ln(); 2]);
        let divergence: f64 =
            [1., 2., 3., 4f64].iter().zip([4., 3., 2., 1.]).map(|(p, q)| p / 10. * (p / q).ln()).sum();
        near(&numbers(Metric::Kl, &runs, Some(&runs.get(0))), &[0.0, divergence]);
    }

    #[test]
    fn the_loss_is_that_of_the_next_tokens() {
        let runs = two_runs();
        // Two runs of three positions: the last position has no next token, so its logits must not count.
        let nan = Tensor::from_slice(&[f64::NAN; 4]);
        let text = Tensor::stack(&[runs.get(0), runs.get(1), nan], 0);
        let texts = Tensor::stack(&[text.shallow_clone(), text], 0);
        let wanted = -(0.1f64.ln() + 0.1f64.ln()) / 2.0;
        near(&numbers(Metric::Loss, &texts, None), &[wanted, wanted]);
        assert!(Metric::Loss.value(&runs, &case(), None).is_err(), "logits of two positions for three tokens");
    }

    #[test]
    fn what_cannot_come_does_not_spoil_the_divergence() {
        let clean = Tensor::from_slice(&[0.0, 0.0, f64::NEG_INFINITY]);
        let changed = Tensor::from_slice(&[0.0, 0.0, f64::NEG_INFINITY]).view([1, 3]);
        near(&numbers(Metric::Kl, &changed, Some(&clean)), &[0.0]);
        assert!(Metric::Kl.value(&changed, &case(), None).is_err());
    }

    #[test]
    fn gradients_go_through() {
        for metric in [Metric::LogitDiff, Metric::LogProb, Metric::Prob, Metric::Kl] {
            let logits = two_runs().to_kind(Kind::Float).set_requires_grad(true);
            let clean = two_runs().get(0);
            metric.value(&logits, &case(), Some(&clean)).unwrap().sum(Kind::Float).backward();
            let slope = Array::from_tensor(&logits.grad()).unwrap();
            assert!(slope.data().iter().all(|number| number.is_finite()), "{metric}");
            assert!(slope.data()[4..].iter().any(|number| number.abs() > 1e-3), "{metric}");
        }
    }

    #[test]
    fn names_lead_back() {
        for (metric, name, _) in NAMES {
            assert_eq!(name.parse::<Metric>().unwrap(), metric);
            assert_eq!(serde_json::to_string(&metric).unwrap(), format!("{name:?}"));
        }
        assert!("logits".parse::<Metric>().unwrap_err().to_string().contains("logit_diff, log_prob"));
    }
}
