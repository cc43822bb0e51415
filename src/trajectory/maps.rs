//! Attention maps: how the weights of a head come about, from content and from position.

use std::fmt;

use tch::{Kind, Tensor};

use super::stream::unknown_block;
use crate::attention::{in_part, layers, parts, plan, sides, visible};
use crate::site::{Part, Site};
use crate::text::list;
use crate::{Array, Error, Model, Result, Trace, interrupt};

/// Numbers of one kind that are taken when no layer is named: 64 MB.
const MOST: usize = 1 << 24;

/// Scores and weights of some layers and heads. Made by [`Trace::attention_maps`].
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionMaps {
    /// Name of the model.
    pub model: String,
    /// `all`, or `encoder`, `decoder` and `cross`.
    pub blocks: Vec<MapBlock>,
}

/// The maps of one block.
#[derive(Debug, Clone, PartialEq)]
pub struct MapBlock {
    /// `all`, `encoder`, `decoder` or `cross`.
    pub name: String,
    /// The tokens that attend, as they are shown: T rows.
    pub queries: Vec<String>,
    /// The tokens that are attended to: S columns.
    pub keys: Vec<String>,
    /// The layers, ascending.
    pub layers: Vec<LayerMaps>,
    /// Layers that the run has and that were not taken, because nobody named any and all would be too many.
    pub left_out: Vec<usize>,
}

/// The maps of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerMaps {
    /// Number of the layer.
    pub number: usize,
    /// The query heads that the first axes of all arrays stand for.
    pub heads: Vec<usize>,
    /// What content gives (H,T,S): the score without what positions add to it. Where positions turn queries and keys or
    /// are added to the embeddings, they are in it.
    pub content: Array,
    /// What positions add to the score (H,T,S), where they do.
    pub bias: Option<Array>,
    /// Both together (H,T,S), scaled and capped, without the mask.
    pub scores: Array,
    /// The weights (H,T,S), after mask and softmax.
    pub probabilities: Array,
    /// Which keys each query sees, row by row: T·S.
    pub visible: Vec<bool>,
}

/// What attention maps hold, option by option; made by [`Trace::attention_maps`].
#[derive(Debug, Clone)]
#[must_use = "call build() to get the maps"]
pub struct AttentionMapsBuilder {
    trace: Trace,
    layers: Option<Vec<usize>>,
    heads: Option<Vec<usize>>,
    block: Option<String>,
}

impl AttentionMaps {
    /// The sites that a run must keep for the maps of `layers`: scores, patterns and position biases.
    pub fn sites(model: &Model, layers: impl IntoIterator<Item = usize>) -> Vec<Site> {
        let layers: Vec<usize> = layers.into_iter().collect();
        let needed = |site: &Site| {
            let kind = matches!(site.plain(), Site::Scores(_) | Site::Pattern(_) | Site::PositionBias(_));
            kind && site.layer().is_some_and(|layer| layers.contains(&layer))
        };
        model.sites().into_iter().filter(needed).collect()
    }
}

impl Trace {
    /// How the attention weights of chosen heads come about: content score, position bias, their sum without the mask,
    /// and probabilities, each a map of queries by keys.
    ///
    /// ```
    /// # fn main() -> flowlens::Result<()> {
    /// let model = flowlens::Model::load("tests/fixtures/parity/t5_tied")?;
    /// let maps = model.run("The capital of Japan")?.attention_maps().block("encoder").layers([0]).heads([1]).build()?;
    /// let layer = &maps.blocks[0].layers[0];
    /// let (content, bias) = (layer.content.data()[3], layer.bias.as_ref().map_or(0.0, |bias| bias.data()[3]));
    /// assert!((layer.scores.data()[3] - content - bias).abs() < 1e-4);
    /// # Ok(()) }
    /// ```
    pub fn attention_maps(&self) -> AttentionMapsBuilder {
        AttentionMapsBuilder { trace: self.clone(), layers: None, heads: None, block: None }
    }
}

impl AttentionMapsBuilder {
    /// The layers; without any, all that the run kept, or as many as 64 MB hold, evenly spread.
    pub fn layers(mut self, layers: impl IntoIterator<Item = usize>) -> Self {
        self.layers = Some(layers.into_iter().collect());
        self
    }

    /// The heads of each layer; all by default.
    pub fn heads(mut self, heads: impl IntoIterator<Item = usize>) -> Self {
        self.heads = Some(heads.into_iter().collect());
        self
    }

    /// Only this block of an encoder-decoder: `encoder`, `decoder` or `cross`.
    pub fn block(mut self, name: impl Into<String>) -> Self {
        self.block = Some(name.into());
        self
    }

    /// Takes the maps from the run.
    ///
    /// # Errors
    /// When there is no such block, layer or head, or the run did not keep scores and patterns.
    pub fn build(&self) -> Result<AttentionMaps> {
        interrupt::during("the attention maps", || self.build_now())
    }

    fn build_now(&self) -> Result<AttentionMaps> {
        let _guard = tch::no_grad_guard();
        let model = self.trace.model();
        let wanted = |name: &str| self.block.as_deref().is_none_or(|block| block == name);
        let chosen: Vec<_> = parts(model).iter().filter(|(_, name)| wanted(name)).collect();
        if chosen.is_empty() {
            return Err(unknown_block(model, self.block.as_deref().unwrap_or_default()));
        }
        let mut blocks = Vec::new();
        for &&(part, name) in &chosen {
            blocks.extend(self.of_block(part, name)?);
        }
        if blocks.is_empty() {
            return Err(not_kept(&list(self.layers.as_deref().unwrap_or_default())));
        }
        Ok(AttentionMaps { model: model.name().to_owned(), blocks })
    }

