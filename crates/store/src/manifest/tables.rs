//! The statements.

use std::collections::HashSet;

use ids::Slug;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::catalogue::Named;
use super::{Changes, FORMAT, Publication, Received, SegmentRow, Snapshot};
use crate::row::{Counters, DeadLetter, Origin, ProfilePeriod};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS origin (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, facility TEXT NOT NULL, gateway TEXT NOT NULL,
  UNIQUE (tenant, facility, gateway)) STRICT;
CREATE TABLE IF NOT EXISTS received (origin INTEGER NOT NULL, spool BLOB NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  PRIMARY KEY (origin, spool, first)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS profile (tenant TEXT NOT NULL, facility TEXT NOT NULL, device TEXT NOT NULL, from_ms INTEGER NOT NULL,
  profile TEXT NOT NULL, profile_hash BLOB NOT NULL, config_hash BLOB NOT NULL, PRIMARY KEY (tenant, facility, device, from_ms)) STRICT;
CREATE TABLE IF NOT EXISTS segment (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, facility TEXT NOT NULL,
  month TEXT NOT NULL, row_count INTEGER NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, level INTEGER NOT NULL DEFAULT 0,
  min_lsn INTEGER NOT NULL DEFAULT 0, max_lsn INTEGER NOT NULL DEFAULT 0, spans BLOB NOT NULL DEFAULT x'') STRICT;
CREATE TABLE IF NOT EXISTS dead_letter (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL,
  points INTEGER NOT NULL, received_ms INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS retired (path TEXT PRIMARY KEY) STRICT;
INSERT OR IGNORE INTO meta VALUES ('format', 3);
";

/// A profile period with the device it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProfileRow {
    pub(crate) tenant: Slug,
    pub(crate) facility: Slug,
    pub(crate) device: Slug,
    pub(crate) period: ProfilePeriod,
}

type Connected<'a> = &'a mut SqliteConnection;
/// The name of the table whose row cannot be understood.
type Understood<T> = Result<T, &'static str>;

/// Columns that the first versions of the program did not have.
const SEGMENT_LEVELS: &str = "
ALTER TABLE segment ADD COLUMN level INTEGER NOT NULL DEFAULT 0;
ALTER TABLE segment ADD COLUMN min_lsn INTEGER NOT NULL DEFAULT 0;
ALTER TABLE segment ADD COLUMN max_lsn INTEGER NOT NULL DEFAULT 0;
";

pub(super) async fn create(db: Connected<'_>) -> sqlx::Result<()> {
    let mut transaction = sqlx::Connection::begin(db).await?;
    sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
    sqlx::raw_sql(super::catalogue::SCHEMA).execute(&mut *transaction).await?;
    if !has_column(&mut transaction, "level").await? {
        sqlx::raw_sql(SEGMENT_LEVELS).execute(&mut *transaction).await?;
    }
    let found = format(&mut transaction).await?;
    if found < FORMAT {
        super::spans::migrate(&mut transaction, found).await?;
        super::catalogue::migrate(&mut transaction).await?;
        sqlx::query("UPDATE meta SET value = ? WHERE key = 'format'").bind(FORMAT).execute(&mut *transaction).await?;
    }
    sqlx::raw_sql(super::audit::SCHEMA).execute(&mut *transaction).await?;
    sqlx::raw_sql(super::derived::SCHEMA).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Of the table of segments. A reader may come before the first writer of this version.
async fn has_column(db: Connected<'_>, name: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pragma_table_info('segment') WHERE name = ?)").bind(name).fetch_one(db).await
}

pub(super) async fn format(db: Connected<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT value FROM meta WHERE key = 'format'").fetch_one(db).await
}

pub(super) async fn load(db: Connected<'_>) -> sqlx::Result<Understood<Snapshot>> {
    let mut snapshot = Snapshot { next_segment: 1, ..Snapshot::default() };
    for row in sqlx::query("SELECT key, value FROM meta").fetch_all(&mut *db).await? {
        let (key, value): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        let counters = &mut snapshot.counters;
        match key.as_str() {
            "flushed_lsn" => snapshot.flushed_lsn = value.cast_unsigned(),
            "next_segment" => snapshot.next_segment = value,
            "accepted" => counters.accepted = value.cast_unsigned(),
            "duplicate" => counters.duplicate = value.cast_unsigned(),
            "conflict" => counters.conflict = value.cast_unsigned(),
            "dead_letter" => counters.dead_letter = value.cast_unsigned(),
            "batches" => counters.batches = value.cast_unsigned(),
            "repeated_batches" => counters.repeated_batches = value.cast_unsigned(),
            _ => {}
        }
    }
    match super::catalogue::load(&mut *db).await? {
        Some(series) => snapshot.series = series,
        None => return Ok(Err("series")),
    }
    for row in sqlx::query("SELECT id, tenant, facility, gateway FROM origin ORDER BY id").fetch_all(&mut *db).await? {
        let (Some(tenant), Some(facility), Some(gateway)) = (slug(&row, 1)?, slug(&row, 2)?, slug(&row, 3)?) else {
            return Ok(Err("origin"));
        };
        snapshot.origins.push((row.try_get(0)?, Origin { tenant, facility, gateway }));
    }
    for row in sqlx::query("SELECT origin, spool, first, last FROM received ORDER BY origin, spool, first").fetch_all(&mut *db).await? {
        let (origin, spool): (u32, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
        let Ok(spool) = <[u8; 16]>::try_from(spool) else { return Ok(Err("received")) };
        let range = (row.try_get::<i64, _>(2)?.cast_unsigned(), row.try_get::<i64, _>(3)?.cast_unsigned());
        match snapshot.received.last_mut() {
            Some((last_origin, last_spool, ranges)) if (*last_origin, *last_spool) == (origin, spool) => ranges.push(range),
            _ => snapshot.received.push((origin, spool, vec![range])),
        }
    }
    for row in
        sqlx::query("SELECT tenant, facility, device, from_ms, profile, profile_hash, config_hash FROM profile").fetch_all(&mut *db).await?
    {
        let (Some(tenant), Some(facility), Some(device)) = (slug(&row, 0)?, slug(&row, 1)?, slug(&row, 2)?) else {
            return Ok(Err("profile"));
        };
        let period = ProfilePeriod {
            from_ms: row.try_get(3)?,
            profile: row.try_get(4)?,
            profile_hash: row.try_get(5)?,
            config_hash: row.try_get(6)?,
        };
        snapshot.profiles.push(ProfileRow { tenant, facility, device, period });
    }
    match super::audit::load(&mut *db).await? {
        Some(entries) => snapshot.audit = entries,
        None => return Ok(Err("audit")),
    }
    snapshot.derived = super::derived::load(&mut *db).await?;
    match segments(db, i64::MIN).await? {
        Some(segments) => snapshot.segments = segments,
        None => return Ok(Err("segment")),
    }
    Ok(Ok(snapshot))
}

/// The segments from a number on.
async fn segments(db: Connected<'_>, from: i64) -> sqlx::Result<Option<Vec<SegmentRow>>> {
    let levels = if has_column(&mut *db, "level").await? { "level, min_lsn, max_lsn" } else { "0, 0, 0" };
    let format = format(&mut *db).await?;
    let spans = if format == 1 { "x''" } else { "spans" };
    let statement = format!(
        "SELECT id, path, tenant, facility, month, row_count, bytes, sha256, {levels}, {spans} FROM segment WHERE id >= ? ORDER BY id"
    );
    let mut segments = Vec::new();
    for row in sqlx::query(sqlx::AssertSqlSafe(statement)).bind(from).fetch_all(&mut *db).await? {
        let spans = match format {
            1 => Some(Vec::new()),
            2 => super::spans::decode_each(row.try_get(11)?),
            _ => super::spans::decode(row.try_get(11)?),
        };
        let Some(spans) = spans else { return Ok(None) };
        segments.push(SegmentRow {
            id: row.try_get(0)?,
            path: row.try_get(1)?,
            tenant: row.try_get(2)?,
            facility: row.try_get(3)?,
            month: row.try_get(4)?,
            rows: row.try_get::<i64, _>(5)?.cast_unsigned(),
            bytes: row.try_get::<i64, _>(6)?.cast_unsigned(),
            sha256: row.try_get(7)?,
            level: row.try_get(8)?,
            min_lsn: row.try_get::<i64, _>(9)?.cast_unsigned(),
            max_lsn: row.try_get::<i64, _>(10)?.cast_unsigned(),
            spans,
        });
    }
    if format == 1 {
        for (segment, span) in super::spans::load_rows(db).await? {
            if let Ok(at) = segments.binary_search_by_key(&segment, |row| row.id)
                && let Some(row) = segments.get_mut(at)
            {
                row.spans.push(span);
            }
        }
    }
    Ok(Some(segments))
}

pub(super) fn slug(row: &SqliteRow, index: usize) -> sqlx::Result<Option<Slug>> {
    Ok(Slug::parse(row.try_get(index)?).ok())
}

pub(super) async fn publish(db: Connected<'_>, publication: &Publication<'_>, named: &mut Named) -> sqlx::Result<()> {
    let Counters { accepted, duplicate, conflict, dead_letter, batches, repeated_batches } = publication.counters;
    let numbers = [
        ("flushed_lsn", publication.flushed_lsn.cast_signed()),
        ("next_segment", publication.next_segment),
        ("accepted", accepted.cast_signed()),
        ("duplicate", duplicate.cast_signed()),
        ("conflict", conflict.cast_signed()),
        ("dead_letter", dead_letter.cast_signed()),
        ("batches", batches.cast_signed()),
        ("repeated_batches", repeated_batches.cast_signed()),
    ];
    for (key, value) in numbers {
        sqlx::query("INSERT OR REPLACE INTO meta VALUES (?, ?)").bind(key).bind(value).execute(&mut *db).await?;
    }
    named.insert(&mut *db, &publication.series).await?;
    for (id, origin) in &publication.origins {
        sqlx::query("INSERT INTO origin VALUES (?, ?, ?, ?)")
            .bind(*id)
            .bind(origin.tenant.as_str())
            .bind(origin.facility.as_str())
            .bind(origin.gateway.as_str())
            .execute(&mut *db)
            .await?;
    }
    for received in &publication.received {
        replace_received(&mut *db, received).await?;
    }
    for ProfileRow { tenant, facility, device, period } in &publication.profiles {
        sqlx::query("INSERT OR REPLACE INTO profile VALUES (?, ?, ?, ?, ?, ?, ?)")
            .bind(tenant.as_str())
            .bind(facility.as_str())
            .bind(device.as_str())
            .bind(period.from_ms)
            .bind(&period.profile)
            .bind(&period.profile_hash)
            .bind(&period.config_hash)
            .execute(&mut *db)
            .await?;
    }
    for letter in &publication.letters {
        sqlx::query("INSERT INTO dead_letter (topic, reason, payload, points, received_ms) VALUES (?, ?, ?, ?, ?)")
            .bind(&letter.topic)
            .bind(&letter.reason)
            .bind(&letter.payload)
            .bind(letter.points.cast_signed())
            .bind(letter.received_ms)
            .execute(&mut *db)
            .await?;
    }
    super::audit::append(&mut *db, &publication.audit).await?;
    super::derived::replace(&mut *db, &publication.derived, &publication.underived).await?;
    replace_segments(db, publication).await
}

async fn replace_received(db: Connected<'_>, (origin, spool, ranges): &Received) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM received WHERE origin = ? AND spool = ?").bind(*origin).bind(spool.as_slice()).execute(&mut *db).await?;
    for (first, last) in ranges {
        sqlx::query("INSERT INTO received VALUES (?, ?, ?, ?)")
            .bind(*origin)
            .bind(spool.as_slice())
            .bind(first.cast_signed())
            .bind(last.cast_signed())
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

async fn replace_segments(db: Connected<'_>, publication: &Publication<'_>) -> sqlx::Result<()> {
    for id in &publication.removed {
        sqlx::query("INSERT OR IGNORE INTO retired SELECT path FROM segment WHERE id = ?").bind(*id).execute(&mut *db).await?;
        sqlx::query("DELETE FROM segment WHERE id = ?").bind(*id).execute(&mut *db).await?;
    }
    for segment in &publication.added {
        sqlx::query("INSERT INTO segment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(segment.id)
            .bind(&segment.path)
            .bind(&segment.tenant)
            .bind(&segment.facility)
            .bind(&segment.month)
            .bind(segment.rows.cast_signed())
            .bind(segment.bytes.cast_signed())
            .bind(&segment.sha256)
            .bind(segment.level)
            .bind(segment.min_lsn.cast_signed())
            .bind(segment.max_lsn.cast_signed())
            .bind(super::spans::encode(&segment.spans))
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

pub(super) async fn changes(db: Connected<'_>, known: &HashSet<i64>) -> sqlx::Result<Understood<Changes>> {
    let flushed_lsn: Option<i64> = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'flushed_lsn'").fetch_optional(&mut *db).await?;
    let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM segment ORDER BY id").fetch_all(&mut *db).await?;
    let mut added = Vec::new();
    if let Some(first) = ids.iter().find(|id| !known.contains(id)) {
        let Some(segments) = segments(&mut *db, *first).await? else { return Ok(Err("segment")) };
        added = segments;
        added.retain(|row| !known.contains(&row.id));
    }
    let there: HashSet<i64> = ids.into_iter().collect();
    let removed = known.difference(&there).copied().collect();
    let derived = super::derived::load(db).await?;
    Ok(Ok(Changes { flushed_lsn: flushed_lsn.unwrap_or(0).cast_unsigned(), added, removed, derived }))
}

/// A number that is another one after somebody else has changed the database.
pub(super) async fn data_version(db: Connected<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar("PRAGMA data_version").fetch_one(db).await
}

pub(super) async fn integrity(db: Connected<'_>) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("PRAGMA integrity_check").fetch_all(db).await
}

/// Gives back what is free, and moves what SQLite's log has into the database.
pub(super) async fn checkpoint(db: Connected<'_>) -> sqlx::Result<()> {
    // Nothing, where the database was made by a version that did not ask for it.
    sqlx::query("PRAGMA incremental_vacuum").fetch_all(&mut *db).await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(db).await.map(|_| ())
}

pub(super) async fn copy_to(db: Connected<'_>, path: &str) -> sqlx::Result<()> {
    sqlx::query("VACUUM INTO ?").bind(path).execute(db).await.map(|_| ())
}

pub(super) async fn has_segment(db: Connected<'_>, id: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM segment WHERE id = ?)").bind(id).fetch_one(db).await
}

pub(super) async fn retired(db: Connected<'_>) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("SELECT path FROM retired").fetch_all(db).await
}

pub(super) async fn forget_retired(db: Connected<'_>, paths: &[String]) -> sqlx::Result<()> {
    let mut transaction = sqlx::Connection::begin(db).await?;
    for path in paths {
        sqlx::query("DELETE FROM retired WHERE path = ?").bind(path).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

pub(super) async fn letters(db: Connected<'_>, limit: u32) -> sqlx::Result<Vec<DeadLetter>> {
    let rows = sqlx::query("SELECT topic, reason, payload, points, received_ms FROM dead_letter ORDER BY id DESC LIMIT ?")
        .bind(limit)
        .fetch_all(db)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(DeadLetter {
                topic: row.try_get(0)?,
                reason: row.try_get(1)?,
                payload: row.try_get(2)?,
                points: row.try_get::<i64, _>(3)?.cast_unsigned(),
                received_ms: row.try_get(4)?,
            })
        })
        .collect()
}
