//! What a frame says.
//!
//! A frame carries outcomes, not requests: which rows were new, with their versions, and how many were not. So a
//! replay, and a reader beside the writer, need neither a decoder of messages nor the de-duplication.
//!
//! ```text
//! payload = record+            v = LEB128 varint, z = zigzag varint, s = length v · bytes
//! 0 probe
//! 1 series    id v · tenant s · facility s · device s · point s · unit code v · exponent z
//! 2 origin    id v · tenant s · facility s · gateway s
//! 3 rows      origin v · spool 16 · seq v · duplicates v · conflicts v · count v · row*
//!             row = series z (difference to the row before) · ts z (difference) · flags u8
//!                   [raw z] [quality v] [version v] [words]
//!             flags = 1 raw · 2 quality is not good · 4 version is not 0 · bits 4..8 number of word bytes
//! 4 repeat    rows v                                a batch that had come before
//! 5 letter    topic s · reason s · payload s · points v · received z
//! 6 profile   tenant s · facility s · device s · from z · profile s · profile hash s · config hash s
//! 7 audit     number v · action v · at z · actor s · reason s · document s · approval s · tenant s · facility s
//!             from z · to z · rows v · digest 32 · sealed lsn v · hash of the entry before 32
//! 8 amended   count v · row*                        of the entry before it in the same frame
//! ```

use ids::Slug;
use sha2::{Digest as _, Sha256};
use units::{Quality, Unit};

use super::frame::HEADER_BYTES;
use crate::audit::{Account, Action, AuditEntry};
use crate::row::{DeadLetter, Origin, ProfilePeriod, Sample, Words};
use crate::series::{SeriesId, SeriesKey};
use crate::varint::{Input, put_varint, zigzag};

const PROBE: u8 = 0;
const SERIES: u8 = 1;
const ORIGIN: u8 = 2;
const ROWS: u8 = 3;
const REPEAT: u8 = 4;
const LETTER: u8 = 5;
const PROFILE: u8 = 6;
const AUDIT: u8 = 7;
const AMENDED: u8 = 8;

const HAS_RAW: u8 = 1;
const HAS_QUALITY: u8 = 2;
const HAS_VERSION: u8 = 4;

/// A batch, its new rows apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowsHead {
    pub(crate) origin: u32,
    pub(crate) spool_id: [u8; 16],
    pub(crate) seq: u64,
    pub(crate) duplicate: u64,
    pub(crate) conflict: u64,
}

/// A batch and its new rows. The log entry of a sample is that of its frame, and not written again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowsRecord {
    pub(crate) head: RowsHead,
    pub(crate) rows: Vec<(SeriesId, Sample)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Probe,
    Series { id: SeriesId, key: SeriesKey },
    Origin { id: u32, origin: Origin },
    Rows(RowsRecord),
    Repeat { rows: u64 },
    Letter(DeadLetter),
    Profile { tenant: Slug, facility: Slug, device: Slug, period: ProfilePeriod },
    Audit(AuditEntry),
    Amended { rows: Vec<(SeriesId, Sample)> },
}

/// Builds a payload behind the room for its header.
#[derive(Debug)]
pub(crate) struct RecordWriter {
    buffer: Vec<u8>,
    /// Rows of the batch at hand: what is said before them is known only after them.
    rows: Vec<u8>,
    count: u64,
    before: (u32, i64),
}

impl RecordWriter {
    /// Bytes that a row can take at most.
    pub(crate) const ROW_BYTES_MAX: usize = 10 + 10 + 1 + 10 + 3 + 3 + 8;
    /// Bytes that a batch can take at most, its rows apart: a new origin included.
    pub(crate) const BATCH_BYTES_MAX: usize = 16 + 6 * 10 + 3 * 64 + 16;

