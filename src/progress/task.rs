//! One thing that takes long: how far it is, and whether somebody asked to stop it.

use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{WISH, Wish, say};
use crate::error::escaped;
use crate::interrupt::{self, Call};
use crate::notebook::{Lines, Place, Progress, State, Unit, place};
use crate::{Error, Result};

/// What ends sooner needs no bar, and no line where there are only lines.
const WORTH_A_BAR: Duration = Duration::from_millis(400);
const WORTH_A_LINE: Duration = Duration::from_secs(2);
/// Shorter transfers finish before anyone looks.
const WORTH_A_TRANSFER: u64 = 1_000_000;
/// How often a bar moves.
const FRAME: Duration = Duration::from_millis(100);

static NAMES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Tasks that run on this thread, one inside the other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// A call that takes long: it looks at the interrupt at each step and shows how far it is.
///
/// Of tasks inside of tasks the outermost is shown, and transfers.
pub(crate) struct Task {
    what: String,
    unit: Unit,
    before: u64,
    total: Option<u64>,
    done: AtomicU64,
    began: Instant,
    view: Mutex<View>,
    /// What is going on around: never shown.
    hidden: bool,
    _call: Call,
}

/// What was shown of a task.
enum View {
    /// Nothing yet.
    Waiting,
    Lines(Lines),
    Bar {
        id: String,
        last: Instant,
    },
    #[cfg(feature = "cli")]
    Terminal(crate::notebook::Terminal),
    /// It is over.
    Ended,
}

impl Task {
    /// Begins something of `total` steps, which are `name`d: `layers`.
    pub fn begin(what: impl Into<String>, total: usize, name: &'static str) -> Task {
        let hidden = DEPTH.get() > 0;
        Task::new(what.into(), Unit::Count(name), 0, Some(total as u64), hidden)
    }

    /// Begins to transfer bytes, of which `before` are there; shown at once, as nobody knows how long the other side takes.
    pub fn transfer(what: impl Into<String>, before: u64, total: Option<u64>) -> Task {
        let hidden = total.is_some_and(|total| total < WORTH_A_TRANSFER);
        let task = Task::new(what.into(), Unit::Bytes, before, total, hidden);
        task.show(State::Going);
        task
    }

    fn new(what: String, unit: Unit, before: u64, total: Option<u64>, hidden: bool) -> Task {
        DEPTH.set(DEPTH.get() + 1);
        let began = Instant::now();
        let (done, view) = (AtomicU64::new(before), Mutex::new(View::Waiting));
        let what = escaped(&what);
        Task { what, unit, before, total, done, began, view, hidden, _call: Call::begin() }
    }

    /// Says that `done` steps are done.
    ///
    /// # Errors
    /// [`Error::Interrupted`], when somebody asked to stop.
    pub fn at(&self, done: u64) -> Result<()> {
        self.done.store(done, Ordering::Relaxed);
        self.step()
    }

    /// Says that one more step is done; from any thread.
    ///
    /// # Errors
    /// As [`at`](Task::at).
    pub fn advance(&self) -> Result<()> {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.step()
    }

    /// Looks whether somebody asked to stop.
    ///
    /// # Errors
    /// As [`at`](Task::at).
    pub fn check(&self) -> Result<()> {
        if interrupt::requested() { Err(self.interrupted()) } else { Ok(()) }
    }

    /// Waits for what cannot look at the interrupt itself, see [`interrupt::wait`].
    ///
    /// # Errors
    /// As [`at`](Task::at).
    #[cfg(feature = "hub")]
    pub fn wait<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        self.step_of(interrupt::wait(&self.what, work))
    }

    /// Says of an interrupt inside of a step that it ended this task: that is what the person waited for.
    pub fn step_of<T>(&self, step: Result<T>) -> Result<T> {
        step.map_err(|error| match error {
            Error::Interrupted { .. } => self.interrupted(),
            other => other,
        })
    }

    /// It is done.
    pub fn finish(self) {
        if let Some(total) = self.total {
            self.done.store(total, Ordering::Relaxed);
        }
        self.show(State::Done);
    }

    fn step(&self) -> Result<()> {
        self.check()?;
        if !self.hidden {
            self.show(State::Going);
        }
        Ok(())
    }

    fn interrupted(&self) -> Error {
        Error::Interrupted { what: self.what.clone(), done: self.progress(State::Stopped).amount() }
    }

    fn progress(&self, state: State) -> Progress {
        Progress {
            what: self.what.clone(),
            unit: self.unit,
            before: self.before,
            done: self.done.load(Ordering::Relaxed),
            total: self.total,
            took: self.began.elapsed(),
            state,
        }
    }

    fn show(&self, state: State) {
        // While another thread shows the last step, there is nothing to add.
        let Ok(mut view) = self.view.try_lock() else { return };
        if self.hidden || matches!(*view, View::Ended) {
            return;
        }
        match &mut *view {
            View::Waiting if state == State::Going && self.worth_showing() => *view = self.appear(),
            View::Waiting | View::Ended => {}
            View::Lines(lines) => lines.show(&self.progress(state), &mut say),
            View::Bar { id, last } => {
                if let Place::Kernel(displays) = place()
                    && (state != State::Going || last.elapsed() >= FRAME)
                {
                    *last = Instant::now();
                    self.progress(state).show(displays, id, true);
                }
            }
            #[cfg(feature = "cli")]
            View::Terminal(terminal) => terminal.show(&self.progress(state)),
        }
        if state != State::Going {
            *view = View::Ended;
        }
    }

    fn worth_showing(&self) -> bool {
        let bars = match &*WISH.read().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            Some(Wish::Lines(_)) => false,
            #[cfg(feature = "cli")]
            Some(Wish::Terminal) => true,
            None => matches!(place(), Place::Kernel(_)),
        };
        self.unit == Unit::Bytes || self.began.elapsed() >= if bars { WORTH_A_BAR } else { WORTH_A_LINE }
    }

    fn appear(&self) -> View {
        let progress = self.progress(State::Going);
        match (&*WISH.read().unwrap_or_else(|poisoned| poisoned.into_inner()), place()) {
            #[cfg(feature = "cli")]
            (Some(Wish::Terminal), _) => View::Terminal(crate::notebook::Terminal::begin(&progress)),
            (None, Place::Kernel(displays)) => {
                let id = format!("flowlens-{}-{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed));
                progress.show(displays, &id, false);
                View::Bar { id, last: Instant::now() }
            }
            _ => View::Lines(Lines::begin(&progress, &mut say)),
        }
    }
}

impl Drop for Task {
    /// A task that was not finished was stopped.
    fn drop(&mut self) {
        self.show(State::Stopped);
        DEPTH.set(DEPTH.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_tasks_inside_of_tasks_the_outermost_is_shown() {
        // What is only wrapped against interrupts is no task: a model that is loaded within shows its bar.
        let shown = interrupt::during("test", || {
            let outer = Task::begin("test: outer", 1, "steps");
            let inner = Task::begin("test: inner", 1, "steps");
            Ok((!outer.hidden, !inner.hidden))
        });
        assert_eq!(shown.unwrap(), (true, false));
        assert!(!Task::begin("test: later", 1, "steps").hidden);
    }
}
