//! The Rust session behind the notebook: evcxr's context, in a thread of its own.

pub mod code;
mod context;
pub mod crates;
mod ends;
mod errors;
mod executions;
pub mod help;
pub mod interrupt;
mod source;
mod worker;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crossbeam_channel::Sender;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::output::cell::Shared;
use crate::server::input::Input;
use crate::server::wire::{Outbox, Request};

/// What a cell came to.
pub type Outcome = Result<Vec<Map<String, Value>>, Failure>;

/// Why a cell failed, in Jupyter's three parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub name: String,
    pub value: String,
    /// Lines with ANSI colours.
    pub block: Vec<String>,
}

/// What the session is asked to do.
pub enum Job {
    /// Run a cell. Its values, the last of them the result.
    Execute { request: Arc<Request>, count: u32, reply: oneshot::Sender<Outcome> },
    /// Words for this place (in bytes) of the code.
    Complete { code: String, position: usize, reply: oneshot::Sender<help::Words> },
    /// What stands at this place: plain text and HTML.
    Inspect { code: String, position: usize, reply: oneshot::Sender<Option<(String, String)>> },
}

/// What the session needs of its surroundings.
pub struct Settings {
    pub private: PathBuf,
    pub interrupt: PathBuf,
    pub displays: PathBuf,
    pub first_cell: String,
    pub notice: Option<String>,
    pub stale: Option<String>,
    pub cell: Shared,
    pub iopub: Outbox,
    pub input: Input,
    pub crates: crates::Crates,
}

/// The process that runs cells, once there is one. The same handle also after a restart of it.
pub type Process = Arc<OnceLock<Arc<Mutex<std::process::Child>>>>;

/// The session, as the server sees it.
#[derive(Clone)]
pub struct Session {
    jobs: Sender<Job>,
    warming: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    pub process: Process,
}

impl Session {
    /// Starts the thread; it makes its context at once, and answers as soon as it has one.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(settings: Settings) -> std::io::Result<Session> {
        let (jobs, receiver) = crossbeam_channel::unbounded();
        let session = Session { jobs, warming: Arc::default(), over: Arc::default(), process: Arc::default() };
        let signs = worker::Signs { warming: Arc::clone(&session.warming), over: Arc::clone(&session.over) };
        let process = Arc::clone(&session.process);
        std::thread::Builder::new()
            .name("session".into())
            // rust-analyzer's own threads have as much.
            .stack_size(32 << 20)
            .spawn(move || worker::Worker::new(settings, signs, process).run(&receiver))?;
        Ok(session)
    }

    /// Hands a job over. A build that is only there to be warm gives way.
    pub fn ask(&self, job: Job) {
        let _ = self.jobs.send(job);
        if self.warming.load(Ordering::SeqCst) {
            let session = self.clone();
            std::thread::spawn(move || {
                while session.warming.load(Ordering::SeqCst) {
                    interrupt::end_compilers(session.cells());
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            });
        }
    }

    /// Nothing more is begun.
    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    /// The id of the process that runs cells.
    pub fn cells(&self) -> Option<u32> {
        self.process.get().map(|process| process.lock().unwrap_or_else(PoisonError::into_inner).id())
    }

    /// Ends that process.
    pub fn kill_cells(&self) {
        if let Some(process) = self.process.get() {
            let _ = process.lock().unwrap_or_else(PoisonError::into_inner).kill();
        }
    }
}

/// What a cell is answered with where the session's thread is gone.
pub fn errors_of_lost_session() -> Failure {
    errors::plain("Error", "the session is gone. Restart the kernel.")
}
