//! A segment: one preallocated file of records.
//!
//! A segment is filled with zeros and made durable before its first record, so that later each commit changes bytes
//! only and one `fdatasync` writes no metadata. When the collector has a segment whole and its room is needed, its file
//! becomes the next segment: then not even the zeros are written.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    class::Kept,
    disk::{self, Disk, DiskFile},
    record::{self, Scan},
};

const ENDING: &str = "seg";
/// Digits of a segment's name.
const DIGITS: usize = 20;
/// No spool gets this far; a name that says so is not ours.
const FIRST_MAX: u64 = 1 << 62;

/// A segment by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The sequence number of its first record.
    pub(super) first: u64,
    pub(super) path: PathBuf,
    /// Its length on disk.
    pub(super) bytes: u64,
    /// What is left in it, as far as is known.
    pub(super) kept: Kept,
}

impl Segment {
    /// The segments in a folder, oldest first.
    pub(super) fn list(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<Self>> {
        let mut segments = Vec::new();
        for path in disk.files(folder)? {
            let Some(first) = path.file_name().and_then(|name| first_of(name.to_str()?)) else { continue };
            match disk.open(&path).and_then(|file| file.length()) {
                Ok(bytes) => segments.push(Self { first, path, bytes, kept: Kept::All }),
                // A running gateway removes them.
                Err(err) if err.kind() == io::ErrorKind::NotFound => {}
                Err(err) => return Err(err),
            }
        }
        segments.sort_by_key(|segment| segment.first);
        Ok(segments)
    }

    /// Removes what a start before left unfinished, and tells of files that are not ours.
    pub(super) fn tidy(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
        for path in disk.files(folder)? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.ends_with(disk::DRAFT) {
                disk.remove(&path)?;
            } else if first_of(name).is_none() {
                tracing::warn!(path = %path.display(), "a file that is not ours lies in the spool; it is left alone");
            }
        }
        Ok(())
    }

    /// Creates an empty segment, durable in name and size.
    pub(super) fn create(disk: &dyn Disk, folder: &Path, first: u64, bytes: usize) -> io::Result<(Self, Box<dyn DiskFile>)> {
        let name = name_of(first);
        let file = disk::place_zeros(disk, folder, &name, bytes)?;
        let bytes = u64::try_from(bytes).map_err(io::Error::other)?;
        Ok((Self { first, path: folder.join(name), bytes, kept: Kept::All }, file))
    }

    /// Makes an empty segment of the file of one that is released.
    pub(super) fn reuse(disk: &dyn Disk, spare: &Self, first: u64) -> io::Result<(Self, Box<dyn DiskFile>)> {
        let folder = spare.path.parent().ok_or(io::ErrorKind::NotFound)?;
        let file = disk.open(&spare.path)?;
        let begin = record::reuse(first).ok_or(io::ErrorKind::InvalidInput)?;
        file.write(&begin, 0)?;
        file.sync()?;
        let path = folder.join(name_of(first));
        disk.rename(&spare.path, &path)?;
        disk.sync_folder(folder)?;
        Ok((Self { first, path, bytes: spare.bytes, kept: Kept::All }, file))
    }

    /// Puts other bytes in its place: a power cut leaves the ones or the others.
    pub(super) fn replace(&mut self, disk: &dyn Disk, bytes: &[u8]) -> io::Result<()> {
        let folder = self.path.parent().ok_or(io::ErrorKind::NotFound)?;
        disk::place(disk, folder, &name_of(self.first), bytes)?;
        self.bytes = u64::try_from(bytes.len()).map_err(io::Error::other)?;
        Ok(())
    }

    /// Reads a segment whole. One that is gone reads as one without records.
    pub(super) fn load(&self, disk: &dyn Disk) -> io::Result<(Vec<u8>, Scan)> {
        let bytes = disk::read_whole(disk, &self.path)?.unwrap_or_default();
        let scan = record::scan(&bytes, self.first);
        Ok((bytes, scan))
    }
}

fn name_of(first: u64) -> String {
    format!("{first:0DIGITS$}.{ENDING}")
}

fn first_of(name: &str) -> Option<u64> {
    let (stem, ending) = name.split_once('.')?;
    let digits = stem.len() == DIGITS && stem.bytes().all(|byte| byte.is_ascii_digit());
    (digits && ending == ENDING).then_some(())?;
    stem.parse().ok().filter(|first| (1..FIRST_MAX).contains(first))
}
