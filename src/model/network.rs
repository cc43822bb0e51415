//! Everything that computes: encoder, main stack and head.

use tch::Tensor;

use super::architecture::Architecture;
use super::cache::Cache;
use super::head::{Head, load_ends};
use super::stack::{Source, Stack};
use super::tokens::Tokens;
use super::weights::Weights;
use crate::checkpoint::Checkpoint;
use crate::progress::Task;
use crate::site::{Part, Site, Watcher, Within};
use crate::{DType, Device, Result};

/// A model's weights, ready to run.
#[derive(Debug)]
pub(crate) struct Network {
    /// The encoder of an encoder-decoder.
    pub encoder: Option<Stack>,
    /// The decoder, or the only stack.
    pub main: Stack,
    /// Absent where the checkpoint has none.
    pub head: Option<Head>,
    pub device: Device,
    pub dtype: DType,
}

impl Network {
    pub(crate) fn load(
        plan: &Architecture,
        checkpoint: &Checkpoint,
        dtype: DType,
        device: Device,
        task: &Task,
    ) -> Result<Network> {
        let weights = Weights { checkpoint, prefix: plan.prefix, dtype, device, task: Some(task) };
        let (tokens, head) = load_ends(plan, &weights)?;
        let encoder = match &plan.encoder {
            Some(encoder) => {
                let shared = encoder.embedding.tokens == plan.main.embedding.tokens;
                let table = if shared { tokens.shallow_clone() } else { weights.table(&encoder.embedding.tokens)? };
                Some(Stack::load(encoder, table, &weights)?)
            }
            None => None,
        };
        Ok(Network { encoder, main: Stack::load(&plan.main, tokens, &weights)?, head, device, dtype })
    }

    /// The logits of a run, (T,V) or those of the wanted positions; none where the model has no head.
    ///
    /// Gradients are the caller's matter.
    pub(crate) fn forward(
        &self,
        tokens: &Tokens,
        positions: Wanted,
        watcher: &mut dyn Watcher,
    ) -> Result<Option<Tensor>> {
        self.forward_from(tokens, None, positions, watcher)
    }

    /// The same of a run that goes on from another one's stream.
    pub(crate) fn forward_from(
        &self,
        tokens: &Tokens,
        start: Option<&Start>,
        positions: Wanted,
        watcher: &mut dyn Watcher,
    ) -> Result<Option<Tensor>> {
        let (in_encoder, in_main, memory) = match start {
            Some(Start { layer, stream, part: Part::Encoder, .. }) => (Some((*layer, stream)), None, None),
            Some(Start { layer, stream, memory, .. }) => (None, Some((*layer, stream)), memory.as_ref()),
            None => (None, None, None),
        };
        let source = match (memory, &tokens.source) {
            (Some(memory), Some(tokens)) => Some(Source { tokens, output: memory.shallow_clone() }),
            _ => self.source(tokens, in_encoder, watcher)?,
        };
        let read = self.main.forward(tokens, &(0..tokens.len()), in_main, source.as_ref(), None, watcher)?;
        self.logits(&read, positions, watcher)
    }

    /// The same for a text that grows: runs the positions that are not in `cache`, and adds them to it. The watcher sees
    /// these positions only, and an encoder and its keys and values in the first step only.
    pub(crate) fn step(
        &self,
        tokens: &Tokens,
        cache: &mut Cache,
        positions: Wanted,
        watcher: &mut dyn Watcher,
    ) -> Result<Option<Tensor>> {
        let source = match (&cache.source, &tokens.source) {
            (Some(output), Some(tokens)) => Some(Source { tokens, output: output.shallow_clone() }),
            _ => self.source(tokens, None, watcher)?,
        };
        cache.source = source.as_ref().map(|source| source.output.shallow_clone());
        let here = cache.len()..tokens.len();
        let read = self.main.forward(tokens, &here, None, source.as_ref(), Some(cache), watcher)?;
        cache.holds(tokens.len());
        self.logits(&read, positions, watcher)
    }

