//! The cell that runs, as far as its output and its interrupts go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Map, Value};

use super::panics::Panic;
use crate::server::wire::Request;

/// How far a cell is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Phase {
    /// None is there.
    #[default]
    Idle,
    /// It waits for the session to be ready, or is analysed and compiled.
    Preparing,
    /// Its code runs.
    Running,
}

/// The current cell or, where none is, the one before.
#[derive(Default)]
pub struct Cell {
    /// Counts all cells, silent ones too.
    pub number: u64,
    /// What its output belongs to. Output of before the first cell belongs nowhere.
    pub request: Option<Arc<Request>>,
    /// Nothing of it is to be shown.
    pub silent: bool,
    pub phase: Phase,
    /// The session works on it: what runs before is the session's own.
    pub at_work: bool,
    /// Its code ran, wholly or in part.
    pub ran: bool,
    /// When the person first asked to stop it.
    pub interrupted: Option<Instant>,
    /// The person was told that nobody looks, and that a second time ends everything.
    pub warned: bool,
    /// The second time came, and its process was ended.
    pub killed: bool,
    pub panicked: bool,
    /// The last panic of the main thread.
    pub panic: Option<Panic>,
    /// A `?` ended it.
    pub failed: bool,
    /// What that printed.
    pub failure: String,
    /// The last value, by MIME type.
    pub bundle: Map<String, Value>,
    pub allowance: Allowance,
}

impl Cell {
    /// The session begins to work on it, for the first time or once more.
    pub fn begin(&mut self) {
        self.at_work = true;
        (self.ran, self.panicked, self.failed) = (false, false, false);
        self.panic = None;
        self.bundle.clear();
    }
}

/// How much text a cell may still print. A browser does not bear a hundred megabytes.
#[derive(Debug)]
pub struct Allowance {
    began: Instant,
    printed: usize,
    /// Bytes that were not shown. Once some are, all are.
    pub left_out: usize,
}

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance { began: Instant::now(), printed: 0, left_out: 0 }
    }
}

impl Allowance {
    /// Bytes at once.
    pub const LIMIT: usize = 1_000_000;
    /// What comes to that with every second: a bar that moves for hours is not cut.
    const A_SECOND: usize = 2_000;

    /// Cuts the text to what may be shown.
    pub fn take<'text>(&mut self, text: &'text str) -> &'text str {
        let limit = Self::LIMIT + Self::A_SECOND * usize::try_from(self.began.elapsed().as_secs()).unwrap_or(0);
        let mut length = if self.left_out > 0 { 0 } else { text.len().min(limit.saturating_sub(self.printed)) };
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        self.printed += length;
        self.left_out += text.len() - length;
        &text[..length]
    }

    /// What is said at the end where something was left out.
    pub fn notice(&self) -> Option<String> {
        let megabytes = self.left_out as f64 / 1e6;
        (self.left_out > 0).then(|| {
            format!(
                "[{megabytes:.1} MB more were printed and are left out here. To keep it all, write to a file: \
                 let mut file = std::fs::File::create(\"output.txt\")?; then writeln!(file, ..)?]\n"
            )
        })
    }
}

/// The cell, as the threads of the kernel share it.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Cell>>);

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, Cell> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A display that the library put in a file.
#[derive(serde::Deserialize)]
pub struct Display {
    pub data: BTreeMap<String, Value>,
    #[serde(default)]
    pub metadata: Map<String, Value>,
    pub display_id: Option<String>,
    #[serde(default)]
    pub update: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_once_and_between_characters() {
        let mut allowance = Allowance::default();
        let text = "é".repeat(Allowance::LIMIT / 2 + 10);
        let text = format!("a{text}");
        assert_eq!(allowance.take(&text).len(), Allowance::LIMIT - 1);
        assert_eq!(allowance.take("b"), "");
        assert_eq!(allowance.left_out, 23);
        assert!(allowance.notice().unwrap().contains("0.0 MB"));
    }
}
