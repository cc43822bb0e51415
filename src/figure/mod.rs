//! Figures: owned values that show themselves in a notebook and save themselves as pages, pictures and data.
//!
//! A figure is drawn when it is made: it holds a static picture (SVG), the words around it, and what a script needs to
//! make it answer to mouse and keyboard. It knows no tensor and no model, and asks no network.

mod attention;
mod base64;
mod chart;
mod chunks;
mod document;
mod effects;
mod escape;
mod export;
mod flow_graph;
mod legend;
mod logit_lens;
mod plotly;
mod png;
mod save;
mod theme;
mod trajectory;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::{Error, Result, files};
pub use export::Export;
use legend::Keys;

/// A figure, drawn.
///
/// In a notebook, make it a cell's last expression. [`save`](Figure::save) writes it to a file.
#[derive(Clone)]
pub struct Figure {
    /// The kind of view, as the page's `data-view` names it.
    view: &'static str,
    title: String,
    caption: String,
    panels: Vec<Panel>,
    legend: Vec<Keys>,
    /// What the scripts need beside the picture.
    data: Value,
    /// Numbers too many for `data`, packed; a script that gets them draws its own picture in place of the static one.
    packed: Arc<[String]>,
    /// Plotly's form: `data` and `layout`.
    plotly: Option<Value>,
    /// The numbers behind the picture.
    json: Value,
}

/// One picture of a figure; a chooser shows them one at a time.
#[derive(Clone)]
struct Panel {
    name: String,
    svg: String,
    width: f64,
    height: f64,
}

impl Panel {
    /// What is drawn, within its frame.
    fn drawn(name: &str, width: f64, height: f64, body: &str) -> Panel {
        let label = escape::html(name);
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-label=\"{label}\">{body}</svg>"
        );
        Panel { name: name.to_owned(), svg, width, height }
    }
}

impl Figure {
    /// What the figure shows, in a few words.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What the figure shows and how it was made, in one or two sentences.
    pub fn caption(&self) -> &str {
        &self.caption
    }

    /// A name for its file, without an ending: what model, what view and where, e.g. `smollm2-135m-head-view-layer-16`.
    pub fn file_name(&self) -> String {
        // Titles read `Head view of a model` or `Flow graph of a model, layer 3`.
        let (view, rest) = self.title.split_once(" of ").unwrap_or((&self.title, ""));
        let (model, place) = rest.split_once(", ").unwrap_or((rest, ""));
        let mut name = format!("{model} {view} {place}");
        let first = &self.data["first"];
        name.extend(first["block"].as_str().filter(|_| self.has_blocks()).map(|block| format!(" {block}")));
        // A model view shows every layer, whichever it would open.
        let all = self.view == "model" && first["head"].is_null();
        for what in ["layer", "head", "token"].into_iter().filter(|_| !all) {
            name.extend(first[what].as_u64().map(|number| format!(" {what} {number}")));
        }
        crate::text::slug(&name)
    }

    /// Whether it shows several blocks, as that of an encoder-decoder does.
    fn has_blocks(&self) -> bool {
        self.data["blocks"].as_array().is_some_and(|blocks| blocks.len() > 1)
    }

    /// A page of its own: one file that works without a network.
    pub fn html(&self) -> String {
        document::page(std::slice::from_ref(self))
    }

