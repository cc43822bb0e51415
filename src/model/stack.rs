//! A run through the blocks, asking the watcher at every site.

use tch::{Kind, Tensor};

use super::architecture::{self, Architecture, Segments};
use super::layers::{Angles, Block, Linear, Norm, Positions, Rotary};
use super::tokens::Tokens;
use super::weights::Weights;
use crate::checkpoint::Checkpoint;
use crate::trace::{Site, Watcher};
use crate::{DType, Device, Result};

/// Everything that computes: tables, blocks, final norm and head.
#[derive(Debug)]
pub(crate) struct Stack {
    token_table: Tensor,
    position_table: Option<Tensor>,
    segments: Segments,
    pub blocks: Vec<Block>,
    /// The attention window of every layer.
    windows: Vec<Option<usize>>,
    /// The different rotations of the model, and which of them each layer uses.
    rotaries: Vec<Rotary>,
    rotary_of_layer: Vec<Option<usize>>,
    pub final_norm: Norm,
    pub head: Linear,
    pub device: Device,
    pub dtype: DType,
}

impl Stack {
    pub(crate) fn load(plan: &Architecture, checkpoint: &Checkpoint, dtype: DType, device: Device) -> Result<Stack> {
        let weights = Weights { checkpoint, prefix: plan.prefix, dtype, device };
        let (token_table, head) = load_tables(plan, &weights)?;
        let position_table = match &plan.embedding.positions {
            Some(name) => Some(weights.tensor(&format!("{name}.weight"), &[plan.context, plan.width])?),
            None => None,
        };
        let mut rotary_plans: Vec<&architecture::Rotary> = Vec::new();
        let mut rotary_of_layer = Vec::new();
        for block in &plan.blocks {
            rotary_of_layer.push(block.attention.rotary.as_ref().map(|rotary| {
                rotary_plans.iter().position(|known| *known == rotary).unwrap_or_else(|| {
                    rotary_plans.push(rotary);
                    rotary_plans.len() - 1
                })
            }));
        }
        Ok(Stack {
            token_table,
            position_table,
            segments: plan.embedding.segments,
            blocks: plan.blocks.iter().map(|block| Block::load(block, plan.width, &weights)).collect::<Result<_>>()?,
            windows: plan.blocks.iter().map(|block| block.attention.window).collect(),
            rotaries: rotary_plans.into_iter().map(|plan| Rotary::new(plan, device.torch())).collect(),
            rotary_of_layer,
            final_norm: Norm::load(&plan.final_norm, plan.width, &weights)?,
            head,
            device,
            dtype,
        })
    }

    /// Logits (T,V) of a run.
    pub(crate) fn forward(&self, tokens: &Tokens, watcher: &mut dyn Watcher) -> Result<Tensor> {
        let _no_gradients = tch::no_grad_guard();
        let mut stream = self.embed(tokens, watcher)?;
        let positions = self.positions(tokens.len())?;
        let angles = self
            .rotaries
            .iter()
            .map(|rotary| rotary.angles(&positions, tokens.len(), self.dtype.torch()))
            .collect::<Result<Vec<Angles>>>()?;
        let masks = Masks::new(tokens, &self.windows, self.device)?;
        for (layer, block) in self.blocks.iter().enumerate() {
            let rotation = self.rotary_of_layer[layer].map(|index| (&self.rotaries[index], &angles[index]));
            let seen = Positions { hidden: masks.of(self.windows[layer]), rotation };
            stream = block.forward(layer, stream, &seen, watcher)?;
        }
        let read = watcher.at(Site::FinalNorm, self.final_norm.forward(&stream)?)?;
        watcher.at(Site::Logits, self.head.forward(&read)?)
    }

    fn embed(&self, tokens: &Tokens, watcher: &mut dyn Watcher) -> Result<Tensor> {
        let look_up = |table: &Tensor, ids: &[i64]| -> Result<Tensor> {
            let ids = Tensor::f_from_slice(ids)?.f_to_device(self.device.torch())?;
            Ok(Tensor::f_embedding(table, &ids, -1, false, false)?)
        };
        let mut stream = watcher.at(Site::Embedding, look_up(&self.token_table, &tokens.ids)?)?;
        if let Some(table) = &self.position_table {
            let rows = table.f_narrow(0, 0, tokens.len() as i64)?;
            stream = stream.f_add(&watcher.at(Site::PositionEmbedding, rows)?)?;
        }
        if let (Segments::TokenTable, Some(types)) = (self.segments, &tokens.token_type_ids) {
            stream = stream.f_add(&look_up(&self.token_table, types)?)?;
        }
        Ok(stream)
    }

    fn positions(&self, count: usize) -> Result<Tensor> {
        Ok(Tensor::f_arange(count as i64, (Kind::Int64, self.device.torch()))?)
    }

    /// The rotation of `layer` and its angles at `positions` of a run of `tokens`, for analyses that turn directions
    /// back.
    pub(crate) fn rotation(&self, layer: usize, positions: &[i64], tokens: usize) -> Result<Option<(&Rotary, Angles)>> {
        let Some(rotary) = self.rotary_of_layer[layer].map(|index| &self.rotaries[index]) else { return Ok(None) };
        let positions = Tensor::f_from_slice(positions)?.f_to_device(self.device.torch())?;
        Ok(Some((rotary, rotary.angles(&positions, tokens, Kind::Float)?)))
    }
}

