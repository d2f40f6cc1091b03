//! Reading frames back.

use std::io;

use wire::{FrameTime, Lost};

use super::{
    Known, Spool, SpoolError, SpoolEvent, Stored, boot,
    disk::{self, DiskFile},
    record::{self, Entry},
    segment::Segment,
};

/// Most sequence numbers without a frame that one read reports.
const ABSENT_PER_READ_MAX: usize = 256;
/// Older segments whose records are known by place: one for the backlog, one for what is asked for again.
const KNOWN_MAX: usize = 2;
/// Frames looked at to learn when the clock of an earlier start was set.
const BOOT_FRAMES_MAX: usize = 4096;

impl Spool {
    /// Frames from a sequence number on, in order and without gaps, at most about `bytes_max` of them.
    ///
    /// * Shape: `seq` rises by one; a frame that is gone says why; empty when nothing newer is durable.
    /// * Time: of frames that were taken before the clock was set it is put right, where the right one is known.
    pub(crate) fn read(&mut self, from: u64, bytes_max: usize) -> Result<Vec<Stored>, SpoolError> {
        self.read_some(from, bytes_max).map_err(|err| SpoolError::Read { path: self.folder.clone(), err })
    }

    fn read_some(&mut self, from: u64, bytes_max: usize) -> io::Result<Vec<Stored>> {
        let mut read = Vec::new();
        let mut bytes = 0;
        let mut absent = 0;
        let mut seq = from.max(1);
        while seq <= self.committed && bytes < bytes_max && absent < ABSENT_PER_READ_MAX {
            let payload = match self.payload(seq)? {
                Some(frame) => {
                    bytes += frame.len() + record::HEADER_BYTES;
                    Ok(self.in_its_time(seq, frame)?)
                }
                None => {
                    absent += 1;
                    Err(if seq <= self.cursor.mark().released { Lost::MadeRoom } else { Lost::Damaged })
                }
            };
            read.push(Stored { seq, payload });
            seq += 1;
        }
        Ok(read)
    }

    /// The frame as it was written, when it is there and whole.
    pub(super) fn payload(&mut self, seq: u64) -> io::Result<Option<Vec<u8>>> {
        let after = self.segments.partition_point(|segment| segment.first <= seq);
        let Some(segment) = after.checked_sub(1).and_then(|index| self.segments.get(index)).cloned() else { return Ok(None) };
        if let Some(active) = self.active.as_ref().filter(|_| after == self.segments.len()) {
            return read_record(&*active.file, &active.entries, seq);
        }
        if !self.known.iter().any(|known| known.first == segment.first) {
            self.learn(&segment)?;
        }
        let Some(known) = self.known.iter().find(|known| known.first == segment.first) else { return Ok(None) };
        let Some(file) = &known.file else { return Ok(None) };
        read_record(&**file, &known.entries, seq)
    }

    /// Finds the records of a segment. One that is gone has none.
    fn learn(&mut self, segment: &Segment) -> io::Result<()> {
        let (bytes, scan) = segment.load(&*self.disk)?;
        let (stretches, damaged_bytes) = self.quarantine.note(&*self.disk, segment, &bytes, &scan);
        if stretches > 0 {
            self.tell(SpoolEvent::Damaged { segment: segment.first, stretches, bytes: damaged_bytes });
        }
        let file = match self.disk.open(&segment.path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => None,
            other => Some(other?),
        };
        if self.known.len() == KNOWN_MAX {
            self.known.pop_front();
        }
        self.known.push_back(Known { first: segment.first, file, entries: scan.entries });
        Ok(())
    }

    /// A frame with the right time, if its own is not and the right one is known.
    fn in_its_time(&mut self, seq: u64, frame: Vec<u8>) -> io::Result<Vec<u8>> {
        let Some(time) = boot::time(&frame).filter(|time| !time.clock_synced) else { return Ok(frame) };
        let offset = match self.boots.offset(time.boot_id) {
            Some(offset) => offset,
            None => self.offset_after(seq, time)?,
        };
        Ok(offset.and_then(|offset| boot::correct(&frame, offset)).unwrap_or(frame))
    }

    /// Looks for the first frame of an earlier start whose clock was set.
    fn offset_after(&mut self, seq: u64, unset: FrameTime) -> io::Result<Option<i64>> {
        let mut seen = 0;
        for seq in seq + 1..=self.committed {
            let Some(time) = self.payload(seq)?.as_deref().and_then(boot::time) else { continue };
            let other = time.boot_id != unset.boot_id;
            seen += 1;
            if time.clock_synced || other || seen == BOOT_FRAMES_MAX {
                let offset = if other || !time.clock_synced { None } else { boot::apart(time) };
                self.boots.learn(unset.boot_id, offset);
                return Ok(offset);
            }
        }
        // This start goes on, and may learn it yet.
        Ok(None)
    }
}

fn read_record(file: &dyn DiskFile, entries: &[Entry], seq: u64) -> io::Result<Option<Vec<u8>>> {
    let found = entries.binary_search_by_key(&seq, |entry| entry.seq).ok().and_then(|at| entries.get(at));
    let Some(entry) = found else { return Ok(None) };
    let mut bytes = vec![0; entry.end - entry.offset];
    match disk::read_exact(file, &mut bytes, u64::try_from(entry.offset).map_err(io::Error::other)?) {
        // It was whole when the segment was scanned, and what cannot be read now may be read later.
        Err(err) => Err(err),
        Ok(()) => {
            let whole = record::decode(&bytes, 0, 0).is_some_and(|found| found.seq == seq && found.end == bytes.len());
            Ok(whole.then(|| record::frame(&bytes)).flatten())
        }
    }
}
