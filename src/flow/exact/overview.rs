//! The whole model, coarsely: what attention and the MLP of every layer add to the stream.

use super::super::graph::{Facts, LinkKind, NodeKind};
use super::Scene;
use super::block::{Stream, through_norm, written_kind};
use super::draft::Draft;
use crate::{Result, Site, interrupt};

pub(super) fn draft(scene: &mut Scene) -> Result<Draft> {
    let mut draft = Draft::default();
    let mut stream = scene.site(&mut draft, Site::ResidPre(0), NodeKind::Resid, 0)?;
    let mut column = 0;
    for layer in 0..scene.request.trace.model().layers() {
        interrupt::check()?;
        let routes = scene.request.trace.model().routes(layer);
        // Sums that nothing but the next sublayer reads are left out: what is added waits for the next one.
        let mut written: Vec<Stream> = Vec::new();
        let mut changed = false;
        for (place, route) in routes.iter().enumerate() {
            if route.carries != route.enters {
                column += 1;
                stream = through_norm(scene, &mut draft, stream, route.carries, column)?;
            }
            changed |= scene.changed_between(&draft.nodes[stream.0], route.carries);
            let (node, length) = scene.site(&mut draft, route.writes, written_kind(route.sublayer), column + 1)?;
            draft.nodes[node].facts = Facts::Reads(route.reads);
            draft.link((stream.0, node), LinkKind::Norm, length, length);
            written.push((node, length));
            let goes_on = routes.get(place + 1).is_some_and(|next| next.carries == next.enters);
            if route.leaves == route.sum && goes_on {
                continue;
            }
            column += 2;
            let before = stream;
            stream = scene.site(&mut draft, route.sum, NodeKind::Resid, column)?;
            draft.nodes[stream.0].changed |= std::mem::take(&mut changed);
            draft.term((before.0, stream.0), LinkKind::Residual, before.1);
            for (node, length) in written.drain(..) {
                draft.term((node, stream.0), LinkKind::Add, length);
            }
            if route.leaves != route.sum {
                column += 1;
                stream = through_norm(scene, &mut draft, stream, route.leaves, column)?;
            }
        }
    }
    Ok(draft)
}
