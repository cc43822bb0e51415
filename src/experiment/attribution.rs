//! Attribution patching: what every patch would do, estimated from one backward pass.

use std::collections::{BTreeMap, BTreeSet};

use tch::{Kind, Tensor};

use super::Metric;
use super::effects::{Axis, EffectKind, Effects};
use super::group::{Group, numbers, read};
use super::pairs::Pairs;
use super::sweep::{By, head_axis, of_source, site_name};
use super::variants::natural_axes;
use crate::progress::Task;
use crate::run::{Differentiable, Keep, gradients};
use crate::site::{Part, Site};
use crate::{Array, Change, Error, Model, Result, interrupt};

/// Attribution patching in preparation (Nanda 2023; Syed and others, 2310.10348); [`run`](AttributionPatching::run) does
/// it. Made by [`Model::attribution_patching`].
///
/// For every place: (clean - corrupted) · d metric / d value, the gradient taken in the corrupted run. It is what a patch
/// would do if the model were linear there; where attention is saturated it can be far off, so
/// [`check`](AttributionPatching::check) measures the largest ones.
#[must_use = "nothing runs before run()"]
#[derive(Debug, Clone)]
pub struct AttributionPatching {
    pub(super) pairs: Pairs,
    pub(super) metric: Metric,
    pub(super) steps: usize,
    /// For each site that is asked for, one of every layer.
    sites: Vec<Vec<Site>>,
    by: Option<By>,
}

/// What an estimate and the patches that it stands for say.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    /// Each place that was patched: what it is called, the estimated and the measured effect, means over pairs.
    pub cells: Vec<(Vec<String>, f32, f32)>,
    /// Pearson correlation of both.
    pub correlation: f32,
    /// How many have the same sign.
    pub same_sign: usize,
}

/// One group's gradients, means over the steps, and differences, site by site.
struct Slopes {
    /// Clean less corrupted.
    differences: BTreeMap<Site, Tensor>,
    gradients: BTreeMap<Site, Tensor>,
    clean_metric: Vec<f32>,
    corrupted_metric: Vec<f32>,
}

/// What one step sees of a group.
pub(super) struct Observation {
    /// Clean less corrupted.
    differences: BTreeMap<Site, Tensor>,
    /// At this step.
    gradients: BTreeMap<Site, Tensor>,
    /// At this step.
    values: BTreeMap<Site, Tensor>,
}

impl Observation {
    pub(super) fn difference(&self, site: Site) -> Result<&Tensor> {
        find(&self.differences, site)
    }

    pub(super) fn gradient(&self, site: Site) -> Result<&Tensor> {
        find(&self.gradients, site)
    }

    pub(super) fn value(&self, site: Site) -> Result<&Tensor> {
        find(&self.values, site)
    }
}

fn find(of: &BTreeMap<Site, Tensor>, site: Site) -> Result<&Tensor> {
    of.get(&site).ok_or_else(|| Error::site(site, "was not reached in a run"))
}

impl Model {
    /// Estimates what every patch of clean values into the corrupted runs would do, by one backward pass for all.
    pub fn attribution_patching(&self, pairs: &Pairs) -> AttributionPatching {
        let sites = (0..self.layers()).map(Site::ResidPre).collect();
        AttributionPatching { pairs: pairs.clone(), metric: Metric::default(), steps: 1, sites: vec![sites], by: None }
    }
}

impl AttributionPatching {
    /// The site of each layer: `site(Site::HeadMix)`; [`Site::ResidPre`] unless set.
    pub fn site(mut self, site: impl Fn(usize) -> Site) -> AttributionPatching {
        self.sites.clear();
        self.and(site)
    }

    /// Another site beside it, from the same backward pass: [`run_all`](AttributionPatching::run_all) gives both.
    pub fn and(mut self, site: impl Fn(usize) -> Site) -> AttributionPatching {
        let model = self.pairs.model();
        let count = if site(0).part() == Part::Encoder { model.encoder_layers() } else { model.layers() };
        self.sites.push((0..count.max(1)).map(site).collect());
        self
    }

    /// What the values are given for. Unless set: layers and heads for sites that have heads, else layers and positions.
    pub fn by(mut self, by: By) -> AttributionPatching {
        self.by = Some(by);
        self
    }

    /// What is measured; [`Metric::LogitDiff`] unless set.
    pub fn metric(mut self, metric: Metric) -> AttributionPatching {
        self.metric = metric;
        self
    }

    /// Integrated gradients: the mean of the gradients at so many inputs from the corrupted embeddings towards the clean
    /// ones, as EAP-IG takes it (Hanna and others, 2403.17806): k/n of the way, k from 0 to n - 1. 1 is the corrupted run
    /// alone.
    pub fn steps(mut self, steps: usize) -> AttributionPatching {
        self.steps = steps;
        self
    }

