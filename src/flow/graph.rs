//! The graph as plain data: nodes are vectors, links say how much of one goes into another.

use std::collections::BTreeMap;

use super::style::Style;
use crate::lens::Reading;
use crate::{Error, Result, Site};

/// How the numbers of a graph were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// Exact: every fan-in adds up, directions on the right axis, rotation undone, signs kept.
    #[default]
    Exact,
    /// As VISIT published it, its mistakes included, for comparison with the paper's tool.
    Visit,
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Method::Exact => "exact",
            Method::Visit => "visit",
        })
    }
}

impl std::str::FromStr for Method {
    type Err = Error;

    /// Reads `exact` and `visit`.
    fn from_str(text: &str) -> Result<Method> {
        match text {
            "exact" => Ok(Method::Exact),
            "visit" => Ok(Method::Visit),
            _ => Err(Error::FlowGraph(format!("{text:?} is no method; write exact or visit"))),
        }
    }
}

/// A token whose fate the graph follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Token id.
    pub id: u32,
    /// The token as text.
    pub text: String,
}

/// What a graph was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Meta {
    /// Name of the model.
    pub model: String,
    /// Family, e.g. `llama`.
    pub family: String,
    /// Entries of the vocabulary, among which ranks are counted.
    pub vocabulary: usize,
    /// How the numbers were made.
    pub method: Method,
    /// The prompt; in an encoder-decoder what the encoder read.
    pub line: String,
    /// Ids of the run's tokens.
    pub token_ids: Vec<u32>,
    /// The run's tokens, as text; the decoder's in an encoder-decoder.
    pub tokens: Vec<String>,
    /// Ids of the tokens that the encoder of an encoder-decoder read.
    pub encoder_token_ids: Vec<u32>,
    /// The same tokens as text; empty where there is no encoder.
    pub encoder_tokens: Vec<String>,
    /// What stands for tokens that are no whole characters by themselves: their text with U+FFFD in it, by id, as
    /// bytes (`<E6 97>`).
    pub partial_tokens: BTreeMap<u32, String>,
    /// The position that the graph is about.
    pub position: usize,
    /// The tokens whose rank colours the nodes; the first one leads.
    pub targets: Vec<Target>,
    /// The colours that were asked for.
    pub style: Style,
    /// What a reader should know beside the picture, e.g. that a target is more than one token.
    pub notes: Vec<String>,
    /// The published method's own legend.
    pub published: Option<PublishedLegend>,
}

/// The legend of a graph as VISIT published it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PublishedLegend {
    /// Node colours with their meaning, best rank first; empty without a target.
    pub rank_colors: Vec<(String, String)>,
    /// Link colours with their meaning.
    pub link_colors: Vec<(String, String)>,
    /// What the width of a link says.
    pub width_means: String,
}

/// What a node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeKind {
    /// The residual stream before, inside or after a block.
    Resid,
    /// The residual stream as it goes on through a norm, in blocks that norm the stream itself (post-norm).
    NormedResid,
    /// Output of a norm: what attention or the MLP reads.
    Normed,
    /// Queries, keys and values before the split into heads (VISIT's form).
    Qkv,
    /// A head's query, as a direction of the stream.
    Query,
    /// A memory key: an earlier position as this head sees it.
    Key,
    /// A memory value: what that position would write.
    Value,
    /// What a head writes.
    Head,
    /// The heads side by side before the output matrix (VISIT's form).
    Concat,
    /// A row of the output matrix (VISIT's form).
    OutputRow,
    /// What attention writes.
    AttnOut,
    /// A neuron's row of the first matrix: what it looks for.
    NeuronKey,
    /// A neuron's row of the gate.
    NeuronGate,
    /// A neuron's row of the second matrix: what it writes.
    NeuronValue,
    /// What the MLP writes.
    MlpOut,
    /// A query of cross attention, as a direction of the encoder's output.
    CrossQuery,
    /// A key of cross attention: a position of the encoder as this head sees it.
    CrossKey,
    /// A value of cross attention: what that position of the encoder would write.
    CrossValue,
    /// What a head of cross attention writes.
    CrossHead,
    /// What cross attention writes.
    CrossOut,
    /// A bias.
    Bias,
    /// The rest of a sum of which only the largest terms are shown.
    Remainder,
}

/// A vector of the model's width and how it reads as words.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Unique in its graph and stable from run to run, e.g. `blocks.3.attn.head.7.query`.
    pub id: String,
    /// What the node stands for.
    pub kind: NodeKind,
    /// The layer it belongs to.
    pub layer: usize,
    /// The head, for parts of a head.
    pub head: Option<usize>,
    /// The position that a memory comes from; the encoder's in cross attention.
    pub source_position: Option<usize>,
    /// The neuron.
    pub neuron: Option<usize>,
    /// Column from left to right: the order of the computation.
    pub column: usize,
    /// The site whose vector it is, where it is one's.
    pub site: Option<Site>,
    /// The site that it is or that it is added into, for terms of the residual stream.
    pub part_of: Option<Site>,
    /// Euclidean length of the vector.
    pub norm: f64,
    /// The vector read as words.
    pub reading: Option<Reading>,
    /// What this node, as it is added, puts directly onto the logit of each target (the scale of the final norm, and
    /// of norms that the stream passes before it, frozen; before a soft cap). Empty where the node is not a term of
    /// the residual stream, or without a target.
    pub contributions: Vec<f64>,
    /// The same for the average token: what raises all logits alike changes no probability.
    pub average_contribution: Option<f64>,
    /// The numbers behind it.
    pub facts: Facts,
    /// What the published method writes; the exact one leaves words and colours to the figure.
    pub published: Option<Published>,
}

