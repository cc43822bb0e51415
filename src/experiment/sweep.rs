//! Many runs, each with one part of the model changed: what that does to the answer.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::ablation::Ablation;
use super::effects::Axis;
use super::noise::Noise;
use super::pairs::Pairs;
use super::partial::Partial;
use super::variants::{Place, Variant, natural_axes};
use super::{Effects, Metric, Work};
use crate::model::Model;
use crate::site::{Part, Site};
use crate::{Error, Result, interrupt};

/// What a sweep goes over: one run for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum By {
    /// A layer, at all positions.
    Layer,
    /// A layer and a position.
    LayerPosition,
    /// A layer and a head, at all positions; of keys and values a key head.
    LayerHead,
    /// A layer, a head and a position.
    LayerHeadPosition,
    /// A layer and a neuron, or entry of the last axis, at all positions.
    LayerNeuron,
}

/// What is done at a part of a site.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Deed {
    /// The corrupted run gets the clean run's values.
    Patch,
    /// The clean run gets the corrupted run's values.
    PatchNoising,
    /// The clean run gets values that say nothing.
    Ablate(Ablation),
}

/// Many runs in preparation, each with one part of the model changed; [`run`](Sweep::run) makes them. Made by
/// [`Model::sweep`].
///
/// Running it again goes on where it was interrupted.
///
/// ```no_run
/// # fn main() -> flowlens::Result<()> {
/// use flowlens::{Model, Site};
/// let model = Model::load("smollm2-135m")?;
/// let pairs = model.pairs([("The Eiffel Tower is in", "The Big Ben tower is in", " Paris", " London")])?;
/// let effects = model.sweep(&pairs).patch(Site::ResidPre).run()?;
/// println!("{effects}");
/// # Ok(()) }
/// ```
#[must_use = "nothing runs before run()"]
#[derive(Clone)]
pub struct Sweep {
    pub(super) model: Model,
    pub(super) pairs: Pairs,
    pub(super) metric: Metric,
    pub(super) deed: Deed,
    /// One for each layer; empty before one is chosen.
    pub(super) sites: Vec<Site>,
    by: Option<By>,
    layers: Option<Range<usize>>,
    positions: Option<Range<usize>>,
    window: usize,
    pub(super) noise: Option<Noise>,
    pub(super) resume: Option<PathBuf>,
    /// What is done already, for clones as well.
    pub(super) partial: Arc<Mutex<Option<Partial>>>,
}

impl Sweep {
    pub(super) fn new(model: Model, pairs: Pairs) -> Sweep {
        Sweep {
            model,
            pairs,
            metric: Metric::default(),
            deed: Deed::Patch,
            sites: Vec::new(),
            by: None,
            layers: None,
            positions: None,
            window: 1,
            noise: None,
            resume: None,
            partial: Arc::default(),
        }
    }

    /// Puts values of the clean run into the corrupted one at a site of each layer: `patch(Site::ResidPre)`. What brings
    /// the clean answer back (1 in the map) is enough for it.
    pub fn patch(mut self, site: impl Fn(usize) -> Site) -> Sweep {
        self.deed = if self.deed == Deed::PatchNoising { Deed::PatchNoising } else { Deed::Patch };
        self.over(site)
    }

    /// Puts values of the corrupted run into the clean one instead: what breaks the clean answer is needed for it.
    pub fn noising(mut self) -> Sweep {
        self.deed = Deed::PatchNoising;
        self.changed()
    }

    /// Takes away what a site of each layer says, in the clean run.
    pub fn ablate(mut self, site: impl Fn(usize) -> Site, kind: Ablation) -> Sweep {
        self.deed = Deed::Ablate(kind);
        self.over(site)
    }

    /// Causal tracing: the corrupted run is the clean text with noise on its embeddings.
    pub fn noise(mut self, noise: Noise) -> Sweep {
        self.noise = Some(noise);
        self.changed()
    }

    fn over(mut self, site: impl Fn(usize) -> Site) -> Sweep {
        let count = if site(0).part() == Part::Encoder { self.model.encoder_layers() } else { self.model.layers() };
        // A model without an encoder has no layer of it, and says so when the sweep is checked.
        self.sites = (0..count.max(1)).map(site).collect();
        self.changed()
    }

    /// Another sweep: what was done so far belongs to the one before.
    fn changed(mut self) -> Sweep {
        self.partial = Arc::default();
        self
    }

