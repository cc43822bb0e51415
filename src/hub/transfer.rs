//! One file over HTTP: under a temporary name, resumed, checked, renamed when whole.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::failed;
use crate::progress::{Task, Unit, say};
use crate::{Error, Result, files, interrupt};

/// How often a broken connection is resumed, as long as each attempt brings something.
const ATTEMPTS: usize = 5;

/// What is to be fetched.
pub(super) struct Wanted<'a> {
    /// Named in errors: the model.
    pub model: &'a str,
    /// Named in progress lines: the file.
    pub what: &'a str,
    pub url: &'a str,
    pub token: Option<&'a str>,
    pub size: Option<u64>,
    /// Lower-case hex.
    pub sha256: Option<&'a str>,
}

/// A client with time limits, that takes certificates and proxies from the system.
pub(super) fn agent(redirects: u32) -> ureq::Agent {
    let seconds = |variable: &str, otherwise: u64| {
        let set = std::env::var(variable).ok().and_then(|value| value.parse().ok());
        Duration::from_secs(set.filter(|&seconds| seconds > 0).unwrap_or(otherwise))
    };
    ureq::AgentBuilder::new()
        .timeout_connect(seconds("HF_HUB_ETAG_TIMEOUT", 10))
        .timeout_read(seconds("HF_HUB_DOWNLOAD_TIMEOUT", 30))
        .timeout_write(Duration::from_secs(30))
        .redirects(redirects)
        // A token for the Hub must not reach the stores that the Hub sends to.
        .redirect_auth_headers(ureq::RedirectAuthHeaders::SameHost)
        .try_proxy_from_env(true)
        .user_agent(concat!("flowlens/", env!("CARGO_PKG_VERSION")))
        .build()
}

pub(super) fn request(agent: &ureq::Agent, method: &str, url: &str, token: Option<&str>) -> ureq::Request {
    let request = agent.request(method, url).set("Accept-Encoding", "identity");
    match token {
        Some(token) => request.set("Authorization", &format!("Bearer {token}")),
        None => request,
    }
}

/// The answer; errors in a box, as they are large.
pub(super) fn called(request: ureq::Request) -> Result<ureq::Response, Box<ureq::Error>> {
    request.call().map_err(Box::new)
}

/// Fetches to `path`, which exists afterwards and is whole, or did not change.
pub(super) fn fetch(wanted: &Wanted, path: &Path) -> Result<()> {
    files::prepare_folder(path)?;
    let part = part_name(path);
    // Two processes that want the same file take turns; the second finds it done.
    let file = turn(&part, wanted.what)?;
    if path.exists() {
        // Opened anew after the wait, and empty.
        let _ = std::fs::remove_file(&part);
        return Ok(());
    }
    let mut download = Download { file, part: &part, wanted, length: 0, hash: Sha256::new(), tried_anew: false };
    download.take_up()?;
    download.run()?;
    download.check()?;
    download.file.sync_all().and_then(|()| std::fs::rename(&part, path)).map_err(|source| not_kept(&part, source))
}

/// A file that one process holds at a time; the others wait until it has ended with it.
pub(super) fn turn(path: &Path, what: &str) -> Result<File> {
    let io = |source| Error::io(path, source);
    loop {
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = open.map_err(|source| not_kept(path, source))?;
        match file.try_lock() {
            // Where a file system has no locks, two processes may do the same work: it is checked when it is done.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => {
                say(&format!("waiting for another process that fetches {what}"));
                let waited = file.try_clone().map_err(io)?;
                interrupt::wait(&format!("waiting for {what}"), move || waited.lock())?.map_err(io)?;
            }
        }
        // What was waited for may have got another name, or be gone.
        if is_named(&file, path) {
            return Ok(file);
        }
    }
}

#[cfg(unix)]
fn is_named(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |about: std::io::Result<std::fs::Metadata>| about.ok().map(|about| (about.dev(), about.ino()));
    let own = place(file.metadata());
    own.is_some() && own == place(std::fs::metadata(path))
}

#[cfg(not(unix))]
fn is_named(_: &File, path: &Path) -> bool {
    path.exists()
}

/// The error of a cache that cannot be written.
pub(super) fn not_kept(path: &Path, source: std::io::Error) -> Error {
    match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::file(
            path,
            format!(
                "cannot be kept: {source}; make room there, or name a folder on another disk for the cache (HF_HOME, for \
                 starter models FLOWLENS_HOME), and run again"
            ),
        ),
        _ => files::failed(path, source),
    }
}

fn part_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}.flowlens.part"))
}

struct Download<'a> {
    file: File,
    part: &'a Path,
    wanted: &'a Wanted<'a>,
    /// Bytes that are there.
    length: u64,
    hash: Sha256,
    tried_anew: bool,
}

