//! Fetching from a server of our own that speaks the Hub's protocol, well and badly.
#![cfg(feature = "hub")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use flowlens::hub::{self, Options};
use sha2::{Digest, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Every request line, with its range if it has one.
static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// How often a path was asked for with GET.
static GETS: LazyLock<Mutex<HashMap<String, usize>>> = LazyLock::new(Default::default);

static PORT: LazyLock<u16> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = answer(stream, port);
            });
        }
    });
    // SAFETY: every test comes here before it does anything else, and the standard library reads the environment under
    // the same lock as it writes it.
    unsafe {
        std::env::set_var("HF_ENDPOINT", format!("http://127.0.0.1:{port}"));
        std::env::set_var("HF_HUB_DOWNLOAD_TIMEOUT", "1");
        std::env::set_var("HF_TOKEN", "hf_secret");
        std::env::remove_var("HF_HUB_OFFLINE");
    }
    port
});

fn weights() -> Vec<u8> {
    (0..200_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn files(model: &str) -> Vec<&'static str> {
    match model {
        "test/shards" => vec![
            "config.json",
            "model.safetensors.index.json",
            "a.safetensors",
            "b.safetensors",
            "pytorch_model.bin",
            "tf_model.h5",
            "README.md",
        ],
        "test/none" => vec!["config.json", "flax_model.msgpack"],
        _ => vec![".gitattributes", "config.json", "model.safetensors", "pytorch_model.bin", "tokenizer.json"],
    }
}

fn contents(name: &str) -> Vec<u8> {
    match name {
        "config.json" => b"{\"model_type\": \"gpt2\"}".to_vec(),
        "tokenizer.json" => b"{}".to_vec(),
        "model.safetensors.index.json" => {
            br#"{"weight_map": {"x": "a.safetensors", "y": "b.safetensors", "z": "a.safetensors"}}"#.to_vec()
        }
        _ => weights(),
    }
}

fn answer(stream: TcpStream, port: u16) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let (mut start, mut token) = (None, false);
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap();
        if name.eq_ignore_ascii_case("range") {
            start =
                value.trim().strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')?.parse::<usize>().ok());
        }
        token |= name.eq_ignore_ascii_case("authorization") && value.trim() == "Bearer hf_secret";
    }
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let range = start.map(|start| format!(" from {start}")).unwrap_or_default();
    let with_token = if token { " with token" } else { "" };
    LOG.lock().unwrap().push(format!("{method} {path}{range}{with_token}"));
    let mut reply = Reply { stream, head: method == "HEAD" };

    if let Some(rest) = path.strip_prefix("/api/models/") {
        let (model, revision) = rest.split_once("/revision/").unwrap();
        return match (model, revision) {
            ("test/gated", _) => reply.status("403 Forbidden", "X-Error-Code: GatedRepo\r\n"),
            ("test/private", _) => reply.status("401 Unauthorized", ""),
            ("test/absent", _) => reply.status("404 Not Found", "X-Error-Code: RepoNotFound\r\n"),
            (_, "v9") => reply.status("404 Not Found", "X-Error-Code: RevisionNotFound\r\n"),
            ("test/renamed", _) => {
                reply.status("307 Temporary Redirect", "Location: /api/models/test/ok/revision/main\r\n")
            }
            ("test/busy", _) if count(&path) < 2 => reply.status("503 Service Unavailable", ""),
            ("test/nonsense", _) => reply.whole("", b"<html>welcome to the hotel network</html>"),
            ("test/commit", _) => reply.whole("", br#"{"sha": "../../../etc", "siblings": []}"#),
            _ => {
                let list: Vec<String> =
                    files(model).iter().map(|name| format!(r#"{{"rfilename": "{name}"}}"#)).collect();
                let text = format!(r#"{{"sha": "{COMMIT}", "siblings": [{}]}}"#, list.join(", "));
                reply.whole("", text.as_bytes())
            }
        };
    }
    let from_store = path.starts_with("/store/");
    let parts: Vec<&str> = path.trim_start_matches("/store").trim_start_matches('/').split('/').collect();
    let [owner, model, "resolve", commit, name] = parts[..] else { return reply.status("404 Not Found", "") };
    assert_eq!(commit, COMMIT);
    let model = format!("{owner}/{model}");
    let bytes = contents(name);
    let large = name.ends_with("safetensors");
    if !from_store && large {
        // Large files lie in a store under another name, as on the Hub.
        let size = if model == "test/size" { bytes.len() + 7 } else { bytes.len() };
        let etag = if model == "test/etag" { "../../../../etag".to_owned() } else { sha256(&bytes) };
        let headers = format!(
            "Location: http://localhost:{port}/store{path}\r\nX-Repo-Commit: {COMMIT}\r\nX-Linked-ETag: \"{etag}\"\r\nX-Linked-Size: {size}\r\n"
        );
        return reply.status("302 Found", &headers);
    }
    let headers = format!("ETag: W/\"{}\"\r\nX-Repo-Commit: {COMMIT}\r\n", &sha256(&bytes)[..40]);
    if method == "HEAD" || !from_store {
        return reply.whole(&headers, &bytes);
    }
    let start = start.unwrap_or(0);
    let time = count(&path);
    match model.as_str() {
        "test/cut" if time < 3 => reply.part(&headers, &bytes, start, start + 100_000),
        // Cut once, then nothing but errors until the second call.
        "test/interrupted" if time == 0 => reply.part(&headers, &bytes, start, 300_000),
        "test/interrupted" if time < 6 => reply.status("500 Internal Server Error", ""),
        "test/slow" if time == 0 => {
            reply.part(&headers, &bytes, start, 10_000)?;
            std::thread::sleep(Duration::from_secs(3));
            Ok(())
        }
        "test/no-ranges" if time == 0 => reply.part(&headers, &bytes, 0, 10_000),
        "test/no-ranges" => reply.whole(&headers, &bytes),
        "test/size" if start >= bytes.len() => reply.status("416 Range Not Satisfiable", ""),
        "test/content" => reply.whole(&headers, &vec![7; bytes.len()]),
        "test/longer" => reply.whole(&headers, &[bytes.as_slice(), b"more"].concat()),
        _ => reply.part(&headers, &bytes, start, bytes.len()),
    }
}

fn count(path: &str) -> usize {
    let mut gets = GETS.lock().unwrap();
    let time = gets.entry(path.to_owned()).or_default();
    *time += 1;
    *time - 1
}

struct Reply {
    stream: TcpStream,
    head: bool,
}

impl Reply {
    fn send(&mut self, status: &str, headers: &str, length: usize, body: &[u8]) -> std::io::Result<()> {
        write!(self.stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n")?;
        if !self.head {
            self.stream.write_all(body)?;
        }
        self.stream.flush()
    }

    fn status(&mut self, status: &str, headers: &str) -> std::io::Result<()> {
        self.send(status, headers, 0, b"")
    }

    fn whole(&mut self, headers: &str, bytes: &[u8]) -> std::io::Result<()> {
        self.send("200 OK", headers, bytes.len(), bytes)
    }

    /// Promises everything from `start`, sends as far as `end`.
    fn part(&mut self, headers: &str, bytes: &[u8], start: usize, end: usize) -> std::io::Result<()> {
        let (status, range) = match start {
            0 => ("200 OK", String::new()),
            _ => {
                ("206 Partial Content", format!("Content-Range: bytes {start}-{}/{}\r\n", bytes.len() - 1, bytes.len()))
            }
        };
        let headers = format!("{headers}{range}");
        self.send(status, &headers, bytes.len() - start, &bytes[start..end.min(bytes.len())])
    }
}

/// An empty cache of its own for each test.
fn options(name: &str) -> Options {
    let _ = *PORT;
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hub").join(name);
    let _ = std::fs::remove_dir_all(&cache);
    Options { cache: Some(cache), ..Options::default() }
}

fn requests(model: &str) -> Vec<String> {
    LOG.lock().unwrap().iter().filter(|line| line.contains(&format!("/{model}/"))).cloned().collect()
}

/// All files below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

/// The error's text, which must hold all of `parts`; nothing may lie under a final name of weights.
fn refused(model: &str, options: &Options, parts: &[&str]) {
    let text = hub::find(model, options).expect_err("should be refused").to_string();
    for part in parts.iter().chain(&[model]) {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
    for path in below(options.cache.as_ref().unwrap()) {
        let size = path.metadata().unwrap().len();
        let part = path.extension().is_some_and(|ending| ending == "part");
        assert!(part || size < 1000, "{} has {size} bytes", path.display());
    }
}

#[test]
fn fetches_what_a_model_needs_into_the_layout_of_python() {
    let options = options("ok");
    let folder = hub::find("test/ok", &options).unwrap();
    let repo = options.cache.as_ref().unwrap().join("models--test--ok");
    assert_eq!(folder, repo.join("snapshots").join(COMMIT));
    assert_eq!(std::fs::read(folder.join("model.safetensors")).unwrap(), weights());
    assert_eq!(std::fs::read(folder.join("config.json")).unwrap(), contents("config.json"));
    assert!(folder.join("tokenizer.json").exists() && !folder.join("pytorch_model.bin").exists());
    assert_eq!(std::fs::read_to_string(repo.join("refs/main")).unwrap(), COMMIT);
    #[cfg(unix)]
    assert_eq!(
        std::fs::read_link(folder.join("model.safetensors")).unwrap(),
        Path::new("../../blobs").join(sha256(&weights()))
    );
    let log = requests("test/ok");
    assert!(!log.iter().any(|line| line.contains("pytorch_model.bin")), "{log:?}");
    assert!(log[0].ends_with("/api/models/test/ok/revision/main with token"), "{log:?}");
    assert!(log.iter().filter(|line| line.contains("/store/")).all(|line| !line.contains("token")), "{log:?}");

    // Once whole it needs no network, by branch and by commit.
    assert_eq!(hub::find("test/ok", &options).unwrap(), folder);
    let offline = Options { offline: true, revision: COMMIT.to_owned(), ..options };
    assert_eq!(hub::find("test/ok", &offline).unwrap(), folder);
    assert_eq!(requests("test/ok").len(), log.len());
}

#[test]
fn fetches_shards_by_their_index() {
    let options = options("shards");
    let folder = hub::find("test/shards", &options).unwrap();
    let mut names: Vec<_> = below(&folder).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["a.safetensors", "b.safetensors", "config.json", "model.safetensors.index.json"]);
    // Equal contents are one blob, as in Python.
    assert_eq!(requests("test/shards").iter().filter(|line| line.starts_with("GET /store/")).count(), 1);
    // A snapshot that lost a shard is not whole.
    std::fs::remove_file(folder.join("b.safetensors")).unwrap();
    let offline = Options { offline: true, ..options.clone() };
    assert!(hub::find("test/shards", &offline).unwrap_err().to_string().contains("not whole in the cache"));
    assert_eq!(hub::find("test/shards", &options).unwrap(), folder);
}

#[test]
fn takes_a_cache_that_python_made() {
    let options = options("python");
    let repo = options.cache.as_ref().unwrap().join("models--python--made");
    let snapshot = repo.join("snapshots").join(COMMIT);
    for folder in [&snapshot, &repo.join("refs"), &repo.join("blobs")] {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::write(repo.join("refs/main"), COMMIT).unwrap();
    std::fs::write(snapshot.join("config.json"), "{}").unwrap();
    let offline = Options { offline: true, ..options };
    let text = hub::find("python/made", &offline).unwrap_err().to_string();
    assert!(text.contains("not whole") && text.contains("offline"), "{text}");
    std::fs::write(snapshot.join("pytorch_model.bin"), "x").unwrap();
    assert_eq!(hub::find("python/made", &offline).unwrap(), snapshot);
    assert!(requests("python/made").is_empty());
}

#[test]
fn says_why_a_model_cannot_be_had() {
    let options = options("refused");
    refused("test/gated", &options, &["gated", "https://huggingface.co/test/gated", "HF_TOKEN"]);
    refused("test/private", &options, &["refuses access", "gated", "HF_TOKEN"]);
    refused("test/absent", &options, &["no model", "\"main\"", "spelling"]);
    let other = Options { revision: "v9".to_owned(), ..options.clone() };
    refused("test/ok", &other, &["no revision \"v9\""]);
    refused("test/none", &options, &["neither safetensors nor PyTorch"]);
    refused("test/nonsense", &options, &["not that of a Hub", "HF_ENDPOINT"]);
    refused("test/commit", &options, &["not that of a Hub"]);
    refused("test/etag", &options, &["no ETag"]);
    let climbing = Options { revision: "../../x".to_owned(), ..options.clone() };
    refused("test/ok", &climbing, &["not the name of a branch"]);
    refused("no/such/model", &options, &["no such folder", "smollm2-135m"]);
    refused("./nowhere", &options, &["no such folder"]);
    let offline = Options { offline: true, ..options };
    refused("smollm2-135m", &offline, &["offline", ".gguf"]);
}

#[test]
fn goes_on_where_a_connection_was_cut() {
    let options = options("cut");
    let folder = hub::find("test/cut", &options).unwrap();
    assert_eq!(std::fs::read(folder.join("model.safetensors")).unwrap(), weights());
    let log = requests("test/cut");
    let ranges: Vec<_> = log.iter().filter(|line| line.starts_with("GET /store/")).collect();
    assert!(ranges.len() == 4 && ranges[3].contains("from 300000"), "{ranges:?}");

    // A server that knows no ranges sends everything again.
    let folder = hub::find("test/no-ranges", &options).unwrap();
    assert_eq!(std::fs::read(folder.join("model.safetensors")).unwrap(), weights());
}

#[test]
fn goes_on_where_an_earlier_run_stopped() {
    let options = options("interrupted");
    refused("test/interrupted", &options, &["500", "0.3 MB of 0.8 MB are kept", "run again"]);
    let parts = below(options.cache.as_ref().unwrap());
    assert!(parts.iter().any(|path| path.metadata().unwrap().len() == 300_000), "{parts:?}");
    let path = format!("/store/test/interrupted/resolve/{COMMIT}/model.safetensors");
    *GETS.lock().unwrap().get_mut(&path).unwrap() += 100;
    let folder = hub::find("test/interrupted", &options).unwrap();
    assert_eq!(std::fs::read(folder.join("model.safetensors")).unwrap(), weights());
    assert!(requests("test/interrupted").last().is_some_and(|line| line.contains("from 300000")));
}

#[test]
fn a_slow_or_busy_server_is_tried_again() {
    let options = options("slow");
    for model in ["test/slow", "test/busy"] {
        let folder = hub::find(model, &options).unwrap();
        assert_eq!(std::fs::read(folder.join("model.safetensors")).unwrap(), weights(), "{model}");
    }
    // A renamed model: the Hub sends on to the new name.
    let folder = hub::find("test/renamed", &options).unwrap();
    assert!(folder.join("model.safetensors").exists());
}

#[test]
fn wrong_size_or_contents_never_get_a_final_name() {
    let options = options("wrong");
    refused("test/size", &options, &["expected 800007 bytes", "800000 bytes"]);
    refused("test/content", &options, &["not what it should be", "got sha256"]);
    refused("test/longer", &options, &["not what it should be", "sends more"]);
}
