//! Look inside transformer language models from Rust notebooks.
//!
//! A [`Model`] is loaded from a folder, a GGUF file or the Hugging Face Hub and computes on libtorch. Running a prompt
//! gives a [`Trace`]: the tokens, what the model said next, and the tensors of every [`Site`] on the way (or of those
//! that you asked to keep). From a trace come the analyses, as plain data that you can compute with: a [`lens`] reads
//! vectors as vocabulary words, a [`flow::FlowGraph`] says what heads, memories and neurons write into the residual
//! stream, an [`attention::Attention`] holds where the heads look. And each of them draws itself as a [`Figure`],
//! inline in a notebook or saved as a page.
//!
//! ```text
//! text --tokens--> Model --(watched)--> Trace --lens, flow, attention--> Figure --> notebook | file
//! ```
//!
//! Everything goes in that direction, and each module knows only what is to its left: [`hub`] finds the files of a
//! name, [`checkpoint`] gives their tensors, [`model`] turns them into something that computes, [`run`] keeps and
//! changes, [`lens`], [`flow`] and [`attention`] analyse, figures draw.
//!
//! # From a prompt to a graph
//!
//! ```
//! use flowlens::prelude::*;
//!
//! # fn main() -> flowlens::Result<()> {
//! // A tiny model with random weights, so that this runs anywhere. For real use: Model::load("smollm2-135m")?
//! let model = Model::load("tests/fixtures/parity/llama_gqa")?;
//! let trace = model.run("The capital of Japan is the city of")?;
//!
//! // What was seen: a pattern for each of 6 heads, every row a distribution over positions.
//! let pattern = trace.get(Site::Pattern(1))?;
//! assert_eq!(pattern.shape(), [6, trace.len(), trace.len()]);
//! let row: f32 = pattern.row(2).unwrap().row(5).unwrap().data().iter().sum();
//! assert!((row - 1.0).abs() < 1e-5);
//!
//! // What it means in words: the stream after each layer, read through the final norm and the head. The last layer's
//! // reading is the model's own answer.
//! let stream = trace.get(Site::ResidPost(2))?;
//! let answer = &model.lens()?.read(&stream)?[trace.len() - 1].top[0];
//! assert_eq!(answer.id, trace.next_tokens(1)?[0].id);
//!
//! // What flowed: layer 1 as a graph whose every fan-in adds up. In a notebook it shows itself.
//! let graph = trace.flow_graph().layers([1]).build()?;
//! let writes = graph.nodes().filter(|node| node.kind == flowlens::flow::NodeKind::Head).count();
//! assert!(writes > 0);
//!
//! // What caused it: the same run with one head silenced.
//! let without = model.watch("The capital of Japan is the city of").change(Change::zero_head(1, 2)).run()?;
//! assert_ne!(without.get(Site::Logits)?, trace.get(Site::Logits)?);
//! # Ok(()) }
//! ```
//!
//! # What is promised
//!
//! * **One way for every family.** Decoders, encoders and encoder-decoders ([`Seq2Seq`]) are data for the same maths; what
//!   a [`Site`] means does not depend on the family.
//! * **The numbers are those of Python's `transformers`** in float32 with eager attention, to 1e-4 at every site of
//!   every family; tests compare them, checkpoint by checkpoint. An option of a `config.json` that changes numbers is
//!   honoured or refused by name, never ignored.
//! * **Watching changes nothing.** A plain run and a watched run go through the same code; a site that is kept is not
//!   copied. What a run would keep can be found out beforehand ([`Model::estimate`]).
//! * **Bad input is an error that says what to do**: see [`Error`]. Files are hostile until checked, no pickle is
//!   executed, token text is escaped wherever it is drawn.
//!
//! What is *not* promised: that an attention pattern explains an answer, or that the words a vector is nearest to are
//! what it means. Silence the head ([`Change`]) and see.
#![deny(missing_docs)]

// In the notebook kernel a cell links the library that was compiled beforehand, and this crate only hands it on.
// rust-analyzer reads the sources there all the same: docs/kernel.md tells how.
#[cfg(all(flowlens_prebuilt, not(flowlens_stale), not(rust_analyzer)))]
pub use flowlens_engine::*;
#[cfg(all(flowlens_stale, not(rust_analyzer)))]
compile_error!(env!("FLOWLENS_STALE"));

#[cfg(any(not(flowlens_prebuilt), rust_analyzer))]
pub use rooms::*;

// All modules stand in here only so that one condition covers them: `crate::model` and `flowlens::model` are their names.
#[cfg(any(not(flowlens_prebuilt), rust_analyzer))]
#[path = ""]
mod rooms {
    pub(crate) mod array;
    pub mod attention;
    pub mod cache;
    pub mod check;
    pub mod checkpoint;
    pub(crate) mod colors;
    pub(crate) mod device;
    pub(crate) mod display;
    pub(crate) mod error;
    pub mod experiment;
    pub(crate) mod figure;
    pub mod files;
    pub mod flow;
    pub mod hub;
    pub mod interrupt;
    pub mod lens;
    pub mod model;
    pub(crate) mod notebook;
    pub mod prelude;
    pub mod progress;
    pub mod run;
    pub mod site;
    pub mod text;
    pub mod trajectory;

    pub use self::array::Array;
    pub use self::device::{DType, Device};
    pub use self::display::{Show, display};
    pub use self::error::{Error, Result};
    pub use self::figure::{Export, Figure, Gallery};
    pub use self::model::{Input, Model, Seq2Seq};
    pub use self::run::{Change, Estimate, Trace};
    pub use self::site::Site;

    pub use ndarray;
    pub use tch;
}
