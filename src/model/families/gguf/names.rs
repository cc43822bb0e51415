//! The names of tensors in GGUF files.

use super::Family;
use crate::checkpoint::Arrangement;
use crate::{Error, Result};

impl Family<'_> {
    /// The Hugging Face name of a tensor and what undoes the converter's reordering; `None` for tables that
    /// the config stands for.
    pub(super) fn rename(&self, name: &str) -> Result<Option<(String, Arrangement)>> {
        let unknown = || {
            Error::tensor(
                name,
                format!("not known in {} models; ignoring it could give wrong numbers", self.architecture),
            )
        };
        if matches!(name, "rope_freqs.weight") || name.ends_with(".attn_rot_embd.weight") {
            return Ok(None);
        }
        let (block, part) = match name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) {
            Some((layer, part)) if layer.bytes().all(|b| b.is_ascii_digit()) => (Some(layer), part),
            Some(_) => return Err(unknown()),
            None => (None, name),
        };
        let (stem, ending) = part.rsplit_once('.').ok_or_else(unknown)?;
        if !matches!(ending, "weight" | "bias") {
            return Err(unknown());
        }
        let renamed = match self.architecture {
            "gpt2" => gpt2(stem, ending),
            "gptneox" => self.gptneox(stem),
            _ => self.llama(stem),
        };
        let (target, arrangement) = renamed.ok_or_else(unknown)?;
        match (target.contains("{}"), block) {
            (true, Some(layer)) => Ok(Some((format!("{}.{ending}", target.replace("{}", layer)), arrangement))),
            (false, None) => Ok(Some((format!("{target}.{ending}"), arrangement))),
            _ => Err(unknown()),
        }
    }

    fn llama(&self, stem: &str) -> Option<(&'static str, Arrangement)> {
        // llama.cpp rotates neighbours in `llama`, halves in the others; its converter moves the rows accordingly.
        let pairs = |heads: usize| match self.architecture {
            "llama" => Arrangement::RotaryPairs { heads },
            _ => Arrangement::Rows,
        };
        Some(match stem {
            "token_embd" => ("model.embed_tokens", Arrangement::Rows),
            "output_norm" => ("model.norm", Arrangement::Rows),
            "output" => ("lm_head", Arrangement::Rows),
            "attn_norm" => ("model.layers.{}.input_layernorm", Arrangement::Rows),
            "attn_q" => ("model.layers.{}.self_attn.q_proj", pairs(self.heads)),
            "attn_k" => ("model.layers.{}.self_attn.k_proj", pairs(self.kv_heads)),
            "attn_v" => ("model.layers.{}.self_attn.v_proj", Arrangement::Rows),
            "attn_output" => ("model.layers.{}.self_attn.o_proj", Arrangement::Rows),
            "attn_q_norm" if self.architecture == "qwen3" => ("model.layers.{}.self_attn.q_norm", Arrangement::Rows),
            "attn_k_norm" if self.architecture == "qwen3" => ("model.layers.{}.self_attn.k_norm", Arrangement::Rows),
            "ffn_norm" => ("model.layers.{}.post_attention_layernorm", Arrangement::Rows),
            "ffn_gate" => ("model.layers.{}.mlp.gate_proj", Arrangement::Rows),
            "ffn_up" => ("model.layers.{}.mlp.up_proj", Arrangement::Rows),
            "ffn_down" => ("model.layers.{}.mlp.down_proj", Arrangement::Rows),
            _ => return None,
        })
    }

    fn gptneox(&self, stem: &str) -> Option<(&'static str, Arrangement)> {
        // The converter gathers all queries, then all keys, then all values; the checkpoint has them head by head.
        let by_head = Arrangement::Gathered { heads: self.heads };
        Some(match stem {
            "token_embd" => ("gpt_neox.embed_in", Arrangement::Rows),
            "output_norm" => ("gpt_neox.final_layer_norm", Arrangement::Rows),
            "output" => ("embed_out", Arrangement::Rows),
            "attn_norm" => ("gpt_neox.layers.{}.input_layernorm", Arrangement::Rows),
            "attn_qkv" => ("gpt_neox.layers.{}.attention.query_key_value", by_head),
            "attn_output" => ("gpt_neox.layers.{}.attention.dense", Arrangement::Rows),
            "ffn_norm" => ("gpt_neox.layers.{}.post_attention_layernorm", Arrangement::Rows),
            "ffn_up" => ("gpt_neox.layers.{}.mlp.dense_h_to_4h", Arrangement::Rows),
            "ffn_down" => ("gpt_neox.layers.{}.mlp.dense_4h_to_h", Arrangement::Rows),
            _ => return None,
        })
    }
}

fn gpt2(stem: &str, ending: &str) -> Option<(&'static str, Arrangement)> {
    // GPT-2's own files have the rows of these matrices along their inputs.
    let conv1d = if ending == "weight" { Arrangement::Transposed } else { Arrangement::Rows };
    Some(match stem {
        "token_embd" => ("transformer.wte", Arrangement::Rows),
        "position_embd" => ("transformer.wpe", Arrangement::Rows),
        "output_norm" => ("transformer.ln_f", Arrangement::Rows),
        "output" => ("lm_head", Arrangement::Rows),
        "attn_norm" => ("transformer.h.{}.ln_1", Arrangement::Rows),
        "attn_qkv" => ("transformer.h.{}.attn.c_attn", conv1d),
        "attn_output" => ("transformer.h.{}.attn.c_proj", conv1d),
        "ffn_norm" => ("transformer.h.{}.ln_2", Arrangement::Rows),
        "ffn_up" => ("transformer.h.{}.mlp.c_fc", conv1d),
        "ffn_down" => ("transformer.h.{}.mlp.c_proj", conv1d),
        _ => return None,
    })
}
