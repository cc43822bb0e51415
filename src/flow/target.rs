//! Which tokens a graph follows.

use super::graph::Target;
use crate::model::Model;
use crate::text::{Tokenizer, visible};
use crate::{Error, Result};

/// A token to follow, as it is asked for: a text, an id, or [`Auto`](TargetSpec::Auto).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetSpec {
    /// The token that the model itself ranks first at the graph's position. The text `AUTO` means the same.
    Auto,
    /// A token by its text, the leading blank included: `" Tokyo"`.
    Text(String),
    /// A token by its id.
    Id(i64),
}

impl From<&str> for TargetSpec {
    fn from(text: &str) -> TargetSpec {
        if text == "AUTO" { TargetSpec::Auto } else { TargetSpec::Text(text.to_owned()) }
    }
}

impl From<&String> for TargetSpec {
    fn from(text: &String) -> TargetSpec {
        text.as_str().into()
    }
}

impl From<String> for TargetSpec {
    fn from(text: String) -> TargetSpec {
        text.as_str().into()
    }
}

macro_rules! from_ids {
    ($($kind:ty),*) => {
        $(impl From<$kind> for TargetSpec {
            fn from(id: $kind) -> TargetSpec {
                TargetSpec::Id(i64::from(id))
            }
        })*
    };
}

from_ids!(u32, i32, i64);

/// The token behind a request, and what there is to say about it.
pub(super) fn resolve(
    spec: &TargetSpec,
    model: &Model,
    best: impl FnOnce() -> Result<u32>,
) -> Result<(Target, Option<String>)> {
    match spec {
        TargetSpec::Auto => {
            let id = best()?;
            Ok((Target { id, text: model.piece(id) }, None))
        }
        TargetSpec::Id(id) => {
            let id = known(*id, model)?;
            Ok((Target { id, text: model.piece(id) }, None))
        }
        TargetSpec::Text(text) => {
            let tokenizer = tokenizer(model)?;
            let ids = tokenizer.encode(text, false)?;
            let &first = ids.first().ok_or_else(|| {
                Error::FlowGraph(format!("the target {:?} is no token at all; give a word, or an id", visible(text)))
            })?;
            let id = known(i64::from(first), model)?;
            Ok((Target { id, text: model.piece(id) }, remark(text, &ids, tokenizer)?))
        }
    }
}

/// As VISIT finds its target: what it has as an id goes to text and back, and only the first token of a text counts.
pub(super) fn resolve_as_visit(spec: &TargetSpec, model: &Model, best: impl FnOnce() -> Result<u32>) -> Result<Target> {
    let text = match spec {
        TargetSpec::Id(id) => {
            let id = known(*id, model)?;
            return Ok(Target { id, text: tokenizer(model)?.decode(&[id], true)? });
        }
        TargetSpec::Auto => tokenizer(model)?.decode(&[best()?], false)?,
        TargetSpec::Text(text) => text.clone(),
    };
    let ids = tokenizer(model)?.encode(&text, false)?;
    let &id = ids.first().ok_or_else(|| {
        Error::FlowGraph(format!("the target {:?} is no token at all; give a word, or an id", visible(&text)))
    })?;
    Ok(Target { id: known(i64::from(id), model)?, text })
}

fn tokenizer(model: &Model) -> Result<&Tokenizer> {
    model
        .tokenizer()
        .ok_or_else(|| Error::Tokenizer("the model has none, so a target must be given as an id".to_owned()))
}

fn known(id: i64, model: &Model) -> Result<u32> {
    let vocabulary = model.architecture().vocab();
    u32::try_from(id).ok().filter(|&id| (id as usize) < vocabulary).ok_or_else(|| {
        Error::FlowGraph(format!(
            "target {id} is outside the vocabulary; ids go from 0 to {}: give one of those",
            vocabulary - 1
        ))
    })
}

/// What a person should know about a target that is not one token, or that probably lacks its leading blank.
fn remark(text: &str, ids: &[u32], tokenizer: &Tokenizer) -> Result<Option<String>> {
    let blank = format!(" {text}");
    let with_blank = match text.starts_with(char::is_whitespace) {
        true => Vec::new(),
        false => tokenizer.encode(&blank, false)?,
    };
    let hint = match with_blank.as_slice() {
        &[one] if ids != [one] => format!(" With its leading blank, {blank:?}, it is one token ({one})."),
        _ => String::new(),
    };
    if ids.len() > 1 {
        let pieces: Vec<String> = ids.iter().map(|&id| format!("{:?}", tokenizer.piece(id))).collect();
        return Ok(Some(format!(
            "The target {text:?} is {} tokens ({}); the graph follows the first.{hint}",
            ids.len(),
            pieces.join(", ")
        )));
    }
    Ok(if hint.is_empty() {
        None
    } else {
        Some(format!("The target {text:?} is the token without a leading blank.{hint}"))
    })
}
