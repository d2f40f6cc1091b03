//! Readers that are kept, and brought up to date for each question.
//!
//! To open a store is to read its whole manifest and what of the log is in no segment yet; of ten thousand series that takes
//! longer than most answers. One that was opened before needs only the entries of the log since then, and after a flush
//! or a merge the rows of the manifest that are new.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::manifest::Manifest;
use crate::reader::Reader;
use crate::store::OpenError;
use crate::wal::{Next, Tail, WalError};

/// The readers of one store. Questions that come at one time each have a reader of their own.
#[derive(Debug)]
pub struct Readers {
    dir: PathBuf,
    idle: Mutex<Vec<Following>>,
}

impl Readers {
    /// More than so many are not kept: each has in memory what is in no segment yet.
    const IDLE_MAX: usize = 2;

    /// Opens nothing yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), idle: Mutex::default() }
    }

    /// Where the store lies.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Asks a reader that has everything that was committed before this was called.
    ///
    /// * Errors: there is no store; it is damaged.
    pub fn ask<T>(&self, work: impl FnOnce(&Reader) -> T) -> Result<T, OpenError> {
        let kept = self.lock().pop();
        let following = match kept {
            Some(mut following) => {
                following.refresh(&self.dir)?;
                following
            }
            None => Following::open(&self.dir)?,
        };
        let answer = work(&following.reader);
        let mut idle = self.lock();
        if idle.len() < Self::IDLE_MAX {
            idle.push(following);
        }
        Ok(answer)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Following>> {
        self.idle.lock().expect("no thread panics while it takes a reader")
    }
}

/// A reader, and what it is brought up to date from.
#[derive(Debug)]
pub(crate) struct Following {
    pub(crate) reader: Reader,
    manifest: Manifest,
    /// Of the manifest, before it was read.
    version: i64,
    tail: Option<Tail>,
    store: Identity,
}

impl Following {
    pub(crate) fn open(dir: &Path) -> Result<Self, OpenError> {
        let store = Identity::of(dir);
        let (reader, manifest, version, tail) = Reader::open_following(dir)?;
        Ok(Self { reader, manifest, version, tail, store })
    }

    /// Brings the reader up to date, or opens another one when it cannot be.
    pub(crate) fn refresh(&mut self, dir: &Path) -> Result<(), OpenError> {
        // Whatever was in the way: one that is opened now has it behind itself, or says what it is.
        if Identity::of(dir) != self.store || !self.catch_up().unwrap_or(false) {
            *self = Self::open(dir)?;
        }
        Ok(())
    }

    /// False when what is between is neither in the log nor among what the manifest can add.
    fn catch_up(&mut self) -> Result<bool, OpenError> {
        self.read_log()?;
        let version = self.manifest.version()?;
        if version == self.version {
            return Ok(true);
        }
        let known: HashSet<i64> = self.reader.flushed().segments().iter().map(|segment| segment.id).collect();
        let changes = self.manifest.changes(&known)?;
        if changes.flushed_lsn > self.reader.last_lsn() {
            // What was flushed was in the log before: it came since we looked.
            self.read_log()?;
        }
        if changes.flushed_lsn > self.reader.last_lsn() {
            return Ok(false);
        }
        let letters = self.manifest.letters(Reader::LETTERS_MAX)?;
        self.reader.change(changes, letters);
        self.version = version;
        Ok(true)
    }

    /// Takes in the log up to its end, or to where it is no longer whole.
    fn read_log(&mut self) -> Result<(), WalError> {
        if self.tail.is_none() {
            self.tail = Tail::after(&self.reader.dir().join("wal"), self.reader.last_lsn())?;
        }
        let Some(tail) = self.tail.as_mut().filter(|tail| tail.next_lsn() == self.reader.last_lsn() + 1) else {
            self.tail = None;
            return Ok(());
        };
        loop {
            match tail.next()? {
                Next::Frame(lsn, payload) => {
                    if !self.reader.follow(lsn, payload) {
                        let (path, offset) = tail.place();
                        return Err(WalError::Unknown { path: path.to_owned(), offset });
                    }
                }
                Next::End => break,
                Next::Trimmed => {
                    self.tail = None;
                    break;
                }
            }
        }
        self.reader.followed();
        Ok(())
    }
}

/// Which store lies in a folder, and who has it. After a restart the log may end before an entry that was read and was never
/// safe, and another entry may have its number: then only a new reader knows which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    /// Device and inode.
    manifest: Option<(u64, u64)>,
    /// When it was taken for oneself the last time, in seconds and nanoseconds.
    taken: Option<(i64, i64)>,
}

impl Identity {
    fn of(dir: &Path) -> Self {
        Self {
            manifest: fs::metadata(dir.join("manifest.sqlite")).ok().map(|file| (file.dev(), file.ino())),
            taken: fs::metadata(dir.join("lock")).ok().map(|file| (file.mtime(), file.mtime_nsec())),
        }
    }
}
