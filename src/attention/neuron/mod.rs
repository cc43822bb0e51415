//! What a neuron view shows: how queries and keys become the weights of a row, in the numbers of the run itself.

mod bias;
mod view;

use tch::{Kind, Tensor};

use super::of_trace::{in_part, numbers, parts, plan, visible};
use super::{Attention, Block, Layer};
use crate::array::Numbers;
use crate::model::Visible;
use crate::model::architecture::{Attention as Plan, Pairing, PositionBias};
use crate::model::layers::{masked_softmax, soft_capped};
use crate::site::Part;
use crate::{DType, Error, Result, Site, Trace};

use bias::Bias;

pub(crate) use bias::Form;
pub use view::NeuronView;

/// How the heads of one layer come to their weights: the softmax, over the keys that a query sees, of
/// `cap · tanh((scale · q·k + bias) / cap)`, without a cap of `scale · q·k + bias`.
///
/// Tensors are float32, on the CPU and without gaps.
pub(crate) struct Neurons {
    /// Queries (heads,T,d) as they meet the keys: after norms and rotation.
    pub query: Tensor,
    /// Keys (key heads,S,d) as they meet the queries.
    pub key: Tensor,
    /// The numbers in the model of the key heads that are here.
    pub key_heads: Vec<usize>,
    /// Which of them each head reads.
    pub key_of: Vec<usize>,
    pub scale: f64,
    pub soft_cap: Option<f64>,
    /// Whether queries and keys went through norms of their own.
    pub normed: bool,
    /// How positions turned them.
    pub rotation: Option<Rotation>,
    pub bias: Option<Bias>,
    /// What the bias is called.
    pub bias_name: Option<&'static str>,
    pub visible: Visible,
    /// Lengths (heads,S) of the values that each head mixes.
    pub value_lengths: Tensor,
    /// Lengths (heads,S) of what they become through each head's slice of the output matrix.
    pub written_lengths: Tensor,
    /// How far the weights that come from these numbers are from the run's own at most.
    pub error: f64,
}

/// The numbers of all heads of a layer, row by row.
pub(crate) struct Floats {
    pub query: Numbers,
    pub key: Numbers,
    pub bias: Option<(Form, Numbers)>,
    pub value_lengths: Numbers,
    pub written_lengths: Numbers,
}

/// The numbers of one query of a head.
pub(crate) struct Row {
    /// (d).
    pub query: Vec<f32>,
    /// (S·d), key by key.
    pub keys: Vec<f32>,
    /// What goes into the softmax (S).
    pub logits: Vec<f32>,
    /// (S).
    pub weights: Vec<f32>,
    /// (S).
    pub value_lengths: Vec<f32>,
    /// (S).
    pub written_lengths: Vec<f32>,
}

/// A rotation by position: pair p of a vector at position i is turned by i · frequency p, and all of it multiplied by
/// the magnitude.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rotation {
    /// Whether a pair is two numbers half a head apart; else they are neighbours.
    pub halves: bool,
    pub frequencies: Vec<f32>,
    pub magnitude: f64,
}

impl Neurons {
    /// What the run did in the heads of `layer`, one of `block`.
    ///
    /// # Errors
    /// When the run did not keep all that is shown.
    pub(crate) fn of(trace: &Trace, block: &Block, layer: &Layer) -> Result<Neurons> {
        let _no_gradients = tch::no_grad_guard();
        let part = part(trace, block);
        let missing = missing(trace, part, layer.number);
        if !missing.is_empty() {
            return Err(not_kept(&missing));
        }
        let at = |site: fn(usize) -> Site| in_part(site(layer.number), part);
        let pattern = at(Site::Pattern);
        let (Some(plan), Some(attention)) = (plan(trace.model(), part, layer.number), trace.model().attention(pattern))
        else {
            return Err(Error::site(pattern, "the model has no such attention"));
        };
        let (query, key) = match (turned(plan, part), attention.head_norms()) {
            (true, _) => (trace.tensor(at(Site::RotatedQuery))?, trace.tensor(at(Site::RotatedKey))?),
            (false, Some((query_norm, key_norm))) => {
                (query_norm.forward(&trace.tensor(at(Site::Query))?)?, key_norm.forward(&trace.tensor(at(Site::Key))?)?)
            }
            (false, None) => (trace.tensor(at(Site::Query))?, trace.tensor(at(Site::Key))?),
        };
        let mut key_heads = layer.key_heads.clone();
        key_heads.sort_unstable();
        key_heads.dedup();
        let key_of = layer.key_heads.iter().map(|head| key_heads.partition_point(|other| other < head)).collect();
        let bias = match biased(plan, part) {
            true => Some(Bias::of(&pick(&trace.tensor(at(Site::PositionBias))?, &layer.heads)?)?),
            false => None,
        };
        let values = pick(&trace.tensor(at(Site::Value))?, &layer.key_heads)?;
        let written = match &layer.written {
            Some(written) => written.shallow_clone(),
            None => return Err(not_kept(&[at(Site::Value)])),
        };
        let mut neurons = Neurons {
            query: pick(&query, &layer.heads)?,
            key: pick(&key, &key_heads)?,
            key_heads,
            key_of,
            scale: attention.scale,
            soft_cap: attention.soft_cap,
            normed: attention.head_norms().is_some(),
            rotation: turned(plan, part).then(|| rotation(plan, block.keys.len())).flatten(),
            bias,
            bias_name: biased(plan, part).then(|| bias_name(plan)),
            visible: visible(trace, part, plan),
            value_lengths: values.f_norm_scalaropt_dim(2.0, [-1i64].as_slice(), false)?,
            written_lengths: written,
            error: 0.0,
        };
        neurons.error = neurons.distance(&layer.weights)?;
        Ok(neurons)
    }