    /// Takes used buffers back.
    pub(crate) fn reuse((mut buffer, rows): (Vec<u8>, Vec<u8>)) -> Self {
        buffer.clear();
        buffer.resize(HEADER_BYTES, 0);
        Self { buffer, rows, count: 0, before: (0, 0) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.len() == HEADER_BYTES
    }

    /// The frame, and the buffer that is no longer needed.
    pub(crate) fn into_buffers(self) -> (Vec<u8>, Vec<u8>) {
        (self.buffer, self.rows)
    }

    pub(crate) fn probe(&mut self) {
        self.buffer.push(PROBE);
    }

    pub(crate) fn series(&mut self, id: SeriesId, key: &SeriesKey) {
        self.buffer.push(SERIES);
        self.varint(u64::from(id.0));
        for text in [key.tenant.as_str(), key.facility.as_str(), key.device.as_str(), &key.point] {
            self.bytes(text.as_bytes());
        }
        self.varint(u64::from(key.unit.code()));
        self.zigzag(i64::from(key.exponent));
    }

    pub(crate) fn origin(&mut self, id: u32, origin: &Origin) {
        self.buffer.push(ORIGIN);
        self.varint(u64::from(id));
        for slug in [&origin.tenant, &origin.facility, &origin.gateway] {
            self.bytes(slug.as_str().as_bytes());
        }
    }

    /// A row of the batch that [`Self::rows`] will end.
    pub(crate) fn row(&mut self, id: SeriesId, sample: &Sample) {
        let words = sample.words.as_ref().map(Words::as_slice).unwrap_or_default();
        let mut flags = u8::try_from(words.len()).unwrap_or(0) << 4;
        flags |= if sample.raw.is_some() { HAS_RAW } else { 0 };
        flags |= if sample.quality == Quality::GOOD { 0 } else { HAS_QUALITY };
        flags |= if sample.version == 0 { 0 } else { HAS_VERSION };
        // On the stack first: one row is one copy.
        let mut row = RowBytes { bytes: [0; RecordWriter::ROW_BYTES_MAX], len: 0 };
        row.varint(zigzag(i64::from(id.0) - i64::from(self.before.0)));
        row.varint(zigzag(sample.ts_ms.wrapping_sub(self.before.1)));
        row.push(flags);
        if let Some(raw) = sample.raw {
            row.varint(zigzag(raw));
        }
        if flags & HAS_QUALITY != 0 {
            row.varint(u64::from(sample.quality.bits()));
        }
        if flags & HAS_VERSION != 0 {
            row.varint(u64::from(sample.version));
        }
        self.rows.extend_from_slice(row.as_slice());
        self.rows.extend_from_slice(words);
        self.count += 1;
        self.before = (id.0, sample.ts_ms);
    }

    /// Ends a batch.
    pub(crate) fn rows(&mut self, head: &RowsHead) {
        self.buffer.push(ROWS);
        self.varint(u64::from(head.origin));
        self.buffer.extend(head.spool_id);
        self.varint(head.seq);
        self.varint(head.duplicate);
        self.varint(head.conflict);
        self.varint(self.count);
        self.buffer.append(&mut self.rows);
        (self.count, self.before) = (0, (0, 0));
    }

    /// SHA-256 over the rows that wait for their end.
    pub(crate) fn rows_digest(&self) -> [u8; 32] {
        Sha256::digest(&self.rows).into()
    }

    /// Ends the rows of an amendment.
    pub(crate) fn amended(&mut self) {
        self.buffer.push(AMENDED);
        self.varint(self.count);
        self.buffer.append(&mut self.rows);
        (self.count, self.before) = (0, (0, 0));
    }

    pub(crate) fn audit(&mut self, entry: &AuditEntry) {
        let Account { actor, reason, document, approval, at_ms } = &entry.account;
        self.buffer.push(AUDIT);
        self.varint(entry.number);
        self.varint(entry.action.code());
        self.zigzag(*at_ms);
        for text in [actor.as_str(), reason, document, approval, entry.tenant.as_str(), entry.facility.as_str()] {
            self.bytes(text.as_bytes());
        }
        self.zigzag(entry.from_ms);
        self.zigzag(entry.to_ms);
        self.varint(entry.rows);
        self.buffer.extend(entry.digest);
        self.varint(entry.sealed_lsn);
        self.buffer.extend(entry.before);
    }

    pub(crate) fn repeat(&mut self, rows: u64) {
        self.buffer.push(REPEAT);
        self.varint(rows);
    }

    pub(crate) fn letter(&mut self, letter: &DeadLetter) {
        self.buffer.push(LETTER);
        self.bytes(letter.topic.as_bytes());
        self.bytes(letter.reason.as_bytes());
        self.bytes(&letter.payload);
        self.varint(letter.points);
        self.zigzag(letter.received_ms);
    }

    pub(crate) fn profile(&mut self, tenant: &Slug, facility: &Slug, device: &Slug, period: &ProfilePeriod) {
        self.buffer.push(PROFILE);
        for slug in [tenant, facility, device] {
            self.bytes(slug.as_str().as_bytes());
        }
        self.zigzag(period.from_ms);
        self.bytes(period.profile.as_bytes());
        self.bytes(&period.profile_hash);
        self.bytes(&period.config_hash);
    }

    fn varint(&mut self, value: u64) {
        put_varint(&mut self.buffer, value);
    }

    fn zigzag(&mut self, value: i64) {
        self.varint(zigzag(value));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.buffer.extend_from_slice(bytes);
    }
}

/// A row in the making, its words apart.
#[derive(Debug)]
struct RowBytes {
    bytes: [u8; RecordWriter::ROW_BYTES_MAX],
    len: usize,
}

impl RowBytes {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.push(value.to_le_bytes()[0]);
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Record {
    /// Reads the records of a payload, or `None` when one of them cannot be understood.
    pub(crate) fn decode_all(payload: &[u8], mut visit: impl FnMut(Self)) -> Option<()> {
        let mut input = Input(payload);
        while let Some((kind, rest)) = input.0.split_first() {
            input.0 = rest;
            visit(Self::decode(*kind, &mut input)?);
        }
        Some(())
    }

    fn decode(kind: u8, input: &mut Input<'_>) -> Option<Self> {
        Some(match kind {
            PROBE => Self::Probe,
            SERIES => Self::Series {
                id: SeriesId(input.number()?),
                key: SeriesKey {
                    tenant: input.slug()?,
                    facility: input.slug()?,
                    device: input.slug()?,
                    point: input.text()?.to_owned(),
                    unit: Unit::from_code(input.number()?)?,
                    exponent: i8::try_from(input.zigzag()?).ok()?,
                },
            },
            ORIGIN => Self::Origin {
                id: input.number()?,
                origin: Origin { tenant: input.slug()?, facility: input.slug()?, gateway: input.slug()? },
            },
            ROWS => Self::Rows(input.rows()?),
            REPEAT => Self::Repeat { rows: input.varint()? },
            LETTER => Self::Letter(DeadLetter {
                topic: input.text()?.to_owned(),
                reason: input.text()?.to_owned(),
                payload: input.bytes()?.to_vec(),
                points: input.varint()?,
                received_ms: input.zigzag()?,
            }),
            PROFILE => Self::Profile {
                tenant: input.slug()?,
                facility: input.slug()?,
                device: input.slug()?,
                period: ProfilePeriod {
                    from_ms: input.zigzag()?,
                    profile: input.text()?.to_owned(),
                    profile_hash: input.bytes()?.to_vec(),
                    config_hash: input.bytes()?.to_vec(),
                },
            },
            AUDIT => Self::Audit(input.audit()?),
            AMENDED => Self::Amended { rows: input.some_rows(0)? },
            _ => return None,
        })
    }
}

impl<'a> Input<'a> {
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.number()?;
        self.take(count)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn slug(&mut self) -> Option<Slug> {
        Slug::parse(self.text()?).ok()
    }

