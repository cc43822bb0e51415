//! Cases that run together: texts one after the other in one pass, none of which sees another.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tch::{Kind, Tensor};

use super::Metric;
use super::pairs::Case;
use crate::model::{Model, Tokens, Wanted};
use crate::run::{Change, Keep, Recorder, packed};
use crate::site::Site;
use crate::{Error, Result};

/// Positions of all runs of a pass together, so that its memory stays small.
pub(super) const ROWS: usize = 512;

/// Cases that run together.
pub(super) struct Group<'a> {
    /// Each case and its number among all.
    pub cases: Vec<(usize, &'a Case)>,
    pub clean: Tokens,
    pub corrupted: Option<Tokens>,
    /// The positions whose logits are wanted, and which of them each case has.
    rows: Vec<i64>,
    of_case: Vec<Range<usize>>,
}

/// What a run left for an experiment.
pub(super) struct Observed {
    pub kept: BTreeMap<Site, Tensor>,
    /// (R,V), float32: the wanted positions'.
    pub logits: Tensor,
}

impl<'a> Group<'a> {
    /// Cases in their order, as many together as are worth it.
    pub(super) fn all(cases: &'a [Case], metric: Metric) -> Vec<Group<'a>> {
        let texts: Vec<&Tokens> = cases.iter().map(|case| &case.clean).collect();
        let group = |range: Range<usize>| Group::new(range.map(|index| (index, &cases[index])).collect(), metric);
        packed(&texts).into_iter().map(group).collect()
    }

    pub(super) fn new(cases: Vec<(usize, &'a Case)>, metric: Metric) -> Group<'a> {
        let clean = Tokens::together(&cases.iter().map(|(_, case)| &case.clean).collect::<Vec<_>>());
        let corrupted: Option<Vec<&Tokens>> = cases.iter().map(|(_, case)| case.corrupted.as_ref()).collect();
        let corrupted = corrupted.map(|texts| Tokens::together(&texts));
        let (mut rows, mut of_case) = (Vec::new(), Vec::new());
        for (place, (_, case)) in cases.iter().enumerate() {
            let text = clean.text_range(place);
            let first = rows.len();
            match metric.needs_all_positions() {
                true => rows.extend(text.map(|row| row as i64)),
                false => rows.push((text.start + case.position) as i64),
            }
            of_case.push(first..rows.len());
        }
        Group { cases, clean, corrupted, rows, of_case }
    }

    /// The tokens of the corrupted runs.
    pub(super) fn corrupted(&self) -> Result<&Tokens> {
        self.corrupted.as_ref().ok_or_else(|| Error::Experiment("a pair has no corrupted text; give one".to_owned()))
    }

    /// The positions whose logits are wanted.
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted::At(&self.rows)
    }

    /// Runs `tokens` and keeps sites. Without gradients.
    pub(super) fn observe(
        &self,
        model: &Model,
        tokens: &Tokens,
        keep: BTreeSet<Site>,
        changes: &[Change],
    ) -> Result<Observed> {
        let _no_gradients = tch::no_grad_guard();
        model.check_memory(tokens)?;
        let keep = Keep::Sites(keep);
        let mut recorder = Recorder { keep: &keep, changes, kept: BTreeMap::new(), first: 0 };
        let logits = model.network().forward(tokens, self.wanted(), &mut recorder)?;
        let logits = logits.ok_or_else(|| no_head(model))?.f_to_kind(Kind::Float)?;
        Ok(Observed { kept: recorder.kept, logits })
    }

    /// The metric of each case from the logits (..,R,V) of the wanted positions, batch axes in front: (..) each.
    pub(super) fn values(&self, metric: Metric, logits: &Tensor, clean: Option<&Tensor>) -> Result<Vec<Tensor>> {
        let logits = logits.f_to_kind(Kind::Float)?;
        let of = |all: &Tensor, rows: &Range<usize>| -> Result<Tensor> {
            match metric.needs_all_positions() {
                true => Ok(all.f_narrow(-2, rows.start as i64, rows.len() as i64)?),
                false => Ok(all.f_select(-2, rows.start as i64)?),
            }
        };
        let value = |((_, case), rows): (&(usize, &Case), &Range<usize>)| {
            let clean = clean.map(|clean| of(clean, rows)).transpose()?;
            metric.value(&of(&logits, rows)?, case, clean.as_ref())
        };
        self.cases.iter().zip(&self.of_case).map(value).collect()
    }

    /// The place, among the wanted positions, of the one at which a case's answer is read.
    pub(super) fn answer_row(&self, place: usize) -> usize {
        let rows = &self.of_case[place];
        rows.start + if rows.len() > 1 { self.cases[place].1.position } else { 0 }
    }

    /// The rows (N,n) of a stream (T,n) at each case's answer.
    pub(super) fn answer_rows(&self, stream: &Tensor) -> Result<Tensor> {
        let place =
            |(text, (_, case)): (usize, &(usize, &Case))| (self.clean.text_range(text).start + case.position) as i64;
        let places: Vec<i64> = self.cases.iter().enumerate().map(place).collect();
        Ok(stream.f_index_select(-2, &Tensor::f_from_slice(&places)?.f_to_device(stream.device())?)?)
    }

    /// Where each case's text lies among the positions (or key positions, as the axis from the end is) of a site.
    pub(super) fn texts(&self, site: Site) -> Vec<Range<usize>> {
        let tokens = match (&self.clean.source, super::sweep::of_source(site)) {
            (Some(source), true) => source,
            _ => &self.clean,
        };
        (0..self.cases.len()).map(|text| tokens.text_range(text)).collect()
    }
}

pub(super) fn no_head(model: &Model) -> Error {
    model.head().err().unwrap_or_else(|| Error::Input("the model has no head".to_owned()))
}

/// The float64 numbers of a tensor of one axis.
pub(super) fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    let flat = tensor.f_detach()?.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Double)?.f_contiguous()?.f_view(-1)?;
    Ok(Vec::try_from(flat)?)
}

/// Tensors of one number as numbers.
pub(super) fn read(values: &[Tensor]) -> Result<Vec<f32>> {
    values.iter().map(|value| Ok(value.f_detach()?.f_double_value(&[])? as f32)).collect()
}
