//! Continuing a text, token by token.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::grow::Growing;
use super::sampling::Sampling;
use super::writing::Writing;
use super::{Change, Trace, Watch};
use crate::model::{Input, Model};
use crate::notebook::Stream;
use crate::progress::Task;
use crate::{Error, Result, Site};

/// Letters of what was written that the error of an interrupt shows.
const SHOWN: usize = 80;

/// How to continue a text; [`run`](Generate::run) does it. Made by [`Model::generate`].
///
/// Greedy unless a temperature is set.
///
/// ```no_run
/// # fn main() -> flowlens::Result<()> {
/// let model = flowlens::Model::load("smollm2-135m")?;
/// let text = model.generate("Once upon a time").max_tokens(100).temperature(0.8).top_p(0.9).stop(["\n"]).stream().run()?;
/// # Ok(()) }
/// ```
#[must_use = "nothing is written before run()"]
#[derive(Clone)]
pub struct Generate {
    model: Model,
    input: Input,
    max_tokens: usize,
    sampling: Sampling,
    seed: i64,
    stops: Vec<String>,
    keep: Option<Vec<Site>>,
    changes: Vec<Change>,
    listener: Option<Listener>,
    stream: bool,
}

/// Who is told of each piece of text.
type Listener = Arc<Mutex<dyn FnMut(&str) + Send>>;

/// What a model wrote.
#[derive(Debug)]
pub struct Generation {
    /// The new text, special tokens left out, up to a stop text; empty when the checkpoint has no tokenizer.
    pub text: String,
    /// The new token ids, those that ended the text included.
    pub ids: Vec<u32>,
    /// The run that gave each new token, if anything of it was kept.
    pub traces: Vec<Trace>,
}

impl Generate {
    pub(crate) fn new(model: Model, input: Input) -> Generate {
        Generate {
            model,
            input,
            max_tokens: 20,
            sampling: Sampling::default(),
            seed: 0,
            stops: Vec::new(),
            keep: None,
            changes: Vec::new(),
            listener: None,
            stream: false,
        }
    }

    /// The most tokens to add; 20 unless set.
    pub fn max_tokens(mut self, count: usize) -> Generate {
        self.max_tokens = count;
        self
    }

    /// Draws from the probabilities at this temperature instead of taking the best; 0 is greedy.
    pub fn temperature(mut self, temperature: f64) -> Generate {
        self.sampling.temperature = temperature;
        self
    }

    /// Draws from the `count` best tokens only (and those that are as good as the last of them).
    pub fn top_k(mut self, count: usize) -> Generate {
        self.sampling.top_k = Some(count);
        self
    }

    /// Draws only from the best tokens that together have at least this probability (nucleus sampling), after
    /// temperature and [`top_k`](Generate::top_k).
    pub fn top_p(mut self, probability: f64) -> Generate {
        self.sampling.top_p = Some(probability);
        self
    }

    /// Ends the text before the first of these texts, wherever the borders of tokens lie.
    pub fn stop<S: Into<String>>(mut self, texts: impl IntoIterator<Item = S>) -> Generate {
        self.stops.extend(texts.into_iter().map(Into::into));
        self
    }

    /// Hands every new piece of text to `listener` as soon as no later token can change it: whole characters, and nothing
    /// of a text that [`stop`](Generate::stop) looks for. All pieces together are the text.
    /// [`interrupt::request`](crate::interrupt::request) ends the generation from there.
    pub fn on_token(mut self, listener: impl FnMut(&str) + Send + 'static) -> Generate {
        self.listener = Some(Arc::new(Mutex::new(listener)));
        self
    }

