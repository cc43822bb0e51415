//! Values to colours: one scale for everything that a figure compares.

use crate::figure::theme;

/// How values become colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Kind {
    /// Two sides of nothing, which has the colour of the paper.
    Signed,
    /// From the lowest value to the highest.
    Magnitude,
    /// By the square root, from 0 on: small shares are told apart.
    Root,
}

/// A scale of colours between two values; what lies beyond has the colour of its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Colors {
    pub kind: Kind,
    pub low: f32,
    pub high: f32,
    /// Whether values lie beyond each end.
    pub beyond: [bool; 2],
}

/// Colours that a picture tells apart, 1 to 127; 0 is blank. Odd, so that nothing has one of its own.
const LEVELS: u8 = 127;
/// The part of all values that the colours range over at least; the few beyond would make all others look alike.
const KEPT: f64 = 0.995;
/// Values that are looked at to find the range.
const SAMPLES: usize = 200_000;

impl Colors {
    pub(in super::super) fn fixed(kind: Kind, low: f32, high: f32) -> Colors {
        Colors { kind, low, high, beyond: [false; 2] }
    }

    /// A scale for all of some values; those that are no numbers do not count.
    pub(in super::super) fn of(kind: Kind, values: impl Iterator<Item = f32> + Clone) -> Colors {
        let all = values.filter(|value| value.is_finite());
        let ends = |(low, high, count): (f32, f32, usize), value: f32| (low.min(value), high.max(value), count + 1);
        let (low, high, count) = all.clone().fold((f32::MAX, f32::MIN, 0), ends);
        match kind {
            _ if count == 0 => Colors::fixed(kind, if kind == Kind::Signed { -1.0 } else { 0.0 }, 1.0),
            Kind::Signed => {
                let most = low.abs().max(high.abs());
                let mut sizes: Vec<f32> = all.step_by(count / SAMPLES + 1).map(f32::abs).collect();
                let at = ((sizes.len() as f64 * KEPT) as usize).min(sizes.len().saturating_sub(1));
                let kept = *sizes.select_nth_unstable_by(at, f32::total_cmp).1;
                // Where the few are not far from the rest, nothing is cut.
                let end = if kept > 0.0 && kept < 0.75 * most { kept } else { most };
                let end = if end > 0.0 { end } else { 1.0 };
                Colors { kind, low: -end, high: end, beyond: [low < -end, high > end] }
            }
            Kind::Magnitude if low == high => Colors::fixed(kind, low - 0.5, high + 0.5),
            Kind::Magnitude => Colors::fixed(kind, low, high),
            Kind::Root => Colors::fixed(kind, 0.0, if high > 0.0 { high } else { 1.0 }),
        }
    }

    /// Where a value lies on the scale, 0 to 1; not a number where it is none.
    pub(in super::super) fn share(&self, value: f32) -> f64 {
        if value.is_nan() {
            return f64::NAN;
        }
        let part = (f64::from(value) - f64::from(self.low)) / (f64::from(self.high) - f64::from(self.low));
        let part = part.clamp(0.0, 1.0);
        if self.kind == Kind::Root { part.sqrt() } else { part }
    }

    /// The value at a share of the scale.
    pub(in super::super) fn value(&self, share: f64) -> f64 {
        let part = if self.kind == Kind::Root { share * share } else { share };
        f64::from(self.low) + part * (f64::from(self.high) - f64::from(self.low))
    }

    /// The number of a value's colour, 0 where there is none.
    pub(in super::super) fn level(&self, value: f32) -> u8 {
        let share = self.share(value);
        if share.is_nan() { 0 } else { 1 + (share * f64::from(LEVELS - 1)).round() as u8 }
    }

    /// Red, green, blue and opacity of each level. A signed nothing shows the paper, light or dark.
    pub(in super::super) fn palette(&self) -> Vec<[u8; 4]> {
        let color = |level: u8| {
            let share = f64::from(level) / f64::from(LEVELS - 1);
            if self.kind == Kind::Signed {
                let [r, g, b] = theme::sides()[usize::from(share > 0.5)];
                return [r, g, b, ((share - 0.5).abs() * 510.0).round() as u8];
            }
            let [r, g, b] = theme::cividis_bytes(share);
            [r, g, b, 255]
        };
        std::iter::once([0; 4]).chain((0..LEVELS).map(color)).collect()
    }

    /// A level as attributes of a shape.
    pub(in super::super) fn fill(&self, level: u8) -> String {
        let [r, g, b, opacity] = self.palette().get(usize::from(level)).copied().unwrap_or_default();
        let color = theme::hex([r, g, b]);
        if opacity == 255 {
            format!("fill=\"{color}\"")
        } else {
            format!("fill=\"{color}\" fill-opacity=\"{:.3}\"", f64::from(opacity) / 255.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_scale_is_even_and_leaves_out_the_few() {
        let mut values = vec![0.5f32; 2000];
        values[0] = -40.0;
        values[1] = f32::NAN;
        let colors = Colors::of(Kind::Signed, values.iter().copied());
        assert_eq!((colors.low, colors.high, colors.beyond), (-0.5, 0.5, [true, false]));
        assert_eq!(
            (colors.level(-40.0), colors.level(0.0), colors.level(0.5), colors.level(f32::NAN)),
            (1, 64, 127, 0)
        );
        let all = Colors::of(Kind::Signed, [0.5, -0.6].into_iter());
        assert_eq!((all.high, all.beyond), (0.6, [false, false]));
        assert_eq!(colors.fill(64), "fill=\"#005293\" fill-opacity=\"0.000\"");
    }

    #[test]
    fn odd_values_have_a_scale_too() {
        assert_eq!(Colors::of(Kind::Signed, [f32::NAN].into_iter()).high, 1.0);
        assert_eq!(Colors::of(Kind::Root, [0.0, 0.0].into_iter()).high, 1.0);
        let same = Colors::of(Kind::Magnitude, [3.0, 3.0].into_iter());
        assert_eq!(same.share(3.0), 0.5);
        let root = Colors::of(Kind::Root, [0.0, 4.0].into_iter());
        assert_eq!((root.share(1.0), root.value(0.5)), (0.5, 1.0));
    }
}
