//! Letting go of readings that were kept for as long as somebody wanted them.
//!
//! Nothing is dropped by itself. A month of a facility is dropped whole, with an entry of the audit log that says what it
//! was; its quarters of an hour stay. What was billed, and what a baseline may rest on, goes only when it is in an archive
//! first. What is not billed yet, while the facility is billed, does not go at all.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ids::Slug;
use sha2::{Digest as _, Sha256};

use crate::amend::{SealedRange, check};
use crate::archive::{Archive, FlushError};
use crate::audit::{Account, Action, AuditEntry};
use crate::care::sha256;
use crate::derived::month_range;
use crate::flush::Place;
use crate::manifest::SegmentRow;
use crate::reader::Reader;
use crate::shared::{Inner, Shared};
use crate::wal::{RecordWriter, WalError};

/// What becomes of a month that is older than what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Goes: nothing of this facility was ever billed.
    Drop,
    /// Was billed: goes with an archive.
    Billed,
    /// Is older than what was billed, and a baseline may rest on it: goes with an archive.
    History,
    /// Stays: the facility is billed, and this is not billed yet.
    Open,
}

impl Fate {
    /// Whether it goes only when it is in an archive.
    #[must_use]
    pub const fn needs_archive(self) -> bool {
        matches!(self, Self::Billed | Self::History)
    }
}

/// A month of UTC of a facility that is older than what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldMonth {
    /// `2026-01`.
    pub month: String,
    /// Readings in segments, every version counted.
    pub rows: u64,
    pub bytes: u64,
    pub fate: Fate,
}

/// What is to go.
#[derive(Clone, Debug)]
pub struct Letting {
    pub tenant: Slug,
    pub facility: Slug,
    /// Months that end before this go: UTC milliseconds.
    pub keep_from_ms: i64,
    /// Where they are copied to first.
    pub archive: Option<PathBuf>,
    pub account: Account,
}

/// What has gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    pub months: Vec<OldMonth>,
    /// Files that were copied to the archive.
    pub archived: u64,
    /// Of each month, its entry in the audit log.
    pub entries: Vec<u64>,
}

/// Why nothing was dropped.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    #[error("dropping needs an actor and a reason")]
    Unaccounted,
    #[error("{month} {why}: name an archive that it is copied to first")]
    NeedsArchive { month: String, why: &'static str },
    #[error("could not {what} {}", path.display())]
    Archive {
        what: &'static str,
        path: PathBuf,
        #[source]
        err: io::Error,
    },
    #[error(transparent)]
    Flush(#[from] FlushError),
}

impl From<WalError> for RetentionError {
    fn from(err: WalError) -> Self {
        Self::Flush(err.into())
    }
}

impl Reader {
    /// The months of a facility that end before `keep_from_ms`, oldest first, and what would become of each.
    #[must_use]
    pub fn old_months(&self, tenant: &Slug, facility: &Slug, keep_from_ms: i64) -> Vec<OldMonth> {
        let of_facility = of_facility(self.flushed().segments(), tenant, facility);
        old_months(of_facility, self.seals(tenant, facility), keep_from_ms).into_iter().map(|(month, _)| month).collect()
    }
}

fn of_facility<'a>(segments: &'a [SegmentRow], tenant: &'a Slug, facility: &'a Slug) -> impl Iterator<Item = &'a SegmentRow> + use<'a> {
    segments.iter().filter(|row| row.tenant == tenant.as_str() && row.facility == facility.as_str())
}

fn old_months<'a>(
    segments: impl Iterator<Item = &'a SegmentRow>,
    seals: &[SealedRange],
    keep_from_ms: i64,
) -> Vec<(OldMonth, Vec<&'a SegmentRow>)> {
    let mut months: BTreeMap<i64, (OldMonth, Vec<&SegmentRow>)> = BTreeMap::new();
    for row in segments {
        let Some(range) = month_range(&row.month).filter(|range| range.end <= keep_from_ms) else { continue };
        let new = || {
            let fate = fate(&range, seals);
            (OldMonth { month: row.month.clone(), rows: 0, bytes: 0, fate }, Vec::new())
        };
        let (month, rows) = months.entry(range.start).or_insert_with(new);
        (month.rows, month.bytes) = (month.rows + row.rows, month.bytes + row.bytes);
        rows.push(row);
    }
    months.into_values().collect()
}

fn fate(month: &Range<i64>, seals: &[SealedRange]) -> Fate {
    let Some(first_ms) = seals.iter().map(|seal| seal.from_ms).min() else { return Fate::Drop };
    // A month of UTC and one of the facility are some hours apart: what is not billed of it is open all the same.
    let mut open_from = month.start.max(first_ms);
    let mut sorted: Vec<&SealedRange> = seals.iter().collect();
    sorted.sort_by_key(|seal| seal.from_ms);
    for seal in sorted {
        if seal.from_ms <= open_from && seal.to_ms > open_from {
            open_from = seal.to_ms;
        }
    }
    if first_ms >= month.end {
        Fate::History
    } else if open_from >= month.end {
        Fate::Billed
    } else {
        Fate::Open
    }
}

