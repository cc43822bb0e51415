//! Flowlens's own sources: what they are known by, and the kernel's copy of them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use super::files;
use super::folders::Spec;
use super::trim;

/// Says what the copy was made from.
const NOTE: &str = "version";

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

/// Copies what rust-analyzer reads, unless it is there: the library's own modules, and a manifest without dependencies. Types, completion
/// and help come from it; a cell that is compiled gets the engine instead (the conditions in `lib.rs`).
///
/// # Errors
/// Where the project is incomplete or the copy cannot be written.
pub fn keep(spec: &Spec, project: &Path, digest: &str) -> Result<()> {
    if fs::read_to_string(spec.sources().join(NOTE)).is_ok_and(|old| old == digest) {
        return Ok(());
    }
    let manifest = fs::read_to_string(project.join("Cargo.toml"))
        .with_context(|| format!("{} is not the folder of Flowlens: it has no Cargo.toml", project.display()))?;
    files::replace_folder(&spec.sources(), |part| {
        files::write(&part.join("Cargo.toml"), without_dependencies(&manifest)?.as_bytes())?;
        fs::copy(project.join("Cargo.lock"), part.join("Cargo.lock.whole"))?;
        let programs = project.join("src/bin");
        let walk = WalkDir::new(project.join("src")).into_iter();
        for entry in walk.filter_entry(|entry| entry.file_name() != "node_modules" && entry.path() != programs) {
            let entry = entry?;
            if entry.path().extension().is_some_and(|end| end == "rs") {
                let to = part.join(entry.path().strip_prefix(project)?);
                fs::create_dir_all(to.parent().unwrap_or(part))?;
                let text = fs::read_to_string(entry.path())?;
                fs::write(&to, trim::without_bodies(&text))
                    .with_context(|| format!("cannot write {}", to.display()))?;
            }
        }
        files::write(&part.join(NOTE), digest.as_bytes())
    })
}

/// The manifest of the copy: the same package and features. The network is not asked for a crate that has no
/// dependencies.
fn without_dependencies(manifest: &str) -> Result<String> {
    let manifest: toml::Table = toml::from_str(manifest).context("Cargo.toml cannot be read")?;
    let mut package = toml::Table::new();
    for name in ["name", "version", "edition", "rust-version"] {
        if let Some(value) = manifest.get("package").and_then(|package| package.get(name)) {
            package.insert(name.to_owned(), value.clone());
        }
    }
    let mut features = manifest.get("features").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    for (_, parts) in features.iter_mut() {
        if let Some(parts) = parts.as_array_mut() {
            parts.retain(|part| part.as_str().is_some_and(|part| !part.contains(':') && !part.contains('/')));
        }
    }
    let mut own = toml::Table::new();
    own.insert("package".to_owned(), package.into());
    own.insert("features".to_owned(), features.into());
    own.insert("workspace".to_owned(), toml::Table::new().into());
    Ok(toml::to_string(&own)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_has_the_features_and_no_dependency() {
        let manifest = "[package]\nname = \"flowlens\"\nversion = \"0.1.0\"\nedition = \"2024\"\ndescription = \"x\"\n\
                        [features]\ndefault = [\"hub\"]\nhub = [\"dep:ureq\"]\n[dependencies]\nureq = \"2\"\n";
        let own: toml::Table = toml::from_str(&without_dependencies(manifest).unwrap()).unwrap();
        assert_eq!(own["features"]["default"].as_array().unwrap().len(), 1);
        assert!(own["features"]["hub"].as_array().unwrap().is_empty());
        assert!(!own.contains_key("dependencies") && own["package"].get("description").is_none());
    }

    #[test]
    fn the_digest_is_of_names_and_contents() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("src")).unwrap();
        for name in ["Cargo.toml", "Cargo.lock", "src/lib.rs"] {
            fs::write(place.path().join(name), "").unwrap();
        }
        let first = digest(place.path()).unwrap();
        assert_eq!(digest(place.path()).unwrap(), first);
        fs::write(place.path().join("src/lib.rs"), "//").unwrap();
        let second = digest(place.path()).unwrap();
        assert_ne!(second, first);
        fs::rename(place.path().join("src/lib.rs"), place.path().join("src/main.rs")).unwrap();
        assert_ne!(digest(place.path()).unwrap(), second);
        fs::remove_file(place.path().join("Cargo.lock")).unwrap();
        assert!(digest(place.path()).unwrap_err().to_string().contains("Cargo.lock"));
    }
}
