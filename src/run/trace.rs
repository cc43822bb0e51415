//! What a run left behind.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tch::{Kind, Tensor};

use super::Scope;
use crate::model::{Model, Tokens};
use crate::site::finite;
use crate::{Array, Error, Result, Site};

/// A run that was watched: its tokens, what the model said next, what was kept on the way, and what was changed.
///
/// Cheap to clone: clones share the tensors. Shows itself as the prompt's tokens and the best next tokens.
#[derive(Clone)]
pub struct Trace {
    model: Model,
    record: Arc<Record>,
}

/// What a run left behind.
#[derive(Default)]
pub(super) struct Record {
    pub tokens: Tokens,
    pub kept: BTreeMap<Site, Tensor>,
    /// Gradients of a number with respect to what was kept; empty where none were asked for.
    pub gradients: BTreeMap<Site, Tensor>,
    /// Logits (T,V) when kept or when any position may be asked for, else those of the last position (1,V); none
    /// where the model has no head.
    pub logits: Option<Tensor>,
    /// What was changed by hand, in the order of the changes.
    pub changes: Vec<Scope>,
}

// SAFETY: libtorch tensors may be read from several threads at once; the record of a run is never written to.
unsafe impl Sync for Record {}

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

/// Why nothing is made of a run that was allowed to go on.
const NOTHING_TO_RANK: &str = "nothing is ranked or drawn from those; trace.get(..) gives them as they are";

impl Trace {
    pub(super) fn new(model: Model, record: Record) -> Trace {
        Trace { model, record: Arc::new(record) }
    }

    /// The model that ran.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The prompt as it was given; `None` when it was given as ids.
    pub fn prompt(&self) -> Option<&str> {
        self.record.tokens.text.as_deref()
    }

    /// Token ids, one for each position; the decoder's in an encoder-decoder.
    pub fn ids(&self) -> Vec<u32> {
        self.record.tokens.ids.iter().map(|&id| id as u32).collect()
    }

    /// Each position's token as text, blanks included.
    pub fn pieces(&self) -> Vec<String> {
        self.ids().into_iter().map(|id| self.model.piece(id)).collect()
    }

    /// Token ids that the encoder of an encoder-decoder read; empty elsewhere.
    pub fn encoder_ids(&self) -> Vec<u32> {
        self.record.tokens.source.iter().flat_map(|source| source.ids.iter().map(|&id| id as u32)).collect()
    }

    /// Each token of [`encoder_ids`](Trace::encoder_ids) as text, blanks included.
    pub fn encoder_pieces(&self) -> Vec<String> {
        self.encoder_ids().into_iter().map(|id| self.model.piece(id)).collect()
    }

    /// The position at which the second text of a pair begins; `None` where there is no pair.
    pub fn second_text(&self) -> Option<usize> {
        self.record.tokens.second
    }

    /// Number of positions.
    pub fn len(&self) -> usize {
        self.record.tokens.len()
    }

    /// Never true: a run has at least one token.
    pub fn is_empty(&self) -> bool {
        self.record.tokens.len() == 0
    }

    /// Logits (T,V), or those of the last position (1,V).
    pub(super) fn logits(&self) -> Option<&Tensor> {
        self.record.logits.as_ref()
    }

    pub(super) fn kept(&self) -> &BTreeMap<Site, Tensor> {
        &self.record.kept
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.record.tokens
    }

    /// What was changed by hand in this run, in the order of the changes.
    pub fn changes(&self) -> &[Scope] {
        &self.record.changes
    }

    /// The sites that were kept, in the order of the computation.
    pub fn sites(&self) -> Vec<Site> {
        self.model.sites().into_iter().filter(|site| self.record.kept.contains_key(site)).collect()
    }

    /// The numbers of a site, float32, on the CPU. [`Site::HeadOutput`] is computed here when only
    /// [`Site::HeadMix`] was kept.
    ///
    /// # Errors
    /// When the model has no such site or the run did not keep it.
    pub fn get(&self, site: Site) -> Result<Array> {
        Array::from_tensor(&self.as_it_is(site)?)
    }

    /// The gradient of the number given to [`Watch::gradients`](super::Watch::gradients) with respect to a site: its
    /// shape, float32, on the CPU.
    ///
    /// # Errors
    /// When the run computed no gradients, or did not keep the site.
    pub fn gradient(&self, site: Site) -> Result<Array> {
        if let Some(gradient) = self.record.gradients.get(&site) {
            return Array::from_tensor(gradient);
        }
        self.model.check_site(site)?;
        let problem = match self.record.gradients.is_empty() {
            true => "has no gradient, as the run computed none; run watch(..).keep(..).gradients(..)",
            false => "has no gradient, as it was not kept in this run; add it to keep(..)",
        };
        Err(Error::site(site, problem))
    }

