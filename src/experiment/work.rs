//! Making the runs of a sweep: many in one pass, each from the first layer that it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tch::Tensor;

use super::answers::Best;
use super::effects::{Axis, EffectKind, Effects};
use super::group::{Group, Observed, ROWS, no_head, numbers};
use super::partial::Partial;
use super::sweep::{Deed, Sweep};
use super::variants::{Variant, Variants};
use crate::model::Start;
use crate::progress::Task;
use crate::site::{Part, Site};
use crate::{Array, Change, Error, Result};

/// How often a sweep that keeps a file writes it.
const WRITTEN_EVERY: Duration = Duration::from_secs(5);

/// A checked sweep.
pub(super) struct Work<'a> {
    sweep: &'a Sweep,
    axes: Vec<Axis>,
    cells: Vec<Variant>,
}

/// What a sweep will take.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepEstimate {
    /// Runs, each of one pair with one change, that are still to be made.
    pub runs: usize,
    /// Passes through the model that they take together.
    pub passes: usize,
    /// Seconds, from the first few passes.
    pub seconds: f64,
    /// Bytes that the sweep holds beside the weights.
    pub bytes: u64,
}

impl fmt::Display for SweepEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SweepEstimate { runs, passes, seconds, bytes } = self;
        write!(
            f,
            "{runs} runs in {passes} passes, about {seconds:.0} s, {:.0} MB beside the weights",
            *bytes as f64 / 1e6
        )
    }
}

/// Cases that run together, in one of the draws of noise.
struct Batch<'a> {
    group: Group<'a>,
    sample: usize,
}

/// A batch whose runs can begin: what they go on from, and what is put into them.
struct Ready {
    base: Observed,
    donors: BTreeMap<Site, Tensor>,
    /// What makes the base of its tokens, where that is more than running them.
    changes: Vec<Change>,
    /// The clean runs' logits, for metrics that compare.
    clean: Tensor,
    /// The corrupted runs' logits; none for ablations.
    corrupted: Option<Tensor>,
}

/// The metric of the runs that nothing was put into, for each unit.
struct Baselines {
    clean: Vec<f32>,
    corrupted: Vec<f32>,
    /// The best answers of each pair, of the first draw of noise.
    answers: [Vec<Best>; 2],
}

