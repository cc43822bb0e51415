//! A trace under the names and shapes that Python `transformers` gives, so that either side can check the other.

use std::collections::HashMap;
use std::path::Path;

use super::Trace;
use super::save::write;
use crate::site::Part;
use crate::{Array, Model, Result, Site};

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
    /// In an encoder-decoder the names start with `encoder_`, `decoder_` and `cross_`. The residual stream after the
    /// last block is not in Python's list, so it is not here either.
    ///
    /// # Errors
    /// When a tensor cannot be copied from its device.
    pub fn transformers(&self) -> Result<Vec<(String, Array)>> {
        self.sites()
            .into_iter()
            .filter_map(|site| Some((self.model().python_name(site)?, site)))
            .map(|(name, site)| {
                let array = self.get(site)?;
                let shape: Vec<usize> = [1].iter().chain(array.shape()).copied().collect();
                Ok((name, Array::new(&shape, array.data().to_vec())?))
            })
            .collect()
    }

    /// Writes [`transformers`](Trace::transformers) and the inputs (`input_ids` and, where given, `attention_mask`,
    /// `token_type_ids`, `langs` and `decoder_input_ids`, int64, (1,T)) to a safetensors file.
    ///
    /// # Errors
    /// When the file cannot be written; a file of that name is replaced only by a whole one.
    pub fn save_transformers(&self, path: impl AsRef<Path>) -> Result<()> {
        let inputs = self.inputs().into_iter();
        let integers: Vec<_> =
            inputs.map(|(name, numbers)| (name.to_owned(), vec![1, numbers.len()], numbers.clone())).collect();
        let metadata = HashMap::from([("family".to_owned(), self.model().architecture().family.to_owned())]);
        write(path.as_ref(), &self.transformers()?, &integers, metadata)
    }

    /// What the run read, under Python's names.
    pub(crate) fn inputs(&self) -> Vec<(&'static str, &Vec<i64>)> {
        let main = self.tokens();
        let first = main.source.as_deref().unwrap_or(main);
        let decoder = main.source.is_some().then_some(main);
        let inputs = [
            ("input_ids", Some(&first.ids)),
            ("attention_mask", first.attention_mask.as_ref()),
            ("token_type_ids", first.token_type_ids.as_ref()),
            ("langs", first.languages.as_ref()),
            ("decoder_input_ids", decoder.map(|tokens| &tokens.ids)),
            ("decoder_attention_mask", decoder.and_then(|tokens| tokens.attention_mask.as_ref())),
        ];
        inputs.into_iter().filter_map(|(name, numbers)| Some((name, numbers?))).collect()
    }
}

impl Model {
    /// The sites that Python `transformers` returns as well: those of [`Trace::transformers`].
    pub fn sites_of_transformers(&self) -> Vec<Site> {
        self.sites().into_iter().filter(|&site| self.python_name(site).is_some()).collect()
    }

    /// Python's name of a site, if it has one.
    fn python_name(&self, site: Site) -> Option<String> {
        let (prefix, layers) = match (site.part(), &self.architecture().encoder) {
            (Part::Encoder, _) => ("encoder_", self.encoder_layers()),
            (Part::Cross, _) => ("cross_", self.layers()),
            (Part::Main, Some(_)) => ("decoder_", self.layers()),
            (Part::Main, None) => ("", self.layers()),
        };
        let name = match site.plain() {
            Site::Logits => return Some("logits".to_owned()),
            Site::ResidPre(layer) => format!("hidden_states.{layer}"),
            Site::FinalNorm => format!("hidden_states.{layers}"),
            Site::Pattern(layer) => format!("attentions.{layer}"),
            Site::Query(layer) => format!("q.{layer}"),
            Site::Key(layer) => format!("k.{layer}"),
            Site::Value(layer) => format!("v.{layer}"),
            Site::Neurons(layer) => format!("mlp_act.{layer}"),
            Site::ExpertWeights(layer) => format!("expert_weights.{layer}"),
            _ => return None,
        };
        Some(format!("{prefix}{name}"))
    }
}
