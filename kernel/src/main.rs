//! The Jupyter kernel of Flowlens: Rust in notebooks, with Flowlens ready in it. docs/kernel.md tells how it works.

mod child;
mod environment;
mod install;
mod output;
mod server;
mod session;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

// rust-analyzer allocates small things by the million.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A Jupyter kernel for Rust, with Flowlens ready in it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the kernel (Jupyter calls this).
    Run {
        /// The file in which Jupyter says where it listens.
        connection_file: PathBuf,
    },
    #[command(flatten)]
    Setup(install::Setup),
}

fn main() -> Result<ExitCode> {
    if child::is_child() {
        child::run();
    }
    // As the wrapper around rustc that evcxr makes of this program where crates are cached.
    evcxr::runtime_hook();
    match Arguments::parse().command {
        Task::Run { connection_file } => run(&connection_file),
        Task::Setup(setup) => setup.run(),
    }
}

fn run(connection_file: &Path) -> Result<ExitCode> {
    let program = std::env::current_exe()?;
    let resource_dir = program.parent().context("the kernel's program has no folder")?;
    let environment = environment::Environment::prepare(resource_dir)?;
    server::run(connection_file, environment)
}
