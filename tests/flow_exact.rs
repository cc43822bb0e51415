//! The exact graph as a user gets it: everything that enters a node adds up to it.

use std::path::Path;

use flowlens::flow::{FlowGraph, Graph, Heads, LinkKind, Method, Node, NodeKind, Palette};
use flowlens::model::architecture::Order;
use flowlens::{Array, Change, Model, Seq2Seq, Site, Trace};

/// Every family that can be drawn, and every way to place norms and positions.
const FAMILIES: [&str; 49] = [
    "bart",
    "bloom",
    "bloom_six_heads",
    "ctrl",
    "falcon_11b",
    "falcon_40b",
    "falcon_7b",
    "falcon_rw",
    "falcon_sequential",
    "gemma",
    "gemma2",
    "gemma3_text",
    "gpt2",
    "gpt2_left_padded",
    "gpt_bigcode",
    "gpt_neo",
    "gpt_neox",
    "gptj",
    "llama_gqa",
    "llama_mha",
    "marian",
    "mbart_uneven",
    "mistral",
    "mixtral_stacked",
    "mt5",
    "olmo2_grouped",
    "openai_gpt",
    "opt_plain_norms",
    "opt_post",
    "opt_pre",
    "opt_projected",
    "opt_projected_pre",
    "pegasus_uneven",
    "phi",
    "phi3_long",
    "phi_head_norms",
    "qwen2",
    "qwen2_moe_published",
    "qwen3",
    "stablelm_parallel",
    "stablelm_sequential",
    "starcoder2_window",
    "t5_gated",
    "t5_own_head_scaled",
    "t5_tied",
    "umt5_layers",
    "xlm",
    "xlnet",
    "xlnet_uni",
];

fn model(name: &str) -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    Model::load(folder.to_str().unwrap()).unwrap()
}

fn trace(family: &str) -> Trace {
    let model = model(&format!("parity/{family}"));
    let vocabulary = model.architecture().vocab() as i64;
    let ids = [5i64, 17, 200, 3, 77, 150, 42, 9, 111].map(|id| id % vocabulary);
    match model.encoder_layers() {
        0 => model.run(ids).unwrap(),
        _ => model.run(Seq2Seq { source: [9i64, 8, 30, 31, 7], target: ids }).unwrap(),
    }
}

/// A node or link as it is drawn.
struct Look {
    label: String,
    color: String,
    hover: Vec<String>,
}

/// How the nodes (or links) of all graphs are drawn, in their order, as the figure's numbers tell.
fn looks(graph: &FlowGraph, of: &str) -> Vec<Look> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let json = graph.to_json();
    let all = json["graphs"].as_array().unwrap().iter().flat_map(|graph| graph[of].as_array().unwrap());
    all.map(|it| Look {
        label: text(&it["label"]),
        color: text(&it["color"]),
        hover: text(&it["hover"]).split("<br />").map(str::to_owned).collect(),
    })
    .collect()
}

/// The nodes with how they are drawn.
fn drawn(graph: &FlowGraph) -> impl Iterator<Item = (&Node, Look)> {
    graph.nodes().zip(looks(graph, "nodes"))
}

/// Checks every sum of a graph through what its terms put onto the logits of the targets: a linear view of the
/// vectors, one number for each target.
fn assert_sums(graph: &Graph, place: &str) -> usize {
    let sum_kinds =
        [NodeKind::Head, NodeKind::AttnOut, NodeKind::CrossHead, NodeKind::CrossOut, NodeKind::MlpOut, NodeKind::Resid];
    let mut sums = 0;
    for (index, node) in graph.nodes.iter().enumerate() {
        let terms: Vec<_> = graph
            .links
            .iter()
            .filter(|link| link.target == index && !matches!(link.kind, LinkKind::Norm | LinkKind::Skip))
            .collect();
        let skipped = graph.links.iter().any(|link| link.target == index && link.kind == LinkKind::Skip);
        if !sum_kinds.contains(&node.kind) || terms.is_empty() || skipped {
            continue;
        }
        let (mut error, mut size) = (0f64, 0f64);
        for (target, &wanted) in node.contributions.iter().enumerate() {
            let parts = || terms.iter().map(|link| graph.nodes[link.source].contributions[target]);
            error += (parts().sum::<f64>() - wanted).powi(2);
            // A head that was zeroed by hand has a sum of nothing.
            size += if wanted == 0. { parts().map(|part| part * part).sum() } else { wanted * wanted };
        }
        let relative = (error / size).sqrt();
        assert!(relative < 1e-5, "{place}, {}: {} terms, relative error {relative:e}", node.id, terms.len());
        sums += 1;
    }
    sums
}

