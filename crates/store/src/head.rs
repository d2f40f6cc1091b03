//! Readings that are durable in the log and not yet in a segment, and which minutes of each day are known.
//!
//! A series has a chunk for each UTC day that it was heard of. One bit for each minute says whether anything is stored
//! there: a clear bit answers "never seen" at once, for a reading of whatever age, and only a set bit asks for the value.
//! The same bits are the gaps and the completeness of the day.

mod day;

pub(crate) use day::{DAY_MS, day_of, slot_of};

use crate::row::Sample;
use crate::series::SeriesId;
use day::{Day, Packed};

/// What the bits say about a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Nothing is stored at this minute.
    Free,
    /// Something is: the values must be compared.
    Taken,
    /// Nothing is in memory; the segments of that day were not asked.
    Unknown,
}

#[derive(Debug, Default)]
struct SeriesHead {
    /// In order.
    days: Vec<Day>,
    rows: usize,
}

impl SeriesHead {
    fn find(&self, day: i32) -> Result<usize, usize> {
        match self.days.last() {
            Some(last) if last.day == day => Ok(self.days.len() - 1),
            Some(last) if last.day < day => Err(self.days.len()),
            _ => self.days.binary_search_by_key(&day, |chunk| chunk.day),
        }
    }

    fn get(&self, ts_ms: i64) -> Option<&Day> {
        self.days.get(self.find(day_of(ts_ms)).ok()?)
    }

    /// The chunk of a day, and whether it had to be made.
    fn day(&mut self, day: i32) -> Option<(&mut Day, bool)> {
        let (at, made) = match self.find(day) {
            Ok(at) => (at, false),
            Err(at) => {
                self.days.insert(at, Day::new(day));
                (at, true)
            }
        };
        self.days.get_mut(at).map(|chunk| (chunk, made))
    }
}

/// All series, by number.
#[derive(Debug, Default)]
pub(crate) struct Head {
    series: Vec<SeriesHead>,
    /// Sequence number and log entry of what was put in: each reading names its batch by the place in here.
    batches: Vec<(u64, u64)>,
    rows: usize,
    days: usize,
}

impl Head {
    /// After a flush the bits of so many days of a series stay, for what comes late.
    const DAYS_KEPT: usize = 3;
    /// Chunks without readings are dropped above this: about 60 MB.
    const DAYS_MAX: usize = 250_000;

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Puts a version in. The caller has made sure that it is new.
    pub(crate) fn put(&mut self, id: SeriesId, sample: &Sample) {
        let batch = (sample.seq, sample.lsn);
        if self.batches.last() != Some(&batch) {
            self.batches.push(batch);
        }
        let packed = Packed::new(sample, u32::try_from(self.batches.len() - 1).unwrap_or(u32::MAX));
        if self.series.len() <= id.index() {
            self.series.resize_with(id.index() + 1, SeriesHead::default);
        }
        let Some(series) = self.series.get_mut(id.index()) else { return };
        self.rows += 1;
        series.rows += 1;
        if let Some((day, made)) = series.day(day_of(sample.ts_ms)) {
            self.days += usize::from(made);
            day.put(packed);
        }
    }

    pub(crate) fn slot(&self, id: SeriesId, ts_ms: i64) -> Slot {
        match self.series.get(id.index()).and_then(|series| series.get(ts_ms)) {
            Some(day) if day.slots.has(slot_of(ts_ms)) => Slot::Taken,
            Some(day) if day.whole => Slot::Free,
            _ => Slot::Unknown,
        }
    }

    /// Takes over what the segments have of a day. From now on its clear bits say "never seen".
    pub(crate) fn learn(&mut self, id: SeriesId, day: i32, times: &[i64]) {
        if self.series.len() <= id.index() {
            self.series.resize_with(id.index() + 1, SeriesHead::default);
        }
        let Some((chunk, made)) = self.series.get_mut(id.index()).and_then(|series| series.day(day)) else { return };
        times.iter().for_each(|ts_ms| chunk.slots.set(slot_of(*ts_ms)));
        chunk.whole = true;
        self.days += usize::from(made);
    }

    /// Calls `visit` with the value and the version of each reading at this time.
    pub(crate) fn versions(&self, id: SeriesId, ts_ms: i64, visit: impl FnMut(Option<i64>, u16)) {
        if let Some(day) = self.series.get(id.index()).and_then(|series| series.get(ts_ms)) {
            day.versions(ts_ms, visit);
        }
    }

    /// Whether there is any reading of a series here.
    #[cfg(feature = "frames")]
    pub(crate) fn has_any(&self, id: SeriesId) -> bool {
        self.series.get(id.index()).is_some_and(|series| series.rows > 0)
    }

