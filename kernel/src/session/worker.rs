//! The session's thread: one job after the other, and warming while there is none.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use crossbeam_channel::{Receiver, TryRecvError};
use evcxr::{CommandContext, EvalCallbacks, EvalOutputs};
use serde_json::{Map, Value, json};

use super::source::Sources;
use super::{Failure, Job, Outcome, Process, Settings, context, ends, errors, executions, help};
use super::{code, interrupt};
use crate::output::cell::Phase;
use crate::output::pump::{self, Drain};
use crate::server::wire::Request;

const STILL_THERE: &str =
    "`use` lines, functions and types still hold; variables are gone: run the cells that make them again.";

/// Steps that make the first cells quick, each done when nobody waits.
const WARMING: [Warming; 2] = [
    // rust-analyzer reads the types that the first `let` needs.
    Warming::Complete("{ use flowlens::prelude::*; let model = Model::load(\"\"); let numbers = vec![1.0f32]; model."),
    // rustc reads the engine.
    Warming::Execute("{ use flowlens::prelude::*; };"),
];

enum Warming {
    Complete(&'static str),
    Execute(&'static str),
}

/// What the thread works with.
pub struct Worker {
    settings: Settings,
    file: interrupt::File,
    warming: Arc<AtomicBool>,
    process: Process,
    context: Option<CommandContext>,
    drain: Option<Drain>,
    /// Why there is no context.
    broken: Option<String>,
    notices: Vec<String>,
    sources: Sources,
}

impl Worker {
    pub fn new(settings: Settings, warming: Arc<AtomicBool>, process: Process) -> Worker {
        let file = interrupt::File::at(&settings.interrupt);
        Worker {
            settings,
            file,
            warming,
            process,
            context: None,
            drain: None,
            broken: None,
            notices: Vec::new(),
            sources: Sources::default(),
        }
    }

    /// Works until the kernel ends.
    pub fn run(mut self, jobs: &Receiver<Job>) {
        self.make_context();
        let mut warming = WARMING.iter();
        loop {
            let job = match jobs.try_recv() {
                Ok(job) => job,
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => match warming.next() {
                    Some(step) => {
                        self.warm(step);
                        continue;
                    }
                    None => match jobs.recv() {
                        Ok(job) => job,
                        Err(_) => return,
                    },
                },
            };
            self.work(job);
        }
    }

    fn make_context(&mut self) {
        if let Some(stale) = &self.settings.stale {
            self.broken = Some(stale.clone());
            return;
        }
        let made = catch_unwind(AssertUnwindSafe(|| {
            let (drain, command) = context::pipes(&self.settings).map_err(|error| error.to_string())?;
            Ok::<_, String>((drain, context::make(&self.settings, command)?))
        }));
        match made {
            Ok(Ok((drain, ready))) => {
                let _ = self.process.set(ready.context.process_handle());
                self.notices = ready.notices;
                (self.context, self.drain) = (Some(ready.context), Some(drain));
            }
            Ok(Err(problem)) => self.broken = Some(problem),
            Err(_) => self.broken = Some("the session could not be started. Restart the kernel.".to_owned()),
        }
    }

    fn warm(&mut self, step: &Warming) {
        let Some(context) = &mut self.context else { return };
        if self.settings.first_cell.is_empty() {
            return;
        }
        let _ = catch_unwind(AssertUnwindSafe(|| match step {
            Warming::Complete(code) => drop(help::complete(context, code, code.len())),
            Warming::Execute(code) => {
                self.warming.store(true, Ordering::SeqCst);
                let _ = context.execute(code);
            }
        }));
        self.warming.store(false, Ordering::SeqCst);
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Execute { request, count, reply } => {
                let outcome = self.execute(&request, count);
                let _ = reply.send(outcome);
            }
            Job::Complete { code, position, reply } => {
                let complete = |context: &mut CommandContext| {
                    help::complete(context, &code::without_own_dependency(&code), position)
                };
                let words =
                    self.context.as_mut().and_then(|context| catch_unwind(AssertUnwindSafe(|| complete(context))).ok());
                let _ = reply.send(words.unwrap_or(help::Words {
                    start: position,
                    end: position,
                    ..help::Words::default()
                }));
            }
            Job::Inspect { code, position, reply } => {
                let inspect = |context: &mut CommandContext| help::inspect(context, &code, position);
                let found =
                    self.context.as_mut().and_then(|context| catch_unwind(AssertUnwindSafe(|| inspect(context))).ok());
                let _ = reply.send(found.flatten());
            }
        }
    }

    fn execute(&mut self, request: &Request, count: u32) -> Outcome {
        if let Some(broken) = &self.broken {
            self.end();
            return Err(errors::plain("The kernel cannot run cells", broken));
        }
        for notice in std::mem::take(&mut self.notices) {
            self.say(&format!("{}\n", notice.trim_end()));
        }
        if request.text("code").trim() == ":quit" {
            // evcxr would end this process at once, with its folder and its children left behind.
            // SAFETY: a plain system call; the server cleans up.
            unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
            self.end();
            return Ok(Vec::new());
        }
        let code = code::without_own_dependency(request.text("code"));
        self.sources.add(count, &code);
        executions::note(&self.settings.displays, request);
        let mut outcome = self.attempt(request, &code, count);
        if let Attempt::NeverRan(end) = outcome {
            self.say(&gone_while_idle(&end));
            outcome = self.attempt(request, &code, count);
        }
        self.end();
        match outcome {
            Attempt::Done(outcome) => outcome,
            Attempt::NeverRan(end) => Err(died(&end, "")),
        }
    }

    /// One try. Values before the last are shown, the last is the cell's.
    fn attempt(&mut self, request: &Request, code: &str, count: u32) -> Attempt {
        let (Some(context), Some(drain)) = (&mut self.context, &mut self.drain) else {
            return Attempt::Done(Ok(Vec::new()));
        };
        {
            let mut cell = self.settings.cell.lock();
            if cell.interrupted.is_some() {
                return Attempt::Done(Err(nothing_ran()));
            }
            cell.begin();
        }
        let variables: Vec<String> = context.variables_and_types().map(|(name, _)| name.to_owned()).collect();
        let input = &self.settings.input;
        let mut callbacks =
            EvalCallbacks { input_reader: &|wanted| input.ask(request, &wanted.prompt, wanted.is_password) };
        let result = catch_unwind(AssertUnwindSafe(|| context.execute_with_callbacks(code, &mut callbacks)));
        if code.lines().any(|line| line.trim() == ":restart") {
            forget_variables(context);
        }
        drain.wait();
        self.settings.crates.finish();
        let mut cell = self.settings.cell.lock();
        let (panicked, failed, ran, killed) = (cell.panicked, cell.failed, cell.ran, cell.killed);
        let interrupted = cell.interrupted.is_some();
        let (panic, failure) = (cell.panic.take(), std::mem::take(&mut cell.failure));
        let bundle = std::mem::take(&mut cell.bundle);
        drop(cell);
        if let (Some(caught), false) = (&panic, panicked) {
            self.say(&caught.text());
        }
        Attempt::Done(match result {
            Err(_) => Err(errors::plain(
                "Error",
                "evcxr or rust-analyzer failed on this cell. What ran before still holds; where cells go on failing, restart the kernel.",
            )),
            Ok(Err(evcxr::Error::SubprocessTerminated(text))) => {
                if !ran && !killed {
                    return Attempt::NeverRan(ends::of_text(&text));
                }
                Err(if killed { forced(&variables) } else { died(&ends::of_text(&text), &lost(&variables)) })
            }
            _ if interrupted && !ran => Err(nothing_ran()),
            Ok(Err(error)) => Err(errors::of_evcxr(&error, code, count)),
            Ok(Ok(_)) if panicked => {
                Err(errors::of_panic(panic.as_ref(), &self.sources, &self.settings.private, count))
            }
            Ok(Ok(_)) if failed => {
                Err(errors::plain("Error", if failure.trim().is_empty() { "a `?` ended the cell" } else { &failure }))
            }
            Ok(Ok(outputs)) => Ok(values(outputs, bundle)),
        })
    }

    fn say(&self, text: &str) {
        let cell = self.settings.cell.lock();
        let request = cell.request.clone().filter(|_| !cell.silent);
        drop(cell);
        if let Some(request) = request {
            let _ = self
                .settings
                .iopub
                .blocking_send(request.publication("stream", json!({"name": "stderr", "text": text})));
        }
    }

    /// The cell is over: an interrupt that still stands does not reach the next one.
    fn end(&self) {
        let mut cell = self.settings.cell.lock();
        cell.phase = Phase::Idle;
        self.file.ask(false);
        let notice = cell.allowance.notice();
        drop(cell);
        if let Some(notice) = notice {
            self.say(&notice);
        }
    }
}

enum Attempt {
    Done(Outcome),
    /// The process of the cells had ended before; how.
    NeverRan(String),
}

/// evcxr's `:restart` gives the new process no variables, but goes on as if they were there. The end of that process makes it
/// forget them.
fn forget_variables(context: &mut CommandContext) {
    let _ = context.process_handle().lock().unwrap_or_else(PoisonError::into_inner).kill();
    let _ = context.execute("();");
}

fn values(outputs: EvalOutputs, bundle: Map<String, Value>) -> Vec<Map<String, Value>> {
    let mut values = vec![pump::bundle(outputs.content_by_mime_type), bundle];
    if let Some(time) = outputs.timing {
        let text = format!("Took {} ms", time.as_millis());
        values.push(pump::bundle([("text/plain".to_owned(), text)]));
    }
    values.retain(|value| !value.is_empty());
    values
}

fn lost(variables: &[String]) -> String {
    let mut names = variables.to_vec();
    names.sort();
    if names.is_empty() { String::new() } else { format!("\nLost: {}.", names.join(", ")) }
}

fn gone_while_idle(end: &str) -> String {
    format!("The process that runs cells ended since the last cell: {end}. It was started again. {STILL_THERE}\n")
}

fn died(end: &str, lost: &str) -> Failure {
    errors::plain("The process that runs cells ended", &format!("{end}.\nIt was started again. {STILL_THERE}{lost}"))
}

fn forced(variables: &[String]) -> Failure {
    errors::plain(
        "Interrupted",
        &format!(
            "the process that ran this cell was ended, since the cell did not stop by itself.\n{STILL_THERE}{}",
            lost(variables)
        ),
    )
}

fn nothing_ran() -> Failure {
    errors::plain("Interrupted", "while it was compiled; nothing ran. All variables are still there.")
}
