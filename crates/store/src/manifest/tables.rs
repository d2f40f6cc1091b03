//! The statements.

use ids::Slug;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use units::Unit;

use super::{Publication, Received, SegmentRow, Snapshot};
use crate::row::{Counters, DeadLetter, Origin, ProfilePeriod};
use crate::segment::Span;
use crate::series::{SeriesId, SeriesKey};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, facility TEXT NOT NULL, device TEXT NOT NULL,
  point TEXT NOT NULL, unit INTEGER NOT NULL, exponent INTEGER NOT NULL, UNIQUE (tenant, facility, device, point, unit, exponent)) STRICT;
CREATE TABLE IF NOT EXISTS origin (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, facility TEXT NOT NULL, gateway TEXT NOT NULL,
  UNIQUE (tenant, facility, gateway)) STRICT;
CREATE TABLE IF NOT EXISTS received (origin INTEGER NOT NULL, spool BLOB NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  PRIMARY KEY (origin, spool, first)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS profile (tenant TEXT NOT NULL, facility TEXT NOT NULL, device TEXT NOT NULL, from_ms INTEGER NOT NULL,
  profile TEXT NOT NULL, profile_hash BLOB NOT NULL, config_hash BLOB NOT NULL, PRIMARY KEY (tenant, facility, device, from_ms)) STRICT;
CREATE TABLE IF NOT EXISTS segment (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, facility TEXT NOT NULL,
  month TEXT NOT NULL, row_count INTEGER NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS segment_series (segment INTEGER NOT NULL REFERENCES segment (id), series INTEGER NOT NULL, first_row INTEGER NOT NULL,
  row_count INTEGER NOT NULL, min_ts INTEGER NOT NULL, max_ts INTEGER NOT NULL, PRIMARY KEY (segment, series)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letter (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL,
  points INTEGER NOT NULL, received_ms INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS retired (path TEXT PRIMARY KEY) STRICT;
INSERT OR IGNORE INTO meta VALUES ('format', 1);
";

/// A profile period with the device it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProfileRow {
    pub(crate) tenant: Slug,
    pub(crate) facility: Slug,
    pub(crate) device: Slug,
    pub(crate) period: ProfilePeriod,
}

type Sqlite<'a> = &'a mut SqliteConnection;
/// The name of the table whose row cannot be understood.
type Understood<T> = Result<T, &'static str>;

/// Columns that a later version of the program added.
const SEGMENT_LEVELS: &str = "
ALTER TABLE segment ADD COLUMN level INTEGER NOT NULL DEFAULT 0;
ALTER TABLE segment ADD COLUMN min_lsn INTEGER NOT NULL DEFAULT 0;
ALTER TABLE segment ADD COLUMN max_lsn INTEGER NOT NULL DEFAULT 0;
";

pub(super) async fn create(db: Sqlite<'_>) -> sqlx::Result<()> {
    let mut transaction = sqlx::Connection::begin(db).await?;
    sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
    if !has_levels(&mut transaction).await? {
        sqlx::raw_sql(SEGMENT_LEVELS).execute(&mut *transaction).await?;
    }
    sqlx::raw_sql(super::audit::SCHEMA).execute(&mut *transaction).await?;
    transaction.commit().await
}

async fn has_levels(db: Sqlite<'_>) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pragma_table_info('segment') WHERE name = 'level')").fetch_one(db).await
}

pub(super) async fn format(db: Sqlite<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT value FROM meta WHERE key = 'format'").fetch_one(db).await
}

pub(super) async fn load(db: Sqlite<'_>) -> sqlx::Result<Understood<Snapshot>> {
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
    for row in sqlx::query("SELECT id, tenant, facility, device, point, unit, exponent FROM series ORDER BY id").fetch_all(&mut *db).await?
    {
        let Some(series) = series(&row)? else { return Ok(Err("series")) };
        snapshot.series.push(series);
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
    segments(db, &mut snapshot).await?;
    Ok(Ok(snapshot))
}

async fn segments(db: Sqlite<'_>, snapshot: &mut Snapshot) -> sqlx::Result<()> {
    // A reader may come before the first writer of this version.
    let statement = if has_levels(&mut *db).await? {
        "SELECT id, path, tenant, facility, month, row_count, bytes, sha256, level, min_lsn, max_lsn FROM segment ORDER BY id"
    } else {
        "SELECT id, path, tenant, facility, month, row_count, bytes, sha256, 0, 0, 0 FROM segment ORDER BY id"
    };
    for row in sqlx::query(statement).fetch_all(&mut *db).await? {
        snapshot.segments.push(SegmentRow {
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
            spans: Vec::new(),
        });
    }
    let spans = "SELECT segment, series, first_row, row_count, min_ts, max_ts FROM segment_series ORDER BY segment, series";
    for row in sqlx::query(spans).fetch_all(&mut *db).await? {
        let segment: i64 = row.try_get(0)?;
        let span = Span {
            series: SeriesId(row.try_get(1)?),
            first_row: row.try_get::<i64, _>(2)?.cast_unsigned(),
            rows: row.try_get::<i64, _>(3)?.cast_unsigned(),
            min_ts: row.try_get(4)?,
            max_ts: row.try_get(5)?,
        };
        if let Ok(at) = snapshot.segments.binary_search_by_key(&segment, |row| row.id)
            && let Some(row) = snapshot.segments.get_mut(at)
        {
            row.spans.push(span);
        }
    }
    Ok(())
}

fn series(row: &SqliteRow) -> sqlx::Result<Option<(SeriesId, SeriesKey)>> {
    let (Some(tenant), Some(facility), Some(device)) = (slug(row, 1)?, slug(row, 2)?, slug(row, 3)?) else { return Ok(None) };
    let Some(unit) = Unit::from_code(row.try_get(5)?) else { return Ok(None) };
    let key = SeriesKey { tenant, facility, device, point: row.try_get(4)?, unit, exponent: row.try_get(6)? };
    Ok(Some((SeriesId(row.try_get(0)?), key)))
}

pub(super) fn slug(row: &SqliteRow, index: usize) -> sqlx::Result<Option<Slug>> {
    Ok(Slug::parse(row.try_get(index)?).ok())
}

pub(super) async fn publish(db: Sqlite<'_>, publication: &Publication<'_>) -> sqlx::Result<()> {
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
    for (id, key) in &publication.series {
        sqlx::query("INSERT INTO series VALUES (?, ?, ?, ?, ?, ?, ?)")
            .bind(id.0)
            .bind(key.tenant.as_str())
            .bind(key.facility.as_str())
            .bind(key.device.as_str())
            .bind(&key.point)
            .bind(key.unit.code())
            .bind(key.exponent)
            .execute(&mut *db)
            .await?;
    }
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
    replace_segments(db, publication).await
}

async fn replace_received(db: Sqlite<'_>, (origin, spool, ranges): &Received) -> sqlx::Result<()> {
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

async fn replace_segments(db: Sqlite<'_>, publication: &Publication<'_>) -> sqlx::Result<()> {
    for id in &publication.removed {
        sqlx::query("INSERT OR IGNORE INTO retired SELECT path FROM segment WHERE id = ?").bind(*id).execute(&mut *db).await?;
        sqlx::query("DELETE FROM segment_series WHERE segment = ?").bind(*id).execute(&mut *db).await?;
        sqlx::query("DELETE FROM segment WHERE id = ?").bind(*id).execute(&mut *db).await?;
    }
    for segment in &publication.added {
        sqlx::query("INSERT INTO segment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
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
            .execute(&mut *db)
            .await?;
        for span in &segment.spans {
            sqlx::query("INSERT INTO segment_series VALUES (?, ?, ?, ?, ?, ?)")
                .bind(segment.id)
                .bind(span.series.0)
                .bind(span.first_row.cast_signed())
                .bind(span.rows.cast_signed())
                .bind(span.min_ts)
                .bind(span.max_ts)
                .execute(&mut *db)
                .await?;
        }
    }
    Ok(())
}

pub(super) async fn integrity(db: Sqlite<'_>) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("PRAGMA integrity_check").fetch_all(db).await
}

pub(super) async fn copy_to(db: Sqlite<'_>, path: &str) -> sqlx::Result<()> {
    sqlx::query("VACUUM INTO ?").bind(path).execute(db).await.map(|_| ())
}

pub(super) async fn has_segment(db: Sqlite<'_>, id: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM segment WHERE id = ?)").bind(id).fetch_one(db).await
}

pub(super) async fn retired(db: Sqlite<'_>) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("SELECT path FROM retired").fetch_all(db).await
}

pub(super) async fn forget_retired(db: Sqlite<'_>, path: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM retired WHERE path = ?").bind(path).execute(db).await.map(|_| ())
}

pub(super) async fn letters(db: Sqlite<'_>, limit: u32) -> sqlx::Result<Vec<DeadLetter>> {
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
