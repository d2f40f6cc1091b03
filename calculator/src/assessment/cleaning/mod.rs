//! What is done to the rows of a meter before anything is computed, step by step, each with its rows and its energy.
//!
//! The order is fixed and the log is part of what an answer's digest is over, so that two people who clean alike can show
//! it. Only what cannot be energy is taken away: registers become differences, what is more than the connection can carry
//! is missing. Everything else is flagged and stays; nothing is ever deleted because it looks odd.

mod checks;
mod oddities;
mod registers;

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use units::FacilityCalendar;

pub use self::checks::SumCheck;

use super::question::{MeterSettings, Question};
use super::series::{Origin, Row, Series};
use super::spans::{DAY, HOUR};
use super::sufficiency::Found;

/// More than this share above the rated power cannot be energy.
const HEADROOM: f64 = 1.2;

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

/// Rows that are clean, with how they became so and what is to be said of it.
pub(super) struct Cleaned<'a> {
    pub(super) meter: Cow<'a, Series>,
    pub(super) log: Vec<CleaningStep>,
    /// What strict mode finds in what was cleaned.
    pub(super) found: Vec<Found>,
    /// How the rows and the bills of the same energy agree, where there are both.
    pub(super) sum_check: Option<SumCheck>,
    /// The share of what the register counted that is in no row, where the rows are readings.
    pub(super) lost: Option<f64>,
}

/// The rows while they are cleaned.
struct Work<'a> {
    rows: Cow<'a, [Row]>,
    log: Vec<CleaningStep>,
    found: Vec<Found>,
    /// What the register counted between its first and its last reading, where the rows are readings.
    counted: Option<f64>,
    /// Rows with a value and their sum, as long as no row is other than the file has it.
    untouched: Option<(usize, f64)>,
}

impl Work<'_> {
    fn note(&mut self, step: u8, name: &str, changed: usize, flagged: usize, found: String) {
        let known = self.untouched.filter(|_| matches!(self.rows, Cow::Borrowed(_)));
        let (rows, energy) = known.unwrap_or_else(|| {
            let values = self.rows.iter().filter_map(|row| row.value);
            values.fold((0, -0.0), |(rows, energy), value| (rows + 1, energy + value))
        });
        self.untouched = Some((rows, energy)).filter(|_| matches!(self.rows, Cow::Borrowed(_)));
        self.log.push(CleaningStep { step, name: name.to_owned(), rows, changed, flagged, energy, found });
    }
}

/// Cleans the rows of a meter; those that need nothing are not copied.
///
/// * Units: as the rows have them; the log too.
/// * Source: the order of VEE practice, from parsing to estimated reads; CalTRACK 2.0, 2.2.3.1.
pub(super) fn clean<'a>(question: &Question, meter: &'a Series) -> Cleaned<'a> {
    let settings = &question.meter;
    let step = meter.step_seconds().max(1);
    let mut work =
        Work { rows: Cow::Borrowed(meter.rows()), log: Vec::with_capacity(10), found: Vec::new(), counted: None, untouched: None };
    parse(&mut work, settings, meter);
    time(&mut work, question.zone.as_ref(), step);
    duplicates(&mut work, meter);
    registers::differences(&mut work, question, meter);
    gaps(&mut work, step);
    oddities::spikes(&mut work, question, step);
    oddities::stuck(&mut work, question.unit, step);
    oddities::zeros(&mut work, question.commodity);
    let sum_check = checks::sums(&mut work, question, meter);
    checks::estimates(&mut work, question, meter);
    let Work { rows, log, found, counted, .. } = work;
    let sum = |rows: &[Row]| rows.iter().filter_map(|row| row.value).sum::<f64>();
    let lost = counted.filter(|counted| *counted > 0.0).map(|counted| (counted - sum(&rows)) / counted);
    let meter = match rows {
        Cow::Borrowed(_) => Cow::Borrowed(meter),
        Cow::Owned(rows) => Cow::Owned(meter.with_rows(rows)),
    };
    Cleaned { meter, log, found, sum_check, lost }
}

/// Transformers make less of the current and the voltage than there is.
fn parse(work: &mut Work<'_>, settings: &MeterSettings, meter: &Series) {
    let multiplied = settings.multiplier.total_cmp(&1.0).is_ne();
    let mut changed = 0;
    if multiplied {
        for row in work.rows.to_mut() {
            changed += usize::from(row.value.is_some());
            row.value = row.value.map(|value| value * settings.multiplier);
        }
    }
    let mut found = Vec::new();
    if multiplied {
        found.push(format!("times {} for the transformers", settings.multiplier));
    }
    for (origin, name) in [(Origin::Edited, "edited"), (Origin::Estimated, "estimated")] {
        let rows = meter.stretches().iter().filter(|stretch| stretch.origin == origin).count();
        if rows > 0 {
            found.push(format!("rows that the file calls {name}: {rows}"));
        }
    }
    work.note(1, "values", changed, meter.stretches().len(), found.join(", "));
}

/// Days on which the clocks change, which have an hour more or less of rows, and leap days, which are days like others.
fn time(work: &mut Work<'_>, zone: Option<&TimeZone>, step: i64) {
    let edges = work.rows.first().zip(work.rows.last()).map(|(first, last)| (first.at, last.at));
    let mut found = Vec::new();
    let mut wrong = 0_usize;
    if let (Some(zone), Some((first, last))) = (zone, edges) {
        let date = |second| Timestamp::from_second(second).map(|at| zone.to_datetime(at).date());
        let calendar = FacilityCalendar::new(zone.clone());
        if let (Ok(from), Ok(end)) = (date(first), date(last)) {
            let changes = calendar.changes(&(from..end));
            for (date, seconds) in &changes {
                let start = calendar.start_of(*date).map_or(0, Timestamp::as_second);
                // The first day of the file may have begun before it.
                let rows = super::spans::between(&work.rows, start, start + seconds - 1).len();
                wrong += usize::from(step <= HOUR && start >= first && i64::try_from(rows) != Ok(seconds / step));
            }
            let leaps = (from.year()..=end.year()).filter_map(|year| Date::new(year, 2, 29).ok()).filter(|day| (from..end).contains(day));
            let leaps = leaps.count();
            if !changes.is_empty() {
                found.push(format!("days of 23 or 25 hours: {}", changes.len()));
            }
            if wrong > 0 {
                found.push(format!("of them with other rows than their hours have: {wrong}"));
            }
            if leaps > 0 {
                found.push(format!("leap days: {leaps}"));
            }
        }
    }
    work.note(2, "time", 0, wrong, found.join(", "));
}

/// What repeats counts once; of what contradicts the better one stands, and what is equally good was refused before.
fn duplicates(work: &mut Work<'_>, meter: &Series) {
    let (repeated, outranked) = (meter.repeated(), meter.outranked());
    let mut found = Vec::new();
    if repeated > 0 {
        found.push(format!("rows that say what another said already: {repeated}"));
    }
    if outranked > 0 {
        found.push(format!("rows that contradict one of better quality, which stands: {outranked}"));
    }
    work.note(3, "duplicates", repeated + outranked, outranked, found.join(", "));
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

#[cfg(test)]
#[path = "cleaning_tests.rs"]
mod tests;
