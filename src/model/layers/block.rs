//! One block: attention and MLP, each adding to the stream, and the norms round them.

use tch::Tensor;

use super::attention::Positions;
use super::{Attention, Mlp, Norm};
use crate::Result;
use crate::model::Sublayer;
use crate::model::architecture::{self, Order};
use crate::model::weights::Weights;
use crate::site::{Site, Watcher, Within};

/// A block and its weights.
#[derive(Debug)]
pub(crate) struct Block {
    pub order: Order,
    pub attn_norms: Norms,
    pub attention: Attention,
    pub cross: Option<Cross>,
    pub mlp_norms: Norms,
    pub mlp: Mlp,
}

/// Attention to the encoder's output.
#[derive(Debug)]
pub(crate) struct Cross {
    pub norms: Norms,
    pub attention: Attention,
}

/// The norms round attention or MLP: of the stream, of what is read, of what is written, of the stream after adding.
#[derive(Debug)]
pub(crate) struct Norms {
    pub first: Option<Norm>,
    pub before: Option<Norm>,
    pub written: Option<Norm>,
    pub after: Option<Norm>,
}

impl Block {
    /// The norms round a sublayer; `None` for one that the block does not have.
    pub(crate) fn norms(&self, sublayer: Sublayer) -> Option<&Norms> {
        match sublayer {
            Sublayer::Attention => Some(&self.attn_norms),
            Sublayer::Cross => self.cross.as_ref().map(|cross| &cross.norms),
            Sublayer::Mlp => Some(&self.mlp_norms),
        }
    }
}

/// What an encoder gives its decoder.
pub(crate) struct Memory<'a> {
    /// The encoder's output (S,D).
    pub output: &'a Tensor,
    /// (T,S), true where a position must not be seen.
    pub hidden: &'a Tensor,
}

impl Norms {
    fn load(plan: &architecture::Norms, width: usize, weights: &Weights) -> Result<Norms> {
        let load =
            |norm: &Option<architecture::Norm>| norm.as_ref().map(|norm| Norm::load(norm, width, weights)).transpose();
        Ok(Norms {
            first: load(&plan.first)?,
            before: load(&plan.before)?,
            written: load(&plan.written)?,
            after: load(&plan.after)?,
        })
    }

    /// The stream that is read and added to.
    fn enter(&self, site: Site, stream: Tensor, watcher: &mut dyn Watcher) -> Result<Tensor> {
        match &self.first {
            Some(norm) => watcher.at(site, norm.forward(&stream)?),
            None => Ok(stream),
        }
    }

    /// What is read of the stream.
    fn read(&self, site: Site, stream: &Tensor, watcher: &mut dyn Watcher) -> Result<Tensor> {
        match &self.before {
            Some(norm) => watcher.at(site, norm.forward(stream)?),
            None => Ok(stream.shallow_clone()),
        }
    }

    /// What is added to the stream.
    fn write(&self, written: Tensor) -> Result<Tensor> {
        match &self.written {
            Some(norm) => norm.forward(&written),
            None => Ok(written),
        }
    }

    /// What the stream goes on with.
    fn go_on(&self, site: Site, stream: Tensor, watcher: &mut dyn Watcher) -> Result<Tensor> {
        match &self.after {
            Some(norm) => watcher.at(site, norm.forward(&stream)?),
            None => Ok(stream),
        }
    }
}

impl Block {
    pub(crate) fn load(plan: &architecture::Block, width: usize, weights: &Weights) -> Result<Block> {
        let cross = match &plan.cross {
            Some(cross) => Some(Cross {
                norms: Norms::load(&cross.norms, width, weights)?,
                attention: Attention::load(&cross.attention, weights)?,
            }),
            None => None,
        };
        Ok(Block {
            order: plan.order,
            attn_norms: Norms::load(&plan.attn_norms, width, weights)?,
            attention: Attention::load(&plan.attention, weights)?,
            cross,
            mlp_norms: Norms::load(&plan.mlp_norms, width, weights)?,
            mlp: Mlp::load(&plan.mlp, weights)?,
        })
    }

    /// The stream (T,D) after the block.
    pub(crate) fn forward(
        &self,
        layer: usize,
        stream: Tensor,
        positions: &Positions,
        memory: Option<&Memory>,
        watcher: &mut dyn Watcher,
    ) -> Result<Tensor> {
        let stream = watcher.at(Site::ResidPre(layer), stream)?;
        let stream = self.attn_norms.enter(Site::AttnNorm(layer), stream, watcher)?;
        let attn_input = self.attn_norms.read(Site::AttnNorm(layer), &stream, watcher)?;
        let written = self.attention.forward(layer, &attn_input, None, positions, watcher)?;
        let attn_out = watcher.at(Site::AttnOut(layer), self.attn_norms.write(written)?)?;
        let with_attention = stream.f_add(&attn_out)?;
        if self.order == Order::Parallel {
            let mlp_input = match &self.mlp_norms.before {
                Some(norm) => norm.forward(&stream)?,
                None => attn_input,
            };
            let mlp_input = watcher.at(Site::MlpNorm(layer), mlp_input)?;
            let mlp_out = self.mlp_out(layer, &mlp_input, watcher)?;
            return watcher.at(Site::ResidPost(layer), with_attention.f_add(&mlp_out)?);
        }
        let middle = watcher.at(Site::ResidMid(layer), with_attention)?;
        let mut middle = self.attn_norms.go_on(Site::AttnNorm(layer), middle, watcher)?;
        if let (Some(cross), Some(memory)) = (&self.cross, memory) {
            let watcher = &mut Within { watcher, name: Site::in_cross };
            middle = cross.forward(layer, middle, memory, watcher)?;
        }
        let middle = self.mlp_norms.enter(Site::MlpNorm(layer), middle, watcher)?;
        let mlp_input = self.mlp_norms.read(Site::MlpNorm(layer), &middle, watcher)?;
        let mlp_out = self.mlp_out(layer, &mlp_input, watcher)?;
        let stream = watcher.at(Site::ResidPost(layer), middle.f_add(&mlp_out)?)?;
        self.mlp_norms.go_on(Site::MlpNorm(layer), stream, watcher)
    }

    /// What the MLP adds to the stream.
    fn mlp_out(&self, layer: usize, input: &Tensor, watcher: &mut dyn Watcher) -> Result<Tensor> {
        let written = self.mlp.forward(layer, input, watcher)?;
        watcher.at(Site::MlpOut(layer), self.mlp_norms.write(written)?)
    }
}

impl Cross {
    /// The stream (T,D) after cross attention.
    fn forward(&self, layer: usize, stream: Tensor, memory: &Memory, watcher: &mut dyn Watcher) -> Result<Tensor> {
        let input = self.norms.read(Site::AttnNorm(layer), &stream, watcher)?;
        let positions = Positions { hidden: memory.hidden, rotation: None, bias: None, relative: None };
        let written = self.attention.forward(layer, &input, Some(memory.output), &positions, watcher)?;
        let out = watcher.at(Site::AttnOut(layer), self.norms.write(written)?)?;
        let stream = watcher.at(Site::ResidMid(layer), stream.f_add(&out)?)?;
        self.norms.go_on(Site::AttnNorm(layer), stream, watcher)
    }
}
