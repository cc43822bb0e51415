//! Lengths and angles of vectors. Everything is (..,D) float64 and comes back without the last axis.

use tch::{Kind, Tensor};

use crate::Result;

const LAST: &[i64] = &[-1];

/// Vectors of length 1; a vector of zeros stays one.
pub(super) fn unit(vectors: &Tensor) -> Result<Tensor> {
    let length = norm(vectors)?.f_unsqueeze(-1)?;
    Ok(vectors.f_div(&length.f_where_self(&length.f_gt(0.0)?, &length.f_ones_like()?)?)?)
}

/// Euclidean lengths.
pub(super) fn norm(vectors: &Tensor) -> Result<Tensor> {
    Ok(vectors.f_linalg_norm(2.0, LAST, false, Kind::Double)?)
}

/// Products of pairs.
pub(super) fn dot(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok(a.f_mul(b)?.f_sum_dim_intlist(LAST, false, Kind::Double)?)
}

/// Cosines between pairs.
pub(super) fn cosine(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    dot(&unit(a)?, &unit(b)?)
}

/// Angles between pairs in radians: 2 atan2(|u − v|, |u + v|) of unit vectors, exact near 0 where the arc cosine is not.
pub(super) fn angle(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (u, v) = (unit(a)?, unit(b)?);
    Ok(norm(&u.f_sub(&v)?)?.f_atan2(&norm(&u.f_add(&v)?)?)?.f_mul_scalar(2.0)?)
}

/// The mean cosine between different rows of (..,N,D): how far all point the same way. 1 where there is only one row.
pub(super) fn mean_pair_cosine(vectors: &Tensor) -> Result<Tensor> {
    let rows = vectors.size()[vectors.dim() - 2] as f64;
    if rows < 2.0 {
        return Ok(norm(vectors)?.f_mean_dim(LAST, false, Kind::Double)?.f_ones_like()?);
    }
    // The sum over all pairs is the square of the sum of all.
    let sum = unit(vectors)?.f_sum_dim_intlist([-2i64].as_slice(), false, Kind::Double)?;
    let all = norm(&sum)?.f_square()?;
    let own = norm(&unit(vectors)?)?.f_square()?.f_sum_dim_intlist(LAST, false, Kind::Double)?;
    Ok(all.f_sub(&own)?.f_div_scalar(rows * (rows - 1.0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_angles_keep_their_digits() {
        for wanted in [1e-9f64, 1e-4, 1.0, 3.0] {
            let (a, b) = (Tensor::from_slice(&[1.0f64, 0.0]), Tensor::from_slice(&[wanted.cos(), wanted.sin()]));
            let found = angle(&a, &b).unwrap().double_value(&[]);
            assert!((found / wanted - 1.0).abs() < 1e-7, "{found} for {wanted}");
        }
    }

    #[test]
    fn pairs_of_a_row_with_itself_do_not_count() {
        let rows = Tensor::from_slice(&[1.0f64, 0.0, 0.0, 2.0, 3.0, 0.0]).view([3, 2]);
        // Cosines 0, 1 and 0.
        assert!((mean_pair_cosine(&rows).unwrap().double_value(&[]) - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(mean_pair_cosine(&rows.narrow(0, 0, 1)).unwrap().double_value(&[]), 1.0);
        let zeros = Tensor::zeros([2, 3], (Kind::Double, tch::Device::Cpu));
        assert_eq!(mean_pair_cosine(&zeros).unwrap().double_value(&[]), 0.0);
    }
}
