//! A disk in memory that forgets, tears and fails.
//!
//! What is written is seen at once and durable only after `sync`; names are durable only after `sync_folder`. A cut of
//! the power keeps what is durable, some of the names in the order they were made, and of every write that was not
//! synced any of its sectors of 512 bytes.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Disk, DiskFile};

/// What a disk changes at once.
pub(in super::super) const SECTOR_BYTES: usize = 512;

/// A step that changes what a power cut would leave behind, or reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Step {
    Create,
    Write,
    Sync,
    Rename,
    SyncFolder,
    Remove,
    Read,
}

/// How a cut treats a write that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Tear {
    /// Nothing of it.
    Nothing,
    /// All of it.
    All,
    /// Its first so many sectors.
    First(usize),
    /// Its last so many sectors.
    Last(usize),
    /// Any of them.
    Any(u64),
}

type Before = Box<dyn FnMut(Step, &Path) -> io::Result<()> + Send>;

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub(in super::super) struct MemoryDisk {
    state: Arc<Mutex<State>>,
    before: Arc<Mutex<Option<Before>>>,
}

#[derive(Clone, Debug, Default)]
struct State {
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names that are not durable, in order.
    changes: Vec<Change>,
    locked: BTreeSet<PathBuf>,
    bytes_written: u64,
    pages_written: u64,
}

#[derive(Clone, Debug, Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum Change {
    Made(PathBuf, usize),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryDisk")
    }
}

impl MemoryDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn about_to(&self, step: Step, path: &Path) -> io::Result<()> {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        before.as_mut().map_or(Ok(()), |before| before(step, path))
    }

    /// Has something done before every step; it may refuse the step.
    pub(in super::super) fn before(&self, before: impl FnMut(Step, &Path) -> io::Result<()> + Send + 'static) {
        *self.before.lock().unwrap() = Some(Box::new(before));
    }

    /// Lets every step happen again.
    pub(in super::super) fn heal(&self) {
        *self.before.lock().unwrap() = None;
    }

    /// Bytes handed to `write` so far.
    pub(in super::super) fn bytes_written(&self) -> u64 {
        self.state().bytes_written
    }

    /// Pages of 4 KiB that were made durable so far: what a disk must write at least.
    pub(in super::super) fn pages_written(&self) -> u64 {
        self.state().pages_written
    }

    /// The files and what they hold, as a program sees them.
    pub(in super::super) fn seen(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        state.names.iter().map(|(path, &file)| (path.clone(), state.files[file].seen.clone())).collect()
    }

    /// Changes a file behind the spool's back, durably. Nothing removes it.
    pub(in super::super) fn harm(&self, path: &Path, content: Option<Vec<u8>>) {
        let mut state = self.state();
        match content {
            Some(bytes) => {
                state.files.push(Content { seen: bytes.clone(), durable: bytes, unsynced: Vec::new() });
                let file = state.files.len() - 1;
                state.names.insert(path.to_owned(), file);
                state.durable_names.insert(path.to_owned(), file);
            }
            None => {
                state.names.remove(path);
                state.durable_names.remove(path);
            }
        }
    }

    /// The longest write that a cut could tear now, in sectors.
    pub(in super::super) fn sectors_unsynced(&self) -> usize {
        let state = self.state();
        let writes = state.files.iter().flat_map(|file| &file.unsynced);
        writes.map(|(offset, bytes)| sectors(*offset, bytes.len()).count()).max().unwrap_or(0)
    }

    /// The disk that a cut of the power would leave, of which `names` changes of names had become durable.
    pub(in super::super) fn cut(&self, tear: Tear, names: usize) -> Self {
        let now = self.state();
        let mut left = State { durable_names: now.durable_names.clone(), ..State::default() };
        for change in now.changes.iter().take(names) {
            apply(&mut left.durable_names, change);
        }
        for file in &now.files {
            let mut durable = file.durable.clone();
            for (number, (offset, bytes)) in file.unsynced.iter().enumerate() {
                let count = sectors(*offset, bytes.len()).count();
                for (index, (from, to)) in sectors(*offset, bytes.len()).enumerate() {
                    let kept = match tear {
                        Tear::Nothing => false,
                        Tear::All => true,
                        Tear::First(first) => index < first,
                        Tear::Last(last) => index + last >= count,
                        Tear::Any(seed) => mix(seed ^ (number as u64) << 32 ^ index as u64) & 1 == 1,
                    };
                    if kept {
                        overlay(&mut durable, from, &bytes[from - offset..to - offset]);
                    }
                }
            }
            left.files.push(Content { seen: durable.clone(), durable, unsynced: Vec::new() });
        }
        left.names = left.durable_names.clone();
        Self { state: Arc::new(Mutex::new(left)), before: Arc::default() }
    }

    /// Changes of names that a cut could keep or lose.
    pub(in super::super) fn names_unsynced(&self) -> usize {
        self.state().changes.len()
    }

    fn file(&self, path: &Path, index: usize) -> Box<dyn DiskFile> {
        Box::new(MemoryFile { disk: self.clone(), path: path.to_owned(), index })
    }
}

