//! One block, drawn: attention by heads and memories, the MLP by neurons.

use tch::{Kind, Tensor};

use super::super::batch;
use super::super::builder::Heads;
use super::super::graph::{LinkKind, NodeKind};
use super::attention::{Attention, Keys, Memory};
use super::draft::{Added, Draft, NodeDraft, number, signed};
use super::mlp::Mlp;
use super::{Scene, bare};
use crate::model::{Route, Sublayer};
use crate::{Result, Site};

/// Said where parts go through a norm of what is written.
const WRITTEN_NORM: &str = "through the norm of what is written, its scale held fixed";

/// Said of queries of cross attention: they meet what is made from the encoder's output.
const OF_ENCODER: &str =
    "a direction of the encoder's output, which the head was not trained to read: its words are a guess";

/// A node and the length of its vector.
pub(super) type Stream = (usize, f64);

/// Draws a block from the node of the stream that enters it: the node of the stream that leaves it, and its column.
pub(super) fn draw(
    scene: &mut Scene,
    draft: &mut Draft,
    layer: usize,
    input: Stream,
    column: usize,
) -> Result<(Stream, usize)> {
    let routes = scene.request.trace.model().routes(layer);
    let (mut stream, mut column) = (input, column);
    let mut carried: Option<Stream> = None;
    // What each normed vector is read for, and what waits to be added to the stream.
    let mut read: Vec<(Site, usize, f64)> = Vec::new();
    let mut written: Vec<Stream> = Vec::new();
    let mut start = column;
    for (place, route) in routes.iter().enumerate() {
        let parallel = place > 0 && routes[place - 1].sum == route.sum;
        if !parallel {
            if route.carries != route.enters {
                column += 1;
                stream = through_norm(scene, draft, stream, route.carries, column)?;
            }
            carried = Some(stream);
            start = column;
        }
        let base = carried.unwrap_or(stream);
        let reads = match read.iter().find(|(site, ..)| *site == route.reads) {
            Some(&(_, node, _)) => node,
            None if route.reads == route.carries => base.0,
            None => scene.site(draft, route.reads, NodeKind::Normed, column + 1)?.0,
        };
        // In a parallel block the MLP stands beside attention's end.
        start = if parallel { start - 2 } else { start };
        let width = if route.sublayer == Sublayer::Mlp { 4 } else { 6 };
        let kind = match route.sublayer {
            Sublayer::Attention => NodeKind::AttnOut,
            Sublayer::Cross => NodeKind::CrossOut,
            Sublayer::Mlp => NodeKind::MlpOut,
        };
        let out = scene.site(draft, route.writes, kind, start + width)?;
        let flow = match route.sublayer {
            Sublayer::Mlp => mlp(scene, draft, layer, route, (reads, out.0), start + 2)?,
            _ => attention(scene, draft, layer, route, (reads, out.0), start)?,
        };
        if route.reads != route.carries {
            match read.iter_mut().find(|(site, ..)| *site == route.reads) {
                Some((.., flows)) => *flows += flow,
                None => read.push((route.reads, reads, flow)),
            }
        }
        written.push(out);
        start += width + 1;
        if routes.get(place + 1).is_some_and(|next| next.sum == route.sum) {
            continue;
        }
        for (_, node, flow) in read.drain(..) {
            draft.link((base.0, node), LinkKind::Norm, flow, flow, "read through a norm".to_owned());
        }
        column = start;
        stream = scene.site(draft, route.sum, NodeKind::Resid, column)?;
        draft.nodes[stream.0].changed |= scene.changed_between(&draft.nodes[base.0], route.carries);
        residual(draft, (base.0, stream.0), base.1);
        for (node, length) in written.drain(..) {
            draft.add((node, stream.0), LinkKind::Add, length);
        }
        if route.leaves != route.sum {
            column += 1;
            stream = through_norm(scene, draft, stream, route.leaves, column)?;
        }
    }
    Ok((stream, column))
}

/// Draws the norm that the stream goes on with.
pub(super) fn through_norm(
    scene: &mut Scene,
    draft: &mut Draft,
    stream: Stream,
    site: Site,
    column: usize,
) -> Result<Stream> {
    let (node, length) = scene.site(draft, site, NodeKind::NormedResid, column)?;
    let hover = format!("the residual stream goes on through a norm, a vector of length {}", number(length));
    draft.link((stream.0, node), LinkKind::Norm, length, length, hover);
    Ok((node, length))
}

