//! From a run to a flow graph, option by option.

use std::path::{Path, PathBuf};

use super::config::Config;
use super::exact::{self, Amounts, Extent};
use super::graph::{FlowGraph, Meta, Method, Target};
use super::palette::{Palette, Scheme};
use super::target::{self, TargetSpec};
use super::visit;
use crate::run::Trace;
use crate::{Array, Error, Result};

/// Which heads of a layer are shown; the others are summed into one remainder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heads {
    /// All of them.
    All,
    /// The ones that write the longest vectors.
    Top(usize),
    /// The ones that move the first target's logit most against the average token's, up or down.
    ByTarget(usize),
}

/// Options of a flow graph; made by [`Trace::flow_graph`].
#[derive(Debug, Clone)]
#[must_use = "call build() to get the graph"]
pub struct FlowGraphBuilder<'a> {
    trace: &'a Trace,
    layers: Vec<usize>,
    chain: bool,
    overview: bool,
    position: i64,
    targets: Option<Vec<TargetSpec>>,
    heads: Option<Heads>,
    values_per_head: Option<usize>,
    neurons: Option<(usize, usize)>,
    config: Option<PathBuf>,
    method: Option<Method>,
    palette: Option<Palette>,
}

impl Trace {
    /// Prepares a flow graph of this run: what heads, memories and neurons of some layers write into the residual
    /// stream at one position, each vector read as vocabulary words.
    ///
    /// ```no_run
    /// # fn main() -> flowlens::Result<()> {
    /// let model = flowlens::Model::load("smollm2-135m")?;
    /// let trace = model.run("The capital of Japan is the city of")?;
    /// let graph = trace.flow_graph().layers(20..30).chain(true).target(" Tokyo").build()?;
    /// println!("{} nodes", graph.nodes().count());
    /// # Ok(()) }
    /// ```
    pub fn flow_graph(&self) -> FlowGraphBuilder<'_> {
        FlowGraphBuilder {
            trace: self,
            layers: Vec::new(),
            chain: false,
            overview: false,
            position: -1,
            targets: None,
            heads: None,
            values_per_head: None,
            neurons: None,
            config: None,
            method: None,
            palette: None,
        }
    }
}

impl<'a> FlowGraphBuilder<'a> {
    /// The layers to show, each as a graph of its own unless [chained](Self::chain). Without any, and without a
    /// configuration, the whole model is shown as an [overview](Self::overview).
    pub fn layers(mut self, layers: impl IntoIterator<Item = usize>) -> Self {
        self.layers = layers.into_iter().collect();
        self
    }

    /// Whether the layers form one graph, left to right. Layers left out between them show as one link that carries
    /// the sum of what they added.
    pub fn chain(mut self, chain: bool) -> Self {
        self.chain = chain;
        self
    }

    /// Shows the whole model, for every layer only what attention and the MLP add.
    pub fn overview(mut self) -> Self {
        self.overview = true;
        self
    }

    /// The position the graph is about, counted from 0; negative ones count from the end. The last one unless told.
    pub fn position(mut self, position: i64) -> Self {
        self.position = position;
        self
    }

    /// A token to follow: a text (mind the leading blank), an id, or `"AUTO"`. Several calls follow several tokens,
    /// the first of which colours the nodes. Without a call the model's own next token is followed.
    pub fn target(mut self, target: impl Into<TargetSpec>) -> Self {
        self.targets.get_or_insert_default().push(target.into());
        self
    }

    /// Follows no token: nodes keep one colour.
    pub fn no_target(mut self) -> Self {
        self.targets = Some(Vec::new());
        self
    }

    /// Which heads are shown.
    pub fn heads(mut self, heads: Heads) -> Self {
        self.heads = Some(heads);
        self
    }

    /// How many memories a head shows: the positions that add most through it (with the published method, those it
    /// attends to most).
    pub fn values_per_head(mut self, count: usize) -> Self {
        self.values_per_head = Some(count);
        self
    }

    /// How many neurons are shown: those that write longest along their row, and those that write longest against it.
    pub fn neurons(mut self, top: usize, bottom: usize) -> Self {
        self.neurons = Some((top, bottom));
        self
    }

