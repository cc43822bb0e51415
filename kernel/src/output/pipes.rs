//! The pipes between the kernel and the process of the cells. They outlast that process: the next one goes on with them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// One direction.
pub struct Pipe {
    pub read: OwnedFd,
    pub write: OwnedFd,
}

impl Pipe {
    /// A pipe whose ends other programs do not inherit.
    ///
    /// # Errors
    /// Where the system gives no more descriptors.
    pub fn new() -> io::Result<Pipe> {
        let mut ends = [0; 2];
        // SAFETY: the array has room for both ends, which are new and owned here alone.
        unsafe {
            if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Pipe { read: OwnedFd::from_raw_fd(ends[0]), write: OwnedFd::from_raw_fd(ends[1]) })
        }
    }
}

/// All three: what cells print, and what the kernel passes on to evcxr in their process.
pub struct Pipes {
    pub stdout: Pipe,
    pub stderr: Pipe,
    pub passed_on: Pipe,
}

impl Pipes {
    /// # Errors
    /// As [`Pipe::new`].
    pub fn new() -> io::Result<Pipes> {
        Ok(Pipes { stdout: Pipe::new()?, stderr: Pipe::new()?, passed_on: Pipe::new()? })
    }
}

/// Waits until one of the two can be read, or the time (in milliseconds; negative: for ever) is over. Which of them can.
pub fn wait(files: [&File; 2], milliseconds: i32) -> [bool; 2] {
    let mut polls = files.map(|file| libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    // SAFETY: the array lives through the call.
    let ready = unsafe { libc::poll(polls.as_mut_ptr(), 2, milliseconds) };
    polls.map(|poll| ready > 0 && poll.revents != 0)
}

/// Reads what is there, at most the buffer's length.
pub fn read(mut file: &File, buffer: &mut [u8]) -> usize {
    file.read(buffer).unwrap_or(0)
}

/// Writes without waiting: a process that does not read loses it.
pub fn write_at_once(mut file: &File, bytes: &[u8]) {
    let _ = file.write_all(bytes);
}

/// Makes reading or writing at this end never wait.
pub fn never_wait(end: &OwnedFd) {
    // SAFETY: a plain system call on a descriptor that is owned.
    unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
}
