//! What heads, sublayers and neurons put onto a difference of logits directly: exact sums, with norms held fixed.

use tch::{Kind, Tensor};

use super::effects::{Axis, EffectKind};
use super::pairs::{Pair, Pairs};
use super::{Effects, Metric};
use crate::lens::Directions;
use crate::model::layers::Attention;
use crate::model::{Input, Route, Sublayer, Tokens};
use crate::site::Site;
use crate::{Array, Error, Model, Result, Trace};

/// What each part of the clean runs adds to the logits of the right answers less those of the wrong ones, at the
/// answer's position, through the residual path alone: the final norm's scale (and those of norms that the stream itself
/// passes) are held at their values in the run, so that all parts and a constant add up to the difference. What later
/// layers make of a part is not in it.
///
/// Gemma 2 caps its logits: the sums are of the logits before that.
#[derive(Debug, Clone)]
pub struct LogitAttribution {
    /// What the stream that enters the first layer gives, for each pair.
    pub embed: Vec<f32>,
    /// What sublayers add, output biases included (N,L): `attn_out`, `cross_out` in decoders that have an encoder, and
    /// `mlp_out`.
    pub sublayers: Vec<(String, Array)>,
    /// What heads add without the output bias (N,L,H): `z`, and `cross_z`.
    pub heads: Vec<(String, Array)>,
    /// What neurons add without the output bias (N,L,I); not a number where a layer has fewer than another.
    pub neurons: Array,
    /// What is the same for all streams: the biases of the norms that terms pass on their way, and of the head.
    pub constant: Vec<f32>,
    /// The difference itself, for each pair; of logits before a soft cap.
    pub difference: Vec<f32>,
    pairs: Pairs,
}

/// What is read of one run.
#[derive(Default)]
struct OfRun {
    embed: f64,
    attn_out: Vec<f64>,
    cross_out: Vec<f64>,
    mlp_out: Vec<f64>,
    z: Vec<Vec<f64>>,
    cross_z: Vec<Vec<f64>>,
    neurons: Vec<Vec<f64>>,
    constant: f64,
    difference: f64,
}

impl Trace {
    /// What each part of this run adds to the logit of `right` less that of `wrong` after the last position.
    ///
    /// # Errors
    /// When the run did not keep what is read, a token is not in the vocabulary, or the head is not linear (BERT's).
    pub fn logit_attribution(&self, right: u32, wrong: u32) -> Result<LogitAttribution> {
        let pairs = self.model().pairs([Pair::only(input(self.tokens())).right(right).wrong(wrong)])?;
        let own = of_run(self, &[right], &[wrong], self.len() - 1)?;
        assemble(self.model(), vec![own], pairs)
    }
}

impl Model {
    /// What each part of the clean runs adds to the logits of the right answers less those of the wrong ones.
    ///
    /// # Errors
    /// When a pair lacks answers, or the head is not linear (BERT's).
    pub fn logit_attribution(&self, pairs: &Pairs) -> Result<LogitAttribution> {
        Metric::LogitDiff.check(pairs)?;
        let task = crate::progress::Task::begin("attributing logits", pairs.len(), "pairs");
        let mut all = Vec::new();
        for case in pairs.cases() {
            let trace = task.step_of(
                self.watch(input(&case.clean)).keep(sites(self, case.position + 1 < case.clean.len())).run(),
            )?;
            all.push(of_run(&trace, &case.right, &case.wrong, case.position)?);
            task.advance()?;
        }
        task.finish();
        assemble(self, all, pairs.clone())
    }
}

/// The sites that are read.
fn sites(model: &Model, all_logits: bool) -> Vec<Site> {
    let mut sites = vec![Site::ResidPre(0)];
    sites.extend(all_logits.then_some(Site::Logits));
    for layer in 0..model.layers() {
        sites.push(Site::Neurons(layer));
        for route in model.routes(layer) {
            sites.extend([route.enters, route.sum, route.writes, route.leaves]);
            sites.extend(mix(&route, layer));
        }
    }
    sites
}

/// What each part of a run adds to the logit of one token after the last position, exactly: by layer, and by layer and head
/// or neuron.
pub(crate) struct Shares {
    /// Of what enters the first layer.
    pub start: f64,
    /// Of attention.
    pub attention: Vec<f64>,
    /// Of cross attention; empty where there is none.
    pub cross: Vec<f64>,
    /// Of the MLPs.
    pub mlp: Vec<f64>,
    /// Of the heads of attention.
    pub heads: Vec<Vec<f64>>,
    /// Of the neurons.
    pub neurons: Vec<Vec<f64>>,
}

/// The shares of the logit of `id`.
pub(crate) fn shares(trace: &Trace, id: u32) -> Result<Shares> {
    let run = of_run(trace, &[id], &[], trace.len() - 1)?;
    let OfRun { embed: start, attn_out: attention, cross_out: cross, mlp_out: mlp, z: heads, neurons, .. } = run;
    Ok(Shares { start, attention, cross, mlp, heads, neurons })
}

