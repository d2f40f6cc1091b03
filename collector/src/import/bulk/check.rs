//! From what files say to readings, rule by rule. A row that breaks one is a fault with its place; it stops nothing.

use jiff::{SignedDuration, Timestamp};
use units::{Quality, Reason};

use super::fault::{Fault, Faults, Rule};
use super::mapping::{Empty, Kind, Mapping, Marks};
use crate::import::series::{Bulk, EXPONENT, Reading, Series};
use crate::import::table::{Misplaced, When};
use crate::write::Decimal;

/// Readings of one import: ten years of minutes.
pub(crate) const READINGS_MAX: usize = 5_300_000;
const AHEAD_MAX: SignedDuration = SignedDuration::from_mins(10);
/// 1980-01-01.
const EARLIEST_MS: i64 = 315_532_800_000;

/// A rule that is broken, and how.
pub(crate) type Broken = (Rule, String);

/// One reading, as a file has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) row: u64,
    /// Its place among the points of the mapping.
    pub(crate) point: usize,
    pub(crate) when: Result<When, Broken>,
    /// In the unit of the point, its factor applied already.
    pub(crate) value: Result<Option<Decimal>, Broken>,
    pub(crate) quality: Quality,
}

/// More readings than one import may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// Takes what files say, one after another.
#[derive(Debug)]
pub(crate) struct Checker<'a> {
    mapping: &'a Mapping,
    now: Timestamp,
    files: Vec<String>,
    points: Vec<Taken>,
    readings: usize,
    /// Readings that were there twice, with the same value.
    pub(crate) repeated: u64,
    /// Cells that the mapping says to skip.
    pub(crate) skipped: u64,
    pub(crate) faults: Faults,
}

#[derive(Clone, Debug, Default)]
struct Taken {
    readings: Vec<(Reading, Place)>,
    before: Option<Timestamp>,
}

