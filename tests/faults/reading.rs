//! Names that lead to something without an end.

use std::os::unix::fs::symlink;
use std::time::Duration;

use super::*;

/// Runs a command that must not take much: it may not ask for more memory than a machine has.
fn bounded(args: &[&str]) -> Output {
    through(&["sh", "-c", "ulimit -v 16000000; exec timeout -k 1 120 \"$0\" \"$@\""], args).output().unwrap()
}

#[test]
fn what_has_no_end_is_not_read_to_its_end() {
    let folder = folder("endless");
    let model = fixture("llama_gqa");
    let [weights, tokens, pairs] = ["a.safetensors", "t.json", "p.csv"].map(|name| folder.join(name));
    for path in [&weights, &tokens, &pairs] {
        symlink("/dev/zero", path).unwrap();
    }
    let [weights, tokens, pairs] = [weights, tokens, pairs].map(|path| path.display().to_string());
    let expected = Path::new(&model).join("expected.safetensors").display().to_string();
    for (args, parts) in [
        (vec!["tokens", "--model", &model, "--file", "/dev/zero"], ["/dev/zero", "larger than"]),
        (vec!["next", "--model", &model, "--inputs", "/dev/zero"], ["/dev/zero", "not a regular file"]),
        (vec!["generate", "--model", &model, "--inputs", &weights], ["a.safetensors", "not a regular file"]),
        (vec!["flow-graph", "--model", &model, "--line", "x", "--config", "/dev/zero"], ["/dev/zero", "larger than"]),
        (vec!["head-view", "--attention", &expected, "--tokens", &tokens], ["t.json", "larger than"]),
        (vec!["head-view", "--attention", &weights, "--tokens", &tokens], ["a.safetensors", "not a regular file"]),
        (vec!["sweep", "--model", &model, "--pairs", &pairs], ["p.csv", "larger than"]),
    ] {
        refused(&bounded(&args), &parts);
    }
    // The files of a model.
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let broken = folder.join(format!("model-{name}"));
        fs::create_dir(&broken).unwrap();
        for other in ["config.json", "tokenizer.json", "model.safetensors"] {
            let target = if other == name { PathBuf::from("/dev/zero") } else { Path::new(&model).join(other) };
            symlink(target, broken.join(other)).unwrap();
        }
        let broken = broken.display().to_string();
        refused(&bounded(&["next", "--model", &broken, "--text", "hello"]), &[name]);
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_that_is_far_too_large_is_refused_unread() {
    let folder = folder("huge");
    let huge = folder.join("huge.txt");
    // A hole: it takes no disk.
    fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    let name = huge.display().to_string();
    refused(&bounded(&["tokens", "--model", &fixture("llama_gqa"), "--file", &name]), &["huge.txt", "larger than"]);
    let error = flowlens::files::read_within(&huge, 1000).unwrap_err().to_string();
    assert!(error.contains("larger than 1000 bytes"), "{error}");
    fs::File::options().write(true).open(&huge).unwrap().set_len(1000).unwrap();
    assert_eq!(flowlens::files::read_within(&huge, 1000).unwrap().len(), 1000);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn pipes_are_read_to_a_bound_and_weights_are_none() {
    let _turn = turn();
    let folder = folder("pipes");
    let pipe = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let name = pipe.display().to_string();
    let model = fixture("llama_gqa");
    // Nobody writes into it, and nobody waits for that.
    refused(&bounded(&["next", "--model", &model, "--inputs", &name]), &["pipe", "not a regular file"]);
    let write = |script: &str| Command::new("sh").args(["-c", script, &name]).stderr(Stdio::null()).spawn().unwrap();
    let mut writer = write("exec yes >\"$0\"");
    refused(&bounded(&["tokens", "--model", &model, "--file", &name]), &["pipe", "larger than"]);
    writer.wait().unwrap();
    let mut writer = write("printf 'hello\\nyou\\n' >\"$0\"");
    let output = bounded(&["tokens", "--model", &model, "--file", &name, "--json"]);
    worked(&output);
    writer.wait().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"you\""));
    // A pipe that stays silent does not hold a notebook.
    let stop = std::thread::spawn(|| {
        while !flowlens::interrupt::request() {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let error = flowlens::files::read_within(&pipe, 1000).unwrap_err();
    assert!(matches!(error, flowlens::Error::Interrupted { .. }), "{error}");
    stop.join().unwrap();
    fs::remove_dir_all(folder).unwrap();
}
