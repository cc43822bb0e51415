//! A trace as a safetensors file, for Python and others.

use std::collections::HashMap;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::Trace;
use crate::{Array, Error, Result};

impl Trace {
    /// Writes every kept site under its name (float32), and `input_ids` (int64, (T)), to a safetensors file. Of an
    /// encoder-decoder names start with `encoder.` and `decoder.`, and `decoder_input_ids` are there as well.
    ///
    /// The file's metadata holds `model`, `family` and, where a text was given, `text`.
    ///
    /// # Errors
    /// When the file cannot be written; a file of that name is replaced only by a whole one.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut arrays = Vec::new();
        for site in self.sites() {
            arrays.push((self.model().site_name(site), self.get(site)?));
        }
        let mut metadata = HashMap::from([
            ("model".to_owned(), self.model().name().to_owned()),
            ("family".to_owned(), self.model().architecture().family.to_owned()),
        ]);
        if let Some(text) = self.prompt() {
            metadata.insert("text".to_owned(), text.to_owned());
        }
        let ids: Vec<_> = self
            .inputs()
            .into_iter()
            .filter(|(name, _)| name.ends_with("input_ids"))
            .map(|(name, ids)| (name.to_owned(), vec![ids.len()], ids.clone()))
            .collect();
        write(path.as_ref(), &arrays, &ids, metadata)
    }
}

/// Writes float32 arrays and int64 lists (name, shape, numbers) to a safetensors file, whole or not at all.
pub(crate) fn write(
    path: &Path,
    arrays: &[(String, Array)],
    integers: &[(String, Vec<usize>, Vec<i64>)],
    metadata: HashMap<String, String>,
) -> Result<()> {
    let little_endian: Vec<(&str, Dtype, Vec<usize>, Vec<u8>)> = arrays
        .iter()
        .map(|(name, array)| {
            let bytes = array.data().iter().flat_map(|number| number.to_le_bytes()).collect();
            (name.as_str(), Dtype::F32, array.shape().to_vec(), bytes)
        })
        .chain(integers.iter().map(|(name, shape, numbers)| {
            let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            (name.as_str(), Dtype::I64, shape.clone(), bytes)
        }))
        .collect();
    let broken = |problem: safetensors::SafeTensorError| Error::file(path, problem.to_string());
    let views = little_endian
        .iter()
        .map(|(name, dtype, shape, bytes)| Ok((*name, TensorView::new(*dtype, shape.clone(), bytes).map_err(broken)?)))
        .collect::<Result<Vec<_>>>()?;
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(broken)?;
    crate::files::write_whole(path, &bytes)
}