#[test]
fn every_fan_in_adds_up_in_every_family() {
    for family in FAMILIES {
        let trace = trace(family);
        let block = &trace.model().architecture().main.blocks[0];
        let heads = block.attention.heads;
        // Attention's output, the MLP's, and the sums of the stream; the same for cross attention.
        let more = if block.order == Order::Parallel { 3 } else { 4 } + if block.cross.is_some() { 2 } else { 0 };
        let attentions = if block.cross.is_some() { 2 } else { 1 };
        let layers = trace.model().layers().min(2);
        for (amount, position) in [(Heads::Top(2), -1), (Heads::All, 4), (Heads::ByTarget(1), 0)] {
            let mut builder = trace.flow_graph().layers(0..layers).position(position).heads(amount).neurons(3, 2);
            for target in [1, 2, 8, 20, 29] {
                builder = builder.target(target);
            }
            for chain in [false, true] {
                let graph = builder.clone().chain(chain).build().unwrap();
                assert_eq!(graph.graphs.len(), if chain { 1 } else { layers });
                let sums: usize = graph.graphs.iter().map(|graph| assert_sums(graph, family)).sum();
                let shown = match amount {
                    Heads::All => heads,
                    Heads::Top(count) | Heads::ByTarget(count) => count.min(heads),
                    _ => unreachable!(),
                };
                assert_eq!(sums, layers * (attentions * shown + more), "{family}");
            }
        }
    }
}

#[test]
fn an_overview_of_some_layers_is_refused() {
    let error = trace(FAMILIES[0]).flow_graph().layers([0]).overview().build().unwrap_err().to_string();
    assert!(error.contains("an overview shows every layer"), "{error}");
}

#[test]
fn the_first_block_input_and_the_output_put_the_logit_together() {
    for family in FAMILIES {
        let trace = trace(family);
        let graph = trace.flow_graph().overview().target(3).target(5).target(25).build().unwrap();
        let after_each = trace.model().architecture().main.blocks.iter().map(|block| {
            let norms = [&block.attn_norms, &block.mlp_norms];
            // Norms of the stream between sublayers part their sums.
            let parted = norms[0].after.is_some() || norms[1].first.is_some();
            1 + usize::from(parted) + usize::from(parted && block.cross.is_some())
        });
        assert_eq!(assert_sums(&graph.graphs[0], family), after_each.sum::<usize>(), "{family}");
        let last = graph.nodes().last().unwrap();
        assert!(matches!(last.kind, NodeKind::Resid | NodeKind::NormedResid), "{family}");
        let position = trace.len() - 1;
        let stream = trace.get(trace.logit_lens().unwrap().rows.last().unwrap().site).unwrap().row(position).unwrap();
        let frozen = trace.model().lens().unwrap().frozen(&stream).unwrap().targets([3]);
        let logit = f64::from(frozen.read(&stream).unwrap()[0].targets[0].logit);
        assert!((last.contributions[0] - logit).abs() < 1e-4 * logit.abs().max(1.), "{family}");
        let own = trace.get(Site::Logits).unwrap().get(&[position, 3]).unwrap();
        let read = last.reading.as_ref().unwrap().targets[0].logit;
        assert!((own - read).abs() < 1e-4 * own.abs().max(1.), "{family}: {own} {read}");
    }
}

