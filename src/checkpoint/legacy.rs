//! What `torch.save` wrote before PyTorch 1.6: five pickles one behind the other, then the numbers. Repositories from
//! before 2020 still hold such files, among them those of XLNet, XLM and most of Marian.
//!
//! ```text
//! a magic number, the version of the protocol, facts about the machine, the dictionary of tensors, the storages' keys,
//! and for each key in that order: how many numbers (8 bytes), and the numbers
//! ```

use std::collections::HashMap;

use super::bin::{Contents, WAY_OUT, type_of};
use super::bytes::Bytes;
use super::pickle::Finished;

/// The first pickle: PyTorch's magic number.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// The only version of the protocol that there was.
const PROTOCOL: i64 = 1001;

/// Whether a file is of this kind.
pub(super) fn is_legacy(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The tensors of such a file, and where the numbers of each storage lie.
pub(super) fn contents(bytes: &[u8]) -> Result<Contents, String> {
    let mut rest = Bytes { bytes, at: MAGIC.len() };
    let protocol = pickle(&mut rest)?.integer();
    if protocol != Some(PROTOCOL) {
        return Err(format!("its protocol is not {PROTOCOL}, the only one there was; {WAY_OUT}"));
    }
    if pickle(&mut rest)?.flag("little_endian") != Some(true) {
        return Err(format!("it was written on a big-endian machine; {WAY_OUT}"));
    }
    let described = pickle(&mut rest)?;
    let keys = pickle(&mut rest)?;
    let keys = keys.texts().ok_or("the list of its storages is none")?;
    let mut storages = HashMap::with_capacity(keys.len());
    for key in keys {
        let kind = described.storages.get(key).ok_or_else(|| format!("storage {key:?} is of no known type"))?;
        let (_, size) = type_of(kind)?;
        let numbers = u64::from_le_bytes(rest.fixed()?);
        let length = numbers.checked_mul(size).and_then(|length| usize::try_from(length).ok());
        let start = rest.at;
        rest.take(length.ok_or_else(|| format!("storage {key:?} claims {numbers} numbers"))?)?;
        storages.insert(key.to_owned(), start..rest.at);
    }
    Ok(Contents { tensors: described.tensors()?, storages })
}

/// The next pickle.
fn pickle(rest: &mut Bytes) -> Result<Finished, String> {
    let finished = Finished::run(&rest.bytes[rest.at..])?;
    rest.at += finished.length;
    Ok(finished)
}
