//! One block, drawn: attention by heads and memories, the MLP by neurons.

use tch::{Kind, Tensor};

use super::super::amounts::Heads;
use super::super::batch;
use super::super::graph::{Facts, LinkKind, NodeKind};
use super::attention::{Attention, Memory};
use super::draft::{Added, Draft, NodeDraft};
use super::mlp::Mlp;
use super::{Scene, bare};
use crate::model::{Route, Sublayer};
use crate::{Result, Site};

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
    // The sublayers of a parallel block add to the same stream; others each to their own.
    for group in routes.chunk_by(|route, next| route.sum == next.sum) {
        let first = group[0];
        if first.carries != first.enters {
            column += 1;
            stream = through_norm(scene, draft, stream, first.carries, column)?;
        }
        let carried = stream;
        (stream, column) = sublayers(scene, draft, layer, group, carried, column)?;
        let leaves = group[group.len() - 1].leaves;
        if leaves != first.sum {
            column += 1;
            stream = through_norm(scene, draft, stream, leaves, column)?;
        }
    }
    Ok((stream, column))
}

/// Draws sublayers that add to the same stream, and their sum with it.
fn sublayers(
    scene: &mut Scene,
    draft: &mut Draft,
    layer: usize,
    routes: &[Route],
    carried: Stream,
    column: usize,
) -> Result<(Stream, usize)> {
    // What each normed vector is read for, and what waits to be added to the stream.
    let mut read: Vec<(Site, usize, f64)> = Vec::new();
    let mut written: Vec<Stream> = Vec::new();
    let mut start = column;
    for (place, route) in routes.iter().enumerate() {
        let reads = match read.iter().find(|(site, ..)| *site == route.reads) {
            Some(&(_, node, _)) => node,
            None if route.reads == route.carries => carried.0,
            None => scene.site(draft, route.reads, NodeKind::Normed, column + 1)?.0,
        };
        // In a parallel block the MLP stands beside attention's end.
        start = if place > 0 { start - 2 } else { start };
        let width = if route.sublayer == Sublayer::Mlp { 4 } else { 6 };
        let out = scene.site(draft, route.writes, written_kind(route.sublayer), start + width)?;
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
    }
    for (_, node, flow) in read {
        draft.link((carried.0, node), LinkKind::Norm, flow, flow);
    }
    let Route { carries, sum, .. } = routes[0];
    let stream = scene.site(draft, sum, NodeKind::Resid, start)?;
    draft.nodes[stream.0].changed |= scene.changed_between(&draft.nodes[carried.0], carries);
    draft.term((carried.0, stream.0), LinkKind::Residual, carried.1);
    for (node, length) in written {
        draft.term((node, stream.0), LinkKind::Add, length);
    }
    Ok((stream, start))
}

/// The kind of the node of what a sublayer writes.
pub(super) fn written_kind(sublayer: Sublayer) -> NodeKind {
    match sublayer {
        Sublayer::Attention => NodeKind::AttnOut,
        Sublayer::Cross => NodeKind::CrossOut,
        Sublayer::Mlp => NodeKind::MlpOut,
    }
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
    draft.link((stream.0, node), LinkKind::Norm, length, length);
    Ok((node, length))
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
    /// Kinds of the nodes of a head: query, key, value, output.
    kinds: [NodeKind; 4],
    /// What the heads mix.
    mix: Site,
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
    let (id, kinds, mix) = match route.sublayer {
        Sublayer::Cross => {
            let kinds = [NodeKind::CrossQuery, NodeKind::CrossKey, NodeKind::CrossValue, NodeKind::CrossHead];
            ("cross_attn", kinds, Site::CrossHeadMix(layer))
        }
        _ => {
            let kinds = [NodeKind::Query, NodeKind::Key, NodeKind::Value, NodeKind::Head];
            ("attn", kinds, Site::HeadMix(layer))
        }
    };
    let (reads, writes) = ((route.reads, reads), (route.writes, writes));
    let drawn = Drawn { layer, id, kinds, mix, reads, writes, column, attention };
    let attention = &drawn.attention;
    let lengths = batch::norms(&attention.outputs)?;
    let shown = shown_heads(scene, attention, route.writes, &lengths)?;
    let mut flow = 0.;
    for &head in &shown {
        flow += draw_head(scene, draft, &drawn, head, lengths[head])?;
    }
    let others: Vec<usize> = (0..attention.heads()).filter(|head| !shown.contains(head)).collect();
    if !others.is_empty() {
        let index: Vec<i64> = others.iter().map(|&head| head as i64).collect();
        let index = Tensor::f_from_slice(&index)?.f_to_device(attention.outputs.device())?;
        let rest =
            attention.outputs.f_index_select(0, &index)?.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Float)?;
        let length = batch::norms(&rest.f_unsqueeze(0)?)?[0];
        let vector = scene.batch.push(&rest)?;
        let node = draft.node(NodeDraft {
            facts: Facts::OtherHeads(others),
            added: Added::once(route.writes),
            ..bare(format!("blocks.{layer}.{id}.rest"), NodeKind::Remainder, layer, column + 5, vector)
        });
        draft.link((reads.1, node), LinkKind::Score, length, length);
        draft.term((node, writes.1), LinkKind::Add, length);
        flow += length;
    }
    if let Some(bias) = &attention.bias {
        draw_bias(scene, draft, (layer, id), bias, writes, column + 5)?;
    }
    Ok(flow)
}

