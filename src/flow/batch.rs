//! The vectors of all graphs, gathered so that one pass over the vocabulary reads them all.

use tch::{Kind, Tensor};

use crate::lens::{Lens, Reading};
use crate::{Array, Error, Result};

/// Vectors of the model's width, float32.
#[derive(Default)]
pub(super) struct Batch {
    rows: Vec<Tensor>,
    count: usize,
}

impl Batch {
    /// Adds one vector (D): its index.
    pub fn push(&mut self, vector: &Tensor) -> Result<usize> {
        self.push_rows(&vector.f_unsqueeze(0)?)
    }

    /// Adds the rows of (N,D): the index of the first.
    pub fn push_rows(&mut self, rows: &Tensor) -> Result<usize> {
        let first = self.count;
        self.rows.push(rows.f_to_kind(Kind::Float)?);
        self.count += rows.size()[0] as usize;
        Ok(first)
    }

    /// All of them, (N,D); `None` when there are none.
    pub fn all(&self) -> Result<Option<Tensor>> {
        Ok(if self.rows.is_empty() { None } else { Some(Tensor::f_cat(&self.rows, 0)?) })
    }

    /// Reads them all: readings and lengths, by index.
    pub fn read(&self, lens: &Lens) -> Result<Readings> {
        let Some(all) = self.all()? else { return Ok(Readings { readings: Vec::new(), norms: Vec::new() }) };
        Ok(Readings { readings: lens.read_tensor(&all)?, norms: norms(&all)? })
    }
}

/// What the vectors of a [`Batch`] say.
pub(super) struct Readings {
    readings: Vec<Reading>,
    norms: Vec<f64>,
}

impl Readings {
    /// The reading of one vector.
    pub fn of(&self, index: usize) -> Result<&Reading> {
        self.readings.get(index).ok_or_else(|| {
            Error::FlowGraph(format!(
                "vector {index} was never gathered, which is a fault of Flowlens: please report it with this line"
            ))
        })
    }

    /// The length of one vector.
    pub fn norm(&self, index: usize) -> f64 {
        self.norms.get(index).copied().unwrap_or_default()
    }
}

/// Lengths of the rows of (N,D).
pub(super) fn norms(rows: &Tensor) -> Result<Vec<f64>> {
    numbers(&rows.f_to_kind(Kind::Float)?.f_norm_scalaropt_dim(2., [-1i64].as_slice(), false)?)
}

/// The numbers of a tensor, row by row.
pub(super) fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(Array::from_tensor(tensor)?.data().iter().map(|&x| f64::from(x)).collect())
}

/// Indices in the order of falling values, equal ones by index; what is not a number comes last.
pub(super) fn falling(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    let key = |index: usize| if values[index].is_nan() { f64::NEG_INFINITY } else { values[index] };
    order.sort_by(|&a, &b| key(b).total_cmp(&key(a)).then(a.cmp(&b)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_stably_and_puts_nan_last() {
        assert_eq!(falling(&[1., 3., f64::NAN, 3., -1.]), [1, 3, 0, 4, 2]);
    }

    #[test]
    fn measures_rows() {
        let rows = Tensor::from_slice(&[3f32, 4., 0., -2.]).reshape([2, 2]);
        assert_eq!(norms(&rows).unwrap(), [5., 2.]);
    }
}
