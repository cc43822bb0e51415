//! What a head view or a model view shows, option by option.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{Attention, Block, Layer, Matrices};
use crate::text::list;
use crate::{Error, Model, Result, Site, Trace};

/// The setters that views of attention have in common.
macro_rules! choices {
    () => {
        /// The layers to show (by default, all that a page has room for); in an encoder-decoder those of each stack that
        /// has them.
        pub fn layers(mut self, layers: impl IntoIterator<Item = usize>) -> Self {
            self.options.layers = Some(layers.into_iter().collect());
            self
        }

        /// The heads of each layer to show; all by default.
        pub fn heads(mut self, heads: impl IntoIterator<Item = usize>) -> Self {
            self.options.heads = Some(heads.into_iter().collect());
            self
        }

        /// Where the second text of a pair begins, where the tokens do not say so: the view then offers each text's
        /// attention to itself and to the other.
        pub fn second_text_at(mut self, position: usize) -> Self {
            self.options.second = Some(position);
            self
        }

        /// The block that is shown first, e.g. `cross`.
        pub fn block(mut self, name: impl Into<String>) -> Self {
            self.options.first.block = Some(name.into());
            self
        }

        /// The layer that is shown first.
        pub fn layer(mut self, layer: usize) -> Self {
            self.options.first.layer = Some(layer);
            self
        }

        /// The head that is shown first: alone in the head and neuron view, opened in the model view.
        pub fn head(mut self, head: usize) -> Self {
            self.options.first.head = Some(head);
            self
        }

        /// The token that is chosen first, by its position among the queries.
        pub fn token(mut self, position: usize) -> Self {
            self.options.first.token = Some(position);
            self
        }
    };
}
pub(super) use choices;

/// Which tokens the heads of a layer attend to: tokens in two columns, lines between them in the colours of the heads.
/// Made by [`Trace::head_view`], [`Attention::head_view`] or from arrays.
///
/// [`build`](HeadView::build) draws it, and as a notebook cell's last expression it shows itself.
#[derive(Debug, Clone)]
#[must_use = "call build() to get the figure"]
pub struct HeadView {
    source: Source,
    pub(crate) options: Options,
}

/// All heads of all layers at a glance, a heat map for each. Made by [`Trace::model_view`], [`Attention::model_view`] or
/// from arrays.
///
/// [`build`](ModelView::build) draws it, and as a notebook cell's last expression it shows itself.
#[derive(Debug, Clone)]
#[must_use = "call build() to get the figure"]
pub struct ModelView {
    source: Source,
    pub(crate) options: Options,
}

/// Where a view's attention comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Run(Trace),
    Given(Attention),
}

impl Source {
    pub(super) fn attention(&self) -> Result<Cow<'_, Attention>> {
        match self {
            Source::Run(trace) => Ok(Cow::Owned(trace.attention()?)),
            Source::Given(attention) => Ok(Cow::Borrowed(attention)),
        }
    }
}

/// What differs from the default.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub layers: Option<Vec<usize>>,
    pub heads: Option<Vec<usize>>,
    pub second: Option<usize>,
    pub first: First,
}

/// What is shown first.
#[derive(Debug, Clone, Default)]
pub(crate) struct First {
    pub block: Option<String>,
    pub layer: Option<usize>,
    pub head: Option<usize>,
    pub heads_on: Option<Vec<usize>>,
    pub token: Option<usize>,
}

/// What views of weights have in common.
macro_rules! view_of_weights {
    ($View:ident) => {
        impl $View {
            /// A view of attention from anywhere: tokens and layers of shape (H,T,T) or (1,H,T,T).
            ///
            /// # Errors
            /// As [`Attention::new`].
            pub fn new(
                tokens: impl IntoIterator<Item = impl Into<String>>,
                attention: impl Into<Matrices>,
            ) -> Result<$View> {
                Ok($View::of(Attention::new(tokens, attention)?))
            }

            /// The sites that a run must keep for it: patterns, and values, whose lengths say how much a weight moves.
            pub fn sites(model: &Model) -> Vec<Site> {
                let needed = |site: &Site| matches!(site.plain(), Site::Pattern(_) | Site::Value(_));
                model.sites().into_iter().filter(needed).collect()
            }

            pub(super) fn of(attention: Attention) -> $View {
                $View { source: Source::Given(attention), options: Options::default() }
            }

            pub(super) fn of_run(trace: &Trace) -> $View {
                $View { source: Source::Run(trace.clone()), options: Options::default() }
            }

            choices!();

            /// The heads that are on at first; all by default.
            pub fn heads_on(mut self, heads: impl IntoIterator<Item = usize>) -> Self {
                self.options.first.heads_on = Some(heads.into_iter().collect());
                self
            }

            /// The attention that is shown, with the layers and heads that were asked for.
            pub(crate) fn chosen(&self) -> Result<Attention> {
                self.options.choose(&*self.source.attention()?)
            }
        }
    };
}

