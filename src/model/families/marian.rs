//! Marian (OPUS-MT): BART with sines for positions, at times with a vocabulary for each side.

use super::bart::{Kin, build};
use crate::Result;
use crate::model::architecture::Architecture;
use crate::model::config::Config;

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let kin =
        Kin { family: "marian", norms_first: false, normed_embedding: false, sinusoidal: true, start: Some(58100) };
    build(config, kin)
}
