//! VISIT's attention: queries, memories, heads, rows of the output matrix.

use tch::Tensor;

use super::super::batch::{self, Batch};
use super::super::graph::{LinkKind, NodeKind};
use super::draft::{Draft, Line, NodeDraft, Paint, Spot};
use super::python::{self, float};
use super::{Frame, Layer, Request, extremes, norm};
use crate::{Error, Result};

pub(super) fn add(request: &Request, layer: &Layer, frame: &Frame, draft: &mut Draft, batch: &mut Batch) -> Result<()> {
    let config = request.config;
    let query = Spot::top(batch.push(&layer.w_key.f_tr()?.f_mv(&layer.query)?)?);
    let key = Spot::top(batch.push(&layer.w_query.f_mv(&layer.key)?)?);
    let value = Spot::top(batch.push(&layer.w_output.f_tr()?.f_mv(&layer.value)?)?);
    let qkv = draft.node(NodeDraft {
        label: vec![query],
        hover: vec![
            Line::words("q,k,v (before splitting into heads):".to_owned()),
            Line::of(None, "q (for current calc)", query),
            Line::of(None, "k (for next tokens)", key),
            Line::of(None, "v (for next tokens)", value),
        ],
        ..bare(layer, "qkv", NodeKind::Qkv, 2, Paint::Rank(query.vector))
    });
    let concat_spot = Spot::top(batch.push(&layer.concat)?);
    let concat = draft.node(NodeDraft {
        label: vec![concat_spot],
        hover: vec![Line::of(Some(layer.index), "concated_heads (without projection)", concat_spot)],
        ..bare(layer, "concat", NodeKind::Concat, 7, Paint::Fixed(config.abstract_color.clone()))
    });
    let raw_query = Paint::Entropy(batch.push(&layer.query)?);
    draft.norm_link(frame.attn_input, qkv, LinkKind::Norm, norm(config, &layer.attn_input)?, raw_query);
    heads(request, layer, (qkv, concat), draft, batch)?;
    rows(request, layer, (concat, frame.attn_output), draft, batch)
}

fn bare(layer: &Layer, name: &str, kind: NodeKind, column: usize, paint: Paint) -> NodeDraft {
    NodeDraft {
        id: format!("blocks.{}.attn.{name}", layer.index),
        kind,
        layer: layer.index,
        head: None,
        source_position: None,
        neuron: None,
        column: layer.column + column,
        label: Vec::new(),
        hover: Vec::new(),
        paint,
    }
}

/// The heads that are shown, in their order: those whose raw output is longest.
fn shown_heads(request: &Request, layer: &Layer) -> Result<Vec<usize>> {
    let Ok(count @ 1..) = usize::try_from(request.config.heads) else { return Ok((0..layer.heads).collect()) };
    let raw = batch::norms(&layer.concat.f_view([layer.heads as i64, layer.head_width()])?)?;
    let mut chosen = batch::falling(&raw);
    chosen.truncate(count);
    chosen.sort_unstable();
    Ok(chosen)
}

