//! The compiler of a kernel's cells.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::built::Built;
use crate::front;

/// A rustc with its cargo, called directly: rustup's proxies take 0.03 s a call, and evcxr calls dozens of times.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// Where it lies.
    pub sysroot: PathBuf,
    /// Its `rustc -vV`.
    pub version: String,
}

impl Toolchain {
    /// The compiler that made the engine where it still stands, also when another has become the default since; else
    /// the one of the person's environment.
    pub fn find(built: Option<&Built>) -> Option<Toolchain> {
        if let Some(built) = built
            && let Some(own) = Toolchain::at(&built.sysroot)
            && own.version == built.rustc
        {
            return Some(own);
        }
        Toolchain::current(Path::new("/"))
    }

    /// The one that `rustc` means in `folder`.
    pub fn current(folder: &Path) -> Option<Toolchain> {
        // Jupyter may have been started by a desktop that knows no shell's PATH.
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))?;
        let programs = [PathBuf::from("rustc"), home.join("bin/rustc")];
        let sysroot = programs
            .iter()
            .find_map(|program| output(Command::new(program).args(["--print", "sysroot"]).current_dir(folder)))?;
        Toolchain::at(Path::new(&sysroot))
    }

    fn at(sysroot: &Path) -> Option<Toolchain> {
        let version = output(Command::new(sysroot.join("bin/rustc")).arg("-vV").current_dir("/"))?;
        Some(Toolchain { sysroot: sysroot.to_owned(), version })
    }

    /// Where its own libraries lie, which cells and engine share.
    pub fn libraries(&self) -> PathBuf {
        let host = self.version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        self.sysroot.join("lib/rustlib").join(host).join("lib")
    }

    /// `cargo` of this toolchain in `folder`, without what a kernel around it may have set.
    pub fn cargo(&self, folder: &Path) -> Command {
        let own = self.sysroot.join("bin/cargo");
        let mut cargo = Command::new(if own.exists() { own } else { "cargo".into() });
        // It calls `rustc` in the folder of each crate: rustup's proxy would take a crate's own rust-toolchain.toml for
        // an order to use that version, unless this compiler comes first.
        if let Some(paths) = self.before_all_paths() {
            cargo.env("PATH", paths);
        }
        cargo.current_dir(folder).env_remove("CARGO_ENCODED_RUSTFLAGS");
        front::with_own_home(&mut cargo);
        cargo
    }

    /// PATH with this compiler in front; none where its folder cannot stand there.
    fn before_all_paths(&self) -> Option<OsString> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(self.sysroot.join("bin")).chain(std::env::split_paths(&paths));
        std::env::join_paths(all).ok()
    }

    /// Makes this process and what it starts use this compiler.
    pub fn put_first(&self) {
        let Some(all) = self.before_all_paths() else { return };
        // SAFETY: called while the program has one thread.
        unsafe {
            std::env::set_var("PATH", all);
            // rust-analyzer goes through rustup's proxies where there are any: they then need not look which one is meant.
            std::env::set_var("RUSTUP_TOOLCHAIN", &self.sysroot);
        }
    }
}

fn output(command: &mut Command) -> Option<String> {
    let done = command.output().ok().filter(|done| done.status.success())?;
    String::from_utf8(done.stdout).ok().map(|text| text.trim().to_owned())
}
