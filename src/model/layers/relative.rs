//! What the distance between query and key adds to the scores through matrices of each layer: XLNet's and DeBERTa's
//! attention.

use std::ops::Range;

use tch::{Kind, Tensor};

use super::{Linear, Norm};
use crate::Result;
use crate::model::architecture;
use crate::model::weights::Weights;

/// Where the vectors of distances come from; the same for all layers.
#[derive(Debug)]
pub(crate) enum Distances {
    /// Sines and cosines of the distance.
    Sinusoidal { width: i64, clamp: Option<i64> },
    /// Rows (2·span,D), and how far logarithmic buckets reach, where distances fall into such.
    Learned { rows: Tensor, reach: Option<i64> },
}

/// The vectors of a run's distances.
pub(crate) struct DistanceVectors {
    /// (N,D).
    rows: Tensor,
    /// (T,S): which row belongs to a query (first axis) and a key.
    index: Tensor,
}

impl DistanceVectors {
    /// Number of keys S.
    pub(crate) fn keys(&self) -> i64 {
        self.index.size()[1]
    }
}

impl Distances {
    pub(crate) fn load(plan: &architecture::Distances, weights: &Weights) -> Result<Distances> {
        Ok(match plan {
            architecture::Distances::Sinusoidal { width, clamp } => {
                Distances::Sinusoidal { width: *width as i64, clamp: clamp.map(|clamp| clamp as i64) }
            }
            architecture::Distances::Learned { table, norm, reach } => {
                let rows = weights.table(table)?;
                let rows = match norm {
                    Some(norm) => Norm::load(norm, table.width, weights)?.forward(&rows)?,
                    None => rows,
                };
                Distances::Learned { rows, reach: reach.map(|reach| reach as i64) }
            }
        })
    }

    /// The vectors of the distances from `queries` of a run of `count` positions to all, in the type and on the device
    /// given.
    pub(crate) fn vectors(
        &self,
        queries: &Range<usize>,
        count: i64,
        (kind, device): (Kind, tch::Device),
    ) -> Result<DistanceVectors> {
        let options = (Kind::Int64, device);
        let places = Tensor::f_arange_start(queries.start as i64, queries.end as i64, options)?;
        let distance = places.f_unsqueeze(1)?.f_sub(&Tensor::f_arange(count, options)?.f_unsqueeze(0)?)?;
        Ok(match self {
            Distances::Sinusoidal { width, clamp } => {
                let mut all = Tensor::f_arange_start(1 - count, count, (Kind::Float, device))?;
                if let Some(clamp) = *clamp {
                    all = all.f_clamp(-clamp, clamp)?;
                }
                let rows = sines_and_cosines(&all, *width)?.f_to_kind(kind)?;
                DistanceVectors { rows, index: distance.f_add_scalar(count - 1)? }
            }
            Distances::Learned { rows, reach } => {
                let span = rows.size()[0] / 2;
                let place = match *reach {
                    Some(reach) => log_buckets(&distance, span, reach)?,
                    None => distance,
                };
                let index = place.f_add_scalar(span)?.f_clamp(0, 2 * span - 1)?;
                DistanceVectors { rows: rows.shallow_clone(), index }
            }
        })
    }
}

/// (N,width): sines of the distances over 10000^(2i/width), then the cosines; in float32 and Python's order, so that
/// long distances are rounded as there.
fn sines_and_cosines(distances: &Tensor, width: i64) -> Result<Tensor> {
    let exponents = Tensor::f_arange_start_step(0, width, 2, (Kind::Float, distances.device()))?;
    let rates = Tensor::f_pow_scalar(10_000.0, &exponents.f_div_scalar(width)?)?.f_reciprocal()?;
    let angles = distances.f_unsqueeze(1)?.f_mul(&rates)?;
    Ok(Tensor::f_cat(&[angles.f_sin()?, angles.f_cos()?], 1)?)
}

/// Distances up to half of `count` as they are, farther ones by their logarithm, up to `reach`; before or after alike.
///
/// The logarithm is taken in float32 by libtorch, in Python's order: distances on the border of two buckets fall as
/// they do there.
fn log_buckets(distances: &Tensor, count: i64, reach: i64) -> Result<Tensor> {
    let middle = count / 2;
    let away = distances.f_abs()?;
    let away = away.f_clamp_min(middle - 1)?;
    let growth = Tensor::f_from_slice(&[((reach - 1) as f64 / middle as f64) as f32])?.f_log()?;
    let far = away
        .f_to_kind(Kind::Float)?
        .f_div_scalar(middle)?
        .f_log()?
        .f_div(&growth.f_to_device(distances.device())?)?
        .f_mul_scalar(middle - 1)?
        .f_ceil()?
        .f_add_scalar(middle)?
        .f_mul(&distances.f_sign()?)?
        .f_to_kind(Kind::Int64)?;
    Ok(distances.f_where_self(&away.f_le(middle)?, &far)?)
}

