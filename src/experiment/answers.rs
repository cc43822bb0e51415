//! The best answers of the runs behind an experiment's cells, kept while it goes on.

use tch::{Kind, Tensor};

use super::effects::{Candidate, CellAnswers};
use super::group::Group;
use super::pairs::shown_id;
use crate::{Model, Result};

/// Answers that are kept of a run.
pub(super) const BEST: usize = 5;
/// Runs whose answers are kept: what a file of effects can well hold.
const MOST: usize = 20_000;

/// The best answers of cells and of the first pairs; a probability of 0 is none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answered {
    pub cells: usize,
    pub pairs: usize,
    /// Cell by cell, pairs inside, best first.
    pub ids: Vec<u32>,
    pub probs: Vec<f32>,
}

/// An answer: a token and its probability.
pub(super) type Best = Vec<(u32, f32)>;

impl Answered {
    /// Room for the answers of all pairs while they are few, else of the first one, and of none where even that is much.
    pub(super) fn new(cells: usize, pairs: usize) -> Answered {
        let pairs = if cells.saturating_mul(pairs) <= MOST { pairs } else { usize::from(cells <= MOST) };
        let count = cells * pairs * BEST;
        Answered { cells, pairs, ids: vec![0; count], probs: vec![0.0; count] }
    }

    pub(super) fn put(&mut self, cell: usize, pair: usize, best: &[(u32, f32)]) {
        let first = (cell * self.pairs + pair) * BEST;
        for (place, &(id, prob)) in best.iter().enumerate() {
            (self.ids[first + place], self.probs[first + place]) = (id, prob);
        }
    }

    fn of(&self, cell: usize, pair: usize) -> Best {
        let first = (cell * self.pairs + pair) * BEST;
        let all = first..first + BEST;
        self.ids[all.clone()]
            .iter()
            .copied()
            .zip(self.probs[all].iter().copied())
            .filter(|(_, prob)| *prob > 0.0)
            .collect()
    }

    /// The answers as data, beside those of each pair's clean and corrupted run.
    pub(super) fn told(&self, model: &Model, clean: &[Best], corrupted: &[Best]) -> Vec<CellAnswers> {
        let named = |best: &Best| named(model, best);
        let of_pair = |pair: usize| CellAnswers {
            pair,
            clean: clean.get(pair).map(named).unwrap_or_default(),
            corrupted: corrupted.get(pair).map(named).unwrap_or_default(),
            cells: (0..self.cells).map(|cell| named(&self.of(cell, pair))).collect(),
        };
        (0..self.pairs).map(of_pair).collect()
    }
}

fn named(model: &Model, best: &Best) -> Vec<Candidate> {
    best.iter().map(|&(id, prob)| Candidate { token: shown_id(model, id), prob }).collect()
}

impl Group<'_> {
    /// The best answers of one case from the logits (..,R,V) of the wanted positions: for each run of a batch, best first.
    pub(super) fn best(&self, place: usize, logits: &Tensor) -> Result<Vec<Best>> {
        let row = logits.f_select(-2, self.answer_row(place) as i64)?.f_to_kind(Kind::Float)?;
        let vocabulary = row.size().last().copied().unwrap_or(0);
        let rows = row.f_reshape([-1, vocabulary])?;
        let (best, ids) = rows.f_topk((BEST as i64).min(vocabulary), -1, true, true)?;
        let probs = best.f_sub(&rows.f_logsumexp([-1i64], true)?)?.f_exp()?;
        let here = |tensor: Tensor| tensor.f_to_device(tch::Device::Cpu)?.f_reshape(-1);
        let (ids, probs) = (Vec::<i64>::try_from(here(ids)?)?, Vec::<f32>::try_from(here(probs)?)?);
        let each = BEST.min(vocabulary as usize).max(1);
        let pairs = ids.chunks(each).zip(probs.chunks(each));
        Ok(pairs.map(|(ids, probs)| ids.iter().map(|&id| id as u32).zip(probs.iter().copied()).collect()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{By, Pair};
    use crate::{Change, Input, Site};

    #[test]
    fn cells_answer_as_their_runs_do_and_again_after_a_resume() {
        let model = Model::load("tests/fixtures/parity/llama_gqa").unwrap();
        let texts: [&[i64]; 2] = [&[1, 30, 31, 32], &[1, 40, 41]];
        let corrupted: [&[i64]; 2] = [&[1, 50, 31, 32], &[1, 60, 41]];
        let input = |ids: &[i64]| Input::from(ids.to_vec());
        let pair = |at: usize| Pair::new(input(texts[at]), input(corrupted[at])).right(5).wrong(6);
        let pairs = model.pairs([pair(0), pair(1)]).unwrap();
        let file = std::env::temp_dir().join(format!("flowlens-{}-answers.safetensors", std::process::id()));
        let _ = std::fs::remove_file(&file);
        let sweep = || model.sweep(&pairs).patch(Site::ResidPre).by(By::Layer).resume(&file);
        let effects = sweep().run().unwrap();
        assert_eq!(effects.answers.len(), 2);
        for (answers, text) in effects.answers.iter().zip(texts) {
            assert_eq!(answers.cells.len(), model.layers());
            assert_eq!((answers.clean.len(), answers.corrupted.len()), (BEST, BEST));
            let logits = model.run(input(text)).unwrap().last_logits().unwrap().softmax(-1, Kind::Float);
            let best = logits.max().double_value(&[]);
            assert!((f64::from(answers.clean[0].prob) - best).abs() < 1e-5, "{:?} {best}", answers.clean);
            assert_ne!(answers.clean, answers.corrupted);
            // The whole stream of the clean run gives the clean run's answers.
            for (cell, clean) in answers.cells[0].iter().zip(&answers.clean) {
                assert!(cell.token == clean.token && (cell.prob - clean.prob).abs() < 1e-5, "{cell:?} {clean:?}");
            }
        }
        assert_eq!(sweep().run().unwrap(), effects);
        std::fs::remove_file(&file).unwrap();
        let steered = model.steering(&pairs).unwrap().sweep([0.0, 8.0]).unwrap();
        assert_eq!(steered.answers[1].cells[0][0].token, steered.answers[1].clean[0].token);
        let direction = model.steering(&pairs).unwrap().layer(1).unwrap() * 8.0;
        let changed = model.watch(input(texts[1])).change(Change::from(direction)).run().unwrap();
        let best = changed.last_logits().unwrap().softmax(-1, Kind::Float).max().double_value(&[]);
        assert!((f64::from(steered.answers[1].cells[3][0].prob) - best).abs() < 1e-5, "layer 1, strength 8");
    }

    #[test]
    fn many_cells_keep_the_first_pairs_answers_and_very_many_none() {
        let pairs = |cells, pairs| Answered::new(cells, pairs).pairs;
        assert_eq!([pairs(10, 2_000), pairs(11, 2_000), pairs(20_000, 3), pairs(20_001, 1)], [2_000, 1, 1, 0]);
    }
}
