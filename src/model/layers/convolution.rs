//! A convolution over neighbouring positions.

use std::ops::Range;

use tch::Tensor;

use super::{Norm, activate};
use crate::Result;
use crate::model::architecture::{self, Activation};
use crate::model::weights::Weights;

/// What a convolution of the embedding adds to the stream after the first block.
#[derive(Debug)]
pub(crate) struct Convolution {
    /// (D,D/groups,kernel).
    weight: Tensor,
    /// (D).
    bias: Tensor,
    groups: i64,
    activation: Activation,
    norm: Norm,
}

impl Convolution {
    pub(crate) fn load(plan: &architecture::Convolution, width: usize, weights: &Weights) -> Result<Convolution> {
        let shape = [width, width / plan.groups, plan.kernel];
        Ok(Convolution {
            weight: weights.tensor(&format!("{}.weight", plan.name), &shape)?,
            bias: weights.tensor(&format!("{}.bias", plan.name), &[width])?,
            groups: plan.groups as i64,
            activation: plan.activation,
            norm: Norm::load(&plan.norm, width, weights)?,
        })
    }

    /// The stream (T,D) with what the embedded rows (T,D) and their neighbours in the same text add to it, normed.
    pub(crate) fn forward(
        &self,
        embedded: &Tensor,
        stream: &Tensor,
        texts: impl Iterator<Item = Range<usize>>,
    ) -> Result<Tensor> {
        let rows = embedded.f_transpose(-2, -1)?;
        let beside = (self.weight.size()[2] - 1) / 2;
        let mixed = |text: Range<usize>| -> Result<Tensor> {
            let rows = rows.f_narrow(-1, text.start as i64, text.len() as i64)?;
            Ok(rows.f_conv1d(&self.weight, Some(&self.bias), [1], [beside], [1], self.groups)?)
        };
        let mixed = Tensor::f_cat(&texts.map(mixed).collect::<Result<Vec<_>>>()?, -1)?.f_transpose(-2, -1)?;
        self.norm.forward(&stream.f_add(&activate(self.activation, &mixed)?)?)
    }
}
