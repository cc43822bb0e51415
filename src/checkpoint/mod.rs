//! Files to named tensors.
//!
//! A checkpoint is a folder as the Hugging Face Hub lays it out (`config.json`, weights, tokenizer) or one GGUF file.
//! Opening it reads headers only; each tensor is read when it is asked for. A file is hostile until checked: sizes,
//! offsets and counts are bounded before memory is taken, and no pickle is ever executed.

mod bin;
mod bytes;
mod gguf;
mod legacy;
mod mapped;
mod pickle;
mod safetensors;
mod stored;
mod unpacked;
mod vocabulary;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tch::Tensor;

use crate::text::guarded;
use crate::{DType, Device, Error, Result, files};
pub use gguf::Quant;
pub(crate) use gguf::{Item, Metadata};
use mapped::Mapped;
pub(crate) use stored::Arrangement;
use stored::Entry;
pub use stored::Stored;

/// A larger file is not a configuration or an index.
const LARGEST_JSON: u64 = 64 << 20;

/// The weights, the configuration and the tokenizer of a model, on disk.
///
/// Tensors are named as in the files. [`model::checkpoint`](crate::model::checkpoint) opens a GGUF file with the names
/// and the configuration that the Hugging Face checkpoint of the same model has.
pub struct Checkpoint {
    path: PathBuf,
    config: Map<String, Value>,
    files: Vec<Mapped>,
    entries: BTreeMap<String, Entry>,
    /// Of a GGUF file.
    metadata: Option<gguf::Metadata>,
}

type ReadEntries = fn(&Mapped, usize) -> Result<Vec<(String, Entry)>>;

impl Checkpoint {
    /// Opens a folder that holds `config.json` and weights, or a `.gguf` file.
    ///
    /// Of several kinds of weights the first of these is taken: `model.safetensors`, `model.safetensors.index.json`,
    /// `pytorch_model.bin`, `pytorch_model.bin.index.json`.
    ///
    /// # Errors
    /// When nothing usable is there, or a file is truncated, corrupted or hostile.
    pub fn open(path: &Path) -> Result<Checkpoint> {
        let metadata = std::fs::metadata(path).map_err(|source| Error::io(path, source))?;
        if metadata.is_dir() {
            return Checkpoint::open_folder(path);
        }
        let gguf = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"));
        let file = Mapped::open(path)?;
        if gguf || file.bytes().starts_with(b"GGUF") {
            return Checkpoint::open_gguf(file);
        }
        Err(Error::file(path, "not a model; give the folder that holds config.json and the weights, or a .gguf file"))
    }

    /// Opens one safetensors file that need not be a model's.
    pub(crate) fn open_tensors(path: &Path) -> Result<Checkpoint> {
        let (config, entries) = (Map::new(), BTreeMap::new());
        let mut checkpoint = Checkpoint { path: path.to_owned(), config, files: Vec::new(), entries, metadata: None };
        checkpoint.add_file(path, safetensors::entries, |_| true)?;
        Ok(checkpoint)
    }

    fn open_gguf(file: Mapped) -> Result<Checkpoint> {
        let contents = gguf::contents(&file)?;
        Ok(Checkpoint {
            path: file.path.clone(),
            config: Map::new(),
            files: vec![file],
            entries: contents.entries.into_iter().collect(),
            metadata: Some(contents.metadata),
        })
    }

    fn open_folder(folder: &Path) -> Result<Checkpoint> {
        let config_path = folder.join("config.json");
        if !config_path.exists() {
            if let Some(gguf) = only_gguf(folder) {
                return Checkpoint::open_gguf(Mapped::open(&gguf)?);
            }
            return Err(Error::file(
                folder,
                "this folder has no config.json, so it is not a model; give the folder that has it, or a .gguf file",
            ));
        }
        let config = read_object(&config_path)?;
        let mut checkpoint =
            Checkpoint { path: folder.to_owned(), config, files: Vec::new(), entries: BTreeMap::new(), metadata: None };
        let has = |name: &str| folder.join(name).exists();
        if has("model.safetensors") {
            checkpoint.add_file(&folder.join("model.safetensors"), safetensors::entries, |_| true)?;
        } else if has("model.safetensors.index.json") {
            checkpoint.add_shards("model.safetensors.index.json", safetensors::entries)?;
        } else if has("pytorch_model.bin") {
            checkpoint.add_file(&folder.join("pytorch_model.bin"), bin::entries, |_| true)?;
        } else if has("pytorch_model.bin.index.json") {
            checkpoint.add_shards("pytorch_model.bin.index.json", bin::entries)?;
        } else {
            return Err(Error::file(
                folder,
                "no weights found: expected model.safetensors, model.safetensors.index.json, pytorch_model.bin or pytorch_model.bin.index.json",
            ));
        }
        Ok(checkpoint)
    }

