//! Where Jupyter looks for kernels.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::folders::Spec;

/// Which kernel is meant.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// For the person who calls this, in Jupyter's folder of data [the default]
    #[arg(long, conflicts_with = "prefix")]
    user: bool,
    /// Into a Python environment, such as .venv
    #[arg(long, value_name = "FOLDER")]
    prefix: Option<PathBuf>,
    /// What Jupyter calls the kernel
    #[arg(long, default_value = "rust")]
    pub name: String,
}

impl Place {
    /// The kernel's folder.
    ///
    /// # Errors
    /// Where the name is none that Jupyter takes, or there is no folder of data.
    pub fn spec(&self) -> Result<Spec> {
        Ok(Spec::at(&self.kernels()?.join(self.checked_name()?)))
    }

    /// The folder of all kernels there.
    ///
    /// # Errors
    /// Where there is no home folder.
    pub fn kernels(&self) -> Result<PathBuf> {
        let data = match &self.prefix {
            Some(prefix) => std::path::absolute(prefix)?.join("share/jupyter"),
            None => data_folder().context("no home folder: with --prefix FOLDER the kernel goes elsewhere")?,
        };
        Ok(data.join("kernels"))
    }

    /// The prefix, where one was given.
    pub fn prefix(&self) -> Option<&Path> {
        self.prefix.as_deref()
    }

    /// Was no kernel named?
    pub fn is_default(&self) -> bool {
        !self.user && self.prefix.is_none() && self.name == "rust"
    }

    fn checked_name(&self) -> Result<&str> {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        if self.name.is_empty() || !self.name.chars().all(allowed) || self.name.starts_with('.') {
            bail!("--name {:?}: Jupyter takes letters, digits, `-`, `_` and `.`", self.name);
        }
        Ok(&self.name)
    }
}

/// Jupyter's folder of a person's data, by the rules of jupyter_core.
fn data_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = set("JUPYTER_DATA_DIR") {
        return Some(folder);
    }
    let home = std::env::home_dir()?;
    if cfg!(target_os = "macos") {
        return Some(home.join("Library/Jupyter"));
    }
    Some(set("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share")).join("jupyter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Place {
        Place { user: false, prefix: Some("/opt/venv".into()), name: name.to_owned() }
    }

    #[test]
    fn a_prefix_is_a_python_environment() {
        assert_eq!(place("rust").spec().unwrap().folder(), Path::new("/opt/venv/share/jupyter/kernels/rust"));
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        for name in ["", "..", "a/b", "a b", ".hidden"] {
            assert!(place(name).spec().is_err(), "{name:?}");
        }
        assert!(place("rust-2.0_b").spec().is_ok());
    }
}
