//! Numbers that are none: they end a run with the site and the weights that they come from, and are never ranked.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use flowlens::{Array, Change, Error, Model, Site, Trace};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

const IDS: [i64; 6] = [5, 17, 3, 29, 42, 8];

fn parity(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name)
}

/// A copy of a model with one number of a tensor replaced.
fn damaged(model: &str, name: &str, tensor: &str, at: usize, number: f32) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("finite").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["config.json", "tokenizer.json"] {
        // Some fixtures have no tokenizer.
        let _ = std::fs::copy(parity(model).join(file), folder.join(file));
    }
    let bytes = std::fs::read(parity(model).join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut all: Vec<(String, Vec<u8>)> =
        file.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec())).collect();
    let (_, data) = all.iter_mut().find(|(name, _)| name == tensor).expect("the tensor to damage");
    data[4 * at..4 * at + 4].copy_from_slice(&number.to_le_bytes());
    let views = all.iter().map(|(name, data)| {
        let like = file.tensor(name).unwrap();
        (name, TensorView::new(like.dtype(), like.shape().to_vec(), data).unwrap())
    });
    let bytes = safetensors::serialize(views, None::<HashMap<String, String>>).unwrap();
    std::fs::write(folder.join("model.safetensors"), bytes).unwrap();
    folder
}

fn load(folder: &Path) -> Model {
    Model::load(folder.to_str().unwrap()).unwrap()
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>, parts: &[&str]) {
    let error = result.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::NotFinite { .. }) && parts.iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn a_weight_that_is_none_is_found_in_every_kind_of_run() {
    const NAME: &str = "model.layers.1.mlp.down_proj.weight";
    let model = load(&damaged("llama_gqa", "down", NAME, 100, f32::NAN));
    let parts = ["site blocks.1.hook_mlp_out: ", "positions 0 to 5", NAME, "allow_non_finite(true)"];
    refused(model.run(IDS), &parts);
    refused(model.watch(IDS).keep([]).run(), &parts);
    refused(model.watch(IDS).keep([Site::Pattern(0)]).run(), &parts);
    refused(model.run_all([&IDS[..], &IDS[..3]]), &parts[2..]);
    refused(model.generate(&IDS[..]).run(), &parts);
    refused(model.watch(IDS).keep([Site::ResidPre(0)]).gradients(|logits| Ok(logits.f_sum(None)?)), &parts);
    // The encoder's half of an encoder-decoder, and what has no head.
    const ENCODER: &str = "encoder.block.0.layer.1.DenseReluDense.wo.weight";
    let t5 = load(&damaged("t5_tied", "t5", ENCODER, 3, f32::INFINITY));
    refused(t5.run(flowlens::Seq2Seq { source: IDS, target: [7i64, 8] }), &["encoder.blocks.0.hook_mlp_out", ENCODER]);
    const BERT: &str = "bert.encoder.layer.0.output.dense.bias";
    refused(
        load(&damaged("bert_bare", "bert", BERT.trim_start_matches("bert."), 3, f32::NAN)).run(IDS),
        &["blocks.0."],
    );
}

#[test]
fn a_row_that_only_the_head_reads_is_found_in_the_logits() {
    // Token 200 is not in the text, but its logit is.
    let folder = damaged("llama_gqa", "row", "model.embed_tokens.weight", 200 * 48, f32::NAN);
    refused(load(&folder).run(IDS), &["site logits: ", "model.embed_tokens.weight"]);
    refused(load(&folder).watch(IDS).keep([]).run(), &["site logits: ", "model.embed_tokens.weight"]);
}

#[test]
fn who_goes_on_all_the_same_sees_the_numbers_and_ranks_none() {
    let folder = damaged("llama_gqa", "allowed", "model.layers.1.mlp.down_proj.weight", 100, f32::NAN);
    let model = Model::options(folder.to_str().unwrap()).allow_non_finite(true).load().unwrap();
    let trace = model.run(IDS).unwrap();
    assert!(trace.get(Site::ResidPre(1)).unwrap().data().iter().all(|number| number.is_finite()));
    assert!(trace.get(Site::MlpOut(1)).unwrap().data().iter().any(|number| number.is_nan()));
    refused(trace.next_tokens(1), &["site logits", "ranked"]);
    refused(trace.predictions(2, 1), &["site logits", "ranked"]);
    refused(trace.attention().map(drop), &["blocks.2.attn.hook_pattern", "ranked"]);
    refused(trace.flow_graph().layers([1]).build().map(drop), &["ranked"]);
    refused(model.generate(&IDS[..]).temperature(0.7).run(), &["site logits", "ranked"]);
    let stream = trace.get(Site::MlpOut(1)).unwrap();
    let error = model.lens().unwrap().read(&stream).unwrap_err().to_string();
    assert!(error.contains("infinite or none"), "{error}");
    // A saved run does not bring them in by the back door.
    let path = folder.join("run.safetensors");
    trace.save(&path).unwrap();
    assert!(Trace::load(&path, &model).is_ok());
    refused(Trace::load(&path, &load(&parity("llama_gqa"))), &["run.safetensors", "run the model again"]);
}

#[test]
fn numbers_that_grow_too_large_and_changes_by_hand_are_named_too() {
    // Finite by itself: products of what it gives are not.
    let folder = damaged("llama_gqa", "large", "model.layers.0.input_layernorm.weight", 7, 1e30);
    refused(load(&folder).run(IDS), &["its weights are finite", "blocks.0.attn."]);
    let model = load(&parity("llama_gqa"));
    let broken = Change::set(Site::ResidPre(2), f64::NAN);
    refused(model.watch(IDS).change(broken).run(), &["blocks.2.hook_resid_pre", "288 of 288", "a change by hand"]);
    // Logits may be ruled out.
    let mut numbers = vec![f32::NEG_INFINITY; 6 * 290];
    numbers[5 * 290 + 7] = 1.0;
    let only = Change::replace(Site::Logits, Array::new(&[6, 290], numbers).unwrap());
    let trace = model.watch(IDS).change(only).run();
    assert_eq!(trace.unwrap().next_tokens(1).unwrap()[0].id, 7);
}
