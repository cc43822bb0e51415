//! The one error type: what was asked, what was found, and the way out.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

/// What went wrong, in words that a person can act on.
///
/// The text of every variant names the thing (file, tensor, site, option), says what was found and what was
/// expected, and ends with what to do about it. Names come from files and strangers: whatever could move a terminal's
/// cursor or hide a letter is shown as an escape such as `\u{1b}`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write a file.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be: truncated, corrupted, of an unknown format, or hostile.
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// A value of `config.json` (or of GGUF metadata) is missing, absurd, or asks for what Flowlens does not do.
    Config {
        /// The key as it stands in the file.
        key: String,
        /// What was found and what is expected.
        problem: String,
    },
    /// The checkpoint holds a kind of model that Flowlens has no family for.
    UnknownFamily {
        /// The `model_type` that the checkpoint names.
        family: String,
        /// The known family whose name is nearest.
        nearest: String,
    },
    /// A tensor of the checkpoint is missing or has the wrong shape or type.
    Tensor {
        /// The tensor's name in the checkpoint.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The text, the ids or another input of a run cannot be used.
    Input(String),
    /// A site does not exist in this model, was not kept in this run, or a change does not fit it.
    Site {
        /// The site's name, e.g. `blocks.99.hook_resid_pre`.
        site: String,
        /// Why it cannot be had.
        problem: String,
    },
    /// A run would take more memory than it may.
    Memory {
        /// Megabytes (10^6 bytes) that the run would take.
        needed: u64,
        /// Megabytes that it may take.
        limit: u64,
        /// What to leave out, or to raise.
        way_out: String,
    },
    /// A model could not be found or downloaded.
    Hub {
        /// The name that was asked for.
        name: String,
        /// What happened and what to do.
        problem: String,
    },
    /// The tokenizer is missing, broken, or cannot encode the text.
    Tokenizer(String),
    /// A device or number type that this machine or this libtorch does not offer.
    Device {
        /// The device, e.g. `cuda:0`.
        device: String,
        /// What is missing and what to do.
        problem: String,
    },
    /// A flow graph or its configuration cannot be built.
    FlowGraph(String),
    /// What enters a node of a flow graph does not add up to it, and nothing was changed there by hand: a fault of
    /// Flowlens.
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
    Attention(String),
    /// A trajectory, kernel or map cannot be made of this model or this run.
    Trajectory {
        /// What was asked for.
        what: String,
        /// Why it cannot be had, and what can.
        problem: String,
    },
    /// An experiment cannot be made of these pairs, or its numbers cannot be computed with.
    Experiment(String),
    /// A run turned to numbers that are infinite or none at all.
    NotFinite {
        /// The first site of the run that holds some, e.g. `blocks.3.hook_mlp_out`.
        site: String,
        /// How many of what, why, and what to do.
        problem: String,
    },
    /// Somebody asked to stop.
    Interrupted {
        /// What was going on.
        what: String,
        /// How far it had come: `12 of 50 tokens`; empty when that is not known.
        done: String,
    },
    /// A figure cannot be drawn or saved.
    Figure(String),
    /// Work that is shared between cores failed; a fault of Flowlens.
    Worker {
        /// What was being done.
        work: String,
        /// What the core said.
        panic: String,
    },
    /// libtorch refused an operation; a fault of Flowlens unless memory ran out.
    Torch(String),
}

