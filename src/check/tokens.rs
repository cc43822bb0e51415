//! Lesson 1: tokens and embeddings.

use super::Verdict;
use super::numbers::{close, dot, length, unless_a_number, unless_there};
use crate::text::{Tokenizer, visible};
use crate::{Error, Model, Result, Site, Trace};

/// A word of at least so many letters that is one token.
pub fn one_token(word: &str, letters: usize, model: &Model) -> Result<Verdict> {
    let tokenizer = tokenizer(model)?;
    let (bare, led) = word.strip_prefix(' ').map_or((word, false), |bare| (bare, true));
    let count = bare.chars().count();
    if count == 0 {
        return Ok(Verdict::not_yet("Type a word between the quotation marks."));
    }
    if !bare.chars().all(char::is_alphabetic) {
        return Ok(Verdict::not_yet("Letters only: no digits, no signs, and at most one blank, in front."));
    }
    if count < letters {
        return Ok(Verdict::not_yet(format!("It has {count} letters; at least {letters} are wanted.")));
    }
    let ids = tokenizer.encode(word, false)?;
    if let [id] = ids[..] {
        let says = format!("{count} letters, and for the model one number, {id}. It does not see the letters.");
        return Ok(Verdict::right(says));
    }
    let other = if led { bare.to_owned() } else { format!(" {bare}") };
    if tokenizer.encode(&other, false)?.len() == 1 {
        return Ok(Verdict::not_yet("So near: the blank in front of a word, or its absence, is a part of the token."));
    }
    let cut = pieces(tokenizer, &ids);
    Ok(Verdict::not_yet(format!("It is cut into {}: {cut}. Would a more common word stay whole?", ids.len())))
}

/// The cosine of the angle between the rows of two tokens in the token table.
pub fn cosine_of_tokens(answer: impl Into<f64>, a: &str, b: &str, model: &Model) -> Result<Verdict> {
    let (answer, tokenizer) = (answer.into(), tokenizer(model)?);
    let mut ids = Vec::new();
    for text in [a, b] {
        match tokenizer.encode(text, false)?[..] {
            [id] => ids.push(id),
            ref all => {
                let cut = pieces(tokenizer, all);
                let says = format!("{:?} is {} tokens: {cut}. Rows belong to tokens.", visible(text), all.len());
                return Ok(Verdict::not_yet(says));
            }
        }
    }
    if let Some(verdict) = unless_a_number(answer) {
        return Ok(verdict);
    }
    let rows = model.token_rows(&ids)?;
    let width = rows.shape()[1];
    let (first, second) = rows.data().split_at(width);
    let (product, one, two) = (dot(first, second), length(first), length(second));
    let cosine = product / (one * two);
    let apart = (one * one + two * two - 2.0 * product).max(0.0).sqrt();
    let says = match answer {
        // Three digits behind the point are enough, of small cosines as well.
        _ if answer != 0.0 && (answer - cosine).abs() <= 6e-4 + 0.005 * cosine.abs() => {
            return Ok(Verdict::right("Lengths are out of it: the cosine compares directions."));
        }
        _ if answer == 0.0 => "Multiply the two rows number by number, add up, and divide by both lengths.",
        _ if close(answer, product) => "That is the inner product. Long rows make it large; divide by both lengths.",
        _ if close(answer, product / one) || close(answer, product / two) => {
            "Divided by one length. There are two vectors."
        }
        _ if close(answer, product / (one * two).powi(2)) => {
            "Divided by the squares of the lengths: a length is the root of a sum of squares."
        }
        _ if close(answer, apart) => "That is how far apart their ends are. The cosine is about the angle.",
        _ if answer.abs() > 1.0 => "A cosine lies between -1 and 1. What was it divided by?",
        _ if others_have(answer, [a, b], model, tokenizer)? => {
            "That is the cosine of two other tokens. With a blank or without: which rows did you take?"
        }
        _ => "Multiply the two rows number by number, add up, and divide by both lengths.",
    };
    Ok(Verdict::not_yet(says))
}

/// Whether the number is the cosine of the same words with other blanks in front.
fn others_have(answer: f64, words: [&str; 2], model: &Model, tokenizer: &Tokenizer) -> Result<bool> {
    let mut found = [Vec::new(), Vec::new()];
    for (word, ids) in words.iter().zip(&mut found) {
        let other = word.strip_prefix(' ').map_or_else(|| format!(" {word}"), str::to_owned);
        for text in [*word, &other] {
            // The first piece: what somebody has who did not look how many there are.
            ids.extend(tokenizer.encode(text, false)?.first().copied());
        }
    }
    for &a in &found[0] {
        for &b in &found[1] {
            let rows = model.token_rows(&[a, b])?;
            let (a, b) = rows.data().split_at(rows.shape()[1]);
            if close(answer, dot(a, b) / (length(a) * length(b))) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Two positions at which the first layer gets the same vector.
pub fn positions_that_start_alike(answer: (usize, usize), trace: &Trace) -> Result<Verdict> {
    let start = trace.get(Site::ResidPre(0))?;
    let (count, width) = (start.shape()[0], start.shape()[1]);
    let row = |position: usize| &start.data()[position * width..(position + 1) * width];
    let alike = |a: usize, b: usize| {
        let apart: f64 = row(a).iter().zip(row(b)).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        a != b && apart.sqrt() <= 1e-5 * length(row(a))
    };
    if !(0..count).any(|a| (0..a).any(|b| alike(a, b))) {
        let says = "No two positions of this run start alike. Is a token in it twice? And does this model add nothing \
                    for the position?";
        return Ok(Verdict::not_yet(says));
    }
    let (a, b) = answer;
    for position in [a, b] {
        if let Some(verdict) = unless_there("position", position, count) {
            return Ok(verdict);
        }
    }
    let ids = trace.ids();
    let plain = |position: usize| trace.pieces()[position].trim().to_lowercase();
    Ok(match (a, b) {
        _ if a == b => Verdict::not_yet("Two different positions, please."),
        _ if alike(a, b) => Verdict::right(format!("Both are row {} of the table, to the last digit.", ids[a])),
        _ if a > 0 && b > 0 && alike(a - 1, b - 1) => Verdict::not_yet("Positions are counted from 0."),
        _ if plain(a) == plain(b) => Verdict::not_yet(format!(
            "A person reads the same word there. The tokens are {} and {}: two rows of the table.",
            ids[a], ids[b]
        )),
        _ => Verdict::not_yet(format!("Their tokens are {} and {}: two rows of the table.", ids[a], ids[b])),
    })
}

fn tokenizer(model: &Model) -> Result<&Tokenizer> {
    let none =
        || Error::Input(format!("the checkpoint of {} has no tokenizer; take a model that has one", model.name()));
    model.tokenizer().ok_or_else(none)
}

/// Some pieces as a person sees them.
fn pieces(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    const MOST: usize = 8;
    let shown: Vec<String> = ids.iter().take(MOST).map(|&id| tokenizer.shown(id)).collect();
    format!("{}{}", shown.join(" | "), if ids.len() > MOST { " | .." } else { "" })
}
