//! One block, drawn: attention by heads and memories, the MLP by neurons.

use tch::{Kind, Tensor};

use super::super::batch;
use super::super::builder::Heads;
use super::super::graph::{LinkKind, NodeKind};
use super::attention::{Attention, Memory};
use super::draft::{Draft, NodeDraft, number, signed};
use super::mlp::Mlp;
use super::{Scene, bare};
use crate::model::architecture::Order;
use crate::{Result, Site};

/// A node and the length of its vector.
type Stream = (usize, f64);

/// Draws a block from the node of the stream that enters it: the node of the stream that leaves it, and its column.
pub(super) fn draw(
    scene: &mut Scene,
    draft: &mut Draft,
    layer: usize,
    input: Stream,
    column: usize,
) -> Result<(Stream, usize)> {
    let block = scene.request.trace.model().stack().block(layer);
    let parallel = block.order == Order::Parallel;
    let own_norm = block.mlp_norms.before.is_some();
    let (attn_reads, _) = scene.site(draft, Site::AttnNorm(layer), NodeKind::Normed, column + 1)?;
    let (attn_out, attn_length) = scene.site(draft, Site::AttnOut(layer), NodeKind::AttnOut, column + 6)?;
    let attn_flow = attention(scene, draft, layer, (attn_reads, attn_out), column)?;
    let through_norm = || "read through a norm".to_owned();

    if parallel {
        let mlp_reads = match own_norm {
            true => scene.site(draft, Site::MlpNorm(layer), NodeKind::Normed, column + 1)?.0,
            false => attn_reads,
        };
        let (mlp_out, mlp_length) = scene.site(draft, Site::MlpOut(layer), NodeKind::MlpOut, column + 9)?;
        let (output, length) = scene.site(draft, Site::ResidPost(layer), NodeKind::Resid, column + 10)?;
        let mlp_flow = mlp(scene, draft, layer, (mlp_reads, mlp_out), column + 7)?;
        if own_norm {
            draft.link((input.0, attn_reads), LinkKind::Norm, attn_flow, attn_flow, through_norm());
            draft.link((input.0, mlp_reads), LinkKind::Norm, mlp_flow, mlp_flow, through_norm());
        } else {
            let flow = attn_flow + mlp_flow;
            draft.link((input.0, attn_reads), LinkKind::Norm, flow, flow, through_norm());
        }
        residual(draft, (input.0, output), input.1);
        draft.add((attn_out, output), LinkKind::Add, attn_length);
        draft.add((mlp_out, output), LinkKind::Add, mlp_length);
        return Ok(((output, length), column + 10));
    }

    let (middle, middle_length) = scene.site(draft, Site::ResidMid(layer), NodeKind::Resid, column + 7)?;
    let (mlp_reads, _) = scene.site(draft, Site::MlpNorm(layer), NodeKind::Normed, column + 8)?;
    let (mlp_out, mlp_length) = scene.site(draft, Site::MlpOut(layer), NodeKind::MlpOut, column + 11)?;
    let (output, length) = scene.site(draft, Site::ResidPost(layer), NodeKind::Resid, column + 12)?;
    let mlp_flow = mlp(scene, draft, layer, (mlp_reads, mlp_out), column + 9)?;
    draft.link((input.0, attn_reads), LinkKind::Norm, attn_flow, attn_flow, through_norm());
    residual(draft, (input.0, middle), input.1);
    draft.add((attn_out, middle), LinkKind::Add, attn_length);
    draft.link((middle, mlp_reads), LinkKind::Norm, mlp_flow, mlp_flow, through_norm());
    residual(draft, (middle, output), middle_length);
    draft.add((mlp_out, output), LinkKind::Add, mlp_length);
    Ok(((output, length), column + 12))
}

fn residual(draft: &mut Draft, ends: (usize, usize), length: f64) {
    let hover = format!("the residual stream goes on, a vector of length {}", number(length));
    draft.term(ends, LinkKind::Residual, length, length, hover);
}

