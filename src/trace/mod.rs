//! A watched run: the sites, what to keep of them, what to change.

mod change;
mod keep;
mod save;
mod site;
mod transformers;
mod watch;
mod watcher;

use std::collections::BTreeMap;
use std::fmt;

use tch::{Kind, Tensor};

pub use change::Change;
pub use keep::Estimate;
pub use site::Site;
pub use watch::Watch;

pub(crate) use keep::Keep;
pub(crate) use watcher::{Unwatched, Watcher};

use crate::model::{Model, Tokens};
use crate::{Array, Error, Result};

/// A run that was watched: its tokens, what the model said next, and what was kept on the way.
///
/// Shows itself as the prompt's tokens and the best next tokens.
pub struct Trace {
    model: Model,
    tokens: Tokens,
    kept: BTreeMap<Site, Tensor>,
    /// Logits (T,V) when kept, else those of the last position (1,V).
    logits: Tensor,
}

/// A token that may come next.
#[derive(Debug, Clone, PartialEq)]
pub struct NextToken {
    /// Token id.
    pub id: u32,
    /// The token as text; empty when the checkpoint has no tokenizer.
    pub token: String,
    /// Logit.
    pub logit: f32,
    /// Probability.
    pub prob: f32,
}

impl Trace {
    pub(crate) fn new(model: Model, tokens: Tokens, kept: BTreeMap<Site, Tensor>, logits: Tensor) -> Trace {
        Trace { model, tokens, kept, logits }
    }

    /// The model that ran.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The prompt as it was given; `None` when it was given as ids.
    pub fn prompt(&self) -> Option<&str> {
        self.tokens.text.as_deref()
    }

    /// Token ids, one for each position.
    pub fn ids(&self) -> Vec<u32> {
        self.tokens.ids.iter().map(|&id| id as u32).collect()
    }

    /// Each position's token as text, blanks included.
    pub fn pieces(&self) -> Vec<String> {
        self.ids().into_iter().map(|id| self.model.piece(id)).collect()
    }

    /// Number of positions.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Never true: a run has at least one token.
    pub fn is_empty(&self) -> bool {
        self.tokens.len() == 0
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The sites that were kept, in the order of the computation.
    pub fn sites(&self) -> Vec<Site> {
        self.model.sites().into_iter().filter(|site| self.kept.contains_key(site)).collect()
    }

    /// The numbers of a site, float32, on the CPU. [`Site::HeadOutput`] is computed here when only
    /// [`Site::HeadMix`] was kept.
    ///
    /// # Errors
    /// When the model has no such site or the run did not keep it.
    pub fn get(&self, site: Site) -> Result<Array> {
        Array::from_tensor(&self.tensor(site)?)
    }

    /// The tensor of a site, in the type and on the device of the run.
    pub(crate) fn tensor(&self, site: Site) -> Result<Tensor> {
        if let Some(tensor) = self.kept.get(&site) {
            return Ok(tensor.shallow_clone());
        }
        self.model.check_site(site)?;
        if let Site::HeadOutput(layer) = site
            && let Some(mix) = self.kept.get(&Site::HeadMix(layer))
        {
            return self.model.stack().blocks[layer].attention.head_outputs(mix);
        }
        Err(Error::site(site, "was not kept in this run; add it to keep(..), or watch everything with run(..)"))
    }

    /// The `count` best next tokens after the last position, best first.
    pub fn next_tokens(&self, count: usize) -> Result<Vec<NextToken>> {
        let logits = self.last_logits()?;
        let probs = logits.f_softmax(-1, Kind::Float)?;
        let count = count.min(logits.size()[0] as usize);
        let (best, ids) = logits.f_topk(count as i64, 0, true, true)?;
        let probs = Array::from_tensor(&probs.f_index_select(0, &ids)?)?;
        let best = Array::from_tensor(&best)?;
        let ids: Vec<i64> = Vec::try_from(ids.f_to_device(tch::Device::Cpu)?)?;
        Ok(ids
            .into_iter()
            .zip(best.data().iter().zip(probs.data()))
            .map(|(id, (&logit, &prob))| NextToken { id: id as u32, token: self.model.piece(id as u32), logit, prob })
            .collect())
    }

    /// Float32 logits (V) after the last position.
    pub(crate) fn last_logits(&self) -> Result<Tensor> {
        let last = self.logits.size()[0] - 1;
        Ok(self.logits.f_select(0, last)?.f_to_kind(Kind::Float)?)
    }

    /// Bytes that the kept tensors take.
    pub fn bytes(&self) -> u64 {
        self.kept.values().map(|tensor| tensor.numel() as u64 * tensor.kind().elt_size_in_bytes() as u64).sum()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| crate::text::visible(text);
        let pieces: Vec<String> = self.pieces().iter().map(|piece| shown(piece)).collect();
        writeln!(f, "{} tokens: {}", self.len(), pieces.join(" | "))?;
        if let Ok(next) = self.next_tokens(5) {
            let next: Vec<String> =
                next.iter().map(|token| format!("{} {:.1} %", shown(&token.token), 100.0 * token.prob)).collect();
            writeln!(f, "next: {}", next.join(", "))?;
        }
        write!(f, "kept: {} sites, {:.1} MB", self.kept.len(), self.bytes() as f64 / 1e6)
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