fn heads(
    request: &Request,
    layer: &Layer,
    (qkv, concat): (usize, usize),
    draft: &mut Draft,
    batch: &mut Batch,
) -> Result<()> {
    let config = request.config;
    let slots = usize::try_from(config.values_per_head)
        .map_err(|_| Error::FlowGraph(format!("n_values_per_head is {}; write 0 or more", config.values_per_head)))?;
    let queries = layer.padded_heads(&layer.query)?.f_matmul(&layer.w_key)?;
    let keys = layer.padded_heads(&layer.key)?.f_matmul(&layer.w_query.f_tr()?)?;
    let values = layer.padded_heads(&layer.value)?.f_matmul(&layer.w_output)?;
    let outputs = layer.padded_heads(&layer.concat)?.f_matmul(&layer.w_output)?;
    for head in shown_heads(request, layer)? {
        let row = |matrix: &Tensor| -> Result<Tensor> { Ok(matrix.f_get(head as i64)?) };
        let mut spot = |matrix: &Tensor| -> Result<Spot> { Ok(Spot::top(batch.push(&row(matrix)?)?)) };
        let (query, key, value, output) = (spot(&queries)?, spot(&keys)?, spot(&values)?, spot(&outputs)?);
        let query_node = draft.node(NodeDraft {
            head: Some(head),
            label: vec![query],
            hover: vec![
                Line::words(format!("head {head}:")),
                Line::of(None, "qi (for current calc)", query),
                Line::of(None, "ki (for next tokens)", key),
                Line::of(None, "vi (for next tokens)", value),
            ],
            ..bare(layer, &format!("head.{head}.query"), NodeKind::Query, 3, Paint::Rank(query.vector))
        });
        let output_node = draft.node(NodeDraft {
            head: Some(head),
            label: vec![output],
            hover: vec![Line::of(Some(layer.index), &format!("head {head}: output"), output)],
            ..bare(layer, &format!("head.{head}.output"), NodeKind::Head, 6, Paint::Rank(output.vector))
        });
        let query_norm = norm(config, &row(&queries)?)?;
        let output_norm = norm(config, &row(&outputs)?)?;
        let width = query_norm * config.factor_head_norm;
        draft.norm_link(qkv, query_node, LinkKind::Norm, width, Paint::Entropy(query.vector));
        draft.link(
            output_node,
            concat,
            LinkKind::Add,
            output_norm * config.factor_head_output,
            Paint::Entropy(output.vector),
            format!("after projection {}", float(output_norm)),
        );
        memories(request, layer, (head, slots), (query_node, output_node, query_norm), draft, batch)?;
    }
    Ok(())
}

/// The positions that a head attends to most: a key and a value each.
fn memories(
    request: &Request,
    layer: &Layer,
    (head, slots): (usize, usize),
    (query_node, output_node, query_norm): (usize, usize, f64),
    draft: &mut Draft,
    batch: &mut Batch,
) -> Result<()> {
    let config = request.config;
    let row = batch::numbers(&layer.pattern.f_get(head as i64)?)?;
    let words = request.trace.pieces();
    for position in batch::falling(&row).into_iter().take(slots) {
        let slot = |cache: &Tensor| -> Result<Tensor> {
            layer.padded(&cache.f_get(head as i64)?.f_narrow(0, position as i64, 1)?, &[head])
        };
        let key = slot(&layer.keys)?.f_matmul(&layer.w_query.f_tr()?)?.f_get(0)?;
        let value = slot(&layer.values)?.f_matmul(&layer.w_output)?.f_get(0)?;
        let (key_spot, value_spot) = (Spot::top(batch.push(&key)?), Spot::top(batch.push(&value)?));
        let from = words.get(position).map(|word| format!(" [created from \"{word}\"]")).unwrap_or_default();
        let key_line = Line::of(Some(layer.index), &format!("head {head}: key {position}{from}"), key_spot);
        let value_line = Line::of(Some(layer.index), &format!("head {head}: value {position}{from}"), value_spot);
        let memory = |name: &str, kind, column, spot: Spot| NodeDraft {
            head: Some(head),
            source_position: Some(position),
            ..bare(layer, &format!("head.{head}.{name}.{position}"), kind, column, Paint::Rank(spot.vector))
        };
        let (enter, leave) = match config.compact_attn_nodes {
            true => {
                let node = draft.node(NodeDraft {
                    label: vec![key_spot, value_spot],
                    hover: vec![key_line.opened("ki:"), value_line.opened("vi:")],
                    ..memory("memory", NodeKind::Value, 5, value_spot)
                });
                (node, node)
            }
            false => {
                let enter = draft.node(NodeDraft {
                    label: vec![key_spot],
                    hover: vec![key_line],
                    ..memory("key", NodeKind::Key, 4, key_spot)
                });
                let leave = draft.node(NodeDraft {
                    label: vec![value_spot],
                    hover: vec![value_line],
                    ..memory("value", NodeKind::Value, 5, value_spot)
                });
                (enter, leave)
            }
        };
        let score = python::round(row[position], config.round_digits);
        let score_width = (score * config.factor_attn_score).max(0.51);
        let text = |name: &str| format!("attention score: {} ({name} norm: {})", float(score), float(query_norm));
        draft.link(query_node, enter, LinkKind::Score, score_width, Paint::Score(score), text("qi"));
        if enter != leave {
            // VISIT prints the query's norm here too.
            draft.link(enter, leave, LinkKind::Score, score_width, Paint::Score(score), text("ki"));
        }
        let value_norm = norm(config, &value)?;
        draft.link(
            leave,
            output_node,
            LinkKind::Add,
            (score * value_norm * config.factor_memory).max(0.51),
            Paint::Entropy(value_spot.vector),
            format!(
                "attention score * norm: {} (vi norm: {})",
                float(python::round(score * value_norm, config.round_digits)),
                float(value_norm)
            ),
        );
    }
    Ok(())
}

