//! The static picture of a head view: the first layer's lines, strongest heads included.

use std::fmt::Write;

use super::{Opened, escape, panel};
use crate::Result;
use crate::array::Numbers;
use crate::figure::Panel;

/// Tokens that the picture shows of each side.
const MOST_TOKENS: usize = 40;
/// Lines that it shows.
const MOST_LINES: usize = 400;
const ROW: f64 = 20.0;
const TOP: f64 = 34.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 430.0;
const COLORS: [&str; 8] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8a7a00", "#7a5195"];

pub(super) fn picture(opened: &Opened) -> Result<Panel> {
    let block = opened.block;
    let layer = block.layer(opened.layer)?;
    let (t, s) = (block.queries.len(), block.keys.len());
    let (rows, columns) = (t.min(MOST_TOKENS), s.min(MOST_TOKENS));
    let numbers = Numbers::of(&layer.weights)?;
    let scale = numbers.data().iter().fold(0f32, |most, weight| most.max(weight.abs())).max(f32::MIN_POSITIVE);
    let mut lines: Vec<(f32, usize, usize, usize)> = Vec::new();
    for (place, (head, weights)) in layer.heads.iter().zip(numbers.data().chunks(t * s)).enumerate() {
        if opened.heads.as_ref().is_some_and(|on| !on.contains(head)) {
            continue;
        }
        for query in (0..rows).filter(|&query| opened.token.is_none_or(|token| token == query)) {
            let row = &weights[query * s..query * s + columns];
            lines.extend(row.iter().enumerate().map(|(key, weight)| (weight.abs() / scale, place, query, key)));
        }
    }
    lines.sort_by(|a, b| b.0.total_cmp(&a.0));
    lines.truncate(MOST_LINES);
    let mut body = String::from("<g font-size=\"12\" fill=\"var(--fl-ink)\">");
    let _ = write!(body, "<text x=\"14\" y=\"16\" fill=\"var(--fl-muted)\">layer {}</text>", opened.layer);
    let middle = |place: usize| TOP + place as f64 * ROW;
    for (place, token) in block.queries.iter().take(rows).enumerate() {
        let text = escape::html(&escape::label(&token.shown, 22));
        let _ =
            write!(body, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{text}</text>", LEFT - 8.0, middle(place) + 4.0);
    }
    for (place, token) in block.keys.iter().take(columns).enumerate() {
        let text = escape::html(&escape::label(&token.shown, 22));
        let _ = write!(body, "<text x=\"{}\" y=\"{}\">{text}</text>", RIGHT + 8.0, middle(place) + 4.0);
    }
    body.push_str("</g><g stroke-width=\"1.6\">");
    for (weight, place, query, key) in lines.iter().rev().filter(|line| line.0 > 0.01) {
        let color = COLORS[layer.heads[*place] % COLORS.len()];
        let _ = write!(
            body,
            "<path d=\"M{LEFT} {}L{RIGHT} {}\" stroke=\"{color}\" stroke-opacity=\"{:.2}\"/>",
            middle(*query),
            middle(*key),
            weight
        );
    }
    body.push_str("</g>");
    let mut height = middle(rows.max(columns));
    if rows < t || columns < s {
        height += 18.0;
        let _ = write!(
            body,
            "<text x=\"14\" y=\"{}\" font-size=\"12\" fill=\"var(--fl-muted)\">the first {rows} of {t} tokens</text>",
            height - 8.0
        );
    }
    Ok(panel("Head view", 600.0, height, &body))
}
