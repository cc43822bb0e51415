//! Look inside transformer language models from Rust notebooks.
#![deny(missing_docs)]

mod array;
pub mod checkpoint;
mod device;
mod error;
mod figure;
mod files;
pub mod flow;
pub mod hub;
pub mod lens;
pub mod model;
mod notebook;
pub mod text;
pub mod trace;

pub use array::Array;
pub use device::{DType, Device};
pub use error::{Error, Result};
pub use figure::{Figure, Gallery};
pub use model::{Input, Model};
pub use trace::{Change, Estimate, Site, Trace};

pub use ndarray;
pub use tch;