/// The heads that are shown, in their order.
fn shown_heads(scene: &Scene, attention: &Attention, lengths: &[f64]) -> Result<Vec<usize>> {
    let (strengths, count) = match scene.request.amounts.heads {
        Heads::All => return Ok((0..attention.heads()).collect()),
        Heads::Top(count) => (lengths.to_vec(), count),
        Heads::ByTarget(count) => {
            let direction = scene.first_target()?.f_to_device(attention.outputs.device())?;
            (batch::numbers(&attention.outputs.f_mv(&direction)?.f_abs()?)?, count)
        }
    };
    let mut chosen = batch::falling(&strengths);
    chosen.truncate(count);
    chosen.sort_unstable();
    Ok(chosen)
}

/// Draws attention between what it reads and what it writes: the width of all that leaves the former.
fn attention(
    scene: &mut Scene,
    draft: &mut Draft,
    layer: usize,
    (reads, writes): (usize, usize),
    column: usize,
) -> Result<f64> {
    let attention = Attention::new(scene.request.trace, layer, scene.request.position)?;
    let lengths = batch::norms(&attention.outputs)?;
    let shown = shown_heads(scene, &attention, &lengths)?;
    let mut flow = 0.;
    for &head in &shown {
        flow += draw_head(scene, draft, layer, &attention, head, (reads, writes), (column, lengths[head]))?;
    }
    let others: Vec<i64> =
        (0..attention.heads()).filter(|head| !shown.contains(head)).map(|head| head as i64).collect();
    if !others.is_empty() {
        let index = Tensor::f_from_slice(&others)?.f_to_device(attention.outputs.device())?;
        let rest =
            attention.outputs.f_index_select(0, &index)?.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Float)?;
        let length = batch::norms(&rest.f_unsqueeze(0)?)?[0];
        let numbers: Vec<String> = others.iter().map(i64::to_string).collect();
        let vector = scene.batch.push(&rest)?;
        let node = draft.node(NodeDraft {
            name: format!("layer {layer}: what the other {} write together", count(others.len(), "head")),
            label: Some(format!("+{}", count(others.len(), "head"))),
            facts: vec![format!("heads {}", numbers.join(", "))],
            added: Some(1.),
            ..bare(format!("blocks.{layer}.attn.rest"), NodeKind::Remainder, layer, column + 5, vector)
        });
        draft.link((reads, node), LinkKind::Score, length, length, "read by the heads not shown".to_owned());
        draft.add((node, writes), LinkKind::Add, length);
        flow += length;
    }
    if let Some(bias) = &attention.bias {
        draw_bias(scene, draft, (layer, "attn", "attention's output"), bias, writes, column + 5)?;
    }
    Ok(flow)
}

