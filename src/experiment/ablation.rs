//! What stands in for the values of a part that is taken away.

use std::collections::{BTreeMap, BTreeSet};

use tch::{Kind, Tensor};

use super::group::Group;
use crate::model::Model;
use crate::site::Site;
use crate::{Error, Result};

/// What stands in for the values of a part that is taken away. Results depend on it: zero is farthest from what the
/// model knows, another text's values are nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ablation {
    /// 0.
    Zero,
    /// The mean over all texts and positions.
    Mean,
    /// The mean over all texts at the same position.
    MeanByPosition,
    /// What the next text of as many tokens had there.
    Resample,
}

impl Ablation {
    /// Its name in files: `mean` is the mean by position, as most papers have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Ablation::Zero => "zero",
            Ablation::Mean => "mean_all",
            Ablation::MeanByPosition => "mean",
            Ablation::Resample => "resample",
        }
    }

    /// What stands in for `sites` in the runs of each group.
    pub(super) fn donors(
        self,
        model: &Model,
        groups: &[&Group],
        sites: &[Site],
    ) -> Result<Vec<BTreeMap<Site, Tensor>>> {
        let network = model.network();
        let options = (network.dtype.torch(), network.device.torch());
        if self == Ablation::Zero {
            let zero = || -> Result<BTreeMap<Site, Tensor>> {
                sites.iter().map(|&site| Ok((site, Tensor::f_zeros([] as [i64; 0], options)?))).collect()
            };
            return groups.iter().map(|_| zero()).collect();
        }
        let keep: BTreeSet<Site> = sites.iter().copied().collect();
        let runs = groups.iter().map(|group| Ok(group.observe(model, &group.clean, keep.clone(), &[])?.kept));
        let runs = runs.collect::<Result<Vec<_>>>()?;
        let mut donors: Vec<BTreeMap<Site, Tensor>> = groups.iter().map(|_| BTreeMap::new()).collect();
        for &site in sites {
            for (group, donor) in self.site_donors(site, groups, &runs)?.into_iter().enumerate() {
                donors[group].insert(site, donor.f_to_kind(options.0)?);
            }
        }
        Ok(donors)
    }

    fn site_donors(self, site: Site, groups: &[&Group], runs: &[BTreeMap<Site, Tensor>]) -> Result<Vec<Tensor>> {
        if matches!(site.plain(), Site::Pattern(_) | Site::Scores(_) | Site::PositionBias(_)) {
            return Err(Error::site(
                site,
                "differs in length from text to text, so no mean or other text's can stand there; ablate it with zero",
            ));
        }
        // The texts of each group in their order, each (..,T,n).
        let mut texts: Vec<Vec<Tensor>> = Vec::new();
        for (group, run) in groups.iter().zip(runs) {
            let whole = run.get(&site).ok_or_else(|| Error::site(site, "was not reached in a run"))?;
            let part = |text: std::ops::Range<usize>| Ok(whole.f_narrow(-2, text.start as i64, text.len() as i64)?);
            texts.push(group.texts(site).into_iter().map(part).collect::<Result<_>>()?);
        }
        let all: Vec<&Tensor> = texts.iter().flatten().collect();
        match self {
            Ablation::Zero | Ablation::Mean => {
                let mean = Tensor::f_cat(&all, -2)?.f_mean_dim(-2i64, true, Kind::Float)?;
                Ok(texts.iter().map(|_| mean.shallow_clone()).collect())
            }
            Ablation::MeanByPosition => {
                let mean = mean_by_position(&all)?;
                let own = |text: &Tensor| Ok(mean.f_narrow(-2, 0, text.size()[text.dim() - 2])?);
                let packed = |texts: &Vec<Tensor>| -> Result<Tensor> {
                    Ok(Tensor::f_cat(&texts.iter().map(own).collect::<Result<Vec<_>>>()?, -2)?)
                };
                texts.iter().map(packed).collect()
            }
            Ablation::Resample => {
                let mut index = 0;
                let mut packed = |texts: &Vec<Tensor>| -> Result<Tensor> {
                    let others: Result<Vec<&Tensor>> = (texts.iter())
                        .map(|_| {
                            index += 1;
                            next_alike(&all, index - 1)
                        })
                        .collect();
                    Ok(Tensor::f_cat(&others?, -2)?)
                };
                texts.iter().map(&mut packed).collect()
            }
        }
    }
}

/// The mean (..,T,n) over texts at each position, of those that are long enough.
fn mean_by_position(texts: &[&Tensor]) -> Result<Tensor> {
    let length = |text: &&Tensor| text.size()[text.dim() - 2];
    let longest = texts.iter().map(length).max().unwrap_or(0);
    let at = |position: i64| -> Result<Tensor> {
        let there = texts.iter().filter(|text| length(text) > position);
        let rows = there.map(|text| Ok(text.f_narrow(-2, position, 1)?)).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::f_cat(&rows, -2)?.f_mean_dim(-2i64, true, Kind::Float)?)
    };
    Ok(Tensor::f_cat(&(0..longest).map(at).collect::<Result<Vec<_>>>()?, -2)?)
}

/// The next text of as many positions, counted round.
fn next_alike<'a>(texts: &[&'a Tensor], index: usize) -> Result<&'a Tensor> {
    let own = texts[index].size();
    let others = (1..texts.len()).map(|step| texts[(index + step) % texts.len()]);
    others.into_iter().find(|other| other.size() == own).ok_or_else(|| {
        Error::Experiment(format!(
            "resampling takes another text of as many tokens, and pair {index} is the only one of its length; add one or \
             ablate with the mean"
        ))
    })
}
