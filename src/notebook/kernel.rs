//! Our kernel's way: the display lies in a file, and a short line on standard output says that it is there.
//!
//! The line tells the kernel where the display stands among the printed text. It is shorter than what a pipe takes in one
//! piece, so that whatever libtorch or another thread prints at the same moment lands before or behind it, never inside.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};

use super::Bundle;

/// The folder that the kernel reads displays from.
pub(crate) struct Displays {
    folder: PathBuf,
    next: AtomicU64,
}

/// A display that is to be changed later: its name, and whether it is there already.
pub(super) struct Lasting<'a> {
    pub id: &'a str,
    pub update: bool,
}

impl Displays {
    pub fn new(folder: PathBuf) -> Displays {
        Displays { folder, next: AtomicU64::new(1) }
    }

    pub(super) fn show(&self, bundle: &Bundle, lasting: Option<Lasting>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let display = content(bundle, lasting).to_string();
        let path = self.folder.join(format!("{number}.json"));
        let part = self.folder.join(format!("{number}.part"));
        if let Err(error) = fs::write(&part, display).and_then(|()| fs::rename(&part, &path)) {
            let _ = fs::remove_file(&part);
            eprintln!(
                "a display could not be handed to the notebook ({}: {error}); its text is:\n{}",
                self.folder.display(),
                bundle.text()
            );
            return;
        }
        let mut out = io::stdout().lock();
        // Nobody reads a closed output: there is nothing to tell.
        let _ = out.write_all(format!("\u{1e}flowlens-display {number}\u{1e}\n").as_bytes()).and_then(|()| out.flush());
    }
}

fn content(bundle: &Bundle, lasting: Option<Lasting>) -> Value {
    let data: Map<String, Value> = bundle
        .parts
        .iter()
        .map(|(mime, content)| {
            let json = if mime.ends_with("json") { serde_json::from_str(content).ok() } else { None };
            ((*mime).to_owned(), json.unwrap_or_else(|| Value::from(content.as_str())))
        })
        .collect();
    let mut display = json!({ "data": data, "metadata": {}, "update": false });
    if let Some(Lasting { id, update }) = lasting {
        display["display_id"] = Value::from(id);
        display["update"] = Value::from(update);
    }
    display
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_is_a_whole_file_with_json_as_json() {
        let folder = std::env::temp_dir().join(format!("flowlens-displays-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let displays = Displays::new(folder.clone());
        let mut bundle = Bundle::new("text".to_owned());
        bundle.add("application/json", "{\"a\": 1}".to_owned());
        displays.show(&bundle, None);
        displays.show(&bundle, Some(Lasting { id: "bar", update: true }));
        let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap() };
        let data = json!({ "text/plain": "text", "application/json": { "a": 1 } });
        assert_eq!(read("1.json"), json!({ "data": data, "metadata": {}, "update": false }));
        assert_eq!(read("2.json"), json!({ "data": data, "metadata": {}, "display_id": "bar", "update": true }));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        fs::remove_dir_all(&folder).unwrap();
    }
}
