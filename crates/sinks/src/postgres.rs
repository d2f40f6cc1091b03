//! A copy in PostgreSQL: one table of series, one of readings, and a view of both that people ask.
//!
//! A reading has its place by series and time, and a newer version takes it: whatever is sent again, in whatever order,
//! the table ends with the newest. Readings without a value are there too, with the quality that says why.

use std::collections::{BTreeMap, HashMap};

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Row as _};
use store::SeriesId;
use tokio::sync::Mutex;

use crate::deliver::{Take, WriteError};
use crate::digest::{DAY_MS, Digest, Digests};
use crate::places::PostgresConfig;
use crate::reading::{Reading, Series};

/// A database that takes readings.
#[derive(Debug)]
pub struct Postgres {
    config: PostgresConfig,
    pool: PgPool,
    /// What the database knows our series by; `None` until its tables were seen.
    series: Mutex<Option<HashMap<SeriesId, i64>>>,
}

/// The schema is named once in each statement; it is a name of our configuration, and checked there.
const TABLES: &str = r#"
CREATE SCHEMA IF NOT EXISTS "{schema}";
CREATE TABLE IF NOT EXISTS "{schema}".series (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant text NOT NULL, facility text NOT NULL, device text NOT NULL, point text NOT NULL, unit text NOT NULL, exponent smallint NOT NULL,
  UNIQUE (tenant, facility, device, point, unit, exponent)
);
CREATE TABLE IF NOT EXISTS "{schema}".reading (
  series bigint NOT NULL REFERENCES "{schema}".series (id),
  ts timestamptz NOT NULL, raw bigint, quality integer NOT NULL, seq bigint NOT NULL, version integer NOT NULL,
  PRIMARY KEY (series, ts)
);
CREATE OR REPLACE VIEW "{schema}".readings AS
  SELECT tenant, facility, device, point, unit, ts, trim_scale(raw * power(10::numeric, exponent::numeric)) AS value, quality, version
  FROM "{schema}".reading JOIN "{schema}".series ON series.id = reading.series;
"#;

const SERIES: &str = r#"
WITH added AS (
  INSERT INTO "{schema}".series (tenant, facility, device, point, unit, exponent) VALUES ($1, $2, $3, $4, $5, $6)
  ON CONFLICT (tenant, facility, device, point, unit, exponent) DO NOTHING RETURNING id
)
SELECT id FROM added UNION ALL
SELECT id FROM "{schema}".series WHERE (tenant, facility, device, point, unit, exponent) = ($1, $2, $3, $4, $5, $6)
"#;

const READINGS: &str = r#"
INSERT INTO "{schema}".reading AS known (series, ts, raw, quality, seq, version)
SELECT series, 'epoch'::timestamptz + ms * interval '1 millisecond', raw, quality, seq, version
FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::bigint[], $6::integer[]) AS given (series, ms, raw, quality, seq, version)
ON CONFLICT (series, ts) DO UPDATE SET raw = excluded.raw, quality = excluded.quality, seq = excluded.seq, version = excluded.version
WHERE known.version <= excluded.version
"#;

const DAY: &str = r#"
SELECT device, point, unit, exponent, count(raw), min(raw), max(raw), sum(raw)::text
FROM "{schema}".reading JOIN "{schema}".series ON series.id = reading.series
WHERE tenant = $1 AND facility = $2
  AND ts >= 'epoch'::timestamptz + $3 * interval '1 millisecond' AND ts < 'epoch'::timestamptz + $4 * interval '1 millisecond'
GROUP BY device, point, unit, exponent HAVING count(raw) > 0
"#;

const DELETE: &str = r#"
DELETE FROM "{schema}".reading WHERE series = $1
  AND ts >= 'epoch'::timestamptz + $2 * interval '1 millisecond' AND ts < 'epoch'::timestamptz + $3 * interval '1 millisecond'
"#;

/// A sink needs one connection, and its reconciliation another.
const CONNECTIONS_MAX: u32 = 2;

