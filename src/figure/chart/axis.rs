//! Axes: where values lie in a picture, and what is written beside them.

use std::fmt::Write;

use crate::figure::escape;

/// Letters of a token beside an axis.
const LETTERS: usize = 12;
/// Pixels that a label needs across its line.
const ROOM: f64 = 12.0;
/// About the width of a letter of 10 pixels.
const LETTER: f64 = 5.6;

/// What is written beside an axis: a name, and labels at values.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Axis {
    pub name: String,
    pub ticks: Vec<(f64, String)>,
    /// Whether labels stand upright under the axis.
    pub upright: bool,
}

/// The place of a chart in a picture, and the values at its edges.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Frame {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
    /// Values at the left and right edge.
    pub across: [f64; 2],
    /// Values at the upper and lower edge.
    pub down: [f64; 2],
}

impl Frame {
    pub(in super::super) fn x(&self, value: f64) -> f64 {
        self.left + (value - self.across[0]) / (self.across[1] - self.across[0]) * self.width
    }

    pub(in super::super) fn y(&self, value: f64) -> f64 {
        self.top + (value - self.down[0]) / (self.down[1] - self.down[0]) * self.height
    }

    pub(in super::super) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(in super::super) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// The outline, with the axes under and left of it where they are given; how far labels reach below.
    pub(in super::super) fn axes(&self, below: Option<&Axis>, beside: Option<&Axis>) -> (String, f64) {
        let (left, right, top, bottom) = (self.left, self.right(), self.top, self.bottom());
        let mut svg = format!(
            "<path d=\"M{left:.1} {top:.1}V{bottom:.1}H{right:.1}\" fill=\"none\" stroke=\"var(--fl-line)\"/>\
             <g font-size=\"10\" fill=\"var(--fl-muted)\">"
        );
        let mut lowest = bottom;
        if let Some(axis) = below {
            let mut longest = 0;
            for (value, text) in &axis.ticks {
                let (x, text_of) = (self.x(*value), escape::html(text));
                longest = longest.max(text.chars().count());
                let _ = if axis.upright {
                    write!(
                        svg,
                        "<text transform=\"translate({:.1} {:.1}) rotate(-90)\" text-anchor=\"end\">{text_of}</text>",
                        x + 3.5,
                        bottom + 5.0
                    )
                } else {
                    write!(svg, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text_of}</text>", bottom + 13.0)
                };
            }
            lowest += if axis.upright { 8.0 + longest as f64 * LETTER } else { 16.0 };
            if !axis.name.is_empty() {
                lowest += 12.0;
                let middle = (left + right) / 2.0;
                let name = escape::html(&axis.name);
                let _ = write!(svg, "<text x=\"{middle:.1}\" y=\"{lowest:.1}\" text-anchor=\"middle\">{name}</text>");
                lowest += 4.0;
            }
        }
        if let Some(axis) = beside {
            let mut longest = 0;
            for (value, text) in &axis.ticks {
                longest = longest.max(text.chars().count());
                let (y, text) = (self.y(*value) + 3.5, escape::html(text));
                let _ = write!(svg, "<text x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{text}</text>", left - 5.0);
            }
            if !axis.name.is_empty() {
                let x = left - 12.0 - longest as f64 * LETTER;
                let (middle, name) = ((top + bottom) / 2.0, escape::html(&axis.name));
                let _ = write!(
                    svg,
                    "<text transform=\"translate({x:.1} {middle:.1}) rotate(-90)\" text-anchor=\"middle\">{name}</text>"
                );
            }
        }
        svg.push_str("</g>");
        (svg, lowest)
    }
}

impl Axis {
    pub(in super::super) fn named(name: &str, ticks: Vec<(f64, String)>) -> Axis {
        Axis { name: name.to_owned(), ticks, upright: false }
    }

    /// Pixels that labels and name take beside a chart.
    pub(in super::super) fn beside(&self) -> f64 {
        let longest = self.ticks.iter().map(|(_, text)| text.chars().count()).max().unwrap_or(0);
        let name = if self.name.is_empty() { 0.0 } else { 14.0 };
        longest as f64 * LETTER + 12.0 + name
    }

