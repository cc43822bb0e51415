//! Attention through all layers: what reaches a position from each token of the input.

use tch::{Device, Kind, Tensor};

use super::derived::normalised;
use super::{Attention, Block, Layer, Quantity};
use crate::array::Numbers;
use crate::text::list;
use crate::{Error, Result, interrupt};

impl Attention {
    /// Attention rollout after Abnar & Zuidema 2020, "Quantifying attention flow in transformers" (arXiv 2005.00928):
    /// how much of each token of the input is in each position after layer l, if all that moved information were
    /// attention, averaged over heads. With Aₗ that mean (T,T), Rₗ = Aₗ Rₗ₋₁ from R₀ = A₀; with `residual` each Aₗ is
    /// ½ Aₗ + ½ I, as half of what leaves a layer bypassed its heads. Rows are scaled to sum to 1.
    ///
    /// The block `rollout` has a layer of one head, number 0, for each layer of `all`; an encoder-decoder has
    /// `encoder rollout`, `decoder rollout` and, for the source tokens in the decoder's positions, `cross rollout`:
    /// Cₗ = ½ (½ Aₗ + ½ I) Cₗ₋₁ + ½ Xₗ E with the mean cross attention Xₗ (T,S) and the encoder's last rollout E (S,S);
    /// without `residual` Xₗ E. Its rows do not sum to 1: the rest comes from the decoder's own tokens.
    ///
    /// In a causal model the first position sees nothing but itself, and every other one passes some of its share on to
    /// it: after many layers everything comes from there, whatever the heads do, and earlier layers say more.
    ///
    /// ```
    /// # fn main() -> flowlens::Result<()> {
    /// use flowlens::attention::Attention;
    ///
    /// let layer = flowlens::ndarray::array![[[1.0f32, 0.0], [0.5, 0.5]]];
    /// let rollout = Attention::new(["to", "be"], [layer.clone(), layer])?.rollout(false)?;
    /// // After two layers a quarter of "be" is left in its place.
    /// assert_eq!(rollout.weights("rollout", 1, 0)?.get(&[1, 1]), Some(0.25));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When a layer is missing, or a block holds differences.
    pub fn rollout(&self, residual: bool) -> Result<Attention> {
        interrupt::during("attention rollout", || self.rolled_out(residual))
    }

    fn rolled_out(&self, residual: bool) -> Result<Attention> {
        let mut blocks = Vec::new();
        for block in self.blocks.iter().filter(|block| block.to_itself) {
            let mut reached: Vec<Tensor> = Vec::with_capacity(block.layers.len());
            for step in steps(block, residual)? {
                interrupt::check()?;
                let next = match reached.last() {
                    Some(before) => step.f_matmul(before)?,
                    None => step,
                };
                reached.push(next);
            }
            blocks.push(made(block, computed(&block.name, "rollout"), Quantity::Probability, reached)?);
        }
        if let Some(cross) = self.cross_rollout(&blocks, residual)? {
            blocks.push(cross);
        }
        if blocks.is_empty() {
            return Err(nothing_to_itself());
        }
        Attention::of_blocks(self.model.clone(), blocks)
    }

    /// The source tokens in the decoder's positions, where there are both stacks and what lies between.
    fn cross_rollout(&self, rolled: &[Block], residual: bool) -> Result<Option<Block>> {
        let find = |blocks: &[Block], name: &str| blocks.iter().position(|block| block.name == name);
        let found = (find(rolled, "encoder rollout"), find(&self.blocks, "decoder"), find(&self.blocks, "cross"));
        let (Some(encoder), Some(decoder), Some(cross)) = found else { return Ok(None) };
        let (decoder, cross) = (&self.blocks[decoder], &self.blocks[cross]);
        let Some(source) = rolled[encoder].layers.last() else { return Ok(None) };
        let source = source.weights.f_get(0)?;
        let (own, across) = (steps(decoder, residual)?, means(cross)?);
        if own.len() != across.len() {
            return Err(missing(cross));
        }
        let mut reached: Vec<Tensor> = Vec::with_capacity(own.len());
        for (own, across) in own.iter().zip(&across) {
            let mut next = normalised(across)?.f_matmul(&source)?;
            if residual {
                next = next.f_mul_scalar(0.5)?;
                if let Some(before) = reached.last() {
                    next = next.f_add(&own.f_matmul(before)?.f_mul_scalar(0.5)?)?;
                }
            }
            reached.push(next);
        }
        Ok(Some(made(cross, computed(&cross.name, "rollout"), Quantity::Weight, reached)?))
    }
}

