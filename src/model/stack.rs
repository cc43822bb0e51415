//! A run through embedding, blocks and final norm, asking the watcher at every site.

use std::ops::Range;

use tch::{Kind, Tensor};

use super::architecture::{self, Padding, Sees, Segments};
use super::cache::Cache;
use super::embedding::Embedding;
use super::layers::{
    Angles, Block, Convolution, DistanceVectors, Distances, Linear, Memory, Norm, PositionBias, Positions, Rotary, Seen,
};
use super::masks::{self, Masks};
use super::tokens::Tokens;
use super::weights::Weights;
use crate::progress::Task;
use crate::site::{Site, Watcher};
use crate::{DType, Device, Result};

/// Tables, blocks and final norm.
#[derive(Debug)]
pub(crate) struct Stack {
    pub embedding: Embedding,
    sees: Sees,
    /// Layers with the same weights share them (ALBERT).
    blocks: Shared<Block>,
    /// The attention window of every layer.
    windows: Vec<Option<usize>>,
    rotaries: Shared<Rotary>,
    biases: Shared<PositionBias>,
    distances: Shared<Distances>,
    /// Added to the stream after the first block.
    neighbours: Option<Convolution>,
    /// Whether attention asks if two positions stand in the same segment.
    compares_segments: bool,
    /// Whether the vectors of padded positions are set to 0.
    zeroes_padding: bool,
    pub final_norm: Option<Norm>,
    /// A map after the final norm.
    pub project: Option<Linear>,
    device: Device,
    dtype: DType,
}

/// What several layers have in common: the different ones, and which of them each layer has.
#[derive(Debug)]
struct Shared<T> {
    different: Vec<T>,
    of_layer: Vec<Option<usize>>,
}

impl<T> Shared<T> {
    fn new<P: PartialEq>(plans: &[Option<&P>], load: impl Fn(&P) -> Result<T>) -> Result<Shared<T>> {
        let mut known: Vec<&P> = Vec::new();
        let mut place = |plan| {
            known.iter().position(|known| *known == plan).unwrap_or_else(|| {
                known.push(plan);
                known.len() - 1
            })
        };
        let of_layer = plans.iter().map(|plan| plan.map(&mut place)).collect();
        Ok(Shared { different: known.into_iter().map(load).collect::<Result<_>>()?, of_layer })
    }

    /// What `layer` has of `list`, which goes with the different ones.
    fn pick<'a, U>(&self, layer: usize, list: &'a [U]) -> Option<&'a U> {
        self.of_layer[layer].map(|index| &list[index])
    }

    fn of(&self, layer: usize) -> Option<&T> {
        self.pick(layer, &self.different)
    }
}

/// What the positions of a run bring to attention; each list goes with the stack's different ones.
pub(crate) struct Prepared {
    angles: Vec<Angles>,
    /// (H,T,S).
    biases: Vec<Tensor>,
    distances: Vec<DistanceVectors>,
    other_segment: Option<Tensor>,
    masks: Masks,
}

/// What a decoder reads of its encoder.
pub(crate) struct Source<'a> {
    pub tokens: &'a Tokens,
    /// The encoder's output (S,D).
    pub output: Tensor,
}

impl Stack {
    /// `tokens` is the token table, loaded already.
    pub(crate) fn load(plan: &architecture::Stack, tokens: Tensor, weights: &Weights) -> Result<Stack> {
        let attentions = || plan.blocks.iter().map(|block| &block.attention);
        let rotaries: Vec<_> = attentions().map(|attention| attention.rotary.as_ref()).collect();
        let biases: Vec<_> = attentions().map(|attention| attention.position_bias.as_ref()).collect();
        let relatives = attentions().map(|attention| attention.relative.as_ref());
        let distances: Vec<_> = relatives.map(|relative| relative.map(|relative| &relative.distances)).collect();
        let neighbours = plan.embedding.neighbours.as_ref();
        plan.blocks.iter().enumerate().try_for_each(|(layer, block)| block.check(layer))?;
        let blocks: Vec<_> = plan.blocks.iter().map(Some).collect();
        Ok(Stack {
            embedding: Embedding::load(&plan.embedding, tokens, plan.width, weights)?,
            sees: plan.sees,
            blocks: Shared::new(&blocks, |block| Block::load(block, plan.width, weights))?,
            windows: attentions().map(|attention| attention.window).collect(),
            rotaries: Shared::new(&rotaries, |plan| Ok(Rotary::new(plan, weights.device.torch())))?,
            biases: Shared::new(&biases, |plan| PositionBias::load(plan, weights))?,
            distances: Shared::new(&distances, |plan| Distances::load(plan, weights))?,
            neighbours: neighbours
                .map(|convolution| Convolution::load(convolution, plan.width, weights))
                .transpose()?,
            compares_segments: plan.embedding.segments == Segments::Relative,
            zeroes_padding: matches!(plan.embedding.padding, Padding::Zeroed { .. }),
            final_norm: plan.final_norm.as_ref().map(|norm| Norm::load(norm, plan.width, weights)).transpose()?,
            project: plan.project.as_ref().map(|linear| Linear::load(linear, weights)).transpose()?,
            device: weights.device,
            dtype: weights.dtype,
        })
    }

