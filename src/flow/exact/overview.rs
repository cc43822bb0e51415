//! The whole model, coarsely: what attention and the MLP of every layer add to the stream.

use super::super::graph::{LinkKind, NodeKind};
use super::Scene;
use super::draft::Draft;
use crate::{Result, Site};

pub(super) fn draft(scene: &mut Scene) -> Result<Draft> {
    let mut draft = Draft::default();
    let (mut stream, mut length) = scene.site(&mut draft, Site::ResidPre(0), NodeKind::Resid, 0)?;
    for layer in 0..scene.request.trace.model().layers() {
        let column = 2 * layer + 1;
        let (attention, attention_length) = scene.site(&mut draft, Site::AttnOut(layer), NodeKind::AttnOut, column)?;
        let (mlp, mlp_length) = scene.site(&mut draft, Site::MlpOut(layer), NodeKind::MlpOut, column)?;
        let (after, after_length) = scene.site(&mut draft, Site::ResidPost(layer), NodeKind::Resid, column + 1)?;
        draft.term((stream, after), LinkKind::Residual, length, length, "the residual stream goes on".to_owned());
        for (node, length, who) in [(attention, attention_length, "attention"), (mlp, mlp_length, "the MLP")] {
            draft.link(
                (stream, node),
                LinkKind::Norm,
                length,
                length,
                format!("{who} reads the stream through a norm"),
            );
            draft.add((node, after), LinkKind::Add, length);
        }
        (stream, length) = (after, after_length);
    }
    Ok(draft)
}
