//! Writing a file whole or not at all.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::part::Part;
use super::place::{self, Place};
use crate::{Error, Result, interrupt};

/// Writes a file so that nobody ever meets half of it: under a temporary name, then renamed. Where that fails, an older
/// file is as it was.
///
/// A symbolic link stays, and what it leads to is written. A file that is there keeps its rights and, where the system
/// allows it, its owner; one that may not be written is refused. One with several names (hard links), and one in a folder
/// where nothing may be created, is overwritten where it lies. What is no ordinary file (a device, a pipe, `/dev/stdout`)
/// is written straight into.
///
/// # Errors
/// When the file cannot be written, or the name is that of a folder.
pub fn write_whole(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    match place::find(path).map_err(|source| failed(path, source))? {
        Place::Output => {
            let mut out = io::stdout().lock();
            let written = out.write_all(bytes).and_then(|()| out.flush());
            written.map_err(|source| Error::io("standard output", source))
        }
        Place::Error => io::stderr().write_all(bytes).map_err(|source| Error::io("standard error", source)),
        Place::File(target, None) => create(&target, bytes).map_err(|source| failed(path, source)),
        Place::File(target, Some(about)) => replace(&target, &about, bytes).map_err(|source| failed(path, source)),
        Place::Stream(target) => {
            let bytes = bytes.to_vec();
            // A pipe waits for its reader, as long as that takes.
            let written = interrupt::wait(&format!("writing {}", path.display()), move || stream(&target, &bytes))?;
            written.map_err(|source| Error::io(path, source))
        }
    }
}

fn create(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut part = Part::begin(target, None)?;
    part.write_all(bytes)?;
    part.finish(target)
}

fn replace(target: &Path, about: &Metadata, bytes: &[u8]) -> io::Result<()> {
    // A file that is protected from writing is not to be replaced either.
    let file = OpenOptions::new().write(true).open(target)?;
    if names(about) > 1 {
        return overwrite(file, bytes);
    }
    let written = Part::begin(target, Some(about)).and_then(|mut part| {
        part.write_all(bytes)?;
        part.finish(target)
    });
    match written {
        // Nothing may be created or renamed in this folder; the file itself may be written.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => overwrite(file, bytes),
        written => written,
    }
}

#[cfg(unix)]
fn names(about: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(about)
}

#[cfg(not(unix))]
fn names(_: &Metadata) -> u64 {
    1
}

/// Writes over a file. What makes it longer goes first, as only that needs room: on a full disk the file stays whole.
fn overwrite(mut file: File, bytes: &[u8]) -> io::Result<()> {
    let old = file.metadata()?.len();
    let (head, tail) = bytes.split_at(bytes.len().min(usize::try_from(old).unwrap_or(usize::MAX)));
    file.seek(SeekFrom::Start(old))?;
    let longer = file.write_all(tail).and_then(|()| file.sync_all());
    longer.inspect_err(|_| drop(file.set_len(old)))?;
    file.rewind()?;
    file.write_all(head)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

/// Writes into what is there; a file that a process has open is gone on with, not begun anew.
fn stream(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let append = std::fs::metadata(target)?.is_file();
    let mut file = OpenOptions::new().write(true).append(append).open(target)?;
    file.write_all(bytes)
}

/// The error of a file that could not be written, with the way out where the system's words leave it open.
pub(crate) fn failed(path: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::file(path, format!("cannot be written: {source}; make room there, or write to another disk"))
        }
        io::ErrorKind::IsADirectory => Error::file(path, "is a folder; give the name of a file to write"),
        io::ErrorKind::InvalidInput if path.file_name().is_none() => {
            Error::file(path, "is not the name of a file to write")
        }
        _ => Error::io(path, source),
    }
}
