//! What can be written on the command line. VISIT's spellings are accepted as well as ours.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use flowlens::flow::Method;
use flowlens::{DType, Device, Error, Input, Model};

use crate::output::to_write;
use crate::pictures::Pictures;

/// What is the same for all files to write.
const OUTPUT: &str = "A file to write may be -, which is standard output.";

#[derive(Parser)]
#[command(name = "flowlens", version, about = "Look inside transformer language models")]
#[command(max_term_width = 100, arg_required_else_help = true, infer_subcommands = false)]
#[command(after_help = OUTPUT)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Draw what heads, memories and neurons write into the residual stream, as words
    FlowGraph(FlowGraphArgs),
    /// Draw which tokens each head of a layer attends to
    HeadView(ViewArgs),
    /// Draw every head of every layer at a glance
    ModelView(ViewArgs),
    /// Draw how the weights of a head come about, from queries and keys on
    NeuronView(ViewArgs),
    /// Run a model and write what it computes to a safetensors file
    Trace(TraceArgs),
    /// Write how the vectors of a run move and what its heads owe to position, as arrays
    Trajectories(TrajectoriesArgs),
    /// Write how the weights of each head come about, from content and from position
    AttentionMaps(HeadFiguresArgs),
    /// Write what position alone does to the scores of each head
    PositionKernels(HeadFiguresArgs),
    /// Write how alike positions are at each depth
    SimilarityMaps(VectorFiguresArgs),
    /// Write how the vectors of positions move through the layers
    Walk(WalkArgs),
    /// Change one part of the model after the other and measure what it does to the answers
    Sweep(Box<SweepArgs>),
    /// List what is kept of results that take long, or clear it
    Cache {
        /// Remove all of it
        #[arg(long)]
        clear: bool,
    },
    /// Show how a text falls into tokens
    Tokens(TokensArgs),
    /// Show the most probable next tokens
    Next(NextArgs),
    /// Continue a text
    Generate(GenerateArgs),
    /// Show what a model is made of and the memory it takes
    Info(InfoArgs),
    /// List starter models and known families
    Models {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub struct ModelArgs {
    /// A folder, a .gguf file, a starter model (see `flowlens models`), or an id on the Hugging Face Hub
    #[arg(long, value_name = "NAME", alias = "model_name")]
    pub model: String,
    /// Branch, tag or commit on the Hub
    #[arg(long, value_name = "NAME", default_value = "main", alias = "model_revision")]
    pub revision: String,
    /// Where to compute: cpu, cuda or cuda:0
    #[arg(long, default_value = "cpu")]
    pub device: Device,
    /// Number type: float32, float16 or bfloat16 [default: float32 on the CPU, the model's own on CUDA]
    #[arg(long, value_name = "TYPE")]
    pub dtype: Option<DType>,
    /// Take only what is on this machine
    #[arg(long)]
    pub offline: bool,
    /// Folder of the Hub cache [default: Python's]
    #[arg(long, value_name = "FOLDER")]
    pub cache: Option<PathBuf>,
    /// Copy the weights into memory: a mapped file that is truncated meanwhile ends the program
    #[arg(long)]
    pub in_memory: bool,
    /// Megabytes that a run may take, what passes by included [default: 4000]
    #[arg(long, value_name = "MB")]
    pub memory_limit: Option<u64>,
    /// Go on where numbers turn infinite or to none
    #[arg(long)]
    pub allow_non_finite: bool,
}

impl ModelArgs {
    pub fn load(&self) -> Result<Model, Error> {
        let options = Model::options(&self.model).revision(&self.revision).device(self.device).offline(self.offline);
        let options = options.in_memory(self.in_memory).allow_non_finite(self.allow_non_finite);
        let options = self.dtype.into_iter().fold(options, |options, dtype| options.dtype(dtype));
        let options = self.memory_limit.into_iter().fold(options, |options, limit| options.memory_limit_mb(limit));
        self.cache.iter().fold(options, |options, folder| options.cache(folder)).load()
    }

    pub fn hub_options(&self) -> flowlens::hub::Options {
        let mut options = flowlens::hub::Options::default();
        options.revision.clone_from(&self.revision);
        options.offline = self.offline;
        options.cache.clone_from(&self.cache);
        options
    }
}

/// What a model reads.
#[derive(Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["text", "ids", "inputs"]))]
#[command(group = clap::ArgGroup::new("target").args(["decoder_text", "decoder_ids", "inputs"]))]
pub struct InputArgs {
    /// A text; a second one makes a pair, as BERT reads it
    #[arg(long)]
    pub text: Vec<String>,
    /// Token ids, e.g. 504,3575,282
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    pub ids: Option<Vec<i64>>,
    /// A safetensors file with integer tensors: input_ids, attention_mask, token_type_ids, decoder_input_ids, ..
    #[arg(long, value_name = "FILE")]
    pub inputs: Option<PathBuf>,
    /// What the decoder of an encoder-decoder has written so far [default: nothing]
    #[arg(long, value_name = "TEXT")]
    pub decoder_text: Option<String>,
    /// The same as token ids, start token included
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "IDS")]
    pub decoder_ids: Option<Vec<i64>>,
}

