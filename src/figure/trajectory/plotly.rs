//! Charts for a notebook with Plotly's own extension: as the figure opens, no choosers.

use serde::Serialize;
use serde_json::{Value, json};

use super::pack::finite;
use crate::figure::chart::Colors;
use crate::figure::{escape, theme};

/// A heat map with its axes.
pub(super) struct Map<'a> {
    pub title: String,
    pub rows: &'a [String],
    pub columns: &'a [String],
    pub values: Vec<f32>,
    pub colors: &'a Colors,
    pub axes: [&'static str; 2],
}

#[derive(Serialize)]
struct HeatMap {
    #[serde(rename = "type")]
    kind: &'static str,
    z: Vec<Vec<Option<f32>>>,
    xaxis: String,
    yaxis: String,
    zmin: f32,
    zmax: f32,
    colorscale: Vec<(f64, String)>,
    colorbar: Value,
}

/// A line with its axes.
#[derive(Serialize)]
pub(super) struct Line {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub mode: &'static str,
    pub name: String,
    pub x: Vec<f64>,
    pub y: Vec<Option<f32>>,
}

/// A colour scale as Plotly writes it, for light paper.
fn colorscale(colors: &Colors) -> Vec<(f64, String)> {
    let palette = colors.palette();
    let stop = |at: usize| {
        let share = at as f64 / 16.0;
        let value = f64::from(colors.low) + share * f64::from(colors.high - colors.low);
        let [r, g, b, opacity] = palette[usize::from(colors.level(value as f32))];
        // On white paper, what is clear is as light as it is little.
        let light = |channel: u8| 255 - (255 - u16::from(channel)) * u16::from(opacity) / 255;
        (share, theme::hex([light(r) as u8, light(g) as u8, light(b) as u8]))
    };
    (0..=16).map(stop).collect()
}

fn labelled(tokens: &[String], name: &str) -> Value {
    let every = tokens.len().div_ceil(60).max(1);
    let places: Vec<usize> = (0..tokens.len()).step_by(every).collect();
    let texts: Vec<String> = places.iter().map(|&at| escape::plotly(&escape::label(&tokens[at], 12))).collect();
    json!({ "tickvals": places, "ticktext": texts, "title": { "text": name }, "zeroline": false, "showgrid": false })
}

/// Heat maps beside one another.
pub(super) fn heat_maps(title: &str, maps: &[Map]) -> Value {
    let share = 1.0 / maps.len().max(1) as f64;
    let mut layout = base(title, 380.0 * maps.len() as f64 + 80.0, 440.0);
    let mut traces = Vec::new();
    for (at, map) in maps.iter().enumerate() {
        let suffix = if at == 0 { String::new() } else { (at + 1).to_string() };
        let domain = [at as f64 * share, (at as f64 + 0.78) * share];
        let trace = HeatMap {
            kind: "heatmap",
            z: map.values.chunks(map.columns.len().max(1)).map(finite).collect(),
            xaxis: format!("x{suffix}"),
            yaxis: format!("y{suffix}"),
            zmin: map.colors.low,
            zmax: map.colors.high,
            colorscale: colorscale(map.colors),
            colorbar: json!({ "x": domain[1], "thickness": 10, "title": { "text": escape::plotly(&map.title) } }),
        };
        traces.push(serde_json::to_value(trace).unwrap_or_default());
        let (mut x, mut y) = (labelled(map.columns, map.axes[1]), labelled(map.rows, map.axes[0]));
        x["domain"] = json!(domain);
        y["autorange"] = json!("reversed");
        x["anchor"] = json!(format!("y{suffix}"));
        y["anchor"] = json!(format!("x{suffix}"));
        if at > 0 {
            x["matches"] = json!("x");
            y["matches"] = json!("y");
        }
        layout[format!("xaxis{suffix}")] = x;
        layout[format!("yaxis{suffix}")] = y;
    }
    json!({ "data": traces, "layout": layout })
}

/// Lines over one axis.
pub(super) fn lines(title: &str, lines: Vec<Line>, axis: &str) -> Value {
    let mut layout = base(title, 860.0, 400.0);
    layout["xaxis"] = json!({ "title": { "text": axis } });
    json!({ "data": lines, "layout": layout })
}

/// Paths in space.
pub(super) fn paths(title: &str, paths: Vec<Value>, axes: &[String]) -> Value {
    let mut layout = base(title, 860.0, 640.0);
    let axis = |at: usize| json!({ "title": { "text": axes.get(at) } });
    layout["scene"] = json!({ "xaxis": axis(0), "yaxis": axis(1), "zaxis": axis(2) });
    json!({ "data": paths, "layout": layout })
}

fn base(title: &str, width: f64, height: f64) -> Value {
    json!({
        "title": { "text": escape::plotly(title), "font": { "size": 14 } }, "width": width, "height": height,
        "font": { "size": 11 }, "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
    })
}
