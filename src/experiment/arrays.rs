//! Every experiment's arrays under the names of a published reference, so that either side can check the other.

use std::collections::HashMap;
use std::path::Path;

use super::pairs::{Case, Pairs};
use super::{Ablation, By, Metric};
use crate::model::{Input, Tokens};
use crate::run::write;
use crate::site::Site;
use crate::{Array, Error, Result, interrupt};

/// Tokens of the continuations.
const WRITTEN: usize = 24;

/// Arrays by name, float32 and int64.
#[derive(Default)]
struct Arrays {
    numbers: Vec<(String, Array)>,
    integers: Vec<(String, Vec<usize>, Vec<i64>)>,
}

impl Pairs {
    /// Runs every experiment on the pairs and writes its arrays to a safetensors file. N pairs of one length T (S in the
    /// encoder), L layers, H heads, K key heads; what a family does not have is left out.
    ///
    /// | name | shape | |
    /// |---|---|---|
    /// | `clean`, `corrupted`, `source_clean`, `source_corrupted`, `right`, `wrong` | N,T; N,S; N | int64 |
    /// | `metric.clean`, `metric.corrupted` | N | logit differences, as all others |
    /// | `patch.resid_pre`, `.attn_out`, `.mlp_out`, `.encoder_resid_pre` | N,L,T; N,Le,S | clean into corrupted |
    /// | `patch.z`, `.q`, `.pattern`, `.cross_z`; `.k`, `.v` | N,L,H; N,L,K | |
    /// | `ablate.zero.z`, `ablate.mean.z`, `ablate.zero.mlp_out` | N,L,H; N,L | of the clean run |
    /// | `attribute.resid_pre`, `.attn_out`, `.mlp_out`, `.z` | N,L,T; N,L,H | attribution patching |
    /// | `direct.embed`, `.attn_out`, `.mlp_out`, `.cross_out`, `.z`, `.cross_z`, `direct_constant` | N; N,L; N,L,H | |
    /// | `steer` | N,L | 2 times the direction of each layer added |
    /// | `generate.ids` | N,24 | greedy continuations of the clean prompts, int64 |
    /// | `batch.logits` | 3,V | after the first 3, 6 and 9 tokens of the first clean prompt, run together |
    ///
    /// # Errors
    /// When the pairs differ in length, lack one right and one wrong answer, or the file cannot be written.
    pub fn save_experiments(&self, path: impl AsRef<Path>) -> Result<()> {
        interrupt::during("all experiments", || self.save_experiments_now(path.as_ref()))
    }

    fn save_experiments_now(&self, path: &Path) -> Result<()> {
        let mut arrays = Arrays::default();
        self.both()?;
        self.inputs(&mut arrays)?;
        self.patches(&mut arrays)?;
        self.ablations(&mut arrays)?;
        self.attributions(&mut arrays)?;
        self.continuations(&mut arrays)?;
        // Before the file is touched: what was stopped must not look like the whole.
        interrupt::check()?;
        let family = self.model().architecture().family.to_owned();
        write(path, &arrays.numbers, &arrays.integers, HashMap::from([("family".to_owned(), family)]))
    }

    fn inputs(&self, arrays: &mut Arrays) -> Result<()> {
        let first = &self.cases()[0];
        let mut ids = |name: &str, of: &dyn Fn(&Case) -> Option<Vec<i64>>| -> Result<()> {
            let rows: Option<Vec<Vec<i64>>> = self.cases().iter().map(of).collect();
            let Some(rows) = rows else { return Ok(()) };
            let length = rows.first().map_or(0, Vec::len);
            if rows.iter().any(|row| row.len() != length) {
                return Err(Error::Experiment(format!(
                    "{name} differs in length from pair to pair, and an array has one length; give pairs of as many tokens"
                )));
            }
            arrays.integers.push((name.to_owned(), vec![rows.len(), length], rows.concat()));
            Ok(())
        };
        let source = |tokens: &Tokens| tokens.source.as_ref().map(|source| source.ids.clone());
        ids("clean", &|case| Some(case.clean.ids.clone()))?;
        ids("corrupted", &|case| case.corrupted.as_ref().map(|tokens| tokens.ids.clone()))?;
        if first.clean.source.is_some() {
            ids("source_clean", &|case| source(&case.clean))?;
            ids("source_corrupted", &|case| case.corrupted.as_ref().and_then(source))?;
        }
        for (name, right) in [("right", true), ("wrong", false)] {
            let one = |case: &Case| match (if right { &case.right } else { &case.wrong }).as_slice() {
                [id] => Ok(i64::from(*id)),
                other => Err(Error::Experiment(format!(
                    "a pair has {} {name} answers; the arrays take one each",
                    other.len()
                ))),
            };
            let ids = self.cases().iter().map(one).collect::<Result<Vec<i64>>>()?;
            arrays.integers.push((name.to_owned(), vec![ids.len()], ids));
        }
        Ok(())
    }

