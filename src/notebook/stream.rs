//! A text that is printed while it is written.

use std::io::{self, Write};

use super::{Place, place};

/// Prints a text piece by piece: in a notebook whole lines, which nothing else that is printed can break up; elsewhere
/// each piece at once.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    line: String,
    begun: bool,
}

impl Stream {
    pub fn print(&mut self, piece: &str) {
        self.begun |= !piece.is_empty();
        self.line.push_str(&harmless(piece));
        let ready = match place() {
            Place::Kernel(_) | Place::Evcxr => self.line.rfind('\n').map_or(0, |end| end + 1),
            Place::Elsewhere => self.line.len(),
        };
        put(&self.line[..ready]);
        self.line.drain(..ready);
    }
}

impl Drop for Stream {
    /// What was not printed, and the end of the line: of a text that was interrupted, too.
    fn drop(&mut self) {
        if self.begun {
            put(&format!("{}\n", self.line));
        }
    }
}

/// Nobody reads a closed output: there is nothing to tell.
fn put(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A model may write anything: what would command a terminal, or the kernel of a notebook, is spelled out.
fn harmless(text: &str) -> String {
    let spelled = |letter: char| match letter {
        '\n' | '\t' => letter.to_string(),
        letter if letter.is_control() => letter.escape_unicode().to_string(),
        letter => letter.to_string(),
    };
    text.chars().map(spelled).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_text_cannot_command_who_shows_it() {
        assert_eq!(super::harmless("a\tb\n\u{1b}[2J\u{1e}é\r"), "a\tb\n\\u{1b}[2J\\u{1e}é\\u{d}");
    }
}
