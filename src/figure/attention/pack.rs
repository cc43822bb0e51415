//! Numbers as a page carries them: integers of 8 or 16 bits, or float32, deflated, in base64.

use rayon::prelude::*;

use super::super::chunks::{Chunks, deflated};
use super::payload;
use crate::array::Numbers;
use crate::attention::{Block, Layer, Quantity};
use crate::{Result, interrupt};

/// Up to so many weights a page carries 16 bits of each: they cost next to nothing, and a reader sees exact numbers.
const MOST_EXACT: usize = 120_000;
/// Up to so many where small errors would grow.
const MOST_FINE: usize = 6_000_000;

/// How the weights of a block are rounded.
pub(super) struct Rounding {
    levels: u16,
    scale: f32,
    kind: Quantity,
    /// Whether every weight above the diagonal is 0 and left out.
    pub causal: bool,
    /// Each number is the largest of `pool` x `pool` weights.
    pub pool: usize,
}

impl Rounding {
    pub(super) fn of(block: &Block, pool: usize) -> Result<Rounding> {
        Rounding::up_to(MOST_EXACT, block, pool)
    }

    /// For weights that are multiplied with each other: 16 bits of each as far as a page can bear.
    pub(super) fn fine(block: &Block) -> Result<Rounding> {
        Rounding::up_to(MOST_FINE, block, 1)
    }

    fn up_to(most_exact: usize, block: &Block, pool: usize) -> Result<Rounding> {
        let (t, s) = (block.queries.len(), block.keys.len());
        let causal = block.is_causal()?;
        let heads: usize = block.layers.iter().map(|layer| layer.heads.len()).sum();
        let each = if causal { t * (t + 1) / 2 } else { t * s };
        let levels = if heads * each / (pool * pool) <= most_exact { u16::MAX } else { 255 };
        let scale = match block.kind {
            // Half precision leaves a weight a little above 1.
            Quantity::Probability => highest(block)?.max(1.0),
            Quantity::Weight | Quantity::Difference => largest(block)?,
        };
        Ok(Rounding { levels, scale, kind: block.kind, causal, pool })
    }

    /// The most that a weight is off.
    pub(super) fn error(&self) -> f32 {
        let step = self.scale / f32::from(self.levels);
        if self.kind == Quantity::Difference { step } else { step / 2.0 }
    }

    /// What the scripts must know to turn integers back into weights.
    pub(super) fn describe(&self) -> payload::Weights {
        payload::Weights {
            levels: self.levels,
            scale: self.scale,
            error: self.error(),
            causal: self.causal,
            pool: self.pool,
            kind: match self.kind {
                Quantity::Probability => "probability",
                Quantity::Weight => "weight",
                Quantity::Difference => "difference",
            },
        }
    }

    fn integer(&self, weight: f32) -> u16 {
        let part = weight / self.scale;
        let part = if self.kind == Quantity::Difference { (part + 1.0) / 2.0 } else { part };
        (part.clamp(0.0, 1.0) * f32::from(self.levels)).round() as u16
    }

    /// The weights (heads,T,S) of a layer.
    fn layer(&self, weights: &[f32], queries: usize, keys: usize) -> String {
        let mut integers = Vec::with_capacity(weights.len());
        for head in weights.chunks(queries * keys) {
            if self.pool > 1 {
                self.pooled(head, keys, &mut integers);
                continue;
            }
            for (query, row) in head.chunks(keys).enumerate() {
                let seen = if self.causal { &row[..=query] } else { row };
                integers.extend(seen.iter().map(|&weight| self.integer(weight)));
            }
        }
        let bytes: Vec<u8> = match self.levels {
            255 => integers.iter().map(|&it| it as u8).collect(),
            _ => integers.iter().map(|it| (it >> 8) as u8).chain(integers.iter().map(|&it| it as u8)).collect(),
        };
        deflated(&bytes)
    }

