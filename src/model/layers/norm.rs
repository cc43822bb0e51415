//! Norms over the last axis, always computed in float32.

use tch::{Kind, Tensor};

use crate::Result;
use crate::model::architecture::{self, Gain, NormKind};
use crate::model::weights::Weights;

/// Gain, bias and kind of one norm.
#[derive(Debug)]
pub(crate) struct Norm {
    pub kind: NormKind,
    /// (width)
    pub gain: Tensor,
    /// (width)
    pub bias: Option<Tensor>,
}

impl Norm {
    pub(crate) fn load(plan: &architecture::Norm, width: usize, weights: &Weights) -> Result<Norm> {
        let stored = || weights.tensor(&format!("{}.weight", plan.name), &[width]);
        let gain = match plan.gain {
            Gain::Stored => stored()?,
            // In float32: half precision has no room for small numbers beside the 1.
            Gain::StoredLessOne => stored()?.f_to_kind(Kind::Float)?.f_add_scalar(1.0)?,
            Gain::None => Tensor::f_ones([width as i64], (Kind::Float, weights.device.torch()))?,
        };
        let bias = match plan.bias {
            true => Some(weights.tensor(&format!("{}.bias", plan.name), &[width])?),
            false => None,
        };
        Ok(Norm { kind: plan.kind, gain, bias })
    }

