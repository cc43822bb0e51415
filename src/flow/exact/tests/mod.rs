//! The identities behind the exact graph, to 1e-5 relative: on every fixture whose model can be drawn, on the input that
//! the fixture was made with, paddings included. `--nocapture` shows the worst error of each.

mod sums;

use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};

use super::super::amounts::{Amounts, Heads};
use super::super::batch::numbers;
use super::super::graph::{FlowGraph, Method, Target};
use super::Request;
use super::attention::Attention;
use super::attribution::Attributions;
use super::mlp::Mlp;
use crate::model::layers::Role;
use crate::model::{Input, Model, Route, Seq2Seq, Sublayer};
use crate::run::Trace;
use crate::{DType, Error, Site};

const TOLERANCE: f64 = 1e-5;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name)
}

fn load(name: &str) -> Model {
    Model::load(folder(name).to_str().unwrap()).unwrap()
}

fn trace(name: &str) -> Trace {
    let model = load(name);
    let vocabulary = model.architecture().vocab() as i64;
    let ids: Vec<i64> = (0..9).map(|i| (7 + 11 * i * i) % vocabulary).collect();
    model.run(ids).unwrap()
}

fn row(trace: &Trace, site: Site, position: usize) -> Tensor {
    trace.tensor(site).unwrap().get(position as i64)
}

/// By how much two vectors differ, as a part of the second's length.
fn error(found: &Tensor, wanted: &Tensor) -> f64 {
    (found - wanted).norm().double_value(&[]) / wanted.norm().double_value(&[]).max(1e-30)
}

/// A sublayer of a run at a position.
struct Place<'a> {
    trace: &'a Trace,
    route: Route,
    layer: usize,
    position: usize,
}

impl Place<'_> {
    fn row(&self, site: Site) -> Tensor {
        row(self.trace, site, self.position)
    }

    /// Attention, if this is one.
    fn attention(&self) -> Option<Attention<'_>> {
        (self.route.sublayer != Sublayer::Mlp)
            .then(|| Attention::new(self.trace, self.route.sublayer, self.layer, self.position).unwrap())
    }

    /// The site of this attention.
    fn site(&self, site: Site) -> Site {
        if self.route.sublayer == Sublayer::Cross { site.in_cross() } else { site }
    }
}