/// Where a reading was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: u16,
    pub(crate) row: u32,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(mapping: &'a Mapping, now: Timestamp) -> Self {
        let points = vec![Taken::default(); mapping.points.len()];
        Self { mapping, now, files: Vec::new(), points, readings: 0, repeated: 0, skipped: 0, faults: Faults::default() }
    }

    /// What follows is of this file.
    pub(crate) fn file(&mut self, name: &str) {
        self.files.push(name.to_owned());
        // The order of rows says nothing across files.
        self.points.iter_mut().for_each(|point| point.before = None);
    }

    pub(crate) fn take(&mut self, found: Found) -> Result<(), TooMany> {
        let (row, point) = (found.row, found.point);
        let of_value = found.value.as_ref().err().cloned();
        match self.checked(found) {
            Ok(Some(reading)) => {
                if self.readings >= READINGS_MAX {
                    return Err(TooMany);
                }
                self.readings += 1;
                let file = u16::try_from(self.files.len().saturating_sub(1)).unwrap_or(u16::MAX);
                let place = Place { file, row: u32::try_from(row).unwrap_or(u32::MAX) };
                if let Some(taken) = self.points.get_mut(point) {
                    taken.readings.push((reading, place));
                }
            }
            Ok(None) => self.skipped += 1,
            Err(broken) => {
                let name = self.files.last().cloned().unwrap_or_default();
                // Where the time is at fault and the value too, both are told.
                if let Some(other) = of_value.filter(|other| *other != broken) {
                    self.fault(name.clone(), row, point, other);
                }
                self.fault(name, row, point, broken);
            }
        }
        Ok(())
    }

    fn fault(&mut self, file: String, row: u64, point: usize, (rule, reason): Broken) {
        let point = self.mapping.points.get(point).map(|rule| format!("{}/{}", rule.device, rule.point)).unwrap_or_default();
        self.faults.add(Fault { file, row, point, rule, reason });
    }

    fn checked(&mut self, found: Found) -> Result<Option<Reading>, Broken> {
        let Some(rule) = self.mapping.points.get(found.point) else { return Ok(None) };
        let before = self.points.get(found.point).and_then(|taken| taken.before);
        let at = found.when?.place(self.mapping.zone.as_ref(), before).map_err(|err| (rule_of(err), err.to_string()))?;
        if let Some(taken) = self.points.get_mut(found.point) {
            taken.before = Some(at);
        }
        let mut ts_ms = at.as_millisecond();
        if let Some(interval_ms) = self.mapping.time.interval_ms {
            if ts_ms.rem_euclid(interval_ms) != 0 && !self.on_local_grid(at, interval_ms) {
                return Err((Rule::TimeGrid, format!("has the time {at}, which is not one of every {} s", interval_ms / 1_000)));
            }
            if self.mapping.time.marks == Marks::End {
                ts_ms = ts_ms.saturating_sub(interval_ms);
            }
        }
        if at.duration_since(self.now) > AHEAD_MAX {
            return Err((Rule::TimeFuture, format!("has the time {at}, which is in the future")));
        }
        if ts_ms < EARLIEST_MS {
            return Err((Rule::TimeEarly, format!("has the time {at}, before any meter kept one")));
        }
        let Some(value) = found.value? else {
            let quality = Quality::bad(Reason::NoValue);
            return match self.mapping.empty {
                Empty::Reading => Ok(Some(Reading { ts_ms, raw: None, quality })),
                Empty::Skip => Ok(None),
                Empty::Fault => Err((Rule::ValueMissing, "has no value".to_owned())),
            };
        };
        let raw =
            value.scaled(EXPONENT).map_err(|_| (Rule::ValueTooLarge, "has a value that is larger than a reading can be".to_owned()))?;
        if rule.least.is_some_and(|least| raw < least) || rule.most.is_some_and(|most| raw > most) {
            let said = units::Measured { raw, exponent: EXPONENT, unit: rule.unit }.decimal_text();
            return Err((Rule::ValueRange, format!("has {said} {}, which is {}", rule.unit, allowed(rule.least, rule.most))));
        }
        Ok(Some(Reading { ts_ms, raw: Some(raw), quality: found.quality }))
    }

    /// Days and longer intervals begin with the day of the zone.
    fn on_local_grid(&self, at: Timestamp, interval_ms: i64) -> bool {
        let Some(zone) = &self.mapping.zone else { return false };
        let local = zone.to_datetime(at);
        let since_midnight = local.duration_since(local.date().to_datetime(jiff::civil::Time::midnight()));
        let since_midnight = i64::try_from(since_midnight.as_millis()).unwrap_or(i64::MAX);
        if interval_ms >= 86_400_000 { since_midnight == 0 } else { since_midnight % interval_ms == 0 }
    }

    /// The readings in order of time, each with its place, and everything that is wrong.
    pub(crate) fn finish(mut self) -> Checked {
        let mapping = self.mapping;
        let (mut series, mut places) = (Vec::new(), Vec::new());
        for (index, rule) in mapping.points.iter().enumerate() {
            let mut taken = self.points.get_mut(index).map(|point| std::mem::take(&mut point.readings)).unwrap_or_default();
            taken.sort_by_key(|(reading, place)| (reading.ts_ms, *place));
            let mut kept: Vec<(Reading, Place)> = Vec::with_capacity(taken.len());
            // The last one that was seen, taken or not: after an exchange of the meter one row is at fault, and not all.
            let mut seen: Option<(Reading, Place)> = None;
            for (reading, place) in taken {
                let before = seen.replace((reading, place));
                let broken = match kept.last() {
                    Some((last, _)) if last.ts_ms == reading.ts_ms && last.raw == reading.raw => {
                        self.repeated += 1;
                        continue;
                    }
                    Some((last, first)) if last.ts_ms == reading.ts_ms => {
                        let file = self.files.get(usize::from(first.file)).filter(|_| first.file != place.file);
                        let of = file.map(|file| format!(" of {file}")).unwrap_or_default();
                        Some((Rule::TimeRepeated, format!("has the time of row {}{of}, and another value", first.row)))
                    }
                    _ => before.filter(|(last, _)| rule.kind == Kind::Counter && goes_back(last, &reading)).map(|(_, first)| {
                        (Rule::CounterBack, format!("has less than row {} before it: a counter does not go back", first.row))
                    }),
                };
                match broken {
                    None => kept.push((reading, place)),
                    Some(broken) => {
                        let file = self.files.get(usize::from(place.file)).cloned().unwrap_or_default();
                        self.fault(file, u64::from(place.row), index, broken);
                    }
                }
            }
            if !kept.is_empty() {
                let (device, point, unit) = (rule.device.clone(), rule.point.clone(), rule.unit);
                let (readings, of_series): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
                series.push(Series { device, point, unit, readings });
                places.push(of_series);
            }
        }
        let bulk = Bulk { tenant: mapping.tenant.clone(), facility: mapping.facility.clone(), series };
        Checked { bulk, places, files: self.files, repeated: self.repeated, skipped: self.skipped, faults: self.faults }
    }
}

/// What the files of an import say.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) bulk: Bulk,
    /// Of each reading of each series.
    pub(crate) places: Vec<Vec<Place>>,
    pub(crate) files: Vec<String>,
    pub(crate) repeated: u64,
    pub(crate) skipped: u64,
    pub(crate) faults: Faults,
}

fn goes_back(last: &Reading, next: &Reading) -> bool {
    last.raw.zip(next.raw).is_some_and(|(last, next)| next < last)
}

const fn rule_of(err: Misplaced) -> Rule {
    match err {
        Misplaced::NoZone => Rule::TimeZone,
        Misplaced::Skipped(_) => Rule::TimeSkipped,
        Misplaced::Twice(_) => Rule::TimeTwice,
        Misplaced::Outside(_) => Rule::TimeFormat,
    }
}

fn allowed(least: Option<i64>, most: Option<i64>) -> String {
    let said = |raw| units::Measured { raw, exponent: EXPONENT, unit: units::Unit::Ratio }.decimal_text();
    match (least, most) {
        (Some(least), Some(most)) => format!("not from {} to {}", said(least), said(most)),
        (Some(least), None) => format!("less than {}", said(least)),
        (None, Some(most)) => format!("more than {}", said(most)),
        (None, None) => String::new(),
    }
}
