//! Reading GGUF files: every format of numbers, names and order of the families, tokenizers, broken files.

use std::path::{Path, PathBuf};

use flowlens::checkpoint::{Checkpoint, Quant, Stored};
use flowlens::model::checkpoint as open;
use flowlens::tch::Tensor;
use flowlens::text::Tokenizer;
use flowlens::{DType, Device, Model, Site, hub};
use serde_json::{Value, json};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf").join(name)
}

fn read_json(path: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Compares every tensor of `<name>.safetensors` bit by bit.
fn same_tensors(checkpoint: &Checkpoint, name: &str) {
    let expected = Tensor::read_safetensors(fixture(&format!("{name}.safetensors"))).unwrap();
    assert_eq!(checkpoint.names().count(), expected.len());
    for (name, expected) in expected {
        let found = checkpoint.tensor(&name, DType::F32, Device::Cpu).unwrap();
        assert_eq!(
            checkpoint.shape(&name).unwrap(),
            expected.size().iter().map(|&n| n as usize).collect::<Vec<_>>(),
            "{name}"
        );
        assert!(found.equal(&expected), "{name}: {found} is not {expected}");
    }
}

#[test]
fn every_format_of_numbers_is_that_of_the_gguf_package() {
    let checkpoint = open(&fixture("quants.gguf")).unwrap();
    same_tensors(&checkpoint, "quants");
    let stored = |layer: usize| checkpoint.dtype(&format!("model.layers.{layer}.mlp.up_proj.weight")).unwrap();
    assert_eq!((stored(0), stored(2), stored(10)), (Stored::F32, Stored::BF16, Stored::Quantised(Quant::Q6_K)));
    assert_eq!(stored(5).to_string(), "Q4_1");
}

#[test]
fn families_get_their_own_names_and_order() {
    let config = |name: &str| {
        let checkpoint = open(&fixture(&format!("{name}.gguf"))).unwrap();
        same_tensors(&checkpoint, name);
        Value::Object(checkpoint.config().clone())
    };
    let llama = config("llama");
    for (key, value) in [
        ("model_type", json!("llama")),
        ("hidden_size", json!(16)),
        ("num_key_value_heads", json!(2)),
        ("rms_norm_eps", json!(1e-5)),
        ("vocab_size", json!(9)),
        ("tie_word_embeddings", json!(true)),
        ("attention_bias", json!(true)),
        ("mlp_bias", json!(false)),
    ] {
        assert_eq!(llama[key], value, "{key}");
    }
    let scaling = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192});
    assert_eq!(llama["rope_scaling"], scaling);
    let qwen2 = config("qwen2");
    assert_eq!((&qwen2["rope_theta"], &qwen2["tie_word_embeddings"]), (&json!(1e6), &json!(false)));
    assert_eq!(config("qwen3")["head_dim"], 6);
    assert_eq!(config("gpt2")["n_inner"], 20);
    let neox = config("gptneox");
    assert_eq!((&neox["rotary_pct"], &neox["use_parallel_residual"]), (&json!(0.5), &json!(true)));
}

#[test]
fn every_family_runs_from_its_gguf_file() {
    for name in ["llama", "qwen2", "qwen3", "gpt2", "gptneox"] {
        let model = Model::load(fixture(&format!("{name}.gguf")).display().to_string()).unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("from-gguf").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let config = Value::Object(open(model.path()).unwrap().config().clone());
        std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
        std::fs::copy(fixture(&format!("{name}.safetensors")), folder.join("model.safetensors")).unwrap();
        let twin = Model::load(folder.display().to_string()).unwrap();
        let logits = |model: &Model| model.run([3, 1, 4, 1, 5]).unwrap().get(Site::Logits).unwrap();
        let (found, expected) = (logits(&model), logits(&twin));
        let off = found.data().iter().zip(expected.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-6, "{name}: {off}");
    }
}

#[test]
fn tokenizers_are_rebuilt_exactly() {
    for (pre, rows) in read_json(fixture("tokenizers.json")).as_object().unwrap() {
        let checkpoint = open(&fixture(&format!("tokenizer-{pre}.gguf"))).unwrap();
        let tokenizer = Tokenizer::new(checkpoint.tokenizer().unwrap().unwrap()).unwrap();
        for row in rows.as_array().unwrap() {
            let text = row["text"].as_str().unwrap();
            let ids = tokenizer.encode(text, false).unwrap();
            assert_eq!(json!(ids), row["ids"], "{pre}: {text:?}");
            assert_eq!(json!(tokenizer.encode(text, true).unwrap()), row["with_special"], "{pre}: {text:?}");
            assert_eq!(json!(tokenizer.decode(&ids, false).unwrap()), row["decoded"], "{pre}: {text:?}");
        }
    }
}

