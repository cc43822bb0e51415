//! Token ids into vectors.

use std::ops::Range;

use tch::{Kind, Tensor};

use super::architecture::{self, Place, PositionIndex, PositionTable, Segments};
use super::layers::{Linear, Norm};
use super::tokens::Tokens;
use super::weights::Weights;
use crate::site::{Site, Watcher};
use crate::{Error, Result};

/// The tables of a stack, and what is done with their rows.
#[derive(Debug)]
pub(crate) struct Embedding {
    /// (V,E).
    pub tokens: Tensor,
    scale: f64,
    positions: Option<Positions>,
    segments: Segments,
    segment_table: Option<Tensor>,
    languages: Option<Tensor>,
    norm: Option<Norm>,
    project: Option<(Linear, Place)>,
}

#[derive(Debug)]
enum Positions {
    Learned(Tensor, PositionIndex),
    Sinusoidal(i64, PositionIndex),
}

impl Embedding {
    /// `tokens` is the token table, which may be another stack's or the head's as well.
    pub(crate) fn load(
        plan: &architecture::Embedding,
        tokens: Tensor,
        width: usize,
        weights: &Weights,
    ) -> Result<Embedding> {
        let positions = match &plan.positions {
            Some(PositionTable::Learned { table, index }) => Some(Positions::Learned(weights.table(table)?, *index)),
            Some(PositionTable::Sinusoidal { width, index }) => Some(Positions::Sinusoidal(*width as i64, *index)),
            Some(PositionTable::StoredSinusoidal { table, index }) => Some(match weights.has_table(table) {
                true => Positions::Learned(weights.table(table)?, *index),
                false => Positions::Sinusoidal(table.width as i64, *index),
            }),
            None => None,
        };
        let segment_table = match &plan.segments {
            Segments::Table(table) => Some(weights.table(table)?),
            _ => None,
        };
        let normed_width = match plan.project {
            Some((_, Place::AfterNorm)) => plan.tokens.width,
            _ => width,
        };
        Ok(Embedding {
            tokens,
            scale: plan.scale,
            positions,
            segments: plan.segments.clone(),
            segment_table,
            languages: plan.languages.as_ref().map(|table| weights.table(table)).transpose()?,
            norm: plan.norm.as_ref().map(|norm| Norm::load(norm, normed_width, weights)).transpose()?,
            project: match &plan.project {
                Some((linear, place)) => Some((Linear::load(linear, weights)?, *place)),
                None => None,
            },
        })
    }

    /// The stream (T,D) that enters the first block, at `positions` of a run.
    pub(crate) fn forward(
        &self,
        tokens: &Tokens,
        positions: &Range<usize>,
        watcher: &mut dyn Watcher,
    ) -> Result<Tensor> {
        let here = positions.clone();
        let mut stream = watcher.at(Site::Embedding, self.token_rows(&tokens.ids[here.clone()])?)?;
        stream = self.projected(stream, Place::BeforePositions)?;
        if let Some(table) = &self.positions {
            let rows = table.rows(tokens, &here, &self.tokens)?;
            stream = stream.f_add(&watcher.at(Site::PositionEmbedding, rows)?)?;
        }
        let types = tokens.token_type_ids.as_ref().map(|types| &types[here.clone()]);
        match (&self.segments, &self.segment_table, types) {
            (Segments::TokenTable, _, Some(types)) => stream = stream.f_add(&self.token_rows(types)?)?,
            (_, Some(table), types) => {
                let first = vec![0; here.len()];
                stream = stream.f_add(&look_up(table, types.unwrap_or(&first))?)?;
            }
            _ => {}
        }
        if let (Some(table), Some(languages)) = (&self.languages, &tokens.languages) {
            stream = stream.f_add(&look_up(table, &languages[here])?)?;
        }
        stream = self.projected(stream, Place::BeforeNorm)?;
        if let Some(norm) = &self.norm {
            stream = norm.forward(&stream)?;
        }
        self.projected(stream, Place::AfterNorm)
    }

    /// What rows of the token table are multiplied by.
    pub(crate) fn scale(&self) -> f64 {
        self.scale
    }

    /// Whether vectors of positions are added to those of tokens.
    pub(crate) fn has_positions(&self) -> bool {
        self.positions.is_some()
    }

