//! Readings that are durable in the log and not yet in a segment, and which minutes of each day are known.
//!
//! A series has a chunk for each UTC day that it was heard of. One bit for each minute says whether anything is stored
//! there: a clear bit answers "never seen" at once, for a reading of whatever age, and only a set bit asks for the value.
//! The same bits are the gaps and the completeness of the day.

mod day;
mod frozen;
mod gather;

pub(crate) use day::{DAY_MS, day_of, slot_of};
pub(crate) use frozen::FrozenRows;

use std::sync::Arc;

use crate::row::Sample;
use crate::series::SeriesId;
use day::{Day, Packed};
use gather::Gathered;

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
    /// What a flush is moving to segments, or tries to.
    frozen: Option<Arc<FrozenRows>>,
    /// What a replay has brought and is not in its place yet.
    gathered: Gathered,
}

impl Head {
    /// After a flush the bits of so many days of a series stay, for what comes late.
    const DAYS_KEPT: usize = 3;
    /// Chunks without readings are dropped above this: about 60 MB.
    const DAYS_MAX: usize = 250_000;

    /// Readings that are in no segment.
    pub(crate) fn rows(&self) -> usize {
        self.rows + self.frozen.as_ref().map_or(0, |frozen| frozen.rows())
    }

    /// Puts a version in. The caller has made sure that it is new.
    pub(crate) fn put(&mut self, id: SeriesId, sample: &Sample) {
        let packed = self.pack(sample);
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

    /// As [`Self::put`], of many that come one after another: none of them is found before [`Self::put_gathered`].
    pub(crate) fn gather(&mut self, id: SeriesId, sample: &Sample) {
        let packed = self.pack(sample);
        self.rows += 1;
        if self.gathered.add(id, day_of(sample.ts_ms), packed) {
            self.put_gathered();
        }
    }

    /// Puts in what was gathered.
    pub(crate) fn put_gathered(&mut self) {
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.by_day(|id, day, readings| {
            if self.series.len() <= id.index() {
                self.series.resize_with(id.index() + 1, SeriesHead::default);
            }
            let Some(series) = self.series.get_mut(id.index()) else { return };
            let Some((chunk, made)) = series.day(day) else { return };
            let mut count = 0;
            for packed in readings {
                chunk.put(packed);
                count += 1;
            }
            series.rows += count;
            self.days += usize::from(made);
        });
        self.gathered = gathered;
    }

    /// The replay is over, and so is the need for its room.
    pub(crate) fn gathered_all(&mut self) {
        self.put_gathered();
        self.gathered = Gathered::default();
    }

    fn pack(&mut self, sample: &Sample) -> Packed {
        let batch = (sample.seq, sample.lsn);
        if self.batches.last() != Some(&batch) {
            self.batches.push(batch);
        }
        Packed::new(sample, u32::try_from(self.batches.len() - 1).unwrap_or(u32::MAX))
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
    pub(crate) fn versions(&self, id: SeriesId, ts_ms: i64, mut visit: impl FnMut(Option<i64>, u16)) {
        if let Some(day) = self.series.get(id.index()).and_then(|series| series.get(ts_ms)) {
            day.rows.versions(ts_ms, &mut visit);
        }
        if let Some(frozen) = &self.frozen {
            frozen.versions(id, ts_ms, visit);
        }
    }

    /// Whether there is any reading of a series here.
    #[cfg(feature = "frames")]
    pub(crate) fn has_any(&self, id: SeriesId) -> bool {
        self.series.get(id.index()).is_some_and(|series| series.rows > 0)
    }

    /// Every version of a series in order of time and version. A reader, who asks, has nothing frozen.
    pub(crate) fn sorted(&self, id: SeriesId) -> Vec<Sample> {
        let Some(series) = self.series.get(id.index()) else { return Vec::new() };
        let mut all = Vec::with_capacity(series.rows);
        for day in &series.days {
            day.rows.append(day.day, &self.batches, &mut all);
        }
        all
    }

    /// As [`Self::sorted`], of the one who writes: what is frozen too, and in no order.
    pub(crate) fn unflushed(&self, id: SeriesId) -> Vec<Sample> {
        let mut all = self.sorted(id);
        if let Some(frozen) = &self.frozen {
            frozen.append(id, &mut all);
        }
        all
    }

    /// The numbers of the series that have readings here.
    #[cfg(feature = "frames")]
    pub(crate) fn ids(&self) -> impl Iterator<Item = SeriesId> + '_ {
        self.series.iter().zip(0..).filter(|(series, _)| series.rows > 0).map(|(_, id)| SeriesId(id))
    }

    /// Of a reader: forgets the readings that came up to an entry of the log, because they are in segments now.
    pub(crate) fn forget_through(&mut self, lsn: u64) {
        self.put_gathered();
        let gone = self.batches.partition_point(|(_, of)| *of <= lsn);
        let Ok(first) = u32::try_from(gone) else { return };
        self.batches.drain(..gone);
        (self.rows, self.days) = (0, 0);
        for series in &mut self.series {
            series.days.iter_mut().for_each(|day| day.rows.forget_before(first));
            series.days.retain(|day| !day.rows.is_empty());
            series.rows = series.days.iter().map(|day| day.rows.len()).sum();
            self.rows += series.rows;
            self.days += series.days.len();
        }
    }

    /// Takes every reading aside, for a flush. They are found as before, and what comes now is apart from them.
    pub(crate) fn freeze(&mut self) -> Arc<FrozenRows> {
        self.put_gathered();
        let mut frozen = FrozenRows::new(std::mem::take(&mut self.batches));
        for (series, id) in self.series.iter_mut().zip(0..).filter(|(series, _)| series.rows > 0) {
            for day in series.days.iter_mut().filter(|day| !day.rows.is_empty()) {
                frozen.push(SeriesId(id), day.day, std::mem::take(&mut day.rows));
            }
            series.rows = 0;
        }
        self.rows = 0;
        let frozen = Arc::new(frozen);
        self.frozen = Some(frozen.clone());
        frozen
    }

    /// What was taken aside is in segments now: what stays is which minutes are known.
    pub(crate) fn flushed(&mut self) {
        self.frozen = None;
        self.days = 0;
        for series in &mut self.series {
            let mut old = series.days.len().saturating_sub(Self::DAYS_KEPT);
            series.days.retain(|day| {
                let keep = old == 0 || !day.rows.is_empty();
                old = old.saturating_sub(1);
                keep
            });
            self.days += series.days.len();
        }
    }

    /// Forgets the bits of days without readings when there are many: they can be learned again.
    pub(crate) fn bound_memory(&mut self) {
        // A bit that is forgotten is learned from segments, and what is frozen is in none yet.
        if self.days <= Self::DAYS_MAX || self.frozen.is_some() {
            return;
        }
        self.days = 0;
        for series in &mut self.series {
            series.days.retain(|day| !day.rows.is_empty());
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
        head.freeze();
        head.flushed();
        assert_eq!((head.slot(id, 120_000), head.slot(id, 180_000), head.rows()), (Slot::Taken, Slot::Free, 0));
        assert_eq!(head.slot(id, DAY_MS), Slot::Unknown);
    }

    proptest! {
        /// However many come at once, and wherever a freeze falls, gathering is putting.
        #[test]
        fn what_is_gathered_is_what_is_put(offers in proptest::collection::vec((1_u32..9, 0_i64..300, 0_u16..3), 0..400), frozen_at in 0_usize..500) {
            let (mut one, mut other) = (Head::default(), Head::default());
            for (index, (id, hour, version)) in offers.iter().enumerate() {
                if index == frozen_at {
                    prop_assert_eq!(one.freeze().rows(), other.freeze().rows());
                }
                let sample = sample(hour * 3_600_000, *version, hour + i64::from(*version));
                one.put(SeriesId(*id), &sample);
                other.gather(SeriesId(*id), &sample);
                prop_assert_eq!(one.rows(), other.rows());
            }
            other.gathered_all();
            for id in (1..9).map(SeriesId) {
                prop_assert_eq!(one.sorted(id), other.sorted(id));
                prop_assert_eq!((0..300).map(|hour| one.slot(id, hour * 3_600_000)).collect::<Vec<_>>(), (0..300).map(|hour| other.slot(id, hour * 3_600_000)).collect::<Vec<_>>());
            }
            prop_assert_eq!(one.days, other.days);
        }
    }

    #[test]
    fn what_is_frozen_is_found_and_stands_apart_from_what_comes() {
        let (id, mut head) = (SeriesId(1), Head::default());
        let day = |day: i64| day * DAY_MS;
        for at in 0..6 {
            head.put(id, &sample(day(at), 0, at));
        }
        let frozen = head.freeze();
        head.put(id, &sample(day(1), 1, 9));
        head.put(id, &sample(day(7), 0, 7));
        let versions = |head: &Head, ts_ms: i64| {
            let mut found = Vec::new();
            head.versions(id, ts_ms, |raw, version| found.push((raw.unwrap(), version)));
            found
        };
        assert_eq!((versions(&head, day(1)), versions(&head, day(2)), head.rows()), (vec![(9, 1), (1, 0)], vec![(2, 0)], 8));
        assert_eq!(head.slot(id, day(2)), Slot::Taken);
        let mut moved = Vec::new();
        let all = frozen.by_day(|id, _, samples| {
            moved.extend(samples.iter().map(|sample| (id.0, sample.ts_ms / DAY_MS, sample.lsn)));
            Ok::<_, ()>(())
        });
        all.unwrap();
        assert_eq!(moved, (0..6).map(|at| (1, at, 2)).collect::<Vec<_>>());
        head.flushed();
        // The day of the late one stays, and the newest three.
        assert_eq!((versions(&head, day(1)), head.rows()), (vec![(9, 1)], 2));
        assert_eq!((head.slot(id, day(1)), head.slot(id, day(2)), head.slot(id, day(5))), (Slot::Taken, Slot::Unknown, Slot::Taken));
    }
}