/// Draws the stream that goes on past a sublayer.
pub(super) fn residual(draft: &mut Draft, ends: (usize, usize), length: f64) {
    let hover = format!("the residual stream goes on, a vector of length {}", number(length));
    draft.term(ends, LinkKind::Residual, length, length, hover);
}

/// The heads that are shown, in their order.
fn shown_heads(scene: &Scene, attention: &Attention, writes: Site, lengths: &[f64]) -> Result<Vec<usize>> {
    let (strengths, count) = match scene.request.amounts.heads {
        Heads::All => return Ok((0..attention.heads()).collect()),
        Heads::Top(count) => (lengths.to_vec(), count),
        Heads::ByTarget(count) => {
            let direction = scene.first_target(writes)?.f_to_device(attention.outputs.device())?;
            (batch::numbers(&attention.outputs.f_mv(&direction)?.f_abs()?)?, count)
        }
    };
    let mut chosen = batch::falling(&strengths);
    chosen.truncate(count);
    chosen.sort_unstable();
    Ok(chosen)
}

/// One layer's attention as it is drawn: its own, or the one to the encoder's output.
struct Drawn<'a> {
    layer: usize,
    /// Part of the nodes' ids.
    id: &'static str,
    /// What a head is called.
    head: &'static str,
    /// Kinds of the nodes of a head: query, key, value, output.
    kinds: [NodeKind; 4],
    /// Beside the mark in a head's label.
    letter: char,
    reads: (Site, usize),
    writes: (Site, usize),
    column: usize,
    attention: Attention<'a>,
}

/// Draws attention between what it reads and what it writes: the width of all that leaves the former.
fn attention(
    scene: &mut Scene,
    draft: &mut Draft,
    layer: usize,
    route: &Route,
    (reads, writes): (usize, usize),
    column: usize,
) -> Result<f64> {
    let attention = Attention::new(scene.request.trace, route.sublayer, layer, scene.request.position)?;
    let (id, head, kinds, letter, of) = match route.sublayer {
        Sublayer::Cross => {
            let kinds = [NodeKind::CrossQuery, NodeKind::CrossKey, NodeKind::CrossValue, NodeKind::CrossHead];
            ("cross_attn", "cross head", kinds, 'C', "cross attention's output")
        }
        _ => {
            let kinds = [NodeKind::Query, NodeKind::Key, NodeKind::Value, NodeKind::Head];
            ("attn", "head", kinds, 'H', "attention's output")
        }
    };
    let (reads, writes) = ((route.reads, reads), (route.writes, writes));
    let drawn = Drawn { layer, id, head, kinds, letter, reads, writes, column, attention };
    let attention = &drawn.attention;
    let lengths = batch::norms(&attention.outputs)?;
    let shown = shown_heads(scene, attention, route.writes, &lengths)?;
    let mut flow = 0.;
    for &head in &shown {
        flow += draw_head(scene, draft, &drawn, head, lengths[head])?;
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
            name: format!("layer {layer}: what the other {} write together", count(others.len(), head)),
            label: Some(format!("+{}", count(others.len(), head))),
            facts: vec![format!("heads {}", numbers.join(", "))],
            added: Added::once(route.writes),
            ..bare(format!("blocks.{layer}.{id}.rest"), NodeKind::Remainder, layer, column + 5, vector)
        });
        draft.link((reads.1, node), LinkKind::Score, length, length, "read by the heads not shown".to_owned());
        draft.add((node, writes.1), LinkKind::Add, length);
        flow += length;
    }
    if let Some(bias) = &attention.bias {
        draw_bias(scene, draft, (layer, id, of), bias, writes, column + 5)?;
    }
    Ok(flow)
}

