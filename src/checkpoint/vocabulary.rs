//! `vocab.json` and `merges.txt`: tokenizers from before there was `tokenizer.json`.

use std::path::Path;

use serde_json::{Map, Value};

use super::read_object;
use crate::text::Vocabulary;
use crate::{Error, Result, files};

/// The tokenizer of a folder without `tokenizer.json`: built for GPT-2's kind, whose two files say all there is to
/// say; `None` for others.
pub(super) fn tokenizer(folder: &Path, config: &Map<String, Value>) -> Result<Option<tokenizers::Tokenizer>> {
    let (vocab_path, merges_path) = (folder.join("vocab.json"), folder.join("merges.txt"));
    if !vocab_path.exists() || !merges_path.exists() {
        return Ok(None);
    }
    let settings_path = folder.join("tokenizer_config.json");
    let settings = if settings_path.exists() { read_object(&settings_path)? } else { Map::new() };
    let class = settings.get("tokenizer_class").or_else(|| config.get("tokenizer_class")).and_then(Value::as_str);
    let of_gpt2 = matches!(class, Some("GPT2Tokenizer" | "GPT2TokenizerFast"));
    if !of_gpt2 || settings.get("add_prefix_space") == Some(&Value::Bool(true)) {
        return Ok(None);
    }
    let vocab = read_object(&vocab_path)?;
    let mut tokens = vec![None; vocab.len()];
    for (token, id) in &vocab {
        let place = id.as_u64().and_then(|id| tokens.get_mut(usize::try_from(id).ok()?));
        *place.ok_or_else(|| {
            Error::file(
                &vocab_path,
                format!("token {token:?} has the id {id}, which leaves a gap; download the file again"),
            )
        })? = Some(token.clone());
    }
    let tokens: Vec<String> = tokens.into_iter().flatten().collect();
    if tokens.len() != vocab.len() {
        return Err(Error::file(&vocab_path, "two tokens have the same id; download the file again"));
    }
    let merges = files::read_text_within(&merges_path, files::LARGEST_TEXT)?;
    let lines = merges.lines().filter(|line| !line.is_empty() && !line.starts_with("#version"));
    let kinds: Vec<i64> =
        tokens.iter().map(|token| if token == "<|endoftext|>" { Vocabulary::CONTROL } else { 1 }).collect();
    let vocabulary = Vocabulary {
        model: "gpt2",
        pre: Some("gpt-2"),
        architecture: "gpt2",
        tokens: &tokens,
        kinds: &kinds,
        scores: &[],
        merges: &lines.map(str::to_owned).collect::<Vec<_>>(),
        bos: None,
        eos: None,
        unknown: None,
        add_bos: None,
        add_eos: None,
        add_space_prefix: None,
    };
    vocabulary.tokenizer().map(Some)
}