    /// The largest weight of every square of `pool` x `pool`.
    fn pooled(&self, head: &[f32], keys: usize, integers: &mut Vec<u16>) {
        let width = keys.div_ceil(self.pool);
        for (place, rows) in head.chunks(keys * self.pool).enumerate() {
            let mut most = vec![f32::MIN; width];
            for row in rows.chunks(keys) {
                for (most, square) in most.iter_mut().zip(row.chunks(self.pool)) {
                    *most = square
                        .iter()
                        .copied()
                        .fold(*most, |a, b| if b.abs() > a.abs() || a == f32::MIN { b } else { a });
                }
            }
            let seen = if self.causal { &most[..=place.min(width - 1)] } else { &most[..] };
            integers.extend(seen.iter().map(|&weight| self.integer(weight)));
        }
    }
}

/// The layers of a block, each a chunk; what the scripts must know of each.
pub(super) fn layers(block: &Block, rounding: &Rounding, chunks: &mut Chunks) -> Result<Vec<payload::Layer>> {
    let numbers = block.layers.iter().map(|layer| Numbers::of(&layer.weights)).collect::<Result<Vec<Numbers>>>()?;
    let numbers: Vec<&[f32]> = numbers.iter().map(Numbers::data).collect();
    let (queries, keys) = (block.queries.len(), block.keys.len());
    let pack = |weights: &&[f32]| interrupt::check().map(|()| rounding.layer(weights, queries, keys));
    let packed: Vec<String> = numbers.par_iter().map(pack).collect::<Result<_>>()?;
    let describe = |(layer, packed): (&Layer, String)| {
        payload::Layer::Weights(payload::WeightLayer {
            layer: layer.number,
            heads: layer.heads.clone(),
            key_heads: (layer.key_heads != layer.heads).then(|| layer.key_heads.clone()),
            chunk: chunks.add(packed),
        })
    };
    Ok(block.layers.iter().zip(packed).map(describe).collect())
}

/// The largest size of a weight; 1 where all are 0.
pub(super) fn largest(block: &Block) -> Result<f32> {
    let mut most = 0f64;
    for layer in &block.layers {
        most = most.max(layer.weights.f_abs()?.f_max()?.f_double_value(&[])?);
    }
    Ok(if most > 0.0 { most as f32 } else { 1.0 })
}

