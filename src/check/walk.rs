//! Lesson 7: how a vector moves through the layers.

use super::Verdict;
use super::numbers::{again, largest, no_such};
use crate::trajectory::Walk;
use crate::{Change, Error, Result, Site, Trace};

/// In which layer does the last of a walk's positions turn most?
///
/// # Errors
/// When the walk has points within layers, or none.
pub fn sharpest_turn(layer: usize, walk: &Walk) -> Result<Verdict> {
    let (steps, positions) = (walk.steps.len().saturating_sub(1), walk.positions.len());
    let layers: Vec<Option<usize>> = walk.steps.iter().skip(1).map(|step| step.site.layer()).collect();
    let whole = layers.iter().enumerate().all(|(step, layer)| *layer == Some(step));
    if steps == 0 || positions == 0 || !whole {
        return Err(Error::Input(
            "this check wants a walk with a step for each layer: trace.walk().build()?, without sublayers()".to_owned(),
        ));
    }
    let most = |values: &crate::Array, position: usize| {
        largest((0..steps).map(|step| values.get(&[step, position]).unwrap_or(f32::NAN)))
    };
    let last = positions - 1;
    let right = most(&walk.angle, last);
    Ok(match layer {
        _ if layer >= steps => no_such("layer", layer, steps),
        _ if Some(layer) == right => Verdict::right(
            "The next norm takes the length away and leaves the direction: this is what later layers see.",
        ),
        _ if Some(layer) == most(&walk.step_length, last) => {
            Verdict::not_yet("That is its longest step. A long step of a long vector may turn it little.")
        }
        _ if Some(layer) == right.map(|right| right + 1) => Verdict::not_yet(
            "So near. Row i of the angles is the turn from point i to point i + 1, and that is the step of layer i.",
        ),
        _ if (0..last).any(|position| Some(layer) == most(&walk.angle, position)) => {
            Verdict::not_yet("There another position turns most. The last one is asked for.")
        }
        _ => Verdict::not_yet(
            "`walk.angle` has a row for each step and a column for each position. Which row is largest?",
        ),
    })
}

/// After which layer, for the first time, does the last position's vector of `donor` bring the donor's answer with it when
/// it is put into `trace`? The check makes two runs: with the exchange after that layer, and one layer before.
///
/// # Errors
/// When both runs give the same answer, differ in length, or did not keep the stream.
pub fn answer_arrives(layer: usize, trace: &Trace, donor: &Trace) -> Result<Verdict> {
    let model = trace.model();
    if model.architecture().reads_both_ways() {
        return Err(Error::Input(format!("{} predicts no next token; take one that writes", model.name())));
    }
    let watch = again(trace)?;
    let best = |run: &Trace| Ok::<u32, Error>(run.next_tokens(1)?.first().map_or(u32::MAX, |next| next.id));
    let (own, other) = (best(trace)?, best(donor)?);
    if own == other {
        let problem = "both runs give the same answer, so nothing can arrive; take texts with different answers";
        return Err(Error::Input(problem.to_owned()));
    }
    if layer >= model.layers() {
        return Ok(no_such("layer", layer, model.layers()));
    }
    let exchanged = |layer: usize| {
        let patch = Change::patch(Site::ResidPost(layer), donor)?.position(trace.len() - 1);
        let run = watch.clone().change(patch).keep([Site::Logits]).run()?;
        run.next_tokens(1).map(|next| next[0].clone())
    };
    let here = exchanged(layer)?;
    if here.id != other {
        return Ok(Verdict::not_yet(format!(
            "Exchanged after layer {layer}, the model says {:?}. The donor's answer is not with this vector{}.",
            here.token,
            if here.id == own { " yet" } else { ", and its own is lost" }
        )));
    }
    if layer > 0 && exchanged(layer - 1)?.id == other {
        return Ok(Verdict::not_yet("That brings it, but so does the layer before. Where does it come first?"));
    }
    Ok(Verdict::right(
        "Before this layer the vector knows nothing of the answer; after it, it carries the answer alone.",
    ))
}
