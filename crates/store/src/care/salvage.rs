//! What can still be read of a damaged store, as a new store; the damaged one stays as it is.
//!
//! Only what is proved to be what was written is taken: a segment whose hash is right, here or in a copy of the store,
//! and a frame of the log whose checksum is right. The rest is named, reading by reading range, and laid aside in
//! `quarantine`: nothing is guessed, and what was lost stays known as received, so that it is not billed twice when it
//! is brought in again by hand.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::backup::current;
use super::{BackupError, Findings, fsck, sha256};
use crate::archive::{Archive, FlushError, apply};
use crate::manifest::{Manifest, ManifestError, Publication, SegmentRow, Snapshot};
use crate::series::{SeriesId, SeriesKey};
use crate::state::State;
use crate::store::{OpenError, take_lock};
use crate::wal::{Gap, Record, WalError, rescue};

/// Why nothing was salvaged.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    #[error("could not {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        err: io::Error,
    },
    #[error("{} is not empty: name a new folder", path.display())]
    NotEmpty { path: PathBuf },
    #[error("the manifest cannot be read: name a copy of the store, whose manifest is taken then")]
    Manifest(#[source] ManifestError),
    #[error("the copy of the store cannot be read")]
    Copy(#[from] BackupError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Log(#[from] WalError),
    #[error("could not write the new store")]
    Write(#[from] FlushError),
    #[error("could not write the new store")]
    Publish(#[from] ManifestError),
}

/// What was lost at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
    pub series: Vec<LostSeries>,
}

/// Readings of one series that were lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostSeries {
    pub key: SeriesKey,
    /// Times of the first and of the last of them, UTC milliseconds.
    pub first_ms: i64,
    pub last_ms: i64,
    pub readings: u64,
}

/// What was salvaged, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Segments that are whole.
    pub segments: u64,
    /// Of these: taken from the copy, because the store's own were damaged.
    pub from_copy: u64,
    /// Entries of the log that were read.
    pub log_entries: u64,
    pub losses: Vec<Loss>,
    /// What the new store is found to be.
    pub findings: Findings,
}

impl Salvaged {
    fn lost(&mut self, path: &Path, what: impl Into<String>) {
        self.losses.push(Loss { path: path.to_owned(), what: what.into(), series: Vec::new() });
    }
}

fn io_err(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SalvageError {
    let path = path.to_owned();
    move |err| SalvageError::Io { what, path, err }
}

/// Makes a new store in `to` of what is whole in `dir`, and of what a copy of it has in the place of what is not.
///
/// * Errors: another process has the store; neither manifest can be read; `to` is there already.
pub fn salvage(dir: &Path, copy: Option<&Path>, to: &Path) -> Result<Salvaged, SalvageError> {
    let _lock = take_lock(dir)?;
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    // A folder that is not finished has not the name of a store.
    let part = to.with_file_name(name);
    for path in [to, &part] {
        if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(SalvageError::NotEmpty { path: path.to_owned() });
        }
    }
    for folder in ["segments", "derived", "wal", "anchors", "quarantine"] {
        let folder = part.join(folder);
        fs::create_dir_all(&folder).map_err(io_err("create", &folder))?;
    }
    let mut salvaged = Salvaged::default();
    take_manifest(dir, copy, &part, &mut salvaged)?;
    take_segments(dir, copy, &part, &mut salvaged)?;
    take_log(dir, &part, &mut salvaged)?;
    for entry in fs::read_dir(dir.join("anchors")).into_iter().flatten().flatten().filter(|entry| entry.file_name() != "next") {
        fs::copy(entry.path(), part.join("anchors").join(entry.file_name())).map_err(io_err("copy", &entry.path()))?;
    }
    for place in ["manifest.sqlite", "segments", "derived", "anchors", "quarantine", "."] {
        sync(&part.join(place))?;
    }
    fs::rename(&part, to).map_err(io_err("rename", &part))?;
    if let Some(parent) = to.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        sync(parent)?;
    }
    salvaged.findings = fsck(to)?;
    Ok(salvaged)
}

