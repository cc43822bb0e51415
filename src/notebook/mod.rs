//! How a value shows itself in a notebook on the evcxr kernel.

mod display;

use std::env;
use std::io::{self, Write};

/// One output of a cell in several forms; the notebook shows the richest that it knows.
#[derive(Debug, Clone)]
pub(crate) struct Bundle {
    parts: Vec<(&'static str, String)>,
}

impl Bundle {
    /// A bundle with its plainest form.
    pub(crate) fn new(text: String) -> Bundle {
        Bundle { parts: vec![("text/plain", text)] }
    }

    /// Adds a form; there is one of each MIME type.
    pub(crate) fn add(&mut self, mime: &'static str, content: String) {
        self.parts.push((mime, content));
    }

    /// Hands the bundle to the kernel, which reads it from standard output.
    pub(crate) fn send(&self) {
        // Nobody reads a closed output: there is nothing to tell.
        let _ = self.write(&mut io::stdout().lock());
    }

    /// Each form in one write, so that nothing else that is printed can come between its lines.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for (mime, content) in &self.parts {
            let block = format!("EVCXR_BEGIN_CONTENT {mime}\n{}\nEVCXR_END_CONTENT\n", guarded(content));
            out.write_all(block.as_bytes())?;
        }
        out.flush()
    }
}

/// Content in which no line can be taken for one of the kernel's own.
fn guarded(content: &str) -> String {
    content.replace('\r', "").replace("EVCXR_", "EVCXR\u{200b}_")
}

/// Whether this is the first time that this kernel asks about `what`.
///
/// A cell is a library of its own, so that a Rust static of one cell is unknown to the next; the environment of the
/// kernel's process is what they share.
pub(crate) fn first_time(what: &str) -> bool {
    let name = format!("FLOWLENS_SENT_{}", what.to_ascii_uppercase());
    let process = std::process::id().to_string();
    if env::var(&name).is_ok_and(|value| value == process) {
        return false;
    }
    // SAFETY: other Rust code takes the same lock; of foreign code only libtorch's threads could read the environment
    // at this moment, and none works while a cell hands over its result.
    unsafe { env::set_var(name, process) };
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_the_kernel_reads() {
        let mut bundle = Bundle::new("a\nEVCXR_END_CONTENT\nb".to_owned());
        bundle.add("text/html", "<p>x</p>".to_owned());
        let mut out = Vec::new();
        bundle.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "EVCXR_BEGIN_CONTENT text/plain\na\nEVCXR\u{200b}_END_CONTENT\nb\nEVCXR_END_CONTENT\n\
             EVCXR_BEGIN_CONTENT text/html\n<p>x</p>\nEVCXR_END_CONTENT\n"
        );
    }

    #[test]
    fn remembers_within_a_process() {
        assert!(first_time("test of this"));
        assert!(!first_time("test of this"));
    }
}
