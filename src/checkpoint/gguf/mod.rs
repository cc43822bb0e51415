//! GGUF: one file with metadata, tokenizer and tensors.

mod header;
mod quant;

use super::mapped::Mapped;
use super::stored::{Arrangement, Entry};
use crate::progress::say;
use crate::text::Vocabulary;
use crate::{Error, Result};
use header::Header;
pub(crate) use header::{Item, Metadata};
pub use quant::Quant;
pub(super) use quant::{unpack_bf16, unpack_f16, unpack_f32};

/// What a GGUF file holds.
pub(super) struct Contents {
    pub entries: Vec<(String, Entry)>,
    pub metadata: Metadata,
}

/// Reads the head of a file.
pub(super) fn contents(file: &Mapped) -> Result<Contents> {
    let header = header::read(file.bytes()).map_err(|problem| {
        Error::file(&file.path, format!("not a whole GGUF file: {problem}; if it should be one, download it again"))
    })?;
    let uncovered = header.uncovered(file.bytes().len());
    if uncovered > 0 {
        let path = file.path.display();
        say(&format!("{uncovered} bytes of {path} belong to no tensor; if numbers look wrong, download it again"));
    }
    let Header { metadata, tensors: declared, .. } = header;
    if let Some(Item::Integer(parts @ 2..)) = metadata.get("split.count") {
        return Err(Error::file(
            &file.path,
            format!("is one of {parts} parts; merge them with llama.cpp's `llama-gguf-split --merge` first"),
        ));
    }
    let entry = |tensor: &header::Declared| {
        Entry::new(0, tensor.bytes.clone(), tensor.shape.clone(), tensor.stored, Arrangement::Rows)
            .map_err(|problem| Error::tensor(&tensor.name, problem))
    };
    let entries = declared.iter().map(|tensor| Ok((tensor.name.clone(), entry(tensor)?))).collect::<Result<_>>()?;
    Ok(Contents { entries, metadata })
}

/// The tokenizer that the metadata describes; `None` when there is none.
pub(super) fn tokenizer(metadata: &Metadata) -> Result<Option<tokenizers::Tokenizer>> {
    let text = |key: &str| match metadata.get(&format!("tokenizer.ggml.{key}")) {
        Some(Item::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    let texts = |key: &str| match metadata.get(&format!("tokenizer.ggml.{key}")) {
        Some(Item::Texts(texts)) => texts.as_slice(),
        _ => &[],
    };
    let id = |key: &str| match metadata.get(&format!("tokenizer.ggml.{key}_token_id")) {
        Some(Item::Integer(id)) => u32::try_from(*id).ok(),
        _ => None,
    };
    let flag = |key: &str| match metadata.get(&format!("tokenizer.ggml.{key}")) {
        Some(Item::Bool(flag)) => Some(*flag),
        _ => None,
    };
    let Some(model) = text("model").filter(|&model| model != "no_vocab") else { return Ok(None) };
    let kinds = match metadata.get("tokenizer.ggml.token_type") {
        Some(Item::Integers(kinds)) => kinds.as_slice(),
        _ => &[],
    };
    let scores = match metadata.get("tokenizer.ggml.scores") {
        Some(Item::Floats(scores)) => scores.as_slice(),
        _ => &[],
    };
    let vocabulary = Vocabulary {
        model,
        pre: text("pre"),
        architecture: match metadata.get("general.architecture") {
            Some(Item::Text(name)) => name,
            _ => "",
        },
        tokens: texts("tokens"),
        kinds,
        scores,
        merges: texts("merges"),
        bos: id("bos"),
        eos: id("eos"),
        unknown: id("unknown"),
        add_bos: flag("add_bos_token"),
        add_eos: flag("add_eos_token"),
        add_space_prefix: flag("add_space_prefix"),
    };
    vocabulary.tokenizer().map(Some)
}
