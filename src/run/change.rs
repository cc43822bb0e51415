//! Changes to a run: silence, set, scale, add, patch.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::Trace;
use crate::{Array, Error, Result, Site};

/// Something to change while a model runs: what is done at a site, and to which part of it.
///
/// Without [`head`](Change::head), [`positions`](Change::positions) or [`neuron`](Change::neuron) the whole site is
/// changed; with several of them, only what lies in all of them.
///
/// ```no_run
/// # fn main() -> flowlens::Result<()> {
/// use flowlens::{Change, Model, Site};
/// let model = Model::load("smollm2-135m")?;
/// let prompt = "The capital of Japan is the city of";
/// let without = model.watch(prompt).change(Change::zero_head(17, 3)).run()?;
/// let half = model.watch(prompt).change(Change::scale(Site::MlpOut(20), 0.5).positions(4..8)).run()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Change {
    scope: Scope,
    edit: Edit,
}

/// What of a run a change reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Scope {
    /// The site that is changed.
    #[serde(with = "site_name")]
    pub site: Site,
    /// The one head that is changed; all when absent.
    pub head: Option<usize>,
    /// The positions that are changed; all when absent.
    pub positions: Option<Range<usize>>,
    /// The one neuron, or entry of the last axis, that is changed; all when absent.
    pub neuron: Option<usize>,
}

impl Scope {
    /// Whether it holds a position and, where one is named, a head.
    pub(crate) fn reaches(&self, position: usize, head: Option<usize>) -> bool {
        let there = self.positions.as_ref().is_none_or(|positions| positions.contains(&position));
        there && head.is_none_or(|head| self.head.is_none_or(|changed| changed == head))
    }
}

/// Sites go into files by their names.
mod site_name {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::Site;

