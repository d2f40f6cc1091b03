//! From rows of a meter and a weather station to a baseline that may be fitted.
//!
//! Rows become civil days of the facility ([`energy_days`], [`temperature_days`]); days become a [`Baseline`] only
//! through [`qualify`], so that no fit can run on data that the method forbids. Daily data need no folding: see
//! [`EnergyDay::whole`]. Bills (periods of a month or two, [`bills`]) and hours ([`hours`]) are rows of their own, for the
//! methods that fit them.

mod bills;
mod days;
mod hours;
mod limits;
mod period;
mod rows;
#[cfg(test)]
pub(crate) mod simulated;
mod sufficiency;

pub use bills::{Bill, Cut, bills, bills_after, bills_before};
pub(crate) use days::USUAL_MINUTES;
pub use days::{Day, DaysError, EnergyDay, TemperatureDay, energy_days, join, temperature_days};
pub use hours::{Hour, hours};
pub(crate) use limits::{BASELINE_DAYS, COVERAGE, HALF_DAY_HOURS};
pub use period::{Period, PeriodError};
pub(crate) use period::{day_number, day_of};
pub use rows::{Commodity, EnergyRow, EnergyUnit, TemperatureRow, TemperatureUnit};
pub use sufficiency::{Baseline, Bound, Clause, Disqualified, Finding, Severity, qualify};
pub(crate) use sufficiency::{quantile, sorted};
