//! Products of mean attention from a layer to the last one.

use tch::Tensor;

use super::derived::normalised;
use super::rollout::{computed, made, means, nothing_to_itself, steps};
use super::{Attention, Block, Quantity};
use crate::{Error, Result, interrupt};

impl Attention {
    /// Attribution after Singh 2023 (arXiv 2308.10874): how much of what enters layer l is in each position at the end,
    /// if all that moved information were attention, averaged over heads. With Aₗ that mean (T,T) of L layers,
    /// Rₗ = A_{L−1} … Aₗ: no part of the stream bypasses the heads, unlike in a [`rollout`](Attention::rollout).
    ///
    /// The block `attribution` has a layer of one head, number 0, for each layer of `all`; an encoder-decoder has
    /// `encoder attribution`, `decoder attribution`, and two more. With Cₗ the mean cross attention (T,S):
    /// `cross attribution` is Xₗ = C_{L−1} + Σ Rₘ₊₁ Cₘ over m from l to L−2, each row scaled to sum 1, and
    /// `source attribution` X₀ Rₗ with the encoder's Rₗ: from what enters the encoder's layer l to the decoder's output.
    ///
    /// # Errors
    /// When a layer is missing, or a block holds differences.
    pub fn attribution(&self) -> Result<Attention> {
        interrupt::during("attribution", || self.attributed())
    }

    fn attributed(&self) -> Result<Attention> {
        let mut blocks = Vec::new();
        for block in self.blocks.iter().filter(|block| block.to_itself) {
            blocks.push(made(block, computed(&block.name, "attribution"), Quantity::Probability, backwards(block)?)?);
        }
        let find = |name: &str| self.blocks.iter().find(|block| block.name == name);
        if let (Some(encoder), Some(decoder), Some(cross)) = (find("encoder"), find("decoder"), find("cross")) {
            let across = across(decoder, cross)?;
            let first = across.first().map(Tensor::shallow_clone);
            blocks.push(made(cross, "cross attribution".to_owned(), Quantity::Probability, across)?);
            if let Some(first) = first {
                let reached =
                    backwards(encoder)?.iter().map(|step| Ok(first.f_matmul(step)?)).collect::<Result<_>>()?;
                // Tokens of the decoder reached, those of the encoder left, layers of the encoder.
                let shape = Block { queries: cross.queries.clone(), to_itself: false, ..encoder.clone() };
                blocks.push(made(&shape, "source attribution".to_owned(), Quantity::Probability, reached)?);
            }
        }
        if blocks.is_empty() {
            return Err(nothing_to_itself());
        }
        Attention::of_blocks(self.model.clone(), blocks)
    }
}

/// Rₗ of each layer.
fn backwards(block: &Block) -> Result<Vec<Tensor>> {
    let mut reached: Vec<Tensor> = Vec::new();
    for step in steps(block, false)?.into_iter().rev() {
        interrupt::check()?;
        let next = match reached.last() {
            Some(behind) => behind.f_matmul(&step)?,
            None => step,
        };
        reached.push(next);
    }
    reached.reverse();
    Ok(reached)
}

/// Xₗ of each layer of the decoder.
fn across(decoder: &Block, cross: &Block) -> Result<Vec<Tensor>> {
    let (behind, means) = (backwards(decoder)?, means(cross)?);
    if behind.len() != means.len() {
        return Err(Error::Attention(format!(
            "blocks {} and {} have not the same layers; keep the patterns of all",
            decoder.name, cross.name
        )));
    }
    let mut reached: Vec<Tensor> = Vec::new();
    for (layer, mean) in means.iter().enumerate().rev() {
        let next = match (reached.last(), behind.get(layer + 1)) {
            (Some(sum), Some(step)) => sum.f_add(&step.f_matmul(mean)?)?,
            _ => mean.shallow_clone(),
        };
        reached.push(next);
    }
    reached.iter().rev().map(normalised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_last_layer_stands_leftmost() {
        let (first, last) = (array![[[1.0f32, 0.0], [1.0, 0.0]]], array![[[1.0f32, 0.0], [0.25, 0.75]]]);
        let found = Attention::new(["a", "b"], [first, last]).unwrap().attribution().unwrap();
        assert_eq!(found.names(), ["attribution"]);
        assert_eq!(found.weights("attribution", 1, 0).unwrap().data(), [1.0, 0.0, 0.25, 0.75]);
        // All of "b" came from "a" in the first layer.
        assert_eq!(found.weights("attribution", 0, 0).unwrap().data(), [1.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn sums_what_came_across_at_every_layer() {
        let encoder = array![[[0.5f32, 0.5], [0.0, 1.0]]];
        let own = array![[[1.0f32]]];
        let (across, again) = (array![[[1.0f32, 0.0]]], array![[[0.0f32, 1.0]]]);
        let attention = Attention::encoder_decoder(["a", "b"], ["x"], [encoder], [own.clone(), own], [across, again]);
        let found = attention.unwrap().attribution().unwrap();
        let weights = |block: &str, layer| found.weights(block, layer, 0).unwrap().data().to_vec();
        assert_eq!(weights("cross attribution", 0), [0.5, 0.5]);
        assert_eq!(weights("cross attribution", 1), [0.0, 1.0]);
        assert_eq!(weights("source attribution", 0), [0.25, 0.75]);
    }
}
