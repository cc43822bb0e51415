//! What went wrong, as one readable block.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ariadne::sources;
use evcxr::{CompilationError, Theme};

use super::Failure;
use super::source::{Place, Sources};
use crate::output::panics::Panic;

const RED: &str = "\x1b[1;31m";
const BOLD: &str = "\x1b[1m";
const BLUE: &str = "\x1b[34m";
const PLAIN: &str = "\x1b[0m";

/// A failure that needs no place in the code.
pub fn plain(name: &str, text: &str) -> Failure {
    let mut block: Vec<String> = text.trim_end().lines().map(str::to_owned).collect();
    if let Some(first) = block.first_mut() {
        *first = format!("{RED}{name}:{PLAIN} {first}");
    }
    Failure { name: name.to_owned(), value: text.trim_end().to_owned(), block }
}

/// What evcxr says where a cell did not come to its end. `code` is the cell.
pub fn of_evcxr(error: &evcxr::Error, code: &str, count: u32) -> Failure {
    let evcxr::Error::CompilationErrors(errors) = error else {
        return plain("Error", &error.to_string());
    };
    // Warnings come along where something else fails.
    let any_error = errors.iter().any(|error| error.level() == "error");
    let shown: Vec<&CompilationError> = errors.iter().filter(|error| !any_error || error.level() == "error").collect();
    let Some(first) = shown.first() else {
        return plain("Error", "the cell could not be compiled, and the compiler did not say why");
    };
    let mut value = first.message();
    if shown.len() > 1 {
        value.push_str(&format!(" (and {} more)", shown.len() - 1));
    }
    let mut block = Vec::new();
    for error in shown {
        let told = compilation(error, code, count);
        // What is wrong with keeping variables is said for each of them, without a name.
        if error.is_from_user_code() || !block.ends_with(&told) {
            if !block.is_empty() {
                block.push(String::new());
            }
            block.extend(told);
        }
    }
    Failure { name: "Error".to_owned(), value, block }
}

fn compilation(error: &CompilationError, code: &str, count: u32) -> Vec<String> {
    if let Some(words) = only_a_note(error.level(), &error.message()) {
        return words;
    }
    if !error.is_from_user_code() {
        let mut block = vec![format!("{RED}Error:{PLAIN} {}", error.message())];
        block.extend(way_out(&error.message()).map(|help| format!("{BOLD}help:{PLAIN} {help}")));
        return block;
    }
    // ariadne counts on code and error to agree; a cell is not worth a panic of the kernel.
    let drawn = catch_unwind(AssertUnwindSafe(|| drawn(error, code, count))).unwrap_or(None);
    let mut block = drawn.unwrap_or_else(|| marked_lines(error));
    for help in error.help() {
        if !block.iter().any(|line| help.lines().next().is_some_and(|first| line.contains(first))) {
            block.push(format!("{BOLD}help:{PLAIN} {help}"));
        }
    }
    block
}

/// Where a cell's last expression calls a function of an earlier cell with what it does not take, evcxr has kept the
/// compiler's note on the function and lost the error.
fn only_a_note(level: &str, message: &str) -> Option<Vec<String>> {
    (level == "note" && message.ends_with("defined here")).then(|| {
        vec![
            format!("{RED}Error:{PLAIN} a call does not give a function of an earlier cell what it takes"),
            format!(
                "{BOLD}help:{PLAIN} is a `&` or `?` missing, or an argument of another type? Put `;` behind the cell's last \
                 line and run it again: the message then shows the place and both types."
            ),
        ]
    })
}

/// What to do about an error in the code that keeps a cell's variables for later cells.
fn way_out(message: &str) -> Option<&'static str> {
    message.contains("borrowed data escapes").then_some(
        "a variable of this cell cannot be kept for later cells. In place of a closure write a function (`fn`); write the \
         type out where it is from another library (`let t: flowlens::tch::Tensor = ..`); or put the lines in braces, \
         `{ .. }`: what is declared inside is not kept.",
    )
}

fn drawn(error: &CompilationError, code: &str, count: u32) -> Option<Vec<String>> {
    // A span without a label is not drawn, and an error without a place says little.
    let labelled = error.spanned_messages().iter().any(|message| message.span.is_some() && !message.label.is_empty());
    if !labelled {
        return None;
    }
    let name = format!("cell {count}");
    let report = error.build_report(name.clone(), code.to_owned(), Theme::Light)?;
    let mut drawn = Vec::new();
    report.write(sources([(name.clone(), code.to_owned())]), &mut drawn).ok()?;
    // evcxr puts the report at the cell's beginning.
    let place = error.primary_spanned_message().and_then(|message| message.span);
    let place = place.map(|span| format!("{name}:{}:{}", span.start_line, span.start_column));
    let text = String::from_utf8_lossy(&drawn).replacen(&format!("{name}:1:1"), &place.unwrap_or(name.clone()), 1);
    Some(text.lines().map(|line| with_theme(line.trim_end())).collect())
}