/// One layer's matrices for the vectors of distances.
#[derive(Debug)]
pub(crate) struct Relative {
    key: Option<Linear>,
    query: Option<Linear>,
    biases: Option<QueryBiases>,
}

/// What is added to queries, (H,1,d) each, before they meet keys, distances and segments.
#[derive(Debug)]
struct QueryBiases {
    content: Tensor,
    position: Tensor,
    segment: Tensor,
    /// (H,d,2): the same segment, and another one.
    segments: Tensor,
}

/// What a run knows of distances and segments.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub distances: &'a DistanceVectors,
    /// (T,S): 1 where query and key stand in different segments.
    pub other_segment: Option<&'a Tensor>,
}

impl Relative {
    pub(crate) fn load(
        plan: &architecture::Relative,
        heads: usize,
        head_dim: usize,
        weights: &Weights,
    ) -> Result<Relative> {
        let linear =
            |plan: &Option<architecture::Linear>| plan.as_ref().map(|linear| Linear::load(linear, weights)).transpose();
        let biases = match &plan.query_biases {
            Some(plan) => {
                let bias =
                    |name: &str| -> Result<Tensor> { Ok(weights.tensor(name, &[heads, head_dim])?.f_unsqueeze(1)?) };
                Some(QueryBiases {
                    content: bias(&plan.content)?,
                    position: bias(&plan.position)?,
                    segment: bias(&plan.segment)?,
                    segments: weights.tensor(&plan.segments, &[2, heads, head_dim])?.f_permute([1, 2, 0])?,
                })
            }
            None => None,
        };
        Ok(Relative { key: linear(&plan.key)?, query: linear(&plan.query)?, biases })
    }

    /// What is added to the products of queries and keys (H,T,d), before they are scaled: (H,T,S).
    pub(crate) fn bias(&self, query: &Tensor, key: &Tensor, seen: Seen) -> Result<Tensor> {
        let (heads, head_dim) = (query.size()[query.dim() - 3], query.size()[query.dim() - 1]);
        let DistanceVectors { rows, index } = seen.distances;
        // (H,d,N)
        let by_head = |linear: &Linear| -> Result<Tensor> {
            Ok(linear.forward(rows)?.f_view([-1, heads, head_dim])?.f_permute([1, 2, 0])?)
        };
        let pick = |products: &Tensor, index: &Tensor| -> Result<Tensor> {
            let mut shape = products.size();
            shape.truncate(products.dim() - 2);
            shape.extend(index.size());
            Ok(products.f_gather(-1, &index.f_expand(shape, false)?, false)?)
        };
        // (H,T,S), each with as many axes in front as the queries have.
        let mut terms = Vec::new();
        if let Some(biases) = &self.biases {
            terms.push(biases.content.f_matmul(&key.f_transpose(-2, -1)?)?);
        }
        if let Some(linear) = &self.key {
            let query = match &self.biases {
                Some(biases) => query.f_add(&biases.position)?,
                None => query.shallow_clone(),
            };
            terms.push(pick(&query.f_matmul(&by_head(linear)?)?, index)?);
        }
        if let Some(linear) = &self.query {
            let products = key.f_matmul(&by_head(linear)?)?;
            terms.push(pick(&products, &index.f_tr()?)?.f_transpose(-2, -1)?);
        }
        if let (Some(biases), Some(other)) = (&self.biases, seen.other_segment) {
            let products = query.f_add(&biases.segment)?.f_matmul(&biases.segments)?;
            terms.push(pick(&products, other)?);
        }
        let none = Tensor::f_zeros([heads, 1, 1], (query.kind(), query.device()))?;
        terms.iter().try_fold(none, |sum, term| Ok(sum.f_add(term)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python gives for 8 buckets up to distance 40.
    #[test]
    fn near_distances_are_exact_and_far_ones_share_buckets() {
        let distances = Tensor::from_slice(&[-45i64, -39, -12, -5, -4, -1, 0, 3, 4, 5, 9, 20, 39]);
        let found: Vec<i64> = log_buckets(&distances, 8, 40).unwrap().try_into().unwrap();
        assert_eq!(found, [-8, -7, -6, -5, -4, -1, 0, 3, 4, 5, 6, 7, 7]);
    }
}
