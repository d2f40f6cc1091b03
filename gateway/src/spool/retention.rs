//! Staying within the disk allowance, and what goes first when that is hard.
//!
//! 1. Segments that the collector has whole, the oldest first. They are kept until then, so that they can be sent again.
//! 2. The diagnostics in the oldest frames, segment by segment; when there are none left, power.
//! 3. Whole frames, the oldest first: only energy counters are left by then.
//!
//! Nothing is removed before the cursor says so durably, and nothing undelivered without being counted and told.

use std::io;

use super::{
    Spool, SpoolError, SpoolEvent,
    append::PENDING_BYTES_MAX,
    class::{self, Kept},
    record,
};

/// Waiting frames in memory, in bytes, from which on the oldest frames on a full disk go rather than the newest.
const PENDING_BYTES_HIGH: usize = PENDING_BYTES_MAX / 2;

impl Spool {
    /// Follows another disk allowance.
    ///
    /// What the collector has goes at once when it is too much now. What it does not have stays until the next segment
    /// is begun: a figure that was mistyped can be put right in the meantime.
    pub(crate) fn allow(&mut self, bytes_max: u64) -> Result<(), SpoolError> {
        self.options.bytes_max = bytes_max;
        self.shrink().map_err(|err| SpoolError::Write { path: self.folder.clone(), frames: 0, err })?;
        self.note_fill();
        Ok(())
    }

    fn shrink(&mut self) -> io::Result<()> {
        while self.bytes() > self.options.bytes_max {
            match self.spare.take() {
                Some(spare) => self.disk.remove(&spare.path)?,
                None if self.release_delivered()? => {}
                None => break,
            }
        }
        Ok(())
    }

    /// Makes room for another segment within the allowance.
    pub(super) fn make_room(&mut self) -> io::Result<()> {
        let need = u64::try_from(self.options.segment_bytes).map_err(io::Error::other)?;
        // A spare file becomes the next segment and takes no more room than it has.
        let has_room = |spool: &Self| spool.bytes() + if spool.spare.is_some() { 0 } else { need } <= spool.options.bytes_max;
        while !has_room(self) && self.release_delivered()? {}
        while !has_room(self) && self.leave_out()? {}
        // The newest segment stays: it carries the sequence.
        while !has_room(self) && self.drop_oldest()? {}
        Ok(())
    }

    /// Makes room where others have filled the disk. Says whether another try is worth it.
    ///
    /// What was read last can wait in memory for a while, so nothing undelivered is dropped at once.
    pub(super) fn make_room_on_full_disk(&mut self) -> io::Result<bool> {
        if self.release_delivered()? {
            return Ok(true);
        }
        match self.leave_out() {
            Ok(true) => return Ok(true),
            // Even rewriting needs a little room.
            Err(err) if err.kind() != io::ErrorKind::StorageFull => return Err(err),
            _ => {}
        }
        if self.pending_bytes >= PENDING_BYTES_HIGH { self.drop_oldest() } else { Ok(false) }
    }

    /// Releases the oldest segment if the collector has it whole.
    fn release_delivered(&mut self) -> io::Result<bool> {
        match self.segments.get(1).map(|next| next.first - 1).filter(|last| *last <= self.acknowledged) {
            Some(last) => self.release(last).map(|()| true),
            None => Ok(false),
        }
    }

    /// Gives up the oldest segment although the collector does not have it.
    fn drop_oldest(&mut self) -> io::Result<bool> {
        let Some(last) = self.segments.get(1).map(|next| next.first - 1) else { return Ok(false) };
        let first = self.segments.front().map_or(1, |oldest| oldest.first).max(self.acknowledged + 1);
        self.release(last)?;
        if first <= last {
            self.dropped += last + 1 - first;
            self.tell(SpoolEvent::Dropped { first, last });
        }
        Ok(true)
    }

    /// Gives up every segment that ends at `seq` or before: first durably in the cursor, then on disk.
    fn release(&mut self, seq: u64) -> io::Result<()> {
        self.write_cursor(seq)?;
        self.remove_released()
    }

