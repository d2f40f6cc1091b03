//! The bills of a load profile under a rate.

use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::charge::LineKind;
use super::profile::{BillPeriod, Profile};
use super::proration::Segment;
use super::rate::Rate;
use super::schedule::cell;
use super::{demand, lines};

/// One bill.
///
/// * Law: `total` is the sum of the lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// Its days.
    pub period: BillPeriod,
    /// The code of its currency.
    pub currency: String,
    /// Energy taken, Wh.
    pub energy_wh: i64,
    /// Energy given, Wh.
    pub export_wh: i64,
    /// The highest average power of all hours, W.
    pub peak_w: i64,
    /// Its lines.
    pub lines: Vec<BillLine>,
    /// What is to be paid; a decimal string on the wire.
    pub total: Decimal,
    /// The measured demand of each charge, for the ratchets of later bills.
    pub demands: Vec<PastDemand>,
    /// What a reader must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillLine {
    /// What it is for.
    pub kind: LineKind,
    /// The charge.
    pub name: String,
    /// The period of the charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
    /// The tier, from 1, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<u16>,
    /// The first day of the rate's version.
    pub version: Date,
    /// How much of it.
    pub quantity: Quantity,
    /// The price of one of it; a percentage where the quantity is an amount.
    pub price: Decimal,
    /// For how many months, where it is not one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub months: Option<Decimal>,
    /// The amount.
    pub amount: Decimal,
}

/// How much is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Energy.
    Kwh(Decimal),
    /// Power.
    Kw(Decimal),
    /// Apparent power.
    Kva(Decimal),
    /// Months.
    Months(Decimal),
    /// Days.
    Days(u16),
    /// An amount of which a part is charged, or up to which is charged.
    Amount(Decimal),
}

/// What a reader of a bill must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum Note {
    /// Intervals are longer than the window of the demand meter, so true demand may be higher.
    CoarseIntervals {
        /// Their length.
        interval_minutes: u8,
        /// The window.
        window_minutes: u8,
    },
    /// A ratchet looks further back than bills are known.
    ShortHistory {
        /// The charge.
        charge: String,
        /// Bills it found.
        known: usize,
        /// Bills it looks for.
        wanted: u8,
    },
    /// Energy was given for which nothing is paid.
    ExportUnpaid {
        /// How much, Wh.
        wh: i64,
    },
}

/// The measured demand of an earlier bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastDemand {
    /// The demand charge.
    pub charge: String,
    /// The day after the bill's last.
    pub end: Date,
    /// The demand, W.
    pub watts: i64,
}

/// What is known beside the profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Demands of earlier bills.
    #[serde(default)]
    pub history: Vec<PastDemand>,
    /// The moments of the grid's own peaks.
    #[serde(default)]
    pub grid_peaks: Vec<Timestamp>,
}

/// A profile that cannot be billed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BillError {
    /// A bill without days.
    #[error("the bill from {first} to {end} has no days, or more than 400")]
    Days {
        /// Its first day.
        first: Date,
        /// The day after its last.
        end: Date,
    },
    /// The profile begins after the bill or ends before it.
    #[error("the profile does not cover the bill from {first} to {end}: give the intervals of all its days")]
    NotCovered {
        /// Its first day.
        first: Date,
        /// The day after its last.
        end: Date,
    },
    /// Midnight lies inside an interval.
    #[error("midnight of {day} lies inside an interval of the profile: give intervals that end with the facility's days")]
    Midnight {
        /// The day.
        day: Date,
    },
    /// The rate has no prices yet.
    #[error("rate {rate:?} has no version on {day}")]
    NoVersion {
        /// The rate.
        rate: String,
        /// The day.
        day: Date,
    },
    /// Intervals do not fit into the window of the demand meter.
    #[error("intervals of {interval_minutes} minutes do not fit into demand windows of {window_minutes} minutes")]
    DemandWindow {
        /// Their length.
        interval_minutes: u8,
        /// The window.
        window_minutes: u8,
    },
    /// A coincident charge without the moment of the grid's peak.
    #[error("{charge:?} charges the demand at the grid's peak, and no peak is given for the bill from {first} to {end}")]
    NoGridPeak {
        /// The charge.
        charge: String,
        /// The bill's first day.
        first: Date,
        /// The day after its last.
        end: Date,
    },
    /// A rider has no price yet.
    #[error("rider {rider:?} has no price on {day}")]
    NoRiderPrice {
        /// The rider.
        rider: String,
        /// The day.
        day: Date,
    },
    /// Two profiles of other intervals.
    #[error("the profile has other intervals than the bills were laid out for: {expected} from {start} on")]
    OtherIntervals {
        /// How many are expected.
        expected: usize,
        /// From when on.
        start: Timestamp,
    },
    /// An amount beyond what a decimal holds.
    #[error("an amount of {name:?} is beyond what a decimal holds")]
    Amount {
        /// The charge.
        name: String,
    },
    /// A day that no calendar has.
    #[error("the day {day} is beyond the calendar")]
    Calendar {
        /// The day.
        day: Date,
    },
}

/// The days of bills laid over the intervals of a profile: made once, and good for every profile of the same intervals.
#[derive(Clone, Debug)]
pub struct Biller<'a> {
    pub(super) rate: &'a Rate,
    start: Timestamp,
    pub(super) interval_minutes: u8,
    intervals: usize,
    bills: Vec<Laid>,
}

/// One bill laid over the intervals.
#[derive(Clone, Debug)]
pub(super) struct Laid {
    pub(super) period: BillPeriod,
    /// Its intervals in the profile.
    pub(super) slots: Range<usize>,
    pub(super) start: Timestamp,
    /// The minute of the hour of each of its intervals.
    pub(super) minute: Vec<u8>,
    /// The day of each of its intervals, counted from its first.
    pub(super) day: Vec<u16>,
    pub(super) pieces: Vec<Piece>,
}

