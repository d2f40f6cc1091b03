//! One record of the log: a header that can be recognised, checked and found again, and the frame.
//!
//! ```text
//! magic "NWR1" | length u32 | seq u64 | crc32c u32 | frame
//! magic "NWR2" | length u32 | seq u64 | crc32c u32 | frame length u32, frame packed as one LZ4 block
//! magic "NWR0" | 0          | seq u64 | crc32c u32     begins a segment in a file that was used before; no frame
//! ```
//!
//! All integers are little-endian. The checksum covers everything but itself. A record never spans segments, so a
//! segment can be read, damaged or lost without harming its neighbours. Which of the two is written is what is shorter.

use std::ops::Range;

/// How a record begins that holds its frame as it is.
const PLAIN: [u8; 4] = *b"NWR1";
/// How a record begins that holds its frame packed.
const PACKED: [u8; 4] = *b"NWR2";
/// How a segment begins that lies in a file used before.
const REUSED: [u8; 4] = *b"NWR0";
/// Bytes before the body.
pub(super) const HEADER_BYTES: usize = 20;
/// Where the checksum stands in the header.
const CHECKSUM: Range<usize> = 16..20;
/// Frames shorter than this are not worth packing.
const PACK_BYTES_MIN: usize = 256;
/// The longest frame that is unpacked.
const FRAME_BYTES_MAX: usize = 16 << 20;

/// Where a record lies in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) offset: usize,
    pub(super) end: usize,
}

/// The bytes of a record.
///
/// * Errors: `None` when the frame is longer than a record can say.
pub(super) fn encode(seq: u64, frame: &[u8]) -> Option<Vec<u8>> {
    if (PACK_BYTES_MIN..=FRAME_BYTES_MAX).contains(&frame.len()) {
        let packed = lz4_flex::block::compress_prepend_size(frame);
        if packed.len() < frame.len() {
            return assemble(PACKED, seq, &packed);
        }
    }
    assemble(PLAIN, seq, frame)
}

fn assemble(magic: [u8; 4], seq: u64, body: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(body.len()).ok()?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(&magic);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&seq.to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes), body);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(body);
    Some(bytes)
}

/// What begins a segment in a file that was used before, and the zeros that end it.
pub(super) fn reuse(first: u64) -> Option<Vec<u8>> {
    let mut bytes = assemble(REUSED, first, &[])?;
    bytes.resize(2 * HEADER_BYTES, 0);
    Some(bytes)
}

/// The same record under another number.
pub(super) fn renumber(record: &[u8], seq: u64) -> Option<Vec<u8>> {
    let (header, body) = record.split_at_checked(HEADER_BYTES)?;
    assemble(array(header.get(..4)?)?, seq, body)
}

fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(&PLAIN) || bytes.starts_with(&PACKED)
}

/// The number of the record whose header stands here, unchecked.
fn header_seq(bytes: &[u8], offset: usize) -> Option<u64> {
    let header = bytes.get(offset..)?.get(..HEADER_BYTES)?;
    begins(header).then_some(())?;
    Some(u64::from_le_bytes(array(header.get(8..16)?)?))
}

fn is_reused(bytes: &[u8], first: u64) -> bool {
    reuse(first).is_some_and(|begin| begin.get(..HEADER_BYTES) == bytes.get(..HEADER_BYTES))
}

/// The record that begins at `offset`, when there is a whole and unharmed one with a number above `after`.
pub(super) fn decode(bytes: &[u8], offset: usize, after: u64) -> Option<Entry> {
    let seq = header_seq(bytes, offset).filter(|&seq| seq > after)?;
    let (header, rest) = bytes.get(offset..)?.split_at_checked(HEADER_BYTES)?;
    let length = usize::try_from(u32::from_le_bytes(array(header.get(4..8)?)?)).ok()?;
    let checksum = u32::from_le_bytes(array(header.get(CHECKSUM)?)?);
    let body = rest.get(..length)?;
    let found = crc32c::crc32c_append(crc32c::crc32c(header.get(..CHECKSUM.start)?), body);
    (found == checksum).then(|| Entry { seq, offset, end: offset + HEADER_BYTES + length })
}

