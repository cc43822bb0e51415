//! Flowlens's own sources: what they are known by.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

/// What the sources that the engine is made of are known by.
///
/// # Errors
/// Where the folder does not hold Flowlens.
pub fn digest(project: &Path) -> Result<String> {
    let mut all = Sha256::new();
    let mut add = |path: &Path| -> Result<()> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.strip_prefix(project).unwrap_or(path).to_string_lossy().into_owned();
        all.update(format!("{name} {}\n", bytes.len()));
        all.update(bytes);
        Ok(())
    };
    for name in ["Cargo.toml", "Cargo.lock"] {
        add(&project.join(name))?;
    }
    let walk = WalkDir::new(project.join("src")).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| entry.file_name() != "node_modules") {
        let entry = entry?;
        if entry.file_type().is_file() {
            add(entry.path())?;
        }
    }
    Ok(hex(&all.finalize()))
}

/// The first 16 digits: enough to tell two states apart.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
