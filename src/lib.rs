//! Look inside transformer language models from Rust notebooks.
#![deny(missing_docs)]

mod array;
pub mod checkpoint;
mod device;
mod error;
pub mod flow;
pub mod lens;
pub mod text;
pub mod trace;

pub use array::Array;
pub use device::{DType, Device};
pub use error::{Error, Result};
pub use trace::Site;

pub use ndarray;
pub use tch;
