//! What a run reads, as the stack takes it.

use std::ops::Range;

use super::architecture::{Architecture, Padding, Segments, Stack};
use super::input::Input;
use crate::text::Tokenizer;
use crate::{Error, Result};

/// What a stack reads, checked against the model.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tokens {
    /// The prompt, when it was given as text.
    pub text: Option<String>,
    pub ids: Vec<i64>,
    pub attention_mask: Option<Vec<i64>>,
    pub token_type_ids: Option<Vec<i64>>,
    pub languages: Option<Vec<i64>>,
    /// Where the second of a pair of texts begins.
    pub second: Option<usize>,
    /// Where each of several texts begins that are run together and do not see each other; empty for a single one.
    pub starts: Vec<usize>,
    /// What the encoder reads, where these are a decoder's.
    pub source: Option<Box<Tokens>>,
}

/// What reading an input takes besides the model's plan.
pub(crate) struct Reader<'a> {
    pub tokenizer: Option<&'a Tokenizer>,
    /// Ids that end a text.
    pub stop_ids: &'a [u32],
}

impl Tokens {
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    #[cfg(test)]
    pub(crate) fn from_ids(ids: Vec<i64>) -> Tokens {
        Tokens { ids, ..Tokens::default() }
    }

    /// Several texts as one run, in which they do not see each other.
    pub(crate) fn together(texts: &[&Tokens]) -> Tokens {
        let fill = |list: fn(&Tokens) -> &Option<Vec<i64>>, with: i64| -> Option<Vec<i64>> {
            let given = |text: &&Tokens| list(text).clone().unwrap_or_else(|| vec![with; text.len()]);
            texts.iter().any(|text| list(text).is_some()).then(|| texts.iter().flat_map(given).collect())
        };
        let mut end = 0;
        let mut start = |text: &&Tokens| {
            end += text.len();
            end - text.len()
        };
        let starts = texts.iter().map(&mut start).collect();
        let sources: Vec<&Tokens> = texts.iter().filter_map(|text| text.source.as_deref()).collect();
        Tokens {
            ids: texts.iter().flat_map(|text| text.ids.iter().copied()).collect(),
            attention_mask: fill(|text| &text.attention_mask, 1),
            token_type_ids: fill(|text| &text.token_type_ids, 0),
            languages: fill(|text| &text.languages, 0),
            starts,
            source: (!sources.is_empty()).then(|| Box::new(Tokens::together(&sources))),
            ..Tokens::default()
        }
    }

    /// Whether a position holds no token.
    pub(crate) fn is_padding(&self, position: usize) -> bool {
        self.attention_mask.as_ref().is_some_and(|mask| mask[position] == 0)
    }

    /// Which of the texts that are run together a position belongs to.
    pub(crate) fn text_index(&self, position: usize) -> usize {
        self.starts.partition_point(|&start| start <= position).saturating_sub(1)
    }

    /// The positions of one of the texts.
    pub(crate) fn text_range(&self, text: usize) -> Range<usize> {
        let place = |index: usize| self.starts.get(index).copied();
        place(text).unwrap_or(0)..place(text + 1).unwrap_or(self.len())
    }

    /// The positions of each of the texts.
    pub(crate) fn texts(&self) -> impl Iterator<Item = Range<usize>> {
        (0..self.starts.len().max(1)).map(|text| self.text_range(text))
    }

    /// Whether two texts may run together: what one lacks and the other has (types, languages) would become zeros, and
    /// some models read these otherwise than nothing.
    pub(crate) fn goes_with(&self, other: &Tokens) -> bool {
        let given = |tokens: &Tokens| (tokens.token_type_ids.is_some(), tokens.languages.is_some());
        let sources = match (&self.source, &other.source) {
            (Some(own), Some(others)) => own.goes_with(others),
            (own, others) => own.is_none() == others.is_none(),
        };
        given(self) == given(other) && sources
    }

    /// The positions of the text that a position belongs to.
    pub(crate) fn text_of(&self, position: usize) -> Range<usize> {
        self.text_range(self.text_index(position))
    }

