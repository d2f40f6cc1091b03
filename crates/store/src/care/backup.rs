//! A copy of a store that costs only what is new, taken while the store is written.
//!
//! ```text
//! segments/*.parquet       as in the store; they never change, so each is copied once
//! derived/*.parquet        the quarters of an hour: what is left of months whose readings were dropped
//! snapshot-000007/         the manifest by SQLite's own means, the log behind it, the anchors, the journal of the collector
//! snapshot-000007/SHA256SUMS   of all of these
//! current                  the name of the last snapshot that is whole
//! ```
//!
//! `current` is written last: a copy that was cut off leaves the one before it as it was.
//!
//! The journal is copied before the log, and all of it once more when it was written meanwhile: so the copy has no change
//! that one of the two does not know of, and the watermarks of a copy never run ahead of its readings.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{Findings, fsck, sha256};
use crate::derived::DerivedRow;
use crate::manifest::{COMPANIONS, Companion, Manifest, ManifestError, Publication, Snapshot};
use crate::store::OpenError;
use crate::wal::{Reading, WalError, replay};

/// Why there is no copy, or why it could not be brought back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("could not {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        err: io::Error,
    },
    #[error("{} is not what was written: repair the store first (`negawatt store fsck`)", path.display())]
    Damaged { path: PathBuf },
    #[error("{} is not empty: name a new folder", path.display())]
    NotEmpty { path: PathBuf },
    #[error("there is no copy in {}", path.display())]
    Absent { path: PathBuf },
    #[error("the store changed faster than it could be copied, {attempts} times: try again")]
    Busy {
        attempts: u32,
        #[source]
        err: Moved,
    },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the copy is not whole: {problems} problems, the first is {}: {first}", path.display())]
    NotWhole { problems: usize, path: PathBuf, first: String },
}

/// What a copy consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupReport {
    pub snapshot: String,
    pub segments: u64,
    /// Of these: copied now, because they were not there.
    pub copied: u64,
    /// Files of quarters of an hour, and of these: copied now.
    pub derived: u64,
    pub derived_copied: u64,
    /// Of both.
    pub copied_bytes: u64,
    /// Readings in segments.
    pub rows: u64,
    /// The journal of the collector, as it was copied; nothing where there is none.
    pub journal_bytes: u64,
}

/// What was written while it was copied.
#[derive(Debug, thiserror::Error)]
pub enum Moved {
    #[error(transparent)]
    Log(WalError),
    #[error("{} was written while the log was copied", path.display())]
    Journal { path: PathBuf },
}

/// Beside each snapshot, as `sha256sum` writes and checks it.
const SUMS: &str = "SHA256SUMS";
const ATTEMPTS: u32 = 20;

fn io_err(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |err| BackupError::Io { what, path, err }
}

/// Copies a store into `to`, beside the process that writes it. Only what is not there is copied.
pub fn backup(dir: &Path, to: &Path) -> Result<BackupReport, BackupError> {
    if !dir.join("manifest.sqlite").exists() {
        return Err(OpenError::Absent { dir: dir.to_owned() }.into());
    }
    let (segments, derived) = (to.join("segments"), to.join("derived"));
    for folder in [&segments, &derived] {
        fs::create_dir_all(folder).map_err(io_err("create", folder))?;
    }
    let before = current(to).ok();
    let number = before.as_deref().and_then(number_of).unwrap_or(0) + 1;
    let (name, folder) = (format!("snapshot-{number:06}"), to.join(format!("snapshot-{number:06}")));
    let mut attempts = 0;
    loop {
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(io_err("remove", &folder))?;
        }
        let mut report = BackupReport { snapshot: name.clone(), ..BackupReport::default() };
        let taken = snapshot(dir, &folder, &mut report).and_then(|kept| copy_files(dir, to, &kept, &mut report).map(|()| kept));
        let kept = match taken {
            Ok(kept) => kept,
            Err(Failed::Changed(err)) if attempts >= ATTEMPTS => return Err(BackupError::Busy { attempts, err }),
            Err(Failed::Changed(_)) => {
                attempts += 1;
                continue;
            }
            Err(Failed::For(err)) => return Err(err),
        };
        for folder in [&segments, &derived, &folder, &to.to_owned()] {
            sync_dir(folder)?;
        }
        write_current(to, &name)?;
        forget_others(to, &name, &kept)?;
        return Ok(report);
    }
}

