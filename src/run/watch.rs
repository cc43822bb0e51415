//! A run before it starts: what to keep, what to change, how much memory it may take.

use std::collections::{BTreeMap, BTreeSet};

use tch::{Kind, Tensor};

use super::gradient::{self, Differentiable};
use super::recorder::Recorder;
use super::trace::Record;
use super::{Change, Estimate, Keep, Trace};
use crate::model::{Input, Model, Start, Tokens, Wanted};
use crate::site::{Part, Unwatched};
use crate::{Error, Result, Site, interrupt};

/// A run in preparation; [`run`](Watch::run) starts it. Made by [`Model::watch`].
#[must_use = "nothing runs before run()"]
#[derive(Debug, Clone)]
pub struct Watch {
    pub(super) model: Model,
    input: Input,
    pub(super) keep: Keep,
    pub(super) changes: Vec<Change>,
    pub(super) memory_limit_mb: u64,
    /// The layer that the run begins with, and the run whose stream it goes on from.
    start: Option<(usize, Trace)>,
}

impl Watch {
    pub(crate) fn new(model: Model, input: Input) -> Watch {
        let memory_limit_mb = model.memory_limit_mb();
        Watch { model, input, keep: Keep::default(), changes: Vec::new(), memory_limit_mb, start: None }
    }

    /// Keeps these sites only. Without it a run keeps every site but [`Site::HeadOutput`].
    pub fn keep(mut self, sites: impl IntoIterator<Item = Site>) -> Watch {
        let mut all = match self.keep {
            Keep::Sites(sites) => sites,
            Keep::Usual => BTreeSet::new(),
        };
        all.extend(sites);
        self.keep = Keep::Sites(all);
        self
    }

    /// Makes a change while the model runs; several changes are made in the order given.
    pub fn change(mut self, change: impl Into<Change>) -> Watch {
        self.changes.push(change.into());
        self
    }

    /// Megabytes (10^6 bytes) that the run may take: what it keeps, and what passes by at once. The model's
    /// ([`ModelOptions::memory_limit_mb`](crate::model::ModelOptions::memory_limit_mb)) by default.
    pub fn memory_limit_mb(mut self, megabytes: u64) -> Watch {
        self.memory_limit_mb = megabytes;
        self
    }

    /// Begins at `layer` with the stream that another run of the same input had there ([`Site::ResidPre`], kept; of an
    /// encoder-decoder also [`Site::EncoderFinalNorm`]), in place of computing the layers before once more.
    ///
    /// What is kept of such a run begins at that layer as well.
    pub fn start_at(mut self, layer: usize, of: &Trace) -> Watch {
        self.start = Some((layer, of.clone()));
        self
    }

    /// What the run would take, without running.
    ///
    /// # Errors
    /// When the input cannot be read or a site does not exist in this model.
    pub fn estimate(&self) -> Result<Estimate> {
        self.estimate_for(&self.model.read_tokens(self.input.clone())?)
    }

    /// Runs the model.
    ///
    /// # Errors
    /// When the input, a site or a change does not fit the model, more memory would be taken than the limit allows, or
    /// numbers turn infinite or to none ([`Error::NotFinite`]).
    pub fn run(self) -> Result<Trace> {
        interrupt::during("running the model", || self.run_now())
    }

