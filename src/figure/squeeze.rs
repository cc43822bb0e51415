//! Our scripts as pages carry them: without what only their readers need.

/// Adds a script without comments, indentation and blanks between signs: a notebook keeps it once for every output.
/// Lines stay lines, and our scripts have no text that runs over several. A comment that begins with `/*!` stays.
pub(super) fn squeeze(script: &str, html: &mut String) {
    let mut note = false;
    for line in script.lines().map(str::trim) {
        note |= line.starts_with("/*!");
        let comment = ["//", "/**", "* ", "*/"].iter().any(|start| line.starts_with(start)) || line == "*";
        if note {
            html.push_str(line);
        } else if comment || line.is_empty() {
            continue;
        } else {
            squeeze_line(line, html);
        }
        html.push('\n');
        note &= !line.ends_with("*/");
    }
}

fn squeeze_line(line: &str, html: &mut String) {
    let start = html.len();
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        let before = html[start..].chars().next_back();
        let length = match next {
            ' ' => {
                rest = rest.trim_start_matches(' ');
                if before.zip(rest.chars().next()).is_some_and(|(before, next)| must_part(before, next)) {
                    html.push(' ');
                }
                continue;
            }
            '/' if rest.starts_with("//") => break,
            '/' if begins_pattern(&html[start..]) => pattern_length(rest),
            '"' | '\'' => string_length(rest),
            '`' => template_length(rest),
            _ => next.len_utf8(),
        };
        html.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    html.truncate(html.trim_end_matches(' ').len());
}

/// Whether two characters mean something else without the blank between them.
fn must_part(before: char, next: char) -> bool {
    let word = |c: char| c.is_alphanumeric() || !c.is_ascii() || matches!(c, '_' | '$' | '#');
    word(before) && word(next)
        || before == next && matches!(next, '+' | '-' | '/')
        || before.is_ascii_digit() && next == '.'
        || matches!((before, next), ('<', '!') | ('-', '>'))
}

/// Whether a slash after this code begins a regular expression, and does not divide.
fn begins_pattern(code: &str) -> bool {
    code.chars().next_back().is_none_or(|c| "(,=:[!&|?{;>".contains(c)) || code.ends_with("return")
}

/// The length of what begins with a quote or slash and ends at the next one; all when it does not end.
fn until(text: &str, end: char, mut inside: impl FnMut(char) -> bool) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        let free = inside(c);
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == end && free {
            return at + c.len_utf8();
        }
    }
    text.len()
}

fn string_length(text: &str) -> usize {
    until(text, text.chars().next().unwrap_or('"'), |_| true)
}

fn pattern_length(text: &str) -> usize {
    let mut class = false;
    until(text, '/', |c| {
        class = c == '[' || class && c != ']';
        !class
    })
}

/// A template ends at its own quote, not at one of the templates within its `${}`.
fn template_length(text: &str) -> usize {
    let mut at = 1;
    let mut depth = 0;
    while let Some(c) = text[at..].chars().next() {
        let here = &text[at..];
        at += match c {
            '\\' => 1 + here[1..].chars().next().map_or(0, char::len_utf8),
            '`' if depth == 0 => return at + 1,
            '`' => template_length(here),
            '"' | '\'' if depth > 0 => string_length(here),
            '$' if depth == 0 && here.starts_with("${") => {
                depth = 1;
                2
            }
            '{' if depth > 0 => {
                depth += 1;
                1
            }
            '}' if depth > 0 => {
                depth -= 1;
                1
            }
            _ => c.len_utf8(),
        };
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squeezed(script: &str) -> String {
        let mut html = String::new();
        squeeze(script, &mut html);
        html
    }

    #[test]
    fn leaves_out_what_only_readers_need() {
        let script = "// Why.\n/**\n * More.\n */\n\n  const a = (b, c) => { return b + c; }; // so\n  if (a) run();\n";
        assert_eq!(squeezed(script), "const a=(b,c)=>{return b+c;};\nif(a)run();\n");
    }

    #[test]
    fn leaves_texts_and_patterns_as_they_are() {
        for line in [
            r#""a  //  b \" c";"#,
            "'it  \" is';",
            "`a  ${b + `  ${ \"}\" } // `}  c`;",
            r"x=/a  [/ ]\/ /g;",
            r#"return/[",  ]/.test(x);"#,
            "\"␣  →\";",
        ] {
            assert_eq!(squeezed(line), format!("{line}\n"));
        }
    }

    #[test]
    fn keeps_blanks_that_mean_something() {
        for line in ["a+ +b- -c;", "typeof a in b;", "1 .x;", "a< !b;", "a- >b;", "case\"x\":", "ä of ö"] {
            assert_eq!(squeezed(line), format!("{line}\n"));
        }
        assert_eq!(squeezed("a / 2 / b; // c / d"), "a/2/b;\n");
        assert_eq!(squeezed("\"never closed   "), "\"never closed\n");
    }

    #[test]
    fn keeps_a_licence() {
        assert_eq!(squeezed("/*! by A,\n   \"as is\" */\n  x = 1;"), "/*! by A,\n\"as is\" */\nx=1;\n");
    }
}
