//! Pairs from files.

use std::path::Path;

use serde::Deserialize;

use super::{Answers, Pair, Pairs};
use crate::checkpoint::Checkpoint;
use crate::model::{Input, Model};
use crate::{Error, Result, files};

const COLUMNS: &str = "clean, corrupted, right, wrong, source_clean, source_corrupted, position";

/// A pair as it stands in a file.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Row {
    clean: Option<Prompt>,
    corrupted: Option<Prompt>,
    source_clean: Option<Prompt>,
    source_corrupted: Option<Prompt>,
    right: Option<Given>,
    wrong: Option<Given>,
    position: Option<usize>,
}

#[derive(Deserialize, Clone)]
#[serde(untagged, expecting = "expected a text or a list of token ids")]
enum Prompt {
    Ids(Vec<i64>),
    Text(String),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text, a token id or a list of these")]
enum Given {
    Id(u32),
    Text(String),
    Several(Vec<Given>),
}

/// A row of a CSV file: the same, of texts alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Texts {
    clean: Option<String>,
    corrupted: Option<String>,
    source_clean: Option<String>,
    source_corrupted: Option<String>,
    right: Option<String>,
    wrong: Option<String>,
    position: Option<usize>,
}

impl From<Prompt> for Input {
    fn from(prompt: Prompt) -> Input {
        match prompt {
            Prompt::Ids(ids) => ids.into(),
            Prompt::Text(text) => text.into(),
        }
    }
}

impl From<Given> for Answers {
    fn from(given: Given) -> Answers {
        match given {
            Given::Id(id) => id.into(),
            Given::Text(text) => text.into(),
            Given::Several(several) => several.into(),
        }
    }
}

impl Pairs {
    /// Pairs from a file that ends in `.json`, `.csv` or `.safetensors`.
    ///
    /// JSON: a list of objects with `clean` and, where wanted, `corrupted`, `right`, `wrong`, `position`, and for
    /// encoder-decoders `source_clean` and `source_corrupted` (then `clean` and `corrupted` are what the decoder reads).
    /// A prompt is a text or a list of token ids, an answer a text, an id or a list of these.
    ///
    /// CSV: columns of the same names, in any order; lists as in JSON, `[464, 3139]`. Blanks count: an answer is mostly
    /// ` Mary`, not `Mary`.
    ///
    /// Safetensors: `clean` and `corrupted` (N,T), `right` and `wrong` (N) or (N,A) for A answers each, `source_clean` and
    /// `source_corrupted` (N,S), `position` (N), all of them token ids or whole numbers.
    ///
    /// # Errors
    /// When the file cannot be read or is none of these, and as [`Model::pairs`].
    pub fn read(model: &Model, path: impl AsRef<Path>) -> Result<Pairs> {
        let path = path.as_ref();
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let rows = match ending.as_str() {
            "json" => json(path)?,
            "csv" => table(path)?,
            "safetensors" => tensors(path)?,
            _ => {
                return Err(Error::file(
                    path,
                    "pairs are read from .json, .csv and .safetensors; save them as one of these",
                ));
            }
        };
        let pairs = rows.into_iter().enumerate().map(|(number, row)| row.pair(path, number));
        model.pairs(pairs.collect::<Result<Vec<Pair>>>()?)
    }
}

impl Row {
    fn pair(self, path: &Path, number: usize) -> Result<Pair> {
        let has_corrupted = self.corrupted.is_some() || self.source_corrupted.is_some();
        // What a corrupted run shares with the clean one need not be written twice.
        let other_source = self.source_corrupted.or_else(|| self.source_clean.clone());
        let other_target = self.corrupted.or_else(|| self.source_clean.as_ref().and(self.clean.clone()));
        let clean = prompt(self.source_clean, self.clean);
        let clean =
            clean.ok_or_else(|| Error::file(path, format!("pair {number} has no clean prompt; give it one")))?;
        let mut pair = Pair::only(clean);
        if has_corrupted {
            pair.corrupted = prompt(other_source, other_target);
        }
        pair.position = self.position;
        Ok(pair
            .right(self.right.map(Answers::from).unwrap_or_default())
            .wrong(self.wrong.map(Answers::from).unwrap_or_default()))
    }
}