/// Draws one head: the width of what leaves its query.
fn draw_head(scene: &mut Scene, draft: &mut Draft, drawn: &Drawn, head: usize, length: f64) -> Result<f64> {
    let &Drawn { layer, reads, writes, column, mix, ref attention, .. } = drawn;
    let [query_kind, _, _, head_kind] = drawn.kinds;
    let seen = attention.memories(head)?;
    let shown = &seen[..scene.request.amounts.values_per_head.min(seen.len())];
    let id = |part: &str| format!("blocks.{layer}.{}.head.{head}.{part}", drawn.id);
    let of_head = |node: NodeDraft| NodeDraft { head: Some(head), ..node };

    let vector = scene.batch.push(&attention.query(head)?)?;
    let query = draft.node(of_head(bare(id("query"), query_kind, layer, column + 2, vector)));
    let vector = scene.batch.push(&attention.outputs.f_get(head as i64)?)?;
    let output = draft.node(of_head(NodeDraft {
        facts: Facts::Head { normed: attention.has_norm() },
        added: Added::once(writes.0),
        changed: scene.changed(mix, Some(head)),
        ..bare(id("output"), head_kind, layer, column + 5, vector)
    }));
    let mut flow = draw_memories(scene, draft, drawn, head, (query, output), shown)?;
    if seen.len() > shown.len() {
        let positions: Vec<usize> = shown.iter().map(|memory| memory.position).collect();
        let rest = attention.rest(head, &positions)?;
        let width = batch::norms(&rest.f_unsqueeze(0)?)?[0];
        let left: f64 = seen[shown.len()..].iter().map(|memory| memory.score).sum();
        let vector = scene.batch.push(&rest)?;
        let node = draft.node(of_head(NodeDraft {
            facts: Facts::OtherMemories { count: seen.len() - shown.len(), attention: left },
            added: Added::once(writes.0),
            ..bare(id("rest"), NodeKind::Remainder, layer, column + 4, vector)
        }));
        draft.link((query, node), LinkKind::Score, width, left);
        draft.term((node, output), LinkKind::Add, width);
        flow += width;
    }
    draft.link((reads.1, query), LinkKind::Score, flow, flow);
    draft.term((output, writes.1), LinkKind::Add, length);
    Ok(flow)
}

