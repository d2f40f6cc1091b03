//! When devices are read, and what a reading of one is.

mod actor;
mod breaker;
mod poller;
mod reading;
mod schedule;
mod sweep;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wires;

pub use poller::{Poller, Tick};
pub use reading::probe;
pub(crate) use sweep::{Encoded, Probe, Sweep, is_failed, sweep};
