//! Attention with every step in the open: scores, pattern, and what each head does.

use tch::{Kind, Tensor};

use super::{Angles, HeadNorm, Linear, Relative, Rotary, Seen, soft_capped};
use crate::Result;
use crate::model::architecture::{self, BiasesApart, FusedOrder};
use crate::model::cache::Past;
use crate::model::weights::Weights;
use crate::site::{Site, Watcher};

/// One layer's attention.
#[derive(Debug)]
pub(crate) struct Attention {
    projection: Projection,
    /// (D, H·d).
    output: Linear,
    head_norms: Option<(HeadNorm, HeadNorm)>,
    heads: i64,
    kv_heads: i64,
    head_dim: i64,
    relative: Option<Relative>,
    /// Products of queries and keys are multiplied by it.
    pub scale: f64,
    /// The cap of scores.
    pub soft_cap: Option<f64>,
}

#[derive(Debug)]
enum Projection {
    Separate { query: Linear, key: Linear, value: Linear },
    Fused { linear: Linear, order: FusedOrder },
}

/// Whose rows of a projection are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Query,
    Key,
    Value,
}

/// What a run knows about positions: the same for all layers of a kind.
pub(crate) struct Positions<'a> {
    /// (T,S), true where a position must not be seen.
    pub hidden: &'a Tensor,
    /// (T,S), true where a key belongs to another text than the query, where padded queries must not see it.
    pub elsewhere: Option<&'a Tensor>,
    /// The rotation and its angles for the run's positions.
    pub rotation: Option<(&'a Rotary, &'a Angles)>,
    /// What positions add to the scaled scores (H,T,S).
    pub bias: Option<&'a Tensor>,
    /// What the layer's own matrices for distances read.
    pub relative: Option<Seen<'a>>,
    /// What was computed of earlier positions, and how many these are.
    pub past: Option<(&'a Past, usize)>,
}

impl Attention {
    pub(crate) fn load(plan: &architecture::Attention, weights: &Weights) -> Result<Attention> {
        let projection = match &plan.projection {
            architecture::Projection::Separate { query, key, value } => Projection::Separate {
                query: Linear::load(query, weights)?,
                key: Linear::load(key, weights)?,
                value: Linear::load(value, weights)?,
            },
            architecture::Projection::Fused { linear, order } => {
                let mut linear = Linear::load(linear, weights)?;
                if let Some(apart) = &plan.biases_apart {
                    linear.bias = Some(bias_in_groups(apart, plan.heads, plan.head_dim, weights)?);
                }
                Projection::Fused { linear, order: *order }
            }
        };
        let head_norms = match &plan.head_norms {
            Some(norms) => Some((
                HeadNorm::load(&norms.query, norms.span, (plan.heads, plan.head_dim), weights)?,
                HeadNorm::load(&norms.key, norms.span, (plan.kv_heads, plan.head_dim), weights)?,
            )),
            None => None,
        };
        Ok(Attention {
            projection,
            output: Linear::load(&plan.output, weights)?,
            head_norms,
            heads: plan.heads as i64,
            kv_heads: plan.kv_heads as i64,
            head_dim: plan.head_dim as i64,
            relative: match &plan.relative {
                Some(relative) => Some(Relative::load(relative, plan.heads, plan.head_dim, weights)?),
                None => None,
            },
            scale: plan.scale,
            soft_cap: plan.soft_cap,
        })
    }

    /// What attention of `layer` writes, from the rows `x` (T,D) that it reads. Keys and values come from `memory`
    /// (S,D) where one is given, an encoder's output.
    pub(crate) fn forward(
        &self,
        layer: usize,
        x: &Tensor,
        memory: Option<&Tensor>,
        positions: &Positions,
        watcher: &mut dyn Watcher,
    ) -> Result<Tensor> {
        let (query, key, value) = self.read(layer, x, memory, positions, watcher)?;
        let bias = match (&self.relative, positions.relative) {
            (Some(relative), Some(seen)) => Some(relative.bias(&query, &key, seen)?.f_mul_scalar(self.scale)?),
            _ => positions.bias.map(Tensor::shallow_clone),
        };
        let mut scores = self.per_key_head(&query.f_mul_scalar(self.scale)?, &key.f_transpose(-2, -1)?)?;
        if let Some(bias) = bias {
            scores = scores.f_add(&watcher.at(Site::PositionBias(layer), bias)?)?;
        }
        let scores = watcher.at(Site::Scores(layer), soft_capped(scores, self.soft_cap)?)?;
        let pattern = watcher
            .at(Site::Pattern(layer), masked_softmax(&scores, positions.hidden, positions.elsewhere, Kind::Float)?)?;
        let mix = watcher.at(Site::HeadMix(layer), self.per_key_head(&pattern, &value)?)?;
        self.combine(layer, &mix, watcher)
    }