impl<'a> Work<'a> {
    pub(super) fn new(sweep: &'a Sweep, axes: Vec<Axis>, cells: Vec<Variant>) -> Work<'a> {
        Work { sweep, axes, cells }
    }

    pub(super) fn run(&self) -> Result<Effects> {
        let mut partial = self.begin()?;
        let result = self.fill(&mut partial);
        // What is done stays, however it ended.
        let saved = self.keep(&partial);
        let baselines = result?;
        saved?;
        self.effects(&partial, &baselines)
    }

    /// What some cells alone do: their values less the run's that they change, means over pairs.
    pub(super) fn measure(mut self, cells: &[usize]) -> Result<Vec<f32>> {
        self.axes = vec![Axis::numbers("cell", cells.len())];
        self.cells = cells.iter().filter_map(|&cell| self.cells.get(cell).cloned()).collect();
        let mut partial = self.nothing();
        let baselines = self.fill(&mut partial)?;
        let effects = self.effects(&partial, &baselines)?;
        Ok(effects.mean_effect()?.data().to_vec())
    }

    /// Makes the passes of the first batch's first layer, and counts what is left.
    pub(super) fn estimate(&self) -> Result<SweepEstimate> {
        let mut partial = self.begin()?;
        let batches = self.batches()?;
        let weight = |batch: &Batch, chunk: &[usize]| {
            let cell = &self.cells[chunk[0]];
            (self.depth(cell.part()) - cell.first_layer() + 1) as f64 * (batch.group.clean.len() * chunk.len()) as f64
        };
        let mut estimate = SweepEstimate { runs: 0, passes: 0, seconds: 0.0, bytes: 0 };
        let (mut spent, mut made, mut left) = (0.0, 0.0, 0.0);
        for (index, batch) in batches.iter().enumerate() {
            let mut chunks = self.chunks(batch, &partial);
            if index == 0 && !chunks.is_empty() {
                let first = chunks.remove(0);
                let ready = self.ready(batch, &self.donors(std::slice::from_ref(batch), &batches)?[0])?;
                let began = Instant::now();
                self.pass(batch, &ready, &first, &mut partial)?;
                (spent, made) = (began.elapsed().as_secs_f64(), weight(batch, &first));
                let held = ready.base.kept.values().chain(ready.donors.values());
                estimate.bytes =
                    held.map(|tensor| tensor.numel() as u64 * tensor.kind().elt_size_in_bytes() as u64).sum();
            }
            estimate.passes += chunks.len();
            estimate.runs += chunks.iter().map(|chunk| chunk.len() * batch.group.cases.len()).sum::<usize>();
            left += chunks.iter().map(|chunk| weight(batch, chunk)).sum::<f64>();
        }
        if made > 0.0 {
            estimate.seconds = left * spent / made;
        }
        self.keep(&partial)?;
        Ok(estimate)
    }

    fn nothing(&self) -> Partial {
        Partial::new(self.fingerprint(), self.cells.len(), self.sweep.pairs.len(), self.samples())
    }

    /// What is done already, in this sweep or in its file.
    fn begin(&self) -> Result<Partial> {
        let empty = self.nothing();
        let held = self.sweep.partial.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        let held = held.filter(|held| held.of == empty.of);
        let filed = self.sweep.resume.as_ref().map(|path| empty.read(path)).transpose()?.flatten();
        let fuller = held.into_iter().chain(filed).max_by_key(Partial::count);
        Ok(fuller.unwrap_or(empty))
    }

    /// Keeps what is done.
    fn keep(&self, partial: &Partial) -> Result<()> {
        *self.sweep.partial.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(partial.clone());
        self.sweep.resume.as_ref().map_or(Ok(()), |path| partial.save(path))
    }

    /// Everything that the numbers depend on.
    fn fingerprint(&self) -> String {
        let Sweep { model, pairs, metric, noise, .. } = self.sweep;
        let mut hash = Sha256::new();
        hash.update(format!("{:?} {noise:?} {:?}", self.cells, model.architecture()));
        hash.update(pairs.fingerprint());
        let hash: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let (name, cells, pairs) = (self.sweep.name(), self.cells.len(), pairs.len());
        format!("{name} of {} in {}, {metric}, {cells} cells, {pairs} pairs, {hash}", model.name(), model.dtype())
    }

    /// Pairs, each as often as noise is drawn.
    fn units(&self) -> usize {
        self.sweep.pairs.len() * self.samples()
    }

    fn samples(&self) -> usize {
        self.sweep.noise.as_ref().map_or(1, |noise| noise.samples)
    }

    fn depth(&self, part: Part) -> usize {
        let model = &self.sweep.model;
        model.layers() + if part == Part::Encoder { model.encoder_layers() } else { 0 }
    }

    fn batches(&self) -> Result<Vec<Batch<'a>>> {
        let cases = self.sweep.pairs.cases();
        if let Some(noise) = &self.sweep.noise {
            noise.check(cases)?;
        }
        let groups = || Group::all(cases, self.sweep.metric);
        Ok((0..self.samples())
            .flat_map(|sample| groups().into_iter().map(move |group| Batch { group, sample }))
            .collect())
    }

    /// The cells of a batch that are not done, as passes: those that begin at the same layer, as many as are worth it.
    fn chunks(&self, batch: &Batch, partial: &Partial) -> Vec<Vec<usize>> {
        let tokens = &batch.group.clean;
        let length = tokens.len() + tokens.source.as_ref().map_or(0, |source| source.len());
        let most = (ROWS / length.max(1)).max(1);
        let begins = |cell: usize| (self.cells[cell].part() == Part::Encoder, self.cells[cell].first_layer());
        let units: Vec<usize> = (0..batch.group.cases.len()).map(|place| self.unit(batch, place)).collect();
        let mut chunks: Vec<Vec<usize>> = Vec::new();
        for cell in (0..self.cells.len()).filter(|&cell| units.iter().any(|&unit| !partial.is_done(cell, unit))) {
            match chunks.last_mut() {
                Some(chunk) if chunk.len() < most && begins(chunk[0]) == begins(cell) => chunk.push(cell),
                _ => chunks.push(vec![cell]),
            }
        }
        chunks
    }

    fn unit(&self, batch: &Batch, place: usize) -> usize {
        batch.group.cases[place].0 * self.samples() + batch.sample
    }

    fn fill(&self, partial: &mut Partial) -> Result<Baselines> {
        let task = Task::begin(format!("sweeping {}", self.sweep.name()), partial.done.len(), "runs");
        task.at(partial.count() as u64)?;
        let batches = self.batches()?;
        let donors = task.step_of(self.donors(&batches, &batches))?;
        let nothing = || vec![f32::NAN; self.units()];
        let mut baselines = Baselines { clean: nothing(), corrupted: nothing(), answers: Default::default() };
        let mut written = Instant::now();
        for (batch, donors) in batches.iter().zip(&donors) {
            let ready = task.step_of(self.ready(batch, donors))?;
            self.baselines(batch, &ready, &mut baselines)?;
            for chunk in self.chunks(batch, partial) {
                task.step_of(self.pass(batch, &ready, &chunk, partial))?;
                task.at(partial.count() as u64)?;
                if self.sweep.resume.is_some() && written.elapsed() > WRITTEN_EVERY {
                    self.keep(partial)?;
                    written = Instant::now();
                }
            }
        }
        task.finish();
        Ok(baselines)
    }