/// Every fixture that can be drawn, with the run of its own input and real positions of it.
fn runs() -> impl Iterator<Item = (String, Trace, Vec<usize>)> {
    let mut names: Vec<String> = std::fs::read_dir(folder(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| folder(name).join("expected.safetensors").exists())
        .collect();
    names.sort();
    names.into_iter().filter_map(|name| {
        let model = load(&name);
        let drawn = super::check(&model).is_ok();
        drawn.then(|| {
            let trace = model.run(Input::from_file(folder(&name).join("expected.safetensors")).unwrap()).unwrap();
            let real: Vec<usize> = (0..trace.len()).filter(|&position| !trace.tokens().is_padding(position)).collect();
            let mut positions = vec![real[real.len() / 2], real[real.len() - 1]];
            positions.dedup();
            (name, trace, positions)
        })
    })
}

#[test]
fn identities_hold_on_every_fixture() {
    type Check = fn(&Place) -> f64;
    let checks: [(&str, Check); 6] = [
        ("softmax of keys along the input is the attention", keys_give_attention),
        ("a query meets the input of keys as in the run", query_gives_scores),
        ("values add up to heads, heads to what attention writes", heads_add_up),
        ("neurons add up to what the MLP writes", neurons_add_up),
        ("the stream is the sum of what was added", stream_adds_up),
        ("what terms put onto a logit passes norms of the stream", attributions_pass_norms),
    ];
    let (mut families, mut wrong) = (std::collections::BTreeSet::new(), Vec::new());
    for (name, trace, positions) in runs() {
        families.insert(trace.model().architecture().family);
        let mut worst = [0f64; 6];
        for layer in 0..trace.model().layers() {
            for route in trace.model().routes(layer) {
                for &position in &positions {
                    let place = Place { trace: &trace, route, layer, position };
                    for ((what, check), worst) in checks.iter().zip(&mut worst) {
                        let error = check(&place);
                        if error.is_nan() || error > TOLERANCE {
                            let sublayer = route.sublayer;
                            wrong.push(format!(
                                "{name}, layer {layer}, {sublayer:?}, position {position}, {what}: {error:e}"
                            ));
                        }
                        *worst = worst.max(error);
                    }
                }
            }
        }
        println!("{name:28} {}", worst.map(|worst| format!("{worst:.1e}")).join("  "));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(families.len() >= 25, "{families:?}");
}

fn keys_give_attention(place: &Place) -> f64 {
    let Some(attention) = place.attention() else { return 0. };
    let input = place.row(place.route.reads);
    let in_run = place.trace.tensor(place.site(Site::Scores(place.layer))).unwrap();
    let mut worst: f64 = 0.;
    for head in 0..attention.heads() {
        let seen: Vec<usize> = attention.memories(head).unwrap().iter().map(|memory| memory.position).collect();
        let keys = attention.keys(head, &seen).unwrap();
        let dots = numbers(&keys.directions.mv(&input)).unwrap();
        let found: Vec<f64> = dots.iter().enumerate().map(|(index, &dot)| keys.score(index, dot, 0.).score()).collect();
        let row = numbers(&in_run.get(head as i64).get(place.position as i64)).unwrap();
        let wanted: Vec<f64> = seen.iter().map(|&key| row[key]).collect();
        let largest = wanted.iter().fold(1., |most: f64, score| most.max(score.abs()));
        for (found, wanted) in found.iter().zip(&wanted) {
            worst = worst.max((found - wanted).abs() / largest);
        }
        let softmax = Tensor::from_slice(&found).softmax(-1, Kind::Double);
        let scores = attention.scores(head).unwrap();
        let wanted: Vec<f64> = seen.iter().map(|&position| scores[position]).collect();
        assert!((wanted.iter().sum::<f64>() - 1.).abs() < 1e-5, "what is seen has all the attention");
        worst = worst.max(error(&softmax, &Tensor::from_slice(&wanted)));
    }
    worst
}

fn query_gives_scores(place: &Place) -> f64 {
    let Some(attention) = place.attention() else { return 0. };
    let block = place.trace.model().stack().block(place.layer);
    let plan = &place.trace.model().architecture().main.blocks[place.layer];
    let cross = place.route.sublayer == Sublayer::Cross;
    let (weights, plan, from) = match (&block.cross, &plan.cross, cross) {
        (Some(block), Some(plan), true) => (&block.attention, &plan.attention, Site::EncoderFinalNorm),
        _ => (&block.attention, &plan.attention, place.route.reads),
    };
    let key = if cross { 0 } else { place.position };
    let input = |key: usize| row(place.trace, from, key);
    let scores = place.trace.tensor(place.site(Site::Scores(place.layer))).unwrap();
    let mut worst: f64 = 0.;
    for head in 0..attention.heads() {
        let direction = attention.query(head).unwrap();
        let score = |key: usize| scores.double_value(&[head as i64, place.position as i64, key as i64]);
        let error = if weights.bias(Role::Key, weights.key_head(head)).unwrap().is_none() {
            let keys = attention.keys(head, &[key]).unwrap();
            // What the query adds beside its product with the input is in the product with the key as well.
            let found = direction.dot(&input(key)).double_value(&[]);
            (keys.score(0, found - keys.offsets[0], 0.).score() - score(key)).abs() / score(key).abs().max(1.)
        } else if plan.rotary.is_none() && plan.head_norms.is_none() && plan.soft_cap.is_none() {
            // What the key's bias adds is the same for all keys.
            let other = if cross { place.trace.encoder_ids().len() - 1 } else { 0 };
            let keys = attention.keys(head, &[key, other]).unwrap();
            let by_position = keys.by_position.as_ref().map_or(0., |bias| bias[0] - bias[1]);
            let found = keys.scale * direction.dot(&(input(key) - input(other))).double_value(&[]) + by_position;
            (found - (score(key) - score(other))).abs() / score(key).abs().max(score(other).abs()).max(1.)
        } else {
            // Turned with the position; the same code as without a bias.
            0.
        };
        worst = worst.max(error / 2.);
    }
    worst
}

fn heads_add_up(place: &Place) -> f64 {
    let Some(attention) = place.attention() else { return 0. };
    let mut worst: f64 = 0.;
    for head in 0..attention.heads() {
        let memories = attention.memories(head).unwrap();
        let wanted = attention.outputs.get(head as i64);
        for shown in [0, 2.min(memories.len()), memories.len()] {
            let positions: Vec<usize> = memories[..shown].iter().map(|memory| memory.position).collect();
            let scores: Vec<f32> = memories[..shown].iter().map(|memory| memory.score as f32).collect();
            let mut sum = attention.rest(head, &positions).unwrap();
            if shown > 0 {
                let values = attention.values(head, &positions).unwrap();
                sum += values.tr().mv(&Tensor::from_slice(&scores));
            }
            worst = worst.max(error(&sum, &wanted));
        }
        if !attention.has_norm() {
            let direct = place.trace.tensor(place.site(Site::HeadOutput(place.layer))).unwrap();
            worst = worst.max(error(&wanted, &direct.get(head as i64).get(place.position as i64)));
        }
    }
    let mut sum = attention.outputs.sum_dim_intlist(0, false, Kind::Float);
    if let Some(bias) = &attention.bias {
        sum += bias;
    }
    worst.max(error(&sum, &place.row(place.route.writes)))
}

fn neurons_add_up(place: &Place) -> f64 {
    if place.route.sublayer != Sublayer::Mlp {
        return 0.;
    }
    let mlp = Mlp::new(place.trace, place.layer, place.position).unwrap();
    let mut worst: f64 = 0.;
    if let Some(gates) = &mlp.gates {
        for (neuron, activation) in mlp.activations.iter().enumerate() {
            let product = gates[neuron] * mlp.pre[neuron] * mlp.shares.as_ref().map_or(1., |shares| shares[neuron]);
            worst = worst.max((product - activation).abs() / activation.abs().max(1.));
        }
    }
    for (top, bottom) in [(0, 0), (3, 2), (1000, 1000)] {
        let shown = mlp.strongest(top, bottom);
        assert!(top < 1000 || shown.len() == mlp.activations.iter().filter(|a| **a != 0.).count());
        let mut sum = mlp.rest(&shown).unwrap();
        if !shown.is_empty() {
            let values = mlp.values(&shown).unwrap();
            let sizes: Vec<f32> = shown.iter().map(|&neuron| mlp.activations[neuron].abs() as f32).collect();
            sum += values.tr().mv(&Tensor::from_slice(&sizes));
        }
        if let Some(bias) = &mlp.bias {
            sum += bias;
        }
        worst = worst.max(error(&sum, &place.row(place.route.writes)));
    }
    worst
}

fn stream_adds_up(place: &Place) -> f64 {
    let Route { sublayer, enters, carries, writes, sum, leaves, .. } = place.route;
    let norms = place.trace.model().stack().block(place.layer).norms(sublayer).unwrap();
    let mut worst = match &norms.first {
        Some(norm) if carries != enters => error(&norm.forward(&place.row(enters)).unwrap(), &place.row(carries)),
        _ => 0.,
    };
    if let Some(norm) = &norms.after {
        worst = worst.max(error(&norm.forward(&place.row(sum)).unwrap(), &place.row(leaves)));
    }
    let parts = place.trace.model().routes(place.layer);
    let terms = parts.iter().filter(|part| part.sum == sum).map(|part| place.row(part.writes));
    let whole = terms.fold(place.row(carries), |whole, term| whole + term);
    let next = place.layer + 1;
    if sublayer == Sublayer::Mlp && next < place.trace.model().layers() {
        worst = worst.max(error(&place.row(leaves), &place.row(Site::ResidPre(next))));
    }
    assert_ne!(writes, sum);
    worst.max(error(&whole, &place.row(sum)))
}

fn attributions_pass_norms(place: &Place) -> f64 {
    let Route { sublayer, enters, carries, sum, leaves, .. } = place.route;
    let norms = place.trace.model().stack().block(place.layer).norms(sublayer).unwrap();
    let targets = [3, 5].map(|id| Target { id, text: String::new() });
    let amounts = Amounts { heads: Heads::All, values_per_head: 1, top_neurons: 1, bottom_neurons: 1 };
    let request = Request { trace: place.trace, position: place.position, targets: &targets, amounts };
    let attributions = Attributions::new(&request).unwrap();
    let mut worst: f64 = 0.;
    for (norm, before, behind) in [(&norms.first, enters, carries), (&norms.after, sum, leaves)] {
        let Some(norm) = norm.as_ref().filter(|_| before != behind) else { continue };
        let normed = norm.bias.as_ref().map_or_else(|| place.row(behind), |bias| place.row(behind) - bias);
        let (from, to) = (attributions.at(before).unwrap(), attributions.at(behind).unwrap());
        for (from, to) in from.targets.iter().zip(&to.targets) {
            let (from, to) = (Tensor::from_slice(from), Tensor::from_slice(to));
            let size = (to.norm() * normed.norm()).double_value(&[]);
            worst = worst.max((place.row(before).dot(&from) - normed.dot(&to)).abs().double_value(&[]) / size);
        }
    }
    worst
}

#[test]
fn strongest_neurons_come_by_sign_and_length() {
    let trace = trace("llama_gqa");
    let mlp = Mlp::new(&trace, 1, 5).unwrap();
    let shown = mlp.strongest(3, 2);
    let all = numbers(&row(&trace, Site::Neurons(1), 5)).unwrap();
    assert!(shown[..3].iter().all(|&neuron| all[neuron] > 0.) && shown[3..].iter().all(|&neuron| all[neuron] < 0.));
    let least = shown[..3].iter().map(|&neuron| mlp.lengths[neuron]).fold(f64::MAX, f64::min);
    let better = (0..all.len()).filter(|&neuron| all[neuron] > 0. && mlp.lengths[neuron] > least).count();
    assert_eq!(better, 2);
}

#[test]
fn a_missing_site_is_named() {
    let trace = trace("gpt2");
    let poor = trace.model().watch([1, 2, 3]).keep([Site::HeadMix(0), Site::Pattern(0)]).run().unwrap();
    let attention = Attention::new(&poor, Sublayer::Attention, 0, 2).unwrap();
    match attention.keys(0, &[0]) {
        Err(Error::Site { site, problem }) => assert!(site == "blocks.0.attn.hook_k" && problem.contains("keep")),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("keys came from nowhere"),
    }
}

#[test]
fn runs_in_bfloat16_draw_too_and_say_nearly_the_same() {
    let plain = ["gpt2", "gpt_neo", "gptj", "gpt_neox", "llama_gqa", "mistral", "qwen2", "qwen3"];
    // Their own parts: position biases, norms of what is written and of all heads, experts, cross attention.
    let others = ["bloom", "gemma2", "olmo2_grouped", "opt_projected", "mixtral_stacked", "t5_gated", "bart", "xlnet"];
    for name in plain.into_iter().chain(others) {
        let folder = folder(name);
        let graph = |dtype| {
            let model = Model::options(folder.to_str().unwrap()).dtype(dtype).load().unwrap();
            let ids = [5, 17, 3, 99, 42, 8].map(|id| id % model.architecture().vocab() as i64);
            let trace = match model.encoder_layers() {
                0 => model.run(ids).unwrap(),
                _ => model.run(Seq2Seq { source: ids, target: [2, 7, 9] }).unwrap(),
            };
            assert!(trace.logit_lens().is_ok());
            if name == "gpt2" {
                trace.flow_graph().layers([0]).target(3).method(Method::Visit).neurons(4, 2).build().unwrap();
            }
            trace.flow_graph().overview().target(3).build().unwrap();
            trace.flow_graph().layers([0, 1]).chain(true).target(3).heads(Heads::All).build().unwrap()
        };
        let (half, full) = (graph(DType::BF16), graph(DType::F32));
        for id in ["blocks.0.resid_pre", "blocks.0.attn_out", "blocks.1.attn.head.0.output", "blocks.1.resid_post"] {
            let norm = |graph: &FlowGraph| graph.nodes().find(|node| node.id == id).unwrap().norm;
            let most = if plain.contains(&name) { 0.05 } else { 0.2 };
            assert!((norm(&half) / norm(&full) - 1.).abs() < most, "{name}, {id}: {} {}", norm(&half), norm(&full));
        }
    }
}
