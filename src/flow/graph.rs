//! The graph as plain data: nodes are vectors, links say how much of one goes into another.

use crate::lens::Reading;
use crate::{Error, Result};

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
    /// How the numbers were made.
    pub method: Method,
    /// The prompt; in an encoder-decoder what the encoder read.
    pub line: String,
    /// The run's tokens, as text; the decoder's in an encoder-decoder.
    pub tokens: Vec<String>,
    /// The tokens that the encoder of an encoder-decoder read, as text; empty elsewhere.
    pub encoder_tokens: Vec<String>,
    /// The position that the graph is about.
    pub position: usize,
    /// The tokens whose rank colours the nodes; the first one leads.
    pub targets: Vec<Target>,
    /// Node colours with their meaning, best rank first: what the legend shows. Empty without a target.
    pub rank_colors: Vec<(String, String)>,
    /// Link colours with their meaning.
    pub link_colors: Vec<(String, String)>,
    /// What the width of a link says.
    pub width_means: String,
    /// What a reader should know beside the picture, e.g. that a target is more than one token.
    pub notes: Vec<String>,
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
    /// Short text beside the node: its first word.
    pub label: String,
    /// CSS colour.
    pub color: String,
    /// Lines of the hover text, raw: whoever draws them escapes them.
    pub hover: Vec<String>,
    /// Euclidean length of the vector.
    pub norm: f64,
    /// The vector read as words.
    pub reading: Option<Reading>,
    /// What this node, as it is added, puts directly onto the logit of each target (the scale of the final norm, and of
    /// norms that the stream passes before it, frozen; before a soft cap). Empty where the node is not a term of the residual stream, or without a target.
    pub contributions: Vec<f64>,
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
    /// CSS colour.
    pub color: String,
    /// Hover text, raw.
    pub hover: String,
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
