//! How far the collector has confirmed, kept in two slots so that one of them is always whole.
//!
//! ```text
//! slot (512 bytes): magic "NWC1" | generation u64 | acknowledged u64 | released u64 | crc32c u32 | zeros
//! ```
//!
//! Slots are written in turn. A cursor that is old costs a few frames sent twice, which the collector recognises; it
//! never costs a frame.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

use super::disk::Disk;

pub(super) const SLOT_BYTES: usize = 512;
const MAGIC: [u8; 4] = *b"NWC1";
const BODY_BYTES: usize = 28;
const NAME: &str = "cursor";

/// What the cursor remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Every frame up to here is durable in the collector's store.
    pub(super) acknowledged: u64,
    /// Segments that end here or before may be gone.
    pub(super) released: u64,
}

/// The cursor file.
#[derive(Debug)]
pub(super) struct Cursor {
    file: File,
    generation: u64,
    mark: Mark,
}

impl Cursor {
    /// Opens the cursor of a spool, or begins one.
    pub(super) fn open(disk: &mut Disk, folder: &Path) -> io::Result<Self> {
        let path = folder.join(NAME);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                let file = disk.place(folder, NAME, &[0; 2 * SLOT_BYTES])?;
                return Ok(Self { file, generation: 0, mark: Mark::default() });
            }
            Err(err) => return Err(err),
        };
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let newest = bytes.chunks(SLOT_BYTES).filter_map(decode).max_by_key(|(generation, _)| *generation);
        let (generation, mark) = newest.unwrap_or_default();
        Ok(Self { file, generation, mark })
    }

    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// Makes a mark durable.
    pub(super) fn write(&mut self, disk: &mut Disk, mark: Mark) -> io::Result<()> {
        let generation = self.generation + 1;
        let slot = if generation.is_multiple_of(2) { 0 } else { SLOT_BYTES };
        disk.write(&self.file, &encode(generation, mark), slot)?;
        disk.sync(&self.file)?;
        self.generation = generation;
        self.mark = mark;
        Ok(())
    }
}

fn encode(generation: u64, mark: Mark) -> [u8; SLOT_BYTES] {
    let mut body = Vec::with_capacity(SLOT_BYTES);
    body.extend_from_slice(&MAGIC);
    for number in [generation, mark.acknowledged, mark.released] {
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
    let (body, rest) = slot.split_at_checked(BODY_BYTES)?;
    let checksum = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?);
    if body.get(..4)? != MAGIC || crc32c::crc32c(body) != checksum {
        return None;
    }
    let number = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
    Some((number(4)?, Mark { acknowledged: number(12)?, released: number(20)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_slot_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let disk = &mut Disk::default();
        let mut cursor = Cursor::open(disk, folder.path()).unwrap();
        for acknowledged in 1..=5 {
            cursor.write(disk, Mark { acknowledged, released: acknowledged / 2 }).unwrap();
        }
        drop(cursor);
        assert_eq!(Cursor::open(disk, folder.path()).unwrap().mark(), Mark { acknowledged: 5, released: 2 });
        let path = folder.path().join("cursor");
        let whole = std::fs::read(&path).unwrap();
        // Generation 5 is in the second slot.
        for torn_at in SLOT_BYTES..SLOT_BYTES + BODY_BYTES + 4 {
            let mut torn = whole.clone();
            torn[torn_at] ^= 0x40;
            std::fs::write(&path, &torn).unwrap();
            assert_eq!(Cursor::open(disk, folder.path()).unwrap().mark(), Mark { acknowledged: 4, released: 2 });
        }
        std::fs::write(&path, [0xff; 700]).unwrap();
        assert_eq!(Cursor::open(disk, folder.path()).unwrap().mark(), Mark::default());
    }
}
