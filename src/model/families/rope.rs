//! Rotary frequencies from their many spellings.
//!
//! `rope_theta` and `rope_scaling` beside each other (transformers 4), or both inside `rope_parameters`
//! (transformers 5). Formulas: linear (kaiokendev), llama3 (Llama 3.1), yarn (arXiv 2309.00071).

use std::f64::consts::PI;

use crate::model::architecture::{Pairing, Rotary};
use crate::model::config::Config;
use crate::{Error, Result};

/// How a family spells its rotary options and what it takes when they are absent.
pub(super) struct Spelling {
    pub pairing: Pairing,
    /// Keys of the base frequency outside `rope_parameters`.
    pub theta: &'static [&'static str],
    /// Keys of the rotated fraction of a head outside `rope_parameters`, and the fraction when absent.
    pub fraction: (&'static [&'static str], f64),
}

/// Llama's spelling, which most later families took over.
pub(super) const LLAMA: Spelling =
    Spelling { pairing: Pairing::Halves, theta: &["rope_theta"], fraction: (&["partial_rotary_factor"], 1.0) };

/// The rotary part of a config for heads of width `head_dim`; `context` is the longest prompt.
pub(super) fn rotary(config: &Config, spelling: &Spelling, head_dim: usize, context: usize) -> Result<Rotary> {
    let parameters = match config.object("rope_parameters")? {
        Some(parameters) => Some(parameters),
        None => config.object("rope_scaling")?,
    };
    let empty = serde_json::Map::new();
    let inside = parameters.unwrap_or(Config::new(&empty));
    let theta = inside.positive(&["rope_theta"], config.positive(spelling.theta, 10_000.0)?)?;
    let fraction =
        inside.positive(&["partial_rotary_factor"], config.positive(spelling.fraction.0, spelling.fraction.1)?)?;
    let dims = (head_dim as f64 * fraction) as usize;
    if dims % 2 != 0 || dims > head_dim {
        return Err(Error::config(
            spelling.fraction.0[0],
            format!("{dims} of {head_dim} numbers of a head would rotate; expected an even number within the head"),
        ));
    }
    let plain = plain(theta, dims);
    let kind = inside.text("rope_type", inside.text("type", "default")?)?;
    let (frequencies, magnitude) = match kind {
        // Dynamic scaling sets in past the context length, where Flowlens refuses the prompt.
        "default" | "dynamic" => (plain, 1.0),
        "linear" => {
            let factor = required(&inside, "factor")?;
            (plain.iter().map(|frequency| frequency / factor).collect(), 1.0)
        }
        "llama3" => (llama3(&inside, &plain, context)?, 1.0),
        "yarn" => yarn(&inside, &plain, theta, dims, context)?,
        other => {
            return Err(Error::config(
                "rope_type",
                format!("{other:?} is not known; known are default, linear, dynamic, llama3 and yarn"),
            ));
        }
    };
    Ok(Rotary { pairing: spelling.pairing, frequencies: to_f32(frequencies), magnitude })
}

/// GPT-J's rotation: `dims` numbers of a head, neighbours together, no scaling.
pub(super) fn fixed(dims: usize, head_dim: usize) -> Result<Rotary> {
    if dims % 2 != 0 || dims > head_dim {
        return Err(Error::config(
            "rotary_dim",
            format!("found {dims}, expected an even number of at most {head_dim}"),
        ));
    }
    Ok(Rotary { pairing: Pairing::Neighbours, frequencies: to_f32(plain(10_000.0, dims)), magnitude: 1.0 })
}

/// Angles per position before any scaling.
fn plain(theta: f64, dims: usize) -> Vec<f64> {
    (0..dims / 2).map(|pair| theta.powf(-((2 * pair) as f64) / dims as f64)).collect()
}

fn to_f32(frequencies: Vec<f64>) -> Vec<f32> {
    frequencies.into_iter().map(|frequency| frequency as f32).collect()
}

fn required(inside: &Config, name: &'static str) -> Result<f64> {
    match inside.value(name) {
        Some(_) => inside.positive(&[name], 1.0),
        None => Err(Error::config(format!("rope_scaling.{name}"), "missing; this kind of scaling needs it")),
    }
}

/// Llama 3.1: long waves are stretched, short ones kept, those between blended.
fn llama3(inside: &Config, plain: &[f64], context: usize) -> Result<Vec<f64>> {
    let factor = required(inside, "factor")?;
    let (low, high) = (required(inside, "low_freq_factor")?, required(inside, "high_freq_factor")?);
    let trained = inside.positive(&["original_max_position_embeddings"], context as f64)?;
    Ok(plain
        .iter()
        .map(|&frequency| {
            let waves = trained * frequency / (2.0 * PI);
            if waves > high {
                frequency
            } else if waves < low {
                frequency / factor
            } else {
                let smooth = (waves - low) / (high - low);
                (1.0 - smooth) * frequency / factor + smooth * frequency
            }
        })
        .collect())
}

/// YaRN: a ramp between stretched and kept frequencies, and a magnitude that sharpens attention.
fn yarn(inside: &Config, plain: &[f64], theta: f64, dims: usize, context: usize) -> Result<(Vec<f64>, f64)> {
    let trained = inside.positive(&["original_max_position_embeddings"], context as f64)?;
    let factor = inside.positive(&["factor"], context as f64 / trained)?;
    let magnitude = |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
    let attention_factor = match (inside.value("mscale"), inside.value("mscale_all_dim")) {
        (Some(_), Some(_)) => {
            magnitude(inside.positive(&["mscale"], 1.0)?) / magnitude(inside.positive(&["mscale_all_dim"], 1.0)?)
        }
        _ => magnitude(1.0),
    };
    let attention_factor = inside.positive(&["attention_factor"], attention_factor)?;
    let correction = |turns: f64| dims as f64 * (trained / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln());
    let (mut low, mut high) =
        (correction(inside.positive(&["beta_fast"], 32.0)?), correction(inside.positive(&["beta_slow"], 1.0)?));
    if inside.flag("truncate", true)? {
        (low, high) = (low.floor(), high.ceil());
    }
    let low = low.max(0.0);
    let mut high = high.min(dims as f64 - 1.0);
    if low == high {
        high += 0.001;
    }
    let frequencies = plain
        .iter()
        .enumerate()
        .map(|(pair, &frequency)| {
            let stretched = ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0);
            frequency / factor * stretched + frequency * (1.0 - stretched)
        })
        .collect();
    Ok((frequencies, attention_factor))
}