    fn patches(&self, arrays: &mut Arrays) -> Result<()> {
        let model = self.model();
        let mut sites: Vec<fn(usize) -> Site> = vec![
            Site::ResidPre,
            Site::AttnOut,
            Site::MlpOut,
            Site::HeadMix,
            Site::Query,
            Site::Key,
            Site::Value,
            Site::Pattern,
        ];
        if model.encoder_layers() > 0 {
            sites.extend([Site::EncoderResidPre as fn(usize) -> Site, Site::CrossHeadMix]);
        }
        for (index, site) in sites.into_iter().enumerate() {
            let effects = model.sweep(self).patch(site).run()?;
            if index == 0 {
                let list = |numbers: &[f32]| Array::new(&[numbers.len()], numbers.to_vec());
                arrays.numbers.push(("metric.clean".to_owned(), list(&effects.clean)?));
                arrays.numbers.push(("metric.corrupted".to_owned(), list(&effects.corrupted)?));
            }
            arrays.numbers.push((effects.name, effects.values));
        }
        Ok(())
    }

    fn ablations(&self, arrays: &mut Arrays) -> Result<()> {
        let sweep = || self.model().sweep(self);
        for effects in [
            sweep().ablate(Site::HeadMix, Ablation::Zero).run()?,
            sweep().ablate(Site::HeadMix, Ablation::MeanByPosition).run()?,
            sweep().ablate(Site::MlpOut, Ablation::Zero).by(By::Layer).run()?,
        ] {
            arrays.numbers.push((effects.name, effects.values));
        }
        Ok(())
    }

    fn attributions(&self, arrays: &mut Arrays) -> Result<()> {
        let model = self.model();
        let estimates = model.attribution_patching(self).site(Site::ResidPre).and(Site::AttnOut).and(Site::MlpOut);
        for effects in estimates.and(Site::HeadMix).run_all()? {
            arrays.numbers.push((effects.name, effects.values));
        }
        let direct = model.logit_attribution(self)?;
        let list = |numbers: &[f32]| Array::new(&[numbers.len()], numbers.to_vec());
        arrays.numbers.push(("direct.embed".to_owned(), list(&direct.embed)?));
        arrays.numbers.push(("direct_constant".to_owned(), list(&direct.constant)?));
        for (name, values) in direct.sublayers.into_iter().chain(direct.heads) {
            arrays.numbers.push((format!("direct.{name}"), values));
        }
        let steered = model.steering(self)?.metric(Metric::LogitDiff).sweep([2.0])?;
        let shape = steered.values.shape()[..2].to_vec();
        arrays.numbers.push(("steer".to_owned(), Array::new(&shape, steered.values.data().to_vec())?));
        Ok(())
    }

    fn continuations(&self, arrays: &mut Arrays) -> Result<()> {
        let model = self.model();
        let mut all = Vec::new();
        for case in self.cases() {
            let mut ids = model.generate(super::direct::input(&case.clean)).max_tokens(WRITTEN).run()?.ids;
            // Texts that ended before are filled up, as arrays have one length.
            let last = ids.last().copied().unwrap_or_default();
            ids.resize(WRITTEN, last);
            all.extend(ids.into_iter().map(i64::from));
        }
        arrays.integers.push(("generate.ids".to_owned(), vec![self.len(), WRITTEN], all));
        let first = &self.cases()[0].clean;
        let prefixes: Vec<Input> =
            [3, 6, 9].iter().filter(|&&end| end <= first.len()).map(|&end| prefix(first, end)).collect();
        let mut rows = Vec::new();
        for trace in model.run_all(prefixes)? {
            rows.push(Array::from_tensor(&trace.last_logits()?)?);
        }
        let data: Vec<f32> = rows.iter().flat_map(|row| row.data().iter().copied()).collect();
        let shape = [rows.len(), model.architecture().vocab()];
        arrays.numbers.push(("batch.logits".to_owned(), Array::new(&shape, data)?));
        Ok(())
    }
}

/// The first tokens of a text; of an encoder-decoder's decoder, with all that the encoder reads.
fn prefix(tokens: &Tokens, end: usize) -> Input {
    let cut = |list: &Option<Vec<i64>>| list.as_ref().map(|list| list[..end].to_vec());
    super::direct::input(&Tokens {
        ids: tokens.ids[..end].to_vec(),
        attention_mask: cut(&tokens.attention_mask),
        token_type_ids: cut(&tokens.token_type_ids),
        languages: cut(&tokens.languages),
        source: tokens.source.clone(),
        ..Tokens::default()
    })
}
