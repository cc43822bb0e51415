//! Kernels measured in a run.

use tch::Tensor;

use super::of_model::of_weights;
use super::{Kernel, KernelKind, PositionKernels};
use crate::array::Numbers;
use crate::attention::{in_part, layers, parts, plan, visible};
use crate::model::architecture::Sees;
use crate::model::{Stack, Tokens, Visible};
use crate::site::{Part, Site, Watcher};
use crate::{Array, Error, Result, Trace, interrupt};

impl Trace {
    /// What position does to the scores of each head in this run, for every family: the mean of the score at each offset
    /// over all queries that see such a key, and how far scores scatter round it ([`KernelKind::Mean`], for the layers
    /// whose [`Site::Scores`] were kept). Beside it what position does alone: the numbers of
    /// [`Model::position_kernels`](crate::Model::position_kernels) where the weights have them, what rotation leaves of
    /// equal vectors, and what position embeddings give in layer 0.
    ///
    /// A mean over one text is not free of its content: a head that looks for a word shows where the text has it.
    ///
    /// ```
    /// # fn main() -> flowlens::Result<()> {
    /// let model = flowlens::Model::load("tests/fixtures/parity/llama_gqa")?;
    /// let kernels = model.run("The capital of Japan is the city of")?.position_kernels()?;
    /// assert_eq!(kernels.kernels[0].kind, flowlens::trajectory::KernelKind::Mean);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the run kept no scores.
    pub fn position_kernels(&self) -> Result<PositionKernels> {
        interrupt::during("the position kernels", || self.position_kernels_now())
    }

    fn position_kernels_now(&self) -> Result<PositionKernels> {
        let _guard = tch::no_grad_guard();
        let model = self.model();
        let mut kernels = Vec::new();
        for &(part, name) in parts(model).iter().filter(|(part, _)| *part != Part::Cross) {
            for layer in 0..layers(model, part) {
                interrupt::check()?;
                let Some(plan) = plan(model, part, layer) else { continue };
                let Some(scores) = self.tensor_if_kept(in_part(Site::Scores(layer), part))? else { continue };
                let mean = by_offset(&scores, &visible(self, part, plan))?;
                kernels.push(mean.kernel(name, vec![layer], KernelKind::Mean, self.causal(part))?);
            }
        }
        if kernels.is_empty() {
            return Err(Error::Trajectory {
                what: "position kernels".to_owned(),
                problem:
                    "need attention scores, and this run kept none; add Site::Scores(layer) to keep(..), or watch \
                          everything with run(..)"
                        .to_owned(),
            });
        }
        let reach = kernels.iter().flat_map(|kernel| kernel.offsets.iter()).map(|offset| offset.unsigned_abs()).max();
        kernels.extend(of_weights(model, reach.unwrap_or_default() as usize)?);
        for &(part, name) in parts(model).iter().filter(|(part, _)| *part != Part::Cross) {
            self.of_rotation(part, name, &mut kernels)?;
            kernels.extend(self.of_embeddings(part, name)?);
        }
        Ok(PositionKernels { model: model.name().to_owned(), kernels })
    }

    fn causal(&self, part: Part) -> bool {
        let architecture = self.model().architecture();
        let stack = if part == Part::Encoder { architecture.encoder.as_ref() } else { Some(&architecture.main) };
        stack.is_some_and(|stack| stack.sees != Sees::Both)
    }

    /// What rotation leaves of equal vectors: the mean cosine of the angles of all numbers of a head, those that do not
    /// turn counting 1.
    fn of_rotation(&self, part: Part, block: &str, kernels: &mut Vec<Kernel>) -> Result<()> {
        let (model, from) = (self.model(), kernels.len());
        let tokens = self.read_by(part).len();
        let mut known: Vec<Vec<f32>> = Vec::new();
        for layer in 0..layers(model, part) {
            let Some(attention) = plan(model, part, layer) else { continue };
            let Some(rotary) = &attention.rotary else { continue };
            let frequencies = rotary.frequencies(tokens).into_owned();
            if let Some(place) = known.iter().position(|known| *known == frequencies) {
                kernels[from + place].layers.push(layer);
                continue;
            }
            let causal = self.causal(part);
            let far = tokens.saturating_sub(1) as i64;
            let offsets: Vec<i64> = (-far..=if causal { 0 } else { far }).collect();
            let pairs = (attention.head_dim as f64 / 2.0).max(1.0);
            let still = pairs - frequencies.len() as f64;
            let share = |offset: &i64| {
                let turned: f64 = frequencies.iter().map(|&angle| (f64::from(angle) * *offset as f64).cos()).sum();
                ((turned + still) / pairs) as f32
            };
            kernels.push(Kernel {
                block: block.to_owned(),
                layers: vec![layer],
                kind: KernelKind::Rotation,
                values: Array::new(&[1, offsets.len()], offsets.iter().map(share).collect())?,
                offsets,
                spread: None,
                counts: None,
                causal,
            });
            known.push(frequencies);
        }
        Ok(())
    }

    /// The tokens that a part's stack read.
    fn read_by(&self, part: Part) -> &Tokens {
        match (part, &self.tokens().source) {
            (Part::Encoder, Some(source)) => source,
            _ => self.tokens(),
        }
    }

