//! Meter rows and temperatures side by side, row by row, as the published program pairs them.
//!
//! A row lasts from its own start to that of the next. Its temperatures are the hours that begin inside it. On a day of 25
//! hours the degree days are those of its first 24 hours, once; the published program counts them twice there, which is a
//! listed divergence. Nothing here asks a zone: the caller has cut the period already.

use super::series::{Row, Series};
use crate::baseline::HALF_DAY_HOURS;

pub(super) const HOUR: i64 = 3_600;
pub(super) const DAY: i64 = 24 * HOUR;
/// Rows further apart than the longest civil day have missing days between them.
const LONGEST_DAY: i64 = 25 * HOUR;

/// A day of the meter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    /// When it begins.
    pub(super) start: i64,
    /// How long it lasts.
    pub(super) seconds: i64,
    /// Its energy, in the unit of the meter.
    pub(super) value: Option<f64>,
    /// The temperature that its degree days are made of, °F.
    pub(super) mean_f: Option<f64>,
    /// Hours with a temperature.
    pub(super) present: u32,
    /// Hours of the day that the weather file reaches.
    pub(super) hours: u32,
}

impl Span {
    /// Its length in days.
    #[expect(clippy::cast_precision_loss, reason = "seconds of a day")]
    pub(super) fn days(&self) -> f64 {
        self.seconds as f64 / DAY as f64
    }

    /// The second at which it ends.
    pub(super) const fn end(&self) -> i64 {
        self.start + self.seconds
    }
}

/// The days between the first and the last row of `from..=to`; the last row closes and has no day of its own.
///
/// * Source: eemeter 2.10 `get_baseline_data` and `get_reporting_data`: both ends belong, the last row loses its value.
pub(super) fn spans(meter: &[Row], from: i64, to: i64) -> Vec<Span> {
    let rows = between(meter, from, to);
    let mut spans = Vec::with_capacity(rows.len() + 1);
    for pair in rows.windows(2) {
        let [row, next] = pair else { continue };
        let mut start = row.at;
        let mut value = row.value;
        while next.at - start > LONGEST_DAY {
            spans.push(Span { start, seconds: DAY, value, mean_f: None, present: 0, hours: 0 });
            (start, value) = (start + DAY, None);
        }
        spans.push(Span { start, seconds: next.at - start, value, mean_f: None, present: 0, hours: 0 });
    }
    spans
}

/// The rows of `from..=to`.
pub(super) fn between(rows: &[Row], from: i64, to: i64) -> &[Row] {
    let (_, rest) = rows.split_at(rows.partition_point(|row| row.at < from));
    rest.split_at(rest.partition_point(|row| row.at <= to)).0
}

/// Gives each span, in order of time, the temperatures that begin inside it.
///
/// * Units: `to_fahrenheit` says what the rows mean.
pub(super) fn warm(spans: &mut [Span], hourly: &[Row], to_fahrenheit: impl Fn(f64) -> f64) {
    let (Some(first), Some(last), Some(head)) = (hourly.first(), hourly.last(), spans.first()) else { return };
    let mut index = hourly.partition_point(|row| row.at < head.start);
    for span in spans {
        let end = span.end();
        span.hours = hours_reached(first.at, last.at, span.start, end);
        // Beyond 24 hours the day has had its degree days.
        let counted = if span.hours > 24 { span.start + DAY } else { end };
        let (mut sum, mut count, mut all) = (0.0, 0_u32, 0_u32);
        let rest = hourly.get(index..).unwrap_or_default();
        // Most days have as many rows as hours; where they do not, the end of the day is looked for.
        let usual = usize::try_from(span.hours).unwrap_or(0);
        let ends = |rows: usize| rest.get(rows).is_none_or(|row| row.at >= end) && (rows == 0 || rest[rows - 1].at < end);
        let inside = if usual <= rest.len() && ends(usual) { usual } else { rest.partition_point(|row| row.at < end) };
        for row in &rest[..inside] {
            if let Some(value) = row.value.filter(|_| row.at >= span.start) {
                all += 1;
                if row.at < counted {
                    sum += to_fahrenheit(value);
                    count += 1;
                }
            }
        }
        index += inside;
        span.present = all;
        let enough =
            if span.hours > 24 { all * 10 >= span.hours * 9 && count > HALF_DAY_HOURS } else { span.hours > HALF_DAY_HOURS && count > 0 };
        span.mean_f = enough.then(|| sum / f64::from(count));
    }
}

