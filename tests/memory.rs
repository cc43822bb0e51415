//! What runs and files take: limits that cover the peak, copies that outlive their files.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use flowlens::{Error, Model, Site};

fn parity(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name)
}

/// A copy of a model that a test may damage.
fn copy_of(model: &str, name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("memory").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(parity(model).join(file), folder.join(file)).unwrap();
    }
    folder
}

/// A model without a limit of context.
fn long_reader(name: &str) -> Model {
    let folder = copy_of("llama_gqa", name);
    let path = folder.join("config.json");
    let config = std::fs::read_to_string(&path).unwrap();
    let longer = config.replace("\"max_position_embeddings\": 128", "\"max_position_embeddings\": 1000000");
    assert_ne!(config, longer);
    std::fs::write(path, longer).unwrap();
    Model::load(folder.to_str().unwrap()).unwrap()
}

/// What the child of a test does: loads a model, says so, waits for a line, runs it.
fn load_wait_and_run(folder: &str, in_memory: bool) {
    let model = Model::options(folder).in_memory(in_memory).load().unwrap();
    println!("loaded");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    assert_eq!(model.run([5i64, 17, 3]).unwrap().len(), 3);
    println!("ran");
}

/// A process of its own that loads a model whose file is cut to nothing before it runs.
fn runs_with_its_file_cut(name: &str, in_memory: bool) -> (ExitStatus, String) {
    let folder = copy_of("llama_gqa", name);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_copy_outlives_its_file", "--nocapture"])
        .env("FLOWLENS_TEST_MODEL", &folder)
        .env("FLOWLENS_TEST_IN_MEMORY", if in_memory { "1" } else { "0" })
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("loaded") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "the child ended before it had loaded");
    }
    std::fs::File::options().write(true).open(folder.join("model.safetensors")).unwrap().set_len(0).unwrap();
    writeln!(child.stdin.take().unwrap()).unwrap();
    let rest = said.lines().map_while(Result::ok).collect::<Vec<_>>().join("\n");
    (child.wait().unwrap(), rest)
}

#[test]
fn a_copy_outlives_its_file() {
    if let Ok(folder) = std::env::var("FLOWLENS_TEST_MODEL") {
        return load_wait_and_run(&folder, std::env::var("FLOWLENS_TEST_IN_MEMORY").is_ok_and(|value| value == "1"));
    }
    let (status, said) = runs_with_its_file_cut("copied", true);
    assert!(status.success() && said.contains("ran"), "{status}: {said}");
    // What the documentation says of a mapped file is so: signal 7 is SIGBUS.
    let (status, said) = runs_with_its_file_cut("mapped", false);
    assert!(status.signal() == Some(7) && !said.contains("ran"), "{status}: {said}");
}

#[test]
fn a_copy_computes_the_same_bits() {
    for name in ["llama_gqa", "gpt2", "gpt2_bin", "t5_tied"] {
        let path = parity(name);
        let path = path.to_str().unwrap();
        let (mapped, copied) = (Model::load(path).unwrap(), Model::options(path).in_memory(true).load().unwrap());
        let input = || match mapped.architecture().encoder {
            Some(_) => flowlens::Seq2Seq { source: [5i64, 17, 3], target: [7i64, 8] }.into(),
            None => flowlens::Input::from([5i64, 17, 3]),
        };
        let logits = |model: &Model| model.run(input()).unwrap().get(Site::Logits).unwrap();
        assert_eq!(logits(&mapped), logits(&copied), "{name}");
    }
}

#[test]
fn zeros_where_a_file_was_cut_are_named_at_the_next_load() {
    let folder = copy_of("llama_gqa", "zeros");
    let path = folder.join("model.safetensors");
    let length = std::fs::metadata(&path).unwrap().len();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(length / 2).unwrap();
    file.set_len(length).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_flowlens"))
        .args(["info", "--model", folder.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("tensor model.") && said.contains("hold only zeros") && said.contains("download"), "{said}");
    // Sound files are not spoken of.
    let output = Command::new(env!("CARGO_BIN_EXE_flowlens"))
        .args(["info", "--model", parity("llama_gqa").to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_passes_by_is_refused_before_it_is_asked_for() {
    // 6 heads x 40,000 x 40,000 numbers, three times over: more than any machine that runs this test has.
    let model = long_reader("long");
    let ids = vec![7i64; 40_000];
    for result in [
        model.run(ids.clone()).map(drop),
        model.watch(ids.clone()).keep([]).run().map(drop),
        model.run_all([ids.clone(), vec![5]]).map(drop),
        model.generate(ids.clone()).run().map(drop),
    ] {
        let error = result.unwrap_err();
        let text = error.to_string();
        let Error::Memory { needed, limit: 4_000, .. } = error else { panic!("{text}") };
        assert!(needed > 6 * 40 * 40 * 3 * 4 && text.contains("shorten the prompt"), "{text}");
    }
    let estimate = model.watch(ids).keep([]).estimate().unwrap();
    assert_eq!(estimate.bytes(), 0);
    assert!(estimate.passing > 115_000_000_000 && estimate.to_string().contains("pass by"), "{estimate}");
}

#[test]
fn the_estimate_of_what_passes_by_is_about_what_a_run_takes() {
    /// The most memory that this process had, in bytes.
    fn peak() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
    if std::env::var("FLOWLENS_TEST_PEAK").is_err() {
        // Alone in a process: other tests take memory too.
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_estimate_of_what_passes_by_is_about_what_a_run_takes"])
            .env("FLOWLENS_TEST_PEAK", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let model = long_reader("peak");
    model.watch(vec![7i64; 60]).keep([]).run().unwrap();
    let before = peak();
    let watch = model.watch(vec![7i64; 2_500]).keep([]);
    let passing = watch.estimate().unwrap().passing;
    watch.run().unwrap();
    let took = peak() - before;
    // 460 MB by the estimate. Less than half of it would mean that limits are refused for nothing.
    assert!(took <= passing + passing / 5 && took > passing / 2, "took {took}, estimated {passing}");
}
