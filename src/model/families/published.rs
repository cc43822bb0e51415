//! Configurations as well-known models publish them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

#[derive(serde::Deserialize)]
struct Published {
    config: Map<String, Value>,
    parameters: u64,
}

/// Spellings, defaults and parts that a family takes from a config show in the number of parameters, which
/// `tools/make_published.py` asks of Python.
#[test]
fn published_models_have_as_many_parameters_as_in_transformers() {
    let text = include_str!("../../../tests/fixtures/published.json");
    let published: BTreeMap<String, Published> = serde_json::from_str(text).unwrap();
    let mut wrong = Vec::new();
    for (name, Published { config, parameters }) in published {
        match super::read(&config) {
            Ok(plan) if plan.parameters() == parameters => {}
            Ok(plan) => wrong.push(format!("{name}: {} instead of {parameters}", plan.parameters())),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{} models differ:\n{}", wrong.len(), wrong.join("\n"));
}
