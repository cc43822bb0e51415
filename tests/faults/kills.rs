//! Ends that nobody announced, and those that somebody asked for.

use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::Duration;

use super::*;

/// Large enough that a kill meets it half written.
const BYTES: usize = 6_000_000;

/// Not a test: what a test that kills starts. Writes one file over and over.
#[test]
fn a_process_that_saves() {
    let Some(path) = std::env::var_os("FLOWLENS_TEST_SAVES").map(PathBuf::from) else { return };
    for letter in (b'a'..=b'z').cycle() {
        flowlens::files::write_whole(&path, &vec![letter; BYTES]).unwrap();
    }
}

fn saver(path: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "kills::a_process_that_saves"]).env("FLOWLENS_TEST_SAVES", path);
    command.stdout(Stdio::null()).spawn().unwrap()
}

/// Waits until a process has a file on its way.
fn wait_for_part(folder: &Path, child: &mut Child) -> bool {
    let own = format!(".{}-", child.id());
    while child.try_wait().unwrap().is_none() {
        if names(folder).iter().any(|name| name.contains(&own) && name.ends_with(PART)) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

#[test]
fn a_killed_save_leaves_a_whole_file_and_the_next_one_cleans_up() {
    let folder = folder("killed");
    let path = folder.join("run.bin");
    let mut numbers = fastrand::Rng::with_seed(14);
    let mut parts = 0;
    flowlens::files::write_whole(&path, &[b'a'; BYTES]).unwrap();
    for _ in 0..20 {
        let mut child = saver(&path);
        assert!(wait_for_part(&folder, &mut child));
        std::thread::sleep(drawn(&mut numbers, 40));
        child.kill().unwrap();
        child.wait().unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() == BYTES && bytes.iter().all(|byte| *byte == bytes[0]));
        // The one of before is gone, whoever was killed.
        let left = names(&folder).len() - 1;
        assert!(left <= 1, "{:?}", names(&folder));
        parts += left;
    }
    assert!(parts > 0, "no kill met a file that was half written");
    // What is not ours stays, and so does what somebody is writing now.
    fs::write(folder.join("mine.part"), "mine").unwrap();
    let mut other = saver(&folder.join("other.bin"));
    while !folder.join("other.bin").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    for _ in 0..10 {
        flowlens::files::write_whole(&path, b"whole").unwrap();
    }
    assert!(other.try_wait().unwrap().is_none(), "its part was taken away");
    other.kill().unwrap();
    other.wait().unwrap();
    flowlens::files::write_whole(&path, b"whole").unwrap();
    assert_eq!(names(&folder), ["mine.part", "other.bin", "run.bin"]);
    fs::remove_dir_all(folder).unwrap();
}

/// A model of random weights with room for a long text, whose run makes a large file.
fn long_model(folder: &Path) -> String {
    let model = folder.join("model");
    fs::create_dir(&model).unwrap();
    for name in ["model.safetensors", "tokenizer.json"] {
        fs::copy(Path::new(&fixture("llama_gqa")).join(name), model.join(name)).unwrap();
    }
    let config = fs::read_to_string(Path::new(&fixture("llama_gqa")).join("config.json")).unwrap();
    let longer = config.replace("\"max_position_embeddings\": 128", "\"max_position_embeddings\": 4096");
    assert_ne!(config, longer);
    fs::write(model.join("config.json"), longer).unwrap();
    model.display().to_string()
}

#[test]
fn signals_leave_no_part() {
    let folder = folder("signals");
    let model = long_model(&folder);
    let ids = vec!["5"; 700].join(",");
    let out = folder.join("out");
    fs::create_dir(&out).unwrap();
    let file = out.join("run.safetensors").display().to_string();
    let mut numbers = fastrand::Rng::with_seed(14);
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let mut met = 0;
        // As often as it takes on a machine that is too quick, or too busy, for most of them.
        for _ in 0..60 {
            if met == 3 {
                break;
            }
            // Who runs these tests in the background may have them ignore signals, and so all that they start.
            let heeding = ["env", "--default-signal=INT,TERM,HUP"];
            let mut command = through(&heeding, &["trace", "--model", &model, "--ids", &ids, "--out", &file]);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            if wait_for_part(&out, &mut child) {
                std::thread::sleep(drawn(&mut numbers, 20));
                let kill = Command::new("kill").args(["-s", name, &child.id().to_string()]).output().unwrap();
                let status = child.wait().unwrap();
                assert!(status.success() || (status.signal() == Some(number) && kill.status.success()), "{status}");
                met += usize::from(!status.success());
            }
            assert!(names(&out).iter().all(|name| name == "run.safetensors"), "{:?}", names(&out));
        }
        assert!(met > 0, "SIG{name} met no file that was half written");
    }
    fs::remove_dir_all(folder).unwrap();
}

/// As with `nohup`, and in the background of a script.
#[cfg(target_os = "linux")]
#[test]
fn signals_that_are_to_be_ignored_are() {
    let folder = folder("ignored");
    let file = folder.join("page.html").display().to_string();
    let args = ["head-view", "--model", &fixture("llama_gqa"), "--text", "hello", "--html", &file];
    let ignoring = ["sh", "-c", "trap '' INT HUP; exec \"$0\" \"$@\""];
    let mut child = through(&ignoring, &args).spawn().unwrap();
    let program = format!("/proc/{}/exe", child.id());
    while !fs::read_link(&program).is_ok_and(|program| program == Path::new(env!("CARGO_BIN_EXE_flowlens"))) {
        std::thread::sleep(Duration::from_millis(1));
    }
    while child.try_wait().unwrap().is_none() {
        for name in ["INT", "HUP"] {
            let _ = Command::new("kill").args(["-s", name, &child.id().to_string()]).output();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(child.wait().unwrap().success() && Path::new(&file).exists());
    fs::remove_dir_all(folder).unwrap();
}
