//! The same for the other methods: whole fits through the door that every command uses, and the interval that suits each.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use negawatt_calculator::baseline::{Commodity, Day, EnergyDay, Hour, TemperatureDay, qualify};
use negawatt_calculator::model::{Conditions, Method, Mode, Model, Observations, fit_by};
use negawatt_calculator::savings::compare;
use negawatt_calculator::uncertainty::interval_by;

use super::noise::{Noise, Season, Tail};
use super::simulation::{BLACKOUT_DAYS, Weather, facility};

const YEAR: usize = 8_760;

/// A method and the noise that it meets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trial {
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    /// Correlation of neighbouring days.
    pub(crate) days: f64,
    /// What Saturdays and Sundays use of a weekday's base load.
    pub(crate) weekend: f64,
    /// What we promise; `None` where we only show what happens.
    pub(crate) promised: Option<(f64, f64)>,
}

const DAILY: Trial = Trial { name: "", method: Method::ChangePoint, days: 0.3, weekend: 1.0, promised: Some((0.87, 0.93)) };

/// Every method on days.
pub(crate) const OF_DAYS: [Trial; 6] = [
    Trial { name: "change-point, white noise", days: 0.0, ..DAILY },
    Trial { name: "change-point, correlation 0.3", ..DAILY },
    Trial { name: "change-point, correlation 0.6", days: 0.6, ..DAILY },
    Trial { name: "towt on days, correlation 0.3, quiet weekends", method: Method::Towt, weekend: 0.6, ..DAILY },
    Trial { name: "towt on days, correlation 0.6, quiet weekends", method: Method::Towt, days: 0.6, weekend: 0.6, ..DAILY },
    Trial { name: "best, correlation 0.3, quiet weekends", method: Method::Best, weekend: 0.6, ..DAILY },
];

/// Every method on hours; hours correlate by 0.7 besides.
pub(crate) const OF_HOURS: [Trial; 4] = [
    Trial { name: "caltrack-hourly", method: Method::CaltrackHourly, days: 0.0, ..DAILY },
    Trial { name: "caltrack-hourly, days correlate 0.3", method: Method::CaltrackHourly, ..DAILY },
    Trial { name: "towt on hours", method: Method::Towt, days: 0.0, ..DAILY },
    Trial { name: "towt on hours, days correlate 0.3", method: Method::Towt, ..DAILY },
];

/// How often the interval of a method held the truth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MethodOutcome {
    pub(crate) runs: u32,
    pub(crate) covered: f64,
    pub(crate) half_width: f64,
    pub(crate) bias: f64,
}

/// Sums over runs.
#[derive(Default)]
struct Tally {
    runs: u32,
    held: u32,
    half_width: f64,
    bias: f64,
}

impl Tally {
    fn admit(&mut self, error: f64, half_width: f64, expected: f64) {
        self.runs += 1;
        self.held += u32::from(error.abs() <= half_width);
        self.half_width += half_width / expected;
        self.bias += error / expected;
    }

    fn outcome(&self) -> MethodOutcome {
        let runs = f64::from(self.runs);
        MethodOutcome { runs: self.runs, covered: f64::from(self.held) / runs, half_width: self.half_width / runs, bias: self.bias / runs }
    }
}

