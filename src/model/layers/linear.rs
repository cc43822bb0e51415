//! An affine map whose weight is always (out,in), whatever the file has.

use tch::Tensor;

use crate::Result;
use crate::model::architecture::{self, Layout};
use crate::model::weights::Weights;

/// y = W x + b.
#[derive(Debug)]
pub(crate) struct Linear {
    /// (out,in); a transposed view where the file has rows of inputs.
    pub weight: Tensor,
    /// (out).
    pub bias: Option<Tensor>,
}

impl Linear {
    pub(crate) fn load(plan: &architecture::Linear, weights: &Weights) -> Result<Linear> {
        let name = format!("{}.weight", plan.name);
        let weight = match plan.layout {
            Layout::OutIn => weights.tensor(&name, &[plan.outputs, plan.inputs])?,
            Layout::InOut => weights.tensor(&name, &[plan.inputs, plan.outputs])?.f_transpose(0, 1)?,
        };
        let bias = match plan.bias {
            true => Some(weights.tensor(&format!("{}.bias", plan.name), &[plan.outputs])?),
            false => None,
        };
        Ok(Linear { weight, bias })
    }

    /// (..,in) to (..,out).
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.weight, self.bias.as_ref())?)
    }
}
