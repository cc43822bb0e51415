//! The VISIT flow graph: what attention heads, memories and neurons write into the residual stream, each vector
//! read as vocabulary words.

mod batch;
mod builder;
mod colors;
mod config;
mod exact;
mod graph;
mod json;
mod palette;
mod python;
mod target;
mod visit;

pub use builder::{FlowGraphBuilder, Heads};
pub use graph::{FlowGraph, Graph, Link, LinkKind, Meta, Method, Node, NodeKind, Target};
pub use palette::Palette;
pub use target::TargetSpec;
