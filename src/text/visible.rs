//! Pieces of text as a person sees them.

use crate::error::is_unseen;

/// A piece of text with everything visible that a reader would otherwise miss or misread.
///
/// Blanks at the edges and runs of them become `␣`, a line feed becomes `\n`, a tab `\t`, other control characters and
/// those of zero width or of writing direction become escapes such as `\u{200b}`. This is for the eye: it does **not**
/// make text safe for HTML.
pub fn visible(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let last = chars.len().saturating_sub(1);
    let mut shown = String::with_capacity(text.len());
    for (place, &c) in chars.iter().enumerate() {
        match c {
            ' ' => {
                let neighbour = |offset: isize| chars.get(place.wrapping_add_signed(offset)) == Some(&' ');
                let alone = place > 0 && place < last && !neighbour(-1) && !neighbour(1);
                shown.push(if alone { ' ' } else { '␣' });
            }
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if is_unseen(c) || (c.is_whitespace() && c != ' ') => {
                shown.extend(c.escape_unicode());
            }
            c => shown.push(c),
        }
    }
    shown
}

/// Numbers for a message: `0 to 11`, `3, 5, 7`.
pub(crate) fn list(numbers: &[usize]) -> String {
    match numbers {
        [] => "none".to_owned(),
        [one] => one.to_string(),
        [first, .., last] if last - first + 1 == numbers.len() => format!("{first} to {last}"),
        _ => numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// A model's name for titles: of a file or folder on this machine the last part only. An id on the Hub has one slash.
pub(crate) fn model_name(name: &str) -> &str {
    let is_path = name.starts_with(['/', '.', '~']) || name.contains('\\') || name.matches('/').count() > 1;
    let last = name.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(name);
    if is_path { last } else { name }
}

/// The bytes behind a token of a byte-level vocabulary, whose entries write each byte as one printable character;
/// `None` when the token is not written that way.
pub(crate) fn byte_level(token: &str) -> Option<Vec<u8>> {
    token.chars().map(byte_of).collect()
}

/// GPT-2's table: printable bytes of Latin-1 stand for themselves, the others follow from U+0100 on in order.
fn byte_of(c: char) -> Option<u8> {
    let stands_for_itself = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    match u32::from(c) {
        code @ 0..=0xff => u8::try_from(code).ok().filter(|&byte| stands_for_itself(byte)),
        code => {
            (0..=255u8).filter(|&byte| !stands_for_itself(byte)).nth(usize::try_from(code).ok()?.checked_sub(0x100)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_would_be_missed() {
        assert_eq!(visible(" Tokyo"), "␣Tokyo");
        assert_eq!(visible("a b"), "a b");
        assert_eq!(visible("a  b "), "a␣␣b␣");
        assert_eq!(visible("   "), "␣␣␣");
        assert_eq!(visible("\n\t\r\u{7}"), "\\n\\t\\r\\u{7}");
        assert_eq!(visible("a\u{200b}\u{202e}b\u{a0}"), "a\\u{200b}\\u{202e}b\\u{a0}");
        assert_eq!(visible("東京</script>"), "東京</script>");
        assert_eq!(visible(""), "");
    }

    #[test]
    fn finds_the_bytes_of_a_token() {
        assert_eq!(byte_level("ĠTokyo").unwrap(), b" Tokyo");
        assert_eq!(byte_level("æĹ").unwrap(), [0xe6, 0x97]);
        assert_eq!(byte_level("東"), None);
        let all: Vec<u8> = (0..=0x143).filter_map(char::from_u32).filter_map(byte_of).collect();
        assert_eq!((all.len(), all.iter().collect::<std::collections::BTreeSet<_>>().len()), (256, 256));
    }
}
