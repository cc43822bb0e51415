//! The stop button, pressed at random moments of every long call: the call ends or is done, nothing else is touched.
//!
//! An interrupt is of the whole process: these tests take turns.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use flowlens::experiment::Pair;
use flowlens::prelude::*;
use flowlens::{Error, Result, interrupt};

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/parity/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Numbers that look random, the same in every run.
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most.max(1)
    }
}

/// Does `work` while another thread asks to stop after `moment`, as soon as there is a call that can be asked.
fn pressed<T>(moment: Duration, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let began = Instant::now();
            while !over.load(Ordering::SeqCst) {
                if began.elapsed() >= moment && interrupt::request() {
                    return;
                }
                std::thread::yield_now();
            }
        });
        let result = work();
        over.store(true, Ordering::SeqCst);
        result
    })
}

fn ids(count: i64) -> Vec<i64> {
    (0..count).map(|id| 1 + id % 40).collect()
}

/// Microseconds that work takes; the first time it warms something up.
fn takes<T>(name: &str, work: impl Fn() -> Result<T>) -> u64 {
    let once = || {
        let began = Instant::now();
        work().unwrap_or_else(|error| panic!("{name} fails by itself: {error}"));
        began.elapsed().as_micros() as u64
    };
    once().min(once())
}

/// Presses the button `times` times within the time that the work takes. Returns how often that stopped it.
fn press_often<T>(name: &str, times: u64, work: impl Fn() -> Result<T>) -> u64 {
    let long = takes(name, &work);
    let mut dice = Dice(times + name.len() as u64);
    let mut stopped = 0;
    for _ in 0..times {
        let moment = Duration::from_micros(dice.up_to(long));
        match pressed(moment, &work) {
            Ok(_) => {}
            Err(Error::Interrupted { what, .. }) => {
                assert!(!what.is_empty() && what != "this cell", "{name}: {what:?} says what was stopped");
                stopped += 1;
            }
            Err(other) => panic!("{name}: {other}"),
        }
    }
    // What was asked of one call is over with it.
    work().unwrap_or_else(|error| panic!("{name} fails after interrupts: {error}"));
    stopped
}

#[test]
fn every_long_call_stops_and_leaves_the_rest_as_it_was() {
    let _turn = turn();
    let model = Model::load(fixture("llama_gqa")).unwrap();
    let t5 = Model::load(fixture("t5_gated")).unwrap();
    let trace = model.run(ids(40)).unwrap();
    let before = trace.get(Site::Logits).unwrap();
    let both = t5.run(Seq2Seq { source: ids(24), target: ids(16) }).unwrap();
    let attention = trace.attention().unwrap();

    let calls: Vec<(&str, u64)> = vec![
        ("load", press_often("load", 50, || Model::load(fixture("llama_gqa")))),
        ("run", press_often("run", 50, || model.run(ids(40)))),
        ("run all", press_often("run all", 50, || model.run_all(vec![ids(20); 30]))),
        ("generate", press_often("generate", 50, || model.generate(ids(4)).max_tokens(12).run())),
        ("logit lens", press_often("logit lens", 50, || trace.logit_lens())),
        ("flow graph", press_often("flow graph", 50, || trace.flow_graph().layers([0, 1]).build())),
        ("attention flow", press_often("attention flow", 50, || attention.flow(true))),
        ("rollout", press_often("rollout", 50, || attention.rollout(true))),
        ("head view", press_often("head view", 50, || trace.head_view().build())),
        ("neuron view", press_often("neuron view", 50, || trace.neuron_view().build())),
        ("attention maps", press_often("attention maps", 50, || both.attention_maps().build())),
        ("similarity maps", press_often("similarity maps", 50, || both.similarity_maps().build())),
        ("walk", press_often("walk", 50, || trace.walk().build())),
        ("position kernels", press_often("position kernels", 50, || both.position_kernels())),
    ];
    // Which presses come in time depends on the machine; of so many, most must.
    let stopped: u64 = calls.iter().map(|(_, stopped)| stopped).sum();
    println!("{calls:?}");
    assert!(stopped > 60, "{calls:?}");
    assert_eq!(model.run(ids(40)).unwrap().get(Site::Logits).unwrap(), before);
}

