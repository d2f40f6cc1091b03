//! Appending.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::replay::Tail;
use super::{WalError, frame};
use crate::fault::{self, Step};

/// The log, open at its end.
#[derive(Debug)]
pub(crate) struct Wal {
    dir: PathBuf,
    file: File,
    path: PathBuf,
    offset: u64,
    size: u64,
    next_lsn: u64,
    file_bytes: u64,
    /// Older files, with the lsn after their last.
    sealed: Vec<(u64, PathBuf)>,
    stopped: bool,
}

impl Wal {
    /// Goes on where a replay ended, after cutting what was torn.
    pub(crate) fn resume(dir: &Path, tail: Tail, file_bytes: u64) -> Result<Self, WalError> {
        let Tail { mut files, next_lsn, end } = tail;
        let Some((last_first, path)) = files.pop() else {
            let (file, path, size) = create(dir, next_lsn, file_bytes)?;
            sync_dir(dir)?;
            return Ok(Self {
                dir: dir.to_owned(),
                file,
                path,
                offset: frame::FILE_HEADER_BYTES,
                size,
                next_lsn,
                file_bytes,
                sealed: Vec::new(),
                stopped: false,
            });
        };
        let mut sealed = Vec::new();
        let ends = files.iter().skip(1).map(|(first, _)| *first).collect::<Vec<_>>();
        for (index, (_, file)) in files.into_iter().enumerate() {
            sealed.push((ends.get(index).copied().unwrap_or(last_first), file));
        }
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(WalError::io("open", &path))?;
        let size = file.metadata().map_err(WalError::io("read", &path))?.len();
        // Whatever lies behind the last good frame is cut off, so that it can never be taken for one.
        file.set_len(end).map_err(WalError::io("cut", &path))?;
        let size = size.max(end);
        preallocate(&file, &path, size)?;
        file.sync_all().map_err(WalError::io("sync", &path))?;
        Ok(Self { dir: dir.to_owned(), file, path, offset: end, size, next_lsn, file_bytes, sealed, stopped: false })
    }

    /// Makes sure that a frame of this many payload bytes fits. Nothing has changed when this fails.
    pub(crate) fn reserve(&mut self, payload_bytes: usize) -> Result<(), WalError> {
        if self.stopped {
            return Err(WalError::Stopped { path: self.path.clone() });
        }
        let need = u64::try_from(payload_bytes + frame::HEADER_BYTES).unwrap_or(u64::MAX);
        if self.offset.saturating_add(need) > self.size {
            self.roll(need.saturating_add(frame::FILE_HEADER_BYTES))?;
        }
        Ok(())
    }

    /// Writes a frame and returns when it is on the disk.
    ///
    /// * Shape: `buffer` starts with [`frame::HEADER_BYTES`] bytes that are overwritten; the payload follows.
    /// * Errors: after one, whether the frame is durable is unknown, and nothing more is ever written.
    pub(crate) fn append(&mut self, buffer: &mut [u8]) -> Result<u64, WalError> {
        self.reserve(buffer.len().saturating_sub(frame::HEADER_BYTES))?;
        let lsn = self.next_lsn;
        frame::seal(buffer, lsn);
        // Until proved otherwise: a failed fdatasync may have dropped the pages, and a second one would say all is well.
        self.stopped = true;
        self.file.write_all_at(buffer, self.offset).map_err(WalError::unknown("write", &self.path))?;
        fault::hit(Step::Sync).map_err(WalError::unknown("sync", &self.path))?;
        self.file.sync_data().map_err(WalError::unknown("sync", &self.path))?;
        self.stopped = false;
        self.offset += u64::try_from(buffer.len()).unwrap_or(u64::MAX);
        self.next_lsn += 1;
        Ok(lsn)
    }

    /// Reads back the bytes before the end, to prove that the disk still answers.
    pub(crate) fn read_back(&self, expected: &[u8]) -> Result<bool, WalError> {
        let len = u64::try_from(expected.len()).unwrap_or(u64::MAX);
        let mut found = vec![0; expected.len()];
        let at = self.offset.saturating_sub(len);
        self.file.read_exact_at(&mut found, at).map_err(WalError::io("read", &self.path))?;
        Ok(found == expected)
    }

