//! Text to token ids and back, and how a piece is shown to a person.

mod rebuilt;
mod slug;
mod templates;
mod visible;
mod words;

use crate::{Error, Result};

pub(crate) use rebuilt::Vocabulary;
pub use slug::slug;
pub use visible::visible;
pub(crate) use visible::{byte_level, list, model_name};
pub(crate) use words::word_starts;

/// A text, or a pair of texts, as a model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Token types, one for each id: how BERT tells apart the two texts of a pair.
    pub types: Vec<u32>,
    /// Where the second text of a pair begins.
    pub second: Option<usize>,
}

impl Encoded {
    fn of(encoding: &tokenizers::Encoding) -> Encoded {
        let texts = encoding.get_sequence_ids();
        Encoded {
            ids: encoding.get_ids().to_vec(),
            types: encoding.get_type_ids().to_vec(),
            second: texts.iter().position(|&text| text == Some(1)),
        }
    }
}

/// A model's tokenizer.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

impl Tokenizer {
    /// Wraps a tokenizer as it was loaded. Truncation and padding that a `tokenizer.json` may ask for are switched
    /// off: they belong to training batches, and a run must see the whole text and nothing else.
    ///
    /// # Errors
    /// When the tokenizer contradicts itself.
    pub fn new(mut inner: tokenizers::Tokenizer) -> Result<Tokenizer> {
        templates::check(&inner)?;
        inner.with_truncation(None).map_err(|error| Error::Tokenizer(error.to_string()))?;
        inner.with_padding(None);
        Ok(Tokenizer { inner })
    }

    /// Ids of a text; with `add_special` also those that the tokenizer puts around a text (`[CLS]`, `<s>`, ..).
    ///
    /// # Errors
    /// When the tokenizer cannot encode part of the text.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>> {
        let encoding = guarded(|| self.inner.encode_fast(text, add_special));
        Ok(encoding.map_err(|problem| cannot_encode(text, &problem))?.get_ids().to_vec())
    }

    /// A text as a model reads it, with what the tokenizer puts around it.
    ///
    /// # Errors
    /// As [`encode`](Tokenizer::encode).
    pub fn encode_one(&self, text: &str) -> Result<Encoded> {
        let encoding = guarded(|| self.inner.encode_fast(text, true));
        Ok(Encoded::of(&encoding.map_err(|problem| cannot_encode(text, &problem))?))
    }

    /// A pair of texts, as BERT reads them.
    ///
    /// # Errors
    /// As [`encode`](Tokenizer::encode).
    pub fn encode_pair(&self, first: &str, second: &str) -> Result<Encoded> {
        let encoding = guarded(|| self.inner.encode_fast((first, second), true));
        Ok(Encoded::of(&encoding.map_err(|problem| cannot_encode(first, &problem))?))
    }

    /// The text of ids; `skip_special` leaves out special tokens. Bytes that do not form a whole character become `�`.
    ///
    /// # Errors
    /// When the tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        guarded(|| self.inner.decode(ids, skip_special))
            .map_err(|problem| Error::Tokenizer(format!("cannot decode {ids:?}: {problem}")))
    }

    /// One id decoded by itself, raw; empty for ids that the tokenizer does not know, which models with padded
    /// vocabularies have.
    pub fn piece(&self, id: u32) -> String {
        guarded(|| self.inner.decode(&[id], false)).unwrap_or_default()
    }

    /// One id as it is shown to a person: [`visible`] text, or bytes (`<E6 97>`) where the token is only a part of a
    /// character.
    pub fn shown(&self, id: u32) -> String {
        let piece = self.piece(id);
        let bytes = piece.contains('\u{fffd}').then(|| self.inner.id_to_token(id)).flatten();
        if let Some(bytes) = bytes.as_deref().and_then(byte_level) {
            let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            return format!("<{}>", bytes.join(" "));
        }
        visible(&piece)
    }

    /// Number of ids, added tokens included. A model's own vocabulary may be larger (padding).
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The id of a token by its exact name in the vocabulary, e.g. `<|endoftext|>`.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The name of an id in the vocabulary, with the marks that the vocabulary has: `Ġthe`, `##ing`.
    pub(crate) fn name(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether an id stands for a masked token, by the names that BERT, RoBERTa and XLM have for it.
    pub fn is_mask(&self, id: u32) -> bool {
        ["[MASK]", "<mask>", "<special1>"].into_iter().any(|name| self.id(name) == Some(id))
    }

    /// Whether an id stands for a special token such as `<|endoftext|>` or `[CLS]`.
    pub fn is_special(&self, id: u32) -> bool {
        let special = |token: String| self.inner.get_added_vocabulary().is_special_token(&token);
        self.inner.id_to_token(id).is_some_and(special)
    }
}

fn cannot_encode(text: &str, problem: &str) -> Error {
    let start: String = text.chars().take(40).collect();
    Error::Tokenizer(format!("cannot encode {:?}: {problem}", visible(&start)))
}

/// Does what may meet a vocabulary that contradicts itself: at some of those the tokenizers crate panics.
pub(crate) fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("its tokenizer contradicts itself; download it again".to_owned()),
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokenizer with {} ids", self.vocab_size())
    }
}