/// Tokens as somebody would give them.
pub(crate) fn input(tokens: &Tokens) -> Input {
    let own = |tokens: &Tokens| {
        let mut input = Input::from(tokens.ids.clone());
        if let Some(mask) = &tokens.attention_mask {
            input = input.attention_mask(mask.clone());
        }
        if let Some(types) = &tokens.token_type_ids {
            input = input.token_type_ids(types.clone());
        }
        match &tokens.languages {
            Some(languages) => input.languages(languages.clone()),
            None => input,
        }
    };
    match &tokens.source {
        Some(source) => own(source).target(own(tokens)),
        None => own(tokens),
    }
}

fn mix(route: &Route, layer: usize) -> Option<Site> {
    match route.sublayer {
        Sublayer::Attention => Some(Site::HeadMix(layer)),
        Sublayer::Cross => Some(Site::CrossHeadMix(layer)),
        Sublayer::Mlp => None,
    }
}

fn of_run(trace: &Trace, right: &[u32], wrong: &[u32], position: usize) -> Result<OfRun> {
    let _no_gradients = tch::no_grad_guard();
    let model = trace.model();
    let row = |site: Site| -> Result<Tensor> {
        Ok(trace.tensor(site)?.f_select(-2, position as i64)?.f_to_kind(Kind::Float)?)
    };
    let (lens, stream) = (model.lens()?, row(model.last_stream())?);
    let mean = |ids: &[u32]| -> Result<Tensor> {
        let each = ids.iter().map(|&id| lens.attribution(id, &stream)).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::f_stack(&each, 0)?.f_mean_dim(0i64, true, Kind::Float)?)
    };
    let along = if wrong.is_empty() { mean(right)? } else { mean(right)?.f_sub(&mean(wrong)?)? };
    let directions = Directions::back(trace, position, along)?;
    let at = |site: Site| -> Result<Tensor> {
        let rows = directions.at(site).ok_or_else(|| Error::site(site, "cannot be followed to the logits"))?;
        Ok(rows.f_get(0)?)
    };
    let dot = |a: &Tensor, b: &Tensor| -> Result<f64> { Ok(a.f_mul(b)?.f_sum(Kind::Double)?.f_double_value(&[])?) };
    let mut found = OfRun { embed: dot(&row(Site::ResidPre(0))?, &at(Site::ResidPre(0))?)?, ..OfRun::default() };
    for layer in 0..model.layers() {
        let block = model.stack().block(layer);
        for route in model.routes(layer) {
            let (along, added) = (at(route.writes)?, row(route.writes)?);
            let written = block.norms(route.sublayer).and_then(|norms| norms.written.as_ref());
            let through = |raw: &Tensor| match written {
                Some(norm) => norm.pull_back(&along, &norm.divisor(raw)?),
                None => Ok(along.shallow_clone()),
            };
            let (sums, parts, values) = match (route.sublayer, &block.cross) {
                (Sublayer::Attention, _) => (
                    &mut found.attn_out,
                    &mut found.z,
                    by_head(&block.attention, &row(Site::HeadMix(layer))?, through)?,
                ),
                (Sublayer::Cross, Some(cross)) => {
                    let mix = row(Site::CrossHeadMix(layer))?;
                    (&mut found.cross_out, &mut found.cross_z, by_head(&cross.attention, &mix, through)?)
                }
                (Sublayer::Cross, None) => continue,
                (Sublayer::Mlp, _) => {
                    let (down, neurons) = (&block.mlp.down, row(Site::Neurons(layer))?);
                    let weight = down.weight.f_to_kind(Kind::Float)?;
                    let raw = down.forward(&neurons.f_to_kind(down.weight.kind())?)?.f_to_kind(Kind::Float)?;
                    let values = weight.f_tr()?.f_mv(&through(&raw)?)?.f_mul(&neurons)?;
                    (&mut found.mlp_out, &mut found.neurons, values)
                }
            };
            sums.push(dot(&added, &along)?);
            parts.push(super::group::numbers(&values)?);
        }
    }
    let mean = |of: &dyn Fn(u32) -> Result<f64>, ids: &[u32]| -> Result<f64> {
        Ok(ids.iter().map(|&id| of(id)).sum::<Result<f64>>()? / ids.len() as f64)
    };
    let difference = |of: &dyn Fn(u32) -> Result<f64>| {
        Ok::<f64, Error>(if wrong.is_empty() { mean(of, right)? } else { mean(of, right)? - mean(of, wrong)? })
    };
    found.constant = difference(&|id| lens.attribution_bias(id))? + directions.biases().f_double_value(&[0])?;
    let logits = match position + 1 == trace.len() {
        true => trace.last_logits()?,
        false => row(Site::Logits)?,
    };
    let cap = model.head()?.soft_cap;
    found.difference = difference(&|id| {
        let logit = logits.f_double_value(&[i64::from(id)])?;
        Ok(cap.map_or(logit, |cap| cap * (logit / cap).atanh()))
    })?;
    Ok(found)
}

