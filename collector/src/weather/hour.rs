//! From observations to hours.
//!
//! * Source: CalTRACK 2.3.4, minutes between observations at most an hour apart lie on the line between them, and an
//!   hour is the mean of its minutes; 2.2.4.1, at most six hours in a row may be interpolated.

use jiff::Timestamp;
use serde::Serialize;

use super::observation::{Observation, Variable};

const HOUR_S: i64 = 3_600;
/// Between observations that are farther apart than this nothing is known.
const REACH_S: i64 = 3_600;
/// An hour with fewer known seconds has the mean of its own observations instead.
const KNOWN_S_MIN: i64 = 1_800;
/// Hours of one request: two hundred years.
const HOURS_MAX: i64 = 1_753_200;

/// How hours are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourRules {
    /// Missing hours in a row that are filled in by the line between their neighbours.
    pub gap_hours_max: u32,
}

impl Default for HourRules {
    fn default() -> Self {
        Self { gap_hours_max: 6 }
    }
}

/// Where the value of an hour comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Observed.
    Observed,
    /// From the line between the hours around a gap.
    Interpolated,
    /// Nothing is known.
    Missing,
}

/// One hour, named by its beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hour {
    pub start: Timestamp,
    pub value: Option<f64>,
    pub origin: Origin,
}

/// The hours of one variable, none left out between the first and the last.
#[derive(Clone, Debug, PartialEq)]
pub struct Hours {
    pub variable: Variable,
    pub hours: Vec<Hour>,
    /// Observations of a time that another one has, and that counts before them.
    pub repeated: u64,
    /// Whether all observations lie on full hours: then each is the value of the hour that begins with it.
    pub on_the_hour: bool,
}

impl Hours {
    /// How many hours have this origin.
    #[must_use]
    pub fn count(&self, origin: Origin) -> u64 {
        self.hours.iter().filter(|hour| hour.origin == origin).count() as u64
    }
}

/// The hours of a variable; nothing where it was never observed, or over more than two hundred years.
///
/// * Shape: observations in any order. Of several at one moment the one of the smallest rank counts, then the first.
/// * Rules: where all lie on full hours, each is its hour's value. Elsewhere an hour is the mean of the line through the
///   observations, over the seconds between neighbours at most an hour apart; with less than half an hour of them it
///   is the mean of its own observations. What is missing then is interpolated over few hours, but irradiation never: the
///   sun does not rise on a straight line.
#[must_use]
pub fn hours(observations: &[Observation], variable: Variable, rules: HourRules) -> Option<Hours> {
    let mut points: Vec<(i64, u8, f64)> = observations
        .iter()
        .filter(|observation| observation.variable == variable)
        .map(|observation| (observation.at.as_second(), observation.rank, observation.value))
        .collect();
    // Stable: the first of equal rank stays the first.
    points.sort_by_key(|(at, rank, _)| (*at, *rank));
    let before = points.len();
    points.dedup_by_key(|(at, _, _)| *at);
    let repeated = (before - points.len()) as u64;
    let (first, last) = (points.first()?.0.div_euclid(HOUR_S), points.last()?.0.div_euclid(HOUR_S));
    if last - first >= HOURS_MAX {
        return None;
    }
    let on_the_hour = points.iter().all(|(at, _, _)| at.rem_euclid(HOUR_S) == 0);
    let mut cells = vec![Cell::default(); usize::try_from(last - first + 1).ok()?];
    let mut cell = |hour: i64, change: &dyn Fn(&mut Cell)| {
        if let Some(cell) = usize::try_from(hour - first).ok().and_then(|index| cells.get_mut(index)) {
            change(cell);
        }
    };
    for (at, _, value) in &points {
        cell(at.div_euclid(HOUR_S), &|cell| {
            cell.own_sum += value;
            cell.own += 1.0;
        });
    }
    for pair in points.windows(2).filter(|_| !on_the_hour) {
        let [(from, _, start), (to, _, end)] = *pair else { continue };
        if to - from > REACH_S {
            continue;
        }
        // At most two hours have a part of it.
        for hour in from.div_euclid(HOUR_S)..=(to - 1).div_euclid(HOUR_S) {
            let (left, right) = (from.max(hour * HOUR_S), to.min((hour + 1) * HOUR_S));
            let on_line = |at: i64| start + (end - start) * seconds(at - from) / seconds(to - from);
            let mean = (on_line(left) + on_line(right)) / 2.0;
            cell(hour, &|cell| {
                cell.known_s += right - left;
                cell.area += mean * seconds(right - left);
            });
        }
    }
    let hours = cells.iter().zip(first..).map(|(cell, hour)| {
        let value = cell.value();
        let origin = if value.is_some() { Origin::Observed } else { Origin::Missing };
        Hour { start: Timestamp::from_second(hour * HOUR_S).unwrap_or(Timestamp::UNIX_EPOCH), value, origin }
    });
    let mut hours: Vec<Hour> = hours.collect();
    if variable != Variable::Irradiation {
        fill(&mut hours, usize::try_from(rules.gap_hours_max).unwrap_or(usize::MAX));
    }
    Some(Hours { variable, hours, repeated, on_the_hour })
}

/// What is known of an hour.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    known_s: i64,
    area: f64,
    own: f64,
    own_sum: f64,
}

impl Cell {
    fn value(&self) -> Option<f64> {
        if self.known_s >= KNOWN_S_MIN {
            Some(self.area / seconds(self.known_s))
        } else if self.own > 0.0 {
            Some(self.own_sum / self.own)
        } else {
            None
        }
    }
}