/// The frame of a whole record.
pub(super) fn frame(record: &[u8]) -> Option<Vec<u8>> {
    let body = record.get(HEADER_BYTES..)?;
    if record.starts_with(&PLAIN) {
        return Some(body.to_vec());
    }
    let length = usize::try_from(u32::from_le_bytes(array(body.get(..4)?)?)).ok()?;
    (length <= FRAME_BYTES_MAX).then(|| lz4_flex::block::decompress_size_prepended(body).ok())?
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
    /// Whether the file was used before: zeros for one header end it, and older records may lie behind them.
    pub(super) reused: bool,
}

impl Scan {
    /// Where the next record may be written.
    pub(super) fn end(&self) -> usize {
        self.entries.last().map_or(if self.reused { HEADER_BYTES } else { 0 }, |entry| entry.end)
    }

    /// How many records the torn tail may have held: at least one, and one per header that can be recognised.
    pub(super) fn burnt(&self, bytes: &[u8], first: u64) -> u64 {
        let Some(tail) = self.tail.clone() else { return 0 };
        let last_seq = self.entries.last().map_or(first.saturating_sub(1), |entry| entry.seq);
        let headers = beginnings(bytes, tail.start).take_while(|&at| at < tail.end).filter(|&at| is_newer(bytes, at, last_seq));
        u64::try_from(headers.count()).unwrap_or(u64::MAX).max(1)
    }

    pub(super) fn damaged(&self) -> impl Iterator<Item = Range<usize>> {
        self.broken.iter().chain(&self.tail).cloned()
    }
}

/// Finds every whole record of a segment that begins with number `first`, stepping over what is damaged.
pub(super) fn scan(bytes: &[u8], first: u64) -> Scan {
    let mut found = Scan { reused: is_reused(bytes, first), ..Scan::default() };
    let mut offset = found.end();
    let mut last_seq = first.saturating_sub(1);
    loop {
        if let Some(entry) = decode(bytes, offset, last_seq) {
            last_seq = entry.seq;
            offset = entry.end;
            found.entries.push(entry);
            continue;
        }
        let rest = bytes.get(offset..).unwrap_or_default();
        let Some(last_written) = rest.iter().rposition(|&byte| byte != 0) else { return found };
        if let Some(next) = beginnings(bytes, offset + 1).find(|&at| decode(bytes, at, last_seq).is_some()) {
            found.broken.push(offset..next);
            offset = next;
            continue;
        }
        found.tail = if found.reused { torn(bytes, offset, last_seq) } else { Some(offset..offset + last_written + 1) };
        return found;
    }
}

/// What lies behind the last whole record of a reused file and was written there after it.
fn torn(bytes: &[u8], offset: usize, last_seq: u64) -> Option<Range<usize>> {
    let ended = bytes.get(offset..)?.iter().take(HEADER_BYTES).all(|&byte| byte == 0);
    let last_newer = beginnings(bytes, offset).filter(|&at| is_newer(bytes, at, last_seq)).last();
    match last_newer {
        None if ended => None,
        at => Some(offset..(at.unwrap_or(offset) + HEADER_BYTES).min(bytes.len())),
    }
}

/// How far ahead of the last whole record a damaged one is believed to be.
const NUMBERS_AHEAD_MAX: u64 = 1 << 20;

fn is_newer(bytes: &[u8], at: usize, last_seq: u64) -> bool {
    header_seq(bytes, at).is_some_and(|seq| seq > last_seq && seq - last_seq < NUMBERS_AHEAD_MAX)
}

fn beginnings(bytes: &[u8], from: usize) -> impl Iterator<Item = usize> {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(PLAIN.len()).enumerate().filter(|(_, window)| begins(window)).map(move |(at, _)| from + at)
}

fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests;
