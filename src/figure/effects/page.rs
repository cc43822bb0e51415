//! From numbers with axes to a figure: which axes are drawn, what a page carries, and how finely.

use std::collections::HashMap;

use serde_json::Value;

use super::payload::{self, Axis};
use super::svg;
use crate::experiment::{Candidate, CellAnswers};
use crate::figure::chart::{Colors, Kind, token};
use crate::figure::chunks::{Chunks, deflated};
use crate::figure::trajectory::pack;
use crate::figure::{Figure, escape};
use crate::text::visible;

/// Lists of answers that a page carries.
const MOST_ANSWERS: usize = 8_000;
/// Letters of a token that a page carries.
const TOKEN_LETTERS: usize = 200;

/// Numbers with axes, and the words around them.
pub(super) struct Chart<'a> {
    pub view: &'static str,
    pub title: String,
    pub caption: String,
    pub model: &'a str,
    pub axes: Vec<Axis>,
    /// The first is what the figure opens on.
    pub shows: Vec<Shown>,
    /// Bounds of the effects.
    pub interval: Option<[Vec<f32>; 2]>,
    pub pairs: Vec<payload::Pair>,
    /// Pair after pair.
    pub pair_values: Vec<f32>,
    pub answers: &'a [CellAnswers],
    pub silent: &'static str,
    pub json: Value,
}

/// One way to look at the numbers.
pub(super) struct Shown {
    pub name: &'static str,
    pub title: String,
    pub values: Vec<f32>,
    pub colors: Colors,
    pub of_pairs: Colors,
}

impl Shown {
    pub(super) fn new(name: &'static str, title: String, values: Vec<f32>, colors: Colors) -> Shown {
        Shown { name, title, values, of_pairs: colors, colors }
    }
}

/// A scale from -1 to 1 for shares of a way; it says whether some lie beyond.
pub(super) fn shares(values: &[f32]) -> Colors {
    let beyond = [values.iter().any(|&value| value < -1.0), values.iter().any(|&value| value > 1.0)];
    Colors { beyond, ..Colors::fixed(Kind::Signed, -1.0, 1.0) }
}

