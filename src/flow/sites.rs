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
    let in_attention = [
        Site::Query,
        Site::Key,
        Site::Value,
        Site::RotatedQuery,
        Site::RotatedKey,
        Site::PositionBias,
        Site::Pattern,
        Site::HeadMix,
    ];
    let in_mlp = [Site::ExpertWeights, Site::MlpPre, Site::MlpGate, Site::Neurons];
    let mut sites = Vec::new();
    for layer in layers.into_iter().filter(|&layer| layer < model.layers()) {
        sites.extend(in_attention.map(|site| site(layer)));
        sites.extend(in_attention.map(|site| site(layer).in_cross()));
        sites.extend(in_mlp.map(|site| site(layer)));
        for route in model.routes(layer) {
            sites.extend([route.enters, route.carries, route.reads, route.writes, route.sum, route.leaves]);
        }
        // The published method takes both norms from their sites, also where they are one.
        sites.extend([Site::AttnNorm(layer), Site::MlpNorm(layer)]);
    }
    // The target's logit is measured where the stream ends, and followed from there through norms of the stream.
    sites.push(model.last_stream());
    for layer in 0..model.layers() {
        for route in model.routes(layer) {
            sites.extend((route.leaves != route.sum).then_some(route.sum));
            sites.extend((route.carries != route.enters).then_some(route.enters));
        }
    }
    known(model, sites)
}

/// The sites that an overview is made from.
pub(super) fn of_overview(model: &Model) -> Vec<Site> {
    let routes = (0..model.layers()).flat_map(|layer| model.routes(layer));
    let sites = routes.flat_map(|route| [route.enters, route.carries, route.writes, route.sum, route.leaves]);
    known(model, sites.collect())
}

/// Those that the model has, each once.
fn known(model: &Model, mut sites: Vec<Site>) -> Vec<Site> {
    let known = model.sites();
    sites.retain(|site| known.contains(site));
    sites.sort_unstable();
    sites.dedup();
    sites
}
