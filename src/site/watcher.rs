//! One mechanism for keeping and changing: the stack hands every tensor to a watcher.

use tch::Tensor;

use super::Site;
use crate::Result;

/// Stands at every site of a run.
pub(crate) trait Watcher {
    /// Whether a site that costs extra should be computed for this watcher.
    fn wants(&self, site: Site) -> bool;

    /// Whether the watcher may give back another tensor at this site.
    fn changes(&self, site: Site) -> bool;

    /// Sees the tensor of a site and returns the one that the run continues with.
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
