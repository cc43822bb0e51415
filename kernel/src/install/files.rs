//! Files that are written whole or not at all.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Writes a file under another name first. Leaves one that holds this already as it is.
///
/// # Errors
/// Where it cannot be written; what stood there before still stands then.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    let part = part_of(path);
    let done = fs::write(&part, content).and_then(|()| fs::rename(&part, path));
    done.inspect_err(|_| drop(fs::remove_file(&part))).with_context(|| cannot_write(path))
}

/// Copies a program, also over one that runs.
///
/// # Errors
/// Where it cannot be written.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let part = part_of(to);
    let done = fs::copy(from, &part).and_then(|_| fs::rename(&part, to));
    done.inspect_err(|_| drop(fs::remove_file(&part))).with_context(|| cannot_write(to))
}

/// Fills a folder beside the one that stands there, then puts it in its place.
///
/// # Errors
/// Where `fill` fails or the folder cannot be written; what stood there before still stands then.
pub fn replace_folder(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let part = part_of(path);
    let aside = path.with_extension("old");
    remove_folder(&part)?;
    remove_folder(&aside)?;
    fs::create_dir_all(&part).with_context(|| cannot_write(&part))?;
    if let Err(error) = fill(&part) {
        let _ = fs::remove_dir_all(&part);
        return Err(error);
    }
    if path.exists() {
        fs::rename(path, &aside).with_context(|| cannot_write(path))?;
    }
    fs::rename(&part, path).with_context(|| cannot_write(path))?;
    remove_folder(&aside)
}

/// Removes a folder with all in it; one that is not there is no error.
///
/// # Errors
/// Where something in it cannot be removed.
pub fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_filling_leaves_the_old_folder() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("library");
        replace_folder(&folder, |part| write(&part.join("a"), b"old")).unwrap();
        let failed = replace_folder(&folder, |part| {
            write(&part.join("a"), b"new")?;
            anyhow::bail!("the disk is full")
        });
        assert_eq!(failed.unwrap_err().to_string(), "the disk is full");
        assert_eq!(fs::read(folder.join("a")).unwrap(), b"old");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_right_is_not_written_again() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("kernel.json");
        write(&file, b"{}").unwrap();
        let before = fs::metadata(&file).unwrap().modified().unwrap();
        write(&file, b"{}").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before);
        write(&file, b"[]").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"[]");
    }
}
