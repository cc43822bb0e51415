//! The static picture of a model view: a coarse heat map for every head.

use std::fmt::Write;

use super::{Opened, panel};
use crate::Result;
use crate::array::Numbers;
use crate::figure::{Panel, theme};

/// Squares that all heat maps together may have.
const MOST_SQUARES: usize = 9_000;
const LEFT: f64 = 34.0;
const TOP: f64 = 30.0;
const GAP: f64 = 4.0;

pub(super) fn picture(opened: &Opened) -> Result<Panel> {
    let block = opened.block;
    let (t, s) = (block.queries.len(), block.keys.len());
    let across = block.layers.iter().map(|layer| layer.heads.len()).max().unwrap_or(1);
    let heads: usize = block.layers.iter().map(|layer| layer.heads.len()).sum();
    let size = ((940.0 - LEFT) / across as f64 - GAP).clamp(14.0, 56.0).floor();
    let cells = ((MOST_SQUARES / heads.max(1)) as f64).sqrt().floor().clamp(1.0, 16.0) as usize;
    let (rows, columns) = (cells.min(t), cells.min(s));
    let mut body = String::from("<g font-size=\"10\" fill=\"var(--fl-muted)\">");
    let _ = write!(body, "<text x=\"{LEFT}\" y=\"11\">heads</text><text x=\"0\" y=\"{}\">layers</text>", TOP - 6.0);
    for (down, layer) in block.layers.iter().enumerate() {
        let y = TOP + down as f64 * (size + GAP) + size / 2.0 + 3.0;
        let _ = write!(body, "<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{}</text>", LEFT - 6.0, layer.number);
    }
    if let Some(layer) = block.layers.first() {
        for (place, head) in layer.heads.iter().enumerate() {
            let x = LEFT + place as f64 * (size + GAP) + size / 2.0;
            let _ = write!(body, "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{head}</text>", TOP - 6.0);
        }
    }
    body.push_str("</g><g shape-rendering=\"crispEdges\">");
    let (wide, high) = (size / columns as f64, size / rows as f64);
    for (down, layer) in block.layers.iter().enumerate() {
        let numbers = Numbers::of(&layer.weights)?;
        for (place, weights) in numbers.data().chunks(t * s).enumerate() {
            let (x, y) = (LEFT + place as f64 * (size + GAP), TOP + down as f64 * (size + GAP));
            let ground = theme::cividis(0.0).0;
            let _ = write!(body, "<path fill=\"{ground}\" d=\"M{x} {y}h{size}v{size}h-{size}z\"/>");
            let mut most = vec![0f32; rows * columns];
            for (place, weight) in weights.iter().enumerate() {
                let cell = &mut most[place / s * rows / t * columns + place % s * columns / s];
                *cell = cell.max(weight.abs());
            }
            for (place, weight) in most.iter().enumerate().filter(|(_, weight)| **weight > 0.004) {
                let color = theme::cividis(f64::from(*weight).sqrt()).0;
                let (x, y) = (x + (place % columns) as f64 * wide, y + (place / columns) as f64 * high);
                let _ = write!(body, "<path fill=\"{color}\" d=\"M{x:.1} {y:.1}h{wide:.2}v{high:.2}h-{wide:.2}z\"/>");
            }
        }
    }
    body.push_str("</g>");
    let width = (LEFT + across as f64 * (size + GAP) + 8.0).max(300.0);
    Ok(panel("Model view", width, TOP + block.layers.len() as f64 * (size + GAP), &body))
}
