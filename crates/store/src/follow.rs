//! Reading everything that was ever stored, once, from wherever one stopped: what a copy of the store is made by.
//!
//! What is still in the log is given entry by entry. What is not is in segments: it is given series by series, in order
//! of time, and where that stands is part of the position too, so that a copy of years goes on after a restart.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::amend::SealedRange;
use crate::flushed::SegmentError;
use crate::readers::Following;
use crate::row::Sample;
use crate::series::{SeriesId, SeriesKey};
use crate::store::OpenError;
use crate::wal::{Next, Record, Tail, WalError};

/// How far somebody has come who follows the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Everything up to this entry of the log was given.
    pub lsn: u64,
    /// Of what comes next and is in segments: how far.
    pub sweep: Option<Sweep>,
}

/// A part of the store that is given series by series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// The last entry of the log that belongs to it.
    pub target: u64,
    pub series: SeriesId,
    /// Of that series: what is later than this comes next.
    pub after_ms: i64,
}

impl Position {
    /// As it is kept in a file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let sweep = self.sweep.map(|sweep| json!({ "target": sweep.target, "series": sweep.series.0, "after_ms": sweep.after_ms }));
        json!({ "lsn": self.lsn, "sweep": sweep })
    }

    /// Reads [`Self::to_json`]; `None` when it is something else.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let sweep = match value.get("sweep")? {
            Value::Null => None,
            sweep => Some(Sweep {
                target: sweep.get("target")?.as_u64()?,
                series: SeriesId(u32::try_from(sweep.get("series")?.as_u64()?).ok()?),
                after_ms: sweep.get("after_ms")?.as_i64()?,
            }),
        };
        Some(Self { lsn: value.get("lsn")?.as_u64()?, sweep })
    }
}

/// What comes next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Portion {
    /// Versions of one time stand in the order in which they came. May be empty although more follows.
    pub rows: Vec<(SeriesId, Sample)>,
    /// Where to go on when these are safe.
    pub next: Position,
    /// Nothing more was stored when this was read.
    pub caught_up: bool,
}

