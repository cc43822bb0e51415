//! Kernels that stand in the weights.

use tch::{Kind, Tensor};

use super::{Kernel, KernelKind, PositionKernels};
use crate::attention::parts;
use crate::model::architecture::{Attention, PositionBias, Sees, Stack as Plan};
use crate::model::{Model, Stack};
use crate::site::Part;
use crate::{Array, Error, Result};

/// How far kernels reach unless told: beyond the last bucket of T5.
const REACH: usize = 160;

impl Model {
    /// What position alone adds to the scores of each head, from the weights: no text is needed. T5, mT5, UMT5 and MPNet
    /// have a learned bias by distance, Bloom, MPT and some Falcons slopes (ALiBi); of XLNet and DeBERTa it is the part
    /// that depends on distance alone. Offsets reach from -160 to 160.
    ///
    /// ```
    /// # fn main() -> flowlens::Result<()> {
    /// let model = flowlens::Model::load("tests/fixtures/parity/t5_tied")?;
    /// let kernels = model.position_kernels()?;
    /// // What head 0 of the encoder would attend to within 8 positions, were content constant.
    /// let (offsets, shares) = kernels.kernels[0].attention(-8..=8)?;
    /// assert_eq!((offsets.len(), shares.shape()[1]), (17, 17));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Where positions enter otherwise, by rotation or as embeddings: their effect depends on content, and
    /// [`Trace::position_kernels`](crate::Trace::position_kernels) measures it.
    pub fn position_kernels(&self) -> Result<PositionKernels> {
        self.position_kernels_to(REACH)
    }

    /// [`position_kernels`](Model::position_kernels) for offsets from -`reach` to `reach`.
    ///
    /// # Errors
    /// As there, and for a reach beyond 1,000,000.
    pub fn position_kernels_to(&self, reach: usize) -> Result<PositionKernels> {
        if reach > 1_000_000 {
            let problem = "is farther than any text; give at most 1,000,000".to_owned();
            return Err(Error::Trajectory { what: format!("reach {reach}"), problem });
        }
        let kernels = of_weights(self, reach)?;
        if kernels.is_empty() {
            return Err(Error::Trajectory { what: "position kernels".to_owned(), problem: self.no_kernel() });
        }
        Ok(PositionKernels { model: self.name().to_owned(), kernels })
    }

    /// Why the weights hold no kernel.
    fn no_kernel(&self) -> String {
        let plan = self.architecture();
        let family = plan.family;
        let measured = "trace.position_kernels() measures it in a run";
        let rotates = plan.main.blocks.iter().any(|block| block.attention.rotary.is_some());
        match (rotates, &plan.main.embedding.positions) {
            (true, _) => format!(
                "do not stand in the weights of {family}: positions turn queries and keys, and what comes of it depends \
                 on their content; {measured}"
            ),
            (_, Some(_)) => format!(
                "do not stand in the weights of {family}: positions are added to the token embeddings, and what comes of \
                 it depends on content; {measured}"
            ),
            _ => format!("do not exist in {family}: nothing tells attention the distance of query and key"),
        }
    }
}

/// All kernels that the weights hold.
pub(super) fn of_weights(model: &Model, reach: usize) -> Result<Vec<Kernel>> {
    let _guard = tch::no_grad_guard();
    let network = model.network();
    let mut kernels = Vec::new();
    for &(part, name) in parts(model) {
        let (plan, stack) = match part {
            Part::Encoder => (model.architecture().encoder.as_ref(), network.encoder.as_ref()),
            Part::Main => (Some(&model.architecture().main), Some(&network.main)),
            Part::Cross => (None, None),
        };
        if let (Some(plan), Some(stack)) = (plan, stack) {
            of_stack(name, plan, stack, reach, &mut kernels)?;
        }
    }
    Ok(kernels)
}

fn of_stack(block: &str, plan: &Plan, stack: &Stack, reach: usize, kernels: &mut Vec<Kernel>) -> Result<()> {
    let causal = plan.sees != Sees::Both;
    let far = reach as i64;
    let (first, last) = (-far, if causal { 0 } else { far });
    // The layer that each kernel so far was made for.
    let mut made: Vec<(usize, &Attention)> = Vec::new();
    for (layer, attention) in plan.blocks.iter().map(|block| &block.attention).enumerate() {
        let shared = |own: &Attention| own.position_bias.is_some() && own.position_bias == attention.position_bias;
        if let Some(&(place, _)) = made.iter().find(|(_, own)| shared(own)) {
            kernels[place].layers.push(layer);
            continue;
        }
        let (kind, values) = if let Some(bias) = stack.position_bias(layer) {
            let slopes = matches!(attention.position_bias, Some(PositionBias::Slopes(_)));
            (if slopes { KernelKind::Slopes } else { KernelKind::Bias }, bias.kernel(first, last)?)
        } else if let Some(values) = stack.distance_kernel(layer, reach)? {
            (KernelKind::Distances, middle(&values.f_squeeze_dim(1)?, last - first + 1)?)
        } else {
            continue;
        };
        made.push((kernels.len(), attention));
        kernels.push(Kernel {
            block: block.to_owned(),
            layers: vec![layer],
            kind,
            offsets: (first..=last).collect(),
            values: Array::from_tensor(&values)?,
            spread: None,
            counts: None,
            causal,
        });
    }
    Ok(())
}

/// The first `count` columns: of a causal stack those up to the query.
fn middle(values: &Tensor, count: i64) -> Result<Tensor> {
    Ok(values.f_narrow(1, 0, count)?.f_to_kind(Kind::Float)?)
}