/// Draws one head: the width of what leaves its query.
fn draw_head(
    scene: &mut Scene,
    draft: &mut Draft,
    layer: usize,
    attention: &Attention,
    head: usize,
    (reads, writes): (usize, usize),
    (column, length): (usize, f64),
) -> Result<f64> {
    let seen = attention.memories(head)?;
    let shown = &seen[..scene.request.amounts.values_per_head.min(seen.len())];
    let positions: Vec<usize> = shown.iter().map(|memory| memory.position).collect();
    let id = |part: &str| format!("blocks.{layer}.attn.head.{head}.{part}");
    let of_head = |node: NodeDraft| NodeDraft { head: Some(head), ..node };

    let vector = scene.batch.push(&attention.query(head)?)?;
    let query = draft.node(of_head(NodeDraft {
        name: format!("layer {layer}, head {head}: what its query looks for"),
        ..bare(id("query"), NodeKind::Query, layer, column + 2, vector)
    }));
    let vector = scene.batch.push(&attention.outputs.f_get(head as i64)?)?;
    let output = draft.node(of_head(NodeDraft {
        name: format!("layer {layer}, head {head}: what it writes"),
        mark: format!("H{head} "),
        added: Some(1.),
        ..bare(id("output"), NodeKind::Head, layer, column + 5, vector)
    }));

    let mut flow = 0.;
    if !positions.is_empty() {
        let values = attention.values(head, &positions)?;
        let keys = attention.keys(head, &positions)?;
        let dots = batch::numbers(&keys.directions.f_mv(&scene.row(Site::AttnNorm(layer))?)?)?;
        let first_key = scene.batch.push_rows(&keys.directions)?;
        let first_value = scene.batch.push_rows(&values)?;
        for (slot, &Memory { position, score, added: width }) in shown.iter().enumerate() {
            let source = scene.pieces.get(position).cloned().unwrap_or_default();
            let from = format!("“{source}” at position {position}");
            let (dot, offset, scale) = (dots[slot], keys.offsets[slot], attention.scale());
            let of_slot = |node: NodeDraft| NodeDraft { source_position: Some(position), ..of_head(node) };
            let key = draft.node(of_slot(NodeDraft {
                name: format!("layer {layer}, head {head}: the key of {from}"),
                label: Some(format!("«{source}»")),
                facts: vec![
                    format!("attention {score:.3}"),
                    format!(
                        "score {} = {} · (input along this direction {} {} from biases)",
                        number(scale * (dot + offset)),
                        number(scale),
                        number(dot),
                        signed(offset)
                    ),
                ],
                ..bare(id(&format!("key.{position}")), NodeKind::Key, layer, column + 3, first_key + slot)
            }));
            let value = draft.node(of_slot(NodeDraft {
                name: format!("layer {layer}, head {head}: what {from} would write"),
                facts: vec![format!("attention {score:.3}, so a vector of length {} is added", number(width))],
                added: Some(score),
                ..bare(id(&format!("value.{position}")), NodeKind::Value, layer, column + 4, first_value + slot)
            }));
            let attends = format!("head {head} gives {score:.3} of its attention to {from}");
            draft.link((query, key), LinkKind::Score, width, score, attends.clone());
            draft.link((key, value), LinkKind::Score, width, score, attends);
            draft.add((value, output), LinkKind::Add, width);
            flow += width;
        }
    }
    if seen.len() > shown.len() {
        let rest = attention.rest(head, &positions)?;
        let width = batch::norms(&rest.f_unsqueeze(0)?)?[0];
        let left: f64 = seen[shown.len()..].iter().map(|memory| memory.score).sum();
        let others = count(seen.len() - shown.len(), "token");
        let vector = scene.batch.push(&rest)?;
        let node = draft.node(of_head(NodeDraft {
            name: format!("layer {layer}, head {head}: what the other {others} write together"),
            label: Some(format!("+{others}")),
            facts: vec![format!("attention {left:.3} in all")],
            added: Some(1.),
            ..bare(id("rest"), NodeKind::Remainder, layer, column + 4, vector)
        }));
        let attends = format!("head {head} gives {left:.3} of its attention to the other {others}");
        draft.link((query, node), LinkKind::Score, width, left, attends);
        draft.add((node, output), LinkKind::Add, width);
        flow += width;
    }
    draft.link((reads, query), LinkKind::Score, flow, flow, format!("head {head} makes its query"));
    draft.add((output, writes), LinkKind::Add, length);
    Ok(flow)
}

