//! Pages and notebook outputs around figures: style sheet, scripts and plotly.js once, then the figures.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use super::base64::base64;
use super::{Figure, Panel, escape, plotly, theme, trajectory};

/// A script, bundled from `assets/src` by `tools/check_scripts.py --build`.
struct Script {
    /// The kinds of view that it draws.
    views: &'static [&'static str],
    /// Of its content: a figure names it, and no other script takes the figure over.
    hash: String,
    text: String,
}

/// The smallest ones first.
static SCRIPTS: LazyLock<[Script; 9]> = LazyLock::new(|| {
    [
        hashed(&["heat-map", "logit-lens"], include_str!("assets/dist/heat_map.js")),
        hashed(&["effects"], include_str!("assets/dist/effects.js")),
        hashed(&["flow-graph"], include_str!("assets/dist/flow_graph.js")),
        hashed(&["head"], include_str!("assets/dist/head.js")),
        hashed(&["model"], include_str!("assets/dist/model.js")),
        hashed(&["neuron"], include_str!("assets/dist/neuron.js")),
        hashed(&["rollout"], include_str!("assets/dist/rollout.js")),
        hashed(&trajectory::VIEWS, include_str!("assets/dist/trajectory.js")),
        // They share half of what they need.
        hashed(&ATTENTION, include_str!("assets/dist/attention_views.js")),
    ]
});

const ATTENTION: [&str; 4] = ["head", "model", "neuron", "rollout"];

fn hashed(views: &'static [&'static str], bundle: &str) -> Script {
    let digest = Sha256::digest(bundle.as_bytes());
    let hash: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Script { views, text: bundle.trim_end().replace("FLOWLENS_BUILD", &hash), hash }
}

/// The script that draws a figure among others: one for all attention views where there are several kinds.
fn script(view: &str, figures: &[Figure]) -> Option<&'static Script> {
    let both = |figure: &Figure| figure.view != view && ATTENTION.contains(&figure.view);
    let several = ATTENTION.contains(&view) && figures.iter().any(both);
    SCRIPTS.iter().find(|script| script.views.contains(&view) && (!several || script.views.len() == ATTENTION.len()))
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
    still.replacen('>', &format!("><style>{}</style>", theme::svg_css()), 1)
}

fn fragment(figures: &[Figure], library: bool, picture: fn(&Panel) -> String) -> String {
    let mut html = format!("<style>{}</style>", theme::css());
    figures.iter().for_each(|figure| html.push_str(&view(figure, script(figure.view, figures), picture)));
    let drawn_by = |script: &Script| {
        figures.iter().any(|figure| self::script(figure.view, figures).is_some_and(|it| it.hash == script.hash))
    };
    for script in SCRIPTS.iter().filter(|script| drawn_by(script)) {
        html.push_str("<script>");
        html.push_str(&script.text);
        html.push_str("</script>");
    }
    if library && figures.iter().any(Figure::wants_plotly) {
        html.push_str("<script type=\"text/plain\" data-flowlens-plotly>");
        html.push_str(&plotly::library());
        html.push_str("</script><script>flowlens.unpack()</script>");
    }
    html.push_str("<script>flowlens.draw()</script>");
    html
}

/// A page of its own: one file, which asks the network for nothing and is not let to.
pub(super) fn page(figures: &[Figure]) -> String {
    let title = figures.iter().map(Figure::title).collect::<Vec<_>>().join(", ");
    let [light, dark] = theme::papers();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'; img-src data: blob:\">\n\
         <style>:root{{color-scheme:light dark}}body{{margin:20px;background:{light}}}\
         @media (prefers-color-scheme:dark){{body{{background:{dark}}}}}</style>\n</head>\n<body>\n{}\n</body>\n</html>\n",
        escape::html(&title),
        fragment(figures, true, |panel| panel.svg.clone())
    )
}

/// One figure: the static picture, and beside it what the scripts need to take it over. Hosts with MathJax (2 and later) are
/// told by its own names that `$x$` in a token is no formula.
fn view(figure: &Figure, script: Option<&Script>, picture: fn(&Panel) -> String) -> String {
    let mut html = format!(
        "<div class=\"flowlens-view tex2jax_ignore mathjax_ignore\" data-view=\"{}\" data-script=\"{}\" data-state=\"static\"><p class=\"fl-title\">{}</p>\
         <div class=\"fl-choosers\"></div>",
        figure.view,
        script.map_or("", |script| &script.hash),
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
    fn scripts_stay_small_and_stand_in_html_as_they_are() {
        for Script { views, text, .. } in SCRIPTS.iter() {
            assert!(text.len() < 48 * 1024 * views.len().clamp(1, 2), "{views:?}: {}", text.len());
            assert!(!text.contains("</script") && !text.contains("<!--"), "{views:?}");
        }
    }

    #[test]
    fn a_script_knows_its_own_hash() {
        for Script { views, text, hash } in SCRIPTS.iter() {
            assert!(text.contains(hash.as_str()), "{views:?}");
            assert!(!text.contains("FLOWLENS_BUILD"), "{views:?}");
        }
        let other = hashed(&["head"], "register(\"FLOWLENS_BUILD\", {})");
        assert_ne!(Some(&other.hash), script("head", &[]).map(|script| &script.hash));
    }
}
