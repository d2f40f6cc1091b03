//! What stands in the place of missing readings. Each way has an id that the audit log names for ever.
//!
//! **Energy is conserved.** What a counter says has passed over a gap is shared out among the moments of the gap, in
//! whole steps of the counter: whatever the way, the parts add up to the difference of the two readings around it, and a
//! counter never goes back. Where the counter itself does not say what passed (a reset, another meter), nothing is
//! estimated.
//!
//! | id | of what | how |
//! |---|---|---|
//! | `linear/1` | counters, sampled values; intervals without a counter | evenly between the readings around the gap |
//! | `like-day-scaled/1` | counters; intervals with a counter beside them | as on like days, scaled to what the counter says has passed |
//! | `like-day/1` | intervals without a counter | as on like days |
//!
//! Like days are the same weekday of the four weeks before; where these have no reading, the six days before.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;
use store::Sample;

use super::counter::{self, Break, BreakKind, Nameplate};
use super::grid::Grid;

/// A way to estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Method {
    Linear,
    LikeDayScaled,
    LikeDay,
}

impl Method {
    /// A changed way gets another number: what was estimated stays what it was.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Linear => "linear/1",
            Self::LikeDayScaled => "like-day-scaled/1",
            Self::LikeDay => "like-day/1",
        }
    }
}

/// What a series holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A running total.
    Counter,
    /// The energy of each interval, from its time on.
    Interval,
    /// A value at a moment: power, voltage, a temperature.
    Sampled,
}

/// How far estimation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Up to here a straight line is good enough; sampled values are not estimated beyond.
    pub(crate) linear_ms: i64,
    /// Longer gaps are left to people.
    pub(crate) longest_ms: i64,
}

/// A gap and what fills it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fill {
    pub(crate) method: Method,
    /// Half-open, UTC milliseconds.
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    /// Time and value, in order.
    pub(crate) rows: Vec<(i64, i64)>,
    /// What the counter says has passed, in steps of the series.
    pub(crate) passed: Option<i64>,
}

/// Why a gap stays one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Left {
    /// There is no reading before it, or none behind it.
    Open,
    /// Longer than is estimated.
    Long,
    /// The counter does not say what passed.
    Break,
    /// There are no like days.
    NoLikeDay,
}

/// What can be estimated of a series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) fills: Vec<Fill>,
    pub(crate) left: Vec<(Range<i64>, Left)>,
}

/// A series as it stands, with enough around the range for the readings beside its gaps and for like days.
#[derive(Clone, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) kind: Kind,
    pub(crate) grid: Grid,
    /// The newest version of each time, in order.
    pub(crate) samples: &'a [Sample],
    pub(crate) nameplate: &'a Nameplate,
    pub(crate) zone: &'a TimeZone,
    pub(crate) reach: Reach,
}

/// The counter beside a series of intervals.
#[derive(Clone, Debug)]
pub(crate) struct Beside<'a> {
    pub(crate) samples: &'a [Sample],
    pub(crate) grid: Grid,
    pub(crate) nameplate: &'a Nameplate,
    /// One step of the counter is ten to this power of steps of the series.
    pub(crate) shift: i32,
}