impl Attention {
    /// The heads' means of the blocks whose text attends to itself, under their names: what a page multiplies. They
    /// count as the same run.
    pub(crate) fn means_to_itself(&self) -> Result<Attention> {
        let mean = |block: &Block| -> Result<Block> {
            let mut mean = made(block, block.name.clone(), Quantity::Probability, steps(block, false)?)?;
            // A text as a whole is followed: its parts have no layers of their own.
            mean.second = None;
            Ok(mean)
        };
        let blocks = self.blocks.iter().filter(|block| block.to_itself).map(mean).collect::<Result<Vec<_>>>()?;
        match blocks.is_empty() {
            true => Err(nothing_to_itself()),
            false => Ok(Attention { model: self.model.clone(), blocks, run: self.run }),
        }
    }
}

impl Block {
    /// One row of the rollout behind each layer (T).
    pub(crate) fn rolled(&self, query: usize, residual: bool) -> Result<Vec<Vec<f32>>> {
        let steps = steps(self, residual)?;
        let behind = |(last, step): (usize, &Tensor)| {
            let mut row = step.f_get(query as i64)?;
            for before in steps[..last].iter().rev() {
                row = before.f_transpose(0, 1)?.f_mv(&row)?;
            }
            Ok(Numbers::of(&row)?.data().to_vec())
        };
        steps.iter().enumerate().map(behind).collect()
    }
}

/// The mean (T,S) over heads of each layer; the layers must be all that there are.
pub(super) fn means(block: &Block) -> Result<Vec<Tensor>> {
    if block.kind == Quantity::Difference {
        return Err(Error::Attention(format!(
            "block {} holds differences, which do not flow; take each side by itself",
            block.name
        )));
    }
    if block.layers.iter().enumerate().any(|(place, layer)| layer.number != place) {
        return Err(missing(block));
    }
    let mean = |layer: &Layer| Ok(layer.weights.f_mean_dim(0i64, false, Kind::Float)?);
    block.layers.iter().map(mean).collect()
}

/// What each layer (T,T) does to positions: rows of sum 1.
pub(super) fn steps(block: &Block, residual: bool) -> Result<Vec<Tensor>> {
    let own = Tensor::f_eye(block.queries.len() as i64, (Kind::Float, Device::Cpu))?;
    let step = |mean: Tensor| {
        let mean = normalised(&mean)?;
        if residual { normalised(&mean.f_add(&own)?) } else { Ok(mean) }
    };
    means(block)?.into_iter().map(step).collect()
}

fn missing(block: &Block) -> Error {
    Error::Attention(format!(
        "block {} has layers {}; what reaches a position goes through every layer from 0 on, so keep the pattern of each",
        block.name,
        list(&block.layers())
    ))
}

pub(super) fn nothing_to_itself() -> Error {
    Error::Attention(
        "no block's text attends to itself, as rollout and flow need it; give such a block as well".to_owned(),
    )
}

/// What was computed of a block, a matrix (T,S) for each of its layers.
pub(super) fn made(block: &Block, name: String, kind: Quantity, matrices: Vec<Tensor>) -> Result<Block> {
    let layer = |(layer, weights): (&Layer, Tensor)| -> Result<Layer> {
        let weights = weights.f_unsqueeze(0)?.f_contiguous()?;
        Ok(Layer { number: layer.number, heads: vec![0], key_heads: vec![0], weights, written: None })
    };
    let layers = block.layers.iter().zip(matrices).map(layer).collect::<Result<_>>()?;
    Ok(Block { name, kind, layers, ..block.clone() })
}