/// A GGUF file of these metadata entries (already encoded) and tensors (name, shape as in the file, type, offset).
fn gguf(entries: &[(&str, u32, Vec<u8>)], tensors: &[(&str, &[u64], u32, u64)], data: usize) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    let text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((entries.len() as u64).to_le_bytes());
    for (key, kind, value) in entries {
        text(&mut bytes, key);
        bytes.extend(kind.to_le_bytes());
        bytes.extend(value);
    }
    for (name, shape, kind, offset) in tensors {
        text(&mut bytes, name);
        bytes.extend((shape.len() as u32).to_le_bytes());
        shape.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
        bytes.extend(kind.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(32) + data, 0);
    bytes
}

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes(), value.as_bytes()].concat()
}

fn small_llama() -> Vec<(&'static str, u32, Vec<u8>)> {
    let size = |n: u32| n.to_le_bytes().to_vec();
    vec![
        ("general.architecture", 8, text("llama")),
        ("llama.context_length", 4, size(8)),
        ("llama.embedding_length", 4, size(8)),
        ("llama.block_count", 4, size(1)),
        ("llama.feed_forward_length", 4, size(8)),
        ("llama.attention.head_count", 4, size(2)),
        ("llama.attention.layer_norm_rms_epsilon", 6, 1e-5f32.to_le_bytes().to_vec()),
    ]
}

#[test]
fn bytes_that_belong_to_no_tensor_are_named() {
    let said = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let copy = said.clone();
    flowlens::progress::listen(move |line| copy.lock().unwrap().push(line.to_owned()));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("uncovered.gguf");
    let about = |tensors: &[(&str, &[u64], u32, u64)], data: usize| {
        std::fs::write(&path, gguf(&small_llama(), tensors, data)).unwrap();
        said.lock().unwrap().clear();
        open(&path).unwrap();
        said.lock().unwrap().iter().find(|line| line.contains("uncovered.gguf")).cloned().unwrap_or_default()
    };
    let embedding: (&str, &[u64], u32, u64) = ("token_embd.weight", &[8, 2], 0, 0);
    let norm = |offset| -> (&str, &[u64], u32, u64) { ("output_norm.weight", &[8], 0, offset) };
    assert_eq!(about(&[embedding, norm(64)], 96), "");
    // What fills up to the next place is no fault, and neither is the order of the tensors.
    assert_eq!(about(&[norm(64), embedding], 96 + 31), "");
    assert!(about(&[embedding, norm(96)], 128).starts_with("32 bytes of "));
    assert!(about(&[embedding, norm(64)], 96 + 200).starts_with("200 bytes of "));
}

#[test]
fn hostile_and_broken_files_are_refused() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile.gguf");
    let refused = |bytes: &[u8], parts: &[&str]| {
        std::fs::write(&path, bytes).unwrap();
        let text = open(&path).expect_err("should be refused").to_string();
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
    };
    let embedding: (&str, &[u64], u32, u64) = ("token_embd.weight", &[8, 2], 0, 0);
    let whole = gguf(&small_llama(), &[embedding], 64);
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(open(&path).unwrap().shape("model.embed_tokens.weight"), Some([2, 8].as_slice()));

    for length in 1..whole.len() {
        refused(&whole[..length], &["not a whole GGUF file", "download it again"]);
    }
    refused(b"GGML\x03\0\0\0", &["does not start with"]);
    refused(b"GGUF\x01\0\0\0\0\0\0\0", &["GGUF version 1"]);
    refused(b"GGUF\0\0\0\x03\0\0\0\0", &["big-endian"]);
    refused(&[b"GGUF\x03\0\0\0".as_slice(), &[0xff; 16]].concat(), &["18446744073709551615 tensors"]);
    refused(&[b"GGUF\x03\0\0\0".as_slice(), &[0; 8], &[0xff; 8]].concat(), &["metadata keys"]);

    let with = |entry: (&'static str, u32, Vec<u8>)| [small_llama(), vec![entry]].concat();
    let huge = (1u64 << 60).to_le_bytes().to_vec();
    refused(&gguf(&with(("x", 8, huge.clone())), &[], 0), &["\"x\"", "characters"]);
    for kind in [0u32, 4, 8, 12] {
        let array = [kind.to_le_bytes().as_slice(), &huge].concat();
        refused(&gguf(&with(("x", 9, array)), &[], 0), &["\"x\"", "1152921504606846976 entries"]);
    }
    refused(&gguf(&with(("x", 9, 9u32.to_le_bytes().to_vec())), &[], 64), &["array of arrays"]);
    refused(&gguf(&with(("x", 77, vec![])), &[], 64), &["type 77"]);
    refused(&gguf(&with(("general.alignment", 4, vec![0; 4])), &[], 0), &["general.alignment"]);

    for (tensor, part) in [
        (("t", [u64::MAX, 3].as_slice(), 0, 0), "claims the shape"),
        (("t", &[1 << 62, 1 << 62], 0, 0), "claims the shape"),
        (("t", &[8, 2], 0, u64::MAX - 8), "claims the shape"),
        (("t", &[8, 2], 0, 4), "offset 4"),
        (("t", &[8, 2], 3, 0), "no whole blocks of Q4_1"),
        (("t", &[8, 2], 10, 0), "Q2_K"),
        (("t", &[8, 2], 999, 0), "type 999"),
        (("t", &[1, 1, 1, 1, 1], 0, 0), "5 axes"),
    ] {
        refused(&gguf(&small_llama(), &[tensor], 64), &[part]);
    }
    refused(
        &gguf(&small_llama(), &[embedding, ("blk.0.ffn_gate_inp.weight", &[8], 0, 0)], 64),
        &["ffn_gate_inp", "not known"],
    );
    refused(&gguf(&small_llama(), &[("output_norm.weight", &[8], 0, 0)], 64), &["token_embd.weight"]);
    // Rows that the heads do not divide.
    refused(&gguf(&small_llama(), &[embedding, ("blk.0.attn_q.weight", &[8, 2], 0, 0)], 64), &["attn_q", "heads"]);

    let changed = |key: &str, kind: u32, value: &[u8]| {
        let mut entries: Vec<_> = small_llama().into_iter().filter(|entry| entry.0 != key).collect();
        if !value.is_empty() {
            entries.push((Box::leak(key.to_owned().into_boxed_str()), kind, value.to_vec()));
        }
        gguf(&entries, &[embedding], 64)
    };
    refused(&changed("general.architecture", 8, &[]), &["general.architecture", "missing"]);
    refused(&changed("general.architecture", 8, &text("mamba")), &["\"mamba\"", "qwen3"]);
    refused(&changed("llama.block_count", 4, &[]), &["llama.block_count", "missing"]);
    refused(&changed("llama.block_count", 5, &(-1i32).to_le_bytes()), &["llama.block_count", "-1"]);
    refused(&changed("llama.attention.head_count", 4, &[0; 4]), &["head_count"]);
    refused(&changed("llama.attention.head_count", 4, &[3, 0, 0, 0]), &["does not divide"]);
    refused(&changed("llama.attention.layer_norm_rms_epsilon", 6, &f32::NAN.to_le_bytes()), &["epsilon", "above 0"]);
    refused(&changed("llama.expert_count", 4, &[8, 0, 0, 0]), &["llama.expert_count", "does not know"]);
    refused(&changed("split.count", 2, &[3, 0]), &["one of 3 parts", "--merge"]);
    refused(&changed("llama.rope.scaling.type", 8, &text("longrope")), &["rope.scaling.type", "longrope"]);
}

