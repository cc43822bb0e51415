//! Files appear under their name only when they are whole.

use std::fs;
use std::path::Path;

use crate::{Error, Result};

/// Writes a file beside its final name, then renames it.
pub(super) fn whole(path: &Path, content: &str) -> Result<()> {
    let name = path.file_name().ok_or_else(|| Error::Figure(format!("{} is no file name", path.display())))?;
    let mut part = name.to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(part);
    fs::write(&part, content).and_then(|()| fs::rename(&part, path)).map_err(|source| {
        // The half file is of no use; that it cannot be removed either would say nothing new.
        let _ = fs::remove_file(&part);
        Error::io(path, source)
    })
}

/// The ending of a file name in small letters.
pub(super) fn ending(path: &Path) -> String {
    path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

/// The error for an ending that a thing cannot be saved under.
pub(super) fn unknown_ending(path: &Path, possible: &str) -> Error {
    let ending = match ending(path).as_str() {
        "" => "it has no ending".to_owned(),
        ending => format!(".{ending} is not possible"),
    };
    Error::Figure(format!("cannot save {}: {ending}, {possible} are", path.display()))
}
