//! Attention computed from attention: heads or layers merged, weights scaled by what they move.

use tch::{Device, Kind, Tensor};

use super::{Attention, Block, Layer, Quantity};
use crate::text::list;
use crate::{Error, Result};

impl Attention {
    /// The mean over the heads of each layer: layers of one head, number 0, in blocks of the same names.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn mean_heads(&self) -> Result<Attention> {
        self.each_layer("mean of heads", |layer, kind| {
            Ok((one_head(layer, layer.weights.f_mean_dim(0i64, true, Kind::Float)?), kind))
        })
    }

    /// The largest weight over the heads of each layer: layers of one head, number 0, whose rows have no fixed sum
    /// ([`Quantity::Weight`]). Of differences it is the largest in size, with its sign.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn max_heads(&self) -> Result<Attention> {
        self.each_layer("largest of heads", |layer, kind| {
            let most = layer.weights.f_amax(0i64, true)?;
            if kind != Quantity::Difference {
                return Ok((one_head(layer, most), Quantity::Weight));
            }
            let least = layer.weights.f_amin(0i64, true)?;
            let up = most.f_abs()?.f_ge_tensor(&least.f_abs()?)?;
            Ok((one_head(layer, most.f_where_self(&up, &least)?), kind))
        })
    }

    /// The mean over the layers of each block: one layer, number 0, of as many heads.
    ///
    /// Heads of the same number in two layers have nothing to do with each other; what this shows is where attention
    /// goes over the whole depth, after [`mean_heads`](Attention::mean_heads) without regard to heads.
    ///
    /// # Errors
    /// When two layers of a block have different heads.
    pub fn mean_layers(&self) -> Result<Attention> {
        self.each_block("mean of layers", |block| {
            let Some(first) = block.layers.first() else { return Ok(block.clone()) };
            if let Some(other) = block.layers.iter().find(|layer| layer.heads != first.heads) {
                return Err(Error::Attention(format!(
                    "block {}: layer {} has heads {} and layer {} has {}; take mean_heads() first",
                    block.name,
                    first.number,
                    list(&first.heads),
                    other.number,
                    list(&other.heads)
                )));
            }
            let mut sum = first.weights.f_zeros_like()?;
            for layer in &block.layers {
                sum = sum.f_add(&layer.weights)?;
            }
            let weights = sum.f_div_scalar(block.layers.len() as f64)?;
            let layer =
                Layer { number: 0, heads: first.heads.clone(), key_heads: first.heads.clone(), weights, written: None };
            Ok(Block { layers: vec![layer], ..block.clone() })
        })
    }

    /// Weights by what they move: α ‖v W_O‖, each weight times the length of what the head writes of that key's value,
    /// after Kobayashi et al. 2020, "Attention is not only a weight" (arXiv 2004.10102). A key that gets much attention
    /// but whose value is short, as it often is at first positions, comes out small.
    ///
    /// The output bias, which no key brings, is left out; rows have no fixed sum ([`Quantity::Weight`]).
    ///
    /// # Errors
    /// When the values were not kept, as in attention that does not come from a run.
    pub fn norm_weighted(&self) -> Result<Attention> {
        self.each_block("by norms", |block| {
            if block.kind != Quantity::Probability {
                return Err(Error::Attention(format!(
                    "block {} holds no attention probabilities; take norm_weighted() of the run's own attention",
                    block.name
                )));
            }
            let weighted = |layer: &Layer| {
                let written = layer.written.as_ref().ok_or_else(|| {
                    Error::Attention(format!(
                        "block {}, layer {}, has no values to weigh by; keep Site::Value({}) beside the pattern, or \
                         watch everything with run(..), and call norm_weighted() before anything that merges",
                        block.name, layer.number, layer.number
                    ))
                })?;
                let weights = layer.weights.f_mul(&written.f_unsqueeze(1)?)?;
                Ok(Layer { weights, written: None, ..layer.clone() })
            };
            let layers = block.layers.iter().map(weighted).collect::<Result<_>>()?;
            Ok(Block { kind: Quantity::Weight, layers, ..block.clone() })
        })
    }

    /// The same with each row divided by its sum, so that rows are distributions again; rows of zeros stay.
    ///
    /// # Errors
    /// When a block holds differences.
    pub fn renormalised(&self) -> Result<Attention> {
        self.each_layer("rows of sum 1", |layer, kind| {
            if kind == Quantity::Difference {
                let problem = "differences have no sum to divide by; renormalise each side before it is compared";
                return Err(Error::Attention(problem.to_owned()));
            }
            Ok((Layer { weights: normalised(&layer.weights)?, ..layer.clone() }, Quantity::Probability))
        })
    }

    /// The same without special tokens such as `[SEP]` and `<s>`, which often draw most of the attention. What is left
    /// of a row does not sum to 1 ([`Quantity::Weight`]); [`renormalised`](Attention::renormalised) rescales it.
    ///
    /// # Errors
    /// When a side has no other tokens.
    pub fn without_special(&self) -> Result<Attention> {
        self.each_block("without special tokens", |block| {
            let plain = |tokens: &[super::Token]| -> Vec<usize> {
                (0..tokens.len()).filter(|&place| !tokens[place].special).collect()
            };
            let (queries, keys) = (plain(&block.queries), plain(&block.keys));
            if queries.is_empty() || keys.is_empty() {
                let name = &block.name;
                return Err(Error::Attention(format!("block {name} has nothing but special tokens; leave them in")));
            }
            let index = |places: &[usize]| -> Result<Tensor> {
                Ok(Tensor::f_from_slice(&places.iter().map(|&place| place as i64).collect::<Vec<_>>())?)
            };
            let (rows, columns) = (index(&queries)?, index(&keys)?);
            let cut = |layer: &Layer| -> Result<Layer> {
                let weights = layer.weights.f_index_select(1, &rows)?.f_index_select(2, &columns)?;
                let written = layer.written.as_ref().map(|it| it.f_index_select(1, &columns)).transpose()?;
                Ok(Layer { weights, written, ..layer.clone() })
            };
            let kind = if block.kind == Quantity::Probability { Quantity::Weight } else { block.kind };
            let second = block.second.map(|second| queries.iter().filter(|&&place| place < second).count());
            Ok(Block {
                kind,
                queries: queries.iter().map(|&place| block.queries[place].clone()).collect(),
                keys: keys.iter().map(|&place| block.keys[place].clone()).collect(),
                second: second.filter(|&second| second > 0 && second < queries.len()),
                layers: block.layers.iter().map(cut).collect::<Result<_>>()?,
                ..block.clone()
            })
        })
    }

    /// The attention with each block made anew; what was done goes into titles.
    pub(super) fn each_block(&self, done: &str, make: impl Fn(&Block) -> Result<Block>) -> Result<Attention> {
        let model = if self.model.is_empty() { done.to_owned() } else { format!("{}, {done}", self.model) };
        Attention::of_blocks(model, self.blocks.iter().map(make).collect::<Result<_>>()?)
    }

    /// The attention with each layer made anew; its numbers become what the last layer's are.
    fn each_layer(
        &self,
        done: &str,
        make: impl Fn(&Layer, Quantity) -> Result<(Layer, Quantity)>,
    ) -> Result<Attention> {
        self.each_block(done, |block| {
            let mut made = Block { layers: Vec::with_capacity(block.layers.len()), ..block.clone() };
            for layer in &block.layers {
                let (layer, kind) = make(layer, block.kind)?;
                made.layers.push(layer);
                made.kind = kind;
            }
            Ok(made)
        })
    }
}

