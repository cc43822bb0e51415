//! Norms of queries and keys, head by head or of all heads together.

use tch::{Kind, Tensor};

use super::Norm;
use crate::Result;
use crate::model::architecture::{self, NormKind, Span};
use crate::model::weights::Weights;

/// The norm of queries, or of keys.
#[derive(Debug)]
pub(crate) enum HeadNorm {
    /// All heads have the same (d).
    Same(Norm),
    /// Each head has its own (d).
    Own(Vec<Norm>),
    /// One norm of all heads side by side (H·d), by root mean square.
    Together(Norm),
}

impl HeadNorm {
    pub(crate) fn load(
        plan: &architecture::Norm,
        span: Span,
        (heads, head_dim): (usize, usize),
        weights: &Weights,
    ) -> Result<HeadNorm> {
        Ok(match span {
            Span::Head => HeadNorm::Same(Norm::load(plan, head_dim, weights)?),
            Span::AllHeads => HeadNorm::Together(Norm::load(plan, heads * head_dim, weights)?),
            Span::EachHead => {
                let of_head = |head| architecture::Norm { name: format!("{}.{head}", plan.name), ..plan.clone() };
                let norms = (0..heads).map(|head| Norm::load(&of_head(head), head_dim, weights));
                HeadNorm::Own(norms.collect::<Result<_>>()?)
            }
        })
    }

    /// Normed heads of `x` (H,T,d).
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            HeadNorm::Same(norm) => norm.forward(x),
            HeadNorm::Own(norms) => {
                let heads = norms.iter().enumerate().map(|(head, norm)| norm.forward(&x.f_select(-3, head as i64)?));
                Ok(Tensor::f_stack(&heads.collect::<Result<Vec<_>>>()?, -3)?)
            }
            HeadNorm::Together(norm) => {
                let by_position = x.f_transpose(-3, -2)?;
                let (heads, width) = (x.size()[x.dim() - 3], x.size()[x.dim() - 1]);
                let normed = norm.forward(&by_position.f_flatten(-2, -1)?)?;
                Ok(normed.f_unflatten(-1, [heads, width])?.f_transpose(-3, -2)?)
            }
        }
    }

    /// Directions `along` (n,d) behind the norm of one head as directions before it, and what its bias adds to each.
    /// What the norm divides by is held fixed at the rows `x` (H,1,d) of all heads.
    pub(crate) fn pull_back(&self, head: usize, x: &Tensor, along: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let width = along.size()[1];
        let (norm, input, first) = match self {
            HeadNorm::Same(norm) => (norm, x.f_get(head as i64)?, 0),
            HeadNorm::Own(norms) => (&norms[head], x.f_get(head as i64)?, 0),
            HeadNorm::Together(norm) => (norm, x.f_reshape([1, -1])?, head as i64 * width),
        };
        let part =
            |tensor: &Tensor| -> Result<Tensor> { Ok(tensor.f_narrow(0, first, width)?.f_to_kind(Kind::Float)?) };
        let constant = match &norm.bias {
            Some(bias) => Some(along.f_mv(&part(bias)?)?),
            None => None,
        };
        let mut before = along.f_mul(&part(&norm.gain)?)?.f_div(&norm.divisor(&input)?)?;
        if matches!(norm.kind, NormKind::Layer { .. }) {
            before = before.f_sub(&before.f_mean_dim([-1i64].as_slice(), true, Kind::Float)?)?;
        }
        Ok((before, constant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rms(gain: &[f32]) -> Norm {
        Norm { kind: NormKind::Rms { eps: 1e-5 }, gain: Tensor::from_slice(gain), bias: None }
    }

    /// Two heads of width 2 at three positions.
    fn heads() -> Tensor {
        Tensor::from_slice(&[1f32, 2., -1., 0.5, 3., 1., 0.25, -2., 1., 1., 2., -4.]).reshape([2, 3, 2])
    }

    #[test]
    fn one_norm_of_all_heads_divides_them_alike() {
        let normed = HeadNorm::Together(rms(&[1., 2., 3., 4.])).forward(&heads()).unwrap();
        let divisor = ((1.0 + 4.0 + 0.0625 + 4.0) / 4.0 + 1e-5f64).sqrt();
        assert!((normed.double_value(&[0, 0, 1]) - 2.0 * 2.0 / divisor).abs() < 1e-6);
        assert!((normed.double_value(&[1, 0, 1]) + 4.0 * 2.0 / divisor).abs() < 1e-6);
    }

    /// Dotted with what stands before the norm, a direction pulled back gives what it gives behind it.
    #[test]
    fn a_direction_pulled_back_gives_the_same_numbers() {
        let norms = [
            HeadNorm::Same(rms(&[1., 2.])),
            HeadNorm::Own(vec![rms(&[1., 2.]), rms(&[3., -1.])]),
            HeadNorm::Together(rms(&[1., 2., 3., 4.])),
        ];
        let along = Tensor::from_slice(&[0.5f32, -1., 2., 1.]).reshape([2, 2]);
        for norm in norms {
            let row = heads().narrow(1, 1, 1);
            let (before, constant) = norm.pull_back(1, &row, &along).unwrap();
            let wanted = along.mv(&norm.forward(&row).unwrap().get(1).get(0));
            let found = before.mv(&row.get(1).get(0));
            assert!(constant.is_none() && (wanted - found).abs().max().double_value(&[]) < 1e-5);
        }
    }
}
