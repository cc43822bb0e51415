//! Lesson 9: encoders and encoder-decoders.

use super::Verdict;
use super::numbers::{cosine, largest, no_such, same_again};
use crate::{Error, Result, Site, Trace};

/// A text of the same tokens in another order that the encoder holds to be less alike than the same text backwards: by the
/// cosine of the means of the vectors that leave the stack.
///
/// # Errors
/// When the model does not read both ways, or the run did not keep what leaves the stack.
pub fn same_words_other_meaning(text: &str, trace: &Trace) -> Result<Verdict> {
    let model = trace.model();
    if !model.architecture().reads_both_ways() {
        return Err(Error::Input(format!(
            "{} does not read both ways; take an encoder such as minilm-l6",
            model.name()
        )));
    }
    same_again(trace)?;
    let other = model.watch(text).keep([Site::FinalNorm]).run()?;
    let (ids, others) = (trace.ids(), other.ids());
    let sorted = |ids: &[u32]| {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids
    };
    if ids == others {
        return Ok(Verdict::not_yet("To the tokenizer this is the same text. Change the order of the words."));
    }
    if sorted(&ids) != sorted(&others) {
        let piece = |id: &u32| model.tokenizer().map_or_else(|| format!("#{id}"), |tokenizer| tokenizer.piece(*id));
        let odd = others.iter().find(|id| !ids.contains(id)).map(piece);
        return Ok(Verdict::not_yet(match odd {
            Some(odd) => format!("Not the same words: {odd:?} is not in the first text."),
            None => "Not the same words, or not as many of each.".to_owned(),
        }));
    }
    // Special tokens stay where they are; what is between them turns round.
    let special = |id: &&u32| model.tokenizer().is_some_and(|tokenizer| tokenizer.is_special(**id));
    let (before, after) = (ids.iter().take_while(special).count(), ids.iter().rev().take_while(special).count());
    let mut backwards = ids.clone();
    if let Some(words) = backwards.get_mut(before..ids.len() - after) {
        words.reverse();
    }
    let backwards: Vec<i64> = backwards.into_iter().map(i64::from).collect();
    let backwards = model.watch(backwards).keep([Site::FinalNorm]).run()?;
    let first = sentence(trace)?;
    let (yours, bound) = (cosine(&first, &sentence(&other)?), cosine(&first, &sentence(&backwards)?));
    Ok(if yours < bound {
        Verdict::right(format!("{yours:.3}, and backwards {bound:.3}: no bag of words could tell these apart."))
    } else {
        Verdict::not_yet(format!(
            "Their cosine is {yours:.3}, and the text backwards has {bound:.3}. Who does what to whom? Let words change roles."
        ))
    })
}

/// Which of the sentences is nearest to the first one, by the cosine of the means of the vectors that leave the stack?
///
/// # Errors
/// When there are fewer than three sentences, or a run did not keep what is compared.
pub fn nearest_sentence(answer: usize, sentences: &[Trace]) -> Result<Verdict> {
    if sentences.len() < 3 {
        return Err(Error::Input(
            "give three sentences or more: the first one, and those to compare it with".to_owned(),
        ));
    }
    let nearest = |vector: fn(&Trace) -> Result<Vec<f32>>| -> Result<Option<usize>> {
        let vectors = sentences.iter().map(vector).collect::<Result<Vec<_>>>()?;
        Ok(largest(vectors[1..].iter().map(|other| cosine(&vectors[0], other))).map(|place| place + 1))
    };
    let first_token =
        |trace: &Trace| Ok(trace.get(Site::FinalNorm)?.row(0).map_or(Vec::new(), |row| row.data().to_vec()));
    let words = |trace: &Trace| mean(&trace.get(Site::Embedding)?);
    Ok(match answer {
        0 => Verdict::not_yet("That is the sentence itself."),
        _ if answer >= sentences.len() => no_such("sentence", answer, sentences.len()),
        _ if Some(answer) == nearest(sentence)? => {
            Verdict::right("Nearest by what it says, as far as this model can tell.")
        }
        _ if Some(answer) == nearest(words)? => {
            Verdict::not_yet("So it is by the token embeddings: it shares the words. Take what leaves the last layer.")
        }
        _ if Some(answer) == nearest(first_token)? => {
            Verdict::not_yet("So it is by the first position alone. Take the mean over all positions.")
        }
        _ => Verdict::not_yet(
            "Take the mean over positions of `Site::FinalNorm` for each sentence, then cosines with the first.",
        ),
    })
}

/// At which position of the source does the decoder look most, when it is about to write the token at `written` of its text?
/// By the mean over the heads of the last layer.
///
/// # Errors
/// When the model has no cross attention, or nothing is written at `written`.
pub fn reads_from(position: usize, written: usize, trace: &Trace) -> Result<Verdict> {
    let layers = trace.model().layers();
    let weights = trace.get(Site::CrossPattern(layers - 1))?;
    let (heads, queries, keys) = (weights.shape()[0], weights.shape()[1], weights.shape()[2]);
    if written == 0 || written > queries {
        return Err(Error::Input(format!(
            "nothing is written at position {written} of the decoder; those that are written are 1 to {}",
            queries - 1
        )));
    }
    let looks = |query: usize| {
        let sum = |key: usize| (0..heads).filter_map(|head| weights.get(&[head, query, key])).sum();
        largest((0..keys).map(sum))
    };
    let right = looks(written - 1);
    Ok(match position {
        _ if position >= keys => no_such("position of the source", position, keys),
        _ if Some(position) == right => {
            Verdict::right("The decoder writes a token from the position before it, so that is where it has to look.")
        }
        _ if written < queries && Some(position) == looks(written) => Verdict::not_yet(
            "There it looks once the token stands in its text, to find the next one. It is written one position earlier.",
        ),
        _ if position == written => {
            Verdict::not_yet("That is the token's place in the *decoder's* text. The columns are the source's.")
        }
        _ => Verdict::not_yet(
            "Take the last layer of `trace.get(Site::CrossPattern(..))?`, (heads, decoder, source): the row of the position \
             before the token, summed over heads.",
        ),
    })
}

/// A sentence as one vector.
fn sentence(trace: &Trace) -> Result<Vec<f32>> {
    mean(&trace.get(Site::FinalNorm)?)
}

fn mean(vectors: &crate::Array) -> Result<Vec<f32>> {
    let width = vectors.shape()[1];
    let rows = vectors.data().len() / width.max(1);
    Ok((0..width).map(|i| vectors.data().iter().skip(i).step_by(width).sum::<f32>() / rows as f32).collect())
}
