//! The still form of a walk: two sides of its space, and a map of its steps.

use super::walk::{Quantity, axis_name, coordinate, given};
use crate::figure::chart::{self, Anchor, Axis, Frame, Grid, STRIP, Sheet};
use crate::figure::{Panel, theme};
use crate::trajectory::Walk;

const SIDE: f64 = 330.0;
/// Paths whose tokens are written at their ends.
const NAMED: usize = 14;
/// Paths that are dotted at every step; of more, only the last one is.
const MOST_DOTTED: usize = 60;

pub(super) fn picture(walk: &Walk, quantities: &[Quantity]) -> Panel {
    let mut sheet = Sheet::default();
    let mut bottom: f64 = 0.0;
    for (at, down) in [1, 2].into_iter().enumerate() {
        let left = 62.0 + at as f64 * (SIDE + 84.0);
        bottom = bottom.max(projection(&mut sheet, walk, left, [0, down]));
    }
    depth(&mut sheet, walk, 62.0, bottom + 10.0);
    let top = bottom + 50.0;
    if let Some(quantity) = quantities.first() {
        steps(&mut sheet, walk, quantity, top);
    }
    sheet.panel("The walk")
}

/// All paths seen along one axis; how far down it reaches.
fn projection(sheet: &mut Sheet, walk: &Walk, left: f64, axes: [usize; 2]) -> f64 {
    let points: Vec<Vec<(f64, f64)>> = (0..walk.positions.len())
        .map(|place| {
            let value = |step, axis| coordinate(walk, step, place, axis).map_or(f64::NAN, f64::from);
            (0..walk.steps.len()).map(|step| (value(step, axes[0]), value(step, axes[1]))).collect()
        })
        .collect();
    let span = |pick: fn(&(f64, f64)) -> f64| {
        let values = points.iter().flatten().map(pick).filter(|it| it.is_finite());
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), it| (low.min(it), high.max(it)));
        let room = if high > low { (high - low) * 0.06 } else { 0.5 };
        if low > high { [0.0, 1.0] } else { [low - room, high + room] }
    };
    let (across, up) = (span(|it| it.0), span(|it| it.1));
    let frame = Frame { left, top: 10.0, width: SIDE, height: SIDE, across, down: [up[1], up[0]] };
    let below = Axis::numbers(&axis_name(walk, axes[0]), across[0], across[1], 5);
    let beside = Axis::numbers(&axis_name(walk, axes[1]), up[0], up[1], 5);
    let (axes, lowest) = frame.axes(Some(&below), Some(&beside));
    sheet.add(&axes);
    let last = walk.steps.len().saturating_sub(1).max(1);
    // Neither end of the scale: the picture has to be seen on light and on dark paper.
    let color = |step: usize| theme::cividis(0.2 + 0.7 * step as f64 / last as f64).0;
    let many = points.len() > MOST_DOTTED;
    // What the model wrote stands out from what it was given.
    let (read, written) = points.split_at(given(walk).unwrap_or(points.len()));
    let groups = [(read, if many { 0.6 } else { 1.4 }), (written, if many { 1.4 } else { 3.0 })];
    for (group, width) in groups.into_iter().filter(|(group, _)| !group.is_empty()) {
        for step in 1..walk.steps.len() {
            // A gap after each position's part.
            let gap = (f64::NAN, f64::NAN);
            let parts: Vec<(f64, f64)> = group.iter().flat_map(|path| [path[step - 1], path[step], gap]).collect();
            sheet.add(&chart::line(&frame, &parts, &color(step), width));
        }
    }
    for (path, token) in points.iter().zip(&walk.tokens) {
        let dots = path.iter().enumerate().map(|(step, &(x, y))| (x, y, color(step)));
        let dots: Vec<_> = dots.skip(if many { last } else { 0 }).collect();
        sheet.add(&chart::marks(&frame, &dots, if many { 1.8 } else { 2.6 }));
        if let Some(&(x, y)) = path.last().filter(|(x, y)| points.len() <= NAMED && x.is_finite() && y.is_finite()) {
            let (x, y, name) = (frame.x(x), frame.y(y) - 5.0, chart::token(token));
            let anchor = if x > frame.right() - 60.0 { Anchor::End } else { Anchor::Start };
            sheet.text(x, y, anchor, &name);
        }
    }
    sheet.reach(frame.right() + 14.0, lowest);
    lowest
}

