//! Names of files that a figure is saved under.

use std::path::Path;

use crate::Error;

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
