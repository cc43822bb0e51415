//! Crates that a `:dep` compiles, as a line under the cell that moves.
//!
//! evcxr says their names on the standard error of this process, where nobody who waits for a cell would see them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::json;

use crate::output::cell::{Phase, Shared};
use crate::output::pipes::Pipe;
use crate::server::wire::{Outbox, Request};

/// What is shown, while anything is.
#[derive(Default)]
struct Shown {
    line: Option<Line>,
}

struct Line {
    request: Arc<Request>,
    id: String,
    began: Instant,
    count: usize,
}

/// The line under the cell.
#[derive(Clone)]
pub struct Crates {
    shown: Arc<Mutex<Shown>>,
    cell: Shared,
    iopub: Outbox,
}

impl Crates {
    /// Reads this process's standard error from now on. What is no crate goes where it went before.
    ///
    /// # Errors
    /// Where the system gives no more descriptors.
    pub fn watch(cell: Shared, iopub: Outbox) -> io::Result<Crates> {
        let pipe = Pipe::new()?;
        // SAFETY: plain system calls; the copy of the old standard error is owned by the thread alone.
        let log = unsafe {
            let log = libc::fcntl(2, libc::F_DUPFD_CLOEXEC, 3);
            if log < 0 || libc::dup2(pipe.write.as_raw_fd(), 2) < 0 {
                return Err(io::Error::last_os_error());
            }
            File::from_raw_fd(log)
        };
        let crates = Crates { shown: Arc::default(), cell, iopub };
        let reader = crates.clone();
        std::thread::Builder::new().name("log".into()).spawn(move || {
            for line in BufReader::new(File::from(pipe.read)).split(b'\n') {
                let Ok(line) = line else { return };
                match name(&String::from_utf8_lossy(&line)) {
                    Some(name) => reader.compiles(name),
                    None => drop((&log).write_all(&[&line[..], b"\n"].concat())),
                }
            }
        })?;
        Ok(crates)
    }

    fn compiles(&self, name: &str) {
        let cell = self.cell.lock();
        let request = cell.request.clone().filter(|_| cell.at_work && !cell.silent && cell.phase == Phase::Preparing);
        let number = cell.number;
        drop(cell);
        let Some(request) = request else { return };
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = if shown.line.is_some() { "update_display_data" } else { "display_data" };
        let line = shown.line.get_or_insert_with(|| Line {
            request,
            id: format!("flowlens-crates-{number}"),
            began: Instant::now(),
            count: 0,
        });
        line.count += 1;
        self.show(line, kind, &format!("Compiling {name} ({} so far)", line.count));
    }

    /// The cell runs, or failed before.
    pub fn finish(&self) {
        let line = self.shown.lock().unwrap_or_else(PoisonError::into_inner).line.take();
        if let Some(line) = line {
            let crates = if line.count == 1 { "crate" } else { "crates" };
            let text = format!("Compiled {} {crates} in {:.0} s", line.count, line.began.elapsed().as_secs_f64());
            self.show(&line, "update_display_data", &text);
        }
    }

    fn show(&self, line: &Line, kind: &str, text: &str) {
        let content = json!({"data": {"text/plain": text}, "metadata": {}, "transient": {"display_id": line.id}});
        let _ = self.iopub.blocking_send(line.request.publication(kind, content));
    }
}

/// The crate in cargo's line.
fn name(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("Compiling ")?;
    let mut words = rest.split(' ');
    let (name, version) = (words.next()?, words.next()?);
    version.starts_with('v').then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_told_from_other_lines() {
        assert_eq!(name("   Compiling regex-syntax v0.8.5 (/a/b)"), Some("regex-syntax"));
        assert_eq!(name("Compiling things is slow"), None);
        assert_eq!(name("flowlens-kernel: gone"), None);
    }
}
