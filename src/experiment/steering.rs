//! Directions that turn a model's answers: the mean difference between two kinds of text.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Mul;

use tch::{Kind, Tensor};

use super::Metric;
use super::answers::Answered;
use super::effects::{Axis, EffectKind, Effects};
use super::group::{Group, no_head, numbers, read};
use super::pairs::Pairs;
use crate::model::Start;
use crate::progress::Task;
use crate::site::{Part, Site, Watcher};
use crate::{Array, Change, Error, Model, Result, interrupt};

/// What the clean texts have and the corrupted ones have not, at each layer: the mean over pairs of the difference of
/// their streams at the answer's position (contrastive activation addition, 2312.06681). Made by [`Model::steering`].
#[derive(Debug, Clone)]
pub struct Steering {
    pairs: Pairs,
    metric: Metric,
    /// (D) for each layer.
    directions: Vec<Array>,
}

/// A direction of the stream before a layer. Times a number it is a [`Change`] that steers:
/// `model.generate(prompt).change(steering.layer(13)? * 4.0)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Direction {
    /// Where it is added.
    pub site: Site,
    /// (D).
    pub vector: Array,
}

impl Mul<f64> for Direction {
    type Output = Direction;

    fn mul(self, strength: f64) -> Direction {
        Direction { site: self.site, vector: self.vector * strength }
    }
}

impl From<Direction> for Change {
    /// Adds the direction at every position.
    fn from(direction: Direction) -> Change {
        Change::add(direction.site, direction.vector)
    }
}

impl Model {
    /// Directions from the corrupted texts to the clean ones, at every layer.
    ///
    /// ```no_run
    /// # fn main() -> flowlens::Result<()> {
    /// use flowlens::{Model, experiment::Pair};
    /// let model = Model::load("smollm2-135m")?;
    /// let pairs = model.pairs([
    ///     Pair::new("I love this film", "I hate this film").right(" good").wrong(" bad"),
    ///     Pair::new("What a great day", "What a awful day").right(" good").wrong(" bad"),
    /// ])?;
    /// let direction = model.steering(&pairs)?.layer(13)?;
    /// println!("{}", model.generate("I think the weather is").change(direction * 4.0).run()?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When a pair has no corrupted text, or somebody interrupts it.
    pub fn steering(&self, pairs: &Pairs) -> Result<Steering> {
        interrupt::during("finding directions", || Steering::find(self, pairs))
    }
}

impl Steering {
    fn find(model: &Model, pairs: &Pairs) -> Result<Steering> {
        pairs.both()?;
        let _no_gradients = tch::no_grad_guard();
        let sites: BTreeSet<Site> = (0..model.layers()).map(Site::ResidPre).collect();
        let task = Task::begin("finding directions", pairs.len(), "pairs");
        let mut sums: BTreeMap<Site, Tensor> = BTreeMap::new();
        for group in Group::all(pairs.cases(), Metric::LogitDiff) {
            let clean = task.step_of(group.observe(model, &group.clean, sites.clone(), &[]))?;
            let corrupted = task.step_of(group.observe(model, group.corrupted()?, sites.clone(), &[]))?;
            for (site, clean) in &clean.kept {
                let rows = group.answer_rows(&clean.f_sub(&corrupted.kept[site])?)?;
                let sum = rows.f_sum_dim_intlist(0i64, false, Kind::Double)?;
                let sum = match sums.remove(site) {
                    Some(before) => before.f_add(&sum)?,
                    None => sum,
                };
                sums.insert(*site, sum);
            }
            for _ in &group.cases {
                task.advance()?;
            }
        }
        task.finish();
        let mean = |sum: &Tensor| Array::from_tensor(&sum.f_div_scalar(pairs.len() as f64)?);
        let directions = sums.values().map(mean).collect::<Result<_>>()?;
        Ok(Steering { pairs: pairs.clone(), metric: Metric::default(), directions })
    }

    /// The direction before a layer.
    ///
    /// # Errors
    /// When there is no such layer.
    pub fn layer(&self, layer: usize) -> Result<Direction> {
        let vector = self.directions.get(layer).cloned().ok_or_else(|| {
            let last = self.directions.len() - 1;
            Error::Experiment(format!("there is no layer {layer}; directions are known before layers 0 to {last}"))
        })?;
        Ok(Direction { site: Site::ResidPre(layer), vector })
    }

    /// What [`sweep`](Steering::sweep) measures; [`Metric::LogitDiff`] unless set.
    #[must_use]
    pub fn metric(mut self, metric: Metric) -> Steering {
        self.metric = metric;
        self
    }

