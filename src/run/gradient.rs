//! Gradients of a number with respect to sites: one backward pass for all of them.

use std::collections::BTreeMap;

use tch::Tensor;

use super::{Change, Keep};
use crate::site::Watcher;
use crate::{Error, Result, Site};

/// Keeps what was asked for where gradients can reach it.
///
/// The weights ask for none; a site whose tensor depends on nothing that does (the embeddings) becomes the beginning.
pub(crate) struct Differentiable<'a> {
    pub keep: &'a Keep,
    pub changes: &'a [Change],
    pub kept: BTreeMap<Site, Tensor>,
}

impl Watcher for Differentiable<'_> {
    fn wants(&self, site: Site) -> bool {
        self.keep.includes(site) || self.changes(site)
    }

    /// A head's output counts as changed, so that the run goes on through it.
    fn changes(&self, site: Site) -> bool {
        let kept_outputs = matches!(site.plain(), Site::HeadOutput(_)) && self.keep.includes(site);
        kept_outputs || self.changes.iter().any(|change| change.site() == site)
    }

    fn at(&mut self, site: Site, tensor: Tensor) -> Result<Tensor> {
        let mut tensor = tensor;
        for change in self.changes.iter().filter(|change| change.site() == site) {
            tensor = change.apply(&tensor, 0)?;
        }
        if !tensor.requires_grad() {
            tensor = tensor.f_set_requires_grad(true)?;
        }
        if self.keep.includes(site) {
            self.kept.insert(site, tensor.shallow_clone());
        }
        Ok(tensor)
    }
}

/// The gradients of a number with respect to what was kept; zeros where it does not depend on a site.
pub(crate) fn gradients(number: &Tensor, kept: &BTreeMap<Site, Tensor>) -> Result<BTreeMap<Site, Tensor>> {
    if number.numel() != 1 {
        let shape = number.size();
        return Err(Error::Input(format!(
            "gradients are of one number, not of a tensor of shape {shape:?}; sum it up"
        )));
    }
    if !number.requires_grad() {
        return Err(Error::Input(
            "the number does not depend on the run, so it has no gradients; make it of the logits given".to_owned(),
        ));
    }
    let sites: Vec<&Tensor> = kept.values().collect();
    let found = Tensor::f_run_backward(&[number], &sites, false, false)?;
    let whole = |(gradient, (site, tensor)): (Tensor, (&Site, &Tensor))| -> Result<(Site, Tensor)> {
        let gradient = if gradient.defined() { gradient } else { tensor.f_zeros_like()? };
        Ok((*site, gradient.f_detach()?))
    };
    found.into_iter().zip(kept).map(whole).collect()
}
