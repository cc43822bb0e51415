//! Which sites a model has, and their shapes.

use super::architecture::Stack;
use super::layers::{self, Attention};
use super::routes::Route;
use super::{Model, Tokens};
use crate::site::{Part, Site};
use crate::{Error, Result};

impl Model {
    /// The ways through the sublayers of a block, in the order of the computation.
    pub(crate) fn routes(&self, layer: usize) -> Vec<Route> {
        self.architecture().main.blocks[layer].routes(layer)
    }

    /// The residual stream after a layer.
    pub(crate) fn stream_after(&self, layer: usize) -> Site {
        self.routes(layer).last().map_or(Site::ResidPost(layer), |route| route.leaves)
    }

    /// [`stream_after`](Model::stream_after) in the encoder or the main stack.
    pub(crate) fn stream_after_in(&self, layer: usize, part: Part) -> Site {
        match (part, &self.architecture().encoder) {
            (Part::Encoder, Some(encoder)) => {
                let routes = encoder.blocks.get(layer).map(|block| block.routes(layer)).unwrap_or_default();
                routes.last().map_or(Site::ResidPost(layer), |route| route.leaves).in_encoder()
            }
            _ => self.stream_after(layer),
        }
    }

    /// The residual stream as it leaves the last layer: what the final norm reads.
    pub(crate) fn last_stream(&self) -> Site {
        self.layers().checked_sub(1).map_or(Site::ResidPre(0), |last| self.stream_after(last))
    }

    /// Every site of this model in the order of the computation. [`Site::HeadOutput`] is among them, though a run
    /// keeps it only when asked to.
    pub fn sites(&self) -> Vec<Site> {
        let encoder = Site::of_stack(self.encoder_layers()).into_iter().map(Site::in_encoder);
        let encoder = encoder.filter(|site| site.part() == Part::Encoder);
        let main = Site::of_stack(self.layers()).into_iter().chain([Site::Logits]);
        encoder.chain(main).filter(|&site| self.has_site(site)).collect()
    }

    /// The sites whose name matches `pattern`, in which `*` stands for any layer: `blocks.*.attn.hook_pattern`. Names of
    /// an encoder's sites start with `encoder.`; those of its decoder may start with `decoder.`.
    ///
    /// # Errors
    /// When no site of this model matches.
    pub fn sites_named(&self, pattern: &str) -> Result<Vec<Site>> {
        if !pattern.contains('*') {
            let site = pattern.parse()?;
            self.check_site(site)?;
            return Ok(vec![site]);
        }
        let name = pattern.strip_prefix("decoder.").unwrap_or(pattern);
        let fits = |site: &Site| {
            site.layer().is_some_and(|layer| name.replacen('*', &layer.to_string(), 1) == site.to_string())
        };
        let sites: Vec<Site> = self.sites().into_iter().filter(fits).collect();
        if sites.is_empty() {
            return Err(Error::site(pattern, "fits no site of this model; write e.g. blocks.*.attn.hook_pattern"));
        }
        Ok(sites)
    }

    /// The name of a site in files: a decoder's start with `decoder.` where there is also an encoder.
    pub fn site_name(&self, site: Site) -> String {
        match (site.part(), &self.architecture().encoder) {
            (Part::Main | Part::Cross, Some(_)) if site != Site::Logits => format!("decoder.{site}"),
            _ => site.to_string(),
        }
    }

    /// The plan of the stack that a site lies in.
    fn stack_of(&self, site: Site) -> Option<&Stack> {
        let plan = self.architecture();
        if site.part() == Part::Encoder { plan.encoder.as_ref() } else { Some(&plan.main) }
    }

