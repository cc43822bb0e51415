//! What a model thinks of each token of a text.

use std::fmt;

use tch::{Kind, Tensor};

use crate::{Array, Error, Result, Site, Trace, interrupt};

/// The probability that the counted tokens may have.
const TOP_P: f64 = 0.9;

/// How a model predicts the tokens of a text, one after the other. Made by [`Trace::decoding`].
#[derive(Debug, Clone, PartialEq)]
pub struct Decoding {
    /// Name of the model.
    pub model: String,
    /// The tokens, as they are shown: T of them.
    pub tokens: Vec<String>,
    /// Their ids.
    pub ids: Vec<u32>,
    /// The probability of the token that follows each one but the last (T − 1).
    pub probability: Vec<f32>,
    /// Its rank among all tokens, 1 for the best (T − 1).
    pub rank: Vec<usize>,
    /// The entropy of the prediction after each token, in bits (T).
    pub entropy: Vec<f32>,
    /// How many of the best tokens have at most the probability [`top_p`](Decoding::top_p) together, at least 1 (T).
    pub top_count: Vec<usize>,
    /// The probability that the counted tokens may have.
    pub top_p: f32,
}

impl Trace {
    /// The probability and rank of each token of the text after those before it, and how sure the model is there. Of an
    /// encoder-decoder it is the decoder's text.
    ///
    /// ```
    /// # fn main() -> flowlens::Result<()> {
    /// let model = flowlens::Model::load("tests/fixtures/parity/llama_gqa")?;
    /// let decoding = model.run("The capital of Japan is the city of")?.decoding()?;
    /// assert_eq!(decoding.probability.len() + 1, decoding.tokens.len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the model reads both ways and so predicts no next token, or the run did not keep [`Site::Logits`].
    pub fn decoding(&self) -> Result<Decoding> {
        interrupt::during("decoding", || self.decoding_now())
    }

    fn decoding_now(&self) -> Result<Decoding> {
        let _guard = tch::no_grad_guard();
        let model = self.model();
        if model.architecture().reads_both_ways() {
            return Err(Error::Trajectory {
                what: "decoding".to_owned(),
                problem: format!(
                    "does not exist in {}: it reads both ways and predicts no next token; predictions(position, count) \
                     gives what it predicts at a masked one",
                    model.architecture().family
                ),
            });
        }
        let logits = self.tensor(Site::Logits)?.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?;
        let ids: Vec<i64> = self.ids().into_iter().map(i64::from).collect();
        let Predictions { probability, rank } = predictions(&logits, ids.get(1..).unwrap_or_default())?;
        let probs = logits.f_softmax(-1, Kind::Double)?;
        Ok(Decoding {
            model: model.name().to_owned(),
            tokens: crate::attention::sides(self, crate::site::Part::Main)
                .0
                .into_iter()
                .map(|token| token.shown)
                .collect(),
            ids: self.ids(),
            probability,
            rank,
            entropy: entropy(&probs)?,
            top_count: top_count(&probs, TOP_P)?,
            top_p: TOP_P as f32,
        })
    }
}

/// What the rows of logits say of the tokens that follow.
pub(super) struct Predictions {
    pub probability: Vec<f32>,
    pub rank: Vec<usize>,
}

/// Probability and rank of `ids` by the first rows of logits (T,V).
pub(super) fn predictions(logits: &Tensor, ids: &[i64]) -> Result<Predictions> {
    let count = ids.len() as i64;
    let rows = logits.f_narrow(0, 0, count)?;
    let places = Tensor::f_from_slice(ids)?.f_unsqueeze(1)?;
    let probability = rows.f_softmax(-1, Kind::Double)?.f_gather(1, &places, false)?;
    let own = rows.f_gather(1, &places, false)?;
    let better = rows.f_gt_tensor(&own)?.f_sum_dim_intlist([-1i64].as_slice(), false, Kind::Int64)?;
    let rank: Vec<i64> = Vec::try_from(better)?;
    Ok(Predictions {
        probability: Array::from_tensor(&probability)?.data().to_vec(),
        rank: rank.into_iter().map(|better| better as usize + 1).collect(),
    })
}

/// Bits of each row of probabilities.
fn entropy(probs: &Tensor) -> Result<Vec<f32>> {
    let terms = probs.f_special_xlogy(probs)?.f_sum_dim_intlist([-1i64].as_slice(), false, Kind::Double)?;
    Ok(Array::from_tensor(&terms.f_div_scalar(-std::f64::consts::LN_2)?)?.data().to_vec())
}

/// How many of the largest numbers of each row sum to at most `most`, at least 1.
fn top_count(probs: &Tensor, most: f64) -> Result<Vec<usize>> {
    let (sorted, _) = probs.f_sort(-1, true)?;
    let within = sorted.f_cumsum(-1, Kind::Double)?.f_le(most)?;
    let counts: Vec<i64> = Vec::try_from(within.f_sum_dim_intlist([-1i64].as_slice(), false, Kind::Int64)?)?;
    Ok(counts.into_iter().map(|count| count.max(1) as usize).collect())
}

impl fmt::Display for Decoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "decoding of {} tokens by {}", self.tokens.len(), self.model)?;
        if self.probability.is_empty() {
            return f.write_str("  nothing follows the only token");
        }
        let sum = self.probability.iter().map(|&prob| f64::from(prob).ln()).sum::<f64>();
        let mean = sum / self.probability.len() as f64;
        let first = self.rank.iter().filter(|&&rank| rank == 1).count();
        write!(
            f,
            "  mean log-probability {mean:.3}; {first} of {} tokens were the model's first choice",
            self.rank.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_ranks_and_bits() {
        let logits = Tensor::from_slice(&[0.0f32, 2f32.ln(), 0.0, 0.0, 0.0, 0.0]).view([2, 3]);
        let found = predictions(&logits, &[1, 2]).unwrap();
        assert!((found.probability[0] - 0.5).abs() < 1e-6 && (found.probability[1] - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(found.rank, [1, 1]);
        assert_eq!(predictions(&logits, &[0]).unwrap().rank, [2]);
        let probs = logits.softmax(-1, Kind::Double);
        let bits = entropy(&probs).unwrap();
        assert!((bits[0] - 1.5).abs() < 1e-6 && (bits[1] - 3f32.log2()).abs() < 1e-6, "{bits:?}");
        assert_eq!(top_count(&probs, 0.8).unwrap(), [2, 2]);
        assert_eq!(top_count(&probs, 0.1).unwrap(), [1, 1]);
    }
}
