//! What to keep of a run, and what that takes.

use std::collections::BTreeSet;
use std::fmt;

use crate::{Error, Result, Site};

/// What to keep of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Keep {
    /// Every site but [`Site::HeadOutput`], which takes H times the memory and can be computed from
    /// [`Site::HeadMix`] afterwards.
    #[default]
    Usual,
    /// These sites.
    Sites(BTreeSet<Site>),
}

impl Keep {
    pub(crate) fn includes(&self, site: Site) -> bool {
        match self {
            Keep::Usual => !matches!(site.plain(), Site::HeadOutput(_)),
            Keep::Sites(sites) => sites.contains(&site),
        }
    }
}

/// What a run would take, in bytes: what it keeps, site by site, and what passes by at once.
///
/// Shows itself as a table of kinds of sites, largest first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Estimate {
    /// Every site that would be kept and its bytes, in the order of the computation.
    pub sites: Vec<(Site, u64)>,
    /// The most bytes that are needed for a moment beside that: attention computes heads x T x T numbers, several times.
    pub passing: u64,
}

impl Estimate {
    /// Refuses a run that would take more than `limit` megabytes.
    pub(super) fn check(&self, limit: u64) -> Result<()> {
        let (kept, all) = (self.bytes(), self.bytes().saturating_add(self.passing));
        if all <= limit.saturating_mul(1_000_000) {
            return Ok(());
        }
        let largest: Vec<String> = self
            .by_kind()
            .into_iter()
            .take(3)
            .map(|(kind, bytes)| format!("{kind} ({} MB)", bytes / 1_000_000))
            .collect();
        let keep = match largest.is_empty() {
            true => String::new(),
            false => format!("keep fewer sites with keep(..) (the largest are {}), ", largest.join(", ")),
        };
        Err(Error::Memory {
            needed: all.div_ceil(1_000_000),
            limit,
            way_out: format!(
                "{} MB are kept, and {} MB pass by in attention and MLP; {keep}shorten the prompt, or raise the limit with \
                 memory_limit_mb(..) (--memory-limit)",
                kept.div_ceil(1_000_000),
                self.passing.div_ceil(1_000_000)
            ),
        })
    }

    /// All sites together.
    pub fn bytes(&self) -> u64 {
        self.sites.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Kinds of sites (the name without its layer) and their bytes over all layers, largest first.
    pub fn by_kind(&self) -> Vec<(String, u64)> {
        let mut kinds: Vec<(String, u64)> = Vec::new();
        for (site, bytes) in &self.sites {
            let name = site.to_string();
            let kind = match site.layer() {
                Some(layer) => name.replacen(&format!("blocks.{layer}."), "blocks.*.", 1),
                None => name,
            };
            match kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, sum)) => *sum += bytes,
                None => kinds.push((kind, *bytes)),
            }
        }
        kinds.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        kinds
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>12.3} MB are kept, and up to {:.3} MB pass by",
            self.bytes() as f64 / 1e6,
            self.passing as f64 / 1e6
        )?;
        for (kind, bytes) in self.by_kind() {
            writeln!(f, "{:>12.3} MB  {kind}", bytes as f64 / 1e6)?;
        }
        Ok(())
    }
}
