//! Which sums may have a node for what was changed by hand, and that every other one is checked.

use super::super::super::amounts::Heads;
use super::super::super::graph::{FlowGraph, NodeKind};
use super::super::draft::LEFT_OUT;
use super::{load, runs};
use crate::model::{Input, Seq2Seq};
use crate::run::Trace;
use crate::site::Part;
use crate::{Array, Change, Error, Site};

/// Every way to draw a run: coarsely, layer by layer, all layers chained, and two of them chained.
fn drawings(trace: &Trace, position: usize) -> Vec<crate::Result<FlowGraph>> {
    let last = trace.model().layers() - 1;
    let builder = || {
        let position = i64::try_from(position).unwrap();
        trace.flow_graph().position(position).target(3).heads(Heads::All).neurons(2, 1)
    };
    let all = || builder().layers(0..=last);
    vec![
        builder().overview().build(),
        all().build(),
        all().chain(true).build(),
        builder().heads(Heads::Top(1)).layers([0, last]).chain(true).build(),
    ]
}

/// The sums that got a node for what was changed by hand.
fn closed(graph: &FlowGraph) -> Vec<&str> {
    graph.nodes().filter_map(|node| node.id.strip_suffix(".change")).collect()
}

#[test]
fn no_sum_of_a_run_as_it_was_is_said_to_be_changed() {
    for (name, trace, positions) in runs() {
        for position in positions {
            for graph in drawings(&trace, position) {
                let graph = graph.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(closed(&graph), [""; 0], "{name}");
            }
        }
    }
}

#[test]
fn a_change_is_a_term_of_the_one_sum_that_it_parts() {
    // Of a change in layer 1: the sums that it parts in the overview, in single layers and in the whole chain.
    type Sums = &'static [&'static str];
    let (heads, cross_heads): (Sums, Sums) = (&["attn.head.*.output"], &["cross_attn.head.*.output"]);
    let sequential: &[(Site, [Sums; 3])] = &[
        (Site::ResidPre(1), [&["resid_post"], &[], &["resid_mid"]]),
        (Site::HeadMix(1), [&[], heads, heads]),
        (Site::HeadOutput(1), [&[], &["attn_out"], &["attn_out"]]),
        (Site::AttnOut(1), [&[], &["attn_out"], &["attn_out"]]),
        (Site::ResidMid(1), [&["resid_post"], &["resid_mid"], &["resid_mid"]]),
        (Site::MlpOut(1), [&[], &["mlp_out"], &["mlp_out"]]),
        (Site::ResidPost(1), [&["resid_post"]; 3]),
    ];
    let parallel: &[(Site, [Sums; 3])] = &[
        (Site::ResidPre(1), [&["resid_post"], &[], &["resid_post"]]),
        (Site::HeadMix(1), [&[], heads, heads]),
        (Site::HeadOutput(1), [&[], &["attn_out"], &["attn_out"]]),
        (Site::AttnOut(1), [&[], &["attn_out"], &["attn_out"]]),
        (Site::MlpOut(1), [&[], &["mlp_out"], &["mlp_out"]]),
        (Site::ResidPost(1), [&["resid_post"]; 3]),
    ];
    // Here the stream is normed after each sum, so that the overview shows every one.
    let normed: &[(Site, [Sums; 3])] = &[
        (Site::ResidPre(1), [&["resid_mid"], &[], &["resid_mid"]]),
        (Site::HeadMix(1), [&[], heads, heads]),
        (Site::HeadOutput(1), [&[], &["attn_out"], &["attn_out"]]),
        (Site::AttnOut(1), [&[], &["attn_out"], &["attn_out"]]),
        (Site::ResidMid(1), [&["resid_mid"]; 3]),
        (Site::CrossHeadMix(1), [&[], cross_heads, cross_heads]),
        (Site::CrossHeadOutput(1), [&[], &["cross_attn_out"], &["cross_attn_out"]]),
        (Site::CrossOut(1), [&[], &["cross_attn_out"], &["cross_attn_out"]]),
        (Site::ResidMidCross(1), [&["resid_mid_cross"]; 3]),
        (Site::MlpOut(1), [&[], &["mlp_out"], &["mlp_out"]]),
        (Site::ResidPost(1), [&["resid_post"]; 3]),
    ];
    for (name, parts) in [("gpt2", sequential), ("gptj", parallel), ("bart", normed)] {
        let model = load(name);
        let input = || match model.encoder_layers() {
            0 => Input::from([5i64, 17, 3, 99]),
            _ => Seq2Seq { source: [9i64, 8, 30], target: [2i64, 7, 9, 4] }.into(),
        };
        let plain = model.watch(input()).keep(model.sites()).run().unwrap();
        let sites = model.sites().into_iter().filter(|site| site.layer().is_none_or(|layer| layer == 1));
        for site in sites.filter(|site| *site != Site::Logits && site.part() != Part::Encoder) {
            let shape = plain.tensor(site).unwrap().size();
            let t = shape.len() - 2;
            // In keys and values the position is one of those that are looked at, the encoder's in cross attention.
            let position = 1;
            let size = shape.iter().enumerate().filter(|(axis, _)| *axis != t).map(|(_, n)| *n as usize);
            let size: Vec<usize> = size.collect();
            let numbers = (0..size.iter().product()).map(|i| (i as f32).sin().abs() + 0.1).collect();
            let change = Change::replace_position(site, position, Array::new(&size, numbers).unwrap());
            let changed = model.watch(input()).change(change).run().unwrap();
            let graphs = drawings(&changed, position);
            let wanted = parts.iter().find(|(part, _)| *part == site).map_or([&[] as Sums; 3], |(_, sums)| *sums);
            let heads = model.architecture().main.blocks[1].attention.heads;
            for (graph, wanted) in graphs.iter().zip(wanted) {
                let graph = graph.as_ref().unwrap_or_else(|error| panic!("{name}, {site}: {error}"));
                let of = |sum: &&str| {
                    let count = if sum.contains('*') { heads } else { 1 };
                    let sum = format!("blocks.1.{sum}");
                    (0..count).map(move |head| sum.replace('*', &head.to_string())).collect::<Vec<_>>()
                };
                let wanted: Vec<String> = wanted.iter().flat_map(of).collect();
                assert_eq!(closed(graph), wanted, "{name}, {site}");
            }
            for graph in drawings(&changed, 3).into_iter().take(3) {
                let found = closed(&graph.unwrap()).join(" ");
                assert_eq!(found, "", "{name}, {site}: another position was changed");
            }
        }
    }
}

