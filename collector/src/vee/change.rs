//! Changes of readings: a layer of versions above what was received, each with who answers for it, each to be undone.
//!
//! ```text
//! journal: intended, with what stood there before  ->  store: amended, one entry of the audit log  ->  journal: done
//! ```
//!
//! What was received stays in the store, bit for bit. A change that was cut off is found again by its number in the audit
//! log: it was made, or it was not.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ids::Slug;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Account, AmendError, Amendment, OpenError, Reader, Row, Sample, SegmentError, SeriesId, SeriesKey, Store, Words};
use units::{FacilityCalendar, Quality, Reason, Unit};

use super::journal::{Journal, JournalError, News};

/// Readings in one change.
pub(crate) const ROWS_MAX: usize = 50_000;

/// What stands at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) raw: Option<i64>,
    pub(crate) quality: Quality,
    /// Hexadecimal registers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) words: String,
}

/// One reading of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChangedRow {
    pub(crate) device: Slug,
    pub(crate) point: String,
    pub(crate) unit: Unit,
    pub(crate) exponent: i8,
    pub(crate) ts_ms: i64,
    /// Nothing where there was no row.
    pub(crate) before: Option<Standing>,
    pub(crate) after: Standing,
}

/// Who answers for a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answers {
    pub(crate) actor: String,
    pub(crate) reason: String,
    /// What it rests on.
    #[serde(default)]
    pub(crate) document: String,
    /// Who allowed it, where what was billed is changed.
    #[serde(default)]
    pub(crate) approval: String,
}

/// A change, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) tenant: Slug,
    pub(crate) facility: Slug,
    /// `set`, `withdraw`, `undo`, or the id of a method.
    pub(crate) way: String,
    pub(crate) undoes: Option<i64>,
    #[serde(flatten)]
    pub(crate) answers: Answers,
    pub(crate) at_ms: i64,
    pub(crate) rows: Vec<ChangedRow>,
}

/// A change and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) id: i64,
    pub(crate) change: Change,
    /// Its entries in the audit log.
    pub(crate) entries: Vec<u64>,
    /// `intended`, `done`, `void`.
    pub(crate) state: String,
    pub(crate) undone_by: Option<i64>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    #[error(transparent)]
    Amend(#[from] AmendError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("could not read the store")]
    Open(#[from] OpenError),
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("there is no change {0}: `negawatt vee changes` shows those there are")]
    Absent(i64),
    #[error("change {id} was undone by change {by}")]
    Undone { id: i64, by: i64 },
    #[error("change {0} came to nothing, so there is nothing to undo")]
    Void(i64),
    #[error("none of the readings of change {0} is as it left them: they were changed again since, or a meter has said otherwise")]
    Overtaken(i64),
    #[error("{rows} readings are too many for one change, which has at most {max}: take a shorter range", max = ROWS_MAX)]
    TooMany { rows: usize },
    #[error("the work has panicked")]
    Panicked,
}

impl Standing {
    /// What stands where a value is taken away.
    pub(crate) fn withdrawn() -> Self {
        Self { raw: None, quality: Quality::bad(Reason::NoValue).with(Reason::Edited), words: String::new() }
    }

    pub(crate) fn of(sample: &Sample) -> Self {
        let words = sample.words.map_or_else(String::new, |words| wire::command::to_hex(words.as_slice()));
        Self { raw: sample.raw, quality: sample.quality, words }
    }

    fn words(&self) -> Option<Words> {
        let digits: Vec<u32> = self.words.chars().filter_map(|digit| digit.to_digit(16)).collect();
        let bytes: Vec<u8> = digits
            .chunks_exact(2)
            .filter_map(|pair| pair.iter().try_fold(0_u8, |byte, digit| byte.checked_mul(16)?.checked_add(u8::try_from(*digit).ok()?)))
            .collect();
        Words::new(&bytes)
    }
}