    /// Runs the model and computes the gradients of a number, made of the logits, with respect to every site that is
    /// kept, in one backward pass: [`Trace::gradient`] gives them. `number` takes the logits (T,V), or those of the last
    /// position (1,V) where [`Site::Logits`] is not kept, in float32, and gives a tensor of one number.
    ///
    /// The run holds all that the backward pass needs, about as much as keeping every site; the limit of memory counts
    /// it.
    ///
    /// ```no_run
    /// # fn main() -> flowlens::Result<()> {
    /// use flowlens::{Model, Site};
    /// let model = Model::load("smollm2-135m")?;
    /// let watch = model.watch("The capital of Japan is the city of").keep([Site::ResidPre(10)]);
    /// let trace = watch.gradients(|logits| Ok(logits.f_get(0)?.f_get(15604)?))?;
    /// println!("{:?}", trace.gradient(Site::ResidPre(10))?.shape());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As of [`run`](Watch::run); when the model has no head, nothing is kept, or `number` is not one number made of the
    /// logits.
    pub fn gradients(self, number: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Trace> {
        interrupt::during("running the model with gradients", || self.gradients_now(&number))
    }

    fn run_now(self) -> Result<Trace> {
        let tokens = self.model.read_tokens(self.input.clone())?;
        self.run_tokens(tokens)
    }

    /// Runs an input that has been read.
    pub(super) fn run_tokens(&self, tokens: Tokens) -> Result<Trace> {
        self.check(&tokens, &self.estimate_for(&tokens)?)?;
        let start = self.start_for(&tokens)?;
        let _no_gradients = tch::no_grad_guard();
        let (network, wanted) = (self.model.network(), self.wanted());
        let mut kept = BTreeMap::new();
        let logits = match &self.keep {
            Keep::Sites(sites) if sites.is_empty() && self.changes.is_empty() => {
                network.forward_from(&tokens, start.as_ref(), wanted, &mut Unwatched)?
            }
            keep => {
                let changes = self.prepared()?;
                let mut recorder = Recorder { keep, changes: &changes, kept: BTreeMap::new(), first: 0 };
                let logits = network.forward_from(&tokens, start.as_ref(), wanted, &mut recorder)?;
                kept = recorder.kept;
                logits
            }
        };
        Ok(self.trace(Record { tokens, kept, logits, ..Record::default() }))
    }

    fn gradients_now(self, number: &dyn Fn(&Tensor) -> Result<Tensor>) -> Result<Trace> {
        if matches!(&self.keep, Keep::Sites(sites) if sites.is_empty()) {
            return Err(Error::Input(
                "no site is kept whose gradient could be given; name some with keep(..)".to_owned(),
            ));
        }
        self.model.head()?;
        let tokens = self.model.read_tokens(self.input.clone())?;
        // The backward pass needs about what a run passes by, and gives as much as is kept.
        let kept = self.estimate_for(&tokens)?;
        let all = Watch { keep: Keep::Usual, ..self.clone() }.estimate_for(&tokens)?;
        let sites = all.sites.into_iter().chain(kept.sites).collect();
        self.check(&tokens, &Estimate { sites, passing: kept.passing })?;
        let start = self.start_for(&tokens)?;
        let changes = self.prepared()?;
        let mut watcher = Differentiable { keep: &self.keep, changes: &changes, kept: BTreeMap::new() };
        let (network, wanted) = (self.model.network(), self.wanted());
        let logits = network.forward_from(&tokens, start.as_ref(), wanted, &mut watcher)?;
        let logits = logits.ok_or_else(|| Error::Input("the model has no head".to_owned()))?;
        let kept = watcher.kept;
        let gradients = gradient::gradients(&number(&logits.f_to_kind(Kind::Float)?)?, &kept)?;
        let detached = |(site, tensor): (Site, Tensor)| -> Result<(Site, Tensor)> { Ok((site, tensor.f_detach()?)) };
        let kept = kept.into_iter().map(detached).collect::<Result<_>>()?;
        let logits = Some(logits.f_detach()?);
        Ok(self.trace(Record { tokens, kept, gradients, logits, ..Record::default() }))
    }

    /// Checks everything that can be checked before a run that takes what `estimate` says.
    pub(super) fn check(&self, tokens: &Tokens, estimate: &Estimate) -> Result<()> {
        estimate.check(self.memory_limit_mb)?;
        for change in &self.changes {
            self.model.check_site(change.site())?;
            change.check(&self.model.site_shape(change.site(), tokens))?;
            if let Some((layer, _)) = self.start.as_ref().filter(|(layer, _)| !passed(change.site(), *layer)) {
                let problem = format!("comes before layer {layer}, where the run begins; begin earlier to change it");
                return Err(Error::site(change.site(), problem));
            }
        }
        Ok(())
    }

    /// The changes with their tensors where the model computes.
    pub(super) fn prepared(&self) -> Result<Vec<Change>> {
        let network = self.model.network();
        let (kind, device) = (network.dtype.torch(), network.device.torch());
        self.changes.iter().map(|change| change.prepared(kind, device)).collect()
    }

    pub(super) fn trace(&self, record: Record) -> Trace {
        let changes = self.changes.iter().map(|change| change.scope().clone()).collect();
        Trace::new(self.model.clone(), Record { changes, ..record })
    }

    /// Where the run begins, if not with the tokens.
    fn start_for(&self, tokens: &Tokens) -> Result<Option<Start>> {
        let Some((layer, trace)) = &self.start else { return Ok(None) };
        let site = Site::ResidPre(*layer);
        self.model.check_site(site)?;
        let same = |a: &Tokens, b: &Tokens| {
            (&a.ids, &a.attention_mask, &a.token_type_ids) == (&b.ids, &b.attention_mask, &b.token_type_ids)
        };
        let sources = match (&tokens.source, &trace.tokens().source) {
            (Some(own), Some(other)) => same(own, other),
            (own, other) => own.is_none() == other.is_none(),
        };
        if !same(tokens, trace.tokens()) || !sources || self.model.path() != trace.model().path() {
            return Err(Error::Input(format!(
                "start_at({layer}, ..) was given the run of another input or model; run this input with \
                 keep([{site:?}]) and go on from that"
            )));
        }
        let memory = match tokens.source {
            Some(_) => Some(trace.tensor(Site::EncoderFinalNorm)?),
            None => None,
        };
        Ok(Some(Start { part: Part::Main, layer: *layer, stream: trace.tensor(site)?, memory }))
    }

    /// The positions whose logits are computed: all where they are kept or changed, and where each position predicts
    /// itself; else the last one.
    pub(super) fn wanted(&self) -> Wanted<'static> {
        let changed = self.changes.iter().any(|change| change.site() == Site::Logits);
        let all = changed || self.keep.includes(Site::Logits) || self.model.architecture().reads_both_ways();
        if all { Wanted::All } else { Wanted::Last }
    }

    pub(super) fn estimate_for(&self, tokens: &Tokens) -> Result<Estimate> {
        if let Keep::Sites(sites) = &self.keep {
            sites.iter().try_for_each(|&site| self.model.check_site(site))?;
        }
        let size = self.model.dtype().bytes() as u64;
        let bytes = |site| self.model.site_shape(site, tokens).iter().map(|&n| n as u64).product::<u64>() * size;
        // Logits of all positions stay in the trace whoever asked for them.
        let stays = |site: Site| self.keep.includes(site) || (site == Site::Logits && self.wanted() == Wanted::All);
        let begins = self.start.as_ref().map(|(layer, _)| *layer);
        let comes = |site: Site| begins.is_none_or(|layer| passed(site, layer));
        let kept = self.model.sites().into_iter().filter(|&site| stays(site) && comes(site));
        let passing = self.model.passing_bytes(tokens, tokens.len());
        Ok(Estimate { sites: kept.map(|site| (site, bytes(site))).collect(), passing })
    }
}

/// Whether a run that begins at a layer of the main stack comes by a site.
fn passed(site: Site, from: usize) -> bool {
    match site.layer() {
        Some(layer) => site.part() != Part::Encoder && layer >= from,
        None => matches!(site, Site::FinalNorm | Site::Logits),
    }
}
