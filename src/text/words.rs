//! Where words begin among the tokens of a text.

/// Whether a word begins with each of the tokens, told from their names in the vocabulary: with what a vocabulary marks
/// so (`Ġthe`, `▁the`, ` the`), after a line break, or where the token before is not continued (`un ##known`,
/// `un known</w>`, `un@@ known`). Special tokens are words of their own. Where no name carries a mark, every token is.
pub(crate) fn word_starts<T: AsRef<str>>(names: &[T], special: &[bool]) -> Vec<bool> {
    let any = |mark: fn(&str) -> bool| names.iter().any(|name| mark(name.as_ref()));
    let starts: fn(&str, &str) -> bool = if any(|name| name.starts_with("##")) {
        |_, name| !name.starts_with("##")
    } else if any(|name| name.ends_with("</w>")) {
        |before, _| before.ends_with("</w>")
    } else if any(|name| name.ends_with("@@")) {
        |before, _| !before.ends_with("@@")
    } else if any(|name| name.starts_with(['Ġ', '▁', ' '])) {
        // Byte-level vocabularies have letters for bytes: Ċ is a line feed, ĉ a tab, č a carriage return.
        |before, name| {
            let breaks = ['Ċ', 'ĉ', 'č', '\n', '\t', '\r'];
            name.starts_with(['Ġ', '▁', ' ']) || name.starts_with(breaks) || before.ends_with(breaks)
        }
    } else {
        |_, _| true
    };
    let alone = |place: usize| special.get(place).copied().unwrap_or_default();
    (0..names.len())
        .map(|place| {
            place == 0 || alone(place) || alone(place - 1) || starts(names[place - 1].as_ref(), names[place].as_ref())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(names: &[&str]) -> Vec<usize> {
        let special: Vec<bool> = names.iter().map(|name| name.starts_with('[')).collect();
        let starts = word_starts(names, &special);
        (0..names.len()).filter(|&place| starts[place]).collect()
    }

    #[test]
    fn every_vocabulary_has_its_marks() {
        assert_eq!(words(&["The", "Ġc", "at", ".", "Ċ", "It"]), [0, 1, 4, 5]);
        assert_eq!(words(&["▁un", "known", "▁", "19", "▁x"]), [0, 2, 4]);
        assert_eq!(words(&["[CLS]", "un", "##known", "word", "[SEP]"]), [0, 1, 3, 4]);
        assert_eq!(words(&["un", "known</w>", "word</w>", ".</w>"]), [0, 2, 3]);
        assert_eq!(words(&["un@@", "known", "word"]), [0, 2]);
        assert_eq!(words(&["to", " b", "e"]), [0, 1]);
    }

    #[test]
    fn without_marks_every_token_is_a_word() {
        assert_eq!(words(&["a", "b", "c"]), [0, 1, 2]);
        assert!(words(&[]).is_empty());
    }

    #[test]
    fn special_tokens_are_words_of_their_own() {
        assert_eq!(words(&["[BOS]", "The", "Ġcat", "[EOS]", "[EOS]"]), [0, 1, 2, 3, 4]);
    }
}
