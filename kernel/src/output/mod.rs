//! What cells print and show, on its way from their process to the front ends.

pub mod cell;
pub mod markers;
pub mod panics;
pub mod pipes;
pub mod pump;
pub mod stream;
