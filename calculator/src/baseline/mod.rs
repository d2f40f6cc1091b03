//! From rows of a meter and a weather station to a baseline that may be fitted.
//!
//! Rows become civil days of the facility ([`energy_days`], [`temperature_days`]); days become a [`Baseline`] only
//! through [`qualify`], so that no fit can run on data that the method forbids. Daily data need no folding: see
//! [`EnergyDay::whole`]. Bills (periods of a month or two) will be a second kind of row with their own clauses; the
//! clauses, findings and the period are already apart from the day for that reason.

mod days;
mod period;
mod rows;
mod sufficiency;

pub use days::{Day, DaysError, EnergyDay, TemperatureDay, energy_days, join, temperature_days};
pub(crate) use period::day_number;
pub use period::{Period, PeriodError};
pub use rows::{Commodity, EnergyRow, EnergyUnit, TemperatureRow, TemperatureUnit};
pub(crate) use sufficiency::quantile;
pub use sufficiency::{Baseline, Bound, Clause, Disqualified, Finding, Severity, qualify};
