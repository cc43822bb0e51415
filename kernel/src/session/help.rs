//! Completion and inspection.

use evcxr::CommandContext;

/// Words that fit at a place, and the part of the code (in bytes) that they replace.
#[derive(Default)]
pub struct Words {
    /// Word, kind and label.
    pub words: Vec<(String, &'static str, String)>,
    pub start: usize,
    pub end: usize,
}

/// Words for this place.
pub fn complete(context: &mut CommandContext, code: &str, position: usize) -> Words {
    let Ok(found) = context.completions(code, position) else {
        return Words { start: position, end: position, ..Words::default() };
    };
    let words = found.completions.into_iter().map(|word| (word.code, word.kind, word.label)).collect();
    Words { words, start: found.start_offset.min(code.len()), end: found.end_offset.min(code.len()) }
}

/// Documentation of the name at this place or else of the call around it, as plain text and HTML.
pub fn inspect(context: &mut CommandContext, code: &str, position: usize) -> Option<(String, String)> {
    let call = enclosing_call(code, position);
    [Some(end_of_name(code, position)), call].into_iter().flatten().find_map(|at| {
        let (plain, html) = context.hover_at(code, at).ok()?;
        let found = plain != "No documentation found" && !plain.trim().is_empty();
        // Flowlens's modules stand in an inner one that its users do not see, and headings are sections of a help text.
        let tidy = |text: String| text.replace("flowlens::rooms::", "flowlens::").replace("h1>", "h4>");
        found.then(|| (tidy(plain), tidy(html)))
    })
}

fn end_of_name(code: &str, position: usize) -> usize {
    let rest = &code[position..];
    position + rest.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(rest.len())
}

/// Right behind the bracket that opens the call around this place.
fn enclosing_call(code: &str, position: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, character) in code[..position].char_indices().rev() {
        match character {
            ')' | ']' | '}' => depth += 1,
            '(' if depth == 0 => return Some(at + 1),
            '{' if depth == 0 => return None,
            '[' if depth == 0 => {}
            '(' | '[' | '{' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_calls_are_found_around_a_place() {
        let code = "model.run(vec![1], 2)";
        assert_eq!(end_of_name(code, 7), 9);
        assert_eq!(enclosing_call(code, 19), Some(10));
        assert_eq!(enclosing_call(code, 16), Some(10));
        assert_eq!(enclosing_call(code, 5), None);
    }
}
