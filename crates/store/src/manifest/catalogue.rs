//! The series in the manifest: what a device is called is said once, and what is measured is too.
//!
//! A store of ten thousand series took 44 bytes for each while every row said tenant, facility, device, point, unit and exponent; as
//! three small numbers it takes twelve.

use std::collections::HashMap;

use ids::Slug;
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{QueryBuilder, Row as _, SqliteConnection};
use units::Unit;

use super::tables::slug;
use crate::series::{SeriesId, SeriesKey};

/// Whoever loads the series refuses one that is there twice: an index of their names would be as large as they are.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS device (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, facility TEXT NOT NULL, device TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS quantity (id INTEGER PRIMARY KEY, point TEXT NOT NULL, unit INTEGER NOT NULL, exponent INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, device INTEGER NOT NULL, quantity INTEGER NOT NULL) STRICT;
";

/// Takes over the series of earlier versions, each of which said everything.
const MIGRATION: &str = "
ALTER TABLE series RENAME TO named_series;
CREATE TABLE series (id INTEGER PRIMARY KEY, device INTEGER NOT NULL, quantity INTEGER NOT NULL) STRICT;
INSERT INTO device (tenant, facility, device) SELECT tenant, facility, device FROM named_series GROUP BY 1, 2, 3 ORDER BY min(id);
INSERT INTO quantity (point, unit, exponent) SELECT point, unit, exponent FROM named_series GROUP BY 1, 2, 3 ORDER BY min(id);
INSERT INTO series SELECT named_series.id, device.id, quantity.id FROM named_series
  JOIN device USING (tenant, facility, device) JOIN quantity USING (point, unit, exponent) ORDER BY named_series.id;
DROP TABLE named_series;
";

/// A reference to what is not there gives a row without names.
const SERIES: &str = "SELECT series.id, tenant, facility, device.device, point, unit, exponent FROM series
  LEFT JOIN device ON device.id = series.device LEFT JOIN quantity ON quantity.id = series.quantity ORDER BY series.id";
const NAMED_SERIES: &str = "SELECT id, tenant, facility, device, point, unit, exponent FROM series ORDER BY id";

/// Rows in one statement, of four values each at most: SQLite takes 32,766 of them.
const ROWS_AT_ONCE: usize = 1_000;

pub(super) async fn migrate(db: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(MIGRATION).execute(db).await.map(|_| ())
}

/// All series, by number; none when a row is of no device, or measures nothing.
pub(super) async fn load(db: &mut SqliteConnection) -> sqlx::Result<Option<Vec<(SeriesId, SeriesKey)>>> {
    // A reader may come before the first writer of this version.
    let statement = if super::tables::format(&mut *db).await? < super::FORMAT { NAMED_SERIES } else { SERIES };
    sqlx::query(statement).fetch_all(db).await?.iter().map(series).collect()
}

fn series(row: &SqliteRow) -> sqlx::Result<Option<(SeriesId, SeriesKey)>> {
    let (tenant, point): (Option<&str>, Option<&str>) = (row.try_get(1)?, row.try_get(4)?);
    let (true, id) = (tenant.and(point).is_some(), SeriesId(row.try_get(0)?)) else { return Ok(None) };
    Ok(key(row)?.map(|key| (id, key)))
}

fn key(row: &SqliteRow) -> sqlx::Result<Option<SeriesKey>> {
    let (Some(tenant), Some(facility), Some(device)) = (slug(row, 1)?, slug(row, 2)?, slug(row, 3)?) else { return Ok(None) };
    let Some(unit) = Unit::from_code(row.try_get(5)?) else { return Ok(None) };
    Ok(Some(SeriesKey { tenant, facility, device, point: row.try_get(4)?, unit, exponent: row.try_get(6)? }))
}

/// The numbers of devices and of what they measure, as the one who writes knows them.
#[derive(Debug, Default)]
pub(super) struct Named {
    devices: HashMap<[Slug; 3], i64>,
    quantities: HashMap<(String, u16, i8), i64>,
}