    pub fn serialize<S: Serializer>(site: &Site, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(site)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Site, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What is done.
#[derive(Debug)]
enum Edit {
    Set(f64),
    Scale(f64),
    /// Puts these numbers there.
    Put(Tensor),
    /// Adds these numbers.
    Add(Tensor),
    /// Puts there the same part of another run's site.
    Patch(Tensor),
}

impl Clone for Change {
    fn clone(&self) -> Change {
        let edit = match &self.edit {
            Edit::Set(number) => Edit::Set(*number),
            Edit::Scale(factor) => Edit::Scale(*factor),
            Edit::Put(values) => Edit::Put(values.shallow_clone()),
            Edit::Add(values) => Edit::Add(values.shallow_clone()),
            Edit::Patch(source) => Edit::Patch(source.shallow_clone()),
        };
        Change { scope: self.scope.clone(), edit }
    }
}

impl Change {
    fn new(site: Site, edit: Edit) -> Change {
        Change { scope: Scope { site, head: None, positions: None, neuron: None }, edit }
    }

    /// Sets a site to 0.
    pub fn zero(site: Site) -> Change {
        Change::set(site, 0.0)
    }

    /// Sets a site to a number.
    pub fn set(site: Site, number: f64) -> Change {
        Change::new(site, Edit::Set(number))
    }

    /// Multiplies a site by a factor.
    pub fn scale(site: Site, factor: f64) -> Change {
        Change::new(site, Edit::Scale(factor))
    }

    /// Adds `values` to a site. They have the shape of what is changed, or only its last axes, and are then added all
    /// along the others: a direction (D) is added at every position.
    pub fn add(site: Site, values: Array) -> Change {
        Change::new(site, Edit::Add(values.to_tensor()))
    }

    /// Puts `values` in place of a site. Where one head, position or neuron of it is changed, `values` lack that axis.
    pub fn replace(site: Site, values: Array) -> Change {
        Change::new(site, Edit::Put(values.to_tensor()))
    }

    /// [`replace`](Change::replace) with a tensor of the run's own type and device.
    pub(crate) fn put(site: Site, values: Tensor) -> Change {
        Change::new(site, Edit::Put(values))
    }

    /// Puts in place of a site what another run had there: the same part, where a part is named.
    ///
    /// # Errors
    /// When the other run did not keep the site.
    pub fn patch(site: Site, from: &Trace) -> Result<Change> {
        Ok(Change::new(site, Edit::Patch(from.tensor(site)?)))
    }

    /// Changes one head only, of sites that have heads: queries, patterns, head mix and others; of keys and values a
    /// key head.
    #[must_use]
    pub fn head(mut self, head: usize) -> Change {
        self.scope.head = Some(head);
        self
    }

    /// Changes one position only; in scores and patterns this is the position of the query.
    #[must_use]
    pub fn position(self, position: usize) -> Change {
        self.positions(position..position + 1)
    }

    /// Changes a range of positions only.
    #[must_use]
    pub fn positions(mut self, positions: Range<usize>) -> Change {
        self.scope.positions = Some(positions);
        self
    }

    /// Changes one neuron only, or one entry of the last axis of any other site.
    #[must_use]
    pub fn neuron(mut self, neuron: usize) -> Change {
        self.scope.neuron = Some(neuron);
        self
    }

    /// Silences a head: its [`Site::HeadMix`] becomes zero at all positions.
    pub fn zero_head(layer: usize, head: usize) -> Change {
        Change::zero(Site::HeadMix(layer)).head(head)
    }

    /// Puts `values` (T,d) in place of a head's [`Site::HeadMix`].
    pub fn replace_head(layer: usize, head: usize, values: Array) -> Change {
        Change::replace(Site::HeadMix(layer), values).head(head)
    }

    /// Silences a neuron at all positions.
    pub fn zero_neuron(layer: usize, neuron: usize) -> Change {
        Change::set_neuron(layer, neuron, 0.0)
    }

    /// Sets a neuron ([`Site::Neurons`]) to `value` at all positions.
    pub fn set_neuron(layer: usize, neuron: usize, value: f64) -> Change {
        Change::set(Site::Neurons(layer), value).neuron(neuron)
    }

    /// Zeroes one position at a site.
    pub fn zero_position(site: Site, position: usize) -> Change {
        Change::zero(site).position(position)
    }

    /// Puts `values` in place of one position at a site: (D) in the stream, (H,d) where heads stand first.
    pub fn replace_position(site: Site, position: usize, values: Array) -> Change {
        Change::replace(site, values).position(position)
    }

    /// Puts in place of a head's [`Site::HeadMix`] what another run of as many tokens had there.
    ///
    /// # Errors
    /// When the other run did not keep the site or has no such head.
    pub fn patch_head(layer: usize, head: usize, from: &Trace) -> Result<Change> {
        Change::patch(Site::HeadMix(layer), from)?.head(head).checked_source()
    }

    /// Puts in place of one position of a site what another run had at that position.
    ///
    /// # Errors
    /// When the other run did not keep the site or has no such position.
    pub fn patch_position(site: Site, position: usize, from: &Trace) -> Result<Change> {
        Change::patch(site, from)?.position(position).checked_source()
    }

    /// The same change in the encoder of an encoder-decoder: `Change::zero_head(1, 0).in_encoder()`.
    #[must_use]
    pub fn in_encoder(mut self) -> Change {
        self.scope.site = self.scope.site.in_encoder();
        self
    }

    /// The same change in the decoder's attention to the encoder's output.
    #[must_use]
    pub fn in_cross(mut self) -> Change {
        self.scope.site = self.scope.site.in_cross();
        self
    }

    /// The site that is changed.
    pub fn site(&self) -> Site {
        self.scope.site
    }

    /// What it reaches.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    fn checked_source(self) -> Result<Change> {
        if let Edit::Patch(source) = &self.edit {
            self.part(&source.size())?;
        }
        Ok(self)
    }

    /// Whether the change fits a site of this shape; said before anything runs.
    pub(crate) fn check(&self, shape: &[i64]) -> Result<()> {
        let part = self.part(shape)?;
        let wanted = self.values_shape(shape, &part);
        let (found, fits) = match &self.edit {
            Edit::Set(_) | Edit::Scale(_) => return Ok(()),
            Edit::Put(values) => (values.size(), values.size() == wanted),
            Edit::Add(values) => (values.size(), wanted.ends_with(&values.size())),
            Edit::Patch(source) => {
                let found = self.values_shape(&source.size(), &self.part(&source.size())?);
                let fits = found == wanted;
                (found, fits)
            }
        };
        if fits {
            return Ok(());
        }
        Err(Error::site(
            self.site(),
            format!("the values to put there have shape {found:?}, expected {wanted:?}; give as many as are changed"),
        ))
    }

    /// The ranges (axis from the end, first, count) of a site of this shape that are changed.
    fn part(&self, shape: &[i64]) -> Result<Vec<(i64, i64, i64)>> {
        let one = |index: usize| index..index.saturating_add(1);
        if self.scope.head.is_some() && shape.len() < 3 {
            return Err(Error::site(self.site(), "has no heads; leave head(..) out"));
        }
        let chosen = [
            ("head", 3, self.scope.head.map(one)),
            ("position", 2, self.scope.positions.clone()),
            ("neuron", 1, self.scope.neuron.map(one)),
        ];
        let mut part = Vec::new();
        for (what, axis, range) in chosen {
            let Some(range) = range else { continue };
            let count = shape[shape.len() - axis];
            if range.is_empty() {
                return Err(Error::site(
                    self.site(),
                    format!("no {what} lies in {range:?}; give a first and a later end"),
                ));
            }
            if range.end as i64 > count {
                return Err(Error::site(
                    self.site(),
                    format!("{what} {} does not exist; there are {count} (0 to {})", range.end - 1, count - 1),
                ));
            }
            part.push((-(axis as i64), range.start as i64, range.len() as i64));
        }
        Ok(part)
    }

    /// The shape of values for a part: what is one head, position or neuron has no axis for it.
    fn values_shape(&self, shape: &[i64], part: &[(i64, i64, i64)]) -> Vec<i64> {
        let from_end = |index: usize| index as i64 - shape.len() as i64;
        let length = |(index, &n): (usize, &i64)| match part.iter().find(|(axis, ..)| *axis == from_end(index)) {
            Some((.., 1)) => None,
            Some((.., count)) => Some(*count),
            None => Some(n),
        };
        shape.iter().enumerate().filter_map(length).collect()
    }

    /// The same change with its tensors where a run computes and in its type.
    pub(crate) fn prepared(&self, kind: Kind, device: tch::Device) -> Result<Change> {
        let mut change = self.clone();
        if let Edit::Put(tensor) | Edit::Add(tensor) | Edit::Patch(tensor) = &mut change.edit {
            *tensor = tensor.f_to_device(device)?.f_to_kind(kind)?;
        }
        Ok(change)
    }

    /// The tensor with the change made; the given one stays as it is, and gradients go through to what is left of it.
    /// Its rows are the positions from `first` on: all of a run, or the new ones of a text that grows.
    pub(crate) fn apply(&self, tensor: &Tensor, first: usize) -> Result<Tensor> {
        let (first, mut shape) = (first as i64, tensor.size());
        let rows = shape.len() - 2;
        shape[rows] += first;
        let mut part = self.part(&shape)?;
        let mut values = match &self.edit {
            Edit::Set(_) | Edit::Scale(_) => None,
            Edit::Patch(source) => {
                let within = |source: Tensor, &(axis, first, count): &_| source.f_narrow(axis, first, count);
                Some(part.iter().try_fold(source.shallow_clone(), within)?)
            }
            Edit::Put(values) | Edit::Add(values) => {
                for &(axis, _, count) in &part {
                    shape[(axis + tensor.dim() as i64) as usize] = count;
                }
                Some(spread(values, &shape)?)
            }
        };
        // Of the positions that are changed, those that are here.
        let changed = part.iter().position(|(axis, ..)| *axis == -2);
        let (start, count) = changed.map_or((0, shape[rows]), |index| (part[index].1, part[index].2));
        let (from, to) = (start.max(first), (start + count).min(first + tensor.size()[rows]));
        if from >= to {
            return Ok(tensor.shallow_clone());
        }
        if let Some(index) = changed {
            part[index] = (-2, from - first, to - from);
        }
        if let Some(all) = &values
            && all.dim() > 1
        {
            values = Some(all.f_narrow(-2, from - start, to - from)?);
        }
        self.within(tensor, values.as_ref(), &part)
    }

    fn within(&self, tensor: &Tensor, values: Option<&Tensor>, part: &[(i64, i64, i64)]) -> Result<Tensor> {
        let Some((&(axis, first, count), rest)) = part.split_first() else { return self.edited(tensor, values) };
        let changed = self.within(&tensor.f_narrow(axis, first, count)?, values, rest)?;
        Ok(tensor.f_slice_scatter(&changed, axis, first, first + count, 1)?)
    }

    fn edited(&self, tensor: &Tensor, values: Option<&Tensor>) -> Result<Tensor> {
        Ok(match (&self.edit, values) {
            (Edit::Set(number), _) => tensor.f_full_like(*number)?,
            (Edit::Scale(factor), _) => tensor.f_mul_scalar(*factor)?,
            (Edit::Add(_), Some(values)) => tensor.f_add(values)?,
            (_, values) => values.unwrap_or(tensor).f_expand_as(tensor)?,
        })
    }

    /// Whether earlier positions stay as they are when a text grows: not when a pattern is changed so that it may let
    /// them see later ones.
    pub(crate) fn can_be_cached(&self) -> bool {
        let closes = matches!(self.edit, Edit::Scale(_)) || matches!(self.edit, Edit::Set(number) if number == 0.0);
        closes || !matches!(self.site(), Site::Pattern(_))
    }
}

/// Values as so many last axes of `shape` as they fill, axes of length 1 included.
fn spread(values: &Tensor, shape: &[i64]) -> Result<Tensor> {
    let count = values.numel() as i64;
    let filled = (0..=shape.len()).rev().find(|&first| shape[first..].iter().product::<i64>() == count);
    Ok(values.f_reshape(&shape[filled.unwrap_or(0)..])?)
}

#[cfg(test)]
mod tests;