impl InputArgs {
    pub fn read(&self) -> Result<Input, Error> {
        let input = match (self.text.as_slice(), &self.ids, &self.inputs) {
            ([text], ..) => text.into(),
            ([first, second], ..) => (first.as_str(), second.as_str()).into(),
            ([], Some(ids), _) => ids.clone().into(),
            ([], _, Some(file)) => Input::from_file(file)?,
            ([], None, None) => return Err(Error::Input("neither a text nor token ids were given".to_owned())),
            (texts, ..) => {
                return Err(Error::Input(format!("{} texts were given; a model reads one, or a pair", texts.len())));
            }
        };
        Ok(self.with_target(input))
    }

    /// As many inputs as the file of `--inputs` has rows, where there is one.
    pub fn read_rows(&self) -> Result<Vec<Input>, Error> {
        match (&self.inputs, self.text.is_empty() && self.ids.is_none()) {
            (Some(file), true) => {
                Ok(Input::rows_from_file(file)?.into_iter().map(|input| self.with_target(input)).collect())
            }
            _ => Ok(vec![self.read()?]),
        }
    }

    fn with_target(&self, input: Input) -> Input {
        match (&self.decoder_text, &self.decoder_ids) {
            (Some(text), _) => input.target(text),
            (_, Some(ids)) => input.target(ids.clone()),
            (None, None) => input,
        }
    }
}

#[derive(Args)]
#[command(after_help = OUTPUT)]
pub struct FlowGraphArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The prompt; in an encoder-decoder what the encoder reads
    #[arg(long, value_name = "TEXT")]
    pub line: String,
    /// What the decoder of an encoder-decoder has written so far [default: nothing]
    #[arg(long, value_name = "TEXT")]
    pub decoder_text: Option<String>,
    /// Layers, e.g. 10,14 or 20-29; without any, an overview of the whole model
    #[arg(long, value_name = "LIST", alias = "layers_to_check")]
    pub layers: Option<Layers>,
    /// Configuration: a file of VISIT's or ours [default: chosen by the model]
    #[arg(long, value_name = "FILE", alias = "graph_config_path")]
    pub config: Option<PathBuf>,
    /// A token to follow, mind the leading blank; AUTO is the model's own next token; may be repeated
    #[arg(long, value_name = "TEXT", default_value = "AUTO", alias = "target_token", allow_hyphen_values = true)]
    pub target: Vec<String>,
    /// The position the graph is about, counted from 0; negative ones count from the end
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    pub position: i64,
    /// How the numbers are made [default: exact]
    #[arg(long)]
    pub method: Option<MethodArg>,
    /// One graph of all layers instead of one for each
    #[arg(long)]
    pub chain: bool,
    /// Write a page, one file that needs no network
    #[arg(long, value_name = "FILE", alias = "save_html", num_args = 0..=1, default_missing_value = "flow_graph.html", value_parser = to_write())]
    pub html: Option<PathBuf>,
    /// Write nodes and links with all their numbers
    #[arg(long, value_name = "FILE", value_parser = to_write())]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    pub pictures: Pictures,
}

