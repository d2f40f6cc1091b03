//! The store-and-forward log: what was read is on disk before anything else happens to it.
//!
//! Frames are appended to segments of 1 MiB and made durable once per commit, by one `fdatasync`. Each gets the next
//! sequence number, which rises for the life of the spool and is never given twice. A frame leaves only when the
//! collector has said that it is durable there, or when the disk allowance is used up, and then first the points leave
//! that money does not depend on. All of it is counted and told. Whatever a power cut or a bad card leaves behind, the
//! spool opens: damaged bytes go to `quarantine/`, their sequence numbers are never reused, and reading them back says
//! why they are gone, so that the collector learns of it.
//!
//! ```text
//! spool/lock                     held by the one gateway that uses the spool
//! spool/id                       sixteen bytes that name this spool to the collector
//! spool/cursor                   what the collector confirmed (two slots)
//! spool/segments/000…001.seg     records, see `record`
//! spool/replay/                  what somebody asked to be sent again, see `again`
//! spool/quarantine/              damaged bytes
//! ```

mod again;
mod append;
mod boot;
mod class;
mod cursor;
mod disk;
mod event;
mod fill;
mod open;
mod quarantine;
mod read;
mod record;
mod retention;
mod segment;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

pub(crate) use again::{Again, SpoolView};
pub(crate) use event::SpoolEvent;
pub(crate) use writer::{SharedSpool, write};

use std::{
    any::Any,
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ids::SpoolId;
use wire::{Lost, Urgency};

use boot::Boots;
use cursor::Cursor;
use disk::{Disk, DiskFile};
use fill::Fill;
use quarantine::Quarantine;
use record::Entry;
use segment::Segment;

/// Bytes of a segment.
pub(crate) const SEGMENT_BYTES: usize = 1 << 20;
/// The allowance when none is given: so much, but no more than this part of the free space, and no less than two segments.
const BYTES_MAX: u64 = 256 << 20;
const BYTES_MIN: u64 = 2 << 20;
const FREE_SHARE: u64 = 5;
/// Things that happened and wait to be told; older ones make room, as each is in the log too.
const EVENTS_MAX: usize = 64;

/// How a spool is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpoolOptions {
    /// Disk allowance; the oldest segments go first when it is used up.
    pub(crate) bytes_max: u64,
    /// Bytes of a segment, [`SEGMENT_BYTES`] but in tests.
    pub(crate) segment_bytes: usize,
}

impl SpoolOptions {
    /// The usual spool within a disk allowance.
    pub(crate) fn within(bytes_max: u64) -> Self {
        Self { bytes_max, segment_bytes: SEGMENT_BYTES }
    }

    /// The usual spool in a folder: within the allowance, or else 256 MiB or a fifth of the free space, whichever is less.
    pub(crate) fn on_disk(folder: &Path, bytes_max: Option<u64>) -> Self {
        Self::within(bytes_max.unwrap_or_else(|| {
            // What the spool has already is as good as free.
            let free = disk::free_bytes(folder).map(|free| free.saturating_add(disk::file_bytes(&folder.join("spool").join(SEGMENTS))));
            let allowance = allowance(free.ok());
            tracing::info!(spool.bytes_max = allowance, "readings may fill {} MiB of the disk before they are delivered", allowance >> 20);
            allowance
        }))
    }
}

/// The allowance when none is given and so many bytes are free.
fn allowance(free: Option<u64>) -> u64 {
    free.map_or(BYTES_MAX, |free| (free / FREE_SHARE).clamp(BYTES_MIN, BYTES_MAX))
}

/// Why the spool could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process holds the spool.
    #[error("the spool in {} is used by another gateway", path.display())]
    Locked {
        /// The spool's folder.
        path: PathBuf,
    },
    /// The spool could not be opened.
    #[error("could not open the spool in {}", path.display())]
    Open {
        /// The spool's folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        err: io::Error,
    },
    /// Frames could not be made durable; they wait in memory.
    #[error("could not write {frames} frames to the spool in {}", path.display())]
    Write {
        /// The spool's folder.
        path: PathBuf,
        /// How many frames wait.
        frames: usize,
        /// What the system said.
        #[source]
        err: io::Error,
    },
    /// A stored frame could not be read back.
    #[error("could not read the spool in {}", path.display())]
    Read {
        /// The spool's folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        err: io::Error,
    },
    /// A frame does not fit a segment.
    #[error("a frame of {bytes} bytes does not fit a segment of {segment_bytes}")]
    TooLarge {
        /// Bytes of the frame.
        bytes: usize,
        /// Bytes of a segment.
        segment_bytes: usize,
    },
    /// The disk refuses frames and the memory kept for them is used up: this frame was not kept.
    #[error("the disk under {} refuses frames and {waiting} already wait in memory", path.display())]
    Full {
        /// The spool's folder.
        path: PathBuf,
        /// How many frames wait.
        waiting: usize,
    },
}

