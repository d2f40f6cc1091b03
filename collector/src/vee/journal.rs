//! What has to be remembered besides readings: how far each series is complete, which events were told, who changed what.
//!
//! One SQLite database beside the store's manifest. What belongs together is one transaction: an event and the step that
//! makes it true, so that it is told once, whatever is killed in between.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ids::Slug;
use jiff::civil::Date;
use serde::Serialize;
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions, Row as _, Sqlite, SqlitePool, Transaction};

use super::change::{Change, Changed};
use super::counter::Exchange;
use super::day::measured;
use super::gaps::Cause;

/// Beside the manifest, in the folder of the store.
const FILE: &str = "vee.sqlite";
/// Events in one answer.
pub(crate) const EVENTS_MAX: u32 = 1_000;
/// Frames that gateways gave up and that are remembered, the latest.
const LOSSES_KEPT: i64 = 100_000;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, topic TEXT NOT NULL, tenant TEXT NOT NULL,
    facility TEXT NOT NULL, subject TEXT NOT NULL, payload TEXT NOT NULL, UNIQUE (topic, tenant, facility, subject)) STRICT;
CREATE TABLE IF NOT EXISTS progress (
    series INTEGER PRIMARY KEY, first_ms INTEGER NOT NULL, through_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
    usable_ms INTEGER NOT NULL, interval_ms INTEGER NOT NULL, phase_ms INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS days (tenant TEXT NOT NULL, facility TEXT NOT NULL, next TEXT NOT NULL, PRIMARY KEY (tenant, facility)) STRICT;
CREATE TABLE IF NOT EXISTS alerts (
    topic TEXT NOT NULL, tenant TEXT NOT NULL, facility TEXT NOT NULL, subject TEXT NOT NULL, since_ms INTEGER NOT NULL,
    PRIMARY KEY (topic, tenant, facility, subject)) STRICT;
CREATE TABLE IF NOT EXISTS losses (
    tenant TEXT NOT NULL, facility TEXT NOT NULL, at_ms INTEGER NOT NULL, cause TEXT NOT NULL,
    PRIMARY KEY (tenant, facility, at_ms, cause)) STRICT;
CREATE TABLE IF NOT EXISTS exchanges (
    tenant TEXT NOT NULL, facility TEXT NOT NULL, device TEXT NOT NULL, point TEXT NOT NULL, at_ms INTEGER NOT NULL,
    closing INTEGER, opening INTEGER, exponent INTEGER NOT NULL, account TEXT NOT NULL,
    PRIMARY KEY (tenant, facility, device, point, at_ms)) STRICT;
CREATE TABLE IF NOT EXISTS changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, state TEXT NOT NULL, tenant TEXT NOT NULL, facility TEXT NOT NULL,
    undoes INTEGER, change TEXT NOT NULL, entries TEXT NOT NULL) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS undone_once ON changes (undoes) WHERE state = 'done';
";

/// Why nothing could be remembered, or read of what was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    #[error("could not {what} {}", path.display())]
    Database {
        what: &'static str,
        path: PathBuf,
        #[source]
        err: sqlx::Error,
    },
    #[error("{} has a {what} that no version has written: move the file away, and watermarks and events begin anew", path.display())]
    Corrupt { what: &'static str, path: PathBuf },
}

/// Something that others act upon. Told once for each subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Event {
    /// Counts up; what `after` takes.
    pub(crate) id: i64,
    pub(crate) at: String,
    pub(crate) topic: String,
    pub(crate) tenant: String,
    pub(crate) facility: String,
    pub(crate) subject: String,
    pub(crate) payload: Value,
}

/// An event on its way.
#[derive(Clone, Debug)]
pub(crate) struct News {
    pub(crate) at_ms: i64,
    pub(crate) topic: &'static str,
    pub(crate) tenant: Slug,
    pub(crate) facility: Slug,
    pub(crate) subject: String,
    pub(crate) payload: Value,
}

/// How far a series is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) first_ms: i64,
    /// Every moment before has a row, or was waited for long enough.
    pub(crate) through_ms: i64,
    /// The last row, and the last with a usable value.
    pub(crate) last_ms: i64,
    pub(crate) usable_ms: i64,
    pub(crate) interval_ms: i64,
    pub(crate) phase_ms: i64,
}

