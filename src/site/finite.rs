//! Whether numbers are numbers.

use tch::{Kind, Tensor};

use super::{Site, Watcher};
use crate::text::list;
use crate::{Error, Result};

/// Whether a tensor holds nothing infinite and nothing that is no number. Scores and logits may be -inf: that is how they
/// are masked.
pub(crate) fn is_finite(site: Site, tensor: &Tensor) -> Result<bool> {
    if tensor.numel() == 0 {
        return Ok(true);
    }
    // One pass, in which numbers that are none win over all others.
    let (low, high) = tensor.f_detach()?.f_aminmax(None, false)?;
    let (low, high) = (low.f_double_value(&[])?, high.f_double_value(&[])?);
    let masked = matches!(site.plain(), Site::Scores(_) | Site::Logits);
    Ok(high.is_finite() && (low.is_finite() || masked))
}

/// Refuses a tensor that is not finite; `why` says where that comes from and what to do.
pub(crate) fn finite(site: Site, tensor: &Tensor, why: impl FnOnce() -> String) -> Result<()> {
    if is_finite(site, tensor)? {
        return Ok(());
    }
    Err(Error::NotFinite { site: site.to_string(), problem: format!("{}; {}", what_is_not(tensor)?, why()) })
}

/// `3 of 768 numbers are infinite or no numbers, at positions 2 to 4`.
fn what_is_not(tensor: &Tensor) -> Result<String> {
    let not = tensor.f_detach()?.f_isfinite()?.f_logical_not()?;
    let count = not.f_sum(Kind::Int64)?.f_int64_value(&[])?;
    let rows = match not.dim() {
        0 | 1 => return Ok(format!("{count} of {} numbers are infinite or no numbers", tensor.numel())),
        dim => not.f_reshape([-1, not.size()[dim - 2], not.size()[dim - 1]])?,
    };
    // A position has a row of its own in all sites.
    let rows = rows.f_any_dim(0, false)?.f_any_dim(-1, false)?;
    let rows: Vec<bool> = Vec::try_from(rows.f_to_device(tch::Device::Cpu)?)?;
    let positions: Vec<usize> = (0..rows.len()).filter(|&position| rows[position]).collect();
    let s = if positions.len() == 1 { "" } else { "s" };
    Ok(format!("{count} of {} numbers are infinite or no numbers, at position{s} {}", tensor.numel(), list(&positions)))
}

/// Ends a run at the first site that is not finite, and says so.
pub(crate) struct FirstNotFinite<'a, F: Fn(bool) -> String> {
    /// Keeps and changes as in the run before.
    pub watcher: &'a mut dyn Watcher,
    /// Where it comes from and what to do; given whether a change at the site has made it.
    pub why: F,
}

impl<F: Fn(bool) -> String> Watcher for FirstNotFinite<'_, F> {
    fn wants(&self, site: Site) -> bool {
        self.watcher.wants(site)
    }

    fn changes(&self, site: Site) -> bool {
        self.watcher.changes(site)
    }

    fn at(&mut self, site: Site, tensor: Tensor) -> Result<Tensor> {
        finite(site, &tensor, || (self.why)(false))?;
        let tensor = self.watcher.at(site, tensor)?;
        finite(site, &tensor, || (self.why)(true))?;
        Ok(tensor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_none_are_found_and_counted() {
        let at = |numbers: &[f32]| Tensor::from_slice(numbers).reshape([2, 2, -1]);
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        for (numbers, stream, logits) in [
            ([0.0, 1.0, -3e38, 3e38], true, true),
            ([0.0, nan, 1.0, 1.0], false, false),
            ([0.0, 1.0, inf, 1.0], false, false),
            ([0.0, 1.0, 1.0, -inf], false, true),
            ([nan, -inf, inf, nan], false, false),
            ([-inf; 4], false, false),
        ] {
            assert_eq!(is_finite(Site::FinalNorm, &at(&numbers)).unwrap(), stream, "{numbers:?}");
            assert_eq!(is_finite(Site::Logits, &at(&numbers)).unwrap(), logits, "{numbers:?}");
        }
        assert!(is_finite(Site::FinalNorm, &Tensor::from_slice::<f32>(&[])).unwrap());
        let found = finite(Site::ResidPost(3), &at(&[0.0, 1.0, 1.0, nan]), || "because".to_owned()).unwrap_err();
        let text = found.to_string();
        assert!(
            text.contains("blocks.3.hook_resid_post: 1 of 4 numbers") && text.contains("position 1; because"),
            "{text}"
        );
    }
}
