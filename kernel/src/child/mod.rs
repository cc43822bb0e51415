//! The process that runs the cells, and that a crash in a cell ends.
//!
//! evcxr starts it and speaks with it through its standard streams. Here what cells print goes through pipes of the kernel
//! instead, as bytes and at once; the kernel picks out evcxr's own lines and sends them back, and a thread here hands them to evcxr.

pub mod companion;

use std::ffi::{CStr, CString, c_int, c_void};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::output::markers;

/// evcxr sets this for the process of the cells.
const IS_CHILD: &str = "EVCXR_IS_RUNTIME";
/// In the child: the pipe that evcxr reads, and the one with what the kernel passes on to it.
const EVCXR: c_int = 100;
const PASSED_ON: c_int = 101;

/// Whether this process is to run cells.
pub fn is_child() -> bool {
    std::env::var_os(IS_CHILD).is_some()
}

/// The command that starts it, as often as need be, writing to these pipes of the kernel's and reading what it passes on.
///
/// # Errors
/// Where this program's file is gone.
pub fn command(stdout: OwnedFd, stderr: OwnedFd, passed_on: OwnedFd, folder: &Path) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.current_dir(folder);
    let redirect = move || {
        let pipes = [(1, EVCXR), (passed_on.as_raw_fd(), PASSED_ON), (stdout.as_raw_fd(), 1), (stderr.as_raw_fd(), 2)];
        for (from, to) in pipes {
            // SAFETY: dup2 may be called between fork and exec.
            if unsafe { libc::dup2(from, to) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: the closure allocates nothing and takes no lock.
    unsafe { command.pre_exec(redirect) };
    Ok(command)
}

/// Runs cells until evcxr closes the standard input.
pub fn run() -> ! {
    // SAFETY: plain system calls. A kernel that is killed takes its cells along; the stop button's signal is for the kernel alone.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::signal(libc::SIGINT, libc::SIG_IGN);
        for inherited in [EVCXR, PASSED_ON] {
            libc::fcntl(inherited, libc::F_SETFD, libc::FD_CLOEXEC);
        }
        // Back-traces would show the runtime; evcxr asks for them.
        std::env::remove_var("RUST_BACKTRACE");
    }
    mark(markers::HELLO, &std::process::id().to_string());
    std::thread::spawn(pass_on);
    // The first cell that uses Flowlens would wait half a second for libtorch.
    std::thread::spawn(|| {
        // SAFETY: the libraries that cells load anyway; where they are missing, nothing happens.
        unsafe { libc::dlopen(c"libflowlens.so".as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) };
    });
    let interrupt = std::env::var_os("FLOWLENS_INTERRUPT").map(std::path::PathBuf::from);
    let mut cells = Cells::default();
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let mut words = line.split(' ');
        let (Some("LOAD_AND_RUN"), Some(library), Some(function)) = (words.next(), words.next(), words.next()) else {
            eprintln!("not understood: {line}");
            std::process::exit(99);
        };
        let stopped =
            interrupt.as_ref().and_then(|file| fs::read(file).ok()).is_some_and(|bytes| bytes.first() == Some(&b'1'));
        if stopped {
            // The person asked to stop while the cell was compiled. For evcxr, as after a panic: earlier variables stay.
            println!("EVCXR_PANIC_NOTIFICATION");
        } else {
            mark(markers::RUN, "");
            if let Err(error) = cells.run(library, function) {
                eprintln!("{error}");
                std::process::exit(99);
            }
        }
        mark(markers::DONE, "");
    }
    std::process::exit(0);
}

fn mark(word: &str, rest: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(markers::line(word, rest).as_bytes());
    let _ = stdout.flush();
}

/// Hands on to evcxr what the kernel sends for this process; what was meant for one before it is left out.
fn pass_on() {
    // SAFETY: the two descriptors are this thread's alone.
    let (from, mut to) = unsafe { (File::from_raw_fd(PASSED_ON), File::from_raw_fd(EVCXR)) };
    let own = std::process::id().to_string();
    for line in BufReader::new(from).split(b'\n') {
        let Ok(mut line) = line else { return };
        let Some(blank) = line.iter().position(|&byte| byte == b' ') else { continue };
        if line[..blank] != *own.as_bytes() {
            continue;
        }
        line.push(b'\n');
        if to.write_all(&line[blank + 1..]).is_err() {
            return;
        }
    }
}

/// The compiled cells, which stay loaded, and evcxr's store of variables.
struct Cells {
    variables: *mut c_void,
    companion: Option<companion::Companion>,
}

impl Default for Cells {
    fn default() -> Cells {
        Cells { variables: std::ptr::null_mut(), companion: None }
    }
}

impl Cells {
    fn run(&mut self, library: &str, function: &str) -> Result<(), String> {
        type Cell = extern "C" fn(*mut c_void) -> *mut c_void;
        if self.companion.is_none() {
            self.companion = companion::Companion::load();
        }
        let cell = load(library, function)?;
        // SAFETY: evcxr generated the function with this signature.
        let cell = unsafe { std::mem::transmute::<*mut c_void, Cell>(cell) };
        if let Some(companion) = &self.companion {
            companion.cell(true);
        }
        self.variables = cell(self.variables);
        if let Some(companion) = &self.companion {
            companion.cell(false);
        }
        // SAFETY: flushes what C and C++ code printed.
        unsafe { libc::fflush(std::ptr::null_mut()) };
        Ok(())
    }
}

/// A function of a library, which stays loaded.
fn load(library: &str, function: &str) -> Result<*mut c_void, String> {
    let name = |text: &str| CString::new(text).map_err(|error| error.to_string());
    let (library, function) = (name(library)?, name(function)?);
    // SAFETY: cells are the person's own code, meant to be run.
    unsafe {
        let handle = libc::dlopen(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL);
        let found = if handle.is_null() { handle } else { libc::dlsym(handle, function.as_ptr()) };
        if !found.is_null() {
            return Ok(found);
        }
        let error = libc::dlerror();
        let text = if error.is_null() { "no such function".into() } else { CStr::from_ptr(error).to_string_lossy() };
        Err(format!("a cell could not be loaded: {text}"))
    }
}
