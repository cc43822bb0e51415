//! The kernel as front ends see it.

mod answers;
mod control;
mod history;
pub mod input;
mod queue;
mod shell;
pub mod wire;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use wire::Sockets;

use crate::child::{self, companion};
use crate::environment::Environment;
use crate::output::cell::Shared;
use crate::session::interrupt::{self, Interrupt};
use crate::session::{Session, Settings, crates};

/// Runs the kernel until a front end, a signal or the end of the program that started it ends it.
///
/// # Errors
/// Where the sockets cannot be bound.
pub fn run(connection_file: &Path, environment: Environment) -> Result<ExitCode> {
    child::keep_temporary_files(&environment.private)?;
    companion::prepare(&environment.private);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let session = runtime.block_on(serve(connection_file, &environment));
    let private = environment.private.clone();
    if let Ok(session) = &session {
        end_processes(session.clone());
    }
    drop(environment);
    // A compiler that was just ending may have written once more.
    for _ in 0..50 {
        if !private.exists() {
            break;
        }
        let _ = std::fs::remove_dir_all(&private);
        std::thread::sleep(Duration::from_millis(10));
    }
    // Threads that are in the middle of an analysis are not waited for.
    std::process::exit(match session {
        Ok(_) => 0,
        Err(error) => {
            eprintln!("flowlens-kernel: {error:#}");
            1
        }
    })
}

/// Nothing that this kernel started, or still starts, goes on and writes in its folder while that is removed.
fn end_processes(session: Session) {
    session.end();
    session.kill_cells();
    interrupt::end_compilers(session.cells());
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(5));
            interrupt::end_compilers(session.cells());
        }
    });
}

async fn serve(connection_file: &Path, environment: &Environment) -> Result<Session> {
    let sockets = Sockets::bind(connection_file).await?;
    tokio::spawn(wire::beat(sockets.heartbeat));
    let iopub = wire::outbox(sockets.iopub);
    let cell = Shared::default();
    let file = interrupt::File::at(&environment.interrupt);
    let session = Session::start(Settings {
        private: environment.private.clone(),
        interrupt: environment.interrupt.clone(),
        displays: environment.displays.clone(),
        first_cell: environment.first_cell.clone(),
        notice: environment.notice.clone(),
        stale: environment.stale.clone(),
        cell: cell.clone(),
        iopub: iopub.clone(),
        input: input::Input::start(sockets.stdin, cell.clone()),
        crates: crates::Crates::watch(cell.clone(), iopub.clone())?,
    })?;
    let interrupt =
        Interrupt { file: file.clone(), cell: cell.clone(), session: session.clone(), iopub: iopub.clone() };
    let queue = Arc::new(queue::Queue::default());
    let _ = iopub.send(wire::publication("status", json!({"execution_state": "starting"}))).await;
    let shell = shell::Shell::new(wire::outbox(sockets.shell.0), iopub.clone(), cell, file, session.clone());
    tokio::spawn(queue::fill(Arc::clone(&queue), sockets.shell.1));
    tokio::spawn(shell.run(Arc::clone(&queue)));
    let control = control::Control {
        outbox: wire::outbox(sockets.control.0),
        iopub,
        interrupt: interrupt.clone(),
        queue: Arc::clone(&queue),
    };
    tokio::select! {
        () = control.run(sockets.control.1) => {}
        () = signals(interrupt, queue) => {}
        () = parent_gone() => {}
    }
    Ok(session)
}

/// Ends with the first signal that asks for that; the stop button's interrupts.
async fn signals(interrupt: Interrupt, queue: Arc<queue::Queue>) {
    let streams = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupts), Ok(mut terminate), Ok(mut hangup)] = streams else {
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = interrupts.recv() => control::stop(&interrupt, &queue),
            _ = terminate.recv() => return,
            _ = hangup.recv() => return,
        }
    }
}

/// Ends when the program that started the kernel, and said which one it is, is gone.
pub async fn parent_gone() {
    let said = std::env::var("JPY_PARENT_PID").ok().and_then(|id| id.parse().ok());
    if said != Some(std::os::unix::process::parent_id()) {
        return std::future::pending().await;
    }
    while said == Some(std::os::unix::process::parent_id()) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