/// Why an attempt to copy a store that is written came to nothing.
enum Failed {
    /// The writer took something away meanwhile: the next attempt may succeed.
    Changed(Moved),
    For(BackupError),
}

impl<E: Into<BackupError>> From<E> for Failed {
    fn from(err: E) -> Self {
        Self::For(err.into())
    }
}

fn gone(path: &Path) -> impl FnOnce(io::Error) -> Failed {
    let path = path.to_owned();
    move |err| match err.kind() {
        io::ErrorKind::NotFound => Failed::Changed(Moved::Log(WalError::Io { what: "copy", path, err })),
        _ => Failed::For(BackupError::Io { what: "copy", path, err }),
    }
}

/// The journal, the manifest and the log behind it.
fn snapshot(dir: &Path, folder: &Path, report: &mut BackupReport) -> Result<Snapshot, Failed> {
    let log = folder.join("wal");
    fs::create_dir_all(&log).map_err(io_err("create", &log))?;
    let mut companions = Vec::new();
    for (path, copy) in COMPANIONS.map(|name| (dir.join(name), folder.join(name))) {
        let Some(mut companion) = Companion::open(&path)? else { continue };
        let version = companion.version()?;
        companion.copy_to(&copy)?;
        sync(&copy)?;
        report.journal_bytes += copy.metadata().map_err(io_err("read", &copy))?.len();
        companions.push((path, companion, version));
    }
    let copy = folder.join("manifest.sqlite");
    Manifest::open_beside(&dir.join("manifest.sqlite"))?.copy_to(&copy)?;
    let mut snapshot = Manifest::open_beside(&copy)?.load()?;
    leave_lost_out(dir, &copy, &mut snapshot)?;
    let source = dir.join("wal");
    for entry in fs::read_dir(&source).map_err(io_err("list", &source))? {
        let path = entry.map_err(io_err("list", &source))?.path();
        let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|extension| extension == "wal")) else { continue };
        fs::copy(&path, log.join(name)).map_err(gone(&path))?;
        sync(&log.join(name))?;
    }
    let anchors = dir.join("anchors");
    for entry in fs::read_dir(&anchors).into_iter().flatten().flatten().filter(|entry| entry.file_name() != "next") {
        let to = folder.join("anchors");
        fs::create_dir_all(&to).map_err(io_err("create", &to))?;
        fs::copy(entry.path(), to.join(entry.file_name())).map_err(io_err("copy", &entry.path()))?;
    }
    sync(&copy)?;
    sync_dir(&log)?;
    // A file that was copied while it grew may end too early for the next one: then all of it is copied again.
    let read = replay(&log, snapshot.flushed_lsn, Reading::Beside, |_, _| Ok::<_, WalError>(true));
    read.map_err(|err| Failed::Changed(Moved::Log(err)))?;
    for (path, mut companion, version) in companions {
        if companion.version()? != version {
            return Err(Failed::Changed(Moved::Journal { path }));
        }
    }
    write_sums(folder)?;
    Ok(snapshot)
}

