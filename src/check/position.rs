//! Lesson 6: position, attention maps and similarity maps.

use std::f64::consts::TAU;

use super::Verdict;
use super::numbers::{cosine, dot, largest, length, near, no_such, smallest};
use crate::{Array, Error, Model, Result, Site, Trace};

/// How many steps apart must two places be for the slowest pair of a head's numbers to have turned once?
///
/// # Errors
/// When the model does not turn queries and keys.
pub fn steps_for_a_turn(answer: impl Into<f64>, model: &Model) -> Result<Verdict> {
    let answer = answer.into();
    let rotary = model.architecture().main.blocks.iter().find_map(|block| block.attention.rotary.as_ref());
    let rotary = rotary.ok_or_else(|| {
        Error::Input(format!(
            "{} does not turn queries and keys; give a model that does, such as smollm2-135m",
            model.name()
        ))
    })?;
    let turning = || rotary.frequencies.iter().map(|&angle| f64::from(angle)).filter(|&angle| angle > 0.0);
    let (slowest, fastest) = (turning().fold(f64::INFINITY, f64::min), turning().fold(0.0, f64::max));
    Ok(if near(answer, TAU / slowest, 0.02) {
        Verdict::right("Within a text that the model can read, this pair hardly turns: what it holds is content.")
    } else if near(answer, TAU / fastest, 0.02) && fastest > slowest {
        Verdict::not_yet("That is the pair that turns fastest. The slowest has the smallest angle a step.")
    } else if near(answer, 360.0 / slowest, 0.02) {
        Verdict::not_yet("Angles are in radians here: a whole turn is 2 pi of them, not 360.")
    } else if near(answer, 1.0 / slowest, 0.02) {
        Verdict::not_yet("So many steps make one radian. A whole turn is more.")
    } else if near(answer, slowest, 0.02) {
        Verdict::not_yet("That is the angle of one step. How many of them make a turn?")
    } else {
        Verdict::not_yet("Take the smallest of the angles a step, in radians: how often does it go into a whole turn?")
    })
}

/// Which head of the first stack gives most of its weight to what comes after the query, if content were constant and
/// sixteen steps to each side were all there is?
///
/// # Errors
/// When the weights hold no kernels, or position hides what comes after.
pub fn looks_ahead(head: usize, model: &Model) -> Result<Verdict> {
    let kernels = model.position_kernels()?;
    let kernel = kernels.kernels.iter().find(|kernel| !kernel.causal).ok_or_else(|| {
        Error::Input(format!("no head of {} sees what comes after; give a model with an encoder", model.name()))
    })?;
    let (offsets, shares) = kernel.attention(-16..=16)?;
    let over = |head: usize, wanted: fn(i64) -> bool| -> f32 {
        let row = shares.row(head).map(|row| row.data().to_vec()).unwrap_or_default();
        offsets.iter().zip(row).filter(|(offset, _)| wanted(**offset)).map(|(_, share)| share).sum()
    };
    let most = |wanted: fn(i64) -> bool| largest((0..kernel.heads()).map(|head| over(head, wanted)));
    let ahead = |offset| offset > 0;
    Ok(match head {
        _ if head >= kernel.heads() => no_such("head", head, kernel.heads()),
        _ if Some(head) == most(ahead) => {
            Verdict::right("It spreads its weight over what follows, where another may put more on a single step.")
        }
        _ if Some(head) == most(|offset| offset == 1) => {
            Verdict::not_yet("It gives most to the very next place. But add up all that comes after the query.")
        }
        _ if over(head, ahead) < 0.5 => Verdict::not_yet(
            "This head gives more to what came before, and to the query itself. An offset is the key's place less the \
             query's: ahead is above 0.",
        ),
        _ => Verdict::not_yet("It looks ahead, but another does so more. Add up the shares at all offsets above 0."),
    })
}

/// Which head of a layer attends most nearly as its position kernel alone would have it? `block` is `encoder`, `decoder`,
/// or `all` where there is one stack; near is half the sum of the differences of the weights.
///
/// # Errors
/// When the layer has no bias by position, or the run did not keep what attention maps need.
pub fn nearest_to_its_kernel(head: usize, block: &str, layer: usize, trace: &Trace) -> Result<Verdict> {
    let maps = trace.attention_maps().block(block).layers([layer]).build()?;
    let none =
        || Error::Input(format!("layer {layer} of {block} was not kept; run the text again and keep everything"));
    let (found, visible) = maps
        .blocks
        .iter()
        .find_map(|block| block.layers.iter().find(|found| found.number == layer))
        .map(|layer| (layer, &layer.visible))
        .ok_or_else(none)?;
    let bias = found.bias.as_ref().ok_or_else(|| {
        Error::Input(format!(
            "nothing is added to the scores of layer {layer} for position; take a T5's encoder or decoder"
        ))
    })?;
    let heads = found.probabilities.shape()[0];
    let nearest = |part: &Array, visible: Option<&[bool]>| {
        smallest((0..heads).map(|head| apart(&found.probabilities, part, head, visible)))
    };
    Ok(match head {
        _ if head >= heads => no_such("head", head, heads),
        _ if Some(head) == nearest(bias, Some(visible)) => {
            Verdict::right("Of what this head does, distance alone tells most: it is nearest to a filter.")
        }
        _ if Some(head) == nearest(bias, None) => Verdict::not_yet(
            "So it is if keys that the query cannot see take part in the softmax. Leave them out: `visible` says which.",
        ),
        _ if Some(head) == nearest(&found.content, Some(visible)) => {
            Verdict::not_yet("That one is nearest to what *content* alone would give. Compare with the bias.")
        }
        _ => Verdict::not_yet(
            "Take the softmax of the layer's bias, row by row, and compare it with the probabilities of the same head. \
             Small is near.",
        ),
    })
}