#[test]
fn experiments_stop_and_a_sweep_goes_on_where_it_was() {
    let _turn = turn();
    let model = Model::load(fixture("llama_gqa")).unwrap();
    let pair = |first: i64| {
        let clean: Vec<i64> = (0..12).map(|place| first + place).collect();
        let mut corrupted = clean.clone();
        corrupted[3] += 20;
        Pair::new(clean, corrupted).right(5).wrong(9)
    };
    let pairs = model.pairs([pair(4), pair(11)]).unwrap();
    let folder = scratch("sweep");
    let file = folder.join("sweep.safetensors");
    let whole = model.sweep(&pairs).patch(Site::ResidPre).run().unwrap();
    let long = takes("sweep", || model.sweep(&pairs).patch(Site::ResidPre).run());
    let mut dice = Dice(3);
    let mut stopped = 0;
    for round in 0..30 {
        // Held in the sweep itself, or in a file that another one goes on from.
        let mut sweep = model.sweep(&pairs).patch(Site::ResidPre);
        if round % 2 == 1 {
            let _ = std::fs::remove_file(&file);
            sweep = sweep.resume(&file);
        }
        let result = pressed(Duration::from_micros(dice.up_to(long)), || sweep.run());
        if let Err(error) = result {
            let Error::Interrupted { what, done } = &error else { panic!("{error}") };
            assert!(what.contains("patch.resid_pre"), "{what}: {done}");
            stopped += 1;
        }
        let again = if round % 2 == 1 { model.sweep(&pairs).patch(Site::ResidPre).resume(&file) } else { sweep };
        assert_eq!(again.run().unwrap().values, whole.values);
    }
    let steering = model.steering(&pairs).unwrap();
    let stopped = stopped
        + press_often("attribution", 20, || model.attribution_patching(&pairs).steps(4).run())
        + press_often("edges", 20, || model.attribution_patching(&pairs).edges())
        + press_often("paths", 20, || model.path_patching(&pairs).run())
        + press_often("direct", 20, || model.logit_attribution(&pairs))
        + press_often("directions", 20, || model.steering(&pairs))
        + press_often("strengths", 20, || steering.sweep([1.0, 2.0]))
        + press_often("induction", 20, || model.induction_scores(10, 3, 0));
    println!("{stopped} of 170 presses came in time");
    assert!(stopped > 20, "{stopped}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn no_half_file_is_left() {
    let _turn = turn();
    let folder = scratch("files");
    let model = Model::load(fixture("llama_gqa")).unwrap();
    let trace = model.run(ids(40)).unwrap();
    let (run, arrays) = (folder.join("run.safetensors"), folder.join("arrays.safetensors"));
    for path in [&run, &arrays] {
        let write = || if path == &run { trace.save(path) } else { trace.save_trajectories(path) };
        write().unwrap();
        let whole = tensors(path);
        press_often("saving", 50, || {
            let result = write();
            assert!(tensors(path) == whole, "{}", path.display());
            result
        });
    }
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Every tensor of a file with its bytes; the file's metadata may stand in any order.
fn tensors(path: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    file.tensors().into_iter().map(|(name, tensor)| (name, tensor.data().to_vec())).collect()
}

fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("flowlens-interrupt-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn what_was_written_until_then_is_said() {
    let _turn = turn();
    let model = Model::load(fixture("llama_gqa")).unwrap();
    let error = loop {
        match pressed(Duration::from_millis(5), || model.generate(ids(4)).max_tokens(400).run()) {
            Err(Error::Interrupted { what, done }) if !done.starts_with("0 of") => break (what, done),
            Err(Error::Interrupted { .. }) | Ok(_) => {}
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(error.0, "generating");
    assert!(error.1.contains(" of 400 tokens"), "{}", error.1);
}

#[test]
fn a_listener_may_end_a_text_and_the_error_has_what_was_written() {
    let _turn = turn();
    let model = Model::load(fixture("llama_gqa")).unwrap();
    let heard = Arc::new(Mutex::new(String::new()));
    let (copy, mut left) = (heard.clone(), 4);
    let listener = move |piece: &str| {
        copy.lock().unwrap().push_str(piece);
        left -= 1;
        if left == 0 {
            interrupt::request();
        }
    };
    let ended = model.generate(ids(4)).max_tokens(400).temperature(3.0).on_token(listener).run();
    let Err(Error::Interrupted { what, done }) = ended else { panic!("{ended:?}") };
    assert!(what == "generating" && done.contains(" of 400 tokens"), "{what}, {done}");
    let text = heard.lock().unwrap().clone();
    assert!(!text.is_empty() && done.contains(format!("{text:?}").trim_matches('"')), "{done} shows {text:?}");
}

#[test]
fn a_request_without_a_call_is_nothing() {
    let _turn = turn();
    assert!(!interrupt::request());
    interrupt::check().unwrap();
    Model::load(fixture("llama_gqa")).unwrap();
}

/// A server that answers the first questions and then falls silent must not hold a notebook for half a minute.
#[cfg(feature = "hub")]
#[test]
fn a_silent_server_is_left_at_once() {
    let _turn = turn();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let sha = "0123456789abcdef0123456789abcdef01234567";
            if request.starts_with("GET /api/models/") {
                let body = format!(
                    r#"{{"sha": "{sha}", "siblings": [{{"rfilename": "config.json"}}, {{"rfilename": "model.safetensors"}}]}}"#
                );
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            } else if request.starts_with("HEAD ") {
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nETag: \"{sha}\"\r\nContent-Length: 5000000\r\nConnection: close\r\n\r\n"
                );
            } else {
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n{}", "x".repeat(1_500_000));
                silent.push(stream);
            }
        }
    });
    let cache = scratch("hub");
    // SAFETY: the tests of this file take turns, and no other thread of theirs reads the environment now.
    unsafe { std::env::set_var("HF_ENDPOINT", format!("http://127.0.0.1:{port}")) };
    let began = Instant::now();
    let error = pressed(Duration::from_millis(800), || Model::options("test/silent").cache(&cache).load()).unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
    assert!(error.to_string().contains("test/silent"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let kept = part_files(&cache);
    assert!(kept.iter().all(|(_, bytes)| *bytes == 1_500_000) && kept.len() == 1, "the next attempt goes on: {kept:?}");
    std::fs::remove_dir_all(&cache).unwrap();
}

fn part_files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(".part") {
                let bytes = entry.metadata().unwrap().len();
                found.push((path, bytes));
            }
        }
    }
    found
}
