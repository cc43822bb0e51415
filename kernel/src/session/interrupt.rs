//! The stop button.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use super::Session;
use crate::output::cell::{Phase, Shared};
use crate::server::wire::Outbox;

/// So long has code that looks at interrupts time to stop.
const HEEDED: Duration = Duration::from_secs(3);
/// So long after the first interrupt it is looked whether anybody looks.
const LOOK: Duration = Duration::from_millis(200);

const NOBODY_LOOKS: &str = "This code does not look at interrupts outside of Flowlens's calls. A second interrupt ends it, together with all variables.\n";

/// The file over which the kernel and the library in the process of the cells agree.
#[derive(Clone)]
pub struct File(PathBuf);

impl File {
    pub fn at(path: &Path) -> File {
        File(path.to_owned())
    }

    /// Asks the library to stop, or takes that back.
    pub fn ask(&self, stop: bool) {
        let file = fs::OpenOptions::new().write(true).open(&self.0);
        let _ = file.and_then(|file| file.write_all_at(if stop { b"1" } else { b"0" }, 0));
    }

    /// Whether a call is running that looks.
    pub fn heeded(&self) -> bool {
        fs::read(&self.0).is_ok_and(|bytes| bytes.get(1) == Some(&b'1'))
    }
}

/// Stops what runs.
#[derive(Clone)]
pub struct Interrupt {
    pub file: File,
    pub cell: Shared,
    pub session: Session,
    pub iopub: Outbox,
}

impl Interrupt {
    /// The person asked to stop. Whether there was something to stop.
    pub fn stop(&self) -> bool {
        let mut cell = self.cell.lock();
        let before = cell.interrupted;
        match cell.phase {
            Phase::Idle => return false,
            Phase::Running if before.is_some_and(|before| cell.warned || before.elapsed() > HEEDED) => {
                cell.killed = true;
                drop(cell);
                self.session.kill_cells();
                return true;
            }
            _ => {}
        }
        self.file.ask(true);
        if before.is_none() {
            cell.interrupted = Some(Instant::now());
            let (watcher, number) = (self.clone(), cell.number);
            std::thread::spawn(move || watcher.watch(number));
        }
        true
    }

    /// Ends compilers until the cell is over or runs; then says where nobody looks.
    fn watch(&self, number: u64) {
        let phase = || {
            let cell = self.cell.lock();
            if cell.number == number { cell.phase } else { Phase::Idle }
        };
        while phase() == Phase::Preparing {
            end_compilers(self.session.cells());
            std::thread::sleep(Duration::from_millis(10));
        }
        let end = Instant::now() + LOOK;
        while Instant::now() < end {
            if phase() != Phase::Running || self.file.heeded() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut cell = self.cell.lock();
        if cell.number == number && cell.phase == Phase::Running && !cell.killed && !cell.silent {
            // Not before: two quick presses must not cost a model that is about to stop.
            cell.warned = true;
            let request = cell.request.clone();
            drop(cell);
            if let Some(request) = request {
                let _ = self
                    .iopub
                    .blocking_send(request.publication("stream", json!({"name": "stderr", "text": NOBODY_LOOKS})));
            }
        }
    }
}

/// Ends everything this process started, but for the process of the cells and what that started.
pub fn end_compilers(cells: Option<u32>) {
    processes_below(std::process::id(), cells).into_iter().for_each(kill);
}

/// Ends a process that is below this one.
pub fn kill(process: u32) {
    if let Ok(process @ 1..) = i32::try_from(process) {
        // SAFETY: a plain system call.
        unsafe { libc::kill(process, libc::SIGKILL) };
    }
}

/// All that a process started, and what that started, but for one part of it and rust-analyzer's helper.
pub fn processes_below(ancestor: u32, except: Option<u32>) -> Vec<u32> {
    let processes = processes();
    let below = |mut process: u32| {
        // A parent that is gone ends the walk.
        while let Some((parent, _)) = processes.get(&process) {
            if Some(process) == except {
                return false;
            }
            if *parent == ancestor {
                return true;
            }
            process = *parent;
        }
        false
    };
    let helper = |name: &str| name.starts_with("rust-analyzer");
    processes
        .iter()
        .filter(|(process, (_, name))| below(**process) && !helper(name))
        .map(|(process, _)| *process)
        .collect()
}

/// All processes: parent and name.
pub fn processes() -> HashMap<u32, (u32, String)> {
    let Ok(entries) = fs::read_dir("/proc") else { return HashMap::new() };
    let of = |entry: &fs::DirEntry| {
        let process: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name stands in parentheses and may hold any character.
        let (start, end) = (stat.find('(')?, stat.rfind(')')?);
        let parent = stat[end + 1..].split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some((process, (parent, stat[start + 1..end].to_owned())))
    };
    entries.flatten().filter_map(|entry| of(&entry)).collect()
}
