//! Measurement and verification: how much energy a facility did not use, and how sure that is.
//!
//! The calculator is a pure function of the rows it is given: no files, no clock, no network, no random numbers, no
//! parallelism, and every sum in a fixed order, so the same rows give the same bits on another machine. Energy enters
//! as rows with a unit and leaves as whole watt-hours; between the two, and only there, it is a float.
//!
//! The way through it is one line long:
//!
//! 1. [`baseline::energy_days`] and [`baseline::temperature_days`] fold interval rows into civil days of the facility.
//! 2. [`baseline::qualify`] makes a [`baseline::Baseline`], or says every clause that forbids it. There is no other way to make one.
//! 3. [`model::fit`] tries every candidate of the CalTRACK daily method and keeps the losers with the reason.
//! 4. [`savings::avoided`] compares the reporting days with what the baseline would have used.
//! 5. [`tariff::Tariff::price`] gives the avoided energy a price, as an unrounded decimal in the tariff's currency; [`tariff::value()`]
//!    gives it the difference of two bills under everything that a supplier charges.
//!
//! Bills, hours and facilities of other shapes have their own methods: [`model::fit_by`] takes the rows and a
//! [`model::Method`], [`savings::compare`] and [`savings::normal_year`] take whatever model came of it. Greenhouses and
//! indoor farms are in [`model::cea`]. Thousands of meters at once are in [`portfolio`].
//!
//! ```
//! use jiff::civil::date;
//! use negawatt_calculator::baseline::{Commodity, EnergyDay, Period, TemperatureDay, join, qualify};
//! use negawatt_calculator::{model, savings};
//!
//! let day = |date, degrees: f64, wh: f64| (EnergyDay::whole(date, Some(wh)), TemperatureDay::whole(date, Some(degrees)));
//! let year = Period::before(date(2025, 1, 1), 365)?;
//! let (energy, weather): (Vec<_>, Vec<_>) = year
//!     .dates()
//!     .enumerate()
//!     .map(|(i, date)| {
//!         let degrees = 20.0 + f64::from(u32::try_from(i % 60).unwrap_or(0));
//!         day(date, degrees, 20_000.0 + 900.0 * (55.0 - degrees).max(0.0) + if i % 2 == 0 { 150.0 } else { -150.0 })
//!     })
//!     .unzip();
//! let fit = model::fit(&qualify(&energy, &weather, Commodity::Electricity, year)?, &model::Search::compatible())?;
//!
//! let (used, weather) = day(date(2025, 1, 15), 30.0, 38_000.0);
//! let avoided = savings::avoided(&fit, &join(&[used], &[weather])?)?;
//! assert!((avoided.avoided_wh - 4_500).abs() < 200);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod assessment;
pub mod baseline;
pub mod degree_days;
pub mod events;
pub mod model;
pub mod portfolio;
pub mod savings;
pub mod tariff;
pub mod uncertainty;
pub mod verification;
pub mod weather;