/// The largest weight of a block that has none below 0.
fn highest(block: &Block) -> Result<f32> {
    let mut most = 0f64;
    for layer in block.layers.iter().filter(|layer| !layer.heads.is_empty()) {
        most = most.max(layer.weights.f_max()?.f_double_value(&[])?);
    }
    Ok(most as f32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::attention::{Attention, Matrices};
    use crate::figure::chunks::unpacked;

    fn block(rows: &[&[f32]]) -> Block {
        let t = rows.len();
        let weights = ndarray::Array3::from_shape_vec((1, t, t), rows.concat()).unwrap();
        let tokens = (0..t).map(|it| it.to_string());
        crate::attention::Attention::new(tokens, weights).unwrap().blocks()[0].clone()
    }

    /// The weights that a page's scripts read, (heads,T,T).
    fn read_back(rounding: &Rounding, text: &str, heads: usize, t: usize) -> Vec<f32> {
        let (said, bytes) = (rounding.describe(), unpacked(text));
        let count = bytes.len() / if said.levels == 255 { 1 } else { 2 };
        let integer = |at: usize| match said.levels {
            255 => u16::from(bytes[at]),
            _ => u16::from_be_bytes([bytes[at], bytes[count + at]]),
        };
        let mut next = (0..count).map(integer);
        let mut weights = Vec::new();
        for (query, key) in (0..heads).flat_map(|_| (0..t).flat_map(move |query| (0..t).map(move |key| (query, key)))) {
            let part =
                if said.causal && key > query { 0.0 } else { f32::from(next.next().unwrap()) / f32::from(said.levels) };
            weights.push(if said.kind == "difference" { (2.0 * part - 1.0) * said.scale } else { part * said.scale });
        }
        assert_eq!(next.next(), None);
        weights
    }

    /// Weights of up to three heads over up to six tokens, masked or not.
    fn weights() -> impl Strategy<Value = (usize, usize, Vec<f32>)> {
        (1usize..4, 1usize..7, any::<bool>()).prop_flat_map(|(heads, t, causal)| {
            prop::collection::vec(0.0f32..1.0, heads * t * t).prop_map(move |mut weights| {
                for (at, weight) in weights.iter_mut().enumerate() {
                    if causal && at % t > at / t % t {
                        *weight = 0.0;
                    }
                }
                (heads, t, weights)
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// What a page shows is as near to the weights as its caption says: probabilities, whose rows may be as far from 1
        /// as half precision leaves them, and weights of any size.
        #[test]
        fn weights_come_back_within_the_error_that_is_said(
            (heads, t, weights) in weights(),
            off in 0.985f32..1.015,
            size in prop_oneof![1e-6f32..1e-3, 0.5f32..2.0, 1e3f32..1e9],
            levels in prop::sample::select(vec![255, u16::MAX]),
        ) {
            let rows = |weights: &[f32]| -> Vec<f32> {
                let row = |row: &[f32]| row.iter().map(|it| it / row.iter().sum::<f32>().max(1e-30) * off).collect::<Vec<_>>();
                weights.chunks(t).flat_map(row).collect()
            };
            let array = |numbers: Vec<f32>| Matrices::from(ndarray::Array3::from_shape_vec((heads, t, t), numbers).unwrap());
            let tokens = || (0..t).map(|it| it.to_string());
            let probabilities = rows(&weights);
            let any_size: Vec<f32> = weights.iter().map(|weight| weight * size).collect();
            for (attention, expected) in [
                (Attention::new(tokens(), array(probabilities.clone())).unwrap(), probabilities),
                (Attention::weighted(tokens(), array(any_size.clone())).unwrap(), any_size),
            ] {
                let block = &attention.blocks()[0];
                let rounding = Rounding { levels, ..Rounding::of(block, 1).unwrap() };
                let mut chunks = Chunks::default();
                layers(block, &rounding, &mut chunks).unwrap();
                let back = read_back(&rounding, &chunks.0[0], heads, t);
                // Beside it only what float32 itself rounds.
                let most = rounding.error() + 4.0 * f32::EPSILON * rounding.describe().scale;
                for (got, expected) in back.iter().zip(&expected) {
                    prop_assert!((got - expected).abs() <= most, "{expected} became {got}, at most {most} is said");
                }
            }
        }
    }

    #[test]
    fn a_causal_block_leaves_out_what_is_never_seen() {
        let block = block(&[&[1.0, 0.0, 0.0], &[0.25, 0.75, 0.0], &[0.5, 0.25, 0.25]]);
        let rounding = Rounding::of(&block, 1).unwrap();
        assert!(rounding.causal && rounding.error() < 1e-5);
        let mut chunks = Chunks::default();
        let layers = layers(&block, &rounding, &mut chunks).unwrap();
        assert_eq!(serde_json::to_value(&layers[0]).unwrap()["chunk"], 0);
        let bytes = unpacked(&chunks.0[0]);
        let integers: Vec<u16> = (0..6).map(|at| u16::from_be_bytes([bytes[at], bytes[6 + at]])).collect();
        assert_eq!(integers, [65535, 16384, 49151, 32768, 16384, 16384]);
    }

    #[test]
    fn long_texts_are_pooled_by_the_largest() {
        let block = block(&[&[0.5, 0.5, 0.0], &[0.1, 0.2, 0.7], &[0.9, 0.1, 0.0]]);
        let rounding = Rounding::of(&block, 2).unwrap();
        let mut chunks = Chunks::default();
        layers(&block, &rounding, &mut chunks).unwrap();
        let bytes = unpacked(&chunks.0[0]);
        let back: Vec<f32> =
            (0..4).map(|at| f32::from(u16::from_be_bytes([bytes[at], bytes[4 + at]])) / 65535.0).collect();
        for (got, expected) in back.iter().zip([0.5, 0.7, 0.9, 0.0]) {
            assert!((got - expected).abs() < 1e-5, "{back:?}");
        }
    }
}
