//! Where what is saved goes.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::process::Stdio;
use std::sync::LazyLock;

use super::*;

/// A head view that goes to a file.
fn page(runner: &[&str], kind: &str, file: &str) -> Output {
    through(runner, &["head-view", "--model", &fixture("llama_gqa"), "--text", "hello", kind, file]).output().unwrap()
}

/// What the page has in it, wherever it goes.
fn content() -> &'static [u8] {
    static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let folder = folder("content");
        let file = folder.join("page.html");
        worked(&page(&[], "--html", &file.display().to_string()));
        let content = fs::read(file).unwrap();
        fs::remove_dir_all(folder).unwrap();
        content
    });
    &CONTENT
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A device of our own, as one that is replaced by mistake must not be the machine's.
fn device(folder: &Path, name: &str, minor: &str) -> Option<PathBuf> {
    let path = folder.join(name);
    let made = Command::new("mknod").arg(&path).args(["c", "1", minor]).output();
    if made.is_ok_and(|run| run.status.success()) && fs::OpenOptions::new().write(true).open(&path).is_ok() {
        return Some(path);
    }
    println!("left out: no device {name} may be made here");
    None
}

#[test]
fn what_is_no_file_is_written_into() {
    let folder = folder("devices");
    if let Some(full) = device(&folder, "full", "7") {
        refused(&page(&[], "--html", &full.display().to_string()), &["/full: No space left on device"]);
        assert!(fs::metadata(&full).unwrap().file_type().is_char_device());
    }
    if let Some(null) = device(&folder, "null", "3") {
        worked(&page(&[], "--html", &null.display().to_string()));
        assert!(fs::metadata(&null).unwrap().file_type().is_char_device());
    }
    let pipe = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    worked(&page(&[], "--html", &pipe.display().to_string()));
    assert!(reader.join().unwrap() == content() && fs::metadata(&pipe).unwrap().file_type().is_fifo());
    refused(&page(&[], "--html", &folder.display().to_string()), &["is a folder"]);
    refused(&page(&[], "--html", &format!("{}/new/", folder.display())), &["new/", "is a folder"]);
    assert!(!names(&folder).iter().any(|name| name.ends_with(PART)));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn links_stay_and_what_they_lead_to_is_written() {
    let folder = folder("links");
    fs::create_dir(folder.join("inner")).unwrap();
    let [link, second, new, twin] = ["link.html", "second.html", "new.html", "twin.html"].map(|name| folder.join(name));
    fs::write(folder.join("inner/old.html"), "old").unwrap();
    symlink("inner/old.html", folder.join("first.html")).unwrap();
    symlink(folder.join("first.html"), &link).unwrap();
    symlink("inner/absent.html", &new).unwrap();
    fs::hard_link(folder.join("inner/old.html"), &twin).unwrap();
    for path in [&link, &new] {
        worked(&page(&[], "--html", &path.display().to_string()));
        assert!(fs::symlink_metadata(path).unwrap().is_symlink());
    }
    // The same file under another name.
    assert!([&link, &twin, &new].into_iter().all(|path| fs::read(path).unwrap() == content()));
    assert_eq!(names(&folder.join("inner")), ["absent.html", "old.html"]);
    symlink("second.html", &second).unwrap();
    refused(&page(&[], "--html", &second.display().to_string()), &["second.html", "symbolic links"]);
    assert_eq!(names(&folder), ["first.html", "inner", "link.html", "new.html", "second.html", "twin.html"]);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_keeps_its_rights_and_its_owner() {
    let folder = folder("rights");
    let file = folder.join("page.html");
    let name = file.display().to_string();
    for (umask, wanted) in [("022", 0o644), ("077", 0o600)] {
        worked(&page(&["sh", "-c", &format!("umask {umask}; exec \"$0\" \"$@\"")], "--html", &name));
        assert_eq!(mode(&file), wanted, "made under umask {umask}");
        fs::remove_file(&file).unwrap();
    }
    for rights in [0o600, 0o640, 0o664] {
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(rights)).unwrap();
        let root = std::os::unix::fs::chown(&file, Some(1234), Some(1234)).is_ok();
        worked(&page(&[], "--html", &name));
        assert_eq!(mode(&file), rights);
        assert!(fs::read(&file).unwrap() == content());
        if root {
            let about = fs::metadata(&file).unwrap();
            assert_eq!((about.uid(), about.gid()), (1234, 1234));
        }
        fs::remove_file(&file).unwrap();
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn where_nothing_may_be_written_nothing_changes() {
    let user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let user: &[&str] = if root { &user } else { &[] };
    if !through(user, &["--version"]).output().is_ok_and(|run| run.status.success()) {
        println!("left out: rights cannot be given up here");
        return;
    }
    let folder = folder("read-only");
    let [open, protected, absent] = ["open.html", "protected.html", "absent.html"].map(|name| folder.join(name));
    for (path, rights) in [(&open, 0o666), (&protected, 0o444)] {
        fs::write(path, vec![b'x'; 200_000]).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(rights)).unwrap();
    }
    let write = |path: &Path| page(user, "--html", &path.display().to_string());
    for rights in [0o555, 0o777] {
        fs::set_permissions(&folder, fs::Permissions::from_mode(rights)).unwrap();
        refused(&write(&protected), &["protected.html: Permission denied"]);
        assert!(fs::read(&protected).unwrap() == vec![b'x'; 200_000]);
        if rights == 0o555 {
            refused(&write(&absent), &["absent.html: Permission denied"]);
            // Shorter than what was there.
            worked(&write(&open));
            assert!(fs::read(&open).unwrap() == content());
        }
    }
    assert_eq!(names(&folder), ["open.html", "protected.html"]);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_hyphen_is_standard_output() {
    let folder = folder("output");
    let model = fixture("llama_gqa");
    let run = ["--model", &model, "--text", "hello"];
    let pair = [
        "--model",
        &model,
        "--clean",
        "hello",
        "--corrupted",
        "hellu",
        "--right",
        "a",
        "--wrong",
        "e",
        "--by",
        "layer",
    ];
    let commands: [(&str, &[&str], &str, &str); 8] = [
        ("head-view", &run, "--html", "html"),
        ("head-view", &run, "--json", "json"),
        ("model-view", &run, "--svg", "svg"),
        ("flow-graph", &["--model", &model, "--line", "hello"], "--html", "html"),
        ("trajectories", &run, "--data", "safetensors"),
        ("trace", &run, "--out", "safetensors"),
        ("sweep", &pair, "--out", "json"),
        ("sweep", &pair, "--html", "html"),
    ];
    for (number, (command, args, option, ending)) in commands.into_iter().enumerate() {
        let file = folder.join(format!("{number}.{ending}")).display().to_string();
        worked(&flowlens(&[&[command], args, &[option, &file]].concat()));
        let output = flowlens(&[&[command], args, &[option, "-"]].concat());
        worked(&output);
        assert!(output.stderr.is_empty(), "{command} {option}: {}", said(&output));
        if ending == "safetensors" {
            // Its metadata stand in any order.
            let read = |bytes: &[u8]| safetensors::SafeTensors::deserialize(bytes).unwrap().names().len();
            assert_eq!(read(&output.stdout), read(&fs::read(&file).unwrap()), "{command}");
            assert_eq!(output.stdout.len(), fs::metadata(&file).unwrap().len() as usize, "{command}");
        } else {
            assert!(output.stdout == fs::read(&file).unwrap(), "{command} {option}");
        }
    }
    // What has no ending gets what .json does.
    if let Some(null) = device(&folder, "null", "3") {
        worked(&flowlens(&[&["sweep"], &pair[..], &["--out", &null.display().to_string()]].concat()));
    }
    // A file behind it is gone on with, by each of its names.
    let log = folder.join("log");
    for name in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        fs::write(&log, "before\n").unwrap();
        let append = fs::OpenOptions::new().append(true).open(&log).unwrap();
        let args = ["head-view", "--model", &model, "--text", "hello", "--html", name];
        worked(&through(&[], &args).stdout(append).output().unwrap());
        assert!(fs::read(&log).unwrap() == [b"before\n", content()].concat(), "{name}");
    }
    // Nobody who reads: no error, as for any other output.
    let args = ["trace", "--model", &model, "--text", "hello", "--out", "-"];
    let mut unread = through(&[], &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(unread.stdout.take());
    worked(&unread.wait_with_output().unwrap());
    let two = flowlens(&["head-view", "--model", &model, "--text", "hello", "--html", "-", "--json", "-"]);
    refused(&two, &["2 files", "standard output"]);
    assert!(two.stdout.is_empty());
    let resumed = flowlens(&[&["sweep"], &pair[..], &["--resume", "-"]].concat());
    assert!(resumed.status.code() == Some(2) && said(&resumed).contains("kept in a file"), "{}", said(&resumed));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn on_a_full_disk_the_old_file_is_whole() {
    let folder = folder("full");
    let at = folder.display().to_string();
    let model = fixture("llama_gqa");
    // The disk has room for the old file and half of the new one; with two names it is overwritten where it lies.
    let script = "head -c 5000 /dev/zero >\"$0/old\"; cp \"$0/old\" \"$0/run.safetensors\"; cd \"$0\"; for links in 1 2; do \
                  \"$@\" && exit 9; cmp old run.safetensors; ls -A; [ $links = 2 ] || ln run.safetensors twin; done; exit 1";
    let commands: [&[&str]; 2] = [
        &["trace", "--model", &model, "--text", "The capital of Japan", "--out", "run.safetensors"],
        &["head-view", "--model", &model, "--text", "hello", "--html", "run.safetensors"],
    ];
    for command in commands {
        let Some(runner) = on_a_small_disk("40k", &at, script) else { return };
        let runner: Vec<&str> = runner.iter().map(String::as_str).collect();
        let output = through(&runner, command).output().unwrap();
        refused(&output, &["run.safetensors", "No space left", "make room"]);
        assert_eq!(said(&output).matches("No space left").count(), 2, "{}", said(&output));
        let listed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(listed, "old\nrun.safetensors\nold\nrun.safetensors\ntwin\n");
    }
    fs::remove_dir_all(folder).unwrap();
}
