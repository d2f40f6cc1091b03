//! What strict mode asks of the rows themselves, beside the shares of days that every method counts.
//!
//! Each rule has its clause, what it measures and its limit, and says what was found. Some forbid the numbers, some ask for
//! a look. The published programs leave several of these out, or have them switched off; here each has a test that fails it.

use jiff::civil::Date;

use super::days::{Calendar, periods};
use super::outcome::{Assessment, Status};
use super::question::{Question, Site};
use super::series::{Row, Series};
use super::spans::{self, DAY, HOUR};
use super::sufficiency::{Found, Verdict};
use super::{AssessError, Weather};
use crate::baseline::{Bound, COVERAGE, Commodity, HALF_DAY_HOURS, Period, Severity};
use crate::model::{Method, Mode};

/// A rule about rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Criterion {
    /// The name in an answer.
    pub name: &'static str,
    /// Its number in the CalTRACK 2.0 text, or whose rule it is.
    pub clause: &'static str,
    /// Whether it forbids the numbers.
    pub severity: Severity,
    /// How the measured value must lie to the limit.
    pub bound: Bound,
    /// What is allowed.
    pub limit: f64,
    /// What is measured.
    pub subject: &'static str,
}

impl Criterion {
    /// The same with another limit.
    pub(super) const fn allowing(self, limit: f64) -> Self {
        Self { limit, ..self }
    }

    /// What there is to say when the rule does not hold.
    pub(super) fn found(&self, measured: f64) -> Option<Found> {
        let (holds, bound) = match self.bound {
            Bound::AtLeast => (measured >= self.limit, "at least"),
            Bound::AtMost => (measured <= self.limit, "at most"),
            Bound::Exactly => (measured.total_cmp(&self.limit).is_eq(), "exactly"),
        };
        let rounded = (measured * 1e4).round() / 1e4;
        (!holds).then(|| Found {
            name: self.name.to_owned(),
            clause: self.clause.to_owned(),
            severity: self.severity,
            measured,
            bound: self.bound,
            limit: self.limit,
            message: format!("{}: {} {rounded}, allowed {bound} {}", self.clause, self.subject, self.limit),
        })
    }
}

const fn at_most(name: &'static str, clause: &'static str, severity: Severity, limit: f64, subject: &'static str) -> Criterion {
    Criterion { name, clause, severity, bound: Bound::AtMost, limit, subject }
}

const fn at_least(name: &'static str, clause: &'static str, severity: Severity, limit: f64, subject: &'static str) -> Criterion {
    Criterion { name, clause, severity, bound: Bound::AtLeast, limit, subject }
}

use Severity::{Disqualification, Warning};

const LENGTH: Criterion =
    at_least("baseline_length", "opendsm", Disqualification, 329.0, "days from the first row with energy to the last");
const BOUNDARY_GAP: Criterion =
    at_most("boundary_gap", "2.2.1.1", Warning, 0.0, "days without energy at the beginning or the end of the baseline");
const THIN_ENERGY: Criterion =
    at_most("thin_days_of_energy", "2.2.2.1", Warning, 0.0, "days with at most half of their intervals, which count as missing");
const THIN_WEATHER: Criterion =
    at_most("thin_days_of_weather", "2.2.2.3", Warning, 0.0, "days with at most twelve hours of temperature, which count as missing");
const THIN_BILLS: Criterion = at_most(
    "thin_bills_of_weather",
    "2.2.3.2",
    Warning,
    0.0,
    "bills of the baseline with hourly temperatures for less than nine tenths, which take no part",
);
pub(super) const FILLED: Criterion = at_most(
    "temperatures_interpolated",
    "2.2.4.1",
    Warning,
    0.0,
    "hours of temperature of the baseline that are drawn between their neighbours, six in a row at most",
);
const WEATHER_GAP: Criterion = at_most("longest_temperature_gap", "2.2.4.1", Warning, 6.0, "hours without temperature in a row");
const MONTHLY_ENERGY: Criterion =
    at_least("monthly_energy_coverage", "2.2.1.2", Warning, COVERAGE, "least share of a calendar month with energy");
const MONTHLY_WEATHER: Criterion =
    at_least("monthly_weather_coverage", "2.2.1.2", Warning, COVERAGE, "least share of a calendar month's hours with temperature");