fn seconds(seconds: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most an hour")]
    let seconds = seconds as f64;
    seconds
}

/// Fills gaps of at most `longest` hours by the line between the hours around them.
fn fill(hours: &mut [Hour], longest: usize) {
    let mut at = 0;
    while let Some(gap) = hours.get(at..).unwrap_or_default().iter().position(|hour| hour.value.is_none()) {
        let from = at + gap;
        let length = hours.get(from..).unwrap_or_default().iter().take_while(|hour| hour.value.is_none()).count();
        at = from + length;
        let before = from.checked_sub(1).and_then(|index| hours.get(index)).and_then(|hour| hour.value);
        let after = hours.get(at).and_then(|hour| hour.value);
        let (Some(before), Some(after)) = (before, after) else { continue };
        if length > longest {
            continue;
        }
        for (step, hour) in (1_u32..).zip(hours.get_mut(from..at).unwrap_or_default()) {
            let part = f64::from(step) / f64::from(u32::try_from(length + 1).unwrap_or(u32::MAX));
            (hour.value, hour.origin) = (Some(before + (after - before) * part), Origin::Interpolated);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(times: &[(&str, f64)]) -> Vec<Observation> {
        let one = |(time, value): &(&str, f64)| Observation {
            at: format!("2024-01-01T{time}Z").parse().unwrap(),
            variable: Variable::Temperature,
            value: *value,
            rank: 0,
        };
        times.iter().map(one).collect()
    }

    fn said(observations: &[Observation], gap_hours_max: u32) -> Vec<String> {
        let hours = hours(observations, Variable::Temperature, HourRules { gap_hours_max }).unwrap();
        let one = |hour: &Hour| {
            let value = hour.value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
            let mark = match hour.origin {
                Origin::Observed => "",
                Origin::Interpolated => " interpolated",
                Origin::Missing => " missing",
            };
            format!("{} {value}{mark}", hour.start.strftime("%H"))
        };
        hours.hours.iter().map(one).collect()
    }

    #[test]
    fn what_is_observed_on_the_hour_is_the_hour() {
        let three_hourly = observed(&[("00:00:00", 3.0), ("03:00:00", 6.0), ("04:00:00", 7.0)]);
        assert_eq!(said(&three_hourly, 6), ["00 3.000", "01 4.000 interpolated", "02 5.000 interpolated", "03 6.000", "04 7.000"]);
        assert_eq!(said(&three_hourly, 1), ["00 3.000", "01 - missing", "02 - missing", "03 6.000", "04 7.000"]);
    }

    #[test]
    fn elsewhere_an_hour_is_the_mean_of_the_line() {
        // As airports report: seven minutes to the hour. 10 at 00:53, 16 at 01:53, 16 at 02:53.
        let airport = observed(&[("00:53:00", 10.0), ("01:53:00", 16.0), ("02:53:00", 16.0)]);
        // From 01:00 (10.7) to 01:53 (16) the mean is 13.35, over 53 minutes; then 7 minutes of 16.
        let second = (13.35 * 53.0 + 16.0 * 7.0) / 60.0;
        assert_eq!(said(&airport, 0), ["00 10.000".to_owned(), format!("01 {second:.3}"), "02 16.000".to_owned()]);
    }

    #[test]
    fn a_line_is_never_longer_than_an_hour_and_the_rank_decides() {
        let sparse = observed(&[("00:30:00", 1.0), ("03:30:00", 4.0), ("03:30:00", 9.0)]);
        assert_eq!(said(&sparse, 0), ["00 1.000", "01 - missing", "02 - missing", "03 4.000"]);
        let mut ranked = sparse;
        ranked[1].rank = 2;
        assert_eq!(said(&ranked, 0)[3], "03 9.000");
    }

    #[test]
    fn a_night_is_not_a_straight_line() {
        let mut sun = observed(&[("00:00:00", 300.0), ("02:00:00", 500.0)]);
        sun.iter_mut().for_each(|one| one.variable = Variable::Irradiation);
        let hours = hours(&sun, Variable::Irradiation, HourRules::default()).unwrap();
        assert_eq!((hours.hours[1].value, hours.count(Origin::Missing)), (None, 1));
    }

    proptest::proptest! {
        /// However they are observed, hours lie between the coldest and the warmest observation, one after another.
        #[test]
        fn hours_lie_between_what_was_observed(values in proptest::collection::vec((0_i64..400_000, -40.0_f64..50.0), 1..60), gap in 0_u32..12) {
            let observations: Vec<_> = values.iter().map(|(second, value)| Observation {
                at: Timestamp::from_second(1_700_000_000 + second).unwrap(), variable: Variable::Temperature, value: *value, rank: 0,
            }).collect();
            let hours = hours(&observations, Variable::Temperature, HourRules { gap_hours_max: gap }).unwrap();
            let least = values.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
            let most = values.iter().map(|(_, value)| *value).fold(f64::NEG_INFINITY, f64::max);
            for hour in &hours.hours {
                proptest::prop_assert!(hour.value.is_none_or(|value| (least - 1e-9..=most + 1e-9).contains(&value)));
                proptest::prop_assert_eq!(hour.value.is_none(), hour.origin == Origin::Missing);
            }
            proptest::prop_assert!(hours.hours.windows(2).all(|pair| pair[1].start.as_second() - pair[0].start.as_second() == 3_600));
            proptest::prop_assert!(hours.hours.first().unwrap().value.is_some() && hours.hours.last().unwrap().value.is_some());
        }
    }
}
