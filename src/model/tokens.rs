//! What a run reads: the input as a person gives it, and as the stack takes it.

use std::path::Path;

use super::architecture::{Architecture, Segments};
use crate::text::Tokenizer;
use crate::{Error, Result};

/// What to run: a text, or token ids with what belongs to them.
///
/// Made from `&str`, `String`, `Vec<i64>` and `&[i64]` by itself; the other tensors are set with plain setters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Input {
    text: Option<String>,
    ids: Option<Vec<i64>>,
    attention_mask: Option<Vec<i64>>,
    token_type_ids: Option<Vec<i64>>,
}

impl From<&str> for Input {
    fn from(text: &str) -> Input {
        Input { text: Some(text.to_owned()), ..Input::default() }
    }
}

impl From<String> for Input {
    fn from(text: String) -> Input {
        Input { text: Some(text), ..Input::default() }
    }
}

impl From<&String> for Input {
    fn from(text: &String) -> Input {
        text.as_str().into()
    }
}

impl From<Vec<i64>> for Input {
    fn from(ids: Vec<i64>) -> Input {
        Input { ids: Some(ids), ..Input::default() }
    }
}

impl From<&[i64]> for Input {
    fn from(ids: &[i64]) -> Input {
        ids.to_vec().into()
    }
}

impl<const N: usize> From<[i64; N]> for Input {
    fn from(ids: [i64; N]) -> Input {
        ids.to_vec().into()
    }
}

impl Input {
    /// 1 for a real token, 0 for padding, one for each position.
    #[must_use]
    pub fn attention_mask(mut self, mask: impl Into<Vec<i64>>) -> Input {
        self.attention_mask = Some(mask.into());
        self
    }

    /// Token types, one for each position; passed over by models that have none.
    #[must_use]
    pub fn token_type_ids(mut self, types: impl Into<Vec<i64>>) -> Input {
        self.token_type_ids = Some(types.into());
        self
    }

    /// The integer tensors `input_ids`, `attention_mask` and `token_type_ids` of a safetensors file, of shape (T) or
    /// (1,T); other tensors of the file are left alone.
    ///
    /// # Errors
    /// When the file cannot be read, lacks `input_ids`, or holds an input that no family takes yet.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Input> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
        let file = safetensors::SafeTensors::deserialize(&bytes)
            .map_err(|problem| Error::file(path, format!("not a whole safetensors file ({problem})")))?;
        for name in ["langs", "decoder_input_ids"] {
            if file.tensor(name).is_ok() {
                return Err(Error::Input(format!("{}: holds {name}, which no known family takes", path.display())));
            }
        }
        let read = |name: &str| file.tensor(name).ok().map(|view| integers(path, name, &view)).transpose();
        let ids = read("input_ids")?
            .ok_or_else(|| Error::file(path, "holds no tensor input_ids; write the token ids under that name"))?;
        Ok(Input {
            text: None,
            ids: Some(ids),
            attention_mask: read("attention_mask")?,
            token_type_ids: read("token_type_ids")?,
        })
    }
}

fn integers(path: &Path, name: &str, view: &safetensors::tensor::TensorView) -> Result<Vec<i64>> {
    let one_row = match view.shape() {
        [_] => true,
        [rows, _] => *rows == 1,
        _ => false,
    };
    if !one_row {
        return Err(Error::file(path, format!("{name} has shape {:?}, expected (T) or (1,T)", view.shape())));
    }
    let data = view.data();
    Ok(match view.dtype() {
        safetensors::Dtype::I64 => {
            data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().expect("eight bytes"))).collect()
        }
        safetensors::Dtype::I32 => {
            data.chunks_exact(4).map(|b| i64::from(i32::from_le_bytes(b.try_into().expect("four bytes")))).collect()
        }
        other => return Err(Error::file(path, format!("{name} holds {other:?}, expected 64- or 32-bit integers"))),
    })
}

/// What the stack reads, checked against the model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tokens {
    /// The prompt, when it was given as text.
    pub text: Option<String>,
    pub ids: Vec<i64>,
    pub attention_mask: Option<Vec<i64>>,
    pub token_type_ids: Option<Vec<i64>>,
}

impl Tokens {
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    #[cfg(test)]
    pub(crate) fn from_ids(ids: Vec<i64>) -> Tokens {
        Tokens { text: None, ids, attention_mask: None, token_type_ids: None }
    }

    /// Encodes and checks an input: afterwards every index fits its table.
    pub(crate) fn read(input: Input, tokenizer: Option<&Tokenizer>, plan: &Architecture) -> Result<Tokens> {
        let ids = match (input.ids, &input.text) {
            (Some(ids), _) => ids,
            (None, Some(text)) => encode(text, tokenizer)?,
            (None, None) => return Err(Error::Input("neither a text nor token ids were given".into())),
        };
        if ids.is_empty() {
            return Err(Error::Input("the prompt has no tokens; give at least one".into()));
        }
        if ids.len() > plan.context {
            return Err(Error::Input(format!(
                "the prompt has {} tokens, the model reads at most {}; shorten it",
                ids.len(),
                plan.context
            )));
        }
        check_indices("token id", &ids, plan.vocab)?;
        let mut tokens = Tokens {
            text: input.text,
            ids,
            attention_mask: input.attention_mask,
            token_type_ids: input.token_type_ids,
        };
        if let Some(mask) = &tokens.attention_mask {
            tokens.check_length("attention_mask", mask)?;
            if mask.iter().any(|&bit| bit != 0 && bit != 1) || mask.iter().all(|&bit| bit == 0) {
                return Err(Error::Input(
                    "attention_mask must hold 1 for tokens and 0 for padding, and at least one 1".into(),
                ));
            }
        }
        if let Some(types) = &tokens.token_type_ids {
            tokens.check_length("token_type_ids", types)?;
            match plan.embedding.segments {
                // Tokenizers hand them out whether or not the model reads them; Python passes over them too.
                Segments::None => tokens.token_type_ids = None,
                Segments::TokenTable => check_indices("token type", types, plan.vocab)?,
            }
        }
        Ok(tokens)
    }

    fn check_length(&self, name: &str, list: &[i64]) -> Result<()> {
        if list.len() == self.len() {
            return Ok(());
        }
        Err(Error::Input(format!("{name} has {} entries for {} tokens", list.len(), self.len())))
    }
}

fn encode(text: &str, tokenizer: Option<&Tokenizer>) -> Result<Vec<i64>> {
    if text.is_empty() {
        return Err(Error::Input("the prompt is empty; give at least one word".into()));
    }
    let tokenizer = tokenizer.ok_or_else(|| {
        Error::Tokenizer(
            "the checkpoint has no tokenizer.json, so a text cannot be read; give token ids instead".into(),
        )
    })?;
    Ok(tokenizer.encode(text, true)?.into_iter().map(i64::from).collect())
}

fn check_indices(what: &str, list: &[i64], rows: usize) -> Result<()> {
    match list.iter().find(|&&index| index < 0 || index as usize >= rows) {
        None => Ok(()),
        Some(index) => Err(Error::Input(format!("{what} {index} is outside the vocabulary (0 to {})", rows - 1))),
    }
}
