//! What a name leads to.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// As many links as the system itself follows.
const LINKS: usize = 40;

/// Where what is written under a name goes.
pub(super) enum Place {
    /// Standard output of this process, whatever that is.
    Output,
    /// Standard error.
    Error,
    /// An ordinary file, with what is known of the one that is there now. The name is that behind all symbolic links.
    File(PathBuf, Option<Metadata>),
    /// A device, a pipe, a socket, or a file that this process has open: nothing that another could take the place of.
    Stream(PathBuf),
}

/// Follows symbolic links one by one: the last may lead to a file that is not there yet.
pub(super) fn find(path: &Path) -> io::Result<Place> {
    if path.as_os_str().as_encoded_bytes().last().is_some_and(|&byte| std::path::is_separator(byte.into())) {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        if let Some(place) = descriptor(&path) {
            return Ok(place);
        }
        match fs::symlink_metadata(&path) {
            Ok(about) if about.is_symlink() => path = folder_of(&path).join(fs::read_link(&path)?),
            Ok(about) if about.is_file() => return Ok(Place::File(path, Some(about))),
            Ok(about) if about.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(_) => return Ok(Place::Stream(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Place::File(path, None)),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many symbolic links, one behind the other"))
}

/// A name of something that a process has open. What the system says that it links to is for people to read: it may be a
/// pipe's number, or the name of a file that is gone.
fn descriptor(path: &Path) -> Option<Place> {
    if path == Path::new("/dev/stdout") {
        return Some(Place::Output);
    }
    let folder = folder_of(path).canonicalize().ok()?;
    let own = |name: &str| fs::canonicalize(name).is_ok_and(|own| own == folder);
    match path.file_name()?.to_str() {
        Some("1") if own("/dev/fd") || own("/proc/self/fd") => Some(Place::Output),
        Some("2") if own("/dev/fd") || own("/proc/self/fd") => Some(Place::Error),
        _ if folder.starts_with("/proc") || own("/dev/fd") => Some(Place::Stream(path.to_owned())),
        _ => None,
    }
}

/// The folder that a name lies in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
