//! Principal components.

use tch::{Kind, Tensor};

use crate::{Array, Result};

/// The first principal components of rows.
pub(super) struct Components {
    /// The mean row (D).
    pub mean: Array,
    /// Directions (K,D) of length 1, most variance first, each with its largest number positive.
    pub axes: Array,
    /// The rows along the axes (N,K).
    pub coordinates: Array,
    /// The share of all variance along each axis.
    pub explained: Vec<f32>,
}

/// The `count` first components of rows (N,D), float64. Axes that the rows do not fill are zero, and so are their
/// coordinates.
pub(super) fn principal(rows: &Tensor, count: usize) -> Result<Components> {
    let (n, width) = (rows.size()[0], rows.size()[1]);
    let mean = rows.f_mean_dim([0i64].as_slice(), true, Kind::Double)?;
    let centred = rows.f_sub(&mean)?;
    let total = centred.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
    let axes = leading(&centred, (count as i64).min(n).min(width))?;
    let missing = count as i64 - axes.size()[0];
    let axes = Tensor::f_cat(&[axes, Tensor::f_zeros([missing, width], (Kind::Double, tch::Device::Cpu))?], 0)?;
    let axes = axes.f_mul(&signs(&axes)?)?;
    let coordinates = centred.f_matmul(&axes.f_tr()?)?;
    let along = coordinates.f_square()?.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Double)?;
    let along: Vec<f64> = Vec::try_from(&along)?;
    Ok(Components {
        mean: Array::from_tensor(&mean.f_squeeze_dim(0)?)?,
        axes: Array::from_tensor(&axes)?,
        coordinates: Array::from_tensor(&coordinates)?,
        explained: along.into_iter().map(|sum| if total > 0.0 { (sum / total) as f32 } else { 0.0 }).collect(),
    })
}

/// The directions (K,D) of the largest singular values, from the smaller of the two Gram matrices.
fn leading(centred: &Tensor, count: i64) -> Result<Tensor> {
    let (n, width) = (centred.size()[0], centred.size()[1]);
    if count == 0 {
        return Ok(Tensor::f_zeros([0, width], (Kind::Double, tch::Device::Cpu))?);
    }
    let wide = width > n;
    let gram = if wide { centred.f_matmul(&centred.f_tr()?)? } else { centred.f_tr()?.f_matmul(centred)? };
    let (values, vectors) = gram.f_linalg_eigh("L")?;
    let size = vectors.size()[1];
    let last = vectors.f_narrow(1, size - count, count)?.f_flip([1i64])?.f_tr()?;
    let axes = if wide { super::geometry::unit(&last.f_matmul(centred)?)? } else { last };
    // What rounding leaves where there is no variance has no direction.
    let values = values.f_narrow(0, size - count, count)?.f_flip([0i64])?;
    let filled = values.f_gt_tensor(&values.f_narrow(0, 0, 1)?.f_mul_scalar(1e-12)?)?;
    Ok(axes.f_mul(&filled.f_unsqueeze(1)?)?)
}

/// (K,1): the sign of each row's number of largest magnitude.
fn signs(axes: &Tensor) -> Result<Tensor> {
    let place = axes.f_abs()?.f_argmax(1, true)?;
    let sign = axes.f_gather(1, &place, false)?.f_sign()?;
    Ok(sign.f_where_self(&sign.f_ne(0.0)?, &sign.f_ones_like()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows along (3,4)/5 with a little across, whichever way round the matrix lies.
    #[test]
    fn finds_the_direction_of_most_variance() {
        for wide in [false, true] {
            let steps = [-2.0f64, -1.0, 0.0, 1.0, 2.0];
            let across = [0.1f64, -0.1, 0.0, -0.1, 0.1];
            let row = |(step, across): (&f64, &f64)| {
                let mut row = vec![10.0 + 3.0 * step - 4.0 * across, -5.0 + 4.0 * step + 3.0 * across];
                row.resize(if wide { 9 } else { 2 }, 1.0);
                row
            };
            let rows: Vec<f64> = steps.iter().zip(&across).flat_map(row).collect();
            let found = principal(&Tensor::from_slice(&rows).view([5, -1]), 3).unwrap();
            assert!((found.axes.get(&[0, 0]).unwrap() - 0.6).abs() < 1e-6);
            assert!((found.axes.get(&[0, 1]).unwrap() - 0.8).abs() < 1e-6);
            assert!((found.coordinates.get(&[4, 0]).unwrap() - 10.0).abs() < 1e-5);
            assert!((found.explained[0] - 250.0 / 251.0).abs() < 1e-5, "{:?}", found.explained);
            assert_eq!(found.mean.data()[..2], [10.0, -5.0]);
            assert!(found.explained[2].abs() < 1e-6);
        }
    }

    #[test]
    fn one_row_has_no_variance() {
        let found = principal(&Tensor::from_slice(&[1.0f64, 2.0]).view([1, 2]), 3).unwrap();
        assert_eq!(found.explained, [0.0; 3]);
        assert_eq!(found.coordinates.data(), [0.0; 3]);
    }
}
