//! How a tensor lies in a file, and the way from there to libtorch.

use std::fmt;
use std::ops::Range;

use rayon::prelude::*;
use tch::{Kind, Tensor};

use super::gguf::{Quant, unpack_bf16, unpack_f16, unpack_f32};
use super::mapped::Mapped;
use crate::error::caught;
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
    /// Few-bit integers in blocks, as GGUF files have them.
    Quantised(Quant),
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
            Stored::Quantised(quant) => return quant.fmt(f),
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
            Stored::Quantised(_) | Stored::Other(_) => None,
        }
    }

    /// Numbers and bytes of the smallest whole unit.
    pub(super) fn block(self) -> (usize, usize) {
        match self {
            Stored::Quantised(quant) => quant.block(),
            Stored::F16 | Stored::BF16 => (1, 2),
            Stored::F64 => (1, 8),
            Stored::F32 | Stored::Other(_) => (1, 4),
        }
    }
}

/// In which order the numbers of a tensor stand in the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arrangement {
    /// Row by row.
    Rows,
    /// Rows of the transposed matrix; the entry's shape is the one that is given out.
    Transposed,
    /// Within each head row `i` and row `i + half` were brought together, for a rotation of neighbours.
    RotaryPairs { heads: usize },
    /// All queries, then all keys, then all values, where each head should have its own three together.
    Gathered { heads: usize },
    /// A view into a longer storage, as `torch.save` keeps them: numbers between neighbours of each axis.
    Strided(Vec<usize>),
}

impl Arrangement {
    /// The file's row that becomes row `row` of `rows`.
    fn source_row(&self, row: usize, rows: usize) -> usize {
        match *self {
            Arrangement::RotaryPairs { heads } => {
                let width = rows / heads;
                let (head, within, half) = (row / width, row % width, width / 2);
                head * width + within % half * 2 + within / half
            }
            Arrangement::Gathered { heads } => {
                let width = rows / (3 * heads);
                let (head, part, within) = (row / (3 * width), row / width % 3, row % width);
                (part * heads + head) * width + within
            }
            _ => row,
        }
    }

    /// What the number of rows must be a multiple of.
    fn unit(&self) -> usize {
        match *self {
            Arrangement::RotaryPairs { heads } => 2 * heads,
            Arrangement::Gathered { heads } => 3 * heads,
            _ => 1,
        }
    }
}

/// One tensor of a file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Which of the checkpoint's files.
    pub file: usize,
    /// Where in it; checked to lie inside, and to be as long as shape and type say.
    pub bytes: Range<usize>,
    pub shape: Vec<usize>,
    pub stored: Stored,
    pub arrangement: Arrangement,
}

impl Entry {
    /// Refuses shapes that no arithmetic on sizes should meet: more axes than any weight has, or lengths that could
    /// overflow behind a zero; and those that the arrangement cannot be undone for.
    pub fn new(
        file: usize,
        bytes: Range<usize>,
        shape: Vec<usize>,
        stored: Stored,
        arrangement: Arrangement,
    ) -> Result<Entry, String> {
        if shape.len() > 8 || shape.iter().any(|&n| n > 1 << 40) {
            return Err(format!("shape {shape:?} is absurd"));
        }
        let (rows, unit) = (shape.first().copied().unwrap_or(1), arrangement.unit());
        if rows % unit != 0 {
            return Err(format!("has {rows} rows, which the number of heads does not divide"));
        }
        if arrangement == Arrangement::Transposed && shape.len() != 2 {
            return Err(format!("has shape {shape:?}, expected a matrix"));
        }
        Ok(Entry { file, bytes, shape, stored, arrangement })
    }

    /// The same numbers in another arrangement: of a transposed one the axes change places.
    pub fn arranged(mut self, arrangement: Arrangement) -> Result<Entry, String> {
        if arrangement == Arrangement::Transposed {
            self.shape.reverse();
        }
        Entry::new(self.file, self.bytes, self.shape, self.stored, arrangement)
    }
}

/// Whole numbers; of any other type its name.
pub(super) fn integers(bytes: &[u8], stored: Stored) -> Result<Vec<i64>, Stored> {
    match stored {
        Stored::Other("int64") => Ok(bytes.as_chunks().0.iter().map(|&number| i64::from_le_bytes(number)).collect()),
        Stored::Other("int32") => {
            Ok(bytes.as_chunks().0.iter().map(|&number| i64::from(i32::from_le_bytes(number))).collect())
        }
        other => Err(other),
    }
}

/// Reads one tensor: the mapped file itself where type, place and device allow it, a converted copy otherwise.
pub(super) fn read(file: &Mapped, name: &str, entry: &Entry, dtype: DType, device: Device) -> Result<Tensor> {
    if let Stored::Other(found) = entry.stored {
        return Err(Error::tensor(
            name,
            format!("holds {found}, expected floats; only weights can be read as numbers"),
        ));
    }
    let asked = (dtype.torch(), device.torch());
    if entry.bytes.is_empty() {
        let shape: Vec<i64> = entry.shape.iter().map(|&n| n as i64).collect();
        return Ok(Tensor::f_zeros(shape, asked)?);
    }
    let plain = matches!(entry.arrangement, Arrangement::Rows | Arrangement::Transposed | Arrangement::Strided(_));
    if let (Some(kind), true) = (entry.stored.kind(), plain) {
        if asked == (kind, tch::Device::Cpu) && file.is_mapped() && aligned(&file.bytes()[entry.bytes.clone()], kind) {
            // Both mappings start at a page, so what is aligned in one is aligned in the other.
            return view(&file.lasting()?[entry.bytes.clone()], entry, kind);
        }
        let bytes = &file.bytes()[entry.bytes.clone()];
        let moved;
        let bytes = if aligned(bytes, kind) {
            bytes
        } else {
            moved = Tensor::f_from_data_size(bytes, &[bytes.len() as i64], Kind::Uint8)?;
            // SAFETY: the tensor holds as many bytes, and lives until the copy below is made.
            unsafe { std::slice::from_raw_parts(moved.data_ptr().cast::<u8>(), bytes.len()) }
        };
        // Converted before it travels, so that the narrower type does; `copy` because a plain copy must not stay a view.
        let source = view(bytes, entry, kind)?;
        let converted = source.f_to_kind(asked.0)?.f_to_device_(asked.1, asked.0, false, kind == asked.0)?;
        file.release(&entry.bytes);
        return Ok(converted.f_contiguous()?);
    }
    let unpacked = unpack(&file.bytes()[entry.bytes.clone()], entry)?;
    file.release(&entry.bytes);
    Ok(unpacked.f_to_kind(asked.0)?.f_to_device(asked.1)?)
}