    fn has_site(&self, site: Site) -> bool {
        let Some(stack) = self.stack_of(site) else { return false };
        let block = site.layer().and_then(|layer| stack.blocks.get(layer));
        if site == Site::Logits {
            return self.network().head.is_some();
        }
        let Some(block) = block else {
            return match site.plain() {
                Site::PositionEmbedding => stack.embedding.positions.is_some(),
                Site::Embedding | Site::FinalNorm => true,
                _ => false,
            };
        };
        if site.part() == Part::Cross && block.cross.is_none() {
            return false;
        }
        match site.plain() {
            Site::RotatedQuery(_) | Site::RotatedKey(_) => block.attention.rotary.is_some(),
            Site::PositionBias(_) => block.attention.position_bias.is_some() || block.attention.relative.is_some(),
            Site::MlpGate(_) => block.mlp.gate.is_some(),
            Site::ExpertWeights(_) => block.mlp.experts.is_some(),
            Site::AttnNorm(layer) | Site::MlpNorm(layer) | Site::ResidMid(layer) => {
                let site = if site.part() == Part::Encoder { site.plain() } else { site };
                block.routes(layer).iter().any(|route| route.sites().any(|own| own == site))
            }
            _ => true,
        }
    }

    /// Refuses a site that this model does not have.
    pub(crate) fn check_site(&self, site: Site) -> Result<()> {
        if self.has_site(site) {
            return Ok(());
        }
        let layers = self.stack_of(site).map_or(0, |stack| stack.blocks.len());
        Err(match site.layer() {
            Some(layer) if layers > 0 && layer >= layers => {
                Error::site(site, format!("the model has {layers} layers (0 to {}); choose one of them", layers - 1))
            }
            _ if site == Site::Logits => return self.head().map(|_| ()),
            _ => Error::site(
                site,
                format!(
                    "{} models have no such site; Model::sites() lists those of this model",
                    self.architecture().family
                ),
            ),
        })
    }

    /// The attention of the layer and part that a site lies in.
    pub(crate) fn attention(&self, site: Site) -> Option<&Attention> {
        let block = self.block(site)?;
        match site.part() {
            Part::Cross => block.cross.as_ref().map(|cross| &cross.attention),
            Part::Encoder | Part::Main => Some(&block.attention),
        }
    }

    /// The block of the layer and part that a site lies in.
    pub(crate) fn block(&self, site: Site) -> Option<&layers::Block> {
        let network = self.network();
        let stack = if site.part() == Part::Encoder { network.encoder.as_ref()? } else { &network.main };
        site.layer().filter(|&layer| layer < stack.layers()).map(|layer| stack.block(layer))
    }

    /// The shape of a site that the model has, in a run of `tokens`.
    pub(crate) fn site_shape(&self, site: Site, tokens: &Tokens) -> Vec<i64> {
        let source = tokens.source.as_ref().map_or(0, |source| source.len());
        let part = site.part();
        let (t, s) = match part {
            Part::Encoder => (source, source),
            Part::Main => (tokens.len(), tokens.len()),
            Part::Cross => (tokens.len(), source),
        };
        let stack = self.stack_of(site).unwrap_or(&self.architecture().main);
        let block = site.layer().map(|layer| &stack.blocks[layer]);
        let shape = match (site.plain(), block) {
            (Site::Logits, _) => vec![t, self.architecture().vocab()],
            (Site::Embedding, _) => vec![t, stack.embedding.tokens.width],
            (Site::PositionEmbedding, _) => vec![t, stack.embedding.summed_width()],
            (Site::FinalNorm, _) => vec![t, stack.project.as_ref().map_or(stack.width, |project| project.outputs)],
            (_, None) => vec![t, stack.width],
            (site, Some(block)) => {
                let attention = match (part, &block.cross) {
                    (Part::Cross, Some(cross)) => &cross.attention,
                    _ => &block.attention,
                };
                let (heads, kv_heads, d) = (attention.heads, attention.kv_heads, attention.head_dim);
                match site {
                    Site::Query(_) | Site::RotatedQuery(_) | Site::HeadMix(_) => vec![heads, t, d],
                    Site::Key(_) | Site::RotatedKey(_) | Site::Value(_) => vec![kv_heads, s, d],
                    Site::PositionBias(_) | Site::Scores(_) | Site::Pattern(_) => vec![heads, t, s],
                    Site::HeadOutput(_) => vec![heads, t, stack.width],
                    Site::MlpPre(_) | Site::MlpGate(_) | Site::Neurons(_) => vec![t, block.mlp.neurons()],
                    Site::ExpertWeights(_) => vec![t, block.mlp.experts.as_ref().map_or(0, |experts| experts.count)],
                    _ => vec![t, stack.width],
                }
            }
        };
        shape.into_iter().map(|n| n as i64).collect()
    }
}
