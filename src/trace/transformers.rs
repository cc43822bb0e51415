//! A trace under the names and shapes that Python `transformers` gives, so that either side can check the other.

use std::collections::HashMap;
use std::path::Path;

use super::Trace;
use super::save::write;
use crate::{Array, Result, Site};

impl Trace {
    /// What was kept, as Python `transformers` returns it: each with a leading axis of 1.
    ///
    /// | name | shape | site |
    /// |---|---|---|
    /// | `logits` | 1,T,V | [`Site::Logits`] |
    /// | `hidden_states.i` | 1,T,D | [`Site::ResidPre`] of layer i; the last one is [`Site::FinalNorm`] |
    /// | `attentions.l` | 1,H,T,T | [`Site::Pattern`] |
    /// | `q.l`, `k.l`, `v.l` | 1,heads,T,d | [`Site::Query`], [`Site::Key`], [`Site::Value`] |
    /// | `mlp_act.l` | 1,T,I | [`Site::Neurons`] |
    ///
    /// The residual stream after the last block is not in Python's list, and here neither.
    ///
    /// # Errors
    /// When a tensor cannot be copied from its device.
    pub fn transformers(&self) -> Result<Vec<(String, Array)>> {
        let layers = self.model().layers();
        self.sites()
            .into_iter()
            .filter_map(|site| Some((name(site, layers)?, site)))
            .map(|(name, site)| {
                let array = self.get(site)?;
                let shape: Vec<usize> = [1].iter().chain(array.shape()).copied().collect();
                Ok((name, Array::new(&shape, array.data().to_vec())?))
            })
            .collect()
    }

    /// Writes [`transformers`](Trace::transformers) and the inputs (`input_ids` and, where given, `attention_mask` and
    /// `token_type_ids`, int64, (1,T)) to a safetensors file.
    ///
    /// # Errors
    /// When the file cannot be written; a file of that name is replaced only by a whole one.
    pub fn save_transformers(&self, path: impl AsRef<Path>) -> Result<()> {
        let tokens = self.tokens();
        let inputs = [
            ("input_ids", Some(&tokens.ids)),
            ("attention_mask", tokens.attention_mask.as_ref()),
            ("token_type_ids", tokens.token_type_ids.as_ref()),
        ];
        let integers: Vec<_> = inputs
            .into_iter()
            .filter_map(|(name, numbers)| Some((name.to_owned(), vec![1, self.len()], numbers?.clone())))
            .collect();
        let metadata = HashMap::from([("family".to_owned(), self.model().architecture().family.to_owned())]);
        write(path.as_ref(), &self.transformers()?, &integers, metadata)
    }
}

/// Python's name of a site, if it has one.
fn name(site: Site, layers: usize) -> Option<String> {
    Some(match site {
        Site::Logits => "logits".to_owned(),
        Site::ResidPre(layer) => format!("hidden_states.{layer}"),
        Site::FinalNorm => format!("hidden_states.{layers}"),
        Site::Pattern(layer) => format!("attentions.{layer}"),
        Site::Query(layer) => format!("q.{layer}"),
        Site::Key(layer) => format!("k.{layer}"),
        Site::Value(layer) => format!("v.{layer}"),
        Site::Neurons(layer) => format!("mlp_act.{layer}"),
        _ => return None,
    })
}
