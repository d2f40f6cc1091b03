//! When devices are read, and what a reading of one is.

mod actor;
mod breaker;
mod reading;
mod schedule;
mod sweep;

pub use reading::probe;
pub(crate) use sweep::{Encoded, Probe, Sweep, is_failed, sweep};
