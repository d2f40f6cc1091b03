//! Whether a store is what was written, and whether it agrees with itself.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use serde_json::Value;

use super::sha256;
use crate::audit::{Action, AuditEntry, broken_at};
use crate::derived::{Table, month_range};
use crate::manifest::{COMPANIONS, Companion, Manifest, ManifestError, SegmentRow};
use crate::reader::Reader;
use crate::segment::{Segment, Source, Span, name_of};
use crate::series::{SeriesId, SeriesInfo};
use crate::store::OpenError;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub path: PathBuf,
    /// What is wrong, and what follows from it.
    pub what: String,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub segments: u64,
    /// Files of quarters of an hour.
    pub derived: u64,
    /// Readings, every version counted.
    pub rows: u64,
    /// Entries of the log that are not in segments yet.
    pub log_entries: u64,
    pub audit_entries: u64,
    pub seals: u64,
    /// Databases of others in the folder, which go with every copy of the store.
    pub companions: u64,
    pub problems: Vec<Problem>,
}

impl Findings {
    fn problem(&mut self, path: &Path, what: impl Into<String>) {
        self.problems.push(Problem { path: path.to_owned(), what: what.into() });
    }
}

/// Reads everything of a store and compares it with what it says of itself. Changes nothing.
///
/// * Errors: there is no store, or its manifest or its log cannot be read at all; those say themselves what to do.
pub fn fsck(dir: &Path) -> Result<Findings, OpenError> {
    let reader = Reader::open(dir)?;
    let mut findings = Findings::default();
    let manifest = dir.join("manifest.sqlite");
    for fault in Manifest::open_beside(&manifest)?.integrity()? {
        findings.problem(&manifest, format!("SQLite says: {fault}; restore it from a copy"));
    }
    companions(dir, &mut findings)?;
    let catalogue: HashMap<SeriesId, Value> = reader.all_series().into_iter().map(|info| (info.id, name_of(&info.key))).collect();
    for segment in reader.flushed().segments() {
        findings.segments += 1;
        let path = dir.join(&segment.path);
        if let Err(what) = whole(&path, segment).and_then(|()| named(&path, segment, &catalogue)) {
            findings.problem(&path, what);
        }
    }
    strangers(dir, &reader, &mut findings);
    derived(dir, &reader, &mut findings);
    versions(dir, &reader, &mut findings);
    findings.log_entries = reader.last_lsn().saturating_sub(reader.flushed_lsn());
    conservation(dir, &reader, &mut findings);
    audit(dir, &reader, &mut findings);
    Ok(findings)
}

/// Whether the databases of others can be read.
fn companions(dir: &Path, findings: &mut Findings) -> Result<(), OpenError> {
    for path in COMPANIONS.map(|name| dir.join(name)) {
        let said = match Companion::open(&path).and_then(|found| found.map(|mut found| found.integrity()).transpose()) {
            Ok(None) => continue,
            Ok(Some(said)) => said,
            Err(ManifestError::Database { err, .. }) => vec![err.to_string()],
            Err(err) => return Err(err.into()),
        };
        findings.companions += 1;
        for fault in said {
            findings.problem(&path, format!("SQLite says: {fault}; bring it back from a copy of the store"));
        }
    }
    Ok(())
}

/// Whether a segment is what the manifest says of it.
fn whole(path: &Path, row: &SegmentRow) -> Result<(), String> {
    let damaged = |err: &dyn std::fmt::Display| format!("cannot be read ({err}): restore it from a copy");
    let found = sha256(path).map_err(|err| damaged(&err))?;
    if found != row.sha256 {
        return Err("is not what was written: restore it from a copy".to_owned());
    }
    let segment = Segment::file(path, None).map_err(|err| damaged(&err))?;
    for span in &row.spans {
        if !agrees(&segment, span).map_err(|err| damaged(&err))? {
            return Err(format!("does not hold series {} as the manifest says", span.series.0));
        }
    }
    if row.spans.iter().map(|span| span.rows).sum::<u64>() == row.rows {
        Ok(())
    } else {
        Err("does not hold as many readings as the manifest says".to_owned())
    }
}

/// Whether its series have the names in the file that they have in the manifest.
fn named(path: &Path, row: &SegmentRow, catalogue: &HashMap<SeriesId, Value>) -> Result<(), String> {
    let segment = Segment::file(path, None).map_err(|err| format!("cannot be read ({err}): restore it from a copy"))?;
    let names = segment.names();
    for span in &row.spans {
        let known = catalogue.get(&span.series);
        if known.is_none() || names.get(&span.series.0.to_string()) != known {
            return Err(format!("has another name for series {} than the manifest", span.series.0));
        }
    }
    Ok(())
}

fn agrees(segment: &Segment<Source>, span: &Span) -> Result<bool, ParquetError> {
    let rows = segment.rows(span.rows())?;
    let sorted = rows.is_sorted_by_key(|(_, sample)| (sample.ts_ms, sample.version));
    let ends = (rows.first().map(|(_, sample)| sample.ts_ms), rows.last().map(|(_, sample)| sample.ts_ms));
    Ok(sorted && ends == (Some(span.min_ts), Some(span.max_ts)) && rows.iter().all(|(id, _)| *id == span.series))
}

