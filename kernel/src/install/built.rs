//! What an installation says about itself, for the kernel and for the next installation.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use super::folders::Spec;

/// `built.json` of a kernel's folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Built {
    /// The folder of the engine in `engine/`.
    pub engine: String,
    /// `rustc -vV` of the compiler that made it: no other can link it.
    pub rustc: String,
    /// Where that compiler lies.
    pub sysroot: PathBuf,
    /// The folder of libtorch, relative to the kernel's folder where both lie in the project.
    pub libtorch: PathBuf,
    /// The version that it said of itself.
    pub libtorch_version: String,
    /// The folder of Flowlens, relative to the kernel's folder where that lies in it.
    pub project: PathBuf,
    /// What the sources were known by.
    pub sources: String,
    /// The command that installs this kernel anew.
    pub command: String,
}

impl Built {
    /// Reads what the installation left.
    ///
    /// # Errors
    /// Where it is missing or unreadable; the message says what to do.
    pub fn read(spec: &Spec) -> Result<Built> {
        let broken = || {
            anyhow!(
                "the kernel in {} is incomplete. In a terminal, in the folder of Flowlens: make kernel; then restart the kernel.",
                spec.folder().display()
            )
        };
        let text = fs::read_to_string(spec.built()).map_err(|_| broken())?;
        serde_json::from_str(&text).map_err(|_| broken())
    }

    /// The folder of libtorch.
    pub fn libtorch(&self, spec: &Spec) -> PathBuf {
        absolute(spec, &self.libtorch)
    }

    /// The folder of Flowlens.
    pub fn project(&self, spec: &Spec) -> PathBuf {
        absolute(spec, &self.project)
    }

    /// The command that mends this kernel.
    pub fn mend(&self, spec: &Spec) -> String {
        format!("In a terminal: cd '{}' && {}; then restart the kernel.", self.project(spec).display(), self.command)
    }
}

fn absolute(spec: &Spec, path: &Path) -> PathBuf {
    // Without `..` in between: people read these paths in messages.
    let mut clean = PathBuf::new();
    for part in spec.folder().join(path).components() {
        match part {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}