/// How many hours of `start..end` lie between the first and the last hour of the weather, values or not.
fn hours_reached(first: i64, last: i64, start: i64, end: i64) -> u32 {
    let hour = |second: i64| (second - first).div_euclid(HOUR) + i64::from((second - first).rem_euclid(HOUR) > 0);
    let (from, to) = (hour(start).max(0), hour(end).min((last - first) / HOUR + 1));
    u32::try_from(to - from).unwrap_or(0)
}

/// Temperatures hour by hour; finer ones become the mean of their hour.
///
/// * Source: CalTRACK 2.0, 2.3.4.
pub(super) fn hourly(series: &Series) -> std::borrow::Cow<'_, [Row]> {
    if series.step_seconds() >= HOUR {
        return series.rows().into();
    }
    let mut hours: Vec<(i64, f64, u32)> = Vec::with_capacity(series.rows().len() / 2);
    for row in series.rows() {
        let at = row.at.div_euclid(HOUR) * HOUR;
        if hours.last().is_none_or(|last| last.0 != at) {
            hours.push((at, 0.0, 0));
        }
        if let (Some(value), Some(last)) = (row.value, hours.last_mut()) {
            last.1 += value;
            last.2 += 1;
        }
    }
    hours.into_iter().map(|(at, sum, count)| Row { at, value: (count > 0).then(|| sum / f64::from(count)) }).collect()
}

/// Temperatures of less than an hour as means of hours, of the minutes that a line between neighbours has; none where they
/// are hourly already.
///
/// * Source: CalTRACK 2.0, 2.3.4: neighbours are an hour apart at most.
pub(super) fn by_minutes(series: &Series) -> Option<Series> {
    const MINUTE: i64 = 60;
    if series.step_seconds() >= HOUR {
        return None;
    }
    let known: Vec<(i64, f64)> = series.rows().iter().filter_map(|row| Some((row.at, row.value?))).collect();
    let mut hours: Vec<(i64, f64, u32)> = Vec::with_capacity(known.len() / 2);
    let mut admit = |at: i64, value: f64| {
        let hour = at.div_euclid(HOUR) * HOUR;
        match hours.last_mut().filter(|last| last.0 == hour) {
            Some(last) => (last.1, last.2) = (last.1 + value, last.2 + 1),
            None => hours.push((hour, value, 1)),
        }
    };
    for pair in known.windows(2) {
        let ((from, first), (to, last)) = (pair[0], pair[1]);
        let end = if to - from > HOUR { from + MINUTE } else { to };
        let mut at = from + (-from).rem_euclid(MINUTE);
        while at < end {
            #[expect(clippy::cast_precision_loss, reason = "seconds of an hour")]
            let share = if to - from > HOUR { 0.0 } else { (at - from) as f64 / (to - from) as f64 };
            admit(at, first + (last - first) * share);
            at += MINUTE;
        }
    }
    if let Some((at, value)) = known.last() {
        admit(*at, *value);
    }
    Series::new(hours.into_iter().map(|(at, sum, count)| Row { at, value: Some(sum / f64::from(count)) }).collect()).ok()
}

