//! What a neuron view shows, option by option.

use crate::attention::view::{Options, choices};
use crate::{Model, Site, Trace};

/// How a query and the keys of a head become weights, number by number; made by [`Trace::neuron_view`].
///
/// [`build`](NeuronView::build) draws it, and as a notebook cell's last expression it shows itself.
#[derive(Debug, Clone)]
#[must_use = "call build() to get the figure"]
pub struct NeuronView {
    pub(super) trace: Trace,
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
    pub fn neuron_view(&self) -> NeuronView {
        NeuronView { trace: self.clone(), options: Options::default() }
    }
}

impl NeuronView {
    choices!();

    /// The sites that a run must keep for it: queries and keys as they meet, values, position biases, patterns.
    pub fn sites(model: &Model) -> Vec<Site> {
        let needed = |site: &Site| {
            matches!(
                site.plain(),
                Site::Query(_)
                    | Site::Key(_)
                    | Site::Value(_)
                    | Site::RotatedQuery(_)
                    | Site::RotatedKey(_)
                    | Site::PositionBias(_)
                    | Site::Pattern(_)
            )
        };
        model.sites().into_iter().filter(needed).collect()
    }
}