    /// The queries (H,T,d) of the rows `x`, and the keys and values (K,S,d) that they meet, those of earlier positions
    /// among them; normed and rotated.
    fn read(
        &self,
        layer: usize,
        x: &Tensor,
        memory: Option<&Tensor>,
        positions: &Positions,
        watcher: &mut dyn Watcher,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        if memory.is_some()
            && let Some((key, value)) = positions.past.and_then(|(past, _)| past.fixed())
        {
            let query = watcher.at(Site::Query(layer), self.queries(x)?)?;
            let norms = self.head_norms.as_ref();
            return Ok((norms.map_or(Ok(query.shallow_clone()), |(norm, _)| norm.forward(&query))?, key, value));
        }
        let (query, key, value) = self.project(x, memory)?;
        let query = watcher.at(Site::Query(layer), query)?;
        let key = watcher.at(Site::Key(layer), key)?;
        let value = watcher.at(Site::Value(layer), value)?;
        let (query, key) = match &self.head_norms {
            Some((query_norm, key_norm)) => (query_norm.forward(&query)?, key_norm.forward(&key)?),
            None => (query, key),
        };
        let (query, key) = match positions.rotation {
            Some((rotary, angles)) => (
                watcher.at(Site::RotatedQuery(layer), rotary.turn(&query, angles)?)?,
                watcher.at(Site::RotatedKey(layer), rotary.turn(&key, angles)?)?,
            ),
            None => (query, key),
        };
        match positions.past {
            Some((past, first)) => {
                let (key, value) = past.join(first, &key, &value)?;
                Ok((query, key, value))
            }
            None => Ok((query, key, value)),
        }
    }

    /// `rows` (T,heads·d) by head: (heads,T,d).
    fn split(&self, rows: &Tensor, heads: i64) -> Result<Tensor> {
        Ok(rows.f_unflatten(-1, [heads, self.head_dim])?.f_transpose(-3, -2)?)
    }

    /// Queries (H,T,d) alone.
    fn queries(&self, x: &Tensor) -> Result<Tensor> {
        match &self.projection {
            Projection::Separate { query, .. } => self.split(&query.forward(x)?, self.heads),
            Projection::Fused { .. } => Ok(self.project(x, None)?.0),
        }
    }

    /// Queries (H,T,d) of the rows `x` (T,D), keys and values (K,S,d) of the rows `memory` (S,D), or else of `x`.
    fn project(&self, x: &Tensor, memory: Option<&Tensor>) -> Result<(Tensor, Tensor, Tensor)> {
        let (linear, order) = match &self.projection {
            Projection::Separate { query, key, value } => {
                return Ok((
                    self.split(&query.forward(x)?, self.heads)?,
                    self.split(&key.forward(memory.unwrap_or(x))?, self.kv_heads)?,
                    self.split(&value.forward(memory.unwrap_or(x))?, self.kv_heads)?,
                ));
            }
            Projection::Fused { linear, order } => (linear, order),
        };
        let from_x = linear.forward(x)?;
        let from_memory = match memory {
            Some(memory) => linear.forward(memory)?,
            None => from_x.shallow_clone(),
        };
        match order {
            FusedOrder::Blocks => {
                let (queries, keys) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
                Ok((
                    self.split(&from_x.f_narrow(-1, 0, queries)?, self.heads)?,
                    self.split(&from_memory.f_narrow(-1, queries, keys)?, self.kv_heads)?,
                    self.split(&from_memory.f_narrow(-1, queries + keys, keys)?, self.kv_heads)?,
                ))
            }
            FusedOrder::Groups => {
                let serves = self.heads / self.kv_heads;
                let groups = |all: &Tensor| all.f_unflatten(-1, [self.kv_heads, serves + 2, self.head_dim]);
                let (from_x, from_memory) = (groups(&from_x)?, groups(&from_memory)?);
                let queries = from_x.f_narrow(-2, 0, serves)?.f_flatten(-3, -2)?;
                let part = |index| -> Result<Tensor> { Ok(from_memory.f_select(-2, index)?.f_transpose(-3, -2)?) };
                Ok((queries.f_transpose(-3, -2)?, part(serves)?, part(serves + 1)?))
            }
        }
    }

