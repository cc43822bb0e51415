//! Lesson 3: attention. Heads are answered as (layer, head).

use super::Verdict;
use super::numbers::{again, answer_of, close, dot, unless_a_number, unless_there};
use crate::attention::Measure;
use crate::{Array, Change, Error, Result, Site, Trace};

/// Which head has the largest value of a measure?
pub fn head_with_most(measure: Measure, answer: (usize, usize), trace: &Trace) -> Result<Verdict> {
    let attention = trace.attention()?;
    let Some(block) = attention.blocks().first() else {
        return Err(Error::Attention("this run has no attention to measure".to_owned()));
    };
    let layers = block.layers();
    let best = |measure: Measure| -> Result<(usize, usize)> {
        let values = block.measure(measure)?;
        let all = values
            .iter()
            .zip(&layers)
            .flat_map(|(row, &layer)| row.iter().enumerate().map(move |(head, &value)| ((layer, head), value)));
        Ok(all.max_by(|a, b| a.1.total_cmp(&b.1)).map_or((usize::MAX, usize::MAX), |(head, _)| head))
    };
    let (truth, values) = (best(measure)?, block.measure(measure)?);
    if answer == truth {
        return Ok(Verdict::right(format!("{} Of all heads of this run it has the largest.", measure.about())));
    }
    if (answer.1, answer.0) == truth {
        return Ok(Verdict::not_yet("The layer first, then the head: (layer, head)."));
    }
    let Some(row) = layers.iter().position(|&layer| layer == answer.0) else {
        return Ok(Verdict::not_yet(format!("There is no layer {} in this run.", answer.0)));
    };
    if let Some(verdict) = unless_there("head", answer.1, values[row].len()) {
        return Ok(verdict);
    }
    for other in block.measures()? {
        if other != measure && best(other)? == answer {
            return Ok(Verdict::not_yet(format!(
                "That is the head with the largest {}.",
                other.title().to_lowercase()
            )));
        }
    }
    let (value, unit) = (values[row][answer.1] * measure.scale(), measure.unit());
    Ok(Verdict::not_yet(format!("It has {value:.1} {unit}; another head has more.")))
}

/// Which head of its layer does the answer need most: without which one is it least likely? The check runs the model
/// without each of them.
pub fn head_needed_most(answer: (usize, usize), trace: &Trace) -> Result<Verdict> {
    let (layer, head) = answer;
    if let Some(verdict) = unless_there("layer", layer, trace.model().layers()) {
        return Ok(verdict);
    }
    let heads = trace.get(Site::HeadMix(layer))?.shape()[0];
    if let Some(verdict) = unless_there("head", head, heads) {
        return Ok(verdict);
    }
    let (id, before) = answer_of(trace)?;
    let mut without = Vec::new();
    for head in 0..heads {
        let run = again(trace)?.keep([]).change(Change::zero_head(layer, head)).start_at(layer, trace).run()?;
        let probs = run.last_logits()?.f_softmax(-1, tch::Kind::Float)?;
        without.push(probs.f_double_value(&[i64::from(id)])?);
    }
    let (own, least) = (without[head], without.iter().copied().fold(f64::INFINITY, f64::min));
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    Ok(match own {
        _ if own == least && own < before => {
            Verdict::right(format!("Without it the answer falls from {} to {}.", percent(before), percent(own)))
        }
        _ if least >= before => {
            Verdict::not_yet("No head of this layer is needed: without any one of them the answer gets no less likely.")
        }
        _ if own >= before => Verdict::not_yet(format!(
            "Without it the answer is no less likely: {} and {}.",
            percent(before),
            percent(own)
        )),
        _ => Verdict::not_yet(format!(
            "Without it the answer falls from {} to {}; without another head of this layer it falls further.",
            percent(before),
            percent(own)
        )),
    })
}