/// The name of what was computed of a block.
pub(super) fn computed(block: &str, what: &str) -> String {
    if block == "all" { what.to_owned() } else { format!("{block} {what}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    fn near(attention: &Attention, block: &str, layer: usize, expected: &[f32]) {
        let got = attention.weights(block, layer, 0).unwrap();
        assert!(got.data().iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?}, expected {expected:?}");
        assert_eq!(got.data().len(), expected.len());
    }

    #[test]
    fn multiplies_the_mean_of_heads_from_layer_to_layer() {
        let first = array![[[1.0f32, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]];
        let last = array![[[1.0f32, 0.0], [0.2, 0.8]]];
        let attention = Attention::new(["a", "b"], [first, last]).unwrap();
        let plain = attention.rollout(false).unwrap();
        assert_eq!(plain.names(), ["rollout"]);
        near(&plain, "rollout", 0, &[1.0, 0.0, 0.5, 0.5]);
        near(&plain, "rollout", 1, &[1.0, 0.0, 0.2 + 0.8 * 0.5, 0.8 * 0.5]);
        let past = attention.rollout(true).unwrap();
        near(&past, "rollout", 0, &[1.0, 0.0, 0.25, 0.75]);
        near(&past, "rollout", 1, &[1.0, 0.0, 0.1 + 0.9 * 0.25, 0.9 * 0.75]);
        assert_eq!(past.blocks()[0].kind(), Quantity::Probability);
    }

    #[test]
    fn a_query_that_sees_nothing_keeps_what_it_has() {
        let weights = array![[[0.0f32, 0.0], [0.5, 0.5]]];
        let past = Attention::new(["a", "b"], [weights]).unwrap().rollout(true).unwrap();
        near(&past, "rollout", 0, &[1.0, 0.0, 0.25, 0.75]);
    }

    #[test]
    fn follows_source_tokens_into_the_decoder() {
        let encoder = array![[[0.5f32, 0.5], [0.0, 1.0]]];
        let (first, last) = (array![[[1.0f32]]], array![[[1.0f32]]]);
        let (across, again) = (array![[[1.0f32, 0.0]]], array![[[0.0f32, 1.0]]]);
        let attention =
            Attention::encoder_decoder(["a", "b"], ["x"], [encoder], [first, last], [across, again]).unwrap();
        let plain = attention.rollout(false).unwrap();
        assert_eq!(plain.names(), ["encoder rollout", "decoder rollout", "cross rollout"]);
        near(&plain, "cross rollout", 0, &[0.5, 0.5]);
        near(&plain, "cross rollout", 1, &[0.0, 1.0]);
        let past = attention.rollout(true).unwrap();
        // The encoder's rollout is (0.75 0.25 / 0 1); the decoder's own attention is all to itself.
        near(&past, "cross rollout", 0, &[0.375, 0.125]);
        near(&past, "cross rollout", 1, &[0.1875, 0.0625 + 0.5]);
        assert_eq!(past.block("cross rollout").unwrap().kind(), Quantity::Weight);
    }

    #[test]
    fn wants_every_layer() {
        let even = Array3::from_elem((1, 2, 2), 0.5f32);
        let mut attention = Attention::new(["a", "b"], [even.clone(), even.clone(), even.clone()]).unwrap();
        attention.blocks[0].layers.remove(1);
        let problem = attention.rollout(true).unwrap_err().to_string();
        assert!(problem.contains("block all has layers 0, 2; what reaches"), "{problem}");
        let cross = Attention::between(["a", "b"], ["x", "y"], [even]).unwrap();
        assert!(cross.rollout(true).unwrap_err().to_string().contains("no block's text attends to itself"));
    }
}
