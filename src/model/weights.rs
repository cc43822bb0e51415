//! Tensors of a checkpoint by the names of an architecture, in the type and on the device of the run.

use tch::Tensor;

use super::architecture::Table;
use crate::checkpoint::Checkpoint;
use crate::progress::Task;
use crate::{DType, Device, Error, Result};

/// Looks tensors up for one model.
pub(crate) struct Weights<'a> {
    pub checkpoint: &'a Checkpoint,
    /// What names carry in files of the whole model and lack in files of the bare one.
    pub prefix: &'a str,
    pub dtype: DType,
    pub device: Device,
    /// Told of every tensor.
    pub task: Option<&'a Task>,
}

impl Weights<'_> {
    /// The name as this file spells it, if it has the tensor: with the prefix or without, and in files that began
    /// as TensorFlow's with `gamma` and `beta` for a norm's gain and bias.
    pub(crate) fn find(&self, name: &str) -> Option<String> {
        let old = match (name.strip_suffix("LayerNorm.weight"), name.strip_suffix("LayerNorm.bias")) {
            (Some(start), _) => Some(format!("{start}LayerNorm.gamma")),
            (_, Some(start)) => Some(format!("{start}LayerNorm.beta")),
            _ => None,
        };
        let spellings = [Some(name.to_owned()), old].into_iter().flatten();
        let with_prefix = |name: String| [format!("{}{name}", self.prefix), name];
        spellings.flat_map(with_prefix).find(|name| self.checkpoint.contains(name))
    }

    /// The rows of a table.
    pub(crate) fn table(&self, table: &Table) -> Result<Tensor> {
        self.tensor(&format!("{}.weight", table.name), &[table.rows, table.width])
    }

    /// Whether the file has the table.
    pub(crate) fn has_table(&self, table: &Table) -> bool {
        self.find(&format!("{}.weight", table.name)).is_some()
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
            return Err(Error::tensor(
                name,
                format!("has shape {found:?}, config.json asks for {shape:?}; give the two that belong together"),
            ));
        }
        self.task.map_or(Ok(()), Task::advance)?;
        self.checkpoint.tensor(&name, self.dtype, self.device)
    }
}
