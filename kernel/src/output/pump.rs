//! The thread that reads what cells print and sends it on, in its order.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use serde_json::{Map, Value, json};

use super::cell::{Allowance, Display, Phase, Shared};
use super::markers::{self, Line};
use super::panics::Panic;
use super::pipes::{self, Pipe};
use super::stream::{Piece, Stream};
use crate::server::wire::Outbox;
use crate::session::crates::Crates;

const STDOUT: usize = 0;
const STDERR: usize = 1;
const NAMES: [&str; 2] = ["stdout", "stderr"];
/// Text that comes in quick succession goes in one message.
const PATIENCE: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(20)];
const LONGEST_WAIT: Duration = Duration::from_millis(40);
const LARGEST: usize = 1 << 16;
/// One representation of one value.
const LARGEST_CONTENT: usize = 256 << 20;

/// Text that waits for more of its stream.
#[derive(Default)]
struct Batch {
    stream: usize,
    text: String,
    since: Option<Instant>,
}

/// Reads the two streams until the kernel ends.
pub struct Pump {
    cell: Shared,
    iopub: Outbox,
    files: [File; 2],
    streams: [Stream; 2],
    /// To the process of the cells, for evcxr.
    passed_on: File,
    /// That process.
    child: String,
    displays: PathBuf,
    batch: Batch,
    /// A bundle of evcxr's that has begun: MIME type and content.
    content: Option<(String, String)>,
    drained: Sender<(usize, u64)>,
    crates: Crates,
}

/// The session's side of it.
pub struct Drain {
    ends: [File; 2],
    drained: Receiver<(usize, u64)>,
    count: u64,
}

