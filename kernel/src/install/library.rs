//! The kernel's copy of Rust's standard library, for rust-analyzer: it knows the type of no variable without it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use walkdir::WalkDir;

use super::files;
use super::folders::Spec;
use super::toolchain::Toolchain;
use super::trim;

/// Says what the copy was made from.
const NOTE: &str = "version";
/// Counts up when what is left out changes.
const FORM: u32 = 3;

/// Where the sources of this compiler's standard library lie.
pub fn find(toolchain: &Toolchain) -> Option<PathBuf> {
    let release = toolchain.version.lines().find_map(|line| line.strip_prefix("release: "))?;
    let places = [
        toolchain.sysroot.join("lib/rustlib/src/rust/library"),
        PathBuf::from(format!("/usr/src/rustc-{release}/library")),
    ];
    places.into_iter().find(|place| place.join("core/src/lib.rs").exists())
}

/// Copies the standard library's sources into the kernel, unless they are there.
///
/// # Errors
/// Where they are nowhere; the message names the command that brings them.
pub fn keep(spec: &Spec, toolchain: &Toolchain) -> Result<()> {
    let note = format!("{FORM} {}", toolchain.version);
    if fs::read_to_string(spec.library().join(NOTE)).is_ok_and(|old| old == note) {
        return Ok(());
    }
    if find(toolchain).is_none() {
        println!(
            "fetching the sources of Rust's standard library, which types come from: rustup component add rust-src"
        );
        let _ = Command::new("rustup")
            .args(["component", "add", "rust-src"])
            .env("RUSTUP_TOOLCHAIN", &toolchain.sysroot)
            .status();
    }
    let Some(source) = find(toolchain) else {
        bail!(
            "the sources of Rust's standard library are missing, which the types of variables come from. \
             Install them (rustup component add rust-src, or Debian's package rust-src), then again."
        );
    };
    files::replace_folder(&spec.library(), |part| {
        for name in ["core", "alloc", "std"] {
            copy_crate(&source, name, part)?;
        }
        files::write(&part.join(NOTE), note.as_bytes())
    })
}

fn copy_crate(source: &Path, name: &str, target: &Path) -> Result<()> {
    let walk = WalkDir::new(source.join(name).join("src")).into_iter();
    for entry in walk.filter_entry(|entry| entry.file_name() != "tests" && entry.file_name() != "benches") {
        let entry = entry?;
        if entry.file_type().is_file() && entry.path().extension().is_some_and(|end| end == "rs") {
            let text =
                fs::read_to_string(entry.path()).with_context(|| format!("cannot read {}", entry.path().display()))?;
            let to = target.join(entry.path().strip_prefix(source)?);
            fs::create_dir_all(to.parent().unwrap_or(target))?;
            fs::write(&to, trim::standard_library(&text)).with_context(|| format!("cannot write {}", to.display()))?;
        }
    }
    Ok(())
}
