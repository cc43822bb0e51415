//! The published method against what VISIT itself draws, for its four families and its compact forms.

use std::io::Read;
use std::path::{Path, PathBuf};

use flowlens::Model;
use flowlens::flow::{FlowGraph, Heads, Method};
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/visit")
}

fn golden(name: &str) -> Value {
    let file = std::fs::File::open(fixtures().join(format!("{name}.json.gz"))).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn model(name: &str) -> Model {
    Model::load(fixtures().join(name).to_str().unwrap()).unwrap()
}

/// Numbers in a text that may differ a little, and the text without them.
fn split(text: &str) -> (String, Vec<(f64, bool)>) {
    let bytes = text.as_bytes();
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let (mut rest, mut numbers, mut i) = (String::new(), Vec::new(), 0);
    let run = |mut i: usize| {
        while digit(i) {
            i += 1;
        }
        i
    };
    while i < text.len() {
        let start = if bytes[i] == b'-' { i + 1 } else { i };
        let whole = run(start);
        if whole > start && bytes.get(whole) == Some(&b'.') && digit(whole + 1) {
            let mut end = run(whole + 1);
            if bytes.get(end) == Some(&b'e') {
                let sign = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
                if digit(sign) {
                    end = run(sign);
                }
            }
            numbers.push((text[i..end].parse().unwrap(), false));
            rest.push('#');
            i = end;
        } else if digit(i) && text[..i].ends_with("rank: ") {
            let end = run(i);
            numbers.push((text[i..end].parse().unwrap(), true));
            rest.push('#');
            i = end;
        } else {
            let c = text[i..].chars().next().unwrap();
            rest.push(c);
            i += c.len_utf8();
        }
    }
    (rest, numbers)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= f64::max(0.0015, 1e-3 * a.abs().max(b.abs()))
}

fn same_text(a: &str, b: &str) -> bool {
    let ((rest_a, numbers_a), (rest_b, numbers_b)) = (split(a), split(b));
    rest_a == rest_b
        && numbers_a.len() == numbers_b.len()
        && numbers_a.iter().zip(&numbers_b).all(|(&(x, rank), &(y, _))| close(x, y) || (rank && (x - y).abs() <= 2.))
}

/// VISIT writes fractions inside `rgba()`, we write CSS.
fn same_color(golden: &str, ours: &str) -> bool {
    let parts = |text: &str| -> Option<Vec<f64>> {
        let inner = text.strip_prefix("rgba(")?.strip_suffix(')')?;
        inner.split(',').map(|part| part.trim().parse().ok()).collect()
    };
    if golden == ours {
        return true;
    }
    let (Some(a), Some(b)) = (parts(golden), parts(ours)) else { return false };
    a.len() == 4 && b.len() == 4 && (0..4).all(|i| (a[i] - if i < 3 { b[i] / 255. } else { b[i] }).abs() <= 0.02)
}

fn compare(golden: &Value, ours: &FlowGraph) -> Vec<String> {
    let ours = ours.to_json();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let (golden, ours) = (list(&golden["graphs"]), list(&ours["graphs"]));
    let mut wrong = Vec::new();
    if golden.len() != ours.len() {
        wrong.push(format!("graphs: {} and {}", golden.len(), ours.len()));
    }
    for (g, (a, b)) in golden.iter().zip(&ours).enumerate() {
        if a["layers"] != b["layers"] {
            wrong.push(format!("graph {g}: layers {} and {}", a["layers"], b["layers"]));
        }
        for kind in ["nodes", "links"] {
            let (a, b) = (list(&a[kind]), list(&b[kind]));
            if a.len() != b.len() {
                wrong.push(format!("graph {g}: {} {kind}, got {}", a.len(), b.len()));
            }
            for (i, (a, b)) in a.iter().zip(&b).enumerate() {
                let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
                for key in ["label", "source", "target"] {
                    if a[key] != b[key] {
                        wrong.push(format!("graph {g} {kind} {i} {key}: {} and {}", a[key], b[key]));
                    }
                }
                if !same_text(&text(a, "hover"), &text(b, "hover")) {
                    wrong.push(format!("graph {g} {kind} {i}:\n   {}\n   {}", a["hover"], b["hover"]));
                }
                if !same_color(&text(a, "color"), &text(b, "color")) {
                    wrong.push(format!("graph {g} {kind} {i} colour {} and {}", a["color"], b["color"]));
                }
                if kind == "links" && !close(a["weight"].as_f64().unwrap(), b["weight"].as_f64().unwrap()) {
                    wrong.push(format!("graph {g} {kind} {i} weight {} and {}", a["weight"], b["weight"]));
                }
            }
        }
    }
    wrong
}

/// Draws what a golden file says with its own configuration and compares.
fn check(name: &str) {
    let golden = golden(name);
    let meta = &golden["meta"];
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("flow_visit");
    std::fs::create_dir_all(&folder).unwrap();
    let config = folder.join(format!("{name}.json"));
    std::fs::write(&config, meta["config"].to_string()).unwrap();
    let trace = model(meta["model"].as_str().unwrap()).run(meta["line"].as_str().unwrap()).unwrap();
    let ids: Vec<u32> = serde_json::from_value(meta["tokens"].clone()).unwrap();
    assert_eq!(trace.ids(), ids);
    let graphs = golden["graphs"].as_array().unwrap();
    let layers: Vec<usize> = graphs
        .iter()
        .flat_map(|graph| serde_json::from_value::<Vec<usize>>(graph["layers"].clone()).unwrap())
        .collect();
    let ours = trace
        .flow_graph()
        .method(Method::Visit)
        .config(&config)
        .layers(layers)
        .chain(graphs.len() == 1)
        .target(meta["target"].as_str().unwrap())
        .build()
        .unwrap();
    assert_eq!(u64::from(ours.meta.targets[0].id), meta["target_id"].as_u64().unwrap());
    let wrong = compare(&golden, &ours);
    assert!(wrong.is_empty(), "{name}: {} differ\n{}", wrong.len(), wrong[..wrong.len().min(12)].join("\n"));
}

macro_rules! goldens {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*
    };
}