#[test]
fn a_change_of_one_head_excuses_no_other_sum() {
    let model = load("gpt2");
    let changed = model.watch([5, 17, 3, 99]).change(Change::zero_head(1, 2)).run().unwrap();
    let graph = changed.flow_graph().layers([0, 1, 2]).chain(true).heads(Heads::All).build().unwrap();
    assert_eq!(closed(&graph), ["blocks.1.attn.head.2.output"]);
    // A neuron's row is multiplied with the number that was set, so nothing is left over.
    let silent = model.watch([5, 17, 3, 99]).change(Change::set_neuron(1, 7, 3.)).run().unwrap();
    assert_eq!(closed(&silent.flow_graph().layers([1]).build().unwrap()), [""; 0]);
    for run in [changed, silent] {
        let lost = Lost::term(NodeKind::NeuronValue, NodeKind::MlpOut);
        let error = run.flow_graph().layers([1]).build().unwrap_err();
        assert!(matches!(&error, Error::Sum { node, .. } if node == "blocks.1.mlp_out"), "{error}");
        drop(lost);
    }
}

/// Leaves the terms of some kinds out of graphs that this thread drafts, while it lives.
struct Lost;

impl Lost {
    fn term(of: NodeKind, sum: NodeKind) -> Lost {
        LEFT_OUT.set(Some((of, sum)));
        Lost
    }
}

impl Drop for Lost {
    fn drop(&mut self) {
        LEFT_OUT.set(None);
    }
}

#[test]
fn a_term_taken_out_is_noticed() {
    use NodeKind::{
        AttnOut, Bias, CrossHead, CrossOut, CrossValue, Head, MlpOut, NeuronValue, NormedResid, Remainder, Resid, Value,
    };
    let terms = [
        ("gpt2", Value, Head),
        ("gpt2", Remainder, Head),
        ("gpt2", Head, AttnOut),
        ("gpt2", Remainder, AttnOut),
        ("gpt2", Bias, AttnOut),
        ("gpt2", NeuronValue, MlpOut),
        ("gpt2", Remainder, MlpOut),
        ("gpt2", Bias, MlpOut),
        ("gpt2", Resid, Resid),
        ("gpt2", AttnOut, Resid),
        ("gpt2", MlpOut, Resid),
        ("gptj", AttnOut, Resid),
        ("gemma2", NeuronValue, MlpOut),
        ("mixtral_stacked", Remainder, MlpOut),
        ("bart", NormedResid, Resid),
        ("bart", CrossOut, Resid),
        ("bart", CrossHead, CrossOut),
        ("bart", Bias, CrossOut),
        ("bart", CrossValue, CrossHead),
        ("bart", Remainder, CrossHead),
        ("t5_gated", CrossOut, Resid),
    ];
    for (name, of, sum) in terms {
        let (_, trace, positions) = runs().find(|(fixture, ..)| fixture == name).unwrap();
        let position = *positions.last().unwrap();
        let builder = || {
            let builder = trace.flow_graph().position(position as i64).heads(Heads::Top(1));
            builder.values_per_head(1).neurons(2, 1)
        };
        let here = builder().layers([1]).build().unwrap();
        let node = |graph: &FlowGraph, id: &str| graph.nodes().find(|node| node.id == id).map(|node| node.kind);
        let there = |graph: &FlowGraph| {
            let graph = &graph.graphs[0];
            graph.links.iter().any(|link| (graph.nodes[link.source].kind, graph.nodes[link.target].kind) == (of, sum))
        };
        assert!(there(&here), "{name} has no such term: {of:?} in {sum:?}");
        let _lost = Lost::term(of, sum);
        match builder().layers([1]).build() {
            Err(Error::Sum { node: id, position: at, off, tolerance }) => {
                assert_eq!((node(&here, &id), at), (Some(sum), position), "{name}, {of:?} in {sum:?}: {id}");
                assert!(off > tolerance);
            }
            Err(other) => panic!("{name}, {of:?} in {sum:?}: {other}"),
            Ok(_) => panic!("{name}: {of:?} is missing in {sum:?}, and the graph was drawn"),
        }
        if sum == Resid {
            assert!(matches!(builder().overview().build(), Err(Error::Sum { .. })), "{name}, {of:?}, overview");
        }
    }
}