    /// Makes the runs: two forward and one backward pass for each group of pairs, as many backward passes as there are
    /// [`steps`](AttributionPatching::steps). Gives the first site's effects.
    ///
    /// # Errors
    /// When the pairs, the metric or the site do not fit, or somebody interrupts it.
    pub fn run(&self) -> Result<Effects> {
        let first = AttributionPatching { sites: self.sites[..1].to_vec(), ..self.clone() };
        first.run_all()?.pop().ok_or_else(|| Error::Experiment("no site is attributed".to_owned()))
    }

    /// The effects of every site that was named, from the same passes.
    ///
    /// # Errors
    /// As of [`run`](AttributionPatching::run).
    pub fn run_all(&self) -> Result<Vec<Effects>> {
        interrupt::during("attribution patching", || self.run_now())
    }

    fn run_now(&self) -> Result<Vec<Effects>> {
        self.check_fit()?;
        let keep: BTreeSet<Site> = self.sites.iter().flatten().copied().collect();
        let mut tables = self.sites.iter().map(|sites| self.table(sites)).collect::<Result<Vec<_>>>()?;
        let groups = Group::all(self.pairs.cases(), self.metric);
        let task = Task::begin("attribution patching", groups.len() * self.steps, "passes");
        let (mut clean, mut corrupted) = (Vec::new(), Vec::new());
        for group in &groups {
            let slopes = self.slopes(group, &keep, &task)?;
            for (place, (pair, _)) in group.cases.iter().enumerate() {
                for table in &mut tables {
                    table.fill(*pair, group, place, &slopes)?;
                }
            }
            clean.extend(&slopes.clean_metric);
            corrupted.extend(&slopes.corrupted_metric);
        }
        task.finish();
        let effects = |table: Table| table.effects(self, clean.clone(), corrupted.clone());
        tables.into_iter().map(effects).collect()
    }

    /// An empty table of one site's values.
    fn table(&self, sites: &[Site]) -> Result<Table> {
        let by = self.axes_by(sites[0])?;
        let axes = self.axes(sites, by);
        let cells = axes.iter().map(|axis| axis.labels.len()).product();
        Ok(Table { sites: sites.to_vec(), by, axes, cells, values: vec![f32::NAN; self.pairs.len() * cells] })
    }

    /// Patches the `count` cells with the largest estimates, and says how well both agree.
    ///
    /// # Errors
    /// As of [`run`](AttributionPatching::run).
    pub fn check(&self, count: usize) -> Result<Agreement> {
        let estimated = self.run()?;
        let shape: Vec<usize> = estimated.axes.iter().map(|axis| axis.labels.len()).collect();
        let top = estimated.top(count)?;
        let place = |index: &[usize]| index.iter().zip(&shape).fold(0, |place, (index, length)| place * length + index);
        let places: Vec<usize> = top.iter().map(|cell| place(&cell.index)).collect();
        let sweep = self.pairs.model().sweep(&self.pairs).metric(self.metric).by(self.axes_by(self.sites[0][0])?);
        let measured = sweep.patch(|layer| self.sites[0][layer.min(self.sites[0].len() - 1)]).measure(&places)?;
        let cells: Vec<_> =
            top.into_iter().zip(measured).map(|(cell, measured)| (cell.place, cell.effect, measured)).collect();
        let same_sign = cells.iter().filter(|(_, estimate, measured)| estimate * measured > 0.0).count();
        let correlation = correlation(&cells);
        Ok(Agreement { cells, correlation, same_sign })
    }

    pub(super) fn check_fit(&self) -> Result<()> {
        let model = self.pairs.model();
        self.metric.check(&self.pairs)?;
        self.pairs.both()?;
        self.sites.iter().flatten().try_for_each(|&site| model.check_site(site))?;
        if self.steps == 0 {
            return Err(Error::Experiment("0 steps take no gradient; give 1 or more".to_owned()));
        }
        match self.sites.iter().flatten().find(|site| site.layer().is_none()) {
            None => Ok(()),
            Some(site) => {
                let problem = "lies in no layer; attribute a site of the layers, e.g. site(Site::ResidPre)";
                Err(Error::site(site, problem))
            }
        }
    }

    fn axes_by(&self, site: Site) -> Result<By> {
        let heads = natural_axes(site) == 3;
        match (self.by, heads) {
            (None, true) => Ok(By::LayerHead),
            (None, false) => Ok(By::LayerPosition),
            (Some(By::LayerHead | By::LayerHeadPosition), false) => {
                Err(Error::site(site, "has no heads; attribute it by layers, or by layers and positions"))
            }
            (Some(by), _) => Ok(by),
        }
    }

