//! Tensors of a checkpoint by the names of an architecture, in the type and on the device of the run.

use tch::Tensor;

use crate::checkpoint::Checkpoint;
use crate::{DType, Device, Error, Result};

/// Looks tensors up for one model.
pub(crate) struct Weights<'a> {
    pub checkpoint: &'a Checkpoint,
    /// What names carry in files of the whole model and lack in files of the bare one.
    pub prefix: &'a str,
    pub dtype: DType,
    pub device: Device,
}

impl Weights<'_> {
    /// The name as this file spells it, if it has the tensor.
    pub(crate) fn find(&self, name: &str) -> Option<String> {
        let long = format!("{}{name}", self.prefix);
        if self.checkpoint.contains(&long) {
            return Some(long);
        }
        self.checkpoint.contains(name).then(|| name.to_owned())
    }

    /// The tensor, which must have this shape.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let name = self.find(name).ok_or_else(|| {
            Error::tensor(
                format!("{}{name}", self.prefix),
                format!(
                    "not in {}; the file does not belong to its config.json, or a part is missing",
                    self.checkpoint.path().display()
                ),
            )
        })?;
        let found = self.checkpoint.shape(&name).unwrap_or_default();
        if found != shape {
            return Err(Error::tensor(name, format!("has shape {found:?}, config.json asks for {shape:?}")));
        }
        self.checkpoint.tensor(&name, self.dtype, self.device)
    }
}