impl ChangedRow {
    fn is_of(&self, key: &SeriesKey) -> bool {
        self.device == key.device && self.point == key.point && self.unit == key.unit && self.exponent == key.exponent
    }

    fn row(&self) -> Row {
        let Self { device, point, unit, exponent, ts_ms, after, .. } = self.clone();
        Row { device, point: point.into(), unit, exponent, ts_ms, raw: after.raw, quality: after.quality, words: after.words() }
    }
}

impl Change {
    fn document(&self, id: i64) -> String {
        let text = &self.answers.document;
        if text.is_empty() { format!("vee change {id}") } else { format!("vee change {id}; {text}") }
    }

    /// Local days that it touches.
    fn days(&self, calendar: &FacilityCalendar) -> BTreeSet<Date> {
        let times: BTreeSet<i64> = self.rows.iter().map(|row| row.ts_ms).collect();
        times.into_iter().filter_map(|ts_ms| Timestamp::from_millisecond(ts_ms).ok()).map(|at| calendar.day_of(at)).collect()
    }

    /// What those who have used a day must know.
    async fn news(&self, id: i64, journal: &Journal, calendar: &FacilityCalendar) -> Result<Vec<News>, JournalError> {
        let Some(next) = journal.next_day(&self.tenant, &self.facility).await? else { return Ok(Vec::new()) };
        let told = |date: Date| News {
            at_ms: self.at_ms,
            topic: "facility_day_changed",
            tenant: self.tenant.clone(),
            facility: self.facility.clone(),
            subject: format!("{date}/{id}"),
            payload: json!({ "date": date.to_string(), "change": id, "way": self.way, "actor": self.answers.actor }),
        };
        Ok(self.days(calendar).into_iter().filter(|date| *date < next).map(told).collect())
    }
}

/// Makes a change. Durable when this returns.
pub(crate) async fn make(
    store: &Arc<Store>,
    journal: &Journal,
    calendar: &FacilityCalendar,
    change: Change,
) -> Result<(i64, u64), ChangeError> {
    if change.rows.len() > ROWS_MAX {
        return Err(ChangeError::TooMany { rows: change.rows.len() });
    }
    let id = journal.intend(&change).await?;
    let amendment = Amendment {
        tenant: change.tenant.clone(),
        facility: change.facility.clone(),
        rows: change.rows.iter().map(ChangedRow::row).collect(),
        account: Account {
            actor: change.answers.actor.clone(),
            reason: change.answers.reason.clone(),
            document: change.document(id),
            approval: change.answers.approval.clone(),
            at_ms: change.at_ms,
        },
    };
    let store = store.clone();
    let amended = tokio::task::spawn_blocking(move || store.amend(&amendment)).await.map_err(|_panicked| ChangeError::Panicked)?;
    match amended {
        Ok(entry) => {
            let news = change.news(id, journal, calendar).await?;
            journal.settle(id, &[entry.number], &news).await?;
            Ok((id, entry.number))
        }
        Err(err) => {
            journal.settle(id, &[], &[]).await?;
            Err(err.into())
        }
    }
}

/// What puts the readings of a change back, those that are still as it left them.
pub(crate) fn undoing(reader: &Reader, changed: &Changed, answers: Answers, at_ms: i64) -> Result<Change, ChangeError> {
    if let Some(by) = changed.undone_by {
        return Err(ChangeError::Undone { id: changed.id, by });
    }
    if changed.state != "done" {
        return Err(ChangeError::Void(changed.id));
    }
    let mut now = Present::default();
    now.load(reader, &changed.change)?;
    let still = |row: &&ChangedRow| now.at(row).is_some_and(|standing| *standing == row.after);
    let back = |row: &ChangedRow| ChangedRow {
        before: Some(row.after.clone()),
        after: row.before.clone().unwrap_or_else(Standing::withdrawn),
        ..row.clone()
    };
    let rows: Vec<ChangedRow> = changed.change.rows.iter().filter(still).map(back).collect();
    if rows.is_empty() {
        return Err(ChangeError::Overtaken(changed.id));
    }
    Ok(Change { way: "undo".to_owned(), undoes: Some(changed.id), answers, at_ms, rows, ..changed.change.clone() })
}