/// The sectors that a write touches, as ranges of the file.
fn sectors(offset: usize, length: usize) -> impl Iterator<Item = (usize, usize)> {
    let end = offset + length;
    let first = offset / SECTOR_BYTES;
    (first..end.div_ceil(SECTOR_BYTES)).map(move |sector| ((sector * SECTOR_BYTES).max(offset), ((sector + 1) * SECTOR_BYTES).min(end)))
}

fn overlay(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if content.len() < offset + bytes.len() {
        content.resize(offset + bytes.len(), 0);
    }
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn apply(names: &mut BTreeMap<PathBuf, usize>, change: &Change) {
    match change {
        Change::Made(path, file) => {
            names.insert(path.clone(), *file);
        }
        Change::Renamed(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        Change::Removed(path) => {
            names.remove(path);
        }
    }
}

/// A number that depends on every bit of another.
pub(in super::super) fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

struct Held(MemoryDisk, PathBuf);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state().locked.remove(&self.1);
    }
}

impl Disk for MemoryDisk {
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>> {
        if self.state().locked.insert(path.to_owned()) {
            Ok(Box::new(Held(self.clone(), path.to_owned())))
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    fn make_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn files(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.state().names.keys().filter(|path| path.parent() == Some(folder)).cloned().collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.about_to(Step::Create, path)?;
        let mut state = self.state();
        state.files.push(Content::default());
        let index = state.files.len() - 1;
        let change = Change::Made(path.to_owned(), index);
        apply(&mut state.names, &change);
        state.changes.push(change);
        drop(state);
        Ok(self.file(path, index))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let index = self.state().names.get(path).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(path, index))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.about_to(Step::Rename, from)?;
        let mut state = self.state();
        let change = Change::Renamed(from.to_owned(), to.to_owned());
        apply(&mut state.names, &change);
        state.changes.push(change);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.about_to(Step::Remove, path)?;
        let mut state = self.state();
        let change = Change::Removed(path.to_owned());
        apply(&mut state.names, &change);
        state.changes.push(change);
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.about_to(Step::SyncFolder, folder)?;
        let mut state = self.state();
        let changes = std::mem::take(&mut state.changes);
        for change in changes {
            let (Change::Made(path, _) | Change::Renamed(_, path) | Change::Removed(path)) = &change;
            if path.parent() == Some(folder) {
                apply(&mut state.durable_names, &change);
            } else {
                state.changes.push(change);
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryFile {
    disk: MemoryDisk,
    path: PathBuf,
    index: usize,
}

impl DiskFile for MemoryFile {
    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.about_to(Step::Write, &self.path)?;
        let mut state = self.disk.state();
        state.bytes_written += bytes.len() as u64;
        let offset = usize::try_from(offset).unwrap();
        let file = &mut state.files[self.index];
        overlay(&mut file.seen, offset, bytes);
        file.unsynced.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.about_to(Step::Sync, &self.path)?;
        let mut state = self.disk.state();
        let file = &mut state.files[self.index];
        let pages: BTreeSet<usize> =
            file.unsynced.iter().flat_map(|(offset, bytes)| offset / 4096..(offset + bytes.len()).div_ceil(4096)).collect();
        file.unsynced.clear();
        file.durable.clone_from(&file.seen);
        state.pages_written += pages.len() as u64;
        Ok(())
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.about_to(Step::Read, &self.path)?;
        let state = self.disk.state();
        let content = &state.files[self.index].seen;
        let rest = content.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.index].seen.len() as u64)
    }
}
