//! One layer's MLP at one position, taken apart into neurons.

use tch::{Kind, Tensor};

use super::super::batch;
use super::super::graph::Firing;
use super::written::Written;
use crate::model::layers::{self, activate};
use crate::run::Trace;
use crate::{Result, Site};

/// What the MLP of one layer reads and writes at one position.
pub(super) struct Mlp<'a> {
    weights: &'a layers::Mlp,
    neurons: Tensor,
    written: Written<'a>,
    /// What each neuron's row is multiplied with.
    pub activations: Vec<f64>,
    /// Before the activation; the up projection in gated MLPs.
    pub pre: Vec<f64>,
    /// Activation of the gate, in gated MLPs: `activations = gates * pre`, with experts times `shares`.
    pub gates: Option<Vec<f64>>,
    /// How much the expert of each neuron counts, where there are experts; 0 for those that are not used.
    pub shares: Option<Vec<f64>>,
    /// Length of what each neuron adds.
    pub lengths: Vec<f64>,
    /// What is added beside the neurons (D): the second matrix's bias, and that of a norm of what is written.
    pub bias: Option<Tensor>,
}

impl<'a> Mlp<'a> {
    pub fn new(trace: &'a Trace, layer: usize, position: usize) -> Result<Mlp<'a>> {
        let block = trace.model().stack().block(layer);
        let weights = &block.mlp;
        let row =
            |site: Site| -> Result<Tensor> { Ok(trace.tensor(site)?.f_get(position as i64)?.f_to_kind(Kind::Float)?) };
        let neurons = row(Site::Neurons(layer))?;
        let activations = batch::numbers(&neurons)?;
        let columns = weights.down.weight.f_to_kind(Kind::Float)?;
        let written =
            Written::new(block.mlp_norms.written.as_ref(), &columns.f_mv(&neurons)?, weights.down.bias.as_ref())?;
        let norms = batch::norms(&written.parts(&columns.f_tr()?)?)?;
        let gates = match weights.gate {
            Some(_) => Some(batch::numbers(&activate(weights.activation, &row(Site::MlpGate(layer))?)?)?),
            None => None,
        };
        let shares = match &weights.experts {
            Some(experts) => {
                let reads = trace.model().routes(layer).last().map_or(Site::MlpNorm(layer), |route| route.reads);
                let (used, input) = (row(Site::ExpertWeights(layer))?, row(reads)?);
                let kind = weights.down.weight.kind();
                let one_row = |row: &Tensor| -> Result<Tensor> { Ok(row.f_unsqueeze(0)?.f_to_kind(kind)?) };
                let total = activations.len() as i64;
                Some(batch::numbers(&experts.shares(&one_row(&used)?, &one_row(&input)?, total)?)?)
            }
            None => None,
        };
        Ok(Mlp {
            weights,
            shares,
            lengths: activations.iter().zip(norms).map(|(a, norm)| a.abs() * norm).collect(),
            activations,
            pre: batch::numbers(&row(Site::MlpPre(layer))?)?,
            gates,
            neurons,
            bias: written.bias()?,
            written,
        })
    }

    /// How a neuron fires.
    pub fn firing(&self, neuron: usize) -> Firing {
        Firing {
            expert: self.weights.experts.as_ref().map(|experts| experts.place(neuron)),
            activation: self.activations[neuron],
            pre: self.pre[neuron],
            gate: self.gates.as_ref().map(|gates| gates[neuron]),
            share: self.shares.as_ref().map(|shares| shares[neuron]),
            added: self.lengths[neuron],
            normed: self.written.has_norm(),
        }
    }

    /// Number of neurons that take part: all, or those of the experts that are used.
    pub fn used(&self) -> usize {
        match &self.shares {
            None => self.activations.len(),
            Some(shares) => shares.iter().filter(|&&share| share != 0.).count(),
        }
    }

    /// The experts that are used and how much they count, the most first; the one that all tokens use as `None`.
    pub fn experts(&self) -> Vec<(Option<usize>, f64)> {
        let (Some(experts), Some(shares)) = (&self.weights.experts, &self.shares) else { return Vec::new() };
        let firsts = (0..shares.len()).filter(|&neuron| experts.place(neuron).1 == 0 && shares[neuron] != 0.);
        let mut used: Vec<_> = firsts.map(|neuron| (experts.place(neuron).0, shares[neuron])).collect();
        used.sort_by(|a, b| b.1.total_cmp(&a.1));
        used
    }

    /// The neurons to show: of those with a positive activation the ones that add most, then of those with a
    /// negative one.
    pub fn strongest(&self, top: usize, bottom: usize) -> Vec<usize> {
        let pick = |sign: f64, count: usize| {
            let order = batch::falling(&self.lengths).into_iter();
            order.filter(move |&neuron| self.activations[neuron] * sign > 0.).take(count)
        };
        pick(1., top).chain(pick(-1., bottom)).collect()
    }

    /// What some neurons look for: rows of the first matrix, (n,D).
    pub fn keys(&self, neurons: &[usize]) -> Result<Tensor> {
        pick_rows(&self.weights.up.weight, 0, neurons)
    }

    /// Rows of the gate, in gated MLPs: (n,D).
    pub fn gate_keys(&self, neurons: &[usize]) -> Result<Option<Tensor>> {
        self.weights.gate.as_ref().map(|gate| pick_rows(&gate.weight, 0, neurons)).transpose()
    }

    /// What some neurons write, turned by the sign of their activation: (n,D). Times the absolute activation it is
    /// what they add.
    pub fn values(&self, neurons: &[usize]) -> Result<Tensor> {
        let signs: Vec<f32> = neurons.iter().map(|&n| if self.activations[n] < 0. { -1. } else { 1. }).collect();
        let rows = pick_rows(&self.weights.down.weight, 1, neurons)?.f_tr()?;
        let rows = self.written.parts(&rows)?;
        Ok(rows.f_mul(&Tensor::f_from_slice(&signs)?.f_to_device(rows.device())?.f_unsqueeze(1)?)?)
    }

    /// What all neurons but these add, together: (D).
    pub fn rest(&self, neurons: &[usize]) -> Result<Tensor> {
        let left = self.neurons.f_detach_copy()?;
        for &neuron in neurons {
            let _ = left.f_narrow(0, neuron as i64, 1)?.f_fill_(0.)?;
        }
        self.written.parts(&self.weights.down.weight.f_to_kind(Kind::Float)?.f_mv(&left)?)
    }
}

fn pick_rows(matrix: &Tensor, axis: i64, indices: &[usize]) -> Result<Tensor> {
    let indices: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
    let indices = Tensor::f_from_slice(&indices)?.f_to_device(matrix.device())?;
    Ok(matrix.f_index_select(axis, &indices)?.f_to_kind(Kind::Float)?)
}