/// A sweep over pairs of prompts.
#[derive(Args)]
#[command(after_help = OUTPUT)]
#[command(group = clap::ArgGroup::new("prompts").required(true).args(["pairs", "clean"]))]
pub struct SweepArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Pairs: a .json, .csv or .safetensors file with clean, corrupted, right, wrong, and in encoder-decoders source_clean
    /// and source_corrupted
    #[arg(long, value_name = "FILE")]
    pub pairs: Option<PathBuf>,
    /// One pair: the prompt
    #[arg(long, value_name = "TEXT")]
    pub clean: Option<String>,
    /// The prompt that differs, of as many tokens
    #[arg(long, value_name = "TEXT", requires = "clean")]
    pub corrupted: Option<String>,
    /// The answer to the prompt, one token, mind the leading blank; may be repeated
    #[arg(long, value_name = "TEXT", requires = "clean", allow_hyphen_values = true)]
    pub right: Vec<String>,
    /// The answer to the other one; may be repeated
    #[arg(long, value_name = "TEXT", requires = "clean", allow_hyphen_values = true)]
    pub wrong: Vec<String>,
    /// Sites to patch, e.g. resid_pre,attn_out,z [default: resid_pre]
    #[arg(long, value_name = "SITES", value_delimiter = ',')]
    pub patch: Vec<String>,
    /// Corrupted values into the clean run instead
    #[arg(long)]
    pub noising: bool,
    /// Take values away instead: zero, mean, mean-by-position or resample; --patch names the sites [default: z]
    #[arg(long, value_name = "KIND")]
    pub ablate: Option<String>,
    /// Estimate what every patch would do by gradients
    #[arg(long, conflicts_with_all = ["ablate", "noising", "resume", "estimate"])]
    pub attribute: bool,
    /// Steps of integrated gradients
    #[arg(long, value_name = "N", default_value_t = 1, requires = "attribute")]
    pub steps: usize,
    /// What to go over: layer, layer,position, layer,head, layer,head,position or layer,neuron
    #[arg(long, value_name = "AXES")]
    pub by: Option<String>,
    /// What to measure: logit_diff, log_prob, prob, kl or loss
    #[arg(long, value_name = "NAME", default_value = "logit_diff")]
    pub metric: String,
    /// Say beforehand what it will take
    #[arg(long)]
    pub estimate: bool,
    /// Keep what is done in this file, and go on from it
    #[arg(long, value_name = "FILE.safetensors", value_parser = gone_on_from)]
    pub resume: Option<PathBuf>,
    /// Every experiment's arrays, written to --out
    #[arg(long, requires = "out", conflicts_with_all = ["patch", "noising", "ablate", "attribute", "by", "resume"])]
    pub all: bool,
    /// Write the values: .safetensors, .json or .csv
    #[arg(long, value_name = "FILE", value_parser = to_write())]
    pub out: Option<PathBuf>,
    /// Write a page, one file that needs no network
    #[arg(long, value_name = "FILE", value_parser = to_write())]
    pub html: Option<PathBuf>,
    #[command(flatten)]
    pub pictures: Pictures,
}

/// A view of attention: of a run, or of weights from a file.
#[derive(Args)]
#[command(after_help = OUTPUT)]
#[command(mut_group("source", |group| group.required(false)), mut_arg("model", |arg| arg.required(false)))]
pub struct ViewArgs {
    #[command(flatten)]
    pub model: Option<ModelArgs>,
    #[command(flatten)]
    pub input: InputArgs,
    /// Weights in place of a model: tensors attentions.0, .. of shape (1,H,T,S); an encoder-decoder's
    /// encoder_attentions.0, .., decoder_attentions.0, .., cross_attentions.0, ..
    #[arg(long, value_name = "FILE.safetensors", conflicts_with = "model", requires = "tokens")]
    pub attention: Option<PathBuf>,
    /// The tokens that go with them: a JSON list of strings; for an encoder-decoder {"encoder": [..], "decoder": [..]}
    #[arg(long, value_name = "FILE.json", requires = "attention")]
    pub tokens: Option<PathBuf>,
    /// Layers to show, e.g. 0,3 or 4-7 [default: all]
    #[arg(long, value_name = "LIST")]
    pub layers: Option<Layers>,
    /// Heads to show of each layer [default: all]
    #[arg(long, value_name = "LIST")]
    pub heads: Option<Layers>,
    /// The layer shown first
    #[arg(long, value_name = "N")]
    pub layer: Option<usize>,
    /// The head shown first
    #[arg(long, value_name = "N")]
    pub head: Option<usize>,
    /// The token chosen first, by its position among the queries
    #[arg(long, value_name = "N")]
    pub token: Option<usize>,
    /// What is shown first of an encoder-decoder: encoder, decoder or cross
    #[arg(long, value_name = "NAME")]
    pub block: Option<String>,
    /// Where the second text of a pair begins, where the tokenizer does not tell
    #[arg(long, value_name = "N")]
    pub second_text_at: Option<usize>,
    /// Write a page, one file that needs no network
    #[arg(long, value_name = "FILE", value_parser = to_write())]
    pub html: Option<PathBuf>,
    /// Write tokens and what each head does, in numbers
    #[arg(long, value_name = "FILE", value_parser = to_write())]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    pub pictures: Pictures,
}