    /// The final vectors (T,D) of a run, at the positions `here`: all of them, unless earlier ones have left keys and
    /// values in `cache`. It begins with the tokens, or at a layer with the stream that a run had there.
    pub(crate) fn forward(
        &self,
        tokens: &Tokens,
        here: &Range<usize>,
        from: Option<(usize, &Tensor)>,
        source: Option<&Source>,
        cache: Option<&Cache>,
        watcher: &mut dyn Watcher,
    ) -> Result<Tensor> {
        let padding = self.zeroed(tokens, here)?;
        let zeroed = |stream: Tensor| -> Result<Tensor> {
            match &padding {
                Some(padding) => Ok(stream.f_masked_fill(padding, 0.0)?),
                None => Ok(stream),
            }
        };
        let (first, mut stream) = match from {
            Some((layer, stream)) => (layer, stream.shallow_clone()),
            None => (0, zeroed(self.embedding.forward(tokens, here, watcher)?)?),
        };
        let prepared = self.prepare(tokens, here)?;
        let hidden = source
            .map(|source| masks::Visible::in_memory(tokens, here, source.tokens).hidden(self.device))
            .transpose()?;
        let memory = |layer| {
            let past = cache.map(|cache| cache.cross(layer));
            source.zip(hidden.as_ref()).map(|(source, hidden)| Memory { output: &source.output, hidden, past })
        };
        let task = Task::begin("running the model", self.layers(), "layers");
        for layer in first..self.layers() {
            task.at(layer as u64)?;
            let past = cache.map(|cache| (cache.attention(layer), here.start));
            let seen = Positions { past, ..self.positions(layer, &prepared) };
            let (block, memory) = (self.block(layer), memory(layer));
            stream = match &self.neighbours {
                Some(neighbours) if layer == 0 => {
                    // It reads what the first block reads, changes included.
                    let mut entering = Entering { watcher: &mut *watcher, stream: None };
                    let left = block.forward(layer, stream, &seen, memory.as_ref(), &mut entering)?;
                    neighbours.forward(entering.stream.as_ref().unwrap_or(&left), &left, tokens.texts())?
                }
                _ => block.forward(layer, stream, &seen, memory.as_ref(), watcher)?,
            };
            stream = zeroed(stream)?;
        }
        task.finish();
        if let Some(norm) = &self.final_norm {
            stream = norm.forward(&stream)?;
        }
        if let Some(project) = &self.project {
            stream = project.forward(&stream)?;
        }
        watcher.at(Site::FinalNorm, stream)
    }

    /// Whether what earlier positions left stays as it is when a text grows. Where a layer has matrices for distances,
    /// queries and keys meet other rows of them in a longer text, and padding that nobody marked moves.
    pub(crate) fn can_be_cached(&self) -> bool {
        self.sees != Sees::Both && self.distances.different.is_empty() && !self.zeroes_padding
    }

    /// Whether positions turn in a text of `longer` tokens as they do in one of `tokens`.
    pub(crate) fn turns_alike(&self, tokens: usize, longer: usize) -> bool {
        self.rotaries.different.iter().all(|rotary| rotary.turns_alike(tokens, longer))
    }

    /// What the positions `here` of a run bring to attention, made once for all layers.
    pub(crate) fn prepare(&self, tokens: &Tokens, here: &Range<usize>) -> Result<Prepared> {
        let options = (self.dtype.torch(), self.device.torch());
        let positions = Tensor::f_from_slice(&tokens.places()[here.clone()])?.f_to_device(options.1)?;
        let real = tokens.real_so_far();
        let rotaries = self.rotaries.different.iter();
        let biases = self.biases.different.iter();
        let distances = self.distances.different.iter();
        Ok(Prepared {
            angles: rotaries
                .map(|rotary| rotary.angles_of(tokens, here, &positions, options.0))
                .collect::<Result<_>>()?,
            biases: biases.map(|bias| bias.forward(&real, here, options.0)).collect::<Result<_>>()?,
            distances: distances
                .map(|distances| distances.vectors(here, tokens.len() as i64, options))
                .collect::<Result<_>>()?,
            other_segment: self.other_segment(tokens, here)?,
            masks: Masks::new(tokens, here, self.sees, &self.windows, self.device)?,
        })
    }