const HOURLY_ENERGY: Criterion = Criterion { severity: Disqualification, ..MONTHLY_ENERGY };
const HOURLY_WEATHER: Criterion = Criterion { severity: Disqualification, ..MONTHLY_WEATHER };
const SHORT_BILLS: Criterion =
    at_most("short_bills", "2.2.3.4", Warning, 0.0, "bills of fewer than 25 days in the baseline, which take no part");
const LONG_BILLS: Criterion =
    at_most("long_bills", "2.2.3.5", Warning, 0.0, "bills of more than 35 days, or 70 of two months, which take no part");
pub(super) const SHORT_AFTER: Criterion =
    at_most("short_reporting_bills", "3.5.5", Warning, 0.0, "bills of fewer than 25 days after the intervention, joined with the next");
pub(super) const LONG_AFTER: Criterion =
    at_most("long_reporting_bills", "3.5.5", Warning, 0.0, "bills of more than 35 days after the intervention, or 70 of two months");
pub(super) const ESTIMATED_READS: Criterion =
    at_most("estimated_reads", "2.2.3.1", Warning, 0.0, "reads before the intervention that nobody took, which count as missing");
pub(super) const ESTIMATED_AFTER: Criterion =
    at_most("estimated_reporting_energy", "house", Disqualification, 0.05, "share of the energy after the intervention that nobody read");
pub(super) const SUM_CHECK: Criterion =
    at_most("sum_check", "cleaning 9", Warning, 0.005, "largest relative difference of the rows from a bill of the same energy");
const ZERO_USE: Criterion =
    at_most("zero_use", "2.2.1.4", Warning, 0.0, "days of zero electricity in the baseline, which count as missing");
const LOW_USE: Criterion =
    at_most("low_use", "opendsm", Warning, 0.0, "days below the lower quartile by more than three interquartile ranges");
const REPORTING: Criterion = at_least(
    "reporting_coverage",
    "3.5",
    Warning,
    COVERAGE,
    "share of the reporting rows that can be compared, below which it is not billable",
);
const FIT: Criterion =
    at_most("fit_too_loose", "opendsm", Disqualification, 1.0, "CV(RMSE), where RMSE over interquartile range is above 1.6 too,");
const FIT_OF_HOURS: Criterion =
    at_most("fit_too_loose", "opendsm", Disqualification, 1.4, "CV(RMSE), where RMSE over interquartile range is above 2.2 too,");
const NET_METERING: Criterion =
    at_most("net_metering_changed", "2.2.6", Disqualification, 0.0, "changes of net metering in baseline or reporting period");
const VEHICLES: Criterion = at_most("electric_vehicle_installed", "2.2.7", Warning, 0.0, "chargers of vehicles that were installed");
const STATION: Criterion = at_most("station_too_far", "2.4", Warning, 200.0, "kilometres to the weather station");
const CLIMATE: Criterion =
    at_most("station_in_another_climate_zone", "2.4", Warning, 0.0, "weather stations in another climate zone than the facility");

/// Every rule about rows and about the site.
pub const CRITERIA: [Criterion; 28] = [
    LENGTH,
    BOUNDARY_GAP,
    THIN_ENERGY,
    THIN_WEATHER,
    WEATHER_GAP,
    FILLED,
    MONTHLY_ENERGY,
    MONTHLY_WEATHER,
    HOURLY_ENERGY,
    HOURLY_WEATHER,
    SHORT_BILLS,
    LONG_BILLS,
    THIN_BILLS,
    ESTIMATED_READS,
    ESTIMATED_AFTER,
    SUM_CHECK,
    ZERO_USE,
    LOW_USE,
    SHORT_AFTER,
    LONG_AFTER,
    REPORTING,
    FIT,
    FIT_OF_HOURS,
    NET_METERING,
    VEHICLES,
    STATION,
    CLIMATE,
    TOO_FEW_BILLS,
];

/// The least number of bills that carries a model of bills.
pub(super) const TOO_FEW_BILLS: Criterion =
    at_least("too_few_bills", "house", Disqualification, crate::model::BILLS_MIN as f64, "bills in the baseline");

/// The shortest and the longest bill that takes part, days; the longest where bills are of two months is twice as long.
const BILL_DAYS: (f64, f64) = (25.0, 35.0);

/// How the length of a bill lies to its cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cycle {
    Short,
    Regular,
    Long,
}