goldens! {
    gpt2_chain012 gpt2_separate gpt2_allheads gpt2_nobias gpt2_compact_mlp gpt2_compact_attn
    gpt_neo_chain012 gptj_chain012 gptj_transposed_o llama_chain012
}

#[test]
fn the_comparison_sees_differences() {
    assert!(same_text("norm: 1.234, rank: 17)", "norm: 1.2345, rank: 19)"));
    assert!(!same_text("norm: 1.234, rank: 17)", "norm: 1.244, rank: 17)"));
    assert!(!same_text("norm: 1.234, rank: 17)", "norm: 1.234, rank: 21)"));
    assert!(!same_text("key 12: 1.0", "key 13: 1.0"));
    assert!(same_color("rgba(0.5, 0.0, 1.0, 1.0)", "rgba(128, 0, 255, 1.0)"));
    assert!(!same_color("rgba(0.5, 0.0, 1.0, 1.0)", "rgba(108, 0, 255, 1.0)"));
}

#[test]
fn without_a_configuration_the_right_one_is_chosen() {
    for name in ["gpt2", "gpt_neo", "gptj", "llama"] {
        let golden = golden(&format!("{name}_chain012"));
        let trace = model(&format!("tiny_{name}")).run(golden["meta"]["line"].as_str().unwrap()).unwrap();
        let graph = trace.flow_graph().method(Method::Visit).layers(0..3).chain(true).target(" the").build().unwrap();
        assert_eq!(compare(&golden, &graph), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn counts_follow_the_formulas() {
    let trace = model("tiny_gpt2").run("The capital of Japan is the city of").unwrap();
    for (heads, values, top, bottom) in [(4, 2, 18, 7), (1, 1, 1, 0), (3, 11, 0, 5), (2, 0, 2, 2)] {
        let builder = trace.flow_graph().method(Method::Visit).layers([1]).heads(Heads::Top(heads));
        let graph = builder.values_per_head(values).neurons(top, bottom).build().unwrap();
        let k = top + bottom;
        assert_eq!(graph.nodes().count(), 7 + 2 + heads * (2 + 2 * values) + k + 1 + 2 * k + 2);
        assert_eq!(graph.links().count(), 6 + 1 + heads * (2 + 3 * values) + 2 * k + 2 + 3 * k + 3);
    }
}

#[test]
fn targets_may_be_missing_numbers_or_automatic() {
    let trace = model("tiny_gpt2").run("The capital of Japan is the city of").unwrap();
    let graph = |builder: flowlens::flow::FlowGraphBuilder| builder.method(Method::Visit).layers([0]).build();
    let none = graph(trace.flow_graph().no_target()).unwrap();
    assert!(
        none.nodes().all(|node| node.published.as_ref().unwrap().hover.iter().all(|line| !line.contains("status")))
    );
    assert!(none.nodes().filter(|node| node.published.as_ref().unwrap().color == "white").count() > 80);
    let id = graph(trace.flow_graph().target(262)).unwrap();
    assert_eq!(id.meta.targets[0].text, " the");
    // 251 is a lone byte: decoded and encoded again it becomes another token, as it does in VISIT.
    let auto = graph(trace.flow_graph().target("AUTO")).unwrap();
    assert_eq!(auto.meta.targets[0].text, "\u{fffd}");
    assert_eq!(auto.meta.targets[0].id, 171);
    for (builder, says) in [
        (trace.flow_graph().target(""), "no token at all"),
        (trace.flow_graph().target(2001), "ids go from 0 to 2000"),
        (trace.flow_graph().target(-1), "outside the vocabulary"),
        (trace.flow_graph().target("a").target("b"), "one target"),
        (trace.flow_graph().neurons(65, 0), "64 rows"),
    ] {
        let error = graph(builder).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
