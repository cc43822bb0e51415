//! What goes wrong around Flowlens, from outside: full disks, files that are none, names that lead elsewhere, kills, signals,
//! several processes at once.
//!
//! Some of it needs rights that not every machine gives (mounting a small file system, making a device); what is left out for
//! want of them says so.
#![cfg(all(unix, feature = "cli"))]

#[cfg(feature = "hub")]
mod fetching;
mod kills;
mod reading;
mod saving;
mod threads;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by tests that call the library for long: one of them presses its stop button, which is the whole process's.
static TURN: Mutex<()> = Mutex::new(());

/// Of a file name that ends so, nobody has seen the end.
const PART: &str = ".part";

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name).display().to_string()
}

/// A fresh folder for one test, where every user may go.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("flowlens-faults-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The command line, through what runs a program in some other way.
fn through(runner: &[&str], args: &[&str]) -> Command {
    let mut command = Command::new(runner.first().copied().unwrap_or("env"));
    command.args(runner.iter().skip(1)).arg(env!("CARGO_BIN_EXE_flowlens")).args(args).stdin(Stdio::null());
    command
}

fn flowlens(args: &[&str]) -> Output {
    through(&[], args).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The error of a command that ends with one: a paragraph with all of `parts`.
fn refused(output: &Output, parts: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let error = said.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{said:?}"));
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

fn worked(output: &Output) {
    assert!(output.status.success() && !said(output).contains("error"), "{}: {}", output.status, said(output));
}

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// All files below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

/// What runs a shell script in which a file system of some size lies at `$1`; the program and its arguments are `"$@"` from
/// `$2` on. `None`, said in a line, where nothing may be mounted.
fn on_a_small_disk<'a>(size: &'a str, at: &'a str, script: &'a str) -> Option<Vec<String>> {
    let tried = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", at]).output();
    if !tried.is_ok_and(|run| run.status.success()) {
        println!("left out: no small file system may be mounted here");
        return None;
    }
    let mount = format!("set -e; mount -t tmpfs -o size={size} none \"$0\"; {script}");
    Some(["unshare", "-rm", "sh", "-c", &mount, at].map(str::to_owned).to_vec())
}

/// The number of a part of `whole`, drawn.
fn drawn(numbers: &mut fastrand::Rng, most: u64) -> std::time::Duration {
    std::time::Duration::from_millis(numbers.u64(..most))
}
