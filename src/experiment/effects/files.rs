//! Effects as files: for tables, for other programs, for later.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Axis, CellAnswers, EffectKind, Effects, PairTokens};
use crate::checkpoint::Checkpoint;
use crate::experiment::Metric;
use crate::files::{read_within, write_whole};
use crate::run::write;
use crate::{Array, DType, Device, Error, Result};

/// The key of a safetensors file's metadata under which stands what is no array.
const ABOUT: &str = "effects";

/// Bytes that effects may have as JSON; those of a `.safetensors` file are mapped and may have any number.
const LARGEST_JSON: u64 = 1 << 30;

/// All but the arrays.
#[derive(Serialize, Deserialize)]
struct About {
    name: String,
    model: String,
    metric: Metric,
    kind: EffectKind,
    axes: Vec<Axis>,
    #[serde(default)]
    pairs: Vec<PairTokens>,
    #[serde(default)]
    answers: Vec<CellAnswers>,
}

/// A JSON file; what is not a number is null.
#[derive(Serialize, Deserialize)]
struct Json {
    #[serde(flatten)]
    about: About,
    shape: Vec<usize>,
    values: Vec<Option<f32>>,
    clean: Vec<Option<f32>>,
    #[serde(default)]
    corrupted: Vec<Option<f32>>,
}

impl Effects {
    /// Saves the numbers as `.csv` or `.safetensors`, and as JSON under any other ending.
    pub(crate) fn save_numbers(&self, path: &Path) -> Result<()> {
        self.check()?;
        match ending(path).as_str() {
            "csv" => write_whole(path, &self.csv(path)?),
            "safetensors" => self.tensors(path),
            _ => {
                let json = serde_json::to_vec(&self.whole());
                write_whole(path, &json.map_err(|problem| Error::file(path, problem.to_string()))?)
            }
        }
    }

    /// Reads back what [`save`](Effects::save) wrote as `.safetensors` or `.json`.
    ///
    /// # Errors
    /// When the file cannot be read, holds no effects, or its parts do not fit each other.
    pub fn read(path: impl AsRef<Path>) -> Result<Effects> {
        let path = path.as_ref();
        let effects = match ending(path).as_str() {
            "json" => from_json(path)?,
            "safetensors" => from_tensors(path)?,
            _ => {
                return Err(Error::file(
                    path,
                    "effects are read from .safetensors and .json; save them as one of these",
                ));
            }
        };
        effects.check().map_err(|problem| Error::file(path, problem.to_string()))?;
        Ok(effects)
    }

    fn about(&self) -> About {
        About {
            name: self.name.clone(),
            model: self.model.clone(),
            metric: self.metric,
            kind: self.kind,
            axes: self.axes.clone(),
            pairs: self.pairs.clone(),
            answers: self.answers.clone(),
        }
    }

    /// Everything; what is not a number is null.
    pub(crate) fn json(&self) -> serde_json::Value {
        // Plain data with names for keys always is JSON.
        serde_json::to_value(self.whole()).unwrap_or_default()
    }

    fn whole(&self) -> Json {
        let numbers = |list: &[f32]| list.iter().map(|&number| number.is_finite().then_some(number)).collect();
        Json {
            about: self.about(),
            shape: self.values.shape().to_vec(),
            values: numbers(self.values.data()),
            clean: numbers(&self.clean),
            corrupted: numbers(&self.corrupted),
        }
    }

    fn csv(&self, path: &Path) -> Result<Vec<u8>> {
        let broken = |problem: csv::Error| Error::file(path, problem.to_string());
        let mut table = csv::Writer::from_writer(Vec::new());
        let names = self.axes.iter().map(|axis| axis.name.as_str());
        let numbers = ["value", "effect", "clean", "corrupted"];
        table.write_record(std::iter::once("pair").chain(names).chain(numbers)).map_err(broken)?;
        let effects = self.effects()?;
        let cells = self.cells().max(1);
        let rows = self.values.data().chunks(cells).zip(effects.data().chunks(cells)).zip(&self.clean);
        for (pair, ((values, effects), clean)) in rows.enumerate() {
            let axes: Vec<Axis> = self.axes.iter().map(|axis| self.axis_of(axis, pair)).collect();
            let corrupted = self.corrupted.get(pair).map_or_else(String::new, f32::to_string);
            for (cell, (value, effect)) in
                values.iter().zip(effects).enumerate().filter(|(_, (value, _))| !value.is_nan())
            {
                let places = self.index(cell).into_iter().zip(&axes);
                let mut row = vec![pair.to_string()];
                row.extend(places.map(|(index, axis)| axis.labels.get(index).cloned().unwrap_or_default()));
                row.extend([value.to_string(), effect.to_string(), clean.to_string(), corrupted.clone()]);
                table.write_record(&row).map_err(broken)?;
            }
        }
        table.into_inner().map_err(|problem| Error::file(path, problem.to_string()))
    }

    fn tensors(&self, path: &Path) -> Result<()> {
        let list = |numbers: &[f32]| Array::new(&[numbers.len()], numbers.to_vec());
        let mut arrays = vec![("values".to_owned(), self.values.clone()), ("clean".to_owned(), list(&self.clean)?)];
        if !self.corrupted.is_empty() {
            arrays.push(("corrupted".to_owned(), list(&self.corrupted)?));
        }
        let about = serde_json::to_string(&self.about()).map_err(|problem| Error::file(path, problem.to_string()))?;
        write(path, &arrays, &[], HashMap::from([(ABOUT.to_owned(), about)]))
    }
}

impl About {
    fn with(self, values: Array, clean: Vec<f32>, corrupted: Vec<f32>) -> Effects {
        let About { name, model, metric, kind, axes, pairs, answers } = self;
        Effects { name, model, metric, kind, axes, values, clean, corrupted, pairs, answers }
    }
}

fn ending(path: &Path) -> String {
    path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

fn from_json(path: &Path) -> Result<Effects> {
    let text = read_within(path, LARGEST_JSON)?;
    let whole: Json = serde_json::from_slice(&text)
        .map_err(|problem| Error::file(path, format!("holds no effects as .save(..) writes them: {problem}")))?;
    let numbers = |list: Vec<Option<f32>>| list.into_iter().map(|number| number.unwrap_or(f32::NAN)).collect();
    let values = Array::new(&whole.shape, numbers(whole.values));
    let values = values.map_err(|problem| Error::file(path, format!("values: {problem}")))?;
    Ok(whole.about.with(values, numbers(whole.clean), numbers(whole.corrupted)))
}

fn from_tensors(path: &Path) -> Result<Effects> {
    let file = Checkpoint::open_tensors(path)?;
    let remarks = file.remarks()?;
    let about = remarks.get(ABOUT).ok_or_else(|| {
        Error::file(path, "holds no effects: its metadata lacks them; give a file that .save(..) of effects wrote")
    })?;
    let about: About = serde_json::from_str(about).map_err(|problem| {
        Error::file(path, format!("its metadata hold no effects as .save(..) writes them: {problem}"))
    })?;
    let array = |name: &str| Array::from_tensor(&file.tensor(name, DType::F32, Device::Cpu)?);
    let corrupted = if file.contains("corrupted") { array("corrupted")?.data().to_vec() } else { Vec::new() };
    Ok(about.with(array("values")?, array("clean")?.data().to_vec(), corrupted))
}
