//! Which sites a graph is made from.

use crate::Site;
use crate::model::Model;

/// The sites that flow graphs of these layers are made from, by either method and at any position.
///
/// A plain run keeps them all, and more; a long prompt or a large model may want to keep no others:
///
/// ```no_run
/// # fn main() -> flowlens::Result<()> {
/// # let (model, long_text) = (flowlens::Model::load("smollm2-135m")?, "..");
/// let trace = model.watch(long_text).keep(flowlens::flow::sites(&model, [20, 21])).run()?;
/// let graph = trace.flow_graph().layers([20, 21]).chain(true).build()?;
/// # Ok(()) }
/// ```
pub fn sites(model: &Model, layers: impl IntoIterator<Item = usize>) -> Vec<Site> {
    let of_layer = |layer| {
        [
            Site::ResidPre(layer),
            Site::AttnNorm(layer),
            Site::Query(layer),
            Site::Key(layer),
            Site::Value(layer),
            Site::RotatedQuery(layer),
            Site::RotatedKey(layer),
            Site::Pattern(layer),
            Site::HeadMix(layer),
            Site::AttnOut(layer),
            Site::ResidMid(layer),
            Site::MlpNorm(layer),
            Site::MlpPre(layer),
            Site::MlpGate(layer),
            Site::Neurons(layer),
            Site::MlpOut(layer),
            Site::ResidPost(layer),
        ]
    };
    let known = model.sites();
    let mut sites: Vec<Site> = layers.into_iter().flat_map(of_layer).collect();
    // The target's logit is measured where the stream ends.
    sites.push(Site::ResidPost(model.layers().saturating_sub(1)));
    sites.retain(|site| known.contains(site));
    sites.sort_unstable();
    sites.dedup();
    sites
}
