//! Changes to a run: ablate, replace, patch.

use tch::{Kind, Tensor};

use super::Trace;
use crate::{Array, Error, Result, Site};

/// Something to change while a model runs: at one site, the whole tensor or a part of it.
///
/// ```no_run
/// # fn main() -> flowlens::Result<()> {
/// use flowlens::{Change, Model};
/// let model = Model::load("smollm2-135m")?;
/// let without = model.watch("The capital of Japan is the city of").change(Change::zero_head(17, 3)).run()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    site: Site,
    part: Part,
    with: With,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    Head(usize),
    Position(usize),
    Neuron(usize),
}

#[derive(Debug, Clone, PartialEq)]
enum With {
    Number(f64),
    Values(Array),
}

impl Change {
    /// Lets a head write nothing: its [`Site::HeadMix`] becomes zero at all positions.
    pub fn zero_head(layer: usize, head: usize) -> Change {
        Change { site: Site::HeadMix(layer), part: Part::Head(head), with: With::Number(0.0) }
    }

    /// Puts `values` (T,d) in place of a head's [`Site::HeadMix`].
    pub fn replace_head(layer: usize, head: usize, values: Array) -> Change {
        Change { site: Site::HeadMix(layer), part: Part::Head(head), with: With::Values(values) }
    }

    /// Silences a neuron at all positions.
    pub fn zero_neuron(layer: usize, neuron: usize) -> Change {
        Change::set_neuron(layer, neuron, 0.0)
    }

    /// Sets a neuron ([`Site::Neurons`]) to `value` at all positions.
    pub fn set_neuron(layer: usize, neuron: usize, value: f64) -> Change {
        Change { site: Site::Neurons(layer), part: Part::Neuron(neuron), with: With::Number(value) }
    }

    /// Zeroes one position at a site.
    pub fn zero_position(site: Site, position: usize) -> Change {
        Change { site, part: Part::Position(position), with: With::Number(0.0) }
    }

    /// Puts `values` in place of one position at a site: (D) in the stream, (H,d) where heads stand first.
    pub fn replace_position(site: Site, position: usize, values: Array) -> Change {
        Change { site, part: Part::Position(position), with: With::Values(values) }
    }

    /// Puts `values` in place of a whole site.
    pub fn replace(site: Site, values: Array) -> Change {
        Change { site, part: Part::All, with: With::Values(values) }
    }

    /// Puts in place of a site what another run had there.
    ///
    /// # Errors
    /// When the other run did not keep the site.
    pub fn patch(site: Site, from: &Trace) -> Result<Change> {
        Ok(Change { site, part: Part::All, with: With::Values(from.get(site)?) })
    }

    /// Puts in place of a head's [`Site::HeadMix`] what another run of as many tokens had there.
    ///
    /// # Errors
    /// When the other run did not keep the site or has no such head.
    pub fn patch_head(layer: usize, head: usize, from: &Trace) -> Result<Change> {
        Change { site: Site::HeadMix(layer), part: Part::Head(head), with: With::Number(0.0) }.taken_from(from)
    }

    /// Puts in place of one position of a site what another run had at that position.
    ///
    /// # Errors
    /// When the other run did not keep the site or has no such position.
    pub fn patch_position(site: Site, position: usize, from: &Trace) -> Result<Change> {
        Change { site, part: Part::Position(position), with: With::Number(0.0) }.taken_from(from)
    }

    /// The same change in the encoder of an encoder-decoder: `Change::zero_head(1, 0).in_encoder()`.
    #[must_use]
    pub fn in_encoder(self) -> Change {
        Change { site: self.site.in_encoder(), ..self }
    }

    /// The same change in the decoder's attention to the encoder's output.
    #[must_use]
    pub fn in_cross(self) -> Change {
        Change { site: self.site.in_cross(), ..self }
    }

    /// The site that is changed.
    pub fn site(&self) -> Site {
        self.site
    }

    /// Whether it reaches a position and, where one is named, a head.
    pub(crate) fn reaches(&self, position: usize, head: Option<usize>) -> bool {
        match self.part {
            Part::All | Part::Neuron(_) => true,
            Part::Position(changed) => changed == position,
            Part::Head(changed) => head.is_none_or(|head| head == changed),
        }
    }

    fn taken_from(mut self, from: &Trace) -> Result<Change> {
        let source = from.tensor(self.site)?;
        self.check_part(&source.size())?;
        self.with = With::Values(Array::from_tensor(&self.select(&source)?)?);
        Ok(self)
    }

    /// Whether the change fits a site of this shape; said before anything runs.
    pub(crate) fn check(&self, shape: &[i64]) -> Result<()> {
        self.check_part(shape)?;
        let With::Values(values) = &self.with else { return Ok(()) };
        let wanted: Vec<usize> = match self.part {
            Part::All => shape.to_vec(),
            part => {
                let axis = part.axis(shape.len());
                shape.iter().enumerate().filter(|(a, _)| *a != axis).map(|(_, n)| *n).collect()
            }
        }
        .into_iter()
        .map(|n| n as usize)
        .collect();
        if values.shape() != wanted {
            let found = values.shape();
            return Err(Error::site(
                self.site,
                format!("the values to put there have shape {found:?}, expected {wanted:?}"),
            ));
        }
        Ok(())
    }

    fn check_part(&self, shape: &[i64]) -> Result<()> {
        let (what, index) = match self.part {
            Part::All => return Ok(()),
            Part::Head(index) => ("head", index),
            Part::Position(index) => ("position", index),
            Part::Neuron(index) => ("neuron", index),
        };
        if matches!(self.part, Part::Head(_)) && shape.len() != 3 {
            return Err(Error::site(self.site, "has no heads"));
        }
        let count = shape[self.part.axis(shape.len())];
        if index as i64 >= count {
            return Err(Error::site(
                self.site,
                format!("{what} {index} does not exist; there are {count} (0 to {})", count - 1),
            ));
        }
        Ok(())
    }

    fn select(&self, tensor: &Tensor) -> Result<Tensor> {
        Ok(match self.part {
            Part::All => tensor.shallow_clone(),
            Part::Head(index) | Part::Position(index) | Part::Neuron(index) => {
                tensor.f_select(self.part.axis(tensor.dim()) as i64, index as i64)?
            }
        })
    }

    /// The tensor with the change made; the given one stays as it is.
    pub(crate) fn apply(&self, tensor: &Tensor) -> Result<Tensor> {
        let changed = tensor.f_detach_copy()?;
        let mut part = self.select(&changed)?;
        match &self.with {
            With::Number(number) => {
                let _ = part.f_fill_(*number)?;
            }
            With::Values(values) => {
                let values = values.to_tensor().f_to_kind(Kind::Float)?.f_to_device(tensor.device())?;
                part.f_copy_(&values)?;
            }
        }
        Ok(changed)
    }
}

impl Part {
    /// The axis that the part is one step of, in a tensor of `dims` axes: (T,x), or heads first (H,T,x).
    fn axis(self, dims: usize) -> usize {
        match self {
            Part::All | Part::Head(_) => 0,
            Part::Position(_) => dims - 2,
            Part::Neuron(_) => dims - 1,
        }
    }
}
