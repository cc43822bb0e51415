//! The logit lens as a heat map: depth upwards, positions to the right, in each cell the word that is read there.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::legend::Keys;
use super::{Figure, Panel, escape, theme};
use crate::Result;
use crate::lens::{LensCell, LogitLens, TokenScore};

/// Cells that one picture shows at most; of a longer text it shows the end.
const MOST_CELLS: usize = 6_000;
const ROW: f64 = 21.0;
const COLUMN: f64 = 70.0;
const WORD_LETTERS: usize = 10;
const LEFT: f64 = 64.0;
const TOP: f64 = 22.0;
const FOOT: f64 = 40.0;

impl LogitLens {
    /// Draws the readings as a heat map.
    pub fn figure(&self) -> Figure {
        let first = first_shown(self);
        let (svg, width, height) = picture(self, first);
        Figure {
            view: "logit-lens",
            title: format!("Logit lens of {}", escape::model_name(&self.model)),
            caption: caption(self, first),
            panels: vec![Panel { name: "logit lens".to_owned(), svg, width, height }],
            legend: vec![Keys {
                title: "Probability of the word".to_owned(),
                entries: [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| (theme::cividis(part).0, format!("{part}"))).to_vec(),
                bands: false,
            }],
            data: json!({}),
            packed: [].into(),
            plotly: None,
            json: numbers(self),
        }
    }

    /// Saves by the ending of the name: `.html` (a page, one file, works offline), `.svg`, `.pdf` or `.png` (a static
    /// picture) or `.json` (every cell's numbers).
    ///
    /// # Errors
    /// As [`Figure::save`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.figure().save(path)
    }
}

/// The first position that the picture has room for.
fn first_shown(lens: &LogitLens) -> usize {
    let room = MOST_CELLS / lens.rows.len().max(1);
    lens.tokens.len().saturating_sub(room.max(1))
}

fn caption(lens: &LogitLens, first: usize) -> String {
    let mut text = String::from(
        "Each cell reads the residual stream after a layer (from bottom to top) at a position (from left to right) as if \
         the model ended there: the word that it would say next, coloured by that word's probability. ",
    );
    match &lens.target {
        Some(target) => {
            let _ = write!(text, "Outlined: “{}” is first.", escape::short(&target.text, 40));
        }
        None => text.push_str("Outlined: the model's own answer is already first."),
    }
    if first > 0 {
        let _ = write!(text, " The first {first} positions are not shown; the .json has them.");
    }
    text
}

fn picture(lens: &LogitLens, first: usize) -> (String, f64, f64) {
    let columns = lens.tokens.len().saturating_sub(first);
    let width = LEFT + columns as f64 * COLUMN + 14.0;
    let height = TOP + lens.rows.len() as f64 * ROW + FOOT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"group\" aria-label=\"Logit lens\"><g font-size=\"11\" fill=\"var(--fl-muted)\">\
         <text x=\"4\" y=\"14\">after layer</text>"
    );
    let names = lens.row_names();
    for (at, name) in names.iter().rev().enumerate() {
        let y = TOP + at as f64 * ROW + 15.0;
        let _ = write!(svg, "<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{}</text>", LEFT - 8.0, escape::html(name));
    }
    let below = TOP + lens.rows.len() as f64 * ROW;
    for (at, token) in lens.tokens.iter().enumerate().skip(first) {
        let x = LEFT + (at - first) as f64 * COLUMN + COLUMN / 2.0;
        let word = escape::html(&escape::label(token, WORD_LETTERS));
        let _ = write!(
            svg,
            "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\" fill=\"var(--fl-ink)\">{word}</text>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\" font-size=\"9\">{at}</text>",
            below + 16.0,
            below + 29.0
        );
    }
    svg.push_str("</g><g font-size=\"11\" text-anchor=\"middle\">");
    let mut outlines = String::from("<g fill=\"none\" stroke=\"#e69f00\" stroke-width=\"2\" pointer-events=\"none\">");
    for (row, (cells, name)) in lens.rows.iter().zip(&names).rev().enumerate() {
        for (at, cell) in cells.cells.iter().enumerate().skip(first) {
            let (x, y) = (LEFT + (at - first) as f64 * COLUMN, TOP + row as f64 * ROW);
            let (color, light) = theme::cividis(f64::from(cell.top.prob));
            let ink = if light { "#111" } else { "#fff" };
            let token = lens.tokens.get(at).map(String::as_str).unwrap_or_default();
            let _ = write!(
                svg,
                "<g data-cell=\"{row} {at}\"><rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" fill=\"{color}\"/>\
                 <text x=\"{}\" y=\"{}\" fill=\"{ink}\">{}</text><title>{}</title></g>",
                COLUMN - 1.0,
                ROW - 1.0,
                x + COLUMN / 2.0 - 0.5,
                y + 14.0,
                escape::html(&escape::label(&cell.top.text, WORD_LETTERS)),
                escape::html(&hover(cell, name, token, at))
            );
            if cell.target.rank == 1 {
                let (wide, high) = (COLUMN - 3.0, ROW - 3.0);
                let _ = write!(outlines, "<path d=\"M{} {}h{wide}v{high}h-{wide}z\"/>", x + 1.0, y + 1.0);
            }
        }
    }
    svg.push_str("</g>");
    svg.push_str(&outlines);
    svg.push_str("</g></svg>");
    (svg, width, height)
}

fn hover(cell: &LensCell, row: &str, token: &str, at: usize) -> String {
    let place = if row == "in" { "Before the first layer".to_owned() } else { format!("After layer {row}") };
    let mut text = format!("{place}, position {at} ({})", quoted(token));
    for score in std::iter::once(&cell.top).chain(&cell.others) {
        let _ = write!(text, "\n{:.2} %  {}", 100.0 * score.prob, quoted(&score.text));
    }
    let _ = write!(
        text,
        "\n{}: rank {}, {:.2} %\nentropy {:.2} bits",
        quoted(&cell.target.text),
        cell.target.rank,
        100.0 * cell.target.prob,
        cell.entropy
    );
    text
}

fn quoted(token: &str) -> String {
    format!("“{}”", escape::short(token, 60))
}

fn numbers(lens: &LogitLens) -> Value {
    let score = |it: &TokenScore| json!({ "id": it.id, "text": it.text, "logit": it.logit, "prob": it.prob });
    let cell = |cell: &LensCell| {
        let target = &cell.target;
        json!({
            "top": std::iter::once(&cell.top).chain(&cell.others).map(score).collect::<Vec<_>>(),
            "entropy": cell.entropy,
            "target": { "id": target.id, "text": target.text, "logit": target.logit, "prob": target.prob, "rank": target.rank },
        })
    };
    let rows: Vec<Value> = lens
        .rows
        .iter()
        .map(|row| json!({ "site": row.site.to_string(), "cells": row.cells.iter().map(cell).collect::<Vec<_>>() }))
        .collect();
    json!({ "model": lens.model, "tokens": lens.tokens, "target": lens.target.as_ref().map(score), "rows": rows })
}
