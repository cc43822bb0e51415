//! Attention of a watched run.

use tch::{Kind, Tensor};

use super::{Attention, Block, HeadView, Layer, ModelView, Quantity, Token};
use crate::model::architecture::{Attention as Plan, Sees, Stack};
use crate::model::{Model, Visible};
use crate::site::Part;
use crate::text::word_starts;
use crate::{Error, Result, Site, Trace};

impl Trace {
    /// The attention of the run: every layer whose pattern was kept.
    ///
    /// # Errors
    /// When the run kept no pattern.
    pub fn attention(&self) -> Result<Attention> {
        let blocks: Vec<Block> = parts(self.model())
            .iter()
            .map(|&(part, name)| block(self, part, name))
            .filter_map(Result::transpose)
            .collect::<Result<_>>()?;
        if blocks.is_empty() {
            return Err(Error::Attention(
                "the run kept no attention pattern; keep Site::Pattern of the layers that you want to see, or watch \
                 everything with run(..)"
                    .to_owned(),
            ));
        }
        Attention::of_blocks(self.model().name().to_owned(), blocks)
    }

    /// The head view: which tokens each head of a layer attends to.
    ///
    /// ```no_run
    /// # fn main() -> flowlens::Result<()> {
    /// let model = flowlens::Model::load("smollm2-135m")?;
    /// let trace = model.run("The capital of Japan is the city of")?;
    /// trace.head_view().layer(20).heads_on([3, 4]).build()?.save("heads.html")?;
    /// # Ok(()) }
    /// ```
    pub fn head_view(&self) -> HeadView {
        HeadView::of_run(self)
    }

    /// The model view: every head of every layer at a glance.
    pub fn model_view(&self) -> ModelView {
        ModelView::of_run(self)
    }
}

/// The parts of a model that attend, and what their blocks are called.
pub(crate) fn parts(model: &Model) -> &'static [(Part, &'static str)] {
    match model.architecture().encoder {
        Some(_) => &[(Part::Encoder, "encoder"), (Part::Main, "decoder"), (Part::Cross, "cross")],
        None => &[(Part::Main, "all")],
    }
}

/// The sites of one part, told by their layer.
pub(crate) fn in_part(site: Site, part: Part) -> Site {
    match part {
        Part::Encoder => site.in_encoder(),
        Part::Main => site,
        Part::Cross => site.in_cross(),
    }
}

/// The plan of the attention of a layer in a part.
pub(crate) fn plan(model: &Model, part: Part, layer: usize) -> Option<&Plan> {
    let architecture = model.architecture();
    let stack: Option<&Stack> = match part {
        Part::Encoder => architecture.encoder.as_ref(),
        Part::Main | Part::Cross => Some(&architecture.main),
    };
    let block = stack?.blocks.get(layer)?;
    match part {
        Part::Cross => block.cross.as_ref().map(|cross| &cross.attention),
        Part::Encoder | Part::Main => Some(&block.attention),
    }
}

/// Number of layers of a part's stack.
pub(crate) fn layers(model: &Model, part: Part) -> usize {
    match part {
        Part::Encoder => model.encoder_layers(),
        Part::Main | Part::Cross => model.layers(),
    }
}

/// The tokens that attend in a part, and those that are attended to.
pub(crate) fn sides(trace: &Trace, part: Part) -> (Vec<Token>, Vec<Token>) {
    let main = || tokens(trace.model(), &trace.ids());
    let source = || tokens(trace.model(), &trace.encoder_ids());
    match part {
        Part::Encoder => (source(), source()),
        Part::Main => (main(), main()),
        Part::Cross => (main(), source()),
    }
}

fn tokens(model: &Model, ids: &[u32]) -> Vec<Token> {
    let Some(tokenizer) = model.tokenizer() else {
        let number = |id: &u32| format!("#{id}");
        let token = |id| Token { text: number(id), shown: number(id), special: false, begins: true };
        return ids.iter().map(token).collect();
    };
    let names: Vec<String> = ids.iter().map(|&id| tokenizer.name(id).unwrap_or_default()).collect();
    let special: Vec<bool> = ids.iter().map(|&id| tokenizer.is_special(id)).collect();
    let begins = word_starts(&names, &special);
    let token = |(place, &id): (usize, &u32)| {
        named(Token {
            text: tokenizer.piece(id),
            shown: tokenizer.shown(id),
            special: special[place],
            begins: begins[place],
        })
    };
    ids.iter().enumerate().map(token).collect()
}

/// A token whose text is empty gets something to show.
fn named(token: Token) -> Token {
    if token.shown.is_empty() { Token { shown: "∅".to_owned(), ..token } } else { token }
}

fn block(trace: &Trace, part: Part, name: &str) -> Result<Option<Block>> {
    let model = trace.model();
    let mut found = Vec::new();
    for number in 0..layers(model, part) {
        let Some(plan) = plan(model, part, number) else { continue };
        let Some(pattern) = trace.tensor_if_kept(in_part(Site::Pattern(number), part))? else { continue };
        let serves = plan.heads / plan.kv_heads;
        found.push(Layer {
            number,
            heads: (0..plan.heads).collect(),
            key_heads: (0..plan.heads).map(|head| head / serves).collect(),
            weights: numbers(&pattern)?,
            written: written(trace, part, number, serves)?,
        });
    }
    if found.is_empty() {
        return Ok(None);
    }
    let (queries, keys) = sides(trace, part);
    let second = match part {
        Part::Encoder => trace.tokens().source.as_ref().and_then(|source| source.second),
        Part::Main => trace.second_text(),
        Part::Cross => None,
    };
    Ok(Some(Block {
        name: name.to_owned(),
        kind: Quantity::Probability,
        queries,
        keys,
        to_itself: part != Part::Cross,
        second,
        layers: found,
    }))
}

/// Float32 on the CPU, without gaps.
pub(crate) fn numbers(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?)
}

/// The length (H,S) of what the value of each position writes through each head, where values were kept.
fn written(trace: &Trace, part: Part, layer: usize, serves: usize) -> Result<Option<Tensor>> {
    let site = in_part(Site::Value(layer), part);
    let (Some(value), Some(attention)) = (trace.tensor_if_kept(site)?, trace.model().attention(site)) else {
        return Ok(None);
    };
    let by_head = value.f_repeat_interleave_self_int(serves as i64, 0, None)?;
    Ok(Some(numbers(&attention.written_lengths(&by_head)?)?))
}

/// Which keys each query of a part sees.
pub(crate) fn visible(trace: &Trace, part: Part, plan: &Plan) -> Visible {
    let (tokens, architecture) = (trace.tokens(), trace.model().architecture());
    let source = tokens.source.as_deref().unwrap_or(tokens);
    match part {
        Part::Main => Visible::in_text(tokens, &(0..tokens.len()), architecture.main.sees, plan.window),
        Part::Encoder => {
            let sees = architecture.encoder.as_ref().map_or(Sees::Both, |encoder| encoder.sees);
            Visible::in_text(source, &(0..source.len()), sees, plan.window)
        }
        Part::Cross => Visible::in_memory(tokens, &(0..tokens.len()), source),
    }
}
