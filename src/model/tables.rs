//! What is stored in a model rather than computed: its token table and the vectors of its neurons, as numbers.

use super::Model;
use crate::{Array, Error, Result};

/// The vectors of the neurons of one layer, row by row: row i of each is neuron i's.
///
/// A neuron of a gated MLP compares what the MLP reads with two vectors, its gate row and its up row; its activation is
/// the product of the two results, the first through the activation function. Without a gate there is the up row alone.
/// Its activation times its down row is what it writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Neurons {
    /// Gate rows (I,D), in gated MLPs.
    pub gate: Option<Array>,
    /// Up rows (I,D): the rows of the first matrix.
    pub up: Array,
    /// Down rows (I,D): what each neuron writes at an activation of 1, columns of the second matrix.
    pub down: Array,
}

impl Model {
    /// The token table (V,E): one row for each entry of the vocabulary, as the checkpoint has it; before the scale that
    /// some families multiply it with. The decoder's in an encoder-decoder. A copy as float32.
    ///
    /// ```
    /// # fn main() -> flowlens::Result<()> {
    /// use flowlens::{Model, Site};
    /// let model = Model::load("tests/fixtures/parity/llama_gqa")?;
    /// let table = model.token_table()?;
    /// let trace = model.run("one two three")?;
    /// assert_eq!(trace.get(Site::Embedding)?.row(1), table.row(trace.ids()[1] as usize));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When memory for the copy runs out.
    pub fn token_table(&self) -> Result<Array> {
        Array::from_tensor(&self.stack().embedding.tokens)
    }

    /// Rows of the token table (n,E).
    pub(crate) fn token_rows(&self, ids: &[u32]) -> Result<Array> {
        let table = &self.stack().embedding.tokens;
        if let Some(id) = ids.iter().find(|&&id| i64::from(id) >= table.size()[0]) {
            return Err(Error::Input(format!("token {id} is outside the table of {} rows", table.size()[0])));
        }
        let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let ids = tch::Tensor::f_from_slice(&ids)?.f_to_device(table.device())?;
        Array::from_tensor(&table.f_index_select(0, &ids)?)
    }

    /// The vectors of the neurons of a layer; the decoder's in an encoder-decoder, and those of all experts side by side
    /// where there are experts. A copy as float32.
    ///
    /// ```
    /// # fn main() -> flowlens::Result<()> {
    /// use flowlens::Model;
    /// let model = Model::load("tests/fixtures/parity/llama_gqa")?;
    /// let neurons = model.neurons(1)?;
    /// assert_eq!(neurons.down.shape(), neurons.up.shape());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When there is no such layer.
    pub fn neurons(&self, layer: usize) -> Result<Neurons> {
        if layer >= self.layers() {
            let last = self.layers().saturating_sub(1);
            return Err(Error::Input(format!(
                "there is no layer {layer}; {} has {} (0 to {last})",
                self.name(),
                self.layers()
            )));
        }
        let mlp = &self.stack().block(layer).mlp;
        Ok(Neurons {
            gate: mlp.gate.as_ref().map(|gate| Array::from_tensor(&gate.weight)).transpose()?,
            up: Array::from_tensor(&mlp.up.weight)?,
            down: Array::from_tensor(&mlp.down.weight.f_tr()?)?,
        })
    }
}