    fn axes(&self, sites: &[Site], by: By) -> Vec<Axis> {
        let (site, model) = (sites[0], self.pairs.model());
        let shapes = sites.iter().map(|&site| model.site_shape(site, &self.pairs.cases()[0].clean));
        let larger = |a: Vec<i64>, b: Vec<i64>| a.into_iter().zip(b).map(|(a, b)| a.max(b)).collect();
        let shape = shapes.reduce(larger).unwrap_or_default();
        let mut axes = vec![Axis::numbers("layer", sites.len())];
        if matches!(by, By::LayerHead | By::LayerHeadPosition) {
            axes.push(Axis::numbers(head_axis(site), shape[0] as usize));
        }
        if matches!(by, By::LayerPosition | By::LayerHeadPosition) {
            axes.push(self.pairs.positions(of_source(site)));
        }
        if by == By::LayerNeuron {
            axes.push(Axis::numbers("neuron", shape[shape.len() - 1] as usize));
        }
        axes
    }

    /// The mean over steps of a group's gradients.
    fn slopes(&self, group: &Group, keep: &BTreeSet<Site>, task: &Task) -> Result<Slopes> {
        let mut sums: BTreeMap<Site, Tensor> = BTreeMap::new();
        let mut differences = BTreeMap::new();
        let (clean_metric, corrupted_metric) = self.each_step(group, keep, task, &mut |seen| {
            for (site, gradient) in &seen.gradients {
                let sum = match sums.remove(site) {
                    Some(sum) => sum.f_add(gradient)?,
                    None => gradient.shallow_clone(),
                };
                sums.insert(*site, sum);
            }
            let own = seen.differences.iter().map(|(site, difference)| (*site, difference.shallow_clone()));
            differences = own.collect();
            Ok(())
        })?;
        let mean = |(site, sum): (Site, Tensor)| Ok((site, sum.f_div_scalar(self.steps as f64)?));
        let gradients = sums.into_iter().map(mean).collect::<Result<_>>()?;
        Ok(Slopes { differences, gradients, clean_metric, corrupted_metric })
    }

    /// Runs a group clean, and at each step between corrupted and clean with gradients, which `look` gets. Gives the
    /// metrics of both runs.
    pub(super) fn each_step(
        &self,
        group: &Group,
        keep: &BTreeSet<Site>,
        task: &Task,
        look: &mut dyn FnMut(&Observation) -> Result<()>,
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let model = self.pairs.model();
        let embeddings: BTreeSet<Site> = match group.clean.source {
            Some(_) => BTreeSet::from([Site::Embedding, Site::EncoderEmbedding]),
            None => BTreeSet::from([Site::Embedding]),
        };
        let all: BTreeSet<Site> = keep.union(&embeddings).copied().collect();
        let clean = task.step_of(group.observe(model, &group.clean, all.clone(), &[]))?;
        let clean_metric = read(&group.values(self.metric, &clean.logits, Some(&clean.logits))?)?;
        let corrupted_tokens = group.corrupted()?;
        let (mut corrupted, mut corrupted_metric) = (BTreeMap::new(), Vec::new());
        let mut differences = BTreeMap::new();
        let keep = Keep::Sites(all);
        for step in 0..self.steps {
            // Of the way from the corrupted embeddings to the clean ones.
            let part = step as f64 / self.steps as f64;
            let changes = match step {
                0 => Vec::new(),
                _ => self.towards(part, &embeddings, &clean.kept, &corrupted)?,
            };
            let mut watcher = Differentiable { keep: &keep, changes: &changes, kept: BTreeMap::new() };
            let logits =
                task.step_of(model.network().forward_from(corrupted_tokens, None, group.wanted(), &mut watcher))?;
            let logits = logits.ok_or_else(|| super::group::no_head(model))?;
            let values = group.values(self.metric, &logits, Some(&clean.logits))?;
            let total = Tensor::f_stack(&values, 0)?.f_sum(Kind::Float)?;
            let gradients = gradients(&total, &watcher.kept)?;
            let detached =
                |(site, tensor): (Site, Tensor)| -> Result<(Site, Tensor)> { Ok((site, tensor.f_detach()?)) };
            let seen: BTreeMap<Site, Tensor> = watcher.kept.into_iter().map(detached).collect::<Result<_>>()?;
            if step == 0 {
                corrupted_metric = read(&values)?;
                for (site, corrupted) in &seen {
                    if let Some(clean) = clean.kept.get(site) {
                        differences.insert(*site, clean.f_sub(corrupted)?);
                    }
                }
                corrupted = seen.iter().map(|(site, tensor)| (*site, tensor.shallow_clone())).collect();
            }
            let observation = Observation { differences, gradients, values: seen };
            look(&observation)?;
            differences = observation.differences;
            task.advance()?;
        }
        Ok((clean_metric, corrupted_metric))
    }