/// Rows of the output matrix with the largest and smallest coefficient times norm, and the bias.
fn rows(
    request: &Request,
    layer: &Layer,
    (concat, attn_output): (usize, usize),
    draft: &mut Draft,
    batch: &mut Batch,
) -> Result<()> {
    let config = request.config;
    let round = |x: f64| python::round(x, config.round_digits);
    let coefficients = batch::numbers(&layer.concat)?;
    let lengths = batch::norms(&layer.w_output)?;
    let strengths: Vec<f64> = coefficients.iter().zip(&lengths).map(|(a, norm)| a * norm).collect();
    for (row, bottom) in extremes(&strengths, config, "rows of the output matrix")? {
        let spot = Spot { vector: batch.push(&layer.w_output.f_get(row as i64)?)?, bottom };
        let head = row / layer.head_width() as usize;
        let activation = float(round(coefficients[row]));
        let prefix = format!("value index:{row} (from head {head}), activision:{activation}: ");
        let node = draft.node(NodeDraft {
            head: Some(head),
            neuron: Some(row),
            label: vec![spot],
            hover: vec![Line::of(Some(layer.index), &prefix, spot)],
            ..bare(
                layer,
                &format!("row.{row}.{}", if bottom { "bottom" } else { "top" }),
                NodeKind::OutputRow,
                8,
                Paint::Rank(spot.vector),
            )
        });
        let (kind, color) = match bottom {
            true => (LinkKind::Suppress, &config.suppress_color),
            false => (LinkKind::Promote, &config.promote_color),
        };
        let paint = Paint::Fixed(color.clone());
        draft.link(concat, node, kind, config.default_weight, paint, format!("activision:{activation}"));
        let strength = round(strengths[row]);
        let text = format!("activision*norm:{}", float(strength));
        draft.link(node, attn_output, LinkKind::Add, strength, Paint::Entropy(spot.vector), text);
    }
    if config.include_attn_bias {
        let bias = layer.output_bias.as_ref().ok_or_else(|| {
            Error::FlowGraph(
                "include_attn_bias is true, but attention's output has no bias in this model; leave it out".to_owned(),
            )
        })?;
        let spot = Spot::top(batch.push(bias)?);
        let paint = Paint::Fixed(config.bias_color.clone());
        let node = draft.node(NodeDraft {
            label: vec![spot],
            hover: vec![Line::of(Some(layer.index), "c_proj_bias", spot)],
            ..bare(layer, "bias", NodeKind::Bias, 8, paint.clone())
        });
        let length = norm(config, bias)?;
        let text = format!("norm: {}", float(length));
        draft.link(concat, node, LinkKind::Bias, config.default_weight, paint.clone(), text.clone());
        draft.link(node, attn_output, LinkKind::Bias, length, paint, text);
    }
    Ok(())
}
