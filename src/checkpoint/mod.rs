//! Files to named tensors.
