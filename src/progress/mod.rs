//! Progress of what takes long, and the way to end it: the only place from which Flowlens prints unasked.
//!
//! In a notebook on this project's kernel a bar moves; on stock evcxr, lines go to standard error. Elsewhere nothing is
//! printed, unless a program [listens](listen).

mod task;

use std::sync::RwLock;

pub(crate) use crate::notebook::Unit;
pub(crate) use task::Task;

use crate::error::escaped;
use crate::notebook::{Place, place};

type Listener = Box<dyn Fn(&str) + Send + Sync>;

/// What a program wants to hear.
enum Wish {
    Lines(Listener),
    #[cfg(feature = "cli")]
    Terminal,
}

static WISH: RwLock<Option<Wish>> = RwLock::new(None);

/// Hands every line of progress (downloads, loading, waiting) to `listener`, which may be called from several threads at
/// once.
pub fn listen(listener: impl Fn(&str) + Send + Sync + 'static) {
    *WISH.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(Wish::Lines(Box::new(listener)));
}

/// Shows progress on standard error: as a bar where that is a terminal, else line by line.
#[cfg(feature = "cli")]
pub fn show_in_terminal() {
    use std::io::IsTerminal;
    if std::io::stderr().is_terminal() {
        *WISH.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(Wish::Terminal);
    } else {
        listen(|line| eprintln!("{line}"));
    }
}

/// Says a line.
pub(crate) fn say(line: &str) {
    let line = &escaped(line);
    match &*WISH.read().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        Some(Wish::Lines(listener)) => listener(line),
        #[cfg(feature = "cli")]
        Some(Wish::Terminal) => crate::notebook::Terminal::say(line),
        None if matches!(place(), Place::Elsewhere) => {}
        None => eprintln!("{line}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::Task;

    /// One test: the listener is the process's.
    #[test]
    fn a_listener_hears_lines_and_tasks() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let copy = heard.clone();
        super::listen(move |line| copy.lock().unwrap().push(line.to_owned()));
        super::say("test: one");
        let task = Task::transfer("test: fetching", 0, Some(20_000_000));
        for done in 0..=20 {
            task.at(done * 1_000_000).unwrap();
        }
        task.finish();
        drop(Task::transfer("test: broken", 5_000_000, Some(20_000_000)));
        drop(Task::transfer("test: small", 0, Some(1000)));
        drop(Task::begin("test: short", 10, "steps"));
        let heard = heard.lock().unwrap();
        let text = heard.join("\n");
        assert!(text.contains("test: one\ntest: fetching (20.0 MB)\n  10 %, 2.0 MB of 20.0 MB, "), "{text}");
        assert!(text.contains("  90 %, 18.0 MB of 20.0 MB, ") && !text.contains("%, 19.0 MB"), "{text}");
        assert!(text.contains("  100 %, 20.0 MB in 0.0 s, "), "{text}");
        assert!(
            text.contains("test: broken (20.0 MB), going on at 5.0 MB\n  stopped after 5.0 MB of 20.0 MB"),
            "{text}"
        );
        assert!(!text.contains("small") && !text.contains("short"), "{text}");
    }
}
