//! The main stack's vectors into logits.

use tch::{Kind, Tensor};

use super::architecture::{self, Activation, Architecture};
use super::layers::{Linear, Norm, activate, soft_capped};
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
        Ok(Transform {
            linear: self.linear.in_float()?,
            activation: self.activation,
            norm: self.norm.as_ref().map(Norm::in_float).transpose()?,
        })
    }
}

impl Head {
    /// Logits (T,V) of the final vectors (T,D).
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.finish(self.transformed(x)?.f_linear(&self.weight, None::<&Tensor>)?)
    }

    /// What the matrix reads of the final vectors (T,D).
    pub(crate) fn transformed(&self, x: &Tensor) -> Result<Tensor> {
        match &self.transform {
            Some(transform) => transform.forward(x),
            None => Ok(x.shallow_clone()),
        }
    }

    /// Logits (T,V) of the products with the matrix's rows.
    pub(crate) fn finish(&self, products: Tensor) -> Result<Tensor> {
        let mut logits = self.scaled(products)?;
        if let Some(bias) = &self.bias {
            logits = logits.f_add(bias)?;
        }
        soft_capped(logits, self.soft_cap)
    }

    /// Products without what is not linear, and without the bias.
    pub(crate) fn scaled(&self, products: Tensor) -> Result<Tensor> {
        if self.scale == 1.0 { Ok(products) } else { Ok(products.f_mul_scalar(self.scale)?) }
    }

    /// The same in float32, but for the matrix itself: it is the largest tensor of most models, and who needs it in
    /// float32 need not keep it.
    pub(crate) fn in_float(&self) -> Result<Head> {
        Ok(Head {
            transform: self.transform.as_ref().map(Transform::in_float).transpose()?,
            weight: self.weight.shallow_clone(),
            bias: self.bias.as_ref().map(|bias| bias.f_to_kind(Kind::Float)).transpose()?,
            scale: self.scale,
            soft_cap: self.soft_cap,
        })
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
