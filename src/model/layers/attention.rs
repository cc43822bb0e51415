//! Attention with every step in the open: scores, pattern, and what each head does.

use tch::{Kind, Tensor};

use super::{Angles, Linear, Norm, Rotary};
use crate::Result;
use crate::model::architecture::{self, FusedOrder};
use crate::model::weights::Weights;
use crate::trace::{Site, Watcher};

/// One layer's attention.
#[derive(Debug)]
pub(crate) struct Attention {
    projection: Projection,
    /// (D, H·d).
    output: Linear,
    head_norms: Option<(Norm, Norm)>,
    heads: i64,
    kv_heads: i64,
    head_dim: i64,
    /// Scores are multiplied by it.
    pub scale: f64,
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
}

/// What a run knows about positions: the same for all layers of a kind.
pub(crate) struct Positions<'a> {
    /// (T,S), true where a position must not be seen.
    pub hidden: &'a Tensor,
    /// The rotation and its angles for the run's positions.
    pub rotation: Option<(&'a Rotary, &'a Angles)>,
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
                Projection::Fused { linear: Linear::load(linear, weights)?, order: *order }
            }
        };
        let head_norms = match &plan.head_norms {
            Some(norms) => Some((
                Norm::load(&norms.query, plan.head_dim, weights)?,
                Norm::load(&norms.key, plan.head_dim, weights)?,
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
            scale: plan.scale,
        })
    }

    /// What attention of `layer` adds to the stream, from normed rows `x` (T,D).
    pub(crate) fn forward(
        &self,
        layer: usize,
        x: &Tensor,
        positions: &Positions,
        watcher: &mut dyn Watcher,
    ) -> Result<Tensor> {
        let (query, key, value) = self.project(x)?;
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
        let scores = self.per_key_head(&query.f_mul_scalar(self.scale)?, &key.f_transpose(1, 2)?)?;
        let scores = watcher.at(Site::Scores(layer), scores)?;
        let pattern = watcher.at(Site::Pattern(layer), softmax(&scores, positions.hidden)?)?;
        let mix = watcher.at(Site::HeadMix(layer), self.per_key_head(&pattern, &value)?)?;
        let out = self.combine(layer, &mix, watcher)?;
        watcher.at(Site::AttnOut(layer), out)
    }

    /// Queries (H,T,d), keys and values (K,T,d) of normed rows (T,D).
    fn project(&self, x: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
        let t = x.size()[0];
        let split = |flat: Tensor, heads: i64| -> Result<Tensor> {
            Ok(flat.f_view([t, heads, self.head_dim])?.f_transpose(0, 1)?)
        };
        match &self.projection {
            Projection::Separate { query, key, value } => Ok((
                split(query.forward(x)?, self.heads)?,
                split(key.forward(x)?, self.kv_heads)?,
                split(value.forward(x)?, self.kv_heads)?,
            )),
            Projection::Fused { linear, order: FusedOrder::Blocks } => {
                let all = linear.forward(x)?;
                let (queries, keys) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
                Ok((
                    split(all.f_narrow(1, 0, queries)?, self.heads)?,
                    split(all.f_narrow(1, queries, keys)?, self.kv_heads)?,
                    split(all.f_narrow(1, queries + keys, keys)?, self.kv_heads)?,
                ))
            }
            Projection::Fused { linear, order: FusedOrder::PerHead } => {
                let all = linear.forward(x)?.f_view([t, self.heads, 3, self.head_dim])?;
                let part = |index| -> Result<Tensor> { Ok(all.f_select(2, index)?.f_transpose(0, 1)?) };
                Ok((part(0)?, part(1)?, part(2)?))
            }
        }
    }

    /// Multiplies (H,T,n) by (K,n,m), each of the K serving H/K neighbours: (H,T,m).
    fn per_key_head(&self, left: &Tensor, right: &Tensor) -> Result<Tensor> {
        if self.heads == self.kv_heads {
            return Ok(left.f_matmul(right)?);
        }
        let size = left.size();
        let groups = left.f_reshape([self.kv_heads, self.heads / self.kv_heads * size[1], size[2]])?;
        Ok(groups.f_matmul(right)?.f_reshape([self.heads, size[1], right.size()[2]])?)
    }

    /// Heads (H,T,d) through the output matrix. Head by head only when somebody looks there, since that takes H
    /// times the memory.
    fn combine(&self, layer: usize, mix: &Tensor, watcher: &mut dyn Watcher) -> Result<Tensor> {
        let site = Site::HeadOutput(layer);
        if watcher.wants(site) {
            let by_head = watcher.at(site, self.head_outputs(mix)?)?;
            if watcher.changes(site) {
                let sum = by_head.f_sum_dim_intlist(0i64, false, None)?;
                return Ok(match &self.output.bias {
                    Some(bias) => sum.f_add(bias)?,
                    None => sum,
                });
            }
        }
        let t = mix.size()[1];
        self.output.forward(&mix.f_transpose(0, 1)?.f_reshape([t, self.heads * self.head_dim])?)
    }

    /// What each head adds to the attention output (H,T,D), from HeadMix (H,T,d); without the output bias.
    pub(crate) fn head_outputs(&self, mix: &Tensor) -> Result<Tensor> {
        let by_head = self.output.weight.f_reshape([-1, self.heads, self.head_dim])?.f_permute([1, 2, 0])?;
        Ok(mix.f_matmul(&by_head)?)
    }

    /// The rows (d,D) that give the query of query head `head`, or the key of key head `head`.
    pub(crate) fn weight(&self, role: Role, head: usize) -> Result<Tensor> {
        let (linear, start, step) = self.place(role);
        self.slice(&linear.weight, head, start, step)
    }

    /// The bias (d) that goes with [`weight`](Self::weight).
    pub(crate) fn bias(&self, role: Role, head: usize) -> Result<Option<Tensor>> {
        let (linear, start, step) = self.place(role);
        linear.bias.as_ref().map(|bias| self.slice(bias, head, start, step)).transpose()
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

    /// Norms of single query and key heads.
    pub(crate) fn head_norms(&self) -> Option<&(Norm, Norm)> {
        self.head_norms.as_ref()
    }

    /// The key head that query head `head` reads.
    pub(crate) fn key_head(&self, head: usize) -> usize {
        head / (self.heads / self.kv_heads) as usize
    }

    /// The map that gives `role`, its first row, and the rows from one head to the next.
    fn place(&self, role: Role) -> (&Linear, i64, i64) {
        let d = self.head_dim;
        match &self.projection {
            Projection::Separate { query, key, .. } => match role {
                Role::Query => (query, 0, d),
                Role::Key => (key, 0, d),
            },
            Projection::Fused { linear, order } => {
                let start = match (order, role) {
                    (_, Role::Query) => 0,
                    (FusedOrder::Blocks, Role::Key) => self.heads * d,
                    (FusedOrder::PerHead, Role::Key) => d,
                };
                (linear, start, if *order == FusedOrder::PerHead { 3 * d } else { d })
            }
        }
    }

    fn slice(&self, rows: &Tensor, head: usize, start: i64, step: i64) -> Result<Tensor> {
        Ok(rows.f_narrow(0, start + head as i64 * step, self.head_dim)?)
    }
}

/// Probabilities of each row of `scores` (H,T,S) over what is not `hidden`.
///
/// A row that may see nothing (a padded one) gets the same probability everywhere, as in `transformers`: the least
/// float stands in for minus infinity.
fn softmax(scores: &Tensor, hidden: &Tensor) -> Result<Tensor> {
    let kind = scores.kind();
    let masked = scores.f_to_kind(Kind::Float)?.f_masked_fill(hidden, f64::from(f32::MIN))?;
    Ok(masked.f_softmax(-1, Kind::Float)?.f_to_kind(kind)?)
}