pub(crate) fn of_days(trial: &Trial, weather: &Weather, runs: u32, seed: u64) -> MethodOutcome {
    let truth = facility(55.0, 66.0);
    let expected = |day: &TemperatureDay| use_of_day(&truth, trial, day);
    let sigma = 0.25 * weather.baseline.iter().map(expected).sum::<f64>() / weather.baseline.len() as f64;
    let mut tally = Tally::default();
    for run in 0..runs {
        let mut noise = Noise::new(seed, 3_000, u64::from(run));
        let series = noise.series(trial.days, Tail::Normal, Season::None, 365 + BLACKOUT_DAYS + 365);
        let energy: Vec<EnergyDay> = weather
            .baseline
            .iter()
            .zip(&series)
            .map(|(day, shock)| EnergyDay::whole(day.date, Some(expected(day) + sigma * shock)))
            .collect();
        let baseline = qualify(&energy, &weather.baseline, Commodity::Electricity, weather.period).expect("simulated days qualify");
        let fitted = fit_by(trial.method, Mode::Strict, Commodity::Electricity, Observations::Days(&baseline)).expect("days have a model");
        let after: Vec<Day> = weather
            .reporting
            .iter()
            .zip(&series[365 + BLACKOUT_DAYS..])
            .map(|(day, shock)| Day {
                date: day.date,
                minutes: 1_440,
                use_wh: Some(expected(day) + sigma * shock),
                temperature_f: day.mean_f,
            })
            .collect();
        let rows = Conditions::Days(&after);
        let compared = compare(&fitted, rows).expect("simulated days can be compared").exact;
        let interval = interval_by(&fitted, Conditions::Days(baseline.days()), rows, 0, 0.9).expect("days have an interval");
        // Nothing was saved, so that whatever was found is the error.
        tally.admit(compared.avoided_wh, interval.half_width_wh(), compared.observed_wh);
    }
    tally.outcome()
}

fn use_of_day(truth: &Model, trial: &Trial, day: &TemperatureDay) -> f64 {
    let quiet = day.date.weekday().to_monday_zero_offset() >= 5;
    truth.predict_wh(day.mean_f.unwrap_or(f64::NAN), if quiet { trial.weekend } else { 1.0 })
}

/// * Shape: two years of hourly temperatures, °F, the second behind the first without a gap.
pub(crate) fn of_hours(trial: &Trial, temperatures: &[f64], runs: u32, seed: u64) -> MethodOutcome {
    let clock: Vec<Hour> = temperatures.iter().enumerate().map(|(index, degrees)| hour(index, *degrees)).collect();
    let mut tally = Tally::default();
    for run in 0..runs {
        let mut noise = Noise::new(seed, 4_000, u64::from(run));
        let days = noise.series(trial.days, Tail::Normal, Season::None, clock.len() / 24 + 1);
        let hours = noise.series(0.7, Tail::Normal, Season::None, clock.len());
        let year: Vec<Hour> = clock
            .iter()
            .zip(&hours)
            .enumerate()
            .map(|(index, (hour, shock))| {
                let slow = if trial.days > 0.0 { 250.0 * days[index / 24] } else { 0.0 };
                Hour { use_wh: Some(use_of_hour(hour) + 600.0 * shock + slow), ..*hour }
            })
            .collect();
        let (before, after) = year.split_at(YEAR);
        let fitted = fit_by(trial.method, Mode::Strict, Commodity::Electricity, Observations::Hours(before)).expect("hours have a model");
        let rows = Conditions::Hours(after);
        let compared = compare(&fitted, rows).expect("simulated hours can be compared").exact;
        let interval = interval_by(&fitted, Conditions::Hours(before), rows, seed ^ u64::from(run), 0.9).expect("a year has its weeks");
        tally.admit(compared.avoided_wh, interval.half_width_wh(), compared.observed_wh);
    }
    tally.outcome()
}

fn use_of_hour(hour: &Hour) -> f64 {
    let (degrees, of_day) = (hour.temperature_f.unwrap_or(f64::NAN), hour.hour_of_week % 24);
    let work = if hour.hour_of_week < 120 && (8..18).contains(&of_day) { 1_500.0 } else { 0.0 };
    2_000.0 + work + 60.0 * (50.0 - degrees).max(0.0) + 90.0 * (degrees - 65.0).max(0.0)
}

/// The hours from 27 December 2015, a Sunday, UTC.
fn hour(index: usize, degrees: f64) -> Hour {
    const FIRST: i64 = 1_451_174_400;
    let start = Timestamp::from_second(FIRST + 3_600 * i64::try_from(index).unwrap_or(0)).unwrap_or(Timestamp::UNIX_EPOCH);
    let local = start.to_zoned(TimeZone::UTC);
    let weekday = u8::try_from(local.weekday().to_monday_zero_offset()).unwrap_or(0);
    let (month, of_day) = (u8::try_from(local.month()).unwrap_or(1), u8::try_from(local.hour()).unwrap_or(0));
    Hour { start, month, hour_of_week: weekday * 24 + of_day, use_wh: None, temperature_f: Some(degrees) }
}
