//! Pegasus: BART with norms first and sines for positions.

use super::bart::{Kin, build};
use crate::Result;
use crate::model::architecture::Architecture;
use crate::model::config::Config;

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let kin = Kin { family: "pegasus", norms_first: true, normed_embedding: false, sinusoidal: true, start: Some(0) };
    build(config, kin)
}
