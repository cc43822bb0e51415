//! Lesson 8: patching, ablation, circuits, steering.

use super::Verdict;
use super::numbers::{again, largest, no_such, smallest};
use crate::experiment::{EffectKind, Effects, Steering};
use crate::{Array, Error, Result, Site, Trace};

/// Which head, given as (layer, head), has the largest positive effect on a map of patches?
///
/// # Errors
/// When the map is not of patches by layer and head.
pub fn carrying_head(answer: (usize, usize), effects: &Effects) -> Result<Verdict> {
    if !matches!(effects.kind, EffectKind::Patched | EffectKind::Noised) {
        return Err(wrong_map(effects, "of patches"));
    }
    let map = heads(effects, effects.normalized()?)?;
    let right = largest(map.values.iter().copied()).map(|place| map.name(place));
    Ok(match map.find(answer) {
        _ if Some(answer) == right => {
            Verdict::right("What it brings is enough. Whether the model needs it is another question.")
        }
        None if map.is_index_of(answer, right) => Verdict::not_yet(format!(
            "That is its row in the map. The map begins at layer {}: take the layer's own number, `cell.place`.",
            map.layers.first().copied().unwrap_or_default()
        )),
        _ if right == Some((answer.1, answer.0)) => Verdict::not_yet("The layer comes first, then the head."),
        _ if map.is_index_of(answer, right) => Verdict::not_yet(
            "That may be its row in the map. Take the layer's own number, `cell.place`, and not the row, `cell.index`.",
        ),
        None => not_on_the_map(answer, &map),
        Some(effect) if effect.abs() < 0.02 => {
            Verdict::not_yet(format!("Its effect is {effect:+.2}, next to none. Look at `.top(5)?` of the map."))
        }
        Some(effect) if effect < 0.0 => {
            Verdict::not_yet(format!("Its effect is {effect:+.2}: with it the answer gets worse. It speaks against."))
        }
        Some(effect) => Verdict::not_yet(format!("Its effect is {effect:+.2}, and another has more.")),
    })
}

/// Which head, given as (layer, head), costs most when it is taken away, on a map of ablations?
///
/// # Errors
/// When the map is not of ablations by layer and head.
pub fn costliest_head(answer: (usize, usize), effects: &Effects) -> Result<Verdict> {
    if effects.kind != EffectKind::Ablated {
        return Err(wrong_map(effects, "of ablations"));
    }
    let map = heads(effects, effects.mean_effect()?)?;
    let right = smallest(map.values.iter().copied()).map(|place| map.name(place));
    let helped = largest(map.values.iter().copied()).map(|place| map.name(place));
    Ok(match map.find(answer) {
        _ if Some(answer) == right => {
            Verdict::right("Nothing else on this map is missed as much: with this stand-in, on these texts.")
        }
        _ if right == Some((answer.1, answer.0)) => Verdict::not_yet("The layer comes first, then the head."),
        _ if map.is_index_of(answer, right) => Verdict::not_yet(
            "That may be its row in the map. Take the layer's own number, `cell.place`, and not the row, `cell.index`.",
        ),
        None => not_on_the_map(answer, &map),
        Some(effect) if Some(answer) == helped && effect > 0.0 => {
            Verdict::not_yet(format!("Without it the difference *grows*, by {effect:.2}. A loss is below 0."))
        }
        Some(effect) => {
            Verdict::not_yet(format!("Without it the difference changes by {effect:+.2}. Another costs more."))
        }
    })
}

/// At which position does an induction head look from `query`, in a text that repeats itself?
///
/// # Errors
/// When the token at `query` did not occur before.
pub fn induction_target(position: usize, query: usize, trace: &Trace) -> Result<Verdict> {
    let ids = trace.ids();
    let Some(&id) = ids.get(query) else {
        return Ok(no_such("position", query, ids.len()));
    };
    let before: Vec<usize> = (0..query).filter(|&place| ids[place] == id).collect();
    if before.is_empty() {
        return Err(Error::Input(format!(
            "the token at position {query} occurs there for the first time; take one from the repetition"
        )));
    }
    Ok(if before.iter().any(|place| place + 1 == position) {
        Verdict::right(
            "It finds the same token, and looks at what came after it: that is what comes next this time, too.",
        )
    } else if before.contains(&position) {
        Verdict::not_yet("There the same token stood. That it came again is known; what helps is what came *after* it.")
    } else if before.iter().any(|place| *place == position + 1) {
        Verdict::not_yet("That came before the token, the first time. What is wanted is what followed.")
    } else if position == query {
        Verdict::not_yet("That is the query itself. Where did its token stand before?")
    } else if position > query {
        Verdict::not_yet("This comes after the query, where a decoder cannot look.")
    } else {
        Verdict::not_yet("Find the token of the query earlier in the text, and from there the next one.")
    })
}

