//! Several inputs in one pass: texts one after the other, none of which sees another.

use std::collections::BTreeMap;
use std::ops::Range;

use tch::Tensor;

use super::recorder::grows;
use super::trace::Record;
use super::{Change, Estimate, Keep, Trace, Watch};
use crate::model::{Input, Model, Tokens, Wanted};
use crate::progress::Task;
use crate::site::{Part, Watcher};
use crate::{Error, Result, Site, interrupt};

/// Tokens of one pass. More make attention, which looks at all of them before it hides what belongs to other texts,
/// dearer than reading the weights once more.
const TOKENS: usize = 128;

/// Runs of several inputs in preparation; [`run`](WatchAll::run) starts them. Made by [`Model::watch_all`].
///
/// Short inputs share a pass through the model, which reads its weights once for all of them; each trace is that of the
/// input run alone.
#[must_use = "nothing runs before run()"]
#[derive(Debug, Clone)]
pub struct WatchAll {
    inputs: Vec<Input>,
    /// What is wanted of each.
    watch: Watch,
}

impl WatchAll {
    pub(crate) fn new(model: Model, inputs: Vec<Input>) -> WatchAll {
        WatchAll { inputs, watch: Watch::new(model, Input::default()) }
    }

    /// Keeps these sites only, of every run. Without it a run keeps every site but [`Site::HeadOutput`].
    pub fn keep(mut self, sites: impl IntoIterator<Item = Site>) -> WatchAll {
        self.watch = self.watch.keep(sites);
        self
    }

    /// Makes a change in every run; positions count from the start of its own input.
    pub fn change(mut self, change: impl Into<Change>) -> WatchAll {
        self.watch = self.watch.change(change);
        self
    }

    /// Megabytes (10^6 bytes) that all runs together may take; the model's limit by default.
    pub fn memory_limit_mb(mut self, megabytes: u64) -> WatchAll {
        self.watch = self.watch.memory_limit_mb(megabytes);
        self
    }

    /// Runs the model; one trace for each input, in their order.
    ///
    /// # Errors
    /// When an input, a site or a change does not fit the model, or more would be kept than the limit allows: before
    /// anything runs.
    pub fn run(self) -> Result<Vec<Trace>> {
        let texts = self.inputs.iter().cloned().map(|input| self.watch.model.read_tokens(input));
        self.run_texts(&texts.enumerate().map(of_input).collect::<Result<Vec<_>>>()?)
    }

    fn run_texts(&self, texts: &[Tokens]) -> Result<Vec<Trace>> {
        let mut all = Estimate { sites: Vec::new(), passing: 0 };
        for (index, tokens) in texts.iter().enumerate() {
            let estimate = self.watch.estimate_for(tokens)?;
            of_input((index, self.watch.check(tokens, &estimate)))?;
            all.sites.extend(estimate.sites);
            all.passing = all.passing.max(estimate.passing);
        }
        all.check(self.watch.memory_limit_mb)?;
        interrupt::during("running the model", || {
            let task = Task::begin("running the model", texts.len(), "inputs");
            let mut traces = Vec::with_capacity(texts.len());
            for together in packed(&texts.iter().collect::<Vec<_>>()) {
                task.at(traces.len() as u64)?;
                traces.extend(self.pass(&texts[together])?);
            }
            task.finish();
            Ok(traces)
        })
    }

    /// Runs some inputs in one pass.
    fn pass(&self, texts: &[Tokens]) -> Result<Vec<Trace>> {
        if let [tokens] = texts {
            return Ok(vec![self.watch.run_tokens(tokens.clone())?]);
        }
        let _no_gradients = tch::no_grad_guard();
        let together = Tokens::together(&texts.iter().collect::<Vec<_>>());
        let changes = self.watch.prepared()?;
        let kept = texts.iter().map(|_| BTreeMap::new()).collect();
        let mut recorder = Recorder { keep: &self.watch.keep, changes: &changes, together: &together, kept };
        let ends: Vec<i64> = together.texts().map(|text| text.end as i64 - 1).collect();
        let all = self.watch.wanted() == Wanted::All;
        let wanted = if all { Wanted::All } else { Wanted::At(&ends) };
        let logits = self.watch.model.network().forward(&together, wanted, &mut recorder)?;
        let trace = |(index, (tokens, kept)): (usize, (&Tokens, BTreeMap<Site, Tensor>))| -> Result<Trace> {
            let rows = if all { together.text_range(index) } else { index..index + 1 };
            let place = Place { rows, columns: None };
            let logits = logits.as_ref().map(|logits| place.copy(logits)).transpose()?;
            Ok(self.watch.trace(Record { tokens: tokens.clone(), kept, logits, ..Record::default() }))
        };
        texts.iter().zip(recorder.kept).enumerate().map(trace).collect()
    }
}

