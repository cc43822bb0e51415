//! Writing files so that nobody ever meets half of one.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Writes under a temporary name beside `path`, then renames.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().ok_or_else(|| Error::file(path, "is not the name of a file to write"))?;
    let temporary: PathBuf = path.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
    let written = std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|source| {
        let _ = std::fs::remove_file(&temporary);
        Error::io(path, source)
    })
}
