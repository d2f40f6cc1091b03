//! Everything but the log: what is known, what is in memory, the segments, and the manifest that says so.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::derived::DerivedRow;
use crate::flushed::{Flushed, SegmentError};
use crate::manifest::{Manifest, ManifestError, SegmentRow};
use crate::row::Counters;
use crate::state::{Frozen, State};
use crate::store::OpenError;
use crate::wal::{Record, WalError};

/// Why readings could not be moved to segments. They stay durable where they were.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    #[error("could not {what} {}", path.display())]
    Segment {
        what: &'static str,
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    #[error("could not encode {}", path.display())]
    Encode {
        path: PathBuf,
        #[source]
        err: parquet::errors::ParquetError,
    },
    #[error("{} is not what was written: restore it from a copy", path.display())]
    Damaged { path: PathBuf },
    #[error(transparent)]
    Read(#[from] SegmentError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Wal(#[from] WalError),
}

/// What is known and in memory, and where the rest lies. Commits need it whole, so nobody keeps it for long.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) dir: PathBuf,
    pub(crate) state: State,
    pub(crate) flushed: Flushed,
    /// The files of quarters.
    pub(crate) derived: Vec<DerivedRow>,
    pub(crate) next_segment: i64,
    /// Everything up to this entry of the log is in segments and in the manifest.
    pub(crate) flushed_lsn: u64,
}

/// The manifest, and what it says that every change of it says again. Commits do not wait for it.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) manifest: Manifest,
    pub(crate) flushed_lsn: u64,
    pub(crate) counters: Counters,
}

impl Archive {
    /// Opens for the one process that writes.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Published), OpenError> {
        let mut manifest = Manifest::open(&dir.join("manifest.sqlite"))?;
        let mut snapshot = manifest.load()?;
        let state = State::from_manifest(&mut snapshot).ok_or_else(|| OpenError::Contradiction { dir: dir.to_owned() })?;
        let flushed = Flushed::new(dir, std::mem::take(&mut snapshot.segments));
        let (next_segment, flushed_lsn) = (snapshot.next_segment, snapshot.flushed_lsn);
        let archive = Self { dir: dir.to_owned(), state, flushed, derived: snapshot.derived, next_segment, flushed_lsn };
        Ok((archive, Published { manifest, flushed_lsn, counters: snapshot.counters }))
    }

    /// Numbers for new segments, and the entries of the log that they come from.
    pub(crate) fn reserve(&mut self, segments: usize, frozen: &Frozen) -> (i64, (u64, u64)) {
        let first = self.next_segment;
        self.next_segment = first.saturating_add(i64::try_from(segments).unwrap_or(i64::MAX));
        (first, (self.flushed_lsn + 1, frozen.lsn))
    }

    /// The manifest has what was frozen: it is no longer in memory.
    pub(crate) fn flushed(&mut self, frozen: &Frozen, added: Vec<SegmentRow>, removed: &HashSet<i64>) {
        self.flushed_lsn = frozen.lsn;
        self.state.flushed();
        self.flushed.change(added, removed);
    }

    /// Removes files that no manifest has ever named: what a flush that was cut off left behind.
    pub(crate) fn remove_strangers(&self, published: &mut Published) -> Result<(), OpenError> {
        published.remove_retired_files(&self.dir)?;
        let known: HashSet<&str> = self.flushed.segments().iter().map(|segment| segment.path.as_str()).collect();
        self.remove_strangers_of("segments", &known)?;
        self.remove_strangers_of("derived", &self.derived.iter().map(|row| row.path.as_str()).collect())
    }

    fn remove_strangers_of(&self, place: &str, known: &HashSet<&str>) -> Result<(), OpenError> {
        let dir = self.dir.join(place);
        let folder = |what| {
            let path = dir.clone();
            move |err| OpenError::Folder { what, path, err }
        };
        for entry in std::fs::read_dir(&dir).map_err(folder("list"))? {
            let entry = entry.map_err(folder("list"))?;
            let name = entry.file_name();
            let is_known = name.to_str().is_some_and(|name| known.contains(format!("{place}/{name}").as_str()));
            if !is_known {
                std::fs::remove_file(entry.path()).map_err(folder("clean"))?;
            }
        }
        Ok(())
    }
}

impl Published {
    fn remove_retired_files(&mut self, dir: &Path) -> Result<(), OpenError> {
        let retired = self.manifest.retired()?;
        remove_files(dir, &retired).map_err(|(path, err)| OpenError::Folder { what: "remove", path, err })?;
        Ok(self.manifest.forget_retired(&retired)?)
    }
}

/// Removes files that may be gone already.
pub(crate) fn remove_files(dir: &Path, paths: &[String]) -> Result<(), (PathBuf, std::io::Error)> {
    for path in paths.iter().map(|path| dir.join(path)) {
        match std::fs::remove_file(&path) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => return Err((path, err)),
            _ => {}
        }
    }
    Ok(())
}

/// Applies the records of one frame.
pub(crate) fn apply(state: &mut State, lsn: u64, payload: &[u8]) -> bool {
    let mut follows = true;
    Record::decode_all(payload, |record| follows = follows && state.apply(lsn, record)).is_some() && follows
}
