//! One layer's attention at one position, taken apart into vectors of the residual stream.

use tch::{Kind, Tensor};

use super::super::batch;
use super::super::graph::Score;
use super::written::Written;
use crate::model::Sublayer;
use crate::model::layers::{self, Role};
use crate::run::Trace;
use crate::{Error, Result, Site};

/// What attention of one layer reads and writes at one position: its own, or the one to the encoder's output.
pub(super) struct Attention<'a> {
    trace: &'a Trace,
    weights: &'a layers::Attention,
    layer: usize,
    position: i64,
    cross: bool,
    rotary: bool,
    /// Attention probabilities (H,S).
    pattern: Tensor,
    /// What positions add to the scaled scores (H,S).
    position_bias: Option<Tensor>,
    written: Written<'a>,
    /// What each head adds (H,D).
    pub outputs: Tensor,
    /// What is added beside the heads (D): the output matrix's bias, and that of a norm of what is written.
    pub bias: Option<Tensor>,
}

/// A position that a head sees.
pub(super) struct Memory {
    pub position: usize,
    /// Attention probability.
    pub score: f64,
    /// Length of what it adds through the head.
    pub added: f64,
}

/// The keys of some positions as one head's query meets them.
pub(super) struct Keys {
    /// (n,D): dotted with what attention reads at the query's position, each row gives the product of query and key, up
    /// to the offset. Rotation is undone for that position; the scale of a norm of query heads is held fixed.
    pub directions: Tensor,
    /// (n): the part of the product that does not depend on what is read: the query's biases.
    pub offsets: Vec<f64>,
    /// (n): what positions add to the scaled product.
    pub by_position: Option<Vec<f64>>,
    /// Products are multiplied by it.
    pub scale: f64,
    /// The cap of scaled products with what positions add.
    pub soft_cap: Option<f64>,
}

impl Keys {
    /// How a key comes to its `attention`, `along` being what is read along its direction.
    pub fn score(&self, index: usize, along: f64, attention: f64) -> Score {
        Score {
            attention,
            along,
            offset: self.offsets[index],
            scale: self.scale,
            by_position: self.by_position.as_ref().map(|bias| bias[index]),
            soft_cap: self.soft_cap,
        }
    }
}

impl<'a> Attention<'a> {
    /// The block's own attention or, for [`Sublayer::Cross`], the one to the encoder's output.
    pub fn new(trace: &'a Trace, sublayer: Sublayer, layer: usize, position: usize) -> Result<Attention<'a>> {
        let model = trace.model();
        let (block, plan) = (model.stack().block(layer), &model.architecture().main.blocks[layer]);
        let cross = sublayer == Sublayer::Cross;
        let (weights, plan) = match (cross, &block.cross, &plan.cross) {
            (true, Some(cross), Some(plan)) => (&cross.attention, &plan.attention),
            (true, ..) => {
                return Err(Error::FlowGraph(format!("layer {layer} has no cross attention; draw another layer")));
            }
            (false, ..) => (&block.attention, &plan.attention),
        };
        let at = |site: Site| if cross { site.in_cross() } else { site };
        let place = position as i64;
        let mix = trace.tensor(at(Site::HeadMix(layer)))?.f_narrow(1, place, 1)?.f_to_kind(Kind::Float)?;
        let mut outputs = Vec::new();
        for head in 0..weights.heads(Role::Query) {
            let matrix = weights.output_weight(head)?.f_to_kind(Kind::Float)?;
            outputs.push(mix.f_get(head as i64)?.f_matmul(&matrix.f_tr()?)?);
        }
        let outputs = Tensor::f_cat(&outputs, 0)?;
        let heads = outputs.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Float)?;
        let norm = block.norms(sublayer).and_then(|norms| norms.written.as_ref());
        let written = Written::new(norm, &heads, weights.output_bias())?;
        let of_position =
            |site: Site| -> Result<Tensor> { Ok(trace.tensor(at(site))?.f_select(1, place)?.f_to_kind(Kind::Float)?) };
        Ok(Attention {
            trace,
            weights,
            layer,
            position: place,
            cross,
            rotary: plan.rotary.is_some(),
            pattern: of_position(Site::Pattern(layer))?,
            position_bias: match (&plan.position_bias, &plan.relative) {
                (None, None) => None,
                _ => Some(of_position(Site::PositionBias(layer))?),
            },
            outputs: written.parts(&outputs)?,
            bias: written.bias()?,
            written,
        })
    }

    /// Number of query heads.
    pub fn heads(&self) -> usize {
        self.weights.heads(Role::Query)
    }

    /// Whether what heads write passes a norm before it is added.
    pub fn has_norm(&self) -> bool {
        self.written.has_norm()
    }

    /// Attention probabilities of a head over all positions.
    pub fn scores(&self, head: usize) -> Result<Vec<f64>> {
        batch::numbers(&self.pattern.f_get(head as i64)?)
    }

    /// The positions that a head sees, those first whose memory adds the longest vector: attention alone would put
    /// first what many heads rest on without taking anything from it.
    pub fn memories(&self, head: usize) -> Result<Vec<Memory>> {
        let scores = self.scores(head)?;
        let seen: Vec<usize> = (0..scores.len()).filter(|&position| scores[position] > 0.).collect();
        let lengths = batch::norms(&self.values(head, &seen)?)?;
        let added: Vec<f64> = seen.iter().zip(lengths).map(|(&position, length)| scores[position] * length).collect();
        let memory = |index: usize| Memory { position: seen[index], score: scores[seen[index]], added: added[index] };
        Ok(batch::falling(&added).into_iter().map(memory).collect())
    }

