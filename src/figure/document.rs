//! Pages and notebook outputs around figures: style sheet, scripts and plotly.js once, then the figures.

use super::base64::base64;
use super::squeeze::squeeze;
use super::{Figure, Panel, escape, plotly, theme};

/// What every page needs of our scripts.
const RUNTIME: &str = include_str!("assets/runtime.js");

/// Our scripts for a kind of view, in the order in which they need each other.
fn scripts(view: &str) -> &'static [&'static str] {
    const INFLATE: &str = include_str!("assets/inflate.js");
    const ATTENTION: &str = include_str!("assets/attention.js");
    match view {
        "flow-graph" => &[include_str!("assets/flow_graph.js")],
        "head" => &[INFLATE, ATTENTION, include_str!("assets/head_view.js")],
        "model" => &[INFLATE, ATTENTION, include_str!("assets/model_view.js")],
        "neuron" => &[INFLATE, ATTENTION, include_str!("assets/neuron_view.js")],
        "rollout" => &[INFLATE, ATTENTION, include_str!("assets/rollout_view.js")],
        _ => &[include_str!("assets/heat_map.js")],
    }
}

/// Figures for a notebook's output; `library` puts plotly.js in, where a figure needs it.
///
/// A notebook that is not trusted (and GitHub) strips scripts, styles and SVG and leaves bare what stood in them, but
/// keeps images. So the static picture is an image here, and its other form, which answers, waits in a script.
pub(super) fn output(figures: &[Figure], library: bool) -> String {
    fragment(figures, library, |panel| format!("{}<script type=\"image/svg+xml\">{}</script>", image(panel), panel.svg))
}

fn image(panel: &Panel) -> String {
    format!(
        "<img alt=\"{}\" width=\"{}\" src=\"data:image/svg+xml;base64,{}\">",
        escape::html(&panel.name),
        panel.width.ceil(),
        base64(still(&panel.svg).as_bytes())
    )
}

/// A picture that stands alone: with its own colours, without the texts that only a pointer finds.
fn still(svg: &str) -> String {
    let mut parts = svg.split("<title>");
    let mut still = parts.next().unwrap_or_default().to_owned();
    parts.for_each(|part| still.push_str(part.split_once("</title>").map_or("", |(_, rest)| rest)));
    still.replacen('>', &format!("><style>{}</style>", theme::SVG_CSS), 1)
}

fn fragment(figures: &[Figure], library: bool, picture: fn(&Panel) -> String) -> String {
    let mut html = format!("<style>{}</style>", theme::CSS);
    figures.iter().for_each(|figure| html.push_str(&view(figure, picture)));
    let mut wanted = vec![RUNTIME];
    for script in figures.iter().flat_map(|figure| scripts(figure.view)) {
        if !wanted.contains(script) {
            wanted.push(script);
        }
    }
    html.push_str("<script>");
    wanted.iter().for_each(|script| squeeze(script, &mut html));
    html.push_str("</script>");
    if library && figures.iter().any(Figure::wants_plotly) {
        html.push_str("<script type=\"text/plain\" data-flowlens-plotly>");
        html.push_str(plotly::library());
        html.push_str("</script><script>flowlens.unpack()</script>");
    }
    html.push_str("<script>flowlens.draw()</script>");
    html
}

/// A page of its own: one file, which asks the network for nothing and is not let to.
pub(super) fn page(figures: &[Figure]) -> String {
    let title = figures.iter().map(Figure::title).collect::<Vec<_>>().join(", ");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'; img-src data: blob:\">\n\
         <style>:root{{color-scheme:light dark}}body{{margin:20px;background:#fff}}\
         @media (prefers-color-scheme:dark){{body{{background:#14171c}}}}</style>\n</head>\n<body>\n{}\n</body>\n</html>\n",
        escape::html(&title),
        fragment(figures, true, |panel| panel.svg.clone())
    )
}

/// One figure: the static picture, and beside it what the scripts need to take it over.
fn view(figure: &Figure, picture: fn(&Panel) -> String) -> String {
    let mut html = format!(
        "<div class=\"flowlens-view\" data-view=\"{}\" data-state=\"static\"><p class=\"fl-title\">{}</p>\
         <div class=\"fl-choosers\"></div>",
        figure.view,
        escape::html(&figure.title)
    );
    for panel in &figure.panels {
        html.push_str("<div class=\"fl-panel\">");
        if figure.panels.len() > 1 {
            html.push_str(&format!("<p class=\"fl-panel-name\">{}</p>", escape::html(&panel.name)));
        }
        html.push_str(&format!(
            "<div class=\"fl-picture\" data-name=\"{}\">{}</div></div>",
            escape::html(&panel.name),
            // A script that draws its own picture has no use for the static one.
            if figure.packed.is_empty() { picture(panel) } else { image(panel) }
        ));
    }
    html.push_str(&figure.legend_html());
    html.push_str(&format!("<p class=\"fl-caption\">{}</p>", escape::html(&figure.caption)));
    html.push_str(&format!(
        "<script type=\"application/json\" class=\"fl-data\">{}</script>",
        escape::script(&figure.data)
    ));
    for packed in figure.packed.iter() {
        html.push_str("<script type=\"text/plain\" class=\"fl-packed\">");
        html.push_str(packed);
        html.push_str("</script>");
    }
    html.push_str("</div>");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_stay_small() {
        for view in ["flow-graph", "head", "model", "neuron", "rollout", "heat-map"] {
            let mut html = String::new();
            [&RUNTIME].into_iter().chain(scripts(view)).for_each(|script| squeeze(script, &mut html));
            assert!(html.len() < 60 * 1024, "{view}: {}", html.len());
        }
    }

    #[test]
    fn no_script_has_a_text_of_several_lines() {
        for view in ["flow-graph", "head", "model", "neuron", "rollout", "heat-map"] {
            for script in scripts(view).iter().chain([&RUNTIME]) {
                for line in script.lines().filter(|line| !line.trim_start().starts_with("//")) {
                    assert_eq!(line.matches('`').count() % 2, 0, "{line}");
                }
            }
        }
    }
}
