//! One record of the log: a header that can be recognised, checked and found again, and the frame.
//!
//! ```text
//! magic "NWR1" | length u32 | seq u64 | crc32c u32 | payload
//! ```
//!
//! All integers are little-endian. The checksum covers everything but itself. A record never spans segments, so a
//! segment can be read, damaged or lost without harming its neighbours.

use std::ops::Range;

/// How every record begins.
pub(super) const MAGIC: [u8; 4] = *b"NWR1";
/// Bytes before the payload.
pub(super) const HEADER_BYTES: usize = 20;
/// Where the checksum stands in the header.
const CHECKSUM: Range<usize> = 16..20;

/// Where a record lies in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) offset: usize,
    pub(super) end: usize,
}

/// The bytes of a record.
///
/// * Errors: `None` when the payload is longer than a record can say.
pub(super) fn encode(seq: u64, payload: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(payload.len()).ok()?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&seq.to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes), payload);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(payload);
    Some(bytes)
}

/// The record that begins at `offset`, when there is a whole and unharmed one.
pub(super) fn decode(bytes: &[u8], offset: usize) -> Option<Entry> {
    let rest = bytes.get(offset..)?;
    let (header, body) = rest.split_at_checked(HEADER_BYTES)?;
    if header.get(..MAGIC.len())? != MAGIC {
        return None;
    }
    let length = usize::try_from(u32::from_le_bytes(array(header.get(4..8)?)?)).ok()?;
    let seq = u64::from_le_bytes(array(header.get(8..16)?)?);
    let checksum = u32::from_le_bytes(array(header.get(CHECKSUM)?)?);
    let payload = body.get(..length)?;
    let found = crc32c::crc32c_append(crc32c::crc32c(header.get(..CHECKSUM.start)?), payload);
    (found == checksum).then(|| Entry { seq, offset, end: offset + HEADER_BYTES + length })
}

/// The frame of a record found by [`decode`] in the same bytes.
pub(super) fn payload(bytes: &[u8], entry: Entry) -> Option<&[u8]> {
    bytes.get(entry.offset + HEADER_BYTES..entry.end)
}

/// What a segment's bytes hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// The whole records, in rising sequence.
    pub(super) entries: Vec<Entry>,
    /// Damaged stretches with whole records after them.
    pub(super) broken: Vec<Range<usize>>,
    /// A damaged stretch with nothing whole after it: a torn write, or damage that looks like one.
    pub(super) tail: Option<Range<usize>>,
}

impl Scan {
    /// Where the next record may be written.
    pub(super) fn end(&self) -> usize {
        self.entries.last().map_or(0, |entry| entry.end)
    }

    /// How many records the torn tail may have held: at least one, and one per recognisable beginning.
    pub(super) fn burnt(&self, bytes: &[u8]) -> u64 {
        let Some(tail) = self.tail.clone().and_then(|range| bytes.get(range)) else { return 0 };
        let beginnings = tail.windows(MAGIC.len()).filter(|window| *window == MAGIC).count();
        u64::try_from(beginnings).unwrap_or(u64::MAX).max(1)
    }
}

/// Finds every whole record of a segment, stepping over what is damaged.
pub(super) fn scan(bytes: &[u8]) -> Scan {
    let mut found = Scan::default();
    let mut offset = 0;
    let mut last_seq = 0;
    loop {
        if let Some(entry) = decode(bytes, offset).filter(|entry| entry.seq > last_seq) {
            last_seq = entry.seq;
            offset = entry.end;
            found.entries.push(entry);
            continue;
        }
        let rest = bytes.get(offset..).unwrap_or_default();
        let Some(last_written) = rest.iter().rposition(|&byte| byte != 0) else { return found };
        match next_whole(bytes, offset + 1, last_seq) {
            Some(next) => {
                found.broken.push(offset..next);
                offset = next;
            }
            None => {
                found.tail = Some(offset..offset + last_written + 1);
                return found;
            }
        }
    }
}

fn next_whole(bytes: &[u8], from: usize, last_seq: u64) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let beginnings = rest.windows(MAGIC.len()).enumerate().filter(|(_, window)| *window == MAGIC);
    beginnings.map(|(at, _)| from + at).find(|&at| decode(bytes, at).is_some_and(|entry| entry.seq > last_seq))
}

fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (seq, payload) in (1..).zip(payloads) {
            bytes.extend(encode(seq, payload).unwrap());
        }
        bytes.resize(bytes.len() + 64, 0);
        bytes
    }

    #[test]
    fn the_bytes_of_a_record_are_these() {
        let bytes = encode(258, b"frame").unwrap();
        assert_eq!(bytes[..16], *b"NWR1\x05\x00\x00\x00\x02\x01\x00\x00\x00\x00\x00\x00");
        assert_eq!(bytes[16..20], crc32c::crc32c(b"NWR1\x05\x00\x00\x00\x02\x01\x00\x00\x00\x00\x00\x00frame").to_le_bytes());
        assert_eq!(bytes[20..], *b"frame");
    }

    proptest! {
        #[test]
        fn written_records_are_found(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..20)) {
            let bytes = segment(&payloads);
            let found = scan(&bytes);
            prop_assert!(found.broken.is_empty() && found.tail.is_none());
            let read: Vec<_> = found.entries.iter().map(|&entry| payload(&bytes, entry).unwrap().to_vec()).collect();
            prop_assert_eq!(read, payloads);
        }

        #[test]
        fn one_flipped_bit_costs_one_record_and_never_changes_one(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 1..8),
            at: proptest::sample::Index,
            bit in 0_u8..8,
        ) {
            let mut bytes = segment(&payloads);
            let written = bytes.len() - 64;
            bytes[at.index(written)] ^= 1 << bit;
            let found = scan(&bytes);
            prop_assert_eq!(found.entries.len(), payloads.len() - 1);
            for &entry in &found.entries {
                let index = usize::try_from(entry.seq).unwrap() - 1;
                prop_assert_eq!(payload(&bytes, entry).unwrap(), &payloads[index][..]);
            }
            prop_assert_eq!(found.broken.len() + usize::from(found.tail.is_some()), 1);
        }
    }
}
