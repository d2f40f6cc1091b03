//! A copy of a store that costs only what is new, taken while the store is written.
//!
//! ```text
//! segments/*.parquet       as in the store; they never change, so each is copied once
//! snapshot-000007/         the manifest by SQLite's own means, the log behind it, the anchors
//! current                  the name of the last snapshot that is whole
//! ```
//!
//! `current` is written last: a copy that was cut off leaves the one before it as it was.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{Findings, fsck, sha256};
use crate::manifest::{Manifest, ManifestError, SegmentRow};
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
        err: WalError,
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
    pub copied_bytes: u64,
    /// Readings in segments.
    pub rows: u64,
}

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
    let segments = to.join("segments");
    fs::create_dir_all(&segments).map_err(io_err("create", &segments))?;
    let before = current(to).ok();
    let number = before.as_deref().and_then(number_of).unwrap_or(0) + 1;
    let (name, folder) = (format!("snapshot-{number:06}"), to.join(format!("snapshot-{number:06}")));
    let mut attempts = 0;
    loop {
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(io_err("remove", &folder))?;
        }
        let mut report = BackupReport { snapshot: name.clone(), ..BackupReport::default() };
        let taken = snapshot(dir, &folder).and_then(|rows| copy_segments(dir, to, &rows, &mut report).map(|()| rows));
        let rows = match taken {
            Ok(rows) => rows,
            Err(Failed::Changed(err)) if attempts >= ATTEMPTS => return Err(BackupError::Busy { attempts, err }),
            Err(Failed::Changed(_)) => {
                attempts += 1;
                continue;
            }
            Err(Failed::For(err)) => return Err(err),
        };
        for folder in [&segments, &folder, &to.to_owned()] {
            sync_dir(folder)?;
        }
        write_current(to, &name)?;
        forget_others(to, &name, &rows)?;
        return Ok(report);
    }
}

/// Why an attempt to copy a store that is written came to nothing.
enum Failed {
    /// The writer took something away meanwhile: the next attempt may succeed.
    Changed(WalError),
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
        io::ErrorKind::NotFound => Failed::Changed(WalError::Io { what: "copy", path, err }),
        _ => Failed::For(BackupError::Io { what: "copy", path, err }),
    }
}

/// The manifest and the log behind it.
fn snapshot(dir: &Path, folder: &Path) -> Result<Vec<SegmentRow>, Failed> {
    let log = folder.join("wal");
    fs::create_dir_all(&log).map_err(io_err("create", &log))?;
    let copy = folder.join("manifest.sqlite");
    Manifest::open_beside(&dir.join("manifest.sqlite"))?.copy_to(&copy)?;
    let snapshot = Manifest::open_beside(&copy)?.load()?;
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
    replay(&log, snapshot.flushed_lsn, Reading::Beside, |_, _| Ok::<_, WalError>(true)).map_err(Failed::Changed)?;
    Ok(snapshot.segments)
}

/// Copies what is missing.
fn copy_segments(dir: &Path, to: &Path, rows: &[SegmentRow], report: &mut BackupReport) -> Result<(), Failed> {
    for row in rows {
        let (source, target) = (dir.join(&row.path), to.join(&row.path));
        let there = target.metadata().is_ok_and(|found| found.len() == row.bytes);
        if !there {
            let temporary = target.with_extension("tmp");
            fs::copy(&source, &temporary).map_err(gone(&source))?;
            if sha256(&temporary).map_err(io_err("read", &temporary))? != row.sha256 {
                fs::remove_file(&temporary).map_err(io_err("remove", &temporary))?;
                return Err(BackupError::Damaged { path: source }.into());
            }
            sync(&temporary)?;
            fs::rename(&temporary, &target).map_err(io_err("rename", &target))?;
            report.copied += 1;
            report.copied_bytes += row.bytes;
        }
        report.segments += 1;
        report.rows += row.rows;
    }
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
    for folder in ["segments", "wal", "anchors"] {
        let folder = to.join(folder);
        fs::create_dir_all(&folder).map_err(io_err("create", &folder))?;
    }
    let rows = Manifest::open_beside(&snapshot.join("manifest.sqlite"))?.load()?.segments;
    for row in &rows {
        let (source, target) = (from.join(&row.path), to.join(&row.path));
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
    // The manifest comes last: a folder without one is no store.
    let (source, target) = (snapshot.join("manifest.sqlite"), to.join("manifest.sqlite"));
    fs::copy(&source, &target).map_err(io_err("copy", &source))?;
    sync(&target)?;
    for folder in ["segments", "wal", "anchors", "."] {
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

/// Removes snapshots before this one, and segments that it does not name.
fn forget_others(to: &Path, name: &str, rows: &[SegmentRow]) -> Result<(), BackupError> {
    let kept: HashSet<PathBuf> = rows.iter().map(|row| to.join(&row.path)).collect();
    let segments = to.join("segments");
    for entry in fs::read_dir(&segments).map_err(io_err("list", &segments))?.flatten() {
        if !kept.contains(&entry.path()) {
            fs::remove_file(entry.path()).map_err(io_err("remove", &entry.path()))?;
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
