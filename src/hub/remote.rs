//! The Hub's protocol, as far as fetching a model needs it.

use std::path::PathBuf;

use serde_json::Value;

use super::cache::{Repo, is_commit, token};
use super::failed;
use super::transfer::{self, Wanted, agent, called, plain, request};
use crate::checkpoint::shards;
use crate::interrupt;
use crate::progress::{Unit, say};
use crate::{Error, Result};

/// Fetched when the repository has them.
const SMALL: [&str; 8] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
];

/// An answer larger than this is no list of files.
const LARGEST_ANSWER: u64 = 64 << 20;

/// Fetches what a model needs and nothing else: config, tokenizer, and one kind of weights.
pub(super) fn fetch(repo: &Repo) -> Result<PathBuf> {
    let hub = Hub { endpoint: endpoint(), token: token(), repo, agent: agent(0), fetched: Default::default() };
    let (commit, files) = hub.revision()?;
    let has = |name: &str| files.iter().any(|file| file == name);
    if !has("config.json") {
        return Err(failed(
            &repo.id,
            format!(
                "its repository has no config.json at revision {}, so it is no model of a known kind",
                repo.revision
            ),
        ));
    }
    let mut wanted: Vec<String> = SMALL.iter().filter(|&&name| has(name)).map(|&name| name.to_owned()).collect();
    let index = |name: &str| -> Result<Vec<String>> {
        hub.file(&commit, name)?;
        shards(&repo.snapshot(&commit).join(name))
    };
    if has("model.safetensors") {
        wanted.push("model.safetensors".to_owned());
    } else if has("model.safetensors.index.json") {
        wanted.extend(index("model.safetensors.index.json")?);
    } else if has("pytorch_model.bin") {
        wanted.push("pytorch_model.bin".to_owned());
    } else if has("pytorch_model.bin.index.json") {
        wanted.extend(index("pytorch_model.bin.index.json")?);
    } else {
        return Err(failed(
            &repo.id,
            "its repository has neither safetensors nor PyTorch weights; a .gguf file must be fetched by hand and given by its path",
        ));
    }
    for name in &wanted {
        hub.file(&commit, name)?;
    }
    repo.remember(&commit)?;
    let (count, bytes) = hub.fetched.get();
    if count > 0 {
        say(&format!("fetched {}: {count} files, {}", repo.id, Unit::Bytes.amount(bytes)));
    }
    Ok(repo.snapshot(&commit))
}

fn endpoint() -> String {
    let set = std::env::var("HF_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty());
    set.unwrap_or_else(|| "https://huggingface.co".to_owned()).trim_end_matches('/').to_owned()
}

struct Hub<'a> {
    endpoint: String,
    token: Option<String>,
    repo: &'a Repo,
    /// Follows no redirects: what the Hub itself says of a file stands in its own answer.
    agent: ureq::Agent,
    /// Number of files and bytes.
    fetched: std::cell::Cell<(usize, u64)>,
}