    /// What ablations put into the runs of each of `some` batches; nothing for patches, which take it from a run of
    /// their own.
    fn donors(&self, some: &[Batch], all: &[Batch]) -> Result<Vec<BTreeMap<Site, Tensor>>> {
        let Deed::Ablate(kind) = self.sweep.deed else { return Ok(some.iter().map(|_| BTreeMap::new()).collect()) };
        let groups: Vec<&Group> = all.iter().map(|batch| &batch.group).collect();
        kind.donors(&self.sweep.model, &groups, &self.sites())
    }

    /// The sites that the cells change.
    fn sites(&self) -> Vec<Site> {
        let sites: BTreeSet<Site> = self.cells.iter().flat_map(|cell| &cell.places).map(|place| place.site).collect();
        sites.into_iter().collect()
    }

    fn ready(&self, batch: &Batch, ablated: &BTreeMap<Site, Tensor>) -> Result<Ready> {
        let (model, group) = (&self.sweep.model, &batch.group);
        let noise = self.sweep.noise.as_ref();
        let changes: Vec<Change> =
            noise.map(|noise| noise.drawn(model, &group.cases, batch.sample)).transpose()?.into_iter().collect();
        let streams = self.cells.iter().map(|cell| match cell.part() {
            Part::Encoder => Site::EncoderResidPre(cell.first_layer()),
            _ => Site::ResidPre(cell.first_layer()),
        });
        let memory = group.clean.source.is_some().then_some(Site::EncoderFinalNorm);
        let streams: BTreeSet<Site> = streams.chain(memory).collect();
        let sites: BTreeSet<Site> = self.sites().into_iter().collect();
        let corrupted = |keep| match noise {
            Some(_) => group.observe(model, &group.clean, keep, &changes),
            None => group.observe(model, group.corrupted()?, keep, &[]),
        };
        match self.sweep.deed {
            Deed::Patch => {
                let (donor, base) = (group.observe(model, &group.clean, sites, &[])?, corrupted(streams)?);
                let corrupted = Some(base.logits.shallow_clone());
                Ok(Ready { base, donors: donor.kept, changes, clean: donor.logits, corrupted })
            }
            // The runs go on from the clean one, which has no noise.
            Deed::PatchNoising => {
                let (base, donor) = (group.observe(model, &group.clean, streams, &[])?, corrupted(sites)?);
                let (clean, corrupted) = (base.logits.shallow_clone(), Some(donor.logits));
                Ok(Ready { base, donors: donor.kept, changes: Vec::new(), clean, corrupted })
            }
            Deed::Ablate(_) => {
                let base = group.observe(model, &group.clean, streams, &[])?;
                let clean = base.logits.shallow_clone();
                let donors = ablated.iter().map(|(&site, donor)| (site, donor.shallow_clone())).collect();
                Ok(Ready { base, donors, changes: Vec::new(), clean, corrupted: None })
            }
        }
    }

    fn baselines(&self, batch: &Batch, ready: &Ready, all: &mut Baselines) -> Result<()> {
        let group = &batch.group;
        let values = |logits: &Tensor| group.values(self.sweep.metric, logits, Some(&ready.clean));
        let clean = values(&ready.clean)?;
        let corrupted = ready.corrupted.as_ref().map(values).transpose()?;
        if batch.sample == 0 {
            for place in 0..group.cases.len() {
                for (answers, logits) in all.answers.iter_mut().zip([Some(&ready.clean), ready.corrupted.as_ref()]) {
                    answers.extend(logits.map(|logits| group.best(place, logits)).transpose()?.unwrap_or_default());
                }
            }
        }
        for place in 0..group.cases.len() {
            let unit = self.unit(batch, place);
            all.clean[unit] = clean[place].f_double_value(&[])? as f32;
            if let Some(corrupted) = &corrupted {
                all.corrupted[unit] = corrupted[place].f_double_value(&[])? as f32;
            }
        }
        Ok(())
    }