    /// For each position its number in its own text, from 0.
    pub(crate) fn places(&self) -> Vec<i64> {
        (0..self.len()).map(|position| (position - self.text_of(position).start) as i64).collect()
    }

    /// For each position how many of `counted` stand in its text up to it, itself included.
    pub(crate) fn count_so_far(&self, counted: impl Fn(usize) -> bool) -> Vec<i64> {
        let mut count = 0;
        let next = |position: usize| {
            if self.text_of(position).start == position {
                count = 0;
            }
            count += i64::from(counted(position));
            count
        };
        (0..self.len()).map(next).collect()
    }

    /// For each position the real tokens of its text up to it, itself included.
    pub(crate) fn real_so_far(&self) -> Vec<i64> {
        self.count_so_far(|position| !self.is_padding(position))
    }

    /// The same and one more token, of the last one's type and language, for the main stack of `plan`.
    pub(crate) fn followed_by(&self, id: i64, plan: &Architecture) -> Result<Tokens> {
        let longer = |list: &[i64], next: Option<i64>| list.iter().copied().chain(next).collect::<Vec<i64>>();
        let again = |list: &Option<Vec<i64>>| list.as_ref().map(|list| longer(list, list.last().copied()));
        let mut unmarked = Tokens { attention_mask: None, ..self.clone() };
        unmarked.check(&plan.main)?;
        // A mask that nobody gave is made anew.
        let mask = self.attention_mask.as_ref().filter(|_| unmarked.attention_mask != self.attention_mask);
        let mut tokens = Tokens {
            text: None,
            ids: longer(&self.ids, Some(id)),
            attention_mask: mask.map(|mask| longer(mask, Some(1))),
            token_type_ids: again(&self.token_type_ids),
            languages: again(&self.languages),
            ..self.clone()
        };
        tokens.check(&plan.main)?;
        Ok(tokens)
    }

    /// Encodes and checks an input: afterwards every index fits its table.
    pub(crate) fn read(mut input: Input, reader: &Reader, plan: &Architecture) -> Result<Tokens> {
        let target = input.target.take();
        match (&plan.encoder, target) {
            (None, None) => reader.read(input, &plan.main),
            (None, Some(_)) => {
                Err(Error::Input(format!("{} models have no decoder beside them; give one text only", plan.family)))
            }
            (Some(encoder), target) => {
                let source = reader.read(input, encoder)?;
                let target = reader.read_target(target.map(|target| *target), plan)?;
                Ok(Tokens { source: Some(Box::new(source)), ..target })
            }
        }
    }

    fn check_length(&self, name: &str, list: &[i64]) -> Result<()> {
        if list.len() == self.len() {
            return Ok(());
        }
        Err(Error::Input(format!("{name} has {} entries for {} tokens; give one for each", list.len(), self.len())))
    }

    /// Marks as many positions at the end as padding as there are tokens `padding`.
    fn mask_as_many(&mut self, padding: i64) {
        let real = self.ids.iter().filter(|&&id| id != padding).count();
        if real < self.len() {
            self.attention_mask = Some((0..self.len()).map(|place| i64::from(place < real)).collect());
        }
    }

    fn check(&mut self, plan: &Stack) -> Result<()> {
        if self.ids.is_empty() {
            return Err(Error::Input("the prompt has no tokens; give at least one".into()));
        }
        if let Some(context) = plan.context.filter(|&context| self.len() > context) {
            return Err(Error::Input(format!(
                "the prompt has {} tokens, the model reads at most {context}; shorten it",
                self.len(),
            )));
        }
        let vocab = plan.embedding.tokens.rows;
        check_indices("token id", "the vocabulary", &self.ids, vocab)?;
        if let Some(mask) = &self.attention_mask {
            self.check_length("attention_mask", mask)?;
            if mask.iter().any(|&bit| bit != 0 && bit != 1) || mask.iter().all(|&bit| bit == 0) {
                return Err(Error::Input(
                    "attention_mask must hold 1 for tokens and 0 for padding, and at least one 1".into(),
                ));
            }
        }
        if let (None, Padding::Zeroed { unmarked: Some(padding) }) = (&self.attention_mask, plan.embedding.padding) {
            self.mask_as_many(padding);
        }
        if let Some(types) = &self.token_type_ids {
            self.check_length("token_type_ids", types)?;
            match &plan.embedding.segments {
                // Tokenizers hand them out whether or not the model reads them; Python passes over them too.
                Segments::None => self.token_type_ids = None,
                Segments::TokenTable => check_indices("token type", "the vocabulary", types, vocab)?,
                Segments::Table(table) => check_indices("token type", "the table of types", types, table.rows)?,
                Segments::Relative => {}
            }
        }
        if let Some(languages) = &self.languages {
            self.check_length("langs", languages)?;
            match &plan.embedding.languages {
                None => self.languages = None,
                Some(table) => check_indices("language", "the table of languages", languages, table.rows)?,
            }
        }
        Ok(())
    }
}

