//! What tests of the whole house share.
#![expect(clippy::unwrap_used, reason = "a panic here is a test failing")]

pub mod certificates;
pub mod faults;
pub mod fleet;
pub mod program;