    /// What some positions would add through a head with a score of 1: (n,D).
    pub fn values(&self, head: usize, positions: &[usize]) -> Result<Tensor> {
        let values = self.of_key_head(Site::Value(self.layer), head)?;
        let values = values.f_index_select(0, &indices(positions, &values)?)?;
        self.written.parts(&values.f_matmul(&self.weights.output_weight(head)?.f_to_kind(Kind::Float)?.f_tr()?)?)
    }

    /// What all positions but these add through a head, together: (D).
    pub fn rest(&self, head: usize, positions: &[usize]) -> Result<Tensor> {
        let mut scores = self.scores(head)?;
        for &position in positions {
            scores[position] = 0.;
        }
        let values = self.of_key_head(Site::Value(self.layer), head)?;
        let scores: Vec<f32> = scores.iter().map(|&score| score as f32).collect();
        let mix = values.f_tr()?.f_mv(&Tensor::f_from_slice(&scores)?.f_to_device(values.device())?)?;
        self.written.parts(&self.weights.output_weight(head)?.f_to_kind(Kind::Float)?.f_mv(&mix)?)
    }

    /// The keys of some positions as a head's query meets them.
    pub fn keys(&self, head: usize, positions: &[usize]) -> Result<Keys> {
        let keys = match self.rotary {
            true => self.of_key_head(Site::RotatedKey(self.layer), head)?,
            false => self.normed(Role::Key)?.f_get(self.weights.key_head(head) as i64)?,
        };
        let mut along = keys.f_index_select(0, &indices(positions, &keys)?)?;
        along = self.turned_back(&along)?;
        let mut offsets = vec![0.; positions.len()];
        if let Some((norm, _)) = self.weights.head_norms() {
            let queries = self.here(Site::Query(self.layer))?;
            let (pulled, constant) = norm.pull_back(head, &queries, &along)?;
            along = pulled;
            offsets = constant.map_or(Ok(offsets), |constant| batch::numbers(&constant))?;
        }
        if let Some(bias) = self.weights.bias(Role::Query, head)? {
            let constant = batch::numbers(&along.f_mv(&bias.f_to_kind(Kind::Float)?)?)?;
            offsets.iter_mut().zip(constant).for_each(|(offset, more)| *offset += more);
        }
        let matrix = self.weights.weight(Role::Query, head)?.f_to_kind(Kind::Float)?;
        let by_position = match &self.position_bias {
            Some(bias) => {
                Some(batch::numbers(&bias.f_get(head as i64)?.f_index_select(0, &indices(positions, bias)?)?)?)
            }
            None => None,
        };
        Ok(Keys {
            directions: along.f_matmul(&matrix)?,
            offsets,
            by_position,
            scale: self.weights.scale,
            soft_cap: self.weights.soft_cap,
        })
    }

    /// What a head's query looks for, as a direction of what keys are made from (D): what attention reads, or in cross
    /// attention the encoder's output. Dotted with the input of a key at the query's own place it gives the product of
    /// query and key up to the key's bias, so that only content counts, not distance.
    pub fn query(&self, head: usize) -> Result<Tensor> {
        let mut along = match self.rotary {
            true => self.turned_back(&self.here(Site::RotatedQuery(self.layer))?.f_get(head as i64)?)?,
            false => self.normed(Role::Query)?.f_get(head as i64)?.f_narrow(0, self.position, 1)?,
        };
        let key_head = self.weights.key_head(head);
        if let Some((_, norm)) = self.weights.head_norms() {
            along = norm.pull_back(key_head, &self.here(Site::Key(self.layer))?, &along)?.0;
        }
        Ok(along.f_matmul(&self.weights.weight(Role::Key, key_head)?.f_to_kind(Kind::Float)?)?.f_get(0)?)
    }

    /// The rows (S,d) of the key head that a query head reads.
    fn of_key_head(&self, site: Site, head: usize) -> Result<Tensor> {
        let all = self.trace.tensor(self.at(site))?.f_get(self.weights.key_head(head) as i64)?;
        Ok(all.f_to_kind(Kind::Float)?)
    }

    /// The rows (H,1,d) of all heads at the position.
    fn here(&self, site: Site) -> Result<Tensor> {
        Ok(self.trace.tensor(self.at(site))?.f_narrow(1, self.position, 1)?.f_to_kind(Kind::Float)?)
    }

    /// A site of attention, in its part of the model.
    fn at(&self, site: Site) -> Site {
        if self.cross { site.in_cross() } else { site }
    }

    /// All queries or keys (H,T,d), normed where the model does so.
    fn normed(&self, role: Role) -> Result<Tensor> {
        let site = if role == Role::Query { Site::Query(self.layer) } else { Site::Key(self.layer) };
        let heads = self.trace.tensor(self.at(site))?.f_to_kind(Kind::Float)?;
        match (self.weights.head_norms(), role) {
            (Some((query, _)), Role::Query) => query.forward(&heads),
            (Some((_, key)), _) => key.forward(&heads),
            (None, _) => Ok(heads),
        }
    }

    /// Rows (n,d) with the rotation of the position undone.
    fn turned_back(&self, rows: &Tensor) -> Result<Tensor> {
        if !self.rotary {
            return Ok(rows.shallow_clone());
        }
        match self.trace.model().stack().rotation(self.layer, &[self.position], self.trace.len())? {
            Some((rotary, angles)) => Ok(rotary.turn_transposed(&rows.f_unsqueeze(1)?, &angles)?.f_squeeze_dim(1)?),
            None => Ok(rows.shallow_clone()),
        }
    }
}

fn indices(positions: &[usize], beside: &Tensor) -> Result<Tensor> {
    let positions: Vec<i64> = positions.iter().map(|&position| position as i64).collect();
    Ok(Tensor::f_from_slice(&positions)?.f_to_device(beside.device())?)
}