    /// The figure as a static picture with legend and caption; several panels stand below one another.
    pub fn svg(&self) -> String {
        let title = format!("{} ", self.title);
        let width = self.panels.iter().map(|panel| panel.width).fold(480.0, f64::max).ceil();
        let mut body = format!(
            "<text x=\"14\" y=\"22\" font-size=\"14\" font-weight=\"600\" fill=\"var(--fl-ink)\">{}</text>",
            escape::html(title.trim_end())
        );
        let mut y = 32.0;
        for panel in &self.panels {
            if self.panels.len() > 1 {
                let name = escape::html(&panel.name);
                body.push_str(&format!(
                    "<text x=\"14\" y=\"{}\" font-size=\"12\" fill=\"var(--fl-muted)\">{name}</text>",
                    y + 14.0
                ));
                y += 20.0;
            }
            body.push_str(&format!("<g transform=\"translate(0 {y})\">{}</g>", panel.svg));
            y += panel.height.ceil();
        }
        let (legend, height) = legend::svg(&self.legend, &self.caption, y, width);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\"><style>{}</style><rect width=\"100%\" height=\"100%\" fill=\"var(--fl-paper)\"/>\
             {body}{legend}</svg>\n",
            theme::svg_css()
        )
    }

    /// The numbers behind the figure, as JSON.
    pub fn json(&self) -> String {
        self.json.to_string()
    }

    /// Saves by the ending of the name: `.html` (a page, one file, works offline), `.svg` (a static picture, light or
    /// dark as its reader's system is), `.pdf` or `.png` (on light paper; [`export`](Figure::export) has choices), or
    /// `.json` (the numbers).
    ///
    /// # Errors
    /// For another ending, when the file cannot be written, or for a `.pdf` or `.png` when Flowlens was compiled without
    /// its feature `export`. A file that was there before stays as it was then.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let content = match save::ending(path).as_str() {
            "html" | "htm" => self.html(),
            "svg" => self.svg(),
            "json" => self.json(),
            "pdf" | "png" => return self.export().save(path),
            _ => return Err(save::unknown_ending(path, ".html, .svg, .pdf, .png and .json")),
        };
        files::write_whole(path, content.as_bytes())
    }

    /// Its forms by MIME type beside plain text, for a notebook; `with_library` when plotly.js goes along.
    pub(crate) fn forms(&self, with_library: bool) -> Vec<(&'static str, String)> {
        let mut forms = vec![
            ("text/html", document::output(std::slice::from_ref(self), with_library)),
            ("image/svg+xml", self.svg()),
        ];
        forms.extend(self.plotly.clone().map(|mut plotly| {
            // A host that has MathJax would read `$x$` in a token as a formula.
            plotly["config"]["typesetMath"] = false.into();
            ("application/vnd.plotly.v1+json", plotly.to_string())
        }));
        forms
    }

    pub(crate) fn wants_plotly(&self) -> bool {
        self.plotly.is_some() || trajectory::VIEWS.contains(&self.view)
    }

    fn legend_html(&self) -> String {
        legend::html(&self.legend)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.title, self.caption)
    }
}

impl fmt::Debug for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figure").field("view", &self.view).field("title", &self.title).finish_non_exhaustive()
    }
}

/// Several figures in one cell: a notebook keeps one HTML block a cell, so figures shown one by one replace each other.
///
/// ```
/// # fn show(first: flowlens::Figure, second: flowlens::Figure) {
/// flowlens::Gallery::new([first, second]).evcxr_display();
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Gallery {
    figures: Vec<Figure>,
}

impl Gallery {
    /// Puts figures below one another.
    pub fn new(figures: impl IntoIterator<Item = Figure>) -> Gallery {
        Gallery { figures: figures.into_iter().collect() }
    }

    /// The figures.
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// A page with all figures: one file that works without a network.
    pub fn html(&self) -> String {
        document::page(&self.figures)
    }

    /// Saves all figures as one `.html` page, a `.pdf` with a page for each, or their numbers as one `.json` list.
    ///
    /// # Errors
    /// For another ending, when the file cannot be written, or for a `.pdf` when Flowlens was compiled without its
    /// feature `export`.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let content = match save::ending(path).as_str() {
            "html" | "htm" => self.html(),
            "json" => Value::from_iter(self.figures.iter().map(|figure| figure.json.clone())).to_string(),
            "pdf" => return self.export().save(path),
            ending @ ("svg" | "png") => {
                return Err(Error::Figure(format!(
                    "cannot save {}: a file .{ending} holds one figure; save each of figures(), or all as .html or .pdf",
                    path.display()
                )));
            }
            _ => return Err(save::unknown_ending(path, ".html, .pdf and .json")),
        };
        files::write_whole(path, content.as_bytes())
    }

    /// Its forms by MIME type beside plain text, for a notebook; `with_library` when plotly.js goes along.
    pub(crate) fn forms(&self, with_library: bool) -> Vec<(&'static str, String)> {
        vec![("text/html", document::output(&self.figures, with_library))]
    }

    pub(crate) fn wants_plotly(&self) -> bool {
        self.figures.iter().any(Figure::wants_plotly)
    }
}

impl fmt::Display for Gallery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.figures.iter().map(Figure::to_string).collect();
        f.write_str(&texts.join("\n\n"))
    }
}
