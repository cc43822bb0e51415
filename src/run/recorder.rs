//! The watcher of a run: keeps and changes.

use std::collections::BTreeMap;

use tch::Tensor;

use super::{Change, Keep};
use crate::site::Watcher;
use crate::{Result, Site};

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
