//! mT5: T5 v1.1 for many languages; its head is never scaled.

use super::t5::{Kin, build};
use crate::Result;
use crate::model::architecture::Architecture;
use crate::model::config::Config;

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let kin = Kin {
        family: "mt5",
        feed_forward: "gated-gelu",
        layers: 8,
        heads: 6,
        scaled: false,
        bias_in_every_layer: false,
    };
    build(config, kin)
}
