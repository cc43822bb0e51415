//! Stock evcxr_jupyter with Flowlens's engine, and a stop button that keeps the model.
//!
//! Jupyter starts this process, and sends its interrupts to it as a signal; evcxr_jupyter runs below it and ignores them.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::environment::Environment;
use crate::server::parent_gone;
use crate::session::interrupt::{self, File};

/// A second interrupt so long after the first ends the process of the cells. Sooner, a person pressed twice.
const SECOND: std::ops::RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(5);

/// Runs evcxr_jupyter until it ends, or until a signal or the end of the program that started this ends both.
///
/// # Errors
/// Where evcxr_jupyter is missing, or no folder can be made.
pub fn run(connection_file: &Path, resource_dir: &Path) -> Result<ExitCode> {
    let environment = Environment::prepare_stock(resource_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let evcxr = command(connection_file, resource_dir, &environment.private);
    let ended = runtime.block_on(supervise(evcxr, &File::at(&environment.interrupt)));
    drop(environment);
    ended
}

async fn supervise(mut command: Command, file: &File) -> Result<ExitCode> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut evcxr = command.spawn().with_context(|| {
        let program = command.as_std().get_program().to_string_lossy();
        format!("{program} cannot be started. In a terminal: cargo install --locked evcxr_jupyter@0.22.0")
    })?;
    let kernel = evcxr.id().context("evcxr_jupyter ended at once")?;
    let mut last = None;
    let status = loop {
        tokio::select! {
            status = evcxr.wait() => break status?,
            _ = interrupts.recv() => stop(kernel, file, &mut last),
            _ = terminate.recv() => return end(kernel, evcxr).await,
            _ = hangup.recv() => return end(kernel, evcxr).await,
            () = parent_gone() => return end(kernel, evcxr).await,
        }
    };
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn command(connection_file: &Path, resource_dir: &Path, private: &Path) -> Command {
    let beside = resource_dir.join("evcxr_jupyter");
    let program = if beside.exists() { beside } else { PathBuf::from("evcxr_jupyter") };
    let mut command = Command::new(&program);
    command.arg("--control_file").arg(connection_file);
    // At its start it looks for a kernel of the name "rust" there, and puts itself in its place.
    command.env("JUPYTER_PATH", private.join("none"));
    let quiet = || {
        // SAFETY: plain system calls. What evcxr starts inherits that the stop button's signal is ignored.
        unsafe {
            libc::signal(libc::SIGINT, libc::SIG_IGN);
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        }
        Ok(())
    };
    // SAFETY: the closure allocates nothing and takes no lock.
    unsafe { command.pre_exec(quiet) };
    command
}

/// Ends everything.
async fn end(kernel: u32, mut evcxr: Child) -> Result<ExitCode> {
    let cells = cells(kernel);
    let _ = evcxr.start_kill();
    for process in cells.into_iter().chain(interrupt::processes_below(kernel, None)) {
        interrupt::kill(process);
    }
    let _ = evcxr.wait().await;
    Ok(ExitCode::SUCCESS)
}

/// The stop button: ends a compiler, or asks a call of the library that looks, or else ends the process of the cells.
fn stop(kernel: u32, file: &File, last: &mut Option<Instant>) {
    let cells = cells(kernel);
    let mut compilers = interrupt::processes_below(kernel, cells);
    let ended = !compilers.is_empty();
    while !compilers.is_empty() {
        compilers.into_iter().for_each(interrupt::kill);
        std::thread::sleep(Duration::from_millis(5));
        // Those that an ended one had just started. evcxr itself starts no other: the cell has failed.
        compilers = interrupt::processes_below(kernel, cells);
    }
    let Some(cells) = cells.filter(|&cells| !ended && !waits_for_cells(cells)) else { return };
    let second = last.is_some_and(|last| SECOND.contains(&last.elapsed()));
    if file.heeded() && !second {
        file.ask(true);
        *last = Some(Instant::now());
    } else {
        interrupt::kill(cells);
        *last = None;
    }
}

/// The process that runs cells: evcxr_jupyter starts its own program for that.
fn cells(kernel: u32) -> Option<u32> {
    let program = |process: u32| std::fs::read_link(format!("/proc/{process}/exe")).ok();
    let own = program(kernel)?;
    let all: HashMap<_, _> = interrupt::processes();
    all.iter()
        .find(|(process, (parent, _))| *parent == kernel && program(**process).as_ref() == Some(&own))
        .map(|(process, _)| *process)
}

/// Whether no cell runs: the process reads its standard input, for the next one.
fn waits_for_cells(cells: u32) -> bool {
    let call = std::fs::read_to_string(format!("/proc/{cells}/syscall")).unwrap_or_default();
    let mut words = call.split(' ');
    words.next() == Some(&libc::SYS_read.to_string()) && words.next() == Some("0x0")
}