/// Why the store could not be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The position is of another store, or of a state of this one that was replaced by an older copy.
    #[error("the position is at entry {lsn} of the log, and the store ends at entry {last}: rewind what follows it")]
    Ahead { lsn: u64, last: u64 },
    #[error("the log has a reading of series {}, which nobody has named", series.0)]
    Unnamed { series: SeriesId },
    #[error("the log has an entry ({lsn}) that this version cannot read")]
    Unknown { lsn: u64 },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Wal(#[from] WalError),
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

/// Somebody who follows a store, beside the process that writes it.
///
/// Readings that a seal holds back are left out, as [`crate::Reader::scan`] leaves them out.
#[derive(Debug)]
pub struct Follower {
    dir: PathBuf,
    following: Following,
    /// Series that came after the reader was opened.
    newer: Vec<SeriesKey>,
    tail: Option<Tail>,
    /// The series that is being given: it is read once.
    swept: Option<(Sweep, Vec<Sample>)>,
}

impl Follower {
    /// Begins to follow.
    ///
    /// * Errors: there is no store, or it is damaged.
    pub fn open(dir: &Path) -> Result<Self, FollowError> {
        Ok(Self { dir: dir.to_owned(), following: Following::open(dir)?, newer: Vec::new(), tail: None, swept: None })
    }

    /// What a series is.
    #[must_use]
    pub fn key(&self, series: SeriesId) -> Option<&SeriesKey> {
        let known = self.following.reader.series_count();
        self.following.reader.key(series).or_else(|| self.newer.get(series.index().checked_sub(known + 1)?))
    }

    /// What follows a position: about `rows_max` readings, a whole entry of the log at least.
    ///
    /// * `durable`: no later entry of the log is given: [`crate::Store::last_lsn`]. One that is only written may be gone
    ///   after the machine has lost its power, and another one may take its number.
    /// * Errors: the store cannot be read; the position is not of this store.
    pub fn next(&mut self, position: &Position, rows_max: usize, durable: u64) -> Result<Portion, FollowError> {
        if position.sweep.is_none()
            && let Some(portion) = self.of_log(position, rows_max, durable)?
        {
            return Ok(portion);
        }
        match self.of_segments(position, rows_max) {
            // A merge has replaced a file since the reader was opened.
            Err(FollowError::Segment(_)) => {
                self.refresh()?;
                self.of_segments(position, rows_max)
            }
            done => done,
        }
    }

    fn refresh(&mut self) -> Result<(), FollowError> {
        self.following.refresh(&self.dir)?;
        self.newer.clear();
        self.swept = None;
        Ok(())
    }

    /// `None` when the log no longer has what follows.
    fn of_log(&mut self, position: &Position, rows_max: usize, durable: u64) -> Result<Option<Portion>, FollowError> {
        let follows = |tail: &Tail| tail.next_lsn() == position.lsn + 1;
        let mut tail = match self.tail.take().filter(follows) {
            Some(tail) => tail,
            None => match Tail::after(&self.dir.join("wal"), position.lsn)? {
                Some(tail) if follows(&tail) => tail,
                Some(tail) => return Err(FollowError::Ahead { lsn: position.lsn, last: tail.next_lsn() - 1 }),
                None => return Ok(None),
            },
        };
        let mut portion = Portion { next: *position, ..Portion::default() };
        while portion.rows.len() < rows_max {
            if tail.next_lsn() > durable {
                portion.caught_up = true;
                break;
            }
            match tail.next()? {
                Next::Frame(lsn, payload) => {
                    self.entry(lsn, payload, &mut portion.rows)?;
                    portion.next.lsn = lsn;
                }
                Next::End => {
                    portion.caught_up = true;
                    break;
                }
                Next::Trimmed if portion.next == *position => return Ok(None),
                Next::Trimmed => return Ok(Some(portion)),
            }
        }
        self.tail = Some(tail);
        Ok(Some(portion))
    }

    /// Adds what an entry of the log brings.
    fn entry(&mut self, lsn: u64, payload: &[u8], rows: &mut Vec<(SeriesId, Sample)>) -> Result<(), FollowError> {
        let (mut brought, mut sealed) = (Vec::new(), false);
        let known = Record::decode_all(payload, |record| match record {
            Record::Series { id, key } if id.index() == self.following.reader.series_count() + self.newer.len() + 1 => self.newer.push(key),
            Record::Rows(batch) => brought.extend(batch.rows),
            Record::Amended { rows } => brought.extend(rows),
            Record::Audit(_) => sealed = true,
            _ => {}
        });
        known.ok_or(FollowError::Unknown { lsn })?;
        if sealed || brought.iter().any(|(series, _)| self.key(*series).is_none()) {
            self.refresh()?;
        }
        for (series, sample) in brought {
            let sample = Sample { lsn, ..sample };
            let key = self.key(series).ok_or(FollowError::Unnamed { series })?;
            if !held_back(self.following.reader.seals(&key.tenant, &key.facility), &sample) {
                rows.push((series, sample));
            }
        }
        Ok(())
    }

    fn of_segments(&mut self, position: &Position, rows_max: usize) -> Result<Portion, FollowError> {
        let sweep = match position.sweep {
            Some(sweep) => sweep,
            None => {
                self.refresh()?;
                let target = self.following.reader.flushed_lsn();
                if target <= position.lsn {
                    let last = self.following.reader.last_lsn();
                    let ahead = position.lsn > last;
                    // A store that nobody has opened since it was brought back has no log.
                    let portion = Portion { next: *position, caught_up: true, ..Portion::default() };
                    return if ahead { Err(FollowError::Ahead { lsn: position.lsn, last }) } else { Ok(portion) };
                }
                Sweep { target, series: SeriesId(1), after_ms: i64::MIN }
            }
        };
        if self.following.reader.flushed_lsn() < sweep.target {
            self.refresh()?;
            if self.following.reader.flushed_lsn() < sweep.target {
                return Err(FollowError::Ahead { lsn: sweep.target, last: self.following.reader.flushed_lsn() });
            }
        }
        let mut portion = Portion { next: Position { sweep: Some(sweep), ..*position }, ..Portion::default() };
        let mut at = sweep;
        while portion.rows.len() < rows_max {
            if at.series.index() > self.following.reader.series_count() {
                portion.next = Position { lsn: sweep.target, sweep: None };
                return Ok(portion);
            }
            let room = rows_max - portion.rows.len();
            let samples = self.samples(position.lsn, &at)?;
            let from = samples.partition_point(|sample| sample.ts_ms <= at.after_ms);
            let taken = whole_times(samples.get(from..).unwrap_or_default(), room);
            portion.rows.extend(taken.iter().map(|sample| (at.series, *sample)));
            at = match taken.last() {
                Some(last) if from + taken.len() < samples.len() => Sweep { after_ms: last.ts_ms, ..at },
                _ => Sweep { series: SeriesId(at.series.0 + 1), after_ms: i64::MIN, ..at },
            };
            portion.next.sweep = Some(at);
        }
        Ok(portion)
    }

    /// What a sweep has of a series, in order of time and version.
    fn samples(&mut self, from_lsn: u64, at: &Sweep) -> Result<&[Sample], FollowError> {
        let same = |sweep: &Sweep| (sweep.target, sweep.series) == (at.target, at.series);
        let swept = match self.swept.take().filter(|(sweep, _)| same(sweep)) {
            Some(swept) => swept,
            None => {
                // Segments of the first versions do not say which entry a reading came with: they are before all others.
                let of_sweep = |lsn: u64| (lsn > from_lsn || from_lsn == 0) && lsn <= at.target;
                let mut samples = self.following.reader.flushed().scan_since(at.series, from_lsn)?;
                let seals = self.following.reader.seals_of(at.series);
                samples.retain(|sample| of_sweep(sample.lsn) && !held_back(seals, sample));
                samples.sort_by_key(|sample| (sample.ts_ms, sample.version));
                (*at, samples)
            }
        };
        Ok(&self.swept.insert(swept).1)
    }
}

fn held_back(seals: &[SealedRange], sample: &Sample) -> bool {
    seals.iter().any(|seal| seal.holds_back(sample))
}

/// About so many samples, and all versions of the last time.
fn whole_times(samples: &[Sample], rows_max: usize) -> &[Sample] {
    let last = samples.get(rows_max.max(1) - 1).map(|sample| sample.ts_ms);
    let to = last.map_or(samples.len(), |ts_ms| samples.partition_point(|sample| sample.ts_ms <= ts_ms));
    samples.get(..to).unwrap_or_default()
}
