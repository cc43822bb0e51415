//! Downloads that are killed, that several processes want at once, and that the disk has no room for.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

/// What was asked for, with the range if there was one.
type Log = Arc<Mutex<Vec<String>>>;

/// A Hub with one model, tiny and slow.
fn hub() -> (String, Log) {
    hub_that_waits(Arc::default())
}

/// The same that sends no more than the first half of a file as long as `waits` is set.
fn hub_that_waits(waits: Arc<AtomicBool>) -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, log) = (format!("http://{}", listener.local_addr().unwrap()), Log::default());
    let copy = log.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (log, waits) = (copy.clone(), waits.clone());
            std::thread::spawn(move || answer(stream, &log, &waits));
        }
    });
    (address, log)
}

fn answer(mut stream: TcpStream, log: &Log, waits: &AtomicBool) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let asked = lines.next().unwrap_or(Ok(String::new()))?;
    let header: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let from = |line: &String| line.to_lowercase().strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok();
    let start: usize = header.iter().find_map(from).unwrap_or(0);
    let path = asked.split(' ').nth(1).unwrap_or_default();
    log.lock().unwrap().push(format!("{} from {start}", asked.trim_end_matches(" HTTP/1.1")));
    if path.starts_with("/api/") {
        let list: Vec<String> = FILES.iter().map(|name| format!("{{\"rfilename\": \"{name}\"}}")).collect();
        let body = format!("{{\"sha\": \"{COMMIT}\", \"siblings\": [{}]}}", list.join(", "));
        return write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    let bytes = fs::read(Path::new(&fixture("llama_gqa")).join(name))?;
    let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let (status, length) = (if start > 0 { "206 Partial Content" } else { "200 OK" }, bytes.len() - start);
    let range = format!("Content-Range: bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\nETag: \"{hash}\"\r\nContent-Length: {length}\r\n{range}\r\n\r\n"
    )?;
    if asked.starts_with("GET ") {
        for (number, piece) in bytes[start..].chunks(10_000).enumerate() {
            while number * 20_000 > length && waits.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            stream.write_all(piece)?;
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

/// A command that needs the model, with its cache in a folder.
fn wants(runner: &[&str], hub: &str, cache: &Path) -> Command {
    let mut command = through(runner, &["info", "--model", "test/tiny"]);
    command.env("HF_ENDPOINT", hub).env("HF_HOME", cache);
    for other in ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN"] {
        command.env_remove(other);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The model is there as it should be, and nothing else.
fn whole(cache: &Path) {
    let repo = cache.join("hub/models--test--tiny");
    for name in FILES {
        let [own, wanted] =
            [repo.join("snapshots").join(COMMIT), PathBuf::from(fixture("llama_gqa"))].map(|at| at.join(name));
        assert!(fs::read(own).unwrap() == fs::read(wanted).unwrap(), "{name}");
    }
    assert_eq!(names(&repo.join("blobs")).len(), FILES.len());
    assert!(!below(cache).iter().any(|path| path.to_string_lossy().ends_with(PART)), "{:?}", below(cache));
}

#[test]
fn a_download_that_is_killed_is_gone_on_with() {
    let waits = Arc::new(AtomicBool::new(false));
    let (hub, log) = hub_that_waits(waits.clone());
    let cache = folder("download");
    let mut numbers = fastrand::Rng::with_seed(14);
    for signal in ["KILL", "INT", "TERM"].into_iter().cycle().take(9) {
        let asked = log.lock().unwrap().len();
        let mut child = wants(&[], &hub, &cache).spawn().unwrap();
        // Its start is as long as libtorch takes; the rest is a question and an answer after the other.
        while log.lock().unwrap().len() == asked && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(drawn(&mut numbers, 250));
        let _ = Command::new("kill").args(["-s", signal, &child.id().to_string()]).output();
        child.wait().unwrap();
        // Only what is gone on with.
        let parts = below(&cache).into_iter().filter(|path| path.to_string_lossy().ends_with(PART));
        assert!(parts.into_iter().all(|path| path.to_string_lossy().ends_with(".flowlens.part")));
    }
    worked(&wants(&[], &hub, &cache).output().unwrap());
    whole(&cache);
    // One that is surely met in the middle of a file.
    fs::remove_dir_all(&cache).unwrap();
    waits.store(true, Ordering::Relaxed);
    let mut child = wants(&[], &hub, &cache).spawn().unwrap();
    let is_half = |path: &PathBuf| {
        path.to_string_lossy().ends_with(PART) && fs::metadata(path).is_ok_and(|about| about.len() > 10_000)
    };
    while !below(&cache).iter().any(is_half) {
        assert!(child.try_wait().unwrap().is_none(), "the download did not wait");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    waits.store(false, Ordering::Relaxed);
    log.lock().unwrap().clear();
    worked(&wants(&[], &hub, &cache).output().unwrap());
    whole(&cache);
    let log = log.lock().unwrap();
    assert!(log.iter().any(|line| line.starts_with("GET ") && !line.ends_with(" from 0")), "{log:?}");
    fs::remove_dir_all(cache).unwrap();
}

#[test]
fn processes_that_want_one_model_fetch_each_file_once() {
    for count in [2, 3] {
        let (hub, log) = hub();
        let cache = folder(&format!("together-{count}"));
        let all: Vec<Child> = (0..count).map(|_| wants(&[], &hub, &cache).spawn().unwrap()).collect();
        for child in all {
            worked(&child.wait_with_output().unwrap());
        }
        whole(&cache);
        let log = log.lock().unwrap();
        for name in FILES {
            let times =
                log.iter().filter(|line| line.starts_with("GET ") && line.contains(&format!("/{name} "))).count();
            assert_eq!(times, 1, "{name}: {log:?}");
        }
        fs::remove_dir_all(cache).unwrap();
    }
}

#[test]
fn a_full_cache_is_named_with_the_way_out() {
    let (hub, _) = hub();
    let cache = folder("full-cache");
    let at = cache.display().to_string();
    let script = "\"$@\" && exit 9; mount -o remount,size=2M \"$0\"; \"$@\"";
    let Some(runner) = on_a_small_disk("100k", &at, script) else { return };
    let runner: Vec<&str> = runner.iter().map(String::as_str).collect();
    let output = wants(&runner, &hub, &cache).output().unwrap();
    // With room it goes on.
    assert!(output.status.success(), "{}", said(&output));
    let said = said(&output);
    let error = said.lines().find(|line| line.starts_with("error: ")).unwrap();
    for part in ["models--test--tiny/blobs/", "No space left", "HF_HOME", "run again"] {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
    fs::remove_dir_all(cache).unwrap();
}