    /// Rows of the token table, scaled where the family does so.
    fn token_rows(&self, ids: &[i64]) -> Result<Tensor> {
        let rows = look_up(&self.tokens, ids)?;
        if self.scale == 1.0 { Ok(rows) } else { Ok(rows.f_mul_scalar(self.scale)?) }
    }

    fn projected(&self, stream: Tensor, here: Place) -> Result<Tensor> {
        match &self.project {
            Some((linear, place)) if *place == here => linear.forward(&stream),
            _ => Ok(stream),
        }
    }
}

impl Positions {
    /// The vectors (T,E) of some of a run's positions, in the type and on the device of `beside`.
    fn rows(&self, tokens: &Tokens, here: &Range<usize>, beside: &Tensor) -> Result<Tensor> {
        match self {
            Positions::Learned(table, index) => {
                let places = &places(tokens, *index)[here.clone()];
                // A prompt of the right length may still count beyond the table, or before it.
                if let Some(place) = places.iter().find(|&&place| place < 0 || place >= table.size()[0]) {
                    return Err(Error::Input(format!(
                        "position {place} is outside the table of {} positions; shorten the prompt",
                        table.size()[0]
                    )));
                }
                look_up(table, places)
            }
            Positions::Sinusoidal(width, index) => {
                let rows = sines_then_cosines(&places(tokens, *index)[here.clone()], *width)?;
                Ok(rows.f_to_device(beside.device())?.f_to_kind(beside.kind())?)
            }
        }
    }
}

/// Which row each position has.
fn places(tokens: &Tokens, index: PositionIndex) -> Vec<i64> {
    match index {
        PositionIndex::Place(first) => tokens.places().iter().map(|place| place + first as i64).collect(),
        PositionIndex::RealTokens(first) => {
            let number =
                |(place, count)| if tokens.is_padding(place) { first as i64 - 1 } else { count - 1 + first as i64 };
            tokens.real_so_far().into_iter().enumerate().map(number).collect()
        }
        PositionIndex::AfterPadding(padding) => {
            let padding = padding as i64;
            let counts = tokens.count_so_far(|place| tokens.ids[place] != padding);
            let number = |(&id, count)| if id == padding { padding } else { count + padding };
            tokens.ids.iter().zip(counts).map(number).collect()
        }
    }
}

/// (T,width), float32: sines of the position over 10000^(2i/width), then the cosines of the same.
fn sines_then_cosines(places: &[i64], width: i64) -> Result<Tensor> {
    let rates: Vec<f64> = (0..width).map(|i| 10000f64.powf(-((i / 2 * 2) as f64) / width as f64)).collect();
    let angles =
        Tensor::f_from_slice(places)?.f_to_kind(Kind::Double)?.f_unsqueeze(1)?.f_mul(&Tensor::f_from_slice(&rates)?)?;
    let (even, odd) = (angles.f_slice(1, 0, None, 2)?, angles.f_slice(1, 1, None, 2)?);
    Ok(Tensor::f_cat(&[even.f_sin()?, odd.f_cos()?], 1)?.f_to_kind(Kind::Float)?)
}

fn look_up(table: &Tensor, ids: &[i64]) -> Result<Tensor> {
    let ids = Tensor::f_from_slice(ids)?.f_to_device(table.device())?;
    Ok(Tensor::f_embedding(table, &ids, -1, false, false)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_what_the_family_counts() {
        let tokens = Tokens { attention_mask: Some(vec![0, 1, 1, 0]), ..Tokens::from_ids(vec![1, 7, 1, 9]) };
        assert_eq!(places(&tokens, PositionIndex::Place(2)), [2, 3, 4, 5]);
        assert_eq!(places(&tokens, PositionIndex::RealTokens(2)), [1, 2, 3, 1]);
        assert_eq!(places(&tokens, PositionIndex::AfterPadding(1)), [1, 2, 1, 3]);
    }

    #[test]
    fn sines_stand_before_cosines() {
        let rows = sines_then_cosines(&[0, 3], 5).unwrap();
        let wanted = [3f64.sin(), (3f64 * 10000f64.powf(-0.4)).sin(), (3f64 * 10000f64.powf(-0.8)).sin(), 3f64.cos()];
        for (column, wanted) in wanted.into_iter().enumerate() {
            assert!((rows.double_value(&[1, column as i64]) - wanted).abs() < 1e-6);
        }
        assert_eq!(rows.double_value(&[0, 4]), 1.0);
    }
}