/// The starter model, where it has been fetched.
fn smollm2() -> Option<PathBuf> {
    let options = hub::Options { offline: true, ..hub::Options::default() };
    let found = hub::find("smollm2-135m", &options).ok();
    if found.is_none() {
        eprintln!("skipped: smollm2-135m has not been fetched; `flowlens info --model smollm2-135m` does");
    }
    found
}

fn reference(name: &str) -> Value {
    read_json(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/smollm2").join(name))
}

#[test]
fn smollm2_tokenises_as_the_reference() {
    let Some(path) = smollm2() else { return };
    let checkpoint = open(&path).unwrap();
    let tokenizer = Tokenizer::new(checkpoint.tokenizer().unwrap().unwrap()).unwrap();
    for row in reference("tokens.json").as_array().unwrap() {
        let text = row["text"].as_str().unwrap();
        let ids = tokenizer.encode(text, true).unwrap();
        assert_eq!(json!(ids), row["ids"], "{text:?}");
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
    }
    assert!(tokenizer.is_special(2) && !tokenizer.is_special(504));
    assert_eq!((tokenizer.shown(504).as_str(), tokenizer.piece(282)), ("The", " of".to_owned()));
}

#[test]
fn smollm2_says_what_the_reference_says() {
    let Some(path) = smollm2() else { return };
    let model = Model::load(path.display().to_string()).unwrap();
    for row in reference("next.json").as_array().unwrap() {
        let (text, expected) = (row["text"].as_str().unwrap(), row["top"].as_array().unwrap());
        let trace = model.watch(text).keep([]).run().unwrap();
        assert_eq!(json!(trace.ids()), row["ids"]);
        for (found, expected) in trace.next_tokens(expected.len()).unwrap().iter().zip(expected) {
            assert_eq!(
                (json!(found.id), json!(found.token)),
                (expected["id"].clone(), expected["token"].clone()),
                "{text:?}"
            );
            let off = |found: f32, key: &str| (f64::from(found) - expected[key].as_f64().unwrap()).abs();
            assert!(
                off(found.logit, "logit") < 2e-3 && off(found.prob, "prob") < 1e-4,
                "{text:?}: {found:?} is not {expected}"
            );
        }
    }
}

#[test]
fn a_changed_byte_never_panics() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("changed.gguf");
    for (name, step) in [("llama.gguf", 23), ("tokenizer-llama.gguf", 397), ("tokenizer-qwen2.gguf", 397)] {
        let whole = std::fs::read(fixture(name)).unwrap();
        for place in (0..whole.len()).step_by(step) {
            let mut changed = whole.clone();
            changed[place] ^= 0x5a;
            std::fs::write(&path, changed).unwrap();
            if let Ok(checkpoint) = open(&path) {
                for name in checkpoint.names() {
                    let _ = checkpoint.tensor(name, DType::F32, Device::Cpu);
                }
                let _ = checkpoint.tokenizer();
            }
        }
    }
}
