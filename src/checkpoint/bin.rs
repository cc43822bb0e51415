//! `pytorch_model.bin`: a zip archive with a pickle that describes tensors, and their numbers beside it.

use std::collections::HashMap;
use std::io::Cursor;
use std::ops::Range;

use super::mapped::Mapped;
use super::pickle::{self, Described};
use super::stored::{Arrangement, Entry, Stored};
use crate::{Error, Result};

/// A description longer than this describes no weights.
const LONGEST_PICKLE: usize = 64 << 20;

const WAY_OUT: &str = "convert it to safetensors (with Python: safetensors.torch.save_file(torch.load(file, weights_only=True), \"model.safetensors\"))";

/// What a zip-format `.bin` file holds.
pub(super) fn entries(file: &Mapped, index: usize) -> Result<Vec<(String, Entry)>> {
    let bytes = file.bytes();
    if !bytes.starts_with(b"PK\x03\x04") {
        return Err(Error::file(
            &file.path,
            format!("not in the zip format that PyTorch writes since 1.6, or not weights at all; {WAY_OUT}"),
        ));
    }
    let broken = |problem: String| Error::file(&file.path, format!("not a usable PyTorch file: {problem}"));
    let records = records(bytes).map_err(broken)?;
    let (prefix, pickle) = records
        .iter()
        .find_map(|(name, range)| name.strip_suffix("/data.pkl").map(|prefix| (prefix, range)))
        .ok_or_else(|| broken(format!("the archive has no data.pkl; {WAY_OUT}")))?;
    if pickle.len() > LONGEST_PICKLE {
        return Err(broken(format!("its pickle of {} bytes is absurdly long", pickle.len())));
    }
    if records.get(&format!("{prefix}/byteorder")).is_some_and(|range| &bytes[range.clone()] == b"big") {
        return Err(broken(format!("it was written on a big-endian machine; {WAY_OUT}")));
    }
    let tensors = pickle::tensors(&bytes[pickle.clone()]).map_err(broken)?;
    let mut entries = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let entry = records
            .get(&format!("{prefix}/data/{}", tensor.key))
            .ok_or_else(|| format!("record data/{} is missing", tensor.key))
            .and_then(|record| place(&tensor, record, index))
            .map_err(|problem| broken(format!("tensor {name}: {problem}; download the file again")))?;
        entries.push((name, entry));
    }
    Ok(entries)
}

/// Where each record of the archive lies. PyTorch stores them uncompressed, so that they can be mapped.
fn records(bytes: &[u8]) -> Result<HashMap<String, Range<usize>>, String> {
    let broken = |error: zip::result::ZipError| format!("the archive is damaged ({error}); download the file again");
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let mut records = HashMap::with_capacity(archive.len());
    for index in 0..archive.len() {
        let record = archive.by_index_raw(index).map_err(broken)?;
        if record.compression() != zip::CompressionMethod::Stored {
            return Err(format!("record {} is compressed, which PyTorch never does; {WAY_OUT}", record.name()));
        }
        let start = usize::try_from(record.data_start()).ok();
        let end = start.zip(usize::try_from(record.size()).ok()).and_then(|(start, size)| start.checked_add(size));
        match (start, end.filter(|&end| end <= bytes.len())) {
            (Some(start), Some(end)) => records.insert(record.name().to_owned(), start..end),
            _ => return Err(format!("record {} reaches past the end; download the file again", record.name())),
        };
    }
    Ok(records)
}

/// Checks that a view lies inside its record.
fn place(tensor: &Described, record: &Range<usize>, index: usize) -> Result<Entry, String> {
    let (stored, size) = match tensor.storage.as_str() {
        "FloatStorage" => (Stored::F32, 4),
        "HalfStorage" => (Stored::F16, 2),
        "BFloat16Storage" => (Stored::BF16, 2),
        "DoubleStorage" => (Stored::F64, 8),
        "LongStorage" => (Stored::Other("int64"), 8),
        "IntStorage" => (Stored::Other("int32"), 4),
        "ShortStorage" => (Stored::Other("int16"), 2),
        "CharStorage" => (Stored::Other("int8"), 1),
        "ByteStorage" => (Stored::Other("uint8"), 1),
        "BoolStorage" => (Stored::Other("bool"), 1),
        other => return Err(format!("its numbers are of a type unknown to Flowlens (torch.{other})")),
    };
    let absurd = || format!("shape {:?} with strides {:?} does not fit its record", tensor.shape, tensor.strides);
    let last = tensor
        .shape
        .iter()
        .zip(&tensor.strides)
        .try_fold(0u64, |last, (&n, &stride)| last.checked_add(n.saturating_sub(1).checked_mul(stride)?));
    let empty = tensor.shape.contains(&0);
    let numbers = if empty { Some(0) } else { last.and_then(|last| last.checked_add(1)) };
    let range = numbers.zip(tensor.offset.checked_mul(size)).and_then(|(numbers, skipped)| {
        let length = usize::try_from(numbers.checked_mul(size)?).ok()?;
        let start = record.start.checked_add(usize::try_from(skipped).ok()?)?;
        let end = start.checked_add(length).filter(|&end| end <= record.end)?;
        Some(start..end)
    });
    let range = range.ok_or_else(absurd)?;
    let shape: Vec<usize> = tensor.shape.iter().map(|&n| usize::try_from(n).unwrap_or(usize::MAX)).collect();
    let mut plain = 1;
    let in_rows = tensor.shape.iter().zip(&tensor.strides).rev().all(|(&n, &stride)| {
        let fits = n == 1 || stride == plain;
        plain = n.saturating_mul(plain);
        fits
    });
    // A view that repeats numbers (a stride of 0) could grow to any size from few bytes.
    if !empty && plain > (1 << 20) && plain / 4 > (range.len() as u64) {
        return Err(absurd());
    }
    let arrangement = match in_rows || empty {
        true => Arrangement::Rows,
        false => {
            Arrangement::Strided(tensor.strides.iter().map(|&n| usize::try_from(n).unwrap_or(usize::MAX)).collect())
        }
    };
    Entry::new(index, range, shape, stored, arrangement)
}