/// The most that a plain sentence may lose under a cheap direction, in nats a token.
const CHEAP: f64 = 0.1;

/// A layer and a strength whose direction takes the clean texts at least a quarter as far again from the corrupted ones as they
/// are, for no more than 0.1 nats a token of the text of `plain`, which has nothing to do with the pairs.
///
/// # Errors
/// When there is no such layer, or `plain` cannot be run again.
pub fn cheap_steering(answer: (usize, f64), steering: &Steering, plain: &Trace) -> Result<Verdict> {
    let (layer, strength) = answer;
    if !strength.is_finite() {
        return Ok(Verdict::not_yet("A strength is a number, such as 2.0."));
    }
    let direction = steering.layer(layer)?;
    let effects = steering.sweep([strength])?;
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    let apart = mean(&effects.clean) - mean(&effects.corrupted);
    let effect = effects.mean_effect()?.get(&[layer, 0]).unwrap_or(f32::NAN) / apart;
    let nats = |run: &Trace| -> Result<f64> {
        let known = run.decoding()?.probability.into_iter().filter(|p| p.is_finite()).map(|p| -f64::from(p).ln());
        let known: Vec<f64> = known.collect();
        Ok(known.iter().sum::<f64>() / known.len() as f64)
    };
    let changed = again(plain)?.change(direction * strength).keep([Site::Logits]).run()?;
    let cost = nats(&changed)? - nats(plain)?;
    Ok(if effect < 0.0 {
        Verdict::not_yet("It turns the texts the other way: towards the corrupted ones.")
    } else if effect >= 0.25 && cost <= CHEAP {
        Verdict::right(format!(
            "{:.0} % as far again, for {cost:.2} nats a token. Another plain sentence may cost more: try one.",
            100.0 * effect
        ))
    } else if effect >= 0.25 {
        Verdict::not_yet(format!(
            "Strong enough, but the plain sentence loses {cost:.2} nats a token; {CHEAP} may be lost."
        ))
    } else {
        Verdict::not_yet(format!("Too weak: it takes them {:.0} % as far again, and 25 are wanted.", 100.0 * effect))
    })
}

/// A map by layer and head.
struct Heads {
    values: Vec<f32>,
    /// The layers' own numbers, row by row.
    layers: Vec<usize>,
    heads: Vec<usize>,
}

impl Heads {
    fn name(&self, place: usize) -> (usize, usize) {
        (self.layers[place / self.heads.len()], self.heads[place % self.heads.len()])
    }

    fn find(&self, (layer, head): (usize, usize)) -> Option<f32> {
        let row = self.layers.iter().position(|&found| found == layer)?;
        let column = self.heads.iter().position(|&found| found == head)?;
        self.values.get(row * self.heads.len() + column).copied()
    }

    /// Whether an answer is row and column of the right cell, and not its name.
    fn is_index_of(&self, answer: (usize, usize), right: Option<(usize, usize)>) -> bool {
        let place = |(layer, head): (usize, usize)| {
            let row = self.layers.iter().position(|&found| found == layer);
            row.zip(self.heads.iter().position(|&found| found == head))
        };
        right != Some(answer) && right.and_then(place) == Some(answer)
    }
}

fn heads(effects: &Effects, values: Array) -> Result<Heads> {
    let numbers = |axis: usize, name: &str| -> Option<Vec<usize>> {
        let axis = effects.axes.get(axis).filter(|axis| axis.name == name)?;
        axis.labels.iter().map(|label| label.parse().ok()).collect()
    };
    match (numbers(0, "layer"), numbers(1, "head"), effects.axes.len()) {
        (Some(layers), Some(heads), 2) => Ok(Heads { values: values.data().to_vec(), layers, heads }),
        _ => Err(wrong_map(effects, "by layer and head")),
    }
}

fn wrong_map(effects: &Effects, wanted: &str) -> Error {
    let axes: Vec<&str> = effects.axes.iter().map(|axis| axis.name.as_str()).collect();
    Error::Experiment(format!("{} is by {}; this check wants a map {wanted}", effects.name, axes.join(" and ")))
}

fn not_on_the_map((layer, head): (usize, usize), map: &Heads) -> Verdict {
    let (first, last) = (map.layers.first().copied().unwrap_or(0), map.layers.last().copied().unwrap_or(0));
    Verdict::not_yet(format!(
        "Head {layer}.{head} is not on this map: it has layers {first} to {last} of {} heads.",
        map.heads.len()
    ))
}