impl Download<'_> {
    fn io(&self, source: std::io::Error) -> Error {
        not_kept(self.part, source)
    }

    /// Counts and hashes what an earlier attempt left.
    fn take_up(&mut self) -> Result<()> {
        let mut buffer = vec![0; 1 << 20];
        loop {
            match self.file.read(&mut buffer).map_err(|source| self.io(source))? {
                0 => break,
                read => {
                    self.hash.update(&buffer[..read]);
                    self.length += read as u64;
                }
            }
        }
        if self.wanted.size.is_some_and(|size| self.length > size) {
            self.start_over()?;
        }
        Ok(())
    }

    fn start_over(&mut self) -> Result<()> {
        self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0))).map_err(|source| self.io(source))?;
        self.length = 0;
        self.hash = Sha256::new();
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let agent = agent(10);
        let task = Task::transfer(format!("fetching {}", self.wanted.what), self.length, self.wanted.size);
        let mut failures = 0;
        while self.wanted.size.is_none_or(|size| self.length < size) {
            let before = self.length;
            match self.attempt(&agent, &task) {
                Ok(()) if self.wanted.size.is_none() => break,
                Ok(()) if self.length != before => {}
                Ok(()) => return Err(self.stopped("the server sends nothing more")),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Broken(problem)) => {
                    failures = if self.length > before { 1 } else { failures + 1 };
                    if failures == ATTEMPTS {
                        return Err(self.stopped(&problem));
                    }
                    say(&format!("  interrupted ({problem}); going on at {}", Unit::Bytes.amount(self.length)));
                    std::thread::sleep(Duration::from_millis(250 << failures));
                    task.check()?;
                }
            }
        }
        task.at(self.length)?;
        task.finish();
        Ok(())
    }

    /// One request, from where the file ends.
    fn attempt(&mut self, agent: &ureq::Agent, task: &Task) -> Result<(), Failure> {
        let mut request = request(agent, "GET", self.wanted.url, self.wanted.token);
        if self.length > 0 {
            request = request.set("Range", &format!("bytes={}-", self.length));
        }
        let response = match task.wait(move || called(request))?.map_err(|error| *error) {
            Ok(response) => response,
            // The server has no more than we hold, though it promised more: perhaps what we hold is of another file.
            Err(ureq::Error::Status(416, _)) if self.length > 0 => {
                let error = self.wrong(format!("the server has no more than {} bytes", self.length));
                self.start_over()?;
                return match std::mem::replace(&mut self.tried_anew, true) {
                    true => Err(Failure::Final(error)),
                    false => Ok(()),
                };
            }
            Err(ureq::Error::Status(status @ (408 | 429 | 500..=599), _)) => {
                return Err(Failure::Broken(format!("the server answers {status}")));
            }
            Err(ureq::Error::Status(status, _)) => {
                return Err(Failure::Final(failed(
                    self.wanted.model,
                    format!("the server answers {status} for {}", self.wanted.what),
                )));
            }
            Err(ureq::Error::Transport(error)) => return Err(Failure::Broken(plain(&error))),
        };
        let continued = response.status() == 206
            && response
                .header("Content-Range")
                .is_some_and(|range| range.starts_with(&format!("bytes {}-", self.length)));
        if self.length > 0 && !continued {
            self.start_over()?;
        }
        let mut body = response.into_reader();
        let mut buffer = vec![0; 1 << 18];
        loop {
            let read;
            // The server may be silent for half a minute: read where an interrupt need not wait for it.
            (read, body, buffer) = task.wait(move || (body.read(&mut buffer), body, buffer))?;
            let read = match read {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) => return Err(Failure::Broken(error.to_string())),
            };
            self.length += read as u64;
            if self.wanted.size.is_some_and(|size| self.length > size) {
                let got = self.length;
                self.start_over()?;
                return Err(Failure::Final(self.wrong(format!("the server sends more ({got} bytes and on)"))));
            }
            self.file.write_all(&buffer[..read]).map_err(|source| self.io(source))?;
            self.hash.update(&buffer[..read]);
            task.at(self.length)?;
        }
    }

    /// Size and contents are what they should be; otherwise nothing of it is kept.
    fn check(&mut self) -> Result<()> {
        let found = self.wanted.size.filter(|&size| size != self.length).map(|_| format!("got {} bytes", self.length));
        let hash = hex(&self.hash.clone().finalize());
        let found =
            found.or_else(|| self.wanted.sha256.filter(|&wanted| wanted != hash).map(|_| format!("got sha256 {hash}")));
        match found {
            None => Ok(()),
            Some(found) => {
                let error = self.wrong(found);
                let _ = std::fs::remove_file(self.part);
                Err(error)
            }
        }
    }

    fn wrong(&self, found: String) -> Error {
        let size = self.wanted.size.map(|size| format!("{size} bytes")).unwrap_or_default();
        let sha256 = self.wanted.sha256.map(|hash| format!(" of sha256 {hash}")).unwrap_or_default();
        failed(
            self.wanted.model,
            format!("{} is not what it should be: expected {size}{sha256}, {found}; try again later", self.wanted.what),
        )
    }

    fn stopped(&self, problem: &str) -> Error {
        let size = self.wanted.size.map(|size| format!(" of {}", Unit::Bytes.amount(size))).unwrap_or_default();
        failed(
            self.wanted.model,
            format!(
                "{} could not be fetched ({problem}); {}{size} are kept, run again to go on there",
                self.wanted.what,
                Unit::Bytes.amount(self.length)
            ),
        )
    }
}

enum Failure {
    /// Worth another attempt.
    Broken(String),
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Final(error)
    }
}

/// A transport error in few words.
pub(super) fn plain(error: &ureq::Transport) -> String {
    let kind = match error.kind() {
        ureq::ErrorKind::Dns => "the host's address cannot be found",
        ureq::ErrorKind::ConnectionFailed => "no connection to the host",
        ureq::ErrorKind::ProxyConnect | ureq::ErrorKind::ProxyUnauthorized => "the proxy refuses",
        _ => return error.message().map_or_else(|| error.to_string(), str::to_owned),
    };
    kind.to_owned()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