/// Rows shorter than a day added up to days that begin at the given seconds, in order; a last row closes.
///
/// A day needs more than half of its intervals; the rest is filled with the day's own mean.
///
/// * Source: CalTRACK 2.0, 2.2.2.1, with the strict half of the published program.
pub(super) fn daily(series: &Series, midnights: &[i64]) -> Vec<Row> {
    let step = series.step_seconds().max(1);
    let rows = series.rows();
    let mut days = Vec::with_capacity(midnights.len());
    let (Some(head), Some(last)) = (midnights.first(), rows.last()) else { return days };
    let mut index = rows.partition_point(|row| row.at < *head);
    for pair in midnights.windows(2) {
        let [start, end] = pair else { continue };
        if *start >= last.at {
            break;
        }
        let (mut sum, mut present) = (0.0, 0_i64);
        while let Some(row) = rows.get(index).filter(|row| row.at < *end) {
            // The last row of the file closes it, whatever it says.
            if let Some(value) = row.value.filter(|_| row.at < last.at) {
                sum += value;
                present += 1;
            }
            index += 1;
        }
        let expected = ((end - start + step / 2) / step).max(1);
        days.push(Row { at: *start, value: (present * 2 > expected).then(|| filled(sum, present, expected)) });
    }
    if let Some(close) = midnights.get(days.len()).filter(|_| !days.is_empty()) {
        days.push(Row { at: *close, value: None });
    }
    days
}

#[expect(clippy::cast_precision_loss, reason = "intervals of a day")]
fn filled(sum: f64, present: i64, expected: i64) -> f64 {
    if present < expected { sum / (present as f64 / expected as f64) } else { sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(hour: i64, value: f64) -> Row {
        Row { at: hour * HOUR, value: (!value.is_nan()).then_some(value) }
    }

    #[test]
    fn rows_that_are_absent_are_missing_days() {
        let meter = [row(0, 5.0), row(24, 6.0), row(96, 7.0), row(120, 8.0)];
        let found = spans(&meter, 0, 120 * HOUR);
        assert_eq!(found.iter().map(|span| span.value).collect::<Vec<_>>(), [Some(5.0), Some(6.0), None, None, Some(7.0)]);
        assert_eq!(found.iter().map(|span| span.end() - span.start).sum::<i64>(), 120 * HOUR);
    }

    #[test]
    fn a_day_of_25_hours_has_the_degree_days_of_24() {
        let mut days = spans(&[row(0, 1.0), row(25, 1.0), row(49, 1.0)], 0, 49 * HOUR);
        let weather: Vec<Row> = (0..60).map(|hour| row(hour, if hour == 24 { 90.0 } else { 50.0 })).collect();
        warm(&mut days, &weather, |degrees| degrees);
        assert_eq!(
            days.iter().map(|day| (day.mean_f, day.present, day.hours)).collect::<Vec<_>>(),
            [(Some(50.0), 25, 25), (Some(50.0), 24, 24)]
        );
    }

    #[test]
    fn a_day_that_the_weather_reaches_by_half_has_none() {
        let mut days = spans(&[row(0, 1.0), row(24, 1.0), row(48, 1.0)], 0, 48 * HOUR);
        let weather: Vec<Row> = (12..36).map(|hour| row(hour, if hour < 34 { f64::NAN } else { 40.0 })).collect();
        warm(&mut days, &weather, |degrees| degrees);
        assert_eq!(days.iter().map(|day| (day.mean_f, day.present, day.hours)).collect::<Vec<_>>(), [(None, 0, 12), (None, 2, 12)]);
        // Hours without a value are hours of the file: the published program asks for rows and not for values.
        let weather: Vec<Row> = (0..48).map(|hour| row(hour, if hour == 3 || hour == 30 { 40.0 } else { f64::NAN })).collect();
        warm(&mut days, &weather, |degrees| degrees);
        assert_eq!(days.iter().map(|day| (day.mean_f, day.present)).collect::<Vec<_>>(), [(Some(40.0), 1), (Some(40.0), 1)]);
    }

    #[test]
    fn hours_become_days_and_half_a_day_is_none() {
        let mut rows: Vec<Row> = (0..73).map(|hour| row(hour, 2.0)).collect();
        rows.iter_mut().skip(24).take(12).for_each(|row| row.value = None);
        rows.iter_mut().skip(48).take(11).for_each(|row| row.value = None);
        let midnights = [0, DAY, 2 * DAY, 3 * DAY, 4 * DAY];
        let found = daily(&Series::new(rows).unwrap(), &midnights);
        assert_eq!(found, [row(0, 48.0), row(24, f64::NAN), row(48, 48.0), row(72, f64::NAN)]);
    }
}
