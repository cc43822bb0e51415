//! The identities behind the exact graph, on every family, to 1e-5 relative.

use std::path::Path;

use tch::{Kind, Tensor};

use super::super::batch::numbers;
use super::super::builder::Heads;
use super::super::graph::{FlowGraph, Method};
use super::attention::Attention;
use super::mlp::Mlp;
use crate::model::Model;
use crate::model::architecture::Order;
use crate::trace::Trace;
use crate::{DType, Error, Site};

const FAMILIES: [&str; 18] = [
    "gpt2",
    "gpt2_inverse_layer",
    "gpt2_unscaled",
    "gpt_neo",
    "gpt_neo_local",
    "gptj",
    "gptj_full_rotary",
    "gpt_neox",
    "gpt_neox_sequential",
    "llama_mha",
    "llama_gqa",
    "llama_biases",
    "llama_head_dim",
    "llama_yarn",
    "mistral",
    "qwen2",
    "qwen3",
    "qwen3_yarn",
];

fn trace(name: &str) -> Trace {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name);
    let model = Model::load(folder.to_str().unwrap()).unwrap();
    let vocabulary = model.architecture().vocab() as i64;
    let ids: Vec<i64> = (0..9).map(|i| (7 + 11 * i * i) % vocabulary).collect();
    model.run(ids).unwrap()
}

fn row(trace: &Trace, site: Site, position: usize) -> Tensor {
    trace.tensor(site).unwrap().get(position as i64)
}

/// Fails when two vectors differ by more than 1e-5 of the second's length.
#[track_caller]
fn same(found: &Tensor, wanted: &Tensor, what: &str) {
    let error = (found - wanted).norm().double_value(&[]) / wanted.norm().double_value(&[]);
    assert!(error < 1e-5, "{what}: relative error {error:e}");
}

/// Calls `check` for every family, layer, and a few positions.
fn everywhere(check: impl Fn(&Trace, usize, usize, &str)) {
    for name in FAMILIES {
        let trace = trace(name);
        for layer in 0..trace.model().layers() {
            for position in [0, 4, 8] {
                check(&trace, layer, position, &format!("{name}, layer {layer}, position {position}"));
            }
        }
    }
}

#[test]
fn softmax_of_keys_along_the_input_is_the_attention() {
    everywhere(|trace, layer, position, place| {
        let attention = Attention::new(trace, layer, position).unwrap();
        let input = row(trace, Site::AttnNorm(layer), position);
        for head in 0..attention.heads() {
            let seen: Vec<usize> = attention.memories(head).unwrap().iter().map(|memory| memory.position).collect();
            let keys = attention.keys(head, &seen).unwrap();
            let along = keys.directions.mv(&input).to_kind(Kind::Double) + Tensor::from_slice(&keys.offsets);
            let softmax = (along * attention.scale()).softmax(-1, Kind::Double);
            let scores = attention.scores(head).unwrap();
            let wanted: Vec<f64> = seen.iter().map(|&position| scores[position]).collect();
            assert!((wanted.iter().sum::<f64>() - 1.).abs() < 1e-5, "{place}: what is seen has all the attention");
            same(&softmax, &Tensor::from_slice(&wanted), &format!("{place}, head {head}"));
        }
    });
}

#[test]
fn a_query_meets_the_input_at_its_own_place_as_in_the_run() {
    everywhere(|trace, layer, position, place| {
        let attention = Attention::new(trace, layer, position).unwrap();
        let input = row(trace, Site::AttnNorm(layer), position);
        let scores = trace.tensor(Site::Scores(layer)).unwrap();
        for head in 0..attention.heads() {
            let own = scores.double_value(&[head as i64, position as i64, position as i64]);
            let block = trace.model().stack().block(layer);
            let key_head = block.attention.key_head(head);
            if block.attention.bias(crate::model::layers::Role::Key, key_head).unwrap().is_some() {
                // What the key's bias adds does not depend on the input, so the direction leaves it out.
                continue;
            }
            let found = attention.scale() * attention.query(head).unwrap().dot(&input).double_value(&[]);
            assert!((found - own).abs() < 2e-5 * own.abs().max(1.), "{place}, head {head}: {found} {own}");
        }
    });
}

#[test]
fn values_add_up_to_heads_and_heads_to_what_attention_writes() {
    everywhere(|trace, layer, position, place| {
        let attention = Attention::new(trace, layer, position).unwrap();
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
                same(&sum, &wanted, &format!("{place}, head {head}, {shown} memories"));
            }
            let direct = trace.tensor(Site::HeadOutput(layer)).unwrap().get(head as i64).get(position as i64);
            same(&wanted, &direct, &format!("{place}, head {head}"));
        }
        let mut sum = attention.outputs.sum_dim_intlist(0, false, Kind::Float);
        if let Some(bias) = &attention.bias {
            sum += bias;
        }
        same(&sum, &row(trace, Site::AttnOut(layer), position), place);
    });
}

#[test]
fn neurons_add_up_to_what_the_mlp_writes() {
    everywhere(|trace, layer, position, place| {
        let mlp = Mlp::new(trace, layer, position).unwrap();
        if let Some(gates) = &mlp.gates {
            for (neuron, activation) in mlp.activations.iter().enumerate() {
                assert!(
                    (gates[neuron] * mlp.pre[neuron] - activation).abs() < 1e-5 * activation.abs().max(1.),
                    "{place}"
                );
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
            same(&sum, &row(trace, Site::MlpOut(layer), position), &format!("{place}, {} shown", shown.len()));
        }
    });
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
fn the_stream_is_the_sum_of_what_was_added() {
    everywhere(|trace, layer, position, place| {
        let at = |site| row(trace, site, position);
        let with_attention = at(Site::ResidPre(layer)) + at(Site::AttnOut(layer));
        if trace.model().architecture().main.blocks[layer].order == Order::Sequential {
            same(&with_attention, &at(Site::ResidMid(layer)), place);
        }
        same(&(with_attention + at(Site::MlpOut(layer))), &at(Site::ResidPost(layer)), place);
    });
}

#[test]
fn a_missing_site_is_named() {
    let trace = trace("gpt2");
    let poor = trace.model().watch([1, 2, 3]).keep([Site::HeadMix(0), Site::Pattern(0)]).run().unwrap();
    let attention = Attention::new(&poor, 0, 2).unwrap();
    match attention.keys(0, &[0]) {
        Err(Error::Site { site, problem }) => assert!(site == "blocks.0.attn.hook_k" && problem.contains("keep")),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("keys came from nowhere"),
    }
}

#[test]
fn runs_in_bfloat16_draw_too_and_say_nearly_the_same() {
    for name in ["gpt2", "gpt_neo", "gptj", "gpt_neox", "llama_gqa", "mistral", "qwen2", "qwen3"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name);
        let graph = |dtype| {
            let model = Model::options(folder.to_str().unwrap()).dtype(dtype).load().unwrap();
            let trace = model.run([5, 17, 3, 99, 42, 8]).unwrap();
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
            assert!((norm(&half) / norm(&full) - 1.).abs() < 0.05, "{name}, {id}");
        }
    }
}
