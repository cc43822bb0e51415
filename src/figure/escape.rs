//! Token text is hostile until it is escaped: one function for each place that text goes to.

use crate::text::visible;

/// Text for HTML and SVG, in element content and in quoted attributes.
pub(super) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if not_in_xml(c) => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Characters that XML 1.0 forbids even as references: an SVG that holds one does not open at all.
fn not_in_xml(c: char) -> bool {
    matches!(c, '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// JSON for the inside of a `<script>` element: nothing in it can end the element, open a comment or end a line.
pub(super) fn script(json: &serde_json::Value) -> String {
    let text = json.to_string();
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Text for Plotly's labels and hover boxes, which read a handful of HTML tags and entities and `%{}` templates.
pub(super) fn plotly(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace("%{", "%\u{200b}{")
}

/// A line of at most `limit` characters with everything visible; of a longer one the beginning and its length.
pub(super) fn line(text: &str, limit: usize) -> String {
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(limit).collect();
    let rest = chars.count();
    let shown = inner_visible(&head);
    if rest == 0 { shown } else { format!("{shown}… ({} characters)", limit + rest) }
}

/// The beginning of a text, at most `limit` characters, for titles and captions.
pub(super) fn short(text: &str, limit: usize) -> String {
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(limit).collect();
    let shown = inner_visible(&head);
    if chars.next().is_none() { shown } else { format!("{shown}…") }
}

/// The beginning of a text that is shown already, at most `limit` characters, and how long it is.
pub(super) fn clipped(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
        None => text.to_owned(),
    }
}

/// A model's name for titles.
pub(super) fn model_name(name: &str) -> String {
    short(crate::text::model_name(name), 60)
}

/// A word for beside a node: without the blank it may begin with, at most `limit` characters.
pub(super) fn label(text: &str, limit: usize) -> String {
    let word = text.strip_prefix(' ').filter(|rest| !rest.trim().is_empty()).unwrap_or(text);
    let shown: Vec<char> = visible(&word.chars().take(limit + 1).collect::<String>()).chars().collect();
    if shown.len() <= limit {
        return shown.into_iter().collect();
    }
    shown[..limit - 1].iter().chain(&['…']).collect()
}

/// `visible` for a sentence: its blanks stay blanks.
fn inner_visible(text: &str) -> String {
    text.split(' ')
        .map(|word| if word.is_empty() { String::new() } else { visible(word) })
        .collect::<Vec<_>>()
        .join(" ")
}

/// A CSS colour as it stands when it can be nothing else, and grey otherwise.
pub(super) fn color(css: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '#' | '(' | ')' | ',' | '.' | '%' | ' ' | '/');
    if !css.is_empty() && css.len() <= 64 && css.chars().all(plain) { css } else { "#888888" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts of any characters, and of those that end elements, attributes, strings and lines.
    fn hostile() -> impl Strategy<Value = String> {
        let letter = prop_oneof![any::<char>(), prop::sample::select(Vec::from_iter(HOSTILE.chars()))];
        prop::collection::vec(letter, 0..40).prop_map(String::from_iter)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_leaves_its_element(text in hostile()) {
            let escaped = html(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']) && !escaped.contains(not_in_xml), "{escaped:?}");
            // A browser reads what was written, but for what XML cannot hold.
            let back = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
                .into_iter()
                .fold(escaped, |text, (from, to)| text.replace(from, to));
            prop_assert_eq!(back, text.replace(not_in_xml, "\u{fffd}"));
        }

        #[test]
        fn no_json_leaves_its_script(text in hostile(), key in hostile()) {
            let json = serde_json::json!({ key: [text] });
            let written = script(&json);
            prop_assert!(!written.contains(['<', '>', '&', '\n', '\u{2028}', '\u{2029}']), "{written:?}");
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), json);
        }

        #[test]
        fn lines_are_bounded_and_show_everything(text in hostile(), limit in 2usize..30) {
            for shown in [line(&text, limit), short(&text, limit), label(&text, limit)] {
                prop_assert!(!shown.contains(char::is_control), "{shown:?}");
            }
            prop_assert!(label(&text, limit).chars().count() <= limit);
        }

        #[test]
        fn colours_hold_nothing_that_ends_them(text in hostile()) {
            let css = color(&text);
            let ends = |c| matches!(c, '<' | '>' | '"' | '\'' | ';' | '{' | '}' | ':' | '\\' | '&');
            prop_assert!(!css.contains(ends), "{css:?}");
        }
    }

    const HOSTILE: &str = "</script><img src=x onerror=alert(1)>\"'&\u{2028}\u{202e}\u{0}";

    #[test]
    fn leaves_no_way_out_of_an_element_or_attribute() {
        let text = html(HOSTILE);
        assert!(!text.contains(['<', '>', '"', '\'', '\u{0}']), "{text}");
        assert!(text.contains("&lt;/script&gt;"));
    }

    #[test]
    fn leaves_no_way_out_of_a_script() {
        let json = serde_json::json!({ "text": HOSTILE, "<!--": 1 });
        let text = script(&json);
        assert!(!text.contains(['<', '>', '&', '\u{2028}']), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), json);
    }

    #[test]
    fn shows_hostile_text_in_one_bounded_line() {
        assert_eq!(line("a\nb \u{202e}c", 50), "a\\nb \\u{202e}c");
        let long = line(&"x".repeat(10_000), 20);
        assert_eq!(long, format!("{}… (10000 characters)", "x".repeat(20)));
    }

    #[test]
    fn names_models_without_their_folders() {
        assert_eq!(model_name("/somewhere/of/mine/tiny.gguf"), "tiny.gguf");
        assert_eq!(model_name("../models/tiny/"), "tiny");
        assert_eq!(model_name("EleutherAI/pythia-70m"), "EleutherAI/pythia-70m");
        assert_eq!(model_name(&"x".repeat(61)), format!("{}…", "x".repeat(60)));
    }

    #[test]
    fn shortens_labels() {
        assert_eq!(label(" Tokyo", 12), "Tokyo");
        assert_eq!(label(" ", 12), "␣");
        assert_eq!(label("\n", 12), "\\n");
        assert_eq!(label("internationalisation", 12), "internation…");
        assert_eq!(label("", 12), "");
    }

    #[test]
    fn refuses_colours_that_are_none() {
        assert_eq!(color("rgba(1, 2, 3, 0.5)"), "rgba(1, 2, 3, 0.5)");
        assert_eq!(color("red\"/><script>"), "#888888");
        assert_eq!(color("url(javascript:x)"), "#888888");
        assert_eq!(color(""), "#888888");
    }
}
