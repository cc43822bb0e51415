//! Lesson 9: encoders and encoder-decoders.

use super::Verdict;
use super::numbers::{cosine, largest, no_such};
use crate::{Error, Result, Site, Trace};

/// A text of the same tokens as `sentence` in another order that the encoder holds to be nearer to it than `paraphrase`, which
/// says the same in other words: by the cosine of the means of the vectors that leave the stack.
///
/// # Errors
/// When the model does not read both ways, or a run did not keep what leaves the stack.
pub fn same_words_yet_nearer(text: &str, sentence: &Trace, paraphrase: &Trace) -> Result<Verdict> {
    let model = sentence.model();
    if !model.architecture().reads_both_ways() {
        return Err(Error::Input(format!(
            "{} does not read both ways; take an encoder such as minilm-l6",
            model.name()
        )));
    }
    let yours = model.watch(text).keep([Site::FinalNorm]).run()?;
    let (ids, others) = (sentence.ids(), yours.ids());
    if ids == others {
        return Ok(Verdict::not_yet("To the tokenizer this is the same text. Change the order of the words."));
    }
    let sorted = |ids: &[u32]| {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids
    };
    if sorted(&ids) != sorted(&others) {
        return Ok(Verdict::not_yet(match others.iter().find(|id| !ids.contains(id)) {
            Some(&odd) => format!("Not the same words: {:?} is not in the first sentence.", model.piece(odd)),
            None => "Not the same words, or not as many of each.".to_owned(),
        }));
    }
    let first = as_one(sentence)?;
    let (near, bound) = (cosine(&first, &as_one(&yours)?), cosine(&first, &as_one(paraphrase)?));
    Ok(if near > bound {
        Verdict::right(format!(
            "{near:.3}, and the paraphrase {bound:.3}: shared words weigh more than shared meaning."
        ))
    } else {
        Verdict::not_yet(format!(
            "Its cosine is {near:.3}, and that of the paraphrase {bound:.3}. Disturb the order less."
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
        _ if Some(answer) == nearest(as_one)? => {
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
        let sum = |key: usize| (0..heads).filter_map(|head| weights.get(&[head, query, key])).sum::<f32>();
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
fn as_one(trace: &Trace) -> Result<Vec<f32>> {
    mean(&trace.get(Site::FinalNorm)?)
}

fn mean(vectors: &crate::Array) -> Result<Vec<f32>> {
    let width = vectors.shape()[1];
    let rows = vectors.data().len() / width.max(1);
    Ok((0..width).map(|i| vectors.data().iter().skip(i).step_by(width).sum::<f32>() / rows as f32).collect())
}
