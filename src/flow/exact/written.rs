//! From what a sublayer's parts write to what they add: through the norm of what is written, where there is one.

use tch::{Kind, Tensor};

use crate::Result;
use crate::model::layers::Norm;

/// How what a sublayer writes is added to the stream, at one position. The norm's scale is held fixed at its actual
/// value, so that parts add up.
pub(super) struct Written<'a> {
    /// The norm, and what it divides by.
    norm: Option<(&'a Norm, Tensor)>,
    /// The output matrix's bias (D).
    bias: Option<Tensor>,
}

impl<'a> Written<'a> {
    /// `sum` (D) is what all parts but the bias of the output matrix write together.
    pub fn new(norm: Option<&'a Norm>, sum: &Tensor, bias: Option<&Tensor>) -> Result<Written<'a>> {
        let bias = bias.map(|bias| bias.f_to_kind(Kind::Float)).transpose()?;
        let norm = match norm {
            Some(norm) => {
                let whole = bias.as_ref().map_or_else(|| Ok(sum.shallow_clone()), |bias| sum.f_add(bias))?;
                Some((norm, norm.divisor(&whole)?))
            }
            None => None,
        };
        Ok(Written { norm, bias })
    }

    /// What parts (..,D) add, without any bias.
    pub fn parts(&self, rows: &Tensor) -> Result<Tensor> {
        match &self.norm {
            Some((norm, divisor)) => norm.linear(rows, divisor),
            None => Ok(rows.shallow_clone()),
        }
    }

    /// What is added beside the parts (D): the bias of the output matrix, and the norm's.
    pub fn bias(&self) -> Result<Option<Tensor>> {
        let own = self.bias.as_ref().map(|bias| self.parts(bias)).transpose()?;
        let of_norm = match &self.norm {
            Some((Norm { bias: Some(bias), .. }, _)) => Some(bias.f_to_kind(Kind::Float)?),
            _ => None,
        };
        Ok(match (own, of_norm) {
            (Some(own), Some(more)) => Some(own.f_add(&more)?),
            (own, more) => own.or(more),
        })
    }

    /// Whether a norm stands between.
    pub fn has_norm(&self) -> bool {
        self.norm.is_some()
    }
}