    /// What a layer's attention takes of it.
    pub(crate) fn positions<'a>(&'a self, layer: usize, prepared: &'a Prepared) -> Positions<'a> {
        let Prepared { angles, biases, distances, other_segment, masks } = prepared;
        Positions {
            hidden: masks.of(self.windows[layer]),
            elsewhere: masks.elsewhere(),
            rotation: self.rotaries.of(layer).zip(self.rotaries.pick(layer, angles)),
            bias: self.biases.pick(layer, biases),
            relative: self
                .distances
                .pick(layer, distances)
                .map(|distances| Seen { distances, other_segment: other_segment.as_ref() }),
            past: None,
        }
    }

    /// (T,1): the positions whose vectors are set to 0, where there are any.
    fn zeroed(&self, tokens: &Tokens, here: &Range<usize>) -> Result<Option<Tensor>> {
        let padding: Vec<bool> = here.clone().map(|place| tokens.is_padding(place)).collect();
        if !self.zeroes_padding || !padding.contains(&true) {
            return Ok(None);
        }
        Ok(Some(Tensor::f_from_slice(&padding)?.f_to_device(self.device.torch())?.f_unsqueeze(1)?))
    }

    /// (T,S): 1 where two positions stand in different segments; none where that is not asked or not known.
    fn other_segment(&self, tokens: &Tokens, here: &Range<usize>) -> Result<Option<Tensor>> {
        let Some(types) = tokens.token_type_ids.as_ref().filter(|_| self.compares_segments) else { return Ok(None) };
        let types = Tensor::f_from_slice(types)?.f_to_device(self.device.torch())?;
        let own = types.f_narrow(0, here.start as i64, here.len() as i64)?;
        let other = own.f_unsqueeze(1)?.f_ne_tensor(&types.f_unsqueeze(0)?)?;
        Ok(Some(other.f_to_kind(Kind::Int64)?))
    }

    /// What positions add to the scores of `layer`, where that is a number for each head and distance.
    pub(crate) fn position_bias(&self, layer: usize) -> Option<&PositionBias> {
        self.biases.of(layer)
    }

    /// What distances from -reach to reach (key's place less the query's) add to the scaled scores of `layer` through
    /// its own matrices, whatever the content: (H, 2·reach + 1).
    pub(crate) fn distance_kernel(&self, layer: usize, reach: usize) -> Result<Option<Tensor>> {
        let Some(distances) = self.distances.of(layer) else { return Ok(None) };
        let options = (self.dtype.torch(), self.device.torch());
        let vectors = distances.vectors(&(reach..reach + 1), 2 * reach as i64 + 1, options)?;
        self.block(layer).attention.without_content(Seen { distances: &vectors, other_segment: None })
    }

    /// What the attention of layer 0 writes (T,D) at the end of embedding and attention, with `watcher` at their sites.
    pub(crate) fn first_attention(&self, tokens: &Tokens, watcher: &mut dyn Watcher) -> Result<Tensor> {
        let here = 0..tokens.len();
        let stream = self.embedding.forward(tokens, &here, watcher)?;
        let prepared = self.prepare(tokens, &here)?;
        let block = self.block(0);
        let norms = [&block.attn_norms.first, &block.attn_norms.before];
        let reads = norms.into_iter().flatten().try_fold(stream, |stream, norm| norm.forward(&stream))?;
        block.attention.forward(0, &reads, None, &self.positions(0, &prepared), watcher)
    }

    /// Number of layers.
    pub(crate) fn layers(&self) -> usize {
        self.windows.len()
    }

    /// The block of a layer, which must be one of the stack's.
    pub(crate) fn block(&self, layer: usize) -> &Block {
        &self.blocks.different[self.blocks.of_layer[layer].unwrap_or_default()]
    }

    /// The rotation of `layer` and its angles at `positions` of a run of `tokens`, for analyses that turn directions
    /// back.
    pub(crate) fn rotation(&self, layer: usize, positions: &[i64], tokens: usize) -> Result<Option<(&Rotary, Angles)>> {
        let Some(rotary) = self.rotaries.of(layer) else { return Ok(None) };
        let positions = Tensor::f_from_slice(positions)?.f_to_device(self.device.torch())?;
        Ok(Some((rotary, rotary.angles(&positions, tokens, Kind::Float)?)))
    }
}

/// Remembers the stream that enters the first block, as the watcher leaves it.
struct Entering<'a> {
    watcher: &'a mut dyn Watcher,
    stream: Option<Tensor>,
}

impl Watcher for Entering<'_> {
    fn wants(&self, site: Site) -> bool {
        self.watcher.wants(site)
    }

    fn changes(&self, site: Site) -> bool {
        self.watcher.changes(site)
    }

    fn at(&mut self, site: Site, tensor: Tensor) -> Result<Tensor> {
        let tensor = self.watcher.at(site, tensor)?;
        if site == Site::ResidPre(0) {
            self.stream = Some(tensor.shallow_clone());
        }
        Ok(tensor)
    }
}
