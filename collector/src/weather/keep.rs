//! Hours of weather into the store, as an import that can be listed and undone.

use std::path::Path;

use ids::Slug;
use jiff::Timestamp;
use serde::Serialize;
use store::{OpenError, Options, Reader, SegmentError, Store};
use units::{Quality, Reason, Unit};

use super::hour::{Hour, HourRules, Hours, Origin, hours};
use super::observation::{Observation, Variable};
use crate::import::bulk::{Carry, CarryError, CommitOptions, Comparison, Fate, State, state};
use crate::import::series::{Bulk, Reading, Series};

const SCALE: f64 = 1e6;

/// Where the hours go, and how.
#[derive(Clone, Debug)]
pub struct Keeping {
    pub tenant: Slug,
    pub facility: Slug,
    pub device: Slug,
    /// The unit of temperatures: degrees Celsius or Fahrenheit.
    pub temperature: Unit,
    pub rules: HourRules,
    /// Whether values that contradict stored ones are kept beside them, as the newer version.
    pub revise: bool,
    /// Bring back what was undone.
    pub again: bool,
    /// Typical weather, and not what was observed: its readings say that they stand for others.
    pub typical: bool,
    pub actor: String,
    pub reason: String,
    /// SHA-256 of each file.
    pub files: Vec<String>,
    pub dry_run: bool,
    pub now: Timestamp,
}

/// What became of one variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptSeries {
    pub point: String,
    pub unit: String,
    pub first: Timestamp,
    pub last: Timestamp,
    pub hours: u64,
    pub observed: u64,
    pub interpolated: u64,
    pub missing: u64,
    /// Observations of one moment, of which one counts.
    pub repeated: u64,
}

/// What became of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// What the import is known by.
    pub id: String,
    pub series: Vec<KeptSeries>,
    pub new: u64,
    pub same: u64,
    pub contradicting: u64,
    /// False in a dry run, and when all of it was there before.
    pub changed: bool,
    pub accepted: u64,
    pub audit_entry: Option<u64>,
}

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error("there is no hour with a value in it")]
    Nothing,
    #[error("{count} hours have another value than the store: add --revise to keep both, the newer one to be read")]
    Contradicting { count: u64 },
    #[error("the import {id} was undone by {by} at {at}: add --again to bring its hours back")]
    Undone { id: String, by: String, at: Timestamp },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("could not read what is stored")]
    Segment(#[from] SegmentError),
    /// The store does not take them.
    #[error("could not store the hours")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<CarryError> for KeepError {
    fn from(err: CarryError) -> Self {
        Self::Store(Box::new(err))
    }
}

/// Makes hours of observations and stores them. The same observations again change nothing.
pub fn keep(store_dir: &Path, observations: &[Observation], keeping: &Keeping) -> Result<Kept, KeepError> {
    let all: Vec<Hours> = Variable::ALL.into_iter().filter_map(|variable| hours(observations, variable, keeping.rules)).collect();
    let (mut bulk, mut told) =
        (Bulk { tenant: keeping.tenant.clone(), facility: keeping.facility.clone(), series: Vec::new() }, Vec::new());
    for hours in &all {
        let unit = if hours.variable.unit() == Unit::Celsius { keeping.temperature } else { hours.variable.unit() };
        // A forecast is no observation, and the hour that runs is not over.
        let over = |hour: &&Hour| hour.start.as_second().saturating_add(3_600) <= keeping.now.as_second();
        let past: Vec<&Hour> = hours.hours.iter().filter(over).collect();
        let (Some(first), Some(last)) = (past.first(), past.last()) else { continue };
        let count = |origin| past.iter().filter(|hour| hour.origin == origin).count() as u64;
        told.push(KeptSeries {
            point: hours.variable.point().to_owned(),
            unit: unit.symbol().to_owned(),
            first: first.start,
            last: last.start,
            hours: past.len() as u64,
            observed: count(Origin::Observed),
            interpolated: count(Origin::Interpolated),
            missing: count(Origin::Missing),
            repeated: hours.repeated,
        });
        let readings = past.iter().map(|hour| reading(hour, unit, keeping.typical)).collect();
        bulk.series.push(Series { device: keeping.device.clone(), point: hours.variable.point().to_owned(), unit, readings });
    }
    if bulk.len() == 0 {
        return Err(KeepError::Nothing);
    }
    let mut kept = Kept {
        id: bulk.content_id().text(),
        series: told,
        new: 0,
        same: 0,
        contradicting: 0,
        changed: false,
        accepted: 0,
        audit_entry: None,
    };
    store(store_dir, &bulk, keeping, &mut kept)?;
    Ok(kept)
}

fn store(dir: &Path, bulk: &Bulk, keeping: &Keeping, kept: &mut Kept) -> Result<(), KeepError> {
    // Opened first: between the comparison and the commit nobody else may write.
    let store = if keeping.dry_run { None } else { Some(Store::open(dir, Options::default())?) };
    let (comparison, before) = match Reader::open(dir) {
        Ok(reader) => (Comparison::with(bulk, &reader)?, state(&reader, &kept.id)),
        Err(OpenError::Absent { .. }) => (Comparison::with_nothing(bulk), State::Unknown),
        Err(err) => return Err(err.into()),
    };
    (kept.new, kept.contradicting) = (comparison.count(Fate::New) + comparison.count(Fate::Returns), comparison.count(Fate::Contradicts));
    kept.same = comparison.count(Fate::Same) + comparison.count(Fate::Silent);
    let Some(store) = store else { return Ok(()) };
    if kept.contradicting > 0 && !keeping.revise {
        return Err(KeepError::Contradicting { count: kept.contradicting });
    }
    if let State::Undone { by, at } = &before
        && !keeping.again
    {
        return Err(KeepError::Undone { id: kept.id.clone(), by: by.clone(), at: *at });
    }
    let options = CommitOptions {
        actor: keeping.actor.clone(),
        reason: Some(keeping.reason.clone()),
        approval: String::new(),
        again: keeping.again,
        now: keeping.now,
    };
    let (recorded, files) = (before == State::Committed, keeping.files.clone());
    let carry =
        Carry { bulk, comparison: &comparison, keep: keeping.revise, options: &options, reason: keeping.reason.clone(), files, recorded };
    let done = carry.out(&store)?;
    (kept.changed, kept.accepted, kept.audit_entry) = (done.changed, done.accepted + done.brought_back, done.audit_entry);
    Ok(())
}

fn reading(hour: &Hour, unit: Unit, typical: bool) -> Reading {
    let quality = match (hour.origin, typical) {
        (Origin::Missing, _) => Quality::bad(Reason::NoValue),
        (Origin::Interpolated, _) => Quality::uncertain(Reason::Estimated),
        (Origin::Observed, true) => Quality::uncertain(Reason::Substituted),
        (Origin::Observed, false) => Quality::GOOD,
    };
    let value = hour.value.map(|value| if unit == Unit::Fahrenheit { value * 1.8 + 32.0 } else { value });
    #[expect(clippy::cast_possible_truncation, reason = "weather is below 2,000 in every unit")]
    let raw = value.map(|value| (value * SCALE).round() as i64);
    Reading { ts_ms: hour.start.as_millisecond(), raw, quality }
}
