//! Reading a file into memory, within a bound.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::{Error, Result, interrupt};

/// Bytes that a file of texts may have: lines to encode, pairs, tokens, a vocabulary. The largest published
/// `tokenizer.json` is an eighth of it.
pub const LARGEST_TEXT: u64 = 256 << 20;

/// Reads a file of `most` bytes at most: a name may lead to something that never ends, such as `/dev/zero`.
///
/// # Errors
/// When the file is larger, is a folder, or cannot be read.
pub fn read_within(path: impl AsRef<Path>, most: u64) -> Result<Vec<u8>> {
    let path = path.as_ref();
    let io = |source| Error::io(path, source);
    let about = std::fs::metadata(path).map_err(io)?;
    if about.is_dir() {
        return Err(Error::file(path, "is a folder; give the name of a file"));
    }
    if about.is_file() {
        return match about.len() {
            length if length > most => Err(too_large(path, most)),
            length => take(path, length, most).map_err(io)?.ok_or_else(|| too_large(path, most)),
        };
    }
    // A pipe waits for its writer, as long as that takes.
    let name = path.to_owned();
    let read = interrupt::wait(&format!("reading {}", path.display()), move || take(&name, 0, most))?;
    read.map_err(io)?.ok_or_else(|| too_large(path, most))
}

/// The same as text.
///
/// # Errors
/// As [`read_within`], and when the file is not UTF-8.
pub fn read_text_within(path: impl AsRef<Path>, most: u64) -> Result<String> {
    let path = path.as_ref();
    let bytes = read_within(path, most)?;
    String::from_utf8(bytes).map_err(|_| Error::file(path, "is not UTF-8 text; convert it"))
}

/// All of a file that is said to have `length` bytes; none where there are more than `most`.
fn take(path: &Path, length: u64, most: u64) -> io::Result<Option<Vec<u8>>> {
    // One more than there is, so that the end is found without more memory.
    let mut bytes = Vec::with_capacity(length as usize + 1);
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

fn too_large(path: &Path, most: u64) -> Error {
    let most = if most < 1_000_000 { format!("{most} bytes") } else { format!("{} MB", most / 1_000_000) };
    Error::file(path, format!("is larger than {most}, the most that such a file may have; it is not what is read here"))
}
