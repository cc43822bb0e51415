//! `pytorch_model.bin`: a pickle that describes tensors, and their numbers beside it; in a zip archive, or before PyTorch
//! 1.6 one behind the other.

use std::collections::HashMap;
use std::io::Cursor;
use std::ops::Range;

use super::legacy;
use super::mapped::Mapped;
use super::pickle::{self, Described};
use super::stored::{Arrangement, Entry, Stored};
use crate::{Error, Result};

/// A description longer than this describes no weights.
const LONGEST_PICKLE: usize = 64 << 20;

pub(super) const WAY_OUT: &str = "convert it to safetensors (with Python: safetensors.torch.save_file(torch.load(file, weights_only=True), \"model.safetensors\"))";

/// The tensors that a `.bin` file describes, and where the numbers of each storage lie.
pub(super) struct Contents {
    pub tensors: Vec<(String, Described)>,
    pub storages: HashMap<String, Range<usize>>,
}

/// What a `.bin` file holds.
pub(super) fn entries(file: &Mapped, index: usize) -> Result<Vec<(String, Entry)>> {
    let bytes = file.bytes();
    let broken = |problem: String| Error::file(&file.path, format!("not a usable PyTorch file: {problem}"));
    let contents = if bytes.starts_with(b"PK\x03\x04") {
        archive(bytes)
    } else if legacy::is_legacy(bytes) {
        legacy::contents(bytes)
    } else {
        return Err(Error::file(
            &file.path,
            format!("not in a format that PyTorch writes, or not weights at all; {WAY_OUT}"),
        ));
    };
    let Contents { tensors, storages } = contents.map_err(broken)?;
    let mut entries = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let entry = storages
            .get(&tensor.key)
            .ok_or_else(|| format!("its numbers (record data/{}) are missing", tensor.key))
            .and_then(|record| place(&tensor, record, index))
            .map_err(|problem| broken(format!("tensor {name}: {problem}; download the file again")))?;
        entries.push((name, entry));
    }
    Ok(entries)
}

/// What PyTorch writes since 1.6: a zip archive.
fn archive(bytes: &[u8]) -> Result<Contents, String> {
    let records = records(bytes)?;
    let (prefix, pickle) = records
        .iter()
        .find_map(|(name, range)| name.strip_suffix("/data.pkl").map(|prefix| (prefix, range)))
        .ok_or_else(|| format!("the archive has no data.pkl; {WAY_OUT}"))?;
    if pickle.len() > LONGEST_PICKLE {
        return Err(format!("its pickle of {} bytes is absurdly long", pickle.len()));
    }
    if records.get(&format!("{prefix}/byteorder")).is_some_and(|range| &bytes[range.clone()] == b"big") {
        return Err(format!("it was written on a big-endian machine; {WAY_OUT}"));
    }
    let tensors = pickle::tensors(&bytes[pickle.clone()])?;
    let key = |name: &str| name.strip_prefix(prefix)?.strip_prefix("/data/").map(str::to_owned);
    let storages = records.iter().filter_map(|(name, range)| Some((key(name)?, range.clone()))).collect();
    Ok(Contents { tensors, storages })
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
    let (stored, size) = type_of(&tensor.storage)?;
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

/// The numbers of a storage, and the bytes of each.
pub(super) fn type_of(storage: &str) -> Result<(Stored, u64), String> {
    Ok(match storage {
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
    })
}