    /// What a GGUF file says about its model; `None` for other files.
    pub(crate) fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// Says in the configuration what its file leaves unsaid.
    pub(crate) fn unless_said(mut self, key: &str, value: &str) -> Checkpoint {
        self.config.entry(key).or_insert_with(|| value.into());
        self
    }

    /// The same with a configuration, and with its tensors under other names and in another arrangement; without those that
    /// get no name.
    pub(crate) fn renamed(
        mut self,
        config: Map<String, Value>,
        name: impl Fn(&str) -> Result<Option<(String, Arrangement)>>,
    ) -> Result<Checkpoint> {
        let mut entries = BTreeMap::new();
        for (old, entry) in std::mem::take(&mut self.entries) {
            if let Some((new, arrangement)) = name(&old)? {
                entries.insert(new, entry.arranged(arrangement).map_err(|problem| Error::tensor(old, problem))?);
            }
        }
        Ok(Checkpoint { config, entries, ..self })
    }

    /// Maps one weight file and takes those of its tensors that `wanted` names.
    fn add_file(&mut self, path: &Path, read: ReadEntries, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let file = Mapped::open(path)?;
        let entries = read(&file, self.files.len())?;
        self.entries.extend(entries.into_iter().filter(|(name, _)| wanted(name)));
        self.files.push(file);
        Ok(())
    }

    /// Reads an index (`{"weight_map": {tensor: file}}`) and every file that it names.
    fn add_shards(&mut self, index: &str, read: ReadEntries) -> Result<()> {
        let index_path = self.path.join(index);
        let object = read_object(&index_path)?;
        let shards = shards_of(&index_path, &object)?;
        let owners: BTreeMap<&str, &str> =
            shards.iter().flat_map(|(&file, tensors)| tensors.iter().map(move |&tensor| (tensor, file))).collect();
        for (&file, tensors) in &shards {
            let path = self.path.join(file);
            // A tensor that the index gives to another shard is that shard's.
            self.add_file(&path, read, |name| owners.get(name).is_none_or(|&owner| owner == file))?;
            if let Some(missing) = tensors.iter().find(|name| !self.entries.contains_key(**name)) {
                return Err(Error::file(
                    &path,
                    format!("the index promises tensor {missing:?} here, but the file lacks it; download it again"),
                ));
            }
        }
        Ok(())
    }

    /// The same with its files in memory, so that nothing depends on what other programs do to them.
    ///
    /// # Errors
    /// When a file has changed its length since it was opened, or does not fit into memory.
    pub fn in_memory(mut self) -> Result<Checkpoint> {
        self.files = self.files.into_iter().map(Mapped::copied).collect::<Result<_>>()?;
        Ok(self)
    }

    /// Whether a file lies on a file system of the network.
    pub(crate) fn is_on_a_network(&self) -> bool {
        self.files.iter().any(Mapped::is_on_a_network)
    }

    /// The matrices that hold nothing but zeros, in files that end so: a file that was cut off and made longer again does.
    /// Of any other file one page is looked at.
    pub(crate) fn blank(&self) -> Vec<&str> {
        let matrices = || self.entries.iter().filter(|(_, entry)| entry.shape.len() > 1 && !entry.bytes.is_empty());
        let is_blank = |entry: &Entry| {
            let bytes = &self.files[entry.file].bytes()[entry.bytes.clone()];
            bytes.iter().rev().all(|&byte| byte == 0)
        };
        let ends_blank = |file: usize| {
            let last = matrices().filter(|(_, entry)| entry.file == file).max_by_key(|(_, entry)| entry.bytes.end);
            last.is_some_and(|(_, entry)| is_blank(entry))
        };
        let files: Vec<bool> = (0..self.files.len()).map(ends_blank).collect();
        matrices().filter(|(_, entry)| files[entry.file] && is_blank(entry)).map(|(name, _)| name.as_str()).collect()
    }

