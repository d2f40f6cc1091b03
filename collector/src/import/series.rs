//! Readings of files on their way into the store, whatever the files were.

use ids::Slug;
use sha2::{Digest, Sha256};
use store::{Batch, CommitError, Origin, Row, Store};
use units::{Quality, Unit};

/// Values are kept with six decimals.
pub(crate) const EXPONENT: i8 = -6;
/// The gateway in whose name imported readings are stored.
pub(crate) const GATEWAY: &str = "import";
pub(crate) const BATCH_ROWS: usize = 4_096;
/// Batches of an import have numbers below it, behind the import's own digits: so each reading in the store says which
/// import brought it, as each reading of a gateway says which frame did.
const NUMBER_BITS: u32 = 20;
/// Together less than 2^53: such numbers are read by programs that have no other integers.
const DIGITS_BITS: u32 = 32;

/// A reading of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) ts_ms: i64,
    /// Millionths of the unit.
    pub(crate) raw: Option<i64>,
    pub(crate) quality: Quality,
}

/// The readings of one point, in order of time, each time once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    pub(crate) device: Slug,
    pub(crate) point: String,
    pub(crate) unit: Unit,
    pub(crate) readings: Vec<Reading>,
}

/// Everything of one import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bulk {
    pub(crate) tenant: Slug,
    pub(crate) facility: Slug,
    pub(crate) series: Vec<Series>,
}

/// What an import is known by: SHA-256 over everything that is stored of it. The bytes of the files would not do, because
/// another zone, another column or a later clock makes other readings of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentId(pub(crate) [u8; 32]);

impl ContentId {
    /// The half by which the store knows it.
    pub(crate) fn spool(self) -> [u8; 16] {
        self.0.first_chunk().copied().unwrap_or_default()
    }

    /// As people write it: the digits of [`Self::spool`].
    pub(crate) fn text(self) -> String {
        wire::command::to_hex(&self.spool())
    }
}

/// The numbers that the batches of an import have.
pub(crate) fn numbers(spool: &[u8; 16]) -> std::ops::Range<u64> {
    let digits = u64::from_be_bytes(spool.first_chunk().copied().unwrap_or_default()) >> (64 - DIGITS_BITS);
    // Never zero: that is the number of an amendment.
    let first = (digits.max(1)) << NUMBER_BITS;
    first..first + (1 << NUMBER_BITS)
}

/// What became of the batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) accepted: u64,
    pub(crate) duplicate: u64,
    pub(crate) conflict: u64,
}

impl Bulk {
    pub(crate) fn content_id(&self) -> ContentId {
        let mut hash = Sha256::new();
        for series in &self.series {
            let names = [self.tenant.as_str(), self.facility.as_str(), series.device.as_str(), &series.point, series.unit.symbol()];
            for text in names {
                hash.update(text.as_bytes());
                hash.update([0]);
            }
            for reading in &series.readings {
                hash.update(reading.ts_ms.to_be_bytes());
                hash.update(reading.quality.bits().to_be_bytes());
                match reading.raw {
                    Some(raw) => hash.update(raw.to_be_bytes()),
                    None => hash.update([0]),
                }
            }
        }
        ContentId(hash.finalize().into())
    }

    /// How many readings there are.
    pub(crate) fn len(&self) -> usize {
        self.series.iter().map(|series| series.readings.len()).sum()
    }

    /// From the first reading to behind the last one.
    pub(crate) fn range(&self) -> Option<(i64, i64)> {
        let times = || self.series.iter().flat_map(|series| series.readings.iter().map(|reading| reading.ts_ms));
        Some((times().min()?, times().max()?.saturating_add(1)))
    }

    /// Commits the readings that `wanted` names, by series and place. The batches are cut without regard to it, so that
    /// an import that was cut short goes on where it stopped.
    pub(crate) fn commit(&self, store: &Store, wanted: impl Fn(usize, usize) -> bool) -> Result<Taken, CommitError> {
        let (tenant, facility, spool_id) = (self.tenant.clone(), self.facility.clone(), self.content_id().spool());
        let Ok(gateway) = Slug::parse(GATEWAY) else { return Ok(Taken::default()) };
        let origin = Origin { tenant, facility, gateway };
        let (mut taken, mut numbers) = (Taken::default(), numbers(&spool_id));
        for (index, series) in self.series.iter().enumerate() {
            for (chunk, readings) in series.readings.chunks(BATCH_ROWS).enumerate() {
                // Files are far too short for a million batches: five million readings make 1,300.
                let Some(seq) = numbers.next() else { break };
                let first = chunk * BATCH_ROWS;
                let wanted = |place: &usize| wanted(index, first + place);
                let rows: Vec<Row> =
                    (0..readings.len()).filter(wanted).filter_map(|place| readings.get(place)).map(|one| series.row(one)).collect();
                if rows.is_empty() {
                    continue;
                }
                let batch = Batch { origin: origin.clone(), spool_id, seq, rows, profiles: Vec::new(), letter: None };
                for committed in store.commit(&[batch])? {
                    taken.accepted += committed.accepted;
                    taken.duplicate += committed.duplicate;
                    taken.conflict += committed.conflict;
                }
            }
        }
        Ok(taken)
    }
}

impl Series {
    pub(crate) fn row(&self, reading: &Reading) -> Row {
        let Reading { ts_ms, raw, quality } = *reading;
        let (device, point, unit) = (self.device.clone(), self.point.as_str().into(), self.unit);
        Row { device, point, unit, exponent: EXPONENT, ts_ms, raw, quality, words: None }
    }
}