/// The files of a snapshot, by their names in it.
fn files_of(folder: &Path) -> Result<Vec<String>, BackupError> {
    let mut names = Vec::new();
    for part in ["", "wal", "anchors"] {
        let found = match fs::read_dir(folder.join(part)) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
            found => found.map_err(io_err("list", &folder.join(part)))?,
        };
        for entry in found {
            let entry = entry.map_err(io_err("list", folder))?;
            let name = Path::new(part).join(entry.file_name());
            if entry.path().is_file() && name != Path::new(SUMS) {
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn write_sums(folder: &Path) -> Result<(), BackupError> {
    let mut text = String::new();
    for name in files_of(folder)? {
        let path = folder.join(&name);
        let hash = sha256(&path).map_err(io_err("read", &path))?;
        text.push_str(&format!("{hash}  {name}\n"));
    }
    let path = folder.join(SUMS);
    fs::write(&path, text).map_err(io_err("write", &path))?;
    sync(&path)
}

/// Whether a snapshot is what was written; copies of earlier versions do not say.
fn check_sums(folder: &Path) -> Result<(), BackupError> {
    let path = folder.join(SUMS);
    let text = match fs::read_to_string(&path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(io_err("read", &path))?,
    };
    let mut wrong = Vec::new();
    for (hash, name) in text.lines().filter_map(|line| line.split_once("  ")) {
        let path = folder.join(name);
        if sha256(&path).ok().as_deref() != Some(hash) {
            wrong.push(path);
        }
    }
    match wrong.first() {
        None => Ok(()),
        Some(path) => {
            let first = "is not what was copied".to_owned();
            Err(BackupError::NotWhole { problems: wrong.len(), path: path.clone(), first })
        }
    }
}

/// Takes files of quarters out that somebody has deleted, and that are made anew of the readings anyway.
fn leave_lost_out(dir: &Path, copy: &Path, snapshot: &mut Snapshot) -> Result<(), ManifestError> {
    let audit = &snapshot.audit;
    let is_lost = |row: &DerivedRow| !dir.join(&row.path).exists() && !row.is_all_there_is(audit);
    let (lost, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut snapshot.derived).into_iter().partition(is_lost);
    snapshot.derived = kept;
    if lost.is_empty() {
        return Ok(());
    }
    let Snapshot { flushed_lsn, next_segment, counters, .. } = *snapshot;
    let underived = lost.iter().map(|row| row.path.as_str()).collect();
    Manifest::open_copy(copy)?.publish(&Publication { flushed_lsn, next_segment, counters, underived, ..Publication::default() })
}

/// A file that a copy has: where it lies, how long it is, and its hash.
type Kept<'a> = (&'a str, u64, &'a str);

fn kept(snapshot: &Snapshot) -> impl Iterator<Item = Kept<'_>> {
    let segments = snapshot.segments.iter().map(|row| (row.path.as_str(), row.bytes, row.sha256.as_str()));
    segments.chain(snapshot.derived.iter().map(|row| (row.path.as_str(), row.bytes, row.sha256.as_str())))
}

/// Copies what is missing.
fn copy_files(dir: &Path, to: &Path, snapshot: &Snapshot, report: &mut BackupReport) -> Result<(), Failed> {
    for (path, bytes, hash) in kept(snapshot) {
        let (source, target) = (dir.join(path), to.join(path));
        let there = target.metadata().is_ok_and(|found| found.len() == bytes);
        if !there {
            let temporary = target.with_extension("tmp");
            fs::copy(&source, &temporary).map_err(gone(&source))?;
            if sha256(&temporary).map_err(io_err("read", &temporary))? != hash {
                fs::remove_file(&temporary).map_err(io_err("remove", &temporary))?;
                return Err(BackupError::Damaged { path: source }.into());
            }
            sync(&temporary)?;
            fs::rename(&temporary, &target).map_err(io_err("rename", &target))?;
            *(if path.starts_with("derived/") { &mut report.derived_copied } else { &mut report.copied }) += 1;
            report.copied_bytes += bytes;
        }
    }
    report.segments = snapshot.segments.len() as u64;
    report.derived = snapshot.derived.len() as u64;
    report.rows = snapshot.segments.iter().map(|row| row.rows).sum();
    Ok(())
}

/// Brings a copy back into a new folder, and reads all of it.
///
/// * Errors: nothing is left to guess: a copy of which one byte is not what was written is not brought back.
pub fn restore(from: &Path, to: &Path) -> Result<Findings, BackupError> {
    let name = current(from)?;
    let snapshot = from.join(&name);
    if fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(BackupError::NotEmpty { path: to.to_owned() });
    }
    for folder in ["segments", "derived", "wal", "anchors"] {
        let folder = to.join(folder);
        fs::create_dir_all(&folder).map_err(io_err("create", &folder))?;
    }
    check_sums(&snapshot)?;
    let manifest = Manifest::open_beside(&snapshot.join("manifest.sqlite"))?.load()?;
    for (path, ..) in kept(&manifest) {
        let (source, target) = (from.join(path), to.join(path));
        fs::copy(&source, &target).map_err(io_err("copy", &source))?;
        sync(&target)?;
    }
    for folder in ["wal", "anchors"] {
        for entry in fs::read_dir(snapshot.join(folder)).into_iter().flatten().flatten() {
            let target = to.join(folder).join(entry.file_name());
            fs::copy(entry.path(), &target).map_err(io_err("copy", &entry.path()))?;
            sync(&target)?;
        }
    }
    for (source, target) in COMPANIONS.map(|name| (snapshot.join(name), to.join(name))) {
        if source.exists() {
            fs::copy(&source, &target).map_err(io_err("copy", &source))?;
            sync(&target)?;
        }
    }
    // The manifest comes last: a folder without one is no store.
    let (source, target) = (snapshot.join("manifest.sqlite"), to.join("manifest.sqlite"));
    fs::copy(&source, &target).map_err(io_err("copy", &source))?;
    sync(&target)?;
    for folder in ["segments", "derived", "wal", "anchors", "."] {
        sync_dir(&to.join(folder))?;
    }
    let findings = fsck(to)?;
    match findings.problems.first() {
        None => Ok(findings),
        Some(first) => {
            let (path, first) = (first.path.clone(), first.what.clone());
            Err(BackupError::NotWhole { problems: findings.problems.len(), path, first })
        }
    }
}

/// The last copy of a store that was finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastBackup {
    /// Everything that was durable at this time is in it.
    pub at_ms: i64,
    pub snapshot: String,
    /// The folder of the copy.
    pub to: PathBuf,
}

