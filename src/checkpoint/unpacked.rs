//! Weights as float32 in a file beside, for machines where memory is scarcer than disk.
//!
//! Weights that the CPU does not compute with as they are stored, 4-bit ones of a GGUF file for instance, become memory of the
//! process that loads them: 538 MB for SmolLM2, and as much again for the second notebook. Where `FLOWLENS_UNPACKED` names a
//! folder, they are written there once, at four bytes a number, and mapped from then on: all processes share the pages, the system may
//! take them back at any time, and the numbers are the same. Nobody clears the folder up; without the variable nothing is written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tch::Kind;

use super::mapped::Mapped;
use super::stored::{self, Entry};
use super::{Arrangement, Checkpoint, Stored};
use crate::files::Part;
use crate::{DType, Device, Error, Result};

/// Counts up when the layout changes.
const FORM: &str = "flowlens unpacked 1";
/// Tensors begin at multiples of this.
const ALIGNMENT: usize = 64;

impl Checkpoint {
    /// The same with its weights in the folder that `FLOWLENS_UNPACKED` names, if it names one. Where they cannot be written
    /// they stay as they are: that costs memory, nothing else.
    pub(crate) fn unpacked(self) -> Checkpoint {
        match std::env::var_os("FLOWLENS_UNPACKED").map(PathBuf::from).filter(|folder| folder.is_absolute()) {
            Some(folder) => self.unpacked_in(&folder),
            None => self,
        }
    }

    fn unpacked_in(mut self, folder: &Path) -> Checkpoint {
        let (entries, length) = self.layout();
        if entries.is_empty() {
            return self;
        }
        match self.map(folder, &entries, length) {
            Ok(file) => {
                self.files.push(file);
                self.entries.extend(entries);
                self
            }
            Err(_) => self,
        }
    }

    /// Where each tensor that is not float32 goes, and the length of the file.
    fn layout(&self) -> (BTreeMap<String, Entry>, usize) {
        let mut end = 0;
        let packed = self
            .entries
            .iter()
            .filter(|(_, entry)| !matches!(entry.stored, Stored::F32 | Stored::Other(_)) && !entry.bytes.is_empty());
        let place = |(name, entry): (&String, &Entry)| {
            let bytes = end..end + 4 * entry.shape.iter().product::<usize>();
            end = bytes.end.next_multiple_of(ALIGNMENT);
            let (file, shape) = (self.files.len(), entry.shape.clone());
            (name.clone(), Entry { file, bytes, shape, stored: Stored::F32, arrangement: Arrangement::Rows })
        };
        let entries = packed.map(place).collect();
        (entries, end)
    }

    /// The file, made where it is missing. A second process waits until the first has made it.
    fn map(&self, folder: &Path, entries: &BTreeMap<String, Entry>, length: usize) -> Result<Mapped> {
        let path = folder.join(format!("{}.f32", self.known_by()?));
        let whole = |path: &Path| fs::metadata(path).is_ok_and(|about| about.len() == length as u64);
        if !whole(&path) {
            let io = |source| Error::io(&path, source);
            fs::create_dir_all(folder).map_err(io)?;
            let lock = File::create(path.with_extension("lock")).map_err(io)?;
            lock.lock().map_err(io)?;
            if !whole(&path) {
                let mut part = Part::begin(&path, None).map_err(io)?;
                self.write(&mut part, &path, entries, length)?;
                part.finish(&path).map_err(io)?;
            }
        }
        Mapped::open(&path)
    }

    fn write(&self, part: &mut Part, path: &Path, entries: &BTreeMap<String, Entry>, length: usize) -> Result<()> {
        let io = |source| Error::io(path, source);
        let mut file = BufWriter::new(part);
        let mut end = 0;
        for (name, target) in entries {
            let entry = &self.entries[name];
            let tensor = stored::read(&self.files[entry.file], name, entry, DType::F32, Device::Cpu)?.f_contiguous()?;
            if tensor.kind() != Kind::Float || tensor.numel() * 4 != target.bytes.len() {
                return Err(Error::tensor(name, "does not unpack to what its shape says"));
            }
            // SAFETY: contiguous memory of as many floats, which the tensor keeps.
            let bytes = unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<u8>(), target.bytes.len()) };
            file.write_all(&vec![0; target.bytes.start - end]).and_then(|()| file.write_all(bytes)).map_err(io)?;
            end = target.bytes.end;
        }
        file.write_all(&vec![0; length - end]).map_err(io)?;
        file.flush().map_err(io)
    }

    /// A name made of the files as they are now, and of what is taken from where in them.
    fn known_by(&self) -> Result<String> {
        let mut hash = Sha256::new();
        hash.update(FORM);
        for file in &self.files {
            let io = |source| Error::io(&file.path, source);
            let about = fs::metadata(&file.path).map_err(io)?;
            let then = about.modified().map_err(io)?;
            hash.update(format!("{:?} {} {then:?}", file.path.canonicalize().map_err(io)?, about.len()));
        }
        hash.update(format!("{:?}", self.entries));
        Ok(hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> Checkpoint {
        Checkpoint::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf/quants.gguf")).unwrap()
    }

    fn place(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("flowlens-unpacked-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn same(a: &Checkpoint, b: &Checkpoint) {
        assert!(a.names().eq(b.names()));
        for name in a.names().filter(|name| !matches!(a.dtype(name), Some(Stored::Other(_)))) {
            let read = |checkpoint: &Checkpoint| checkpoint.tensor(name, DType::F32, Device::Cpu).unwrap();
            assert_eq!(read(a), read(b), "{name}");
        }
    }

    #[test]
    fn mapped_weights_are_the_same_numbers() {
        let folder = place("same");
        let unpacked = fixture().unpacked_in(&folder);
        assert_eq!(unpacked.files.len(), 2);
        assert!(unpacked.names().all(|name| matches!(unpacked.dtype(name), Some(Stored::F32 | Stored::Other(_)))));
        same(&fixture(), &unpacked);
        // Made once: the second one maps the file of the first.
        let made = |folder: &Path| {
            let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            files.filter(|path| path.extension().is_some_and(|end| end == "f32")).collect::<Vec<_>>()
        };
        let file = made(&folder).pop().unwrap();
        let before = fs::metadata(&file).unwrap().modified().unwrap();
        same(&fixture(), &fixture().unpacked_in(&folder));
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before);
        // One that was cut short is made again.
        drop(unpacked);
        File::options().write(true).open(&file).unwrap().set_len(100).unwrap();
        same(&fixture(), &fixture().unpacked_in(&folder));
        assert_eq!(made(&folder), [file]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_written_costs_nothing_but_memory() {
        let folder = place("file");
        fs::write(&folder, "not a folder").unwrap();
        let packed = fixture().unpacked_in(&folder);
        assert_eq!(packed.files.len(), 1);
        same(&fixture(), &packed);
        fs::remove_file(folder).unwrap();
    }
}