/// The days of a bill under one version of the rate.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) version: usize,
    pub(super) days: Range<u16>,
    /// Its intervals, counted from the bill's first.
    pub(super) slots: Range<usize>,
    /// The hour of the year of every interval of the bill, by this version's holidays.
    pub(super) cells: Vec<u16>,
    pub(super) segments: Vec<Segment>,
}

/// Longest bill that is laid out.
const DAYS_MAX: u16 = 400;

impl<'a> Biller<'a> {
    /// Lays bills over the intervals of `like`.
    ///
    /// * Errors: a bill without days, days that the profile or the rate does not cover, intervals that do not fit.
    pub fn new(rate: &'a Rate, like: &Profile, zone: &TimeZone, periods: &[BillPeriod]) -> Result<Self, BillError> {
        let mut bills = Vec::with_capacity(periods.len());
        for period in periods {
            bills.push(lay(rate, like, zone, *period)?);
        }
        Ok(Self { rate, start: like.start(), interval_minutes: like.interval_minutes(), intervals: like.wh().len(), bills })
    }

    /// The bills of a profile, in the order they were laid out; the demands of each count for the ratchets of the next.
    ///
    /// * Errors: other intervals than were laid out, a grid peak or a rider's price that is not known, amounts beyond measure.
    pub fn bills(&self, profile: &Profile, account: &Account) -> Result<Vec<Bill>, BillError> {
        let same =
            profile.start() == self.start && profile.interval_minutes() == self.interval_minutes && profile.wh().len() == self.intervals;
        if !same {
            return Err(BillError::OtherIntervals { expected: self.intervals, start: self.start });
        }
        let mut history = account.history.clone();
        let mut bills = Vec::with_capacity(self.bills.len());
        for laid in &self.bills {
            let bill = lines::bill(self, laid, &profile.wh()[laid.slots.clone()], &history, &account.grid_peaks)?;
            history.extend(bill.demands.iter().cloned());
            bills.push(bill);
        }
        Ok(bills)
    }
}

fn lay(rate: &Rate, like: &Profile, zone: &TimeZone, period: BillPeriod) -> Result<Laid, BillError> {
    let days = period.days();
    if days == 0 || days > DAYS_MAX {
        return Err(BillError::Days { first: period.first, end: period.end });
    }
    let step = i64::from(like.interval_minutes()) * 60_000;
    let index = |day: Date| {
        let midnight = day.to_zoned(zone.clone()).map_err(|_beyond| BillError::Calendar { day })?.timestamp();
        let passed = midnight.as_millisecond() - like.start().as_millisecond();
        if passed.rem_euclid(step) != 0 {
            return Err(BillError::Midnight { day });
        }
        let not_covered = BillError::NotCovered { first: period.first, end: period.end };
        let index = usize::try_from(passed / step).map_err(|_before| not_covered.clone())?;
        if index > like.wh().len() { Err(not_covered) } else { Ok((index, midnight)) }
    };
    let ((from, start), (to, _)) = (index(period.first)?, index(period.end)?);

    let mut civil = Vec::with_capacity(to - from);
    let (mut minute, mut day) = (Vec::with_capacity(to - from), Vec::with_capacity(to - from));
    let (mut date, mut number) = (period.first, 0_u16);
    let mut at_ms = start.as_millisecond();
    for _ in from..to {
        let at = Timestamp::from_millisecond(at_ms).map_err(|_beyond| BillError::Calendar { day: date })?;
        let local = zone.to_datetime(at);
        while date < local.date() {
            date = date.tomorrow().map_err(|_beyond| BillError::Calendar { day: date })?;
            number += 1;
        }
        minute.push(local.minute().unsigned_abs());
        day.push(number);
        civil.push(local);
        at_ms += step;
    }

    let mut pieces: Vec<Piece> = Vec::new();
    let (mut first, mut offset) = (period.first, 0_u16);
    while first < period.end {
        let version = rate.version_on(first).ok_or_else(|| BillError::NoVersion { rate: rate.name().to_owned(), day: first })?;
        let next_version = rate.terms().versions.get(version + 1).map_or(period.end, |next| next.from);
        let month_end = first.last_of_month().tomorrow().map_err(|_beyond| BillError::Calendar { day: first })?;
        let end = period.end.min(next_version).min(month_end);
        let length = BillPeriod { first, end }.days();
        let segment = Segment::new(period, first, length, offset, rate.terms().proration);
        match pieces.last_mut() {
            Some(piece) if piece.version == version => {
                piece.segments.push(segment);
                piece.days.end += length;
            }
            _ => {
                let terms = &rate.terms().versions[version];
                let cells = civil.iter().map(|at| cell(*at, &terms.holidays, terms.holidays_as)).collect();
                pieces.push(Piece { version, days: offset..offset + length, slots: 0..0, cells, segments: vec![segment] });
                let window_minutes = terms.demand_meter.window_minutes;
                if demand::intervals(terms.demand_meter, like.interval_minutes()).is_none() {
                    return Err(BillError::DemandWindow { interval_minutes: like.interval_minutes(), window_minutes });
                }
            }
        }
        offset += length;
        first = end;
    }
    for piece in &mut pieces {
        let begin = day.partition_point(|day| *day < piece.days.start);
        piece.slots = begin..day.partition_point(|day| *day < piece.days.end);
    }
    Ok(Laid { period, slots: from..to, start, minute, day, pieces })
}

#[cfg(test)]
#[path = "bill_tests.rs"]
mod tests;
