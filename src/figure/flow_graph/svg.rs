//! The flow graph as SVG: what stands in a page before any script runs, and what is saved.

use std::fmt::Write;

use super::layout::{HEAD, LEAST_NODE, Layout, NODE_WIDTH};
use super::look::Looks;
use crate::figure::escape;
use crate::flow::NodeKind;

/// Letters of one line of a hover text at most.
const HOVER_LETTERS: usize = 600;

/// The picture: an `<svg>` element without a style sheet of its own.
pub(super) fn picture(looks: &Looks, layout: &Layout, name: &str) -> String {
    let (width, height) = (layout.width.ceil(), layout.height.ceil());
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"group\" aria-label=\"{}\">",
        escape::html(name)
    );
    links(&mut svg, looks, layout);
    nodes(&mut svg, looks, layout);
    svg.push_str("<g class=\"fl-over\" pointer-events=\"none\">");
    headings(&mut svg, layout);
    marks(&mut svg, looks, layout);
    labels(&mut svg, layout);
    svg.push_str("</g></svg>");
    svg
}

fn links(svg: &mut String, looks: &Looks, layout: &Layout) {
    svg.push_str("<g class=\"fl-links\">");
    for ribbon in &layout.ribbons {
        let (source, target) = (&layout.boxes[ribbon.source], &layout.boxes[ribbon.target]);
        let (left, right) = (source.x + NODE_WIDTH, target.x);
        let middle = f64::midpoint(left, right);
        let (from, to) = (ribbon.from, ribbon.to);
        let (from_end, to_end) = (from + ribbon.width, to + ribbon.width);
        let link = &looks.links[ribbon.link];
        let color = escape::color(&link.color);
        let class = if solid(color) { " class=\"fl-solid\" fill-opacity=\".5\" stroke-opacity=\".5\"" } else { "" };
        // A ribbon thinner than a pixel keeps an outline of one, so that it does not fade away.
        let outline =
            if ribbon.width <= 1.0 { format!(" stroke=\"{color}\" stroke-width=\"0.6\"") } else { String::new() };
        let title = escape::html(&hover(&link.hover));
        let _ = write!(
            svg,
            "<path data-link=\"{}\" data-ends=\"{} {}\" d=\"M{left:.1},{from:.1}C{middle:.1},{from:.1} \
             {middle:.1},{to:.1} {right:.1},{to:.1}L{right:.1},{to_end:.1}C{middle:.1},{to_end:.1} \
             {middle:.1},{from_end:.1} {left:.1},{from_end:.1}Z\" fill=\"{color}\"{class}{outline}>\
             <title>{title}</title></path>",
            ribbon.link, source.node, target.node
        );
    }
    svg.push_str("</g>");
}

fn nodes(svg: &mut String, looks: &Looks, layout: &Layout) {
    svg.push_str("<g>");
    for place in &layout.boxes {
        let node = &looks.nodes[place.node];
        let title = escape::html(&hover(&node.hover));
        let _ = write!(
            svg,
            "<g data-node=\"{}\" data-column=\"{}\"><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{NODE_WIDTH}\" \
             height=\"{:.1}\" fill=\"{}\" stroke=\"var(--fl-line)\" stroke-width=\"0.7\"/><title>{title}</title></g>",
            place.node,
            place.column,
            place.x,
            place.y,
            place.height.max(0.5),
            escape::color(&node.color)
        );
    }
    svg.push_str("</g>");
}

/// Thin nodes get a mark in their colour, so that it can be seen and pointed at; the ribbons keep their width.
fn marks(svg: &mut String, looks: &Looks, layout: &Layout) {
    svg.push_str("<g stroke=\"var(--fl-line)\" stroke-width=\"0.7\">");
    for place in layout.boxes.iter().filter(|place| place.height < LEAST_NODE) {
        let _ = write!(
            svg,
            "<rect data-label=\"{}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{NODE_WIDTH}\" height=\"{LEAST_NODE}\" fill=\"{}\"/>",
            place.node,
            place.x,
            place.y + (place.height - LEAST_NODE) / 2.0,
            escape::color(&looks.nodes[place.node].color)
        );
    }
    svg.push_str("</g>");
}

fn labels(svg: &mut String, layout: &Layout) {
    svg.push_str(
        "<g font-size=\"11\" fill=\"var(--fl-ink)\" stroke=\"var(--fl-paper)\" stroke-width=\"2.6\" \
         stroke-linejoin=\"round\" paint-order=\"stroke\">",
    );
    for place in &layout.boxes {
        let (x, y) = (place.x + NODE_WIDTH + 4.0, place.y + place.height / 2.0 + 4.0);
        let _ = write!(
            svg,
            "<text data-label=\"{}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
            place.node,
            escape::html(&place.label)
        );
    }
    svg.push_str("</g>");
}

/// What stands in each column, and where a layer begins.
fn headings(svg: &mut String, layout: &Layout) {
    svg.push_str("<g font-size=\"10\" fill=\"var(--fl-muted)\">");
    let mut layer = None;
    for (at, column) in layout.columns.iter().enumerate() {
        let end = layout.columns.get(at + 1).map_or(layout.width, |next| next.x);
        let room = ((end - column.x) / 5.2) as usize;
        let name = column.name;
        let (first, second) = name.split_once(' ').unwrap_or((name, ""));
        if room >= first.len().max(second.len()) {
            let x = column.x;
            let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{:.1}\">{first}", HEAD - 20.0);
            if !second.is_empty() {
                let _ = write!(svg, "<tspan x=\"{x:.1}\" dy=\"11\">{second}</tspan>");
            }
            svg.push_str("</text>");
        }
        if layer != Some(column.layer) {
            layer = Some(column.layer);
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"11\" font-size=\"11\" font-weight=\"600\" fill=\"var(--fl-ink)\">layer {}</text>",
                column.x, column.layer
            );
        }
    }
    svg.push_str("</g>");
}

/// The lines of a hover text with everything visible, each on a line.
pub(super) fn hover(lines: &[String]) -> String {
    lines.iter().map(|line| escape::line(line, HOVER_LETTERS)).collect::<Vec<_>>().join("\n")
}

/// Whether a colour covers what is below it; such links are drawn half transparent.
pub(super) fn solid(color: &str) -> bool {
    let digits = color.strip_prefix('#').map(str::len);
    !color.starts_with("rgba(") && !color.starts_with("hsla(") && !matches!(digits, Some(4 | 8))
        || color.ends_with(", 1)")
        || color.ends_with(",1)")
        || color.ends_with(", 1.0)")
}

/// What a node of this kind is, in one or two words.
pub(super) fn kind_name(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Resid => "residual stream",
        NodeKind::NormedResid => "stream normed",
        NodeKind::Normed => "after norm",
        NodeKind::Qkv => "q, k, v",
        NodeKind::Query => "queries",
        NodeKind::Key => "memory keys",
        NodeKind::Value => "memory values",
        NodeKind::Head => "heads write",
        NodeKind::Concat => "heads joined",
        NodeKind::OutputRow => "output rows",
        NodeKind::AttnOut => "attention writes",
        NodeKind::NeuronKey => "neurons read",
        NodeKind::NeuronGate => "neurons' gates",
        NodeKind::NeuronValue => "neurons write",
        NodeKind::MlpOut => "MLP writes",
        NodeKind::CrossQuery => "cross queries",
        NodeKind::CrossKey => "encoder keys",
        NodeKind::CrossValue => "encoder values",
        NodeKind::CrossHead => "cross heads",
        NodeKind::CrossOut => "cross writes",
        NodeKind::Bias => "biases",
        NodeKind::Remainder => "the rest",
    }
}
