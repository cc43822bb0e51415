//! What a config leaves to the file: which of its names a table has, and which tables are one.

use super::architecture::{Architecture, Table};
use super::weights::Weights;
use crate::checkpoint::Checkpoint;
use crate::{DType, Device, Result};

/// Completes a plan with what its checkpoint holds, as `transformers` 5 does: a table that the file holds twice is tied
/// when both are equal, and a head of its own in the file wins over the tie.
pub(crate) fn settle(plan: &mut Architecture, checkpoint: &Checkpoint) -> Result<()> {
    let weights = Weights { checkpoint, prefix: plan.prefix, dtype: DType::F32, device: Device::Cpu, task: None };
    let main = &mut plan.main.embedding.tokens;
    settle_name(main, &weights);
    if let Some(encoder) = &mut plan.encoder {
        let source = &mut encoder.embedding.tokens;
        settle_name(source, &weights);
        if source.name != main.name && source.rows == main.rows && weights.are_equal(&source.name, &main.name)? {
            source.name.clone_from(&main.name);
        }
    }
    let head = &mut plan.head;
    // The head stands outside the bare model, so its names have no prefix.
    let in_file = |name: &&String| checkpoint.contains(&format!("{name}.weight"));
    let own = [Some(&head.linear.name), head.other_name.as_ref()].into_iter().flatten().find(in_file).cloned();
    match own {
        Some(name) if head.tied && !weights.has_table(main) => main.name = name,
        Some(name) if !head.tied || !weights.are_equal(&name, &main.name)? => {
            head.linear.name = name;
            head.tied = false;
        }
        _ => {}
    }
    head.other_name = None;
    Ok(())
}

/// Gives a table the name that the file has for it.
fn settle_name(table: &mut Table, weights: &Weights) {
    let names = [table.name.clone()].into_iter().chain(std::mem::take(&mut table.other_names));
    let mut found = names.filter_map(|name| weights.find(&format!("{name}.weight")));
    if let Some(name) = found.next().as_deref().and_then(|name| name.strip_suffix(".weight")) {
        table.name = name.to_owned();
    }
}

impl Weights<'_> {
    /// Whether two matrices of the file hold the same numbers.
    fn are_equal(&self, first: &str, second: &str) -> Result<bool> {
        let full = |name: &str| self.find(&format!("{name}.weight"));
        let (Some(first), Some(second)) = (full(first), full(second)) else { return Ok(false) };
        if first == second {
            return Ok(true);
        }
        let load = |name: &str| self.checkpoint.tensor(name, self.dtype, self.device);
        Ok(self.checkpoint.shape(&first) == self.checkpoint.shape(&second) && load(&first)?.f_equal(&load(&second)?)?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::families;

    /// Files without duplicates hold as many numbers as their settled plans count.
    #[test]
    fn plans_count_what_files_hold() {
        for name in
            ["gpt2", "gpt2_own_head", "llama_mha", "t5_tied", "t5_gated", "t5_own_tables", "umt5_layers", "bart_untied"]
        {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name);
            let checkpoint = Checkpoint::open(&folder).unwrap();
            let mut plan = families::read(checkpoint.config()).unwrap();
            settle(&mut plan, &checkpoint).unwrap();
            let count = |name| checkpoint.shape(name).unwrap().iter().product::<usize>() as u64;
            // Where all is untied there is a table that nothing reads.
            let unread = if name == "bart_untied" { "model.shared.weight" } else { "" };
            let stored: u64 = checkpoint.names().filter(|&name| name != unread).map(count).sum();
            assert_eq!(plan.parameters(), stored, "{name}");
        }
    }

    #[test]
    fn equal_tables_are_one() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/t5_all_names");
        let checkpoint = Checkpoint::open(&folder).unwrap();
        let mut plan = families::read(checkpoint.config()).unwrap();
        settle(&mut plan, &checkpoint).unwrap();
        assert_eq!(plan.encoder.unwrap().embedding.tokens, plan.main.embedding.tokens);
        assert!(plan.head.tied);
    }
}
