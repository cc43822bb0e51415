//! The model: what computes.

pub mod architecture;
mod cache;
mod config;
mod embedding;
#[cfg(test)]
mod engine_tests;
pub(crate) mod families;
mod head;
mod input;
pub(crate) mod layers;
mod masks;
mod network;
mod options;
mod passing;
mod routes;
mod sites;
mod stack;
mod tables;
mod ties;
mod tokens;
mod weights;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use architecture::Architecture;
pub(crate) use cache::Cache;
pub use families::{Family, FamilyKind, families, open as checkpoint};
pub use input::{Input, Seq2Seq};
pub use options::ModelOptions;
pub use tables::Neurons;

pub(crate) use head::Head;
pub(crate) use masks::Visible;
pub(crate) use network::{Network, Start, Wanted};
pub(crate) use routes::{Route, Sublayer};
pub(crate) use stack::Stack;
use tokens::Reader;
pub(crate) use tokens::Tokens;

use crate::error::escaped;
use crate::text::Tokenizer;
use crate::{DType, Device, Error, Result};

/// A transformer language model, loaded and ready to run.
///
/// Cheap to clone: clones share the weights. Shows itself as a card: family, sizes, number type, device, memory.
///
/// ```no_run
/// # fn main() -> flowlens::Result<()> {
/// let model = flowlens::Model::load("smollm2-135m")?;
/// let trace = model.run("The capital of Japan is the city of")?;
/// assert_eq!(trace.next_tokens(1)?[0].token, " Tokyo");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Model {
    loaded: Arc<Loaded>,
}

struct Loaded {
    name: String,
    path: PathBuf,
    architecture: Architecture,
    network: Network,
    tokenizer: Option<Tokenizer>,
    /// Ids that end a text.
    stop_ids: Vec<u32>,
    /// Of each run, unless it has one of its own.
    memory_limit_mb: u64,
}

// SAFETY: libtorch tensors may be read from several threads at once; a loaded model is never written to.
unsafe impl Sync for Loaded {}

impl Model {
    /// Loads a model by name with default options: a folder, a `.gguf` file, a starter model (`flowlens models`
    /// lists them), or an id on the Hugging Face Hub, tried in that order.
    ///
    /// # Errors
    /// When the model cannot be found, read or understood.
    pub fn load(name: impl AsRef<str>) -> Result<Model> {
        Model::options(name).load()
    }

    /// Options for loading: revision, device, number type, offline, cache folder.
    pub fn options(name: impl AsRef<str>) -> ModelOptions {
        ModelOptions::new(name.as_ref())
    }

    /// The name under which the model was loaded.
    pub fn name(&self) -> &str {
        &self.loaded.name
    }

    /// The folder or file from which the model was loaded.
    pub fn path(&self) -> &Path {
        &self.loaded.path
    }

    /// What the model is made of, as plain data.
    pub fn architecture(&self) -> &Architecture {
        &self.loaded.architecture
    }

    /// The number type in which the model computes.
    pub fn dtype(&self) -> DType {
        self.loaded.network.dtype
    }

    /// The device on which the model computes.
    pub fn device(&self) -> Device {
        self.loaded.network.device
    }

    /// Number of layers; the decoder's in an encoder-decoder.
    pub fn layers(&self) -> usize {
        self.loaded.architecture.main.blocks.len()
    }

    /// Number of layers of an encoder-decoder's encoder; 0 where there is none.
    pub fn encoder_layers(&self) -> usize {
        self.loaded.architecture.encoder.as_ref().map_or(0, |encoder| encoder.blocks.len())
    }

    /// Its tokenizer; `None` when the checkpoint has none.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.loaded.tokenizer.as_ref()
    }

    /// The single token as text; `#id` when the checkpoint has no tokenizer.
    pub(crate) fn piece(&self, id: u32) -> String {
        self.tokenizer().map_or_else(|| format!("#{id}"), |tokenizer| tokenizer.piece(id))
    }

    /// Encodes and checks an input: afterwards every index fits its table.
    pub(crate) fn read_tokens(&self, input: Input) -> Result<Tokens> {
        let reader = Reader { tokenizer: self.tokenizer(), stop_ids: self.stop_ids() };
        Tokens::read(input, &reader, self.architecture())
    }

    pub(crate) fn network(&self) -> &Network {
        &self.loaded.network
    }

    /// The decoder, or the only stack.
    pub(crate) fn stack(&self) -> &Stack {
        &self.loaded.network.main
    }

    /// The head, or an error that says what the model lacks.
    pub(crate) fn head(&self) -> Result<&Head> {
        self.loaded.network.head.as_ref().ok_or_else(|| {
            Error::Input(format!(
                "the checkpoint of {} holds no language-model head, so its vectors cannot be read as words; load one \
                 that was saved with its head",
                self.name()
            ))
        })
    }

    /// Megabytes that a run may take unless it says otherwise.
    pub(crate) fn memory_limit_mb(&self) -> u64 {
        self.loaded.memory_limit_mb
    }

    pub(crate) fn stop_ids(&self) -> &[u32] {
        &self.loaded.stop_ids
    }

    /// Bytes of the weights in the run's number type, a tied head counted once.
    pub fn weight_bytes(&self) -> u64 {
        self.architecture().parameters() * self.dtype().bytes() as u64
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.architecture();
        writeln!(f, "{} ({})", escaped(self.name()), plan.family)?;
        let Some(first) = plan.main.blocks.first() else { return Ok(()) };
        let attention = &first.attention;
        writeln!(
            f,
            "  {:.1} M parameters, {}{} layers, width {}, {} heads of {}{}, {} neurons a layer",
            plan.parameters() as f64 / 1e6,
            plan.encoder.as_ref().map_or(String::new(), |encoder| format!("{} + ", encoder.blocks.len())),
            self.layers(),
            plan.main.width,
            attention.heads,
            attention.head_dim,
            if attention.kv_heads == attention.heads {
                String::new()
            } else {
                format!(" on {} key heads", attention.kv_heads)
            },
            first.mlp.neurons(),
        )?;
        match plan.main.context {
            Some(context) => writeln!(f, "  vocabulary {}, context {context} tokens", plan.vocab())?,
            None => writeln!(f, "  vocabulary {}, no limit of context", plan.vocab())?,
        }
        write!(f, "  {} on {}, weights {:.0} MB", self.dtype(), self.device(), self.weight_bytes() as f64 / 1e6)
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
