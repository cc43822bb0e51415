//! How a tensor lies in a file, and the way from there to libtorch.

use std::fmt;
use std::ops::Range;

use tch::{Kind, Tensor};

use super::mapped::Mapped;
use crate::{DType, Device, Error, Result};

/// How the numbers of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stored {
    /// 32-bit floats.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    BF16,
    /// 64-bit floats.
    F64,
    /// Integers and other types that no weight of ours is made of.
    Other(&'static str),
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stored::F32 => "float32",
            Stored::F16 => "float16",
            Stored::BF16 => "bfloat16",
            Stored::F64 => "float64",
            Stored::Other(name) => name,
        })
    }
}

impl Stored {
    /// The number type that holds these numbers best: their own for floats of 16 and 32 bits, float32 otherwise.
    pub fn own(self) -> DType {
        match self {
            Stored::F16 => DType::F16,
            Stored::BF16 => DType::BF16,
            _ => DType::F32,
        }
    }

    fn kind(self) -> Option<Kind> {
        match self {
            Stored::F32 => Some(Kind::Float),
            Stored::F16 => Some(Kind::Half),
            Stored::BF16 => Some(Kind::BFloat16),
            Stored::F64 => Some(Kind::Double),
            Stored::Other(_) => None,
        }
    }
}

/// In which order the numbers of a tensor stand in the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Layout {
    /// Row by row.
    Rows,
}

/// One tensor of a file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Which of the checkpoint's files.
    pub file: usize,
    /// Where in it; checked to lie inside.
    pub bytes: Range<usize>,
    pub shape: Vec<usize>,
    pub stored: Stored,
    pub layout: Layout,
}

impl Entry {
    /// Refuses shapes that no arithmetic on sizes should meet: more axes than any weight has, or lengths that could
    /// overflow behind a zero.
    pub fn new(
        file: usize,
        bytes: Range<usize>,
        shape: Vec<usize>,
        stored: Stored,
        layout: Layout,
    ) -> Result<Entry, String> {
        if shape.len() > 8 || shape.iter().any(|&n| n > 1 << 40) {
            return Err(format!("shape {shape:?} is absurd"));
        }
        Ok(Entry { file, bytes, shape, stored, layout })
    }
}

/// Reads one tensor: the mapped file itself where type, place and device allow it, a converted copy otherwise.
pub(super) fn read(file: &Mapped, name: &str, entry: &Entry, dtype: DType, device: Device) -> Result<Tensor> {
    let kind = entry
        .stored
        .kind()
        .ok_or_else(|| Error::tensor(name, format!("holds {}, expected floats; it is no weight", entry.stored)))?;
    let shape: Vec<i64> = entry.shape.iter().map(|&n| n as i64).collect();
    let aligned = |bytes: &[u8]| bytes.as_ptr().addr() % kind.elt_size_in_bytes() == 0;
    let asked = (dtype.torch(), device.torch());

    if entry.bytes.is_empty() {
        return Ok(Tensor::f_zeros(shape, asked)?);
    }
    if asked == (kind, tch::Device::Cpu) {
        let bytes = &file.lasting()?[entry.bytes.clone()];
        if aligned(bytes) {
            return view(bytes, &shape, kind);
        }
    }
    let bytes = &file.bytes()[entry.bytes.clone()];
    let source =
        if aligned(bytes) { view(bytes, &shape, kind)? } else { Tensor::f_from_data_size(bytes, &shape, kind)? };
    // Converted before it travels, so that the narrower type does; `copy` because a plain copy must not stay a view.
    let converted = source.f_to_kind(asked.0)?.f_to_device_(asked.1, asked.0, false, kind == asked.0)?;
    drop(source);
    file.release(&entry.bytes);
    Ok(converted)
}

/// A tensor over bytes that are not its own.
fn view(bytes: &[u8], shape: &[i64], kind: Kind) -> Result<Tensor> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    // SAFETY: the callers keep the bytes alive (mapped for good, or until the copy is made), aligned, and as long as
    // shape and type say.
    Ok(unsafe { Tensor::f_from_blob(bytes.as_ptr(), shape, &strides, kind, tch::Device::Cpu)? })
}
