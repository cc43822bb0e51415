//! Experts: MLPs of which each token uses a few, chosen by a router.
//!
//! Their matrices stand side by side as those of one wide MLP, and the weight that the router gives an expert is
//! multiplied into its neurons. So here, too, what is written is neurons times the second matrix. Only the experts that
//! a token uses are computed; the neurons of all others are 0.

use tch::{Kind, Tensor};

use super::{Linear, Mlp, activate};
use crate::Result;
use crate::model::architecture;
use crate::model::weights::Weights;
use crate::site::{Site, Watcher};

/// What the experts of a layer have beside their matrices.
#[derive(Debug)]
pub(crate) struct Experts {
    /// (E,D).
    router: Linear,
    count: i64,
    chosen: i64,
    normed: bool,
    /// Neurons I of one expert.
    width: i64,
    /// (1,D): how far the MLP is opened that all tokens use; its neurons stand last.
    opening: Option<Linear>,
}

/// Neurons that the same tokens use.
struct Used {
    first: i64,
    width: i64,
    /// All when absent.
    tokens: Option<Tensor>,
}

impl Experts {
    /// An MLP of all experts' neurons.
    pub(crate) fn load(plan: &architecture::Mlp, experts: &architecture::Experts, weights: &Weights) -> Result<Mlp> {
        let (count, width, outside) = (experts.count, plan.up.outputs, plan.up.inputs);
        let there = |name: &&String| weights.find(&format!("{name}.gate.weight")).is_some();
        let name = experts.names.iter().find(there).unwrap_or(&experts.names[0]);
        let router = Linear { weight: weights.tensor(&format!("{name}.gate.weight"), &[count, outside])?, bias: None };
        let stacked = format!("{name}.experts.gate_up_proj");
        let (mut gate, mut up, mut down) = if weights.find(&stacked).is_some() {
            let both = weights.tensor(&stacked, &[count, 2 * width, outside])?;
            let half = |first: usize| -> Result<Tensor> {
                let half = both.f_narrow(1, first as i64, width as i64)?;
                Ok(half.f_reshape([-1, outside as i64])?)
            };
            let down = weights.tensor(&format!("{name}.experts.down_proj"), &[count, outside, width])?;
            (half(0)?, half(width)?, down.f_permute([1, 0, 2])?.f_reshape([outside as i64, -1])?)
        } else {
            let all = |map: &architecture::Linear, axis| -> Result<Tensor> {
                let of_expert = |expert| format!("{name}.experts.{expert}.{}.weight", map.name);
                let matrices = (0..count).map(|expert| weights.tensor(&of_expert(expert), &[map.outputs, map.inputs]));
                Ok(Tensor::f_cat(&matrices.collect::<Result<Vec<_>>>()?, axis)?)
            };
            (all(plan.gate.as_ref().unwrap_or(&plan.up), 0)?, all(&plan.up, 0)?, all(&plan.down, 1)?)
        };
        let mut opening = None;
        if let Some(shared) = &experts.shared {
            let mlp = Mlp::load(&shared.mlp, weights)?;
            gate = Tensor::f_cat(&[&gate, &mlp.gate.as_ref().unwrap_or(&mlp.up).weight], 0)?;
            up = Tensor::f_cat(&[&up, &mlp.up.weight], 0)?;
            down = Tensor::f_cat(&[&down, &mlp.down.weight], 1)?;
            opening = Some(Linear::load(&shared.opening, weights)?);
        }
        let plain = |weight| Linear { weight, bias: None };
        let (count, chosen, width) = (count as i64, experts.chosen as i64, width as i64);
        Ok(Mlp {
            up: plain(up),
            gate: plan.gate.as_ref().map(|_| plain(gate)),
            down: plain(down),
            activation: plan.activation,
            experts: Some(Experts { router, count, chosen, normed: experts.normed, width, opening }),
        })
    }

