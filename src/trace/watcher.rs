//! One mechanism for keeping and changing: the stack hands every tensor to a watcher.

use std::collections::BTreeMap;

use tch::Tensor;

use super::{Change, Keep, Site};
use crate::Result;

/// Stands at every site of a run.
pub(crate) trait Watcher {
    /// Whether a site that costs extra should be computed for this watcher.
    fn wants(&self, site: Site) -> bool;

    /// Whether the watcher may give back another tensor at this site.
    fn changes(&self, site: Site) -> bool;

    /// Sees the tensor of a site and gives back the one that the run goes on with.
    fn at(&mut self, site: Site, tensor: Tensor) -> Result<Tensor>;
}

/// The watcher of a plain run: does nothing.
pub(crate) struct Unwatched;

impl Watcher for Unwatched {
    fn wants(&self, _: Site) -> bool {
        false
    }

    fn changes(&self, _: Site) -> bool {
        false
    }

    fn at(&mut self, _: Site, tensor: Tensor) -> Result<Tensor> {
        Ok(tensor)
    }
}

/// Gives the sites of a part their names in the whole model, so that the maths need not know where it runs.
pub(crate) struct Within<'a> {
    pub watcher: &'a mut dyn Watcher,
    /// [`Site::in_encoder`] or [`Site::in_cross`].
    pub name: fn(Site) -> Site,
}

impl Watcher for Within<'_> {
    fn wants(&self, site: Site) -> bool {
        self.watcher.wants((self.name)(site))
    }

    fn changes(&self, site: Site) -> bool {
        self.watcher.changes((self.name)(site))
    }

    fn at(&mut self, site: Site, tensor: Tensor) -> Result<Tensor> {
        self.watcher.at((self.name)(site), tensor)
    }
}

/// Keeps what was asked for, after changing what was asked for.
pub(crate) struct Recorder<'a> {
    pub keep: &'a Keep,
    pub changes: &'a [Change],
    pub kept: BTreeMap<Site, Tensor>,
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
            tensor = change.apply(&tensor)?;
        }
        if self.keep.includes(site) {
            self.kept.insert(site, tensor.shallow_clone());
        }
        Ok(tensor)
    }
}
