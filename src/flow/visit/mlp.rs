//! VISIT's MLP: neurons as a key and a value each, and the biases.

use super::super::batch::{self, Batch};
use super::super::graph::{LinkKind, NodeKind};
use super::draft::{Draft, Line, NodeDraft, Paint, Spot};
use super::python::{self, float};
use super::{Frame, Layer, Request, extremes, norm};
use crate::{Error, Result};

pub(super) fn add(request: &Request, layer: &Layer, frame: &Frame, draft: &mut Draft, batch: &mut Batch) -> Result<()> {
    let config = request.config;
    let round = |x: f64| python::round(x, config.round_digits);
    let activations = batch::numbers(&layer.neurons)?;
    let lengths = batch::norms(&layer.ff2)?;
    let strengths: Vec<f64> = activations.iter().zip(&lengths).map(|(a, norm)| a * norm).collect();
    for (neuron, bottom) in extremes(&strengths, config, "neurons")? {
        let key = layer.ff1.f_select(1, neuron as i64)?;
        let value = layer.ff2.f_get(neuron as i64)?;
        let key_spot = Spot::top(batch.push(&key)?);
        let value_spot = Spot { vector: batch.push(&value)?, bottom };
        let key_line = Line::of(Some(layer.index), &format!("key{neuron}"), key_spot);
        let value_line = Line::of(Some(layer.index), &format!("value{neuron}"), value_spot);
        let name = |part: &str| format!("neuron.{neuron}.{part}.{}", if bottom { "bottom" } else { "top" });
        let part = |part: &str, kind, column, spot: Spot| NodeDraft {
            neuron: Some(neuron),
            ..bare(layer, &name(part), kind, column, Paint::Rank(spot.vector))
        };
        let (enter, leave) = match config.compact_mlp_nodes {
            true => {
                let node = draft.node(NodeDraft {
                    label: vec![key_spot, value_spot],
                    hover: vec![key_line.opened("key:"), value_line.opened("value:")],
                    ..part("both", NodeKind::NeuronValue, 13, value_spot)
                });
                (node, node)
            }
            false => {
                let enter = draft.node(NodeDraft {
                    label: vec![key_spot],
                    hover: vec![key_line],
                    ..part("key", NodeKind::NeuronKey, 12, key_spot)
                });
                let leave = draft.node(NodeDraft {
                    label: vec![value_spot],
                    hover: vec![value_line],
                    ..part("value", NodeKind::NeuronValue, 13, value_spot)
                });
                (enter, leave)
            }
        };
        let activation = round(activations[neuron]);
        if enter != leave {
            let (kind, color) = match bottom {
                true => (LinkKind::Suppress, &config.suppress_color),
                false => (LinkKind::Promote, &config.promote_color),
            };
            let width = activation.abs() * config.factor_neuron;
            let text = format!("activision:{}", float(activation));
            draft.link(enter, leave, kind, width, Paint::Fixed(color.clone()), text);
        }
        let key_text = format!("key norm: {}", float(norm(config, &key)?));
        let paint = Paint::Entropy(key_spot.vector);
        draft.link(frame.mlp_input, enter, LinkKind::Norm, config.default_weight, paint, key_text);
        let strength = round(strengths[neuron]).abs();
        let value_text = format!("activision*norm:{}. value norm {}", float(strength), float(norm(config, &value)?));
        draft.link(leave, frame.mlp_output, LinkKind::Add, strength, Paint::Entropy(value_spot.vector), value_text);
    }
    if config.include_mlp_bias { biases(request, layer, frame, draft, batch) } else { Ok(()) }
}

fn biases(request: &Request, layer: &Layer, frame: &Frame, draft: &mut Draft, batch: &mut Batch) -> Result<()> {
    let config = request.config;
    let (Some(first), Some(second)) = (&layer.ff1_bias, &layer.ff2_bias) else {
        return Err(Error::FlowGraph(
            "include_mlp_bias is true, but the MLP has no biases in this model; leave it out".to_owned(),
        ));
    };
    // The first bias is pushed through the second matrix as if there were no activation in between.
    let key = Spot::top(batch.push(&layer.ff2.f_tr()?.f_mv(first)?)?);
    let value = Spot::top(batch.push(second)?);
    let key_line = Line::of(Some(layer.index), "c_fc_bias", key);
    let value_line = Line::of(Some(layer.index), "c_proj_bias", value);
    let paint = Paint::Fixed(config.bias_color.clone());
    let (enter, leave) = match config.compact_mlp_nodes {
        true => {
            let node = draft.node(NodeDraft {
                label: vec![key, value],
                hover: vec![key_line.opened("c_fc_bias:"), value_line.opened("c_proj_bias:")],
                ..bare(layer, "bias", NodeKind::Bias, 13, paint.clone())
            });
            (node, node)
        }
        false => {
            let enter = draft.node(NodeDraft {
                label: vec![key],
                hover: vec![key_line],
                ..bare(layer, "up_bias", NodeKind::Bias, 12, paint.clone())
            });
            let leave = draft.node(NodeDraft {
                label: vec![value],
                hover: vec![value_line],
                ..bare(layer, "down_bias", NodeKind::Bias, 13, paint.clone())
            });
            (enter, leave)
        }
    };
    if enter != leave {
        let unseen = Paint::Fixed(config.invisible_link_color.clone());
        draft.norm_link(enter, leave, LinkKind::Invisible, 0.05, unseen);
    }
    let entering = format!("norm:{}", float(norm(config, &layer.mlp_input)?));
    draft.link(frame.mlp_input, enter, LinkKind::Bias, config.default_weight, paint.clone(), entering);
    draft.norm_link(leave, frame.mlp_output, LinkKind::Bias, norm(config, second)?, paint);
    Ok(())
}

fn bare(layer: &Layer, name: &str, kind: NodeKind, column: usize, paint: Paint) -> NodeDraft {
    NodeDraft {
        id: format!("blocks.{}.mlp.{name}", layer.index),
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
