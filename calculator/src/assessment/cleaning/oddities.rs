//! Values that are odd: spikes, values that stand still, zeros.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::question::Question;
use super::super::series::Row;
use super::super::spans::{DAY, HOUR};
use super::{Work, most};
use crate::baseline::{Commodity, EnergyUnit};

/// So many hours of one and the same use are suspect.
const STUCK_HOURS: i64 = 24;
/// The same of a flow.
const STUCK_FLOW_HOURS: i64 = 6;
/// Deviations from the median beyond which a row is odd.
const HAMPEL: f64 = 7.0;
/// The standard deviation of normal values over their median distance.
const NORMAL: f64 = 1.4826;
/// Fewer weeks have no median of their hours.
const WEEKS_MIN: i64 = 4;

/// What the connection cannot carry is missing; what is merely far from the others is for people to judge.
///
/// * Source: shorter rows against the same hour of the other weeks by Hampel's rule; days and bills, and rows of fewer than
///   four weeks, against the median and three interquartile ranges.
pub(super) fn spikes(work: &mut Work<'_>, question: &Question, step: i64) {
    let mut changed = 0;
    if let Some(most) = most(question, step)
        && work.rows.iter().any(|row| row.value.is_some_and(|value| value > most))
    {
        for row in work.rows.to_mut() {
            if row.value.is_some_and(|value| value > most) {
                row.value = None;
                changed += 1;
            }
        }
    }
    let (flagged, said) = match of_weeks(&work.rows, question.zone.as_ref(), step) {
        Some(flagged) => (flagged, "rows further than seven deviations from the median of their hour of the week".to_owned()),
        None => of_all(&work.rows),
    };
    let mut found = Vec::new();
    if changed > 0 {
        found.push(format!("rows of more than the connection carries, now missing: {changed}"));
    }
    if flagged > 0 {
        found.push(format!("{said}: {flagged}"));
    }
    work.note(6, "spikes", changed, flagged, found.join(", "));
}

/// How many rows are above the median and three interquartile ranges.
fn of_all(rows: &[Row]) -> (usize, String) {
    let values = crate::baseline::sorted(rows.iter().filter_map(|row| row.value));
    if values.len() < 4 {
        return (0, String::new());
    }
    let quarter = |quarters: usize| values[(values.len() - 1) * quarters / 4];
    let (low, median, high) = (quarter(1), quarter(2), quarter(3));
    let limit = median + 3.0 * (high - low);
    let flagged = values.iter().filter(|value| **value > limit).count();
    (flagged, format!("rows above {limit:.3}, the median and three interquartile ranges"))
}

/// How many rows are far from the same hour of the other weeks; nothing where rows are longer than hours or weeks are few.
fn of_weeks(rows: &[Row], zone: Option<&TimeZone>, step: i64) -> Option<usize> {
    let (first, last) = rows.first().zip(rows.last())?;
    if step > HOUR || last.at - first.at < WEEKS_MIN * 7 * DAY {
        return None;
    }
    let mut slots: Vec<Vec<f64>> = vec![Vec::new(); 7 * 24];
    let (mut known, mut offset) = (i64::MIN, 0);
    for row in rows {
        let Some(value) = row.value else { continue };
        // The clocks are asked once a day: on the day of a change some hours count as their neighbours.
        if row.at.div_euclid(DAY) != known {
            known = row.at.div_euclid(DAY);
            let at = Timestamp::from_second(row.at).unwrap_or(Timestamp::UNIX_EPOCH);
            offset = zone.map_or(0, |zone| i64::from(zone.to_offset(at).seconds()));
        }
        let slot = (row.at + offset).div_euclid(HOUR).rem_euclid(7 * 24);
        if let Some(values) = usize::try_from(slot).ok().and_then(|slot| slots.get_mut(slot)) {
            values.push(value);
        }
    }
    Some(slots.iter_mut().map(|values| far(values)).sum())
}

/// How many values are further than seven deviations from their median; the deviation is that of the median distance.
fn far(values: &mut [f64]) -> usize {
    if values.len() < 4 {
        return 0;
    }
    let middle = values.len() / 2;
    let median = *values.select_nth_unstable_by(middle, f64::total_cmp).1;
    let mut distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
    let deviation = NORMAL * *distances.select_nth_unstable_by(middle, f64::total_cmp).1;
    // Hours that are all alike have no deviation to measure by.
    if deviation > 0.0 { distances.iter().filter(|distance| **distance > HAMPEL * deviation).count() } else { 0 }
}

/// Hours of one and the same use are a meter that stands still: a day of them, or a quarter of one where it measures a flow.
pub(super) fn stuck(work: &mut Work<'_>, unit: EnergyUnit, step: i64) {
    let hours = if unit == EnergyUnit::CubicMetre { STUCK_FLOW_HOURS } else { STUCK_HOURS };
    let least = usize::try_from((hours * HOUR / step).max(2)).unwrap_or(usize::MAX);
    let mut flagged = 0;
    if step <= HOUR {
        let mut run = 0_usize;
        let mut last: Option<f64> = None;
        for value in work.rows.iter().map(|row| row.value.filter(|value| *value != 0.0)).chain([None]) {
            if value.is_some() && value.map(f64::to_bits) == last.map(f64::to_bits) {
                run += 1;
            } else {
                flagged += if run >= least { run } else { 0 };
                run = usize::from(value.is_some());
            }
            last = value;
        }
    }
    let found = if flagged > 0 { format!("rows that repeat one value for {hours} hours or longer: {flagged}") } else { String::new() };
    work.note(7, "stuck values", 0, flagged, found);
}

/// Zeros, which mean one thing of electricity and another of gas.
pub(super) fn zeros(work: &mut Work<'_>, commodity: Commodity) {
    let zeros = work.rows.iter().filter(|row| row.value == Some(0.0)).count();
    let found = match (zeros, commodity) {
        (0, _) => String::new(),
        (zeros, Commodity::Electricity) => format!("rows of zero, where electricity is missing if a whole day or bill is: {zeros}"),
        (zeros, Commodity::Gas) => format!("rows of zero, as gas may be: {zeros}"),
    };
    work.note(8, "zeros", 0, zeros, found);
}
