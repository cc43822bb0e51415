//! UMT5: mT5 with buckets of its own in every layer, and a head that is always scaled.

use super::t5::{Kin, build};
use crate::Result;
use crate::model::architecture::Architecture;
use crate::model::config::Config;

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let kin = Kin {
        family: "umt5",
        feed_forward: "gated-gelu",
        layers: 8,
        heads: 6,
        scaled: true,
        bias_in_every_layer: true,
    };
    build(config, kin)
}