/// * Shape: `longest` is in months: one, or two where bills are of two months or joined with one that nobody read.
/// * Source: CalTRACK 2.0, 2.2.3.1 and 2.2.3.4-5.
pub(super) fn cycle(days: f64, longest: f64) -> Cycle {
    // An hour more or less is the clock's.
    match days {
        short if short < BILL_DAYS.0 - 0.5 => Cycle::Short,
        long if long > longest * BILL_DAYS.1 + 0.5 => Cycle::Long,
        _ => Cycle::Regular,
    }
}

/// What is to be said of so many bills of the baseline that are short, long, or without weather.
pub(super) fn of_cycles(short: u32, long: u32, thin: u32) -> Vec<Found> {
    let counts = [(SHORT_BILLS, short), (LONG_BILLS, long), (THIN_BILLS, thin)];
    counts.iter().filter_map(|(rule, count)| rule.found(f64::from(*count))).collect()
}

/// Adds what strict mode finds in the rows; a rule that forbids the numbers disqualifies them.
///
/// * Shape: `cleaned` is what the cleaning found before.
pub(super) fn judged(
    mut given: Assessment,
    question: &Question,
    meter: &Series,
    weather: &Weather,
    cleaned: &[Found],
) -> Result<Assessment, AssessError> {
    if question.mode == Mode::Compatible {
        return Ok(given);
    }
    let mut found = of_site(&question.site);
    found.extend_from_slice(cleaned);
    let of_bills = meter.step_seconds() > 2 * DAY;
    if !of_bills {
        let (baseline, _) = periods(question)?;
        let calendar = Calendar::of(question, meter)?;
        found.extend(of_rows(question, meter, weather, &calendar, baseline));
        let days = calendar.days_of(meter, baseline);
        found.extend(of_days(question.commodity, &days));
        found.extend(of_fit(&given, if of_hours(question, meter) { meter.rows() } else { &days }, of_hours(question, meter)));
    }
    found.extend(given.avoided.as_ref().and_then(|avoided| REPORTING.found(avoided.coverage)));
    // What already was said is not said again.
    found.retain(|found| given.sufficiency.findings.iter().all(|known| known.name != found.name));
    let (mut forbid, warn): (Vec<Found>, Vec<Found>) = found.into_iter().partition(|found| found.severity == Disqualification);
    if !forbid.is_empty() {
        given.sufficiency.status = Verdict::Fail;
        if given.status == Status::Qualified {
            given.status = Status::Disqualified;
        }
    }
    forbid.append(&mut given.sufficiency.findings);
    forbid.extend(warn);
    given.sufficiency.findings = forbid;
    Ok(given)
}

fn of_hours(question: &Question, meter: &Series) -> bool {
    meter.step_seconds() <= HOUR && matches!(question.method, Method::CaltrackHourly | Method::Towt)
}

/// What was told of the site.
fn of_site(site: &Site) -> Vec<Found> {
    let counted = |changed: bool| if changed { 1.0 } else { 0.0 };
    let found = [
        NET_METERING.found(counted(site.net_metering_changed)),
        VEHICLES.found(counted(site.electric_vehicle_installed)),
        site.station_km.and_then(|km| STATION.found(km)),
        CLIMATE.found(counted(site.other_climate_zone)),
    ];
    found.into_iter().flatten().collect()
}

/// Days of nothing, and days of much less than the others. The last row only closes.
fn of_days(commodity: Commodity, days: &[Row]) -> Vec<Found> {
    let values = || days.split_last().into_iter().flat_map(|(_, days)| days).filter_map(|day| day.value);
    let electric = commodity == Commodity::Electricity;
    let zeros = values().filter(|value| electric && *value == 0.0).count();
    let sorted = crate::baseline::sorted(values().filter(|value| !electric || *value != 0.0));
    let quarter = |quarters| crate::baseline::quantile(&sorted, quarters);
    let low = quarter(1).zip(quarter(3)).map_or(0, |(lower, upper)| {
        let limit = lower - 3.0 * (upper - lower);
        sorted.iter().filter(|value| **value < limit).count()
    });
    let count = |rows: usize| f64::from(u32::try_from(rows).unwrap_or(u32::MAX));
    [ZERO_USE.found(count(zeros)), LOW_USE.found(count(low))].into_iter().flatten().collect()
}

