//! Lesson 2: the residual stream and the logit lens.

use super::Verdict;
use super::numbers::{length, unchanged, unless_there};
use crate::site::Part;
use crate::text::visible;
use crate::{Result, Site, Trace};

/// How many numbers does the stream hold after one layer?
pub fn numbers_in_the_stream(answer: usize, trace: &Trace) -> Result<Verdict> {
    let stream = trace.get(Site::ResidPost(0))?;
    let (positions, width) = (stream.shape()[0], stream.shape()[1]);
    Ok(match answer {
        _ if answer == positions * width => Verdict::right("One vector at each position, all of the same width."),
        _ if answer == width => Verdict::not_yet("That is one position. How many are there?"),
        _ if answer == positions => Verdict::not_yet("That is how many vectors there are. How many numbers has each?"),
        _ => Verdict::not_yet("Look at `trace.get(Site::ResidPost(0))?`: its shape is (positions, width)."),
    })
}

/// Which sublayer adds the longest vector to the stream of one position? The answer is its site, `Site::AttnOut(..)` or
/// `Site::MlpOut(..)`.
pub fn longest_addition(answer: Site, position: usize, trace: &Trace) -> Result<Verdict> {
    if let Some(verdict) = unless_there("position", position, trace.len()) {
        return Ok(verdict);
    }
    let adds = |site: Site| matches!(site.plain(), Site::AttnOut(_) | Site::MlpOut(_)) && site.part() != Part::Encoder;
    if !adds(answer) {
        let says = format!("{answer} is not what a sublayer adds; those are Site::AttnOut(..) and Site::MlpOut(..).");
        return Ok(Verdict::not_yet(says));
    }
    let mut lengths = Vec::new();
    for site in trace.sites().into_iter().filter(|&site| adds(site)) {
        let added = trace.get(site)?;
        let width = added.shape()[1];
        lengths.push((site, added.data().chunks(width).map(length).collect::<Vec<f64>>()));
    }
    let Some((_, own)) = lengths.iter().find(|(site, _)| *site == answer) else {
        let layers = trace.model().layers();
        return Ok(Verdict::not_yet(format!(
            "There is no {answer} in this run: layers are counted from 0 to {}.",
            layers - 1
        )));
    };
    let longest = |position: usize| lengths.iter().all(|(_, other)| other[position] <= own[position]);
    Ok(match own[position] {
        at if longest(position) => Verdict::right(format!("It adds a vector of length {at:.0}.")),
        _ if (0..trace.len()).any(longest) => Verdict::not_yet("It is the longest at another position than this one."),
        at => Verdict::not_yet(format!("It adds a vector of length {at:.1}; something adds a longer one.")),
    })
}

/// After which layer does the logit lens first say the model's answer, at the last position, and never lose it again?
pub fn answer_leads_from(layer: usize, trace: &Trace) -> Result<Verdict> {
    let layers = trace.model().layers();
    if let Some(verdict) = unless_there("layer", layer, layers) {
        return Ok(verdict);
    }
    let lens = trace.logit_lens()?;
    let cells = lens.rows.iter().skip(1).filter_map(|row| row.cells.last());
    let says: Vec<_> = cells.map(|cell| (&cell.top, cell.target.id)).collect();
    let leads = |layer: usize| says.get(layer).is_some_and(|(top, answer)| top.id == *answer);
    let stays = |from: usize| (from..layers).all(leads);
    Ok(match layer {
        _ if stays(layer) && (layer == 0 || !leads(layer - 1)) => {
            Verdict::right(format!("For {layer} layers of {layers} the lens says something else."))
        }
        _ if stays(layer) => Verdict::not_yet(
            "It leads there, and before as well. (The first row of the lens, `in`, is what enters layer 0.)",
        ),
        _ if leads(layer) => Verdict::not_yet("It leads there, but a later layer puts something else first."),
        _ => Verdict::not_yet(format!("After that layer the lens says {:?}.", visible(&says[layer].0.text))),
    })
}

/// A run in which the lens after `layer` is more than half sure of a token that is not the model's answer.
pub fn lens_is_overruled(layer: usize, trace: &Trace) -> Result<Verdict> {
    unchanged(trace)?;
    let layers = trace.model().layers();
    if let Some(verdict) = unless_there("layer", layer, layers) {
        return Ok(verdict);
    }
    if layer + 1 == layers {
        return Ok(Verdict::not_yet("After the last layer the lens is the model: it cannot be overruled."));
    }
    let lens = trace.logit_lens()?;
    let ends = |row: usize| lens.rows.get(row).and_then(|row| row.cells.last());
    let (Some(there), Some(end)) = (ends(layer + 1), ends(layers)) else {
        return Ok(Verdict::not_yet("There is nothing to read in this run."));
    };
    let (said, answer) = (visible(&there.top.text), visible(&end.top.text));
    let sure = 100.0 * there.top.prob;
    Ok(match () {
        _ if there.top.id == end.top.id => {
            Verdict::not_yet(format!("Lens and model agree on {said:?} here. Another text?"))
        }
        _ if there.top.prob > 0.5 => Verdict::right(format!(
            "After layer {layer} the lens says {said:?} with {sure:.0} %, and the model answers {answer:?}. The lens reads \
             what is written so far as if no layer came after."
        )),
        _ => Verdict::not_yet(format!(
            "The lens says {said:?} and the model {answer:?}, but it is only {sure:.0} % sure."
        )),
    })
}
