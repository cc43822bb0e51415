//! Prompts in pairs: clean and corrupted, with the answers that are compared.

mod aligned;
mod read;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

use super::{Axis, PairTokens};
use crate::model::{Input, Model, Tokens};
use crate::text::visible;
use crate::{Error, Result};

/// A clean prompt, a corrupted one that differs in what the experiment is about, and the answers that are compared.
///
/// Position by position the two prompts are each other's like, so they must have as many tokens.
///
/// ```
/// # fn main() -> flowlens::Result<()> {
/// use flowlens::experiment::Pair;
/// let model = flowlens::Model::load("tests/fixtures/parity/llama_gqa")?;
/// let pairs = model.pairs([Pair::new("a b a", "a c a").right(" b").wrong(" c")]);
/// # let _ = pairs;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    clean: Input,
    corrupted: Option<Input>,
    right: Answers,
    wrong: Answers,
    position: Option<usize>,
}

/// One answer or several: each a text that is one token, blank in front included (`" Mary"`), or a token id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answers(Vec<Answer>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Text(String),
    Id(u32),
}

impl From<&str> for Answers {
    fn from(text: &str) -> Answers {
        Answers(vec![Answer::Text(text.to_owned())])
    }
}

impl From<String> for Answers {
    fn from(text: String) -> Answers {
        Answers(vec![Answer::Text(text)])
    }
}

impl From<u32> for Answers {
    fn from(id: u32) -> Answers {
        Answers(vec![Answer::Id(id)])
    }
}

impl<T: Into<Answers>> From<Vec<T>> for Answers {
    fn from(answers: Vec<T>) -> Answers {
        Answers(answers.into_iter().flat_map(|answer| answer.into().0).collect())
    }
}

impl<T: Into<Answers>, const N: usize> From<[T; N]> for Answers {
    fn from(answers: [T; N]) -> Answers {
        Answers(answers.into_iter().flat_map(|answer| answer.into().0).collect())
    }
}

impl Pair {
    /// A clean and a corrupted prompt; of an encoder-decoder each with its source and its target.
    pub fn new(clean: impl Into<Input>, corrupted: impl Into<Input>) -> Pair {
        Pair { corrupted: Some(corrupted.into()), ..Pair::only(clean) }
    }

    /// A prompt alone: enough to ablate over a data set, and to say what adds to an answer directly.
    pub fn only(clean: impl Into<Input>) -> Pair {
        Pair {
            clean: clean.into(),
            corrupted: None,
            right: Answers::default(),
            wrong: Answers::default(),
            position: None,
        }
    }

    /// The answer, or the answers, that the clean prompt calls for.
    #[must_use]
    pub fn right(mut self, answers: impl Into<Answers>) -> Pair {
        self.right = answers.into();
        self
    }

    /// The answer, or the answers, that the right ones are compared with.
    #[must_use]
    pub fn wrong(mut self, answers: impl Into<Answers>) -> Pair {
        self.wrong = answers.into();
        self
    }

    /// The position at which the answer is read, from 0. Unless given it is the last one; where a model reads both ways,
    /// that of the only mask token.
    #[must_use]
    pub fn position(mut self, position: usize) -> Pair {
        self.position = Some(position);
        self
    }
}

/// Clean, corrupted, right, wrong.
impl<C: Into<Input>, D: Into<Input>, R: Into<Answers>, W: Into<Answers>> From<(C, D, R, W)> for Pair {
    fn from((clean, corrupted, right, wrong): (C, D, R, W)) -> Pair {
        Pair::new(clean, corrupted).right(right).wrong(wrong)
    }
}

impl From<&str> for Pair {
    fn from(text: &str) -> Pair {
        Pair::only(text)
    }
}

impl From<String> for Pair {
    fn from(text: String) -> Pair {
        Pair::only(text)
    }
}

impl From<Input> for Pair {
    fn from(input: Input) -> Pair {
        Pair::only(input)
    }
}

/// Pairs of prompts as a model reads them, checked token by token. Made by [`Model::pairs`] and [`Pairs::read`].
#[derive(Clone)]
pub struct Pairs {
    model: Model,
    cases: Vec<Case>,
}

/// A pair as the model reads it: both prompts have as many tokens, every id is in the vocabulary, and `position` is a
/// token of both.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case {
    pub clean: Tokens,
    pub corrupted: Option<Tokens>,
    pub right: Vec<u32>,
    pub wrong: Vec<u32>,
    pub position: usize,
}

