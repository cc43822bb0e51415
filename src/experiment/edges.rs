//! Edge attribution patching: what each head and MLP sends to each reader along the stream.

use std::collections::{BTreeMap, BTreeSet};

use tch::{Kind, Tensor};

use super::attribution::{AttributionPatching, Observation};
use super::effects::{Axis, EffectKind, Effects};
use super::group::{Group, numbers};
use crate::model::layers::{Attention, Norm, Role};
use crate::model::{Route, Sublayer};
use crate::progress::Task;
use crate::site::{Site, Unwatched};
use crate::{Array, Error, Model, Result, interrupt};

/// The gradients of the metric at what reads the stream, all of them at one place in it: (R,T,D), the last reader first.
struct Readers {
    gradients: Vec<Tensor>,
    names: Vec<String>,
}

/// What was found for one group: for each writer, in the order from the last to the first, its scores for the readers
/// behind it (R',N), which are the first ones of all.
struct Found {
    writers: Vec<(String, Tensor)>,
    readers: Vec<String>,
}

impl AttributionPatching {
    /// Edge attribution patching (Syed and others, 2310.10348; with [`steps`](AttributionPatching::steps) EAP-IG): for
    /// each writer (the embedding, a head, an MLP) and each reader behind it (a head's queries, keys or values, an MLP,
    /// the logits) what the difference of the one's output would do through the other's input alone. Of keys and values
    /// the heads are key heads. The norms that the stream passes on its way are taken into account, as are those of what
    /// is written. The scores of a writer add up to its own attribution.
    ///
    /// Axes: writer, reader; not a number where the reader does not stand behind the writer.
    ///
    /// # Errors
    /// As of [`run`](AttributionPatching::run), and for models with an encoder and a decoder.
    pub fn edges(&self) -> Result<Effects> {
        interrupt::during("attributing edges", || self.edges_now())
    }

    fn edges_now(&self) -> Result<Effects> {
        self.check_fit()?;
        let model = self.pairs.model();
        if model.encoder_layers() > 0 {
            return Err(Error::Experiment(
                "edges are followed along one stream, and an encoder-decoder has two; attribute sites of one of them"
                    .to_owned(),
            ));
        }
        if model.architecture().main.embedding.neighbours.is_some() {
            return Err(Error::Experiment(
                "the stream of this model passes a convolution, through which edges are not followed; attribute sites"
                    .to_owned(),
            ));
        }
        let groups = Group::all(self.pairs.cases(), self.metric);
        let task = Task::begin("attributing edges", groups.len() * self.steps, "passes");
        let keep = sites(model);
        let mut names: Option<(Vec<String>, Vec<String>)> = None;
        let mut values = Vec::new();
        let (mut clean, mut corrupted) = (Vec::new(), Vec::new());
        for group in &groups {
            let mut sum: Option<Vec<f64>> = None;
            let (own_clean, own_corrupted) = self.each_step(group, &keep, &task, &mut |observation| {
                let found = scores(model, group, observation)?;
                let (writers, readers) = found.names();
                let flat = found.flat(group.cases.len())?;
                names.get_or_insert((writers, readers));
                match &mut sum {
                    Some(sum) => sum.iter_mut().zip(flat).for_each(|(sum, value)| *sum += value),
                    None => sum = Some(flat),
                }
                Ok(())
            })?;
            values.extend(sum.unwrap_or_default().into_iter().map(|value| (value / self.steps as f64) as f32));
            clean.extend(own_clean);
            corrupted.extend(own_corrupted);
        }
        task.finish();
        let (writers, readers) = names.unwrap_or_default();
        let axis = |name: &str, labels| Axis { name: name.to_owned(), labels };
        Ok(Effects {
            name: "attribute.edges".to_owned(),
            model: model.name().to_owned(),
            kind: EffectKind::Estimated,
            metric: self.metric,
            values: Array::new(&[self.pairs.len(), writers.len(), readers.len()], values)?,
            axes: vec![axis("writer", writers), axis("reader", readers)],
            clean,
            corrupted,
            pairs: self.pairs.shown(),
            answers: Vec::new(),
        })
    }
}

impl Found {
    /// Writers and readers from the first to the last.
    fn names(&self) -> (Vec<String>, Vec<String>) {
        let writers = self.writers.iter().rev().map(|(name, _)| name.clone()).collect();
        (writers, self.readers.iter().rev().cloned().collect())
    }

