//! Which sites a model has, and their shapes.

use super::Model;
use super::architecture::Order;
use crate::{Error, Result, Site};

impl Model {
    /// Every site of this model in the order of the computation. [`Site::HeadOutput`] is among them, though a run
    /// keeps it only when asked to.
    pub fn sites(&self) -> Vec<Site> {
        Site::all(self.layers()).into_iter().filter(|&site| self.has_site(site)).collect()
    }

    /// The sites whose name fits `pattern`, in which `*` stands for any layer: `blocks.*.attn.hook_pattern`.
    ///
    /// # Errors
    /// When no site of this model fits.
    pub fn sites_named(&self, pattern: &str) -> Result<Vec<Site>> {
        if !pattern.contains('*') {
            let site = pattern.parse()?;
            self.check_site(site)?;
            return Ok(vec![site]);
        }
        let fits = |site: &Site| {
            site.layer().is_some_and(|layer| pattern.replacen('*', &layer.to_string(), 1) == site.to_string())
        };
        let sites: Vec<Site> = self.sites().into_iter().filter(fits).collect();
        if sites.is_empty() {
            return Err(Error::site(pattern, "fits no site of this model; write e.g. blocks.*.attn.hook_pattern"));
        }
        Ok(sites)
    }

    fn has_site(&self, site: Site) -> bool {
        let plan = self.architecture();
        let block = site.layer().and_then(|layer| plan.blocks.get(layer));
        match site {
            Site::PositionEmbedding => plan.embedding.positions.is_some(),
            Site::Embedding | Site::FinalNorm | Site::Logits => true,
            Site::RotatedQuery(_) | Site::RotatedKey(_) => block.is_some_and(|block| block.attention.rotary.is_some()),
            Site::PositionBias(_) => false,
            Site::ResidMid(_) => block.is_some_and(|block| block.order == Order::Sequential),
            Site::MlpGate(_) => block.is_some_and(|block| block.mlp.gate.is_some()),
            _ => block.is_some(),
        }
    }

    /// Refuses a site that this model does not have.
    pub(crate) fn check_site(&self, site: Site) -> Result<()> {
        if self.has_site(site) {
            return Ok(());
        }
        let layers = self.layers();
        Err(match site.layer() {
            Some(layer) if layer >= layers => {
                Error::site(site, format!("the model has {layers} layers (0 to {})", layers - 1))
            }
            _ => Error::site(site, format!("{} models have no such site", self.architecture().family)),
        })
    }

    /// The shape of a site that the model has, in a run of `t` tokens.
    pub(crate) fn site_shape(&self, site: Site, t: usize) -> Vec<i64> {
        let plan = self.architecture();
        let shape: Vec<usize> = match (site, site.layer().map(|layer| &plan.blocks[layer])) {
            (Site::Logits, _) => vec![t, plan.vocab],
            (_, None) => vec![t, plan.width],
            (site, Some(block)) => {
                let (heads, kv_heads, d) = (block.attention.heads, block.attention.kv_heads, block.attention.head_dim);
                match site {
                    Site::Query(_) | Site::RotatedQuery(_) | Site::HeadMix(_) => vec![heads, t, d],
                    Site::Key(_) | Site::RotatedKey(_) | Site::Value(_) => vec![kv_heads, t, d],
                    Site::PositionBias(_) | Site::Scores(_) | Site::Pattern(_) => vec![heads, t, t],
                    Site::HeadOutput(_) => vec![heads, t, plan.width],
                    Site::MlpPre(_) | Site::MlpGate(_) | Site::Neurons(_) => vec![t, block.mlp.up.outputs],
                    _ => vec![t, plan.width],
                }
            }
        };
        shape.into_iter().map(|n| n as i64).collect()
    }
}