/// Draws the MLP between what it reads and what it writes: the width of all that leaves the former.
fn mlp(
    scene: &mut Scene,
    draft: &mut Draft,
    layer: usize,
    (reads, writes): (usize, usize),
    column: usize,
) -> Result<f64> {
    let mlp = Mlp::new(scene.request.trace, layer, scene.request.position)?;
    let amounts = scene.request.amounts;
    let shown = mlp.strongest(amounts.top_neurons, amounts.bottom_neurons);
    let mut flow = 0.;
    if !shown.is_empty() {
        let first_key = scene.batch.push_rows(&mlp.keys(&shown)?)?;
        let first_gate = mlp.gate_keys(&shown)?.map(|gates| scene.batch.push_rows(&gates)).transpose()?;
        let first_value = scene.batch.push_rows(&mlp.values(&shown)?)?;
        for (place, &neuron) in shown.iter().enumerate() {
            let activation = mlp.activations[neuron];
            let width = mlp.lengths[neuron];
            let (kind, side) = match activation < 0. {
                true => (LinkKind::Suppress, "against"),
                false => (LinkKind::Promote, "along"),
            };
            let of_neuron = |part: &str, kind, column, vector, name: String, facts: Vec<String>| NodeDraft {
                neuron: Some(neuron),
                name: format!("layer {layer}, neuron {neuron}: {name}"),
                facts,
                ..bare(format!("blocks.{layer}.mlp.neuron.{neuron}.{part}"), kind, layer, column, vector)
            };
            let gate = mlp.gates.as_ref().map(|gates| gates[neuron]);
            let product = match gate {
                Some(gate) => format!(" = gate {} x up {}", number(gate), number(mlp.pre[neuron])),
                None => format!(", before the activation function {}", number(mlp.pre[neuron])),
            };
            let value = draft.node(NodeDraft {
                added: Some(activation.abs()),
                ..of_neuron(
                    "value",
                    NodeKind::NeuronValue,
                    column + 1,
                    first_value + place,
                    format!("what it writes, {side} its row"),
                    vec![
                        format!("activation {}{product}", number(activation)),
                        format!("a vector of length {} is added", number(width)),
                    ],
                )
            });
            let mut inputs = vec![(
                "up",
                NodeKind::NeuronKey,
                first_key + place,
                if gate.is_some() { "what its up row looks for" } else { "what it looks for" },
                format!("input along this row, with bias: {}", number(mlp.pre[neuron])),
            )];
            if let (Some(first), Some(gate)) = (first_gate, gate) {
                let fact = format!("gate open by {}", number(gate));
                inputs.insert(0, ("gate", NodeKind::NeuronGate, first + place, "what opens its gate", fact));
            }
            let share = width / inputs.len() as f64;
            let hover = format!("neuron {neuron} fires with {}{product}", number(activation));
            for (part, node_kind, vector, name, fact) in inputs {
                let node = draft.node(of_neuron(part, node_kind, column, vector, name.to_owned(), vec![fact]));
                draft.link((reads, node), kind, share, activation, hover.clone());
                draft.link((node, value), kind, share, activation, hover.clone());
            }
            let text = format!("adds a vector of length {}, {side} the neuron's row", number(width));
            draft.term((value, writes), kind, width, activation.signum() * width, text);
            flow += width;
        }
    }
    let others = mlp.activations.len() - shown.len();
    if others > 0 {
        let rest = mlp.rest(&shown)?;
        let length = batch::norms(&rest.f_unsqueeze(0)?)?[0];
        let vector = scene.batch.push(&rest)?;
        let node = draft.node(NodeDraft {
            name: format!("layer {layer}: what the other {} write together", count(others, "neuron")),
            label: Some(format!("+{}", count(others, "neuron"))),
            added: Some(1.),
            ..bare(format!("blocks.{layer}.mlp.rest"), NodeKind::Remainder, layer, column + 1, vector)
        });
        draft.link((reads, node), LinkKind::Add, length, length, "read by the neurons not shown".to_owned());
        draft.add((node, writes), LinkKind::Add, length);
        flow += length;
    }
    if let Some(bias) = &mlp.bias {
        draw_bias(scene, draft, (layer, "mlp", "the MLP's output"), bias, writes, column + 1)?;
    }
    Ok(flow)
}

fn draw_bias(
    scene: &mut Scene,
    draft: &mut Draft,
    (layer, part, of): (usize, &str, &str),
    bias: &Tensor,
    writes: usize,
    column: usize,
) -> Result<()> {
    let length = batch::norms(&bias.f_unsqueeze(0)?)?[0];
    let vector = scene.batch.push(bias)?;
    let node = draft.node(NodeDraft {
        name: format!("layer {layer}: the bias of {of}"),
        label: Some("bias".to_owned()),
        added: Some(1.),
        ..bare(format!("blocks.{layer}.{part}.bias"), NodeKind::Bias, layer, column, vector)
    });
    draft.add((node, writes), LinkKind::Bias, length);
    Ok(())
}

/// `1 head`, `2 heads`.
fn count(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}