    /// (N,W,R), from the first to the last.
    fn flat(&self, pairs: usize) -> Result<Vec<f64>> {
        let (writers, readers) = (self.writers.len(), self.readers.len());
        let mut flat = vec![f64::NAN; pairs * writers * readers];
        for (place, (_, scores)) in self.writers.iter().enumerate() {
            let writer = writers - 1 - place;
            for (index, value) in numbers(scores)?.into_iter().enumerate() {
                let (reader, pair) = (readers - 1 - index / pairs, index % pairs);
                flat[(pair * writers + writer) * readers + reader] = value;
            }
        }
        Ok(flat)
    }
}

/// The sites whose values or gradients are read.
fn sites(model: &Model) -> BTreeSet<Site> {
    let mut sites = BTreeSet::from([Site::ResidPre(0), model.last_stream()]);
    for layer in 0..model.layers() {
        sites.extend([Site::Query(layer), Site::Key(layer), Site::Value(layer), Site::HeadMix(layer)]);
        for route in model.routes(layer) {
            sites.extend([route.enters, route.carries, route.reads, route.writes, route.sum]);
        }
    }
    sites
}

/// Goes back along the stream from the logits, and meets each writer with the gradients of all readers behind it.
fn scores(model: &Model, group: &Group, seen: &Observation) -> Result<Found> {
    let mut readers = Readers { gradients: Vec::new(), names: Vec::new() };
    readers.push(seen.gradient(model.last_stream())?.f_unsqueeze(0)?, vec!["logits".to_owned()]);
    let mut writers = Vec::new();
    for layer in (0..model.layers()).rev() {
        let routes = model.routes(layer);
        // Both sublayers of a parallel block read before either has written.
        let mut waiting: Vec<(Tensor, Vec<String>)> = Vec::new();
        for (index, route) in routes.iter().enumerate().rev() {
            let block = model.stack().block(layer);
            let Some(norms) = block.norms(route.sublayer) else { continue };
            if let Some(norm) = &norms.after {
                readers.pass(norm, seen.value(route.sum)?)?;
            }
            let (names, added) = written(model, seen, layer, route)?;
            for (name, added) in names.into_iter().zip(added).rev() {
                writers.push((name, readers.meet(group, &added)?));
            }
            waiting.push(read(model, seen, layer, &routes, index)?);
            let parallel = index > 0 && routes[index - 1].sum == route.sum;
            if !parallel {
                waiting.drain(..).for_each(|(gradients, names)| readers.push(gradients, names));
            }
            if let Some(norm) = &norms.first {
                readers.pass(norm, seen.value(route.enters)?)?;
            }
        }
    }
    let embedded = seen.difference(Site::ResidPre(0))?;
    writers.push(("embed".to_owned(), readers.meet(group, embedded)?));
    Ok(Found { writers, readers: readers.names })
}

impl Readers {
    fn push(&mut self, gradients: Tensor, names: Vec<String>) {
        self.gradients.push(gradients);
        // The last first, as all.
        self.names.extend(names);
    }

    /// Takes all of them back through a norm that the stream passes, whose input was `x`.
    fn pass(&mut self, norm: &Norm, x: &Tensor) -> Result<()> {
        for gradient in &mut self.gradients {
            *gradient = norm.gradient(gradient, x)?;
        }
        Ok(())
    }

    /// The products (R,N) with what a writer adds (T,D), over the positions of each text.
    fn meet(&self, group: &Group, added: &Tensor) -> Result<Tensor> {
        let texts = group.texts(Site::ResidPre(0));
        let mut rows = Vec::new();
        for gradients in &self.gradients {
            let products = gradients.f_mul(added)?.f_sum_dim_intlist(-1i64, false, Kind::Double)?;
            let of_text = |text: &std::ops::Range<usize>| -> Result<Tensor> {
                let own = products.f_narrow(-1, text.start as i64, text.len() as i64)?;
                Ok(own.f_sum_dim_intlist(-1i64, false, Kind::Double)?)
            };
            rows.push(Tensor::f_stack(&texts.iter().map(of_text).collect::<Result<Vec<_>>>()?, -1)?);
        }
        Ok(Tensor::f_cat(&rows, 0)?)
    }
}