/// A node or link as VISIT's own tool writes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// Short text beside a node; empty for a link.
    pub label: String,
    /// Colour.
    pub color: String,
    /// Lines of the hover text, raw: whoever draws them escapes them.
    pub hover: Vec<String>,
}

/// Numbers behind a node, beside its vector.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Facts {
    /// None.
    #[default]
    Plain,
    /// Of what a sublayer writes, where its parts are not shown: the site that it reads.
    Reads(Site),
    /// Of what a head writes.
    Head {
        /// Whether it passes a norm before it is added, whose scale is held fixed.
        normed: bool,
    },
    /// Of a key.
    Key(Score),
    /// Of a value.
    Value {
        /// The attention that it gets: what the vector is multiplied with.
        attention: f64,
        /// Length of what is added then.
        added: f64,
    },
    /// Of a neuron's rows.
    Neuron(Firing),
    /// Of what an MLP with experts writes: those that are used and how much they count, the most first; the one that
    /// all tokens use as `None`.
    Experts(Vec<(Option<usize>, f64)>),
    /// Of the rest of a layer's heads.
    OtherHeads(Vec<usize>),
    /// Of the rest of a head's memories.
    OtherMemories {
        /// How many.
        count: usize,
        /// The attention that they get in all.
        attention: f64,
    },
    /// Of the rest of an MLP's neurons: how many.
    OtherNeurons(usize),
    /// Of what was changed by hand in the run.
    Change,
}

/// How a key comes to its attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Attention probability.
    pub attention: f64,
    /// What attention reads, along this key's direction.
    pub along: f64,
    /// What biases add to that.
    pub offset: f64,
    /// What their sum is multiplied with: that is the score from content.
    pub scale: f64,
    /// What positions add to it, where they do.
    pub by_position: Option<f64>,
    /// The cap that it is held below, where there is one.
    pub soft_cap: Option<f64>,
}

impl Score {
    /// The part of the score that comes from content.
    pub fn content(&self) -> f64 {
        self.scale * (self.along + self.offset)
    }

    /// The score: a softmax over those of all keys that are seen gives attention.
    pub fn score(&self) -> f64 {
        let score = self.content() + self.by_position.unwrap_or_default();
        self.soft_cap.map_or(score, |cap| cap * (score / cap).tanh())
    }
}

/// How a neuron fires.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Firing {
    /// Its expert (`None` for the one that all tokens use) and its number there, where the MLP has experts.
    pub expert: Option<(Option<usize>, usize)>,
    /// What its row is multiplied with.
    pub activation: f64,
    /// What the first matrix gives, bias included, before the activation function; in gated MLPs the up projection.
    pub pre: f64,
    /// The gate, opened by its activation function, where there is one.
    pub gate: Option<f64>,
    /// How much its expert counts, where there are experts.
    pub share: Option<f64>,
    /// Length of what it adds.
    pub added: f64,
    /// Whether that passes a norm before it is added, whose scale is held fixed.
    pub normed: bool,
}

/// What a link says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkKind {
    /// Through a norm.
    Norm,
    /// Past a sub-block, unchanged.
    Residual,
    /// How strongly a query meets a key: an attention probability.
    Score,
    /// An activation that promotes what it writes.
    Promote,
    /// An activation that suppresses what it writes.
    Suppress,
    /// A vector added into a sum.
    Add,
    /// A bias added into a sum.
    Bias,
    /// Layers that were left out between two shown ones.
    Skip,
    /// Drawn for the order only, carries nothing.
    Invisible,
}

/// How one node goes into another.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Index of the node it leaves.
    pub source: usize,
    /// Index of the node it enters.
    pub target: usize,
    /// What the link says.
    pub kind: LinkKind,
    /// Drawn width, never negative.
    pub weight: f64,
    /// The exact number behind the width, with its sign.
    pub value: f64,
    /// How much of the node that it enters this term makes, of terms that add up to one: the shares of all are 1.
    pub share: Option<f64>,
    /// What the link itself carries, of [`LinkKind::Skip`].
    pub skipped: Option<Skipped>,
    /// What the published method writes.
    pub published: Option<Published>,
}

/// What layers that are not shown add together.
#[derive(Debug, Clone, PartialEq)]
pub struct Skipped {
    /// The first and the last of them.
    pub layers: (usize, usize),
    /// What they add, read as words.
    pub reading: Reading,
    /// What that puts onto the logit of each target.
    pub contributions: Vec<f64>,
    /// The same for the average token.
    pub average_contribution: Option<f64>,
    /// Whether something was changed by hand in them in this run.
    pub changed: bool,
}

/// One connected graph: a layer, or a chain of layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// The layers that are shown.
    pub layers: Vec<usize>,
    /// The vectors.
    pub nodes: Vec<Node>,
    /// How they go into one another.
    pub links: Vec<Link>,
}

/// A flow graph: one [`Graph`] for each layer asked for, or one for the whole chain.
///
/// Shows itself in a notebook; [`nodes`](FlowGraph::nodes) and [`links`](FlowGraph::links) give the numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowGraph {
    /// What it was made from.
    pub meta: Meta,
    /// The graphs.
    pub graphs: Vec<Graph>,
}

impl FlowGraph {
    /// The vectors of all graphs, graph by graph.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.graphs.iter().flat_map(|graph| &graph.nodes)
    }

    /// The links of all graphs, graph by graph; indices count within the link's own graph.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.graphs.iter().flat_map(|graph| &graph.links)
    }
}
