//! One series on one day of UTC.

use std::collections::BTreeMap;

use units::Quality;

use crate::row::{Sample, Words};

pub(crate) const DAY_MS: i64 = 86_400_000;
const SLOT_MS: i64 = 60_000;
const SLOTS: usize = 1_440;

/// The day of UTC, counted from 1970.
pub(crate) fn day_of(ts_ms: i64) -> i32 {
    // Every time in the calendar has its day here; the commit has asked the calendar.
    i32::try_from(ts_ms.div_euclid(DAY_MS)).unwrap_or(i32::MAX)
}

/// The minute of the day.
pub(crate) fn slot_of(ts_ms: i64) -> usize {
    usize::try_from(ts_ms.rem_euclid(DAY_MS) / SLOT_MS).unwrap_or(0)
}

/// One bit for each minute of a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slots([u64; SLOTS.div_ceil(64)]);

impl Slots {
    pub(crate) fn has(&self, slot: usize) -> bool {
        self.0.get(slot / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    pub(crate) fn set(&mut self, slot: usize) {
        if let Some(word) = self.0.get_mut(slot / 64) {
            *word |= 1 << (slot % 64);
        }
    }
}

/// A reading in 32 bytes: its day and its batch are kept once for many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed {
    raw: i64,
    words: [u8; 8],
    at: u32,
    batch: u32,
    quality: u16,
    version: u16,
    words_len: u8,
    has_raw: bool,
}

impl Packed {
    pub(super) fn new(sample: &Sample, batch: u32) -> Self {
        let (words_len, words) = sample.words.map_or((0, [0; 8]), Words::parts);
        Self {
            raw: sample.raw.unwrap_or(0),
            words,
            at: at(sample.ts_ms),
            batch,
            quality: sample.quality.bits(),
            version: sample.version,
            words_len,
            has_raw: sample.raw.is_some(),
        }
    }

    pub(super) fn batch(&self) -> u32 {
        self.batch
    }

    fn raw(&self) -> Option<i64> {
        self.has_raw.then_some(self.raw)
    }

    pub(super) fn sample(&self, day: i32, (seq, lsn): (u64, u64)) -> Sample {
        Sample {
            ts_ms: i64::from(day) * DAY_MS + i64::from(self.at),
            raw: self.raw(),
            quality: Quality::from_bits(self.quality),
            words: Words::from_parts(self.words_len, self.words),
            seq,
            version: self.version,
            lsn,
        }
    }
}

/// Milliseconds since the day began.
fn at(ts_ms: i64) -> u32 {
    u32::try_from(ts_ms.rem_euclid(DAY_MS)).unwrap_or(0)
}

/// A day, and which of its minutes are known.
#[derive(Debug)]
pub(super) struct Day {
    pub(super) day: i32,
    /// Whether `slots` has what is in segments too.
    pub(super) whole: bool,
    pub(super) slots: Slots,
    pub(super) rows: DayRows,
}

impl Day {
    pub(super) fn new(day: i32) -> Self {
        Self { day, whole: false, slots: Slots::default(), rows: DayRows::default() }
    }

    pub(super) fn put(&mut self, packed: Packed) {
        self.slots.set(usize::try_from(i64::from(packed.at) / SLOT_MS).unwrap_or(0));
        self.rows.put(packed);
    }
}

/// A run in order of time, which almost every reading extends, and whatever came late.
#[derive(Debug, Default)]
pub(super) struct DayRows {
    run: Vec<Packed>,
    late: BTreeMap<(u32, u16), Packed>,
}

impl DayRows {
    fn put(&mut self, packed: Packed) {
        if self.run.last().is_none_or(|last| last.at < packed.at) {
            self.run.push(packed);
        } else {
            self.late.insert((packed.at, packed.version), packed);
        }
    }

    pub(super) fn versions(&self, ts_ms: i64, mut visit: impl FnMut(Option<i64>, u16)) {
        let at = at(ts_ms);
        if let Ok(index) = self.run.binary_search_by_key(&at, |packed| packed.at)
            && let Some(packed) = self.run.get(index)
        {
            visit(packed.raw(), packed.version);
        }
        for packed in self.late.range((at, 0)..=(at, u16::MAX)).map(|(_, packed)| packed) {
            visit(packed.raw(), packed.version);
        }
    }

    /// First the run, then what came late.
    fn rows(&self) -> impl Iterator<Item = &Packed> {
        self.run.iter().chain(self.late.values())
    }

    /// Forgets the readings of the batches before one, which is the first from now on.
    pub(super) fn forget_before(&mut self, batch: u32) {
        let stays = |packed: &mut Packed| match packed.batch.checked_sub(batch) {
            Some(later) => {
                packed.batch = later;
                true
            }
            None => false,
        };
        self.run.retain_mut(stays);
        self.late.retain(|_, packed| stays(packed));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.run.is_empty() && self.late.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.run.len() + self.late.len()
    }

    /// Adds them to `all`, in order of time and version. `batches` has what each of them names its batch by.
    pub(super) fn append(&self, day: i32, batches: &[(u64, u64)], all: &mut Vec<Sample>) {
        let from = all.len();
        let unpack = |packed: &Packed| {
            let batch = usize::try_from(packed.batch()).ok().and_then(|at| batches.get(at));
            packed.sample(day, batch.copied().unwrap_or_default())
        };
        all.extend(self.rows().map(unpack));
        if !self.late.is_empty()
            && let Some(added) = all.get_mut(from..)
        {
            added.sort_by_key(|sample| (sample.ts_ms, sample.version));
        }
    }
}
