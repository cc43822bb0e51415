//! A name to files: a local folder, the Hugging Face cache, the Hub, a starter model.
//!
//! The Hub cache is Python's, its layout and its environment variables included, so that a model fetched by Python or
//! by Flowlens serves both. Downloads go to a temporary name, resume where they stopped, are checked, and get their
//! final name when whole.

#[cfg_attr(not(feature = "hub"), allow(dead_code, reason = "only fetching writes to the cache"))]
mod cache;
#[cfg(feature = "hub")]
#[cfg(feature = "hub")]
mod remote;
mod starter;
#[cfg(feature = "hub")]
mod transfer;

use std::path::{Path, PathBuf};

use crate::{Error, Result};
use cache::Repo;
pub use starter::{Starter, StarterFile, starters};

/// Where to look for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Branch, tag or commit on the Hub.
    pub revision: String,
    /// Uses only what is on this machine. `HF_HUB_OFFLINE=1` does the same.
    pub offline: bool,
    /// The folder of the Hub cache. By default: `HF_HUB_CACHE`, `HF_HOME/hub`, or `~/.cache/huggingface/hub`.
    pub cache: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options { revision: "main".to_owned(), offline: false, cache: None }
    }
}

impl Options {
    fn is_offline(&self) -> bool {
        let on = |name: &str| {
            std::env::var(name).is_ok_and(|value| matches!(value.to_lowercase().as_str(), "1" | "true" | "yes" | "on"))
        };
        self.offline || on("HF_HUB_OFFLINE")
    }
}

/// The folder or the `.gguf` file of a model, fetched first where that is needed.
///
/// `name` is tried as a folder, a `.gguf` file, a starter model ([`starters`]) and an id on the Hugging Face Hub, in
/// that order. What the cache holds completely is used without asking the network.
///
/// # Errors
/// When there is no such model, or it cannot be fetched; the text says which, and what helps.
pub fn find(name: &str, options: &Options) -> Result<PathBuf> {
    let path = Path::new(name);
    if path.exists() {
        return Ok(path.to_owned());
    }
    if let Some(starter) = starters().iter().find(|starter| starter.name == name) {
        return starter::find(starter, options);
    }
    if !is_hub_id(name) {
        return Err(not_a_model(name));
    }
    let repo = Repo::new(options, name)?;
    if let Some(folder) = repo.whole_snapshot() {
        return Ok(folder);
    }
    if options.is_offline() {
        return Err(failed(
            name,
            format!(
                "not whole in the cache ({}), and nothing is fetched when offline; run once with the network (without \
                 HF_HUB_OFFLINE), or give a folder",
                repo.folder().display()
            ),
        ));
    }
    #[cfg(feature = "hub")]
    return remote::fetch(&repo);
    #[cfg(not(feature = "hub"))]
    Err(failed(name, "this build of Flowlens cannot fetch (it lacks the feature `hub`); give a folder or a .gguf file"))
}

/// `owner/name`, or `name` alone for the oldest models.
fn is_hub_id(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.len() <= 96
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
            && !part.starts_with(['.', '-'])
            && !part.ends_with(['.', '-'])
            && !part.contains("..")
            && !part.contains("--")
    };
    let file = Path::new(name).extension().is_some_and(|ending| ending == "gguf" || ending == "safetensors");
    !file && name.split('/').count() <= 2 && name.split('/').all(part)
}

fn not_a_model(name: &str) -> Error {
    let names: Vec<&str> = starters().iter().map(|starter| starter.name).collect();
    failed(
        name,
        format!(
            "no such folder or file here, and neither a starter model ({}) nor an id on the Hugging Face Hub such as \
             openai-community/gpt2",
            names.join(", ")
        ),
    )
}

fn failed(name: &str, problem: impl Into<String>) -> Error {
    Error::Hub { name: name.to_owned(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_ids_from_paths() {
        for id in ["gpt2", "openai-community/gpt2", "EleutherAI/pythia-70m", "a/b.c_d-e"] {
            assert!(is_hub_id(id), "{id}");
        }
        for path in
            ["", "./gpt2", "/gpt2", "a/b/c", "..", "a/..", "a b", "model.gguf", "x/y.safetensors", "a--b", "~/m"]
        {
            assert!(!is_hub_id(path), "{path}");
        }
    }
}
