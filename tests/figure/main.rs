//! Figures: what they are made of. How they behave in a browser is tested in `tests/browser`, with the pages that
//! `writes_pages_for_the_browser` leaves in `target/figures`.

mod attention;
mod effects;
#[cfg(feature = "export")]
mod export;
mod families;
mod hostile;
mod model_pages;
mod rollout;
mod sample;
mod trajectory;

use std::fs;
use std::path::{Path, PathBuf};

use flowlens::Gallery;
use flowlens::flow::{FlowGraph, LinkKind};
use sample::{graph, lens};

const NAMES: [&str; 3] = ["layers", "chain", "parallel"];

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn writes_pages_for_the_browser() {
    let folder = folder("figures");
    for name in NAMES {
        let graph = graph(name);
        graph.save(folder.join(format!("{name}.html"))).unwrap();
        graph.save(folder.join(format!("{name}.svg"))).unwrap();
    }
    let two = Gallery::new([graph("layers").figure(), graph("parallel").figure()]);
    two.save(folder.join("two.html")).unwrap();
    lens("␣").save(folder.join("lens.html")).unwrap();
    let cells = kernel_blocks("prints_for_the_kernel").into_iter().filter(|(mime, _)| mime == "text/html");
    let cells: Vec<String> = cells.map(|(_, html)| html).collect();
    fs::write(folder.join("outputs.json"), serde_json::to_string(&cells).unwrap()).unwrap();
    let page: String = cells.iter().map(|html| format!("<section>{html}</section>")).collect();
    fs::write(folder.join("notebook.html"), format!("<!doctype html><meta charset=\"utf-8\">{page}")).unwrap();
}

/// What the cells of one kernel print; for `kernel_blocks`.
#[test]
#[ignore = "prints what a kernel reads"]
fn prints_for_the_kernel() {
    graph("layers").evcxr_display();
    Gallery::new([graph("parallel").figure(), lens("x").figure()]).evcxr_display();
    lens("y").evcxr_display();
    for (name, figure) in trajectory::all() {
        if ["walk", "attention_maps"].contains(&name) {
            figure.evcxr_display();
        }
    }
}

/// The blocks that a kernel would read of what a test prints, as MIME type and content.
fn kernel_blocks(printing: &str) -> Vec<(String, String)> {
    let arguments = ["--exact", printing, "--ignored", "--nocapture", "--test-threads=1"];
    let output = std::process::Command::new(std::env::current_exe().unwrap()).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let blocks = text.split("EVCXR_BEGIN_CONTENT ").skip(1);
    blocks
        .map(|block| {
            let (mime, rest) = block.split_once('\n').unwrap();
            (mime.to_owned(), rest.split_once("\nEVCXR_END_CONTENT\n").unwrap().0.to_owned())
        })
        .collect()
}

#[test]
fn cells_show_every_form_and_carry_plotly_once() {
    let blocks = kernel_blocks("prints_for_the_kernel");
    let types: Vec<&str> = blocks.iter().map(|(mime, _)| mime.as_str()).collect();
    let all = ["text/plain", "text/html", "image/svg+xml", "application/vnd.plotly.v1+json"];
    assert_eq!(types, [&all[..], &all[..2], &all[..3], &all[..], &all[..]].concat());
    let html: Vec<&String> = blocks.iter().filter(|(mime, _)| mime == "text/html").map(|(_, html)| html).collect();
    assert_eq!(html.iter().map(|it| it.matches("data-flowlens-plotly>").count()).collect::<Vec<_>>(), [1, 0, 0, 0, 0]);
    assert!(html[1].len() < 600_000, "{}", html[1].len());
    // What a sanitizer would leave bare stands in scripts and images.
    let outside: String =
        html[1].split("<script").map(|part| part.split_once("</script>").map_or(part, |it| it.1)).collect();
    assert!(outside.contains("<img alt=\"layers 0 to 2\"") && !outside.contains("<svg") && !outside.contains("<title"));
    let plotly: serde_json::Value = serde_json::from_str(&blocks[3].1).unwrap();
    let trace = &plotly["data"][0];
    assert_eq!(trace["type"], "sankey");
    assert_eq!(trace["node"]["label"].as_array().unwrap().len(), 111);
    assert_eq!(trace["node"]["customdata"].as_array().unwrap().len(), 111);
    assert_eq!(trace["link"]["value"].as_array().unwrap().len(), 168);
}

