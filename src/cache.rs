//! Results that take a person's time, kept from one session to the next.
//!
//! An entry's name is the SHA-256 of all that its numbers come from (vectors, weights, what was asked for, the version of
//! Flowlens), so an entry is never out of date: other numbers have another name. Entries are written whole, checked
//! when read, and the least used go first when all together pass 500 MB. The folder is `FLOWLENS_CACHE`, or `results`
//! in `FLOWLENS_HOME`, or `flowlens/results` in the user's cache folder; `FLOWLENS_CACHE=off` keeps nothing. A cache that cannot be read or written costs time,
//! never a result.
//!
//! Only what was measured to take seconds is kept: words near the vectors of a long text, at all depths of a model
//! (docs/benchmarks.md). Everything else is computed anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::{Error, Result, files};

/// Bytes that all entries together may take.
const LIMIT: u64 = 500_000_000;
const ENDING: &str = "result";

/// One result in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// What it is.
    pub what: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// When it was written or last read.
    pub used: SystemTime,
    path: PathBuf,
}

/// Where results are kept; `None` where that is switched off or there is no place for it.
pub fn folder() -> Option<PathBuf> {
    folder_of(std::env::var_os("FLOWLENS_CACHE"), |name| std::env::var_os(name).map(PathBuf::from))
}

fn folder_of(own: Option<std::ffi::OsString>, variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    match own {
        Some(own) if own == "off" => None,
        Some(own) if !own.is_empty() => Some(PathBuf::from(own)),
        _ => {
            let given = |name: &str| variable(name).filter(|folder| folder.is_absolute());
            let caches = || given("XDG_CACHE_HOME").or_else(|| Some(given("HOME")?.join(".cache")));
            Some(given("FLOWLENS_HOME").or_else(|| Some(caches()?.join("flowlens")))?.join("results"))
        }
    }
}

/// All results in the cache, the last used first.
///
/// # Errors
/// When the folder is there and cannot be read.
pub fn entries() -> Result<Vec<Entry>> {
    folder().map_or(Ok(Vec::new()), |folder| entries_in(&folder))
}

/// Removes all results; gives the bytes that this freed.
///
/// # Errors
/// When the folder cannot be read or a result cannot be removed.
pub fn clear() -> Result<u64> {
    let mut freed = 0;
    for entry in entries()? {
        fs::remove_file(&entry.path).map_err(|source| Error::io(&entry.path, source))?;
        freed += entry.bytes;
    }
    Ok(freed)
}

/// The name of a result, made of all that it comes from.
pub(crate) struct Key {
    what: &'static str,
    hash: Sha256,
}

impl Key {
    /// A name that begins with what the result is, in small letters and hyphens.
    pub(crate) fn new(what: &'static str) -> Key {
        let mut hash = Sha256::new();
        hash.update(env!("CARGO_PKG_VERSION"));
        hash.update(what);
        Key { what, hash }
    }

    /// Adds bytes; their number counts as well, so that neighbours cannot run into each other.
    pub(crate) fn with(mut self, bytes: &[u8]) -> Key {
        self.hash.update((bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
        self
    }

    /// Adds numbers, as [`with`](Key::with) adds their bytes.
    pub(crate) fn with_numbers(mut self, numbers: &[f32]) -> Key {
        self.hash.update((numbers.len() as u64 * 4).to_le_bytes());
        let mut bytes = Vec::with_capacity(4 * numbers.len().min(4_096));
        for part in numbers.chunks(4_096) {
            bytes.clear();
            bytes.extend(part.iter().flat_map(|number| number.to_le_bytes()));
            self.hash.update(&bytes);
        }
        self
    }

    fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}-{}.{ENDING}", self.what, hex(&self.hash.clone().finalize())))
    }

    /// The result, if it is there and whole.
    pub(crate) fn fetch(&self) -> Option<Vec<u8>> {
        self.fetch_in(&folder()?)
    }

    /// Keeps a result.
    pub(crate) fn store(&self, result: &[u8]) {
        if let Some(folder) = folder() {
            self.store_in(&folder, result, LIMIT);
        }
    }

    fn fetch_in(&self, folder: &Path) -> Option<Vec<u8>> {
        let path = self.path(folder);
        let bytes = files::read_within(&path, LIMIT).ok()?;
        let (sum, result) = bytes.split_at_checked(32)?;
        if Sha256::digest(result)[..] != *sum {
            // Half a disk's worth of rubbish helps nobody, and the name is taken.
            let _ = fs::remove_file(&path);
            return None;
        }
        // What is used stays.
        let _ = fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(result.to_vec())
    }

