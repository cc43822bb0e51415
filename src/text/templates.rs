//! What a tokenizer puts around texts, checked when it is loaded: the tokenizers crate panics when it meets these faults.

use serde_json::Value;
use tokenizers::Tokenizer;

use crate::{Error, Result};

/// Refuses templates that name a special token without saying its ids, or a second text where there is one.
pub(super) fn check(tokenizer: &Tokenizer) -> Result<()> {
    let Some(processor) = tokenizer.get_post_processor() else { return Ok(()) };
    let processor = serde_json::to_value(processor).map_err(|error| Error::Tokenizer(error.to_string()))?;
    // One template, or a sequence with some of them.
    let parts = processor["processors"].as_array().map_or(std::slice::from_ref(&processor), Vec::as_slice);
    parts.iter().filter(|part| part["type"] == "TemplateProcessing").try_for_each(template)
}

fn template(template: &Value) -> Result<()> {
    for (name, texts) in [("single", &["A"][..]), ("pair", &["A", "B"])] {
        for piece in template[name].as_array().into_iter().flatten() {
            let problem = if let Some(token) = piece["SpecialToken"]["id"].as_str()
                && template["special_tokens"].get(token).is_none()
            {
                format!("puts {token:?} around a text, which its special_tokens do not list")
            } else if let Some(text) = piece["Sequence"]["id"].as_str()
                && !texts.contains(&text)
            {
                format!("asks for a text {text}, and there is but one")
            } else {
                continue;
            };
            return Err(Error::Tokenizer(format!(
                "the template {name:?} of tokenizer.json {problem}; download the file again, or repair it there"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(processor: Value) -> Result<()> {
        let text = json!({
            "version": "1.0",
            "model": { "type": "WordLevel", "vocab": { "a": 0, "[UNK]": 1 }, "unk_token": "[UNK]" },
            "post_processor": processor,
        });
        let tokenizer: Tokenizer = text.to_string().parse().unwrap();
        crate::text::Tokenizer::new(tokenizer).map(drop)
    }

    fn around(single: Value, pair: Value) -> Value {
        let listed = json!({ "[CLS]": { "id": "[CLS]", "ids": [0], "tokens": ["[CLS]"] } });
        json!({ "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": listed })
    }

    #[test]
    fn contradictions_are_named() {
        let special = |name: &str| json!({ "SpecialToken": { "id": name, "type_id": 0 } });
        let text = |name: &str| json!({ "Sequence": { "id": name, "type_id": 0 } });
        let sound = around(json!([special("[CLS]"), text("A")]), json!([text("A"), text("B")]));
        with(sound.clone()).unwrap();
        let unlisted = around(json!([text("A"), special("[SEP\u{1b}]")]), json!([text("A"), text("B")]));
        let second = around(json!([text("B")]), json!([text("A"), text("B")]));
        for (processor, parts) in [
            (unlisted.clone(), ["\"single\"", "[SEP\\u{1b}]"]),
            (json!({ "type": "Sequence", "processors": [sound, unlisted] }), ["\"single\"", "[SEP"]),
            (around(json!([text("A")]), json!([special("[X]")])), ["\"pair\"", "[X]"]),
            (second, ["\"single\"", "but one"]),
        ] {
            let error = with(processor).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