    /// Prints the text while it is written: whole lines in a notebook, each token at once elsewhere.
    pub fn stream(mut self) -> Generate {
        self.stream = true;
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

    /// Writes until the text ends, the count is reached, or the context is full. Each step computes the new position
    /// only, where the model and what is kept and changed allow it.
    ///
    /// # Errors
    /// When the input, a change or a site does not fit the model, or an option is no number that it can be.
    pub fn run(self) -> Result<Generation> {
        let plan = self.model.architecture();
        self.check()?;
        if self.sampling.temperature > 0.0 {
            tch::manual_seed(self.seed);
        }
        let mut generation = Generation { text: String::new(), ids: Vec::new(), traces: Vec::new() };
        let mut tokens = Some(self.model.read_tokens(self.input.clone())?);
        let mut growing = Growing::new(self.watch())?;
        let mut writing = self.model.tokenizer().map(|tokenizer| Writing::new(tokenizer, &self.stops));
        let mut stream = self.stream.then(Stream::default);
        let heard = !self.stops.is_empty() || self.listener.is_some() || self.stream;
        let task = Task::begin("generating", self.max_tokens, "tokens");
        while let Some(text) = tokens.take()
            && generation.ids.len() < self.max_tokens
        {
            let step = task.at(generation.ids.len() as u64).and_then(|()| growing.run(text));
            let trace = step.map_err(|error| self.with_what_is_written(error, &generation.ids))?;
            let next = self.sampling.choose(&trace.last_logits()?)?;
            generation.ids.push(next);
            let mut ended = self.model.stop_ids().contains(&next);
            if let Some(writing) = writing.as_mut().filter(|_| heard) {
                let (piece, stopped) = writing.add(&generation.ids)?;
                self.hand_on(&piece, &mut stream);
                ended |= stopped;
            }
            if !ended && plan.main.context.is_none_or(|context| trace.len() < context) {
                tokens = Some(trace.tokens().followed_by(i64::from(next), plan)?);
            }
            if self.keep.is_some() {
                generation.traces.push(trace);
            }
        }
        task.finish();
        if let Some(writing) = &mut writing {
            let (text, rest) = writing.finish(&generation.ids)?;
            self.hand_on(&rest, &mut stream);
            generation.text = text;
        }
        Ok(generation)
    }

    fn check(&self) -> Result<()> {
        self.sampling.check()?;
        if self.model.architecture().reads_both_ways() {
            let family = self.model.architecture().family;
            return Err(Error::Input(format!(
                "{family} reads both ways and writes no text; run(..) and predictions(position, count) give what it \
                 predicts at masked positions"
            )));
        }
        if self.stops.iter().any(String::is_empty) {
            return Err(Error::Input("a stop text is empty, so the text would end at once; leave it out".to_owned()));
        }
        let heard = [(!self.stops.is_empty(), "stop"), (self.listener.is_some(), "on_token"), (self.stream, "stream")];
        match heard.into_iter().find(|(wanted, _)| *wanted && self.model.tokenizer().is_none()) {
            Some((_, option)) => Err(Error::Tokenizer(format!(
                "the checkpoint has no tokenizer.json, so there is no text for {option}; leave it out and read the ids"
            ))),
            None => Ok(()),
        }
    }

    /// Tells a piece of text to whoever listens.
    fn hand_on(&self, piece: &str, stream: &mut Option<Stream>) {
        if piece.is_empty() {
            return;
        }
        if let Some(listener) = &self.listener {
            (listener.lock().unwrap_or_else(PoisonError::into_inner))(piece);
        }
        if let Some(stream) = stream {
            stream.print(piece);
        }
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

    fn watch(&self) -> Watch {
        let watch = self.model.watch(self.input.clone()).keep(self.keep.iter().flatten().copied());
        self.changes.iter().cloned().fold(watch, Watch::change)
    }
}

impl fmt::Debug for Generate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Generate { input, max_tokens, sampling, seed, stops, keep, changes, .. } = self;
        write!(f, "Generate {{ {input:?}, {max_tokens} tokens, {sampling:?}, seed {seed}, stops {stops:?}, ")?;
        write!(f, "keep {keep:?}, {changes:?} }}")
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
