//! Path patching: what a head does to the answer through chosen heads, or through no other head at all.

use std::collections::{BTreeMap, BTreeSet};

use tch::Tensor;

use super::Metric;
use super::answers::Answered;
use super::effects::{Axis, EffectKind, Effects};
use super::group::{Group, Observed, ROWS, no_head, numbers, read};
use super::pairs::Pairs;
use super::variants::{Place, Variant, mask};
use crate::model::Start;
use crate::progress::Task;
use crate::site::{Part, Site, Watcher};
use crate::{Array, Error, Model, Result, interrupt};

/// Path patching in preparation (Wang and others, 2211.00593); [`run`](PathPatching::run) does it. Made by
/// [`Model::path_patching`].
///
/// Each head in turn is a sender: it gets what it wrote in the corrupted run, all other heads are held at what they wrote
/// in the clean one, and MLPs compute anew. What then reaches the receivers is put into the clean run.
#[must_use = "nothing runs before run()"]
#[derive(Debug, Clone)]
pub struct PathPatching {
    pairs: Pairs,
    metric: Metric,
    /// Sites and heads that receive; the last stream when empty.
    receivers: Vec<(Site, usize)>,
}

impl Model {
    /// Prepares path patching from every head to the last stream, or to receivers that are chosen.
    pub fn path_patching(&self, pairs: &Pairs) -> PathPatching {
        PathPatching { pairs: pairs.clone(), metric: Metric::default(), receivers: Vec::new() }
    }
}

impl PathPatching {
    /// Receives at the queries, keys or values of some heads, given as layer and head: `to(Site::Query, [(9, 6), (9, 9)])`;
    /// of keys and values a key head.
    pub fn to(mut self, site: fn(usize) -> Site, heads: impl IntoIterator<Item = (usize, usize)>) -> PathPatching {
        self.receivers.extend(heads.into_iter().map(|(layer, head)| (site(layer), head)));
        self
    }

    /// What is measured; [`Metric::LogitDiff`] unless set.
    pub fn metric(mut self, metric: Metric) -> PathPatching {
        self.metric = metric;
        self
    }

    /// Makes the runs: two for each sender, many in one pass.
    ///
    /// # Errors
    /// When the pairs or the metric do not fit, a receiver is not there, or somebody interrupts it.
    pub fn run(&self) -> Result<Effects> {
        interrupt::during("path patching", || self.run_now())
    }

