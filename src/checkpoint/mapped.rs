//! A weight file as memory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
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
///
/// Or the same file [copied](Mapped::copied) into memory: then nothing depends on what others do to it.
pub(super) struct Mapped {
    pub path: PathBuf,
    file: File,
    reading: Reading,
    lasting: OnceLock<&'static [u8]>,
}

enum Reading {
    Map(Mmap),
    Copy(Vec<u8>),
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
        let reading = Reading::Map(unsafe { MmapOptions::new().map(&file) }.map_err(io)?);
        Ok(Mapped { path: path.to_owned(), file, reading, lasting: OnceLock::new() })
    }

    /// The same in memory of its own.
    ///
    /// # Errors
    /// When the file has another length by now, or does not fit into memory.
    pub fn copied(mut self) -> Result<Mapped> {
        let io = |source| Error::io(&self.path, source);
        let length = self.bytes().len();
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| {
            let megabytes = length / 1_000_000;
            Error::file(&self.path, format!("its {megabytes} MB do not fit into memory; load it without in_memory"))
        })?;
        self.file.seek(SeekFrom::Start(0)).map_err(io)?;
        // One more, to see that there is none.
        Read::by_ref(&mut self.file).take(length as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() != length {
            return Err(changed(&self.path));
        }
        self.reading = Reading::Copy(bytes);
        Ok(self)
    }

    /// Whether tensors may point into it.
    pub fn is_mapped(&self) -> bool {
        matches!(self.reading, Reading::Map(_))
    }

    /// Whether it lies on another machine, whose reboot or writers a mapping would not survive.
    pub fn is_on_a_network(&self) -> bool {
        #[cfg(target_os = "linux")]
        return rustix::fs::fstatfs(&self.file).is_ok_and(|system| is_a_networks(system.f_type as u64));
        #[cfg(not(target_os = "linux"))]
        false
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.reading {
            Reading::Map(map) => map,
            Reading::Copy(bytes) => bytes,
        }
    }

    /// The whole mapped file, valid until the program ends.
    pub fn lasting(&self) -> Result<&'static [u8]> {
        if let Some(bytes) = self.lasting.get() {
            return Ok(bytes);
        }
        // SAFETY: as for `reading`.
        let map = unsafe { MmapOptions::new().no_reserve_swap().map_copy(&self.file) }
            .map_err(|source| Error::io(&self.path, source))?;
        let map = Box::leak(Box::new(map));
        // The file may have shrunk since its header was checked.
        if map.len() < self.bytes().len() {
            return Err(changed(&self.path));
        }
        Ok(self.lasting.get_or_init(|| map))
    }

    /// Gives back the pages of a range that has been converted.
    pub fn release(&self, range: &Range<usize>) {
        #[cfg(unix)]
        if let Reading::Map(map) = &self.reading {
            const PAGE: usize = 4096;
            let (start, end) = (range.start.next_multiple_of(PAGE), range.end / PAGE * PAGE);
            if start < end {
                // SAFETY: the mapping is shared and read-only, so the next read finds the same bytes in the file.
                // Failure costs memory, nothing else.
                let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start) };
            }
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

fn changed(path: &Path) -> Error {
    Error::file(path, "the file's length changed while it was read; wait until it is complete and try again")
}

/// The numbers that Linux knows file systems of networks by (statfs(2)).
#[cfg(any(target_os = "linux", test))]
fn is_a_networks(system: u64) -> bool {
    const NFS: u64 = 0x6969;
    const SMB: [u64; 3] = [0x517B, 0xFF53_4D42, 0xFE53_4D42];
    const CEPH: u64 = 0x00C3_6400;
    const LUSTRE: u64 = 0x0BD0_0BD0;
    const AFS: [u64; 2] = [0x5346_414F, 0x6B41_4653];
    const PLAN_9: u64 = 0x0102_1997;
    // The kernel keeps the number in 32 bits where a long has no more.
    let system = system & 0xFFFF_FFFF;
    [NFS, CEPH, LUSTRE, PLAN_9].contains(&system) || SMB.contains(&system) || AFS.contains(&system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_networks_are_known() {
        assert!(is_a_networks(0x6969) && is_a_networks(0xFFFF_FFFF_FF53_4D42));
        // ext4, tmpfs, overlay.
        assert!(![0xEF53, 0x0102_1994, 0x794C_7630].into_iter().any(is_a_networks));
    }

    #[test]
    fn a_copy_does_not_follow_its_file() {
        let path = std::env::temp_dir().join(format!("flowlens-copied-{}", std::process::id()));
        std::fs::write(&path, [7; 10_000]).unwrap();
        let copy = Mapped::open(&path).unwrap().copied().unwrap();
        let late = Mapped::open(&path).unwrap();
        std::fs::write(&path, [8; 20]).unwrap();
        assert!(!copy.is_mapped() && copy.bytes() == [7; 10_000]);
        let error = late.copied().err().unwrap().to_string();
        assert!(error.contains("length changed"), "{error}");
        std::fs::remove_file(path).unwrap();
    }
}