    /// Normed rows of `x` (..,width), in the type of `x`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let kind = x.kind();
        if kind == Kind::Float && self.gain.kind() == Kind::Float {
            return self.forward_float(x, &self.gain, self.bias.as_ref());
        }
        let bias = self.bias.as_ref().map(|bias| bias.f_to_kind(Kind::Float)).transpose()?;
        let normed =
            self.forward_float(&x.f_to_kind(Kind::Float)?, &self.gain.f_to_kind(Kind::Float)?, bias.as_ref())?;
        Ok(normed.f_to_kind(kind)?)
    }

    fn forward_float(&self, x: &Tensor, gain: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let width = gain.size();
        Ok(match self.kind {
            NormKind::Layer { eps } => x.f_layer_norm(width, Some(gain), bias, eps, false)?,
            NormKind::Rms { eps } => {
                let normed = x.f_rms_norm(width, Some(gain), eps)?;
                match bias {
                    Some(bias) => normed.f_add(bias)?,
                    None => normed,
                }
            }
        })
    }

    /// The same in float32.
    pub(crate) fn in_float(&self) -> Result<Norm> {
        let float = |tensor: &Tensor| tensor.f_to_kind(Kind::Float);
        Ok(Norm { kind: self.kind, gain: float(&self.gain)?, bias: self.bias.as_ref().map(float).transpose()? })
    }

    /// What rows of `x` (..,width) are divided by: with it held fixed the norm is linear in its input, so that the
    /// parts of a sum can be followed through it.
    pub(crate) fn divisor(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.f_to_kind(Kind::Float)?;
        let (centred, eps) = match self.kind {
            NormKind::Layer { eps } => (&x - x.f_mean_dim(-1i64, true, None)?, eps),
            NormKind::Rms { eps } => (x, eps),
        };
        Ok(centred.f_square()?.f_mean_dim(-1i64, true, None)?.f_add_scalar(eps)?.f_sqrt()?)
    }

    /// Rows (..,width) through the norm with its divisor held fixed and its bias left out, float32: those of parts add
    /// up to that of their sum.
    pub(crate) fn linear(&self, rows: &Tensor, divisor: &Tensor) -> Result<Tensor> {
        let rows = self.centred(rows.f_to_kind(Kind::Float)?)?;
        Ok(rows.f_div(divisor)?.f_mul(&self.gain.f_to_kind(Kind::Float)?)?)
    }

    /// Directions (..,width) behind [`linear`](Self::linear) as directions before it: products with what goes in are
    /// those of the former with what comes out.
    pub(crate) fn pull_back(&self, along: &Tensor, divisor: &Tensor) -> Result<Tensor> {
        let along = along.f_to_kind(Kind::Float)?.f_mul(&self.gain.f_to_kind(Kind::Float)?)?;
        self.centred(along.f_div(divisor)?)
    }

    /// The gradient with respect to what goes in, `x` (..,width), of a number whose gradient with respect to what comes
    /// out is `along` (..,width), the divisor's own change included; float32.
    pub(crate) fn gradient(&self, along: &Tensor, x: &Tensor) -> Result<Tensor> {
        self.slope(&along.f_to_kind(Kind::Float)?.f_mul(&self.gain.f_to_kind(Kind::Float)?)?, x)
    }

    /// What small differences (..,width) of what goes in, `x` (..,width), make of what comes out; float32.
    pub(crate) fn derivative(&self, differences: &Tensor, x: &Tensor) -> Result<Tensor> {
        Ok(self.slope(&differences.f_to_kind(Kind::Float)?, x)?.f_mul(&self.gain.f_to_kind(Kind::Float)?)?)
    }

    /// Rows (..,width) times the derivative at `x` without the gain: it is symmetric.
    fn slope(&self, rows: &Tensor, x: &Tensor) -> Result<Tensor> {
        let divisor = self.divisor(x)?;
        let normed = self.centred(x.f_to_kind(Kind::Float)?)?.f_div(&divisor)?;
        let along_it = normed.f_mul(&rows.f_mul(&normed)?.f_mean_dim(-1i64, true, None)?)?;
        Ok(self.centred(rows.shallow_clone())?.f_sub(&along_it)?.f_div(&divisor)?)
    }

    fn centred(&self, rows: Tensor) -> Result<Tensor> {
        Ok(match self.kind {
            NormKind::Layer { .. } => rows.f_sub(&rows.f_mean_dim(-1i64, true, None)?)?,
            NormKind::Rms { .. } => rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dividing_by_the_divisor_is_the_norm() {
        let x = Tensor::from_slice(&[1f32, -2., 4., 0.5]).reshape([1, 4]);
        let gain = Tensor::from_slice(&[1f32, 2., 3., 4.]);
        let rms = Norm { kind: NormKind::Rms { eps: 1e-3 }, gain: gain.shallow_clone(), bias: None };
        let by_hand = &x / rms.divisor(&x).unwrap() * &gain;
        assert!((rms.forward(&x).unwrap() - by_hand).abs().max().double_value(&[]) < 1e-6);
        let bias = Tensor::from_slice(&[0.5f32, 0., 0., 1.]);
        let layer =
            Norm { kind: NormKind::Layer { eps: 1e-3 }, gain: gain.shallow_clone(), bias: Some(bias.shallow_clone()) };
        let by_hand = (&x - x.mean(tch::Kind::Float)) / layer.divisor(&x).unwrap() * &gain + bias;
        assert!((layer.forward(&x).unwrap() - by_hand).abs().max().double_value(&[]) < 1e-6);
    }

    #[test]
    fn its_gradient_is_that_of_the_forward_pass() {
        for kind in [NormKind::Layer { eps: 1e-3 }, NormKind::Rms { eps: 1e-3 }] {
            let norm = Norm { kind, gain: Tensor::from_slice(&[1f32, 2., 3., 4.]), bias: None };
            let x =
                Tensor::from_slice(&[1f32, -2., 4., 0.5, 0.1, 0.2, -0.3, 1.]).reshape([2, 4]).set_requires_grad(true);
            let along = Tensor::from_slice(&[1f32, 0.5, -1., 2., 3., -1., 0., 0.7]).reshape([2, 4]);
            (norm.forward(&x).unwrap() * &along).sum(Kind::Float).backward();
            let found = norm.gradient(&along, &x.detach()).unwrap();
            assert!((found - x.grad()).abs().max().double_value(&[]) < 1e-5);
            let (x, step) = (x.detach(), 1e-2);
            let moved = (norm.forward(&(&x + &along * step)).unwrap() - norm.forward(&(&x - &along * step)).unwrap())
                / (2.0 * step);
            assert!((norm.derivative(&along, &x).unwrap() - moved).abs().max().double_value(&[]) < 1e-2);
        }
    }

    #[test]
    fn with_its_divisor_fixed_a_norm_is_linear_and_directions_go_back_through_it() {
        let x = Tensor::from_slice(&[1f32, -2., 4., 0.5]).reshape([1, 4]);
        let part = Tensor::from_slice(&[0.25f32, 1., -3., 0.5]).reshape([1, 4]);
        let along = Tensor::from_slice(&[1f32, 0.5, -1., 2.]).reshape([1, 4]);
        for kind in [NormKind::Layer { eps: 1e-3 }, NormKind::Rms { eps: 1e-3 }] {
            let norm = Norm { kind, gain: Tensor::from_slice(&[1f32, 2., 3., 4.]), bias: None };
            let divisor = norm.divisor(&x).unwrap();
            let sum = norm.linear(&part, &divisor).unwrap() + norm.linear(&(&x - &part), &divisor).unwrap();
            assert!((norm.forward(&x).unwrap() - sum).abs().max().double_value(&[]) < 1e-6);
            let before = (norm.pull_back(&along, &divisor).unwrap() * &part).sum(Kind::Float);
            let behind = (norm.linear(&part, &divisor).unwrap() * &along).sum(Kind::Float);
            assert!((before - behind).abs().double_value(&[]) < 1e-6);
        }
    }
}