    /// The folder or file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `config.json`, or the same made from GGUF metadata.
    pub fn config(&self) -> &Map<String, Value> {
        &self.config
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// How the numbers of a tensor are stored.
    pub fn dtype(&self, name: &str) -> Option<Stored> {
        self.entries.get(name).map(|entry| entry.stored)
    }

    /// Bytes that all tensors take in the files.
    pub fn bytes(&self) -> u64 {
        self.entries.values().map(|entry| entry.bytes.len() as u64).sum()
    }

    /// A tensor, in the number type and on the device that are asked for.
    ///
    /// A float32 tensor for the CPU is the mapped file itself: nothing is copied, and writing to it changes memory,
    /// never the file. Everything else is converted, and files [in memory](Checkpoint::in_memory) are copied.
    ///
    /// # Errors
    /// When there is no such tensor, or its numbers are not floats.
    pub fn tensor(&self, name: &str, dtype: DType, device: Device) -> Result<Tensor> {
        let entry = self.entries.get(name).ok_or_else(|| Error::tensor(name, self.missing(name)))?;
        stored::read(&self.files[entry.file], name, entry, dtype, device)
    }

    /// The rows of whole numbers of shape (N,T), or a single one (T); `None` where there is no such tensor.
    ///
    /// # Errors
    /// When the tensor has another shape, or holds no 32- or 64-bit integers.
    pub(crate) fn integer_rows(&self, name: &str) -> Result<Option<Vec<Vec<i64>>>> {
        let Some((shape, numbers)) = self.integer_array(name)? else { return Ok(None) };
        match shape {
            [length] | [_, length] if *length > 0 => Ok(Some(numbers.chunks(*length).map(<[i64]>::to_vec).collect())),
            _ => Err(Error::tensor(name, format!("has shape {shape:?}, expected (T) or (N,T), none of them 0"))),
        }
    }

    /// The shape and the whole numbers of a tensor, row by row; `None` where there is no such tensor.
    ///
    /// # Errors
    /// When the tensor holds no 32- or 64-bit integers.
    pub(crate) fn integer_array(&self, name: &str) -> Result<Option<(&[usize], Vec<i64>)>> {
        let Some(entry) = self.entries.get(name) else { return Ok(None) };
        let bytes = &self.files[entry.file].bytes()[entry.bytes.clone()];
        stored::integers(bytes, entry.stored)
            .map(|numbers| Some((entry.shape.as_slice(), numbers)))
            .map_err(|found| Error::tensor(name, format!("holds {found}, expected 64- or 32-bit integers")))
    }

    /// What the file says about itself besides its tensors: the metadata of a safetensors file.
    ///
    /// # Errors
    /// When the header cannot be read.
    pub(crate) fn remarks(&self) -> Result<HashMap<String, String>> {
        self.files.first().map_or_else(|| Ok(HashMap::new()), safetensors::remarks)
    }

    fn missing(&self, name: &str) -> String {
        let (found, ending) = (self.entries.len(), name.rsplit('.').take(2).collect::<Vec<_>>());
        let like = self.names().find(|other| other.rsplit('.').take(2).eq(ending.iter().copied()));
        let hint = like.map(|like| format!(", among them {like}")).unwrap_or_default();
        format!("not in {}, which has {found} tensors{hint}", self.path.display())
    }

    /// The tokenizer, or `None` when the checkpoint has none.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn tokenizer(&self) -> Result<Option<tokenizers::Tokenizer>> {
        if let Some(metadata) = &self.metadata {
            return gguf::tokenizer(metadata);
        }
        let path = self.path.join("tokenizer.json");
        if !path.exists() {
            return vocabulary::tokenizer(&self.path, &self.config);
        }
        let bytes = files::read_within(&path, files::LARGEST_TEXT)?;
        guarded(|| tokenizers::Tokenizer::from_bytes(bytes))
            .map(Some)
            .map_err(|problem| Error::Tokenizer(format!("{}: {problem}", path.display())))
    }
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint").field("path", &self.path).field("tensors", &self.entries.len()).finish()
    }
}

/// The GGUF file of a folder, when there is exactly one.
fn only_gguf(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut gguf = files.filter(|path| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf")));
    gguf.next().filter(|_| gguf.next().is_none())
}

/// The files that an index names, each once.
pub(crate) fn shards(index: &Path) -> Result<Vec<String>> {
    let object = read_object(index)?;
    Ok(shards_of(index, &object)?.into_keys().map(str::to_owned).collect())
}

/// The files of an index, with the tensors that it promises in each.
fn shards_of<'a>(index: &Path, object: &'a Map<String, Value>) -> Result<BTreeMap<&'a str, Vec<&'a str>>> {
    let map = object
        .get("weight_map")
        .and_then(Value::as_object)
        .ok_or_else(|| Error::file(index, "the index has no \"weight_map\" object; it is not an index of shards"))?;
    let mut shards: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (tensor, file) in map {
        let name = file.as_str().filter(|file| is_plain_name(file)).ok_or_else(|| {
            Error::file(
                index,
                format!("tensor {tensor:?} is said to lie in {file}; a shard must be a file of the same folder"),
            )
        })?;
        shards.entry(name).or_default().push(tensor);
    }
    Ok(shards)
}

/// Whether a name from an index is a bare file name, so that it cannot lead out of the folder.
fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(part)), None) if part == name)
        && !name.contains('\\')
}

/// Reads a JSON file whose top level is an object.
pub(crate) fn read_object(path: &Path) -> Result<Map<String, Value>> {
    let bytes = files::read_within(path, LARGEST_JSON)?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Error::file(path, "expected a JSON object {..}; the file holds something else")),
        Err(error) => Err(Error::file(path, format!("not valid JSON ({error}); download it again"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_name_cannot_leave_the_folder() {
        assert!(is_plain_name("model-00001-of-00002.safetensors"));
        for name in ["../x", "/etc/passwd", "a/b", "..", ".", "", "a\\b", "./x", "x/"] {
            assert!(!is_plain_name(name), "{name}");
        }
    }
}
