//! When an output brings plotly.js: once for all figures of a notebook, and again when the output that has it goes.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

use serde::Deserialize;

/// One execution of a cell, as our own kernel notes it: a line of `cells.jsonl` in the folder of its displays.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Execution {
    /// The page that asked for it; a page that is opened anew is another one.
    session: String,
    /// The cell; programs that run notebooks name none.
    cell: Option<String>,
    /// Cells that were deleted since the execution before.
    deleted: Vec<String>,
}

/// How many executions there were when the library was last sent. A cell that compiles Flowlens whole has a copy of
/// its own, and so brings the library whenever it needs it.
static SENT: Mutex<Option<usize>> = Mutex::new(None);

/// Whether the output that is now made, which needs plotly.js, has to bring it. Who asks sends it when told so.
pub(crate) fn library_wanted() -> bool {
    let executions = executions();
    let mut sent = SENT.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = sent.is_none_or(|count| is_gone(&executions, count));
    if wanted {
        *sent = Some(executions.len());
    }
    wanted
}

/// Whether the output is gone that brought the library in the last of the first `count` executions: its cell was run
/// again or deleted, or another page asks.
fn is_gone(executions: &[Execution], count: usize) -> bool {
    let (before, since) = executions.split_at(count.min(executions.len()));
    let (Some(bringer), Some(now)) = (before.last(), since.last()) else { return false };
    let names_it =
        |it: &Execution| it.cell == bringer.cell || it.deleted.iter().any(|cell| Some(cell) == bringer.cell.as_ref());
    now.session != bringer.session || bringer.cell.is_some() && since.iter().any(names_it)
}

/// What has been run on this kernel, the present cell last; nothing where the kernel does not tell.
fn executions() -> Vec<Execution> {
    let file = env::var_os("FLOWLENS_DISPLAYS").map(|folder| PathBuf::from(folder).join("cells.jsonl"));
    let lines = file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    lines.lines().map(|line| serde_json::from_str(line).unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(session: &str, cell: &str) -> Execution {
        Execution { session: session.to_owned(), cell: Some(cell.to_owned()), deleted: Vec::new() }
    }

    #[test]
    fn the_library_stays_while_its_cell_does() {
        assert!(!is_gone(&[run("page", "a")], 1), "a second figure of the cell");
        assert!(!is_gone(&[run("page", "a"), run("page", "b"), run("page", "c")], 1), "later cells");
        assert!(!is_gone(&[run("page", "b"), run("page", "a"), run("page", "c")], 2), "the cell before it");
        assert!(!is_gone(&[], 0), "a kernel that tells nothing");
    }

    #[test]
    fn the_library_goes_with_its_cell() {
        assert!(is_gone(&[run("page", "a"), run("page", "a")], 1), "run again");
        assert!(is_gone(&[run("page", "a"), run("page", "a"), run("page", "b")], 1), "run again without a figure");
        let deleted = Execution { deleted: vec!["x".to_owned(), "a".to_owned()], ..run("page", "b") };
        assert!(is_gone(&[run("page", "a"), deleted, run("page", "c")], 1), "deleted");
        assert!(is_gone(&[run("page", "a"), run("reopened", "b")], 1), "another page");
    }

    #[test]
    fn cells_without_a_name_are_taken_as_different_ones() {
        let nameless = || Execution { session: "program".to_owned(), ..Execution::default() };
        assert!(!is_gone(&[nameless(), nameless(), nameless()], 1));
    }

    #[test]
    fn reads_what_the_kernel_writes() {
        let line = r#"{"session":"s","cell":null,"deleted":["a"],"more":1}"#;
        let read: Execution = serde_json::from_str(line).unwrap();
        assert!(read.session == "s" && read.cell.is_none() && read.deleted == ["a"]);
    }
}
