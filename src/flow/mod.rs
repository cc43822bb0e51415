//! The VISIT flow graph: what attention heads, memories and neurons write into the residual stream, each vector
//! read as vocabulary words.
//!
//! A node is a vector of the model's width at one position of the prompt, read through the final norm and the head as
//! if the model ended there. A link says how it goes on. From left to right, in every block:
//!
//! * the residual stream, and what attention reads of it through a norm;
//! * for each head shown, its *query*; the *keys* it meets, each an earlier position as this head sees it; the *values*
//!   of those positions, times attention; and their sum, what the head writes;
//! * the sum of the heads, added to the stream;
//! * in decoders of encoder-decoders the same for cross attention, whose keys and values are the encoder's positions;
//! * what the MLP reads of it, the rows that decide which *neurons* fire, the rows that those write, and their sum,
//!   added to the stream again.
//!
//! Where a family places its norms otherwise, links lead where its computation leads: past the sublayers, round them
//! or between them. Norms of what a sublayer writes, and those that the stream passes on its way to the logits, act
//! with their scale held fixed at its actual value, so that all of this stays linear and adds up. Models whose head is
//! not linear (masked language models) have no flow graph.
//!
//! A node's colour is the rank of a target token among all words that its vector could say. A link's width is the
//! length of the vector that is added there.
//!
//! [`Method::Exact`] is the default: whatever enters a node adds up to it, and where only some terms of a sum are shown,
//! one more node stands for the others. [`Method::Visit`] gives the numbers of the published tool (Katz & Belinkov,
//! *VISIT*, Findings of EMNLP 2023, arXiv 2305.13417), its mistakes included.
//!
//! ```no_run
//! # fn main() -> flowlens::Result<()> {
//! use flowlens::flow::NodeKind;
//!
//! let model = flowlens::Model::load("smollm2-135m")?;
//! let trace = model.run("The capital of Japan is the city of")?;
//! let graph = trace.flow_graph().layers([23]).target(" Tokyo").build()?;
//!
//! // The head that says most for Tokyo, and the words that it writes.
//! let heads = graph.nodes().filter(|node| node.kind == NodeKind::Head);
//! let best = heads.max_by(|a, b| a.contributions[0].total_cmp(&b.contributions[0])).unwrap();
//! println!("head {:?}: {:?}", best.head, best.reading);
//! graph.save("layer23.html")?;
//! # Ok(()) }
//! ```

mod amounts;
mod batch;
mod builder;
mod exact;
mod graph;
mod sites;
mod style;
mod target;
mod visit;

pub use amounts::Heads;
pub use builder::FlowGraphBuilder;
pub use graph::{
    Facts, Firing, FlowGraph, Graph, Link, LinkKind, Meta, Method, Node, NodeKind, Published, PublishedLegend, Score,
    Skipped, Target,
};
pub use sites::sites;
pub use style::{Palette, Style};
pub use target::TargetSpec;