    fn store_in(&self, folder: &Path, result: &[u8], limit: u64) {
        let bytes = [Sha256::digest(result).as_slice(), result].concat();
        if bytes.len() as u64 > limit || fs::create_dir_all(folder).is_err() {
            return;
        }
        if files::write_whole(self.path(folder), &bytes).is_ok() {
            keep_within(folder, limit);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn entries_in(folder: &Path) -> Result<Vec<Entry>> {
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::io(folder, source)),
    };
    let mut entries: Vec<Entry> = listing.filter_map(|file| entry(file.ok()?.path())).collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.used));
    Ok(entries)
}

/// The entry in a file; none where it is something else, or another kernel has just removed it.
fn entry(path: PathBuf) -> Option<Entry> {
    let name = path.file_name()?.to_str()?.strip_suffix(&format!(".{ENDING}"))?;
    let (what, hash) = name.rsplit_once('-')?;
    let ours = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let about = fs::symlink_metadata(&path).ok().filter(|about| ours && about.is_file())?;
    Some(Entry { what: what.replace('-', " "), bytes: about.len(), used: about.modified().ok()?, path: path.clone() })
}

/// Removes what was used longest ago until the rest is within the limit.
fn keep_within(folder: &Path, limit: u64) {
    let mut total = 0;
    for entry in entries_in(folder).unwrap_or_default() {
        total += entry.bytes;
        if total > limit {
            let _ = fs::remove_file(&entry.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("flowlens-cache-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn gives_back_what_was_kept_for_the_same_numbers_only() {
        let folder = place("same");
        let key = |last: &[u8]| Key::new("near-words").with(b"ab").with(last);
        key(b"c").store_in(&folder, b"words", LIMIT);
        assert_eq!(key(b"c").fetch_in(&folder).unwrap(), b"words");
        assert_eq!(key(b"d").fetch_in(&folder), None);
        assert_eq!(Key::new("near-words").with(b"a").with(b"bc").fetch_in(&folder), None);
        assert_eq!(entries_in(&folder).unwrap()[0].what, "near words");
        let numbers: Vec<f32> = (0..9_000).map(|n| n as f32).collect();
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let [a, b] = [Key::new("words").with_numbers(&numbers), Key::new("words").with(&bytes)];
        assert_eq!(a.path(&folder), b.path(&folder));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_was_damaged_is_not_read() {
        let folder = place("damaged");
        let key = Key::new("words");
        key.store_in(&folder, &[7; 100], LIMIT);
        for cut in [0, 31, 80] {
            let path = key.path(&folder);
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(key.fetch_in(&folder), None, "cut at {cut}");
            key.store_in(&folder, &[7; 100], LIMIT);
        }
        assert_eq!(key.fetch_in(&folder).unwrap(), [7; 100]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_least_used_goes_first_and_strangers_stay() {
        let folder = place("bounded");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("letter.result"), [0; 500]).unwrap();
        let keys: Vec<Key> = (0..3u8).map(|number| Key::new("words").with(&[number])).collect();
        for (age, key) in keys.iter().enumerate() {
            key.store_in(&folder, &[0; 100], LIMIT);
            let past = SystemTime::now() - std::time::Duration::from_secs(100 - age as u64);
            fs::File::open(key.path(&folder)).unwrap().set_modified(past).unwrap();
        }
        assert!(keys[0].fetch_in(&folder).is_some(), "it counts as used now");
        Key::new("words").with(&[9]).store_in(&folder, &[0; 100], 300);
        assert!(keys[0].fetch_in(&folder).is_some() && keys[1].fetch_in(&folder).is_none());
        assert!(folder.join("letter.result").exists());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_folder_follows_the_environment() {
        let home = |name: &str| (name == "HOME").then(|| PathBuf::from("/home/a"));
        assert_eq!(folder_of(None, home), Some("/home/a/.cache/flowlens/results".into()));
        assert_eq!(folder_of(Some("off".into()), home), None);
        assert_eq!(folder_of(Some("/tmp/x".into()), home), Some("/tmp/x".into()));
        assert_eq!(folder_of(None, |_| None), None);
    }
}