/// An alert that holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Alert {
    pub(crate) topic: String,
    pub(crate) tenant: String,
    pub(crate) facility: String,
    pub(crate) subject: String,
    pub(crate) since_ms: i64,
}

/// The journal of one store.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    pool: SqlitePool,
    path: PathBuf,
}

impl Journal {
    /// Opens it, or makes it.
    pub(crate) async fn open(store: &Path) -> Result<Self, JournalError> {
        let path = store.join(FILE);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            // Of a new database: most of its tables are empty or nearly so, and each takes a page.
            .page_size(1_024)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            .disable_statement_logging();
        let failed = |what| {
            let path = path.clone();
            move |err| JournalError::Database { what, path, err }
        };
        let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await.map_err(failed("open"))?;
        sqlx::raw_sql(TABLES).execute(&pool).await.map_err(failed("create tables in"))?;
        Ok(Self { pool, path })
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    fn failed(&self, what: &'static str) -> impl FnOnce(sqlx::Error) -> JournalError + use<> {
        let path = self.path.clone();
        move |err| JournalError::Database { what, path, err }
    }

    fn corrupt(&self, what: &'static str) -> JournalError {
        JournalError::Corrupt { what, path: self.path.clone() }
    }

    /// Events behind one, oldest first.
    pub(crate) async fn events(&self, after: i64, topic: Option<&str>, limit: u32) -> Result<Vec<Event>, JournalError> {
        let asked = "SELECT * FROM events WHERE id > ? AND (? IS NULL OR topic = ?) ORDER BY id LIMIT ?";
        let rows = sqlx::query(asked).bind(after).bind(topic).bind(topic).bind(limit.min(EVENTS_MAX)).fetch_all(&self.pool).await;
        let rows = rows.map_err(self.failed("read events of"))?;
        rows.iter().map(|row| event(row).ok_or_else(|| self.corrupt("event"))).collect()
    }

    /// Days of a facility that were told, from one on, with the most readings that were ever told of each.
    pub(crate) async fn told_days(&self, tenant: &Slug, facility: &Slug, from: Date) -> Result<BTreeMap<Date, u64>, JournalError> {
        let asked = "SELECT payload FROM events WHERE tenant = ? AND facility = ? AND subject >= ?
            AND topic IN ('facility_day_complete', 'facility_day_changed')";
        let query = sqlx::query(asked).bind(tenant.as_str()).bind(facility.as_str()).bind(from.to_string());
        let rows = query.fetch_all(&self.pool).await.map_err(self.failed("read events of"))?;
        let mut days: BTreeMap<Date, u64> = BTreeMap::new();
        for row in rows {
            let payload: Option<Value> = row.try_get::<String, _>(0).ok().and_then(|text| serde_json::from_str(&text).ok());
            let payload = payload.ok_or_else(|| self.corrupt("event"))?;
            let date = payload.get("date").and_then(|date| date.as_str()?.parse().ok());
            // A change by hand says which day, and not how many readings.
            if let Some((date, count)) = date.zip(measured(&payload)) {
                let most = days.entry(date).or_default();
                *most = count.max(*most);
            }
        }
        Ok(days)
    }

    /// Tells something, once.
    pub(crate) async fn tell_once(&self, news: &News) -> Result<(), JournalError> {
        let mut transaction = self.begin().await?;
        self.tell(&mut transaction, news).await?;
        self.commit(transaction).await
    }

    /// How many events of each topic were ever told.
    pub(crate) async fn told(&self) -> Result<BTreeMap<String, u64>, JournalError> {
        let rows = sqlx::query("SELECT topic, COUNT(*) FROM events GROUP BY topic").fetch_all(&self.pool).await;
        let rows = rows.map_err(self.failed("read events of"))?;
        Ok(rows.iter().filter_map(|row| Some((row.try_get(0).ok()?, row.try_get::<i64, _>(1).ok()?.cast_unsigned()))).collect())
    }

    pub(crate) async fn progress(&self) -> Result<HashMap<u32, Progress>, JournalError> {
        let rows = sqlx::query("SELECT * FROM progress").fetch_all(&self.pool).await.map_err(self.failed("read"))?;
        let one = |row: &SqliteRow| {
            let number = |at: usize| row.try_get::<i64, _>(at).ok();
            let progress = Progress {
                first_ms: number(1)?,
                through_ms: number(2)?,
                last_ms: number(3)?,
                usable_ms: number(4)?,
                interval_ms: number(5)?,
                phase_ms: number(6)?,
            };
            Some((u32::try_from(number(0)?).ok()?, progress))
        };
        rows.iter().map(|row| one(row).ok_or_else(|| self.corrupt("progress"))).collect()
    }

    pub(crate) async fn keep_progress(&self, changed: &[(u32, Progress)]) -> Result<(), JournalError> {
        let mut transaction = self.begin().await?;
        for (series, progress) in changed {
            let Progress { first_ms, through_ms, last_ms, usable_ms, interval_ms, phase_ms } = *progress;
            let mut query = sqlx::query("INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?, ?, ?, ?)").bind(i64::from(*series));
            for number in [first_ms, through_ms, last_ms, usable_ms, interval_ms, phase_ms] {
                query = query.bind(number);
            }
            query.execute(&mut *transaction).await.map_err(self.failed("write"))?;
        }
        self.commit(transaction).await
    }

    /// The first day of a facility that was not told as complete.
    pub(crate) async fn next_day(&self, tenant: &Slug, facility: &Slug) -> Result<Option<Date>, JournalError> {
        let query = sqlx::query("SELECT next FROM days WHERE tenant = ? AND facility = ?").bind(tenant.as_str()).bind(facility.as_str());
        let row = query.fetch_optional(&self.pool).await.map_err(self.failed("read"))?;
        let date = |row: &SqliteRow| row.try_get::<String, _>(0).ok()?.parse().ok();
        row.map(|row| date(&row).ok_or_else(|| self.corrupt("day"))).transpose()
    }

    /// Goes on to the next day of a facility, and tells what there is to tell: both or neither.
    pub(crate) async fn step(&self, tenant: &Slug, facility: &Slug, next: Date, news: Option<&News>) -> Result<(), JournalError> {
        let mut transaction = self.begin().await?;
        if let Some(news) = news {
            self.tell(&mut transaction, news).await?;
        }
        let query = sqlx::query("INSERT OR REPLACE INTO days VALUES (?, ?, ?)").bind(tenant.as_str()).bind(facility.as_str());
        query.bind(next.to_string()).execute(&mut *transaction).await.map_err(self.failed("write"))?;
        self.commit(transaction).await
    }

    pub(crate) async fn alerts(&self) -> Result<Vec<Alert>, JournalError> {
        let rows = sqlx::query("SELECT * FROM alerts ORDER BY 1, 2, 3, 4").fetch_all(&self.pool).await.map_err(self.failed("read"))?;
        let one = |row: &SqliteRow| {
            let text = |at: usize| row.try_get::<String, _>(at).ok();
            let since_ms = row.try_get(4).ok()?;
            Some(Alert { topic: text(0)?, tenant: text(1)?, facility: text(2)?, subject: text(3)?, since_ms })
        };
        rows.iter().map(|row| one(row).ok_or_else(|| self.corrupt("alert"))).collect()
    }

    /// An alert begins: told once, until it ends.
    pub(crate) async fn raise(&self, subject: &str, news: &News) -> Result<bool, JournalError> {
        let mut transaction = self.begin().await?;
        let query = sqlx::query("INSERT OR IGNORE INTO alerts VALUES (?, ?, ?, ?, ?)").bind(news.topic).bind(news.tenant.as_str());
        let query = query.bind(news.facility.as_str()).bind(subject).bind(news.at_ms);
        let raised = query.execute(&mut *transaction).await.map_err(self.failed("write"))?.rows_affected() > 0;
        if raised {
            self.tell(&mut transaction, news).await?;
        }
        self.commit(transaction).await.map(|()| raised)
    }

    /// An alert ends.
    pub(crate) async fn clear(&self, alert: &Alert, news: &News) -> Result<(), JournalError> {
        let mut transaction = self.begin().await?;
        let query = sqlx::query("DELETE FROM alerts WHERE topic = ? AND tenant = ? AND facility = ? AND subject = ?");
        let query = query.bind(&alert.topic).bind(&alert.tenant).bind(&alert.facility).bind(&alert.subject);
        query.execute(&mut *transaction).await.map_err(self.failed("write"))?;
        self.tell(&mut transaction, news).await?;
        self.commit(transaction).await
    }

    /// Remembers frames that gateways gave up, and forgets the oldest.
    pub(crate) async fn note_losses(&self, losses: &[(Slug, Slug, i64, Cause)]) -> Result<(), JournalError> {
        let mut transaction = self.begin().await?;
        for (tenant, facility, at_ms, cause) in losses {
            let query = sqlx::query("INSERT OR IGNORE INTO losses VALUES (?, ?, ?, ?)").bind(tenant.as_str()).bind(facility.as_str());
            query.bind(at_ms).bind(cause.name()).execute(&mut *transaction).await.map_err(self.failed("write"))?;
        }
        let query = sqlx::query("DELETE FROM losses WHERE rowid <= (SELECT MAX(rowid) FROM losses) - ?").bind(LOSSES_KEPT);
        query.execute(&mut *transaction).await.map_err(self.failed("write"))?;
        self.commit(transaction).await
    }

    pub(crate) async fn losses(&self, tenant: &Slug, facility: &Slug, range: &Range<i64>) -> Result<Vec<(i64, Cause)>, JournalError> {
        let asked = "SELECT at_ms, cause FROM losses WHERE tenant = ? AND facility = ? AND at_ms >= ? AND at_ms < ? ORDER BY at_ms";
        let query = sqlx::query(asked).bind(tenant.as_str()).bind(facility.as_str()).bind(range.start).bind(range.end);
        let rows = query.fetch_all(&self.pool).await.map_err(self.failed("read"))?;
        let one = |row: &SqliteRow| {
            let name: String = row.try_get(1).ok()?;
            Some((row.try_get(0).ok()?, Cause::ALL.into_iter().find(|cause| cause.name() == name)?))
        };
        rows.iter().map(|row| one(row).ok_or_else(|| self.corrupt("loss"))).collect()
    }

    /// Writes down that a meter was exchanged. False when that is known already.
    pub(crate) async fn exchange(
        &self,
        of: (&Slug, &Slug, &Slug, &str),
        exchange: Exchange,
        exponent: i8,
        account: &Value,
    ) -> Result<bool, JournalError> {
        let (tenant, facility, device, point) = of;
        let query = sqlx::query("INSERT OR IGNORE INTO exchanges VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)").bind(tenant.as_str());
        let query = query.bind(facility.as_str()).bind(device.as_str()).bind(point).bind(exchange.at_ms);
        let (closing, opening) = exchange.displays.unzip();
        let query = query.bind(closing).bind(opening).bind(i64::from(exponent)).bind(account.to_string());
        Ok(query.execute(&self.pool).await.map_err(self.failed("write"))?.rows_affected() > 0)
    }

    /// What was written down of a facility: device, point, exponent of the displays, and the exchange.
    pub(crate) async fn exchanges(&self, tenant: &Slug, facility: &Slug) -> Result<Vec<(String, String, i8, Exchange)>, JournalError> {
        let asked =
            "SELECT device, point, exponent, at_ms, closing, opening FROM exchanges WHERE tenant = ? AND facility = ? ORDER BY at_ms";
        let query = sqlx::query(asked).bind(tenant.as_str()).bind(facility.as_str());
        let rows = query.fetch_all(&self.pool).await.map_err(self.failed("read"))?;
        let one = |row: &SqliteRow| {
            let (closing, opening): (Option<i64>, Option<i64>) = (row.try_get(4).ok()?, row.try_get(5).ok()?);
            let exchange = Exchange { at_ms: row.try_get(3).ok()?, displays: closing.zip(opening) };
            let exponent = i8::try_from(row.try_get::<i64, _>(2).ok()?).ok()?;
            Some((row.try_get(0).ok()?, row.try_get(1).ok()?, exponent, exchange))
        };
        rows.iter().map(|row| one(row).ok_or_else(|| self.corrupt("exchange"))).collect()
    }

    /// Writes down a change that is about to be made, and gives its number.
    pub(crate) async fn intend(&self, change: &Change) -> Result<i64, JournalError> {
        let text = serde_json::to_string(change).map_err(|_unwritable| self.corrupt("change"))?;
        let query =
            sqlx::query("INSERT INTO changes (state, tenant, facility, undoes, change, entries) VALUES ('intended', ?, ?, ?, ?, '[]')");
        let query = query.bind(change.tenant.as_str()).bind(change.facility.as_str()).bind(change.undoes).bind(text);
        Ok(query.execute(&self.pool).await.map_err(self.failed("write"))?.last_insert_rowid())
    }

    /// A change was made, or came to nothing when it has no entry in the audit log.
    pub(crate) async fn settle(&self, id: i64, entries: &[u64], news: &[News]) -> Result<(), JournalError> {
        let mut transaction = self.begin().await?;
        for news in news {
            self.tell(&mut transaction, news).await?;
        }
        let (state, entries) = (if entries.is_empty() { "void" } else { "done" }, format!("{entries:?}"));
        let query = sqlx::query("UPDATE changes SET state = ?, entries = ? WHERE id = ?").bind(state).bind(entries).bind(id);
        query.execute(&mut *transaction).await.map_err(self.failed("write"))?;
        self.commit(transaction).await
    }

    /// Changes of a facility, or all that are not settled; newest first.
    pub(crate) async fn changes(&self, of: Option<(&Slug, &Slug)>, limit: u32) -> Result<Vec<Changed>, JournalError> {
        let undone = "(SELECT MIN(other.id) FROM changes other WHERE other.undoes = changes.id AND other.state = 'done')";
        let rows = match of {
            Some((tenant, facility)) => {
                let asked = format!(
                    "SELECT id, change, entries, state, {undone} FROM changes WHERE tenant = ? AND facility = ? ORDER BY id DESC LIMIT ?"
                );
                let query = sqlx::query(sqlx::AssertSqlSafe(asked)).bind(tenant.as_str()).bind(facility.as_str()).bind(limit);
                query.fetch_all(&self.pool).await
            }
            None => {
                let asked =
                    format!("SELECT id, change, entries, state, {undone} FROM changes WHERE state = 'intended' ORDER BY id LIMIT ?");
                sqlx::query(sqlx::AssertSqlSafe(asked)).bind(limit).fetch_all(&self.pool).await
            }
        };
        let rows = rows.map_err(self.failed("read"))?;
        rows.iter().map(|row| changed(row).ok_or_else(|| self.corrupt("change"))).collect()
    }

    /// One change by its number.
    pub(crate) async fn change(&self, id: i64) -> Result<Option<Changed>, JournalError> {
        let undone = "(SELECT MIN(other.id) FROM changes other WHERE other.undoes = changes.id AND other.state = 'done')";
        let asked = format!("SELECT id, change, entries, state, {undone} FROM changes WHERE id = ?");
        let row = sqlx::query(sqlx::AssertSqlSafe(asked)).bind(id).fetch_optional(&self.pool).await.map_err(self.failed("read"))?;
        row.map(|row| changed(&row).ok_or_else(|| self.corrupt("change"))).transpose()
    }

    async fn tell(&self, transaction: &mut Transaction<'_, Sqlite>, news: &News) -> Result<(), JournalError> {
        let query =
            sqlx::query("INSERT OR IGNORE INTO events (at_ms, topic, tenant, facility, subject, payload) VALUES (?, ?, ?, ?, ?, ?)");
        let query = query.bind(news.at_ms).bind(news.topic).bind(news.tenant.as_str()).bind(news.facility.as_str());
        query.bind(&news.subject).bind(news.payload.to_string()).execute(&mut **transaction).await.map_err(self.failed("write"))?;
        Ok(())
    }

    async fn begin(&self) -> Result<Transaction<'_, Sqlite>, JournalError> {
        self.pool.begin().await.map_err(self.failed("write"))
    }

    async fn commit(&self, transaction: Transaction<'_, Sqlite>) -> Result<(), JournalError> {
        transaction.commit().await.map_err(self.failed("write"))
    }
}

fn event(row: &SqliteRow) -> Option<Event> {
    let text = |at: usize| row.try_get::<String, _>(at).ok();
    let at = jiff::Timestamp::from_millisecond(row.try_get(1).ok()?).ok()?.to_string();
    let payload = serde_json::from_str(&text(6)?).ok()?;
    Some(Event { id: row.try_get(0).ok()?, at, topic: text(2)?, tenant: text(3)?, facility: text(4)?, subject: text(5)?, payload })
}

fn changed(row: &SqliteRow) -> Option<Changed> {
    let text = |at: usize| row.try_get::<String, _>(at).ok();
    Some(Changed {
        id: row.try_get(0).ok()?,
        change: serde_json::from_str(&text(1)?).ok()?,
        entries: serde_json::from_str(&text(2)?).ok()?,
        state: text(3)?,
        undone_by: row.try_get(4).ok()?,
    })
}