/// Copies the manifest, or that of the copy when the store's own cannot be read.
fn take_manifest(dir: &Path, copy: Option<&Path>, part: &Path, salvaged: &mut Salvaged) -> Result<(), SalvageError> {
    let (own, target) = (dir.join("manifest.sqlite"), part.join("manifest.sqlite"));
    let Err(err) = copy_manifest(&own, &target) else { return Ok(()) };
    let Some(copy) = copy else { return Err(SalvageError::Manifest(err)) };
    if target.exists() {
        fs::remove_file(&target).map_err(io_err("remove", &target))?;
    }
    let other = copy.join(current(copy)?).join("manifest.sqlite");
    copy_manifest(&other, &target).map_err(SalvageError::Manifest)?;
    salvaged.lost(&own, format!("cannot be read ({err}): the manifest of the copy is in its place"));
    lay_aside(&own, part)?;
    let known: Vec<String> = load(&target)?.segments.into_iter().map(|row| row.path).collect();
    for entry in fs::read_dir(dir.join("segments")).into_iter().flatten().flatten() {
        if !known.iter().any(|known| Path::new(known).file_name() == Some(&entry.file_name())) {
            salvaged.lost(&entry.path(), "came after the copy, and nothing says whether it is whole: laid aside");
            lay_aside(&entry.path(), part)?;
        }
    }
    Ok(())
}

/// Copies a manifest that is whole.
fn copy_manifest(from: &Path, to: &Path) -> Result<(), ManifestError> {
    let mut manifest = Manifest::open_beside(from)?;
    if let Some(said) = manifest.integrity()?.into_iter().next() {
        return Err(ManifestError::Damaged { path: from.to_owned(), said });
    }
    let mut snapshot = manifest.load()?;
    if State::from_manifest(&mut snapshot).is_none() {
        return Err(ManifestError::Damaged { path: from.to_owned(), said: "it contradicts itself".to_owned() });
    }
    manifest.copy_to(to)
}

fn load(manifest: &Path) -> Result<Snapshot, ManifestError> {
    Manifest::open_beside(manifest)?.load()
}

/// Copies the segments that are what was written, and takes the others out of the manifest.
fn take_segments(dir: &Path, copy: Option<&Path>, part: &Path, salvaged: &mut Salvaged) -> Result<(), SalvageError> {
    let path = part.join("manifest.sqlite");
    let mut snapshot = load(&path)?;
    let mut removed = Vec::new();
    for row in &snapshot.segments {
        let target = part.join(&row.path);
        let places = [Some(dir), copy].into_iter().flatten().map(|folder| folder.join(&row.path));
        let found = places.enumerate().find(|(_, place)| sha256(place).is_ok_and(|found| found == row.sha256));
        if let Some((place, source)) = found {
            fs::copy(&source, &target).map_err(io_err("copy", &source))?;
            sync(&target)?;
            salvaged.segments += 1;
            salvaged.from_copy += u64::from(place > 0);
        } else {
            let own = dir.join(&row.path);
            let what = if own.exists() { "is not what was written" } else { "is not there" };
            salvaged.losses.push(Loss { path: own.clone(), what: what.to_owned(), series: lost_series(row, &snapshot) });
            lay_aside(&own, part)?;
            removed.push(row);
        }
    }
    let mut underived = Vec::new();
    for row in &snapshot.derived {
        // Where the readings are there, quarters are made anew of those that are left.
        if !row.is_all_there_is(&snapshot.audit) {
            underived.push(row.path.as_str());
            continue;
        }
        let mut places = [Some(dir), copy].into_iter().flatten().map(|folder| folder.join(&row.path));
        match places.find(|place| sha256(place).is_ok_and(|found| found == row.sha256)) {
            Some(source) => {
                let target = part.join(&row.path);
                fs::copy(&source, &target).map_err(io_err("copy", &source))?;
                sync(&target)?;
            }
            None => {
                let own = dir.join(&row.path);
                salvaged.lost(&own, format!("was all that was left of {} in {}/{}", row.month, row.tenant, row.facility));
                lay_aside(&own, part)?;
                underived.push(row.path.as_str());
            }
        }
    }
    snapshot.counters.accepted = snapshot.counters.accepted.saturating_sub(removed.iter().map(|row| row.rows).sum());
    let publication = Publication {
        flushed_lsn: snapshot.flushed_lsn,
        next_segment: snapshot.next_segment,
        counters: snapshot.counters,
        removed: removed.iter().map(|row| row.id).collect(),
        underived,
        ..Publication::default()
    };
    Ok(Manifest::open(&path)?.publish(&publication)?)
}