/// Draws the memories of a head that are shown, each as a key and a value: the width of what its query gives them.
fn draw_memories(
    scene: &mut Scene,
    draft: &mut Draft,
    drawn: &Drawn,
    head: usize,
    (query, output): (usize, usize),
    shown: &[Memory],
) -> Result<f64> {
    let &Drawn { layer, reads, writes, column, ref attention, .. } = drawn;
    let [_, key_kind, value_kind, _] = drawn.kinds;
    if shown.is_empty() {
        return Ok(0.);
    }
    let positions: Vec<usize> = shown.iter().map(|memory| memory.position).collect();
    let values = attention.values(head, &positions)?;
    let keys = attention.keys(head, &positions)?;
    let dots = batch::numbers(&keys.directions.f_mv(&scene.row(reads.0)?)?)?;
    let first_key = scene.batch.push_rows(&keys.directions)?;
    let first_value = scene.batch.push_rows(&values)?;
    let mut flow = 0.;
    for (slot, &Memory { position, score, added: width }) in shown.iter().enumerate() {
        let of_slot = |part: &str, kind, column, vector| NodeDraft {
            head: Some(head),
            source_position: Some(position),
            ..bare(format!("blocks.{layer}.{}.head.{head}.{part}.{position}", drawn.id), kind, layer, column, vector)
        };
        let key = draft.node(NodeDraft {
            facts: Facts::Key(keys.score(slot, dots[slot], score)),
            ..of_slot("key", key_kind, column + 3, first_key + slot)
        });
        let value = draft.node(NodeDraft {
            facts: Facts::Value { attention: score, added: width },
            added: Some(Added { times: score, part_of: writes.0 }),
            ..of_slot("value", value_kind, column + 4, first_value + slot)
        });
        draft.link((query, key), LinkKind::Score, width, score);
        draft.link((key, value), LinkKind::Score, width, score);
        draft.term((value, output), LinkKind::Add, width);
        flow += width;
    }
    Ok(flow)
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
    let experts = mlp.experts();
    if !experts.is_empty() {
        draft.nodes[writes].facts = Facts::Experts(experts);
    }
    let mut flow = draw_neurons(scene, draft, &mlp, (layer, &shown), (route.writes, reads, writes), column)?;
    let others = mlp.used().saturating_sub(shown.len());
    if others > 0 {
        let rest = mlp.rest(&shown)?;
        let length = batch::norms(&rest.f_unsqueeze(0)?)?[0];
        let vector = scene.batch.push(&rest)?;
        let node = draft.node(NodeDraft {
            facts: Facts::OtherNeurons(others),
            added: Added::once(route.writes),
            ..bare(format!("blocks.{layer}.mlp.rest"), NodeKind::Remainder, layer, column + 1, vector)
        });
        draft.link((reads, node), LinkKind::Add, length, length);
        draft.term((node, writes), LinkKind::Add, length);
        flow += length;
    }
    if let Some(bias) = &mlp.bias {
        draw_bias(scene, draft, (layer, "mlp"), bias, (route.writes, writes), column + 1)?;
    }
    Ok(flow)
}

/// Draws the neurons that are shown, each as what it looks for, its gate, and what it writes: the width of what they
/// read.
fn draw_neurons(
    scene: &mut Scene,
    draft: &mut Draft,
    mlp: &Mlp,
    (layer, shown): (usize, &[usize]),
    (part_of, reads, writes): (Site, usize, usize),
    column: usize,
) -> Result<f64> {
    if shown.is_empty() {
        return Ok(0.);
    }
    let first_key = scene.batch.push_rows(&mlp.keys(shown)?)?;
    let first_gate = mlp.gate_keys(shown)?.map(|gates| scene.batch.push_rows(&gates)).transpose()?;
    let first_value = scene.batch.push_rows(&mlp.values(shown)?)?;
    let mut flow = 0.;
    for (place, &neuron) in shown.iter().enumerate() {
        let (activation, width) = (mlp.activations[neuron], mlp.lengths[neuron]);
        let kind = if activation < 0. { LinkKind::Suppress } else { LinkKind::Promote };
        let of_neuron = |part: &str, kind, column, vector| NodeDraft {
            neuron: Some(neuron),
            facts: Facts::Neuron(mlp.firing(neuron)),
            ..bare(format!("blocks.{layer}.mlp.neuron.{neuron}.{part}"), kind, layer, column, vector)
        };
        let value = draft.node(NodeDraft {
            added: Some(Added { times: activation.abs(), part_of }),
            ..of_neuron("value", NodeKind::NeuronValue, column + 1, first_value + place)
        });
        let gate = first_gate.map(|first| ("gate", NodeKind::NeuronGate, first + place));
        let inputs = gate.into_iter().chain([("up", NodeKind::NeuronKey, first_key + place)]);
        let share = if gate.is_some() { width / 2. } else { width };
        for (part, node_kind, vector) in inputs {
            let node = draft.node(of_neuron(part, node_kind, column, vector));
            draft.link((reads, node), kind, share, activation);
            draft.link((node, value), kind, share, activation);
        }
        draft.term((value, writes), kind, activation.signum() * width);
        flow += width;
    }
    Ok(flow)
}

fn draw_bias(
    scene: &mut Scene,
    draft: &mut Draft,
    (layer, part): (usize, &str),
    bias: &Tensor,
    (writes, node): (Site, usize),
    column: usize,
) -> Result<()> {
    let length = batch::norms(&bias.f_unsqueeze(0)?)?[0];
    let vector = scene.batch.push(bias)?;
    let bias = draft.node(NodeDraft {
        added: Added::once(writes),
        ..bare(format!("blocks.{layer}.{part}.bias"), NodeKind::Bias, layer, column, vector)
    });
    draft.term((bias, node), LinkKind::Bias, length);
    Ok(())
}