#[test]
fn layers_left_out_are_one_link_with_what_they_added() {
    for family in ["gpt2", "gptj", "llama_gqa"] {
        let trace = trace(family);
        let whole = trace.flow_graph().layers([2, 0, 2]).chain(true).target(7).build().unwrap();
        let graph = &whole.graphs[0];
        assert_eq!(graph.layers, [0, 2]);
        let skip: Vec<_> = graph.links.iter().filter(|link| link.kind == LinkKind::Skip).collect();
        assert_eq!(skip.len(), 1);
        let (from, to) = (&graph.nodes[skip[0].source], &graph.nodes[skip[0].target]);
        assert_eq!((from.id.as_str(), to.id.as_str()), ("blocks.0.resid_post", "blocks.2.resid_pre"));
        let row = |site| trace.get(site).unwrap().row(8).unwrap().data().to_vec();
        let (attention, mlp) = (row(Site::AttnOut(1)), row(Site::MlpOut(1)));
        let length = attention.iter().zip(&mlp).map(|(a, m)| f64::from(a + m).powi(2)).sum::<f64>().sqrt();
        assert!((skip[0].weight - length).abs() < 1e-5 * length, "{family}: {} {length}", skip[0].weight);
        let place = graph.links.iter().position(|link| link.kind == LinkKind::Skip).unwrap();
        let hover = looks(&whole, "links").remove(place).hover.concat();
        assert!(hover.contains("layer 1, not shown, adds a vector") && hover.contains("says"), "{hover}");
    }
}

#[test]
fn remainders_stand_where_a_sum_is_cut_and_only_there() {
    let trace = trace("gpt2");
    let count = |graph: &FlowGraph| graph.nodes().filter(|node| node.kind == NodeKind::Remainder).count();
    let cut = trace.flow_graph().layers([1]).heads(Heads::Top(3)).values_per_head(2).neurons(2, 1).build().unwrap();
    assert_eq!(count(&cut), 3 + 1 + 1, "one for each head's tokens, one for heads, one for neurons");
    let whole = trace.flow_graph().layers([1]).heads(Heads::All).values_per_head(99).neurons(999, 999).build().unwrap();
    assert_eq!(count(&whole), 0);
    let first = trace.flow_graph().layers([1]).position(0).heads(Heads::All).build().unwrap();
    let memories = first.nodes().filter(|node| node.kind == NodeKind::Value).count();
    assert_eq!(memories, 4, "the first position sees only itself");
}

#[test]
fn a_window_hides_what_lies_before_it() {
    let trace = trace("mistral");
    let graph = trace.flow_graph().layers([0]).values_per_head(99).heads(Heads::All).build().unwrap();
    let positions: Vec<usize> = graph.nodes().filter_map(|node| node.source_position).collect();
    assert_eq!(positions.iter().min(), Some(&3), "six positions back from 8, its own included");
    assert_eq!(positions.iter().max(), Some(&8));
}

#[test]
fn gated_neurons_show_gate_and_up() {
    let gated = trace("llama_gqa").flow_graph().layers([0]).neurons(3, 2).build().unwrap();
    let count = |graph: &FlowGraph, kind| graph.nodes().filter(|node| node.kind == kind).count();
    assert_eq!(count(&gated, NodeKind::NeuronGate), 5);
    assert_eq!(count(&gated, NodeKind::NeuronKey), 5);
    assert_eq!(count(&gated, NodeKind::NeuronValue), 5);
    let plain = trace("gpt2").flow_graph().layers([0]).neurons(3, 2).build().unwrap();
    assert_eq!(count(&plain, NodeKind::NeuronGate), 0);
}