impl Postgres {
    /// It is not connected to yet.
    ///
    /// * Errors: the address cannot be read.
    pub fn new(config: PostgresConfig) -> Result<Self, sqlx::Error> {
        let mut options: PgConnectOptions = config.url.parse()?;
        if let Some(password) = &config.password {
            options = options.password(password.expose());
        }
        let milliseconds = config.timeout.as_millis().to_string();
        let options = options.application_name("negawatt").options([("statement_timeout", milliseconds)]).disable_statement_logging();
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX).acquire_timeout(config.timeout).connect_lazy_with(options);
        Ok(Self { config, pool, series: Mutex::default() })
    }

    /// The place, without what opens it.
    #[must_use]
    pub fn destination(&self) -> String {
        format!("{} schema {}", self.config.url, self.config.schema)
    }

    fn sql(&self, statement: &str) -> sqlx::AssertSqlSafe<String> {
        sqlx::AssertSqlSafe(statement.replace("{schema}", &self.config.schema))
    }

    fn judge(&self, err: sqlx::Error) -> WriteError {
        let destination = self.destination();
        let Some(database) = err.as_database_error() else {
            return WriteError::Unreachable { destination, err: Box::new(err) };
        };
        let (status, said) = (database.code().unwrap_or_default().into_owned(), database.message().to_owned());
        match status.get(..2) {
            // Data exceptions and constraints: the readings are what it does not take.
            Some("22" | "23") => WriteError::Refused { destination, status, said },
            // Authorization, missing rights, missing tables.
            Some("28" | "3D" | "3F" | "42") => WriteError::Denied { destination, status, said },
            _ => WriteError::Busy { destination, status, said, after: None },
        }
    }

    async fn within<T>(&self, work: impl Future<Output = sqlx::Result<T>>) -> Result<T, WriteError> {
        match tokio::time::timeout(self.config.timeout, work).await {
            Ok(done) => done.map_err(|err| self.judge(err)),
            Err(late) => Err(WriteError::Unreachable { destination: self.destination(), err: Box::new(late) }),
        }
    }

    /// The numbers of these series there.
    async fn numbers<'a>(&self, readings: impl Iterator<Item = &'a Series>) -> Result<HashMap<SeriesId, i64>, WriteError> {
        let mut known = self.series.lock().await;
        if known.is_none() {
            self.within(sqlx::raw_sql(self.sql(TABLES)).execute(&self.pool)).await.map_err(later)?;
        }
        let known = known.get_or_insert_default();
        let mut wanted = HashMap::new();
        for series in readings {
            if wanted.contains_key(&series.id) {
                continue;
            }
            let id = match known.get(&series.id) {
                Some(id) => *id,
                None => {
                    let id = self.within(self.number(series)).await.map_err(later)?;
                    known.insert(series.id, id);
                    id
                }
            };
            wanted.insert(series.id, id);
        }
        Ok(wanted)
    }

    async fn number(&self, series: &Series) -> sqlx::Result<i64> {
        let key = &series.key;
        sqlx::query_scalar(self.sql(SERIES))
            .bind(key.tenant.as_str())
            .bind(key.facility.as_str())
            .bind(key.device.as_str())
            .bind(&key.point)
            .bind(key.unit.symbol())
            .bind(i16::from(key.exponent))
            .fetch_one(&self.pool)
            .await
    }

    /// What it has of a facility on a day.
    pub(crate) async fn day(&self, tenant: &str, facility: &str, day_ms: i64) -> Result<Digests, WriteError> {
        self.numbers(std::iter::empty()).await?;
        let query = sqlx::query(self.sql(DAY)).bind(tenant).bind(facility).bind(day_ms).bind(day_ms + DAY_MS);
        let rows = self.within(query.fetch_all(&self.pool)).await?;
        let digest = |row: &sqlx::postgres::PgRow| {
            let exponent: i16 = row.try_get(3)?;
            let (count, sum): (i64, String) = (row.try_get(4)?, row.try_get(7)?);
            let exponent = i8::try_from(exponent).map_err(|err| sqlx::Error::Decode(Box::new(err)))?;
            let sum = sum.parse().map_err(|err| sqlx::Error::Decode(Box::new(err)))?;
            let digest = Digest { count: count.cast_unsigned(), min: row.try_get(5)?, max: row.try_get(6)?, sum };
            Ok(((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, exponent), digest))
        };
        rows.iter().map(digest).collect::<sqlx::Result<_>>().map_err(|err| self.judge(err))
    }

    /// Removes what it has of a series on a day.
    pub(crate) async fn delete_day(&self, series: &Series, day_ms: i64) -> Result<(), WriteError> {
        let numbers = self.numbers(std::iter::once(series)).await?;
        let number = numbers.get(&series.id).copied().unwrap_or_default();
        let delete = sqlx::query(self.sql(DELETE)).bind(number).bind(day_ms).bind(day_ms + DAY_MS);
        self.within(delete.execute(&self.pool)).await.map(|_| ())
    }
}

/// Of tables and names, a constraint says that somebody else was at it in this moment: no reading is bad.
fn later(err: WriteError) -> WriteError {
    match err {
        WriteError::Refused { destination, status, said } => WriteError::Busy { destination, status, said, after: None },
        err => err,
    }
}

impl Take for Postgres {
    async fn take(&self, readings: &[Reading]) -> Result<(), WriteError> {
        let numbers = self.numbers(readings.iter().map(|reading| reading.series.as_ref())).await?;
        // One statement may touch a row once: of the versions of a time the newest goes.
        let mut newest = BTreeMap::new();
        for reading in readings {
            let Some(number) = numbers.get(&reading.series.id) else { continue };
            let sample = newest.entry((*number, reading.sample.ts_ms)).or_insert(reading.sample);
            if reading.sample.version >= sample.version {
                *sample = reading.sample;
            }
        }
        let column =
            |of: &dyn Fn(i64, &store::Sample) -> i64| newest.iter().map(|((series, _), sample)| of(*series, sample)).collect::<Vec<_>>();
        let (series, times) = (column(&|series, _| series), column(&|_, sample| sample.ts_ms));
        let raw: Vec<Option<i64>> = newest.values().map(|sample| sample.raw).collect();
        let quality: Vec<i32> = newest.values().map(|sample| i32::from(sample.quality.bits())).collect();
        let seq = column(&|_, sample| sample.seq.cast_signed());
        let version: Vec<i32> = newest.values().map(|sample| i32::from(sample.version)).collect();
        let insert = sqlx::query(self.sql(READINGS)).bind(series).bind(times).bind(raw).bind(quality).bind(seq).bind(version);
        let written = self.within(insert.execute(&self.pool)).await;
        if matches!(written, Err(WriteError::Refused { .. } | WriteError::Denied { .. })) {
            // Somebody may have emptied the tables: what we knew of them is asked again.
            *self.series.lock().await = None;
        }
        written.map(|_| ())
    }
}
