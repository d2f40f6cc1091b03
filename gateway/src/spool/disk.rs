//! The few things the spool does to a disk, in one place, so that a test can stop the world between any two of them.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

/// A step that changes what a power cut would leave behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    Write,
    Sync,
    Rename,
    SyncFolder,
    Remove,
}

/// The disk under a spool.
#[derive(Default)]
pub(super) struct Disk {
    #[cfg(test)]
    pub(super) before: Option<Box<dyn FnMut(Step) -> io::Result<()> + Send>>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    #[cfg(test)]
    fn about_to(&mut self, step: Step) -> io::Result<()> {
        self.before.as_mut().map_or(Ok(()), |before| before(step))
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "under test this is where faults come from")]
    fn about_to(&mut self, _: Step) -> io::Result<()> {
        Ok(())
    }

    /// A new or emptied file that can be read and written.
    pub(super) fn create(&mut self, path: &Path) -> io::Result<File> {
        self.about_to(Step::Create)?;
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)
    }

    pub(super) fn write(&mut self, file: &File, bytes: &[u8], offset: usize) -> io::Result<()> {
        self.about_to(Step::Write)?;
        let offset = u64::try_from(offset).map_err(io::Error::other)?;
        file.write_all_at(bytes, offset)
    }

    /// Makes the bytes of a file durable.
    pub(super) fn sync(&mut self, file: &File) -> io::Result<()> {
        self.about_to(Step::Sync)?;
        file.sync_data()
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.about_to(Step::Rename)?;
        fs::rename(from, to)
    }

    /// Makes the names in a folder durable.
    pub(super) fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        self.about_to(Step::SyncFolder)?;
        File::open(folder)?.sync_all()
    }

    /// Removes a file; one that is gone already is no error.
    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.about_to(Step::Remove)?;
        match fs::remove_file(path) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
            _ => Ok(()),
        }
    }

    /// Writes a small file so that a power cut leaves either nothing of it or all of it.
    pub(super) fn place(&mut self, folder: &Path, name: &str, bytes: &[u8]) -> io::Result<File> {
        let draft = folder.join(format!("{name}.new"));
        let file = self.create(&draft)?;
        self.write(&file, bytes, 0)?;
        self.sync(&file)?;
        self.rename(&draft, &folder.join(name))?;
        self.sync_folder(folder)?;
        Ok(file)
    }
}