/// A frame as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its sequence number.
    pub(crate) seq: u64,
    /// The encoded frame, or why it is gone.
    pub(crate) payload: Result<Vec<u8>, Lost>,
}

/// What a spool counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpoolCounters {
    /// Highest sequence number that is durable here.
    pub(crate) committed: u64,
    /// Highest sequence number that may be delivered: frames wait while the clock is not set.
    pub(crate) deliverable: u64,
    /// Every frame up to here is durable at the collector.
    pub(crate) acknowledged: u64,
    /// The oldest frame that is still here.
    pub(crate) oldest: u64,
    /// Frames that made room for newer ones before the collector had them.
    pub(crate) dropped: u64,
    /// Points that were left out of frames to make room before the collector had them.
    pub(crate) points_left_out: u64,
    /// Damaged stretches found.
    pub(crate) damaged: u64,
    /// Frames that wait in memory because the disk refuses them, or for the next commit.
    pub(crate) waiting: u64,
    /// Bytes on disk.
    pub(crate) bytes: u64,
    /// Disk allowance.
    pub(crate) bytes_max: u64,
    /// How much of the allowance is filled with frames that the collector does not have, in percent.
    pub(crate) percent: u8,
    /// The alarm level that holds: 0, 50, 80 or 95 percent.
    pub(crate) level: u8,
}

/// The segment that is written to.
#[derive(Debug)]
struct Active {
    file: Box<dyn DiskFile>,
    entries: Vec<Entry>,
    end: usize,
    /// Whether zeros must end each write, because older records may lie behind.
    reused: bool,
}

/// A segment that was read before: where its records are.
#[derive(Debug)]
struct Known {
    first: u64,
    file: Option<Box<dyn DiskFile>>,
    entries: Vec<Entry>,
}

/// A record that is not durable yet.
#[derive(Debug)]
struct Pending {
    seq: u64,
    bytes: Vec<u8>,
}

/// The log. Its operations block on the disk: an async caller moves them off its threads.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    id: SpoolId,
    options: SpoolOptions,
    disk: Arc<dyn Disk>,
    /// Oldest first; the last is the active one while there is one.
    segments: VecDeque<Segment>,
    /// Nothing after it was rewritten or its disk failed: the next commit begins another.
    active: Option<Active>,
    known: VecDeque<Known>,
    /// A released segment whose file the next one uses.
    spare: Option<Segment>,
    pending: VecDeque<Pending>,
    pending_bytes: usize,
    next_seq: u64,
    committed: u64,
    acknowledged: u64,
    cursor: Cursor,
    boots: Boots,
    dropped: u64,
    points_left_out: u64,
    quarantine: Quarantine,
    fill: Fill,
    percent: u8,
    events: VecDeque<SpoolEvent>,
    _lock: Box<dyn Any + Send>,
}

impl Spool {
    /// The name of this spool, new when the folder was.
    pub(crate) fn id(&self) -> SpoolId {
        self.id
    }

    /// Takes what happened since the last time and somebody should hear of.
    pub(crate) fn take_events(&mut self) -> Vec<SpoolEvent> {
        self.events.drain(..).collect()
    }

    fn tell(&mut self, event: SpoolEvent) {
        match event.urgency() {
            Urgency::Alarm => tracing::error!(event = event.code(), "{event}"),
            Urgency::Warning => tracing::warn!(event = event.code(), "{event}"),
            Urgency::Info => tracing::info!(event = event.code(), "{event}"),
        }
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn segments_folder(&self) -> PathBuf {
        self.folder.join(SEGMENTS)
    }

    /// Bytes of all segments on disk.
    fn bytes(&self) -> u64 {
        self.segments.iter().chain(&self.spare).map(|segment| segment.bytes).sum()
    }

    /// What this spool counts.
    pub(crate) fn counters(&self) -> SpoolCounters {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        SpoolCounters {
            committed: self.committed,
            deliverable: self.boots.deliverable(self.committed),
            acknowledged: self.acknowledged,
            oldest: self.segments.front().map_or(1, |segment| segment.first),
            dropped: self.dropped,
            points_left_out: self.points_left_out,
            damaged: self.quarantine.found,
            waiting: count(self.pending.len()),
            bytes: self.bytes(),
            bytes_max: self.options.bytes_max,
            percent: self.percent,
            level: self.fill.level(),
        }
    }
}

const SEGMENTS: &str = "segments";
const QUARANTINE: &str = "quarantine";
const REPLAY: &str = "replay";
const ID: &str = "id";