    /// What the decoder reads of an encoder, which may begin at a layer; none where there is none.
    fn source<'a>(
        &self,
        tokens: &'a Tokens,
        from: Option<(usize, &Tensor)>,
        watcher: &mut dyn Watcher,
    ) -> Result<Option<Source<'a>>> {
        let (Some(encoder), Some(tokens)) = (&self.encoder, &tokens.source) else { return Ok(None) };
        let watcher = &mut Within { watcher, name: Site::in_encoder };
        Ok(Some(Source { tokens, output: encoder.forward(tokens, &(0..tokens.len()), from, None, None, watcher)? }))
    }

    /// The logits that the head gives of final vectors (T,D).
    fn logits(&self, read: &Tensor, positions: Wanted, watcher: &mut dyn Watcher) -> Result<Option<Tensor>> {
        match (&self.head, positions) {
            (Some(head), Wanted::All) => Ok(Some(watcher.at(Site::Logits, head.forward(read)?)?)),
            (Some(head), Wanted::Last) => Ok(Some(head.forward(&read.f_slice(-2, -1, None, 1)?)?)),
            (Some(head), Wanted::At(positions)) => {
                let rows = Tensor::f_from_slice(positions)?.f_to_device(read.device())?;
                Ok(Some(head.forward(&read.f_index_select(-2, &rows)?)?))
            }
            (None, _) => Ok(None),
        }
    }
}

/// Where a run begins that goes on from another one's stream.
#[derive(Debug)]
pub(crate) struct Start {
    /// The encoder, or else the main stack.
    pub part: Part,
    /// The layer whose [`Site::ResidPre`] the stream is.
    pub layer: usize,
    /// (T,D), batch axes in front where several runs go on from it.
    pub stream: Tensor,
    /// What the encoder gave, for a run that begins in the main stack; computed anew when absent.
    pub memory: Option<Tensor>,
}

/// The positions whose logits are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted<'a> {
    /// All, which the watcher sees.
    All,
    /// The last one; the watcher does not see it.
    Last,
    /// Some; the watcher does not see them.
    At(&'a [i64]),
}

#[cfg(test)]
mod half_precision {
    use tch::Kind;

    use std::path::Path;

    use super::*;
    use crate::model::families;
    use crate::model::ties::settle;
    use crate::site::Unwatched;

    /// The processor stands in for a card here: what is tested is that every type fits every other on the way, and
    /// that the answer is the float32 one as far as 8 bits of mantissa carry it.
    #[test]
    fn every_family_computes_in_bfloat16() {
        let decoders = ["gpt2", "gpt_neo", "gptj", "gpt_neox", "llama_gqa", "mistral", "qwen2", "qwen3"];
        let encoders = ["bert", "mpnet", "albert", "modernbert_local", "xlm", "xlnet", "deberta_v2", "deberta_v2_conv"];
        let two_stacks = ["t5_gated", "bart"];
        let others =
            ["openai_gpt", "ctrl", "opt_projected", "bloom", "falcon_7b", "falcon_rw", "phi", "phi3_window", "gemma"];
        let newer =
            ["gemma2", "gemma3_text", "olmo2_grouped", "stablelm_parallel", "starcoder2_window", "qwen2_moe_stacked"];
        for name in decoders.into_iter().chain(encoders).chain(two_stacks).chain(others).chain(newer) {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name);
            let checkpoint = Checkpoint::open(&folder).unwrap();
            let mut plan = families::read(checkpoint.config()).unwrap();
            settle(&mut plan, &checkpoint).unwrap();
            let source = Some(Box::new(Tokens::from_ids(vec![7, 2, 60])));
            let tokens = Tokens { source, ..Tokens::from_ids(vec![5, 17, 3, 29, 42, 8]) };
            let run = |dtype| {
                let task = Task::begin("loading", 1, "tensors");
                let network = Network::load(&plan, &checkpoint, dtype, Device::Cpu, &task).unwrap();
                network.forward(&tokens, Wanted::All, &mut Unwatched).unwrap().unwrap()
            };
            let (half, full) = (run(DType::BF16), run(DType::F32));
            assert_eq!(half.kind(), Kind::BFloat16);
            let half = half.to_kind(Kind::Float);
            let off = (&half - &full).square().mean(Kind::Float).sqrt().double_value(&[]);
            let spread = full.std(false).double_value(&[]);
            // Ten times the rounding of one number, root mean square; it is 0.008 to 0.029 of the spread here.
            assert!(off < 10.0 / 256.0 * spread, "{name}: {off} off, logits spread {spread}");
        }
    }
}