    fn towards(
        &self,
        part: f64,
        embeddings: &BTreeSet<Site>,
        clean: &BTreeMap<Site, Tensor>,
        corrupted: &BTreeMap<Site, Tensor>,
    ) -> Result<Vec<Change>> {
        let change = |&site: &Site| {
            let ends = clean.get(&site).zip(corrupted.get(&site));
            let (clean, corrupted) = ends.ok_or_else(|| Error::site(site, "was not reached in a run"))?;
            Ok(Change::put(site, corrupted.f_add(&clean.f_sub(corrupted)?.f_mul_scalar(part)?)?))
        };
        embeddings.iter().map(change).collect()
    }
}

/// The values of one site, pair by pair.
struct Table {
    sites: Vec<Site>,
    by: By,
    axes: Vec<Axis>,
    /// Of one pair.
    cells: usize,
    values: Vec<f32>,
}

impl Table {
    /// Takes in one pair, the text at `place` of its group.
    fn fill(&mut self, pair: usize, group: &Group, place: usize, slopes: &Slopes) -> Result<()> {
        let own = &mut self.values[pair * self.cells..(pair + 1) * self.cells];
        let each = self.cells / self.sites.len();
        for (&site, own) in self.sites.iter().zip(own.chunks_mut(each)) {
            let (difference, gradient) = (find(&slopes.differences, site)?, find(&slopes.gradients, site)?);
            let text = &group.texts(site)[place];
            // In patterns the rows of a text's queries hold its keys alone: what lies outside is 0 in both runs.
            let product = difference.f_mul(gradient)?.f_narrow(-2, text.start as i64, text.len() as i64)?;
            let heads = product.dim() == 3;
            let sum = |over: &[i64]| product.f_sum_dim_intlist(over, false, Kind::Double);
            let sums = match self.by {
                By::Layer if heads => sum(&[-3, -2, -1])?,
                By::Layer => sum(&[-2, -1])?,
                By::LayerPosition if heads => sum(&[-3, -1])?,
                By::LayerPosition | By::LayerHeadPosition => sum(&[-1])?,
                By::LayerHead => sum(&[-2, -1])?,
                By::LayerNeuron if heads => sum(&[-3, -2])?,
                By::LayerNeuron => sum(&[-2])?,
            };
            let rows = if self.by == By::LayerHeadPosition { sums.size()[0] as usize } else { 1 };
            let found = numbers(&sums)?;
            // A text may have fewer positions than the longest one, a layer fewer neurons than the widest.
            for (own, found) in own.chunks_mut(each / rows).zip(found.chunks(found.len() / rows)) {
                for (own, value) in own.iter_mut().zip(found) {
                    *own = *value as f32;
                }
            }
        }
        Ok(())
    }

    fn effects(self, of: &AttributionPatching, clean: Vec<f32>, corrupted: Vec<f32>) -> Result<Effects> {
        let shape = std::iter::once(of.pairs.len()).chain(self.axes.iter().map(|axis| axis.labels.len()));
        Ok(Effects {
            name: format!("attribute.{}", site_name(self.sites[0])),
            model: of.pairs.model().name().to_owned(),
            kind: EffectKind::Estimated,
            metric: of.metric,
            values: Array::new(&shape.collect::<Vec<usize>>(), self.values)?,
            axes: self.axes,
            clean,
            corrupted,
            pairs: of.pairs.shown(),
            answers: Vec::new(),
        })
    }
}

fn correlation(cells: &[(Vec<String>, f32, f32)]) -> f32 {
    let count = cells.len() as f64;
    let mean =
        |of: fn(&(Vec<String>, f32, f32)) -> f32| cells.iter().map(|cell| f64::from(of(cell))).sum::<f64>() / count;
    let (a, b) = (mean(|cell| cell.1), mean(|cell| cell.2));
    let sum = |of: &dyn Fn(f64, f64) -> f64| {
        cells.iter().map(|cell| of(f64::from(cell.1) - a, f64::from(cell.2) - b)).sum::<f64>()
    };
    (sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt()) as f32
}

impl std::fmt::Display for Agreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Agreement { cells, correlation, same_sign } = self;
        writeln!(f, "correlation {correlation:.2} over {} cells, {same_sign} of the same sign", cells.len())?;
        writeln!(f, "{:>10} {:>10}  place", "estimated", "measured")?;
        for (place, estimated, measured) in cells {
            writeln!(f, "{estimated:>10.3} {measured:>10.3}  {}", place.join(" "))?;
        }
        Ok(())
    }
}