/// A file that is written and read back.
fn gone_on_from(name: &str) -> Result<PathBuf, String> {
    if name == "-" { Err("what is done is kept in a file; name one".to_owned()) } else { Ok(name.into()) }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum MethodArg {
    /// Every fan-in adds up, directions on the right axis
    Exact,
    /// As VISIT published it, mistakes included
    Visit,
}

impl From<MethodArg> for Method {
    fn from(method: MethodArg) -> Method {
        match method {
            MethodArg::Exact => Method::Exact,
            MethodArg::Visit => Method::Visit,
        }
    }
}

/// A list of layers: numbers and ranges between commas, square brackets round it or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Layers(pub Vec<usize>);

impl std::str::FromStr for Layers {
    type Err = String;

    fn from_str(text: &str) -> Result<Layers, String> {
        let list = text.trim().trim_start_matches('[').trim_end_matches(']');
        let mut layers = Vec::new();
        for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let range = range(part).ok_or_else(|| format!("{part:?} is no layer; write e.g. 10,14 or 20-29"))?;
            // More than any model has: such a range must not fill the memory before the model is asked.
            if range.end() - range.start() > 100_000 {
                return Err(format!("{part:?} is more layers than any model has"));
            }
            layers.extend(range);
        }
        if layers.is_empty() {
            return Err("no layer is named; write e.g. 10,14 or 20-29".to_owned());
        }
        Ok(Layers(layers))
    }
}

fn range(part: &str) -> Option<RangeInclusive<usize>> {
    if let Ok(layer) = part.parse::<usize>() {
        return Some(layer..=layer);
    }
    let (first, last) = part.split_once('-').or_else(|| part.split_once(".."))?;
    let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some(first..=last)
}

#[derive(Args)]
#[command(after_help = OUTPUT)]
pub struct TraceArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub input: InputArgs,
    /// Sites to keep, e.g. `blocks.*.attn.hook_pattern,logits` [default: all but attn.hook_result]
    #[arg(long, value_delimiter = ',', value_name = "LIST", long_help = sites_help())]
    pub sites: Option<Vec<String>>,
    /// Names and shapes in the file
    #[arg(long, default_value = "sites")]
    pub layout: Layout,
    /// The file to write
    #[arg(long, value_name = "FILE.safetensors", value_parser = to_write())]
    pub out: PathBuf,
}

/// All of a model's figures of one kind, into a folder.
#[derive(Args)]
pub struct FiguresArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// A text; may be repeated, and each gets its figures
    #[arg(long, value_name = "TEXT")]
    pub text: Vec<String>,
    /// Token ids in place of a text, e.g. 504,3575,282
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, conflicts_with = "text")]
    pub ids: Option<Vec<i64>>,
    /// What the decoder of an encoder-decoder has written so far [default: nothing]
    #[arg(long, value_name = "TEXT")]
    pub decoder_text: Option<String>,
    /// Layers, e.g. 0,3 or 4-7 [default: all]
    #[arg(long, value_name = "LIST")]
    pub layers: Option<Layers>,
    /// Only this block of an encoder-decoder: encoder, decoder or cross
    #[arg(long, value_name = "NAME")]
    pub block: Option<String>,
    /// The folder; figures that it has already of the same model, text and choices are not made again
    #[arg(long, value_name = "FOLDER", default_value = "figures")]
    pub out: PathBuf,
    /// What to write: html is a page to explore, the others are pictures of one view each
    #[arg(long, value_name = "FORMAT", default_value = "pdf")]
    pub format: Format,
    /// Dark paper
    #[arg(long)]
    pub dark: bool,
}

/// Figures that have heads to choose from.
#[derive(Args)]
pub struct HeadFiguresArgs {
    #[command(flatten)]
    pub figures: FiguresArgs,
    /// Heads, e.g. 0,3 or 4-7 [default: all]
    #[arg(long, value_name = "LIST")]
    pub heads: Option<Layers>,
}

