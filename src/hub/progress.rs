//! A transfer as lines of progress: they stay readable in a log, a notebook and a terminal alike.

use std::time::{Duration, Instant};

use crate::progress::say;

/// Shorter transfers finish before anyone looks.
const WORTH_A_LINE: u64 = 1_000_000;

/// Reports one transfer: its start, each tenth or two seconds, and its end.
pub(super) struct Progress {
    total: Option<u64>,
    start: Instant,
    /// Bytes that were there before the start.
    before: u64,
    next_part: u64,
    last_line: Instant,
    quiet: bool,
}

impl Progress {
    pub fn start(what: &str, before: u64, total: Option<u64>) -> Progress {
        let quiet = total.is_some_and(|total| total < WORTH_A_LINE);
        if !quiet {
            let size = total.map(|total| format!(" ({})", megabytes(total))).unwrap_or_default();
            let resumed = if before > 0 { format!(", going on at {}", megabytes(before)) } else { String::new() };
            say(&format!("fetching {what}{size}{resumed}"));
        }
        let start = Instant::now();
        let next_part = total.map_or(0, |total| before * 10 / total.max(1) + 1);
        Progress { total, start, before, next_part, last_line: start, quiet }
    }

    /// To be told how many bytes are there now.
    pub fn at(&mut self, bytes: u64) {
        let part = self.total.map_or(0, |total| bytes * 10 / total.max(1));
        let late = self.last_line.elapsed() >= Duration::from_secs(2);
        let step = self.total.is_some() && part >= self.next_part;
        if self.quiet || !(late || step) || self.total == Some(bytes) {
            return;
        }
        self.last_line = Instant::now();
        self.next_part = part + 1;
        let speed = megabytes_per_second(bytes - self.before, self.start.elapsed());
        match self.total {
            Some(total) => {
                let percent = bytes * 100 / total.max(1);
                say(&format!("  {percent} %, {} of {}, {speed}", megabytes(bytes), megabytes(total)));
            }
            None => say(&format!("  {}, {speed}", megabytes(bytes))),
        }
    }

    pub fn done(&self, bytes: u64) {
        if !self.quiet {
            let took = self.start.elapsed();
            let speed = megabytes_per_second(bytes - self.before, took);
            say(&format!("  100 %, {} in {:.1} s, {speed}", megabytes(bytes), took.as_secs_f64()));
        }
    }
}

pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn megabytes_per_second(bytes: u64, took: Duration) -> String {
    format!("{:.1} MB/s", bytes as f64 / 1e6 / took.as_secs_f64().max(1e-3))
}
