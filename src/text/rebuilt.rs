//! Tokenizers rebuilt from lists of tokens and merges, as the metadata of a GGUF file has them.
//!
//! The file names the pre-tokenizer (`tokenizer.ggml.pre`); what each name means is fixed in llama.cpp's
//! `llama-vocab.cpp` and, for the model that it was made for, in the `tokenizer.json` on the Hub. Only those that are
//! known to come out the same are built; others are refused by name.

use std::collections::HashMap;

use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as DecoderSequence;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::replace::Replace;
use tokenizers::normalizers::{NFC, NormalizerWrapper, Prepend, Sequence as NormalizerSequence};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use crate::{Error, Result};

/// What `tokenizer.ggml.*` says.
pub(crate) struct Vocabulary<'a> {
    /// The algorithm: `gpt2` is byte-level BPE, `llama` is SentencePiece's BPE.
    pub model: &'a str,
    /// The pre-tokenizer's name.
    pub pre: Option<&'a str>,
    /// `general.architecture`, which tells what files mean that are older than `pre`.
    pub architecture: &'a str,
    pub tokens: &'a [String],
    /// 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    pub kinds: &'a [i64],
    pub scores: &'a [f64],
    pub merges: &'a [String],
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub unknown: Option<u32>,
    pub add_bos: Option<bool>,
    pub add_eos: Option<bool>,
    pub add_space_prefix: Option<bool>,
}