fn aligned(bytes: &[u8], kind: Kind) -> bool {
    bytes.as_ptr().addr().is_multiple_of(kind.elt_size_in_bytes())
}

/// A tensor over bytes that are not its own.
fn view(bytes: &[u8], entry: &Entry, kind: Kind) -> Result<Tensor> {
    let shape: Vec<i64> = entry.shape.iter().map(|&n| n as i64).collect();
    let mut strides = vec![1; shape.len()];
    match &entry.arrangement {
        Arrangement::Strided(given) => strides = given.iter().map(|&n| n as i64).collect(),
        Arrangement::Transposed => strides[1] = shape[0],
        _ => {
            for axis in (1..shape.len()).rev() {
                strides[axis - 1] = strides[axis] * shape[axis];
            }
        }
    }
    // SAFETY: the callers keep the bytes alive (mapped for good, or until the copy is made) and aligned; the entry was
    // checked to reach no further than they do.
    Ok(unsafe { Tensor::f_from_blob(bytes.as_ptr(), &shape, &strides, kind, tch::Device::Cpu)? })
}

/// Numbers that one core takes at a time, about: fewer are not worth handing over.
const SHARE: usize = 1 << 17;

/// Unpacks blocks straight into the memory of a new float32 tensor, rows in the order of the Hugging Face checkpoint.
fn unpack(bytes: &[u8], entry: &Entry) -> Result<Tensor> {
    let transposed = entry.arrangement == Arrangement::Transposed;
    let shape: Vec<i64> = match transposed {
        true => entry.shape.iter().rev().map(|&n| n as i64).collect(),
        false => entry.shape.iter().map(|&n| n as i64).collect(),
    };
    let tensor = Tensor::f_empty(&shape, (Kind::Float, tch::Device::Cpu))?;
    let total = tensor.numel();
    // SAFETY: fresh contiguous memory of libtorch, `total` floats long, that nothing else sees yet. Whatever bits it
    // holds are floats.
    let numbers = unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<f32>(), total) };

    let rows = shape.first().map_or(1, |&n| n as usize);
    let (row_numbers, row_bytes) = (total / rows, bytes.len() / rows);
    let share = (SHARE / row_numbers.max(1)).max(1);
    let unpack_row = |row: usize, to: &mut [f32]| {
        let row = entry.arrangement.source_row(row, rows);
        let from = &bytes[row * row_bytes..(row + 1) * row_bytes];
        match entry.stored {
            Stored::Quantised(quant) => quant.unpack(from, to),
            Stored::F16 => unpack_f16(from, to),
            Stored::BF16 => unpack_bf16(from, to),
            _ => unpack_f32(from, to),
        }
    };
    caught("unpacking a tensor", || {
        numbers.par_chunks_mut(share * row_numbers).enumerate().for_each(|(part, numbers)| {
            let rows = numbers.chunks_exact_mut(row_numbers).enumerate();
            rows.for_each(|(row, to)| unpack_row(part * share + row, to));
        });
    })?;
    if transposed { Ok(tensor.f_transpose(0, 1)?.f_contiguous()?) } else { Ok(tensor) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_while_unpacking_is_an_error() {
        // More heads than rows, which `Entry::new` never lets through.
        let entry =
            Entry { file: 0, bytes: 0..8, shape: vec![2, 2], stored: Stored::F16, arrangement: Arrangement::Rows };
        let long = Entry {
            shape: vec![1 << 10, 1 << 8],
            arrangement: Arrangement::RotaryPairs { heads: 2000 },
            ..entry.clone()
        };
        assert!(unpack(&[0; 8], &entry).is_ok());
        let error = unpack(&vec![0; 1 << 19], &long).unwrap_err().to_string();
        assert!(error.contains("unpacking a tensor failed on one of the cores") && error.contains("report"), "{error}");
    }

    #[test]
    fn rows_come_back_to_their_heads() {
        // Two heads of width 4: the file has rows 0, 2, 1, 3 of each head.
        let pairs = Arrangement::RotaryPairs { heads: 2 };
        assert_eq!((0..8).map(|row| pairs.source_row(row, 8)).collect::<Vec<_>>(), [0, 2, 1, 3, 4, 6, 5, 7]);
        // Two heads of width 2: the file has q0 q0 q1 q1 k0 k0 k1 k1 v0 v0 v1 v1.
        let gathered = Arrangement::Gathered { heads: 2 };
        let rows: Vec<_> = (0..12).map(|row| gathered.source_row(row, 12)).collect();
        assert_eq!(rows, [0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11]);
        assert!(Entry::new(0, 0..0, vec![6, 2], Stored::F32, pairs).is_err());
    }
}
