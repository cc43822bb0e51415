//! What was typed in this session.

use serde_json::{Value, json};

use super::wire::Request;

/// Cells with their numbers.
#[derive(Default)]
pub struct History {
    cells: Vec<(u32, String)>,
}

impl History {
    /// Adds a cell.
    pub fn add(&mut self, count: u32, code: &str) {
        self.cells.push((count, code.to_owned()));
    }

    /// Answers a `history_request`: the last ones, a range, or those that match a pattern.
    pub fn answer(&self, request: &Request) -> Value {
        let number = |field: &str| request.content[field].as_i64();
        let most = number("n").and_then(|n| usize::try_from(n).ok());
        let mut found: Vec<&(u32, String)> = match request.text("hist_access_type") {
            "range" => {
                // Sessions count from 1; 0 is this one, and no other is kept.
                let own = matches!(number("session"), None | Some(0 | 1));
                let (start, stop) = (number("start").unwrap_or(0), number("stop").unwrap_or(i64::MAX));
                self.cells.iter().filter(|(count, _)| own && (start..stop).contains(&i64::from(*count))).collect()
            }
            "search" => {
                let pattern = request.content["pattern"].as_str().unwrap_or("*");
                let mut found: Vec<_> = self.cells.iter().filter(|(_, code)| matches(pattern, code)).collect();
                if request.flag("unique", false) {
                    let mut seen = std::collections::HashSet::new();
                    found = found.into_iter().rev().filter(|(_, code)| seen.insert(code)).collect();
                    found.reverse();
                }
                found
            }
            _ => self.cells.iter().collect(),
        };
        if let (Some(most), true) = (most, request.text("hist_access_type") != "range") {
            found.drain(..found.len().saturating_sub(most));
        }
        let with_output = request.flag("output", false);
        let entries = found
            .into_iter()
            .map(|(count, code)| if with_output { json!([1, count, [code, null]]) } else { json!([1, count, code]) });
        json!({"status": "ok", "history": entries.collect::<Vec<Value>>()})
    }
}

/// A file pattern: `*` stands for anything, `?` for one character.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut from) = (0, 0);
    // Where the last `*` stood, and what it stands for up to now.
    let mut star = None;
    while from < text.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at, from));
            at += 1;
        } else if pattern.get(at).is_some_and(|&wanted| wanted == '?' || wanted == text[from]) {
            at += 1;
            from += 1;
        } else if let Some((star_at, star_from)) = star {
            star = Some((star_at, star_from + 1));
            (at, from) = (star_at + 1, star_from + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_files_do() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("let*", "let x", true),
            ("*x*", "let x = 1", true),
            ("?", "ab", false),
            ("a*b*c", "axbxbc", true),
            ("*y", "x", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