/// In the folder of the store that was copied; no part of any copy.
const LAST: &str = "last-backup.json";

/// Writes down in a store that it was copied: a collector tells it to whoever watches.
pub fn note_backup(dir: &Path, last: &LastBackup) -> io::Result<()> {
    let LastBackup { at_ms, snapshot, to } = last;
    let text = serde_json::json!({ "at_ms": at_ms, "snapshot": snapshot, "to": to }).to_string();
    let (temporary, path) = (dir.join("last-backup.tmp"), dir.join(LAST));
    File::create(&temporary).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    })?;
    fs::rename(&temporary, &path)
}

/// The last copy that was written down; nothing when there was none, or the note cannot be read.
#[must_use]
pub fn last_backup(dir: &Path) -> Option<LastBackup> {
    let said: serde_json::Value = serde_json::from_slice(&fs::read(dir.join(LAST)).ok()?).ok()?;
    let text = |key: &str| Some(said.get(key)?.as_str()?.to_owned());
    Some(LastBackup { at_ms: said.get("at_ms")?.as_i64()?, snapshot: text("snapshot")?, to: text("to")?.into() })
}

/// Removes snapshots before this one, and files that it does not name.
fn forget_others(to: &Path, name: &str, snapshot: &Snapshot) -> Result<(), BackupError> {
    let kept: HashSet<PathBuf> = kept(snapshot).map(|(path, ..)| to.join(path)).collect();
    for folder in [to.join("segments"), to.join("derived")] {
        for entry in fs::read_dir(&folder).map_err(io_err("list", &folder))?.flatten() {
            if !kept.contains(&entry.path()) {
                fs::remove_file(entry.path()).map_err(io_err("remove", &entry.path()))?;
            }
        }
    }
    for entry in fs::read_dir(to).map_err(io_err("list", to))?.flatten() {
        let other = entry.file_name().to_str().is_some_and(|found| number_of(found).is_some() && found != name);
        if other {
            fs::remove_dir_all(entry.path()).map_err(io_err("remove", &entry.path()))?;
        }
    }
    Ok(())
}

pub(super) fn current(to: &Path) -> Result<String, BackupError> {
    let path = to.join("current");
    let name = fs::read_to_string(&path).map_err(|_| BackupError::Absent { path: to.to_owned() })?;
    let name = name.trim();
    if number_of(name).is_some() { Ok(name.to_owned()) } else { Err(BackupError::Absent { path: to.to_owned() }) }
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("snapshot-")?.parse().ok()
}

fn write_current(to: &Path, name: &str) -> Result<(), BackupError> {
    let (temporary, path) = (to.join("current.tmp"), to.join("current"));
    let written = File::create(&temporary).and_then(|mut file| {
        writeln!(file, "{name}")?;
        file.sync_all()
    });
    written.map_err(io_err("write", &temporary))?;
    fs::rename(&temporary, &path).map_err(io_err("rename", &path))?;
    sync_dir(to)
}

fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(io_err("sync", path))
}

fn sync_dir(path: &Path) -> Result<(), BackupError> {
    sync(path)
}