/// What each head gives (H), from its mix (H,d) and the direction of what all write together.
fn by_head(attention: &Attention, mix: &Tensor, through: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let kind = attention.output_matrix().kind();
    let outputs = attention.head_outputs(&mix.f_unsqueeze(1)?.f_to_kind(kind)?)?.f_squeeze_dim(1)?;
    let outputs = outputs.f_to_kind(Kind::Float)?;
    let mut raw = outputs.f_sum_dim_intlist(0i64, false, Kind::Float)?;
    if let Some(bias) = attention.output_bias() {
        raw = raw.f_add(&bias.f_to_kind(Kind::Float)?)?;
    }
    Ok(outputs.f_mv(&through(&raw)?)?)
}

fn assemble(model: &Model, runs: Vec<OfRun>, pairs: Pairs) -> Result<LogitAttribution> {
    let (count, layers) = (runs.len(), model.layers());
    let array = |of: fn(&OfRun) -> &Vec<f64>| -> Result<Array> {
        Array::new(&[count, layers], runs.iter().flat_map(|run| of(run).iter().map(|&value| value as f32)).collect())
    };
    let has_cross = runs.iter().any(|run| !run.cross_out.is_empty());
    let mut sublayers = vec![("attn_out".to_owned(), array(|run| &run.attn_out)?)];
    let mut heads = vec![("z".to_owned(), parts_array(&runs, layers, |run| &run.z)?)];
    if has_cross {
        sublayers.push(("cross_out".to_owned(), array(|run| &run.cross_out)?));
        heads.push(("cross_z".to_owned(), parts_array(&runs, layers, |run| &run.cross_z)?));
    }
    sublayers.push(("mlp_out".to_owned(), array(|run| &run.mlp_out)?));
    Ok(LogitAttribution {
        embed: runs.iter().map(|run| run.embed as f32).collect(),
        sublayers,
        heads,
        neurons: parts_array(&runs, layers, |run| &run.neurons)?,
        constant: runs.iter().map(|run| run.constant as f32).collect(),
        difference: runs.iter().map(|run| run.difference as f32).collect(),
        pairs,
    })
}

/// (N,L,n): a layer that has fewer parts than another ends with what is not a number.
fn parts_array(runs: &[OfRun], layers: usize, of: fn(&OfRun) -> &Vec<Vec<f64>>) -> Result<Array> {
    let most = runs.iter().flat_map(of).map(Vec::len).max().unwrap_or(0);
    let row = |values: &Vec<f64>| {
        let mut row: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        row.resize(most, f32::NAN);
        row
    };
    Array::new(&[runs.len(), layers, most], runs.iter().flat_map(of).flat_map(row).collect())
}

impl LogitAttribution {
    /// By layer and head.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn by_head(&self) -> Result<Effects> {
        let (name, values) = &self.heads[0];
        self.effects(name, values, &["layer", "head"])
    }

    /// By layer and head of the decoder's attention to the encoder's output.
    ///
    /// # Errors
    /// When the model has no such attention.
    pub fn by_cross_head(&self) -> Result<Effects> {
        let found = self.heads.get(1);
        let (name, values) = found.ok_or_else(|| Error::Experiment("the model has no cross attention".to_owned()))?;
        self.effects(name, values, &["layer", "head"])
    }

    /// By layer and neuron.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn by_neuron(&self) -> Result<Effects> {
        self.effects("neurons", &self.neurons, &["layer", "neuron"])
    }

    /// By layer and sublayer.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn by_sublayer(&self) -> Result<Effects> {
        let (pairs, layers) = (self.embed.len(), self.sublayers[0].1.shape()[1]);
        let places =
            (0..pairs * layers).flat_map(|place| self.sublayers.iter().map(move |(_, values)| values.data()[place]));
        let values = Array::new(&[pairs, layers, self.sublayers.len()], places.collect())?;
        let mut effects = self.effects("sublayers", &values, &["layer", "sublayer"])?;
        effects.axes[1].labels = self.sublayers.iter().map(|(name, _)| name.clone()).collect();
        Ok(effects)
    }

    fn effects(&self, name: &str, values: &Array, axes: &[&str]) -> Result<Effects> {
        let axis = |(index, name): (usize, &&str)| Axis::numbers(name, values.shape()[index + 1]);
        Ok(Effects {
            name: format!("direct.{name}"),
            model: self.pairs.model().name().to_owned(),
            kind: EffectKind::Direct,
            metric: Metric::LogitDiff,
            axes: axes.iter().enumerate().map(axis).collect(),
            values: values.clone(),
            clean: self.difference.clone(),
            corrupted: Vec::new(),
            pairs: self.pairs.shown(),
            answers: Vec::new(),
        })
    }
}