    /// What the sweep goes over. Unless set: layers and heads for sites that have heads, else layers and positions;
    /// ablations of sites without heads go over layers.
    pub fn by(mut self, by: By) -> Sweep {
        self.by = Some(by);
        self.changed()
    }

    /// Changes these layers only.
    pub fn layers(mut self, layers: Range<usize>) -> Sweep {
        self.layers = Some(layers);
        self.changed()
    }

    /// Changes these positions only, where the sweep goes over positions.
    pub fn positions(mut self, positions: Range<usize>) -> Sweep {
        self.positions = Some(positions);
        self.changed()
    }

    /// Changes so many layers at once, those round each layer: 10 in causal tracing of attention and MLPs.
    pub fn window(mut self, layers: usize) -> Sweep {
        self.window = layers;
        self.changed()
    }

    /// What is measured; [`Metric::LogitDiff`] unless set.
    pub fn metric(mut self, metric: Metric) -> Sweep {
        self.metric = metric;
        self.changed()
    }

    /// Keeps what is done in a file (`.safetensors`), and goes on from it when it is there: a sweep that was interrupted
    /// goes on where it was, with the same numbers.
    pub fn resume(mut self, path: impl AsRef<Path>) -> Sweep {
        self.resume = Some(path.as_ref().to_owned());
        self.changed()
    }

    /// Makes the runs.
    ///
    /// # Errors
    /// When the pairs, the metric or the sites do not fit, or somebody interrupts it; what is done by then stays in the
    /// sweep, and in the file of [`resume`](Sweep::resume).
    pub fn run(&self) -> Result<Effects> {
        let work = self.work()?;
        interrupt::during(&self.title(), || work.run())
    }

    /// What the sweep will take: makes the first few runs, which stay done.
    ///
    /// # Errors
    /// As of [`run`](Sweep::run).
    pub fn estimate(&self) -> Result<super::SweepEstimate> {
        let work = self.work()?;
        interrupt::during(&self.title(), || work.estimate())
    }

    /// The mean effect of some cells, each given by its place in the order of all.
    pub(super) fn measure(&self, cells: &[usize]) -> Result<Vec<f32>> {
        self.work()?.measure(cells)
    }

    /// `patch.resid_pre`, as files and figures name it.
    pub(super) fn name(&self) -> String {
        let site = self.sites.first().map(|&site| site_name(site)).unwrap_or_default();
        match (self.deed, &self.noise) {
            (Deed::Patch, None) => format!("patch.{site}"),
            (Deed::Patch, Some(_)) => format!("trace.{site}"),
            (Deed::PatchNoising, _) => format!("noising.{site}"),
            (Deed::Ablate(kind), _) => format!("ablate.{}.{site}", kind.name()),
        }
    }

    fn title(&self) -> String {
        format!("sweeping {}", self.name())
    }

    fn axes_by(&self) -> By {
        let heads = self.sites.first().is_some_and(|&site| natural_axes(site) == 3);
        self.by.unwrap_or(match (heads, self.deed) {
            (true, _) => By::LayerHead,
            (false, Deed::Ablate(_)) => By::Layer,
            (false, _) => By::LayerPosition,
        })
    }