    fn of_block(&self, part: Part, name: &str) -> Result<Option<MapBlock>> {
        let (trace, model) = (&self.trace, self.trace.model());
        let count = layers(model, part);
        let has = |&layer: &usize| plan(model, part, layer).is_some();
        let kept = |&layer: &usize| {
            [Site::Scores(layer), Site::Pattern(layer)].iter().all(|&site| trace.holds(in_part(site, part)))
        };
        let (queries, keys) = sides(trace, part);
        let (mut numbers, mut left_out) = (Vec::new(), Vec::new());
        match &self.layers {
            Some(layers) => {
                // The stacks of an encoder-decoder may differ in depth: a layer must be in one of them.
                for layer in layers.iter().filter(|&&layer| layer < count).filter(|layer| has(layer)) {
                    if !kept(layer) {
                        return Err(not_kept(&layer.to_string()));
                    }
                    numbers.push(*layer);
                }
                let deepest = model.layers().max(model.encoder_layers());
                if let Some(layer) = layers.iter().find(|&&layer| layer >= deepest) {
                    let problem =
                        format!("is not there; {} has layers 0 to {}", model.name(), deepest.saturating_sub(1));
                    return Err(Error::Trajectory { what: format!("layer {layer}"), problem });
                }
            }
            None => {
                let all: Vec<usize> = (0..count).filter(has).filter(kept).collect();
                let heads = plan(model, part, 0).map_or(1, |plan| self.heads.as_ref().map_or(plan.heads, Vec::len));
                let room = MOST / (queries.len() * keys.len() * heads).max(1);
                numbers = spread(&all, room.max(1));
                left_out = all.into_iter().filter(|layer| !numbers.contains(layer)).collect();
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.is_empty() {
            return Ok(None);
        }
        let of_layer = |layer| interrupt::check().and_then(|()| self.of_layer(part, layer));
        let layers = numbers.into_iter().map(of_layer).collect::<Result<_>>()?;
        let shown = |tokens: Vec<crate::attention::Token>| tokens.into_iter().map(|token| token.shown).collect();
        Ok(Some(MapBlock { name: name.to_owned(), queries: shown(queries), keys: shown(keys), layers, left_out }))
    }

    fn of_layer(&self, part: Part, layer: usize) -> Result<LayerMaps> {
        let (trace, model) = (&self.trace, self.trace.model());
        let Some(plan) = plan(model, part, layer) else { return Err(not_kept(&layer.to_string())) };
        let heads = self.heads.clone().unwrap_or_else(|| (0..plan.heads).collect());
        if let Some(head) = heads.iter().find(|&&head| head >= plan.heads) {
            let problem = format!("is not in layer {layer}; it has heads 0 to {}", plan.heads.saturating_sub(1));
            return Err(Error::Trajectory { what: format!("head {head}"), problem });
        }
        let places: Vec<i64> = heads.iter().map(|&head| head as i64).collect();
        let places = Tensor::f_from_slice(&places)?;
        let of_heads = |site: Site| -> Result<Tensor> {
            let tensor = trace.tensor(in_part(site, part))?;
            let chosen = tensor.f_index_select(0, &places.f_to_device(tensor.device())?)?;
            Ok(chosen.f_to_kind(Kind::Float)?)
        };
        let scores = of_heads(Site::Scores(layer))?;
        let adds = (plan.position_bias.is_some() || plan.relative.is_some()) && part != Part::Cross;
        let bias = adds.then(|| of_heads(Site::PositionBias(layer))).transpose()?;
        let content = match &bias {
            Some(bias) => scores.f_sub(bias)?,
            None => scores.shallow_clone(),
        };
        let hidden: Vec<bool> =
            Vec::try_from(visible(trace, part, plan).hidden(crate::Device::Cpu)?.f_flatten(0, -1)?)?;
        Ok(LayerMaps {
            number: layer,
            heads,
            content: Array::from_tensor(&content)?,
            bias: bias.map(|bias| Array::from_tensor(&bias)).transpose()?,
            scores: Array::from_tensor(&scores)?,
            probabilities: Array::from_tensor(&of_heads(Site::Pattern(layer))?)?,
            visible: hidden.into_iter().map(|hidden| !hidden).collect(),
        })
    }
}

/// At most `room` of `all`, evenly spread, the first and the last among them.
pub(super) fn spread(all: &[usize], room: usize) -> Vec<usize> {
    match room {
        _ if all.len() <= room => all.to_vec(),
        0 | 1 => all.first().copied().into_iter().collect(),
        _ => (0..room).map(|step| all[step * (all.len() - 1) / (room - 1)]).collect(),
    }
}

fn not_kept(layers: &str) -> Error {
    Error::Trajectory {
        what: format!("attention maps of layer {layers}"),
        problem: "need scores and patterns (and position biases), and this run did not keep them; keep \
                  AttentionMaps::sites(&model, layers), or watch everything with run(..)"
            .to_owned(),
    }
}

impl fmt::Display for AttentionMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attention maps of {}", self.model)?;
        for block in &self.blocks {
            let layers: Vec<usize> = block.layers.iter().map(|layer| layer.number).collect();
            let heads = block.layers.first().map(|layer| list(&layer.heads)).unwrap_or_default();
            let (queries, keys) = (block.queries.len(), block.keys.len());
            write!(f, "\n  {}, layers {}, heads {heads}: {queries} queries by {keys} keys", block.name, list(&layers))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_over_all_layers() {
        let all: Vec<usize> = (0..24).collect();
        assert_eq!(spread(&all, 4), [0, 7, 15, 23]);
        assert_eq!(spread(&all, 1), [0]);
        assert_eq!(spread(&all[..3], 9), [0, 1, 2]);
    }
}
