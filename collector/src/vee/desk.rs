//! What may be asked for: a value set, a value withdrawn, gaps estimated, an exchange of meters, a change undone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use ids::Slug;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Reader, Readers, SeriesInfo, Store};
use tokio::sync::Mutex;
use units::{FacilityCalendar, Measured, Quality, Reason};

use super::change::{self, Answers, Change, ChangeError, ChangedRow, Standing};
use super::counter::Exchange;
use super::estimate::{Fill, Kind, Left, Method};
use super::journal::{Journal, JournalError};
use super::scene::{Facts, Scene};
use crate::config::VeeConfig;

/// What is to be changed of a facility.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) tenant: Slug,
    pub(crate) facility: Slug,
    pub(crate) change: Ask,
    #[serde(default)]
    pub(crate) actor: String,
    #[serde(default)]
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) document: String,
    #[serde(default)]
    pub(crate) approval: String,
}

/// One change.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Ask {
    /// A value in the place of another, or where there is none.
    Set { device: Slug, point: String, at: Timestamp, value: String },
    /// Values that are known to be wrong.
    Withdraw { device: Slug, point: String, from: Timestamp, to: Timestamp },
    /// What is missing, as far as there is a method for it.
    Estimate {
        device: Option<Slug>,
        point: Option<String>,
        from: Timestamp,
        to: Timestamp,
        #[serde(default)]
        dry_run: bool,
    },
    /// Another meter in the place of one: the displays of both, where they were written down.
    Exchange { device: Slug, point: String, at: Timestamp, closing: Option<String>, opening: Option<String> },
    /// A change, by its number.
    Undo { id: i64 },
}

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Made {
    pub(crate) changes: Vec<MadeChange>,
    /// Of an estimate: what was filled, and what was left.
    pub(crate) filled: Vec<Filled>,
    pub(crate) left: Vec<LeftGap>,
    /// Of an exchange: whether it was not known before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) noted: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MadeChange {
    pub(crate) id: i64,
    pub(crate) way: String,
    pub(crate) readings: usize,
    /// Its entry in the audit log.
    pub(crate) audit_entry: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Filled {
    pub(crate) device: String,
    pub(crate) point: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) readings: usize,
    pub(crate) method: &'static str,
    /// What the counter says has passed.
    pub(crate) passed: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LeftGap {
    pub(crate) device: String,
    pub(crate) point: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) why: Left,
}

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeskError {
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error("{facility} has no series `{device}/{point}`")]
    Series { facility: Slug, device: Slug, point: String },
    #[error("`{value}` is no value of `{device}/{point}`, which is kept as whole numbers times 10^{exponent} {unit}")]
    Value { value: String, device: Slug, point: String, exponent: i8, unit: &'static str },
    #[error("there is nothing to change: no value of `{device}/{point}` stands between these times")]
    Nothing { device: Slug, point: String },
    #[error("`{device}/{point}` is no counter")]
    NoCounter { device: Slug, point: String },
    #[error("write both displays or none")]
    Displays,
}

impl From<JournalError> for DeskError {
    fn from(err: JournalError) -> Self {
        Self::Change(err.into())
    }
}

impl From<store::SegmentError> for DeskError {
    fn from(err: store::SegmentError) -> Self {
        Self::Change(err.into())
    }
}

/// A fill of a series.
pub(crate) type SeriesFill = (SeriesInfo, Fill);

/// What is done by hand and by the job, one at a time.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) store: Arc<Store>,
    readers: Arc<Readers>,
    pub(crate) journal: Journal,
    pub(crate) config: Arc<VeeConfig>,
    one: Arc<Mutex<()>>,
}

impl Desk {
    /// Takes over, and settles what was cut off.
    pub(crate) async fn new(store: Arc<Store>, journal: Journal, config: Arc<VeeConfig>) -> Result<Self, ChangeError> {
        let readers = Arc::new(Readers::new(store.dir()));
        let desk = Self { store, readers, journal, config, one: Arc::new(Mutex::new(())) };
        let audit = desk.reading(|reader| reader.audit().to_vec()).await?;
        let config = desk.config.clone();
        change::recover(&audit, &desk.journal, |change| FacilityCalendar::new(config.of(&change.tenant, &change.facility).zone)).await?;
        Ok(desk)
    }