impl Model {
    /// Pairs of prompts for experiments: [`Pair`]s, tuples of clean, corrupted, right and wrong, or texts alone.
    ///
    /// # Errors
    /// When there is none; when the prompts of a pair differ in their number of tokens (the error shows where they part);
    /// when an answer is not one token; when a prompt does not fit the model.
    pub fn pairs<P: Into<Pair>>(&self, pairs: impl IntoIterator<Item = P>) -> Result<Pairs> {
        let cases = pairs.into_iter().enumerate().map(|(number, pair)| {
            Case::read(self, pair.into()).map_err(|problem| {
                Error::Experiment(match problem {
                    Error::Experiment(problem) => format!("pair {number}: {problem}"),
                    other => format!("pair {number}: {other}"),
                })
            })
        });
        let cases = cases.collect::<Result<Vec<Case>>>()?;
        if cases.is_empty() {
            return Err(Error::Experiment("there is no pair; give at least one".to_owned()));
        }
        Ok(Pairs { model: self.clone(), cases })
    }
}

impl Pairs {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Never true: there is at least one pair.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// The model that reads them.
    pub fn model(&self) -> &Model {
        &self.model
    }

    pub(crate) fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// Fails where a pair has no corrupted prompt.
    pub(crate) fn both(&self) -> Result<()> {
        match self.cases.iter().position(|case| case.corrupted.is_none()) {
            None => Ok(()),
            Some(number) => Err(Error::Experiment(format!(
                "pair {number} has no corrupted prompt to patch from; make it with Pair::new(clean, corrupted), or ablate"
            ))),
        }
    }

