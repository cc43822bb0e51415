//! The stop button: one flag that every long call of the library looks at between its steps.
//!
//! A notebook kernel and the process in which its cells run share a file of two bytes, named by `FLOWLENS_INTERRUPT`:
//! the kernel writes `1` into the first when the person wants to stop, the library writes `1` into the second while it
//! is in a call that looks there. A file needs no signal handler, so nothing that a system call waits for is torn, and
//! a request that comes between two calls of a cell is found by the next.
//!
//! A call that was asked to stop ends with [`Error::Interrupted`]; the model and all variables stay.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use crate::{Error, Result};

/// How soon an interrupt is heeded by what waits for the network.
const PATIENCE: Duration = Duration::from_millis(100);

/// Long calls that run now, one inside the other or on several threads.
static CALLS: AtomicUsize = AtomicUsize::new(0);
/// Asked by [`request`].
static REQUESTED: AtomicBool = AtomicBool::new(false);
/// What the kernel and this process share, where there is a kernel.
static BUTTON: LazyLock<Option<Button>> = LazyLock::new(|| {
    let path = std::env::var_os("FLOWLENS_INTERRUPT")?;
    // Our own kernel, which shows displays as they come, takes a request back when the next cell starts.
    Button::open(Path::new(&path), std::env::var_os("FLOWLENS_DISPLAYS").is_some())
});

/// Fails when somebody asked to stop. For loops of your own in a notebook: between the steps of one, this is where the
/// stop button ends it without harm.
///
/// ```
/// for step in 0..3 {
///     flowlens::interrupt::check()?;
///     // something that takes a second
/// }
/// # Ok::<(), flowlens::Error>(())
/// ```
///
/// # Errors
/// [`Error::Interrupted`], once the person asked for it.
pub fn check() -> Result<()> {
    if requested() {
        return Err(Error::Interrupted { what: "this cell".to_owned(), done: String::new() });
    }
    Ok(())
}

/// Asks the long calls that run now (loading, downloads, runs, sweeps, drawing) to stop; from any thread. Returns whether
/// there was one; where there was none, nothing happens.
pub fn request() -> bool {
    let running = CALLS.load(Ordering::SeqCst) > 0;
    if running {
        REQUESTED.store(true, Ordering::SeqCst);
    }
    running
}

/// Does something long whose parts look at the flag; an interrupt among them is said to be of the whole.
///
/// Whatever comes out of work that was asked to stop is not handed on: a part that takes errors for "there is none" may
/// have left something out.
pub(crate) fn during<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let _call = Call::begin();
    let result = work();
    match result {
        Err(Error::Interrupted { done, .. }) => Err(Error::Interrupted { what: what.to_owned(), done }),
        _ if requested() => Err(Error::Interrupted { what: what.to_owned(), done: String::new() }),
        result => result,
    }
}

/// Waits for something that cannot look at the flag itself (the network, another process): on a thread of its own, which
/// an interrupt leaves behind to end alone.
pub(crate) fn wait<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let _call = Call::begin();
    let (hand_over, result) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new();
    // Nobody waits for what comes after an interrupt.
    thread.spawn(move || drop(hand_over.send(work()))).map_err(|source| Error::io(what, source))?;
    loop {
        match result.recv_timeout(PATIENCE) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) if requested() => {
                return Err(Error::Interrupted { what: what.to_owned(), done: String::new() });
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::Worker { work: what.to_owned(), panic: "it gave no reason".to_owned() });
            }
        }
    }
}

pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed) || BUTTON.as_ref().is_some_and(Button::pressed)
}

/// A long call that looks at the flag: while there is one, an interrupt is waited for instead of ending the process.
#[derive(Debug)]
pub(crate) struct Call;

impl Call {
    pub fn begin() -> Call {
        if CALLS.fetch_add(1, Ordering::SeqCst) == 0
            && let Some(button) = &*BUTTON
        {
            button.heeded(true);
        }
        Call
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if CALLS.fetch_sub(1, Ordering::SeqCst) == 1 {
            REQUESTED.store(false, Ordering::SeqCst);
            if let Some(button) = &*BUTTON {
                button.heeded(false);
            }
        }
    }
}

/// The file.
#[derive(Debug)]
struct Button {
    file: File,
    /// Whether a request stays until the kernel takes it back; else it is over with the call that it stopped.
    stays: bool,
}

impl Button {
    fn open(path: &Path, stays: bool) -> Option<Button> {
        Some(Button { file: OpenOptions::new().read(true).write(true).open(path).ok()?, stays })
    }

    fn pressed(&self) -> bool {
        let mut byte = [0];
        read_at(&self.file, &mut byte).is_ok() && byte[0] == b'1'
    }

    fn heeded(&self, heeded: bool) {
        // A kernel that is gone has nobody to tell.
        let _ = write_at(&self.file, if heeded { b"1" } else { b"0" }, 1);
        if !heeded && !self.stays {
            let _ = write_at(&self.file, b"0", 0);
        }
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, 0)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

// Jupyter's kernels of this project run on Unix.
#[cfg(not(unix))]
fn read_at(_: &File, _: &mut [u8]) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(not(unix))]
fn write_at(_: &File, _: &[u8], _: u64) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_and_the_library_read_each_others_byte() {
        let path = std::env::temp_dir().join(format!("flowlens-button-{}", std::process::id()));
        let written = |path: &Path| std::fs::read_to_string(path).unwrap();
        for stays in [false, true] {
            std::fs::write(&path, "00").unwrap();
            let button = Button::open(&path, stays).unwrap();
            assert!(!button.pressed());
            button.heeded(true);
            assert_eq!(written(&path), "01");
            std::fs::write(&path, "11").unwrap();
            assert!(button.pressed());
            button.heeded(false);
            assert_eq!(written(&path), if stays { "10" } else { "00" });
        }
        std::fs::remove_file(&path).unwrap();
        assert!(Button::open(&path, false).is_none());
    }
}
