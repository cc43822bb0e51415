//! Loading a model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::ties::settle;
use super::{Architecture, Loaded, Model, Network, families};
use crate::checkpoint::{Checkpoint, Stored};
use crate::progress::{Task, say};
use crate::text::Tokenizer;
use crate::{DType, Device, Error, Result, hub, interrupt};

/// How to load a model; [`load`](ModelOptions::load) does it. Made by [`Model::options`].
#[must_use = "nothing is loaded before load()"]
#[derive(Debug, Clone)]
pub struct ModelOptions {
    name: String,
    hub: hub::Options,
    device: Device,
    dtype: Option<DType>,
    allow_non_finite: bool,
    in_memory: bool,
    memory_limit_mb: u64,
}

/// Megabytes that a run may take by default.
const MEMORY_LIMIT_MB: u64 = 4_000;

impl ModelOptions {
    pub(crate) fn new(name: &str) -> ModelOptions {
        ModelOptions {
            name: name.to_owned(),
            hub: hub::Options::default(),
            device: Device::Cpu,
            dtype: None,
            allow_non_finite: false,
            in_memory: false,
            memory_limit_mb: MEMORY_LIMIT_MB,
        }
    }

    /// Branch, tag or commit on the Hub; `main` by default.
    pub fn revision(mut self, revision: impl Into<String>) -> ModelOptions {
        self.hub.revision = revision.into();
        self
    }

    /// Where to compute; the CPU by default.
    pub fn device(mut self, device: Device) -> ModelOptions {
        self.device = device;
        self
    }

    /// The number type to compute in. By default: float32 on the CPU, the checkpoint's own type on CUDA.
    pub fn dtype(mut self, dtype: DType) -> ModelOptions {
        self.dtype = Some(dtype);
        self
    }

    /// Lets runs go on with numbers that are infinite or none, to look at them with [`Trace::get`](crate::Trace::get).
    /// Otherwise such a run is an error that names the site where it turns and the weights that make it so. Nothing is
    /// ranked or drawn from such numbers either way.
    pub fn allow_non_finite(mut self, allow: bool) -> ModelOptions {
        self.allow_non_finite = allow;
        self
    }

    /// Megabytes (10^6 bytes) that each run may take unless it has a limit of its own
    /// ([`Watch::memory_limit_mb`](crate::run::Watch::memory_limit_mb)); 4000 by default.
    pub fn memory_limit_mb(mut self, megabytes: u64) -> ModelOptions {
        self.memory_limit_mb = megabytes;
        self
    }

    /// Copies the weights into memory instead of mapping their file, which takes the file's size once more while it is
    /// loaded.
    ///
    /// A mapped file that another program truncates while it is used ends the process (SIGBUS): nobody can catch that.
    /// Files on a file system of the network are copied unasked.
    pub fn in_memory(mut self, in_memory: bool) -> ModelOptions {
        self.in_memory = in_memory;
        self
    }

    /// Uses only what is already on this machine.
    pub fn offline(mut self, offline: bool) -> ModelOptions {
        self.hub.offline = offline;
        self
    }

    /// The folder of the Hub cache; Python's by default.
    pub fn cache(mut self, folder: impl AsRef<Path>) -> ModelOptions {
        self.hub.cache = Some(folder.as_ref().to_owned());
        self
    }

    /// Loads the model.
    ///
    /// # Errors
    /// When the model cannot be found, read or understood, or the device is not available.
    pub fn load(self) -> Result<Model> {
        let name = self.name.clone();
        interrupt::during(&format!("loading {name}"), || self.find_and_load())
    }

    fn find_and_load(self) -> Result<Model> {
        self.device.prepare()?;
        let path: PathBuf = hub::find(&self.name, &self.hub)?;
        let mut checkpoint = families::open(&path)?;
        if self.in_memory || checkpoint.is_on_a_network() {
            checkpoint = checkpoint.in_memory()?;
        }
        let mut architecture = families::read(checkpoint.config())?;
        settle(&mut architecture, &checkpoint)?;
        let dtype = self.run_dtype(&checkpoint, &architecture)?;
        if self.device == Device::Cpu && dtype == DType::F32 && !self.in_memory {
            checkpoint = checkpoint.unpacked();
        }
        say_what_is_blank(&checkpoint);
        let task = Task::begin(format!("loading {}", self.name), checkpoint.names().count(), "tensors");
        let mut network = Network::load(&architecture, &checkpoint, dtype, self.device, &task)?;
        network.allows_non_finite = self.allow_non_finite;
        task.finish();
        let tokenizer = checkpoint.tokenizer()?.map(Tokenizer::new).transpose()?;
        let stop_ids = stop_ids(checkpoint.config().get("eos_token_id"));
        let memory_limit_mb = self.memory_limit_mb;
        let loaded = Loaded { name: self.name, path, architecture, network, tokenizer, stop_ids, memory_limit_mb };
        Ok(Model { loaded: Arc::new(loaded) })
    }

    fn run_dtype(&self, checkpoint: &Checkpoint, plan: &Architecture) -> Result<DType> {
        match (self.device, self.dtype) {
            (Device::Cpu, None | Some(DType::F32)) => Ok(DType::F32),
            // Unit tests let the processor stand in for a card.
            (Device::Cpu, Some(other)) if cfg!(test) => Ok(other),
            (Device::Cpu, Some(other)) => Err(Error::Device {
                device: "cpu".into(),
                problem: format!("computes in float32 only, {other} was asked for; leave dtype out, or use cuda:0"),
            }),
            (Device::Cuda(_), Some(dtype)) => Ok(dtype),
            (Device::Cuda(_), None) => Ok(stored_dtype(checkpoint, plan)),
        }
    }
}

/// Says which matrices hold nothing but zeros, as they do where a file was cut off, or is being written again.
fn say_what_is_blank(checkpoint: &Checkpoint) {
    if let [first, others @ ..] = checkpoint.blank().as_slice() {
        let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        say(&format!(
            "tensor {first}{more} of {} hold only zeros; unless the model is made so, download it again",
            checkpoint.path().display()
        ));
    }
}

/// The type that the file holds its token table in, which stands for all weights. What no run
/// computes in (quantised numbers, float64) becomes float32.
fn stored_dtype(checkpoint: &Checkpoint, plan: &Architecture) -> DType {
    let name = format!("{}.weight", plan.main.embedding.tokens.name);
    checkpoint.dtype(&name).map_or(DType::F32, Stored::own)
}

/// `eos_token_id` is a number, a list of numbers, or absent.
fn stop_ids(value: Option<&Value>) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Some(Value::Array(list)) => list.iter().filter_map(id).collect(),
        Some(value) => id(value).into_iter().collect(),
        None => Vec::new(),
    }
}