    /// What goes into the softmax of a head (T,S), by its place here, in float64 from nothing but these numbers, and
    /// whether the query sees the key or not.
    pub(crate) fn logits(&self, place: usize) -> Result<Tensor> {
        let double = |tensor: &Tensor, place: usize| -> Result<Tensor> {
            Ok(tensor.f_get(place as i64)?.f_to_kind(Kind::Double)?)
        };
        let (query, key) = (double(&self.query, place)?, double(&self.key, self.key_of[place])?);
        let mut scores = query.f_matmul(&key.f_tr()?)?.f_mul_scalar(self.scale)?;
        if let Some(bias) = &self.bias {
            scores = scores.f_add(&bias.of_head(place)?)?;
        }
        soft_capped(scores, self.soft_cap)
    }

    /// The weights (T,S) of a head, by its place here: the softmax of its logits.
    pub(crate) fn pattern(&self, place: usize) -> Result<Tensor> {
        // A query that sees nothing has the same weight everywhere, as in the model: no score is infinite.
        let hidden = self.visible.hidden(crate::Device::Cpu)?;
        masked_softmax(&self.logits(place)?, &hidden, None, Kind::Double)
    }

    /// How far the weights are at most from those of the run (heads,T,S).
    fn distance(&self, weights: &Tensor) -> Result<f64> {
        let mut most = 0f64;
        for place in 0..self.key_of.len() {
            let apart = self.pattern(place)?.f_sub(&weights.f_get(place as i64)?)?.f_abs()?.f_max()?;
            let apart = apart.f_double_value(&[])?;
            most = if apart.is_nan() { apart } else { most.max(apart) };
        }
        Ok(most)
    }

    /// Width d of queries and keys.
    pub(crate) fn width(&self) -> usize {
        self.query.size().last().map_or(0, |&width| width as usize)
    }

    /// The numbers of all heads, for a page that computes with them.
    pub(crate) fn floats(&self) -> Result<Floats> {
        Ok(Floats {
            query: Numbers::of(&self.query)?,
            key: Numbers::of(&self.key)?,
            bias: match &self.bias {
                Some(bias) => Some((bias.form, Numbers::of(&bias.values)?)),
                None => None,
            },
            value_lengths: Numbers::of(&self.value_lengths)?,
            written_lengths: Numbers::of(&self.written_lengths)?,
        })
    }

    /// What happens to one query of a head, by its place here.
    pub(crate) fn row(&self, place: usize, query: usize) -> Result<Row> {
        let data = |tensor: Tensor| -> Result<Vec<f32>> { Ok(Numbers::of(&tensor)?.data().to_vec()) };
        let of_head = |tensor: &Tensor| tensor.f_get(place as i64);
        Ok(Row {
            query: data(of_head(&self.query)?.f_get(query as i64)?)?,
            keys: data(self.key.f_get(self.key_of[place] as i64)?)?,
            logits: data(self.logits(place)?.f_get(query as i64)?)?,
            weights: data(self.pattern(place)?.f_get(query as i64)?)?,
            value_lengths: data(of_head(&self.value_lengths)?)?,
            written_lengths: data(of_head(&self.written_lengths)?)?,
        })
    }