impl Subject<'_> {
    /// Plans every gap that begins in the range.
    pub(crate) fn plan(&self, range: &Range<i64>, beside: Option<&Beside<'_>>) -> Plan {
        let known = Known::of(self);
        let mut plan = Plan::default();
        for hole in known.holes(self.grid, range) {
            let span = self.grid.at(hole.start)..self.grid.at(hole.end);
            if span.end - span.start > self.reach.longest_ms {
                plan.left.push((span, Left::Long));
                continue;
            }
            let filled = match self.kind {
                Kind::Counter => self.fill_counter(&known, &hole),
                Kind::Interval => self.fill_intervals(&known, &hole, beside),
                Kind::Sampled => self.fill_sampled(&known, &hole),
            };
            match filled {
                Ok((method, values, passed)) => {
                    let rows = hole.clone().map(|slot| known.time(self.grid, slot)).zip(values).collect();
                    plan.fills.push(Fill { method, from_ms: span.start, to_ms: span.end, rows, passed });
                }
                Err(left) => plan.left.push((span, left)),
            }
        }
        plan
    }

    fn fill_counter(&self, known: &Known, hole: &Range<i64>) -> Result<Filled, Left> {
        let (before, after) = known.around(hole).ok_or(Left::Open)?;
        let broken = known.breaks.iter().find(|broken| broken.before.0 == before.0 && broken.after.0 == after.0);
        let (passed, modulus) = match broken {
            Some(Break { kind: BreakKind::Rollover, passed: Some(passed), modulus, .. }) => (*passed, *modulus),
            Some(_) => return Err(Left::Break),
            None => (after.1.checked_sub(before.1).filter(|passed| *passed >= 0).ok_or(Left::Break)?, None),
        };
        // One step more than moments: the last leads to the reading behind the gap.
        let steps = hole.start..hole.end + 1;
        let rise = |slot: i64| known.rise(slot);
        let (method, weights) = self.weights(hole, &steps, rise);
        let mut counter = before.1;
        let mut values: Vec<i64> = Vec::with_capacity(weights.len());
        for part in allot(passed, &weights) {
            counter += part;
            values.push(modulus.map_or(counter, |modulus| counter.rem_euclid(modulus)));
        }
        values.pop();
        Ok((method, values, Some(passed)))
    }

    fn fill_intervals(&self, known: &Known, hole: &Range<i64>, beside: Option<&Beside<'_>>) -> Result<Filled, Left> {
        let passed = beside.and_then(|beside| beside.passed(&(self.grid.at(hole.start)..self.grid.at(hole.end))));
        let usage = |slot: i64| known.measured.get(&slot).map(|(_, raw)| *raw);
        if let Some(passed) = passed {
            let (method, weights) = self.weights(hole, hole, usage);
            return Ok((method, allot(passed, &weights), Some(passed)));
        }
        let like: Option<Vec<i64>> =
            hole.clone().map(|slot| self.like(slot, usage)).map(|like| like.map(|sixty| (sixty + 30) / 60)).collect();
        match like {
            Some(values) => Ok((Method::LikeDay, values, None)),
            None if self.is_short(hole) => self.line(known, hole),
            None => Err(Left::NoLikeDay),
        }
    }

    fn fill_sampled(&self, known: &Known, hole: &Range<i64>) -> Result<Filled, Left> {
        if self.is_short(hole) { self.line(known, hole) } else { Err(Left::Long) }
    }

    /// Evenly from the value before to the value behind, half away from zero.
    fn line(&self, known: &Known, hole: &Range<i64>) -> Result<Filled, Left> {
        let (before, after) = known.around(hole).ok_or(Left::Open)?;
        let steps = i128::from(hole.end + 1 - hole.start);
        let (from, rise) = (i128::from(before.1), i128::from(after.1) - i128::from(before.1));
        let at = |step: i128| {
            let doubled = 2 * rise * step + rise.signum() * steps;
            i64::try_from(from + doubled / (2 * steps)).unwrap_or(before.1)
        };
        let values = (1..steps).map(at).collect();
        Ok((Method::Linear, values, None))
    }

    fn is_short(&self, hole: &Range<i64>) -> bool {
        (hole.end - hole.start) * self.grid.interval_ms() <= self.reach.linear_ms
    }

    /// What each of `steps` weighs: as on like days, or evenly where the gap is short or they do not say.
    fn weights(&self, hole: &Range<i64>, steps: &Range<i64>, of: impl Fn(i64) -> Option<i64>) -> (Method, Vec<i64>) {
        if !self.is_short(hole) {
            let like: Option<Vec<i64>> = steps.clone().map(|slot| self.like(slot, &of)).collect();
            if let Some(like) = like.filter(|like| like.iter().any(|weight| *weight > 0)) {
                return (Method::LikeDayScaled, like);
            }
        }
        (Method::Linear, steps.clone().map(|_| 1).collect())
    }

    /// Sixty times the mean of the like days.
    fn like(&self, slot: i64, of: impl Fn(i64) -> Option<i64>) -> Option<i64> {
        let days_before = |days: i64| of(self.days_before(slot, days)?).filter(|value| *value >= 0);
        let mean = |days: &[i64]| {
            let found: Vec<i64> = days.iter().filter_map(|days| days_before(*days)).collect();
            let count = i64::try_from(found.len()).ok().filter(|count| *count > 0)?;
            found.iter().try_fold(0_i64, |sum, value| sum.checked_add(*value))?.checked_mul(60 / count)
        };
        mean(&[7, 14, 21, 28]).or_else(|| mean(&[1, 2, 3, 4, 5, 6]))
    }

    /// The moment with the same time on the clock, some local days before.
    fn days_before(&self, slot: i64, days: i64) -> Option<i64> {
        let local = self.zone.to_datetime(Timestamp::from_millisecond(self.grid.at(slot)).ok()?);
        let earlier = self.zone.to_timestamp(local.checked_sub(days.days()).ok()?).ok()?;
        Some(self.grid.slot(earlier.as_millisecond()))
    }
}

