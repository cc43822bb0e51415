//! The style sheets inside our pictures, as far as they say colours: variables, light and dark, brightness.

use std::collections::HashMap;

use super::Scheme;
use crate::{Error, Result};

/// How deep variables may name each other.
const DEPTH: usize = 8;

/// What style sheets say under one scheme.
#[derive(Debug, Default)]
pub(super) struct Styles {
    /// Variables by their names, dashes included. Ours hold for a whole picture.
    variables: HashMap<String, String>,
    /// How much brighter the colours inside elements of a class are.
    brightness: HashMap<String, f64>,
}

impl Styles {
    /// Reads a style sheet; what is left of it without variables, other schemes and brightness.
    pub fn take(&mut self, css: &str, scheme: Scheme) -> String {
        let mut left = String::new();
        for (head, body) in blocks(css) {
            match head.strip_prefix("@media") {
                Some(condition) if holds(condition, scheme) => left.push_str(&self.take(body, scheme)),
                None if !head.starts_with('@') => self.take_rule(head, body, &mut left),
                _ => {}
            }
        }
        left
    }

    fn take_rule(&mut self, selector: &str, body: &str, left: &mut String) {
        let mut kept = String::new();
        for (name, value) in body.split(';').filter_map(|line| line.split_once(':')) {
            let (name, value) = (name.trim(), value.trim());
            let class = selector.strip_prefix('.');
            let factor = value.strip_prefix("brightness(").and_then(|rest| rest.strip_suffix(')')?.parse().ok());
            if name.starts_with("--") {
                self.variables.insert(name.to_owned(), value.to_owned());
            } else if let ("filter", Some(class), Some(factor)) = (name, class, factor) {
                self.brightness.insert(class.to_owned(), factor);
            } else {
                kept.push_str(&format!("{name}:{value};"));
            }
        }
        if !kept.is_empty() {
            left.push_str(&format!("{selector}{{{}}}", kept.trim_end_matches(';')));
        }
    }

    /// How much brighter an element with these classes is.
    pub fn brightness(&self, classes: &str) -> f64 {
        classes.split_whitespace().filter_map(|class| self.brightness.get(class)).product()
    }

    /// A value with every `var(..)` in it replaced.
    pub fn resolve(&self, value: &str) -> Result<String> {
        let mut value = value.to_owned();
        for _ in 0..DEPTH {
            let Some((before, rest)) = value.split_once("var(") else { return Ok(value) };
            let end = closing(rest).ok_or_else(|| Error::Figure(format!("{value:?} is no colour: it never ends")))?;
            let (name, fallback) = match rest[..end].split_once(',') {
                Some((name, fallback)) => (name.trim(), Some(fallback.trim())),
                None => (rest[..end].trim(), None),
            };
            let found = self.variables.get(name).map(String::as_str).or(fallback);
            let found =
                found.ok_or_else(|| Error::Figure(format!("no style sheet of the figure says what {name} is")))?;
            value = format!("{before}{found}{}", &rest[end + 1..]);
        }
        Err(Error::Figure(format!("the variables in {value:?} name each other without end")))
    }
}

/// Whether a condition such as `(prefers-color-scheme:dark)` holds. Any other is about a screen.
fn holds(condition: &str, scheme: Scheme) -> bool {
    let condition: String = condition.split_whitespace().collect();
    let wanted = match scheme {
        Scheme::Light => "(prefers-color-scheme:light)",
        Scheme::Dark => "(prefers-color-scheme:dark)",
    };
    condition == wanted
}

/// What stands before each pair of curly brackets, and what within it.
fn blocks(css: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let (mut start, mut open, mut depth) = (0, 0, 0usize);
    for (at, byte) in css.bytes().enumerate() {
        match byte {
            b'{' => {
                if depth == 0 {
                    open = at;
                }
                depth += 1;
            }
            b'}' if depth == 1 => {
                found.push((css[start..open].trim(), &css[open + 1..at]));
                (start, depth) = (at + 1, 0);
            }
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    found
}

/// Where the bracket closes that stands open before the text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    text.bytes().position(|byte| {
        depth += i32::from(byte == b'(') - i32::from(byte == b')');
        depth == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHEET: &str = "svg{--a:#111;--b:var(--a);font-family:x}\
                         @media (prefers-color-scheme: dark){.l{filter:brightness(1.5)}svg{--a:#eee}} p{color:var(--b)}";

    fn read(scheme: Scheme) -> (Styles, String) {
        let mut styles = Styles::default();
        let left = styles.take(SHEET, scheme);
        (styles, left)
    }

    #[test]
    fn takes_the_variables_of_one_scheme() {
        let (light, left) = read(Scheme::Light);
        assert_eq!(left, "svg{font-family:x}p{color:var(--b)}");
        assert_eq!((light.resolve("var(--b)").unwrap(), light.brightness("l")), ("#111".to_owned(), 1.0));
        let (dark, _) = read(Scheme::Dark);
        assert_eq!((dark.resolve("a var( --b )c").unwrap(), dark.brightness("k l")), ("a #eeec".to_owned(), 1.5));
    }

    #[test]
    fn falls_back_where_a_variable_says_so_and_complains_elsewhere() {
        let (styles, _) = read(Scheme::Light);
        assert_eq!(styles.resolve("var(--x, rgb(1,2,3)) var(--y,var(--a))").unwrap(), "rgb(1,2,3) #111");
        assert!(styles.resolve("var(--x)").unwrap_err().to_string().contains("--x"));
        assert!(styles.resolve("var(--x").is_err());
        let mut round = Styles::default();
        round.take("svg{--a:var(--b);--b:var(--a)}", Scheme::Light);
        assert!(round.resolve("var(--a)").is_err());
    }
}