    fn run_now(&self) -> Result<Effects> {
        let model = self.pairs.model();
        self.check()?;
        let _no_gradients = tch::no_grad_guard();
        let (layers, heads) = (model.layers(), model.architecture().main.blocks[0].attention.heads);
        // Heads behind the last receiver send nothing to it.
        let senders = self.receivers.iter().filter_map(|(site, _)| site.layer()).max().unwrap_or(layers);
        let mut values = vec![f32::NAN; self.pairs.len() * layers * heads];
        let (mut clean_metric, mut corrupted_metric) = (Vec::new(), Vec::new());
        let mut answered = Answered::new(layers * heads, self.pairs.len());
        let mut answers = [Vec::new(), Vec::new()];
        let groups = Group::all(self.pairs.cases(), self.metric);
        let task = Task::begin("path patching", groups.len() * senders * heads, "senders");
        for group in &groups {
            let (clean, corrupted) = self.both_runs(group, &task)?;
            let own = read(&group.values(self.metric, &clean.logits, Some(&clean.logits))?)?;
            corrupted_metric.extend(read(&group.values(self.metric, &corrupted.logits, Some(&clean.logits))?)?);
            for ((pair, _), own) in group.cases.iter().zip(&own) {
                values[pair * layers * heads..(pair + 1) * layers * heads].fill(*own);
            }
            clean_metric.extend(own);
            for place in 0..group.cases.len() {
                for (answers, logits) in answers.iter_mut().zip([&clean.logits, &corrupted.logits]) {
                    answers.extend(group.best(place, logits)?);
                }
            }
            let most = (ROWS / group.clean.len().max(1)).max(1);
            for layer in 0..senders {
                for first in (0..heads).step_by(most) {
                    let chunk: Vec<usize> = (first..heads.min(first + most)).collect();
                    let logits = task.step_of(self.pass(group, &clean, &corrupted, layer, &chunk))?;
                    let found = group.values(self.metric, &logits, Some(&clean.logits))?;
                    for (place, ((pair, _), found)) in group.cases.iter().zip(&found).enumerate() {
                        for (&head, value) in chunk.iter().zip(numbers(found)?) {
                            values[(pair * layers + layer) * heads + head] = value as f32;
                        }
                        let best = if *pair < answered.pairs { group.best(place, &logits)? } else { Vec::new() };
                        chunk
                            .iter()
                            .zip(&best)
                            .for_each(|(head, best)| answered.put(layer * heads + head, *pair, best));
                    }
                    chunk.iter().try_for_each(|_| task.advance())?;
                }
            }
        }
        task.finish();
        Ok(Effects {
            name: self.name(),
            model: model.name().to_owned(),
            kind: EffectKind::Noised,
            metric: self.metric,
            axes: vec![Axis::numbers("layer", layers), Axis::numbers("head", heads)],
            values: Array::new(&[self.pairs.len(), layers, heads], values)?,
            clean: clean_metric,
            corrupted: corrupted_metric,
            pairs: self.pairs.shown(),
            answers: answered.told(model, &answers[0], &answers[1]),
        })
    }

    fn check(&self) -> Result<()> {
        let model = self.pairs.model();
        self.metric.check(&self.pairs)?;
        self.pairs.both()?;
        for &(site, head) in &self.receivers {
            model.check_site(site)?;
            if !matches!(site, Site::Query(_) | Site::Key(_) | Site::Value(_)) {
                return Err(Error::site(site, "receives nothing; choose Site::Query, Site::Key or Site::Value"));
            }
            let heads = model.site_shape(site, &self.pairs.cases()[0].clean)[0] as usize;
            if head >= heads {
                let problem = format!("has {heads} heads (0 to {}); there is no head {head}", heads - 1);
                return Err(Error::site(site, problem));
            }
        }
        Ok(())
    }

    fn name(&self) -> String {
        match self.receivers.as_slice() {
            [] => "path.logits".to_owned(),
            [(site, head), rest @ ..] => {
                let more = if rest.is_empty() { String::new() } else { format!("_and_{}_more", rest.len()) };
                let layer = site.layer().unwrap_or_default();
                format!("path.{}.{layer}.{head}{more}", super::sweep::site_name(*site))
            }
        }
    }

    /// The clean run with everything that is held, and the corrupted one with what senders send.
    fn both_runs(&self, group: &Group, task: &Task) -> Result<(Observed, Observed)> {
        let model = self.pairs.model();
        let sites = model.sites();
        let mixes = || sites.iter().copied().filter(|site| is_mix(*site));
        let streams = (0..model.layers()).map(Site::ResidPre);
        let memory = group.clean.source.is_some().then_some(Site::EncoderFinalNorm);
        let held: BTreeSet<Site> = mixes().chain(streams).chain(memory).collect();
        let clean = task.step_of(group.observe(model, &group.clean, held, &[]))?;
        let sent = mixes().filter(|site| site.part() == Part::Main).collect();
        Ok((clean, task.step_of(group.observe(model, group.corrupted()?, sent, &[]))?))
    }