fn of_rows(question: &Question, meter: &Series, weather: &Weather, calendar: &Calendar, baseline: Period) -> Vec<Found> {
    let (from, to) = (calendar.midnight(baseline.first()), calendar.midnight(baseline.end()));
    let step = meter.step_seconds().max(1);
    let energy: Vec<i64> = present(meter.rows(), from, to);
    let hours = spans::hourly(&weather.series);
    let warmth: Vec<i64> = present(&hours, from, to);
    let edges = |rows: &[i64], step: i64| match (rows.first(), rows.last()) {
        (Some(first), Some(last)) => ((first - from) / DAY).max((to - last - step) / DAY),
        _ => (to - from) / DAY,
    };
    let known: Vec<i64> = std::iter::once(from - HOUR).chain(warmth.iter().copied()).chain([to]).collect();
    let longest_gap = known.windows(2).map(|pair| (pair[1] - pair[0]) / HOUR - 1);
    let (energy_share, weather_share) =
        if of_hours(question, meter) { (HOURLY_ENERGY, HOURLY_WEATHER) } else { (MONTHLY_ENERGY, MONTHLY_WEATHER) };
    let thin = |rows: &[i64], step: i64, half: &dyn Fn(i64) -> i64| {
        let days = baseline.dates().filter(|date| {
            let (start, end) = day(calendar, *date);
            let count = count(rows, start, end);
            count > 0 && count <= half((end - start) / step)
        });
        number(i64::try_from(days.count()).unwrap_or(i64::MAX))
    };
    let twelve = |_: i64| i64::from(HALF_DAY_HOURS);
    let length = energy.first().zip(energy.last()).map_or(0, |(first, last)| (last + step - first + DAY / 2) / DAY);
    let mut found = vec![
        LENGTH.found(number(length)),
        BOUNDARY_GAP.found(number(edges(&energy, step))),
        THIN_WEATHER.found(thin(&warmth, HOUR, &twelve)),
        WEATHER_GAP.found(number(longest_gap.max().unwrap_or(0))),
        energy_share.found(least_month(&energy, step, calendar, baseline)),
        weather_share.found(least_month(&warmth, HOUR, calendar, baseline)),
    ];
    if step < DAY / 2 {
        found.push(THIN_ENERGY.found(thin(&energy, step, &|expected| expected / 2)));
    }
    found.into_iter().flatten().collect()
}

/// The rows that have a value.
fn present(rows: &[Row], from: i64, to: i64) -> Vec<i64> {
    spans::between(rows, from, to - 1).iter().filter(|row| row.value.is_some()).map(|row| row.at).collect()
}

fn count(rows: &[i64], start: i64, end: i64) -> i64 {
    let count = rows.partition_point(|at| *at < end) - rows.partition_point(|at| *at < start);
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn day(calendar: &Calendar, date: Date) -> (i64, i64) {
    let start = calendar.midnight(date);
    (start, date.tomorrow().map_or(start + DAY, |next| calendar.midnight(next)))
}

/// The least share of a month of the baseline that has values; months that are cut by its ends count what lies inside.
fn least_month(rows: &[i64], step: i64, calendar: &Calendar, baseline: Period) -> f64 {
    let mut least: f64 = 1.0;
    let mut first = baseline.first();
    while first < baseline.end() {
        let next = first.last_of_month().tomorrow().map_or(baseline.end(), |next| next.min(baseline.end()));
        let (start, end) = (calendar.midnight(first), calendar.midnight(next));
        let expected = ((end - start + step / 2) / step).max(1);
        least = least.min(number(count(rows, start, end)) / number(expected));
        first = next;
    }
    least
}

/// Whether the model follows what it was fitted to at all.
fn of_fit(given: &Assessment, rows: &[Row], hours: bool) -> Option<Found> {
    let metrics = given.metrics.as_ref()?;
    let (rule, of_range) = if hours { (FIT_OF_HOURS, 2.2) } else { (FIT, 1.6) };
    let values = crate::baseline::sorted(rows.iter().filter_map(|row| row.value));
    let range = crate::baseline::quantile(&values, 3)? - crate::baseline::quantile(&values, 1)?;
    (metrics.rmse_adj > of_range * range).then(|| rule.found(metrics.cvrmse_adj?.abs())).flatten()
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows of a year")]
fn number(count: i64) -> f64 {
    count as f64
}
