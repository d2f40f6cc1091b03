//! Whether the load follows the weather at the same distance all year: a clock that was set in between shows as another distance.
//!
//! Heating follows the cold and cooling the warmth, each at its own distance, so months are compared with months of the same sign.
//! Hours of one day are compared with one another, because what moves from day to day says nothing of hours.

use super::series::Row;
use super::spans::{DAY, HOUR};

/// How far load may lie before and behind the weather, hours.
const LAGS: std::ops::RangeInclusive<i64> = -4..=8;
/// Days that are looked at together, and how many of them have to be whole.
const MONTH_DAYS: i64 = 30;
const WHOLE_DAYS_MIN: usize = 20;
/// A weaker correlation names no distance.
const CORRELATION_MIN: f64 = 0.3;
/// Months have to name one, for anybody to compare.
const MONTHS_MIN: usize = 3;
/// Months of one sign may lie so many hours from their middle: rows are hours, and seasons move the sun.
const APART_MAX: i64 = 1;

/// * Shape: hourly rows in order of time; `from` is the beginning of a day. Units do not matter.
/// * Returns: none where too few months have a correlation to speak of.
pub(super) fn is_stable(load: &[Row], temperature: &[Row], from: i64, to: i64) -> Option<bool> {
    let (load, temperature) = (Hours::of(load, from, to), Hours::of(temperature, from, to));
    let months = (0..(to - from) / DAY / MONTH_DAYS).filter_map(|month| best(&load, &temperature, month * MONTH_DAYS));
    let (heating, cooling): (Vec<Best>, Vec<Best>) = months.partition(|best| best.correlation < 0.0);
    let apart = |months: &[Best]| {
        let mut lags: Vec<i64> = months.iter().map(|best| best.lag).collect();
        lags.sort_unstable();
        let middle = lags.get(lags.len() / 2).copied().unwrap_or(0);
        lags.iter().map(|lag| (lag - middle).abs()).max().unwrap_or(0)
    };
    (heating.len() + cooling.len() >= MONTHS_MIN).then(|| apart(&heating).max(apart(&cooling)) <= APART_MAX)
}

/// Values by the hours since a first one.
struct Hours(Vec<Option<f64>>);

impl Hours {
    fn of(rows: &[Row], from: i64, to: i64) -> Self {
        let mut hours = vec![None; usize::try_from((to - from) / HOUR).unwrap_or(0)];
        for row in rows {
            let place = usize::try_from((row.at - from).div_euclid(HOUR)).ok().and_then(|hour| hours.get_mut(hour));
            if let Some(hour) = place {
                *hour = row.value;
            }
        }
        Self(hours)
    }

    /// The hours of a day that begins so many hours later than the first one, around their mean; none where one of them is missing.
    fn day(&self, first: i64) -> Option<[f64; 24]> {
        let first = usize::try_from(first).ok()?;
        let mut hours = [0.0; 24];
        for (hour, value) in hours.iter_mut().zip(self.0.get(first..first + 24)?) {
            *hour = (*value)?;
        }
        let mean = hours.iter().sum::<f64>() / 24.0;
        Some(hours.map(|hour| hour - mean))
    }
}

/// The distance at which load and weather are most alike, or most unlike.
#[derive(Clone, Copy)]
struct Best {
    lag: i64,
    correlation: f64,
}

fn best(load: &Hours, temperature: &Hours, first_day: i64) -> Option<Best> {
    let correlation = |lag: i64| {
        let (mut both, mut loads, mut degrees, mut days) = (0.0, 0.0, 0.0, 0);
        for first in (first_day..first_day + MONTH_DAYS).map(|day| day * 24) {
            let (Some(load), Some(degree)) = (load.day(first), temperature.day(first - lag)) else { continue };
            both += load.iter().zip(degree).map(|(load, degree)| load * degree).sum::<f64>();
            loads += load.iter().map(|load| load * load).sum::<f64>();
            degrees += degree.iter().map(|degree| degree * degree).sum::<f64>();
            days += 1;
        }
        let size = (loads * degrees).sqrt();
        (days >= WHOLE_DAYS_MIN && size > 0.0).then(|| Best { lag, correlation: both / size })
    };
    let best = LAGS.filter_map(correlation).max_by(|one, other| one.correlation.abs().total_cmp(&other.correlation.abs()))?;
    (best.correlation.abs() >= CORRELATION_MIN).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOURS: i64 = 365 * 24;

    /// Warm afternoons in a year of seasons, and a building that heats and cools so many hours later.
    fn year(lag: impl Fn(i64) -> i64) -> (Vec<Row>, Vec<Row>) {
        let degrees = |hour: i64| {
            let (day, year) = (hour as f64 / 24.0, hour as f64 / HOURS as f64);
            let tau = std::f64::consts::TAU;
            57.0 - 25.0 * (tau * year).cos() - 8.0 * (tau * (day - 0.12)).cos() + ((hour / 24 * 37) % 11) as f64
        };
        let rows = |value: &dyn Fn(i64) -> f64| (0..HOURS).map(|hour| Row { at: hour * HOUR, value: Some(value(hour)) }).collect();
        let used = |hour: i64| {
            let felt = degrees(hour - lag(hour));
            10.0 + (55.0 - felt).max(0.0) + 2.0 * (felt - 65.0).max(0.0) + (hour * 7_919 % 13) as f64 * 0.3
        };
        (rows(&used), rows(&degrees))
    }

    fn judged(lag: impl Fn(i64) -> i64) -> Option<bool> {
        let (load, weather) = year(lag);
        is_stable(&load, &weather, 0, HOURS * HOUR)
    }

    #[test]
    fn a_clock_that_was_set_in_between_is_seen() {
        assert_eq!((judged(|_| 2), judged(|_| 0), judged(|_| -3)), (Some(true), Some(true), Some(true)));
        assert_eq!(judged(|hour| if hour < HOURS / 7 { 1 } else { 4 }), Some(false), "set forward in February");
        assert_eq!(judged(|hour| if hour < HOURS / 2 { 5 } else { 2 }), Some(false), "set back in July");
        assert_eq!(judged(|hour| if hour < HOURS / 2 { 3 } else { 4 }), Some(true), "an hour is what seasons do");
    }

    #[test]
    fn nobody_knows_where_load_does_not_follow_the_weather() {
        let (load, weather) = year(|_| 2);
        let flat: Vec<Row> = load.iter().map(|row| Row { value: Some(5.0), ..*row }).collect();
        assert_eq!(is_stable(&flat, &weather, 0, HOURS * HOUR), None);
        assert_eq!(is_stable(&load[..24 * 60], &weather, 0, HOURS * HOUR), None, "two months are too few");
        assert_eq!(is_stable(&[], &[], 0, HOURS * HOUR), None);
    }
}
