//! The promise of the interval: of many years that go the same way, nine in ten hold the truth.

use jiff::tz::TimeZone;
use negawatt_calculator::baseline::{Commodity, Day, EnergyDay, TemperatureDay, qualify, temperature_days};
use negawatt_calculator::model::{Model, Search, Shape, Term, fit};
use negawatt_calculator::savings::avoided;

use crate::fixtures::{baseline_period, reporting_period, temperatures};

/// Normal noise from a fixed seed: twelve uniforms less six.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap()) / f64::from(u32::MAX)
    }

    /// A first-order autoregression of unit variance.
    fn series(&mut self, rho: f64, days: usize) -> Vec<f64> {
        let mut last = 0.0;
        let mut next = move |first: bool, fresh: f64| {
            last = if first { fresh } else { rho * last + (1.0 - rho * rho).sqrt() * fresh };
            last
        };
        (0..days).map(|day| next(day == 0, (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0)).collect()
    }
}

/// The share of `runs` in which the interval holds the savings that really happened.
fn coverage(rho: f64, runs: u32) -> f64 {
    let rows = temperatures();
    let weather: Vec<TemperatureDay> = temperature_days(&rows, &TimeZone::UTC, baseline_period()).unwrap();
    let later: Vec<TemperatureDay> = temperature_days(&rows, &TimeZone::UTC, reporting_period()).unwrap();
    let truth = Model {
        kind: Shape::CddHdd,
        intercept: 20_000.0,
        hdd: Some(Term { balance_f: 55.0, beta: 900.0 }),
        cdd: Some(Term { balance_f: 66.0, beta: 1_400.0 }),
    };
    let sigma = 0.25 * weather.iter().map(|day| truth.predict_wh(day.mean_f.unwrap(), 1.0)).sum::<f64>() / 365.0;
    let mut noise = Noise(2_026);
    let mut held = 0;
    for _ in 0..runs {
        // The nine days of the blackout pass as well; the noise does not start anew.
        let noise = noise.series(rho, 365 + 9 + 365);
        let energy: Vec<EnergyDay> = weather
            .iter()
            .zip(&noise)
            .map(|(day, noise)| EnergyDay::whole(day.date, Some(truth.predict_wh(day.mean_f.unwrap(), 1.0) + sigma * noise)))
            .collect();
        let fit = fit(&qualify(&energy, &weather, Commodity::Electricity, baseline_period()).unwrap(), &Search::compatible()).unwrap();
        // What would have happened without any measure: the true savings are zero.
        let reporting: Vec<Day> = later
            .iter()
            .zip(&noise[374..])
            .map(|(day, noise)| {
                let use_wh = truth.predict_wh(day.mean_f.unwrap(), 1.0) + sigma * noise;
                Day { date: day.date, minutes: 1_440, use_wh: Some(use_wh), temperature_f: day.mean_f }
            })
            .collect();
        let avoided = avoided(&fit, &reporting).unwrap();
        held += u32::from(avoided.avoided_wh.abs() <= avoided.uncertainty_wh);
    }
    f64::from(held) / f64::from(runs)
}

#[test]
fn nine_in_ten_intervals_hold_the_truth() {
    for rho in [0.0, 0.3, 0.6] {
        let share = coverage(rho, 1_000);
        assert!((0.87..=0.93).contains(&share), "autocorrelation {rho}: the 90 % interval held the truth in {share} of the runs");
    }
}
