//! What an import would do, shown before it is done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{OpenError, Reader, SegmentError};

use super::check::Checked;
use super::compare::{Comparison, Fate};
use super::fault::{self, Rule};
use super::mapping::{Contradictions, Mapping};
use super::{FILES_MAX, Fault, FileSeen, SourceError, gather};
use crate::import::series::EXPONENT;

pub(crate) const SCHEMA: &str = "negawatt.import.plan/1";

/// A plan, as its file has it. It names everything that the commit compares again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    pub(crate) schema: String,
    /// What the import is known by: the hash of everything it would store.
    pub(crate) id: String,
    pub(crate) made_at: Timestamp,
    pub(crate) tenant: String,
    pub(crate) facility: String,
    pub(crate) files: Vec<PlanFile>,
    pub(crate) mapping: PlanMapping,
    pub(crate) series: Vec<PlanSeries>,
    pub(crate) readings: u64,
    pub(crate) new: u64,
    pub(crate) same: u64,
    pub(crate) contradicting: u64,
    pub(crate) returning: u64,
    pub(crate) sealed: u64,
    pub(crate) repeated: u64,
    pub(crate) skipped: u64,
    /// Readings of a feed that no point of the mapping asks for.
    pub(crate) unasked: BTreeMap<String, u64>,
    /// Rows that would not be taken, by rule.
    pub(crate) faults: BTreeMap<String, u64>,
    /// Whether the rest is to be taken all the same.
    pub(crate) accept_faults: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanFile {
    pub(crate) path: PathBuf,
    pub(crate) format: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    pub(crate) rows: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanMapping {
    pub(crate) path: PathBuf,
    pub(crate) sha256: String,
    pub(crate) text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanSeries {
    pub(crate) device: String,
    pub(crate) point: String,
    pub(crate) unit: String,
    pub(crate) readings: u64,
    pub(crate) without_value: u64,
    pub(crate) new: u64,
    pub(crate) contradicting: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    /// Where the mapping says the interval: intervals between first and last without a reading.
    pub(crate) missing: Option<u64>,
    /// All values together, exactly.
    pub(crate) sum: String,
    pub(crate) smallest: Option<String>,
    pub(crate) largest: Option<String>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("{} files are more than one import has: {FILES_MAX}", found)]
    Files { found: usize },
    #[error("{}", path.display())]
    Source {
        path: PathBuf,
        #[source]
        err: SourceError,
    },
    #[error("could not read the store")]
    Store(#[from] OpenError),
    #[error("could not read what is stored")]
    Segment(#[from] SegmentError),
    #[error("the files have no reading that could be taken")]
    Nothing { faults: Vec<Fault>, count: u64 },
}

/// What a plan was made of: the readings themselves, and every fault.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) checked: Checked,
}

/// Where readings are compared, and how.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) files: &'a [PathBuf],
    pub(crate) mapping_path: &'a Path,
    pub(crate) mapping_text: &'a str,
    pub(crate) mapping: &'a Mapping,
    pub(crate) store: &'a Path,
    pub(crate) accept_faults: bool,
    pub(crate) now: Timestamp,
}

impl Prepared {
    /// Reads the files, checks every row and compares it with the store, which is not changed.
    pub(crate) fn new(request: &Request<'_>) -> Result<Self, PlanError> {
        if request.files.len() > FILES_MAX {
            return Err(PlanError::Files { found: request.files.len() });
        }
        let gathered = gather(request.files, request.mapping, request.now);
        let (files, mut checked, unasked) = gathered.map_err(|(path, err)| PlanError::Source { path, err })?;
        let comparison = match Reader::open(request.store) {
            Ok(reader) => Comparison::with(&checked.bulk, &reader)?,
            Err(OpenError::Absent { .. }) => Comparison::with_nothing(&checked.bulk),
            Err(err) => return Err(err.into()),
        };
        if request.mapping.contradictions == Contradictions::Refuse {
            refuse_contradictions(&mut checked, &comparison);
        }
        if checked.bulk.len() == 0 {
            return Err(PlanError::Nothing { count: checked.faults.count(), faults: checked.faults.told });
        }
        let plan = plan(request, files, &checked, &comparison, unasked);
        Ok(Self { plan, checked })
    }
}

/// Readings that contradict the store are faults where the mapping does not want both.
fn refuse_contradictions(checked: &mut Checked, comparison: &Comparison) {
    for (index, (series, places)) in checked.bulk.series.iter().zip(&checked.places).enumerate() {
        for (at, (reading, place)) in series.readings.iter().zip(places).enumerate() {
            if comparison.fate(index, at) != Fate::Contradicts {
                continue;
            }
            let time = Timestamp::from_millisecond(reading.ts_ms).unwrap_or(Timestamp::UNIX_EPOCH);
            checked.faults.add(Fault {
                file: checked.files.get(usize::from(place.file)).cloned().unwrap_or_default(),
                row: u64::from(place.row),
                point: format!("{}/{}", series.device, series.point),
                rule: Rule::Contradiction,
                reason: format!("has another value than the store for {time}"),
            });
        }
    }
}

fn plan(request: &Request<'_>, files: Vec<FileSeen>, checked: &Checked, comparison: &Comparison, unasked: BTreeMap<String, u64>) -> Plan {
    let bulk = &checked.bulk;
    let file = |seen: FileSeen| {
        let FileSeen { path, format, bytes, sha256, rows } = seen;
        PlanFile { path, format: format.to_owned(), bytes, sha256, rows }
    };
    let mapping = PlanMapping {
        path: request.mapping_path.to_owned(),
        sha256: wire::command::to_hex(&Sha256::digest(request.mapping_text.as_bytes())),
        text: request.mapping_text.to_owned(),
    };
    let interval_ms = request.mapping.time.interval_ms;
    Plan {
        schema: SCHEMA.to_owned(),
        id: bulk.content_id().text(),
        made_at: request.now,
        tenant: bulk.tenant.to_string(),
        facility: bulk.facility.to_string(),
        files: files.into_iter().map(file).collect(),
        mapping,
        series: (0..bulk.series.len()).filter_map(|index| series(checked, comparison, index, interval_ms)).collect(),
        readings: bulk.len() as u64,
        new: comparison.count(Fate::New),
        same: comparison.count(Fate::Same) + comparison.count(Fate::Silent),
        contradicting: comparison.count(Fate::Contradicts),
        returning: comparison.count(Fate::Returns),
        sealed: comparison.sealed,
        repeated: checked.repeated,
        skipped: checked.skipped,
        unasked,
        faults: checked.faults.by_rule.iter().map(|(rule, count)| (rule.name().to_owned(), *count)).collect(),
        accept_faults: request.accept_faults,
    }
}

fn series(checked: &Checked, comparison: &Comparison, index: usize, interval_ms: Option<i64>) -> Option<PlanSeries> {
    let series = checked.bulk.series.get(index)?;
    let (first, last) = (series.readings.first()?, series.readings.last()?);
    let at = |ts_ms| Timestamp::from_millisecond(ts_ms).ok();
    let values = || series.readings.iter().filter_map(|reading| reading.raw);
    let said = |raw: i64| units::Measured { raw, exponent: EXPONENT, unit: series.unit }.decimal_text();
    let count = |fate| comparison.fates.get(index).map_or(0, |fates| fates.iter().filter(|one| **one == fate).count() as u64);
    // A day of the zone has 23 hours or 25: what is missing of days is told to the nearest one.
    let missing = interval_ms.map(|interval| {
        let expected = last.ts_ms.saturating_sub(first.ts_ms).saturating_add(interval / 2) / interval.max(1) + 1;
        expected.cast_unsigned().saturating_sub(series.readings.len() as u64)
    });
    Some(PlanSeries {
        device: series.device.to_string(),
        point: series.point.clone(),
        unit: series.unit.symbol().to_owned(),
        readings: series.readings.len() as u64,
        without_value: series.readings.iter().filter(|reading| reading.raw.is_none()).count() as u64,
        new: count(Fate::New),
        contradicting: count(Fate::Contradicts),
        first: at(first.ts_ms)?,
        last: at(last.ts_ms)?,
        missing,
        sum: sum(values()),
        smallest: values().min().map(said),
        largest: values().max().map(said),
    })
}

/// The sum of millionths, exactly.
fn sum(values: impl Iterator<Item = i64>) -> String {
    let sum: i128 = values.map(i128::from).sum();
    let (sign, magnitude) = (if sum < 0 { "-" } else { "" }, sum.unsigned_abs());
    let text = format!("{sign}{}.{:06}", magnitude / 1_000_000, magnitude % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Plan {
    pub(crate) fn fault_count(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Whether faults are told that are not in the list.
    pub(crate) fn untold(&self) -> u64 {
        self.fault_count().saturating_sub(fault::FAULTS_MAX as u64)
    }
}
