//! Where things lie in a kernel's folder.

use std::path::{Path, PathBuf};

/// A folder that Jupyter knows a kernel by, and that owns all the kernel needs.
#[derive(Clone, Debug)]
pub struct Spec {
    folder: PathBuf,
}

impl Spec {
    /// The kernel that lies in `folder`.
    pub fn at(folder: &Path) -> Spec {
        Spec { folder: folder.to_owned() }
    }

    /// The folder itself, Jupyter's `resource_dir`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the kernel was installed from, and how.
    pub fn built(&self) -> PathBuf {
        self.folder.join("built.json")
    }

    /// The compiled engine of this hash.
    pub fn engine(&self, hash: &str) -> PathBuf {
        self.engines().join(hash)
    }

    /// All engines: the current one, and those that running kernels started with.
    pub fn engines(&self) -> PathBuf {
        self.folder.join("engine")
    }

    /// Flowlens as rust-analyzer reads it.
    pub fn sources(&self) -> PathBuf {
        self.folder.join("sources")
    }

    /// Rust's standard library as rust-analyzer reads it.
    pub fn library(&self) -> PathBuf {
        self.folder.join("library")
    }
}