/// Llama 3's split; Qwen 2's differs in the number of digits that stay together.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl Vocabulary<'_> {
    /// The kind of special tokens.
    pub const CONTROL: i64 = 3;
    const USER_DEFINED: i64 = 4;

    /// Builds the tokenizer.
    ///
    /// # Errors
    /// When the vocabulary contradicts itself or needs what is not known to be exact.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        if self.tokens.is_empty() {
            return Err(broken("tokenizer.ggml.tokens is missing"));
        }
        let mut tokenizer = match self.model {
            "gpt2" => self.byte_level()?,
            "llama" => self.sentence_piece()?,
            other => {
                return Err(broken(format!(
                    "the algorithm {other:?} is not rebuilt from GGUF files; known are gpt2 and llama"
                )));
            }
        };
        let of_kind = |wanted: i64, special: bool| {
            let kinds = self.kinds.iter().zip(self.tokens);
            let kept = kinds.filter(move |(kind, token)| **kind == wanted && !token.is_empty());
            kept.map(move |(_, token)| AddedToken::from(token.clone(), special).normalized(false)).collect::<Vec<_>>()
        };
        let failed = |error: tokenizers::Error| broken(error.to_string());
        tokenizer.add_special_tokens(of_kind(Self::CONTROL, true)).map_err(failed)?;
        tokenizer.add_tokens(of_kind(Self::USER_DEFINED, false)).map_err(failed)?;
        self.add_template(&mut tokenizer)?;
        Ok(tokenizer)
    }

    fn vocab(&self) -> Result<Vocab> {
        let vocab: Vocab = self.tokens.iter().cloned().zip(0u32..).collect();
        if vocab.len() != self.tokens.len() {
            return Err(broken("tokenizer.ggml.tokens has the same token twice"));
        }
        Ok(vocab)
    }

    fn byte_level(&self) -> Result<Tokenizer> {
        let vocab = self.vocab()?;
        let mut merges = Merges::with_capacity(self.merges.len());
        for merge in self.merges {
            let (left, right) = merge.split_once(' ').ok_or_else(|| broken(format!("merge {merge:?} is no pair")))?;
            if ![left, right, &[left, right].concat()].iter().all(|&part| vocab.contains_key(part)) {
                return Err(broken(format!("merge {merge:?} makes or needs a token that the vocabulary lacks")));
            }
            merges.push((left.to_owned(), right.to_owned()));
        }
        if merges.is_empty() {
            return Err(broken("tokenizer.ggml.merges is missing"));
        }
        let pre = match (self.pre, self.architecture) {
            (Some(pre), _) => pre,
            (None, "gpt2") => "gpt-2",
            (None, _) => {
                return Err(broken(
                    "tokenizer.ggml.pre is missing: the file is older than that key, so its way of splitting text is unknown; \
                     take a newer file, or the Hugging Face folder of the model",
                ));
            }
        };
        let by_regex = |add: &[PreTokenizerWrapper]| {
            let gpt2 = ByteLevel::default().add_prefix_space(false).use_regex(true);
            Sequence::new(add.iter().cloned().chain([gpt2.into()]).collect())
        };
        let split = |regex: &str| -> Result<Sequence> {
            let split = Split::new(SplitPattern::Regex(regex.to_owned()), SplitDelimiterBehavior::Isolated, false)
                .map_err(|error| broken(error.to_string()))?;
            let bytes = ByteLevel::default().add_prefix_space(false).use_regex(false);
            Ok(Sequence::new(vec![split.into(), bytes.into()]))
        };
        let (splitter, normalizer, ignore_merges) = match pre {
            "gpt-2" => (by_regex(&[]), None, false),
            "smollm" => (by_regex(&[Digits::new(true).into()]), None, false),
            // The vocabulary of GPT-NeoX.
            "olmo" => (by_regex(&[]), Some(NFC), false),
            "llama-bpe" | "llama3" | "llama-v3" => (split(LLAMA3)?, None, true),
            "qwen2" | "deepseek-r1-qwen" => (split(QWEN2)?, Some(NFC), false),
            other => {
                return Err(broken(format!(
                    "the pre-tokenizer {other:?} is not rebuilt from GGUF files; known are gpt-2, smollm, olmo, llama-bpe and \
                     qwen2. The Hugging Face folder of the model has its tokenizer.json"
                )));
            }
        };
        let bpe = BPE::builder().vocab_and_merges(vocab, merges).ignore_merges(ignore_merges).build();
        let mut tokenizer = Tokenizer::new(bpe.map_err(|error| broken(error.to_string()))?);
        tokenizer.with_pre_tokenizer(Some(splitter));
        if let Some(normalizer) = normalizer {
            tokenizer.with_normalizer(Some(normalizer)).map_err(|error| broken(error.to_string()))?;
        }
        tokenizer.with_decoder(Some(ByteLevel::default()));
        Ok(tokenizer)
    }

    /// As `transformers` turns a SentencePiece model into a fast tokenizer: blanks become `▁`, the merges follow from
    /// the scores of the pieces, what no piece covers falls back to bytes.
    fn sentence_piece(&self) -> Result<Tokenizer> {
        if self.scores.len() != self.tokens.len() {
            return Err(broken("tokenizer.ggml.scores does not have one score for each token"));
        }
        let merges = self.merges_from_scores();
        let failed = |error: tokenizers::Error| broken(error.to_string());
        let unknown = self.unknown.or(Some(0)).and_then(|id| self.tokens.get(id as usize)).cloned();
        let bpe = BPE::builder().vocab_and_merges(self.vocab()?, merges).fuse_unk(true).byte_fallback(true);
        let bpe = unknown.into_iter().fold(bpe, |bpe, unknown| bpe.unk_token(unknown)).build().map_err(failed)?;
        let mut tokenizer = Tokenizer::new(bpe);
        let prefix = self.add_space_prefix.unwrap_or(true);
        let blank = |from: &str, to: &str| Replace::new(from, to).map_err(failed);
        let mut normalizers: Vec<NormalizerWrapper> = Vec::new();
        if prefix {
            normalizers.push(Prepend::new("▁".to_owned()).into());
        }
        normalizers.push(blank(" ", "▁")?.into());
        tokenizer.with_normalizer(Some(NormalizerSequence::new(normalizers))).map_err(failed)?;
        let mut decoders: Vec<DecoderWrapper> =
            vec![blank("▁", " ")?.into(), ByteFallback::new().into(), Fuse::new().into()];
        if prefix {
            decoders.push(Strip::new(' ', 1, 0).into());
        }
        tokenizer.with_decoder(Some(DecoderSequence::new(decoders)));
        tokenizer.with_pre_tokenizer(None::<PreTokenizerWrapper>);
        Ok(tokenizer)
    }

    /// Every way to cut a piece into two pieces is a merge; better pieces first.
    fn merges_from_scores(&self) -> Merges {
        let ids: HashMap<&str, usize> = self.tokens.iter().map(String::as_str).zip(0..).collect();
        let mut merges = Vec::new();
        for (token, score) in self.tokens.iter().zip(self.scores) {
            let start = merges.len();
            for (cut, _) in token.char_indices().skip(1) {
                let (left, right) = token.split_at(cut);
                if let (Some(&l), Some(&r)) = (ids.get(left), ids.get(right)) {
                    merges.push((*score, left, right, (l, r)));
                }
            }
            merges[start..].sort_by_key(|merge| merge.3);
        }
        let characters = |text: &str| text.chars().count();
        merges.sort_by(|a, b| {
            b.0.total_cmp(&a.0)
                .then_with(|| characters(b.1).cmp(&characters(a.1)))
                .then_with(|| characters(b.2).cmp(&characters(a.2)))
        });
        merges.into_iter().map(|(_, left, right, _)| (left.to_owned(), right.to_owned())).collect()
    }

    /// Tokens that stand around every text when special tokens are asked for.
    fn add_template(&self, tokenizer: &mut Tokenizer) -> Result<()> {
        // Absent keys mean what llama.cpp takes: SentencePiece models and Llama 3 begin with their first token.
        let begins = self.model == "llama" || matches!(self.pre, Some("llama-bpe" | "llama3" | "llama-v3"));
        let token = |wanted: bool, id: Option<u32>| match (wanted, id) {
            (true, Some(id)) => match self.tokens.get(id as usize) {
                Some(token) => Ok(Some((token.clone(), id))),
                None => Err(broken(format!("id {id} is outside the vocabulary of {}", self.tokens.len()))),
            },
            _ => Ok(None),
        };
        let bos = token(self.add_bos.unwrap_or(begins), self.bos)?;
        let eos = token(self.add_eos.unwrap_or(false), self.eos)?;
        if bos.is_none() && eos.is_none() {
            return Ok(());
        }
        let piece =
            |token: &Option<(String, u32)>, segment: u8| token.as_ref().map(|(token, _)| format!("{token}:{segment}"));
        let part = |name: &str, segment: u8| {
            let parts = [piece(&bos, segment), Some(format!("{name}:{segment}")), piece(&eos, segment)];
            parts.into_iter().flatten().collect::<Vec<_>>()
        };
        let template = TemplateProcessing::builder()
            .try_single(part("$A", 0))
            .and_then(|builder| builder.try_pair([part("$A", 0), part("$B", 1)].concat()))
            .map_err(broken)?
            .special_tokens([bos, eos].into_iter().flatten().collect::<Vec<_>>())
            .build()
            .map_err(|error| broken(error.to_string()))?;
        tokenizer.with_post_processor(Some(template));
        Ok(())
    }
}

fn broken(problem: impl std::fmt::Display) -> Error {
    Error::Tokenizer(format!("cannot be rebuilt: {problem}"))
}
