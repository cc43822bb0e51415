//! The feed-forward part of a block, neurons in the open.

use tch::Tensor;

use super::{Experts, Linear};
use crate::Result;
use crate::model::architecture::{self, Activation};
use crate::model::weights::Weights;
use crate::site::{Site, Watcher};

/// Neurons between two matrices.
#[derive(Debug)]
pub(crate) struct Mlp {
    /// (I,D): row i is what neuron i looks for.
    pub up: Linear,
    /// (I,D) in gated MLPs.
    pub gate: Option<Linear>,
    /// (D,I): column i is what neuron i writes.
    pub down: Linear,
    pub activation: Activation,
    /// Where the neurons are those of many experts.
    pub experts: Option<Experts>,
}

impl Mlp {
    pub(crate) fn load(plan: &architecture::Mlp, weights: &Weights) -> Result<Mlp> {
        if let Some(experts) = &plan.experts {
            return Experts::load(plan, experts, weights);
        }
        Ok(Mlp {
            up: Linear::load(&plan.up, weights)?,
            gate: plan.gate.as_ref().map(|gate| Linear::load(gate, weights)).transpose()?,
            down: Linear::load(&plan.down, weights)?,
            activation: plan.activation,
            experts: None,
        })
    }

    /// What the MLP of `layer` writes, from the rows `x` (T,D) that it reads.
    pub(crate) fn forward(&self, layer: usize, x: &Tensor, watcher: &mut dyn Watcher) -> Result<Tensor> {
        if let Some(experts) = &self.experts {
            return experts.forward(self, layer, x, watcher);
        }
        let pre = watcher.at(Site::MlpPre(layer), self.up.forward(x)?)?;
        let neurons = match &self.gate {
            Some(gate) => {
                let gate = watcher.at(Site::MlpGate(layer), gate.forward(x)?)?;
                activate(self.activation, &gate)?.f_mul(&pre)?
            }
            None => activate(self.activation, &pre)?,
        };
        let neurons = watcher.at(Site::Neurons(layer), neurons)?;
        self.down.forward(&neurons)
    }
}

/// `activation` of every number of `x`.
pub(crate) fn activate(activation: Activation, x: &Tensor) -> Result<Tensor> {
    Ok(match activation {
        Activation::Gelu => x.f_gelu("none")?,
        Activation::GeluTanh => x.f_gelu("tanh")?,
        Activation::QuickGelu => x.f_mul(&x.f_mul_scalar(1.702)?.f_sigmoid()?)?,
        Activation::Relu => x.f_relu()?,
        Activation::Relu2 => x.f_relu()?.f_square()?,
        Activation::Silu => x.f_silu()?,
        Activation::Tanh => x.f_tanh()?,
        Activation::Sigmoid => x.f_sigmoid()?,
        Activation::Identity => x.shallow_clone(),
        Activation::ClippedGelu => x.f_gelu("none")?.f_clip(-10.0, 10.0)?,
        Activation::Relu6 => x.f_relu6()?,
        Activation::LeakyRelu => x.f_leaky_relu()?,
        Activation::Mish => x.f_mish()?,
        Activation::HardSwish => x.f_hardswish()?,
        Activation::Laplace => {
            let spread = 0.282095 * std::f64::consts::SQRT_2;
            x.f_sub_scalar(std::f64::consts::FRAC_1_SQRT_2)?
                .f_div_scalar(spread)?
                .f_erf()?
                .f_add_scalar(1.0)?
                .f_mul_scalar(0.5)?
        }
        Activation::SqrtSoftplus => x.f_softplus()?.f_sqrt()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;
    use crate::model::config::Config;

    /// `tools/make_activations.py` writes what Python gives.
    #[test]
    fn every_activation_gives_what_transformers_gives() {
        let file: Value = serde_json::from_str(include_str!("../../../tests/fixtures/activations.json")).unwrap();
        let numbers = |value: &Value| -> Vec<f32> { serde_json::from_value(value.clone()).unwrap() };
        let x = Tensor::from_slice(&numbers(&file["x"]));
        for (name, wanted) in file["values"].as_object().unwrap() {
            let keys = Map::from_iter([("hidden_act".to_owned(), Value::from(name.as_str()))]);
            let activation = Config::new(&keys).activation("hidden_act", "").unwrap();
            let found = activate(activation, &x).unwrap();
            let away = (found - Tensor::from_slice(&numbers(wanted))).abs().max().double_value(&[]);
            assert!(away < 1e-5, "{name}: {away} away");
        }
    }
}
