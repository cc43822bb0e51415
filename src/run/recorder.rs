//! The watcher of a run: keeps and changes.

use std::collections::BTreeMap;

use tch::Tensor;

use super::{Change, Keep};
use crate::site::{Part, Watcher};
use crate::{Result, Site};

/// Keeps what was asked for, after changing what was asked for.
pub(crate) struct Recorder<'a> {
    pub keep: &'a Keep,
    pub changes: &'a [Change],
    pub kept: BTreeMap<Site, Tensor>,
    /// The position that the first rows of the main stack's tensors belong to.
    pub first: usize,
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
            tensor = change.apply(&tensor, if grows(site) { self.first } else { 0 })?;
        }
        if self.keep.includes(site) {
            self.kept.insert(site, tensor.shallow_clone());
        }
        Ok(tensor)
    }
}

/// Whether the rows of a site are positions of the main stack, not of an encoder.
pub(crate) fn grows(site: Site) -> bool {
    match site.part() {
        Part::Main => true,
        Part::Encoder => false,
        Part::Cross => !matches!(site.plain(), Site::Key(_) | Site::Value(_) | Site::RotatedKey(_)),
    }
}
