//! Rotary frequencies from their many spellings.
//!
//! `rope_theta` and `rope_scaling` beside each other (transformers 4), or both inside `rope_parameters`
//! (transformers 5). Formulas: linear (kaiokendev), dynamic (emozilla), llama3 (Llama 3.1), yarn (arXiv 2309.00071),
//! longrope (arXiv 2402.13753). Numbers are rounded where `transformers` rounds them, since a prompt's last position
//! multiplies an error of a frequency by the prompt's length.

use std::f64::consts::PI;
use std::ops::RangeInclusive;

use serde_json::Value;

use crate::model::architecture::{Pairing, Rotary, Stretch};
use crate::model::config::Config;
use crate::{Error, Result};

/// How a family spells its rotary options outside `rope_parameters`, and what it takes when they are absent.
#[derive(Clone, Copy)]
pub(super) struct Spelling {
    /// Key of the base frequency.
    pub theta: &'static str,
    /// The base when absent.
    pub base: f64,
    /// Key of the rotated fraction of a head, and the fraction when absent; `None` in families that turn whole heads.
    pub fraction: Option<(&'static str, f64)>,
    /// Whether an odd number of rotating numbers is refused, since `transformers` fails there; rounded up otherwise.
    pub whole_pairs: bool,
}

/// Llama's spelling, which most later families took over.
pub(super) const LLAMA: Spelling = Spelling { theta: "rope_theta", base: 10_000.0, fraction: None, whole_pairs: false };

/// Base frequencies: published models have 10,000 to 10^9. At 1 all pairs would turn alike.
const BASES: RangeInclusive<f64> = 2.0..=1e12;

/// A rotation, and the longest prompt that it is meant for.
pub(super) struct Rope {
    pub rotary: Rotary,
    pub context: usize,
}

/// The rotary part of a config for heads of width `head_dim`; `context` is the longest prompt without scaling.
pub(super) fn rope(config: &Config, spelling: &Spelling, head_dim: usize, context: usize) -> Result<Rope> {
    let empty = serde_json::Map::new();
    let inside = match config.object("rope_scaling")? {
        Some(scaling) if !scaling.is_empty() => scaling,
        _ => config.object("rope_parameters")?.unwrap_or(Config::new(&empty)),
    };
    if inside.has("full_attention") || inside.has("sliding_attention") {
        return Err(Error::config(
            "rope_parameters",
            "a rotation for each kind of layer is not computed by this family",
        ));
    }
    inside_of(config, &inside, spelling, head_dim, context)
}

/// The same for a config that has its rotary options in `inside`.
pub(super) fn inside_of(
    config: &Config,
    inside: &Config,
    spelling: &Spelling,
    head_dim: usize,
    context: usize,
) -> Result<Rope> {
    let kind = inside.text("rope_type", inside.text("type", "default")?)?;
    let theta = inside.within(&["rope_theta"], BASES, config.within(&[spelling.theta], BASES, spelling.base)?)?;
    let fraction = fraction(config, inside, spelling, kind)?;
    let dims = (head_dim as f64 * fraction) as usize;
    let pairs = dims.div_ceil(2);
    if dims > head_dim || 2 * pairs > head_dim || (spelling.whole_pairs && !dims.is_multiple_of(2)) {
        return Err(Error::config(
            "head_dim",
            format!(
                "{dims} of {head_dim} numbers of a head would rotate in pairs; expected an even number within the head"
            ),
        ));
    }
    let plain = plain(theta, dims);
    let scaling = Scaling { inside: *inside, theta, dims, context, trained: trained(config, inside, context)? };
    let mut rope = Rope {
        rotary: Rotary { pairing: Pairing::Halves, frequencies: plain, magnitude: 1.0, stretch: None },
        context,
    };
    match kind {
        "default" => {}
        "linear" => scaling.linear(&mut rope)?,
        "dynamic" => scaling.dynamic(&mut rope)?,
        "llama3" => scaling.llama3(&mut rope)?,
        "yarn" => scaling.yarn(&mut rope)?,
        "longrope" => scaling.longrope(&mut rope)?,
        other => {
            return Err(Error::config(
                "rope_type",
                format!("{other:?} is not known; known are default, linear, dynamic, llama3, yarn and longrope"),
            ));
        }
    }
    if !is_sound(&rope.rotary) {
        return Err(Error::config(
            format!("rope ({kind})"),
            "these numbers together give angles that are not finite; compare them with the model's own config.json",
        ));
    }
    Ok(rope)
}

/// Whether every angle is a number, and vectors keep about their length.
fn is_sound(rotary: &Rotary) -> bool {
    let long = match &rotary.stretch {
        Some(Stretch::Table { frequencies, .. }) => frequencies.as_slice(),
        _ => &[],
    };
    rotary.frequencies.iter().chain(long).all(|frequency| (0.0..=1e9).contains(frequency))
        && (1e-3..=1e3).contains(&rotary.magnitude)
}

/// Which part of a head turns. Llama and its kin turn whole heads and ignore another fraction, unless a scaling
/// would use it, where `transformers` fails.
fn fraction(config: &Config, inside: &Config, spelling: &Spelling, kind: &str) -> Result<f64> {
    const INSIDE: &str = "partial_rotary_factor";
    match spelling.fraction {
        Some((key, absent)) => inside.positive(&[INSIDE], config.positive(&[key], absent)?),
        None if kind == "default" => Ok(1.0),
        None => match inside.positive(&[INSIDE], config.positive(&[INSIDE], 1.0)?)? {
            1.0 => Ok(1.0),
            other => Err(Error::config(
                INSIDE,
                format!("found {other} beside a scaled rotation, which turns whole heads here"),
            )),
        },
    }
}

/// The prompt length that a scaled model was first trained with.
fn trained(config: &Config, inside: &Config, context: usize) -> Result<f64> {
    const KEY: &str = "original_max_position_embeddings";
    config.positive(&[KEY], inside.positive(&[KEY], context as f64)?)
}

/// GPT-J's rotation: `dims` numbers of a head, neighbours together, no scaling.
pub(super) fn fixed(dims: usize, head_dim: usize) -> Result<Rotary> {
    if !dims.is_multiple_of(2) || dims > head_dim {
        return Err(Error::config(
            "rotary_dim",
            format!("found {dims}, expected an even number of at most {head_dim}"),
        ));
    }
    Ok(Rotary { pairing: Pairing::Neighbours, frequencies: plain(10_000.0, dims), magnitude: 1.0, stretch: None })
}

/// Angles per position before any scaling.
fn plain(theta: f64, dims: usize) -> Vec<f32> {
    exponents(dims).map(|exponent| 1.0 / (theta as f32).powf(exponent)).collect()
}

/// 2i/dims of every pair i.
fn exponents(dims: usize) -> impl Iterator<Item = f32> {
    (0..dims).step_by(2).map(move |place| place as f32 / dims as f32)
}

/// What the kinds of scaling need to know.
struct Scaling<'a> {
    inside: Config<'a>,
    theta: f64,
    dims: usize,
    context: usize,
    trained: f64,
}