    /// Starts a new file, so that the older ones can be trimmed. One without a frame is made longer instead: a new one would
    /// have its name, and whoever trims the old one would take away the new.
    pub(crate) fn roll(&mut self, bytes_min: u64) -> Result<(), WalError> {
        let bytes = self.file_bytes.max(bytes_min);
        if self.is_fresh() {
            preallocate(&self.file, &self.path, bytes)?;
            self.size = self.size.max(bytes);
            return Ok(());
        }
        let (file, path, size) = create(&self.dir, self.next_lsn, bytes)?;
        // The new file has its name now, whether that is on the disk or not: the old one must not go on beyond it.
        self.stopped = true;
        fault::hit(Step::FolderSync).map_err(WalError::unknown("sync", &self.dir))?;
        sync_dir(&self.dir)?;
        self.stopped = false;
        let old = std::mem::replace(&mut self.path, path);
        self.sealed.push((self.next_lsn, old));
        self.file = file;
        self.size = size;
        self.offset = frame::FILE_HEADER_BYTES;
        Ok(())
    }

    /// Removes the files of which every frame is at most `lsn`.
    pub(crate) fn trim(&mut self, lsn: u64) -> Result<(), WalError> {
        while let Some((end, path)) = self.sealed.first() {
            if *end > lsn.saturating_add(1) {
                break;
            }
            match std::fs::remove_file(path) {
                Err(err) if err.kind() != std::io::ErrorKind::NotFound => return Err(WalError::io("remove", path)(err)),
                _ => self.sealed.remove(0),
            };
        }
        Ok(())
    }

    /// The number of the next frame.
    pub(crate) fn next_lsn(&self) -> u64 {
        self.next_lsn
    }

    pub(crate) fn last_lsn(&self) -> u64 {
        self.next_lsn - 1
    }

    /// Whether the current file has any frame.
    pub(crate) fn is_fresh(&self) -> bool {
        self.offset == frame::FILE_HEADER_BYTES
    }

    /// Files before the current one.
    pub(crate) fn sealed_files(&self) -> usize {
        self.sealed.len()
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes that a restart would have to read.
    pub(crate) fn bytes(&self) -> u64 {
        let sealed = self.sealed.iter().filter_map(|(_, path)| path.metadata().ok()).map(|meta| meta.len()).sum::<u64>();
        sealed + self.offset
    }
}

/// Makes a file under another name first, so that a file with its real name always has a whole header. The folder is to be
/// synced then.
fn create(dir: &Path, first_lsn: u64, bytes: u64) -> Result<(File, PathBuf, u64), WalError> {
    let temporary = dir.join("next.wal-new");
    let created = create_by_way_of(&temporary, dir, first_lsn, bytes);
    if created.is_err()
        && let Err(err) = std::fs::remove_file(&temporary)
        && err.kind() != std::io::ErrorKind::NotFound
    {
        // What of it was allocated is space that a full disk needs; the next attempt takes the same name.
        tracing::warn!(path = %temporary.display(), error = %err, "a log file that was not finished could not be removed");
    }
    created
}

fn create_by_way_of(temporary: &Path, dir: &Path, first_lsn: u64, bytes: u64) -> Result<(File, PathBuf, u64), WalError> {
    let path = dir.join(format!("{first_lsn:020}.wal"));
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(temporary).map_err(WalError::io("create", temporary))?;
    preallocate(&file, &path, bytes)?;
    let mut header = frame::MAGIC.to_vec();
    header.extend(first_lsn.to_le_bytes());
    file.write_all_at(&header, 0).map_err(WalError::io("write", &path))?;
    file.sync_all().map_err(WalError::io("sync", &path))?;
    std::fs::rename(temporary, &path).map_err(WalError::io("rename", &path))?;
    Ok((file, path, bytes))
}

pub(crate) fn sync_dir(dir: &Path) -> Result<(), WalError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(WalError::io("sync", dir))
}

fn preallocate(file: &File, path: &Path, bytes: u64) -> Result<(), WalError> {
    fault::hit(Step::Preallocate).map_err(WalError::io("preallocate", path))?;
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        // Not every filesystem can: then the file only gets its length, and a full disk is noticed at the write.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(bytes).map_err(WalError::io("preallocate", path)),
        other => other.map_err(|errno| WalError::io("preallocate", path)(errno.into())),
    }
}
