//! Figures of tiny models whose vocabulary is the hostile texts, in folders that are called no better.

use std::fs;
use std::path::Path;

use flowlens::experiment::{Ablation, Pair};
use flowlens::flow::Method;
use flowlens::trajectory::{ReadAs, Walk};
use flowlens::{Figure, Model, Seq2Seq, Site};
use serde_json::json;

use super::TEXTS;

/// The weights of a fixture, with another tokenizer.
fn model(fixture: &str, name: &str) -> Model {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(fixture);
    let folder = crate::folder("hostile_models").join(format!("{fixture} {name}"));
    fs::create_dir_all(&folder).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(from.join(file), folder.join(file)).unwrap();
    }
    let config: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
    let size = usize::try_from(config["vocab_size"].as_u64().unwrap()).unwrap();
    let token = |id: usize| match id / TEXTS.len() {
        0 => TEXTS[id].clone(),
        round => format!("{}{round}", TEXTS[id % TEXTS.len()]),
    };
    let vocabulary: serde_json::Map<_, _> = (0..size).map(|id| (token(id), id.into())).collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": TEXTS[0] },
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    Model::load(folder.to_str().unwrap()).unwrap()
}

fn ids() -> Vec<i64> {
    (0..TEXTS.len() as i64).collect()
}

pub fn decoder() -> Vec<(&'static str, Figure)> {
    let model = model("gpt2", "\"><img src=x onerror=__pwned()>");
    let trace = model.run(ids()).unwrap();
    let text = (ids(), ids().into_iter().rev().collect::<Vec<i64>>());
    let pairs = model.pairs([Pair::new(text.0, text.1).right(3).wrong(43)]).unwrap();
    let written = model.generate(ids()).max_tokens(4).keep(Walk::sites(&model)).run().unwrap();
    let flow = || trace.flow_graph().target("__proto__");
    let attributed = model.logit_attribution(&pairs).unwrap().figures().unwrap();
    vec![
        ("head", trace.head_view().layer(1).build().unwrap()),
        ("model", trace.model_view().build().unwrap()),
        ("neuron", trace.neuron_view().layer(0).head(1).build().unwrap()),
        ("rollout", trace.rollout_view().build().unwrap()),
        ("flow_exact", flow().layers([0, 1]).figure().unwrap()),
        ("flow_overview", flow().overview().figure().unwrap()),
        ("flow_visit", flow().method(Method::Visit).layers([1]).figure().unwrap()),
        ("lens", trace.logit_lens_of(3).unwrap().figure()),
        ("similarity", trace.similarity_maps().nearest(3, ReadAs::FinalNorm).build().unwrap().figure()),
        ("walk", trace.walk().nearest(3, ReadAs::FinalNorm).build().unwrap().figure()),
        ("walk_written", written.walk().unwrap().build().unwrap().figure()),
        ("decoding", trace.decoding().unwrap().figure()),
        ("patching", model.sweep(&pairs).patch(Site::ResidPre).run().unwrap().figure().unwrap()),
        ("ablation", model.sweep(&pairs).ablate(Site::MlpOut, Ablation::Zero).run().unwrap().figure().unwrap()),
        ("edges", model.attribution_patching(&pairs).edges().unwrap().figure().unwrap()),
        ("paths", model.path_patching(&pairs).run().unwrap().figure().unwrap()),
        ("steering", model.steering(&pairs).unwrap().sweep([0.5, 1.0]).unwrap().figure().unwrap()),
        ("direct", attributed.figures()[0].clone()),
    ]
}

pub fn encoder_decoder() -> Vec<(&'static str, Figure)> {
    let model = model("t5_tied", "' onmouseover=__pwned() ${__pwned()} $x^2$");
    let target: Vec<i64> = ids().into_iter().rev().take(20).collect();
    let trace = model.run(Seq2Seq { source: ids(), target }).unwrap();
    vec![
        ("cross_head", trace.head_view().build().unwrap()),
        ("cross_flow", trace.flow_graph().layers([1]).figure().unwrap()),
        ("attention_maps", trace.attention_maps().build().unwrap().figure()),
        ("attribution_maps", trace.attribution_maps().unwrap().figure()),
        ("kernels", trace.position_kernels().unwrap().figure()),
    ]
}
