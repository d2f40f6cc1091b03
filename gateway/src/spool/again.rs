//! Sending frames again that the collector had already, because somebody asks: after a restore, or an audit.
//!
//! Delivered segments stay until their room is needed, so what is asked for is usually here. A command from afar goes to
//! the uplink at once; somebody at the gateway leaves a small file in `replay/`, which the gateway takes within a second:
//!
//! ```json
//! {"schema":"negawatt.replay/1","first":5,"last":124}
//! ```

use std::{
    io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use wire::SeqRange;

use super::{
    REPLAY, SEGMENTS, Spool, boot,
    disk::{self, Disk, SystemDisk},
    record,
    segment::Segment,
};

/// Requests taken at once.
const REQUESTS_PER_LOOK: usize = 8;
const SCHEMA: &str = "negawatt.replay/1";
const ENDING: &str = "json";

/// What is to be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Frames by number.
    Frames(RangeInclusive<u64>),
    /// Frames by the minute they were polled at, in milliseconds since 1970 UTC.
    Times(RangeInclusive<i64>),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    schema: String,
    first: u64,
    last: u64,
}

impl Spool {
    /// Takes the requests that were left in the spool's folder, as far as their frames are here and delivered. Newer ones
    /// are sent without being asked for.
    pub(super) fn take_requests(&mut self) -> Vec<SeqRange> {
        let folder = self.folder.join(REPLAY);
        // Nobody ever asked when there is no such folder.
        let files = self.disk.files(&folder).unwrap_or_default();
        let ours = files.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == ENDING));
        let mut taken = Vec::new();
        for path in ours.take(REQUESTS_PER_LOOK) {
            let frames = disk::read_whole(&*self.disk, &path).ok().flatten().and_then(|bytes| frames_of(&bytes));
            if let Err(err) = self.disk.remove(&path) {
                // It would be done again and again.
                tracing::warn!(path = %path.display(), error = %err, "a request to send frames again cannot be removed; it is left alone");
                continue;
            }
            match frames.and_then(|frames| self.delivered(&frames)) {
                Some(range) => taken.push(range),
                None => tracing::warn!(path = %path.display(), "a request to send frames again names none that is here and delivered"),
            }
        }
        taken
    }

    /// The part of some frames that is here and that the collector has confirmed.
    fn delivered(&self, frames: &RangeInclusive<u64>) -> Option<SeqRange> {
        let oldest = self.segments.front().map_or(1, |segment| segment.first);
        let range = SeqRange { first: (*frames.start()).max(oldest), last: (*frames.end()).min(self.acknowledged) };
        (range.first <= range.last).then_some(range)
    }
}

fn frames_of(bytes: &[u8]) -> Option<RangeInclusive<u64>> {
    let request: Request = serde_json::from_slice(bytes).ok()?;
    (request.schema == SCHEMA && request.first <= request.last).then_some(request.first..=request.last)
}

/// A spool seen from outside, while a gateway may be using it.
#[derive(Clone, Debug)]
pub(crate) struct SpoolView {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
}

impl SpoolView {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { disk: Arc::new(SystemDisk), folder: folder.to_owned() }
    }

    #[cfg(test)]
    pub(super) fn of(spool: &Spool) -> Self {
        Self { disk: Arc::clone(&spool.disk), folder: spool.folder.clone() }
    }

    /// The first and the last frame that are here of those asked for.
    pub(crate) fn find(&self, again: &Again) -> io::Result<Option<RangeInclusive<u64>>> {
        let segments = Segment::list(&*self.disk, &self.folder.join(SEGMENTS))?;
        let mut found: Option<RangeInclusive<u64>> = None;
        for (index, segment) in segments.iter().enumerate() {
            let next = segments.get(index + 1).map_or(u64::MAX, |next| next.first);
            let apart = |frames: &RangeInclusive<u64>| next <= *frames.start() || segment.first > *frames.end();
            if matches!(again, Again::Frames(frames) if apart(frames)) {
                continue;
            }
            let (bytes, scan) = segment.load(&*self.disk)?;
            for entry in scan.entries.iter().filter(|entry| entry.seq < next) {
                let asked = match again {
                    Again::Frames(frames) => frames.contains(&entry.seq),
                    Again::Times(times) => {
                        let frame = bytes.get(entry.offset..entry.end).and_then(record::frame);
                        frame.as_deref().and_then(boot::minute).is_some_and(|minute| times.contains(&minute))
                    }
                };
                if asked {
                    found = Some(found.map_or(entry.seq, |frames| *frames.start())..=entry.seq);
                }
            }
        }
        Ok(found)
    }

    /// Leaves a request for the gateway that uses this spool, or will.
    ///
    /// * `name` tells requests apart.
    pub(crate) fn ask(&self, frames: &RangeInclusive<u64>, name: &str) -> io::Result<()> {
        let folder = self.folder.join(REPLAY);
        self.disk.make_folder(&folder)?;
        let request = Request { schema: SCHEMA.to_owned(), first: *frames.start(), last: *frames.end() };
        let text = serde_json::to_vec(&request).map_err(io::Error::other)?;
        disk::place(&*self.disk, &folder, &format!("{name}.{ENDING}"), &text).map(drop)
    }
}
