//! What positions add to the scores: learned buckets of distances, or slopes.

use std::ops::Range;

use tch::{Kind, Tensor};

use crate::Result;
use crate::model::architecture::{self, Buckets};
use crate::model::weights::Weights;

/// What positions add to the scaled scores, head by head.
#[derive(Debug)]
pub(crate) enum PositionBias {
    /// Table (buckets,H).
    Buckets { table: Tensor, buckets: Buckets },
    /// A number for each head (H).
    Slopes { by_head: Tensor, scale: f64 },
}

impl PositionBias {
    pub(crate) fn load(plan: &architecture::PositionBias, weights: &Weights) -> Result<PositionBias> {
        Ok(match plan {
            architecture::PositionBias::Buckets { table, buckets } => {
                PositionBias::Buckets { table: weights.table(table)?, buckets: *buckets }
            }
            architecture::PositionBias::Slopes(slopes) => {
                let kind = if slopes.rounded { Kind::BFloat16 } else { Kind::Float };
                let by_head = Tensor::f_from_slice(&slopes.by_head)?.f_to_kind(kind)?;
                PositionBias::Slopes { by_head: by_head.f_to_device(weights.device.torch())?, scale: slopes.scale }
            }
        })
    }

    /// The bias (H,T,S) of some of a run's positions, the `queries`, to all. `real` counts, for every position, the
    /// real tokens up to it: slopes go by it, so that padding before a text moves nothing.
    pub(crate) fn forward(&self, real: &[i64], queries: &Range<usize>, kind: Kind) -> Result<Tensor> {
        let (count, first, end) = (real.len() as i64, queries.start as i64, queries.end as i64);
        match self {
            PositionBias::Buckets { table, .. } => {
                let kernel = self.kernel(1 - end, count - 1 - first)?.f_to_device(table.device())?;
                let options = (Kind::Int64, table.device());
                let keys = Tensor::f_arange(count, options)?.f_unsqueeze(0)?;
                let places = Tensor::f_arange_start(first, end, options)?.f_unsqueeze(1)?;
                let distance = keys.f_sub(&places)?.f_add_scalar(end - 1)?;
                let flat = kernel.f_index_select(1, &distance.f_view(-1)?)?;
                Ok(flat.f_view([-1, end - first, count])?.f_to_kind(kind)?)
            }
            PositionBias::Slopes { by_head, scale } => {
                let of_place = along(by_head, *scale, &Tensor::f_from_slice(real)?.f_sub_scalar(1)?)?;
                let of_query = of_place.f_narrow(1, first, end - first)?;
                Ok(of_place.f_unsqueeze(1)?.f_sub(&of_query.f_unsqueeze(2)?)?.f_to_kind(kind)?)
            }
        }
    }

    /// The bias (H, last - first + 1) of the distances from `first` to `last`; a distance is the key's place minus the
    /// query's.
    pub(crate) fn kernel(&self, first: i64, last: i64) -> Result<Tensor> {
        let distances = Tensor::f_arange_start(first, last + 1, (Kind::Int64, tch::Device::Cpu))?;
        match self {
            PositionBias::Buckets { table, buckets } => {
                let rows = bucket(&distances, *buckets)?.f_to_device(table.device())?;
                Ok(table.f_index_select(0, &rows)?.f_tr()?)
            }
            PositionBias::Slopes { by_head, scale } => along(by_head, *scale, &distances),
        }
    }
}

/// What every head's slope gives at whole numbers (n): (H,n), rounded as the slopes (H) are.
fn along(by_head: &Tensor, scale: f64, numbers: &Tensor) -> Result<Tensor> {
    let products = by_head.f_unsqueeze(1)?.f_mul(&numbers.f_to_device(by_head.device())?)?;
    Ok(products.f_to_kind(Kind::Float)?.f_mul_scalar(scale)?)
}

/// The bucket of every distance.
///
/// The logarithm is taken in float32 by libtorch, in Python's order: distances on the border of two buckets fall as
/// they do there.
fn bucket(distances: &Tensor, buckets: Buckets) -> Result<Tensor> {
    let Buckets { count, max_distance, both_ways } = buckets;
    let half = (if both_ways { count / 2 } else { count }) as i64;
    let (offset, distance) = match both_ways {
        true => (distances.f_gt(0)?.f_to_kind(Kind::Int64)?.f_mul_scalar(half)?, distances.f_abs()?),
        false => (distances.f_zeros_like()?, distances.f_neg()?.f_clamp_min(0)?),
    };
    let exact = half / 2;
    let growth = (max_distance as f64 / exact as f64).ln();
    let far = distance
        .f_to_kind(Kind::Float)?
        .f_div_scalar(exact)?
        .f_log()?
        .f_div_scalar(growth)?
        .f_mul_scalar(half - exact)?
        // Distance 0 is near, and its logarithm no number.
        .f_clamp_min(0.0)?
        .f_to_kind(Kind::Int64)?
        .f_add_scalar(exact)?
        .f_clamp_max(half - 1)?;
    Ok(distance.f_where_self(&distance.f_lt(exact)?, &far)?.f_add(&offset)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(both_ways: bool, distances: std::ops::RangeInclusive<i64>) -> Vec<i64> {
        let distances = Tensor::from_slice(&distances.collect::<Vec<i64>>());
        let standard = Buckets { count: 32, max_distance: 128, both_ways };
        Vec::try_from(bucket(&distances, standard).unwrap()).unwrap()
    }

    /// The borders of T5's buckets, as whole numbers.
    #[test]
    fn borders_of_the_buckets() {
        let borders = |list: &[i64]| -> Vec<i64> {
            (1..list.len()).filter(|&i| list[i] != list[i - 1]).map(|i| i as i64).collect()
        };
        let backwards: Vec<i64> = buckets(true, -200..=0).into_iter().rev().collect();
        assert_eq!(borders(&backwards)[7..], [8, 12, 16, 23, 32, 46, 64, 91]);
        assert_eq!((backwards[0], backwards[91]), (0, 15));
        let forwards = buckets(true, 0..=200);
        assert_eq!((forwards[1], forwards[64], forwards[200]), (17, 30, 31));
        let causal: Vec<i64> = buckets(false, -200..=0).into_iter().rev().collect();
        assert_eq!(borders(&causal)[15..], [16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113]);
        assert!(buckets(false, 0..=200).iter().all(|&bucket| bucket == 0));
    }
}
