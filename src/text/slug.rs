//! Texts as names of files.

/// Letters that a file name has at most, its ending aside.
const NAME_LETTERS: usize = 100;

/// A text as a file name everywhere, in shells and in LaTeX too: small letters, digits and single dashes, at most a
/// hundred.
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for letter in text.chars() {
        match letter.to_ascii_lowercase() {
            letter if letter.is_ascii_alphanumeric() => slug.push(letter),
            _ if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
        if slug.len() == NAME_LETTERS {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "figure".to_owned() } else { slug.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_hold_nothing_that_a_file_name_must_not() {
        assert_eq!(slug("HuggingFaceTB/SmolLM2-135M, layer 16"), "huggingfacetb-smollm2-135m-layer-16");
        assert_eq!(slug("../../etc/passwd\0"), "etc-passwd");
        assert_eq!(slug("$Q_{h}.K_{h}^T$"), "q-h-k-h-t");
        assert_eq!(slug("C:\\con\u{0}\n\u{202e}<script>|*?\"'"), "c-con-script");
        assert_eq!(slug("-.hidden --flag"), "hidden-flag");
        assert_eq!(slug("東京 é"), "figure");
        assert_eq!(slug(""), "figure");
        assert_eq!(slug(&"ab ".repeat(1000)).len(), 100);
    }
}