#[test]
fn neurons_of_experts_are_named_by_them() {
    let trace = trace("qwen2_moe_published");
    let blocks = &trace.model().architecture().main.blocks;
    let layer = blocks.iter().position(|block| block.mlp.experts.is_some()).unwrap();
    let experts = blocks[layer].mlp.experts.as_ref().unwrap();
    let graph = trace.flow_graph().layers([layer]).neurons(400, 400).build().unwrap();
    let (_, out) = drawn(&graph).find(|(node, _)| node.kind == NodeKind::MlpOut).unwrap();
    let used = out.hover.iter().find(|line| line.starts_with("written by ")).unwrap();
    assert!(used.contains("the shared expert with weight 0."), "{used}");
    assert_eq!(used.matches("expert ").count(), experts.chosen + 1, "{used}");
    let weights = trace.get(Site::ExpertWeights(layer)).unwrap().row(8).unwrap();
    let width = blocks[layer].mlp.up.outputs;
    for (node, look) in drawn(&graph).filter(|(node, _)| node.kind == NodeKind::NeuronValue) {
        let neuron = node.neuron.unwrap();
        let name = match neuron / width {
            expert if expert < experts.count => {
                assert!(weights.get(&[expert]).unwrap() > 0., "only neurons of experts that are used");
                format!("layer {layer}, expert {expert}, neuron {}: ", neuron % width)
            }
            _ => format!("layer {layer}, shared expert, neuron {}: ", neuron - experts.count * width),
        };
        assert!(look.hover[0].starts_with(&name), "{:?} {name}", look.hover);
        assert!(look.hover.iter().any(|line| line.contains(" x the expert's weight 0.")), "{:?}", look.hover);
    }
}

#[test]
fn cross_attention_is_a_part_of_its_own() {
    for family in ["t5_gated", "bart"] {
        let trace = trace(family);
        let graph = trace.flow_graph().layers([1]).heads(Heads::Top(1)).values_per_head(2).build().unwrap();
        let of = |kind: NodeKind| graph.nodes().filter(|node| node.kind == kind).collect::<Vec<_>>();
        assert_eq!((of(NodeKind::Head).len(), of(NodeKind::CrossHead).len()), (1, 1));
        assert_eq!(of(NodeKind::CrossKey).len(), 2);
        for (key, look) in drawn(&graph).filter(|(node, _)| node.kind == NodeKind::CrossKey) {
            let position = key.source_position.unwrap();
            assert!(position < 5, "the encoder reads five tokens");
            assert_eq!(look.label, format!("«{}»", graph.meta.encoder_tokens[position]));
            assert!(look.hover[0].contains(&format!("at the encoder's position {position}")), "{:?}", look.hover);
        }
        let columns = |kinds: &[NodeKind]| -> Vec<usize> {
            graph.nodes().filter(|node| kinds.contains(&node.kind)).map(|node| node.column).collect()
        };
        let own = columns(&[NodeKind::Query, NodeKind::Key, NodeKind::Value, NodeKind::Head, NodeKind::AttnOut]);
        let cross = columns(&[
            NodeKind::CrossQuery,
            NodeKind::CrossKey,
            NodeKind::CrossValue,
            NodeKind::CrossHead,
            NodeKind::CrossOut,
        ]);
        let mlp = columns(&[NodeKind::NeuronKey, NodeKind::NeuronValue, NodeKind::MlpOut]);
        assert!(own.iter().max() < cross.iter().min() && cross.iter().max() < mlp.iter().min(), "{family}");
    }
}

#[test]
fn a_score_tells_position_from_content() {
    for (family, says) in [("bloom", "from position"), ("t5_tied", "from position"), ("gemma2", "by a soft cap")] {
        let graph = trace(family).flow_graph().layers([0]).build().unwrap();
        let (_, key) = drawn(&graph).find(|(node, _)| node.kind == NodeKind::Key).unwrap();
        let score = key.hover.iter().find(|line| line.starts_with("score ")).unwrap();
        assert!(score.contains("from content") && score.contains(says), "{family}: {score}");
        assert!(key.hover.iter().any(|line| line.starts_with("content ")), "{family}: {:?}", key.hover);
    }
}