    /// Round values between two others.
    pub(in super::super) fn numbers(name: &str, low: f64, high: f64, count: usize) -> Axis {
        let span = high - low;
        if !(span.is_finite() && span > 0.0) {
            return Axis::named(name, vec![(low, number(low))]);
        }
        let rough = span / count.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|it| it * power).into_iter().find(|&it| it >= rough).unwrap_or(rough);
        let first = (low / step).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        let ticks = (first..=last).take(50).map(|at| at as f64 * step).map(|value| (value, number(value)));
        Axis::named(name, ticks.collect())
    }
}

/// A number in as few letters as tell it: three digits.
pub(in super::super) fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { "–".to_owned() };
    }
    let size = value.abs();
    if !(1e-3..1e5).contains(&size) {
        return format!("{value:.1e}").replace('-', "−");
    }
    let digits = (2 - size.log10().floor() as i32).clamp(0, 5) as usize;
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    text.replace('-', "−")
}

/// Labels for as many of some names as there is room for, at 0, 1, 2 and so on.
pub(in super::super) fn thinned(names: &[String], length: f64) -> Vec<(f64, String)> {
    let every = ((names.len() as f64 * ROOM / length.max(1.0)).ceil() as usize).max(1);
    names.iter().enumerate().step_by(every).map(|(at, name)| (at as f64, name.clone())).collect()
}

/// Tokens as an axis; of many every so many.
pub(in super::super) fn tokens(name: &str, tokens: &[String], length: f64) -> Axis {
    let labels: Vec<String> = tokens.iter().map(|token| self::token(token)).collect();
    Axis { name: name.to_owned(), ticks: thinned(&labels, length), upright: true }
}

/// A token without the blank, seen or unseen, that it begins with.
pub(in super::super) fn token(token: &str) -> String {
    let word = token.strip_prefix('␣').filter(|rest| !rest.is_empty()).unwrap_or(token);
    escape::label(word, LETTERS)
}

/// Where a distance lies on a symmetric-log axis: one step from 0 to 1, then one for every doubling of 1 + distance.
pub(in super::super) fn symlog(distance: f64) -> f64 {
    distance.abs().ln_1p() / std::f64::consts::LN_2 * distance.signum()
}

/// Labels at powers of two between two distances.
pub(in super::super) fn symlog_ticks(low: i64, high: i64) -> Vec<(f64, String)> {
    let sizes = std::iter::successors(Some(1i64), |size| size.checked_mul(2)).take(40).collect::<Vec<_>>();
    let below = sizes.iter().rev().map(|size| -size);
    let ticks = below.chain([0]).chain(sizes.iter().copied()).filter(|at| (low..=high).contains(at));
    ticks.map(|at| (symlog(at as f64), at.to_string().replace('-', "−"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let told = [0.0, 1.0, -0.25, 12.3456, 1234.5, 1e-7, f64::NAN].map(number);
        assert_eq!(told, ["0", "1", "−0.25", "12.3", "1234", "1.0e−7", "–"]);
    }

    #[test]
    fn ticks_are_round_and_within() {
        let axis = Axis::numbers("", -1.0, 1.0, 4);
        let values: Vec<f64> = axis.ticks.iter().map(|tick| tick.0).collect();
        assert_eq!(values, [-1.0, -0.5, 0.0, 0.5, 1.0]);
        assert_eq!(Axis::numbers("", 3.0, 3.0, 4).ticks.len(), 1);
        assert!(Axis::numbers("", f64::NAN, 3.0, 4).ticks.len() == 1);
    }

    #[test]
    fn distances_double() {
        assert_eq!([0.0, 1.0, -1.0, 3.0, -7.0].map(symlog), [0.0, 1.0, -1.0, 2.0, -3.0]);
        let labels: Vec<String> = symlog_ticks(-5, 2).into_iter().map(|tick| tick.1).collect();
        assert_eq!(labels, ["−4", "−2", "−1", "0", "1", "2"]);
    }

    #[test]
    fn many_tokens_are_thinned() {
        let names: Vec<String> = (0..100).map(|it| it.to_string()).collect();
        let axis = tokens("key", &names, 300.0);
        assert_eq!(axis.ticks.len(), 25);
        assert_eq!(axis.ticks[1], (4.0, "4".to_owned()));
    }
}