    /// What each direction does to the answers of the clean texts, by layer and strength, when it is added at every
    /// position; a negative strength steers towards the corrupted texts.
    ///
    /// # Errors
    /// When no strength is given, the metric does not fit the pairs, or somebody interrupts it.
    pub fn sweep(&self, strengths: impl IntoIterator<Item = f64>) -> Result<Effects> {
        let strengths: Vec<f64> = strengths.into_iter().collect();
        interrupt::during("sweeping strengths", || self.sweep_now(&strengths))
    }

    fn sweep_now(&self, strengths: &[f64]) -> Result<Effects> {
        if strengths.is_empty() || strengths.iter().any(|strength| !strength.is_finite()) {
            return Err(Error::Experiment(format!("{strengths:?} are not strengths; give one number or more")));
        }
        let model = self.pairs.model();
        self.metric.check(&self.pairs)?;
        let _no_gradients = tch::no_grad_guard();
        let (layers, count) = (self.directions.len(), strengths.len());
        let mut values = vec![f32::NAN; self.pairs.len() * layers * count];
        let (mut clean, mut corrupted) = (Vec::new(), Vec::new());
        let mut answered = Answered::new(layers * count, self.pairs.len());
        let mut answers = [Vec::new(), Vec::new()];
        let groups = Group::all(self.pairs.cases(), self.metric);
        let task = Task::begin("sweeping strengths", groups.len() * layers, "passes");
        for group in &groups {
            let streams: BTreeSet<Site> = (0..layers).map(Site::ResidPre).collect();
            let memory = group.clean.source.is_some().then_some(Site::EncoderFinalNorm);
            let base =
                task.step_of(group.observe(model, &group.clean, streams.into_iter().chain(memory).collect(), &[]))?;
            let other = task.step_of(group.observe(model, group.corrupted()?, BTreeSet::new(), &[]))?;
            clean.extend(read(&group.values(self.metric, &base.logits, Some(&base.logits))?)?);
            corrupted.extend(read(&group.values(self.metric, &other.logits, Some(&base.logits))?)?);
            for place in 0..group.cases.len() {
                for (answers, logits) in answers.iter_mut().zip([&base.logits, &other.logits]) {
                    answers.extend(group.best(place, logits)?);
                }
            }
            for layer in 0..layers {
                let site = Site::ResidPre(layer);
                let memory = base.kept.get(&Site::EncoderFinalNorm).map(Tensor::shallow_clone);
                let stream = base.kept.get(&site).ok_or_else(|| Error::site(site, "was not kept"))?.shallow_clone();
                let mut watcher = Adding { site, rows: self.rows(layer, strengths, &stream)? };
                let start = Start { part: Part::Main, layer, stream, memory };
                let logits = model.network().forward_from(&group.clean, Some(&start), group.wanted(), &mut watcher);
                let logits = task.step_of(logits)?.ok_or_else(|| no_head(model))?;
                let found = group.values(self.metric, &logits, Some(&base.logits))?;
                for (place, ((pair, _), found)) in group.cases.iter().zip(&found).enumerate() {
                    for (index, value) in numbers(found)?.into_iter().enumerate() {
                        values[(pair * layers + layer) * count + index] = value as f32;
                    }
                    let best = if *pair < answered.pairs { group.best(place, &logits)? } else { Vec::new() };
                    best.iter().enumerate().for_each(|(at, best)| answered.put(layer * count + at, *pair, best));
                }
                task.advance()?;
            }
        }
        task.finish();
        let labels = strengths.iter().map(f64::to_string).collect();
        Ok(Effects {
            name: "steer".to_owned(),
            model: model.name().to_owned(),
            kind: EffectKind::Ablated,
            metric: self.metric,
            axes: vec![Axis::numbers("layer", layers), Axis { name: "strength".to_owned(), labels }],
            values: Array::new(&[self.pairs.len(), layers, count], values)?,
            clean,
            corrupted,
            pairs: self.pairs.shown(),
            answers: answered.told(model, &answers[0], &answers[1]),
        })
    }

    /// What each strength adds (B,1,D), in the type and on the device of the stream.
    fn rows(&self, layer: usize, strengths: &[f64], beside: &Tensor) -> Result<Tensor> {
        let strengths = Tensor::f_from_slice(strengths)?.f_to_kind(Kind::Float)?.f_view([-1, 1, 1])?;
        let rows = strengths.f_mul(&self.directions[layer].to_tensor())?;
        Ok(rows.f_to_device(beside.device())?.f_to_kind(beside.kind())?)
    }
}

/// Adds rows (B,1,D) at a site, which makes a batch of the run.
struct Adding {
    site: Site,
    rows: Tensor,
}

impl Watcher for Adding {
    fn wants(&self, site: Site) -> bool {
        site == self.site
    }

    fn changes(&self, site: Site) -> bool {
        site == self.site
    }

    fn at(&mut self, site: Site, tensor: Tensor) -> Result<Tensor> {
        if site == self.site { Ok(tensor.f_add(&self.rows)?) } else { Ok(tensor) }
    }
}