/// How the outputs of a sublayer's writers differ (T,D), as they are added to the stream.
fn written(model: &Model, seen: &Observation, layer: usize, route: &Route) -> Result<(Vec<String>, Vec<Tensor>)> {
    let block = model.stack().block(layer);
    if route.sublayer == Sublayer::Mlp {
        return Ok((vec![format!("mlp {layer}")], vec![seen.difference(route.writes)?.shallow_clone()]));
    }
    let attention = &block.attention;
    let outputs = attention.head_outputs(seen.difference(Site::HeadMix(layer))?)?;
    let outputs = match &block.attn_norms.written {
        // What a head adds goes through a norm of what all write together: by its slope in the corrupted run.
        Some(norm) => {
            let raw = raw_output(attention, seen.value(Site::HeadMix(layer))?)?;
            norm.derivative(&outputs, &raw)?
        }
        None => outputs,
    };
    let heads = outputs.size()[0];
    let each = (0..heads).map(|head| Ok(outputs.f_get(head)?)).collect::<Result<Vec<_>>>()?;
    Ok(((0..heads).map(|head| format!("head {layer}.{head}")).collect(), each))
}

fn raw_output(attention: &Attention, mix: &Tensor) -> Result<Tensor> {
    let sum = attention.head_outputs(mix)?.f_sum_dim_intlist(0i64, false, None)?;
    Ok(match attention.output_bias() {
        Some(bias) => sum.f_add(bias)?,
        None => sum,
    })
}

/// The gradients (R,T,D) of a sublayer's readers with respect to what the route carries, the last reader first.
fn read(
    model: &Model,
    seen: &Observation,
    layer: usize,
    routes: &[Route],
    index: usize,
) -> Result<(Tensor, Vec<String>)> {
    let (block, route) = (model.stack().block(layer), &routes[index]);
    let (gradients, names) = match route.sublayer {
        Sublayer::Mlp => (mlp_gradient(model, seen, layer, route)?.f_unsqueeze(0)?, vec![format!("mlp {layer}")]),
        _ => attention_gradients(&block.attention, seen, layer)?,
    };
    // What a parallel MLP reads without a norm of its own went through attention's.
    let own = block.norms(route.sublayer).and_then(|norms| norms.before.as_ref());
    let before = own.or_else(|| (route.reads != route.carries).then_some(block.attn_norms.before.as_ref()).flatten());
    let gradients = match before {
        Some(norm) => norm.gradient(&gradients, seen.value(route.carries)?)?,
        None => gradients,
    };
    Ok((gradients, names))
}

/// The gradient (T,D) with respect to what the MLP reads, through it alone.
fn mlp_gradient(model: &Model, seen: &Observation, layer: usize, route: &Route) -> Result<Tensor> {
    let block = model.stack().block(layer);
    let reads = seen.value(route.reads)?.f_detach()?.f_set_requires_grad(true)?;
    let added = block.mlp_norms.write(block.mlp.forward(layer, &reads, &mut Unwatched)?)?;
    let number = added.f_mul(seen.gradient(route.writes)?)?.f_sum(Kind::Float)?;
    let found = crate::run::gradients(&number, &BTreeMap::from([(route.reads, reads)]))?;
    found.into_values().next().ok_or_else(|| Error::site(route.reads, "has no gradient"))
}

/// The gradients (H+2K,T,D) with respect to what attention reads, of values, keys and queries of each head, the last first.
fn attention_gradients(attention: &Attention, seen: &Observation, layer: usize) -> Result<(Tensor, Vec<String>)> {
    let (mut gradients, mut names) = (Vec::new(), Vec::new());
    let roles = [
        (Role::Value, Site::Value(layer), "v"),
        (Role::Key, Site::Key(layer), "k"),
        (Role::Query, Site::Query(layer), "q"),
    ];
    for (role, site, letter) in roles {
        let all = seen.gradient(site)?;
        for head in (0..attention.heads(role)).rev() {
            gradients.push(all.f_get(head as i64)?.f_matmul(&attention.weight(role, head)?)?);
            names.push(format!("{letter} {layer}.{head}"));
        }
    }
    Ok((Tensor::f_stack(&gradients, 0)?, names))
}
