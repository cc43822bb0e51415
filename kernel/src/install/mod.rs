//! Installing the kernel, removing it, and saying what it lacks.

pub mod built;
mod doctor;
pub mod engine;
mod files;
pub mod folders;
mod library;
mod place;
pub mod sources;
mod steps;
pub mod toolchain;
mod trim;
mod uninstall;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

/// The commands that set a kernel up.
#[derive(Subcommand, Debug)]
pub enum Setup {
    Install(steps::Install),
    Uninstall(uninstall::Uninstall),
    Doctor(doctor::Doctor),
}

impl Setup {
    /// Does what was asked for. `doctor` gives 1 where something stops the kernel.
    ///
    /// # Errors
    /// As each command says.
    pub fn run(&self) -> Result<ExitCode> {
        match self {
            Setup::Install(options) => steps::install(options).map(|()| ExitCode::SUCCESS),
            Setup::Uninstall(options) => uninstall::uninstall(options).map(|()| ExitCode::SUCCESS),
            Setup::Doctor(options) => doctor::doctor(options),
        }
    }
}
