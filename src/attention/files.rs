//! Attention from files that another program wrote.

use std::path::Path;

use serde::de::{Deserialize, Deserializer, Visitor};

use super::{Attention, Matrices};
use crate::checkpoint::Checkpoint;
use crate::{Array, DType, Device, Error, Result, files};

impl Attention {
    /// Attention from a safetensors file and a JSON file.
    ///
    /// `weights` holds the tensors `attentions.0`, `attentions.1`, .. of shape (1,H,T,T), what Python's `transformers`
    /// returns, and `tokens` a list of T strings. Of an encoder-decoder they are `encoder_attentions.0`, ..,
    /// `decoder_attentions.0`, .., `cross_attentions.0`, .. (1,H,T,S), and an object
    /// `{"encoder": [S strings], "decoder": [T strings]}`.
    ///
    /// # Errors
    /// When a file cannot be read, and as [`Attention::new`].
    pub fn from_files(weights: impl AsRef<Path>, tokens: impl AsRef<Path>) -> Result<Attention> {
        let file = Checkpoint::open_tensors(weights.as_ref())?;
        let layers = |prefix: &str| -> Result<Matrices> {
            let names = (0..).map(|layer| format!("{prefix}attentions.{layer}"));
            let layers = names
                .take_while(|name| file.contains(name))
                .map(|name| Array::from_tensor(&file.tensor(&name, DType::F32, Device::Cpu)?));
            Ok(layers.collect::<Result<Vec<Array>>>()?.into())
        };
        let path = tokens.as_ref();
        let text = files::read_within(path, files::LARGEST_TEXT)?;
        let whole = file.contains("attentions.0");
        if !whole && !file.contains("encoder_attentions.0") {
            let problem = "holds neither attentions.0 nor encoder_attentions.0; write the weights under these names";
            return Err(Error::file(weights.as_ref(), problem));
        }
        let read_as =
            |expected: &str, problem: serde_json::Error| Error::file(path, format!("is not {expected}: {problem}"));
        if whole {
            let tokens: Vec<Text> =
                serde_json::from_slice(&text).map_err(|problem| read_as("a JSON list of strings", problem))?;
            return Attention::new(tokens.into_iter().map(|token| token.0), layers("")?);
        }
        let expected = "{\"encoder\": [strings], \"decoder\": [strings]}";
        let sides: Sides = serde_json::from_slice(&text).map_err(|problem| read_as(expected, problem))?;
        let texts = |tokens: Vec<Text>| tokens.into_iter().map(|token| token.0);
        let (encoder, decoder) = (texts(sides.encoder), texts(sides.decoder));
        Attention::encoder_decoder(encoder, decoder, layers("encoder_")?, layers("decoder_")?, layers("cross_")?)
    }
}

#[derive(serde::Deserialize)]
struct Sides {
    encoder: Vec<Text>,
    decoder: Vec<Text>,
}

/// A string that may hold half of a surrogate pair, as Python writes tokens that are parts of characters: JSON allows
/// it, Unicode text does not, so that it is written out.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text, E> {
                let mut text = String::new();
                let mut rest = bytes;
                while !rest.is_empty() {
                    // Half of a pair, as UTF-8 would write its number.
                    if let [0xed, high @ 0xa0..=0xbf, low, ..] = *rest {
                        let code = 0xd000 | u32::from(high & 0x3f) << 6 | u32::from(low & 0x3f);
                        text.push_str(&format!("\\u{{{code:x}}}"));
                        rest = &rest[3..];
                        continue;
                    }
                    let end = (1..rest.len()).find(|&at| rest[at] == 0xed).unwrap_or(rest.len());
                    text.push_str(&String::from_utf8_lossy(&rest[..end]));
                    rest = &rest[end..];
                }
                Ok(Text(text))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_surrogate_pair_is_written_out() {
        let read: Vec<Text> = serde_json::from_str(r#"["a\ud83dz", "\ud83d\ude00", "plain 한", "\\n"]"#).unwrap();
        let read: Vec<String> = read.into_iter().map(|text| text.0).collect();
        assert_eq!(read, ["a\\u{d83d}z", "😀", "plain 한", "\\n"]);
        assert!(serde_json::from_str::<Vec<Text>>("[1]").is_err_and(|error| error.to_string().contains("a string")));
    }
}
