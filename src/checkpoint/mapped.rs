//! A weight file as memory.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use memmap2::{Mmap, MmapOptions};

use crate::{Error, Result};

/// A file mapped twice: once for reading headers and converting, and, when tensors point into it, once for good.
///
/// The first mapping goes when the checkpoint is dropped, and its pages are given back after each conversion, so that
/// loading needs little more memory than the converted weights. The second one is private (writing to a tensor never
/// reaches the file) and never unmapped: tensors of libtorch cannot say when the last of them is gone. It holds file
/// pages that the system may take back at any time, not memory of its own.
pub(super) struct Mapped {
    pub path: PathBuf,
    file: File,
    reading: Mmap,
    lasting: OnceLock<&'static [u8]>,
}

impl Mapped {
    pub fn open(path: &Path) -> Result<Mapped> {
        let io = |source| Error::io(path, source);
        // Before it is opened: opening a pipe waits until somebody writes into it.
        let metadata = std::fs::metadata(path).map_err(io)?;
        if !metadata.is_file() {
            return Err(Error::file(path, "not a regular file; give the path of one"));
        }
        if metadata.len() == 0 {
            return Err(Error::file(path, "the file is empty; download it again"));
        }
        let file = File::open(path).map_err(io)?;
        // SAFETY: bytes of a mapped file change when another program writes to it. Every value read from it is
        // checked where it is used, and bytes as numbers have no invalid values.
        let reading = unsafe { MmapOptions::new().map(&file) }.map_err(io)?;
        Ok(Mapped { path: path.to_owned(), file, reading, lasting: OnceLock::new() })
    }

    pub fn bytes(&self) -> &[u8] {
        &self.reading
    }

    /// The whole file, valid until the program ends.
    pub fn lasting(&self) -> Result<&'static [u8]> {
        if let Some(bytes) = self.lasting.get() {
            return Ok(bytes);
        }
        // SAFETY: as for `reading`.
        let map = unsafe { MmapOptions::new().no_reserve_swap().map_copy(&self.file) }
            .map_err(|source| Error::io(&self.path, source))?;
        let map = Box::leak(Box::new(map));
        // The file may have shrunk since its header was checked.
        if map.len() < self.reading.len() {
            return Err(Error::file(
                &self.path,
                "the file became shorter while it was read; wait until it is complete and try again",
            ));
        }
        Ok(self.lasting.get_or_init(|| map))
    }

    /// Gives back the pages of a range that has been converted.
    pub fn release(&self, range: &Range<usize>) {
        #[cfg(unix)]
        {
            const PAGE: usize = 4096;
            let (start, end) = (range.start.next_multiple_of(PAGE), range.end / PAGE * PAGE);
            if start < end {
                // SAFETY: the mapping is shared and read-only, so the next read finds the same bytes in the file.
                // Failure costs memory, nothing else.
                let _ = unsafe {
                    self.reading.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start)
                };
            }
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}