fn lost_series(row: &SegmentRow, snapshot: &Snapshot) -> Vec<LostSeries> {
    let key = |id: SeriesId| snapshot.series.iter().find(|(known, _)| *known == id).map(|(_, key)| key.clone());
    let lost = |span: &crate::segment::Span| {
        Some(LostSeries { key: key(span.series)?, first_ms: span.min_ts, last_ms: span.max_ts, readings: span.rows })
    };
    row.spans.iter().filter_map(lost).collect()
}

/// Moves what is whole in the log to segments of the new store.
fn take_log(dir: &Path, part: &Path, salvaged: &mut Salvaged) -> Result<(), SalvageError> {
    let (mut archive, mut published) = Archive::open(part)?;
    let flushed_lsn = archive.flushed_lsn;
    let (mut last, mut aside) = (flushed_lsn, Vec::new());
    let gaps = rescue(&dir.join("wal"), flushed_lsn, |path, lsn, payload| {
        if lsn <= flushed_lsn {
            if !is_known(&archive.state, payload) {
                salvaged.lost(path, format!("entry {lsn} is said to be in segments, and the manifest does not know its readings"));
                aside.push(path.to_owned());
            }
        } else if follows(&archive.state, payload) && apply(&mut archive.state, lsn, payload) {
            salvaged.log_entries += 1;
        } else {
            salvaged.lost(path, format!("entry {lsn} builds on one that is lost"));
            aside.push(path.to_owned());
        }
        last = last.max(lsn);
        Ok::<_, SalvageError>(())
    })?;
    for Gap { path, bytes, entries } in gaps {
        let entries =
            entries.map_or_else(String::new, |entries| format!(": entries {} to {} of the log are lost", entries.start, entries.end - 1));
        let what = if bytes.is_empty() {
            "the log is not whole here".to_owned()
        } else {
            format!("cannot be read from byte {} to {}", bytes.start, bytes.end)
        };
        salvaged.lost(&path, what + &entries);
        aside.push(path);
    }
    aside.sort();
    aside.dedup();
    for path in aside {
        lay_aside(&path, part)?;
    }
    archive.state.applied();
    archive.write_out(&mut published, last)?;
    Ok(())
}

/// Whether every batch of an entry was received.
fn is_known(state: &State, payload: &[u8]) -> bool {
    let mut known = true;
    let understood = Record::decode_all(payload, |record| {
        if let Record::Rows(batch) = record {
            known = known && state.received(batch.head.origin, batch.head.spool_id).is_some_and(|set| set.contains(batch.head.seq));
        }
    });
    understood.is_some() && known
}

/// Whether every series, gateway and change that an entry speaks of is known, before any of it is applied.
fn follows(state: &State, payload: &[u8]) -> bool {
    let (mut follows, mut next, mut changes) = (true, state.catalogue.next_id(), state.audit().len() as u64);
    let mut before = state.last_hash();
    let understood = Record::decode_all(payload, |record| match record {
        Record::Series { id, .. } => {
            follows = follows && id == next;
            next = SeriesId(next.0.saturating_add(1));
        }
        Record::Rows(batch) => follows = follows && batch.rows.iter().all(|(id, _)| *id < next),
        Record::Amended { rows } => follows = follows && rows.iter().all(|(id, _)| *id < next),
        Record::Audit(entry) => {
            follows = follows && entry.number == changes + 1 && entry.before == before;
            (changes, before) = (changes + 1, entry.hash());
        }
        _ => {}
    });
    understood.is_some() && follows
}

fn sync(path: &Path) -> Result<(), SalvageError> {
    fs::File::open(path).and_then(|file| file.sync_all()).map_err(io_err("sync", path))
}

/// Copies a damaged file to where it is out of the way.
fn lay_aside(path: &Path, part: &Path) -> Result<(), SalvageError> {
    let Some(name) = path.file_name().filter(|_| path.exists()) else { return Ok(()) };
    fs::copy(path, part.join("quarantine").join(name)).map_err(io_err("copy", path)).map(|_| ())
}
