//! A small library that shares the cells' copy of Rust's standard library, which this program does not.
//!
//! It flushes what a cell printed without a newline, and says where a cell panicked. It is compiled once for a compiler.

use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SOURCE: &str = include_str!("companion_library.rs");
const PATH: &str = "FLOWLENS_KERNEL_COMPANION";

/// Compiles the library and tells the cells' process of it, in the background.
///
/// To be called while the program has one thread.
pub fn prepare(private: &Path) {
    let library = private.join("libcompanion.so");
    // SAFETY: the program has one thread.
    unsafe { std::env::set_var(PATH, &library) };
    std::thread::spawn(move || {
        if let Err(error) = compile(&library)
            && library.parent().is_some_and(Path::exists)
        {
            // Everything else works without it. (Where the folder is gone, the kernel has ended meanwhile.)
            eprintln!("flowlens-kernel: the companion of the cells could not be compiled: {error}");
        }
    });
}

fn compile(library: &Path) -> std::io::Result<()> {
    let folder = library.with_extension("build");
    std::fs::create_dir(&folder)?;
    let source = folder.join("companion.rs");
    std::fs::write(&source, SOURCE)?;
    let built = folder.join("libcompanion.so");
    let done = Command::new("rustc")
        .args(["--edition=2021", "--crate-type=cdylib", "--crate-name=companion", "-Cprefer-dynamic", "-Crpath", "-o"])
        .arg(&built)
        .arg(&source)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()?;
    if done.status.code().is_none() {
        // The kernel ended meanwhile, and its compilers with it.
        return Ok(());
    }
    if !done.status.success() {
        return Err(std::io::Error::other(String::from_utf8_lossy(&done.stderr).into_owned()));
    }
    std::fs::rename(built, library)
}

/// The loaded library, in the process of the cells.
pub struct Companion {
    cell: extern "C" fn(bool),
}

impl Companion {
    /// Loads it where it is there already.
    pub fn load() -> Option<Companion> {
        let library = PathBuf::from(std::env::var_os(PATH)?);
        if !library.exists() {
            return None;
        }
        let library = library.to_str()?;
        let start = super::load(library, "flowlens_kernel_start").ok()?;
        let cell = super::load(library, "flowlens_kernel_cell").ok()?;
        // SAFETY: the functions are those of companion_library.rs.
        unsafe {
            std::mem::transmute::<*mut c_void, extern "C" fn()>(start)();
            Some(Companion { cell: std::mem::transmute::<*mut c_void, extern "C" fn(bool)>(cell) })
        }
    }

    /// Says that a cell begins or ends; at its end everything printed is out.
    pub fn cell(&self, begins: bool) {
        (self.cell)(begins);
    }
}
