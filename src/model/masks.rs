//! Who must not see whom.

use std::ops::Range;

use tch::Tensor;

use super::architecture::Sees;
use super::tokens::Tokens;
use crate::{Device, Result};

/// One mask (T,T) for every different window, true where the query position must not see the key position.
pub(crate) struct Masks {
    by_window: Vec<(Option<usize>, Tensor)>,
}

impl Masks {
    pub(crate) fn new(tokens: &Tokens, sees: Sees, windows: &[Option<usize>], device: Device) -> Result<Masks> {
        let mut by_window: Vec<(Option<usize>, Tensor)> = Vec::new();
        for &window in windows {
            if by_window.iter().all(|(known, _)| *known != window) {
                by_window.push((window, Visible::in_text(tokens, sees, window).hidden(device)?));
            }
        }
        Ok(Masks { by_window })
    }

    pub(crate) fn of(&self, window: Option<usize>) -> &Tensor {
        let found = self.by_window.iter().find(|(known, _)| *known == window);
        &found.expect("one mask was made for every window").1
    }
}

/// Which keys each query of a run sees: those of a range, but for the padded ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visible {
    /// One range for each query.
    pub ranges: Vec<Range<usize>>,
    /// Whether a key is padded and hidden from all.
    pub padded: Vec<bool>,
}

impl Visible {
    /// In a text's attention to itself later positions are hidden where the stack is causal, those beyond the window
    /// (which counts the query's own position), and padded ones.
    pub(crate) fn in_text(tokens: &Tokens, sees: Sees, window: Option<usize>) -> Visible {
        let t = tokens.len();
        let range = |query: usize| {
            let end = if sees == Sees::Both { t } else { query + 1 };
            let end = window.map_or(end, |window| end.min(query.saturating_add(window)));
            let start = window.map_or(0, |window| (query + 1).saturating_sub(window));
            start.min(end)..end
        };
        let padded = |key| sees != Sees::CausalAndPadding && tokens.is_padding(key);
        Visible { ranges: (0..t).map(range).collect(), padded: (0..t).map(padded).collect() }
    }

    /// Of what the encoder read the padded positions are hidden.
    pub(crate) fn in_memory(queries: usize, source: &Tokens) -> Visible {
        let padded = (0..source.len()).map(|key| source.is_padding(key)).collect();
        Visible { ranges: vec![0..source.len(); queries], padded }
    }

    /// (T,S), true where the query position must not see the key position.
    pub(crate) fn hidden(&self, device: Device) -> Result<Tensor> {
        let (t, s) = (self.ranges.len(), self.padded.len());
        let mut hidden = vec![true; t * s];
        for (row, range) in hidden.chunks_mut(s.max(1)).zip(&self.ranges) {
            row[range.clone()].copy_from_slice(&self.padded[range.clone()]);
        }
        Ok(Tensor::f_from_slice(&hidden)?.f_view([t as i64, s as i64])?.f_to_device(device.torch())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_the_position_itself() {
        let tokens = Tokens { attention_mask: Some(vec![1, 1, 1, 0]), ..Tokens::from_ids(vec![5, 6, 7, 8]) };
        let seen = |sees, window, row: i64| -> Vec<bool> {
            let hidden = Visible::in_text(&tokens, sees, window).hidden(Device::Cpu).unwrap();
            Vec::<bool>::try_from(hidden.select(0, row)).unwrap().into_iter().map(|hidden| !hidden).collect()
        };
        assert_eq!(seen(Sees::Causal, None, 1), [true, true, false, false]);
        assert_eq!(seen(Sees::Causal, None, 3), [true, true, true, false]);
        assert_eq!(seen(Sees::Causal, Some(2), 2), [false, true, true, false]);
        assert_eq!(seen(Sees::Causal, Some(1), 1), [false, true, false, false]);
        assert_eq!(seen(Sees::Both, None, 0), [true, true, true, false]);
        assert_eq!(seen(Sees::Both, Some(2), 0), [true, true, false, false]);
    }
}