impl Reader<'_> {
    fn read(&self, input: Input, plan: &Stack) -> Result<Tokens> {
        let mut tokens = match (&input.text, &input.ids) {
            (_, Some(ids)) => Tokens { ids: ids.clone(), ..Tokens::default() },
            (Some(text), None) => self.encode(text, input.second.as_deref(), plan)?,
            (None, None) => {
                return Err(Error::Input("neither a text nor token ids were given; give one of them".into()));
            }
        };
        tokens.text = input.text;
        tokens.attention_mask = input.attention_mask;
        tokens.languages = input.languages;
        tokens.token_type_ids = input.token_type_ids.or(tokens.token_type_ids);
        tokens.check(plan)?;
        Ok(tokens)
    }

    /// What the decoder reads: ids as they are; a text with the start token in front and without an end token.
    fn read_target(&self, target: Option<Input>, plan: &Architecture) -> Result<Tokens> {
        let target = target.unwrap_or_default();
        if target.ids.is_some() {
            return self.read(target, &plan.main);
        }
        let start = plan.start_token.ok_or_else(|| {
            Error::Input(
                "the config names no decoder_start_token_id, so what the decoder reads must be given as token ids"
                    .into(),
            )
        })?;
        let mut ids = vec![start];
        if let Some(text) = target.text.as_deref().filter(|text| !text.is_empty()) {
            ids.extend(self.encode(text, None, &plan.main)?.ids);
            if ids.len() > 1 && ids.last().is_some_and(|last| self.stop_ids.iter().any(|&id| i64::from(id) == *last)) {
                ids.pop();
            }
        }
        let text = target.text.clone();
        Ok(Tokens { text, ..self.read(Input { ids: Some(ids), text: None, ..target }, &plan.main)? })
    }

    fn encode(&self, text: &str, second: Option<&str>, plan: &Stack) -> Result<Tokens> {
        if text.is_empty() {
            return Err(Error::Input("the prompt is empty; give at least one word".into()));
        }
        let tokenizer = self.tokenizer.ok_or_else(|| {
            Error::Tokenizer(
                "the checkpoint has no tokenizer.json, so a text cannot be read; give token ids instead".into(),
            )
        })?;
        let encoded = match second {
            Some(second) => tokenizer.encode_pair(text, second)?,
            None => tokenizer.encode_one(text)?,
        };
        let reads_types = match &plan.embedding.segments {
            // Some tokenizers number the second text's type 1 all the same.
            Segments::Table(table) => table.rows > 1,
            Segments::Relative => true,
            // GPT-2's types are tokens of their own, which no tokenizer hands out.
            Segments::None | Segments::TokenTable => false,
        };
        let wide = |list: Vec<u32>| -> Vec<i64> { list.into_iter().map(i64::from).collect() };
        Ok(Tokens {
            ids: wide(encoded.ids),
            token_type_ids: reads_types.then(|| wide(encoded.types)),
            second: encoded.second,
            ..Tokens::default()
        })
    }
}

fn check_indices(what: &str, table: &str, list: &[i64], rows: usize) -> Result<()> {
    match list.iter().find(|&&index| index < 0 || index as usize >= rows) {
        None => Ok(()),
        Some(index) => Err(Error::Input(format!("{what} {index} is outside {table}; give one from 0 to {}", rows - 1))),
    }
}
