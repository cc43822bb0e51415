//! What raises a target's logit: a direction of the stream, for every place in it.

use std::collections::BTreeMap;

use tch::Tensor;

use super::Request;
use crate::{Array, Result, Site, lens};

/// The directions whose product with a term of the stream is what that term puts onto a logit.
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
        let trace = request.trace;
        let model = trace.model();
        let row = |site: Site| -> Result<Option<Tensor>> {
            trace.tensor_if_kept(site)?.map(|stream| Ok(stream.f_get(request.position as i64)?)).transpose()
        };
        if request.targets.is_empty() {
            return Ok(Attributions::default());
        }
        let Some(stream) = row(model.last_stream())? else { return Ok(Attributions::default()) };
        let lens = model.lens()?;
        let mut rows = vec![lens.average_attribution(&stream)?];
        for target in request.targets {
            rows.push(lens.attribution(target.id, &stream)?);
        }
        let (rows, places) = lens::Directions::back(trace, request.position, Tensor::f_stack(&rows, 0)?)?.into_parts();
        let directions = rows.iter().map(Directions::read).collect::<Result<_>>()?;
        Ok(Attributions { directions, places })
    }

    /// The directions of what a site is or goes into; `None` when they are not known.
    pub fn at(&self, site: Site) -> Option<&Directions> {
        self.places.get(&site).map(|&place| &self.directions[place])
    }
}

impl Directions {
    /// Reads directions (1 + targets, D), the average one first.
    fn read(along: &Tensor) -> Result<Directions> {
        let along = Array::from_tensor(along)?;
        let mut rows = along.data().chunks_exact(along.shape()[1]).map(<[f32]>::to_vec);
        let average = rows.next().unwrap_or_default();
        Ok(Directions { targets: rows.collect(), average })
    }
}