    /// Reads a snapshot in a thread that may block.
    pub(crate) async fn reading<T: Send + 'static>(&self, work: impl FnOnce(&Reader) -> T + Send + 'static) -> Result<T, ChangeError> {
        let readers = self.readers.clone();
        let read = move || readers.ask(work);
        Ok(tokio::task::spawn_blocking(read).await.map_err(|_panicked| ChangeError::Panicked)??)
    }

    /// Does what is asked.
    pub(crate) async fn ask(&self, request: Request, now: Timestamp) -> Result<Made, DeskError> {
        let _one = self.one.lock().await;
        let Request { tenant, facility, change, actor, reason, document, approval } = request;
        let answers = Answers { actor, reason, document, approval };
        let (at_ms, config) = (now.as_millisecond(), self.config.clone());
        let facts = Facts::of(&self.journal, &tenant, &facility, &(i64::MIN..i64::MAX)).await?;
        let (of_tenant, of_facility) = (tenant.clone(), facility.clone());
        let mut made = Made::default();
        let changes: Vec<Change> = match change {
            Ask::Set { device, point, at, value } => {
                let work = move |reader: &Reader| {
                    let scene = Scene::new(reader, &config, &of_tenant, &of_facility, facts);
                    set(&scene, &device, &point, at.as_millisecond(), &value)
                };
                vec![whole(&tenant, &facility, "set", answers, at_ms, vec![self.reading(work).await??])]
            }
            Ask::Withdraw { device, point, from, to } => {
                let work = move |reader: &Reader| {
                    let scene = Scene::new(reader, &config, &of_tenant, &of_facility, facts);
                    withdraw(&scene, &device, &point, &(from.as_millisecond()..to.as_millisecond()))
                };
                vec![whole(&tenant, &facility, "withdraw", answers, at_ms, self.reading(work).await??)]
            }
            Ask::Estimate { device, point, from, to, dry_run } => {
                let range = from.as_millisecond()..to.as_millisecond();
                let work = move |reader: &Reader| {
                    let scene = Scene::new(reader, &config, &of_tenant, &of_facility, facts);
                    let wanted = |info: &SeriesInfo| {
                        device.as_ref().is_none_or(|device| *device == info.key.device)
                            && point.as_ref().is_none_or(|point| *point == info.key.point)
                    };
                    let (fills, left) = plan(&scene, &range, wanted, Touched::Too)?;
                    let rows = rows_by_method(&scene, &fills)?;
                    Ok::<_, ChangeError>((fills, left, rows))
                };
                let (fills, left, rows) = self.reading(work).await??;
                made.filled = fills.iter().map(filled).collect();
                made.left = left;
                if dry_run { Vec::new() } else { by_method(&tenant, &facility, rows, &answers, at_ms) }
            }
            Ask::Exchange { device, point, at, closing, opening } => {
                let at = Exchange { at_ms: at.as_millisecond(), displays: None };
                let known = move |reader: &Reader| {
                    let scene = Scene::new(reader, &config, &of_tenant, &of_facility, facts);
                    noted(&scene, device, point, at, closing.as_deref(), opening.as_deref())
                };
                let (device, point, exponent, exchange) = self.reading(known).await??;
                let account = json!({ "actor": answers.actor, "reason": answers.reason, "document": answers.document, "at_ms": at_ms });
                if answers.actor.trim().is_empty() || answers.reason.trim().is_empty() {
                    return Err(ChangeError::from(store::AmendError::Unaccounted).into());
                }
                made.noted = Some(self.journal.exchange((&tenant, &facility, &device, &point), exchange, exponent, &account).await?);
                Vec::new()
            }
            Ask::Undo { id } => {
                let changed = self.journal.change(id).await?;
                let changed = changed.filter(|changed| changed.change.tenant == tenant && changed.change.facility == facility);
                let changed = changed.ok_or(ChangeError::Absent(id))?;
                vec![self.reading(move |reader| change::undoing(reader, &changed, answers, at_ms)).await??]
            }
        };
        for change in changes {
            made.changes.extend(self.make(change).await?);
        }
        Ok(made)
    }

    /// Makes a change, and puts back what a meter has said meanwhile.
    pub(super) async fn make(&self, change: Change) -> Result<Vec<MadeChange>, ChangeError> {
        let calendar = FacilityCalendar::new(self.config.of(&change.tenant, &change.facility).zone);
        let mut made = Vec::new();
        let mut next = Some(change);
        while let Some(change) = next {
            let (id, audit_entry) = change::make(&self.store, &self.journal, &calendar, change.clone()).await?;
            made.push(MadeChange { id, way: change.way.clone(), readings: change.rows.len(), audit_entry });
            next = self.reading(move |reader| change::overtaken(reader, &change)).await??;
        }
        Ok(made)
    }

    /// Fills what is missing in a range by itself, where nobody has changed anything yet, and gives how many readings.
    pub(crate) async fn estimate(
        &self,
        tenant: &Slug,
        facility: &Slug,
        range: Range<i64>,
        reason: &str,
        now: Timestamp,
    ) -> Result<usize, ChangeError> {
        let _one = self.one.lock().await;
        let facts = Facts::of(&self.journal, tenant, facility, &range).await?;
        let (config, of_tenant, of_facility) = (self.config.clone(), tenant.clone(), facility.clone());
        let work = move |reader: &Reader| {
            let scene = Scene::new(reader, &config, &of_tenant, &of_facility, facts);
            let required: BTreeSet<_> = scene.required().iter().map(|info| info.id).collect();
            let (fills, _) = plan(&scene, &range, |info| required.contains(&info.id), Touched::Not)?;
            rows_by_method(&scene, &fills)
        };
        let rows = self.reading(work).await??;
        let answers = Answers { actor: String::new(), reason: reason.to_owned(), document: String::new(), approval: String::new() };
        let mut readings = 0;
        for change in by_method(tenant, facility, rows, &answers, now.as_millisecond()) {
            readings += change.rows.len();
            self.make(change).await?;
        }
        Ok(readings)
    }
}

