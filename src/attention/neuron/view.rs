//! What a neuron view shows, option by option.

use crate::Trace;
use crate::attention::view::Options;

/// How a query and the keys of a head become weights, number by number; made by [`Trace::neuron_view`].
///
/// [`build`](NeuronView::build) draws it, and as a notebook cell's last expression it shows itself.
#[derive(Debug, Clone)]
#[must_use = "call build() to get the figure"]
pub struct NeuronView<'a> {
    pub(crate) trace: &'a Trace,
    pub(crate) options: Options,
}

impl Trace {
    /// The neuron view: the numbers of queries and keys as they meet, and how they become the weights of a head.
    ///
    /// ```no_run
    /// # fn main() -> flowlens::Result<()> {
    /// let model = flowlens::Model::load("smollm2-135m")?;
    /// let trace = model.run("The capital of Japan is the city of")?;
    /// trace.neuron_view().layer(20).head(3).build()?.save("neurons.html")?;
    /// # Ok(()) }
    /// ```
    pub fn neuron_view(&self) -> NeuronView<'_> {
        NeuronView { trace: self, options: Options::default() }
    }
}

impl NeuronView<'_> {
    /// The layers to show, in an encoder-decoder those of each stack that has them. Unless told, all that a page has
    /// room for.
    pub fn layers(mut self, layers: impl IntoIterator<Item = usize>) -> Self {
        self.options.layers = Some(layers.into_iter().collect());
        self
    }

    /// The heads to show of each layer, all unless told.
    pub fn heads(mut self, heads: impl IntoIterator<Item = usize>) -> Self {
        self.options.heads = Some(heads.into_iter().collect());
        self
    }

    /// Where the second text of a pair begins, for tokens that do not tell: the view then offers each text's
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

    /// The head that is shown first.
    pub fn head(mut self, head: usize) -> Self {
        self.options.first.head = Some(head);
        self
    }

    /// The query that is chosen first, by its position.
    pub fn token(mut self, position: usize) -> Self {
        self.options.first.token = Some(position);
        self
    }
}