/// Draws one head: the width of what leaves its query.
fn draw_head(scene: &mut Scene, draft: &mut Draft, drawn: &Drawn, head: usize, length: f64) -> Result<f64> {
    let &Drawn { layer, reads, writes, column, ref attention, .. } = drawn;
    let [query_kind, key_kind, value_kind, head_kind] = drawn.kinds;
    let cross = key_kind == NodeKind::CrossKey;
    let mix = if cross { Site::CrossHeadMix(layer) } else { Site::HeadMix(layer) };
    let seen = attention.memories(head)?;
    let shown = &seen[..scene.request.amounts.values_per_head.min(seen.len())];
    let positions: Vec<usize> = shown.iter().map(|memory| memory.position).collect();
    let who = format!("{} {head}", drawn.head);
    let id = |part: &str| format!("blocks.{layer}.{}.head.{head}.{part}", drawn.id);
    let of_head = |node: NodeDraft| NodeDraft { head: Some(head), ..node };

    let vector = scene.batch.push(&attention.query(head)?)?;
    let query = draft.node(of_head(NodeDraft {
        facts: cross.then(|| OF_ENCODER.to_owned()).into_iter().collect(),
        name: format!(
            "layer {layer}, {who}: what its query looks for{}",
            if cross { " in the encoder's output" } else { "" }
        ),
        ..bare(id("query"), query_kind, layer, column + 2, vector)
    }));
    let vector = scene.batch.push(&attention.outputs.f_get(head as i64)?)?;
    let output = draft.node(of_head(NodeDraft {
        name: format!("layer {layer}, {who}: what it writes"),
        mark: format!("{}{head} ", drawn.letter),
        facts: attention.has_norm().then(|| WRITTEN_NORM.to_owned()).into_iter().collect(),
        added: Added::once(writes.0),
        changed: scene.changed(mix, Some(head)),
        ..bare(id("output"), head_kind, layer, column + 5, vector)
    }));

    let mut flow = 0.;
    if !positions.is_empty() {
        let values = attention.values(head, &positions)?;
        let keys = attention.keys(head, &positions)?;
        let dots = batch::numbers(&keys.directions.f_mv(&scene.row(reads.0)?)?)?;
        let first_key = scene.batch.push_rows(&keys.directions)?;
        let first_value = scene.batch.push_rows(&values)?;
        for (slot, &Memory { position, score, added: width }) in shown.iter().enumerate() {
            let pieces = if cross { &scene.encoder_pieces } else { &scene.pieces };
            let source = pieces.get(position).cloned().unwrap_or_default();
            let from =
                format!("“{source}” at {} {position}", if cross { "the encoder's position" } else { "position" });
            let of_slot = |node: NodeDraft| NodeDraft { source_position: Some(position), ..of_head(node) };
            let mut facts = vec![format!("attention {score:.3}")];
            facts.extend(score_facts(&keys, slot, dots[slot]));
            let key = draft.node(of_slot(NodeDraft {
                name: format!("layer {layer}, {who}: the key of {from}"),
                label: Some(format!("«{source}»")),
                facts,
                ..bare(id(&format!("key.{position}")), key_kind, layer, column + 3, first_key + slot)
            }));
            let value = draft.node(of_slot(NodeDraft {
                name: format!("layer {layer}, {who}: what {from} would write"),
                facts: vec![format!("attention {score:.3}, so a vector of length {} is added", number(width))],
                added: Some(Added { times: score, part_of: writes.0 }),
                ..bare(id(&format!("value.{position}")), value_kind, layer, column + 4, first_value + slot)
            }));
            let attends = format!("{who} gives {score:.3} of its attention to {from}");
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
            name: format!("layer {layer}, {who}: what the other {others} write together"),
            label: Some(format!("+{others}")),
            facts: vec![format!("attention {left:.3} in all")],
            added: Added::once(writes.0),
            ..bare(id("rest"), NodeKind::Remainder, layer, column + 4, vector)
        }));
        let attends = format!("{who} gives {left:.3} of its attention to the other {others}");
        draft.link((query, node), LinkKind::Score, width, left, attends);
        draft.add((node, output), LinkKind::Add, width);
        flow += width;
    }
    draft.link((reads.1, query), LinkKind::Score, flow, flow, format!("{who} makes its query"));
    draft.add((output, writes.1), LinkKind::Add, length);
    Ok(flow)
}

/// How a key's score comes about: from content, from positions, and held below a cap.
fn score_facts(keys: &Keys, slot: usize, dot: f64) -> Vec<String> {
    let (content, score) = (keys.content(slot, dot), keys.score(slot, dot));
    let product = format!(
        "{} · (input along this direction {} {} from biases)",
        number(keys.scale),
        number(dot),
        signed(keys.offsets[slot])
    );
    let by_position = keys.by_position.as_ref().map(|bias| bias[slot]);
    if by_position.is_none() && keys.soft_cap.is_none() {
        return vec![format!("score {} = {product}", number(score))];
    }
    let position = by_position.map_or(String::new(), |bias| format!(", {} from position", signed(bias)));
    let cap = keys.soft_cap.map_or(String::new(), |cap| format!(", held below {} by a soft cap", number(cap)));
    vec![
        format!("score {}: {} from content{position}{cap}", number(score), number(content)),
        format!("content {} = {product}", number(content)),
    ]
}