#[test]
fn nodes_tell_what_they_are_and_ids_are_unique() {
    let trace = model("visit/tiny_llama").run("The capital of Japan is the city of").unwrap();
    let graph = trace.flow_graph().layers(0..3).chain(true).target(" the").target(286).build().unwrap();
    assert_eq!(graph.meta.targets.iter().map(|target| target.text.as_str()).collect::<Vec<_>>(), [" the", " of"]);
    let mut ids: Vec<&str> = graph.nodes().map(|node| node.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), graph.nodes().count());
    for (node, look) in drawn(&graph) {
        let hover = look.hover.join("\n");
        for part in ["layer ", "says “", "“␣the”: rank ", "“␣of”: rank ", "length ", "entropy "] {
            assert!(hover.contains(part), "{}: {part:?} is not in {hover}", node.id);
        }
        assert!(look.color.starts_with("rgba(") || look.color.starts_with('#'));
    }
    let (_, key) = drawn(&graph).find(|(node, _)| node.kind == NodeKind::Key).unwrap();
    assert!(key.hover.iter().any(|line| line.starts_with("attention 0.")), "{:?}", key.hover);
    assert!(key.label.starts_with('«'));
    let columns: Vec<usize> = graph.graphs[0]
        .links
        .iter()
        .map(|link| {
            let nodes = &graph.graphs[0].nodes;
            assert!(nodes[link.source].column < nodes[link.target].column, "{link:?}");
            nodes[link.target].column
        })
        .collect();
    assert_eq!(columns.iter().max(), Some(&36));
    assert!(graph.links().all(|link| link.weight >= 0.));
    assert!(looks(&graph, "links").iter().all(|look| !look.color.is_empty() && look.hover.concat().len() > 10));
    let legend = |key: &str| graph.to_json()["meta"][key].as_array().unwrap().len();
    assert!(legend("link_colors") > 3 && legend("rank_colors") > 3);
}

#[test]
fn targets_that_are_not_one_token_are_remarked() {
    let trace = model("visit/tiny_gpt2").run("The capital of Japan is the city of").unwrap();
    let notes = |target: &str| trace.flow_graph().layers([0]).target(target).build().unwrap().meta.notes;
    assert!(notes(" the").is_empty());
    let several = notes(" Tokyo").concat();
    assert!(several.contains("tokens (") && several.contains("follows the first"), "{several}");
    let blank = notes("the").concat();
    assert!(blank.contains("\" the\""), "{blank}");
    let own = trace.flow_graph().layers([0]).build().unwrap();
    assert_eq!(own.meta.targets[0].id, trace.next_tokens(1).unwrap()[0].id, "ids are passed on, not texts");
    let none = trace.flow_graph().layers([0]).no_target().build().unwrap();
    assert!(none.to_json()["meta"]["rank_colors"].as_array().unwrap().is_empty());
    assert!(none.nodes().all(|node| node.contributions.is_empty()));
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    let trace = trace("gpt2");
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("flow_graph_configs");
    let builder = || trace.flow_graph().layers([1]);
    for (builder, says) in [
        (trace.flow_graph().layers([3]), "layer 3 does not exist; the model has 3 layers (0 to 2)"),
        (builder().position(9), "0 to 8"),
        (builder().position(-10), "position -10"),
        (builder().target("x").target(290), "0 to 289"),
        (builder().config("nowhere.json"), "nowhere.json"),
        (builder().config(configs.join("flow_graph_config_llama2_7B.json")), "belongs to llama"),
        (builder().no_target().heads(Heads::ByTarget(2)), "follows none"),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(says), "{says:?} is not in {error:?}");
    }
    let poor = trace.model().watch([1i64, 2, 3]).keep([Site::ResidPre(0)]).run().unwrap();
    let error = poor.flow_graph().layers([0]).target(1).build().unwrap_err().to_string();
    assert!(error.contains("blocks.0.ln1.output") && error.contains("keep"), "{error}");
    let grouped =
        self::trace("llama_gqa").flow_graph().layers([0]).method(Method::Visit).build().unwrap_err().to_string();
    assert!(grouped.contains("2 key heads for 6 query heads"), "{grouped}");
    for family in ["bloom", "t5_gated", "gemma2", "mixtral_stacked"] {
        let error = self::trace(family).flow_graph().layers([0]).method(Method::Visit).build().unwrap_err().to_string();
        assert!(error.contains("VISIT has no form for") && error.contains("leave out the method"), "{family}: {error}");
    }
    for family in ["bert", "deberta_v2", "bert_decoder"] {
        let masked = model(&format!("parity/{family}")).run([5i64, 17, 3]).unwrap();
        let error = masked.flow_graph().layers([0]).build().unwrap_err().to_string();
        assert!(error.contains("not linear") && error.contains("logit_lens"), "{family}: {error}");
        assert_eq!(masked.logit_lens().unwrap().rows.len(), masked.model().layers() + 1);
    }
    let neox = self::trace("gpt_neox").flow_graph().layers([0]).method(Method::Visit).build().unwrap_err().to_string();
    assert!(neox.contains("no form for gpt_neox"), "{neox}");
}