/// Where faults of Flowlens are reported.
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Escaping(f);
        match self {
            Error::Io { path, source } => write!(out, "{}: {source}", path.display()),
            Error::File { path, problem } => write!(out, "{}: {problem}", path.display()),
            Error::Config { key, problem } => write!(out, "config, {key}: {problem}"),
            Error::UnknownFamily { family, nearest } => write!(
                out,
                "model family {family:?} is not known; the nearest known one is {nearest:?} (model::families() lists \
                 all, and docs/adding-a-family.md explains how to add one)"
            ),
            Error::Tensor { name, problem } => write!(out, "tensor {name}: {problem}"),
            Error::Input(problem) => write!(out, "input: {problem}"),
            Error::Site { site, problem } => write!(out, "site {site}: {problem}"),
            Error::Memory { needed, limit, way_out } => {
                write!(out, "this run would take {needed} MB, the limit is {limit} MB: {way_out}")
            }
            Error::Hub { name, problem } => write!(out, "model {name}: {problem}"),
            Error::Tokenizer(problem) => write!(out, "tokenizer: {problem}"),
            Error::Device { device, problem } => write!(out, "device {device}: {problem}"),
            Error::FlowGraph(problem) => write!(out, "flow graph: {problem}"),
            Error::Sum { node, position, off, tolerance } => write!(
                out,
                "flow graph: what enters {node} at position {position} does not add up to it: {off:.3e} of their \
                 lengths is missing, and rounding may take {tolerance:.0e}. Nothing was changed there in this run, so \
                 this is a fault of Flowlens: please report it with this line and the model's name at {REPOSITORY}"
            ),
            Error::Attention(problem) => write!(out, "attention: {problem}"),
            Error::Trajectory { what, problem } => write!(out, "{what} {problem}"),
            Error::Experiment(problem) => write!(out, "experiment: {problem}"),
            Error::NotFinite { site, problem } => write!(out, "the run is no longer finite at site {site}: {problem}"),
            Error::Interrupted { what, done } => write!(
                out,
                "interrupted: {what}{}; the model and the variables of earlier cells are as they were",
                after(done)
            ),
            Error::Figure(problem) => write!(out, "figure: {problem}"),
            Error::Worker { work, panic } => write!(
                out,
                "{work} failed on one of the cores: {panic}. This is a fault of Flowlens: please report it with this \
                 line at {REPOSITORY}"
            ),
            Error::Torch(problem) => write!(out, "libtorch: {problem}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Writes what a terminal would act upon, and what nobody sees, as escapes. Some errors have lines of their own.
struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, letter)) = rest.char_indices().find(|(_, letter)| is_unseen(*letter) && *letter != '\n') {
            write!(self.0, "{}{}", &rest[..at], letter.escape_default())?;
            rest = &rest[at + letter.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// A text of strangers for a line of its own: see [`Error`]'s own texts.
pub(crate) fn escaped(text: &str) -> String {
    struct Text<'a>(&'a str);
    impl fmt::Display for Text<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            Escaping(f).write_str(self.0)
        }
    }
    Text(text).to_string().replace('\n', "\\n")
}

/// Control characters, those of no width, and those that turn the writing direction round.
pub(crate) fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that move a terminal's cursor, hide letters, or turn them round.
    #[test]
    fn what_strangers_wrote_is_shown_escaped() {
        let name = || "w\u{1b}[2J\u{7}\u{9b}31m\r\n\u{202e}\u{200b}日".to_owned();
        let shown = "w\\u{1b}[2J\\u{7}\\u{9b}31m\\r\n\\u{202e}\\u{200b}日";
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        for error in [
            Error::io(name(), missing()),
            Error::file(name(), "x"),
            Error::config("key", name()),
            Error::tensor(name(), "x"),
            Error::Input(name()),
            Error::site(name(), "x"),
            Error::Memory { needed: 2, limit: 1, way_out: name() },
            Error::Hub { name: name(), problem: "x".into() },
            Error::Tokenizer(name()),
            Error::Device { device: name(), problem: "x".into() },
            Error::NotFinite { site: "x".into(), problem: name() },
            Error::Torch(name()),
        ] {
            assert!(error.to_string().contains(shown), "{error}");
        }
        // Debug has escapes of its own.
        let family = Error::UnknownFamily { family: name(), nearest: "gpt2".into() }.to_string();
        assert!(!family.contains(is_unseen), "{family}");
        assert_eq!(escaped(&name()), shown.replace('\n', "\\n"));
    }
}