view_of_weights!(HeadView);
view_of_weights!(ModelView);

impl Attention {
    /// The head view of it.
    pub fn head_view(&self) -> HeadView {
        HeadView::of(self.clone())
    }

    /// The model view of it.
    pub fn model_view(&self) -> ModelView {
        ModelView::of(self.clone())
    }
}

impl Options {
    /// The layers and heads that were asked for, if all that was named is there.
    pub(super) fn choose(&self, attention: &Attention) -> Result<Attention> {
        if [&self.layers, &self.heads].into_iter().flatten().any(Vec::is_empty) {
            return Err(Error::Attention("the list of layers or heads is empty; leave it out for all".to_owned()));
        }
        let mut chosen = Attention { model: attention.model.clone(), blocks: Vec::new(), run: attention.run };
        for block in &attention.blocks {
            let block = self.cut(block)?;
            if !block.layers.is_empty() {
                chosen.blocks.push(block);
            }
        }
        if chosen.blocks.is_empty() {
            let there: BTreeSet<usize> = attention.blocks.iter().flat_map(Block::layers).collect();
            let there: Vec<usize> = there.into_iter().collect();
            let asked = list(self.layers.as_deref().unwrap_or_default());
            return Err(Error::Attention(format!("layers {asked} are not there; there are {}", list(&there))));
        }
        self.check(attention, &chosen)?;
        Ok(chosen)
    }

    /// The layers and heads of a block that were asked for, and where its second text begins.
    fn cut(&self, block: &Block) -> Result<Block> {
        let mut cut = block.clone();
        if let Some(wanted) = &self.layers {
            cut.layers = wanted.iter().filter_map(|&number| block.layer(number).ok().cloned()).collect();
        }
        if let Some(wanted) = &self.heads {
            cut.layers = cut.layers.iter().map(|layer| layer.only(wanted)).collect::<Result<_>>()?;
        }
        if let (Some(second), true) = (self.second, block.to_itself && block.name != "decoder") {
            if second == 0 || second >= block.queries.len() {
                return Err(Error::Attention(format!(
                    "the second text cannot begin at position {second} of {} tokens; give 1 to {}",
                    block.queries.len(),
                    block.queries.len().saturating_sub(1)
                )));
            }
            cut.second = Some(second);
        }
        Ok(cut)
    }

    /// Whether all that was named is there.
    fn check(&self, all: &Attention, chosen: &Attention) -> Result<()> {
        let missing = |what: &str, wanted: &[usize], there: &[usize]| match wanted.iter().find(|it| !there.contains(it))
        {
            Some(number) => Err(Error::Attention(format!("there is no {what} {number}; there are {}", list(there)))),
            None => Ok(()),
        };
        let numbers = |attention: &Attention, of: fn(&Layer) -> Vec<usize>| -> Vec<usize> {
            let layers = attention.blocks.iter().flat_map(|block| &block.layers);
            layers.flat_map(of).collect::<BTreeSet<_>>().into_iter().collect()
        };
        missing("layer", self.layers.as_deref().unwrap_or_default(), &numbers(all, |layer| vec![layer.number]))?;
        let first = &self.first;
        if let Some(name) = &first.block {
            chosen.block(name)?;
        }
        let layer: Vec<usize> = first.layer.into_iter().collect();
        missing("layer", &layer, &numbers(chosen, |layer| vec![layer.number]))?;
        let heads: Vec<usize> = first.head.into_iter().chain(first.heads_on.iter().flatten().copied()).collect();
        missing("head", &heads, &numbers(chosen, |layer| layer.heads.clone()))?;
        let most = chosen.blocks.iter().map(|block| block.queries.len()).max().unwrap_or_default();
        match first.token.filter(|&token| token >= most) {
            Some(token) => {
                Err(Error::Attention(format!("there is no token {token}; there are {most}, counted from 0")))
            }
            None => Ok(()),
        }
    }
}

impl Layer {
    /// The same layer with these of its heads.
    fn only(&self, wanted: &[usize]) -> Result<Layer> {
        let place = |head: &usize| {
            self.heads.iter().position(|number| number == head).ok_or_else(|| {
                let there = list(&self.heads);
                Error::Attention(format!("layer {} has no head {head}; it has {there}", self.number))
            })
        };
        let places: Vec<usize> = wanted.iter().map(place).collect::<Result<_>>()?;
        let index: Vec<i64> = places.iter().map(|&place| place as i64).collect();
        let pick = |tensor: &tch::Tensor| -> Result<tch::Tensor> {
            Ok(tensor.f_index_select(0, &tch::Tensor::f_from_slice(&index)?)?)
        };
        Ok(Layer {
            number: self.number,
            heads: wanted.to_vec(),
            key_heads: places.iter().map(|&place| self.key_heads[place]).collect(),
            weights: pick(&self.weights)?,
            written: self.written.as_ref().map(pick).transpose()?,
        })
    }
}
