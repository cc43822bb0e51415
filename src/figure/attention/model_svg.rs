//! The static picture of a model view: all heads as heat maps, which are one small image, with the numbers round it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Opened, pack};
use crate::Result;
use crate::array::Numbers;
use crate::attention::{Block, Quantity};
use crate::figure::base64::base64;
use crate::figure::png::png;
use crate::figure::{Panel, theme};

/// Dots that the image may have, so that an output stays small.
const MOST_DOTS: usize = 60_000;
/// Colours besides what a query does not see: more would cost bytes and not be told apart.
const COLORS: usize = 63;
const LEFT: f64 = 40.0;
const TOP: f64 = 24.0;
const WIDTH: f64 = 940.0;

pub(super) fn picture(opened: &Opened) -> Result<Panel> {
    let block = opened.block;
    let heads: BTreeSet<usize> = block.layers.iter().flat_map(|layer| layer.heads.iter().copied()).collect();
    let column_of = |head: usize| heads.range(..head).count();
    let (down, across) = (block.layers.len(), heads.len());
    let most = ((MOST_DOTS / (down * across).max(1)) as f64).sqrt().clamp(2.0, 48.0) as usize;
    let (rows, columns) = (block.queries.len().min(most), block.keys.len().min(most));
    let size = ((WIDTH - LEFT) / across as f64 - 4.0).clamp(14.0, 56.0).floor();
    // A gap is of whole dots, as near to four pixels as they let it be.
    let gap = |dots: usize| ((dots as f64 * 4.0 / size).round() as usize).max(1);
    let (below, beside) = (rows + gap(rows), columns + gap(columns));
    let (wide, high) = (size / columns as f64, size / rows as f64);
    let place = |row: usize, column: usize| (LEFT + (column * beside) as f64 * wide, TOP + (row * below) as f64 * high);

    let mut dots = vec![0u8; across * beside * down * below];
    let causal = block.is_causal()?;
    let scale = if block.kind == Quantity::Probability { 1.0 } else { pack::largest(block)? };
    for (row, layer) in block.layers.iter().enumerate() {
        let numbers = Numbers::of(&layer.weights)?;
        let matrices = numbers.data().chunks(block.queries.len() * block.keys.len());
        for (&head, weights) in layer.heads.iter().zip(matrices) {
            let start = row * below * across * beside + column_of(head) * beside;
            for (place, dot) in shrunk(block, weights, rows, columns, causal).into_iter().enumerate() {
                let number = dot.map_or(0, |weight| color_number(weight / scale, block.kind));
                dots[start + place / columns * across * beside + place % columns] = number;
            }
        }
    }

    let (width, height) = (across * beside, down * below);
    let image = base64(&png(width, height, &dots, &palette(block.kind)));
    let mut body = format!(
        "<image x=\"{LEFT}\" y=\"{TOP}\" width=\"{:.2}\" height=\"{:.2}\" preserveAspectRatio=\"none\" \
         style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{image}\"/>\
         <g font-size=\"10\" fill=\"var(--fl-muted)\"><text x=\"{}\" y=\"{}\" text-anchor=\"end\">head</text>\
         <text transform=\"translate(9 {TOP}) rotate(-90)\" text-anchor=\"end\">layer</text>",
        width as f64 * wide,
        height as f64 * high,
        LEFT - 6.0,
        TOP - 8.0
    );
    let mut lines = String::new();
    for (row, layer) in block.layers.iter().enumerate() {
        let (_, y) = place(row, 0);
        let _ = write!(
            body,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            y + size / 2.0 + 3.5,
            layer.number
        );
        for &head in layer.heads.iter().filter(|_| block.second.is_some()) {
            let (x, y) = place(row, column_of(head));
            let second = block.second.unwrap_or_default() as f64;
            let (right, under) = (second / block.keys.len() as f64 * size, second / block.queries.len() as f64 * size);
            let _ = write!(lines, "M{:.1} {y:.1}v{size}M{x:.1} {:.1}h{size}", x + right, y + under);
        }
    }
    let step = (18.0 / (size + 4.0)).ceil() as usize;
    for (column, head) in heads.iter().enumerate().step_by(step) {
        let (x, _) = place(0, column);
        let _ =
            write!(body, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{head}</text>", x + size / 2.0, TOP - 8.0);
    }
    body.push_str("</g>");
    if !lines.is_empty() {
        let _ = write!(body, "<path d=\"{lines}\" stroke=\"var(--fl-paper)\" stroke-opacity=\".6\" fill=\"none\"/>");
    }
    let open = block.layers.iter().enumerate().find(|(_, layer)| layer.number == opened.layer);
    let open = open
        .zip(opened.head)
        .and_then(|((row, layer), head)| layer.heads.contains(&head).then(|| place(row, column_of(head))));
    body.extend(open.map(|place| frame(place, size)));
    let (right, bottom) = place(down, across);
    Ok(Panel::drawn("Model view", (right + 4.0).max(300.0), bottom + 2.0, &body))
}

/// The frame of the head that is opened.
fn frame((x, y): (f64, f64), size: f64) -> String {
    format!(
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{side}\" height=\"{side}\" rx=\"3\" fill=\"none\" stroke=\"var(--fl-ink)\" \
         stroke-width=\"1.5\"/>",
        x - 1.5,
        y - 1.5,
        side = size + 3.0
    )
}

/// The weights of a head in rows x columns dots, each the largest of what it covers; none where no query sees a key.
fn shrunk(block: &Block, weights: &[f32], rows: usize, columns: usize, causal: bool) -> Vec<Option<f32>> {
    let (t, s) = (block.queries.len(), block.keys.len());
    let mut most = vec![None; rows * columns];
    for (i, row) in weights.chunks(s).enumerate() {
        let seen = if causal { (i + 1).min(s) } else { s };
        for (j, &weight) in row[..seen].iter().enumerate() {
            let dot = &mut most[i * rows / t * columns + j * columns / s];
            if dot.is_none_or(|other: f32| weight.abs() > other.abs()) {
                *dot = Some(weight);
            }
        }
    }
    most
}

/// The number of a share's colour, by the square root: 0 stays for what is not seen.
fn color_number(share: f32, kind: Quantity) -> u8 {
    let root = share.abs().sqrt().min(1.0).copysign(share);
    let share = if kind == Quantity::Difference { (root + 1.0) / 2.0 } else { root.max(0.0) };
    1 + (share * (COLORS - 1) as f32).round() as u8
}

/// Red, green, blue and opacity by number. A difference of nothing shows the paper, light or dark.
fn palette(kind: Quantity) -> Vec<[u8; 4]> {
    let mut colors = vec![[0; 4]];
    for number in 0..COLORS {
        let share = number as f64 / (COLORS - 1) as f64;
        colors.push(if kind == Quantity::Difference {
            let [r, g, b] = theme::sides()[usize::from(share > 0.5)];
            [r, g, b, ((share - 0.5).abs() * 510.0).round() as u8]
        } else {
            let [r, g, b] = theme::cividis_bytes(share);
            [r, g, b, 255]
        });
    }
    colors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::Attention;

    fn attention(layers: usize, heads: usize, tokens: usize) -> Attention {
        let weights = |at: usize| {
            let row = |place: usize| 1.0 + ((at * 7 + place * 2_654_435_761) >> 7) as f32 % 23.0;
            let mut all: Vec<f32> = (0..heads * tokens * tokens).map(row).collect();
            for row in all.chunks_mut(tokens) {
                let sum: f32 = row.iter().sum();
                row.iter_mut().for_each(|weight| *weight /= sum);
            }
            crate::Array::new(&[heads, tokens, tokens], all).unwrap()
        };
        let layers: Vec<_> = (0..layers).map(weights).collect();
        Attention::new((0..tokens).map(|at| format!("w{at}")), layers).unwrap()
    }

    #[test]
    fn is_small_however_much_there_is() {
        for (layers, heads, tokens) in [(1, 1, 1), (6, 8, 12), (12, 12, 128), (40, 40, 16)] {
            let attention = attention(layers, heads, tokens);
            let svg = attention.model_view().build().unwrap().svg();
            assert!(svg.len() < 80_000, "{layers} x {heads} heads of {tokens} tokens take {} bytes", svg.len());
            assert!(svg.contains(&format!(">{}</text>", layers - 1)), "the last layer has its number");
        }
    }

    #[test]
    fn what_is_not_seen_is_clear_and_nothing_is_paper() {
        let attention = attention(1, 1, 4);
        let block = &attention.blocks()[0];
        let dots = shrunk(block, &[1.0; 16], 4, 4, true);
        assert_eq!(dots.iter().filter(|dot| dot.is_none()).count(), 6);
        assert_eq!(shrunk(block, &[0.5; 16], 2, 2, true)[1], None);
        assert_eq!(palette(Quantity::Probability)[0][3], 0);
        let middle = usize::from(color_number(0.0, Quantity::Difference));
        assert_eq!(palette(Quantity::Difference)[middle][3], 0);
        assert_eq!(color_number(1.0, Quantity::Probability), COLORS as u8);
        assert_eq!(color_number(-1.0, Quantity::Difference), 1);
    }
}