/// How many heads give the first token more than `share` of their attention?
pub fn heads_resting_on_first(answer: usize, share: f64, trace: &Trace) -> Result<Verdict> {
    let attention = trace.attention()?;
    let Some(block) = attention.blocks().first() else {
        return Err(Error::Attention("this run has no attention to measure".to_owned()));
    };
    let values = block.measure(Measure::First)?;
    let above = |value: &f32| f64::from(*value) > share;
    let (all, resting) =
        (values.iter().flatten().count(), values.iter().flatten().filter(|value| above(value)).count());
    let layers = values.iter().filter(|row| above(&(row.iter().sum::<f32>() / row.len() as f32))).count();
    Ok(match answer {
        _ if answer == resting => {
            Verdict::right(format!("{:.0} % of the {all} heads.", 100.0 * resting as f64 / all as f64))
        }
        _ if answer > all => Verdict::not_yet(format!("There are only {all} heads.")),
        _ if answer == all - resting => Verdict::not_yet("Those are the others. Is it `>` that you wrote?"),
        _ if answer == layers => {
            Verdict::not_yet("Those are layers. Count heads: the list has one list for each layer.")
        }
        _ if answer < resting => Verdict::not_yet("There are more."),
        _ => Verdict::not_yet("There are fewer. The share is a number from 0 to 1."),
    })
}

/// What does a query make of a key before the softmax: their score?
pub fn score_by_hand(
    answer: impl Into<f64>,
    head: (usize, usize),
    (query, key): (usize, usize),
    trace: &Trace,
) -> Result<Verdict> {
    let (answer, (layer, head)) = (answer.into(), head);
    let scores = trace.get(Site::Scores(layer))?;
    let [heads, queries, keys] = scores.shape()[..] else {
        return Err(Error::site(Site::Scores(layer), "has no heads"));
    };
    let places = [("head", head, heads), ("position", query, queries), ("position", key, keys)];
    if let Some(verdict) = places.into_iter().find_map(|(what, index, count)| unless_there(what, index, count)) {
        return Ok(verdict);
    }
    if let Some(verdict) = unless_a_number(answer) {
        return Ok(verdict);
    }
    let number = |array: &Array, index: [usize; 3]| f64::from(array.get(&index).unwrap_or(f32::NAN));
    let truth = number(&scores, [head, query, key]);
    if close(answer, truth) {
        return Ok(Verdict::right("The softmax makes weights of a row of such scores."));
    }
    let plan = &trace.model().architecture().main.blocks[layer].attention;
    let group = plan.heads / plan.kv_heads.max(1);
    // Vectors of the head as they meet, or as they are before they are rotated.
    let product = |turned: bool, query: usize, key: usize, key_head: usize| -> Result<f64> {
        let of = |turned: Site, plain: Site, wanted: bool| match trace.get(turned) {
            Ok(array) if wanted => Ok(array),
            _ => trace.get(plain),
        };
        let (q, k) = (
            of(Site::RotatedQuery(layer), Site::Query(layer), turned)?,
            of(Site::RotatedKey(layer), Site::Key(layer), turned)?,
        );
        let row = |array: &Array, head: usize, position: usize| array.row(head).and_then(|all| all.row(position));
        Ok(match (row(&q, head, query), row(&k, key_head, key)) {
            (Some(q), Some(k)) => dot(q.data(), k.data()),
            _ => f64::NAN,
        })
    };
    let own = head / group.max(1);
    let pattern = trace.get(Site::Pattern(layer))?;
    let says = match answer {
        _ if answer == 0.0 => "Multiply the two vectors number by number, add up, and scale.",
        _ if close(answer, product(true, query, key, own)?) => {
            "That is the product of the two. It has to be scaled: divided by the root of their width."
        }
        _ if close(answer, number(&pattern, [head, query, key])) => "That is the weight, after the softmax.",
        _ if close(answer, plan.scale * product(false, query, key, own)?) => {
            "Those vectors have not been rotated yet; they meet as RotatedQuery and RotatedKey."
        }
        _ if query < queries && key < queries && close(answer, plan.scale * product(true, key, query, own)?) => {
            "Query and key are exchanged: the query is the position that looks."
        }
        _ if (0..plan.kv_heads).any(|other| {
            other != own && product(true, query, key, other).is_ok_and(|product| close(answer, plan.scale * product))
        }) =>
        {
            "Those are the keys of another head. Which query heads share a key head?"
        }
        _ => "Multiply the two vectors number by number, add up, and scale.",
    };
    Ok(Verdict::not_yet(says))
}