/// Positions so near are alike because attention mixes neighbours.
const NEAR: usize = 3;

/// Which two different words, more than three places apart, have the most similar vectors behind the final norm (of the encoder, where
/// there is one)? By the cosine.
///
/// # Errors
/// When the run did not keep what leaves the final norm, or is too short to have two such words.
pub fn most_alike_apart(pair: (usize, usize), trace: &Trace) -> Result<Verdict> {
    let encoder = trace.model().encoder_layers() > 0;
    let (site, ids) = match encoder {
        true => (Site::EncoderFinalNorm, trace.encoder_ids()),
        false => (Site::FinalNorm, trace.ids()),
    };
    let vectors = trace.get(site)?;
    let rows: Vec<&[f32]> = vectors.data().chunks(vectors.shape()[1]).collect();
    let fits = |&(a, b): &(usize, usize)| a.abs_diff(b) > NEAR && ids[a] != ids[b];
    let pairs = || (0..rows.len()).flat_map(|b| (0..b).map(move |a| (a, b))).filter(fits);
    let most = |how: fn(&[f32], &[f32]) -> f64| largest(pairs().map(|(a, b)| how(rows[a], rows[b])));
    let best = |how| most(how).and_then(|place| pairs().nth(place));
    let Some(right) = best(cosine) else {
        return Err(Error::Input(
            "this text has no two different words that stand apart; take a longer one".to_owned(),
        ));
    };
    let (a, b) = (pair.0.min(pair.1), pair.0.max(pair.1));
    Ok(if b >= rows.len() {
        no_such("position", b, rows.len())
    } else if (a, b) == right {
        Verdict::right("Look at the two words, and at what stands around each of them.")
    } else if a == b {
        Verdict::not_yet("A position is as like itself as can be. Two different ones are wanted.")
    } else if ids[a] == ids[b] {
        Verdict::not_yet("Both are the same token. Two different ones are wanted.")
    } else if b - a <= NEAR {
        Verdict::not_yet("These stand close together, and neighbours are alike anyway. Leave them out.")
    } else if Some((a, b)) == best(dot) {
        Verdict::not_yet("By the inner product, yes: long vectors shout. Take the cosine.")
    } else {
        Verdict::not_yet(format!(
            "Their cosine is {:.3}, and another pair has more. Go over all pairs of `trace.get(Site::{site:?})?`.",
            cosine(rows[a], rows[b])
        ))
    })
}

/// After which layer is the first position's vector for the first time more than ten times as long as the median of the
/// others?
///
/// # Errors
/// When there is no such layer, or the run did not keep the stream.
pub fn beacon_begins(layer: usize, trace: &Trace) -> Result<Verdict> {
    let layers = trace.model().layers();
    let mut stands_out = Vec::with_capacity(layers);
    for layer in 0..layers {
        let stream = trace.get(Site::ResidPost(layer))?;
        let lengths: Vec<f64> = stream.data().chunks(stream.shape()[1]).map(length).collect();
        let mut others = lengths[1..].to_vec();
        others.sort_by(f64::total_cmp);
        stands_out.push(others.get(others.len() / 2).is_some_and(|median| lengths[0] > 10.0 * median));
    }
    let Some(begins) = stands_out.iter().position(|&out| out) else {
        return Err(Error::Input(format!(
            "the first position of this run of {} never stands out so far; take a trained decoder and a text of several \
             tokens",
            trace.model().name()
        )));
    };
    Ok(match layer {
        _ if layer >= layers => no_such("layer", layer, layers),
        _ if layer == begins => Verdict::right("One layer makes it, in one step. What follows only carries it along."),
        _ if layer < begins => Verdict::not_yet("After this layer it is not yet so long. Go deeper."),
        _ if stands_out[layer] => Verdict::not_yet("It is so long already before this layer. Go back."),
        _ => Verdict::not_yet("After this layer it is not so long any more. Where does it begin?"),
    })
}

/// How far the weights of a head are from the softmax of a part of its scores: the mean over queries of half the sum of
/// the differences. Keys that a query does not see have no part in the softmax, where it is known which.
fn apart(weights: &Array, part: &Array, head: usize, visible: Option<&[bool]>) -> f32 {
    let (Some(weights), Some(part)) = (weights.row(head), part.row(head)) else { return f32::NAN };
    let (queries, keys) = (weights.shape()[0], weights.shape()[1]);
    let mut sum = 0.0;
    for (query, (weights, part)) in weights.data().chunks(keys).zip(part.data().chunks(keys)).enumerate() {
        let sees = |key: usize| visible.is_none_or(|visible| visible[query * keys + key]);
        let largest = (0..keys).filter(|&key| sees(key)).map(|key| part[key]).fold(f32::NEG_INFINITY, f32::max);
        let exp = |key: usize| if sees(key) { (part[key] - largest).exp() } else { 0.0 };
        let all: f32 = (0..keys).map(exp).sum();
        sum += (0..keys).map(|key| (weights[key] - exp(key) / all).abs() / 2.0).sum::<f32>();
    }
    sum / queries as f32
}