/// Says which input an error is about.
fn of_input<T>((index, result): (usize, Result<T>)) -> Result<T> {
    result.map_err(|error| match error {
        Error::Input(problem) => Error::Input(format!("number {index} (from 0): {problem}")),
        other => other,
    })
}

/// The texts that share a pass: neighbours, which go together, up to so many tokens.
pub(crate) fn packed(texts: &[&Tokens]) -> Vec<Range<usize>> {
    let size = |tokens: &Tokens| tokens.len().max(tokens.source.as_ref().map_or(0, |source| source.len()));
    let mut packs: Vec<Range<usize>> = Vec::new();
    let mut filled = 0;
    for (index, tokens) in texts.iter().enumerate() {
        filled += size(tokens);
        match packs.last_mut() {
            Some(pack) if filled <= TOKENS && texts[pack.start].goes_with(tokens) => pack.end = index + 1,
            _ => {
                filled = size(tokens);
                packs.push(index..index + 1);
            }
        }
    }
    packs
}

/// Keeps and changes, for each of the texts of one pass.
struct Recorder<'a> {
    keep: &'a Keep,
    changes: &'a [Change],
    together: &'a Tokens,
    kept: Vec<BTreeMap<Site, Tensor>>,
}

impl Recorder<'_> {
    fn place(&self, site: Site, text: usize) -> Place {
        let main = || self.together.text_range(text);
        let source = || self.together.source.as_ref().map_or(0..0, |source| source.text_range(text));
        let squares = matches!(site.plain(), Site::PositionBias(_) | Site::Scores(_) | Site::Pattern(_));
        Place {
            rows: if grows(site) { main() } else { source() },
            columns: squares.then(|| if site.part() == Part::Main { main() } else { source() }),
        }
    }
}

impl Watcher for Recorder<'_> {
    fn wants(&self, site: Site) -> bool {
        self.keep.includes(site) || self.changes(site)
    }

    fn changes(&self, site: Site) -> bool {
        self.changes.iter().any(|change| change.site() == site)
    }

    fn at(&mut self, site: Site, tensor: Tensor) -> Result<Tensor> {
        let mut tensor = tensor;
        for change in self.changes.iter().filter(|change| change.site() == site) {
            for text in 0..self.kept.len() {
                tensor = self.place(site, text).change(&tensor, |part| change.apply(part, 0))?;
            }
        }
        if self.keep.includes(site) {
            for text in 0..self.kept.len() {
                let own = self.place(site, text).copy(&tensor)?;
                self.kept[text].insert(site, own);
            }
        }
        Ok(tensor)
    }
}

/// What belongs to one text at a site: rows, the last axis but one, and columns where these are positions as well.
struct Place {
    rows: Range<usize>,
    columns: Option<Range<usize>>,
}

impl Place {
    /// A copy of the part, which does not hold the whole in memory.
    fn copy(&self, tensor: &Tensor) -> Result<Tensor> {
        let part = narrowed(tensor, -2, &self.rows)?;
        let part = self.columns.as_ref().map_or(Ok(part.shallow_clone()), |columns| narrowed(&part, -1, columns))?;
        Ok(part.f_detach_copy()?)
    }

    /// The tensor with the part changed.
    fn change(&self, tensor: &Tensor, change: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let rows = narrowed(tensor, -2, &self.rows)?;
        let changed = match &self.columns {
            Some(columns) => replaced(&rows, -1, columns, &change(&narrowed(&rows, -1, columns)?)?)?,
            None => change(&rows)?,
        };
        replaced(tensor, -2, &self.rows, &changed)
    }
}

fn narrowed(tensor: &Tensor, axis: i64, range: &Range<usize>) -> Result<Tensor> {
    Ok(tensor.f_narrow(axis, range.start as i64, range.len() as i64)?)
}

fn replaced(tensor: &Tensor, axis: i64, range: &Range<usize>, part: &Tensor) -> Result<Tensor> {
    Ok(tensor.f_slice_scatter(part, axis, range.start as i64, range.end as i64, 1)?)
}

#[cfg(test)]
mod tests;