impl Chart<'_> {
    /// The axes that go down and across: layers go down, positions across.
    pub(super) fn sides(&self) -> (Option<usize>, usize) {
        let last = self.axes.len().saturating_sub(1);
        if last == 0 {
            return (None, 0);
        }
        let named = |name: &str| self.axes.iter().position(|axis| axis.name == name);
        let rows = named("layer").unwrap_or(0);
        let positions = self.axes.iter().rposition(|axis| axis.name.ends_with("position"));
        let other = || (0..=last).rev().find(|&axis| axis != rows).unwrap_or(last);
        (Some(rows), positions.filter(|&axis| axis != rows).unwrap_or_else(other))
    }

    /// The place on each axis of the largest effect.
    pub(super) fn strongest(&self) -> Vec<usize> {
        self.largest(1).into_iter().next().unwrap_or_else(|| vec![0; self.axes.len()])
    }

    /// The places of the largest effects, largest first.
    pub(super) fn largest(&self, count: usize) -> Vec<Vec<usize>> {
        let Some(shown) = self.effect() else { return Vec::new() };
        let size = |cell: usize| shown.values.get(cell).map_or(0.0, |value| value.abs());
        let mut cells: Vec<usize> = (0..shown.values.len()).filter(|&cell| !size(cell).is_nan()).collect();
        cells.sort_by(|&a, &b| size(b).total_cmp(&size(a)));
        cells.truncate(count);
        cells.into_iter().map(|cell| self.index(cell)).collect()
    }

    /// What cells are ordered by.
    fn effect(&self) -> Option<&Shown> {
        self.shows.iter().find(|shown| shown.name == "effect").or(self.shows.first())
    }

    fn index(&self, cell: usize) -> Vec<usize> {
        let mut rest = cell;
        let mut index: Vec<usize> = Vec::new();
        for axis in self.axes.iter().rev() {
            let length = axis.labels.len().max(1);
            index.push(rest % length);
            rest /= length;
        }
        index.reverse();
        index
    }

    /// The number of a cell.
    pub(super) fn cell(&self, index: &[usize]) -> usize {
        self.axes.iter().zip(index).fold(0, |cell, (axis, &place)| cell * axis.labels.len() + place)
    }

    pub(super) fn figure(self) -> Figure {
        let panel = svg::picture(&self);
        let mut chunks = Chunks::default();
        let (rows, columns) = self.sides();
        let lengths: Vec<usize> = self.axes.iter().map(|axis| axis.labels.len()).collect();
        let shows = self.shows.iter().map(|shown| payload::Show {
            name: shown.name,
            title: shown.title.clone(),
            scale: (&shown.colors).into(),
            pairs: (&shown.of_pairs).into(),
            values: pack::numbers(&shown.values, &lengths, &mut chunks),
        });
        let shows = shows.collect();
        let interval =
            self.interval.as_ref().map(|ends| ends.each_ref().map(|end| pack::numbers(end, &lengths, &mut chunks)));
        let count = self.pairs.len();
        let values = (count > 0).then(|| {
            let shape: Vec<usize> = std::iter::once(count).chain(lengths.iter().copied()).collect();
            pack::numbers(&self.pair_values, &shape, &mut chunks)
        });
        let page = payload::Effects {
            model: escape::model_name(self.model),
            rows,
            columns,
            first: self.strongest(),
            shows,
            interval,
            values,
            answers: self.answers(&mut chunks),
            silent: self.silent.to_owned(),
            axes: self.axes,
            pairs: self.pairs,
        };
        Figure {
            view: self.view,
            title: self.title,
            caption: self.caption,
            panels: vec![panel],
            legend: Vec::new(),
            data: serde_json::to_value(page).unwrap_or_default(),
            packed: chunks.0.into(),
            plotly: None,
            json: self.json,
        }
    }

    /// The answers of as many pairs as a page has room for.
    fn answers(&self, chunks: &mut Chunks) -> Vec<payload::Answers> {
        let mut room = MOST_ANSWERS;
        let mut kept = Vec::new();
        for of_pair in self.answers.iter().filter(|of_pair| of_pair.pair < self.pairs.len().max(1)) {
            match room.checked_sub(of_pair.cells.len()) {
                Some(rest) => room = rest,
                None => break,
            }
            kept.push(packed(of_pair, chunks));
        }
        kept
    }
}

fn packed(answers: &CellAnswers, chunks: &mut Chunks) -> payload::Answers {
    let list = |list: &[Candidate]| list.iter().map(|it| (shown(&it.token), it.prob)).collect();
    let mut tokens: Vec<String> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut cells: Vec<Vec<usize>> = Vec::new();
    for cell in &answers.cells {
        let mut row = Vec::new();
        for Candidate { token, prob } in cell {
            let place = *places.entry(token).or_insert_with(|| {
                tokens.push(shown(token));
                tokens.len() - 1
            });
            row.extend([place, (prob.clamp(0.0, 1.0) * 1e4).round() as usize]);
        }
        cells.push(row);
    }
    payload::Answers {
        pair: answers.pair,
        clean: list(&answers.clean),
        corrupted: list(&answers.corrupted),
        tokens,
        cells: chunks.add(deflated(Value::from(cells).to_string().as_bytes())),
    }
}

/// A token of bounded length. It comes visible from a run; a file may hold anything.
pub(super) fn shown(token: &str) -> String {
    escape::clipped(&visible(token), TOKEN_LETTERS)
}

/// What a place on an axis is called beside it: its number and token, and the corrupted prompt's where that is another.
pub(super) fn label(axis: &Axis, place: usize) -> String {
    let of =
        |tokens: &Option<Vec<Option<String>>>| tokens.as_ref().and_then(|tokens| tokens.get(place).cloned().flatten());
    let mut text = axis.labels.get(place).map_or_else(String::new, |label| shown(label));
    if let Some(own) = of(&axis.tokens) {
        text = format!("{text} {}", token(&own));
    }
    if let Some(other) = of(&axis.corrupted) {
        text = format!("{text} / {}", token(&other));
    }
    text
}