impl Named {
    pub(super) async fn load(db: &mut SqliteConnection) -> sqlx::Result<Self> {
        let mut named = Self::default();
        for row in sqlx::query("SELECT tenant, facility, device, id FROM device").fetch_all(&mut *db).await? {
            // A name that is none can be no series' either.
            let (Some(tenant), Some(facility), Some(device)) = (slug(&row, 0)?, slug(&row, 1)?, slug(&row, 2)?) else { continue };
            named.devices.insert([tenant, facility, device], row.try_get(3)?);
        }
        for row in sqlx::query("SELECT point, unit, exponent, id FROM quantity").fetch_all(db).await? {
            named.quantities.insert((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?), row.try_get(3)?);
        }
        Ok(named)
    }

    /// Many at once: the first flush of a fleet names thousands.
    pub(super) async fn insert(&mut self, db: &mut SqliteConnection, series: &[(SeriesId, &SeriesKey)]) -> sqlx::Result<()> {
        let (mut devices, mut quantities, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for (id, key) in series {
            let names = [key.tenant.clone(), key.facility.clone(), key.device.clone()];
            let device = number(&mut self.devices, names, |device| devices.push((device, *key)));
            let measured = (key.point.clone(), key.unit.code(), key.exponent);
            let quantity = number(&mut self.quantities, measured, |quantity| quantities.push((quantity, *key)));
            rows.push((id.0, device, quantity));
        }
        for some in devices.chunks(ROWS_AT_ONCE) {
            let mut statement = QueryBuilder::<Sqlite>::new("INSERT INTO device ");
            statement.push_values(some, |mut row, (id, key)| {
                row.push_bind(*id).push_bind(key.tenant.as_str()).push_bind(key.facility.as_str()).push_bind(key.device.as_str());
            });
            statement.build().persistent(false).execute(&mut *db).await?;
        }
        for some in quantities.chunks(ROWS_AT_ONCE) {
            let mut statement = QueryBuilder::<Sqlite>::new("INSERT INTO quantity ");
            statement.push_values(some, |mut row, (id, key)| {
                row.push_bind(*id).push_bind(key.point.as_str()).push_bind(key.unit.code()).push_bind(key.exponent);
            });
            statement.build().persistent(false).execute(&mut *db).await?;
        }
        for some in rows.chunks(ROWS_AT_ONCE) {
            let mut statement = QueryBuilder::<Sqlite>::new("INSERT INTO series ");
            statement.push_values(some, |mut row, (id, device, quantity)| {
                row.push_bind(*id).push_bind(*device).push_bind(*quantity);
            });
            // The last statement of a flush has another length: none of them is worth keeping.
            statement.build().persistent(some.len() == ROWS_AT_ONCE).execute(&mut *db).await?;
        }
        Ok(())
    }
}

/// The number of a name, or the next one, which `new` is told of.
fn number<K: Eq + std::hash::Hash>(known: &mut HashMap<K, i64>, name: K, new: impl FnOnce(i64)) -> i64 {
    let next = i64::try_from(known.len()).unwrap_or(i64::MAX).saturating_add(1);
    *known.entry(name).or_insert_with(|| {
        new(next);
        next
    })
}

/// Undoes [`migrate`].
#[cfg(test)]
pub(super) async fn make_old(db: &mut SqliteConnection) -> sqlx::Result<()> {
    let statements = "
CREATE TABLE named_series (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, facility TEXT NOT NULL, device TEXT NOT NULL,
  point TEXT NOT NULL, unit INTEGER NOT NULL, exponent INTEGER NOT NULL) STRICT;
INSERT INTO named_series SELECT series.id, tenant, facility, device.device, point, unit, exponent FROM series
  JOIN device ON device.id = series.device JOIN quantity ON quantity.id = series.quantity;
DROP TABLE series; DROP TABLE device; DROP TABLE quantity;
ALTER TABLE named_series RENAME TO series;";
    sqlx::raw_sql(statements).execute(db).await.map(|_| ())
}
