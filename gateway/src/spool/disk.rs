//! The few things the spool does to a disk, in one place, so that a test can stop the world between any two of them.
//!
//! There are two disks: the system's, and in tests one in memory that forgets what was not made durable, tears what is
//! being written, and fails when told to.

#[cfg(test)]
pub(super) mod memory;

use std::{
    any::Any,
    fmt::Debug,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Bytes that are read one by one when a file cannot be read whole.
const PAGE_BYTES: usize = 4096;

/// What a spool stands on.
pub(super) trait Disk: Send + Sync + Debug {
    /// Holds a file for this process until the guard is dropped.
    ///
    /// * Errors: `WouldBlock` while another holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>>;

    /// Makes a folder and those above it.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// The plain files of a folder.
    fn files(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// A new or emptied file that can be read and written.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// A file that is there, to be read and written.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, in place of the one that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; one that is gone already is no error.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// An open file.
pub(super) trait DiskFile: Send + Debug {
    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the bytes of the file durable.
    fn sync(&self) -> io::Result<()>;

    /// Reads up to the end of the file; says how many bytes.
    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    fn length(&self) -> io::Result<u64>;
}

/// Zeros that are written at once. Asked of the memory once for a whole segment, they would never be given back.
const ZEROS_BYTES: usize = 64 << 10;

/// Writes a small file so that a power cut leaves either nothing of it or all of it.
pub(super) fn place(disk: &dyn Disk, folder: &Path, name: &str, bytes: &[u8]) -> io::Result<Box<dyn DiskFile>> {
    place_filled(disk, folder, name, |file| file.write(bytes, 0))
}

/// As [`place`], a file of nothing but zeros.
pub(super) fn place_zeros(disk: &dyn Disk, folder: &Path, name: &str, length: usize) -> io::Result<Box<dyn DiskFile>> {
    place_filled(disk, folder, name, |file| write_zeros(file, 0, length))
}

/// Writes zeros over a part of a file.
pub(super) fn write_zeros(file: &dyn DiskFile, offset: u64, length: usize) -> io::Result<()> {
    let zeros = vec![0; length.min(ZEROS_BYTES)];
    let mut done = 0;
    while let Some(piece) = zeros.get(..zeros.len().min(length - done)).filter(|piece| !piece.is_empty()) {
        file.write(piece, offset + u64::try_from(done).map_err(io::Error::other)?)?;
        done += piece.len();
    }
    Ok(())
}

fn place_filled(
    disk: &dyn Disk,
    folder: &Path,
    name: &str,
    fill: impl FnOnce(&dyn DiskFile) -> io::Result<()>,
) -> io::Result<Box<dyn DiskFile>> {
    let draft = folder.join(format!("{name}{DRAFT}"));
    let placed = write_draft(disk, &draft, fill).and_then(|file| disk.rename(&draft, &folder.join(name)).map(|()| file));
    if placed.is_err() {
        // It would only take room; the next start removes it otherwise.
        disk.remove(&draft).ok();
    }
    let file = placed?;
    disk.sync_folder(folder)?;
    Ok(file)
}

/// How files end that are not finished.
pub(super) const DRAFT: &str = ".new";

fn write_draft(disk: &dyn Disk, draft: &Path, fill: impl FnOnce(&dyn DiskFile) -> io::Result<()>) -> io::Result<Box<dyn DiskFile>> {
    let file = disk.create(draft)?;
    fill(&*file)?;
    file.sync()?;
    Ok(file)
}

/// Reads a file whole; nothing when it is gone.
///
/// A card that cannot give some of its pages reads as zeros there, which the checksums find.
pub(super) fn read_whole(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    let Err(err) = read_exact(&*file, &mut bytes, 0) else { return Ok(Some(bytes)) };
    let mut readable = false;
    for (page, offset) in bytes.chunks_mut(PAGE_BYTES).zip((0..).step_by(PAGE_BYTES)) {
        match read_exact(&*file, page, offset) {
            Ok(()) => readable = true,
            Err(_unreadable) => page.fill(0),
        }
    }
    // A disk that gives nothing at all is gone, and may come back.
    if readable { Ok(Some(bytes)) } else { Err(err) }
}

/// Fills `bytes`; a file that ends before leaves zeros.
pub(super) fn read_exact(file: &dyn DiskFile, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let at = offset + u64::try_from(done).map_err(io::Error::other)?;
        match file.read(rest, at)? {
            0 => break,
            read => done += read,
        }
    }
    Ok(())
}

/// Bytes that this user may still write where a folder is.
pub(super) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Bytes of the files in a folder, as far as can be told.
pub(super) fn file_bytes(folder: &Path) -> u64 {
    let files = SystemDisk.files(folder).unwrap_or_default();
    files.iter().filter_map(|path| fs::metadata(path).ok()).map(|file| file.len()).sum()
}

/// The disk of the operating system.
#[derive(Clone, Copy, Debug)]
pub(super) struct SystemDisk;

impl Disk for SystemDisk {
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>> {
        let file = File::create(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(err)) => Err(err),
        }
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn files(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push(entry.path());
            }
        }
        Ok(files)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
            _ => Ok(()),
        }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

impl DiskFile for File {
    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.read_at(bytes, offset) {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
