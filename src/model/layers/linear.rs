//! An affine map whose weight is always (out,in), whatever the file has.

use tch::{Kind, Tensor};

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
        let (first, stored) = plan.part_of.unwrap_or((0, plan.outputs));
        // A part is copied, so that it does not keep the whole in memory.
        let part = |rows: Tensor| -> Result<Tensor> {
            match plan.part_of {
                Some(_) => Ok(rows.f_narrow(0, first as i64, plan.outputs as i64)?.f_detach_copy()?),
                None => Ok(rows),
            }
        };
        let weight = match plan.layout {
            Layout::OutIn => weights.tensor(&name, &[stored, plan.inputs])?,
            Layout::InOut => weights.tensor(&name, &[plan.inputs, stored])?.f_transpose(0, 1)?,
            Layout::OutByHead(heads) => {
                weights.tensor(&plan.name, &[stored, heads, plan.inputs / heads])?.f_flatten(1, 2)?
            }
            Layout::InByHead(heads) => {
                weights.tensor(&plan.name, &[plan.inputs, heads, stored / heads])?.f_flatten(1, 2)?.f_transpose(0, 1)?
            }
        };
        let bias = match plan.bias {
            true => Some(part(weights.tensor(&format!("{}.bias", plan.name), &[stored])?)?),
            false => None,
        };
        Ok(Linear { weight: part(weight)?, bias })
    }

    /// The same in float32.
    pub(crate) fn in_float(&self) -> Result<Linear> {
        let float = |tensor: &Tensor| tensor.f_to_kind(Kind::Float);
        Ok(Linear { weight: float(&self.weight)?, bias: self.bias.as_ref().map(float).transpose()? })
    }

    /// (..,in) to (..,out).
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.weight, self.bias.as_ref())?)
    }
}

/// `cap · tanh(x / cap)`: what lies far from 0 is drawn to the cap; `x` itself without one.
pub(crate) fn soft_capped(x: Tensor, cap: Option<f64>) -> Result<Tensor> {
    match cap {
        Some(cap) => Ok(x.f_div_scalar(cap)?.f_tanh()?.f_mul_scalar(cap)?),
        None => Ok(x),
    }
}
