//! Files on their way: under a temporary name until they are whole.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::place::folder_of;

/// How a name ends that nothing else has: `.figure.html.1234-0.flowlens.part`.
const ENDING: &str = ".flowlens.part";

/// What this process has begun and not finished.
static PARTS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
/// No two parts of a process have the same name, so that nobody who cleans up takes one for another.
static NEXT: AtomicU64 = AtomicU64::new(0);

fn parts() -> MutexGuard<'static, Vec<PathBuf>> {
    PARTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file under a temporary name beside its own, which it gets when it is whole.
///
/// It is locked while it is written. A lock ends with its process, however that ends, so a part that can be locked is
/// nobody's: the next who writes into the folder removes it.
pub(crate) struct Part {
    file: File,
    path: PathBuf,
}

impl Part {
    /// Begins the file that is to be `target`, with the rights and, where that is allowed, the owner of `like`.
    pub fn begin(target: &Path, like: Option<&Metadata>) -> io::Result<Part> {
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
        // The whole must fit into a file name where the name itself does.
        let name: String = name.chars().take(40).collect();
        let folder = folder_of(target);
        clean(folder);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!(".{name}.{}-{number}{ENDING}", std::process::id()));
            let part = match create(&path, like.is_some()) {
                // Left by a process of this number, here or on another machine.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                created => Part { file: created?, path },
            };
            match part.file.try_lock() {
                // Somebody who cleans up was quicker.
                Err(TryLockError::WouldBlock) => continue,
                Ok(()) if !part.path.exists() => continue,
                // Where there are no locks nobody can take one, so nobody cleans up either.
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            if let Some(like) = like {
                part.resemble(like)?;
            }
            return Ok(part);
        }
    }

    #[cfg(unix)]
    fn resemble(&self, like: &Metadata) -> io::Result<()> {
        use std::os::unix::fs::{MetadataExt, fchown};
        let own = self.file.metadata()?;
        if (own.uid(), own.gid()) != (like.uid(), like.gid())
            && fchown(&self.file, Some(like.uid()), Some(like.gid())).is_err()
        {
            // Only root may give a file away; a group of one's own is allowed to all.
            let _ = fchown(&self.file, None, Some(like.gid()));
        }
        self.file.set_permissions(like.permissions())
    }

    #[cfg(not(unix))]
    fn resemble(&self, like: &Metadata) -> io::Result<()> {
        self.file.set_permissions(like.permissions())
    }

    /// Gives the file its name, in place of what had it. Only what has reached the disk gets it: a network's disk may
    /// say only then that it is full.
    pub fn finish(self, target: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        let mut parts = parts();
        fs::rename(&self.path, target)?;
        parts.retain(|path| *path != self.path);
        Ok(())
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut parts = parts();
        // One that got its name is not in the list any more.
        if let Some(place) = parts.iter().position(|path| *path == self.path) {
            parts.swap_remove(place);
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Creates a part; one that will get another's rights is nobody else's to read until then.
fn create(path: &Path, private: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if private {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = private;
    let mut parts = parts();
    let file = options.open(path)?;
    parts.push(path.to_owned());
    Ok(file)
}

/// Removes the parts of processes that are gone.
fn clean(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let ours = is_part(&entry.file_name().to_string_lossy()) && entry.file_type().is_ok_and(|kind| kind.is_file());
        if !ours {
            continue;
        }
        let Ok(file) = OpenOptions::new().write(true).open(entry.path()) else { continue };
        if file.try_lock().is_ok() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_part(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let name = name.strip_prefix('.').and_then(|name| name.strip_suffix(ENDING));
    let numbers = name.and_then(|name| name.rsplit_once('.')).and_then(|(_, numbers)| numbers.split_once('-'));
    numbers.is_some_and(|(process, count)| number(process) && number(count))
}

/// Removes what this process has begun to write and not finished. For one that is about to end at once, as on a signal:
/// whoever writes in it waits from then on.
pub fn abandon() {
    let parts = parts();
    for path in parts.iter() {
        let _ = fs::remove_file(path);
    }
    std::mem::forget(parts);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parts_of_our_own_are_parts() {
        assert!(is_part(".figure.html.12-0.flowlens.part") && is_part("..12-0.flowlens.part"));
        for name in [
            "figure.html.12-0.flowlens.part",
            ".figure.html.flowlens.part",
            ".figure.html.12.flowlens.part",
            ".figure.html.a-0.flowlens.part",
            ".figure.html.12-.flowlens.part",
            ".figure.html.12-0.part",
            ".12-0.flowlens.part",
            "0f3a.flowlens.part",
        ] {
            assert!(!is_part(name), "{name}");
        }
    }

    #[test]
    fn a_part_that_nobody_holds_is_removed_and_one_that_is_held_stays() {
        let folder = std::env::temp_dir().join(format!("flowlens-parts-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let [dead, stranger] = [".a.txt.7-3.flowlens.part", ".a.txt.7.part"].map(|name| folder.join(name));
        fs::write(&dead, "half").unwrap();
        fs::write(&stranger, "half").unwrap();
        let mut first = Part::begin(&folder.join("b.txt"), None).unwrap();
        let second = Part::begin(&folder.join("b.txt"), None).unwrap();
        assert!(!dead.exists() && stranger.exists() && first.path.exists() && second.path.exists());
        first.write_all(b"whole").unwrap();
        first.finish(&folder.join("b.txt")).unwrap();
        drop(second);
        let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".a.txt.7.part", "b.txt"]);
        fs::remove_dir_all(folder).unwrap();
    }
}