impl Scaling<'_> {
    fn required(&self, name: &'static str) -> Result<f64> {
        match self.inside.value(name) {
            Some(_) => self.inside.positive(&[name], 1.0),
            None => Err(Error::config(format!("rope_scaling.{name}"), "missing; this kind of scaling needs it")),
        }
    }

    /// `factor` times as many tokens as without scaling.
    fn reach(&self, factor: f64, tokens: f64) -> usize {
        self.context.max((factor * tokens).min(f64::from(1u32 << 30)) as usize)
    }

    fn linear(&self, rope: &mut Rope) -> Result<()> {
        let factor = self.required("factor")?;
        rope.rotary.frequencies.iter_mut().for_each(|frequency| *frequency /= factor as f32);
        rope.context = self.reach(factor, self.context as f64);
        Ok(())
    }

    /// Plain up to the context length, beyond it a base that grows with the prompt.
    fn dynamic(&self, rope: &mut Rope) -> Result<()> {
        let factor = self.required("factor")?;
        if self.dims <= 2 {
            return Err(Error::config("rope_type", "dynamic scaling needs more than one rotating pair"));
        }
        rope.rotary.stretch = Some(Stretch::Base { theta: self.theta, factor, trained: self.context, dims: self.dims });
        rope.context = self.reach(factor, self.context as f64);
        Ok(())
    }

    /// Long waves are stretched, short ones kept, those between blended.
    fn llama3(&self, rope: &mut Rope) -> Result<()> {
        let factor = self.required("factor")?;
        let (low, high) = (self.required("low_freq_factor")?, self.required("high_freq_factor")?);
        for frequency in &mut rope.rotary.frequencies {
            let exact = f64::from(*frequency);
            let waves = self.trained * exact / (2.0 * PI);
            if waves < low {
                *frequency = (exact / factor) as f32;
            } else if waves <= high {
                let smooth = (waves - low) / (high - low);
                *frequency = ((1.0 - smooth) * exact / factor + smooth * exact) as f32;
            }
        }
        Ok(())
    }

    /// A ramp between stretched and kept frequencies, and a magnitude that sharpens attention.
    fn yarn(&self, rope: &mut Rope) -> Result<()> {
        if !self.dims.is_multiple_of(2) {
            return Err(Error::config(
                "rope_type",
                format!("yarn needs an even number of rotating numbers, found {}", self.dims),
            ));
        }
        let given = |name: &'static str, default: f64| -> Result<f64> {
            match self.inside.value(name).and_then(Value::as_f64) {
                Some(0.0) => Ok(default),
                _ => self.inside.positive(&[name], default),
            }
        };
        let factor = self.inside.positive(&["factor"], self.context as f64 / self.trained)?;
        let magnitude = |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
        let usual = match (given("mscale", 0.0)?, given("mscale_all_dim", 0.0)?) {
            (one, all) if one > 0.0 && all > 0.0 => magnitude(one) / magnitude(all),
            _ => magnitude(1.0),
        };
        let correction =
            |turns: f64| self.dims as f64 * (self.trained / (turns * 2.0 * PI)).ln() / (2.0 * self.theta.ln());
        let (mut low, mut high) = (correction(given("beta_fast", 32.0)?), correction(given("beta_slow", 1.0)?));
        if self.inside.flag("truncate", true)? {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, mut high) = (low.max(0.0), high.min(self.dims as f64 - 1.0));
        if low == high {
            high += 0.001;
        }
        for (pair, frequency) in rope.rotary.frequencies.iter_mut().enumerate() {
            let stretched = ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0);
            let exact = f64::from(*frequency);
            *frequency = (exact / factor * stretched + exact * (1.0 - stretched)) as f32;
        }
        rope.rotary.magnitude = self.inside.positive(&["attention_factor"], usual)?;
        rope.context = self.reach(factor, self.trained);
        Ok(())
    }

    /// One divisor for every pair, other ones beyond the trained length.
    fn longrope(&self, rope: &mut Rope) -> Result<()> {
        let factor = self.inside.positive(&["factor"], self.context as f64 / self.trained)?;
        let usual = if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / self.trained.ln()).sqrt() };
        let divided = |name: &'static str| -> Result<Vec<f32>> {
            let divisors = self.inside.numbers(name, self.dims.div_ceil(2))?;
            let base = exponents(self.dims).map(|exponent| (self.theta as f32).powf(exponent));
            Ok(divisors.into_iter().zip(base).map(|(divisor, base)| 1.0 / (divisor as f32 * base)).collect())
        };
        rope.rotary.frequencies = divided("short_factor")?;
        rope.rotary.stretch =
            Some(Stretch::Table { trained: self.trained as usize, frequencies: divided("long_factor")? });
        rope.rotary.magnitude = self.inside.positive(&["attention_factor"], usual)?;
        Ok(())
    }
}
