//! Lesson 4: neurons and memories. Neurons are answered as (layer, neuron).

use super::Verdict;
use super::numbers::{again, answer_of, close, dot, length, unless_a_number, unless_there};
use crate::experiment::shares;
use crate::model::layers::activate;
use crate::{Array, Change, Result, Site, Trace};

/// The activation of a neuron at a position, from what its gate and its up row say.
pub fn activation_by_hand(
    answer: impl Into<f64>,
    (layer, neuron): (usize, usize),
    position: usize,
    trace: &Trace,
) -> Result<Verdict> {
    let (answer, neurons) = (answer.into(), trace.get(Site::Neurons(layer))?);
    if let Some(verdict) = unless_both_there(&neurons, neuron, position) {
        return Ok(verdict);
    }
    if let Some(verdict) = unless_a_number(answer) {
        return Ok(verdict);
    }
    let at = |array: &Array, position: usize| f64::from(array.get(&[position, neuron]).unwrap_or(f32::NAN));
    if close(answer, at(&neurons, position)) {
        return Ok(Verdict::right("What it writes is this number times its down row."));
    }
    let up = at(&trace.get(Site::MlpPre(layer))?, position);
    let gate = trace.get(Site::MlpGate(layer)).ok().map(|gate| at(&gate, position));
    let kind = trace.model().architecture().main.blocks[layer].mlp.activation;
    let opened = |number: f64| -> Result<f64> { Ok(activate(kind, &tch::Tensor::from(number))?.f_double_value(&[])?) };
    let other = (0..trace.len()).any(|other| other != position && close(answer, at(&neurons, other)));
    let says = match gate {
        _ if answer == 0.0 => "Two inner products, one of them through the activation function, and their product.",
        Some(gate) if close(answer, gate * up) => "The gate has to go through the activation function first.",
        Some(gate) if close(answer, opened(gate)?) => "That is the gate, opened. It is multiplied with the up product.",
        Some(gate) if close(answer, gate) => "That is the gate alone, before its activation function.",
        Some(gate) if close(answer, opened(up)? * gate) => "The other one goes through the activation function.",
        _ if close(answer, up) => "That is the up product alone.",
        _ if other => "That is its activation at another position.",
        _ if of_the_stream(answer, (layer, neuron), position, gate.is_some(), trace, &opened)? => {
            "That is made from the stream itself. The MLP reads it through its norm: Site::MlpNorm."
        }
        _ => "Two inner products, one of them through the activation function, and their product.",
    };
    Ok(Verdict::not_yet(says))
}

/// Whether the number comes out where somebody forgets the norm.
fn of_the_stream(
    answer: f64,
    (layer, neuron): (usize, usize),
    position: usize,
    gated: bool,
    trace: &Trace,
    opened: &dyn Fn(f64) -> Result<f64>,
) -> Result<bool> {
    let (Ok(stream), vectors) = (trace.get(Site::ResidMid(layer)), trace.model().neurons(layer)?) else {
        return Ok(false);
    };
    let along = |rows: &Array| match (stream.row(position), rows.row(neuron)) {
        (Some(stream), Some(row)) => dot(stream.data(), row.data()),
        _ => f64::NAN,
    };
    let up = along(&vectors.up);
    Ok(match (&vectors.gate, gated) {
        (Some(gate), true) => close(answer, opened(along(gate))? * up),
        _ => close(answer, opened(up)?),
    })
}

/// Which neuron of a layer adds the longest vector at a position?
pub fn neuron_that_adds_most(neuron: usize, layer: usize, position: usize, trace: &Trace) -> Result<Verdict> {
    let neurons = trace.get(Site::Neurons(layer))?;
    if let Some(verdict) = unless_both_there(&neurons, neuron, position) {
        return Ok(verdict);
    }
    let down = trace.model().neurons(layer)?.down;
    let lengths: Vec<f64> = down.data().chunks(down.shape()[1].max(1)).map(length).collect();
    let count = lengths.len().min(neurons.shape()[1]);
    let active = |position: usize, neuron: usize| f64::from(neurons.get(&[position, neuron]).unwrap_or(0.0)).abs();
    let added = |position: usize, neuron: usize| active(position, neuron) * lengths[neuron];
    let leads = |of: &dyn Fn(usize, usize) -> f64, position: usize| {
        (0..count).all(|other| of(position, other) <= of(position, neuron))
    };
    let own = added(position, neuron);
    Ok(match () {
        _ if leads(&added, position) => Verdict::right(format!("It adds a vector of length {own:.1}.")),
        _ if leads(&active, position) => Verdict::not_yet(
            "It is the most active one. But down rows differ in length, and what is added is both multiplied.",
        ),
        _ if (0..trace.len()).any(|other| leads(&added, other)) => {
            Verdict::not_yet("It adds most at another position than this one.")
        }
        _ => Verdict::not_yet(format!(
            "It adds a vector of length {own:.1}; another neuron adds a longer one. (An activation may be negative: its \
             size counts.)"
        )),
    })
}

/// By how much does the probability of the answer change when a neuron is silenced: with what sign?
pub fn effect_of_neuron(answer: impl Into<f64>, (layer, neuron): (usize, usize), trace: &Trace) -> Result<Verdict> {
    let (answer, neurons) = (answer.into(), trace.get(Site::Neurons(layer))?);
    if let Some(verdict) = unless_both_there(&neurons, neuron, 0).or_else(|| unless_a_number(answer)) {
        return Ok(verdict);
    }
    let (id, before) = answer_of(trace)?;
    let silent = again(trace)?.keep([]).change(Change::zero_neuron(layer, neuron)).run()?;
    let after = silent.last_logits()?.f_softmax(-1, tch::Kind::Float)?.f_double_value(&[i64::from(id)])?;
    let truth = after - before;
    // Only a linear head can be shared out.
    let share = shares(trace, id).ok().and_then(|shares| shares.neurons.get(layer)?.get(neuron).copied());
    let near = |number: f64| (answer - number).abs() <= 0.05 * number.abs() + 1e-6;
    let says = match answer {
        _ if near(truth) => {
            let way = if truth > 0.0 { "more" } else { "less" };
            return Ok(Verdict::right(format!("Without it the answer is {way} likely than with it.")));
        }
        _ if answer == 0.0 => {
            "Run the text with the neuron silenced, and take the difference of the two probabilities."
        }
        _ if near(-truth) => {
            "The size is right. The probability without it minus the one with it: which sign has that?"
        }
        _ if near(100.0 * truth) => "That is in percent. Give it as a difference of probabilities, from -1 to 1.",
        _ if close(answer, after) => "That is the probability without it. How much is it more, or less, than before?",
        _ if share.is_some_and(near) => "That is what it adds to the logit itself. Silence it, and see what happens.",
        _ => "Run the text with the neuron silenced, and take the difference of the two probabilities of the answer.",
    };
    Ok(Verdict::not_yet(says))
}

/// What there is to say of a neuron or a position that does not exist.
fn unless_both_there(neurons: &Array, neuron: usize, position: usize) -> Option<Verdict> {
    let (positions, count) = (neurons.shape()[0], neurons.shape()[1]);
    unless_there("neuron", neuron, count).or_else(|| unless_there("position", position, positions))
}