/// What the colours of steps mean.
fn depth(sheet: &mut Sheet, walk: &Walk, left: f64, top: f64) {
    let count = walk.steps.len();
    if count == 0 {
        return;
    }
    let wide = 220.0 / count as f64;
    let frame = Frame { left, top, width: 220.0, height: 8.0, across: [-0.5, count as f64 - 0.5], down: [-0.5, 0.5] };
    let values: Vec<f32> = (0..count).map(|step| step as f32).collect();
    let last = (count.max(2) - 1) as f32;
    let colors = chart::Colors::fixed(chart::Kind::Magnitude, -last * 0.2 / 0.7, last * 0.8 / 0.7);
    sheet.add(&chart::heat_map(&frame, Grid { values: &values, columns: count }, None, &colors));
    sheet.muted(left, top + 20.0, Anchor::Start, &walk.steps[0].name);
    if wide < 220.0 {
        sheet.muted(frame.right(), top + 20.0, Anchor::End, &walk.steps[count - 1].name);
    }
    sheet.reach(frame.right(), top + 24.0);
}

/// A quantity as a map of steps and positions, with each position's straightness under it and each step's anisotropy.
fn steps(sheet: &mut Sheet, walk: &Walk, quantity: &Quantity, top: f64) {
    let (rows, columns) = (quantity.rows.len(), walk.positions.len());
    let (width, height) = ((columns as f64 * 20.0).clamp(220.0, 560.0), (rows as f64 * 14.0).clamp(40.0, 400.0));
    let ends = |count: usize| [-0.5, count.max(1) as f64 - 0.5];
    let beside = Axis::named("", chart::thinned(&quantity.rows, height));
    let left = 14.0 + beside.beside();
    sheet.text(left, top + 12.0, Anchor::Start, &format!("{} of each step", quantity.title));
    let frame = Frame { left, top: top + 20.0, width, height, across: ends(columns), down: ends(rows) };
    sheet.add(&chart::heat_map(&frame, Grid { values: quantity.values, columns }, None, &quantity.colors));
    let below = chart::tokens("position", &walk.tokens, width);
    let (axes, lowest) = frame.axes(Some(&below), Some(&beside));
    sheet.add(&axes);
    sheet.add(&chart::strip(left, lowest + 8.0, width.min(260.0), quantity.values, &quantity.colors));
    sheet.reach(frame.right() + 14.0, lowest + 8.0 + STRIP);

    let right = frame.right() + 70.0;
    let wide = 200.0;
    let alike = Frame {
        left: right,
        top: top + 20.0,
        width: wide,
        height: 90.0,
        across: ends(walk.anisotropy.len()),
        down: [1.0, 0.0],
    };
    curve(sheet, &alike, "Mean cosine of two positions, by step", &walk.anisotropy);
    let straight = Frame { top: alike.bottom() + 50.0, across: ends(walk.straightness.len()), ..alike };
    curve(sheet, &straight, "Straightness, by position", &walk.straightness);
}

fn curve(sheet: &mut Sheet, frame: &Frame, title: &str, values: &[f32]) {
    let low = values.iter().copied().filter(|it| it.is_finite()).fold(0.0, f32::min);
    let frame = Frame { down: [1.0, f64::from(low)], ..*frame };
    sheet.text(frame.left, frame.top - 6.0, Anchor::Start, title);
    let below = Axis::numbers("", 0.0, values.len().saturating_sub(1) as f64, 4);
    let (axes, lowest) = frame.axes(Some(&below), Some(&Axis::numbers("", f64::from(low), 1.0, 3)));
    sheet.add(&axes);
    let points: Vec<(f64, f64)> = values.iter().enumerate().map(|(at, &it)| (at as f64, f64::from(it))).collect();
    sheet.add(&chart::line(&frame, &points, "var(--fl-ink)", 1.4));
    sheet.reach(frame.right() + 14.0, lowest);
}
