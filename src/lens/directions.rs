//! Directions at the end of the stream, taken back to every place in it.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use crate::model::layers::Norm;
use crate::run::Trace;
use crate::site::Site;
use crate::{Error, Result};

/// Directions whose products with a term of the stream are those of the last stream with what that term adds to it.
///
/// Along the residual path a term is added to and otherwise left alone, except where the stream itself passes a norm
/// (post-norm blocks). The scale of every such norm is held fixed at its actual value, so that all of this is linear.
pub(crate) struct Directions {
    /// (n,D) each, the last ones first.
    rows: Vec<Tensor>,
    /// Which rows belong to the terms of a site.
    places: BTreeMap<Site, usize>,
    /// What the biases of the norms that the stream passes give along each direction (n).
    biases: Tensor,
}

impl Directions {
    /// `along` (n,D) are directions of the last stream at `position`. Goes back to where the run did not keep what a norm
    /// of the stream read.
    pub(crate) fn back(trace: &Trace, position: usize, along: Tensor) -> Result<Directions> {
        let model = trace.model();
        let row = |site: Site| -> Result<Option<Tensor>> {
            match trace.tensor(site) {
                Ok(stream) => Ok(Some(stream.f_get(position as i64)?)),
                Err(Error::Site { .. }) => Ok(None),
                Err(other) => Err(other),
            }
        };
        let mut along = along;
        let biases = Tensor::f_zeros(&along.size()[..1], (Kind::Float, along.device()))?;
        let mut found = Directions { rows: vec![along.shallow_clone()], places: BTreeMap::new(), biases };
        for layer in (0..model.layers()).rev() {
            for route in model.routes(layer).into_iter().rev() {
                let Some(norms) = model.stack().block(layer).norms(route.sublayer) else { continue };
                found.place(route.leaves);
                if let (Some(norm), true) = (&norms.after, route.leaves != route.sum) {
                    let Some(input) = row(route.sum)? else { return Ok(found) };
                    found.add_bias(norm, &along)?;
                    along = norm.pull_back(&along, &norm.divisor(&input)?)?;
                    found.rows.push(along.shallow_clone());
                }
                [route.sum, route.writes, route.carries].into_iter().for_each(|site| found.place(site));
                if let (Some(norm), true) = (&norms.first, route.carries != route.enters) {
                    let Some(input) = row(route.enters)? else { return Ok(found) };
                    found.add_bias(norm, &along)?;
                    along = norm.pull_back(&along, &norm.divisor(&input)?)?;
                    found.rows.push(along.shallow_clone());
                }
                found.place(route.enters);
            }
        }
        Ok(found)
    }

    /// The directions (n,D) of what a site is or goes into; `None` when they are not known.
    pub(crate) fn at(&self, site: Site) -> Option<&Tensor> {
        self.places.get(&site).map(|&place| &self.rows[place])
    }

    fn add_bias(&mut self, norm: &Norm, along: &Tensor) -> Result<()> {
        if let Some(bias) = &norm.bias {
            self.biases = self.biases.f_add(&along.f_mv(&bias.f_to_kind(Kind::Float)?)?)?;
        }
        Ok(())
    }

    /// What the biases of the norms that the stream passes give along each direction (n).
    pub(crate) fn biases(&self) -> &Tensor {
        &self.biases
    }

    /// Every place and its directions.
    pub(crate) fn into_parts(self) -> (Vec<Tensor>, BTreeMap<Site, usize>) {
        (self.rows, self.places)
    }

    /// The latest directions belong to `site`, unless others do already.
    fn place(&mut self, site: Site) {
        self.places.entry(site).or_insert(self.rows.len() - 1);
    }
}