fn prompt(source: Option<Prompt>, text: Option<Prompt>) -> Option<Input> {
    match (source, text) {
        (None, text) => text.map(Input::from),
        (Some(source), None) => Some(source.into()),
        (Some(source), Some(target)) => Some(Input::from(source).target(target)),
    }
}

fn json(path: &Path) -> Result<Vec<Row>> {
    let text = files::read_within(path, files::LARGEST_TEXT)?;
    serde_json::from_slice(&text)
        .map_err(|problem| Error::file(path, format!("is not a JSON list of objects with {COLUMNS}: {problem}")))
}

fn table(path: &Path) -> Result<Vec<Row>> {
    let bytes = files::read_within(path, files::LARGEST_TEXT)?;
    let rows = csv::Reader::from_reader(bytes.as_slice()).into_deserialize();
    rows.map(|row: csv::Result<Texts>| {
        let row =
            row.map_err(|problem| Error::file(path, format!("is not a table with the columns {COLUMNS}: {problem}")))?;
        let ids = |text: String| serde_json::from_str(&text).map_or(Prompt::Text(text), Prompt::Ids);
        let given = |text: String| serde_json::from_str(&text).map_or(Given::Text(text), Given::Several);
        Ok(Row {
            clean: row.clean.map(ids),
            corrupted: row.corrupted.map(ids),
            source_clean: row.source_clean.map(ids),
            source_corrupted: row.source_corrupted.map(ids),
            right: row.right.map(given),
            wrong: row.wrong.map(given),
            position: row.position,
        })
    })
    .collect()
}

fn tensors(path: &Path) -> Result<Vec<Row>> {
    let file = Checkpoint::open_tensors(path)?;
    let Some((&[count, _], _)) = file.integer_array("clean")? else {
        return Err(Error::file(path, "holds no tensor clean (N,T) of token ids; write the prompts under that name"));
    };
    let rows = |name: &str| rows(&file, path, name, count);
    let (clean, corrupted) = (rows("clean")?, rows("corrupted")?);
    let (source_clean, source_corrupted) = (rows("source_clean")?, rows("source_corrupted")?);
    let (right, wrong, positions) = (rows("right")?, rows("wrong")?, rows("position")?);
    let ids = |list: &Option<Vec<Vec<i64>>>, number: usize| list.as_ref()?.get(number).cloned();
    let prompt = |list, number| ids(list, number).map(Prompt::Ids);
    let given = |name: &str, list, number| -> Result<Option<Given>> {
        let wrong = |id: i64| Error::tensor(name, format!("holds {id}, which is no token id; give ids from 0"));
        let several = ids(list, number).map(|ids| {
            let ids = ids.into_iter().map(|id| u32::try_from(id).map(Given::Id).map_err(|_| wrong(id)));
            ids.collect::<Result<Vec<Given>>>()
        });
        Ok(several.transpose()?.map(Given::Several))
    };
    let position = |number| -> Result<Option<usize>> {
        let position = ids(&positions, number).and_then(|list| list.first().copied());
        let refused = |_| Error::tensor("position", "holds a number below 0; give positions from 0");
        position.map(usize::try_from).transpose().map_err(refused)
    };
    (0..count)
        .map(|number| {
            Ok(Row {
                clean: prompt(&clean, number),
                corrupted: prompt(&corrupted, number),
                source_clean: prompt(&source_clean, number),
                source_corrupted: prompt(&source_corrupted, number),
                right: given("right", &right, number)?,
                wrong: given("wrong", &wrong, number)?,
                position: position(number)?,
            })
        })
        .collect()
}

/// The rows of an integer tensor (N) or (N,T).
fn rows(file: &Checkpoint, path: &Path, name: &str, count: usize) -> Result<Option<Vec<Vec<i64>>>> {
    let Some((shape, numbers)) = file.integer_array(name)? else { return Ok(None) };
    let width = match *shape {
        [rows] if rows == count => 1,
        [rows, width] if rows == count && width > 0 => width,
        _ => {
            let problem = format!("has shape {shape:?} in {}, expected {count} rows as clean has", path.display());
            return Err(Error::tensor(name, problem));
        }
    };
    Ok(Some(numbers.chunks(width).map(<[i64]>::to_vec).collect()))
}