impl Hub<'_> {
    fn revision_in_url(&self) -> String {
        self.repo.revision.replace('/', "%2F")
    }

    /// The commit that the revision stands for, and the names of its files.
    fn revision(&self) -> Result<(String, Vec<String>)> {
        let url = format!("{}/api/models/{}/revision/{}", self.endpoint, self.repo.id, self.revision_in_url());
        let response = self.call("GET", &url)?;
        let mut text = String::new();
        let body = std::io::Read::take(response.into_reader(), LARGEST_ANSWER);
        let answer: Option<Value> =
            std::io::Read::read_to_string(&mut { body }, &mut text).ok().and_then(|_| serde_json::from_str(&text).ok());
        let unreadable =
            || failed(&self.repo.id, format!("the answer of {url} is not that of a Hub; check HF_ENDPOINT"));
        let answer = answer.ok_or_else(unreadable)?;
        let commit = answer["sha"].as_str().filter(|commit| is_commit(commit)).ok_or_else(unreadable)?;
        let files = answer["siblings"].as_array().ok_or_else(unreadable)?;
        let names = files.iter().filter_map(|file| Some(file["rfilename"].as_str()?.to_owned())).collect();
        Ok((commit.to_owned(), names))
    }

    /// Puts one file into the cache, unless it is there.
    fn file(&self, commit: &str, name: &str) -> Result<()> {
        if self.repo.snapshot(commit).join(name).exists() {
            return Ok(());
        }
        let ordinary = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if !name.bytes().all(ordinary) {
            return Err(failed(
                &self.repo.id,
                format!("its index names a file {name:?}, which is no ordinary file name"),
            ));
        }
        let url = format!("{}/{}/resolve/{commit}/{name}", self.endpoint, self.repo.id);
        let head = self.call("HEAD", &url)?;
        let header = |names: [&str; 2]| names.iter().find_map(|name| head.header(name)).map(str::to_owned);
        let etag =
            header(["x-linked-etag", "etag"]).map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_owned());
        let etag = etag.filter(|etag| is_etag(etag)).ok_or_else(|| {
            failed(
                &self.repo.id,
                format!("the server does not say which version of {name} it has (no ETag); check HF_ENDPOINT"),
            )
        })?;
        let size = header(["x-linked-size", "content-length"]).and_then(|size| size.parse().ok());
        // The contents of large files are named by their SHA-256.
        let sha256 = (etag.len() == 64).then_some(etag.as_str());
        let blob = self.repo.blob(&etag);
        if !blob.exists() {
            let what = format!("{name} of {}", self.repo.id);
            let token = self.token.as_deref();
            transfer::fetch(&Wanted { model: &self.repo.id, what: &what, url: &url, token, size, sha256 }, &blob)?;
            let (count, bytes) = self.fetched.get();
            let length = std::fs::metadata(&blob).map_or(0, |metadata| metadata.len());
            self.fetched.set((count + 1, bytes + length));
        }
        self.repo.link(&etag, commit, name)
    }

    /// A request whose answer is the Hub's own: redirects within the Hub are followed (renamed models), others are not.
    fn call(&self, method: &str, url: &str) -> Result<ureq::Response> {
        let mut url = url.to_owned();
        for _ in 0..5 {
            let response = self.patiently(method, &url)?;
            let location = response.header("location").filter(|_| (300..400).contains(&response.status()));
            match location {
                Some(path) if path.starts_with('/') => url = format!("{}{path}", self.endpoint),
                Some(same) if same.starts_with(&format!("{}/", self.endpoint)) => url = same.to_owned(),
                _ => return Ok(response),
            }
        }
        Err(failed(&self.repo.id, format!("{url} leads in circles")))
    }

    fn patiently(&self, method: &str, url: &str) -> Result<ureq::Response> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let request = request(&self.agent, method, url, self.token.as_deref());
            let what = format!("asking the Hub for {}", self.repo.id);
            let error = match interrupt::wait(&what, move || called(request))? {
                Ok(response) => return Ok(response),
                Err(error) => *error,
            };
            let passing = match &error {
                ureq::Error::Status(status, _) => matches!(status, 408 | 429 | 500..=599),
                ureq::Error::Transport(error) => error.kind() == ureq::ErrorKind::Io,
            };
            if !passing || attempt == 3 {
                return Err(self.explain(error, url));
            }
            std::thread::sleep(std::time::Duration::from_millis(250 << attempt));
        }
    }

    fn explain(&self, error: ureq::Error, url: &str) -> Error {
        let (id, revision) = (&self.repo.id, &self.repo.revision);
        let response = match error {
            ureq::Error::Transport(error) => {
                return failed(
                    id,
                    format!(
                        "not in the cache, and the Hub cannot be reached at {} ({}); check the network or HF_ENDPOINT, or \
                         give a folder",
                        self.endpoint,
                        plain(&error)
                    ),
                );
            }
            ureq::Error::Status(_, response) => response,
        };
        let code = response.header("x-error-code").unwrap_or_default().to_owned();
        let page = format!("https://huggingface.co/{id}");
        let login = match self.token {
            Some(_) => "the token in use has no access to it: check HF_TOKEN",
            None => "then log in with `hf auth login` or set HF_TOKEN",
        };
        failed(
            id,
            match (response.status(), code.as_str()) {
                (_, "GatedRepo") => format!("a gated model: accept its terms at {page}, {login}"),
                (404, "RevisionNotFound") => {
                    format!("the Hub has this model, but no revision {revision:?}; see {page}/tree/main")
                }
                (404, "EntryNotFound") => format!("a file is missing on the Hub at revision {revision:?} ({url})"),
                (404, _) => format!("the Hub has no model {id:?} at revision {revision:?}; check the spelling"),
                (401 | 403, _) => format!(
                    "the Hub refuses access: it does not exist, is private, or is gated. Check the spelling; if it is gated, \
                     accept its terms at {page}, {login}"
                ),
                (status, _) => format!("the Hub answers {status} for {url}; try again later"),
            },
        )
    }
}

/// Whether an ETag can be the name of a file.
fn is_etag(etag: &str) -> bool {
    (1..=128).contains(&etag.len()) && etag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
