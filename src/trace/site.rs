//! The names of what can be watched.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

macro_rules! sites {
    (once { $($(#[$once_doc:meta])* $once:ident = $once_name:literal,)* }
     layer { $($(#[$layer_doc:meta])* $layer:ident = $layer_name:literal,)* }) => {
        /// A place in the computation whose tensor can be kept, replaced or patched.
        ///
        /// Shapes are written with T positions, S key positions, D model width, H heads, K key/value heads, d head
        /// width, I MLP width and V vocabulary size. The number is the layer, counted from 0. Names are those of
        /// TransformerLens where the meaning is exactly the same.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Site {
            $($(#[$once_doc])* $once,)*
            $($(#[$layer_doc])* $layer(usize),)*
        }

        impl Site {
            /// The layer, for sites that lie inside one.
            pub fn layer(self) -> Option<usize> {
                match self {
                    $(Site::$once => None,)*
                    $(Site::$layer(layer) => Some(layer),)*
                }
            }

            /// The names of all sites of all families, `*` in place of the layer.
            pub fn names() -> Vec<String> {
                let once = [$($once_name),*].map(str::to_owned);
                once.into_iter().chain([$(format!("blocks.*.{}", $layer_name)),*]).collect()
            }

            /// Every site of a model with `layers` layers, in the order of the computation.
            ///
            /// Not every family has every site: see [`Model::sites`](crate::Model::sites).
            pub(crate) fn all(layers: usize) -> Vec<Site> {
                let mut sites = vec![Site::Embedding, Site::PositionEmbedding];
                for layer in 0..layers {
                    sites.extend([$(Site::$layer(layer)),*]);
                }
                sites.extend([Site::FinalNorm, Site::Logits]);
                sites
            }
        }

        impl fmt::Display for Site {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Site::$once => f.write_str($once_name),)*
                    $(Site::$layer(layer) => write!(f, "blocks.{layer}.{}", $layer_name),)*
                }
            }
        }

        impl FromStr for Site {
            type Err = Error;

            /// Reads a name as [`Display`](fmt::Display) writes it, e.g. `blocks.3.attn.hook_pattern`.
            fn from_str(name: &str) -> Result<Site> {
                let unknown = || Error::site(name, "no such site; `flowlens trace --help` lists the names");
                match name {
                    $($once_name => return Ok(Site::$once),)*
                    _ => {}
                }
                let (layer, rest) = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')).ok_or_else(unknown)?;
                let layer: usize = layer.parse().map_err(|_| unknown())?;
                match rest {
                    $($layer_name => Ok(Site::$layer(layer)),)*
                    _ => Err(unknown()),
                }
            }
        }
    };
}

sites! {
    once {
        /// Token embeddings (T,D) as they enter the model, after the family's scale where it has one.
        Embedding = "hook_embed",
        /// Position embeddings (T,D), where the model adds them to the token embeddings.
        PositionEmbedding = "hook_pos_embed",
        /// The residual stream after the final norm (T,D): what the head reads.
        FinalNorm = "ln_final.output",
        /// Next-token logits (T,V), after scale and soft cap where the model has them.
        Logits = "logits",
    }
    layer {
        /// Residual stream before the block (T,D).
        ResidPre = "hook_resid_pre",
        /// Output of the norm before attention (T,D), after gain and bias.
        AttnNorm = "ln1.output",
        /// Queries (H,T,d) right after their projection, bias included: before per-head norms, rotation and scale.
        Query = "attn.hook_q",
        /// Keys (K,T,d) right after their projection, bias included: before per-head norms and rotation.
        Key = "attn.hook_k",
        /// Values (K,T,d), bias included.
        Value = "attn.hook_v",
        /// Queries (H,T,d) as they meet the keys in rotary models: after per-head norms and rotation.
        RotatedQuery = "attn.hook_rot_q",
        /// Keys (K,T,d) as they meet the queries in rotary models: after per-head norms and rotation.
        RotatedKey = "attn.hook_rot_k",
        /// What positions add to the scores (H,T,S): T5's and MPNet's tables, ALiBi.
        PositionBias = "attn.position_bias",
        /// Attention scores (H,T,S): scaled, with position bias and soft cap, **without** the mask.
        Scores = "attn.scores",
        /// Attention probabilities (H,T,S), after mask and softmax; each row sums to 1.
        Pattern = "attn.hook_pattern",
        /// Each head's mix of values (H,T,d): Pattern times Value.
        HeadMix = "attn.hook_z",
        /// What each head adds to the attention output (H,T,D): HeadMix through its slice of the output matrix,
        /// without the output bias. Computed when asked for.
        HeadOutput = "attn.hook_result",
        /// What attention adds to the stream (T,D).
        AttnOut = "hook_attn_out",
        /// Residual stream between attention and MLP (T,D); sequential blocks only.
        ResidMid = "hook_resid_mid",
        /// Output of the norm before the MLP (T,D), after gain and bias.
        MlpNorm = "ln2.output",
        /// What the MLP's first matrix gives (T,I), bias included, before the activation; in gated MLPs the
        /// up projection, which has none.
        MlpPre = "mlp.hook_pre",
        /// The gate of gated MLPs (T,I), before the activation.
        MlpGate = "mlp.gate",
        /// Neurons (T,I): what multiplies the rows of the MLP's second matrix.
        Neurons = "mlp.hook_post",
        /// What the MLP adds to the stream (T,D).
        MlpOut = "hook_mlp_out",
        /// Residual stream after the block (T,D).
        ResidPost = "hook_resid_post",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for site in Site::all(3) {
            assert_eq!(site.to_string().parse::<Site>().unwrap(), site);
        }
        for name in ["blocks.x.ln1.output", "blocks.1.nothing", "nothing", ""] {
            assert!(name.parse::<Site>().unwrap_err().to_string().contains("no such site"));
        }
    }
}
