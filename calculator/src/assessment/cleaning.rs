//! What is done to the rows of a meter before anything is computed, step by step, each with its rows and its energy.
//!
//! The order is fixed and the log is part of what an answer's digest is over, so that two people who clean alike can show
//! it. Only what cannot be energy is taken away: registers become differences, what is more than the connection can carry
//! is missing. Everything else is flagged and stays; nothing is ever deleted because it looks odd.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use units::FacilityCalendar;

use super::question::{MeterSettings, Question};
use super::series::{Row, Series};
use super::spans::{DAY, HOUR};
use crate::baseline::Commodity;

/// So many hours of one and the same use are suspect.
const STUCK_HOURS: i64 = 24;
/// More than this share above the rated power cannot be energy.
const HEADROOM: f64 = 1.2;
/// A register rolls over from above this share of its range to below the other.
const ROLLOVER: (f64, f64) = (0.9, 0.1);

/// One step of the cleaning, as it went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CleaningStep {
    /// Its place in the order.
    pub step: u8,
    /// What it looks at.
    pub name: String,
    /// Rows with a value afterwards.
    pub rows: usize,
    /// Rows whose value it changed, took away or made.
    pub changed: usize,
    /// Rows that it only points at.
    pub flagged: usize,
    /// The sum of the values afterwards, in the unit of the meter.
    pub energy: f64,
    /// What was found, in words; empty where there was nothing.
    pub found: String,
}

/// The rows while they are cleaned.
struct Work<'a> {
    rows: Cow<'a, [Row]>,
    log: Vec<CleaningStep>,
}

impl Work<'_> {
    fn note(&mut self, step: u8, name: &str, changed: usize, flagged: usize, found: String) {
        let values = || self.rows.iter().filter_map(|row| row.value);
        let (rows, energy) = (values().count(), values().sum());
        self.log.push(CleaningStep { step, name: name.to_owned(), rows, changed, flagged, energy, found });
    }
}

/// Cleans the rows of a meter; those that need nothing are not copied.
///
/// * Units: as the rows have them; the log too.
/// * Source: the order of VEE practice, from parsing to zeros.
pub(super) fn clean<'a>(question: &Question, meter: &'a Series) -> (Cow<'a, Series>, Vec<CleaningStep>) {
    let settings = &question.meter;
    let step = meter.step_seconds().max(1);
    let mut work = Work { rows: Cow::Borrowed(meter.rows()), log: Vec::with_capacity(8) };
    parse(&mut work, settings);
    time(&mut work, question.zone.as_ref());
    let repeated = meter.repeated();
    let found = if repeated > 0 { format!("rows that say what another said already: {repeated}") } else { String::new() };
    work.note(3, "duplicates", repeated, 0, found);
    registers(&mut work, question);
    gaps(&mut work, step);
    spikes(&mut work, question, step);
    stuck(&mut work, step);
    zeros(&mut work, question.commodity);
    let Work { rows, log } = work;
    let series = match rows {
        Cow::Borrowed(_) => Cow::Borrowed(meter),
        Cow::Owned(rows) => Cow::Owned(meter.with_rows(rows)),
    };
    (series, log)
}

/// Transformers make less of the current and the voltage than there is.
fn parse(work: &mut Work<'_>, settings: &MeterSettings) {
    let multiplied = settings.multiplier.total_cmp(&1.0).is_ne();
    let mut changed = 0;
    if multiplied {
        for row in work.rows.to_mut() {
            changed += usize::from(row.value.is_some());
            row.value = row.value.map(|value| value * settings.multiplier);
        }
    }
    let found = if multiplied { format!("times {} for the transformers", settings.multiplier) } else { String::new() };
    work.note(1, "values", changed, 0, found);
}

/// Days on which the clocks change, and leap days, which are days like others.
fn time(work: &mut Work<'_>, zone: Option<&TimeZone>) {
    let edges = work.rows.first().zip(work.rows.last()).map(|(first, last)| (first.at, last.at));
    let mut found = Vec::new();
    if let (Some(zone), Some((first, last))) = (zone, edges) {
        let date = |second| Timestamp::from_second(second).map(|at| zone.to_datetime(at).date());
        let calendar = FacilityCalendar::new(zone.clone());
        if let (Ok(mut date), Ok(end)) = (date(first), date(last)) {
            let (mut changes, mut leaps) = (0_u32, 0_u32);
            while date < end {
                changes += u32::from(calendar.seconds(date).is_ok_and(|seconds| seconds != DAY));
                leaps += u32::from(date.month() == 2 && date.day() == 29);
                let Ok(next) = date.tomorrow() else { break };
                date = next;
            }
            if changes > 0 {
                found.push(format!("days of 23 or 25 hours: {changes}"));
            }
            if leaps > 0 {
                found.push(format!("leap days: {leaps}"));
            }
        }
    }
    work.note(2, "time", 0, 0, found.join(", "));
}