    /// Removes what the cursor says is released. One whole file is kept for the next segment.
    pub(super) fn remove_released(&mut self) -> io::Result<()> {
        let released = self.cursor.mark().released;
        while self.segments.get(1).is_some_and(|next| next.first <= released + 1) {
            let Some(segment) = self.segments.front() else { break };
            self.known.retain(|known| known.first != segment.first);
            let whole = segment.bytes == u64::try_from(self.options.segment_bytes).map_err(io::Error::other)?;
            if whole && self.spare.is_none() {
                self.spare = self.segments.pop_front();
            } else {
                self.disk.remove(&segment.path)?;
                self.segments.pop_front();
            }
        }
        Ok(())
    }

    /// Rewrites the oldest segment that still has something to leave out. Says whether there was one.
    fn leave_out(&mut self) -> io::Result<bool> {
        for from in [Kept::All, Kept::PowerAndEnergy] {
            while let Some(index) = self.segments.iter().position(|segment| segment.kept == from) {
                if self.leave_out_of(index)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Rewrites one segment with less. Says whether that saved room.
    fn leave_out_of(&mut self, index: usize) -> io::Result<bool> {
        let Some(mut segment) = self.segments.get(index).cloned() else { return Ok(false) };
        let Some(kept) = segment.kept.less() else { return Ok(false) };
        segment.kept = kept;
        let (bytes, scan) = segment.load(&*self.disk)?;
        let (stretches, damaged_bytes) = self.quarantine.note(&*self.disk, &segment, &bytes, &scan);
        if stretches > 0 {
            self.tell(SpoolEvent::Damaged { segment: segment.first, stretches, bytes: damaged_bytes });
        }
        let after = self.segments.get(index + 1).map_or(self.committed + 1, |next| next.first);
        let mut rewritten = Vec::new();
        let mut points = 0;
        let mut last = segment.first;
        for entry in scan.entries.iter().filter(|entry| entry.seq < after) {
            let whole = bytes.get(entry.offset..entry.end).unwrap_or_default();
            match record::frame(whole).and_then(|frame| class::thin(&frame, kept)) {
                Some((frame, left_out)) => {
                    rewritten.extend(record::encode(entry.seq, &frame).unwrap_or_else(|| whole.to_vec()));
                    points += left_out;
                }
                None => rewritten.extend_from_slice(whole),
            }
            last = entry.seq;
        }
        let worth_it = points > 0 && u64::try_from(rewritten.len()).is_ok_and(|bytes| bytes < segment.bytes);
        if worth_it {
            segment.replace(&*self.disk, &rewritten)?;
            self.known.retain(|known| known.first != segment.first);
            if index + 1 == self.segments.len() {
                // The file that was written to is no longer the one by this name.
                self.active = None;
            }
            self.points_left_out += points;
            let class = if kept == Kept::PowerAndEnergy { "diagnostic" } else { "power" };
            self.tell(SpoolEvent::LeftOut { first: segment.first, last, points, class });
        }
        if let Some(place) = self.segments.get_mut(index) {
            *place = segment;
        }
        Ok(worth_it)
    }

    /// Notes how much of the allowance is filled with what the collector does not have, and tells when that is news.
    pub(super) fn note_fill(&mut self) {
        let mut undelivered = 0;
        for (index, segment) in self.segments.iter().enumerate() {
            let last = self.segments.get(index + 1).map_or(self.committed, |next| next.first - 1);
            if last > self.acknowledged {
                undelivered += match &self.active {
                    Some(active) if index + 1 == self.segments.len() => u64::try_from(active.end).unwrap_or(0),
                    _ => segment.bytes,
                };
            }
        }
        let percent = undelivered.saturating_mul(100) / self.options.bytes_max.max(1);
        self.percent = u8::try_from(percent.min(100)).unwrap_or(100);
        let before = self.fill.level();
        if let Some(level) = self.fill.note(self.percent) {
            self.tell(SpoolEvent::Filled { level, percent: self.percent, rising: level > before });
        }
    }
}
