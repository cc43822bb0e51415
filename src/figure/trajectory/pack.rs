//! Numbers of a trajectory as a page carries them.

use super::payload;
use crate::figure::chunks::{Chunks, deflated};

/// Integers of 8 bits, of which 0 is blank.
pub(super) const COARSE: u16 = 255;
/// Fewer levels, which deflate much smaller; still more than a colour scale shows.
pub(super) const COARSEST: u16 = 63;
/// Integers of 16 bits.
pub(super) const FINE: u16 = u16::MAX;
/// Numbers that a page carries as they are.
const MOST_EXACT: usize = 8_000;
/// Numbers that a page carries with 16 bits each: more cost too much.
pub(super) const MOST_FINE: usize = 150_000;

/// Numbers packed, before they have a place in the page.
pub(super) struct Packed {
    pub text: String,
    numbers: payload::Numbers,
}

impl Packed {
    /// Gives them their place; equal ones share it.
    pub(super) fn placed(self, chunks: &mut Chunks) -> payload::Numbers {
        payload::Numbers { chunk: chunks.once(self.text), ..self.numbers }
    }
}

/// Rounds numbers to levels between their lowest and highest; what is no number is blank.
pub(super) fn rounded(values: &[f32], shape: &[usize], levels: u16) -> Packed {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = finite.fold((f32::MAX, f32::MIN), |(low, high), value| (low.min(value), high.max(value)));
    let (low, high) = if low > high { (0.0, 0.0) } else { (low, high) };
    let steps = f32::from(levels - 1);
    let span = if high > low { high - low } else { 1.0 };
    let integer = |&value: &f32| {
        if value.is_finite() { 1 + ((value - low) / span * steps).round() as u16 } else { 0 }
    };
    let bytes: Vec<u8> = if levels <= COARSE {
        values.iter().map(|value| integer(value) as u8).collect()
    } else {
        let integers: Vec<u16> = values.iter().map(integer).collect();
        integers.iter().map(|it| (it >> 8) as u8).chain(integers.iter().map(|&it| it as u8)).collect()
    };
    let numbers = payload::Numbers { chunk: 0, shape: shape.to_vec(), levels, low, high: low + span };
    Packed { text: deflated(&bytes), numbers }
}

/// Numbers bit by bit.
pub(super) fn exact(values: &[f32], shape: &[usize], chunks: &mut Chunks) -> payload::Numbers {
    payload::Numbers { chunk: chunks.floats(values), shape: shape.to_vec(), levels: 0, low: 0.0, high: 0.0 }
}

/// Exact while they are few, else rounded to 16 bits, and to 8 when they are many.
pub(in super::super) fn numbers(values: &[f32], shape: &[usize], chunks: &mut Chunks) -> payload::Numbers {
    if values.len() <= MOST_EXACT {
        exact(values, shape, chunks)
    } else {
        rounded(values, shape, if values.len() <= MOST_FINE { FINE } else { COARSE }).placed(chunks)
    }
}

/// Numbers for JSON, which knows none that is not finite.
pub(super) fn finite(values: &[f32]) -> Vec<Option<f32>> {
    values.iter().map(|&value| value.is_finite().then_some(value)).collect()
}

/// `count` of some places, evenly from the first to the last, with those that must be among them.
pub(super) fn evenly(all: usize, count: usize, must: &[usize]) -> Vec<usize> {
    if count >= all {
        return (0..all).collect();
    }
    let mut chosen: Vec<usize> = match count {
        0 | 1 => vec![0],
        _ => (0..count).map(|at| (at as f64 * (all - 1) as f64 / (count - 1) as f64).round() as usize).collect(),
    };
    for &wanted in must.iter().filter(|&&wanted| wanted < all) {
        if chosen.contains(&wanted) {
            continue;
        }
        // The nearest one that need not stay makes room.
        let free = chosen.iter().enumerate().filter(|(_, at)| !must.contains(at));
        match free.min_by_key(|(_, at)| at.abs_diff(wanted)).map(|(place, _)| place) {
            Some(place) => chosen[place] = wanted,
            None => chosen.push(wanted),
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::chunks::unpacked;

    #[test]
    fn rounds_between_the_ends_and_keeps_blanks() {
        let packed = rounded(&[-1.0, f32::NAN, 0.0, 3.0, f32::NEG_INFINITY], &[5], COARSE);
        assert_eq!(unpacked(&packed.text), [1, 0, 65, 255, 0]);
        assert_eq!((packed.numbers.low, packed.numbers.high), (-1.0, 3.0));
        let fine = rounded(&[0.0, 1.0], &[2], FINE);
        assert_eq!(unpacked(&fine.text), [0, 255, 1, 255]);
        let same = rounded(&[2.0, 2.0], &[2], COARSE);
        assert_eq!((unpacked(&same.text), same.numbers.low), (vec![1, 1], 2.0));
        assert_eq!(unpacked(&rounded(&[f32::NAN], &[1], COARSE).text), [0]);
    }

    #[test]
    fn chooses_evenly_with_what_must_stay() {
        assert_eq!(evenly(24, 4, &[]), [0, 8, 15, 23]);
        assert_eq!(evenly(24, 4, &[9]), [0, 9, 15, 23]);
        assert_eq!(evenly(3, 5, &[1]), [0, 1, 2]);
        assert_eq!(evenly(9, 1, &[4, 5]), [4, 5]);
        assert_eq!(evenly(9, 2, &[99]), [0, 8]);
    }
}
