//! The runs of a sweep, and the watcher that makes the changes of many of them in one pass.

use std::collections::BTreeMap;
use std::ops::Range;

use tch::{Kind, Tensor};

use crate::site::{Part, Site, Watcher};
use crate::{Change, Result};

/// A part of a site; all of it where nothing is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub site: Site,
    pub head: Option<usize>,
    /// Counted from the beginning of each text.
    pub position: Option<usize>,
    /// An entry of the last axis.
    pub neuron: Option<usize>,
}

impl Place {
    /// Whether a site of this shape has the head and the neuron.
    pub(super) fn is_within(&self, shape: &[i64]) -> bool {
        let has = |index: Option<usize>, axis: usize| {
            index.is_none_or(|index| shape.len() >= axis && (index as i64) < shape[shape.len() - axis])
        };
        has(self.head, 3) && has(self.neuron, 1)
    }
}

/// What one run of a sweep changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variant {
    pub places: Vec<Place>,
}

impl Variant {
    /// The part of the model that it changes.
    pub(super) fn part(&self) -> Part {
        self.places.first().map_or(Part::Main, |place| place.site.part())
    }

    /// The first layer that it changes.
    pub(super) fn first_layer(&self) -> usize {
        self.places.iter().filter_map(|place| place.site.layer()).min().unwrap_or(0)
    }
}

/// Many runs as a batch: at each site, those that change it get the donor's values in their places.
pub(super) struct Variants<'a> {
    pub variants: &'a [Variant],
    /// What stands in for the run's own values: the site's shape, or one that spreads to it.
    pub donors: &'a BTreeMap<Site, Tensor>,
    /// Where each text lies among a site's positions.
    pub texts: &'a dyn Fn(Site) -> Vec<Range<usize>>,
    /// What is changed in all of them alike.
    pub changes: &'a [Change],
}

impl Watcher for Variants<'_> {
    fn wants(&self, site: Site) -> bool {
        self.changes(site)
    }

    fn changes(&self, site: Site) -> bool {
        self.varies(site) || self.changes.iter().any(|change| change.site() == site)
    }

    fn at(&mut self, site: Site, tensor: Tensor) -> Result<Tensor> {
        let mut tensor = tensor;
        for change in self.changes.iter().filter(|change| change.site() == site) {
            tensor = change.apply(&tensor, 0)?;
        }
        let Some(donor) = self.donors.get(&site).filter(|_| self.varies(site)) else { return Ok(tensor) };
        let natural = tensor.dim() - usize::from(self.is_batched(site, &tensor));
        let shape = &tensor.size()[tensor.dim() - natural..];
        let mask = mask(self.variants, site, shape, &(self.texts)(site), tensor.device())?;
        Ok(donor.f_where_self(&mask, &tensor)?)
    }
}

impl Variants<'_> {
    /// Whether a cell changes a site.
    fn varies(&self, site: Site) -> bool {
        self.variants.iter().any(|variant| variant.places.iter().any(|place| place.site == site))
    }

    /// Whether an earlier site has made a batch of the run already.
    fn is_batched(&self, site: Site, tensor: &Tensor) -> bool {
        tensor.dim() > natural_axes(site)
    }
}

/// How many axes a site has in a run by itself.
pub(super) fn natural_axes(site: Site) -> usize {
    match site.plain() {
        Site::Query(_)
        | Site::Key(_)
        | Site::Value(_)
        | Site::RotatedQuery(_)
        | Site::RotatedKey(_)
        | Site::PositionBias(_)
        | Site::Scores(_)
        | Site::Pattern(_)
        | Site::HeadMix(_)
        | Site::HeadOutput(_) => 3,
        _ => 2,
    }
}

/// (B, axes..): true at the places of each cell. An axis that no cell restricts has length 1.
pub(super) fn mask(
    variants: &[Variant],
    site: Site,
    shape: &[i64],
    texts: &[Range<usize>],
    device: tch::Device,
) -> Result<Tensor> {
    let own = || {
        variants.iter().enumerate().flat_map(|(index, variant)| variant.places.iter().map(move |place| (index, place)))
    };
    let here = || own().filter(|(_, place)| place.site == site && place.is_within(shape));
    let restricted = |axis: usize| match axis {
        3 => here().any(|(_, place)| place.head.is_some()),
        2 => here().any(|(_, place)| place.position.is_some()),
        _ => here().any(|(_, place)| place.neuron.is_some()),
    };
    let axes = shape.len();
    let mut size = vec![variants.len() as i64];
    size.extend((0..axes).map(|axis| if restricted(axes - axis) { shape[axis] } else { 1 }));
    let mask = Tensor::f_zeros(&size, (Kind::Bool, tch::Device::Cpu))?;
    for (index, place) in here() {
        let mut part = mask.f_get(index as i64)?;
        if let Some(head) = place.head {
            part = part.f_narrow(-3, head as i64, 1)?;
        }
        if let Some(neuron) = place.neuron {
            part = part.f_narrow(-1, neuron as i64, 1)?;
        }
        match place.position {
            None => _ = part.f_fill_(1)?,
            Some(position) => {
                for text in texts.iter().filter(|text| position < text.len()) {
                    _ = part.f_narrow(-2, (text.start + position) as i64, 1)?.f_fill_(1)?;
                }
            }
        }
    }
    Ok(mask.f_to_device(device)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(head: Option<usize>, position: Option<usize>) -> Place {
        Place { site: Site::HeadMix(1), head, position, neuron: None }
    }

    #[test]
    fn each_run_of_a_batch_gets_its_own_places() {
        let cells = [
            Variant { places: vec![place(Some(1), None)] },
            Variant { places: vec![place(None, Some(2))] },
            Variant { places: vec![Place { site: Site::HeadMix(0), ..place(None, None) }] },
        ];
        let donors = BTreeMap::from([(Site::HeadMix(1), Tensor::ones([2, 5, 3], (Kind::Float, tch::Device::Cpu)))]);
        // Two texts of three and two positions: the second has no position 2.
        let texts = |_| vec![0..3, 3..5];
        let mut variants = Variants { variants: &cells, donors: &donors, texts: &texts, changes: &[] };
        let zeros = Tensor::zeros([2, 5, 3], (Kind::Float, tch::Device::Cpu));
        let changed = variants.at(Site::HeadMix(1), zeros.shallow_clone()).unwrap();
        assert_eq!(changed.size(), [3, 2, 5, 3]);
        let sum = |part: Tensor| part.sum(Kind::Double).double_value(&[]);
        assert_eq!((sum(changed.get(0).get(0)), sum(changed.get(0).get(1))), (0.0, 15.0));
        assert_eq!((sum(changed.get(1)), sum(changed.get(1).narrow(1, 2, 1))), (6.0, 6.0));
        assert_eq!(sum(changed.get(2)), 0.0);
        assert!(variants.at(Site::HeadMix(2), zeros.shallow_clone()).unwrap().equal(&zeros));
    }
}