impl Shared {
    /// Drops what is older than what is kept. Commits go on meanwhile.
    pub(crate) fn let_go_of(&self, letting: &Letting) -> Result<Dropped, RetentionError> {
        let Letting { tenant, facility, keep_from_ms, archive, account } = letting;
        check(account).map_err(|_unaccounted| RetentionError::Unaccounted)?;
        let (_merging, _flushing) = self.hold_segments();
        self.flush_all()?;
        self.forget_damaged();
        let inner = self.lock();
        let months: Vec<(OldMonth, Vec<SegmentRow>)> = {
            let seals = inner.archive.state.seals(tenant, facility);
            let old = old_months(of_facility(inner.archive.flushed.segments(), tenant, facility), seals, *keep_from_ms);
            old.into_iter()
                .filter(|(month, _)| month.fate != Fate::Open)
                .map(|(month, rows)| (month, rows.into_iter().cloned().collect()))
                .collect()
        };
        drop(inner);
        if let Some((month, _)) = months.iter().find(|(month, _)| month.fate.needs_archive() && archive.is_none()) {
            let why = if month.fate == Fate::Billed { "was billed" } else { "may be what a baseline rests on" };
            return Err(RetentionError::NeedsArchive { month: month.month.clone(), why });
        }
        let mut dropped = Dropped::default();
        for (month, rows) in months {
            // What stays of it has to be whole before the readings go.
            let place = Place { tenant: tenant.to_string(), facility: facility.to_string(), month: month.month.clone() };
            let lsn = self.derive_month(place)?;
            let rows: Vec<SegmentRow> = rows.into_iter().filter(|row| row.max_lsn <= lsn).collect();
            if let Some(archive) = archive {
                let folder = archive.join(tenant.as_str()).join(facility.as_str()).join(&month.month);
                dropped.archived += copy_out(self.dir(), &rows, &folder)?;
            }
            let mut published = self.published();
            let mut inner = self.lock();
            let entry = inner.drop_month((tenant, facility), &month.month, &rows, lsn, account)?;
            if let Some(frozen) = inner.freeze()? {
                inner.archive.write_out(&mut published, frozen.lsn)?;
                inner.let_go(frozen.lsn)?;
            }
            dropped.entries.push(entry.number);
            dropped.months.push(month);
        }
        Ok(dropped)
    }
}

impl Inner {
    /// Says in the log that readings are dropped. From the next flush on they are.
    fn drop_month(
        &mut self,
        (tenant, facility): (&Slug, &Slug),
        month: &str,
        rows: &[SegmentRow],
        lsn: u64,
        account: &Account,
    ) -> Result<AuditEntry, RetentionError> {
        let range = month_range(month).unwrap_or_default();
        let mut hasher = Sha256::new();
        rows.iter().for_each(|row| hasher.update(&row.sha256));
        let entry = self.archive.state.next_entry(AuditEntry {
            number: 0,
            action: Action::Drop,
            account: account.clone(),
            tenant: tenant.clone(),
            facility: facility.clone(),
            from_ms: range.start,
            to_ms: range.end,
            rows: rows.iter().map(|row| row.rows).sum(),
            digest: hasher.finalize().into(),
            sealed_lsn: lsn,
            before: [0; 32],
        });
        self.reserve_entry(account)?;
        let mut writer = RecordWriter::reuse(std::mem::take(&mut self.buffers));
        writer.audit(&entry);
        self.append_entry(writer, &entry)?;
        Ok(entry)
    }
}

impl Archive {
    /// Segments that the audit log says are dropped, and that are still there.
    pub(crate) fn dropped_segments(&self) -> HashSet<i64> {
        if !self.state.has_dropped() {
            return HashSet::new();
        }
        let is_dropped = |row: &&SegmentRow| self.state.has_dropped_month(&row.tenant, &row.facility, &row.month, row.max_lsn);
        self.flushed.segments().iter().filter(is_dropped).map(|row| row.id).collect()
    }
}

/// Copies segments into the folder of a month, with their hashes beside them as `sha256sum` writes and checks them.
fn copy_out(dir: &Path, rows: &[SegmentRow], folder: &Path) -> Result<u64, RetentionError> {
    let failed = |what, path: &Path| {
        let path = path.to_owned();
        move |err| RetentionError::Archive { what, path, err }
    };
    fs::create_dir_all(folder).map_err(failed("create", folder))?;
    let mut sums = String::new();
    for row in rows {
        let source = dir.join(&row.path);
        let name = Path::new(&row.path).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let target = folder.join(&name);
        fs::copy(&source, &target).map_err(failed("copy", &source))?;
        File::open(&target).and_then(|file| file.sync_all()).map_err(failed("sync", &target))?;
        // A copy that differs is no copy, and what it was made of stays.
        if sha256(&target).map_err(failed("read", &target))? != row.sha256 {
            return Err(FlushError::Damaged { path: source }.into());
        }
        sums.push_str(&format!("{}  {name}\n", row.sha256));
    }
    let path = folder.join("SHA256SUMS");
    let written = File::options().create(true).append(true).open(&path).and_then(|mut file| {
        file.write_all(sums.as_bytes())?;
        file.sync_all()
    });
    written.map_err(failed("write", &path))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))?;
    Ok(rows.len() as u64)
}
