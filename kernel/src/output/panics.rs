//! What the cells' companion says about a panic.

/// A panic, and where in the compiled code it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Panic {
    pub thread: String,
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    pub message: String,
}

impl Panic {
    /// Reads what stands behind the mark's word.
    pub fn parse(text: &str) -> Option<Panic> {
        let mut fields = text.splitn(5, '\u{1f}');
        let (thread, file) = (fields.next()?.to_owned(), fields.next()?.to_owned());
        let (line, column) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Panic { thread, file, line, column, message: unescape(fields.next()?) })
    }

    /// As Rust prints it, without the hint at back-traces.
    pub fn text(&self) -> String {
        let Panic { thread, file, line, column, message } = self;
        format!("thread '{thread}' panicked at {file}:{line}:{column}:\n{message}\n")
    }
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n') => plain.push('\n'),
                Some(other) => plain.push(other),
                None => plain.push('\\'),
            },
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_many_lines_come_back() {
        let panic = Panic::parse("main\u{1f}src/lib.rs\u{1f}4\u{1f}9\u{1f}one\\ntwo \\\\n").unwrap();
        assert_eq!(panic.message, "one\ntwo \\n");
        assert_eq!((panic.line, panic.column, &*panic.file), (4, 9, "src/lib.rs"));
    }
}
