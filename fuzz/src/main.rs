//! Hostile files and texts for every reader of Flowlens.
//!
//! One program holds all targets, so that it is linked once: `FLOWLENS_FUZZ` names the target, the arguments are
//! libFuzzer's. `tools/fuzz.py` builds and runs it, and README.md says how. With `FLOWLENS_FUZZ_SEEDS=folder` it writes
//! the inputs that the target begins with, which it makes of the fixtures, and ends.
#![no_main]

mod harness;
mod mutate;
mod targets;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(init: harness::start(), |bytes: &[u8]| {
    harness::case(bytes);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::mutate(harness::target().form, data, size, max_size, seed)
});
