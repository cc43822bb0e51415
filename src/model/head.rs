//! The main stack's vectors into logits.

use tch::{Kind, Tensor};

use super::architecture::{self, Activation, Architecture};
use super::layers::{Linear, Norm, activate};
use super::weights::Weights;
use crate::Result;

/// Everything between the final norm and the logits.
#[derive(Debug)]
pub(crate) struct Head {
    pub transform: Option<Transform>,
    /// (V,D).
    pub weight: Tensor,
    /// (V).
    pub bias: Option<Tensor>,
    pub scale: f64,
    pub soft_cap: Option<f64>,
}

/// A layer before the matrix.
#[derive(Debug)]
pub(crate) struct Transform {
    linear: Linear,
    activation: Activation,
    norm: Option<Norm>,
}

impl Transform {
    fn load(plan: &architecture::Transform, weights: &Weights) -> Result<Transform> {
        let norm = |norm| Norm::load(norm, plan.linear.outputs, weights);
        Ok(Transform {
            linear: Linear::load(&plan.linear, weights)?,
            activation: plan.activation,
            norm: plan.norm.as_ref().map(norm).transpose()?,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let active = activate(self.activation, &self.linear.forward(x)?)?;
        match &self.norm {
            Some(norm) => norm.forward(&active),
            None => Ok(active),
        }
    }

    /// The map (E,D).
    pub(crate) fn matrix(&self) -> &Tensor {
        &self.linear.weight
    }

    /// The same in float32.
    pub(crate) fn in_float(&self) -> Result<Transform> {
        let float = |tensor: &Tensor| tensor.f_to_kind(Kind::Float);
        Ok(Transform {
            linear: Linear {
                weight: float(&self.linear.weight)?,
                bias: self.linear.bias.as_ref().map(float).transpose()?,
            },
            activation: self.activation,
            norm: self.norm.as_ref().map(Norm::in_float).transpose()?,
        })
    }
}

impl Head {
    /// Logits (T,V) of the final vectors (T,D).
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = match &self.transform {
            Some(transform) => transform.forward(x)?,
            None => x.shallow_clone(),
        };
        let mut logits = x.f_linear(&self.weight, None::<&Tensor>)?;
        if self.scale != 1.0 {
            logits = logits.f_mul_scalar(self.scale)?;
        }
        if let Some(bias) = &self.bias {
            logits = logits.f_add(bias)?;
        }
        match self.soft_cap {
            Some(cap) => Ok(logits.f_div_scalar(cap)?.f_tanh()?.f_mul_scalar(cap)?),
            None => Ok(logits),
        }
    }
}

/// The main stack's token table, and the head unless the file has none.
pub(crate) fn load_ends(plan: &Architecture, weights: &Weights) -> Result<(Tensor, Option<Head>)> {
    let tokens = weights.table(&plan.main.embedding.tokens)?;
    // The head stands outside the bare model, so its names have no prefix.
    let outside = Weights { prefix: "", ..*weights };
    let head = &plan.head;
    if head.optional && !has_head(head, &outside) {
        return Ok((tokens, None));
    }
    let shape = [head.linear.outputs, head.linear.inputs];
    let weight = match head.tied {
        true => tokens.shallow_clone(),
        false => outside.tensor(&format!("{}.weight", head.linear.name), &shape)?,
    };
    let transform = head.transform.as_ref().map(|transform| Transform::load(transform, &outside)).transpose()?;
    let bias = load_bias(&head.bias, plan.vocab(), &outside)?;
    Ok((tokens, Some(Head { transform, weight, bias, scale: head.scale, soft_cap: head.soft_cap })))
}

/// A tied matrix is in every file, so the parts round it tell whether there is a head.
fn has_head(head: &architecture::Head, weights: &Weights) -> bool {
    let linears = head.transform.iter().map(|transform| &transform.linear).chain([&head.linear]);
    let matrices = linears.map(|linear| format!("{}.weight", linear.name));
    let mut own = head.bias.iter().cloned().chain(matrices);
    own.any(|name| weights.find(&name).is_some())
}

fn load_bias(names: &[String], vocab: usize, weights: &Weights) -> Result<Option<Tensor>> {
    let Some(name) = names.iter().find(|name| weights.find(name).is_some()) else { return Ok(None) };
    // BART's has a first axis of 1.
    if weights.checkpoint.shape(name).is_some_and(|shape| shape == [1, vocab]) {
        return Ok(Some(weights.tensor(name, &[1, vocab])?.f_squeeze_dim(0)?));
    }
    Ok(Some(weights.tensor(name, &[vocab])?))
}
