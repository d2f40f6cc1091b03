//! Hours of a meter beside the hours of a weather station, for models of the hour of the week.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::days::{DaysError, Reading, distinct, one_unit, split};
use super::rows::{EnergyRow, TemperatureRow};

/// Seconds of an hour.
const HOUR_SECONDS: i64 = 3_600;

/// One hour of a facility.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hour {
    /// When it begins.
    pub start: Timestamp,
    /// The month in the facility's zone, 1 to 12.
    pub month: u8,
    /// The hour of the week in the facility's zone: 0 begins on Monday at midnight, 167 is the last of Sunday.
    pub hour_of_week: u8,
    /// The energy of the hour, Wh.
    pub use_wh: Option<f64>,
    /// The mean outdoor temperature of the hour, °F.
    pub temperature_f: Option<f64>,
}

/// Puts meter and weather side by side, hour by hour, from `from` up to and without `to`; missing hours included.
///
/// Intervals shorter than an hour are summed when the hour has all of them; temperatures of an hour are averaged. A zero is
/// a zero here: whether it is missing electricity (CalTRACK 2.2.1.4) is decided in cleaning.
///
/// * Shape: rows in any order; each belongs to the hour in which it begins. The hour that the clocks repeat in autumn is
///   two hours of the same hour of the week.
/// * Units: as the rows say, all the same. Wh and °F out.
/// * Errors: NaN, contradicting duplicates, mixed units, an interval that does not divide an hour.
pub fn hours(
    energy: &[EnergyRow],
    interval_minutes: u16,
    temperatures: &[TemperatureRow],
    zone: &TimeZone,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Hour>, DaysError> {
    if interval_minutes == 0 || 60 % interval_minutes != 0 {
        return Err(DaysError::Interval { minutes: interval_minutes });
    }
    let mut energy: Vec<&EnergyRow> = energy.iter().collect();
    energy.sort_by_key(|row| row.start);
    one_unit(energy.iter().map(|row| (row.start, row.unit.symbol())))?;
    let energy = distinct(energy.iter().map(|row| (row.start, row.value.map(|value| row.unit.to_wh(value)))))?;
    let mut weather: Vec<&TemperatureRow> = temperatures.iter().collect();
    weather.sort_by_key(|row| row.at);
    one_unit(weather.iter().map(|row| (row.at, row.unit.symbol())))?;
    let weather = distinct(weather.iter().map(|row| (row.at, row.value.map(|value| row.unit.to_fahrenheit(value)))))?;

    let expected = usize::from(60 / interval_minutes);
    let (mut energy, mut weather) = (energy.as_slice(), weather.as_slice());
    let mut hours = Vec::with_capacity(usize::try_from(to.duration_since(from).as_hours()).unwrap_or(0));
    let mut start = from;
    while start < to {
        let end = start + jiff::SignedDuration::from_secs(HOUR_SECONDS);
        let (used, later) = split(energy, start, end);
        energy = later;
        let (felt, later) = split(weather, start, end);
        weather = later;
        let local = start.to_zoned(zone.clone());
        let weekday = local.weekday().to_monday_zero_offset();
        let hour_of_week = u8::try_from(weekday).unwrap_or(0) * 24 + u8::try_from(local.hour()).unwrap_or(0);
        let (sum, count) = total(used);
        let (degrees, felt) = total(felt);
        hours.push(Hour {
            start,
            month: u8::try_from(local.month()).unwrap_or(1),
            hour_of_week,
            use_wh: (count == expected).then_some(sum),
            temperature_f: (felt > 0).then(|| degrees / felt as f64),
        });
        start = end;
    }
    Ok(hours)
}

/// The sum of the values that are there, and how many they are.
fn total(readings: &[Reading]) -> (f64, usize) {
    readings.iter().filter_map(|(_, value)| *value).fold((0.0, 0), |(sum, count), value| (sum + value, count + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::{EnergyUnit, TemperatureUnit};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_repeated_hour_of_autumn_is_two_hours_of_one_hour_of_the_week() {
        let zone = TimeZone::get("America/Chicago").unwrap();
        let hours = hours(&[], 60, &[], &zone, at("2025-11-02T05:00:00Z"), at("2025-11-03T06:00:00Z")).unwrap();
        assert_eq!(hours.len(), 25);
        let ones: Vec<_> = hours.iter().filter(|hour| hour.hour_of_week == 6 * 24 + 1).map(|hour| hour.start.to_string()).collect();
        assert_eq!(ones, ["2025-11-02T06:00:00Z", "2025-11-02T07:00:00Z"]);
        assert!(hours.iter().all(|hour| hour.month == 11 && hour.use_wh.is_none() && hour.temperature_f.is_none()));
    }

    #[test]
    fn quarters_are_summed_when_all_are_there_and_temperatures_averaged() {
        let quarter = |minute: i64| EnergyRow {
            start: at("2025-01-06T00:00:00Z") + jiff::SignedDuration::from_mins(minute),
            value: Some(0.25),
            unit: EnergyUnit::KilowattHour,
        };
        let rows: Vec<EnergyRow> = [0, 15, 30, 45, 60, 75, 105].into_iter().map(quarter).collect();
        let felt = [0, 30].map(|minute| TemperatureRow {
            at: at("2025-01-06T00:00:00Z") + jiff::SignedDuration::from_mins(minute),
            value: Some(10.0 + f64::from(i32::try_from(minute).unwrap())),
            unit: TemperatureUnit::Fahrenheit,
        });
        let hours = hours(&rows, 15, &felt, &TimeZone::UTC, at("2025-01-06T00:00:00Z"), at("2025-01-06T02:00:00Z")).unwrap();
        assert_eq!((hours[0].hour_of_week, hours[0].use_wh, hours[0].temperature_f), (0, Some(1_000.0), Some(25.0)));
        assert_eq!((hours[1].hour_of_week, hours[1].use_wh, hours[1].temperature_f), (1, None, None));
    }

    #[test]
    fn an_interval_that_does_not_divide_an_hour_is_refused() {
        let refused = hours(&[], 25, &[], &TimeZone::UTC, at("2025-01-06T00:00:00Z"), at("2025-01-06T02:00:00Z")).unwrap_err();
        assert!(matches!(refused, DaysError::Interval { minutes: 25 }));
    }
}
