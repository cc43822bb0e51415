//! Headers of safetensors files.

use std::collections::HashMap;

use safetensors::{Dtype, SafeTensorError, SafeTensors};

use super::mapped::Mapped;
use super::stored::{Arrangement, Entry, Stored};
use crate::{Error, Result};

/// What a safetensors file holds. The whole header is checked: every tensor lies inside the file, and its size is that
/// of its shape.
pub(super) fn entries(file: &Mapped, index: usize) -> Result<Vec<(String, Entry)>> {
    let bytes = file.bytes();
    let (header, metadata) =
        SafeTensors::read_metadata(bytes).map_err(|error| Error::file(&file.path, explain(error, bytes)))?;
    let start = 8 + header;
    let mut entries = Vec::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let range = start + info.data_offsets.0..start + info.data_offsets.1;
        let entry = Entry::new(index, range, info.shape.clone(), stored(info.dtype), Arrangement::Rows)
            .map_err(|problem| Error::file(&file.path, format!("tensor {name}: {problem}")))?;
        entries.push((name, entry));
    }
    Ok(entries)
}

/// What the header holds besides the tensors.
pub(super) fn remarks(file: &Mapped) -> Result<HashMap<String, String>> {
    let (_, metadata) = SafeTensors::read_metadata(file.bytes())
        .map_err(|error| Error::file(&file.path, explain(error, file.bytes())))?;
    Ok(metadata.metadata().clone().unwrap_or_default())
}

fn stored(dtype: Dtype) -> Stored {
    match dtype {
        Dtype::F32 => Stored::F32,
        Dtype::F16 => Stored::F16,
        Dtype::BF16 => Stored::BF16,
        Dtype::F64 => Stored::F64,
        Dtype::BOOL => Stored::Other("bool"),
        Dtype::U8 => Stored::Other("uint8"),
        Dtype::I8 => Stored::Other("int8"),
        Dtype::I16 => Stored::Other("int16"),
        Dtype::U16 => Stored::Other("uint16"),
        Dtype::I32 => Stored::Other("int32"),
        Dtype::U32 => Stored::Other("uint32"),
        Dtype::I64 => Stored::Other("int64"),
        Dtype::U64 => Stored::Other("uint64"),
        Dtype::F8_E4M3 | Dtype::F8_E5M2 => Stored::Other("float8"),
        _ => Stored::Other("a type unknown to Flowlens"),
    }
}

fn explain(error: SafeTensorError, bytes: &[u8]) -> String {
    let declared = bytes.first_chunk().map(|length| u64::from_le_bytes(*length)).unwrap_or_default();
    let size = bytes.len();
    if bytes.starts_with(b"version https://git-lfs") {
        return "this is a Git LFS pointer, not the weights; run `git lfs pull` or download the file again".to_owned();
    }
    let found = match error {
        SafeTensorError::HeaderTooSmall => format!("{size} bytes are too few for a safetensors file"),
        SafeTensorError::HeaderTooLarge | SafeTensorError::InvalidHeaderLength => {
            format!("its header claims {declared} bytes, the file has {size}")
        }
        SafeTensorError::InvalidHeader(_) | SafeTensorError::InvalidHeaderDeserialization(_) => {
            format!("its header cannot be read ({error})")
        }
        SafeTensorError::MetadataIncompleteBuffer => {
            format!("its header promises another length than the {size} bytes found")
        }
        SafeTensorError::InvalidOffset(name) => format!("tensor {name:?} lies where it cannot"),
        SafeTensorError::TensorInvalidInfo => "the size of a tensor does not fit its shape".to_owned(),
        SafeTensorError::ValidationOverflow => "the shape of a tensor is absurdly large".to_owned(),
        other => other.to_string(),
    };
    format!("not a whole safetensors file: {found}; it is truncated or corrupted, download it again")
}
