//! Numbers as a person gets them: float32, row by row, with a shape.

use std::fmt;
use std::ops::Mul;

use tch::{Kind, Tensor};

use crate::{Error, Result};

/// A dense float32 array in row-major order.
///
/// What [`Trace::get`](crate::Trace::get) and every analysis hand out. It owns its numbers, so it stays valid when
/// the model is dropped.
#[derive(Clone, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl Array {
    /// An array of this shape from its numbers, row by row.
    ///
    /// # Errors
    /// When the product of `shape` is not the number of values.
    pub fn new(shape: &[usize], data: Vec<f32>) -> Result<Array> {
        let wanted = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
        if wanted != Some(data.len()) {
            return Err(Error::Input(format!(
                "an array of shape {shape:?} does not hold {} numbers; give as many as the shape says",
                data.len()
            )));
        }
        Ok(Array { shape: shape.to_vec(), data })
    }

    /// Lengths along each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// All numbers, row by row.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The number at `index`, or `None` when the index does not fit the shape.
    pub fn get(&self, index: &[usize]) -> Option<f32> {
        let fits = index.len() == self.shape.len() && index.iter().zip(&self.shape).all(|(i, n)| i < n);
        let place = index.iter().zip(&self.shape).fold(0, |place, (i, n)| place * n + i);
        fits.then(|| self.data[place])
    }

    /// The part at `index` along the first axis, e.g. one head or one position.
    pub fn row(&self, index: usize) -> Option<Array> {
        let (&rows, rest) = self.shape.split_first()?;
        let length: usize = rest.iter().product();
        (index < rows)
            .then(|| Array { shape: rest.to_vec(), data: self.data[index * length..(index + 1) * length].to_vec() })
    }

    /// A copy as an `ndarray` array.
    pub fn to_ndarray(&self) -> ndarray::ArrayD<f32> {
        ndarray::ArrayD::from_shape_vec(self.shape.clone(), self.data.clone()).expect("the shape was checked in new")
    }

    /// A copy as a libtorch tensor on the CPU.
    pub fn to_tensor(&self) -> Tensor {
        let shape: Vec<i64> = self.shape.iter().map(|&n| n as i64).collect();
        Tensor::from_slice(&self.data).reshape(shape)
    }

    /// A copy of a tensor of any float or integer type, on any device.
    pub(crate) fn from_tensor(tensor: &Tensor) -> Result<Array> {
        let flat = tensor.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?.f_view([-1])?;
        let mut data = vec![0f32; flat.numel()];
        flat.f_copy_data(&mut data, flat.numel())?;
        Array::new(&tensor.size().iter().map(|&n| n as usize).collect::<Vec<_>>(), data)
    }
}

/// The float32 numbers of a tensor where they lie; copied only from another device or type.
pub(crate) struct Numbers {
    tensor: Tensor,
}

impl Numbers {
    pub(crate) fn of(tensor: &Tensor) -> Result<Numbers> {
        let tensor = tensor.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
        Ok(Numbers { tensor })
    }

    /// All numbers, row by row.
    pub(crate) fn data(&self) -> &[f32] {
        let start = self.tensor.data_ptr() as *const f32;
        if start.is_null() {
            return &[];
        }
        // SAFETY: `of` made the tensor float32, gapless and on the CPU, where libtorch aligns it to 64 bytes; it lives
        // as long as the borrow, and nothing here writes to it.
        unsafe { std::slice::from_raw_parts(start, self.tensor.numel()) }
    }
}

/// Every number times a factor: `direction * 4.0`.
impl Mul<f64> for Array {
    type Output = Array;

    fn mul(mut self, factor: f64) -> Array {
        for number in &mut self.data {
            *number = (f64::from(*number) * factor) as f32;
        }
        self
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        write!(f, "Array [{}] ", shape.join(" x "))?;
        let shown = self.data.len().min(6);
        f.debug_list().entries(&self.data[..shown]).finish()?;
        if shown < self.data.len() {
            f.write_str(" ..")?;
        }
        Ok(())
    }
}

impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_row_by_row_and_refuses_what_does_not_fit() {
        let array = Array::new(&[2, 3], vec![0., 1., 2., 3., 4., 5.]).unwrap();
        assert_eq!(array.get(&[1, 0]), Some(3.));
        assert_eq!(array.get(&[2, 0]), None);
        assert_eq!(array.get(&[1]), None);
        assert_eq!(array.row(1).unwrap().data(), [3., 4., 5.]);
        assert!(Array::new(&[2, 2], vec![0.; 3]).is_err());
        assert_eq!(Array::from_tensor(&array.to_tensor()).unwrap(), array);
    }
}
