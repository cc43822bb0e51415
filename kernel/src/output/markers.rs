//! Lines of a cell's output that are no text: the kernel's own marks and those of evcxr.

/// Before and after a mark.
const MARK: char = '\u{1e}';

/// The cells' process started; its id.
pub const HELLO: &str = "hello";
/// A cell starts to run.
pub const RUN: &str = "run";
/// It ended.
pub const DONE: &str = "done";
/// The kernel itself wrote this: everything before it is out.
pub const END: &str = "end";
/// A panic: thread, file, line, column, message.
pub const PANIC: &str = "panic";
/// A display; the number of its file.
pub const DISPLAY: &str = "display";

/// A mark as it is printed.
pub fn line(word: &str, rest: &str) -> String {
    format!("{MARK}flowlens-{word} {rest}{MARK}\n")
}

/// A line that means something to the kernel.
#[derive(Debug, PartialEq)]
pub enum Line {
    /// One of the marks above, and what stands behind the word.
    Mark { word: String, rest: String },
    /// A cell panicked.
    Panicked,
    /// A `?` ended the cell.
    Failed,
    /// A bundle of evcxr's begins: its MIME type.
    Begin(String),
    /// It ends.
    End,
    /// For evcxr.
    Evcxr(String),
}

/// Finds what a whole line, without its newline, means, and where in it that begins: other code may have printed half a line before.
pub fn find(line: &str) -> Option<(usize, Line)> {
    mark(line).or_else(|| evcxr(line))
}

fn mark(line: &str) -> Option<(usize, Line)> {
    let inner = line.strip_suffix(MARK)?;
    let start = inner.find("\u{1e}flowlens-")?;
    let text = &inner[start + "\u{1e}flowlens-".len()..];
    let (word, rest) = text.split_once(' ')?;
    Some((start, Line::Mark { word: word.to_owned(), rest: rest.to_owned() }))
}

fn evcxr(line: &str) -> Option<(usize, Line)> {
    let start = line.rfind("EVCXR_")?;
    let text = &line[start..];
    let line = match text {
        "EVCXR_PANIC_NOTIFICATION" => Line::Panicked,
        "EVCXR_ERROR_OCCURRED" => Line::Failed,
        "EVCXR_END_CONTENT" => Line::End,
        _ if text.starts_with("EVCXR_VARIABLE_CHANGED_TYPE:") || text.starts_with("EVCXR_INPUT_REQUEST") => {
            Line::Evcxr(text.to_owned())
        }
        _ => Line::Begin(text.strip_prefix("EVCXR_BEGIN_CONTENT ")?.split(' ').next()?.to_owned()),
    };
    Some((start, line))
}

/// Whether the beginning of a line could still become a line that means something.
pub fn may_become(beginning: &[u8]) -> bool {
    let word = b"EVCXR_";
    beginning.contains(&0x1e)
        || beginning.windows(word.len()).any(|window| window == word)
        || (1..word.len()).any(|length| beginning.ends_with(&word[..length]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_behind_half_a_line() {
        let line = line(DISPLAY, "7");
        let mark = Line::Mark { word: "display".into(), rest: "7".into() };
        assert_eq!(find(&format!("half{}", line.trim_end())), Some((4, mark)));
        assert_eq!(find("half EVCXR_PANIC_NOTIFICATION"), Some((5, Line::Panicked)));
        assert_eq!(find("EVCXR_BEGIN_CONTENT text/html"), Some((0, Line::Begin("text/html".into()))));
        assert_eq!(find("EVCXR_TMPDIR is a variable"), None);
        assert_eq!(find("EVCXR_PANIC_NOTIFICATION is printed"), None);
    }

    #[test]
    fn only_what_may_become_a_mark_waits() {
        assert!(may_become(b"text EVC") && may_become("\u{1e}flow".as_bytes()) && may_become(b"EVCXR_BEGIN"));
        assert!(!may_become(b"text EVX") && !may_become(b"50%\r"));
    }
}