fn whole(tenant: &Slug, facility: &Slug, way: &str, answers: Answers, at_ms: i64, rows: Vec<ChangedRow>) -> Change {
    Change { tenant: tenant.clone(), facility: facility.clone(), way: way.to_owned(), undoes: None, answers, at_ms, rows }
}

fn row(info: &SeriesInfo, ts_ms: i64, before: Option<Standing>, after: Standing) -> ChangedRow {
    let key = &info.key;
    ChangedRow { device: key.device.clone(), point: key.point.clone(), unit: key.unit, exponent: key.exponent, ts_ms, before, after }
}

/// The series of a point; of several, with other units or exponents, the youngest.
fn series<'a>(scene: &'a Scene<'_>, device: &Slug, point: &str) -> Result<&'a SeriesInfo, DeskError> {
    let named = scene.series().iter().filter(|info| info.key.device == *device && info.key.point == point);
    let absent = || DeskError::Series { facility: scene.facility.clone(), device: device.clone(), point: point.to_owned() };
    named.max_by_key(|info| info.id).ok_or_else(absent)
}

fn parsed(info: &SeriesInfo, value: &str) -> Result<i64, DeskError> {
    let key = &info.key;
    let measured = Measured::parse(value, key.unit).and_then(|measured| measured.rescale(key.exponent));
    measured.map(|measured| measured.raw).map_err(|_unfit| DeskError::Value {
        value: value.to_owned(),
        device: key.device.clone(),
        point: key.point.clone(),
        exponent: key.exponent,
        unit: key.unit.symbol(),
    })
}

fn set(scene: &Scene<'_>, device: &Slug, point: &str, at_ms: i64, value: &str) -> Result<ChangedRow, DeskError> {
    let info = series(scene, device, point)?;
    let after = Standing { raw: Some(parsed(info, value)?), quality: Quality::GOOD.with(Reason::Edited), words: String::new() };
    let before = scene.reader().scan(info.id, at_ms..at_ms.saturating_add(1))?;
    Ok(row(info, at_ms, before.first().map(Standing::of), after))
}

fn withdraw(scene: &Scene<'_>, device: &Slug, point: &str, range: &Range<i64>) -> Result<Vec<ChangedRow>, DeskError> {
    let info = series(scene, device, point)?;
    let samples = scene.reader().scan(info.id, range.clone())?;
    let valued = samples.iter().filter(|sample| sample.raw.is_some());
    let rows: Vec<_> = valued.map(|sample| row(info, sample.ts_ms, Some(Standing::of(sample)), Standing::withdrawn())).collect();
    if rows.is_empty() {
        return Err(DeskError::Nothing { device: device.clone(), point: point.to_owned() });
    }
    Ok(rows)
}