/// Draws the MLP between what it reads and what it writes: the width of all that leaves the former.
fn mlp(
    scene: &mut Scene,
    draft: &mut Draft,
    layer: usize,
    route: &Route,
    (reads, writes): (usize, usize),
    column: usize,
) -> Result<f64> {
    let mlp = Mlp::new(scene.request.trace, layer, scene.request.position)?;
    let amounts = scene.request.amounts;
    let shown = mlp.strongest(amounts.top_neurons, amounts.bottom_neurons);
    let experts = mlp.experts().into_iter().map(|(expert, weight)| match expert {
        Some(expert) => format!("expert {expert} with weight {}", number(weight)),
        None => format!("the shared expert with weight {}", number(weight)),
    });
    let experts: Vec<String> = experts.collect();
    if !experts.is_empty() {
        draft.nodes[writes].facts.push(format!("written by {}", experts.join(", ")));
    }
    let mut flow = 0.;
    if !shown.is_empty() {
        let first_key = scene.batch.push_rows(&mlp.keys(&shown)?)?;
        let first_gate = mlp.gate_keys(&shown)?.map(|gates| scene.batch.push_rows(&gates)).transpose()?;
        let first_value = scene.batch.push_rows(&mlp.values(&shown)?)?;
        for (place, &neuron) in shown.iter().enumerate() {
            let (activation, who) = (mlp.activations[neuron], mlp.name(neuron));
            let width = mlp.lengths[neuron];
            let (kind, side) = match activation < 0. {
                true => (LinkKind::Suppress, "against"),
                false => (LinkKind::Promote, "along"),
            };
            let of_neuron = |part: &str, kind, column, vector, name: String, facts: Vec<String>| NodeDraft {
                neuron: Some(neuron),
                name: format!("layer {layer}, {who}: {name}"),
                facts,
                ..bare(format!("blocks.{layer}.mlp.neuron.{neuron}.{part}"), kind, layer, column, vector)
            };
            let gate = mlp.gates.as_ref().map(|gates| gates[neuron]);
            let mut product = match gate {
                Some(gate) => format!(" = gate {} x up {}", number(gate), number(mlp.pre[neuron])),
                None => format!(", before the activation function {}", number(mlp.pre[neuron])),
            };
            if let Some(shares) = &mlp.shares {
                product.push_str(&format!(" x the expert's weight {}", number(shares[neuron])));
            }
            let value = draft.node(NodeDraft {
                added: Some(Added { times: activation.abs(), part_of: route.writes }),
                ..of_neuron(
                    "value",
                    NodeKind::NeuronValue,
                    column + 1,
                    first_value + place,
                    format!("what it writes, {side} its row"),
                    [
                        format!("activation {}{product}", number(activation)),
                        format!("a vector of length {} is added", number(width)),
                    ]
                    .into_iter()
                    .chain(mlp.has_norm().then(|| WRITTEN_NORM.to_owned()))
                    .collect(),
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
            let hover = format!("{who} fires with {}{product}", number(activation));
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
    let others = mlp.used().saturating_sub(shown.len());
    if others > 0 {
        let rest = mlp.rest(&shown)?;
        let length = batch::norms(&rest.f_unsqueeze(0)?)?[0];
        let vector = scene.batch.push(&rest)?;
        let node = draft.node(NodeDraft {
            name: format!("layer {layer}: what the other {} write together", count(others, "neuron")),
            label: Some(format!("+{}", count(others, "neuron"))),
            added: Added::once(route.writes),
            ..bare(format!("blocks.{layer}.mlp.rest"), NodeKind::Remainder, layer, column + 1, vector)
        });
        draft.link((reads, node), LinkKind::Add, length, length, "read by the neurons not shown".to_owned());
        draft.add((node, writes), LinkKind::Add, length);
        flow += length;
    }
    if let Some(bias) = &mlp.bias {
        draw_bias(scene, draft, (layer, "mlp", "the MLP's output"), bias, (route.writes, writes), column + 1)?;
    }
    Ok(flow)
}

fn draw_bias(
    scene: &mut Scene,
    draft: &mut Draft,
    (layer, part, of): (usize, &str, &str),
    bias: &Tensor,
    (writes, node): (Site, usize),
    column: usize,
) -> Result<()> {
    let length = batch::norms(&bias.f_unsqueeze(0)?)?[0];
    let vector = scene.batch.push(bias)?;
    let bias = draft.node(NodeDraft {
        name: format!("layer {layer}: the bias of {of}"),
        label: Some("bias".to_owned()),
        added: Added::once(writes),
        ..bare(format!("blocks.{layer}.{part}.bias"), NodeKind::Bias, layer, column, vector)
    });
    draft.add((bias, node), LinkKind::Bias, length);
    Ok(())
}

/// `1 head`, `2 heads`.
fn count(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}