/// Figures that compare vectors.
#[derive(Args)]
pub struct VectorFiguresArgs {
    #[command(flatten)]
    pub figures: FiguresArgs,
    /// Leave out the first position, whose vector is often far longer than all others
    #[arg(long)]
    pub without_first: bool,
    /// Subtract the mean over positions, at each depth its own
    #[arg(long)]
    pub centred: bool,
}

#[derive(Args)]
pub struct WalkArgs {
    #[command(flatten)]
    pub vectors: VectorFiguresArgs,
    /// Scale every vector to length 1
    #[arg(long)]
    pub unit_norm: bool,
    /// Walk through what the sublayers read, norm by norm, in place of the stream
    #[arg(long)]
    pub sublayers: bool,
    /// The positions that walk, counted from 0, e.g. 3,7 or 0-9 [default: all]
    #[arg(long, value_name = "LIST")]
    pub positions: Option<Layers>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Format {
    Html,
    Svg,
    Pdf,
    Png,
}

impl Format {
    pub fn ending(self) -> &'static str {
        match self {
            Format::Html => "html",
            Format::Svg => "svg",
            Format::Pdf => "pdf",
            Format::Png => "png",
        }
    }
}

#[derive(Args)]
#[command(after_help = OUTPUT)]
pub struct TrajectoriesArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub input: InputArgs,
    /// The file to write
    #[arg(long, value_name = "FILE.safetensors", value_parser = to_write())]
    pub data: PathBuf,
}

fn sites_help() -> String {
    let mut text =
        "Sites to keep [default: all but attn.hook_result]; `*` stands for any layer. An encoder's start with `encoder.`. There are:\n".to_owned();
    for name in flowlens::Site::names() {
        text.push_str("  ");
        text.push_str(&name);
        text.push('\n');
    }
    text
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Layout {
    /// Site names, no batch axis
    Sites,
    /// What Python transformers returns: hidden_states.0, attentions.0, .., with a leading axis of 1
    Transformers,
}

#[derive(Args)]
pub struct TokensArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub source: TextSource,
    /// Print JSON: a list of {"text", "ids", "pieces"}
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct TextSource {
    /// A text
    #[arg(long, allow_hyphen_values = true)]
    pub text: Option<String>,
    /// A file with a text on each line
    #[arg(long)]
    pub file: Option<PathBuf>,
}

#[derive(Args)]
pub struct NextArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub input: InputArgs,
    /// How many
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub top: usize,
    /// Of a model that reads both ways (BERT): the position to predict, counted from 0 [default: the masked one]; of
    /// others the position after which the token stands [default: the last]
    #[arg(long, value_name = "N")]
    pub position: Option<usize>,
    /// Print JSON: a list of {"id", "token", "logit", "prob"}
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub input: InputArgs,
    /// The most tokens to add
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub max_tokens: usize,
    /// Draw from the probabilities at this temperature; 0 takes the best token
    #[arg(long, default_value_t = 0.0, value_name = "X", allow_negative_numbers = true)]
    pub temperature: f64,
    /// Draw from the N best tokens only; needs a temperature above 0
    #[arg(long, value_name = "N")]
    pub top_k: Option<usize>,
    /// Draw only from the best tokens that together have this probability; needs a temperature above 0
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub top_p: Option<f64>,
    /// End the text before this one; may be given several times
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub stop: Vec<String>,
    /// Makes drawing repeatable
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub seed: i64,
    /// Print JSON: {"text", "ids"}; a list of them for inputs of several rows
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct InfoArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Also estimate the memory of a watched run of this text
    #[arg(long)]
    pub text: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn reads_layers_as_people_and_visit_write_them() {
        let read = |text: &str| text.parse::<Layers>().map(|layers| layers.0);
        assert_eq!(read("10,14").unwrap(), [10, 14]);
        assert_eq!(read("[10, 14]").unwrap(), [10, 14]);
        assert_eq!(read("2-4, 7").unwrap(), [2, 3, 4, 7]);
        assert_eq!(read("2..4").unwrap(), [2, 3, 4]);
        for text in ["", "[]", "a", "-1", "4-2", "1,x", "0-99999999999"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
