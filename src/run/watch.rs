//! A run before it starts: what to keep, what to change, how much memory it may take.

use std::collections::{BTreeMap, BTreeSet};

use super::recorder::Recorder;
use super::trace::Record;
use super::{Change, Estimate, Keep, Trace};
use crate::model::{Input, Model, Tokens, Wanted};
use crate::site::Unwatched;
use crate::{Error, Result, Site, interrupt};

/// Megabytes that a run may keep by default.
const MEMORY_LIMIT_MB: u64 = 4_000;

/// A run in preparation; [`run`](Watch::run) starts it. Made by [`Model::watch`].
#[must_use = "nothing runs before run()"]
#[derive(Debug, Clone)]
pub struct Watch {
    model: Model,
    input: Input,
    keep: Keep,
    changes: Vec<Change>,
    memory_limit_mb: u64,
}

impl Watch {
    pub(crate) fn new(model: Model, input: Input) -> Watch {
        Watch { model, input, keep: Keep::default(), changes: Vec::new(), memory_limit_mb: MEMORY_LIMIT_MB }
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
    pub fn change(mut self, change: Change) -> Watch {
        self.changes.push(change);
        self
    }

    /// Megabytes (10^6 bytes) that the run may keep; 4000 by default.
    pub fn memory_limit_mb(mut self, megabytes: u64) -> Watch {
        self.memory_limit_mb = megabytes;
        self
    }

    /// What the run would keep, without running.
    ///
    /// # Errors
    /// When the input cannot be read or a site does not exist in this model.
    pub fn estimate(&self) -> Result<Estimate> {
        self.estimate_for(&self.model.read_tokens(self.input.clone())?)
    }

    /// Runs the model.
    ///
    /// # Errors
    /// When the input, a site or a change does not fit the model, or more would be kept than the limit allows.
    pub fn run(self) -> Result<Trace> {
        interrupt::during("running the model", || self.run_now())
    }

    fn run_now(self) -> Result<Trace> {
        let tokens = self.model.read_tokens(self.input.clone())?;
        let estimate = self.estimate_for(&tokens)?;
        if estimate.bytes() > self.memory_limit_mb * 1_000_000 {
            return Err(too_much(&estimate, self.memory_limit_mb));
        }
        for change in &self.changes {
            self.model.check_site(change.site())?;
            change.check(&self.model.site_shape(change.site(), &tokens))?;
        }
        let _no_gradients = tch::no_grad_guard();
        let (network, wanted) = (self.model.network(), self.wanted());
        let mut kept = BTreeMap::new();
        let logits = match &self.keep {
            Keep::Sites(sites) if sites.is_empty() && self.changes.is_empty() => {
                network.forward(&tokens, wanted, &mut Unwatched)?
            }
            keep => {
                let (kind, device) = (network.dtype.torch(), network.device.torch());
                let changes: Vec<Change> =
                    self.changes.iter().map(|change| change.prepared(kind, device)).collect::<Result<_>>()?;
                let mut recorder = Recorder { keep, changes: &changes, kept: BTreeMap::new() };
                let logits = network.forward(&tokens, wanted, &mut recorder)?;
                kept = recorder.kept;
                logits
            }
        };
        let changes = self.changes.iter().map(|change| change.scope().clone()).collect();
        Ok(Trace::new(self.model, Record { tokens, kept, logits, changes }))
    }

    /// The positions whose logits are computed: all where they are kept or changed, and where each position predicts
    /// itself; else the last one.
    fn wanted(&self) -> Wanted {
        let changed = self.changes.iter().any(|change| change.site() == Site::Logits);
        let all = changed || self.keep.includes(Site::Logits) || self.model.architecture().reads_both_ways();
        if all { Wanted::All } else { Wanted::Last }
    }

    fn estimate_for(&self, tokens: &Tokens) -> Result<Estimate> {
        if let Keep::Sites(sites) = &self.keep {
            sites.iter().try_for_each(|&site| self.model.check_site(site))?;
        }
        let size = self.model.dtype().bytes() as u64;
        let bytes = |site| self.model.site_shape(site, tokens).iter().map(|&n| n as u64).product::<u64>() * size;
        // Logits of all positions stay in the trace whoever asked for them.
        let stays = |site: Site| self.keep.includes(site) || (site == Site::Logits && self.wanted() == Wanted::All);
        let kept = self.model.sites().into_iter().filter(|&site| stays(site));
        Ok(Estimate { sites: kept.map(|site| (site, bytes(site))).collect() })
    }
}

fn too_much(estimate: &Estimate, limit: u64) -> Error {
    let largest: Vec<String> = estimate
        .by_kind()
        .into_iter()
        .take(3)
        .map(|(kind, bytes)| format!("{kind} ({} MB)", bytes / 1_000_000))
        .collect();
    Error::Memory {
        needed: estimate.bytes().div_ceil(1_000_000),
        limit,
        way_out: format!(
            "keep fewer sites with keep(..) (the largest are {}), shorten the prompt, or raise memory_limit_mb(..)",
            largest.join(", ")
        ),
    }
}