    /// A configuration file: VISIT's or ours. What is set here by other calls wins over it.
    pub fn config(mut self, path: impl AsRef<Path>) -> Self {
        self.config = Some(path.as_ref().to_owned());
        self
    }

    /// How the numbers are made; [`Method::Exact`] unless told.
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// The colours.
    pub fn palette(mut self, palette: Palette) -> Self {
        self.palette = Some(palette);
        self
    }

    /// Builds the graph.
    ///
    /// # Errors
    /// When a layer, position, target or configuration does not fit the model, or the run did not keep a site that
    /// the graph needs (the error names it).
    pub fn build(&self) -> Result<FlowGraph> {
        let model = self.trace.model();
        let family = model.architecture().family;
        let file = self.config.as_deref().map(Config::read).transpose()?;
        let method = self.method.or(file.as_ref().and_then(|file| file.method)).unwrap_or_default();
        let last = model.layers().saturating_sub(1);
        if let Some(layer) = self.layers.iter().find(|&&layer| layer > last) {
            return Err(Error::FlowGraph(format!(
                "layer {layer} does not exist; the model has {} layers (0 to {last})",
                last + 1
            )));
        }
        let position = self.resolved_position()?;
        match method {
            Method::Visit => {
                let config = match file {
                    Some(file) => file.fitted(family)?,
                    None => Config::of_family(family).unwrap_or_default(),
                };
                if Config::of_family(family).is_none() {
                    return Err(Error::FlowGraph(format!(
                        "VISIT has no form for {family} models, only for gpt2, gpt_neo, gptj and llama; \
                         leave out the method visit"
                    )));
                }
                self.build_visit(self.overridden(config)?, position)
            }
            Method::Exact => {
                let config = match file {
                    Some(file) => file.fitted(family)?,
                    None => Config::default(),
                };
                self.build_exact(&config, position)
            }
        }
    }

    fn build_visit(&self, config: Config, position: usize) -> Result<FlowGraph> {
        if self.overview || self.layers.is_empty() {
            return Err(Error::FlowGraph("VISIT draws single layers; name them, e.g. layers([14])".to_owned()));
        }
        let specs = self.targets.clone().unwrap_or_else(|| vec![TargetSpec::Auto]);
        if specs.len() > 1 {
            return Err(Error::FlowGraph(format!("VISIT follows one target, got {}", specs.len())));
        }
        let best = || self.best_token(position);
        let target = specs.first().map(|spec| target::resolve_as_visit(spec, self.trace.model(), best)).transpose()?;
        let lists = match self.chain {
            true => vec![self.layers.clone()],
            false => self.layers.iter().map(|&layer| vec![layer]).collect(),
        };
        let request = visit::Request { trace: self.trace, config: &config, target: target.as_ref(), position };
        let graphs = visit::build(&request, &lists)?;
        let mut meta = self.meta(Method::Visit, position, target.iter().cloned().collect());
        meta.width_means = visit::WIDTHS.to_owned();
        (meta.rank_colors, meta.link_colors) = visit::legends(&request)?;
        Ok(FlowGraph { meta, graphs })
    }

    fn build_exact(&self, config: &Config, position: usize) -> Result<FlowGraph> {
        let mut targets: Vec<Target> = Vec::new();
        let mut notes = Vec::new();
        for spec in self.targets.as_deref().unwrap_or(&[TargetSpec::Auto]) {
            let (target, note) = target::resolve(spec, self.trace.model(), || self.best_token(position))?;
            notes.extend(note);
            if targets.iter().all(|known| known.id != target.id) {
                targets.push(target);
            }
        }
        let extent = if self.overview || self.layers.is_empty() {
            Extent::Overview
        } else if self.chain {
            let mut layers = self.layers.clone();
            layers.sort_unstable();
            layers.dedup();
            Extent::Layers(vec![layers])
        } else {
            Extent::Layers(self.layers.iter().map(|&layer| vec![layer]).collect())
        };
        let scheme = Scheme::new(self.palette.or(config.palette).unwrap_or_default(), config)?;
        let amounts = self.amounts(config)?;
        let request = exact::Request { trace: self.trace, position, targets: &targets, amounts, scheme: &scheme };
        let (graphs, kinds) = exact::build(&request, &extent)?;
        let mut meta = self.meta(Method::Exact, position, targets);
        meta.width_means = exact::WIDTHS.to_owned();
        meta.notes = notes;
        if !meta.targets.is_empty() {
            meta.rank_colors = scheme.rank_legend(self.trace.model().architecture().vocab());
        }
        meta.link_colors = scheme.link_legend(|kind| kinds.contains(&kind));
        Ok(FlowGraph { meta, graphs })
    }