/// Token table and head. Where the config ties them, either may stand for both; a head of its own in the file wins
/// over the tie, as in `transformers` 5.
fn load_tables(plan: &Architecture, weights: &Weights) -> Result<(Tensor, Linear)> {
    let table_name = format!("{}.weight", plan.embedding.tokens);
    let shape = [plan.vocab, plan.width];
    // The head stands outside the bare model, so its name has no prefix.
    let outside = Weights { prefix: "", ..*weights };
    let mut head = plan.head.linear.clone();
    let has_head = |head: &architecture::Linear| outside.find(&format!("{}.weight", head.name)).is_some();
    if let (false, Some(name)) = (has_head(&head), &plan.head.other_name) {
        let other = architecture::Linear { name: name.clone(), ..head.clone() };
        if has_head(&other) {
            head = other;
        }
    }
    let has_table = weights.find(&table_name).is_some();
    if !plan.head.tied || (has_table && has_head(&head)) {
        return Ok((weights.tensor(&table_name, &shape)?, Linear::load(&head, &outside)?));
    }
    let shared = match has_table || !has_head(&head) {
        true => weights.tensor(&table_name, &shape)?,
        false => outside.tensor(&format!("{}.weight", head.name), &shape)?,
    };
    let bias = match head.bias {
        true => Some(outside.tensor(&format!("{}.bias", head.name), &[plan.vocab])?),
        false => None,
    };
    Ok((shared.shallow_clone(), Linear { weight: shared, bias }))
}

/// Who must not see whom, one mask for every different window.
struct Masks {
    by_window: Vec<(Option<usize>, Tensor)>,
}

impl Masks {
    fn new(tokens: &Tokens, windows: &[Option<usize>], device: Device) -> Result<Masks> {
        let mut by_window: Vec<(Option<usize>, Tensor)> = Vec::new();
        for &window in windows {
            if by_window.iter().all(|(known, _)| *known != window) {
                by_window.push((window, hidden(tokens, window)?.f_to_device(device.torch())?));
            }
        }
        Ok(Masks { by_window })
    }

    fn of(&self, window: Option<usize>) -> &Tensor {
        let found = self.by_window.iter().find(|(known, _)| *known == window);
        &found.expect("one mask was made for every window").1
    }
}

/// (T,S), true where the query position must not see the key position: later ones, those before the window (which
/// counts the query's own position), padded ones.
fn hidden(tokens: &Tokens, window: Option<usize>) -> Result<Tensor> {
    let t = tokens.len();
    let mut hidden = vec![false; t * t];
    for query in 0..t {
        for key in 0..t {
            let padded = tokens.attention_mask.as_ref().is_some_and(|mask| mask[key] == 0);
            let before_window = window.is_some_and(|window| key + window <= query);
            hidden[query * t + key] = key > query || before_window || padded;
        }
    }
    Ok(Tensor::f_from_slice(&hidden)?.f_view([t as i64, t as i64])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_the_position_itself() {
        let tokens = Tokens { attention_mask: Some(vec![1, 1, 1, 0]), ..Tokens::from_ids(vec![5, 6, 7, 8]) };
        let seen = |window, row: i64| -> Vec<bool> {
            let hidden = hidden(&tokens, window).unwrap();
            Vec::<bool>::try_from(hidden.select(0, row)).unwrap().into_iter().map(|hidden| !hidden).collect()
        };
        assert_eq!(seen(None, 2), [true, true, true, false]);
        assert_eq!(seen(None, 3), [true, true, true, false]);
        assert_eq!(seen(Some(2), 2), [false, true, true, false]);
        assert_eq!(seen(Some(1), 1), [false, true, false, false]);
    }
}

#[cfg(test)]
mod half_precision {
    use std::path::Path;

    use super::*;
    use crate::model::families;
    use crate::trace::Unwatched;

    /// The processor stands in for a card here: what is tested is that every type fits every other on the way, and
    /// that the answer is the float32 one as far as 8 bits of mantissa carry it.
    #[test]
    fn every_family_computes_in_bfloat16() {
        for name in ["gpt2", "gpt_neo", "gptj", "gpt_neox", "llama_gqa", "mistral", "qwen2", "qwen3"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name);
            let checkpoint = Checkpoint::open(&folder).unwrap();
            let plan = families::read(checkpoint.config()).unwrap();
            let tokens = Tokens::from_ids(vec![5, 17, 3, 99, 42, 8]);
            let run = |dtype| {
                let stack = Stack::load(&plan, &checkpoint, dtype, Device::Cpu).unwrap();
                stack.forward(&tokens, &mut Unwatched).unwrap()
            };
            let (half, full) = (run(DType::BF16), run(DType::F32));
            assert_eq!(half.kind(), Kind::BFloat16);
            let half = half.to_kind(Kind::Float);
            let worst = (&half - &full).abs().max().double_value(&[]);
            let spread = full.std(false).double_value(&[]);
            assert!(worst < 0.3 * spread, "{name}: {worst} off, logits spread {spread}");
        }
    }
}
