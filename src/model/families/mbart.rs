//! mBART: BART with norms first and one more at the end of each stack.

use super::bart::{Kin, build};
use crate::Result;
use crate::model::architecture::Architecture;
use crate::model::config::Config;

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let kin = Kin { family: "mbart", norms_first: true, normed_embedding: true, sinusoidal: false, start: None };
    build(config, kin)
}
