//! From the counters of meters to the use of local days.
//!
//! **The rule.** A meter's counter at a local midnight is its last usable reading at or before that midnight, at most
//! [`BOUNDARY_SLACK_MS`] old, rounded to whole watt-hours. A day's energy is the counter at the midnight that ends it minus
//! the counter at the midnight that begins it. The same reading closes one day and opens the next, so days sum exactly
//! to the display: a late reading moves energy between neighbouring days and loses none. Where a midnight has no such
//! reading both days beside it are missing. Where the counter went back within a day that day is missing; nothing is
//! bridged or guessed: a value that was estimated, edited or taken from elsewhere stands for no midnight, because no
//! registers say so; what passed meanwhile is in the counter all the same, and in no day. A facility's day is the sum of
//! its meters, and missing where one of them is.

use std::ops::Range;

use calculator::baseline::EnergyDay;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use units::{Counter, Energy, FacilityCalendar};

use crate::error::DeriveError;
use crate::inputs::{CounterRow, Meter};

/// How old a reading may be to stand for a midnight: one hour.
pub const BOUNDARY_SLACK_MS: i64 = 3_600_000;

/// A reading that stands for a midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterReading {
    /// When it was read, UTC milliseconds.
    pub ts_ms: i64,
    /// The counter, whole watt-hours.
    pub counter_wh: i64,
}

/// One local day of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterDay {
    /// The day.
    pub date: Date,
    /// The reading that opens it.
    pub opened: Option<CounterReading>,
    /// The reading that closes it, which opens the next.
    pub closed: Option<CounterReading>,
    /// When the counter went back, where it did.
    pub break_ms: Option<i64>,
    /// The energy, where all of this gives one.
    pub energy_wh: Option<i64>,
}

/// The days of a meter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterDays {
    /// The device.
    pub device: ids::Slug,
    /// The point.
    pub point: String,
    /// One entry per day of the period, in order.
    pub days: Vec<MeterDay>,
}

/// The counter's days over a period, missing ones included.
///
/// * Errors: rows out of order, a unit that is no energy, a counter beyond 64 bits of watt-hours, dates beyond the calendar.
pub fn meter_days(meter: &Meter, calendar: &FacilityCalendar, period: Range<Date>) -> Result<MeterDays, DeriveError> {
    in_order(meter)?;
    let mut days = Vec::new();
    let mut opened = boundary(meter, calendar, period.start)?;
    for date in FacilityCalendar::days(period) {
        let next = date.checked_add(1.day()).map_err(|err| beyond(calendar, err))?;
        let closed = boundary(meter, calendar, next)?;
        let (mut break_ms, mut energy_wh) = (None, None);
        if let (Some(from), Some(to)) = (opened, closed) {
            break_ms = went_back(&meter.rows, from.ts_ms, to.ts_ms);
            if break_ms.is_none() {
                let passed = Counter::showing(Energy::wh(to.counter_wh)).since(Counter::showing(Energy::wh(from.counter_wh)));
                energy_wh = passed.ok().map(Energy::as_wh);
            }
        }
        days.push(MeterDay { date, opened, closed, break_ms, energy_wh });
        opened = closed;
    }
    Ok(MeterDays { device: meter.device.clone(), point: meter.point.clone(), days })
}

/// The facility's days: the sum of its meters, missing where one of them is.
///
/// * Shape: every meter with the same days.
pub fn energy_days(meters: &[MeterDays], calendar: &FacilityCalendar) -> Result<Vec<EnergyDay>, DeriveError> {
    let Some(first) = meters.first() else { return Err(DeriveError::NoMeters("the billed period")) };
    let mut days = Vec::with_capacity(first.days.len());
    for (index, day) in first.days.iter().enumerate() {
        let seconds = calendar.seconds(day.date).map_err(|err| beyond(calendar, err))?;
        let minutes = u16::try_from(seconds / 60).unwrap_or(u16::MAX);
        let mut sum = Some(Energy::ZERO);
        let mut present = 0;
        for meter in meters {
            let energy = meter.days.get(index).and_then(|day| day.energy_wh);
            present += u32::from(energy.is_some());
            let counted = || DeriveError::Counter { device: meter.device.clone(), point: meter.point.clone() };
            sum = match (sum, energy) {
                (Some(sum), Some(wh)) => Some(sum.checked_add(Energy::wh(wh)).map_err(|_overflow| counted())?),
                _ => None,
            };
        }
        #[expect(clippy::cast_precision_loss, reason = "a day's watt-hours are far below 2^53")]
        let wh = sum.map(|sum| sum.as_wh() as f64);
        let expected = u32::try_from(meters.len()).unwrap_or(u32::MAX);
        days.push(EnergyDay { date: day.date, minutes, wh, present, expected });
    }
    Ok(days)
}

