//! The one error type: what was asked, what was found, and the way out.

use std::path::{Path, PathBuf};

/// What went wrong, in words that a person can act on.
///
/// The text of every variant names the thing (file, tensor, site, option), says what was found and what was
/// expected, and ends with what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be: truncated, corrupted, of an unknown format, or hostile.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// A value of `config.json` (or of GGUF metadata) is missing, absurd, or asks for what Flowlens does not do.
    #[error("config, {key}: {problem}")]
    Config {
        /// The key as it stands in the file.
        key: String,
        /// What was found and what is expected.
        problem: String,
    },
    /// The checkpoint holds a kind of model that Flowlens has no family for.
    #[error(
        "model family {family:?} is not known; the nearest known one is {nearest:?} (model::families() lists all, and \
         docs/adding-a-family.md explains how to add one)"
    )]
    UnknownFamily {
        /// The `model_type` that the checkpoint names.
        family: String,
        /// The known family whose name is nearest.
        nearest: String,
    },
    /// A tensor of the checkpoint is missing or has the wrong shape or type.
    #[error("tensor {name}: {problem}")]
    Tensor {
        /// The tensor's name in the checkpoint.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The text, the ids or another input of a run cannot be used.
    #[error("input: {0}")]
    Input(String),
    /// A site does not exist in this model, was not kept in this run, or a change does not fit it.
    #[error("site {site}: {problem}")]
    Site {
        /// The site's name, e.g. `blocks.99.hook_resid_pre`.
        site: String,
        /// Why it cannot be had.
        problem: String,
    },
    /// A run would keep more than its memory limit.
    #[error("this run would keep {needed} MB, the limit is {limit} MB: {way_out}")]
    Memory {
        /// Megabytes (10^6 bytes) the run would keep.
        needed: u64,
        /// Megabytes it may keep.
        limit: u64,
        /// What to leave out.
        way_out: String,
    },
    /// A model could not be found or downloaded.
    #[error("model {name}: {problem}")]
    Hub {
        /// The name that was asked for.
        name: String,
        /// What happened and what to do.
        problem: String,
    },
    /// The tokenizer is missing, broken, or cannot encode the text.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A device or number type that this machine or this libtorch does not offer.
    #[error("device {device}: {problem}")]
    Device {
        /// The device, e.g. `cuda:0`.
        device: String,
        /// What is missing and what to do.
        problem: String,
    },
    /// A flow graph or its configuration cannot be built.
    #[error("flow graph: {0}")]
    FlowGraph(String),
    /// What enters a node of a flow graph does not add up to it, and nothing was changed there by hand: a fault of
    /// Flowlens.
    #[error(
        "flow graph: what enters {node} at position {position} does not add up to it: {off:.3e} of their lengths is \
         missing, and rounding may take {tolerance:.0e}. Nothing was changed there in this run, so this is a fault of \
         Flowlens: please report it with this line and the model's name at {}",
        env!("CARGO_PKG_REPOSITORY")
    )]
    Sum {
        /// The node's id, which names layer and part, e.g. `blocks.3.attn_out`.
        node: String,
        /// The position that the graph is about.
        position: usize,
        /// Length of what is missing, as a part of the lengths of the sum and its terms.
        off: f64,
        /// The part that rounding may take.
        tolerance: f64,
    },
    /// Attention weights do not fit their tokens or are none, or a block, layer or head of them does not exist.
    #[error("attention: {0}")]
    Attention(String),
    /// A trajectory, kernel or map cannot be made of this model or this run.
    #[error("{what} {problem}")]
    Trajectory {
        /// What was asked for.
        what: String,
        /// Why it cannot be had, and what can.
        problem: String,
    },
    /// An experiment cannot be made of these pairs, or its numbers cannot be computed with.
    #[error("experiment: {0}")]
    Experiment(String),
    /// Somebody asked to stop.
    #[error("interrupted: {what}{}; the model and the variables of earlier cells are as they were", after(done))]
    Interrupted {
        /// What was going on.
        what: String,
        /// How far it had come: `12 of 50 tokens`; empty when that is not known.
        done: String,
    },
    /// A figure cannot be drawn or saved.
    #[error("figure: {0}")]
    Figure(String),
    /// Work that is shared between cores failed; a fault of Flowlens.
    #[error(
        "{work} failed on one of the cores: {panic}. This is a fault of Flowlens: please report it with this line at {}",
        env!("CARGO_PKG_REPOSITORY")
    )]
    Worker {
        /// What was being done.
        work: String,
        /// What the core said.
        panic: String,
    },
    /// libtorch refused an operation; a fault of Flowlens unless memory ran out.
    #[error("libtorch: {0}")]
    Torch(String),
}

/// `, after 12 of 50 tokens`.
fn after(done: &str) -> String {
    if done.is_empty() { String::new() } else { format!(", after {done}") }
}

/// `std::result::Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(path: impl AsRef<Path>, source: std::io::Error) -> Error {
        Error::Io { path: path.as_ref().to_owned(), source }
    }

    pub(crate) fn file(path: impl AsRef<Path>, problem: impl Into<String>) -> Error {
        Error::File { path: path.as_ref().to_owned(), problem: problem.into() }
    }

    pub(crate) fn config(key: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::Config { key: key.into(), problem: problem.into() }
    }

    pub(crate) fn tensor(name: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::Tensor { name: name.into(), problem: problem.into() }
    }

    pub(crate) fn site(site: impl std::fmt::Display, problem: impl Into<String>) -> Error {
        Error::Site { site: site.to_string(), problem: problem.into() }
    }
}

impl From<tch::TchError> for Error {
    /// Keeps the first line: the rest is a C++ back-trace that helps nobody in a notebook.
    fn from(error: tch::TchError) -> Error {
        let text = error.to_string();
        Error::Torch(text.lines().next().unwrap_or_default().to_owned())
    }
}

/// Runs work that is shared between cores; a panic in any of them comes back as an error, so that no part of the work
/// goes missing and no cell of a notebook is lost.
pub(crate) fn caught<T>(what: &str, work: impl FnOnce() -> T) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Error::Worker { work: what.to_owned(), panic: text.unwrap_or("it gave no reason").to_owned() }
    })
}