impl Drain {
    /// Waits until everything that was printed so far is sent.
    pub fn wait(&mut self) {
        use std::io::Write;
        self.count += 1;
        for end in &mut self.ends {
            let _ = end.write_all(markers::line(markers::END, &self.count.to_string()).as_bytes());
        }
        let mut open = [true; 2];
        while open.contains(&true) {
            match self.drained.recv_timeout(Duration::from_secs(5)) {
                Ok((stream, count)) if count == self.count => open[stream] = false,
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

/// Starts the thread. `stdout` and `stderr` are what cells write to, `passed_on` what evcxr is to get of it.
///
/// # Errors
/// Where the system gives no more descriptors.
pub fn start(
    cell: Shared,
    iopub: Outbox,
    stdout: Pipe,
    stderr: Pipe,
    passed_on: std::os::fd::OwnedFd,
    displays: PathBuf,
    crates: Crates,
) -> std::io::Result<Drain> {
    // Of the two streams as well: one that was ready may have been read while the other was.
    for end in [&passed_on, &stdout.read, &stderr.read] {
        pipes::never_wait(end);
    }
    let (sender, drained) = crossbeam_channel::unbounded();
    let drain = Drain { ends: [File::from(stdout.write), File::from(stderr.write)], drained, count: 0 };
    let pump = Pump {
        cell,
        iopub,
        files: [File::from(stdout.read), File::from(stderr.read)],
        streams: Default::default(),
        passed_on: File::from(passed_on),
        child: String::new(),
        displays,
        batch: Batch::default(),
        content: None,
        drained: sender,
        crates,
    };
    std::thread::Builder::new().name("output".into()).spawn(move || pump.run())?;
    Ok(drain)
}

impl Pump {
    fn run(mut self) {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let patience = match self.batch.since {
                None => -1,
                Some(_) => i32::try_from(PATIENCE[self.batch.stream].as_millis()).unwrap_or(5),
            };
            let ready = pipes::wait([&self.files[STDOUT], &self.files[STDERR]], patience);
            for stream in [STDOUT, STDERR] {
                if ready[stream] {
                    self.read(stream, &mut buffer);
                }
            }
            let waited = self.batch.since.is_some_and(|since| since.elapsed() > LONGEST_WAIT);
            if ready == [false; 2] || waited || self.batch.text.len() > LARGEST {
                self.flush();
            }
        }
    }

    fn read(&mut self, stream: usize, buffer: &mut [u8]) {
        let length = pipes::read(&self.files[stream], buffer);
        let verbatim = stream == STDOUT && self.content.is_some();
        for piece in self.streams[stream].push(&buffer[..length], verbatim) {
            match piece {
                Piece::Text(text) => self.text(stream, text),
                Piece::Line(line) => self.line(stream, line),
            }
        }
    }

    fn text(&mut self, stream: usize, text: String) {
        if stream == STDOUT {
            if let Some((_, content)) = &mut self.content {
                if content.len() < LARGEST_CONTENT {
                    content.push_str(&text);
                }
                return;
            }
            self.flush_bundle();
        }
        self.print(stream, &text);
    }

    fn print(&mut self, stream: usize, text: &str) {
        let mut cell = self.cell.lock();
        let text = cell.allowance.take(text);
        drop(cell);
        if text.is_empty() {
            return;
        }
        if self.batch.stream != stream {
            self.flush();
        }
        self.batch.stream = stream;
        self.batch.text.push_str(text);
        self.batch.since.get_or_insert_with(Instant::now);
    }

    fn line(&mut self, stream: usize, line: Line) {
        match line {
            Line::Mark { word, rest } => self.mark(stream, &word, &rest),
            Line::Begin(mime) => {
                let taken = self.cell.lock().bundle.contains_key(&mime);
                if taken {
                    self.flush_bundle();
                }
                self.content = Some((mime, String::new()));
            }
            Line::End => self.end_content(),
            Line::Panicked => {
                self.end_content();
                self.cell.lock().panicked = true;
                self.pass_on("EVCXR_PANIC_NOTIFICATION");
            }
            Line::Failed => {
                self.take_failure();
                self.pass_on("EVCXR_ERROR_OCCURRED");
            }
            Line::Evcxr(line) => {
                self.flush();
                self.pass_on(&line);
            }
        }
    }

    fn mark(&mut self, stream: usize, word: &str, rest: &str) {
        match word {
            markers::HELLO => {
                self.content = None;
                self.child = rest.to_owned();
            }
            markers::RUN => {
                self.crates.finish();
                let mut cell = self.cell.lock();
                if cell.at_work && cell.phase == Phase::Preparing {
                    cell.phase = Phase::Running;
                    cell.ran = true;
                }
            }
            markers::DONE => {
                self.end_content();
                self.pass_on("EVCXR_EXECUTION_COMPLETE");
            }
            markers::END => {
                self.flush();
                let _ = self.drained.send((stream, rest.parse().unwrap_or(0)));
            }
            markers::PANIC => {
                if let Some(panic) = Panic::parse(rest) {
                    self.panic(panic);
                }
            }
            markers::DISPLAY => self.display(stream, rest),
            _ => self.text(stream, markers::line(word, rest)),
        }
    }

    /// A panic of the main thread ends the cell, unless it is caught: that is known later.
    fn panic(&mut self, panic: Panic) {
        let text = if panic.thread == "main" {
            let before = self.cell.lock().panic.replace(panic);
            before.map(|before| before.text())
        } else {
            Some(panic.text())
        };
        if let Some(text) = text {
            self.print(STDERR, &text);
        }
    }

    /// evcxr printed the error to stderr right before: that text is the cell's error, not its output.
    fn take_failure(&mut self) {
        let mut buffer = vec![0; 1 << 16];
        while pipes::wait([&self.files[STDERR], &self.files[STDERR]], 0)[0] {
            self.read(STDERR, &mut buffer);
        }
        let mut failure = String::new();
        if self.batch.stream == STDERR {
            failure = std::mem::take(&mut self.batch.text);
            self.batch.since = None;
        }
        let mut cell = self.cell.lock();
        cell.failed = true;
        cell.failure = failure;
    }

    fn end_content(&mut self) {
        let Some((mime, mut content)) = self.content.take() else { return };
        if content.ends_with('\n') {
            content.pop();
        }
        let mut cell = self.cell.lock();
        if mime.starts_with("text/plain") && content.len() > Allowance::LIMIT {
            content = cell.allowance.take(&content).to_owned();
        }
        cell.bundle.insert(mime.clone(), value(&mime, content));
    }

    fn display(&mut self, stream: usize, number: &str) {
        let file = self.displays.join(format!("{number}.json"));
        let known = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let display = if known { std::fs::read(&file).ok() } else { None };
        let Some(display) = display.and_then(|text| serde_json::from_slice::<Display>(&text).ok()) else {
            return self.text(stream, markers::line(markers::DISPLAY, number));
        };
        let _ = std::fs::remove_file(file);
        self.flush();
        self.flush_bundle();
        let kind = if display.update { "update_display_data" } else { "display_data" };
        let mut content = json!({"data": display.data, "metadata": display.metadata, "transient": {}});
        if let Some(id) = display.display_id {
            content["transient"]["display_id"] = id.into();
        }
        self.send(kind, content);
    }

    /// Shows the bundle that was collected: something else comes after it.
    fn flush_bundle(&mut self) {
        let bundle = std::mem::take(&mut self.cell.lock().bundle);
        if !bundle.is_empty() {
            self.flush();
            self.send("display_data", json!({"data": bundle, "metadata": {}, "transient": {}}));
        }
    }

    fn flush(&mut self) {
        let text = std::mem::take(&mut self.batch.text);
        self.batch.since = None;
        if !text.is_empty() {
            self.send("stream", json!({"name": NAMES[self.batch.stream], "text": text}));
        }
    }

    fn send(&self, kind: &str, content: Value) {
        let cell = self.cell.lock();
        let request = cell.request.clone().filter(|_| !cell.silent);
        drop(cell);
        if let Some(request) = request {
            let _ = self.iopub.blocking_send(request.publication(kind, content));
        }
    }

    fn pass_on(&self, line: &str) {
        pipes::write_at_once(&self.passed_on, format!("{} {line}\n", self.child).as_bytes());
    }
}

/// A representation as Jupyter takes it: JSON as JSON, the rest as text.
pub fn value(mime: &str, content: String) -> Value {
    if mime.contains("json") {
        serde_json::from_str(&content).unwrap_or(Value::String(content))
    } else {
        Value::String(content)
    }
}

/// evcxr's bundle as Jupyter takes it.
pub fn bundle(contents: impl IntoIterator<Item = (String, String)>) -> Map<String, Value> {
    contents.into_iter().map(|(mime, content)| (mime.clone(), value(&mime, content))).collect()
}
