//! Whether a store is what was written, and whether it agrees with itself.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use serde_json::Value;

use super::sha256;
use crate::audit::{Action, AuditEntry, broken_at};
use crate::manifest::{Manifest, SegmentRow};
use crate::reader::Reader;
use crate::segment::{Segment, Source, Span, name_of};
use crate::series::SeriesId;
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
    /// Readings, every version counted.
    pub rows: u64,
    /// Entries of the log that are not in segments yet.
    pub log_entries: u64,
    pub audit_entries: u64,
    pub seals: u64,
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
    let catalogue: HashMap<SeriesId, Value> = reader.all_series().into_iter().map(|info| (info.id, name_of(&info.key))).collect();
    for segment in reader.flushed().segments() {
        findings.segments += 1;
        let path = dir.join(&segment.path);
        if let Err(what) = whole(&path, segment).and_then(|()| named(&path, segment, &catalogue)) {
            findings.problem(&path, what);
        }
    }
    strangers(dir, &reader, &mut findings);
    versions(dir, &reader, &mut findings);
    findings.log_entries = reader.last_lsn().saturating_sub(reader.flushed_lsn());
    conservation(dir, &reader, &mut findings);
    audit(dir, &reader, &mut findings);
    Ok(findings)
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

/// Files that the manifest does not know: the next start removes them, and until then they are in the way of nothing.
fn strangers(dir: &Path, reader: &Reader, findings: &mut Findings) {
    let retired = Manifest::open_beside(&dir.join("manifest.sqlite")).and_then(|mut manifest| manifest.retired()).unwrap_or_default();
    let known: HashSet<&str> =
        reader.flushed().segments().iter().map(|segment| segment.path.as_str()).chain(retired.iter().map(String::as_str)).collect();
    let entries = std::fs::read_dir(dir.join("segments")).into_iter().flatten().flatten();
    for entry in entries {
        let named = entry.file_name().to_str().is_some_and(|name| known.contains(format!("segments/{name}").as_str()));
        if !named {
            findings.problem(&entry.path(), "is not part of the store: the next start of the collector removes it");
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

/// As many readings as were accepted and amended.
fn conservation(dir: &Path, reader: &Reader, findings: &mut Findings) {
    let amended: u64 = reader.audit().iter().filter(|entry| entry.action == Action::Amend).map(|entry| entry.rows).sum();
    let accepted = reader.totals().counters.accepted;
    if findings.rows != accepted + amended {
        let there = findings.rows;
        findings.problem(dir, format!("{accepted} readings were accepted and {amended} amended, but {there} are there"));
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
        let found = reader.digest(tenant, facility, *from_ms..*to_ms, *sealed_lsn);
        if found.ok() != Some((entry.rows, entry.digest)) {
            findings.problem(dir, format!("what was sealed by entry {number} of the audit log is not what is there"));
        }
    }
}