type Filled = (Method, Vec<i64>, Option<i64>);
/// Time and value.
type Reading = (i64, i64);

/// What of a series may be built on.
#[derive(Debug, Default)]
struct Known {
    usable: BTreeMap<i64, Reading>,
    /// Of these: what a meter said.
    measured: BTreeMap<i64, Reading>,
    /// The time of a row that says nothing.
    empty: BTreeMap<i64, i64>,
    breaks: Vec<Break>,
}

impl Known {
    fn of(subject: &Subject<'_>) -> Self {
        let mut known = Self::default();
        let mut misread = BTreeSet::new();
        if subject.kind == Kind::Counter {
            let found = counter::examine(subject.samples, subject.nameplate);
            (known.breaks, misread) = (found.breaks, found.misread.into_iter().collect());
        }
        for (place, sample) in subject.samples.iter().enumerate() {
            let slot = subject.grid.slot(sample.ts_ms);
            match sample.raw.filter(|_| sample.quality.is_usable() && !misread.contains(&place)) {
                Some(raw) => {
                    known.usable.insert(slot, (sample.ts_ms, raw));
                    if sample.quality.is_measured() {
                        known.measured.insert(slot, (sample.ts_ms, raw));
                    }
                }
                None => {
                    known.empty.insert(slot, sample.ts_ms);
                }
            }
        }
        known
    }

    /// Runs of moments without a usable reading that begin in the range; each whole, wherever it ends.
    fn holes(&self, grid: Grid, range: &Range<i64>) -> Vec<Range<i64>> {
        let slots = grid.slots(range);
        let mut holes = Vec::new();
        let last = self.usable.keys().next_back().copied().unwrap_or(i64::MIN).max(slots.end - 1);
        let mut next = slots.start;
        while next < slots.end {
            if self.usable.contains_key(&next) {
                next += 1;
                continue;
            }
            let end = self.usable.range(next..).next().map_or(last + 1, |(slot, _)| *slot);
            // One that began before the range is another question's.
            if next > slots.start || self.usable.contains_key(&(next - 1)) || self.usable.range(..next).next().is_none() {
                holes.push(next..end);
            }
            next = end;
        }
        holes
    }

    fn around(&self, hole: &Range<i64>) -> Option<(Reading, Reading)> {
        Some((*self.usable.get(&(hole.start - 1))?, *self.usable.get(&hole.end)?))
    }

    fn time(&self, grid: Grid, slot: i64) -> i64 {
        self.empty.get(&slot).copied().unwrap_or_else(|| grid.at(slot))
    }

    /// What a meter says has passed in the step to this moment.
    fn rise(&self, slot: i64) -> Option<i64> {
        self.measured.get(&slot)?.1.checked_sub(self.measured.get(&(slot - 1))?.1)
    }
}

impl Beside<'_> {
    /// What passed in a range, in steps of the series beside it.
    fn passed(&self, range: &Range<i64>) -> Option<i64> {
        let (first, last) = (self.grid.slot(range.start), self.grid.slot(range.end));
        let from = self.samples.partition_point(|sample| self.grid.slot(sample.ts_ms) < first);
        let to = self.samples.partition_point(|sample| self.grid.slot(sample.ts_ms) <= last);
        let samples = self.samples.get(from..to)?;
        let stands = |sample: &&Sample| sample.raw.is_some() && sample.quality.is_usable();
        let is_at = |sample: &Sample, ts_ms: i64| (sample.ts_ms - ts_ms).abs() * 2 <= self.grid.interval_ms();
        let ends = (samples.iter().find(stands)?, samples.iter().rev().find(stands)?);
        if !is_at(ends.0, range.start) || !is_at(ends.1, range.end) {
            return None;
        }
        let steps = i128::from(counter::passed(samples, self.nameplate)?);
        let ten = 10_i128.checked_pow(self.shift.unsigned_abs())?;
        let converted = if self.shift >= 0 { steps.checked_mul(ten)? } else { (steps + ten / 2) / ten };
        i64::try_from(converted).ok()
    }
}

/// Shares a whole number out by weight: the parts add up to it, and each has the sign of the whole or is zero.
fn allot(whole: i64, weights: &[i64]) -> Vec<i64> {
    let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    let mut parts = Vec::with_capacity(weights.len());
    let (mut weighed, mut shared) = (0_i128, 0_i128);
    for weight in weights {
        weighed += i128::from(*weight);
        let upto = if sum > 0 { i128::from(whole) * weighed / sum } else { 0 };
        parts.push(i64::try_from(upto - shared).unwrap_or(0));
        shared = upto;
    }
    parts
}

#[cfg(test)]
mod tests;
