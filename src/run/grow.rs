//! A text that grows: each run computes only what is new, where the model and what is asked for allow it.

use std::collections::BTreeMap;

use tch::Tensor;

use super::recorder::{Recorder, grows};
use super::trace::Record;
use super::{Change, Estimate, Keep, Trace, Watch};
use crate::model::{Cache, Tokens, Wanted};
use crate::site::Unwatched;
use crate::{Result, Site};

/// The runs of a text that grows. Each leaves the trace that a run of the whole text leaves.
pub(super) struct Growing {
    watch: Watch,
    /// As the watch has them, where the model computes.
    changes: Vec<Change>,
    cache: Cache,
    /// The run before.
    last: Option<Trace>,
}

impl Growing {
    /// `watch` says what is kept and changed.
    pub(super) fn new(watch: Watch) -> Result<Growing> {
        let network = watch.model.network();
        let changes = watch.prepared()?;
        let cache = Cache::new(network.main.layers());
        Ok(Growing { watch, changes, cache, last: None })
    }

    /// Runs the text, which is that of the run before and more.
    pub(super) fn run(&mut self, tokens: Tokens) -> Result<Trace> {
        if !self.can_be_cached(&tokens) {
            return self.watch.run_tokens(tokens);
        }
        let cache = &mut self.cache;
        let new = tokens.len().saturating_sub(cache.len());
        let passing = self.watch.model.passing_bytes(&tokens, new);
        self.watch.check(&tokens, &Estimate { passing, ..self.watch.estimate_for(&tokens)? })?;
        let _no_gradients = tch::no_grad_guard();
        let network = self.watch.model.network();
        if !network.main.turns_alike(cache.len(), tokens.len()) {
            cache.rewind();
        }
        let (first, wanted) = (cache.len(), self.watch.wanted());
        if matches!(&self.watch.keep, Keep::Sites(sites) if sites.is_empty()) && self.changes.is_empty() {
            let logits = network.step(&tokens, cache, wanted, &mut Unwatched)?;
            return Ok(self.watch.trace(Record { tokens, logits, ..Record::default() }));
        }
        let (keep, changes) = (&self.watch.keep, &self.changes[..]);
        let mut recorder = Recorder { keep, changes, kept: BTreeMap::new(), first };
        let mut logits = network.step(&tokens, cache, wanted, &mut recorder)?;
        let mut kept = recorder.kept;
        if let Some(last) = &self.last {
            for (&site, before) in last.kept() {
                let tensor = match kept.remove(&site) {
                    Some(new) => joined(site, before, &new, first)?,
                    // Seen once.
                    None => before.shallow_clone(),
                };
                kept.insert(site, tensor);
            }
            // Those of the last position alone are nobody's but the run's.
            if let (Some(new), Some(before), true) = (&logits, last.logits(), wanted == Wanted::All) {
                logits = Some(joined(Site::Logits, before, new, first)?);
            }
        }
        let trace = self.watch.trace(Record { tokens, kept, logits, ..Record::default() });
        self.last = Some(trace.clone());
        Ok(trace)
    }

    /// Whether model, changes and what is kept allow to run new positions only.
    fn can_be_cached(&self, tokens: &Tokens) -> bool {
        self.watch.model.stack().can_be_cached()
            && self.watch.changes.iter().all(Change::can_be_cached)
            && can_be_joined(&self.watch, tokens)
    }
}

/// Whether what a run keeps is what the run before has kept and some rows more. Not so where later keys leave numbers in
/// the rows of earlier queries: in scores, which are kept without the mask, and everywhere in the rows of padding, which
/// see nothing and so everything alike.
fn can_be_joined(watch: &Watch, tokens: &Tokens) -> bool {
    let Keep::Sites(sites) = &watch.keep else { return false };
    let open = |site: &Site| matches!(site, Site::Scores(_) | Site::PositionBias(_));
    let only_the_last = sites.is_empty() && watch.wanted() == Wanted::Last;
    only_the_last || !sites.iter().any(open) && !(0..tokens.len()).any(|position| tokens.is_padding(position))
}

/// A site of the whole text: the rows that the run before had up to `first`, and the `new` ones. Earlier queries do not
/// see later keys.
fn joined(site: Site, before: &Tensor, new: &Tensor, first: usize) -> Result<Tensor> {
    if !grows(site) {
        return Ok(new.shallow_clone());
    }
    let before = before.f_narrow(-2, 0, first as i64)?;
    let before = match site {
        Site::Pattern(_) => {
            let keys = |tensor: &Tensor| tensor.size()[tensor.dim() - 1];
            before.f_constant_pad_nd([0, keys(new) - keys(&before)])?
        }
        _ => before,
    };
    Ok(Tensor::f_cat(&[&before, new], -2)?)
}

#[cfg(test)]
mod tests;
