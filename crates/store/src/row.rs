//! What is committed, and what comes back.

use std::sync::Arc;

use ids::Slug;
use units::{Quality, Unit};

/// The gateway a batch came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    pub tenant: Slug,
    pub facility: Slug,
    pub gateway: Slug,
}

/// One to eight bytes of registers, big-endian words as the device sent them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Words {
    len: u8,
    bytes: [u8; 8],
}

impl Words {
    /// None when there are no bytes, or more than eight.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let len = u8::try_from(bytes.len()).ok().filter(|len| (1..=8).contains(len))?;
        let mut padded = [0; 8];
        padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { len, bytes: padded })
    }

    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// How many there are, and all eight with zeros behind.
    pub(crate) const fn parts(self) -> (u8, [u8; 8]) {
        (self.len, self.bytes)
    }

    pub(crate) const fn from_parts(len: u8, bytes: [u8; 8]) -> Option<Self> {
        if len == 0 { None } else { Some(Self { len, bytes }) }
    }
}

/// A reading on its way in.
///
/// * Units: value = `raw` × 10^`exponent` `unit`; `ts_ms` is UTC milliseconds.
/// * Absence: `raw` is `None` and the quality says why; an absent row is a different thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub device: Slug,
    /// Shared by readings of one series, where whoever makes them can: there are many more readings than names.
    pub point: Arc<str>,
    pub unit: Unit,
    pub exponent: i8,
    pub ts_ms: i64,
    pub raw: Option<i64>,
    pub quality: Quality,
    pub words: Option<Words>,
}

/// The profile by which a device was decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileSeen {
    pub device: Slug,
    pub profile: String,
    pub profile_hash: Vec<u8>,
    pub config_hash: Vec<u8>,
}

/// What one message brings: the readings of a gateway at a tick, or one chunk of an import.
///
/// `seq` counts from 1 within `spool_id`. The pair is known for ever: a batch that comes again is a duplicate as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub origin: Origin,
    pub spool_id: [u8; 16],
    pub seq: u64,
    pub rows: Vec<Row>,
    /// Profiles in effect from the first row of the batch on. May be empty.
    pub profiles: Vec<ProfileSeen>,
    /// The message, when its content could not be understood: then there are no rows. Its number is known all the same,
    /// so that the gateway is not left waiting, and a repeat is a duplicate and no second letter.
    pub letter: Option<DeadLetter>,
}

/// What became of a batch: `rows = accepted + duplicate`, a letter that came again counting as a duplicate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Rows that are now stored and were not before.
    pub accepted: u64,
    /// Rows whose very value was stored before.
    pub duplicate: u64,
    /// Of the accepted: rows that contradict a stored one. Both are kept, the later as the newer version.
    pub conflict: u64,
}

/// A message that could not be understood, kept as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub topic: String,
    /// A stable word: `schema`, `topic`, `clock_window` ...
    pub reason: String,
    pub payload: Vec<u8>,
    /// Points it would have brought; 1 when that cannot be known.
    pub points: u64,
    pub received_ms: i64,
}

/// One version of one reading, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    pub ts_ms: i64,
    pub raw: Option<i64>,
    pub quality: Quality,
    pub words: Option<Words>,
    /// The sequence number of the batch it came in.
    pub seq: u64,
    /// 0 for the first value of its time; each contradicting one is 1 more.
    pub version: u16,
    /// The entry of the log by which it was durable. In a segment: the last entry of the flush that wrote it, so that a
    /// question "as of" that entry or a later one has the same answer for ever.
    pub lsn: u64,
}

/// A profile, and since when it is in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfilePeriod {
    pub from_ms: i64,
    pub profile: String,
    pub profile_hash: Vec<u8>,
    pub config_hash: Vec<u8>,
}

/// The conservation law: `received = accepted + duplicate + dead_letter`, in points, since the store was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub accepted: u64,
    pub duplicate: u64,
    /// Of the accepted.
    pub conflict: u64,
    pub dead_letter: u64,
    pub batches: u64,
    /// Of the batches: those that had come before.
    pub repeated_batches: u64,
}

impl Counters {
    /// Points that were offered and are accounted for.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.accepted + self.duplicate + self.dead_letter
    }
}
