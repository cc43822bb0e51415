//! Who must not see whom.

use std::ops::Range;

use tch::Tensor;

use super::architecture::Sees;
use super::tokens::Tokens;
use crate::{Device, Result};

/// One mask (T,S) for every different window, true where the query position must not see the key position.
pub(crate) struct Masks {
    by_window: Vec<(Option<usize>, Tensor)>,
    elsewhere: Option<Tensor>,
}

impl Masks {
    /// The masks of some of a run's positions, the `queries`; keys are all positions.
    pub(crate) fn new(
        tokens: &Tokens,
        queries: &Range<usize>,
        sees: Sees,
        windows: &[Option<usize>],
        device: Device,
    ) -> Result<Masks> {
        let mut by_window: Vec<(Option<usize>, Tensor)> = Vec::new();
        for &window in windows {
            if by_window.iter().all(|(known, _)| *known != window) {
                by_window.push((window, Visible::in_text(tokens, queries, sees, window).hidden(device)?));
            }
        }
        Ok(Masks { by_window, elsewhere: elsewhere(tokens, queries, device)? })
    }

    pub(crate) fn of(&self, window: Option<usize>) -> &Tensor {
        let found = self.by_window.iter().find(|(known, _)| *known == window);
        &found.expect("one mask was made for every window").1
    }

    /// (T,S), true where the key belongs to another text than the query; only where texts are run together of which one
    /// is padded.
    pub(crate) fn elsewhere(&self) -> Option<&Tensor> {
        self.elsewhere.as_ref()
    }
}

/// A padded query, which sees nothing, looks everywhere alike: everywhere in its own text.
fn elsewhere(tokens: &Tokens, queries: &Range<usize>, device: Device) -> Result<Option<Tensor>> {
    if tokens.starts.len() < 2 || !(0..tokens.len()).any(|position| tokens.is_padding(position)) {
        return Ok(None);
    }
    let ranges = queries.clone().map(|query| tokens.text_of(query)).collect();
    Ok(Some(Visible { ranges, padded: vec![false; tokens.len()] }.hidden(device)?))
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
    /// (which counts the query's own position), padded ones, and those of other texts that are run with it.
    pub(crate) fn in_text(tokens: &Tokens, queries: &Range<usize>, sees: Sees, window: Option<usize>) -> Visible {
        let range = |query: usize| {
            let text = tokens.text_of(query);
            let end = if sees == Sees::Both { text.end } else { query + 1 };
            let end = window.map_or(end, |window| end.min(query.saturating_add(window)));
            let start = window.map_or(text.start, |window| text.start.max((query + 1).saturating_sub(window)));
            start.min(end)..end
        };
        let padded = |key| sees != Sees::CausalAndPadding && tokens.is_padding(key);
        Visible { ranges: queries.clone().map(range).collect(), padded: (0..tokens.len()).map(padded).collect() }
    }

    /// Of what the encoder read the padded positions are hidden, and those of texts that go with other queries.
    pub(crate) fn in_memory(tokens: &Tokens, queries: &Range<usize>, source: &Tokens) -> Visible {
        let padded = (0..source.len()).map(|key| source.is_padding(key)).collect();
        let range = |query| source.text_range(tokens.text_index(query));
        Visible { ranges: queries.clone().map(range).collect(), padded }
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
            let hidden = Visible::in_text(&tokens, &(0..4), sees, window).hidden(Device::Cpu).unwrap();
            Vec::<bool>::try_from(hidden.select(0, row)).unwrap().into_iter().map(|hidden| !hidden).collect()
        };
        assert_eq!(seen(Sees::Causal, None, 1), [true, true, false, false]);
        assert_eq!(seen(Sees::Causal, None, 3), [true, true, true, false]);
        assert_eq!(seen(Sees::Causal, Some(2), 2), [false, true, true, false]);
        assert_eq!(seen(Sees::Causal, Some(1), 1), [false, true, false, false]);
        assert_eq!(seen(Sees::Both, None, 0), [true, true, true, false]);
        assert_eq!(seen(Sees::Both, Some(2), 0), [true, true, false, false]);
    }

    #[test]
    fn texts_that_are_run_together_do_not_see_each_other() {
        let tokens = Tokens { starts: vec![0, 3], ..Tokens::from_ids(vec![5, 6, 7, 8, 9]) };
        let ranges = |queries, sees, window| Visible::in_text(&tokens, &queries, sees, window).ranges;
        assert_eq!(ranges(0..5, Sees::Causal, None), [0..1, 0..2, 0..3, 3..4, 3..5]);
        assert_eq!(ranges(2..5, Sees::Both, None), [0..3, 3..5, 3..5]);
        assert_eq!(ranges(0..5, Sees::Both, Some(2)), [0..2, 0..3, 1..3, 3..5, 3..5]);
        let source = Tokens { starts: vec![0, 1], ..Tokens::from_ids(vec![1, 2, 3]) };
        assert_eq!(Visible::in_memory(&tokens, &(1..4), &source).ranges, [0..1, 0..1, 1..3]);
    }
}
