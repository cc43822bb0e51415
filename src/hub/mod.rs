//! A name to files.

use std::path::PathBuf;

use crate::{Error, Result};

/// Where to look for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Branch, tag or commit.
    pub revision: String,
    /// Only what is on this machine.
    pub offline: bool,
    /// Cache folder.
    pub cache: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options { revision: "main".into(), offline: false, cache: None }
    }
}

/// The folder or file of a model.
///
/// # Errors
/// When there is none.
pub fn find(name: &str, _options: &Options) -> Result<PathBuf> {
    let path = PathBuf::from(name);
    if path.exists() { Ok(path) } else { Err(Error::Hub { name: name.into(), problem: "not found".into() }) }
}