fn noted(
    scene: &Scene<'_>,
    device: Slug,
    point: String,
    at: Exchange,
    closing: Option<&str>,
    opening: Option<&str>,
) -> Result<(Slug, String, i8, Exchange), DeskError> {
    let info = series(scene, &device, &point)?;
    if Kind::of(&info.key) != Kind::Counter {
        return Err(DeskError::NoCounter { device, point });
    }
    let displays = match (closing, opening) {
        (Some(closing), Some(opening)) => Some((parsed(info, closing)?, parsed(info, opening)?)),
        (None, None) => None,
        _ => return Err(DeskError::Displays),
    };
    Ok((device, point, info.key.exponent, Exchange { displays, ..at }))
}

/// Whether gaps are filled in which somebody has changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touched {
    Too,
    Not,
}

/// Plans the gaps of a range that are not sealed.
pub(crate) fn plan(
    scene: &Scene<'_>,
    range: &Range<i64>,
    wanted: impl Fn(&SeriesInfo) -> bool,
    touched: Touched,
) -> Result<(Vec<SeriesFill>, Vec<LeftGap>), ChangeError> {
    let (mut fills, mut left) = (Vec::new(), Vec::new());
    let seals = scene.reader().seals(&scene.tenant, &scene.facility);
    for info in scene.series().iter().filter(|info| wanted(info)) {
        let planned = scene.plan(info, range)?;
        left.extend(planned.left.into_iter().map(|(span, why)| LeftGap {
            device: info.key.device.to_string(),
            point: info.key.point.clone(),
            from: time(span.start),
            to: time(span.end),
            why,
        }));
        for fill in planned.fills {
            let is_sealed = seals.iter().any(|seal| seal.from_ms < fill.to_ms && seal.to_ms > fill.from_ms);
            let is_touched = || -> Result<bool, ChangeError> {
                let history = scene.reader().history(info.id, fill.from_ms..fill.to_ms)?;
                Ok(history.iter().any(|sample| sample.seq == 0))
            };
            if !is_sealed && (touched == Touched::Too || !is_touched()?) {
                fills.push((info.clone(), fill));
            }
        }
    }
    Ok((fills, left))
}

/// The rows of fills, with what stands there now; one list for each method.
pub(crate) fn rows_by_method(scene: &Scene<'_>, fills: &[SeriesFill]) -> Result<BTreeMap<Method, Vec<ChangedRow>>, ChangeError> {
    let mut rows: BTreeMap<Method, Vec<ChangedRow>> = BTreeMap::new();
    for (info, fill) in fills {
        let (Some((first, _)), Some((last, _))) = (fill.rows.first(), fill.rows.last()) else { continue };
        let standing: BTreeMap<i64, Standing> = scene
            .reader()
            .scan(info.id, *first..last.saturating_add(1))?
            .iter()
            .map(|sample| (sample.ts_ms, Standing::of(sample)))
            .collect();
        let estimated = |raw| Standing { raw: Some(raw), quality: Quality::uncertain(Reason::Estimated), words: String::new() };
        let of_fill = fill.rows.iter().map(|(ts_ms, raw)| row(info, *ts_ms, standing.get(ts_ms).cloned(), estimated(*raw)));
        rows.entry(fill.method).or_default().extend(of_fill);
    }
    Ok(rows)
}

/// One change for each method. The method answers for it, and beside it whoever has asked.
fn by_method(tenant: &Slug, facility: &Slug, rows: BTreeMap<Method, Vec<ChangedRow>>, answers: &Answers, at_ms: i64) -> Vec<Change> {
    let one = |(method, rows): (Method, Vec<ChangedRow>)| {
        let method = method.id();
        let actor = if answers.actor.trim().is_empty() { format!("vee:{method}") } else { format!("vee:{method} for {}", answers.actor) };
        let reason = if answers.reason.trim().is_empty() { "what was missing is estimated".to_owned() } else { answers.reason.clone() };
        whole(tenant, facility, method, Answers { actor, reason, ..answers.clone() }, at_ms, rows)
    };
    rows.into_iter().map(one).collect()
}

fn filled((info, fill): &SeriesFill) -> Filled {
    let key = &info.key;
    Filled {
        device: key.device.to_string(),
        point: key.point.clone(),
        from: time(fill.from_ms),
        to: time(fill.to_ms),
        readings: fill.rows.len(),
        method: fill.method.id(),
        passed: fill.passed.map(|raw| Measured { raw, exponent: key.exponent, unit: key.unit }.to_string()),
    }
}

/// A time as people and programs read it.
pub(crate) fn time(ts_ms: i64) -> String {
    Timestamp::from_millisecond(ts_ms).map_or_else(|_beyond| format!("{ts_ms} ms"), |at| at.to_string())
}
