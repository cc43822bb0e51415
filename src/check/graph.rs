//! Lesson 5: the flow graph. Heads are answered as (layer, head).

use super::Verdict;
use super::numbers::{answer_of, close, length, unchanged, unless_a_number, unless_there};
use crate::experiment::shares;
use crate::text::visible;
use crate::{Result, Site, Trace};

/// What does a layer, attention and MLP together, put onto the logit of the answer itself?
pub fn share_of_layer(answer: impl Into<f64>, layer: usize, trace: &Trace) -> Result<Verdict> {
    let answer = answer.into();
    let bad = unless_there("layer", layer, trace.model().layers()).or_else(|| unless_a_number(answer));
    if let Some(verdict) = bad {
        return Ok(verdict);
    }
    let shares = shares(trace, answer_of(trace)?.0)?;
    let cross = |layer: usize| shares.cross.get(layer).copied().unwrap_or(0.0);
    let of = |layer: usize| shares.attention[layer] + cross(layer) + shares.mlp[layer];
    let rounded = |number: f64| (answer - number).abs() <= 0.01 + 0.002 * number.abs();
    let added: f64 = (0..=layer).map(of).sum();
    let says = match answer {
        _ if answer != 0.0 && rounded(of(layer)) => {
            return Ok(Verdict::right("With those of the other layers and of the beginning it adds up to the logit."));
        }
        _ if answer == 0.0 => "What attention puts there, and what the MLP puts there, added up.",
        _ if rounded(shares.attention[layer]) => "That is attention's share. The MLP is a part of the layer.",
        _ if rounded(shares.mlp[layer]) => "That is the MLP's share. Attention is a part of the layer.",
        _ if rounded(-of(layer)) => "The size is right, but not its sign.",
        _ if rounded(added) || rounded(shares.start + added) || lens_says(answer, layer, trace)? => {
            "That is what all layers so far have put there. What does this one add?"
        }
        _ if (0..trace.model().layers()).any(|other| rounded(of(other))) => "That is the share of another layer.",
        _ => {
            "What attention puts there, and what the MLP puts there, added up, with the scale of the last norm held fixed."
        }
    };
    Ok(Verdict::not_yet(says))
}

/// Whether the number is the logit of the answer as the logit lens reads it after the layer.
fn lens_says(answer: f64, layer: usize, trace: &Trace) -> Result<bool> {
    let lens = trace.logit_lens()?;
    let cell = lens.rows.get(layer + 1).and_then(|row| row.cells.last());
    Ok(cell.is_some_and(|cell| close(answer, f64::from(cell.target.logit))))
}

/// Which head puts most onto the logit of the answer itself?
pub fn head_that_says_most(answer: (usize, usize), trace: &Trace) -> Result<Verdict> {
    let (layer, head) = answer;
    let (id, _) = answer_of(trace)?;
    let heads = shares(trace, id)?.heads;
    let all = || heads.iter().enumerate().flat_map(|(layer, row)| (0..row.len()).map(move |head| (layer, head)));
    let most = |of: &dyn Fn((usize, usize)) -> f64| all().max_by(|&a, &b| of(a).total_cmp(&of(b)));
    let share = |(layer, head): (usize, usize)| heads[layer][head];
    let truth = most(&share);
    if truth == Some(answer) {
        return Ok(Verdict::right(format!(
            "It puts {:+.2} onto the logit, before any other layer makes something of it.",
            share(answer)
        )));
    }
    if truth == Some((head, layer)) {
        return Ok(Verdict::not_yet("The layer first, then the head: (layer, head)."));
    }
    if let Some(verdict) = unless_there("layer", layer, heads.len()) {
        return Ok(verdict);
    }
    if let Some(verdict) = unless_there("head", head, heads[layer].len()) {
        return Ok(verdict);
    }
    let mut lengths = Vec::new();
    for (layer, heads) in heads.iter().enumerate() {
        let written = trace.get(Site::HeadOutput(layer))?;
        let last = |head: usize| written.row(head).and_then(|rows| rows.row(trace.len() - 1));
        lengths.push((0..heads.len()).map(|head| last(head).map_or(0.0, |row| length(row.data()))).collect::<Vec<_>>());
    }
    let says = match share(answer) {
        own if most(&|(layer, head)| lengths[layer][head]) == Some(answer) => {
            format!("It writes the longest vector of all, but that puts only {own:+.2} onto the answer.")
        }
        own if own < 0.0 => format!("It speaks against the answer: {own:+.2}."),
        own => format!("It puts {own:+.2} onto the answer; another head puts more."),
    };
    Ok(Verdict::not_yet(says))
}

/// A run in which one head was changed, at one or all positions, and the answer is another: `changed` beside the run as it
/// was.
pub fn one_head_turns_the_answer(changed: &Trace, trace: &Trace) -> Result<Verdict> {
    unchanged(trace)?;
    let (was, is) = (answer_of(trace)?, answer_of(changed)?);
    let word = |id: u32| format!("{:?}", visible(&trace.model().piece(id)));
    Ok(match changed.changes() {
        _ if changed.ids() != trace.ids() => {
            Verdict::not_yet("That is a run of another text. Change the run, not what it reads.")
        }
        [] => Verdict::not_yet("Nothing was changed in that run: watch(..).change(..).run()?"),
        [one] if one.head.is_none() => Verdict::not_yet("That changed more than a head: all of a site."),
        [_] if was.0 == is.0 => Verdict::not_yet(format!(
            "The answer is still {}, with {:.1} % in place of {:.1} %.",
            word(was.0),
            100.0 * is.1,
            100.0 * was.1
        )),
        [one] => Verdict::right(format!(
            "One head, and in place of {} the model says {}.{}",
            word(was.0),
            word(is.0),
            if one.positions.is_some() { " At a few positions only!" } else { "" }
        )),
        all => Verdict::not_yet(format!("{} changes were made; one is wanted.", all.len())),
    })
}
