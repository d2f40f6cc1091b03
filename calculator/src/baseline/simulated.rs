//! A year of days for tests: temperatures from 20 to 80 °F, and a use that the test says.

use jiff::civil::{Date, date};

use super::{Baseline, Commodity, EnergyDay, Period, TemperatureDay, qualify};

/// The year before 2025, each day with the use of (date, its number, mean °F).
pub(crate) fn year(use_wh: impl Fn(Date, i32, f64) -> f64) -> Baseline {
    let period = Period::before(date(2025, 1, 1), 365).unwrap();
    let (energy, weather): (Vec<_>, Vec<_>) = period
        .dates()
        .zip(0_i32..)
        .map(|(date, day)| {
            let mean_f = 20.0 + f64::from(day * 29 % 61);
            (EnergyDay::whole(date, Some(use_wh(date, day, mean_f))), TemperatureDay::whole(date, Some(mean_f)))
        })
        .unzip();
    qualify(&energy, &weather, Commodity::Electricity, period).unwrap()
}