    /// What all experts of `layer` write together, from the rows `x` (T,D) that they read.
    pub(crate) fn forward(&self, mlp: &Mlp, layer: usize, x: &Tensor, watcher: &mut dyn Watcher) -> Result<Tensor> {
        let weights = watcher.at(Site::ExpertWeights(layer), self.weights(x)?)?;
        let parts = self.parts(&weights, mlp.up.weight.size()[0])?;
        let pre = watcher.at(Site::MlpPre(layer), spread(&mlp.up, &parts, x)?)?;
        let active = match &mlp.gate {
            Some(gate) => {
                let gate = watcher.at(Site::MlpGate(layer), spread(gate, &parts, x)?)?;
                activate(mlp.activation, &gate)?.f_mul(&pre)?
            }
            None => activate(mlp.activation, &pre)?,
        };
        let neurons =
            watcher.at(Site::Neurons(layer), active.f_mul(&self.shares(&weights, x, mlp.up.weight.size()[0])?)?)?;
        if watcher.changes(Site::Neurons(layer)) {
            // Neurons of experts that nobody uses may have been set.
            return mlp.down.forward(&neurons);
        }
        gather(&mlp.down, &parts, &neurons, x)
    }

    /// How much each expert counts (T,E): 0 for those that a token does not use.
    fn weights(&self, x: &Tensor) -> Result<Tensor> {
        let all = self.router.forward(x)?.f_softmax(-1, Kind::Float)?;
        let (mut best, chosen) = all.f_topk(self.chosen, -1, true, true)?;
        if self.normed {
            best = best.f_div(&best.f_sum_dim_intlist([-1i64].as_slice(), true, Kind::Float)?)?;
        }
        Ok(all.f_zeros_like()?.f_scatter(-1, &chosen, &best)?.f_to_kind(x.kind())?)
    }

    /// The expert that a neuron belongs to, none for the one that all tokens use, and the neuron's number in it.
    pub(crate) fn place(&self, neuron: usize) -> (Option<usize>, usize) {
        let (count, width) = (self.count as usize, self.width as usize);
        match neuron / width {
            expert if expert < count => (Some(expert), neuron % width),
            _ => (None, neuron - count * width),
        }
    }

    /// The neurons of every expert that some token uses, and those that all tokens use.
    fn parts(&self, weights: &Tensor, total: i64) -> Result<Vec<Used>> {
        let mut parts = Vec::new();
        for expert in 0..self.count {
            let tokens = weights.f_select(-1, expert)?.f_flatten(0, -1)?.f_nonzero()?.f_view(-1)?;
            if tokens.size()[0] > 0 {
                parts.push(Used { first: expert * self.width, width: self.width, tokens: Some(tokens) });
            }
        }
        let first = self.count * self.width;
        if total > first {
            parts.push(Used { first, width: total - first, tokens: None });
        }
        Ok(parts)
    }

    /// What each neuron (T,I) is multiplied by, `x` being what is read and `weights` how much each expert counts.
    pub(crate) fn shares(&self, weights: &Tensor, x: &Tensor, total: i64) -> Result<Tensor> {
        let own = weights.f_repeat_interleave_self_int(self.width, -1, None)?;
        let Some(opening) = &self.opening else { return Ok(own) };
        let shared = total - self.count * self.width;
        let opened = opening.forward(x)?.f_sigmoid()?.f_repeat_interleave_self_int(shared, -1, None)?;
        Ok(Tensor::f_cat(&[own, opened], -1)?)
    }
}

/// `linear` (I,D) of the rows `x` (T,D), where tokens use its parts; 0 elsewhere. Nothing is written in place: a
/// gradient may be asked for.
fn spread(linear: &Linear, parts: &[Used], x: &Tensor) -> Result<Tensor> {
    let rows = x.f_flatten(0, -2)?;
    let count = rows.size()[0];
    let none = |width: i64| rows.f_new_zeros([count, width], (x.kind(), x.device()));
    let (mut columns, mut end) = (Vec::with_capacity(2 * parts.len() + 1), 0);
    for Used { first, width, tokens } in parts {
        if *first > end {
            columns.push(none(first - end)?);
        }
        end = first + width;
        let weight = linear.weight.f_narrow(0, *first, *width)?;
        columns.push(match tokens {
            Some(tokens) => {
                let used = rows.f_index_select(0, tokens)?.f_linear(&weight, None::<&Tensor>)?;
                none(*width)?.f_index_copy(0, tokens, &used)?
            }
            None => rows.f_linear(&weight, None::<&Tensor>)?,
        });
    }
    let total = linear.weight.size()[0];
    if total > end {
        columns.push(none(total - end)?);
    }
    let mut shape = x.size();
    shape.pop();
    shape.push(total);
    Ok(Tensor::f_cat(&columns, -1)?.f_view(shape.as_slice())?)
}

