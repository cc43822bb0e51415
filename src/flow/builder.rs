//! From a run to a flow graph, option by option.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::amounts::{Amounts, Heads};
use super::exact::{self, Extent};
use super::graph::{FlowGraph, Graph, Meta, Method, Target};
use super::sites;
use super::style::{Palette, Style};
use super::target::{self, TargetSpec};
use super::visit::{self, Config};
use crate::run::Trace;
use crate::{Array, Error, Result, Site, interrupt};

/// Options of a flow graph; made by [`Trace::flow_graph`]. Shows itself in a notebook; [`build`](Self::build) gives the
/// plain data.
#[derive(Debug, Clone)]
#[must_use = "call build() to get the graph"]
pub struct FlowGraphBuilder {
    trace: Trace,
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
    pub fn flow_graph(&self) -> FlowGraphBuilder {
        FlowGraphBuilder {
            trace: self.clone(),
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

impl FlowGraphBuilder {
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

    /// Shows the whole model, for every layer only what attention and the MLP add; not with [`layers`](Self::layers).
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

    /// The sites that this graph is made from, by either method and at any position; [`sites`](super::sites) tells
    /// them before there is a run.
    pub fn sites(&self) -> Vec<Site> {
        match self.is_overview() {
            true => sites::of_overview(self.trace.model()),
            false => sites::sites(self.trace.model(), self.layers.iter().copied()),
        }
    }

    fn is_overview(&self) -> bool {
        self.overview || self.layers.is_empty()
    }

    /// Builds the graph.
    ///
    /// # Errors
    /// When a layer, position, target or configuration does not fit the model, or the run did not keep a site that
    /// the graph needs (the error names it).
    pub fn build(&self) -> Result<FlowGraph> {
        interrupt::during("building the flow graph", || self.build_now())
    }

    fn build_now(&self) -> Result<FlowGraph> {
        let model = self.trace.model();
        let family = model.architecture().family;
        let file = self.config.as_deref().map(Config::read).transpose()?;
        let method = self.method.or(file.as_ref().and_then(|file| file.method)).unwrap_or_default();
        if self.overview && !self.layers.is_empty() {
            return Err(Error::FlowGraph(
                "an overview shows every layer, and layers(..) names some; leave out one of the two".to_owned(),
            ));
        }
        let last = model.layers().saturating_sub(1);
        if let Some(layer) = self.layers.iter().find(|&&layer| layer > last) {
            return Err(Error::FlowGraph(format!(
                "layer {layer} does not exist; the model has {} layers (0 to {last}); name one of them",
                last + 1
            )));
        }
        let position = self.resolved_position()?;
        match method {
            Method::Visit => self.build_visit(self.overridden(Config::published(file, family)?)?, position),
            Method::Exact => {
                let config = file.map_or_else(|| Ok(Config::default()), |file| file.exact(family))?;
                self.build_exact(&config, position)
            }
        }
    }

    fn build_visit(&self, config: Config, position: usize) -> Result<FlowGraph> {
        if self.is_overview() {
            return Err(Error::FlowGraph("VISIT draws single layers; name them, e.g. layers([14])".to_owned()));
        }
        if self.palette.is_some() {
            return Err(Error::FlowGraph(
                "palettes are of the exact method; VISIT takes its colours from a configuration".to_owned(),
            ));
        }
        let specs = self.targets.clone().unwrap_or_else(|| vec![TargetSpec::Auto]);
        if specs.len() > 1 {
            return Err(Error::FlowGraph(format!("VISIT follows one target, got {}; name one", specs.len())));
        }
        let best = || self.best_token(position);
        let target = specs.first().map(|spec| target::resolve_as_visit(spec, self.trace.model(), best)).transpose()?;
        let lists = match self.chain {
            true => vec![self.layers.clone()],
            false => self.layers.iter().map(|&layer| vec![layer]).collect(),
        };
        let request = visit::Request { trace: &self.trace, config: &config, target: target.as_ref(), position };
        let graphs = visit::build(&request, &lists)?;
        let legend = visit::legend(&request)?;
        let targets = target.iter().cloned().collect();
        Ok(FlowGraph { meta: Meta { published: Some(legend), ..self.meta(Method::Visit, position, targets) }, graphs })
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
        let extent = if self.is_overview() {
            Extent::Overview
        } else if self.chain {
            let mut layers = self.layers.clone();
            layers.sort_unstable();
            layers.dedup();
            Extent::Layers(vec![layers])
        } else {
            Extent::Layers(self.layers.iter().map(|&layer| vec![layer]).collect())
        };
        let style = config.style();
        let style = Style { palette: self.palette.unwrap_or(style.palette), ..style };
        let amounts = self.amounts(config)?;
        let request = exact::Request { trace: &self.trace, position, targets: &targets, amounts };
        let graphs = exact::build(&request, &extent)?;
        let partial_tokens = self.partial_tokens(&graphs, &targets);
        let meta = self.meta(Method::Exact, position, targets);
        Ok(FlowGraph { meta: Meta { style, notes, partial_tokens, ..meta }, graphs })
    }

    /// How much to show: the builder's word first, then the configuration's.
    fn amounts(&self, config: &Config) -> Result<Amounts> {
        let amounts = config.amounts()?;
        let (top_neurons, bottom_neurons) = self.neurons.unwrap_or((amounts.top_neurons, amounts.bottom_neurons));
        Ok(Amounts {
            heads: self.heads.unwrap_or(amounts.heads),
            values_per_head: self.values_per_head.unwrap_or(amounts.values_per_head),
            top_neurons,
            bottom_neurons,
        })
    }

    /// What stands for the tokens of a graph that are no whole characters by themselves.
    fn partial_tokens(&self, graphs: &[Graph], targets: &[Target]) -> BTreeMap<u32, String> {
        let Some(tokenizer) = self.trace.model().tokenizer() else { return BTreeMap::new() };
        let nodes = graphs.iter().flat_map(|graph| &graph.nodes).filter_map(|node| node.reading.as_ref());
        let skipped = graphs.iter().flat_map(|graph| &graph.links).filter_map(|link| link.skipped.as_ref());
        let readings = nodes.chain(skipped.map(|skipped| &skipped.reading));
        let of_words = readings.flat_map(|reading| reading.top.iter().chain(&reading.bottom));
        let ids = of_words.filter(|token| token.text.contains('\u{fffd}')).map(|token| token.id);
        let others = self.trace.ids().into_iter().chain(self.trace.encoder_ids());
        let others = others.chain(targets.iter().map(|target| target.id));
        let others = others.filter(|&id| tokenizer.piece(id).contains('\u{fffd}'));
        ids.chain(others).map(|id| (id, tokenizer.shown(id))).collect()
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
            vocabulary: model.architecture().vocab(),
            method,
            line: line.map_or_else(|| pieces.concat(), str::to_owned),
            token_ids: self.trace.ids(),
            tokens: self.trace.pieces(),
            encoder_token_ids: self.trace.encoder_ids(),
            encoder_tokens: self.trace.encoder_pieces(),
            partial_tokens: BTreeMap::new(),
            position,
            targets,
            style: Style::default(),
            notes: Vec::new(),
            published: None,
        }
    }

    /// The configuration with what the builder's own calls set.
    fn overridden(&self, mut config: Config) -> Result<Config> {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        match self.heads {
            Some(Heads::All) => config.heads = -1,
            Some(Heads::Top(0)) => {
                return Err(Error::FlowGraph("VISIT cannot show no heads at all; ask for one or more".to_owned()));
            }
            Some(Heads::Top(count)) => config.heads = number(count),
            Some(Heads::ByTarget(_)) => {
                return Err(Error::FlowGraph(
                    "VISIT chooses heads by norm only; use Heads::Top(..), or leave out the method visit".to_owned(),
                ));
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
                "position {} does not exist; the run has {count} tokens: write 0 to {}, or -1 for the last",
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
            .ok_or_else(|| Error::FlowGraph("the model's logits are not numbers at this position, so there is no best token to follow; name a target, or \
                     no_target()".to_owned()))
    }
}