    /// Makes the runs of some cells in one pass.
    fn pass(&self, batch: &Batch, ready: &Ready, chunk: &[usize], partial: &mut Partial) -> Result<()> {
        let _no_gradients = tch::no_grad_guard();
        let (model, group) = (&self.sweep.model, &batch.group);
        let cells: Vec<Variant> = chunk.iter().map(|&cell| self.cells[cell].clone()).collect();
        let start = start(&ready.base, &cells[0])?;
        // The runs go on from the base, whose tokens they have.
        let tokens = match (self.sweep.deed, &self.sweep.noise) {
            (Deed::Patch, None) => group.corrupted()?,
            _ => &group.clean,
        };
        let texts = |site| group.texts(site);
        let mut variants = Variants { variants: &cells, donors: &ready.donors, texts: &texts, changes: &ready.changes };
        let logits = model.network().forward_from(tokens, start.as_ref(), group.wanted(), &mut variants)?;
        let logits = logits.ok_or_else(|| no_head(model))?;
        let values = group.values(self.sweep.metric, &logits, Some(&ready.clean))?;
        for (place, values) in values.iter().enumerate() {
            let unit = self.unit(batch, place);
            for (&cell, value) in chunk.iter().zip(numbers(values)?) {
                let there = self.reaches(&self.cells[cell], &batch.group, place);
                // In the results this stands for a cell that a pair does not have, and no mean would count it.
                if there && value.is_nan() {
                    let number = group.cases[place].0;
                    return Err(Error::Experiment(format!(
                        "the {} of pair {number} is not a number in a changed run; the change is too large for the model's \
                         number type, or the model itself gives none",
                        self.sweep.metric
                    )));
                }
                partial.put(cell, unit, if there { value as f32 } else { f32::NAN });
            }
            let pair = group.cases[place].0;
            if batch.sample == 0 && pair < partial.answered.pairs {
                for (&cell, best) in chunk.iter().zip(group.best(place, &logits)?) {
                    if self.reaches(&self.cells[cell], &batch.group, place) {
                        partial.answered.put(cell, pair, &best);
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a text has the position that a cell changes, and its layers the head and the neuron.
    fn reaches(&self, cell: &Variant, group: &Group, text: usize) -> bool {
        let tokens = &group.clean;
        cell.places.iter().all(|place| {
            let position = place.position.is_none_or(|position| position < group.texts(place.site)[text].len());
            position && place.is_within(&self.sweep.model.site_shape(place.site, tokens))
        })
    }

    fn effects(&self, partial: &Partial, baselines: &Baselines) -> Result<Effects> {
        let (pairs, samples) = (self.sweep.pairs.len(), self.samples());
        let mean = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>() / samples as f64;
        let over_samples =
            |values: &[f32]| values.chunks(samples).map(|draws| mean(draws) as f32).collect::<Vec<f32>>();
        // Cells by units, to pairs by cells.
        let by_cell: Vec<Vec<f32>> = partial.values.chunks(self.units()).map(over_samples).collect();
        let values = (0..pairs).flat_map(|pair| by_cell.iter().map(move |cell| cell[pair])).collect();
        let shape: Vec<usize> = std::iter::once(pairs).chain(self.axes.iter().map(|axis| axis.labels.len())).collect();
        let (kind, corrupted) = match self.sweep.deed {
            Deed::Patch => (EffectKind::Patched, over_samples(&baselines.corrupted)),
            Deed::PatchNoising => (EffectKind::Noised, over_samples(&baselines.corrupted)),
            Deed::Ablate(_) => (EffectKind::Ablated, Vec::new()),
        };
        Ok(Effects {
            name: self.sweep.name(),
            model: self.sweep.model.name().to_owned(),
            kind,
            metric: self.sweep.metric,
            axes: self.axes.clone(),
            values: Array::new(&shape, values)?,
            clean: over_samples(&baselines.clean),
            corrupted,
            pairs: self.sweep.pairs.shown(),
            answers: partial.answered.told(&self.sweep.model, &baselines.answers[0], &baselines.answers[1]),
        })
    }
}

/// Where the runs of a cell begin; none for those that begin with the tokens.
fn start(base: &Observed, cell: &Variant) -> Result<Option<Start>> {
    let layer = cell.first_layer();
    if layer == 0 && cell.part() == Part::Encoder {
        return Ok(None);
    }
    let (part, site) = match cell.part() {
        Part::Encoder => (Part::Encoder, Site::EncoderResidPre(layer)),
        _ => (Part::Main, Site::ResidPre(layer)),
    };
    let memory = base.kept.get(&Site::EncoderFinalNorm).map(Tensor::shallow_clone);
    if layer == 0 && memory.is_none() {
        return Ok(None);
    }
    let stream = base.kept.get(&site).ok_or_else(|| Error::site(site, "was not kept"))?.shallow_clone();
    Ok(Some(Start { part, layer, stream, memory }))
}