    /// Bytes of all its tensors.
    pub(crate) fn bytes(&self) -> usize {
        let tensors = [&self.query, &self.key, &self.value_lengths, &self.written_lengths];
        let bias = self.bias.as_ref().map(|bias| &bias.values);
        tensors.into_iter().chain(bias).map(Tensor::numel).sum::<usize>() * size_of::<f32>()
    }
}

/// Some of the heads (heads, ..) of a tensor, as float32 on the CPU without gaps.
fn pick(tensor: &Tensor, heads: &[usize]) -> Result<Tensor> {
    if heads.iter().copied().eq(0..tensor.size()[0] as usize) {
        return numbers(tensor);
    }
    let places: Vec<i64> = heads.iter().map(|&head| head as i64).collect();
    numbers(&tensor.f_index_select(0, &Tensor::f_from_slice(&places)?.f_to_device(tensor.device())?)?)
}

/// The part of the model that a block of its run shows.
fn part(trace: &Trace, block: &Block) -> Part {
    parts(trace.model()).iter().find(|(_, name)| *name == block.name).map_or(Part::Main, |(part, _)| *part)
}

/// Whether positions turn queries and keys. What a decoder reads of its encoder has no positions.
fn turned(plan: &Plan, part: Part) -> bool {
    plan.rotary.is_some() && part != Part::Cross
}

/// Whether something is added to the scores.
fn biased(plan: &Plan, part: Part) -> bool {
    (plan.position_bias.is_some() || plan.relative.is_some()) && part != Part::Cross
}

fn bias_name(plan: &Plan) -> &'static str {
    match &plan.position_bias {
        Some(PositionBias::Buckets { .. }) => "position bias",
        Some(PositionBias::Slopes(_)) => "ALiBi",
        None => "relative positions",
    }
}

fn rotation(plan: &Plan, tokens: usize) -> Option<Rotation> {
    let rotary = plan.rotary.as_ref()?;
    let frequencies = rotary.frequencies(tokens).into_owned();
    Some(Rotation { halves: rotary.pairing == Pairing::Halves, frequencies, magnitude: rotary.magnitude })
}

/// The sites that a layer's numbers come from, as far as the run did not keep them.
fn missing(trace: &Trace, part: Part, layer: usize) -> Vec<Site> {
    let Some(plan) = plan(trace.model(), part, layer) else { return Vec::new() };
    let mut sites = match turned(plan, part) {
        true => vec![Site::RotatedQuery(layer), Site::RotatedKey(layer)],
        false => vec![Site::Query(layer), Site::Key(layer)],
    };
    sites.push(Site::Value(layer));
    if biased(plan, part) {
        sites.push(Site::PositionBias(layer));
    }
    sites.push(Site::Pattern(layer));
    let sites = sites.into_iter().map(|site| in_part(site, part));
    sites.filter(|&site| !trace.holds(site)).collect()
}

fn not_kept(sites: &[Site]) -> Error {
    let names: Vec<String> = sites.iter().map(|site| format!("Site::{site:?}")).collect();
    Error::Attention(format!(
        "the neuron view needs queries, keys and values beside the pattern, and this run kept no {}; add them to \
         keep(..), or watch everything with run(..)",
        names.join(", ")
    ))
}

impl NeuronView {
    /// Whether the run rounded every step to 16 bits.
    pub(crate) fn is_rounded(&self) -> bool {
        self.trace.model().dtype() != DType::F32
    }

    /// What the run did in the heads of a layer of [`chosen`](Self::chosen).
    pub(crate) fn neurons(&self, block: &Block, layer: &Layer) -> Result<Neurons> {
        Neurons::of(&self.trace, block, layer)
    }

    /// The run's attention with the layers and heads that were asked for; unless told which layers, those whose
    /// queries, keys and values were kept as well.
    pub(crate) fn chosen(&self) -> Result<Attention> {
        let mut all = self.trace.attention()?;
        if self.options.layers.is_none() {
            let mut lost = Vec::new();
            for block in &mut all.blocks {
                let part = part(&self.trace, block);
                let lacks = |layer: &Layer| missing(&self.trace, part, layer.number);
                lost.extend(block.layers.iter().map(lacks).find(|lost| !lost.is_empty()));
                block.layers.retain(|layer| lacks(layer).is_empty());
            }
            all.blocks.retain(|block| !block.layers.is_empty());
            if let (true, Some(lost)) = (all.blocks.is_empty(), lost.first()) {
                return Err(not_kept(lost));
            }
        }
        self.options.choose(&all)
    }
}

#[cfg(test)]
mod tests;
