//! Continuing a text, token by token.

use std::fmt;

use tch::{Kind, Tensor};

use super::{Change, Trace, Watch};
use crate::model::{Input, Model};
use crate::progress::Task;
use crate::{Error, Result, Site};

/// Letters of what was written that the error of an interrupt shows.
const SHOWN: usize = 80;

/// How to continue a text; [`run`](Generate::run) does it. Made by [`Model::generate`].
///
/// Greedy unless a temperature is set. Every step runs the whole text again: exact, and slow for long texts.
#[must_use = "nothing is written before run()"]
#[derive(Debug, Clone)]
pub struct Generate {
    model: Model,
    input: Input,
    max_tokens: usize,
    temperature: f64,
    seed: i64,
    keep: Option<Vec<Site>>,
    changes: Vec<Change>,
}

/// What a model wrote.
#[derive(Debug)]
pub struct Generation {
    /// The new text, special tokens left out; empty when the checkpoint has no tokenizer.
    pub text: String,
    /// The new token ids, the one that ended the text included.
    pub ids: Vec<u32>,
    /// The run that gave each new token, if anything of it was kept.
    pub traces: Vec<Trace>,
}

impl Generate {
    pub(crate) fn new(model: Model, input: Input) -> Generate {
        Generate { model, input, max_tokens: 20, temperature: 0.0, seed: 0, keep: None, changes: Vec::new() }
    }

    /// The most tokens to add; 20 unless set.
    pub fn max_tokens(mut self, count: usize) -> Generate {
        self.max_tokens = count;
        self
    }

    /// Draws from the probabilities at this temperature instead of taking the best; 0 is greedy.
    pub fn temperature(mut self, temperature: f64) -> Generate {
        self.temperature = temperature;
        self
    }

    /// Makes drawing repeatable: the same seed gives the same text; 0 unless set.
    pub fn seed(mut self, seed: i64) -> Generate {
        self.seed = seed;
        self
    }

    /// Keeps these sites of the run that gives each new token.
    pub fn keep(mut self, sites: impl IntoIterator<Item = Site>) -> Generate {
        self.keep.get_or_insert_default().extend(sites);
        self
    }

    /// Makes a change in every step.
    pub fn change(mut self, change: impl Into<Change>) -> Generate {
        self.changes.push(change.into());
        self
    }

    /// Writes until the text ends, the count is reached, or the context is full.
    ///
    /// # Errors
    /// When the input does not fit the model, or the temperature is negative or not a number.
    pub fn run(self) -> Result<Generation> {
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return Err(Error::Input(format!(
                "temperature {} is not a number from 0 up; give 0 to take the best token each time",
                self.temperature
            )));
        }
        if self.temperature > 0.0 {
            tch::manual_seed(self.seed);
        }
        let mut generation = Generation { text: String::new(), ids: Vec::new(), traces: Vec::new() };
        if self.model.architecture().reads_both_ways() {
            let family = self.model.architecture().family;
            return Err(Error::Input(format!(
                "{family} reads both ways and writes no text; run(..) and predictions(position, count) give what it \
                 predicts at masked positions"
            )));
        }
        let mut input = self.input.clone();
        let task = Task::begin("generating", self.max_tokens, "tokens");
        for written in 0..self.max_tokens {
            let step = task.at(written as u64).and_then(|()| self.step(input));
            let trace = step.map_err(|error| self.with_what_is_written(error, &generation.ids))?;
            let next = self.choose(&trace.last_logits()?)?;
            let mut ids = trace.tokens().ids.clone();
            ids.push(i64::from(next));
            generation.ids.push(next);
            if self.keep.is_some() {
                generation.traces.push(trace);
            }
            let full = self.model.architecture().main.context.is_some_and(|context| ids.len() > context);
            if self.model.stop_ids().contains(&next) || full {
                break;
            }
            // What an encoder read stays; its decoder reads what has been written.
            input = match self.model.architecture().encoder {
                Some(_) => self.input.clone().target(ids),
                None => ids.into(),
            };
        }
        task.finish();
        if let Some(tokenizer) = self.model.tokenizer() {
            generation.text = tokenizer.decode(&generation.ids, true)?;
        }
        Ok(generation)
    }

    /// Who stops a long generation wants to see what it wrote until then.
    fn with_what_is_written(&self, error: Error, ids: &[u32]) -> Error {
        match error {
            Error::Interrupted { .. } => {
                let text = self.model.tokenizer().and_then(|tokenizer| tokenizer.decode(ids, true).ok());
                // Its end is what tells where it was.
                let end =
                    |text: &str| text.chars().skip(text.chars().count().saturating_sub(SHOWN)).collect::<String>();
                let text = text.map(|text| format!(": {:?}", end(&text))).unwrap_or_default();
                let done = format!("{} of {} tokens{text}", ids.len(), self.max_tokens);
                Error::Interrupted { what: "generating".to_owned(), done }
            }
            other => other,
        }
    }

    fn step(&self, input: Input) -> Result<Trace> {
        let watch = self.model.watch(input).keep(self.keep.iter().flatten().copied());
        self.changes.iter().cloned().fold(watch, Watch::change).run()
    }

    fn choose(&self, logits: &Tensor) -> Result<u32> {
        let chosen = if self.temperature == 0.0 {
            logits.f_argmax(0, false)?
        } else {
            let probs = logits.f_div_scalar(self.temperature)?.f_softmax(-1, Kind::Float)?;
            probs.f_multinomial(1, true)?.f_squeeze()?
        };
        Ok(chosen.f_int64_value(&[])? as u32)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