    /// The logits (B,R,V) with some heads of a layer as senders, one in each run.
    fn pass(
        &self,
        group: &Group,
        clean: &Observed,
        corrupted: &Observed,
        layer: usize,
        heads: &[usize],
    ) -> Result<Tensor> {
        let model = self.pairs.model();
        let place =
            |&head: &usize| Place { site: Site::HeadMix(layer), head: Some(head), position: None, neuron: None };
        let variants: Vec<Variant> = heads.iter().map(|head| Variant { places: vec![place(head)] }).collect();
        let mut sending = Sending {
            variants: &variants,
            layer,
            clean: &clean.kept,
            corrupted: &corrupted.kept,
            receivers: self.receivers.iter().map(|(site, _)| *site).collect(),
            received: BTreeMap::new(),
        };
        let run = |layer: usize, watcher: &mut dyn Watcher| -> Result<Tensor> {
            let site = Site::ResidPre(layer);
            let stream = clean.kept.get(&site).ok_or_else(|| Error::site(site, "was not kept"))?.shallow_clone();
            let memory = clean.kept.get(&Site::EncoderFinalNorm).map(Tensor::shallow_clone);
            let start = Start { part: Part::Main, layer, stream, memory };
            let logits = model.network().forward_from(&group.clean, Some(&start), group.wanted(), watcher)?;
            logits.ok_or_else(|| no_head(model))
        };
        let logits = run(layer, &mut sending)?;
        let Some(first) = self.receivers.iter().filter_map(|(site, _)| site.layer()).min() else { return Ok(logits) };
        let mut receiving = Receiving { receivers: &self.receivers, received: sending.received };
        run(first, &mut receiving)
    }
}

fn is_mix(site: Site) -> bool {
    matches!(site.plain(), Site::HeadMix(_)) && site.part() != Part::Encoder
}

/// The first run of each sender: its head is the corrupted run's, all others are the clean run's.
struct Sending<'a> {
    variants: &'a [Variant],
    layer: usize,
    clean: &'a BTreeMap<Site, Tensor>,
    corrupted: &'a BTreeMap<Site, Tensor>,
    receivers: BTreeSet<Site>,
    received: BTreeMap<Site, Tensor>,
}

impl Watcher for Sending<'_> {
    fn wants(&self, site: Site) -> bool {
        self.changes(site) || self.receivers.contains(&site)
    }

    fn changes(&self, site: Site) -> bool {
        is_mix(site)
    }

    fn at(&mut self, site: Site, tensor: Tensor) -> Result<Tensor> {
        if self.receivers.contains(&site) {
            self.received.insert(site, tensor.shallow_clone());
        }
        let Some(held) = self.clean.get(&site).filter(|_| is_mix(site)) else { return Ok(tensor) };
        match self.corrupted.get(&site) {
            Some(sent) if site == Site::HeadMix(self.layer) => {
                let mask = mask(self.variants, site, &held.size(), &[], held.device())?;
                Ok(sent.f_where_self(&mask, held)?)
            }
            _ => Ok(held.shallow_clone()),
        }
    }
}

/// The second run: receivers get what reached them.
struct Receiving<'a> {
    receivers: &'a [(Site, usize)],
    received: BTreeMap<Site, Tensor>,
}

impl Watcher for Receiving<'_> {
    fn wants(&self, site: Site) -> bool {
        self.changes(site)
    }

    fn changes(&self, site: Site) -> bool {
        self.receivers.iter().any(|(receiver, _)| *receiver == site)
    }

    fn at(&mut self, site: Site, tensor: Tensor) -> Result<Tensor> {
        let Some(received) = self.received.get(&site).filter(|_| self.changes(site)) else { return Ok(tensor) };
        let size = tensor.size();
        let heads = self.receivers.iter().filter(|(receiver, _)| *receiver == site);
        let place = |(_, head): &(Site, usize)| Place { site, head: Some(*head), position: None, neuron: None };
        let variant = [Variant { places: heads.map(place).collect() }];
        // (1,H,1,1): the same heads in all runs.
        let mask = mask(&variant, site, &size[size.len() - 3..], &[], tensor.device())?;
        Ok(received.f_where_self(&mask, &tensor)?)
    }
}
