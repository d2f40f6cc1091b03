//! Agreement with published programs: eemeter 2.10.11 on its own samples and on synthetic meters with known truth, PySAM 7.1.1 on
//! bills, and of bills with a second, analytic reckoning of our own.
//!
//! The inputs and what the programs said about them lie in `tests/fixtures/mv`, with their licence. Energy there is in kWh
//! or therms as the sample has it; here one unit of the sample is read as one kWh, because a fit does not care.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails the test")]

mod assessment;
mod caltrack_billing;
mod caltrack_daily;
mod caltrack_hourly;
mod civil_days;
mod coverage;
mod driven;
mod events;
mod fixtures;
mod limits;
mod nmecr;
mod normal_year;
mod published_intervals;
mod sufficiency;
mod synthetic;
mod tariffs;
mod twin;
