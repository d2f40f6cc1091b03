//! The folder that the daemon and the command line share.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    process::{Gid, Uid},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::remote::durable;

#[derive(Debug)]
pub(super) struct Folder {
    data_dir: PathBuf,
    path: PathBuf,
}

impl Folder {
    pub(super) fn of(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), path: data_dir.join("local") }
    }

    /// Does something while nobody else does.
    pub(super) fn locked<T>(&self, work: impl FnOnce(&Self) -> io::Result<T>) -> io::Result<T> {
        if !self.path.is_dir() {
            fs::create_dir_all(&self.data_dir)?;
            match DirBuilder::new().mode(0o700).create(&self.path) {
                Err(err) if err.kind() != io::ErrorKind::AlreadyExists => return Err(err),
                _ => self.give_to_owner(&self.path)?,
            }
        }
        let lock = File::open(&self.path)?;
        flock(&lock, FlockOperation::LockExclusive)?;
        work(self)
    }

    pub(super) fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        let Some(bytes) = durable::read(&self.path.join(name))? else { return Ok(None) };
        // A file that makes no sense pairs nobody.
        Ok(serde_json::from_slice(&bytes).ok())
    }

    pub(super) fn write(&self, name: &str, content: &impl Serialize) -> io::Result<()> {
        let bytes = serde_json::to_vec(content).map_err(io::Error::other)?;
        durable::place(&self.path, name, &bytes)?;
        self.give_to_owner(&self.path.join(name))
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
            _ => File::open(&self.path)?.sync_all(),
        }
    }

    /// An administrator's command line leaves files that the daemon, which is nobody special, can read.
    fn give_to_owner(&self, path: &Path) -> io::Result<()> {
        let owner = fs::metadata(&self.data_dir)?;
        if fs::metadata(path)?.uid() != owner.uid() {
            rustix::fs::chown(path, Some(Uid::from_raw(owner.uid())), Some(Gid::from_raw(owner.gid())))?;
        }
        Ok(())
    }
}
