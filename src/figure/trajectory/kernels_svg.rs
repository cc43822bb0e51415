//! The still form of position kernels: all heads as a map, some as curves below.

use super::kernels::heads_of;
use crate::figure::chart::{self, Anchor, Axis, Colors, Frame, Grid, STRIP, Sheet};
use crate::figure::{Panel, theme};
use crate::trajectory::Kernel;

const WIDTH: f64 = 640.0;
const CURVES: f64 = 190.0;

pub(super) fn picture(kernel: &Kernel, name: &str, heads: &[usize], colors: &Colors) -> Panel {
    let count = heads_of(kernel);
    let height = (count as f64 * 15.0).clamp(30.0, 400.0);
    let names: Vec<String> = (0..count).map(|head| head.to_string()).collect();
    let beside = Axis::named("head", chart::thinned(&names, height));
    let edges = edges(&kernel.offsets);
    let across = [edges.first().copied().unwrap_or(0.0), edges.last().copied().unwrap_or(1.0)];
    let ends = (kernel.offsets.first().copied().unwrap_or(0), kernel.offsets.last().copied().unwrap_or(0));
    let below = Axis::named("distance from query to key", chart::symlog_ticks(ends.0, ends.1));
    let left = 60.0;

    let mut sheet = Sheet::default();
    sheet.add(&theme::head_styles(heads));
    sheet.muted(14.0, 14.0, Anchor::Start, name);
    let map = Frame { left, top: 24.0, width: WIDTH, height, across, down: [-0.5, count as f64 - 0.5] };
    let grid = Grid { values: kernel.values.data(), columns: kernel.offsets.len() };
    sheet.add(&chart::heat_map(&map, grid, Some(&edges), colors));
    let (axes, lowest) = map.axes(Some(&Axis { name: String::new(), ..below.clone() }), Some(&beside));
    sheet.add(&axes);
    let top = lowest + 12.0;
    let [low, high] = span(kernel, heads);
    let curves = Frame { left, top, width: WIDTH, height: CURVES, across, down: [high, low] };
    let (axes, lowest) = curves.axes(Some(&below), Some(&Axis::numbers("score", low, high, 5)));
    sheet.add(&axes);
    sheet.add(&nothing(&curves, low, high));
    for (at, &head) in heads.iter().enumerate() {
        let color = theme::head(head);
        let points = |values: &[f32]| -> Vec<(f64, f64)> {
            let row = values.chunks(kernel.offsets.len()).nth(head).unwrap_or(&[]);
            kernel
                .offsets
                .iter()
                .zip(row)
                .map(|(&offset, &value)| (chart::symlog(offset as f64), f64::from(value)))
                .collect()
        };
        let middle = points(kernel.values.data());
        if let Some(spread) = &kernel.spread {
            let wide = middle.iter().zip(points(spread.data())).map(|(&(x, y), (_, wide))| (x, y - wide, y + wide));
            sheet.add(&chart::band(&curves, &wide.collect::<Vec<_>>(), &color));
        }
        sheet.add(&chart::line(&curves, &middle, &color, 1.8));
        let y = top + 10.0 + at as f64 * 15.0;
        let key = Frame {
            left: curves.right() + 10.0,
            top: y,
            width: 16.0,
            height: 1.0,
            across: [0.0, 1.0],
            down: [0.0, 1.0],
        };
        sheet.add(&chart::line(&key, &[(0.0, 0.0), (1.0, 0.0)], &color, 2.5));
        sheet.text(key.right() + 5.0, y + 4.0, Anchor::Start, &format!("head {head}"));
    }
    sheet.add(&chart::strip(left, lowest + 10.0, 260.0, kernel.values.data(), colors));
    sheet.reach(curves.right() + 90.0, lowest + 10.0 + STRIP);
    sheet.panel("Position kernels")
}

/// Where each distance begins and the last one ends, on the symmetric-log axis.
fn edges(offsets: &[i64]) -> Vec<f64> {
    let last = offsets.last().map(|&offset| offset as f64 + 0.5);
    offsets.iter().map(|&offset| offset as f64 - 0.5).chain(last).map(chart::symlog).collect()
}

/// The lowest and highest value of some heads, with their spread.
fn span(kernel: &Kernel, heads: &[usize]) -> [f64; 2] {
    let width = kernel.offsets.len();
    let rows = heads.iter().flat_map(|&head| head * width..(head + 1) * width);
    let wide = |at: usize| kernel.spread.as_ref().and_then(|it| it.data().get(at)).copied().filter(|it| it.is_finite());
    let value = |at: usize| kernel.values.data().get(at).copied().filter(|value| value.is_finite());
    let values = rows.filter_map(|at| Some((f64::from(value(at)?), f64::from(wide(at).unwrap_or(0.0)))));
    let (low, high) =
        values.fold((f64::MAX, f64::MIN), |(low, high), (value, wide)| (low.min(value - wide), high.max(value + wide)));
    if low > high {
        return [0.0, 1.0];
    }
    let room = ((high - low) * 0.06).max(1e-6);
    [low - room, high + room]
}

/// A thin line where a kernel adds nothing.
fn nothing(frame: &Frame, low: f64, high: f64) -> String {
    if low < 0.0 && high > 0.0 {
        chart::line(frame, &[(frame.across[0], 0.0), (frame.across[1], 0.0)], "var(--fl-line)", 0.6)
    } else {
        String::new()
    }
}
