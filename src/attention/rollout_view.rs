//! What a rollout view shows, option by option.

use super::view::{First, Source};
use super::{Attention, Block};
use crate::{Error, Result, Trace};

/// From which tokens of the input each position is mixed, layer by layer: [`Attention::rollout`] as a picture; made by
/// [`Trace::rollout_view`] or [`Attention::rollout_view`].
///
/// [`build`](RolloutView::build) draws it, and as a notebook cell's last expression it shows itself.
#[derive(Debug, Clone)]
#[must_use = "call build() to get the figure"]
pub struct RolloutView {
    source: Source,
    first: First,
    residual: bool,
}

impl Trace {
    /// The rollout view: from which tokens of the input each position is mixed, as far as attention can tell.
    ///
    /// ```no_run
    /// # fn main() -> flowlens::Result<()> {
    /// let model = flowlens::Model::load("smollm2-135m")?;
    /// let trace = model.run("The capital of Japan is the city of")?;
    /// trace.rollout_view().token(7).build()?.save("rollout.html")?;
    /// // The same by what heads move in place of where they look.
    /// trace.attention()?.norm_weighted()?.rollout_view().token(7).build()?.save("by_norms.html")?;
    /// # Ok(()) }
    /// ```
    pub fn rollout_view(&self) -> RolloutView {
        RolloutView { source: Source::Run(self.clone()), first: First::default(), residual: true }
    }
}

impl Attention {
    /// The rollout view of it.
    pub fn rollout_view(&self) -> RolloutView {
        RolloutView { source: Source::Given(self.clone()), first: First::default(), residual: true }
    }
}

impl RolloutView {
    /// The block that is shown first, e.g. `decoder`.
    pub fn block(mut self, name: impl Into<String>) -> Self {
        self.first.block = Some(name.into());
        self
    }

    /// The layer after which positions are shown first; the last by default.
    pub fn layer(mut self, layer: usize) -> Self {
        self.first.layer = Some(layer);
        self
    }

    /// The position that is followed first; by default the last one in a causal model, otherwise the first.
    pub fn token(mut self, position: usize) -> Self {
        self.first.token = Some(position);
        self
    }

    /// Whether half of every step stays where it is, as if half of the residual stream came past the heads; it does
    /// unless told, and the page has a switch.
    pub fn residual(mut self, residual: bool) -> Self {
        self.residual = residual;
        self
    }

    /// The heads' means that are multiplied.
    pub(crate) fn means(&self) -> Result<Attention> {
        self.source.attention()?.means_to_itself()
    }

    /// What is shown first of them: block, layer and token.
    pub(crate) fn opened<'a>(&self, means: &'a Attention) -> Result<(&'a Block, usize, usize)> {
        let nothing = || {
            Error::Attention("there is nothing to show; give attention with at least one block and layer".to_owned())
        };
        let block = match &self.first.block {
            Some(name) => means.block(name)?,
            None => means.blocks.last().ok_or_else(nothing)?,
        };
        let layer = match self.first.layer {
            Some(number) => block.layer(number)?.number,
            None => block.layers.last().ok_or_else(nothing)?.number,
        };
        let count = block.queries.len();
        match self.first.token {
            Some(token) if token >= count => {
                let name = &block.name;
                let problem = format!("block {name} has no token {token}; it has {count}, counted from 0");
                Err(Error::Attention(problem))
            }
            Some(token) => Ok((block, layer, token)),
            None => Ok((block, layer, if block.is_causal()? { count - 1 } else { 0 })),
        }
    }

    pub(crate) fn keeps_half(&self) -> bool {
        self.residual
    }
}
