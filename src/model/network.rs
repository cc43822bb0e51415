//! Everything that computes: encoder, main stack and head.

use std::ops::Range;
use std::path::{Path, PathBuf};

use tch::Tensor;

use super::architecture::Architecture;
use super::cache::Cache;
use super::families;
use super::head::{Head, load_ends};
use super::stack::{Source, Stack};
use super::tokens::Tokens;
use super::weights::Weights;
use crate::checkpoint::{Checkpoint, Stored};
use crate::progress::Task;
use crate::site::{FirstNotFinite, Part, Site, Watcher, Within, finite, is_finite};
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
    /// Where the weights come from.
    path: PathBuf,
    /// Whether a run may go on with numbers that are infinite or none.
    pub allows_non_finite: bool,
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
        let main = Stack::load(&plan.main, tokens, &weights)?;
        let path = checkpoint.path().to_owned();
        Ok(Network { encoder, main, head, device, dtype, path, allows_non_finite: false })
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
        let run = |watcher: &mut dyn Watcher| self.run(tokens, &(0..tokens.len()), start, None, positions, watcher);
        Ok(self.finite(run, watcher)?.logits)
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
        let here = cache.len()..tokens.len();
        let ends = self.finite(|watcher| self.run(tokens, &here, None, Some(cache), positions, watcher), watcher)?;
        cache.source = ends.source;
        cache.holds(tokens.len());
        Ok(ends.logits)
    }

    /// What a run ends with, which is refused when it is not finite: then the run is repeated to find the site where it
    /// turns.
    fn finite(&self, run: impl Fn(&mut dyn Watcher) -> Result<Ends>, watcher: &mut dyn Watcher) -> Result<Ends> {
        let ends = run(watcher)?;
        let logits = ends.logits.as_ref().map_or(Ok(true), |logits| is_finite(Site::Logits, logits))?;
        if self.allows_non_finite || (logits && is_finite(Site::FinalNorm, &ends.read)?) {
            return Ok(ends);
        }
        let why = |changed: bool| if changed { BY_CHANGE.to_owned() } else { self.why_not_finite() };
        run(&mut FirstNotFinite { watcher, why })?;
        // Only what no watcher sees is left: the logits of some positions.
        if let Some(logits) = &ends.logits {
            finite(Site::Logits, logits, || self.why_not_finite())?;
        }
        finite(Site::FinalNorm, &ends.read, || self.why_not_finite())?;
        Ok(ends)
    }

    /// Where numbers that are none come from, and what to do.
    fn why_not_finite(&self) -> String {
        let weights = match non_finite_weights(&self.path) {
            Ok(list) if list.is_empty() => match self.dtype {
                DType::F16 => {
                    return "its weights are finite, and float16 reaches no further than 65,504: compute with \
                            dtype(DType::BF16) or dtype(DType::F32)"
                        .to_owned();
                }
                _ => "its weights are finite, so numbers grow beyond what this type holds".to_owned(),
            },
            Ok(list) => format!("the checkpoint holds such weights in {}: download it again", shown(&list)),
            Err(error) => format!("its weights cannot be read once more ({error})"),
        };
        format!("{weights}. {GO_ON}")
    }

    /// One run to its ends, from the tokens or from another run's stream.
    fn run(
        &self,
        tokens: &Tokens,
        here: &Range<usize>,
        start: Option<&Start>,
        cache: Option<&Cache>,
        positions: Wanted,
        watcher: &mut dyn Watcher,
    ) -> Result<Ends> {
        let (in_encoder, in_main, memory) = match start {
            Some(Start { layer, stream, part: Part::Encoder, .. }) => (Some((*layer, stream)), None, None),
            Some(Start { layer, stream, memory, .. }) => (None, Some((*layer, stream)), memory.as_ref()),
            None => (None, None, cache.and_then(|cache| cache.source.as_ref())),
        };
        let source = match (memory, &tokens.source) {
            (Some(memory), Some(tokens)) => Some(Source { tokens, output: memory.shallow_clone() }),
            _ => self.source(tokens, in_encoder, watcher)?,
        };
        let read = self.main.forward(tokens, here, in_main, source.as_ref(), cache, watcher)?;
        let logits = self.logits(&read, positions, watcher)?;
        Ok(Ends { source: source.map(|source| source.output), read, logits })
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

/// What a run ends with.
struct Ends {
    /// What the encoder gave.
    source: Option<Tensor>,
    /// The final vectors (T,D).
    read: Tensor,
    logits: Option<Tensor>,
}

const BY_CHANGE: &str = "a change by hand makes it so";
const GO_ON: &str = "To go on all the same: Model::options(..).allow_non_finite(true), or --allow-non-finite";

/// Some names of a list, and how many more there are.
fn shown(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let rest = names.len().saturating_sub(SHOWN);
    let first = names[..names.len() - rest].join(", ");
    if rest == 0 { first } else { format!("{first} and {rest} more") }
}

/// The tensors of a checkpoint that hold numbers which are infinite or none.
fn non_finite_weights(path: &Path) -> Result<Vec<String>> {
    let checkpoint = families::open(path)?;
    let mut found = Vec::new();
    for name in checkpoint.names().filter(|name| !matches!(checkpoint.dtype(name), Some(Stored::Other(_)))) {
        if !is_finite(Site::Embedding, &checkpoint.tensor(name, DType::F32, Device::Cpu)?)? {
            found.push(name.to_owned());
        }
    }
    Ok(found)
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
