//! Position kernels: what a head's scores owe to the distance between query and key alone.

mod of_model;
mod of_run;

use std::fmt;
use std::ops::RangeInclusive;

use crate::{Array, Error, Result};

/// What position alone does to the scores of a model's heads, by the offset between key and query.
///
/// [`Model::position_kernels`](crate::Model::position_kernels) reads it from the weights, where a family has such a
/// number; [`Trace::position_kernels`](crate::Trace::position_kernels) measures it in a run of any family.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionKernels {
    /// Name of the model.
    pub model: String,
    /// One for each kind, block and set of layers that share it.
    pub kernels: Vec<Kernel>,
}

/// The kernels of all heads of some layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernel {
    /// The block: `encoder`, `decoder`, or `all` where there is one stack.
    pub block: String,
    /// The layers that share it.
    pub layers: Vec<usize>,
    /// Where it comes from.
    pub kind: KernelKind,
    /// Place of the key less that of the query, ascending: negative ones look back.
    pub offsets: Vec<i64>,
    /// What is added to the scaled scores, (H, offsets); one row where all heads have the same.
    pub values: Array,
    /// The standard deviation over the pairs of positions at an offset (H, offsets), where the kernel was measured.
    pub spread: Option<Array>,
    /// How many pairs of positions stand at each offset, where the kernel was measured.
    pub counts: Option<Vec<usize>>,
    /// Whether keys after the query are hidden from it.
    pub causal: bool,
}

/// Where a kernel comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KernelKind {
    /// A learned number for each bucket of distances (T5, MPNet): exact, whatever the text.
    Bias,
    /// A slope for each head (ALiBi): exact, whatever the text, but for Falcon, which rounds slope times place to bfloat16
    /// before it takes differences.
    Slopes,
    /// What distances give through matrices of each layer, with no content but the projections' biases (XLNet,
    /// DeBERTa).
    Distances,
    /// The mean over a run's queries of the score at an offset, content and position together.
    Mean,
    /// What the rotation leaves of the product of a query and an equal key, its length spread evenly over the pairs of
    /// numbers that turn together, as a share of that product at offset 0; the same for all heads.
    Rotation,
    /// The scores of layer 0 if the token embeddings were all zero, at an offset's mean over a run's positions: position
    /// embeddings through the layer's queries and keys.
    Embeddings,
}

impl fmt::Display for KernelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KernelKind::Bias => "learned bias by distance",
            KernelKind::Slopes => "slope by distance (ALiBi)",
            KernelKind::Distances => "vectors of distances, without content",
            KernelKind::Mean => "mean score over this text",
            KernelKind::Rotation => "rotation of an equal query and key",
            KernelKind::Embeddings => "position embeddings alone",
        })
    }
}

impl KernelKind {
    /// Whether the kernel holds for every text.
    pub fn is_exact(self) -> bool {
        matches!(self, KernelKind::Bias | KernelKind::Slopes | KernelKind::Distances | KernelKind::Rotation)
    }
}

impl Kernel {
    /// What each head would attend to if content were constant: the exponential of its kernel over the offsets of
    /// `window`, scaled so that each row (H, offsets in the window) sums to 1. Offsets that the kernel does not have are
    /// left out, and in a causal one those after the query. A softmax does not see what is added to all of a row alike,
    /// so a kernel's own zero does not matter here.
    ///
    /// # Errors
    /// When the window holds no offset of the kernel.
    pub fn attention(&self, window: RangeInclusive<i64>) -> Result<(Vec<i64>, Array)> {
        let seen = |&(_, offset): &(usize, &i64)| window.contains(offset) && !(self.causal && *offset > 0);
        let places: Vec<(usize, &i64)> = self.offsets.iter().enumerate().filter(seen).collect();
        let whole = places.iter().filter(|(place, _)| self.row(0).get(*place).is_some_and(|value| value.is_finite()));
        if whole.count() == 0 {
            return Err(Error::Trajectory {
                what: format!("window {} to {}", window.start(), window.end()),
                problem: format!("holds no offset of this kernel; it has {}", self.reach()),
            });
        }
        let mut shares = Vec::with_capacity(self.heads() * places.len());
        for head in 0..self.heads() {
            let row: Vec<f32> = places.iter().map(|&(place, _)| self.row(head)[place]).collect();
            let largest = row.iter().copied().filter(|value| value.is_finite()).fold(f32::NEG_INFINITY, f32::max);
            let exp = |value: &f32| if value.is_finite() { f64::from(value - largest).exp() } else { 0.0 };
            let sum: f64 = row.iter().map(exp).sum();
            shares.extend(row.iter().map(|value| (exp(value) / sum) as f32));
        }
        let shares = Array::new(&[self.heads(), places.len()], shares)?;
        Ok((places.into_iter().map(|(_, offset)| *offset).collect(), shares))
    }

    /// Number of rows.
    pub fn heads(&self) -> usize {
        self.values.shape().first().copied().unwrap_or_default()
    }

    /// The kernel of one head, a number for each offset; empty where there is no such head.
    pub fn row(&self, head: usize) -> &[f32] {
        let wide = self.offsets.len();
        self.values.data().get(head * wide..(head + 1) * wide).unwrap_or_default()
    }

    fn reach(&self) -> String {
        match (self.offsets.first(), self.offsets.last()) {
            (Some(first), Some(last)) => format!("offsets {first} to {last}"),
            _ => "none".to_owned(),
        }
    }
}

impl fmt::Display for PositionKernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "position kernels of {}", self.model)?;
        for kernel in &self.kernels {
            let layers = crate::text::list(&kernel.layers);
            let (heads, reach) = (kernel.heads(), kernel.reach());
            write!(f, "\n  {}, layers {layers}: {}, {heads} heads, {reach}", kernel.block, kernel.kind)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(causal: bool) -> Kernel {
        let values = vec![0.0, 1.0, 2.0, 3.0, 4.0, f32::NAN, 5.0, 5.0, 5.0, 5.0];
        Kernel {
            block: "all".to_owned(),
            layers: vec![0],
            kind: KernelKind::Bias,
            offsets: (-2..=2).collect(),
            values: Array::new(&[2, 5], values).unwrap(),
            spread: None,
            counts: None,
            causal,
        }
    }

    #[test]
    fn constant_content_leaves_the_softmax_of_the_kernel() {
        let (offsets, shares) = kernel(false).attention(-1..=1).unwrap();
        assert_eq!(offsets, [-1, 0, 1]);
        let e = 1f64.exp();
        let wanted = [1.0, e, e * e].map(|part| (part / (1.0 + e + e * e)) as f32);
        assert!(shares.data().iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6), "{shares:?}");
        assert_eq!(shares.row(1).unwrap().data(), [1.0 / 3.0; 3]);
    }

    #[test]
    fn causal_kernels_look_back_only_and_gaps_get_nothing() {
        let (offsets, shares) = kernel(true).attention(-9..=9).unwrap();
        assert_eq!(offsets, [-2, -1, 0]);
        assert_eq!(shares.row(1).unwrap().data()[0], 0.0);
        let problem = kernel(true).attention(1..=2).unwrap_err().to_string();
        assert_eq!(problem, "window 1 to 2 holds no offset of this kernel; it has offsets -2 to 2");
    }
}
