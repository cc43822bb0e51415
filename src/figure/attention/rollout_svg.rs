//! The static picture of a rollout view: shares of the input in the opened position, layer by layer.

use std::fmt::Write;

use super::escape;
use crate::attention::Block;
use crate::figure::{Panel, theme};

/// Tokens that the picture shows: those of the largest shares.
const MOST_TOKENS: usize = 40;
const ROW: f64 = 18.0;
const TOP: f64 = 52.0;
const LEFT: f64 = 170.0;
const WIDTH: f64 = 360.0;

/// `shares` (layers,T) are of the position `token` behind each layer.
pub(super) fn picture(block: &Block, token: usize, shares: &[Vec<f32>]) -> Panel {
    let last = shares.last().map(Vec::as_slice).unwrap_or_default();
    let mut shown: Vec<usize> = (0..last.len()).collect();
    shown.sort_by(|&a, &b| last[b].total_cmp(&last[a]));
    shown.truncate(MOST_TOKENS);
    shown.sort_unstable();
    let wide = (WIDTH / shares.len().max(1) as f64).clamp(3.0, 30.0);
    let right = LEFT + wide * shares.len() as f64;

    let mut body = String::from("<g font-size=\"12\" fill=\"var(--fl-ink)\">");
    let name = block.queries.get(token).map(|token| escape::html(&escape::label(&token.shown, 22))).unwrap_or_default();
    let _ = write!(
        body,
        "<text x=\"14\" y=\"16\" fill=\"var(--fl-muted)\">what is in “{name}”, position {token}, behind each layer</text>"
    );
    for (row, &place) in shown.iter().enumerate() {
        let y = TOP + row as f64 * ROW + 13.0;
        let text = escape::html(&escape::label(&block.keys[place].shown, 22));
        let _ = write!(body, "<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{text}</text>", LEFT - 8.0);
        let _ = write!(body, "<text x=\"{:.1}\" y=\"{y}\">{:.1} %</text>", right + 8.0, 100.0 * last[place]);
    }
    body.push_str("</g><g font-size=\"10\" fill=\"var(--fl-muted)\" text-anchor=\"middle\">");
    // Every so many numbers, so that none stands on another.
    let every = (16.0 / wide).ceil() as usize;
    for (column, layer) in block.layers.iter().enumerate().take(shares.len()).step_by(every) {
        let x = LEFT + (column as f64 + 0.5) * wide;
        let _ = write!(body, "<text x=\"{x:.1}\" y=\"{}\">{}</text>", TOP - 6.0, layer.number);
    }
    body.push_str("</g><g shape-rendering=\"crispEdges\">");
    for (column, shares) in shares.iter().enumerate() {
        for (row, &place) in shown.iter().enumerate() {
            let color = theme::cividis(f64::from(shares[place]).sqrt()).0;
            let (x, y) = (LEFT + column as f64 * wide, TOP + row as f64 * ROW);
            let high = ROW - 1.0;
            let _ = write!(body, "<path fill=\"{color}\" d=\"M{x:.1} {y}h{wide:.1}v{high}h-{wide:.1}z\"/>");
        }
    }
    body.push_str("</g>");
    let mut height = TOP + shown.len() as f64 * ROW + 6.0;
    if shown.len() < last.len() {
        height += 18.0;
        let _ = write!(
            body,
            "<text x=\"14\" y=\"{}\" font-size=\"12\" fill=\"var(--fl-muted)\">the {} largest of {} tokens</text>",
            height - 8.0,
            shown.len(),
            last.len()
        );
    }
    Panel::drawn("Attention rollout", (right + 70.0).max(420.0), height, &body)
}
