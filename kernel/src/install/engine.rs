//! The compiled engine: one dynamic library that all cells share, and the metadata that rustc compiles cells by.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files;
use super::folders::Spec;
use super::sources::hex;
use super::toolchain::Toolchain;

/// The engine's library in its folder.
pub const LIBRARY: &str = "libflowlens.so";
/// Running kernels hold this file locked.
pub const IN_USE: &str = "in-use";
const NOTE: &str = "engine.json";

/// What an engine was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Engine {
    /// `rustc -vV` of its compiler.
    pub rustc: String,
    /// What its sources are known by.
    pub sources: String,
}

impl Engine {
    /// Reads what the engine in `folder` was made from.
    ///
    /// # Errors
    /// Where there is no complete engine.
    pub fn read(folder: &Path) -> Result<Engine> {
        let whole = folder.join(LIBRARY).exists() && folder.join(IN_USE).exists();
        let text = fs::read_to_string(folder.join(NOTE)).ok().filter(|_| whole);
        let text =
            text.with_context(|| format!("{} holds no engine ({LIBRARY} and what belongs to it)", folder.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} cannot be read", folder.join(NOTE).display()))
    }

    /// The kernel's engine that was made from just this, if it has one.
    pub fn kept(&self, spec: &Spec) -> Option<String> {
        let entries = fs::read_dir(spec.engines()).ok()?;
        let same = |folder: &Path| Engine::read(folder).is_ok_and(|engine| engine == *self);
        entries
            .flatten()
            .find(|entry| same(&entry.path()))
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
    }
}

/// Compiles the engine and keeps a copy in the kernel's folder. Gives the name of its folder.
///
/// # Errors
/// Where it does not compile, or cannot be copied.
pub fn build(spec: &Spec, project: &Path, toolchain: &Toolchain, engine: &Engine) -> Result<String> {
    println!("compiling the engine (usually 1 to 2 minutes on two cores when its dependencies are there, else 7)");
    let mut files = compile(project, toolchain)?;
    let own = files.iter().position(|file| file.file_name().is_some_and(|name| name == LIBRARY));
    let own = files.swap_remove(own.with_context(|| format!("cargo made no {LIBRARY}"))?);
    keep(spec, &own, engine, |part| {
        for file in &files {
            link(file, &part.join(file.file_name().unwrap_or_default()))?;
        }
        Ok(())
    })
}

/// Copies an engine that is there already.
///
/// # Errors
/// Where it is incomplete, of another compiler, or cannot be copied.
pub fn take(spec: &Spec, from: &Path, toolchain: &Toolchain) -> Result<(String, Engine)> {
    let engine = Engine::read(from)?;
    if engine.rustc != toolchain.version {
        let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
        bail!("the engine in {} is of {}; here is {}", from.display(), first(&engine.rustc), first(&toolchain.version));
    }
    let name = keep(spec, &from.join(LIBRARY), &engine, |part| {
        for entry in fs::read_dir(from)?.flatten().filter(|entry| entry.file_name() != IN_USE) {
            link(&entry.path(), &part.join(entry.file_name()))?;
        }
        Ok(())
    })?;
    Ok((name, engine))
}

/// Copies the library into a folder named after its content; `rest` copies what it needs beside.
fn keep(spec: &Spec, library: &Path, engine: &Engine, rest: impl FnOnce(&Path) -> Result<()>) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(fs::read(library).with_context(|| format!("cannot read {}", library.display()))?);
    hash.update(serde_json::to_vec(engine)?);
    let name = hex(&hash.finalize());
    let folder = spec.engine(&name);
    if Engine::read(&folder).is_err() {
        files::replace_folder(&folder, |part| {
            rest(part)?;
            link(library, &part.join(LIBRARY))?;
            fs::write(part.join(IN_USE), "")?;
            files::write(&part.join(NOTE), &serde_json::to_vec_pretty(engine)?)
        })?;
    }
    Ok(name)
}

/// Builds the library; gives it and the metadata files of the crates that it is made of.
fn compile(project: &Path, toolchain: &Toolchain) -> Result<Vec<PathBuf>> {
    let mut cargo = toolchain.cargo(project);
    cargo.args([
        "rustc",
        "--release",
        "--locked",
        "--lib",
        "--crate-type",
        "dylib",
        "--message-format=json-render-diagnostics",
    ]);
    cargo.args(["--", "-Cprefer-dynamic"]);
    let exports = project.join("kernel/src/install/exports.map");
    if exports.exists() {
        cargo.arg(format!("-Clink-arg=-Wl,--version-script={}", exports.display()));
    }
    let done = cargo.stderr(Stdio::inherit()).output().context("cargo cannot be started")?;
    if !done.status.success() {
        bail!("the engine did not compile; cargo's message stands above");
    }
    let messages = String::from_utf8_lossy(&done.stdout);
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let names = artifacts.filter(|message| message["reason"] == "compiler-artifact").flat_map(|message| {
        let files = message["filenames"].as_array().cloned().unwrap_or_default();
        files.into_iter().filter_map(|name| name.as_str().map(PathBuf::from))
    });
    // Of a dependency its metadata is enough, as its code is in the library; procedural macros are asked for too.
    let wanted = |file: &PathBuf| file.extension().is_some_and(|end| end == "rmeta" || end == "so");
    Ok(names.filter(wanted).collect())
}

/// A hard link where that works: 300 MB that need not be copied. Cargo never writes into a file that it made.
fn link(from: &Path, to: &Path) -> Result<()> {
    let _ = fs::remove_file(to);
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    Ok(())
}

/// Takes away engines that no kernel uses any more.
pub fn forget_others(spec: &Spec, current: &str) {
    let Ok(entries) = fs::read_dir(spec.engines()) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name() != current) {
        if !in_use(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Does a running kernel hold this engine?
pub fn in_use(folder: &Path) -> bool {
    File::open(folder.join(IN_USE)).is_ok_and(|lock| lock.try_lock().is_err())
}
