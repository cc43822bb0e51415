//! Whole models: a configuration beside the weights that it should describe, and GGUF files.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use flowlens::text::Tokenizer;
use flowlens::{Input, Model, Seq2Seq};
use serde_json::Value;

use super::checkpoints::every_tensor;
use super::texts::{TEXTS, encode_and_decode};
use super::{Seeds, fixtures, read};
use crate::harness::{fixture, folder, write};

/// The key of a case's configuration that names the fixture whose weights lie beside it.
const WEIGHTS: &str = "_weights";

/// Every configuration of the fixtures.
pub fn config_seeds() -> Seeds {
    let names = std::fs::read_dir(fixture("parity")).expect("the fixtures").flatten();
    let mut names: Vec<String> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let seed = |name: String| {
        let mut config: Value =
            serde_json::from_slice(&read(fixture("parity").join(&name).join("config.json"))).ok()?;
        config.as_object_mut()?.insert(WEIGHTS.to_owned(), name.as_str().into());
        Some((name, serde_json::to_vec(&config).ok()?))
    };
    names.into_iter().filter_map(seed).collect()
}

/// Loads the model as a user would, and where it loads runs it.
pub fn config(bytes: &[u8]) {
    let Ok(Value::Object(keys)) = serde_json::from_slice(bytes) else { return };
    let Some(name) = keys.get(WEIGHTS).and_then(Value::as_str) else { return };
    let Some(place) = beside_weights(name) else { return };
    write(&place.join("config.json"), bytes);
    let Ok(model) = Model::load(place.to_string_lossy()) else { return };
    let _ = (model.to_string(), model.sites());
    let ids = vec![1i64, 2, 3, 4];
    let input = match model.encoder_layers() {
        0 => Input::from(ids),
        _ => Seq2Seq { source: ids.clone(), target: ids }.into(),
    };
    if let Ok(trace) = model.run(input) {
        let _ = trace.next_tokens(2);
    }
}

/// The folder of a fixture's weights, which get a configuration of the case.
fn beside_weights(name: &str) -> Option<PathBuf> {
    static FOLDERS: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut folders = FOLDERS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let folders = folders.get_or_insert_with(HashMap::new);
    if let Some(folder) = folders.get(name) {
        return Some(folder.clone());
    }
    let plain = !name.is_empty() && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
    let from = fixture("parity").join(name);
    if !plain || !from.is_dir() {
        return None;
    }
    let to = folder("config").join(name);
    std::fs::create_dir_all(&to).ok()?;
    for file in ["model.safetensors", "pytorch_model.bin"].iter().filter(|file| from.join(file).exists()) {
        std::os::unix::fs::symlink(std::fs::canonicalize(from.join(file)).ok()?, to.join(file)).ok()?;
    }
    folders.insert(name.to_owned(), to.clone());
    Some(to)
}

pub fn gguf_seeds() -> Seeds {
    fixtures(&[
        "gguf/gpt2.gguf",
        "gguf/qwen2.gguf",
        "gguf/qwen3.gguf",
        "gguf/gptneox.gguf",
        "gguf/quants.gguf",
        "gguf/tokenizer-gpt-2.gguf",
        "gguf/tokenizer-llama.gguf",
    ])
}

pub fn gguf(bytes: &[u8]) {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let file = FILE.get_or_init(|| folder("gguf").join("case.gguf"));
    write(file, bytes);
    let Ok(checkpoint) = flowlens::checkpoint::Checkpoint::open(file) else { return };
    every_tensor(&checkpoint);
    if let Ok(Some(tokenizer)) = checkpoint.tokenizer()
        && let Ok(tokenizer) = Tokenizer::new(tokenizer)
    {
        encode_and_decode(&tokenizer, TEXTS[0]);
    }
    if let Ok(model) = Model::load(file.to_string_lossy()) {
        let _ = model.run(vec![1i64, 2, 3]).map(|trace| trace.next_tokens(1));
    }
}
