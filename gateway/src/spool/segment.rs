//! A segment: one preallocated file of records.
//!
//! A segment is filled with zeros and made durable before its first record, so that later each commit changes bytes
//! only and one `fdatasync` writes no metadata.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use super::{
    disk::Disk,
    record::{self, Scan},
};

const ENDING: &str = "seg";

/// A segment by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The sequence number of its first record.
    pub(super) first: u64,
    pub(super) path: PathBuf,
}

impl Segment {
    /// The segments in a folder, oldest first.
    pub(super) fn list(folder: &Path) -> io::Result<Vec<Self>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let is_segment = path.extension().is_some_and(|ending| ending == ENDING);
            let first = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            if let Some(first) = first.filter(|_| is_segment) {
                segments.push(Self { first, path });
            }
        }
        segments.sort_by_key(|segment| segment.first);
        Ok(segments)
    }

    /// Creates an empty segment, durable in name and size.
    pub(super) fn create(disk: &mut Disk, folder: &Path, first: u64, bytes: usize) -> io::Result<(Self, File)> {
        let name = format!("{first:020}.{ENDING}");
        let file = disk.place(folder, &name, &vec![0; bytes])?;
        Ok((Self { first, path: folder.join(name) }, file))
    }

    /// Opens a segment for appending.
    pub(super) fn open(&self) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(&self.path)
    }

    /// Reads a segment whole. One that is gone reads as one without records.
    pub(super) fn load(&self) -> io::Result<(Vec<u8>, Scan)> {
        let bytes = match fs::read(&self.path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other?,
        };
        let scan = record::scan(&bytes);
        Ok((bytes, scan))
    }
}

/// Keeps damaged bytes for whoever wants to look at them.
///
/// A failure to keep them is logged and harms nothing.
pub(super) fn quarantine(folder: &Path, segment: &Segment, offset: usize, bytes: &[u8]) {
    let path = folder.join(format!("{:020}-{offset}.bin", segment.first));
    if path.exists() {
        return;
    }
    if let Err(err) = fs::create_dir_all(folder).and_then(|()| fs::write(&path, bytes)) {
        tracing::warn!(path = %path.display(), error = %err, "could not keep damaged bytes of the spool");
    }
}
