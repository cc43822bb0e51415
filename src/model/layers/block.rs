//! One block: attention and MLP, each adding to the stream, and the norms round them.

use tch::Tensor;

use super::attention::Positions;
use super::{Attention, Mlp, Norm};
use crate::model::Sublayer;
use crate::model::architecture;
use crate::model::cache::Past;
use crate::model::weights::Weights;
use crate::site::{Site, Watcher, Within};
use crate::{Error, Result};

/// A block and its weights.
#[derive(Debug)]
pub(crate) struct Block {
    plan: architecture::Block,
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
    /// The layer's keys and values of the output, once they were computed.
    pub past: Option<&'a Past>,
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

    /// What is added to the stream.
    pub(crate) fn write(&self, written: Tensor) -> Result<Tensor> {
        match &self.written {
            Some(norm) => norm.forward(&written),
            None => Ok(written),
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
            plan: plan.clone(),
            attn_norms: Norms::load(&plan.attn_norms, width, weights)?,
            attention: Attention::load(&plan.attention, weights)?,
            cross,
            mlp_norms: Norms::load(&plan.mlp_norms, width, weights)?,
            mlp: Mlp::load(&plan.mlp, weights)?,
        })
    }

    /// The stream (T,D) after the block, by its [routes](architecture::Block::routes).
    pub(crate) fn forward(
        &self,
        layer: usize,
        stream: Tensor,
        positions: &Positions,
        memory: Option<&Memory>,
        watcher: &mut dyn Watcher,
    ) -> Result<Tensor> {
        let mut stream = watcher.at(Site::ResidPre(layer), stream)?;
        // What a parallel block's attention leaves to its MLP: what it read, and the stream with what it wrote.
        let mut beside: Option<(Tensor, Tensor)> = None;
        let routes = self.plan.routes(layer);
        for (index, route) in routes.iter().enumerate() {
            let Some(norms) = self.norms(route.sublayer) else { continue };
            let mut normed =
                |norm: &Norm, of: &Tensor| watcher.at(route.normed.unwrap_or(route.reads), norm.forward(of)?);
            let carries = match &norms.first {
                Some(norm) => normed(norm, &stream)?,
                None => stream,
            };
            let reads = match (&norms.before, &beside) {
                (Some(norm), _) => normed(norm, &carries)?,
                (None, Some((read, _))) => watcher.at(Site::MlpNorm(layer), read.shallow_clone())?,
                (None, None) => carries.shallow_clone(),
            };
            let written = self.written(route.sublayer, layer, &reads, positions, memory, watcher)?;
            let added = watcher.at(route.writes, norms.write(written)?)?;
            let sum = match beside.take() {
                Some((_, sum)) => sum.f_add(&added)?,
                None => carries.f_add(&added)?,
            };
            if routes.get(index + 1).is_some_and(|next| next.sum == route.sum) {
                beside = Some((reads, sum));
                stream = carries;
                continue;
            }
            let sum = watcher.at(route.sum, sum)?;
            stream = match &norms.after {
                Some(norm) => watcher.at(route.leaves, norm.forward(&sum)?)?,
                None => sum,
            };
        }
        Ok(stream)
    }

    /// What a sublayer writes of the rows `reads` (T,D).
    fn written(
        &self,
        sublayer: Sublayer,
        layer: usize,
        reads: &Tensor,
        positions: &Positions,
        memory: Option<&Memory>,
        watcher: &mut dyn Watcher,
    ) -> Result<Tensor> {
        match (sublayer, &self.cross, memory) {
            (Sublayer::Attention, ..) => self.attention.forward(layer, reads, None, positions, watcher),
            (Sublayer::Mlp, ..) => self.mlp.forward(layer, reads, watcher),
            (Sublayer::Cross, Some(cross), Some(memory)) => {
                let past = memory.past.map(|past| (past, 0));
                let hidden = memory.hidden;
                let positions = Positions { hidden, elsewhere: None, rotation: None, bias: None, relative: None, past };
                let watcher = &mut Within { watcher, name: Site::in_cross };
                cross.attention.forward(layer, reads, Some(memory.output), &positions, watcher)
            }
            (Sublayer::Cross, ..) => {
                Err(Error::Input("cross attention has no encoder's output to read; give the encoder a text".to_owned()))
            }
        }
    }
}
