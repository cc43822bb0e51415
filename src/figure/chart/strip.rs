//! The strip beside a heat map: how often each colour occurs, which is legend and histogram in one.

use std::fmt::Write;

use super::{Axis, Colors, Frame, Kind, number};

/// Bars of a strip.
const BINS: usize = 48;
/// Its height with labels.
pub(in super::super) const STRIP: f64 = 64.0;
const BARS: f64 = 30.0;
const SCALE: f64 = 7.0;

/// How many of some values have each part of the scale's colours.
fn counted(values: &[f32], colors: &Colors) -> [usize; BINS] {
    let mut counts = [0; BINS];
    for share in values.iter().map(|&value| colors.share(value)).filter(|share| !share.is_nan()) {
        counts[((share * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    counts
}

/// Bars as high as the square root of their counts over the colours, and values under these.
pub(in super::super) fn strip(left: f64, top: f64, width: f64, values: &[f32], colors: &Colors) -> String {
    let counts = counted(values, colors);
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let wide = width / BINS as f64;
    let mut svg = String::from("<g class=\"fl-strip\" shape-rendering=\"crispEdges\">");
    for (at, &count) in counts.iter().enumerate() {
        let share = (at as f64 + 0.5) / BINS as f64;
        let fill = colors.fill(colors.level(colors.value(share) as f32));
        let x = left + at as f64 * wide;
        let high = BARS * (count as f64 / most).sqrt();
        let _ = write!(svg, "<path {fill} d=\"M{x:.2} {:.2}h{wide:.2}v{SCALE}h-{wide:.2}z\"/>", top + BARS + 2.0);
        if count > 0 {
            let y = top + BARS - high;
            let _ =
                write!(svg, "<path fill=\"var(--fl-muted)\" d=\"M{x:.2} {y:.2}h{wide:.2}v{high:.2}h-{wide:.2}z\"/>");
        }
    }
    let bottom = top + BARS + 2.0 + SCALE;
    let _ = write!(
        svg,
        "</g><path d=\"M{left:.1} {:.1}h{width:.1}v{SCALE}h-{width:.1}z\" fill=\"none\" stroke=\"var(--fl-line)\" \
         stroke-width=\".6\"/><g font-size=\"10\" fill=\"var(--fl-muted)\" text-anchor=\"middle\">",
        bottom - SCALE
    );
    let frame = Frame { left, top, width, height: STRIP, across: [0.0, 1.0], down: [0.0, 1.0] };
    for (share, text) in labels(colors, (width / 44.0) as usize) {
        let anchor = match share {
            0.0 => " text-anchor=\"start\"",
            1.0 => " text-anchor=\"end\"",
            _ => "",
        };
        let _ = write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\"{anchor}>{text}</text>", frame.x(share), bottom + 12.0);
    }
    svg.push_str("</g>");
    svg
}

/// Values under the strip; ends beyond which others lie say so.
fn labels(colors: &Colors, count: usize) -> Vec<(f64, String)> {
    if colors.kind == Kind::Root {
        return [0.0, 0.05, 0.25, 0.5, 1.0]
            .map(|part| (f64::sqrt(part), number(colors.value(f64::sqrt(part)))))
            .to_vec();
    }
    let (low, high) = (f64::from(colors.low), f64::from(colors.high));
    let [below, above] = colors.beyond;
    let ends = [
        (0.0, if below { format!("≤ {}", number(low)) } else { number(low) }),
        (1.0, if above { format!("≥ {}", number(high)) } else { number(high) }),
    ];
    let [first, last] = ends;
    let room = 0.7 / count.max(2) as f64;
    let within = Axis::numbers("", low, high, count.clamp(2, 6)).ticks.into_iter();
    let within = within.map(|(value, text)| ((value - low) / (high - low), text));
    let within = within.filter(|(share, _)| (room..=1.0 - room).contains(share));
    std::iter::once(first).chain(within).chain([last]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_every_value_once() {
        let colors = Colors::fixed(Kind::Magnitude, 0.0, 1.0);
        let counts = counted(&[0.0, 0.01, 1.0, 5.0, f32::NAN], &colors);
        assert_eq!((counts[0], counts[BINS - 1], counts.iter().sum::<usize>()), (2, 2, 4));
        let svg = strip(0.0, 0.0, 200.0, &[0.5], &colors);
        assert_eq!(svg.matches("var(--fl-muted)\" d=").count(), 1);
    }

    #[test]
    fn ends_tell_that_more_lies_beyond() {
        let colors = Colors { kind: Kind::Signed, low: -2.0, high: 2.0, beyond: [false, true] };
        let labels: Vec<String> = labels(&colors, 4).into_iter().map(|label| label.1).collect();
        assert_eq!(labels, ["−2", "−1", "0", "1", "≥ 2"]);
    }
}