    /// Every version of a series in order of time and version.
    pub(crate) fn sorted(&self, id: SeriesId) -> Vec<Sample> {
        let Some(series) = self.series.get(id.index()) else { return Vec::new() };
        let mut all = Vec::with_capacity(series.rows);
        for day in &series.days {
            self.append(day, &mut all);
        }
        all
    }

    /// The readings of a series, day by day. None of the days is without any.
    pub(crate) fn by_day<E>(&self, id: SeriesId, mut visit: impl FnMut(i32, &[Sample]) -> Result<(), E>) -> Result<(), E> {
        let mut samples = Vec::new();
        for day in self.series.get(id.index()).map(|series| series.days.as_slice()).unwrap_or_default() {
            samples.clear();
            self.append(day, &mut samples);
            if !samples.is_empty() {
                visit(day.day, &samples)?;
            }
        }
        Ok(())
    }

    fn append(&self, day: &Day, all: &mut Vec<Sample>) {
        let from = all.len();
        let unpack = |packed: &Packed| {
            let batch = usize::try_from(packed.batch()).ok().and_then(|at| self.batches.get(at));
            packed.sample(day.day, batch.copied().unwrap_or_default())
        };
        all.extend(day.rows().map(unpack));
        if day.is_mixed()
            && let Some(added) = all.get_mut(from..)
        {
            added.sort_by_key(|sample| (sample.ts_ms, sample.version));
        }
    }

    /// The numbers of the series that have readings here.
    pub(crate) fn ids(&self) -> impl Iterator<Item = SeriesId> + '_ {
        self.series.iter().zip(0..).filter(|(series, _)| series.rows > 0).map(|(_, id)| SeriesId(id))
    }

    /// Everything is in segments now: what stays is which minutes are known.
    pub(crate) fn flushed(&mut self) {
        self.days = 0;
        for series in &mut self.series {
            let old = series.days.len().saturating_sub(Self::DAYS_KEPT);
            series.days.drain(..old);
            series.days.iter_mut().for_each(Day::flushed);
            series.rows = 0;
            self.days += series.days.len();
        }
        self.batches.clear();
        self.rows = 0;
    }

    /// Forgets the bits of days without readings when there are many: they can be learned again.
    pub(crate) fn bound_memory(&mut self) {
        if self.days <= Self::DAYS_MAX {
            return;
        }
        self.days = 0;
        for series in &mut self.series {
            series.days.retain(|day| !day.is_empty());
            self.days += series.days.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use units::Quality;

    fn sample(ts_ms: i64, version: u16, raw: i64) -> Sample {
        Sample { ts_ms, raw: Some(raw), quality: Quality::GOOD, words: None, seq: 1, version, lsn: 2 }
    }

    proptest! {
        /// Whatever the order, the bits and the readings are those of a plain map.
        #[test]
        fn is_a_sorted_map_with_bits(times in proptest::collection::vec(-200_000_000_i64..200_000_000, 1..200)) {
            let id = SeriesId(4);
            let (mut head, mut plain) = (Head::default(), BTreeMap::new());
            for ts_ms in times {
                let version = plain.range((ts_ms, 0)..=(ts_ms, u16::MAX)).count();
                let version = u16::try_from(version).unwrap();
                let minute = ts_ms.div_euclid(60_000);
                let taken = plain.keys().any(|(at, _): &(i64, u16)| at.div_euclid(60_000) == minute);
                prop_assert_eq!(head.slot(id, ts_ms) == Slot::Taken, taken);
                head.put(id, &sample(ts_ms, version, ts_ms));
                plain.insert((ts_ms, version), sample(ts_ms, version, ts_ms));
                let mut seen = 0;
                head.versions(id, ts_ms, |raw, _| { assert_eq!(raw, Some(ts_ms)); seen += 1; });
                prop_assert_eq!(seen, usize::from(version) + 1);
            }
            prop_assert_eq!(head.sorted(id), plain.into_values().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_day_that_was_learned_knows_what_it_never_saw() {
        let (id, mut head) = (SeriesId(1), Head::default());
        assert_eq!(head.slot(id, 60_000), Slot::Unknown);
        head.learn(id, 0, &[60_000]);
        assert_eq!((head.slot(id, 60_000), head.slot(id, 119_999), head.slot(id, 120_000)), (Slot::Taken, Slot::Taken, Slot::Free));
        head.put(id, &sample(120_000, 0, 1));
        head.flushed();
        assert_eq!((head.slot(id, 120_000), head.slot(id, 180_000), head.rows()), (Slot::Taken, Slot::Free, 0));
        assert_eq!(head.slot(id, DAY_MS), Slot::Unknown);
    }
}
