//! Look inside transformer language models from Rust notebooks.
#![deny(missing_docs)]

// In the notebook kernel a cell links the library that was compiled beforehand, and this crate only hands it on.
// rust-analyzer reads the sources there all the same: docs/prebuilt-engine.md tells how.
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
    pub mod checkpoint;
    pub(crate) mod device;
    pub(crate) mod error;
    pub(crate) mod figure;
    pub(crate) mod files;
    pub mod flow;
    pub mod hub;
    pub mod lens;
    pub mod model;
    pub(crate) mod notebook;
    pub mod prelude;
    pub mod text;
    pub mod trace;

    pub use self::array::Array;
    pub use self::device::{DType, Device};
    pub use self::error::{Error, Result};
    pub use self::figure::{Figure, Gallery};
    pub use self::model::{Input, Model};
    pub use self::trace::{Change, Estimate, Site, Trace};

    pub use ndarray;
    pub use tch;
}
