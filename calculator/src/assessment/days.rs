//! Where the days of the two periods begin, and which rows they have.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Weather;
use super::error::AssessError;
use super::question::Question;
use super::series::{Row, Series};
use super::spans::{self, DAY, HOUR};
use crate::baseline::{BASELINE_DAYS, Period};

/// Days of a baseline, and of a reporting period.
pub(super) const YEAR: u16 = BASELINE_DAYS;

/// How the meter's rows tell time.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    zone: TimeZone,
    /// Whether rows are days already.
    pub(super) is_daily: bool,
    /// Whether rows that are days begin at midnight UTC, whatever the zone.
    pub(super) is_labelled: bool,
}

impl Calendar {
    /// * Errors: rows that are bills, and rows whose days no zone knows.
    pub(super) fn of(question: &Question, meter: &Series) -> Result<Self, AssessError> {
        let step = meter.step_seconds();
        if step > 2 * DAY {
            return Err(AssessError::Bills { days: step / DAY });
        }
        let is_daily = step > 12 * HOUR;
        let is_labelled = is_daily && meter.rows().iter().all(|row| row.at.rem_euclid(DAY) == 0);
        let zone = match &question.zone {
            _ if is_labelled => TimeZone::UTC,
            Some(zone) => zone.clone(),
            None => return Err(AssessError::Zone),
        };
        Ok(Self { zone, is_daily, is_labelled })
    }

    /// The second at which a day begins.
    pub(super) fn midnight(&self, date: Date) -> i64 {
        midnight(&self.zone, date)
    }

    /// The day in which a second lies.
    pub(super) fn date(&self, second: i64) -> Date {
        if self.zone == TimeZone::UTC {
            return crate::baseline::day_of(second.div_euclid(spans::DAY));
        }
        Timestamp::from_second(second).map_or(Date::constant(1970, 1, 1), |at| self.zone.to_datetime(at).date())
    }

    /// The rows of the meter as days, with the row that closes them.
    pub(super) fn days_of(&self, meter: &Series, period: Period) -> Vec<Row> {
        if self.is_daily {
            return spans::between(meter.rows(), self.midnight(period.first()), self.midnight(period.end())).to_vec();
        }
        let midnights: Vec<i64> = period.dates().chain([period.end()]).map(|date| self.midnight(date)).collect();
        spans::daily(meter, &midnights)
    }
}

/// The second at which a day begins in a zone.
fn midnight(zone: &TimeZone, date: Date) -> i64 {
    if *zone == TimeZone::UTC {
        return epoch_day(date) * DAY;
    }
    let start = zone.to_ambiguous_timestamp(date.to_datetime(jiff::civil::Time::midnight())).compatible();
    start.map_or_else(|_| epoch_day(date) * DAY, Timestamp::as_second)
}

/// The second at which a day begins for rows of whatever length: days that begin at midnight UTC have their own.
pub(super) fn beginning(question: &Question, meter: &Series, date: Date) -> i64 {
    match (Calendar::of(question, meter), &question.zone) {
        (Ok(calendar), _) => calendar.midnight(date),
        (Err(_), Some(zone)) => midnight(zone, date),
        (Err(_), None) => midnight(&TimeZone::UTC, date),
    }
}

fn epoch_day(date: Date) -> i64 {
    crate::baseline::day_number(date)
}

/// The baseline year and, where the intervention has an end, the reporting year.
pub(super) fn periods(question: &Question) -> Result<(Period, Option<Period>), AssessError> {
    let start = question.blackout_start;
    let faulty = |end| AssessError::Blackout { start, end };
    if let Some(end) = question.blackout_end.filter(|end| *end < start) {
        return Err(faulty(end));
    }
    let baseline = Period::before(start, YEAR).map_err(|_| faulty(start))?;
    let reporting = question.blackout_end.map(|first| {
        let end = first.checked_add(jiff::Span::new().days(i64::from(YEAR))).map_err(|_| faulty(first))?;
        Period::new(first, end).map_err(|_| faulty(first))
    });
    Ok((baseline, reporting.transpose()?))
}

/// The rule that temperatures reach as far as the energy does; a day too few is too few.
pub(super) fn reaches(weather: &Weather, end: i64, period: &'static str) -> Result<(), AssessError> {
    let rows = weather.series.rows();
    let Some(last) = rows.iter().rposition(|row| row.value.is_some()) else {
        return Err(AssessError::EndsEarly { row: 1, last: instant(0), needed: instant(end), period });
    };
    let at = rows.get(last).map_or(0, |row| row.at);
    if end - at > DAY {
        return Err(AssessError::EndsEarly { row: last + 1, last: instant(at), needed: instant(end), period });
    }
    Ok(())
}

/// The rule that temperatures are hourly at least.
pub(super) fn is_hourly(weather: &Weather) -> Result<(), AssessError> {
    let seconds = weather.series.step_seconds();
    if seconds > HOUR { Err(AssessError::Coarse { seconds }) } else { Ok(()) }
}

/// The rule that a baseline has values, and other values than zero.
pub(super) fn has_use(meter: &Series, days: &[Row], end: Date) -> Result<(), AssessError> {
    if days.split_last().is_none_or(|(_, days)| days.iter().all(|row| row.value.is_none())) {
        let row = days.first().map_or(1, |day| row_at(meter, day.at));
        return Err(AssessError::NoBaseline { row, end, first: edge(meter.rows().first()), last: edge(meter.rows().last()) });
    }
    let mut values = days.iter().filter_map(|row| row.value).peekable();
    if values.peek().is_some() && values.all(|value| value == 0.0) {
        let row = days.first().map_or(1, |day| row_at(meter, day.at));
        return Err(AssessError::Zeros { row, rows: days.len() });
    }
    Ok(())
}

/// The rule that a reporting period has values.
pub(super) fn has_reporting(meter: &Series, days: &[Row], start: Date) -> Result<(), AssessError> {
    if days.split_last().is_none_or(|(_, days)| days.iter().all(|row| row.value.is_none())) {
        let (first, last) = (edge(meter.rows().first()), edge(meter.rows().last()));
        return Err(AssessError::NoReporting { row: meter.rows().len(), start, first, last });
    }
    Ok(())
}

/// The number of the first row at or after a second.
fn row_at(meter: &Series, second: i64) -> usize {
    meter.rows().partition_point(|row| row.at < second) + 1
}

fn edge(row: Option<&Row>) -> Timestamp {
    instant(row.map_or(0, |row| row.at))
}

fn instant(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}