/// ariadne's colours stand for one background. The sixteen basic ones are the theme's own.
fn with_theme(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find("\x1b[38;5;") {
        plain.push_str(&rest[..start]);
        rest = &rest[start + "\x1b[38;5;".len()..];
        let Some(end) = rest.find('m') else { return plain };
        let number: u8 = rest[..end].parse().unwrap_or(0);
        match number {
            // Frame and numbers of lines.
            232..=255 => plain.push_str("\x1b[90m"),
            _ => plain.push_str(&format!("\x1b[{}m", [34, 35, 36, 32][usize::from(number) % 4])),
        }
        rest = &rest[end + 1..];
    }
    plain.push_str(rest);
    plain
}

/// The lines as they are, with what is wrong underlined.
fn marked_lines(error: &CompilationError) -> Vec<String> {
    let code = error.code().map(|code| format!("[{code}] ")).unwrap_or_default();
    let mut block = vec![format!("{RED}{code}Error:{PLAIN} {}", error.message())];
    for message in error.spanned_messages() {
        let Some(span) = &message.span else {
            if !message.label.is_empty() {
                block.push(message.label.clone());
            }
            continue;
        };
        for (at, line) in message.lines.iter().enumerate() {
            block.push(format!("{:4} │ {line}", span.start_line + at));
        }
        if span.start_line == span.end_line {
            let (before, width) =
                (span.start_column.saturating_sub(1), span.end_column.saturating_sub(span.start_column).max(1));
            block.push(format!("     │ {}{BLUE}{} {}{PLAIN}", " ".repeat(before), "^".repeat(width), message.label));
        } else if !message.label.is_empty() {
            block.push(format!("     │ {BLUE}{}{PLAIN}", message.label));
        }
    }
    block
}

/// A panic that ended a cell.
pub fn of_panic(panic: Option<&Panic>, sources: &Sources, private: &Path, count: u32) -> Failure {
    let Some(panic) = panic else {
        return plain("Panic", "the cell panicked. Variables of earlier cells are still there.");
    };
    let mut failure = plain("Panic", &panic.message);
    let compiled = std::fs::read_to_string(private.join("src/lib.rs")).unwrap_or_default();
    let found = if panic.file.ends_with("src/lib.rs") && !panic.file.starts_with('/') {
        sources.find(&compiled, panic.line, panic.column)
    } else {
        None
    };
    match found {
        Some(place) => failure.block.extend(marked(&place, count)),
        None if panic.file.ends_with("src/lib.rs") && !panic.file.starts_with('/') => {}
        None => failure.block.push(format!("     at {}:{}:{}", panic.file, panic.line, panic.column)),
    }
    failure.block.push("Variables of earlier cells are still there.".to_owned());
    failure
}

fn marked(place: &Place<'_>, count: u32) -> Vec<String> {
    let cell = if place.cell == count { "this cell".to_owned() } else { format!("cell {}", place.cell) };
    vec![
        format!("     ╭─ line {} of {cell}", place.line),
        format!("{:4} │ {}", place.line, place.text),
        format!("     │ {}{BLUE}^{PLAIN}", " ".repeat(place.column - 1)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_without_its_error_says_what_to_do() {
        let words = only_a_note("note", "function defined here").unwrap().join(" ");
        assert!(words.contains("earlier cell") && words.contains("`;`"));
        assert_eq!(only_a_note("error", "function defined here"), None);
        assert_eq!(only_a_note("note", "required by a bound"), None);
    }

    #[test]
    fn colours_become_the_themes() {
        assert_eq!(with_theme("a\x1b[38;5;246mb\x1b[0m\x1b[31mc"), "a\x1b[90mb\x1b[0m\x1b[31mc");
        assert!(with_theme("\x1b[38;5;37mx").starts_with("\x1b[3"));
        assert_eq!(with_theme("\x1b[38;5;"), "");
    }

    #[test]
    fn panics_point_into_the_cell() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        std::fs::write(folder.path().join("src/lib.rs"), "generated\nlet y = v[7];\n").unwrap();
        let mut sources = Sources::default();
        sources.add(4, "let v = vec![1];\nlet y = v[7];");
        let panic = Panic {
            thread: "main".into(),
            file: "src/lib.rs".into(),
            line: 2,
            column: 9,
            message: "out of bounds\nlen 1".into(),
        };
        let failure = of_panic(Some(&panic), &sources, folder.path(), 4);
        let block = failure.block.join("\n");
        assert_eq!(failure.value, "out of bounds\nlen 1");
        assert!(block.contains("line 2 of this cell") && block.contains("   2 │ let y = v[7];"), "{block}");
    }
}
