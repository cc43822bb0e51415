//! Who must not see whom.

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
                by_window.push((window, hidden(tokens, sees, window)?.f_to_device(device.torch())?));
            }
        }
        Ok(Masks { by_window })
    }

    pub(crate) fn of(&self, window: Option<usize>) -> &Tensor {
        let found = self.by_window.iter().find(|(known, _)| *known == window);
        &found.expect("one mask was made for every window").1
    }
}

/// (T,T): later positions where a stack is causal, those beyond the window (which counts the query's own position),
/// padded ones.
fn hidden(tokens: &Tokens, sees: Sees, window: Option<usize>) -> Result<Tensor> {
    let t = tokens.len();
    let mut hidden = vec![false; t * t];
    for query in 0..t {
        for key in 0..t {
            let later = sees != Sees::Both && key > query;
            let too_far = window.is_some_and(|window| query.abs_diff(key) >= window);
            let padded = sees != Sees::CausalAndPadding && tokens.is_padding(key);
            hidden[query * t + key] = later || too_far || padded;
        }
    }
    Ok(Tensor::f_from_slice(&hidden)?.f_view([t as i64, t as i64])?)
}

/// (T,S): the padded positions of what the encoder read.
pub(crate) fn hidden_memory(queries: usize, source: &Tokens, device: Device) -> Result<Tensor> {
    let row: Vec<bool> = (0..source.len()).map(|key| source.is_padding(key)).collect();
    let row = Tensor::f_from_slice(&row)?.f_to_device(device.torch())?;
    Ok(row.f_unsqueeze(0)?.f_expand([queries as i64, source.len() as i64], false)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_the_position_itself() {
        let tokens = Tokens { attention_mask: Some(vec![1, 1, 1, 0]), ..Tokens::from_ids(vec![5, 6, 7, 8]) };
        let seen = |sees, window, row: i64| -> Vec<bool> {
            let hidden = hidden(&tokens, sees, window).unwrap();
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
