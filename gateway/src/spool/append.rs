//! Taking frames and making them durable.

use std::io;

use super::{
    Active, Pending, Spool, SpoolError,
    cursor::Mark,
    record::{self, Entry},
    segment::Segment,
};

/// How far the cursor on disk may lag behind what the collector confirmed.
const CURSOR_LAG_MAX: u64 = 4096;
/// Bytes of frames that wait in memory while the disk refuses them.
pub(super) const PENDING_BYTES_MAX: usize = 4 << 20;

impl Spool {
    /// Takes a frame and gives it the next sequence number. It is durable after the next [`commit`](Self::commit).
    pub(crate) fn append(&mut self, payload: &[u8]) -> Result<u64, SpoolError> {
        let room = self.options.segment_bytes - record::HEADER_BYTES;
        let too_large = || SpoolError::TooLarge { bytes: payload.len(), segment_bytes: self.options.segment_bytes };
        let bytes = record::encode(self.next_seq, payload).filter(|bytes| bytes.len() <= room).ok_or_else(too_large)?;
        if self.pending_bytes + bytes.len() > PENDING_BYTES_MAX {
            return Err(SpoolError::Full { path: self.folder.clone(), waiting: self.pending.len() });
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        self.boots.note(seq, payload);
        self.pending_bytes += bytes.len();
        self.pending.push_back(Pending { seq, bytes });
        Ok(seq)
    }

    /// Makes every appended frame durable, and says up to which sequence number all are.
    ///
    /// * Errors: what could not be written stays in memory and is tried again by the next commit.
    pub(crate) fn commit(&mut self) -> Result<u64, SpoolError> {
        while !self.pending.is_empty() {
            if let Err(err) = self.commit_some() {
                return Err(SpoolError::Write { path: self.folder.clone(), frames: self.pending.len(), err });
            }
        }
        self.note_fill();
        Ok(self.committed)
    }

    /// Writes as many waiting records as the active segment takes; begins a new segment when it takes none.
    fn commit_some(&mut self) -> io::Result<()> {
        let Some(active) = &mut self.active else { return self.roll() };
        let mut group = Vec::new();
        let mut entries = Vec::new();
        for pending in &self.pending {
            let offset = active.end + group.len();
            let end = offset + pending.bytes.len();
            if end > self.options.segment_bytes {
                break;
            }
            group.extend_from_slice(&pending.bytes);
            entries.push(Entry { seq: pending.seq, offset, end });
        }
        let Some(last) = entries.last().copied() else { return self.roll() };
        let group_bytes = group.len();
        if active.reused {
            group.resize(group_bytes + record::HEADER_BYTES.min(self.options.segment_bytes - last.end), 0);
        }
        let offset = u64::try_from(active.end).map_err(io::Error::other)?;
        if let Err(err) = active.file.write(&group, offset).and_then(|()| active.file.sync()) {
            if !matches!(err.kind(), io::ErrorKind::StorageFull | io::ErrorKind::ReadOnlyFilesystem) {
                // This place of the disk does not take it, and what it has there is not known: the next try goes elsewhere.
                self.active = None;
            }
            return Err(err);
        }
        self.pending.drain(..entries.len());
        self.pending_bytes -= group_bytes;
        active.entries.extend(entries);
        active.end = last.end;
        self.committed = last.seq;
        Ok(())
    }

    /// Begins a new segment.
    fn roll(&mut self) -> io::Result<()> {
        let first = self.pending.front().map_or(self.next_seq, |pending| pending.seq);
        self.make_room()?;
        let (segment, file, reused) = self.next_segment(first)?;
        if self.segments.back().is_some_and(|newest| newest.first >= first) {
            // Nothing of the newest was ever durable.
            self.segments.pop_back();
        }
        self.known.retain(|known| known.first != first);
        self.segments.push_back(segment);
        let end = if reused { record::HEADER_BYTES } else { 0 };
        self.active = Some(Active { file, entries: Vec::new(), end, reused });
        self.write_cursor(self.cursor.mark().released)
    }

    /// An empty segment: the file of a released one if there is one, else a new file.
    fn next_segment(&mut self, first: u64) -> io::Result<(Segment, Box<dyn super::DiskFile>, bool)> {
        loop {
            if let Some(spare) = self.spare.take() {
                match Segment::reuse(&*self.disk, &spare, first) {
                    Ok((segment, file)) => return Ok((segment, file, true)),
                    Err(err) => {
                        tracing::warn!(error = %err, "could not use the file of a released segment again");
                        self.disk.remove(&spare.path)?;
                    }
                }
            }
            match Segment::create(&*self.disk, &self.segments_folder(), first, self.options.segment_bytes) {
                Ok((segment, file)) => return Ok((segment, file, false)),
                Err(err) if err.kind() == io::ErrorKind::StorageFull && self.make_room_on_full_disk()? => {}
                Err(err) => return Err(err),
            }
        }
    }

    /// Notes that every frame up to `seq` is durable at the collector.
    ///
    /// * A confirmation of frames that this spool does not have means that the disk lied about them: the sequence
    ///   continues after them, so that no number is used twice.
    pub(crate) fn acknowledge(&mut self, seq: u64) -> Result<(), SpoolError> {
        if seq >= self.next_seq {
            tracing::error!(
                seq,
                spool.next_seq = self.next_seq,
                "the collector has frames that this spool lost; the sequence continues after them"
            );
            self.skip_to(seq + 1);
        }
        self.acknowledged = self.acknowledged.max(seq);
        self.note_fill();
        if self.acknowledged - self.cursor.mark().acknowledged >= CURSOR_LAG_MAX {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Continues the sequence at `next`; frames that wait are numbered anew.
    fn skip_to(&mut self, next: u64) {
        self.next_seq = next;
        self.committed = next - 1;
        for pending in &mut self.pending {
            if let Some(bytes) = record::renumber(&pending.bytes, self.next_seq) {
                *pending = Pending { seq: self.next_seq, bytes };
                self.next_seq += 1;
            }
        }
    }

    /// Leaves out numbers, as damage does.
    #[cfg(test)]
    pub(crate) fn skip_for_test(&mut self, count: u64) {
        self.skip_to(self.next_seq + count);
    }

    /// Makes durable what the collector confirmed.
    pub(crate) fn checkpoint(&mut self) -> Result<(), SpoolError> {
        if self.acknowledged == self.cursor.mark().acknowledged {
            return Ok(());
        }
        let released = self.cursor.mark().released;
        self.write_cursor(released).map_err(|err| SpoolError::Write { path: self.folder.clone(), frames: 0, err })
    }

    pub(super) fn write_cursor(&mut self, released: u64) -> io::Result<()> {
        let newest = self.segments.back().map_or(1, |segment| segment.first);
        self.cursor.write(Mark { acknowledged: self.acknowledged, released, written: self.committed, newest })
    }
}