    fn rows(&mut self) -> Option<RowsRecord> {
        let head = RowsHead {
            origin: self.number()?,
            spool_id: self.take(16)?.try_into().ok()?,
            seq: self.varint()?,
            duplicate: self.varint()?,
            conflict: self.varint()?,
        };
        Some(RowsRecord { head, rows: self.some_rows(head.seq)? })
    }

    fn some_rows(&mut self, seq: u64) -> Option<Vec<(SeriesId, Sample)>> {
        let count: usize = self.number()?;
        let mut rows = Vec::with_capacity(count.min(self.0.len()));
        let (mut series, mut ts_ms) = (0_i64, 0_i64);
        for _row in 0..count {
            series = series.checked_add(self.zigzag()?)?;
            ts_ms = ts_ms.wrapping_add(self.zigzag()?);
            rows.push((SeriesId(u32::try_from(series).ok()?), self.sample(ts_ms, seq)?));
        }
        Some(rows)
    }

    fn audit(&mut self) -> Option<AuditEntry> {
        let (number, action, at_ms) = (self.varint()?, Action::from_code(self.varint()?)?, self.zigzag()?);
        let mut text = || Some(self.text()?.to_owned());
        let account = Account { actor: text()?, reason: text()?, document: text()?, approval: text()?, at_ms };
        Some(AuditEntry {
            number,
            action,
            account,
            tenant: self.slug()?,
            facility: self.slug()?,
            from_ms: self.zigzag()?,
            to_ms: self.zigzag()?,
            rows: self.varint()?,
            digest: self.take(32)?.try_into().ok()?,
            sealed_lsn: self.varint()?,
            before: self.take(32)?.try_into().ok()?,
        })
    }

    fn sample(&mut self, ts_ms: i64, seq: u64) -> Option<Sample> {
        let flags = self.byte()?;
        let raw = if flags & HAS_RAW == 0 { None } else { Some(self.zigzag()?) };
        let quality = if flags & HAS_QUALITY == 0 { Quality::GOOD } else { Quality::from_bits(self.number()?) };
        let version = if flags & HAS_VERSION == 0 { 0 } else { self.number()? };
        let words = match usize::from(flags >> 4) {
            0 => None,
            count => Some(Words::new(self.take(count)?)?),
        };
        Some(Sample { ts_ms, raw, quality, words, seq, version, lsn: 0 })
    }
}

#[cfg(test)]
mod tests;
