//! The still form of effects: as they open, with the largest ones in a list.

use std::fmt::Write;

use super::page::{Chart, Shown, label};
use super::payload::Axis;
use crate::figure::Panel;
use crate::figure::chart::{self, Anchor, Frame, Grid, STRIP, Sheet, number};

/// Width of a chart, at most, and height of a map.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 480.0;
/// Height of bars.
const BARS: f64 = 170.0;
/// Cells in the list.
const LISTED: usize = 8;
/// About the width of a letter of 11 pixels.
const LETTER: f64 = 6.2;
const TOP: f64 = 24.0;
/// Room for a number in the list.
const NUMBER: f64 = 40.0;

pub(super) fn picture(chart: &Chart) -> Panel {
    let mut sheet = Sheet::default();
    let Some(shown) = chart.shows.first().filter(|shown| !shown.values.is_empty()) else {
        sheet.muted(14.0, 14.0, Anchor::Start, "There are no numbers to draw.");
        sheet.reach(240.0, 24.0);
        return sheet.panel(&chart.title);
    };
    match chart.sides() {
        (Some(rows), columns) => map(&mut sheet, chart, shown, rows, columns),
        (None, _) => bars(&mut sheet, chart, shown),
    }
    list(&mut sheet, chart, shown);
    sheet.panel(&chart.title)
}

/// Labels of an axis, as many as there is room for.
fn labels(axis: &Axis, length: f64, upright: bool) -> chart::Axis {
    let names: Vec<String> = (0..axis.labels.len()).map(|place| label(axis, place)).collect();
    // Labels that lie need more room than those that stand, by their letters.
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(1) as f64;
    let room = if upright { length } else { length * (12.0 / (longest * LETTER + 4.0)).min(1.0) };
    chart::Axis { name: axis.name.clone(), ticks: chart::thinned(&names, room), upright }
}

/// Whether labels under a chart stand upright: they do where they are words.
fn stand(axis: &Axis) -> bool {
    (0..axis.labels.len()).any(|place| label(axis, place).chars().count() > 4)
}

fn map(sheet: &mut Sheet, chart: &Chart, shown: &Shown, rows: usize, columns: usize) {
    let (down, across) = (&chart.axes[rows], &chart.axes[columns]);
    let (high, wide) = (down.labels.len(), across.labels.len());
    let width = ((WIDTH / wide as f64).min(30.0) * wide as f64).max(170.0);
    let height = ((HEIGHT / high as f64).min(17.0) * high as f64).max(24.0);
    // Of the other axes the figure opens where the effect is largest.
    let mut index = chart.strongest();
    let mut values = Vec::with_capacity(high * wide);
    for row in 0..high {
        for column in 0..wide {
            (index[rows], index[columns]) = (row, column);
            values.push(shown.values.get(chart.cell(&index)).copied().unwrap_or(f32::NAN));
        }
    }
    let others = chart.axes.iter().enumerate().filter(|(axis, _)| ![rows, columns].contains(axis));
    let others = others.map(|(at, axis)| format!(", {} {}", axis.name, label(axis, index[at])));
    let title = format!("{}{}", shown.title, others.collect::<String>());
    let beside = labels(down, height, true);
    let below = labels(across, width, stand(across));
    let left = 14.0 + beside.beside();
    let ends = |count: usize| [-0.5, count as f64 - 0.5];
    let frame = Frame { left, top: TOP, width, height, across: ends(wide), down: ends(high) };
    sheet.text(left, 14.0, Anchor::Start, &title);
    sheet.add(&chart::heat_map(&frame, Grid { values: &values, columns: wide }, None, &shown.colors));
    let (axes, lowest) = frame.axes(Some(&below), Some(&beside));
    sheet.add(&axes);
    sheet.add(&chart::strip(left, lowest + 8.0, width, &values, &shown.colors));
    sheet.reach(left + width, lowest + 8.0 + STRIP);
    sheet.reach(left + title.chars().count() as f64 * LETTER, 0.0);
}

fn bars(sheet: &mut Sheet, chart: &Chart, shown: &Shown) {
    let axis = &chart.axes[0];
    let count = axis.labels.len();
    let width = ((WIDTH / count as f64).min(34.0) * count as f64).max(170.0);
    let whiskers = chart.interval.as_ref().filter(|_| shown.name == "effect");
    let all = whiskers.into_iter().flatten().flatten().chain(&shown.values);
    let finite = all.copied().filter(|value| value.is_finite()).map(f64::from);
    let (low, high) = finite.fold((0.0f64, 0.0f64), |(low, high), value| (low.min(value), high.max(value)));
    let room = ((high - low) * 0.05).max(1e-6);
    let down = [if high > 0.0 { high + room } else { 0.0 }, if low < 0.0 { low - room } else { 0.0 }];
    let beside = chart::Axis::numbers("", down[1], down[0], 5);
    let below = labels(axis, width, stand(axis));
    let left = 14.0 + beside.beside();
    let frame = Frame { left, top: TOP, width, height: BARS, across: [-0.5, count as f64 - 0.5], down };
    sheet.text(left, 14.0, Anchor::Start, &shown.title);
    let zero = frame.y(0.0);
    let mut svg = String::new();
    for (at, value) in shown.values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
        let (from, to) = (frame.x(at as f64 - 0.36), frame.x(at as f64 + 0.36));
        let (y, side) = (frame.y(f64::from(*value)), if *value < 0.0 { "less" } else { "more" });
        let _ = write!(svg, "<path fill=\"var(--fl-{side})\" d=\"M{from:.2} {zero:.2}H{to:.2}V{y:.2}H{from:.2}z\"/>");
    }
    if let Some([low, high]) = whiskers {
        for (at, (low, high)) in low.iter().zip(high).enumerate().filter(|(_, (low, high))| (*low + *high).is_finite())
        {
            let (x, low, high) = (frame.x(at as f64), frame.y(f64::from(*low)), frame.y(f64::from(*high)));
            let _ = write!(svg, "<path stroke=\"var(--fl-ink)\" d=\"M{x:.2} {low:.2}V{high:.2}\"/>");
        }
    }
    let _ = write!(svg, "<path stroke=\"var(--fl-muted)\" d=\"M{left:.2} {zero:.2}H{:.2}\"/>", frame.right());
    sheet.add(&svg);
    let (axes, lowest) = frame.axes(Some(&below), Some(&beside));
    sheet.add(&axes);
    sheet.reach(left + width, lowest + 6.0);
    sheet.reach(left + shown.title.chars().count() as f64 * LETTER, 0.0);
}

/// The largest effects, right of the chart: where, and what is shown of them.
fn list(sheet: &mut Sheet, chart: &Chart, shown: &Shown) {
    let left = sheet.width + 26.0;
    sheet.muted(left, TOP + 8.0, Anchor::Start, "Largest");
    let mut widest = 7;
    for (at, index) in chart.largest(LISTED).iter().enumerate() {
        let value = shown.values.get(chart.cell(index)).copied().unwrap_or(f32::NAN);
        let places = chart.axes.iter().zip(index).map(|(axis, &place)| format!("{} {}", axis.name, label(axis, place)));
        let text = places.collect::<Vec<_>>().join(", ");
        widest = widest.max(text.chars().count());
        let y = TOP + 8.0 + 16.0 * (at + 1) as f64;
        sheet.muted(left + NUMBER, y, Anchor::End, &number(f64::from(value)));
        sheet.text(left + NUMBER + 8.0, y, Anchor::Start, &text);
    }
    sheet.reach(left + NUMBER + 8.0 + widest as f64 * LETTER + 10.0, TOP + 16.0 * (LISTED + 2) as f64);
}