    /// A hash of the model's name and type and of all that the pairs hold, in hexadecimal digits: results of equal pairs
    /// may be put together.
    pub(crate) fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        let plan = self.model.architecture();
        for name in [self.model.name(), plan.family, &self.model.dtype().to_string()] {
            add(name.as_bytes());
        }
        add(&plan.parameters().to_le_bytes());
        for case in &self.cases {
            add_tokens(Some(&case.clean), &mut add);
            add_tokens(case.corrupted.as_ref(), &mut add);
            for answers in [&case.right, &case.wrong] {
                add(&answers.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>());
            }
            add(&(case.position as u64).to_le_bytes());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The tokens of every pair as they are shown.
    pub(crate) fn shown(&self) -> Vec<PairTokens> {
        self.cases.iter().map(|case| self.shown_case(case)).collect()
    }

    fn shown_case(&self, case: &Case) -> PairTokens {
        let shown = |tokens: Option<&Tokens>| tokens.map_or_else(Vec::new, |tokens| shown(&self.model, &tokens.ids));
        let source = |tokens: Option<&Tokens>| shown(tokens.and_then(|tokens| tokens.source.as_deref()));
        let answers = |ids: &[u32]| ids.iter().map(|&id| shown_id(&self.model, id)).collect();
        PairTokens {
            clean: shown(Some(&case.clean)),
            corrupted: shown(case.corrupted.as_ref()),
            source_clean: source(Some(&case.clean)),
            source_corrupted: source(case.corrupted.as_ref()),
            right: answers(&case.right),
            wrong: answers(&case.wrong),
            position: case.position,
        }
    }

    /// The axis of positions: as many as the longest prompt has, each with its number and the token of the first prompt
    /// that reaches it. `source` takes the positions of the encoder.
    pub(crate) fn positions(&self, source: bool) -> Axis {
        let rows = self.cases.iter().filter_map(|case| match source {
            true => case.clean.source.as_deref(),
            false => Some(&case.clean),
        });
        let mut labels: Vec<String> = Vec::new();
        for tokens in rows {
            let more = tokens.ids.iter().enumerate().skip(labels.len());
            let more: Vec<String> =
                more.map(|(place, &id)| format!("{place} {}", shown_id(&self.model, id as u32))).collect();
            labels.extend(more);
        }
        Axis { name: if source { Axis::SOURCE_POSITION } else { Axis::POSITION }.to_owned(), labels }
    }
}

fn add_tokens(tokens: Option<&Tokens>, add: &mut impl FnMut(&[u8])) {
    let Some(tokens) = tokens else { return add(b"none") };
    let lists = [&tokens.attention_mask, &tokens.token_type_ids, &tokens.languages];
    for list in [Some(&tokens.ids)].into_iter().chain(lists.map(Option::as_ref)) {
        match list {
            Some(list) => add(&list.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>()),
            None => add(b"none"),
        }
    }
    add_tokens(tokens.source.as_deref(), add);
}

/// A token as it is shown to a person.
pub(super) fn shown_id(model: &Model, id: u32) -> String {
    model.tokenizer().map_or_else(|| format!("#{id}"), |tokenizer| tokenizer.shown(id))
}

fn shown(model: &Model, ids: &[i64]) -> Vec<String> {
    ids.iter().map(|&id| shown_id(model, id as u32)).collect()
}

impl Case {
    fn read(model: &Model, pair: Pair) -> Result<Case> {
        let clean = model.read_tokens(pair.clean)?;
        let corrupted = pair.corrupted.map(|corrupted| model.read_tokens(corrupted)).transpose()?;
        if let Some(corrupted) = &corrupted {
            aligned::check(model, &clean, corrupted)?;
        }
        let position = position(model, &clean, corrupted.as_ref(), pair.position)?;
        let (right, wrong) = (answer_ids(model, &pair.right)?, answer_ids(model, &pair.wrong)?);
        if let Some(&both) = right.iter().find(|id| wrong.contains(id)) {
            return Err(Error::Experiment(format!(
                "{} is among the right answers and among the wrong ones; leave it out of one of them",
                shown_id(model, both)
            )));
        }
        Ok(Case { clean, corrupted, right, wrong, position })
    }
}

/// Where the answer is read.
fn position(model: &Model, clean: &Tokens, corrupted: Option<&Tokens>, wanted: Option<usize>) -> Result<usize> {
    let last = (0..clean.len()).rev().find(|&place| !clean.is_padding(place)).unwrap_or_default();
    if let Some(position) = wanted {
        if position < clean.len() && !clean.is_padding(position) {
            return Ok(position);
        }
        return Err(Error::Experiment(format!(
            "there is no token at position {position} to read the answer at; give one from 0 to {last}"
        )));
    }
    if !model.architecture().reads_both_ways() {
        return Ok(last);
    }
    let masked = |id: i64| model.tokenizer().is_some_and(|tokenizer| tokenizer.is_mask(id as u32));
    let masks = |tokens: &Tokens| -> Vec<usize> {
        tokens.ids.iter().enumerate().filter(|(_, id)| masked(**id)).map(|(place, _)| place).collect()
    };
    let found = masks(clean);
    match (found.as_slice(), corrupted.map(masks)) {
        (&[place], None) => Ok(place),
        (&[place], Some(other)) if other == [place] => Ok(place),
        (_, None) => Err(Error::Experiment(format!(
            "{} reads both ways and the text has {} mask tokens, so that it is open where the answer is read; say it with \
             .position(..)",
            model.name(),
            found.len()
        ))),
        (_, Some(other)) => Err(Error::Experiment(format!(
            "{} reads both ways and has its mask tokens at positions {found:?} of the clean text and {other:?} of the \
             corrupted one, so that it is open where the answer is read; say it with .position(..)",
            model.name()
        ))),
    }
}

/// The ids of answers, each once.
fn answer_ids(model: &Model, answers: &Answers) -> Result<Vec<u32>> {
    let mut ids = Vec::new();
    for answer in &answers.0 {
        let id = match answer {
            Answer::Text(text) => answer_id(model, text)?,
            Answer::Id(id) => *id,
        };
        if id as usize >= model.architecture().vocab() {
            let last = model.architecture().vocab() - 1;
            return Err(Error::Experiment(format!(
                "the answer's token id {id} is outside the vocabulary; give one from 0 to {last}"
            )));
        }
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// The id of an answer that is one token.
fn answer_id(model: &Model, text: &str) -> Result<u32> {
    let tokenizer = model.tokenizer().ok_or_else(|| {
        Error::Experiment(
            "the checkpoint has no tokenizer, so an answer cannot be a text; give its token id".to_owned(),
        )
    })?;
    let ids = tokenizer.encode(text, false)?;
    if let [id] = *ids {
        // A word that the vocabulary lacks becomes one token too: the unknown one.
        if !tokenizer.is_special(id) || tokenizer.id(text) == Some(id) {
            return Ok(id);
        }
        return Err(Error::Experiment(format!(
            "the answer {:?} is not in the vocabulary (it becomes {}); take another word, or give a token id",
            visible(text),
            tokenizer.shown(id)
        )));
    }
    let other = text.strip_prefix(' ').map_or_else(|| format!(" {text}"), str::to_owned);
    let one = tokenizer.encode(&other, false).is_ok_and(|ids| matches!(*ids, [id] if !tokenizer.is_special(id)));
    let way_out = match one {
        true => format!("{other:?} is one"),
        false => "take a word that is one, or give a token id".to_owned(),
    };
    let pieces: Vec<String> = ids.iter().map(|&id| tokenizer.shown(id)).collect();
    Err(Error::Experiment(format!(
        "the answer {:?} must be one token and is {}: {}; {way_out}",
        visible(text),
        ids.len(),
        pieces.join(" | ")
    )))
}
