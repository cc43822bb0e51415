//! The text of a generation while it grows: what can be handed on, and where it ends.

use crate::Result;
use crate::text::Tokenizer;

/// The text so far.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    tokenizer: &'a Tokenizer,
    /// The text ends before the first of these.
    stops: &'a [String],
    /// What was handed on.
    handed: String,
}

impl<'a> Writing<'a> {
    pub fn new(tokenizer: &'a Tokenizer, stops: &'a [String]) -> Writing<'a> {
        Writing { tokenizer, stops, handed: String::new() }
    }

    /// The piece that the last of `ids` completes, and whether the text ends here. Held back are the bytes of a character
    /// that is not whole, and what may become a stop text.
    ///
    /// All ids are decoded each time: what a token's text is depends on those before it.
    pub fn add(&mut self, ids: &[u32]) -> Result<(String, bool)> {
        let all = self.tokenizer.decode(ids, true)?;
        let stop = first_stop(&all, self.stops);
        Ok((self.hand_on(&all[..stop.unwrap_or_else(|| settled(&all, self.stops))]), stop.is_some()))
    }

    /// The whole text, and the piece of it that was not handed on.
    pub fn finish(&mut self, ids: &[u32]) -> Result<(String, String)> {
        let mut all = self.tokenizer.decode(ids, true)?;
        all.truncate(first_stop(&all, self.stops).unwrap_or(all.len()));
        let rest = self.hand_on(&all);
        Ok((all, rest))
    }

    fn hand_on(&mut self, text: &str) -> String {
        // Some decoders take a blank back; what was handed on stays.
        let piece = text.strip_prefix(&self.handed).unwrap_or_default().to_owned();
        self.handed.push_str(&piece);
        piece
    }
}

/// Where the first stop text begins.
fn first_stop(text: &str, stops: &[String]) -> Option<usize> {
    stops.iter().filter_map(|stop| text.find(stop.as_str())).min()
}

/// The length of the text that no later token changes.
fn settled(text: &str, stops: &[String]) -> usize {
    let whole = text.trim_end_matches('\u{fffd}');
    let begun = |stop: &String| {
        let starts = stop.char_indices().map(|(end, _)| &stop[..end]);
        starts.filter(|start| whole.ends_with(start)).map(str::len).max().unwrap_or(0)
    };
    whole.len() - stops.iter().map(begun).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tokenizer with a token for every byte.
    fn bytes() -> Tokenizer {
        use tokenizers::decoders::byte_level::ByteLevel;
        use tokenizers::models::bpe::BPE;
        let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
        alphabet.sort();
        let vocab = alphabet.iter().enumerate().map(|(id, letter)| (letter.to_string(), id as u32)).collect::<Vec<_>>();
        let model = BPE::builder().vocab_and_merges(tokenizers::models::bpe::Vocab::from_iter(vocab), vec![]);
        let mut tokenizer = tokenizers::Tokenizer::new(model.build().unwrap());
        tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, false, false)));
        tokenizer.with_decoder(Some(ByteLevel::default()));
        Tokenizer::new(tokenizer).unwrap()
    }

    /// The pieces that come out of a text token by token, and the text at its end.
    fn pieces(text: &str, stops: &[&str]) -> (Vec<String>, String) {
        let tokenizer = bytes();
        let stops: Vec<String> = stops.iter().map(|&stop| stop.to_owned()).collect();
        let ids = tokenizer.encode(text, false).unwrap();
        assert_eq!(ids.len(), text.len());
        let mut writing = Writing::new(&tokenizer, &stops);
        let mut pieces = Vec::new();
        let mut end = ids.len();
        for count in 1..=ids.len() {
            let (piece, stopped) = writing.add(&ids[..count]).unwrap();
            pieces.push(piece);
            if stopped {
                end = count;
                break;
            }
        }
        let (whole, rest) = writing.finish(&ids[..end]).unwrap();
        pieces.push(rest);
        assert_eq!(pieces.concat(), whole);
        pieces.retain(|piece| !piece.is_empty());
        (pieces, whole)
    }

    #[test]
    fn characters_come_whole() {
        let (found, whole) = pieces("aé日🦀.", &[]);
        assert_eq!((found, whole.as_str()), (["a", "é", "日", "🦀", "."].map(str::to_owned).to_vec(), "aé日🦀."));
    }

    #[test]
    fn the_text_ends_before_a_stop_text_and_nothing_of_it_is_handed_on() {
        assert_eq!(pieces("one\n\ntwo", &["\n\n"]).1, "one");
        assert_eq!(pieces("one\ntwo", &["\n\n"]).0.concat(), "one\ntwo");
        assert_eq!(pieces("ab aab aaab", &["aaab"]).1, "ab aab ");
        assert_eq!(pieces("say END or STOP", &["STOP", "END"]).1, "say ");
        assert_eq!(pieces("日本語", &["語"]).0, ["日", "本"]);
        assert_eq!(pieces("the end", &["end of all"]).1, "the end");
    }
}
