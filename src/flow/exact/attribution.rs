//! What raises a target's logit: a direction of the stream, for every place in it.

use std::collections::BTreeMap;

use tch::Tensor;

use super::Request;
use crate::{Array, Error, Result, Site};

/// The directions whose product with a term of the stream is what that term puts onto a logit.
///
/// Along the residual path a term is added to and otherwise left alone, except where the stream itself passes a norm
/// (post-norm blocks). The scale of every such norm, like that of the final one, is held fixed at its actual value, so
/// that all of this is linear.
#[derive(Default)]
pub(super) struct Attributions {
    directions: Vec<Directions>,
    /// Which directions belong to the terms of a site.
    places: BTreeMap<Site, usize>,
}

/// Directions (D) at one place of the stream.
pub(super) struct Directions {
    /// One for each target.
    pub targets: Vec<Vec<f32>>,
    /// The average token's: what raises all logits alike changes no probability.
    pub average: Vec<f32>,
}

impl Attributions {
    /// Directions for all places down to where the run did not keep what a norm of the stream read; none when it did
    /// not keep the last stream, or no target is followed.
    pub fn new(request: &Request) -> Result<Attributions> {
        let (trace, mut found) = (request.trace, Attributions::default());
        let model = trace.model();
        let row = |site: Site| -> Result<Option<Tensor>> {
            match trace.tensor(site) {
                Ok(stream) => Ok(Some(stream.f_get(request.position as i64)?)),
                Err(Error::Site { .. }) => Ok(None),
                Err(other) => Err(other),
            }
        };
        if request.targets.is_empty() {
            return Ok(found);
        }
        let Some(stream) = row(model.last_stream())? else { return Ok(found) };
        let lens = model.lens()?;
        let mut rows = vec![lens.average_attribution(&stream)?];
        for target in request.targets {
            rows.push(lens.attribution(target.id, &stream)?);
        }
        let mut along = Tensor::f_stack(&rows, 0)?;
        found.push(&along)?;
        for layer in (0..model.layers()).rev() {
            for route in model.routes(layer).into_iter().rev() {
                let Some(norms) = model.stack().block(layer).norms(route.sublayer) else { continue };
                found.place(route.leaves);
                if let (Some(norm), true) = (&norms.after, route.leaves != route.sum) {
                    let Some(input) = row(route.sum)? else { return Ok(found) };
                    along = norm.pull_back(&along, &norm.divisor(&input)?)?;
                    found.push(&along)?;
                }
                [route.sum, route.writes, route.carries].into_iter().for_each(|site| found.place(site));
                if let (Some(norm), true) = (&norms.first, route.carries != route.enters) {
                    let Some(input) = row(route.enters)? else { return Ok(found) };
                    along = norm.pull_back(&along, &norm.divisor(&input)?)?;
                    found.push(&along)?;
                }
                found.place(route.enters);
            }
        }
        Ok(found)
    }

    /// The directions of what a site is or goes into; `None` when they are not known.
    pub fn at(&self, site: Site) -> Option<&Directions> {
        self.places.get(&site).map(|&place| &self.directions[place])
    }

    /// Takes in directions (1 + targets, D), the average one first.
    fn push(&mut self, along: &Tensor) -> Result<()> {
        let along = Array::from_tensor(along)?;
        let mut rows = along.data().chunks_exact(along.shape()[1]).map(<[f32]>::to_vec);
        let average = rows.next().unwrap_or_default();
        self.directions.push(Directions { targets: rows.collect(), average });
        Ok(())
    }

    /// The latest directions belong to `site`, unless others do already.
    fn place(&mut self, site: Site) {
        self.places.entry(site).or_insert(self.directions.len() - 1);
    }
}
