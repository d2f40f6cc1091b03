//! How far the collector has confirmed, kept in two slots so that one of them is always whole.
//!
//! ```text
//! slot (512 bytes): magic "NWC2" | generation u64 | acknowledged u64 | released u64 | written u64 | newest u64 | crc32c u32 | zeros
//! ```
//!
//! Slots are written in turn. A cursor that is old costs a few frames sent twice, which the collector recognises; it
//! never costs a frame. Slots of version 1 (`NWC1`, without `written` and `newest`) are read.

use std::{io, path::Path};

use super::disk::{self, Disk, DiskFile};

pub(super) const SLOT_BYTES: usize = 512;
const MAGIC: [u8; 4] = *b"NWC2";
const MAGIC_1: [u8; 4] = *b"NWC1";
const BODY_BYTES: usize = 44;
const BODY_BYTES_1: usize = 28;
pub(super) const NAME: &str = "cursor";

/// What the cursor remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Every frame up to here is durable in the collector's store.
    pub(super) acknowledged: u64,
    /// Segments that end here or before may be gone.
    pub(super) released: u64,
    /// The last frame that was durable here at the time.
    pub(super) written: u64,
    /// The name of the newest segment at the time.
    pub(super) newest: u64,
}

/// The cursor file.
#[derive(Debug)]
pub(super) struct Cursor {
    file: Box<dyn DiskFile>,
    generation: u64,
    mark: Mark,
}

impl Cursor {
    /// Opens the cursor of a spool, or begins one. Gives what it remembers, if it does.
    pub(super) fn open(disk: &dyn Disk, folder: &Path) -> io::Result<(Self, Option<Mark>)> {
        let path = folder.join(NAME);
        let Some(bytes) = disk::read_whole(disk, &path)? else {
            let file = disk::place(disk, folder, NAME, &[0; 2 * SLOT_BYTES])?;
            return Ok((Self { file, generation: 0, mark: Mark::default() }, None));
        };
        let file = disk.open(&path)?;
        let newest = bytes.chunks(SLOT_BYTES).take(2).filter_map(decode).max_by_key(|(generation, _)| *generation);
        let (generation, mark) = newest.unwrap_or_default();
        Ok((Self { file, generation, mark }, newest.map(|(_, mark)| mark)))
    }

    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// Makes a mark durable.
    pub(super) fn write(&mut self, mark: Mark) -> io::Result<()> {
        let generation = self.generation + 1;
        let slot = if generation.is_multiple_of(2) { 0 } else { SLOT_BYTES };
        self.file.write(&encode(generation, mark), u64::try_from(slot).map_err(io::Error::other)?)?;
        self.file.sync()?;
        self.generation = generation;
        self.mark = mark;
        Ok(())
    }
}

fn encode(generation: u64, mark: Mark) -> [u8; SLOT_BYTES] {
    let mut body = Vec::with_capacity(SLOT_BYTES);
    body.extend_from_slice(&MAGIC);
    for number in [generation, mark.acknowledged, mark.released, mark.written, mark.newest] {
        body.extend_from_slice(&number.to_le_bytes());
    }
    body.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    let mut slot = [0; SLOT_BYTES];
    for (place, byte) in slot.iter_mut().zip(body) {
        *place = byte;
    }
    slot
}

fn decode(slot: &[u8]) -> Option<(u64, Mark)> {
    let body_bytes = if slot.get(..4)? == MAGIC_1 { BODY_BYTES_1 } else { BODY_BYTES };
    let (body, rest) = slot.split_at_checked(body_bytes)?;
    let checksum = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?);
    let known = body.get(..4)? == MAGIC || body.get(..4)? == MAGIC_1;
    if !known || crc32c::crc32c(body) != checksum {
        return None;
    }
    let number = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
    let (acknowledged, released) = (number(12)?, number(20)?);
    let (written, newest) = (number(28).unwrap_or(acknowledged), number(36).unwrap_or(0));
    Some((number(4)?, Mark { acknowledged, released, written, newest }))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{super::disk::memory::MemoryDisk, *};

    fn mark(acknowledged: u64) -> Mark {
        Mark { acknowledged, released: acknowledged / 2, written: acknowledged + 3, newest: 1 }
    }

    #[test]
    fn a_torn_slot_leaves_the_one_before() {
        let disk = MemoryDisk::default();
        let folder = PathBuf::from("spool");
        let (mut cursor, known) = Cursor::open(&disk, &folder).unwrap();
        assert_eq!(known, None);
        for acknowledged in 1..=5 {
            cursor.write(mark(acknowledged)).unwrap();
        }
        drop(cursor);
        let found = |disk: &MemoryDisk| Cursor::open(disk, &folder).unwrap().1;
        assert_eq!(found(&disk), Some(mark(5)));
        let path = folder.join(NAME);
        let whole = disk.seen()[&path].clone();
        // Generation 5 is in the second slot.
        for torn_at in SLOT_BYTES..SLOT_BYTES + BODY_BYTES + 4 {
            let mut torn = whole.clone();
            torn[torn_at] ^= 0x40;
            disk.harm(&path, Some(torn));
            assert_eq!(found(&disk), Some(mark(4)));
        }
        disk.harm(&path, Some(vec![0xff; 700]));
        assert_eq!(found(&disk), None);
        disk.harm(&path, Some(Vec::new()));
        assert_eq!(found(&disk), None);
    }

    #[test]
    fn the_bytes_of_both_versions_are_these() {
        let slot = encode(2, mark(6));
        assert_eq!(slot[..12], *b"NWC2\x02\0\0\0\0\0\0\0");
        assert_eq!((slot[12], slot[20], slot[28], slot[36]), (6, 3, 9, 1));
        assert_eq!(slot[44..48], crc32c::crc32c(&slot[..44]).to_le_bytes());
        assert_eq!(decode(&slot), Some((2, mark(6))));
        let mut old = b"NWC1\x07\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0".to_vec();
        old.extend_from_slice(&crc32c::crc32c(&old).to_le_bytes());
        old.resize(SLOT_BYTES, 0);
        assert_eq!(decode(&old), Some((7, Mark { acknowledged: 5, released: 2, written: 5, newest: 0 })));
    }
}
