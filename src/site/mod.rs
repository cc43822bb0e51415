//! The places of a computation that can be watched, and the watcher that the maths asks at each.

mod finite;
mod watcher;

use std::fmt;
use std::str::FromStr;

pub(crate) use finite::{FirstNotFinite, finite, is_finite};
pub(crate) use watcher::{Unwatched, Watcher, Within};

use crate::{Error, Result};

/// Which part of a model a site lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The encoder of an encoder-decoder.
    Encoder,
    /// The decoder, or the only stack.
    Main,
    /// The decoder's attention to the encoder's output.
    Cross,
}

macro_rules! sites {
    (logits { $(#[$logits_doc:meta])* $logits:ident = $logits_name:literal }
     once { $($(#[$once_doc:meta])* $once:ident, $encoder_once:ident = $once_name:literal;)* }
     layer { $($(#[$layer_doc:meta])* $layer:ident, $encoder_layer:ident = $layer_name:literal;)* }
     cross { $($(#[$cross_doc:meta])* $cross:ident of $own:ident = $cross_name:literal;)* }) => {
        /// A place in the computation whose tensor can be kept, replaced or patched.
        ///
        /// Shapes are written with T positions, S key positions, D model width, H heads, K key/value heads, d head
        /// width, I MLP width, E experts and V vocabulary size. The number is the layer, counted from 0. Names are
        /// those of TransformerLens where the meaning is exactly the same.
        ///
        /// In an encoder-decoder the plain sites are the decoder's; the encoder has the same ones under names of
        /// their own (`Site::EncoderPattern(0)`), and so has cross attention (`Site::CrossPattern(0)`), whose S are
        /// the encoder's positions.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Site {
            $($(#[$once_doc])* $once,)*
            $($(#[$layer_doc])* $layer(usize),)*
            $(#[$logits_doc])* $logits,
            $(#[doc = concat!("[`", stringify!($once), "`](Site::", stringify!($once), ") of the encoder.")]
              $encoder_once,)*
            $(#[doc = concat!("[`", stringify!($layer), "`](Site::", stringify!($layer), ") of the encoder.")]
              $encoder_layer(usize),)*
            $($(#[$cross_doc])* $cross(usize),)*
        }

        impl Site {
            /// The layer, for sites that lie inside one.
            pub fn layer(self) -> Option<usize> {
                match self {
                    Site::$logits $(| Site::$once | Site::$encoder_once)* => None,
                    $(Site::$layer(layer) | Site::$encoder_layer(layer) => Some(layer),)*
                    $(Site::$cross(layer) => Some(layer),)*
                }
            }

            /// Which part of the model it lies in.
            pub fn part(self) -> Part {
                match self {
                    $(Site::$encoder_once => Part::Encoder,)*
                    $(Site::$encoder_layer(_) => Part::Encoder,)*
                    $(Site::$cross(_) => Part::Cross,)*
                    _ => Part::Main,
                }
            }

            /// The same site in the encoder; a site that the encoder cannot have stays as it is.
            pub fn in_encoder(self) -> Site {
                match self {
                    $(Site::$once => Site::$encoder_once,)*
                    $(Site::$layer(layer) => Site::$encoder_layer(layer),)*
                    other => other,
                }
            }

            /// The same site in cross attention; a site that it cannot have stays as it is.
            pub fn in_cross(self) -> Site {
                match self {
                    $(Site::$own(layer) => Site::$cross(layer),)*
                    other => other,
                }
            }

            /// The site of a single stack that this one is in its part: what [`in_encoder`](Site::in_encoder) and
            /// [`in_cross`](Site::in_cross) started from.
            pub fn plain(self) -> Site {
                match self {
                    $(Site::$encoder_once => Site::$once,)*
                    $(Site::$encoder_layer(layer) => Site::$layer(layer),)*
                    $(Site::$cross(layer) => Site::$own(layer),)*
                    other => other,
                }
            }

            /// The names of all sites of all families, `*` in place of the layer; an encoder's start with `encoder.`.
            pub fn names() -> Vec<String> {
                let once = [$($once_name),*].map(str::to_owned);
                let layers = [$($layer_name),*].into_iter().chain([$($cross_name),*]);
                let layers = layers.map(|name| format!("blocks.*.{name}"));
                once.into_iter().chain(layers).chain([$logits_name.to_owned()]).collect()
            }

            /// Every site of a stack with `layers` layers but the logits, in the order of the computation.
            ///
            /// Not every family has every site: see [`Model::sites`](crate::Model::sites).
            pub(crate) fn of_stack(layers: usize) -> Vec<Site> {
                let mut sites = vec![Site::Embedding, Site::PositionEmbedding];
                for layer in 0..layers {
                    for site in [$(Site::$layer(layer)),*] {
                        sites.push(site);
                        if site == Site::ResidMid(layer) {
                            sites.extend([$(Site::$cross(layer)),*]);
                        }
                    }
                }
                sites.push(Site::FinalNorm);
                sites
            }

            fn local_name(self) -> (Option<usize>, &'static str) {
                match self {
                    Site::$logits => (None, $logits_name),
                    $(Site::$once | Site::$encoder_once => (None, $once_name),)*
                    $(Site::$layer(layer) | Site::$encoder_layer(layer) => (Some(layer), $layer_name),)*
                    $(Site::$cross(layer) => (Some(layer), $cross_name),)*
                }
            }
        }

        impl FromStr for Site {
            type Err = Error;

            /// Reads a name as [`Display`](fmt::Display) writes it, e.g. `blocks.3.attn.hook_pattern`; a decoder's
            /// sites may also start with `decoder.`.
            fn from_str(name: &str) -> Result<Site> {
                let unknown = || Error::site(name, "no such site; Site::names() lists them");
                if let Some(rest) = name.strip_prefix("encoder.") {
                    let site = rest.parse::<Site>().map_err(|_| unknown())?;
                    return match site.in_encoder() {
                        encoder if encoder != site => Ok(encoder),
                        _ => Err(unknown()),
                    };
                }
                let name = name.strip_prefix("decoder.").unwrap_or(name);
                match name {
                    $logits_name => return Ok(Site::$logits),
                    $($once_name => return Ok(Site::$once),)*
                    _ => {}
                }
                let (layer, rest) = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')).ok_or_else(unknown)?;
                let layer: usize = layer.parse().map_err(|_| unknown())?;
                match rest {
                    $($layer_name => Ok(Site::$layer(layer)),)*
                    $($cross_name => Ok(Site::$cross(layer)),)*
                    _ => Err(unknown()),
                }
            }
        }
    };
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.part() == Part::Encoder {
            f.write_str("encoder.")?;
        }
        match self.local_name() {
            (None, name) => f.write_str(name),
            (Some(layer), name) => write!(f, "blocks.{layer}.{name}"),
        }
    }
}

sites! {
    logits {
        /// Logits (T,V) of the next token, or in encoders of the token itself; after scale, bias and soft cap.
        Logits = "logits"
    }
    once {
        /// Token embeddings (T,D) as they enter the model, after the family's scale where it has one; (T,E) where
        /// the table is narrower than the model.
        Embedding, EncoderEmbedding = "hook_embed";
        /// Position embeddings (T,D), where the model adds them to the token embeddings; as wide as the token table.
        PositionEmbedding, EncoderPositionEmbedding = "hook_pos_embed";
        /// The residual stream as it leaves the stack (T,D), after the final norm where there is one: what the head
        /// reads.
        FinalNorm, EncoderFinalNorm = "ln_final.output";
    }
    layer {
        /// Residual stream before the block (T,D).
        ResidPre, EncoderResidPre = "hook_resid_pre";
        /// Output of attention's norm (T,D), after gain and bias. In pre-norm blocks it is what attention reads (and
        /// with an option of Bloom what it adds to); in post-norm blocks (BERT) the norm of
        /// [`ResidMid`](Site::ResidMid), which the stream continues with.
        AttnNorm, EncoderAttnNorm = "ln1.output";
        /// Queries (H,T,d) right after their projection, bias included: before per-head norms, rotation and scale.
        Query, EncoderQuery = "attn.hook_q";
        /// Keys (K,T,d) right after their projection, bias included: before per-head norms and rotation.
        Key, EncoderKey = "attn.hook_k";
        /// Values (K,T,d), bias included.
        Value, EncoderValue = "attn.hook_v";
        /// Queries (H,T,d) as they meet the keys in rotary models: after per-head norms and rotation.
        RotatedQuery, EncoderRotatedQuery = "attn.hook_rot_q";
        /// Keys (K,T,d) as they meet the queries in rotary models: after per-head norms and rotation.
        RotatedKey, EncoderRotatedKey = "attn.hook_rot_k";
        /// What positions add to the scaled scores (H,T,S): T5's and MPNet's tables, ALiBi; where the term depends on
        /// query and key as well (XLNet, DeBERTa), all that is not their plain product.
        PositionBias, EncoderPositionBias = "attn.position_bias";
        /// Attention scores (H,T,S): scaled, with position bias and soft cap, **without** the mask.
        Scores, EncoderScores = "attn.scores";
        /// Attention probabilities (H,T,S), after mask and softmax; each row sums to 1.
        Pattern, EncoderPattern = "attn.hook_pattern";
        /// Each head's mix of values (H,T,d): Pattern times Value.
        HeadMix, EncoderHeadMix = "attn.hook_z";
        /// What each head writes (H,T,D): HeadMix through its slice of the output matrix, without the output bias and
        /// before a norm of what is written. Computed when asked for.
        HeadOutput, EncoderHeadOutput = "attn.hook_result";
        /// What attention adds to the stream (T,D).
        AttnOut, EncoderAttnOut = "hook_attn_out";
        /// Residual stream after attention (T,D): [`ResidPre`](Site::ResidPre) and [`AttnOut`](Site::AttnOut) added
        /// up; sequential blocks only.
        ResidMid, EncoderResidMid = "hook_resid_mid";
        /// Output of the MLP's norm (T,D), after gain and bias. In pre-norm blocks it is what the MLP reads; in
        /// post-norm blocks the norm of [`ResidPost`](Site::ResidPost), which the stream continues with.
        MlpNorm, EncoderMlpNorm = "ln2.output";
        /// How much each expert counts (T,E): the router's weights of those that a token uses, 0 for the others.
        ExpertWeights, EncoderExpertWeights = "mlp.expert_weights";
        /// What the MLP's first matrix gives (T,I), bias included, before the activation; in gated MLPs the
        /// up projection, which has none.
        MlpPre, EncoderMlpPre = "mlp.hook_pre";
        /// The gate of gated MLPs (T,I), before the activation.
        MlpGate, EncoderMlpGate = "mlp.gate";
        /// Neurons (T,I): what multiplies the rows of the MLP's second matrix. With experts they are those of all
        /// experts side by side, each times the weight of its expert.
        Neurons, EncoderNeurons = "mlp.hook_post";
        /// What the MLP adds to the stream (T,D).
        MlpOut, EncoderMlpOut = "hook_mlp_out";
        /// Residual stream after the block (T,D): in post-norm blocks before the last norm.
        ResidPost, EncoderResidPost = "hook_resid_post";
    }
    cross {
        /// Output of cross attention's norm (T,D): before it in pre-norm decoders (T5), after it in post-norm ones.
        CrossNorm of AttnNorm = "ln_cross.output";
        /// Queries (H,T,d) of cross attention.
        CrossQuery of Query = "cross_attn.hook_q";
        /// Keys (K,S,d) of cross attention, from the encoder's output.
        CrossKey of Key = "cross_attn.hook_k";
        /// Values (K,S,d) of cross attention, from the encoder's output.
        CrossValue of Value = "cross_attn.hook_v";
        /// Cross attention's scores (H,T,S), **without** the mask.
        CrossScores of Scores = "cross_attn.scores";
        /// Cross attention's probabilities (H,T,S).
        CrossPattern of Pattern = "cross_attn.hook_pattern";
        /// Each head's mix of the encoder's values (H,T,d).
        CrossHeadMix of HeadMix = "cross_attn.hook_z";
        /// What each head of cross attention writes (H,T,D), without the output bias. Computed when asked for.
        CrossHeadOutput of HeadOutput = "cross_attn.hook_result";
        /// What cross attention adds to the stream (T,D).
        CrossOut of AttnOut = "hook_cross_attn_out";
        /// Residual stream after cross attention (T,D).
        ResidMidCross of ResidMid = "hook_resid_mid_cross";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for site in Site::of_stack(3).into_iter().chain([Site::Logits]) {
            assert_eq!(site.to_string().parse::<Site>().unwrap(), site);
            assert_eq!(format!("decoder.{site}").parse::<Site>().unwrap(), site);
            let encoder = site.in_encoder();
            assert_eq!(encoder.to_string().parse::<Site>().unwrap(), encoder);
        }
        for name in
            ["blocks.x.ln1.output", "blocks.1.nothing", "nothing", "", "encoder.logits", "encoder.encoder.logits"]
        {
            assert!(name.parse::<Site>().unwrap_err().to_string().contains("no such site"));
        }
    }

    #[test]
    fn a_site_keeps_its_layer_through_the_parts() {
        assert_eq!(Site::Pattern(2).in_encoder(), Site::EncoderPattern(2));
        assert_eq!(Site::Pattern(2).in_cross(), Site::CrossPattern(2));
        assert_eq!(Site::AttnOut(1).in_cross().to_string(), "blocks.1.hook_cross_attn_out");
        for site in Site::of_stack(2) {
            assert_eq!(site.in_encoder().layer(), site.layer());
            assert_eq!(site.in_cross().layer(), site.layer());
        }
    }
}