/// Differences of readings; never across a reset, and over a rollover only when it can be one.
fn registers(work: &mut Work<'_>, question: &Question) {
    let Some(digits) = question.meter.register_digits else {
        return work.note(4, "registers", 0, 0, String::new());
    };
    let range = power_of_ten(digits) * question.meter.multiplier;
    let (mut rollovers, mut resets, mut spread) = (0_usize, 0_usize, 0_usize);
    let readings: Vec<Row> = work.rows.iter().copied().filter(|row| row.value.is_some()).collect();
    let mut rows: Vec<Row> = work.rows.iter().map(|row| Row { at: row.at, value: None }).collect();
    for pair in readings.windows(2) {
        let (Some(one), Some(next)) = (pair[0].value, pair[1].value) else { continue };
        let lasted = pair[1].at - pair[0].at;
        let used = if next >= one {
            next - one
        } else if one > ROLLOVER.0 * range && next < ROLLOVER.1 * range && fits(next - one + range, lasted, question) {
            rollovers += 1;
            next - one + range
        } else {
            resets += 1;
            continue;
        };
        let from = rows.partition_point(|row| row.at < pair[0].at);
        let to = rows.partition_point(|row| row.at < pair[1].at);
        // The energy of a gap is known; when within it is not, so that a day's sum is the most that can be made of it.
        if to - from > 1 && lasted > DAY {
            continue;
        }
        spread += to - from - 1;
        #[expect(clippy::cast_precision_loss, reason = "rows of a day")]
        let share = used / (to - from).max(1) as f64;
        for row in rows.get_mut(from..to).unwrap_or_default() {
            row.value = Some(share);
        }
    }
    let changed = rows.iter().filter(|row| row.value.is_some()).count();
    work.rows = Cow::Owned(rows);
    let parts = [
        (rollovers, "rollovers that were bridged"),
        (resets, "resets, over which nothing is known"),
        (spread, "rows without a reading that share what was used within their day"),
    ];
    let found: Vec<String> = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{what}: {count}")).collect();
    work.note(4, "registers", changed, resets, found.join(", "));
}

fn power_of_ten(digits: u8) -> f64 {
    (0..digits.min(15)).fold(1.0, |range, _| range * 10.0)
}

/// Whether so much can have been used in so many seconds.
fn fits(used: f64, seconds: i64, question: &Question) -> bool {
    most(question, seconds).is_none_or(|most| used <= most)
}

/// The most that the connection can carry in so many seconds, in the unit of the meter.
#[expect(clippy::cast_precision_loss, reason = "seconds between two rows")]
fn most(question: &Question, seconds: i64) -> Option<f64> {
    let rated_kw = question.meter.rated_kw?;
    Some(HEADROOM * rated_kw * 1_000.0 * (seconds as f64 / HOUR as f64) / question.unit.to_wh(1.0))
}

fn gaps(work: &mut Work<'_>, step: i64) {
    let (mut absent, mut longest) = (0_i64, 0_i64);
    for pair in work.rows.windows(2) {
        let missing = (pair[1].at - pair[0].at + step / 2) / step - 1;
        // Bills are as long as they are.
        if missing > 0 && step <= 2 * DAY {
            absent += missing;
            longest = longest.max(missing);
        }
    }
    let empty = work.rows.split_last().map_or(0, |(_, rows)| rows.iter().filter(|row| row.value.is_none()).count());
    let mut found = Vec::new();
    if absent > 0 {
        found.push(format!("rows that are absent: {absent}, in a row at most {longest}"));
    }
    if empty > 0 {
        found.push(format!("rows without a value: {empty}"));
    }
    let flagged = usize::try_from(absent).unwrap_or(usize::MAX).saturating_add(empty);
    work.note(5, "gaps", 0, flagged, found.join(", "));
}

/// What the connection cannot carry is missing; what is merely far above the others is for people to judge.
fn spikes(work: &mut Work<'_>, question: &Question, step: i64) {
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
    let mut values: Vec<f64> = work.rows.iter().filter_map(|row| row.value).collect();
    let (mut flagged, mut limit) = (0, 0.0);
    if values.len() >= 4 {
        let mut quarter = |quarters: usize| {
            let index = (values.len() - 1) * quarters / 4;
            *values.select_nth_unstable_by(index, f64::total_cmp).1
        };
        let (low, median, high) = (quarter(1), quarter(2), quarter(3));
        limit = median + 3.0 * (high - low);
        flagged = values.iter().filter(|value| **value > limit).count();
    }
    let mut found = Vec::new();
    if changed > 0 {
        found.push(format!("rows of more than the connection carries, now missing: {changed}"));
    }
    if flagged > 0 {
        found.push(format!("rows above {limit:.3}, the median and three interquartile ranges: {flagged}"));
    }
    work.note(6, "spikes", changed, flagged, found.join(", "));
}

/// A day or more of one and the same use, hour by hour, is a meter that stands still.
fn stuck(work: &mut Work<'_>, step: i64) {
    let least = usize::try_from((STUCK_HOURS * HOUR / step).max(2)).unwrap_or(usize::MAX);
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
    let found = if flagged > 0 { format!("rows that repeat one value for a day or longer: {flagged}") } else { String::new() };
    work.note(7, "stuck values", 0, flagged, found);
}

fn zeros(work: &mut Work<'_>, commodity: Commodity) {
    let zeros = work.rows.iter().filter(|row| row.value == Some(0.0)).count();
    let found = match (zeros, commodity) {
        (0, _) => String::new(),
        (zeros, Commodity::Electricity) => format!("rows of zero, where electricity is missing if a whole day or bill is: {zeros}"),
        (zeros, Commodity::Gas) => format!("rows of zero, as gas may be: {zeros}"),
    };
    work.note(8, "zeros", 0, zeros, found);
}

#[cfg(test)]
#[path = "cleaning_tests.rs"]
mod tests;
