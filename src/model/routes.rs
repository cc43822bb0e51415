//! The order of a block: which sublayers it has, and the sites that each lies between. The forward pass goes by it, the
//! analyses follow it, and it says which sites a block has.

use super::architecture::{Block, Norms, Order};
use crate::site::Site;
use crate::{Error, Result};

/// The parts of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sublayer {
    Attention,
    Cross,
    Mlp,
}

/// The sites that one sublayer lies between. They differ with where the norms are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub sublayer: Sublayer,
    /// The stream as the block's earlier parts leave it.
    pub enters: Site,
    /// What is added to: that, or its norm.
    pub carries: Site,
    /// What the sublayer reads: what is added to, or its norm.
    pub reads: Site,
    /// The site of the norm around the sublayer, or of what a parallel MLP reads.
    pub normed: Option<Site>,
    /// What the sublayer adds.
    pub writes: Site,
    /// Both added up. Both sublayers of a parallel block have the same.
    pub sum: Site,
    /// What the stream continues with: the sum, or its norm in post-norm blocks.
    pub leaves: Site,
}

impl Route {
    /// `sites` are those of the norm, of what is written, and of the sum.
    fn new(sublayer: Sublayer, norms: &Norms, enters: Site, sites: [Site; 3]) -> Route {
        let [normed, writes, sum] = sites;
        let either = |there: bool, plain: Site| if there { normed } else { plain };
        let carries = either(norms.first.is_some(), enters);
        Route {
            sublayer,
            enters,
            carries,
            reads: either(norms.before.is_some(), carries),
            normed: (norms.places() > 0).then_some(normed),
            writes,
            sum,
            leaves: either(norms.after.is_some(), sum),
        }
    }

    /// The sites of the stream that this sublayer adds.
    pub(crate) fn sites(&self) -> impl Iterator<Item = Site> {
        [Some(self.writes), Some(self.sum), self.normed].into_iter().flatten()
    }
}

impl Norms {
    /// How many norms of the stream there are.
    fn places(&self) -> usize {
        [&self.first, &self.before, &self.after].iter().filter(|norm| norm.is_some()).count()
    }
}

impl Block {
    /// The ways through the sublayers of the block, in the order of the computation.
    pub(crate) fn routes(&self, layer: usize) -> Vec<Route> {
        let parallel = self.order == Order::Parallel;
        let after_attention = if parallel { Site::ResidPost(layer) } else { Site::ResidMid(layer) };
        let attention = Route::new(
            Sublayer::Attention,
            &self.attn_norms,
            Site::ResidPre(layer),
            [Site::AttnNorm(layer), Site::AttnOut(layer), after_attention],
        );
        let cross = self.cross.as_ref().map(|cross| {
            let sites = [Site::CrossNorm(layer), Site::CrossOut(layer), Site::ResidMidCross(layer)];
            Route::new(Sublayer::Cross, &cross.norms, attention.leaves, sites)
        });
        let enters = if parallel { attention.carries } else { cross.unwrap_or(attention).leaves };
        let sites = [Site::MlpNorm(layer), Site::MlpOut(layer), Site::ResidPost(layer)];
        let mut mlp = Route::new(Sublayer::Mlp, &self.mlp_norms, enters, sites);
        if parallel {
            mlp.normed = Some(Site::MlpNorm(layer));
            if self.mlp_norms.before.is_none() {
                mlp.reads = attention.reads;
            }
        }
        [Some(attention), cross, Some(mlp)].into_iter().flatten().collect()
    }

    /// Refuses a plan with something that its routes cannot express.
    ///
    /// # Errors
    /// When a sublayer has two norms of the stream, or a parallel block what only a sequential one can have.
    pub(crate) fn check(&self, layer: usize) -> Result<()> {
        let refuse = |what: &str| {
            let problem = format!("layer {layer} {what}; no family is computed so: report the checkpoint");
            Err(Error::config("architecture", problem))
        };
        let cross = self.cross.as_ref().map(|cross| &cross.norms);
        if [Some(&self.attn_norms), cross, Some(&self.mlp_norms)].into_iter().flatten().any(|norms| norms.places() > 1)
        {
            return refuse("has more than one norm of the stream round a sublayer");
        }
        if self.order == Order::Sequential {
            return Ok(());
        }
        if self.cross.is_some() {
            return refuse("is parallel and has cross attention");
        }
        let placed = [&self.attn_norms.after, &self.mlp_norms.after, &self.mlp_norms.first];
        if placed.iter().any(|norm| norm.is_some()) {
            return refuse("is parallel and has norms of the stream between its sublayers");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::architecture::{Cross, Norm};
    use crate::model::families;

    #[test]
    fn a_plan_that_the_forward_pass_cannot_compute_is_refused() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity");
        let block = |name: &str| {
            let checkpoint = crate::checkpoint::Checkpoint::open(&folder.join(name)).unwrap();
            families::read(checkpoint.config()).unwrap().main.blocks[0].clone()
        };
        let norm = || Some(Norm::rms("n", 1e-5));
        let refused = |change: fn(&mut Block, Option<Norm>), name: &str| {
            let mut changed = block(name);
            changed.check(0).unwrap();
            change(&mut changed, norm());
            changed.check(3).unwrap_err().to_string()
        };
        let twice = refused(|block, norm| block.attn_norms.after = norm, "gpt2");
        assert!(twice.contains("layer 3 has more than one norm"), "{twice}");
        for change in [
            (|block, norm| block.mlp_norms = Norms { after: norm, ..Norms::default() }) as fn(&mut Block, Option<Norm>),
            |block, norm| block.mlp_norms = Norms { first: norm, ..Norms::default() },
            |block, norm| block.attn_norms = Norms { after: norm, ..Norms::default() },
            |block, _| {
                block.cross = Some(Cross { norms: Norms::default(), attention: block.attention.clone() });
            },
        ] {
            let parallel = refused(change, "gptj");
            assert!(parallel.contains("is parallel"), "{parallel}");
        }
    }
}
