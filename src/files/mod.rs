//! Files by name: written whole or not at all, read within a bound, whatever the name leads to.
//!
//! A name may be a symbolic link, a device, a pipe, or the standard output of this process. Everything that Flowlens
//! saves goes through [`write_whole`], and everything that it reads into memory at once through [`read_within`].

mod part;
mod place;
mod read;
mod write;

use std::path::Path;

use crate::Result;
pub(crate) use part::Part;
pub use part::abandon;
pub use read::{LARGEST_TEXT, read_text_within, read_within};
pub(crate) use write::failed;
pub use write::write_whole;

/// Whether what is written under a name goes into a device, a pipe or something else that is no file of its own.
pub(crate) fn is_stream(path: &Path) -> bool {
    !matches!(place::find(path), Ok(place::Place::File(..)) | Err(_))
}

/// Makes the folder of a file that is going to be written, where it is missing.
///
/// # Errors
/// When it cannot be made; the error names it.
pub fn prepare_folder(path: impl AsRef<Path>) -> Result<()> {
    match path.as_ref().parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => std::fs::create_dir_all(parent).map_err(|source| failed(parent, source)),
        None => Ok(()),
    }
}