/// `linear` (D,I) of the neurons (T,I), where tokens use its parts; as large as `x` (T,D).
fn gather(linear: &Linear, parts: &[Used], neurons: &Tensor, x: &Tensor) -> Result<Tensor> {
    let neurons = neurons.f_flatten(0, -2)?;
    let mut out = x.f_flatten(0, -2)?.f_zeros_like()?;
    for Used { first, width, tokens } in parts {
        let columns = linear.weight.f_narrow(1, *first, *width)?;
        let own = neurons.f_narrow(-1, *first, *width)?;
        out = match tokens {
            Some(tokens) => {
                let written = own.f_index_select(0, tokens)?.f_linear(&columns, None::<&Tensor>)?;
                out.f_index_add(0, tokens, &written)?
            }
            None => out.f_add(&own.f_linear(&columns, None::<&Tensor>)?)?,
        };
    }
    Ok(out.f_view(x.size().as_slice())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Unwatched;

    /// Changes nothing, but may.
    struct Touching;

    impl Watcher for Touching {
        fn wants(&self, _: Site) -> bool {
            true
        }

        fn changes(&self, _: Site) -> bool {
            true
        }

        fn at(&mut self, _: Site, tensor: Tensor) -> Result<Tensor> {
            Ok(tensor)
        }
    }

    /// Three experts of two neurons, of which each token uses two, and one neuron for all.
    fn mlp() -> Mlp {
        tch::manual_seed(3);
        let linear = |outputs, inputs| Linear {
            weight: Tensor::randn([outputs, inputs], (Kind::Float, tch::Device::Cpu)),
            bias: None,
        };
        Mlp {
            up: linear(7, 4),
            gate: Some(linear(7, 4)),
            down: linear(4, 7),
            activation: architecture::Activation::Silu,
            experts: Some(Experts {
                router: linear(3, 4),
                count: 3,
                chosen: 2,
                normed: true,
                width: 2,
                opening: Some(linear(1, 4)),
            }),
        }
    }

    #[test]
    fn the_experts_that_are_used_are_the_whole_sum() {
        let mlp = mlp();
        let x = Tensor::randn([5, 4], (Kind::Float, tch::Device::Cpu));
        let experts = mlp.experts.as_ref().unwrap();
        let weights = experts.weights(&x).unwrap();
        let gate = activate(mlp.activation, &mlp.gate.as_ref().unwrap().forward(&x).unwrap()).unwrap();
        let neurons = gate * mlp.up.forward(&x).unwrap() * experts.shares(&weights, &x, 7).unwrap();
        let wanted = mlp.down.forward(&neurons).unwrap();
        let away = |found: Tensor| (found - &wanted).abs().max().double_value(&[]);
        assert!(away(mlp.forward(0, &x, &mut Unwatched).unwrap()) < 1e-5);
        assert!(away(mlp.forward(0, &x, &mut Touching).unwrap()) < 1e-5);
    }

    #[test]
    fn neurons_are_numbered_through_all_experts() {
        let mlp = mlp();
        let experts = mlp.experts.as_ref().unwrap();
        assert_eq!(
            [0, 3, 5, 6].map(|neuron| experts.place(neuron)),
            [(Some(0), 0), (Some(1), 1), (Some(2), 1), (None, 0)]
        );
    }

    #[test]
    fn two_weights_add_up_to_one_and_the_third_is_none() {
        let x = Tensor::randn([5, 4], (Kind::Float, tch::Device::Cpu));
        let weights = mlp().experts.unwrap().weights(&x).unwrap();
        for row in 0..5 {
            let row = Vec::<f32>::try_from(weights.get(row)).unwrap();
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            assert_eq!(row.iter().filter(|&&weight| weight == 0.0).count(), 1);
        }
    }
}
