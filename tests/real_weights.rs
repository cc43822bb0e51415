//! Trained models, and what is known of them. One is in the repository; `make test` fetches the others first
//! (`tools/setup/real_models.py`), `make test-large` also MPNet's 400 MB.

use std::path::Path;

use flowlens::{Array, Model, Seq2Seq, Site};

fn model(name: &str) -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/real").join(name);
    Model::load(folder.to_str().unwrap()).unwrap()
}

/// A sentence as the mean of its final vectors.
fn sentence(model: &Model, text: &str) -> Vec<f64> {
    let trace = model.watch(text).keep([Site::FinalNorm]).run().unwrap();
    let vectors = trace.get(Site::FinalNorm).unwrap();
    let width = vectors.shape()[1];
    let column = |i: usize| vectors.data().iter().skip(i).step_by(width).map(|&x| f64::from(x)).sum::<f64>();
    (0..width).map(column).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Similarities that Python `transformers` gives for the same files.
#[track_caller]
fn similarities(model: &Model, wanted: [(&str, f64); 3]) {
    let first = sentence(model, "The cat sat on the mat.");
    for (text, wanted) in wanted {
        let found = cosine(&first, &sentence(model, text));
        assert!((found - wanted).abs() < 1e-4, "{text}: {found}, Python gives {wanted}");
    }
}

#[test]
#[ignore = "needs target/real: make test fetches it"]
fn minilm_knows_a_paraphrase() {
    let model = model("minilm");
    let tokens = model.run("The cat sat on the mat.").unwrap();
    assert_eq!(tokens.pieces(), ["[CLS]", "the", "cat", "sat", "on", "the", "mat", ".", "[SEP]"]);
    assert!(model.lens().unwrap_err().to_string().contains("head"), "the checkpoint has no head");
    similarities(
        &model,
        [
            ("A cat was sitting on the rug.", 0.742_278),
            ("A feline rested on the rug.", 0.555_976),
            ("The stock market fell sharply today.", 0.074_742),
        ],
    );
}

#[test]
#[ignore = "needs target/real/mpnet: make test-large fetches it"]
fn mpnet_has_the_kernels_of_its_table() {
    let model = model("mpnet");
    similarities(
        &model,
        [
            ("A cat was sitting on the rug.", 0.794_813),
            ("A feline rested on the rug.", 0.686_645),
            ("The stock market fell sharply today.", 0.073_886),
        ],
    );
    // 257 tokens: from the middle one 128 positions to both sides.
    let trace = model.watch(vec![5; 257]).keep([Site::PositionBias(0)]).run().unwrap();
    let bias: Array = trace.get(Site::PositionBias(0)).unwrap();
    let kernel = |head: usize| -> Vec<f32> { (0..257).map(|key| bias.get(&[head, 128, key]).unwrap()).collect() };
    let peak = |kernel: &[f32]| {
        let best = (0..257).reduce(|best, i| if kernel[i] > kernel[best] { i } else { best }).unwrap();
        best as i64 - 128
    };
    let kernels: Vec<Vec<f32>> = (0..12).map(kernel).collect();
    let peaks: Vec<i64> = kernels.iter().map(|kernel| peak(kernel)).collect();
    // A far bucket is a plateau: its first position counts, and for head 1 that is not the one nearest to the query.
    assert_eq!(peaks, [1, -22, 3, -128, -2, -3, -1, -1, 1, 2, -1, 1]);
    let of_weights = &model.position_kernels_to(128).unwrap().kernels[0];
    assert_eq!((of_weights.layers.len(), of_weights.kind), (12, flowlens::trajectory::KernelKind::Bias));
    for (head, kernel) in kernels.iter().enumerate() {
        assert!(of_weights.row(head).iter().zip(kernel).all(|(a, b)| (a - b).abs() < 1e-5), "head {head}");
        let (low, high) = kernel.iter().fold((f32::MAX, f32::MIN), |(low, high), &x| (low.min(x), high.max(x)));
        assert!((6.6..13.0).contains(&(high - low)), "range {}", high - low);
    }
}

#[test]
#[ignore = "needs target/real: make test fetches it"]
fn a_small_gpt2_knows_what_lives_in_a_mouth() {
    let model = model("gpt2");
    let trace = model.run("<bos> g__Streptococcus g__Veillonella g__Prevotella g__Neisseria").unwrap();
    let next = trace.next_tokens(3).unwrap();
    let found: Vec<(&str, f32)> = next.iter().map(|next| (next.token.as_str(), next.prob)).collect();
    let wanted = [("g__Granulicatella", 0.2409), ("g__Gemella", 0.1299), ("g__Rothia", 0.1175)];
    for ((found, prob), (wanted, expected)) in found.into_iter().zip(wanted) {
        assert_eq!(found, wanted);
        assert!((prob - expected).abs() < 1e-4, "{wanted}: {prob}");
    }
}

/// The example of the package: 使い方 | の | サンプル | です | 。
#[test]
#[ignore = "needs target/real: make test fetches it"]
fn an_albert_cuts_japanese_into_words() {
    let model = model("albert");
    let trace = model.run("使い方のサンプルです。").unwrap();
    let best = |position| trace.predictions(position, 1).unwrap()[0].id;
    // 1 goes on with the word before; 2 noun, 11 auxiliary verb, 12 particle, 16 punctuation.
    let found: Vec<u32> = (0..trace.len()).map(best).collect();
    assert_eq!(found, [2, 1, 1, 12, 2, 1, 1, 1, 11, 1, 16]);
    let pattern = trace.get(Site::Pattern(3)).unwrap();
    assert_eq!(pattern.shape(), [6, 11, 11]);
}

/// The model of the T5 lessons, which is in the repository.
#[test]
fn the_t5_of_the_lessons_computes_what_python_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("notebooks/models/t5-verses");
    let model = Model::load(folder.to_str().unwrap()).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/t5_verses.json");
    let python: serde_json::Value = serde_json::from_slice(&std::fs::read(fixture).unwrap()).unwrap();
    let text = |name: &str| python[name].as_str().unwrap();
    let numbers = |value: &serde_json::Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };

    let trace = model.run(Seq2Seq { source: text("source"), target: text("target") }).unwrap();
    let ids = |ids: Vec<u32>| -> Vec<f64> { ids.into_iter().map(f64::from).collect() };
    assert_eq!(ids(trace.encoder_ids()), numbers(&python["source_ids"]));
    assert_eq!(ids(trace.ids()), numbers(&python["target_ids"]));
    let logits = trace.get(Site::Logits).unwrap();
    let wanted = python["logits"].as_array().unwrap();
    assert_eq!(logits.shape(), [wanted.len(), 4096]);
    for (position, wanted) in wanted.iter().enumerate() {
        for (k, wanted) in numbers(wanted).into_iter().enumerate() {
            let found = f64::from(logits.get(&[position, 32 * k]).unwrap());
            assert!((found - wanted).abs() < 1e-4, "position {position}, id {}: {found}, Python {wanted}", 32 * k);
        }
    }

    let written = model.generate(text("source")).max_tokens(30).run().unwrap();
    assert_eq!(written.text, text("written"));
}
