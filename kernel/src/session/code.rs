//! What a person writes, as far as the kernel itself reads it.

/// Takes `:dep flowlens ..` lines out, since Flowlens is there; the lines keep their numbers.
pub fn without_own_dependency(code: &str) -> String {
    if !code.contains("flowlens") {
        return code.to_owned();
    }
    let own = |line: &str| {
        let name = line.trim_start().strip_prefix(":dep").and_then(|rest| rest.strip_prefix(char::is_whitespace));
        let rest = name.and_then(|rest| rest.trim_start().strip_prefix("flowlens"));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', ' ', '\t', '\r']))
    };
    let lines: Vec<&str> = code.split('\n').map(|line| if own(line) { "" } else { line }).collect();
    lines.join("\n")
}

/// Jupyter counts characters, Rust bytes.
pub fn byte_of(code: &str, character: usize) -> usize {
    code.char_indices().nth(character).map_or(code.len(), |(byte, _)| byte)
}

/// The other way round.
pub fn character_of(code: &str, byte: usize) -> usize {
    code.char_indices().take_while(|(at, _)| *at < byte).count()
}

/// Whether code is a whole cell.
#[derive(Debug, PartialEq)]
pub enum Whole {
    Complete,
    /// More must come; so far should the next line be indented.
    Incomplete(usize),
    /// What is there cannot become code.
    Invalid,
}

/// Goes by brackets, strings and comments, and by operators that want something behind them.
pub fn whole(code: &str) -> Whole {
    if code.trim_start().starts_with([':', '!']) && !code.trim().contains('\n') {
        return Whole::Complete;
    }
    let mut open = Vec::new();
    let mut scan = Scan { rest: code };
    let mut last = None;
    while let Some(token) = scan.next() {
        match token {
            Token::Space => continue,
            Token::Open => return Whole::Incomplete(0),
            Token::Bracket(bracket @ ('(' | '[' | '{')) => open.push(bracket),
            Token::Bracket(closing) => {
                let opening = match closing {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                if open.pop() != Some(opening) {
                    return Whole::Invalid;
                }
            }
            Token::Character(_) | Token::Word => {}
        }
        last = Some(token);
    }
    if !open.is_empty() {
        return Whole::Incomplete(4 * open.len());
    }
    match last {
        Some(Token::Character('=' | '+' | '-' | '*' | '/' | '%' | '&' | '|' | '^' | '.' | ',' | '<' | ':')) => {
            Whole::Incomplete(4)
        }
        _ => Whole::Complete,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Token {
    /// Blanks and comments.
    Space,
    /// A string or comment that has no end.
    Open,
    Bracket(char),
    Character(char),
    /// A name, number, string, character or lifetime.
    Word,
}

struct Scan<'code> {
    rest: &'code str,
}

impl Scan<'_> {
    fn next(&mut self) -> Option<Token> {
        let first = self.rest.chars().next()?;
        let (length, token) = match first {
            _ if first.is_whitespace() => (Some(first.len_utf8()), Token::Space),
            _ if self.rest.starts_with("//") => (Some(self.rest.find('\n').unwrap_or(self.rest.len())), Token::Space),
            _ if self.rest.starts_with("/*") => (comment(self.rest), Token::Space),
            '"' => (string(self.rest), Token::Word),
            '\'' => (Some(quote(self.rest)), Token::Word),
            _ if first.is_alphanumeric() || first == '_' => self.word(),
            '(' | '[' | '{' | ')' | ']' | '}' => (Some(1), Token::Bracket(first)),
            _ => (Some(first.len_utf8()), Token::Character(first)),
        };
        let Some(length) = length else {
            self.rest = "";
            return Some(Token::Open);
        };
        self.rest = &self.rest[length..];
        Some(token)
    }

    /// A name, or a string with letters before it.
    fn word(&self) -> (Option<usize>, Token) {
        let end = self
            .rest
            .find(|character: char| !character.is_alphanumeric() && character != '_')
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let raw = matches!(word, "r" | "br" | "cr");
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        if raw && rest[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let body = &rest[hashes + 1..];
            return (body.find(&close).map(|at| end + hashes + 1 + at + close.len()), Token::Word);
        }
        if matches!(word, "b" | "c") && rest.starts_with('"') {
            return (string(rest).map(|length| end + length), Token::Word);
        }
        (Some(end), Token::Word)
    }
}

fn string(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// A character, or else a lifetime.
fn quote(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => {
            text[2..].char_indices().skip(1).find(|(_, character)| *character == '\'').map_or(2, |(at, _)| at + 3)
        }
        Some(_) => match characters.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        None => 1,
    }
}

/// Comments nest.
fn comment(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_dependency_goes_and_lines_stay() {
        let code = ":dep flowlens = { path = \"..\" }\n  :dep flowlens\n:dep flowlens_more = \"1\"\nlet flowlens = 1;";
        assert_eq!(without_own_dependency(code), "\n\n:dep flowlens_more = \"1\"\nlet flowlens = 1;");
    }

    #[test]
    fn whole_cells_are_told_from_parts() {
        for code in [
            "",
            "let x = 1;",
            "fn f<'a>(x: &'a str) -> char { '{' }",
            "r#\"(\"#",
            ":dep x = \"1\"",
            "\"\\\"\"",
            "a /* ( */",
            "'\\''",
            "x?",
            "v >> 1",
            "let c = '\"';",
        ] {
            assert_eq!(whole(code), Whole::Complete, "{code}");
        }
        for code in ["fn f() {", "let s = \"a", "let x =", "/* a", "r#\"a\"", "a(1,", "x.", "b\"a"] {
            assert!(matches!(whole(code), Whole::Incomplete(_)), "{code}");
        }
        for code in ["}", "f(]"] {
            assert_eq!(whole(code), Whole::Invalid, "{code}");
        }
    }

    #[test]
    fn positions_go_by_characters() {
        let code = "é=1";
        assert_eq!((byte_of(code, 1), byte_of(code, 9), character_of(code, 2)), (2, 4, 1));
    }
}