/// Each file of quarters is what was written, and says what the readings say.
fn derived(dir: &Path, reader: &Reader, findings: &mut Findings) {
    for row in reader.derived() {
        findings.derived += 1;
        let path = dir.join(&row.path);
        let series: Vec<SeriesInfo> = reader
            .all_series()
            .into_iter()
            .filter(|info| info.key.tenant.as_str() == row.tenant && info.key.facility.as_str() == row.facility)
            .collect();
        let Some(range) = month_range(&row.month) else {
            findings.problem(&path, format!("is of no month: `{}`", row.month));
            continue;
        };
        let dropped_lsn = series.iter().map(|info| reader.dropped_lsn(&info.key, &range)).max().unwrap_or(0);
        let cure = if dropped_lsn > 0 {
            "the readings were dropped: restore it from a copy"
        } else {
            "nothing is lost: its readings answer until it is made anew of them"
        };
        let table = match Table::open(&path, &row.sha256) {
            Ok(table) => table,
            Err(err) => {
                findings.problem(&path, format!("cannot be read ({err}); {cure}"));
                continue;
            }
        };
        for info in series {
            let said = table.quarters(info.id).map_err(|err| err.to_string());
            let again = reader.quarters_through(info.id, range.clone(), row.through_lsn).map_err(|err| err.to_string());
            let same = said.and_then(|said| {
                // Of these there are no readings, or only what came late for them.
                let (gone, said): (Vec<_>, Vec<_>) = said.into_iter().partition(|quarter| quarter.was_dropped(dropped_lsn));
                let gone: HashSet<i64> = gone.into_iter().map(|quarter| quarter.start_ms).collect();
                again.map(|mut again| {
                    again.retain(|quarter| !gone.contains(&quarter.start_ms));
                    said == again
                })
            });
            match same {
                Ok(true) => {}
                Ok(false) => findings.problem(&path, format!("does not say of series {} what its readings say; {cure}", info.id.0)),
                Err(err) => findings.problem(&path, format!("series {} cannot be compared with its readings ({err})", info.id.0)),
            }
        }
    }
}

/// Files that the manifest does not know: the next start removes them, and until then they are in the way of nothing.
fn strangers(dir: &Path, reader: &Reader, findings: &mut Findings) {
    let retired = Manifest::open_beside(&dir.join("manifest.sqlite")).and_then(|mut manifest| manifest.retired()).unwrap_or_default();
    let known: HashSet<&str> =
        reader.flushed().segments().iter().map(|segment| segment.path.as_str()).chain(retired.iter().map(String::as_str)).collect();
    let derived: HashSet<&str> = reader.derived().iter().map(|row| row.path.as_str()).collect();
    for place in ["segments", "derived"] {
        for entry in std::fs::read_dir(dir.join(place)).into_iter().flatten().flatten() {
            let path = entry.file_name().to_str().map(|name| format!("{place}/{name}")).unwrap_or_default();
            if !known.contains(path.as_str()) && !derived.contains(path.as_str()) {
                findings.problem(&entry.path(), "is not part of the store: the next start of the collector removes it");
            }
        }
    }
}

/// Each version of each time is there once.
fn versions(dir: &Path, reader: &Reader, findings: &mut Findings) {
    for info in reader.all_series() {
        match reader.history(info.id, i64::MIN..i64::MAX) {
            Ok(samples) => {
                findings.rows += samples.len() as u64;
                let twice =
                    samples.windows(2).any(|pair| matches!(pair, [one, next] if (one.ts_ms, one.version) == (next.ts_ms, next.version)));
                if twice {
                    findings.problem(dir, format!("series {} has a version of a reading twice", info.id.0));
                }
            }
            // The segment itself is a problem already.
            Err(err) => findings.problem(&err.path, format!("series {} cannot be read from it", info.id.0)),
        }
    }
}

/// As many readings as were accepted and amended, but for those that were dropped.
fn conservation(dir: &Path, reader: &Reader, findings: &mut Findings) {
    let sum = |action| reader.audit().iter().filter(|entry| entry.action == action).map(|entry| entry.rows).sum::<u64>();
    let (amended, dropped) = (sum(Action::Amend), sum(Action::Drop).saturating_sub(reader.about_to_go()));
    let accepted = reader.totals().counters.accepted;
    if findings.rows + dropped != accepted + amended {
        let there = findings.rows;
        let dropped = if dropped > 0 { format!(" and {dropped} dropped") } else { String::new() };
        findings.problem(dir, format!("{accepted} readings were accepted and {amended} amended{dropped}, but {there} are there"));
    }
}

/// The chain is whole, ends where the anchors say, and what was sealed is what is there.
fn audit(dir: &Path, reader: &Reader, findings: &mut Findings) {
    let entries = reader.audit();
    findings.audit_entries = entries.len() as u64;
    let manifest = dir.join("manifest.sqlite");
    if let Some(number) = broken_at(entries) {
        findings.problem(&manifest, format!("entry {number} of the audit log does not follow on the one before it"));
    }
    for anchor in std::fs::read_dir(dir.join("anchors")).into_iter().flatten().flatten() {
        let path = anchor.path();
        if path.file_name().is_some_and(|name| name == "next") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let anchored = text.trim().split_once(' ').and_then(|(number, hash)| {
            let entry = entries.get(number.parse::<usize>().ok()?.checked_sub(1)?)?;
            Some(hex::encode(entry.hash()) == hash)
        });
        if anchored != Some(true) {
            findings.problem(&path, "the audit log does not have the entry that this anchor names");
        }
    }
    for entry in entries.iter().filter(|entry| entry.action == Action::Seal) {
        findings.seals += 1;
        let AuditEntry { tenant, facility, from_ms, to_ms, sealed_lsn, number, .. } = entry;
        // Of what was dropped, the entry of its drop says the hashes.
        if reader.was_dropped(tenant, facility, &(*from_ms..*to_ms)) {
            continue;
        }
        let found = reader.digest(tenant, facility, *from_ms..*to_ms, *sealed_lsn);
        if found.ok() != Some((entry.rows, entry.digest)) {
            findings.problem(dir, format!("what was sealed by entry {number} of the audit log is not what is there"));
        }
    }
}
