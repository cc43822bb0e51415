//! One block: attention and MLP, each reading the stream through a norm and adding to it.

use tch::Tensor;

use super::attention::Positions;
use super::{Attention, Mlp, Norm};
use crate::Result;
use crate::model::architecture::{self, Order};
use crate::model::weights::Weights;
use crate::trace::{Site, Watcher};

/// A block and its weights.
#[derive(Debug)]
pub(crate) struct Block {
    pub order: Order,
    pub attn_norm: Norm,
    pub attention: Attention,
    /// Absent where the MLP reads what attention reads.
    pub mlp_norm: Option<Norm>,
    pub mlp: Mlp,
}

impl Block {
    pub(crate) fn load(plan: &architecture::Block, width: usize, weights: &Weights) -> Result<Block> {
        let shared = plan.order == Order::Parallel && plan.mlp_norm == plan.attn_norm;
        Ok(Block {
            order: plan.order,
            attn_norm: Norm::load(&plan.attn_norm, width, weights)?,
            attention: Attention::load(&plan.attention, weights)?,
            mlp_norm: if shared { None } else { Some(Norm::load(&plan.mlp_norm, width, weights)?) },
            mlp: Mlp::load(&plan.mlp, weights)?,
        })
    }

    /// The stream (T,D) after the block.
    pub(crate) fn forward(
        &self,
        layer: usize,
        stream: Tensor,
        positions: &Positions,
        watcher: &mut dyn Watcher,
    ) -> Result<Tensor> {
        let stream = watcher.at(Site::ResidPre(layer), stream)?;
        let attn_input = watcher.at(Site::AttnNorm(layer), self.attn_norm.forward(&stream)?)?;
        let attn_out = self.attention.forward(layer, &attn_input, positions, watcher)?;
        let with_attention = stream.f_add(&attn_out)?;
        let (mlp_reads, before_mlp) = match self.order {
            Order::Sequential => {
                let mid = watcher.at(Site::ResidMid(layer), with_attention)?;
                (mid.shallow_clone(), mid)
            }
            Order::Parallel => (stream, with_attention),
        };
        let mlp_input = match &self.mlp_norm {
            Some(norm) => norm.forward(&mlp_reads)?,
            None => attn_input,
        };
        let mlp_input = watcher.at(Site::MlpNorm(layer), mlp_input)?;
        let mlp_out = self.mlp.forward(layer, &mlp_input, watcher)?;
        watcher.at(Site::ResidPost(layer), before_mlp.f_add(&mlp_out)?)
    }
}
