//! Tokenizers, and what they make of texts.

use std::path::PathBuf;
use std::sync::OnceLock;

use flowlens::checkpoint::Checkpoint;
use flowlens::text::{Tokenizer, slug, visible};
use serde_json::{Value, json};

use super::{Seeds, fixtures, model, read, tensors};
use crate::harness::{fixture, folder, write};

/// Texts that tokenizers have stumbled over.
pub const TEXTS: [&str; 4] = [
    "the city of <|endoftext|> 한국 😀\u{200d}👩 \0\u{1b}[31m\r\n\t  <s>[MASK]",
    "",
    " ",
    "\u{202e}\u{feff}e\u{301}\u{301}\u{301}\u{301} aaaaaaaaaaaaaaaaaaaaaaaa1234567890'll'VE \u{10ffff}\u{e000}",
];

/// A text to ids and back, as every caller of the library may ask for it.
pub fn encode_and_decode(tokenizer: &Tokenizer, text: &str) {
    let _ = tokenizer.encode(text, false);
    let _ = tokenizer.encode_pair(text, "of");
    if let Ok(ids) = tokenizer.encode(text, true) {
        let _ = (tokenizer.decode(&ids, true), tokenizer.decode(&ids, false));
        for &id in ids.iter().take(12) {
            let _ = (tokenizer.piece(id), tokenizer.is_special(id), tokenizer.is_mask(id));
            safe_to_show(&tokenizer.shown(id));
        }
    }
    let _ = (tokenizer.piece(u32::MAX), tokenizer.shown(7), tokenizer.vocab_size());
}

fn safe_to_show(shown: &str) {
    assert!(!shown.chars().any(char::is_control), "{shown:?} holds a control character");
}

/// Opens the tokenizer of a folder and uses it.
fn open(folder: &std::path::Path) {
    let Ok(checkpoint) = Checkpoint::open(folder) else { return };
    let Ok(Some(inner)) = checkpoint.tokenizer() else { return };
    let Ok(tokenizer) = Tokenizer::new(inner) else { return };
    for text in TEXTS {
        encode_and_decode(&tokenizer, text);
    }
}

/// A folder that is a checkpoint but for its tokenizer.
fn place(name: &str) -> PathBuf {
    let folder = folder(name);
    write(&folder.join("config.json"), br#"{"model_type": "gpt2", "tokenizer_class": "GPT2Tokenizer"}"#);
    write(&folder.join("model.safetensors"), &tensors(&[("a", &[1], vec![1.])], &[]));
    folder
}

pub fn tokenizer_seeds() -> Seeds {
    // One of each kind: BPE of bytes, BPE with bytes to fall back on, WordPiece, Unigram.
    fixtures(&[
        "parity/gpt2/tokenizer.json",
        "parity/llama_gqa/tokenizer.json",
        "parity/bert/tokenizer.json",
        "parity/t5_gated/tokenizer.json",
    ])
}

pub fn tokenizer(bytes: &[u8]) {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    let folder = PLACE.get_or_init(|| place("tokenizer"));
    write(&folder.join("tokenizer.json"), bytes);
    open(folder);
}

/// `vocab.json`, `merges.txt` and `tokenizer_config.json` in one object.
pub fn vocabulary_seeds() -> Seeds {
    let whole: Value = serde_json::from_slice(&read(fixture("parity/gpt2/tokenizer.json"))).expect("JSON");
    let merges = whole["model"]["merges"].as_array().into_iter().flatten().map(|merge| match merge {
        Value::String(merge) => merge.clone(),
        pair => format!("{} {}", pair[0].as_str().unwrap_or_default(), pair[1].as_str().unwrap_or_default()),
    });
    let merges = merges.collect::<Vec<_>>().join("\n");
    let files = json!({"vocab": whole["model"]["vocab"], "merges": merges, "settings": {"add_prefix_space": false}});
    let small =
        json!({"vocab": {"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3}, "merges": "#version: 0.2\na b", "settings": {}});
    vec![("gpt2".to_owned(), files.to_string().into()), ("small".to_owned(), small.to_string().into())]
}

pub fn vocabulary(bytes: &[u8]) {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    let folder = PLACE.get_or_init(|| place("vocabulary"));
    let Ok(files) = serde_json::from_slice::<Value>(bytes) else { return };
    write(&folder.join("vocab.json"), files["vocab"].to_string().as_bytes());
    write(&folder.join("tokenizer_config.json"), files["settings"].to_string().as_bytes());
    write(&folder.join("merges.txt"), files["merges"].as_str().unwrap_or_default().as_bytes());
    open(folder);
}

pub fn text_seeds() -> Seeds {
    TEXTS.iter().enumerate().map(|(number, text)| (format!("text{number}"), text.as_bytes().to_vec())).collect()
}

/// A text for the tokenizers of the fixtures, and for what makes names of files and words on pages of it.
pub fn text(bytes: &[u8]) {
    thread_local! {
        static TOKENIZERS: Vec<Tokenizer> = ["gpt2", "llama_gqa", "bert", "t5_gated"]
            .map(|name| model(name).tokenizer().expect("a tokenizer").clone())
            .into();
    }
    // What goes wrong with a long text goes wrong with a short one, sooner.
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]);
    // One of them each time, by chance.
    let sum: usize = bytes.iter().map(|&byte| usize::from(byte)).sum();
    TOKENIZERS.with(|tokenizers| encode_and_decode(&tokenizers[sum % tokenizers.len()], &text));
    safe_to_show(&visible(&text));
    let name = slug(&text);
    assert!(!name.contains(['/', '\\', '\0']) && name != ".." && name != ".", "{name:?} is no file name");
}
