//! Damaged bytes, kept for whoever wants to look at them.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use super::{
    disk::{self, Disk},
    record::Scan,
    segment::Segment,
};

/// Most bytes kept; what is damaged after that is counted and not kept.
const BYTES_MAX: u64 = 4 << 20;

/// Where damaged bytes go, and which were noticed already.
#[derive(Debug)]
pub(super) struct Quarantine {
    folder: PathBuf,
    seen: BTreeSet<(u64, usize)>,
    /// Damaged stretches found.
    pub(super) found: u64,
    /// Bytes kept, by this run and before; unknown until the first is kept.
    bytes: Option<u64>,
}

impl Quarantine {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, seen: BTreeSet::new(), found: 0, bytes: None }
    }

    /// Notes what is damaged in a segment and keeps its bytes. A failure to keep them is told and harms nothing.
    ///
    /// Gives how many stretches and bytes are news.
    pub(super) fn note(&mut self, disk: &dyn Disk, segment: &Segment, bytes: &[u8], scan: &Scan) -> (u64, usize) {
        let mut news = (0, 0);
        for range in scan.damaged() {
            if !self.seen.insert((segment.first, range.start)) {
                continue;
            }
            news = (news.0 + 1, news.1 + range.len());
            let name = format!("{:020}-{}.bin", segment.first, range.start);
            if let Err(err) = self.keep(disk, &name, bytes.get(range.clone()).unwrap_or_default()) {
                tracing::warn!(error = %err, "could not keep damaged bytes of the spool");
            }
        }
        self.found += news.0;
        news
    }

    fn keep(&mut self, disk: &dyn Disk, name: &str, bytes: &[u8]) -> io::Result<()> {
        disk.make_folder(&self.folder)?;
        let kept = match self.bytes {
            Some(kept) => kept,
            None => lengths(disk, &self.folder)?,
        };
        let more = u64::try_from(bytes.len()).map_err(io::Error::other)?;
        let is_there = disk.files(&self.folder)?.iter().any(|path| path.ends_with(name));
        if is_there || kept + more > BYTES_MAX {
            self.bytes = Some(kept);
            return Ok(());
        }
        disk::place(disk, &self.folder, name, bytes)?;
        self.bytes = Some(kept + more);
        Ok(())
    }
}

fn lengths(disk: &dyn Disk, folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for path in disk.files(folder)? {
        bytes += disk.open(&path)?.length()?;
    }
    Ok(bytes)
}
