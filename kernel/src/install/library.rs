//! The kernel's copy of Rust's standard library, for rust-analyzer: it knows the type of no variable without it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use walkdir::WalkDir;

use super::bodies;
use super::files;
use super::folders::Spec;
use super::toolchain::Toolchain;

/// Says what the copy was made from.
const NOTE: &str = "version";
/// Counts up when what is left out changes.
const FORM: u32 = 2;

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
            fs::write(&to, bodies::without(&without_noise(&text)))
                .with_context(|| format!("cannot write {}", to.display()))?;
        }
    }
    Ok(())
}

/// Without the lines that say nothing about types: a third less to read, at every start and at the first `let`.
fn without_noise(text: &str) -> String {
    text.lines().filter(|line| !is_noise(line.trim())).flat_map(|line| [line, "\n"]).collect()
}

fn is_noise(line: &str) -> bool {
    const ATTRIBUTES: [&str; 6] = ["doc =", "doc=", "stable(", "unstable(", "must_use", "inline"];
    if line.starts_with("//") {
        return true;
    }
    let Some(attribute) = line.strip_prefix("#[").or_else(|| line.strip_prefix("#![")) else { return false };
    line.ends_with(']')
        && (ATTRIBUTES.iter().any(|name| attribute.starts_with(name))
            || attribute.starts_with("rustc_const_") && attribute.contains("stable("))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_stability_go_code_stays() {
        let text = "//! A module.\n#![stable(feature = \"a\", since = \"1\")]\n/// Says so.\n#[inline]\n#[rustc_const_stable(feature = \"b\", since = \"2\")]\n\
                    #[lang = \"add\"]\n#[stable(\n  feature = \"c\",\n  since = \"3\",\n)]\npub const fn one() -> u8 { 1 } // one\n";
        let kept = "#[lang = \"add\"]\n#[stable(\n  feature = \"c\",\n  since = \"3\",\n)]\npub const fn one() -> u8 { 1 } // one\n";
        assert_eq!(without_noise(text), kept);
    }

    #[test]
    fn an_attribute_before_code_on_its_line_stays() {
        assert_eq!(without_noise("#[inline] fn f() {}\n"), "#[inline] fn f() {}\n");
    }
}