#[test]
fn configurations_set_amounts_and_colours() {
    let trace = trace("gpt2");
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("flow_graph_configs");
    let heads = |graph: &FlowGraph| graph.nodes().filter(|node| node.kind == NodeKind::Head).count();
    for name in ["light", "dark", "color_blind", "flow_graph_config_gpt2", "flow_graph_config_basic_color_palette2"] {
        let graph = trace.flow_graph().layers([1]).config(configs.join(format!("{name}.json"))).build().unwrap();
        assert_eq!(graph.meta.method, Method::Exact);
        assert_eq!(heads(&graph), 4);
        let fewer = trace.flow_graph().layers([1]).heads(Heads::Top(1)).config(configs.join(format!("{name}.json")));
        assert_eq!(heads(&fewer.build().unwrap()), 1, "the builder wins");
    }
    let legend = |graph: FlowGraph, key: &str| graph.to_json()["meta"][key].clone();
    let rank_one = |palette| legend(trace.flow_graph().layers([1]).palette(palette).build().unwrap(), "rank_colors");
    assert_ne!(rank_one(Palette::ColorBlind), rank_one(Palette::Standard));
}

#[test]
fn the_listed_sites_are_enough_for_both_methods_and_each_is_needed() {
    for family in FAMILIES {
        let model = model(&format!("parity/{family}"));
        let sites = flowlens::flow::sites(&model, [0]);
        let vocabulary = model.architecture().vocab() as i64;
        let ids = [5i64, 17, 200, 3].map(|id| id % vocabulary);
        let run = |sites: Vec<Site>| {
            let watch = match model.encoder_layers() {
                0 => model.watch(ids),
                _ => model.watch(Seq2Seq { source: [9i64, 8], target: ids }),
            };
            watch.keep(sites).run().unwrap()
        };
        let exact = |trace: &Trace| trace.flow_graph().layers([0]).target(3).heads(Heads::ByTarget(1)).build();
        let published = ["gpt2", "gpt_neo", "gptj", "llama_mha"].contains(&family);
        let visit =
            |trace: &Trace| trace.flow_graph().layers([0]).target(3).method(Method::Visit).neurons(4, 2).build();
        let trace = run(sites.clone());
        let of_layer = sites.iter().filter(|site| site.layer() == Some(0)).count();
        assert!(of_layer <= 28, "{family}");
        let graph = exact(&trace).unwrap();
        let heads = graph.nodes().filter(|node| node.kind == NodeKind::Head);
        assert!(heads.into_iter().all(|head| head.contributions.len() == 1), "{family}");
        if published {
            visit(&trace).unwrap();
        }
        for missing in &sites {
            let trace = run(sites.iter().copied().filter(|site| site != missing).collect());
            let spared = exact(&trace).is_ok() && (!published || visit(&trace).is_ok());
            // Of these families the exact graph reads rotated queries and keys and one norm; VISIT's graph reads all.
            let only_visit = match missing {
                Site::Query(_) | Site::Key(_) => sites.contains(&Site::RotatedQuery(0)),
                Site::MlpNorm(_) => model.architecture().main.blocks[0].order == Order::Parallel,
                _ => false,
            };
            assert!(!spared || only_visit, "{family}: both graphs are drawn without {missing}");
        }
    }
}