    /// The scores of layer 0 without token embeddings, where positions are embedded.
    fn of_embeddings(&self, part: Part, block: &str) -> Result<Option<Kernel>> {
        let (model, network) = (self.model(), self.model().network());
        let stack: &Stack = match (part, &network.encoder) {
            (Part::Encoder, Some(encoder)) => encoder,
            _ => &network.main,
        };
        let Some(plan) = plan(model, part, 0).filter(|_| stack.embedding.has_positions()) else { return Ok(None) };
        let mut watcher = PositionsAlone { scores: None };
        drop(stack.first_attention(self.read_by(part), &mut watcher)?);
        let Some(scores) = watcher.scores else { return Ok(None) };
        let mean = by_offset(&scores, &visible(self, part, plan))?;
        Ok(Some(mean.kernel(block, vec![0], KernelKind::Embeddings, self.causal(part))?))
    }
}

/// Sets token embeddings to zero and keeps the scores of layer 0.
struct PositionsAlone {
    scores: Option<Tensor>,
}

impl Watcher for PositionsAlone {
    fn wants(&self, _: Site) -> bool {
        false
    }

    fn changes(&self, site: Site) -> bool {
        site == Site::Embedding
    }

    fn at(&mut self, site: Site, tensor: Tensor) -> Result<Tensor> {
        match site {
            Site::Embedding => return Ok(tensor.f_zeros_like()?),
            Site::Scores(0) => self.scores = Some(tensor.shallow_clone()),
            _ => {}
        }
        Ok(tensor)
    }
}

/// Numbers of each head by offset.
struct ByOffset {
    offsets: Vec<i64>,
    counts: Vec<usize>,
    mean: Vec<f32>,
    spread: Vec<f32>,
}

impl ByOffset {
    fn kernel(self, block: &str, layers: Vec<usize>, kind: KernelKind, causal: bool) -> Result<Kernel> {
        let shape = [self.mean.len() / self.offsets.len().max(1), self.offsets.len()];
        Ok(Kernel {
            block: block.to_owned(),
            layers,
            kind,
            offsets: self.offsets,
            values: Array::new(&shape, self.mean)?,
            spread: Some(Array::new(&shape, self.spread)?),
            counts: Some(self.counts),
            causal,
        })
    }
}

/// Mean and standard deviation of the scores (H,T,S) at each offset that some query sees.
fn by_offset(scores: &Tensor, visible: &Visible) -> Result<ByOffset> {
    let (heads, queries, keys) = scores.size3()?;
    let (queries, keys) = (queries as usize, keys as usize);
    // Offset 0 stands at place `queries - 1`.
    let wide = (queries + keys).saturating_sub(1);
    let seen = |query: usize| visible.ranges[query].clone().filter(|&key| !visible.padded[key]);
    let mut counts = vec![0usize; wide];
    for query in 0..queries {
        seen(query).for_each(|key| counts[key + queries - 1 - query] += 1);
    }
    let places: Vec<usize> = (0..wide).filter(|&place| counts[place] > 0).collect();
    let numbers = Numbers::of(scores)?;
    let (mut mean, mut spread) = (Vec::new(), Vec::new());
    for head in numbers.data().chunks(queries * keys).take(heads as usize) {
        // Each score's part of the mean, then its square from the mean: long sums of squares would lose digits.
        let mut centre = vec![0f64; wide];
        let mut squares = vec![0f64; wide];
        for query in 0..queries {
            for key in seen(query) {
                let place = key + queries - 1 - query;
                centre[place] += f64::from(head[query * keys + key]) / counts[place] as f64;
            }
        }
        for query in 0..queries {
            for key in seen(query) {
                let place = key + queries - 1 - query;
                let off = f64::from(head[query * keys + key]) - centre[place];
                squares[place] += off * off / counts[place] as f64;
            }
        }
        mean.extend(places.iter().map(|&place| centre[place] as f32));
        spread.extend(places.iter().map(|&place| squares[place].sqrt() as f32));
    }
    let offsets = places.iter().map(|&place| place as i64 - (queries as i64 - 1)).collect();
    Ok(ByOffset { offsets, counts: places.iter().map(|&place| counts[place]).collect(), mean, spread })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_what_is_seen() {
        let scores = Tensor::from_slice(&[1.0f32, 90.0, 90.0, 2.0, 3.0, 90.0, 7.0, 4.0, 5.0]).view([1, 3, 3]);
        let visible = Visible { ranges: vec![0..1, 0..2, 0..3], padded: vec![false; 3] };
        let found = by_offset(&scores, &visible).unwrap();
        assert_eq!((found.offsets, found.counts), (vec![-2, -1, 0], vec![1, 2, 3]));
        assert_eq!(found.mean, [7.0, 3.0, 3.0]);
        assert!((found.spread[1] - 1.0).abs() < 1e-6 && found.spread[0] == 0.0);
        let padded = Visible { ranges: vec![0..3; 3], padded: vec![false, true, false] };
        assert_eq!(by_offset(&scores, &padded).unwrap().counts, [1, 1, 2, 1, 1]);
    }
}
