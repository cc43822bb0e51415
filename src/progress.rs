//! Progress of what takes long, line by line: the only place where Flowlens prints unasked.
//!
//! Without a listener nothing is printed, except in a notebook on the evcxr kernel, where lines go to standard error.

use std::sync::RwLock;

type Listener = Box<dyn Fn(&str) + Send + Sync>;

static LISTENER: RwLock<Option<Listener>> = RwLock::new(None);

/// Hands every line of progress (downloads, waiting) to `listener`, which may be called from several threads at once.
pub fn listen(listener: impl Fn(&str) + Send + Sync + 'static) {
    *LISTENER.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(Box::new(listener));
}

/// Says a line.
pub(crate) fn say(line: &str) {
    match &*LISTENER.read().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        Some(listener) => listener(line),
        // evcxr marks the process that cells run in.
        None if std::env::var_os("EVCXR_IS_RUNTIME").is_some() => eprintln!("{line}"),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_listener_hears_every_line() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let copy = heard.clone();
        super::listen(move |line| copy.lock().unwrap().push(line.to_owned()));
        super::say("progress: one");
        super::say("progress: two");
        let heard = heard.lock().unwrap();
        let own: Vec<&String> = heard.iter().filter(|line| line.starts_with("progress: ")).collect();
        assert_eq!(own, ["progress: one", "progress: two"]);
    }
}