fn one_head(layer: &Layer, weights: Tensor) -> Layer {
    Layer { number: layer.number, heads: vec![0], key_heads: vec![0], weights, written: None }
}

/// Rows divided by their sums; rows of zeros stay.
pub(super) fn normalised(weights: &Tensor) -> Result<Tensor> {
    let sums = weights.f_sum_dim_intlist(-1i64, true, Kind::Float)?;
    Ok(weights.f_div(&sums.f_clamp_min(f64::from(f32::MIN_POSITIVE))?)?.f_contiguous()?)
}

/// A tensor of these numbers, row by row.
pub(super) fn matrix(numbers: &[f32], rows: usize) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(numbers)?.f_to_device(Device::Cpu)?.f_view([rows as i64, -1])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;
    use ndarray::array;

    fn two_heads() -> Attention {
        let layer = array![[[1.0f32, 0.0], [0.2, 0.8]], [[0.5, 0.5], [0.6, 0.4]]];
        Attention::new(["a", "b"], [layer.clone(), layer]).unwrap()
    }

    fn numbers(attention: &Attention, layer: usize, head: usize) -> Vec<f32> {
        attention.weights("all", layer, head).unwrap().data().to_vec()
    }

    fn near(got: &[f32], expected: &[f32]) {
        assert_eq!(got.len(), expected.len());
        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?}, expected {expected:?}");
    }

    #[test]
    fn heads_become_one() {
        let mean = two_heads().mean_heads().unwrap();
        near(&numbers(&mean, 1, 0), &[0.75, 0.25, 0.4, 0.6]);
        assert_eq!((mean.blocks[0].kind, mean.blocks[0].heads(1).unwrap()), (Quantity::Probability, &[0][..]));
        let most = two_heads().named("m").max_heads().unwrap();
        near(&numbers(&most, 0, 0), &[1.0, 0.5, 0.6, 0.8]);
        assert_eq!((most.blocks[0].kind, most.model.as_str()), (Quantity::Weight, "m, largest of heads"));
    }

    #[test]
    fn the_largest_difference_keeps_its_sign() {
        let mut differences = two_heads();
        differences.blocks[0].kind = Quantity::Difference;
        let weights = Tensor::from_slice(&[0.5f32, -0.1, 0.2, 0.0, -0.6, 0.05, 0.1, -0.3]).reshape([2, 2, 2]);
        differences.blocks[0].layers[0].weights = weights;
        near(&numbers(&differences.max_heads().unwrap(), 0, 0), &[-0.6, -0.1, 0.2, -0.3]);
        assert!(differences.renormalised().unwrap_err().to_string().contains("before it is compared"));
    }

    #[test]
    fn layers_become_one_where_heads_are_the_same() {
        let first = array![[[1.0f32, 0.0], [0.2, 0.8]]];
        let last = array![[[0.0f32, 1.0], [0.6, 0.4]]];
        let mean = Attention::new(["a", "b"], [first.clone(), last]).unwrap().mean_layers().unwrap();
        assert_eq!(mean.blocks[0].layers(), [0]);
        near(&numbers(&mean, 0, 0), &[0.5, 0.5, 0.4, 0.6]);
        let more = array![[[1.0f32, 0.0], [0.2, 0.8]], [[0.5, 0.5], [0.6, 0.4]]];
        let uneven = Attention::new(["a", "b"], [first, more]).unwrap();
        let problem = uneven.mean_layers().unwrap_err().to_string();
        assert!(problem.contains("layer 0 has heads 0 and layer 1 has 0 to 1; take mean_heads()"), "{problem}");
        assert!(uneven.mean_heads().unwrap().mean_layers().is_ok());
    }

    #[test]
    fn rows_sum_to_one_again_without_special_tokens() {
        let weights = array![[[0.5f32, 0.5, 0.0], [0.6, 0.1, 0.3], [1.0, 0.0, 0.0]]];
        let plain = Attention::new(["[CLS]", "a", "b"], [weights]).unwrap().without_special().unwrap();
        near(&numbers(&plain, 0, 0), &[0.1, 0.3, 0.0, 0.0]);
        assert_eq!(plain.blocks[0].kind, Quantity::Weight);
        assert_eq!(plain.blocks[0].queries.len(), 2);
        near(&numbers(&plain.renormalised().unwrap(), 0, 0), &[0.25, 0.75, 0.0, 0.0]);
        let bare = Attention::new(["<s>"], [array![[[1.0f32]]]]).unwrap();
        assert!(bare.without_special().unwrap_err().to_string().contains("nothing but special"));
    }

    #[test]
    fn norms_weigh_by_what_each_head_writes() {
        let model = Model::load("tests/fixtures/parity/llama_gqa").unwrap();
        let trace = model.run("The capital of Japan").unwrap();
        let attention = trace.attention().unwrap();
        let weighted = attention.norm_weighted().unwrap();
        assert_eq!(weighted.blocks[0].kind, Quantity::Weight);
        // With one key there is nothing to mix: what the first query gets is what the head writes there.
        for head in 0..6 {
            let site = crate::Site::HeadOutput(1);
            let written = trace.get(site).unwrap().row(head).unwrap().row(0).unwrap();
            let length = written.data().iter().map(|it| it * it).sum::<f32>().sqrt();
            let got = weighted.weights("all", 1, head).unwrap().get(&[0, 0]).unwrap();
            assert!((got - length).abs() < 1e-5 * length.max(1.0), "head {head}: {got}, expected {length}");
        }
        let problem = two_heads().norm_weighted().unwrap_err().to_string();
        assert!(problem.contains("layer 0, has no values") && problem.contains("Site::Value(0)"), "{problem}");
        assert!(weighted.norm_weighted().is_err());
    }
}
