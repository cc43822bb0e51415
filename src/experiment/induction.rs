//! Heads that continue what has been there before.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use crate::attention::{HeadScore, HeadScores, Measure};
use crate::model::Input;
use crate::progress::Task;
use crate::{Error, Model, Result, Site, interrupt};

impl Model {
    /// How much each head looks at what followed the same token earlier, on `texts` of `length` random tokens that come
    /// twice: the mean weight on the diagonal `length - 1` places back, over the second half (Olsson and others,
    /// 2209.11895). Heads with the largest values first; the random tokens carry no sense that a head could use instead.
    ///
    /// It is [`Measure::Induction`], by which [`find`](crate::attention::Attention::find) looks for heads in any text.
    ///
    /// # Errors
    /// When the model reads both ways or has an encoder, or twice `length` does not fit its context or vocabulary.
    pub fn induction_scores(&self, length: usize, texts: usize, seed: i64) -> Result<HeadScores> {
        interrupt::during("measuring induction", || self.induction_now(length, texts, seed))
    }

    fn induction_now(&self, length: usize, texts: usize, seed: i64) -> Result<HeadScores> {
        let plan = self.architecture();
        if plan.reads_both_ways() || plan.encoder.is_some() {
            return Err(Error::Experiment(format!(
                "{} models do not continue a text from left to right, so they have no induction heads to look for",
                plan.family
            )));
        }
        let start: Vec<i64> = self
            .tokenizer()
            .map(|tokenizer| tokenizer.encode("", true))
            .transpose()?
            .map_or_else(Vec::new, |ids| ids.into_iter().map(i64::from).collect());
        if length < 2 || texts == 0 || plan.main.context.is_some_and(|context| start.len() + 2 * length > context) {
            return Err(Error::Experiment(format!(
                "{texts} texts of twice {length} tokens cannot be measured; give 2 tokens or more that fit the context twice"
            )));
        }
        let special = |id: i64| {
            self.stop_ids().contains(&(id as u32))
                || self.tokenizer().is_some_and(|tokenizer| tokenizer.is_special(id as u32))
        };
        let patterns: Vec<Site> = (0..self.layers()).map(Site::Pattern).collect();
        let task = Task::begin("measuring induction", texts, "texts");
        let mut sums: BTreeMap<(usize, usize), (String, f64)> = BTreeMap::new();
        for text in 0..texts {
            tch::manual_seed(seed.wrapping_mul(1_000_003) + text as i64);
            let drawn = Tensor::f_randperm(plan.vocab() as i64, (Kind::Int64, tch::Device::Cpu))?;
            let drawn: Vec<i64> = Vec::try_from(drawn)?;
            let half: Vec<i64> = drawn.into_iter().filter(|&id| !special(id)).take(length).collect();
            if half.len() < length {
                return Err(Error::Experiment(format!("the vocabulary has fewer than {length} tokens to draw from")));
            }
            let ids = [start.as_slice(), &half, &half].concat();
            let trace = task.step_of(self.watch(Input::from(ids)).keep(patterns.iter().copied()).run())?;
            for score in &trace.attention()?.find(Measure::Induction, usize::MAX)?.heads {
                let sum = sums.entry((score.layer, score.head)).or_insert_with(|| (score.block.clone(), 0.0));
                sum.1 += f64::from(score.value);
            }
            task.advance()?;
        }
        task.finish();
        let mean = |((layer, head), (block, sum)): ((usize, usize), (String, f64))| HeadScore {
            block,
            layer,
            head,
            value: (sum / texts as f64) as f32,
        };
        let mut heads: Vec<HeadScore> = sums.into_iter().map(mean).collect();
        heads.sort_by(|a, b| b.value.total_cmp(&a.value));
        Ok(HeadScores { measure: Measure::Induction, heads })
    }
}