    /// How much to show: the builder's word first, then the configuration's, then what keeps the picture readable.
    fn amounts(&self, config: &Config) -> Result<Amounts> {
        let given = |field: &str, number: i64, usual: usize| match (config.sets(field), usize::try_from(number)) {
            (false, _) => Ok(usual),
            (true, Ok(number)) => Ok(number),
            (true, Err(_)) => Err(Error::FlowGraph(format!("{field} is {number}; write 0 or more"))),
        };
        let heads = match (config.sets("heads"), usize::try_from(config.heads)) {
            (false, _) => Heads::Top(6),
            (true, Ok(count @ 1..)) => Heads::Top(count),
            (true, _) => Heads::All,
        };
        let (top_neurons, bottom_neurons) = match self.neurons {
            Some(counts) => counts,
            None => (given("top_neurons", config.top_neurons, 6)?, given("bottom_neurons", config.bottom_neurons, 4)?),
        };
        Ok(Amounts {
            heads: self.heads.unwrap_or(heads),
            values_per_head: match self.values_per_head {
                Some(count) => count,
                None => given("values_per_head", config.values_per_head, 2)?,
            },
            top_neurons,
            bottom_neurons,
        })
    }

    fn meta(&self, method: Method, position: usize, targets: Vec<Target>) -> Meta {
        let model = self.trace.model();
        let (line, pieces) = match &self.trace.tokens().source {
            Some(source) => (source.text.as_deref(), self.trace.encoder_pieces()),
            None => (self.trace.prompt(), self.trace.pieces()),
        };
        Meta {
            model: model.name().to_owned(),
            family: model.architecture().family.to_owned(),
            method,
            line: line.map_or_else(|| pieces.concat(), str::to_owned),
            tokens: self.trace.pieces(),
            encoder_tokens: self.trace.encoder_pieces(),
            position,
            targets,
            rank_colors: Vec::new(),
            link_colors: Vec::new(),
            width_means: String::new(),
            notes: Vec::new(),
        }
    }

    /// The configuration with what the builder's own calls set.
    fn overridden(&self, mut config: Config) -> Result<Config> {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        match self.heads {
            Some(Heads::All) => config.heads = -1,
            Some(Heads::Top(0)) => return Err(Error::FlowGraph("VISIT cannot show no heads at all".to_owned())),
            Some(Heads::Top(count)) => config.heads = number(count),
            Some(Heads::ByTarget(_)) => {
                return Err(Error::FlowGraph("VISIT chooses heads by norm only; use the exact method".to_owned()));
            }
            None => {}
        }
        if let Some(count) = self.values_per_head {
            config.values_per_head = number(count);
        }
        if let Some((top, bottom)) = self.neurons {
            (config.top_neurons, config.bottom_neurons) = (number(top), number(bottom));
        }
        Ok(config)
    }

    fn resolved_position(&self) -> Result<usize> {
        let count = self.trace.len();
        let place = if self.position < 0 { self.position + count as i64 } else { self.position };
        usize::try_from(place).ok().filter(|&place| place < count).ok_or_else(|| {
            Error::FlowGraph(format!(
                "position {} does not exist; the run has {count} tokens (0 to {}, or -1 for the last)",
                self.position,
                count.saturating_sub(1)
            ))
        })
    }

    /// The token that the model ranks first at a position.
    fn best_token(&self, position: usize) -> Result<u32> {
        let model = self.trace.model();
        let stream = self.trace.tensor(model.last_stream())?.f_get(position as i64)?;
        let reading = model.lens()?.top(1).bottom(0).read(&Array::from_tensor(&stream)?)?;
        reading
            .first()
            .and_then(|reading| reading.top.first())
            .map(|token| token.id)
            .ok_or_else(|| Error::FlowGraph("the model's logits are not numbers at this position".to_owned()))
    }
}