#[test]
fn a_builder_outlives_its_run_and_says_what_it_is_made_from() {
    for family in ["gpt2", "gptj", "bart", "gemma2"] {
        // No borrow: the run itself is gone when the builder is asked.
        let builder = trace(family).flow_graph().target(3);
        let model = model(&format!("parity/{family}"));
        let input = || match model.encoder_layers() {
            0 => flowlens::Input::from([5i64, 17, 3]),
            _ => Seq2Seq { source: [9i64, 8], target: [2i64, 5, 17] }.into(),
        };
        for wanted in [builder.clone(), builder.clone().layers([0, 1]).chain(true)] {
            wanted.build().unwrap();
            let poor = model.watch(input()).keep(wanted.sites()).run().unwrap();
            let again = poor.flow_graph().target(3);
            let same = if wanted.sites() == builder.sites() { again } else { again.layers([0, 1]).chain(true) };
            let (graph, mut sites) = (same.build().unwrap(), poor.sites());
            assert!(graph.nodes().all(|node| node.part_of.is_none() || node.contributions.len() == 1), "{family}");
            sites.sort_unstable();
            assert_eq!(sites, wanted.sites(), "{family}: nothing else is kept");
        }
    }
}

#[test]
fn colours_of_a_published_file_take_effect_in_the_exact_graph_too() {
    let trace = trace("gpt2");
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("flow_graph_configs");
    let file = configs.join("flow_graph_config_basic_color_palette2.json");
    let graph = trace.flow_graph().layers([1]).config(file).build().unwrap();
    let all = looks(&graph, "links");
    let of = |kind: LinkKind| graph.links().zip(&all).filter(move |(link, _)| link.kind == kind);
    // Past attention blue, past the MLP light blue; attention from purple over grey to yellow.
    let past: Vec<&str> = of(LinkKind::Residual).map(|(_, look)| look.color.as_str()).collect();
    assert_eq!(past, ["rgba(0, 0, 255, 0.45)", "rgba(173, 216, 230, 0.45)"]);
    let scores: std::collections::BTreeSet<&str> = of(LinkKind::Score).map(|(_, look)| look.color.as_str()).collect();
    assert!(scores.len() > 3, "{scores:?}");
    let refused = |text: &str| {
        let path = std::env::temp_dir().join(format!("flowlens_refused_{}.json", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let error = trace.flow_graph().layers([1]).config(&path).build().unwrap_err().to_string();
        std::fs::remove_file(path).unwrap();
        error
    };
    for (text, key) in [
        (r#"{"font_size": 9}"#, "font_size"),
        (r#"{"backgroud_color": "white"}"#, "backgroud_color"),
        (r#"{"factor_head_norm": 2}"#, "factor_head_norm"),
        (r#"{"include_mlp_bias": false}"#, "include_mlp_bias"),
    ] {
        let error = refused(text);
        assert!(error.contains(key) && error.contains("leave it out"), "{error}");
    }
}

#[test]
fn what_was_changed_by_hand_is_a_term_of_its_own() {
    let model = model("parity/gpt2");
    let ids = [5i64, 17, 200, 3];
    let changes = |graph: &FlowGraph| -> Vec<String> {
        drawn(graph).filter(|(_, look)| look.label == "change").map(|(node, _)| node.id.clone()).collect()
    };
    let draw = |change: Change| {
        let trace = model.watch(ids).change(change).run().unwrap();
        let graph = trace.flow_graph().layers([0, 1]).chain(true).target(7).target(70).build().unwrap();
        assert_sums(&graph.graphs[0], "changed");
        graph
    };
    let width = model.architecture().main.width;
    let waves = Array::new(&[width], (0..width).map(|i| (i as f32).sin()).collect()).unwrap();
    assert_eq!(
        changes(&draw(Change::replace_position(Site::AttnOut(1), 3, waves.clone()))),
        ["blocks.1.attn_out.change"]
    );
    assert_eq!(changes(&draw(Change::replace_position(Site::ResidPost(0), 3, waves))), ["blocks.0.resid_post.change"]);
    assert_eq!(changes(&draw(Change::zero_head(0, 2))), ["blocks.0.attn.head.2.output.change"]);
    assert!(changes(&draw(Change::zero_neuron(1, 7))).is_empty());
}