/// What puts readings back that a meter has sent while the change was made: it has the last word. None when there are none.
pub(crate) fn overtaken(reader: &Reader, change: &Change) -> Result<Option<Change>, SegmentError> {
    let mut rows = Vec::new();
    for info in reader.series(&change.tenant, &change.facility) {
        let of_series = change.rows.iter().filter(|row| row.is_of(&info.key));
        let of_series: HashMap<i64, &ChangedRow> = of_series.map(|row| (row.ts_ms, row)).collect();
        let (Some(first), Some(last)) = (of_series.keys().min(), of_series.keys().max()) else { continue };
        let history = reader.history(info.id, *first..last.saturating_add(1))?;
        for versions in history.chunk_by(|one, next| one.ts_ms == next.ts_ms) {
            let [.., before, ours] = versions else { continue };
            let Some(row) = of_series.get(&ours.ts_ms) else { continue };
            let (stood, stands) = (Standing::of(before), Standing::of(ours));
            if before.seq != 0 && ours.seq == 0 && stands == row.after && row.before.as_ref() != Some(&stood) {
                rows.push(ChangedRow { before: Some(stands), after: stood, ..(*row).clone() });
            }
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let answers = Answers { reason: "a reading came while this was changed".to_owned(), ..change.answers.clone() };
    Ok(Some(Change { way: "overtaken".to_owned(), undoes: None, answers, rows, ..change.clone() }))
}

/// Settles what was cut off: it is in the audit log, or it came to nothing.
pub(crate) async fn recover(
    audit: &[store::AuditEntry],
    journal: &Journal,
    calendar: impl Fn(&Change) -> FacilityCalendar,
) -> Result<(), JournalError> {
    for Changed { id, change, .. } in journal.changes(None, u32::MAX).await? {
        let document = change.document(id);
        let made = audit.iter().filter(|entry| entry.account.document == document && entry.account.at_ms == change.at_ms);
        let entries: Vec<u64> = made.map(|entry| entry.number).collect();
        let news = if entries.is_empty() { Vec::new() } else { change.news(id, journal, &calendar(&change)).await? };
        journal.settle(id, &entries, &news).await?;
    }
    Ok(())
}

/// What stands now at the times of a change.
#[derive(Debug, Default)]
pub(crate) struct Present(HashMap<(String, String, Unit, i8, i64), Standing>);

impl Present {
    fn load(&mut self, reader: &Reader, change: &Change) -> Result<(), SegmentError> {
        for info in reader.series(&change.tenant, &change.facility) {
            let key = &info.key;
            let times: BTreeSet<i64> = change.rows.iter().filter(|row| row.is_of(key)).map(|row| row.ts_ms).collect();
            let (Some(first), Some(last)) = (times.first(), times.last()) else { continue };
            self.read(
                reader,
                info.id,
                *first..*last + 1,
                |ts_ms| times.contains(&ts_ms),
                |ts_ms| (key.device.to_string(), key.point.clone(), key.unit, key.exponent, ts_ms),
            )?;
        }
        Ok(())
    }

    fn read(
        &mut self,
        reader: &Reader,
        id: SeriesId,
        range: std::ops::Range<i64>,
        wanted: impl Fn(i64) -> bool,
        key: impl Fn(i64) -> (String, String, Unit, i8, i64),
    ) -> Result<(), SegmentError> {
        let samples = reader.scan(id, range)?;
        self.0.extend(samples.iter().filter(|sample| wanted(sample.ts_ms)).map(|sample| (key(sample.ts_ms), Standing::of(sample))));
        Ok(())
    }

    fn at(&self, row: &ChangedRow) -> Option<&Standing> {
        self.0.get(&(row.device.to_string(), row.point.clone(), row.unit, row.exponent, row.ts_ms))
    }
}