    /// The tensor of a site for those who rank, draw and compute with it: they are given numbers only.
    pub(crate) fn tensor(&self, site: Site) -> Result<Tensor> {
        let tensor = self.as_it_is(site)?;
        if self.model.network().allows_non_finite {
            finite(site, &tensor, || NOTHING_TO_RANK.to_owned())?;
        }
        Ok(tensor)
    }

    /// Whether there is a tensor of this site.
    pub(crate) fn holds(&self, site: Site) -> bool {
        self.as_it_is(site).is_ok()
    }

    /// The [`tensor`](Trace::tensor) of a site, if the run kept one.
    pub(crate) fn tensor_if_kept(&self, site: Site) -> Result<Option<Tensor>> {
        match self.tensor(site) {
            Err(Error::Site { .. }) => Ok(None),
            tensor => tensor.map(Some),
        }
    }

    /// The tensor of a site, in the type and on the device of the run.
    fn as_it_is(&self, site: Site) -> Result<Tensor> {
        if let Some(tensor) = self.record.kept.get(&site) {
            return Ok(tensor.shallow_clone());
        }
        self.model.check_site(site)?;
        let mix = match site {
            Site::HeadOutput(layer) => Some(Site::HeadMix(layer)),
            Site::EncoderHeadOutput(layer) => Some(Site::EncoderHeadMix(layer)),
            Site::CrossHeadOutput(layer) => Some(Site::CrossHeadMix(layer)),
            _ => None,
        };
        if let (Some(mix), Some(attention)) =
            (mix.and_then(|mix| self.record.kept.get(&mix)), self.model.attention(site))
        {
            return attention.head_outputs(mix);
        }
        Err(Error::site(site, "was not kept in this run; add it to keep(..), or watch everything with run(..)"))
    }

    /// The `count` best next tokens after the last position, best first.
    ///
    /// # Errors
    /// When the model has no head, or reads both ways and so predicts no next token.
    pub fn next_tokens(&self, count: usize) -> Result<Vec<NextToken>> {
        if self.model.architecture().reads_both_ways() {
            let family = self.model.architecture().family;
            return Err(Error::Input(format!(
                "{family} reads both ways and predicts no next token; predictions(position, count) \
                 gives what it predicts at a position, e.g. at a masked one"
            )));
        }
        self.best(&self.last_logits()?, count)
    }

    /// The `count` best tokens at `position`, best first: of a model that reads both ways (BERT) for the position
    /// itself, of any other for the one after it. For the latter, the logits of all positions are there only if
    /// [`Site::Logits`] was kept.
    ///
    /// # Errors
    /// When there is no such position, its logits were not kept, or the model has no head.
    pub fn predictions(&self, position: usize, count: usize) -> Result<Vec<NextToken>> {
        let Some(logits) = &self.record.logits else { return Err(self.no_head()) };
        if position >= self.len() {
            return Err(Error::Input(format!(
                "there is no position {position}; the run has {}, counted from 0",
                self.len()
            )));
        }
        if logits.size()[0] != self.len() as i64 {
            return Err(Error::site(Site::Logits, "was not kept in this run; add it to keep(..)"));
        }
        self.best(&logits.f_get(position as i64)?.f_to_kind(Kind::Float)?, count)
    }

    fn best(&self, logits: &Tensor, count: usize) -> Result<Vec<NextToken>> {
        finite(Site::Logits, logits, || NOTHING_TO_RANK.to_owned())?;
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
        let Some(logits) = &self.record.logits else { return Err(self.no_head()) };
        let last = logits.f_select(0, logits.size()[0] - 1)?.f_to_kind(Kind::Float)?;
        if self.model.network().allows_non_finite {
            finite(Site::Logits, &last, || NOTHING_TO_RANK.to_owned())?;
        }
        Ok(last)
    }

    fn no_head(&self) -> Error {
        self.model.head().err().unwrap_or_else(|| Error::Input("the run has no logits".to_owned()))
    }

    /// Bytes that the kept tensors take.
    pub fn bytes(&self) -> u64 {
        self.record.kept.values().map(|tensor| tensor.numel() as u64 * tensor.kind().elt_size_in_bytes() as u64).sum()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| crate::text::visible(text);
        let line = |pieces: Vec<String>| pieces.iter().map(|piece| shown(piece)).collect::<Vec<_>>().join(" | ");
        if self.record.tokens.source.is_some() {
            writeln!(f, "{} source tokens: {}", self.encoder_ids().len(), line(self.encoder_pieces()))?;
        }
        writeln!(f, "{} tokens: {}", self.len(), line(self.pieces()))?;
        if let Ok(next) = self.next_tokens(5) {
            let next: Vec<String> =
                next.iter().map(|token| format!("{} {:.1} %", shown(&token.token), 100.0 * token.prob)).collect();
            writeln!(f, "next: {}", next.join(", "))?;
        }
        let (count, megabytes) = (self.record.kept.len(), self.bytes() as f64 / 1e6);
        write!(f, "kept: {count} {}, {megabytes:.1} MB", if count == 1 { "site" } else { "sites" })
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
