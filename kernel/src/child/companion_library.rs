//! Compiled by the kernel with the compiler of the cells (companion.rs): it has the same standard library as they have.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

static RUNNING: AtomicBool = AtomicBool::new(false);
/// The thread that runs cells. This copy of the standard library did not start it and knows no name for it.
static CELLS: OnceLock<ThreadId> = OnceLock::new();

#[no_mangle]
pub extern "C" fn flowlens_kernel_start() {
    std::panic::set_hook(Box::new(|panic| {
        let (file, line, column) = panic.location().map_or(("", 0, 0), |at| (at.file(), at.line(), at.column()));
        let message = match panic.payload().downcast_ref::<&str>() {
            Some(message) => message.to_string(),
            None => panic.payload().downcast_ref::<String>().cloned().unwrap_or_else(|| "a value that is no text".into()),
        };
        let message = message.replace('\\', "\\\\").replace('\n', "\\n");
        let thread = thread::current();
        let of_cells = CELLS.get() == Some(&thread.id());
        let thread = if of_cells { "main" } else { thread.name().unwrap_or("<unnamed>") };
        let text = format!("\u{1e}flowlens-panic {thread}\u{1f}{file}\u{1f}{line}\u{1f}{column}\u{1f}{message}\u{1e}\n");
        let _ = std::io::stderr().write_all(text.as_bytes());
    }));
    let _ = CELLS.set(thread::current().id());
    // What is printed without a newline shows while the cell runs.
    thread::spawn(|| loop {
        thread::sleep(Duration::from_millis(100));
        if RUNNING.load(Ordering::Relaxed) {
            let _ = std::io::stdout().flush();
        }
    });
}

#[no_mangle]
pub extern "C" fn flowlens_kernel_cell(begins: bool) {
    RUNNING.store(begins, Ordering::Relaxed);
    if !begins {
        let _ = std::io::stdout().flush();
    }
}
