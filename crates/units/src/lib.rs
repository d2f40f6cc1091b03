//! What is measured, and how it is counted.
//!
//! Counted things (energy, pulses) are integers with a decimal exponent; a missing value is a [`Quality`], never a
//! number; a counter is not an amount; a local day has 23, 24 or 25 hours.

mod calendar;
mod energy;
mod measured;
mod quality;
mod temperature;
mod unit;

pub use calendar::FacilityCalendar;
pub use energy::{Counter, CounterBreak, Energy, EnergyError};
pub use measured::{Measured, MeasuredError};
pub use quality::{Quality, Reason, Severity};
pub use temperature::Temperature;
pub use unit::Unit;
