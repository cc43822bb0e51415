//! Two prompts below each other, token by token.

use std::fmt::{self, Write};

use super::{Case, Pairs, shown};
use crate::model::{Model, Tokens};
use crate::{Error, Result};

/// Pairs that a short text shows.
const PAIRS: usize = 4;
/// Positions of a row that a short text shows.
const COLUMNS: usize = 24;
/// Tokens that both prompts share are left out where they are further than this from others.
const AROUND: usize = 3;

/// Fails where two prompts are not each other's like position by position.
pub(super) fn check(model: &Model, clean: &Tokens, corrupted: &Tokens) -> Result<()> {
    let sides = [("", Some(clean), Some(corrupted)), (" source", clean.source.as_deref(), corrupted.source.as_deref())];
    for (side, clean, corrupted) in sides {
        let (Some(clean), Some(corrupted)) = (clean, corrupted) else { continue };
        if clean.len() != corrupted.len() {
            return Err(Error::Experiment(unequal(model, side, &clean.ids, &corrupted.ids)));
        }
        if let Some(place) = (0..clean.len()).find(|&place| clean.is_padding(place) != corrupted.is_padding(place)) {
            return Err(Error::Experiment(format!(
                "position {place} is padding in one of the two prompts{side} only; give both the same attention mask"
            )));
        }
    }
    Ok(())
}

/// What is wrong with two prompts of unequal length: where they part, and how each is cut into tokens.
fn unequal(model: &Model, side: &str, clean: &[i64], corrupted: &[i64]) -> String {
    let before = clean.iter().zip(corrupted).take_while(|(a, b)| a == b).count();
    let shorter = clean.len().min(corrupted.len());
    let ends = clean.iter().rev().zip(corrupted.iter().rev());
    let after = ends.take_while(|(a, b)| a == b).count().min(shorter - before);
    let pieces = |ids: &[i64]| shown(model, ids).join(" | ");
    let differing = |ids: &[i64]| match &ids[before..ids.len() - after] {
        [] => "nothing".to_owned(),
        ids => pieces(ids),
    };
    let row = |ids: &[i64]| {
        let (from, to) = (before.saturating_sub(COLUMNS / 2), ids.len().min(before + COLUMNS));
        let (start, end) = (if from > 0 { ".. " } else { "" }, if to < ids.len() { " .." } else { "" });
        format!("{start}{}{end}", pieces(&ids[from..to]))
    };
    format!(
        "the clean{side} text has {} tokens and the corrupted one {}, but they must be each other's like position by \
         position. They part at position {before}, where the clean one has {} and the corrupted one {}. Take words that \
         are cut into as many tokens:\n  clean:     {}\n  corrupted: {}",
        clean.len(),
        corrupted.len(),
        differing(clean),
        differing(corrupted),
        row(clean),
        row(corrupted)
    )
}

/// Rows of tokens in columns; what all rows share far from where they differ is left out of long ones.
fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let length = rows.iter().map(Vec::len).max().unwrap_or_default();
    let cell = |row: usize, place: usize| rows.get(row).and_then(|row| row.get(place)).map_or("", String::as_str);
    let differs = |place: usize| (1..rows.len()).any(|row| cell(row, place) != cell(0, place));
    let near = |place: usize| {
        let close = place.saturating_sub(AROUND)..(place + AROUND + 1).min(length);
        place == 0 || place + AROUND + 1 > length || close.into_iter().any(differs)
    };
    let wanted: Vec<usize> = (0..length).filter(|&place| length <= COLUMNS || near(place)).collect();
    let mut lines = vec![String::new(); rows.len()];
    let mut expected = 0;
    for (shown, &place) in wanted.iter().enumerate() {
        let end = shown == COLUMNS;
        let gap = if place > expected || end { ".. " } else { "" };
        let width = (0..rows.len()).map(|row| cell(row, place).chars().count()).max().unwrap_or_default();
        for (row, line) in lines.iter_mut().enumerate() {
            let bar = if shown > 0 { " | " } else { "" };
            let token = if end { "" } else { cell(row, place) };
            let _ =
                write!(line, "{bar}{gap}{token}{}", " ".repeat(if end { 0 } else { width - token.chars().count() }));
        }
        if end {
            break;
        }
        expected = place + 1;
    }
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

impl Pairs {
    fn write_case(&self, f: &mut fmt::Formatter<'_>, number: usize, case: &Case) -> fmt::Result {
        let tokens = self.shown_case(case);
        let both = |clean: Vec<String>, corrupted: Vec<String>| {
            columns(&if corrupted.is_empty() { vec![clean] } else { vec![clean, corrupted] })
        };
        write!(f, "\npair {number}")?;
        for (names, lines) in [
            (["  source clean:     ", "  source corrupted: "], both(tokens.source_clean, tokens.source_corrupted)),
            (["  clean:     ", "  corrupted: "], both(tokens.clean, tokens.corrupted)),
        ] {
            for (name, line) in names.iter().zip(lines).filter(|(_, line)| !line.is_empty()) {
                write!(f, "\n{name}{line}")?;
            }
        }
        if !tokens.right.is_empty() || !tokens.wrong.is_empty() {
            let list = |answers: Vec<String>| if answers.is_empty() { "none".to_owned() } else { answers.join(", ") };
            write!(f, "\n  right: {}, wrong: {}, ", list(tokens.right), list(tokens.wrong))?;
            write!(f, "read at position {}", tokens.position)?;
        }
        Ok(())
    }
}

impl fmt::Display for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths = self.cases().iter().map(|case| case.clean.len());
        let (least, most) = (lengths.clone().min().unwrap_or_default(), lengths.max().unwrap_or_default());
        let tokens = if least == most { format!("{most}") } else { format!("{least} to {most}") };
        let pairs = if self.len() == 1 { "pair" } else { "pairs" };
        write!(f, "{} {pairs} of {tokens} tokens for {}", self.len(), self.model().name())?;
        for (number, case) in self.cases().iter().take(PAIRS).enumerate() {
            self.write_case(f, number, case)?;
        }
        match self.len().saturating_sub(PAIRS) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