    /// What distances add to the scaled scores (H,1,S) of a query and keys that have no content but their biases; none
    /// where the layer has no matrices for distances.
    pub(crate) fn without_content(&self, seen: Seen) -> Result<Option<Tensor>> {
        let Some(relative) = &self.relative else { return Ok(None) };
        let keys = seen.distances.keys();
        let alone = |role| -> Result<Tensor> {
            let bias = |head| -> Result<Tensor> {
                let options = (self.output.weight.kind(), self.output.weight.device());
                let zeros = || Ok(Tensor::f_zeros([self.head_dim], options)?);
                self.bias(role, head)?.map_or_else(zeros, Ok)
            };
            let heads = (0..self.heads(role)).map(bias).collect::<Result<Vec<_>>>()?;
            Ok(Tensor::f_stack(&heads, 0)?.f_unsqueeze(1)?)
        };
        let (query, key) = (alone(Role::Query)?, alone(Role::Key)?.f_expand([-1, keys, -1], false)?);
        Ok(Some(relative.bias(&query, &key, seen)?.f_mul_scalar(self.scale)?))
    }

    /// Multiplies (H,T,n) by (K,n,m), each of the K serving H/K neighbours: (H,T,m).
    fn per_key_head(&self, left: &Tensor, right: &Tensor) -> Result<Tensor> {
        if self.heads == self.kv_heads {
            return Ok(left.f_matmul(right)?);
        }
        let (serves, rows) = (self.heads / self.kv_heads, left.size()[left.dim() - 2]);
        let groups = left.f_unflatten(-3, [self.kv_heads, serves])?.f_flatten(-3, -2)?;
        Ok(groups.f_matmul(right)?.f_unflatten(-2, [serves, rows])?.f_flatten(-4, -3)?)
    }

    /// Heads (H,T,d) through the output matrix. Head by head only when somebody looks there, since that takes H
    /// times the memory.
    fn combine(&self, layer: usize, mix: &Tensor, watcher: &mut dyn Watcher) -> Result<Tensor> {
        let site = Site::HeadOutput(layer);
        if watcher.wants(site) {
            let by_head = watcher.at(site, self.head_outputs(mix)?)?;
            if watcher.changes(site) {
                let sum = by_head.f_sum_dim_intlist(-3i64, false, None)?;
                return Ok(match &self.output.bias {
                    Some(bias) => sum.f_add(bias)?,
                    None => sum,
                });
            }
        }
        self.output.forward(&mix.f_transpose(-3, -2)?.f_flatten(-2, -1)?)
    }

    /// What each head adds to the attention output (H,T,D), from HeadMix (H,T,d); without the output bias.
    pub(crate) fn head_outputs(&self, mix: &Tensor) -> Result<Tensor> {
        let by_head = self.output.weight.f_reshape([-1, self.heads, self.head_dim])?.f_permute([1, 2, 0])?;
        Ok(mix.f_matmul(&by_head)?)
    }

    /// The lengths (H,S) of what `values` (H,S,d), one set for each query head, become through the output matrix; its
    /// bias left out.
    pub(crate) fn written_lengths(&self, values: &Tensor) -> Result<Tensor> {
        let by_head = self.output.weight.f_reshape([-1, self.heads, self.head_dim])?.f_permute([1, 2, 0])?;
        // |v W|² = v (W Wᵀ) v: (d,d) numbers a head in place of the (H,S,D) vectors themselves.
        let products = by_head.f_matmul(&by_head.f_transpose(1, 2)?)?;
        let squares = values.f_matmul(&products)?.f_mul(values)?.f_sum_dim_intlist(-1i64, false, Kind::Float)?;
        Ok(squares.f_clamp_min(0.0)?.f_sqrt()?)
    }

    /// The rows (d,D) that give the query of query head `head`, or the key or value of key head `head`.
    pub(crate) fn weight(&self, role: Role, head: usize) -> Result<Tensor> {
        let (linear, first) = self.place(role, head as i64);
        Ok(linear.weight.f_narrow(0, first, self.head_dim)?)
    }

