//! `flowlens-kernel uninstall`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::folders::Spec;
use super::place::Place;
use super::steps::{EVCXR, LOCK, LOGOS, PROGRAM, evcxr_folder};
use super::{engine, files};

/// Removes the kernel and all that its installation wrote
#[derive(Args, Debug)]
pub struct Uninstall {
    #[command(flatten)]
    place: Place,
}

/// Removes what `install` wrote, and nothing else.
///
/// # Errors
/// Where there is no kernel of ours, one is running, or something cannot be removed.
pub fn uninstall(options: &Uninstall) -> Result<()> {
    let spec = options.place.spec()?;
    if !spec.built().exists() {
        bail!("{} holds no kernel of Flowlens", spec.folder().display());
    }
    let engines = fs::read_dir(spec.engines()).into_iter().flatten().flatten();
    if engines.into_iter().any(|entry| engine::in_use(&entry.path())) {
        bail!("a kernel that was installed there is running: shut it down first");
    }
    // Jupyter sees the kernel by this file: gone first.
    remove(&spec.folder().join("kernel.json"))?;
    for folder in [spec.engines(), spec.sources(), spec.library()] {
        files::remove_folder(&folder)?;
    }
    for name in LOGOS.iter().map(|(name, _)| *name).chain([PROGRAM, EVCXR, LOCK, "built.json"]) {
        remove(&spec.folder().join(name))?;
    }
    remove_if_empty(spec.folder());
    remove_evcxr(&spec, &options.place)?;
    println!("removed the kernel from {}", spec.folder().display());
    Ok(())
}

fn remove_evcxr(spec: &Spec, place: &Place) -> Result<()> {
    let folder = evcxr_folder(spec, place)?;
    let file = folder.join("kernel.json");
    if fs::read_to_string(&file).is_ok_and(|text| text.contains(PROGRAM)) {
        remove(&file)?;
        remove_if_empty(&folder);
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn remove_if_empty(folder: &Path) {
    if fs::remove_dir(folder).is_err() && folder.exists() {
        println!("{} holds files of others and stays", folder.display());
    }
}
