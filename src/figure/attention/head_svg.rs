//! The static picture of a head view: the first layer's lines, the strongest of them, between tokens that fit a page.

use std::fmt::Write;

use super::{Opened, escape};
use crate::Result;
use crate::array::Numbers;
use crate::attention::Quantity;
use crate::figure::{Panel, theme};

/// Tokens that the picture shows of each side.
const MOST_TOKENS: usize = 40;
/// Lines that it shows.
const MOST_LINES: usize = 400;
/// Weights below this part of the largest have no line.
const LEAST: f32 = 0.02;
const ROW: f64 = 20.0;
const WIDTH: f64 = 700.0;
const LEFT: f64 = 180.0;
const RIGHT: f64 = 520.0;
/// Heads' squares in a row.
const ACROSS: usize = 24;
/// A line: strength from -1 to 1, place of the head, row of the query, row of the key.
type Line = (f32, usize, usize, usize);

pub(super) fn picture(opened: &Opened) -> Result<Panel> {
    let block = opened.block;
    let layer = block.layer(opened.layer)?;
    let on = |head: usize| opened.heads.as_ref().is_none_or(|heads| heads.contains(&head));
    let (queries, keys) = (block.queries.len(), block.keys.len());
    // Round the chosen token, where there are more than fit.
    let first =
        |count: usize| opened.token.unwrap_or(0).saturating_sub(MOST_TOKENS / 2).min(count.saturating_sub(MOST_TOKENS));
    let (above, beside) = (first(queries), first(keys));
    let (rows, columns) = (queries.min(MOST_TOKENS), keys.min(MOST_TOKENS));

    let numbers = Numbers::of(&layer.weights)?;
    let largest = numbers.data().iter().fold(f32::MIN_POSITIVE, |most, weight| most.max(weight.abs()));
    let largest = if block.kind == Quantity::Probability { 1.0 } else { largest };
    let mut lines: Vec<Line> = Vec::new();
    for (place, weights) in numbers.data().chunks(queries * keys).enumerate().filter(|&(at, _)| on(layer.heads[at])) {
        for row in (0..rows).filter(|row| opened.token.is_none_or(|token| token == above + row)) {
            let weights = &weights[(above + row) * keys + beside..][..columns];
            lines.extend(weights.iter().enumerate().map(|(key, weight)| (weight / largest, place, row, key)));
        }
    }
    lines.retain(|line| line.0.abs() >= LEAST);
    lines.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
    lines.truncate(MOST_LINES);

    let mut body = theme::head_styles(&layer.heads);
    let _ =
        write!(body, "<text x=\"14\" y=\"16\" font-size=\"12\" fill=\"var(--fl-muted)\">layer {}</text>", layer.number);
    let top = squares(&mut body, &layer.heads, on);
    paths(&mut body, &lines, &layer.heads, top);
    body.push_str("<g font-size=\"12.5\" fill=\"var(--fl-ink)\">");
    let mut tokens = |x: f64, anchor: &str, tokens: &[crate::attention::Token], from: usize| {
        for (row, token) in tokens.iter().skip(from).take(MOST_TOKENS).enumerate() {
            // As in the page: a blank before a word is not shown.
            let word = token.shown.strip_prefix('␣').filter(|word| !word.is_empty()).unwrap_or(&token.shown);
            let text = escape::html(&escape::label(word, 22));
            let bold = if anchor == "end" && opened.token == Some(from + row) { " font-weight=\"600\"" } else { "" };
            let y = middle(top, row) + 4.0;
            let _ = write!(body, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\"{bold}>{text}</text>");
        }
    };
    tokens(LEFT - 8.0, "end", &block.queries, above);
    tokens(RIGHT + 8.0, "start", &block.keys, beside);
    body.push_str("</g>");

    let mut height = middle(top, rows.max(columns));
    if rows < queries || columns < keys {
        let part = |side: &str, from: usize, shown: usize, all: usize| match shown < all {
            true => format!("{side} {from} to {} of {all}", from + shown - 1),
            false => format!("all {all} {side}"),
        };
        let text = format!("{}, {}", part("queries", above, rows, queries), part("keys", beside, columns, keys));
        let y = height + 8.0;
        let _ = write!(body, "<text x=\"14\" y=\"{y}\" font-size=\"12\" fill=\"var(--fl-muted)\">{text}</text>");
        height += 20.0;
    }
    Ok(Panel::drawn("Head view", WIDTH, height, &body))
}

/// The middle of a row.
fn middle(top: f64, row: usize) -> f64 {
    top + row as f64 * ROW
}

/// A square a head with its number, full where the head is on; gives where the rows of tokens begin.
fn squares(body: &mut String, heads: &[usize], on: impl Fn(usize) -> bool) -> f64 {
    body.push_str("<g font-size=\"11\" font-weight=\"600\" text-anchor=\"middle\">");
    for (place, &head) in heads.iter().enumerate() {
        let (x, y) = (70.0 + (place % ACROSS) as f64 * 25.0, 4.0 + (place / ACROSS) as f64 * 22.0);
        let color = theme::head(head);
        let (fill, ink) = if on(head) { (color.as_str(), "var(--fl-paper)") } else { ("none", "var(--fl-muted)") };
        let _ = write!(
            body,
            "<rect x=\"{x}\" y=\"{y}\" width=\"22\" height=\"18\" rx=\"4\" fill=\"{fill}\" stroke=\"{color}\"/>\
             <text x=\"{}\" y=\"{}\" fill=\"{ink}\">{head}</text>",
            x + 11.0,
            y + 13.0
        );
    }
    body.push_str("</g>");
    50.0 + (heads.len().saturating_sub(1) / ACROSS) as f64 * 22.0
}

/// Lines by head, the weak ones first; dashed where the weight is negative.
fn paths(body: &mut String, lines: &[Line], heads: &[usize], top: f64) {
    // Many lines are a texture, a few are a statement.
    let calm = (150.0 / lines.len().max(1) as f64).sqrt().clamp(0.35, 1.0);
    for (place, &head) in heads.iter().enumerate() {
        if !lines.iter().any(|line| line.1 == place) {
            continue;
        }
        let _ = write!(body, "<g fill=\"none\" stroke=\"{}\">", theme::head(head));
        for (strength, _, query, key) in lines.iter().rev().filter(|line| line.1 == place) {
            let part = f64::from(strength.abs());
            let dashes = if *strength < 0.0 { " stroke-dasharray=\"6 4\"" } else { "" };
            let (from, to) = (middle(top, *query), middle(top, *key));
            let _ = write!(
                body,
                "<path d=\"M{LEFT} {from}C{} {from} {} {to} {RIGHT} {to}\" stroke-opacity=\"{:.2}\" \
                 stroke-width=\"{:.1}\"{dashes}/>",
                LEFT + 140.0,
                RIGHT - 140.0,
                calm * part.powf(0.7),
                0.8 + 1.6 * part
            );
        }
        body.push_str("</g>");
    }
}