    /// The bias (d) that goes with [`weight`](Self::weight).
    pub(crate) fn bias(&self, role: Role, head: usize) -> Result<Option<Tensor>> {
        let (linear, first) = self.place(role, head as i64);
        linear.bias.as_ref().map(|bias| Ok(bias.f_narrow(0, first, self.head_dim)?)).transpose()
    }

    /// Number of heads that `role` has.
    pub(crate) fn heads(&self, role: Role) -> usize {
        (if role == Role::Query { self.heads } else { self.kv_heads }) as usize
    }

    /// The output matrix (D, H·d).
    pub(crate) fn output_matrix(&self) -> &Tensor {
        &self.output.weight
    }

    /// The columns (D,d) of the output matrix that read head `head`.
    pub(crate) fn output_weight(&self, head: usize) -> Result<Tensor> {
        Ok(self.output.weight.f_narrow(1, head as i64 * self.head_dim, self.head_dim)?)
    }

    /// The bias (D) of the output matrix.
    pub(crate) fn output_bias(&self) -> Option<&Tensor> {
        self.output.bias.as_ref()
    }

    /// Norms of queries and keys.
    pub(crate) fn head_norms(&self) -> Option<&(HeadNorm, HeadNorm)> {
        self.head_norms.as_ref()
    }

    /// The key head that query head `head` reads.
    pub(crate) fn key_head(&self, head: usize) -> usize {
        head / (self.heads / self.kv_heads) as usize
    }

    /// The map that gives `role`, and the first of its rows that belong to `head`.
    fn place(&self, role: Role, head: i64) -> (&Linear, i64) {
        let d = self.head_dim;
        match (&self.projection, role) {
            (Projection::Separate { query, .. }, Role::Query) => (query, head * d),
            (Projection::Separate { key, .. }, Role::Key) => (key, head * d),
            (Projection::Separate { value, .. }, Role::Value) => (value, head * d),
            (Projection::Fused { linear, order: FusedOrder::Blocks }, Role::Query) => (linear, head * d),
            (Projection::Fused { linear, order: FusedOrder::Blocks }, Role::Key) => (linear, (self.heads + head) * d),
            (Projection::Fused { linear, order: FusedOrder::Blocks }, Role::Value) => {
                (linear, (self.heads + self.kv_heads + head) * d)
            }
            (Projection::Fused { linear, order: FusedOrder::Groups }, role) => {
                let serves = self.heads / self.kv_heads;
                let row = match role {
                    Role::Query => head / serves * (serves + 2) + head % serves,
                    Role::Key => head * (serves + 2) + serves,
                    Role::Value => head * (serves + 2) + serves + 1,
                };
                (linear, row * d)
            }
        }
    }
}

/// The bias (3·H·d) of a projection in groups of one query, key and value each.
fn bias_in_groups(plan: &BiasesApart, heads: usize, head_dim: usize, weights: &Weights) -> Result<Tensor> {
    let bias = |name| -> Result<Tensor> {
        Ok(weights.tensor(name, &[heads * head_dim])?.f_view([heads as i64, head_dim as i64])?)
    };
    let query = bias(&plan.query)?;
    let parts = [&query, &query.f_zeros_like()?, &bias(&plan.value)?];
    Ok(Tensor::f_stack(&parts, 1)?.f_view(-1)?)
}

/// Probabilities of each row of `scores` (..,T,S) over what is not `hidden` (T,S), computed in `precision` and given in
/// the scores' own type.
///
/// A row that may see nothing (a padded one) gets the same probability everywhere, as in `transformers`: the least
/// float stands in for minus infinity. Not so `elsewhere` (T,S), in other texts.
pub(crate) fn masked_softmax(
    scores: &Tensor,
    hidden: &Tensor,
    elsewhere: Option<&Tensor>,
    precision: Kind,
) -> Result<Tensor> {
    let mut masked = scores.f_to_kind(precision)?.f_masked_fill(hidden, f64::from(f32::MIN))?;
    if let Some(elsewhere) = elsewhere {
        masked = masked.f_masked_fill(elsewhere, f64::NEG_INFINITY)?;
    }
    Ok(masked.f_softmax(-1, precision)?.f_to_kind(scores.kind())?)
}
