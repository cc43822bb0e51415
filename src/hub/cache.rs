//! The Hub cache as Python's `huggingface_hub` lays it out.
//!
//! ```text
//! models--owner--name/
//!   refs/main              the commit that `main` was last seen at
//!   blobs/<etag>           contents
//!   snapshots/<commit>/    links into blobs under the files' own names
//! ```

use std::path::{Path, PathBuf};

use super::Options;
use crate::checkpoint::shards;
use crate::{Error, Result, files};

/// Bytes that the file of a commit or of an access token may have.
const SHORT: u64 = 4096;

/// One revision of one model in the cache.
pub(super) struct Repo {
    pub id: String,
    pub revision: String,
    folder: PathBuf,
}

impl Repo {
    pub fn new(options: &Options, id: &str) -> Result<Repo> {
        let root = match &options.cache {
            Some(folder) => folder.clone(),
            None => hub_cache()?,
        };
        let revision = options.revision.clone();
        if !is_revision(&revision) {
            return Err(super::failed(id, format!("{revision:?} is not the name of a branch, a tag or a commit")));
        }
        let model = hf_hub::Repo::with_revision(id.to_owned(), hf_hub::RepoType::Model, revision.clone());
        let folder = root.join(model.folder_name());
        Ok(Repo { id: id.to_owned(), revision, folder })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    fn reference(&self) -> PathBuf {
        self.folder.join("refs").join(&self.revision)
    }

    /// The commit that the revision stands for, as far as the cache knows.
    fn commit(&self) -> Option<String> {
        let known = files::read_text_within(self.reference(), SHORT).ok().map(|commit| commit.trim().to_owned());
        known.or_else(|| is_commit(&self.revision).then(|| self.revision.clone())).filter(|commit| is_commit(commit))
    }

    /// The snapshot, when everything is there that a model needs.
    pub fn whole_snapshot(&self) -> Option<PathBuf> {
        let folder = self.snapshot(&self.commit()?);
        is_whole(&folder).then_some(folder)
    }

    /// Remembers which commit the revision stands for.
    pub fn remember(&self, commit: &str) -> Result<()> {
        if commit == self.revision {
            return Ok(());
        }
        let path = self.reference();
        files::prepare_folder(&path)?;
        files::write_whole(&path, commit.as_bytes())
    }

    /// Gives a blob its name in a snapshot: a relative link, as Python makes it, or a copy where links cannot be made.
    pub fn link(&self, blob: &str, commit: &str, name: &str) -> Result<()> {
        let path = self.snapshot(commit).join(name);
        files::prepare_folder(&path)?;
        if path.exists() {
            return Ok(());
        }
        // A link to a blob that is gone.
        let _ = std::fs::remove_file(&path);
        #[cfg(unix)]
        let linked = std::os::unix::fs::symlink(Path::new("../../blobs").join(blob), &path);
        #[cfg(not(unix))]
        let linked = std::fs::copy(self.blob(blob), &path).map(drop);
        match linked {
            // Another process was quicker.
            Err(_) if path.exists() => Ok(()),
            linked => linked.map_err(|source| Error::io(&path, source)),
        }
    }
}

/// Whether a folder has a config and all the weights that one kind of file asks for.
fn is_whole(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).exists();
    let all_shards = |index: &str| {
        shards(&folder.join(index)).is_ok_and(|shards| !shards.is_empty() && shards.iter().all(|shard| has(shard)))
    };
    has("config.json")
        && (has("model.safetensors")
            || all_shards("model.safetensors.index.json")
            || has("pytorch_model.bin")
            || all_shards("pytorch_model.bin.index.json"))
}

/// `HF_HUB_CACHE`, `HF_HOME/hub`, `XDG_CACHE_HOME/huggingface/hub` or `~/.cache/huggingface/hub`.
fn hub_cache() -> Result<PathBuf> {
    match folder_of("HF_HUB_CACHE").or_else(|| folder_of("HUGGINGFACE_HUB_CACHE")) {
        Some(folder) => Ok(folder),
        None => Ok(hf_home()?.join("hub")),
    }
}

fn hf_home() -> Result<PathBuf> {
    match folder_of("HF_HOME") {
        Some(folder) => Ok(folder),
        None => Ok(user_cache()?.join("huggingface")),
    }
}

/// Where this user's programs keep what they can fetch again.
pub(super) fn user_cache() -> Result<PathBuf> {
    if let Some(folder) = folder_of("XDG_CACHE_HOME") {
        return Ok(folder);
    }
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    let home =
        home.ok_or_else(|| super::failed("cache", "there is no home folder to keep it in; set HF_HOME to a folder"))?;
    Ok(home.join(".cache"))
}

/// The folder that an environment variable names; `~/` is the home folder.
pub(super) fn folder_of(variable: &str) -> Option<PathBuf> {
    let value = std::env::var_os(variable).filter(|value| !value.is_empty())?;
    let path = PathBuf::from(value);
    match path.strip_prefix("~") {
        Ok(rest) => Some(std::env::home_dir()?.join(rest)),
        Err(_) => Some(path),
    }
}

/// The access token: `HF_TOKEN`, or the file that `hf auth login` writes.
#[cfg(feature = "hub")]
pub(super) fn token() -> Option<String> {
    let from = |variable: &str| std::env::var(variable).ok();
    let token = from("HF_TOKEN").or_else(|| from("HUGGING_FACE_HUB_TOKEN")).or_else(|| {
        let path = folder_of("HF_TOKEN_PATH").or_else(|| Some(hf_home().ok()?.join("token")))?;
        files::read_text_within(path, SHORT).ok()
    })?;
    let token = token.trim();
    (!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())).then(|| token.to_owned())
}

/// Whether a text names a commit, so that it cannot lead out of the cache.
pub(super) fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Names of branches may hold `/`, as in `refs/pr/1`, but must not lead out of the folder of references.
fn is_revision(text: &str) -> bool {
    text.len() <= 200
        && text.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'?' | b'#' | b'%'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_cache() {
        assert!(is_commit("0123abc") && !is_commit("../../etc") && !is_commit("") && !is_commit("0123abg"));
        assert!(is_revision("main") && is_revision("refs/pr/1") && is_revision("v1.0"));
        for revision in ["", "/", "../x", "a/../b", "a//b", "a b", "a?b", "a\\b", "."] {
            assert!(!is_revision(revision), "{revision}");
        }
    }
}
