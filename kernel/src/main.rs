//! The Jupyter kernel of Flowlens: Rust in notebooks, with Flowlens ready in it. docs/kernel.md tells how it works.

mod child;
mod environment;
mod front;
mod install;
mod on_stock;
mod output;
mod server;
mod session;

use std::path::PathBuf;
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
    /// Run stock evcxr_jupyter with the same engine (Jupyter calls this).
    Stock {
        /// The file in which Jupyter says where it listens.
        connection_file: PathBuf,
    },
    #[command(flatten)]
    Setup(install::Setup),
}

fn main() -> Result<ExitCode> {
    // Before all else: a program that a cell starts may call cargo too.
    if let Some(code) = front::run_if_called() {
        return Ok(code);
    }
    if child::is_child() {
        child::run();
    }
    // As the wrapper around rustc that evcxr makes of this program where crates are cached.
    evcxr::runtime_hook();
    match Arguments::parse().command {
        Task::Run { connection_file } => {
            let environment = environment::Environment::prepare(&resource_dir()?)?;
            server::run(&connection_file, environment)
        }
        Task::Stock { connection_file } => on_stock::run(&connection_file, &resource_dir()?),
        Task::Setup(setup) => setup.run(),
    }
}

/// The folder that the kernel is installed in, with all it needs.
fn resource_dir() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.parent().context("the kernel's program has no folder")?.to_owned())
}