/// How much each hour of a day used, for spreading a day's avoided energy over a tariff's hours.
///
/// An hour's weight is the rise of each counter between the last readings before its two ends, within the day; hours
/// without a reading weigh nothing.
pub(crate) fn hour_weights(meters: &[Meter], starts: &[Timestamp], end: Timestamp) -> Result<Vec<i64>, DeriveError> {
    let mut weights = vec![0_i64; starts.len()];
    for meter in meters {
        let mut before = starts.first().map(|start| start.as_millisecond()).and_then(|start| last_usable(&meter.rows, start));
        for (index, weight) in weights.iter_mut().enumerate() {
            let until = starts.get(index + 1).copied().unwrap_or(end).as_millisecond();
            let now = last_usable(&meter.rows, until);
            if let (Some((_, earlier)), Some((_, later))) = (before, now) {
                let rise = counter_wh(meter, later)?.saturating_sub(counter_wh(meter, earlier)?);
                *weight = weight.saturating_add(rise.max(0));
            }
            before = now;
        }
    }
    Ok(weights)
}

fn in_order(meter: &Meter) -> Result<(), DeriveError> {
    match meter.rows.windows(2).find(|pair| matches!(pair, [a, b] if b.ts_ms <= a.ts_ms)) {
        Some([_, late]) => Err(DeriveError::Order { device: meter.device.clone(), point: meter.point.clone(), ts_ms: late.ts_ms }),
        _ => Ok(()),
    }
}

fn boundary(meter: &Meter, calendar: &FacilityCalendar, day: Date) -> Result<Option<CounterReading>, DeriveError> {
    let midnight = calendar.start_of(day).map_err(|err| beyond(calendar, err))?.as_millisecond();
    match last_usable(&meter.rows, midnight) {
        Some((ts_ms, raw)) if midnight - ts_ms <= BOUNDARY_SLACK_MS => {
            Ok(Some(CounterReading { ts_ms, counter_wh: counter_wh(meter, raw)? }))
        }
        _ => Ok(None),
    }
}

/// The last usable reading at or before an instant.
fn last_usable(rows: &[CounterRow], at_ms: i64) -> Option<(i64, i64)> {
    let (before, _) = rows.split_at(rows.partition_point(|row| row.ts_ms <= at_ms));
    before.iter().rev().find_map(|row| usable(row).map(|raw| (row.ts_ms, raw)))
}

fn usable(row: &CounterRow) -> Option<i64> {
    row.raw.filter(|_| row.quality.is_usable() && row.quality.is_measured())
}

/// When the counter first went back between two readings.
fn went_back(rows: &[CounterRow], from_ms: i64, to_ms: i64) -> Option<i64> {
    let (_, rows) = rows.split_at(rows.partition_point(|row| row.ts_ms < from_ms));
    let (rows, _) = rows.split_at(rows.partition_point(|row| row.ts_ms <= to_ms));
    let mut highest = i64::MIN;
    for row in rows {
        let Some(raw) = usable(row) else { continue };
        if raw < highest {
            return Some(row.ts_ms);
        }
        highest = raw;
    }
    None
}

/// The counter in whole watt-hours, half away from zero.
fn counter_wh(meter: &Meter, raw: i64) -> Result<i64, DeriveError> {
    let unit = meter.unit.watt_hour_exponent().ok_or_else(|| DeriveError::Unit {
        device: meter.device.clone(),
        point: meter.point.clone(),
        found: meter.unit,
        wanted: "electrical energy",
    })?;
    let beyond = || DeriveError::Counter { device: meter.device.clone(), point: meter.point.clone() };
    let power = i32::from(meter.exponent) + i32::from(unit);
    let factor = 10_i128.checked_pow(power.unsigned_abs()).ok_or_else(beyond)?;
    let raw = i128::from(raw);
    let wh = if power >= 0 { raw.checked_mul(factor).ok_or_else(beyond)? } else { (raw.abs() + factor / 2) / factor * raw.signum() };
    i64::try_from(wh).map_err(|_too_large| beyond())
}

pub(crate) fn beyond(calendar: &FacilityCalendar, err: jiff::Error) -> DeriveError {
    DeriveError::Zone { zone: calendar.zone().iana_name().unwrap_or("unknown").to_owned(), err }
}

#[cfg(test)]
#[path = "days_tests.rs"]
mod tests;
