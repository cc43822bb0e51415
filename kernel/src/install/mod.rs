//! What `flowlens-kernel install` leaves, and how it is read.

pub mod built;
pub mod folders;
pub mod sources;
pub mod toolchain;
