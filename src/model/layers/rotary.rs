//! Rotation of queries and keys by position (RoPE).

use std::ops::Range;

use tch::{Kind, Tensor};

use crate::Result;
use crate::model::Tokens;
use crate::model::architecture::{self, Pairing};

/// A rotation of head vectors.
#[derive(Debug)]
pub(crate) struct Rotary {
    plan: architecture::Rotary,
    device: tch::Device,
}

/// Cosines and sines (T, pairs) of some positions.
#[derive(Debug)]
pub(crate) struct Angles {
    cos: Tensor,
    sin: Tensor,
}

impl Rotary {
    pub(crate) fn new(plan: &architecture::Rotary, device: tch::Device) -> Rotary {
        Rotary { plan: plan.clone(), device }
    }

    /// Whether prompts of these lengths have the same angles.
    pub(crate) fn turns_alike(&self, tokens: usize, others: usize) -> bool {
        self.plan.stretch.is_none() || self.plan.frequencies(tokens) == self.plan.frequencies(others)
    }

    /// The angles of `positions` in a prompt of `tokens`, for tensors of type `kind`.
    pub(crate) fn angles(&self, positions: &Tensor, tokens: usize, kind: Kind) -> Result<Angles> {
        let frequencies = Tensor::f_from_slice(&self.plan.frequencies(tokens))?.f_to_device(self.device)?;
        let turns = positions.f_to_kind(Kind::Float)?.f_unsqueeze(-1)?.f_mul(&frequencies)?;
        let table = |t: Tensor| -> Result<Tensor> { Ok(t.f_mul_scalar(self.plan.magnitude)?.f_to_kind(kind)?) };
        Ok(Angles { cos: table(turns.f_cos()?)?, sin: table(turns.f_sin()?)? })
    }

    /// The angles of the positions `here` of a run, whose places in their own texts are `places`: a text that is run
    /// together with others turns as its own length says.
    pub(crate) fn angles_of(
        &self,
        tokens: &Tokens,
        here: &Range<usize>,
        places: &Tensor,
        kind: Kind,
    ) -> Result<Angles> {
        if self.plan.stretch.is_none() {
            return self.angles(places, tokens.len(), kind);
        }
        let mut parts = Vec::new();
        for text in tokens.texts() {
            let (start, end) = (text.start.max(here.start), text.end.min(here.end));
            if start < end {
                let places = places.f_narrow(0, (start - here.start) as i64, (end - start) as i64)?;
                parts.push(self.angles(&places, text.len(), kind)?);
            }
        }
        let all = |table: fn(&Angles) -> &Tensor| Tensor::f_cat(&parts.iter().map(table).collect::<Vec<_>>(), 0);
        Ok(Angles { cos: all(|angles| &angles.cos)?, sin: all(|angles| &angles.sin)? })
    }

    /// `x` (heads,T,d), each position turned by its angles.
    pub(crate) fn turn(&self, x: &Tensor, angles: &Angles) -> Result<Tensor> {
        self.apply(x, &angles.cos, &angles.sin)
    }

    /// The transpose of [`turn`](Self::turn): undoes the rotation (and, under YaRN, multiplies by the magnitude
    /// once more instead of dividing), so that (turn x)·y = x·(turn_transposed y).
    pub(crate) fn turn_transposed(&self, x: &Tensor, angles: &Angles) -> Result<Tensor> {
        self.apply(x, &angles.cos, &angles.sin.f_neg()?)
    }

    fn apply(&self, x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
        let pairs = cos.size()[cos.dim() - 1];
        let width = x.size()[x.dim() - 1];
        let turning = x.f_narrow(-1, 0, 2 * pairs)?;
        let (a, b) = match self.plan.pairing {
            Pairing::Halves => (turning.f_narrow(-1, 0, pairs)?, turning.f_narrow(-1, pairs, pairs)?),
            Pairing::Neighbours => (turning.f_slice(-1, 0, None, 2)?, turning.f_slice(-1, 1, None, 2)?),
        };
        let turned_a = a.f_mul(cos)?.f_sub(&b.f_mul(sin)?)?;
        let turned_b = b.f_mul(cos)?.f_add(&a.f_mul(sin)?)?;
        let turned = match self.plan.pairing {
            Pairing::Halves => Tensor::f_cat(&[turned_a, turned_b], -1)?,
            Pairing::Neighbours => Tensor::f_stack(&[turned_a, turned_b], -1)?.f_flatten(-2, -1)?,
        };
        if 2 * pairs == width {
            return Ok(turned);
        }
        Ok(Tensor::f_cat(&[turned, x.f_narrow(-1, 2 * pairs, width - 2 * pairs)?], -1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_there_and_back_changes_nothing_and_scores_depend_on_distance_only() {
        for pairing in [Pairing::Halves, Pairing::Neighbours] {
            let plan = architecture::Rotary { pairing, frequencies: vec![1.0, 0.1], magnitude: 1.0, stretch: None };
            let rotary = Rotary::new(&plan, tch::Device::Cpu);
            let x = Tensor::from_slice(&[0.3f32, -1.0, 2.0, 0.7, 5.0]).reshape([1, 1, 5]).expand([1, 4, 5], false);
            let angles = rotary.angles(&Tensor::from_slice(&[0i64, 3, 10, 13]), 14, Kind::Float).unwrap();
            let turned = rotary.turn(&x, &angles).unwrap();
            let back = rotary.turn_transposed(&turned, &angles).unwrap();
            assert!((back - &x).abs().max().double_value(&[]) < 1e-6);
            let dot = |i, j| turned.select(1, i).dot_product(&turned.select(1, j));
            assert!((dot(0, 1) - dot(2, 3)).abs() < 1e-5);
        }
    }

    trait Dot {
        fn dot_product(&self, other: &Tensor) -> f64;
    }

    impl Dot for Tensor {
        fn dot_product(&self, other: &Tensor) -> f64 {
            (self * other).sum(Kind::Double).double_value(&[])
        }
    }
}
