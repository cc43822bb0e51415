//! The input of a run as a person gives it.

use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::{Error, Result};

/// What to run: a text, a pair of texts, or token ids with what belongs to them.
///
/// Made from `&str`, `String`, `(&str, &str)`, `Vec<i64>`, `&[i64]` and [`Seq2Seq`] with `into()`; setters add what
/// else a model reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Input {
    pub(super) text: Option<String>,
    pub(super) second: Option<String>,
    pub(super) ids: Option<Vec<i64>>,
    pub(super) attention_mask: Option<Vec<i64>>,
    pub(super) token_type_ids: Option<Vec<i64>>,
    pub(super) languages: Option<Vec<i64>>,
    pub(super) target: Option<Box<Input>>,
}

/// What an encoder-decoder reads: `source` goes to the encoder, `target` to the decoder.
///
/// A target given as text gets the model's start token in front and no end token; token ids are used as they are.
///
/// ```no_run
/// # fn main() -> flowlens::Result<()> {
/// use flowlens::{Model, Seq2Seq};
/// let model = Model::load("google-t5/t5-small")?;
/// let trace = model.run(Seq2Seq { source: "translate English to German: Good day.", target: "Guten" })?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seq2Seq<S, T> {
    /// What the encoder reads.
    pub source: S,
    /// What the decoder has written so far.
    pub target: T,
}

impl<S: Into<Input>, T: Into<Input>> From<Seq2Seq<S, T>> for Input {
    fn from(pair: Seq2Seq<S, T>) -> Input {
        pair.source.into().target(pair.target)
    }
}

impl From<(&str, &str)> for Input {
    fn from((first, second): (&str, &str)) -> Input {
        Input { text: Some(first.to_owned()), second: Some(second.to_owned()), ..Input::default() }
    }
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

    /// Token types, one for each position; ignored by models that have none.
    #[must_use]
    pub fn token_type_ids(mut self, types: impl Into<Vec<i64>>) -> Input {
        self.token_type_ids = Some(types.into());
        self
    }

    /// Language numbers, one for each position (XLM); ignored by models that have none.
    #[must_use]
    pub fn languages(mut self, languages: impl Into<Vec<i64>>) -> Input {
        self.languages = Some(languages.into());
        self
    }

    /// What the decoder of an encoder-decoder reads. Without it, the start token alone.
    #[must_use]
    pub fn target(mut self, target: impl Into<Input>) -> Input {
        self.target = Some(Box::new(target.into()));
        self
    }

    /// The integer tensors `input_ids`, `attention_mask`, `token_type_ids`, `langs`, `decoder_input_ids` and
    /// `decoder_attention_mask` of a safetensors file, of shape (T) or (1,T); other tensors of the file are left alone.
    ///
    /// # Errors
    /// When the file cannot be read, lacks `input_ids`, or has several rows of them.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Input> {
        let path = path.as_ref();
        let mut rows = Input::rows_from_file(path)?;
        match (rows.pop(), rows.len()) {
            (Some(input), 0) => Ok(input),
            (_, others) => {
                let problem =
                    format!("input_ids has {} rows, and one input is read here; give (T) or (1,T)", others + 1);
                Err(Error::file(path, problem))
            }
        }
    }

    /// The same of a file with several inputs of one length: an input for each row of tensors (N,T).
    ///
    /// # Errors
    /// When the file cannot be read, lacks `input_ids`, or its tensors have different numbers of rows.
    pub fn rows_from_file(path: impl AsRef<Path>) -> Result<Vec<Input>> {
        let path = path.as_ref();
        let file = Checkpoint::open_tensors(path)?;
        let ids = file
            .integer_rows("input_ids")?
            .ok_or_else(|| Error::file(path, "holds no tensor input_ids; write the token ids under that name"))?;
        let read = |name: &str| -> Result<Option<Vec<Vec<i64>>>> {
            let rows = file.integer_rows(name)?;
            match rows.as_ref().map_or(ids.len(), Vec::len) {
                found if found == ids.len() => Ok(rows),
                found => {
                    let problem = format!("{name} has {found} rows and input_ids {}; give as many", ids.len());
                    Err(Error::file(path, problem))
                }
            }
        };
        let (masks, types, languages) = (read("attention_mask")?, read("token_type_ids")?, read("langs")?);
        let (targets, target_masks) = (read("decoder_input_ids")?, read("decoder_attention_mask")?);
        let row = |rows: &Option<Vec<Vec<i64>>>, index: usize| rows.as_ref().map(|rows| rows[index].clone());
        let target = |index| Some(Input { attention_mask: row(&target_masks, index), ..row(&targets, index)?.into() });
        let input = |(index, ids): (usize, &Vec<i64>)| Input {
            attention_mask: row(&masks, index),
            token_type_ids: row(&types, index),
            languages: row(&languages, index),
            target: target(index).map(Box::new),
            ..ids.clone().into()
        };
        Ok(ids.iter().enumerate().map(input).collect())
    }
}