#[test]
fn the_lens_is_a_heat_map_with_words() {
    let figure = lens("</title><img src=x onerror=1>").figure();
    let svg = figure.svg();
    assert_eq!(svg.matches("<g data-cell").count(), 5 * 8);
    assert!(!svg.contains("<img") && !figure.html().contains("<img"));
    assert!(svg.contains("“ Tokyo”: rank 2, "), "the target's rank is told");
    assert!(figure.caption().contains("Outlined"));
    let numbers: serde_json::Value = serde_json::from_str(&figure.json()).unwrap();
    assert_eq!(numbers["rows"][1]["site"], "blocks.0.hook_resid_post");
    assert_eq!(numbers["rows"][4]["cells"][7]["top"].as_array().unwrap().len(), 3);
}

/// A page as a notebook has it whose first figure was run again: plotly.js is not in it.
fn without_plotly(page: &str) -> String {
    let start = page.find("<script type=\"text/plain\" data-flowlens-plotly>").unwrap();
    let end = start + page[start..].find("</script>").unwrap() + "</script>".len();
    format!("{}{}", &page[..start], &page[end..])
}

#[test]
fn the_same_graph_gives_the_same_page() {
    let figure = graph("layers").figure();
    assert_eq!(figure.html(), graph("layers").figure().html());
    assert_eq!(figure.svg(), graph("layers").figure().svg());
}

#[test]
fn pages_stay_small() {
    let page = graph("layers").figure().html();
    let bare = without_plotly(&page);
    assert!(page.len() - bare.len() < 800_000, "plotly.js takes {} bytes", page.len() - bare.len());
    assert!(bare.len() < 330_000, "two layers take {} bytes", bare.len());
    let scripts: usize = bare.split("<script>").skip(1).map(|part| part.find("</script>").unwrap()).sum();
    assert!(scripts < 60_000, "our scripts take {scripts} bytes");
}

#[test]
fn plotly_is_in_a_page_once() {
    let gallery = Gallery::new(NAMES.map(|name| graph(name).figure()));
    assert_eq!(gallery.html().matches("data-flowlens-plotly>").count(), 1);
    assert_eq!(gallery.html().matches("data-view=\"flow-graph\"").count(), 3);
    assert_eq!(gallery.html().matches("https:").count(), 0);
}

#[test]
fn every_visible_link_is_drawn() {
    for name in NAMES {
        let graph = graph(name);
        let svg = graph.figure().svg();
        let hidden = graph.links().filter(|link| link.kind == LinkKind::Invisible).count();
        assert!(hidden > 0);
        assert_eq!(svg.matches("<path data-link").count(), graph.links().count() - hidden, "{name}");
        assert_eq!(svg.matches("<g data-node").count(), graph.nodes().count(), "{name}");
    }
}

#[test]
fn odd_graphs_are_drawn_too() {
    let mut empty = graph("layers");
    empty.graphs.clear();
    assert!(empty.figure().html().contains("no layer"));
    let mut bare = graph("layers");
    bare.graphs[0].links.clear();
    bare.graphs[1].nodes.iter_mut().for_each(|node| node.column = 0);
    bare.graphs[1].links.iter_mut().for_each(|link| link.weight = 0.0);
    bare.graphs[1].links[0].weight = f64::NAN;
    bare.graphs[1].links[1].target = 9_999;
    let svg = bare.figure().svg();
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "numbers that are none");
    let mut circle = graph("layers");
    let back = circle.graphs[0].links[0].clone();
    circle.graphs[0].links.push(flowlens::flow::Link { source: back.target, target: back.source, ..back });
    assert!(circle.figure().svg().contains("<path"));
}

#[test]
fn saves_by_the_ending() {
    let folder = folder("figures/saved");
    let graph: FlowGraph = graph("layers");
    graph.save(folder.join("graph.JSON")).unwrap();
    let read: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("graph.JSON")).unwrap()).unwrap();
    assert_eq!(read["graphs"][1]["layers"][0], 2);
    assert_eq!(read["graphs"][0]["nodes"].as_array().unwrap().len(), 111);
    for (name, told) in [("graph.jpg", ".html, .svg, .pdf, .png and .json"), ("graph", "no ending")] {
        let error = graph.save(folder.join(name)).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    let error = graph.save(folder.join("missing/graph.svg")).unwrap_err().to_string();
    assert!(error.contains("missing"), "{error}");
    let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["graph.JSON"]);
}

#[test]
fn says_itself_in_text() {
    let text = graph("layers").to_string();
    assert!(text.starts_with("Flow graph of tiny_gpt2, layer 0 to layer 2, one at a time\n"), "{text}");
    assert!(text.contains("layer 2: 111 nodes, 169 links"), "{text}");
    assert!(text.contains("“The capital of Japan is the city of”"), "{text}");
}
