//! A trace as a safetensors file, for later, for Python and for others.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::Trace;
use super::trace::Record;
use crate::checkpoint::Checkpoint;
use crate::progress::Task;
use crate::site::finite;
use crate::{Array, Error, Input, Model, Result, Site};

impl Trace {
    /// Writes the run to a safetensors file: every kept site under its name (float32) and what the run read (int64,
    /// (T)): `input_ids` and, where given, `attention_mask`, `token_type_ids`, `langs`. In an encoder-decoder, names
    /// start with `encoder.` and `decoder.`, and `decoder_input_ids` are there as well. Where the logits of all
    /// positions were not kept, `last_logits` (1,V) are those of the last.
    ///
    /// The file's metadata holds `model`, `family`, and, where there are any, `text`, `second_text` (where the second of
    /// a pair begins) and `changes` (JSON: what was changed by hand). [`Trace::load`] reads it back.
    ///
    /// # Errors
    /// When the file cannot be written; a file of that name is replaced only by a whole one.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let task = Task::begin("reading the run's numbers", self.sites().len(), "sites");
        let mut arrays = Vec::new();
        for site in self.sites() {
            task.advance()?;
            arrays.push((self.model().site_name(site), self.get(site)?));
        }
        if let (Some(logits), Err(_)) = (self.logits(), self.get(Site::Logits)) {
            arrays.push((LAST_LOGITS.to_owned(), Array::from_tensor(&logits.f_slice(0, -1, None, 1)?)?));
        }
        let tokens = self.tokens();
        let texts = [("text", Some(tokens)), (SOURCE_TEXT, tokens.source.as_deref())];
        let texts = texts.into_iter().filter_map(|(name, tokens)| Some((name, tokens?.text.clone()?)));
        let second = tokens.second.map(|second| (SECOND_TEXT, second.to_string()));
        let changes = match self.changes() {
            [] => None,
            changes => {
                let refused = |problem: serde_json::Error| Error::file(path.as_ref(), problem.to_string());
                Some((CHANGES, serde_json::to_string(changes).map_err(refused)?))
            }
        };
        let known = [("model", self.model().name().to_owned()), ("family", self.family().to_owned())];
        let metadata = known.into_iter().chain(texts).chain(second).chain(changes);
        let metadata = metadata.map(|(name, text)| (name.to_owned(), text)).collect();
        let integers: Vec<_> =
            self.inputs().into_iter().map(|(name, list)| (name.to_owned(), vec![list.len()], list.clone())).collect();
        write(path.as_ref(), &arrays, &integers, metadata)
    }

    /// Reads back what [`save`](Trace::save) wrote, for the model that ran or one of the same architecture.
    ///
    /// ```
    /// # fn main() -> flowlens::Result<()> {
    /// use flowlens::{Model, Site, Trace};
    /// let model = Model::load("tests/fixtures/parity/llama_gqa")?;
    /// let trace = model.run("The capital of Japan is the city of")?;
    /// # let path = std::env::temp_dir().join(format!("flowlens-{}.safetensors", std::process::id()));
    /// trace.save(&path)?;
    /// let again = Trace::load(&path, &model)?;
    /// assert_eq!(again.get(Site::Pattern(1))?, trace.get(Site::Pattern(1))?);
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the file cannot be read, was written by a run of another family, or holds tensors that do not fit the model.
    pub fn load(path: impl AsRef<Path>, model: &Model) -> Result<Trace> {
        let path = path.as_ref();
        let file = Checkpoint::open_tensors(path)?;
        let remarks = file.remarks()?;
        let family = model.architecture().family;
        if let Some(other) = remarks.get("family").filter(|other| *other != family) {
            let problem = format!("is a run of a {other} model, {} is {family}; load the model that ran", model.name());
            return Err(Error::file(path, problem));
        }
        let mut tokens = model.read_tokens(Input::from_file(path)?)?;
        if let Some(source) = &mut tokens.source {
            source.text = remarks.get(SOURCE_TEXT).cloned();
        }
        tokens.text = remarks.get("text").cloned();
        let broken = |what: &str| Error::file(path, format!("{what} cannot be read; save the run again"));
        let second = remarks.get(SECOND_TEXT).map(|place| place.parse::<usize>().map_err(|_| broken(SECOND_TEXT)));
        tokens.second = second.transpose()?.filter(|&place| place < tokens.len());
        let changes = remarks.get(CHANGES).map(|text| serde_json::from_str(text).map_err(|_| broken(CHANGES)));
        let (dtype, device) = (model.dtype(), model.device());
        let mut kept = BTreeMap::new();
        for site in model.sites().into_iter() {
            let name = model.site_name(site);
            if !file.contains(&name) {
                continue;
            }
            let tensor = file.tensor(&name, dtype, device)?;
            let wanted = model.site_shape(site, &tokens);
            if tensor.size() != wanted {
                return Err(Error::site(
                    site,
                    format!(
                        "has shape {:?} in {}, expected {wanted:?}; load the model that ran",
                        tensor.size(),
                        path.display()
                    ),
                ));
            }
            if !model.network().allows_non_finite {
                finite(site, &tensor, || format!("so {} says; run the model again and save it anew", path.display()))?;
            }
            kept.insert(site, tensor);
        }
        let logits = match kept.get(&Site::Logits) {
            Some(logits) => Some(logits.shallow_clone()),
            None if file.contains(LAST_LOGITS) => Some(file.tensor(LAST_LOGITS, dtype, device)?),
            None => None,
        };
        let vocab = model.architecture().vocab() as i64;
        if logits.as_ref().is_some_and(|logits| logits.dim() != 2 || logits.size()[1] != vocab) {
            return Err(Error::tensor(LAST_LOGITS, format!("expected shape (1,{vocab}); save the run again")));
        }
        Ok(Trace::new(
            model.clone(),
            Record { tokens, kept, logits, changes: changes.transpose()?.unwrap_or_default(), ..Record::default() },
        ))
    }

    fn family(&self) -> &'static str {
        self.model().architecture().family
    }
}

const LAST_LOGITS: &str = "last_logits";
const SECOND_TEXT: &str = "second_text";
const SOURCE_TEXT: &str = "source_text";
const CHANGES: &str = "changes";

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
