//! What views and flow graphs are made of when it comes from files.

use flowlens::Trace;
use flowlens::attention::Attention;
use serde_json::json;

use super::{Seeds, model, read, tensors};
use crate::harness::{folder, write};

/// Rows of attention of a number of tokens: a triangle of equal weights.
fn rows(heads: usize, tokens: usize) -> Vec<f32> {
    let row = |query: usize| (0..tokens).map(move |key| if key <= query { 1. / (query + 1) as f32 } else { 0. });
    (0..heads).flat_map(|_| (0..tokens).flat_map(row)).collect()
}

/// Tokens, a zero byte, weights.
pub fn attention_seeds() -> Seeds {
    let plain =
        tensors(&[("attentions.0", &[1, 2, 3, 3], rows(2, 3)), ("attentions.1", &[1, 2, 3, 3], rows(2, 3))], &[]);
    let both = tensors(
        &[
            ("encoder_attentions.0", &[1, 1, 2, 2], rows(1, 2)),
            ("decoder_attentions.0", &[1, 1, 2, 2], rows(1, 2)),
            ("cross_attentions.0", &[1, 1, 2, 2], rows(1, 2)),
        ],
        &[],
    );
    let seed = |tokens: serde_json::Value, file: &[u8]| [tokens.to_string().as_bytes(), &[0], file].concat();
    let sides = json!({"encoder": ["a", "b"], "decoder": ["<s>", "c"]});
    vec![("plain".to_owned(), seed(json!(["the", " city", " of"]), &plain)), ("both".to_owned(), seed(sides, &both))]
}

pub fn attention(bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|&byte| byte == 0) else { return };
    let folder = folder("attention");
    let (tokens, weights) = (folder.join("tokens.json"), folder.join("weights.safetensors"));
    write(&tokens, &bytes[..end]);
    write(&weights, &bytes[end + 1..]);
    if let Ok(attention) = Attention::from_files(&weights, &tokens) {
        drawn(&attention);
    }
}

/// Everything that is drawn of attention alone.
fn drawn(attention: &Attention) {
    let names: Vec<String> = attention.names().into_iter().map(str::to_owned).collect();
    for name in names {
        let _ = attention.head_view().block(name.as_str()).build().map(|figure| figure.svg().len());
        let _ = attention.model_view().block(name).build().map(|figure| figure.svg().len());
    }
    let _ = attention.flow(true);
}

/// Tokens of any kind on a page whose weights are well.
pub fn token_seeds() -> Seeds {
    let tokens = ["the", " city</script><script>alert(1)</script>", "\u{202e}x\u{0}"];
    vec![("three".to_owned(), json!(tokens).to_string().into_bytes())]
}

pub fn tokens(bytes: &[u8]) {
    let Ok(tokens) = serde_json::from_slice::<Vec<String>>(bytes) else { return };
    if tokens.len() > 12 {
        return;
    }
    let count = tokens.len();
    let file = tensors(&[("attentions.0", &[1, 1, count, count], rows(1, count))], &[]);
    let folder = folder("tokens");
    let (names, weights) = (folder.join("tokens.json"), folder.join("weights.safetensors"));
    write(&names, bytes);
    write(&weights, &file);
    let Ok(attention) = Attention::from_files(&weights, &names) else { return };
    let Ok(figure) = attention.head_view().build() else { return };
    let (svg, json) = (figure.svg(), figure.json());
    assert!(!svg.contains("<script"), "a token became a script: {svg}");
    let json: Result<serde_json::Value, _> = serde_json::from_str(&json);
    assert!(json.is_ok(), "a figure whose JSON is none");
}

pub fn config_seeds() -> Seeds {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../flow_graph_configs"));
    let files = std::fs::read_dir(folder).expect("the shipped configurations").flatten().map(|entry| entry.path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect();
    files.sort();
    files.iter().map(|path| (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), read(path))).collect()
}

/// A graph of one layer with this configuration.
pub fn config(bytes: &[u8]) {
    thread_local! {
        static TRACES: Vec<Trace> = ["gpt2", "llama_gqa"].map(|name| model(name).run("the city of").expect("a run")).into();
    }
    let path = folder("flow_config").join("config.json");
    write(&path, bytes);
    TRACES.with(|traces| {
        for trace in traces {
            if let Ok(graph) = trace.flow_graph().layers([0]).config(&path).build() {
                let _ = (graph.nodes().count(), graph.figure().svg().len());
            }
        }
    });
}