    /// Checks everything that can be checked before a run, and lays out the cells.
    fn work(&self) -> Result<Work<'_>> {
        let refuse = |problem: String| Err(Error::Experiment(problem));
        let Some(&site) = self.sites.first() else {
            return refuse(
                "the sweep has nothing to change; choose it with patch(site) or ablate(site, kind)".to_owned(),
            );
        };
        if site.layer().is_none() {
            return Err(Error::site(
                site,
                "lies in no layer; a sweep goes over the layers, e.g. patch(Site::ResidPre)",
            ));
        }
        self.sites.iter().try_for_each(|&site| self.model.check_site(site))?;
        self.model.head()?;
        self.metric.check(&self.pairs)?;
        if self.noise.is_none() && !matches!(self.deed, Deed::Ablate(_)) {
            self.pairs.both()?;
        }
        if self.noise.is_some() && matches!(self.deed, Deed::Ablate(_)) {
            return refuse(
                "an ablation changes the clean run, so noise has no part in it; patch, or leave it out".to_owned(),
            );
        }
        if self.window == 0 {
            return refuse("a window of 0 layers changes nothing; give 1 or more".to_owned());
        }
        let layers = range("layer", self.layers.clone(), self.sites.len())?;
        let by = self.axes_by();
        let first = self.pairs.cases().first();
        let first = first.ok_or_else(|| Error::Experiment("there are no pairs; give at least one".to_owned()))?;
        // Layers may differ in size: the largest counts.
        let shapes = self.sites.iter().map(|&site| self.model.site_shape(site, &first.clean));
        let larger = |a: Vec<i64>, b: Vec<i64>| a.into_iter().zip(b).map(|(a, b)| a.max(b)).collect();
        let shape = shapes.reduce(larger).unwrap_or_default();
        let heads = match by {
            By::LayerHead | By::LayerHeadPosition if shape.len() == 3 => shape[0] as usize,
            By::LayerHead | By::LayerHeadPosition => {
                return Err(Error::site(site, "has no heads; sweep it by layers, or by layers and positions"));
            }
            _ => 1,
        };
        let neurons = if by == By::LayerNeuron { shape[shape.len() - 1] as usize } else { 1 };
        let all_positions = self.pairs.positions(of_source(site));
        let positions = match by {
            By::LayerPosition | By::LayerHeadPosition => {
                range("position", self.positions.clone(), all_positions.labels.len())?
            }
            _ => 0..1,
        };
        let some = |axis: &Axis, range: &Range<usize>| Axis {
            labels: axis.labels[range.clone()].to_vec(),
            name: axis.name.clone(),
        };
        let mut axes = vec![some(&Axis::numbers("layer", self.sites.len()), &layers)];
        if matches!(by, By::LayerHead | By::LayerHeadPosition) {
            axes.push(Axis::numbers(head_axis(site), heads));
        }
        if matches!(by, By::LayerPosition | By::LayerHeadPosition) {
            axes.push(some(&all_positions, &positions));
        }
        if by == By::LayerNeuron {
            axes.push(Axis::numbers("neuron", neurons));
        }
        let mut cells = Vec::new();
        for layer in layers {
            for head in 0..heads {
                for position in positions.clone() {
                    for neuron in 0..neurons {
                        cells.push(self.cell(by, layer, head, position, neuron));
                    }
                }
            }
        }
        Ok(Work::new(self, axes, cells))
    }

    fn cell(&self, by: By, layer: usize, head: usize, position: usize, neuron: usize) -> Variant {
        // As many layers before as after; of an even number one more before.
        let first = layer.saturating_sub(self.window / 2);
        let last = (layer + self.window - self.window / 2).min(self.sites.len());
        let place = |site| Place {
            site,
            head: matches!(by, By::LayerHead | By::LayerHeadPosition).then_some(head),
            position: matches!(by, By::LayerPosition | By::LayerHeadPosition).then_some(position),
            neuron: (by == By::LayerNeuron).then_some(neuron),
        };
        Variant { places: self.sites[first..last].iter().map(|&site| place(site)).collect() }
    }
}

/// What an axis of a site's heads is called.
pub(super) fn head_axis(site: Site) -> &'static str {
    match site.plain() {
        Site::Key(_) | Site::Value(_) | Site::RotatedKey(_) => "key head",
        _ => "head",
    }
}

/// Whether a site's positions are those of what an encoder reads.
pub(super) fn of_source(site: Site) -> bool {
    match site.part() {
        Part::Encoder => true,
        Part::Cross => matches!(site.plain(), Site::Key(_) | Site::Value(_)),
        Part::Main => false,
    }
}

/// A range within `0..count`, or all of it.
fn range(what: &str, asked: Option<Range<usize>>, count: usize) -> Result<Range<usize>> {
    let range = asked.unwrap_or(0..count);
    if range.is_empty() || range.end > count {
        return Err(Error::Experiment(format!(
            "there are {count} {what}s (0 to {}); {range:?} is not a range of them",
            count.saturating_sub(1)
        )));
    }
    Ok(range)
}

/// A site's name as experiments write it: `resid_pre`, `z`, `cross_z`, `encoder_resid_pre`.
pub(super) fn site_name(site: Site) -> String {
    let name = site.plain().to_string();
    let last = name.rsplit('.').next().unwrap_or(&name);
    let short = match site.plain() {
        Site::AttnNorm(_) => "attn_norm",
        Site::MlpNorm(_) => "mlp_norm",
        _ => last.strip_prefix("hook_").unwrap_or(last),
    };
    match site.part() {
        Part::Main => short.to_owned(),
        Part::Encoder => format!("encoder_{short}"),
        Part::Cross => format!("cross_{short}"),
    }
}

impl fmt::Debug for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} over {} pairs", self.name(), self.pairs.len())
    }
}
