//! History from a file: what a meter, a utility or a weather station recorded before there was a gateway.
//!
//! Two columns count: a time (`start`, `t`, `date` or `timestamp`) and a value (`value`, `temp_f`, `temp_c`, or the one
//! that is named). An empty value in the last line closes the period and is no reading; elsewhere it is a reading
//! without a value. The same file twice changes nothing: every part of it is known by the hash of its readings.

pub(crate) mod bulk;
mod cells;
mod parquet;
mod parts;
mod rows;
pub(crate) mod series;
pub(crate) mod stage;
mod table;
mod text;

use std::collections::HashMap;

use ids::Slug;
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use store::{CommitError, Store};
use units::{Quality, Reason, Unit};

pub(crate) use series::GATEWAY;
use series::{Bulk, Reading, Series};

pub use parts::{FilePart, file_parts};
pub use rows::{FileRemark, FileRow, FileRows, file_rows};
pub(crate) use table::{Line, Table, When};
pub(crate) use text::read as table_of_text;

const SCALE: f64 = 1e6;
/// Larger values, positive or negative, are not believed.
const VALUE_MAX: f64 = 1e12;
/// Reasons are told for this many lines; all are counted.
const REJECTED_MAX: usize = 100;
const AHEAD_MAX: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// What a file is, and where its readings go.
#[derive(Clone, Debug)]
pub struct Import {
    pub tenant: Slug,
    pub facility: Slug,
    pub device: Slug,
    pub point: String,
    /// Not needed when the name of the column says it (`temp_f`, `temp_c`).
    pub unit: Option<Unit>,
    /// The value column, when it is none of the known ones.
    pub column: Option<String>,
    /// The zone of times that do not say theirs. Without one they are rejected.
    pub zone: Option<TimeZone>,
}

/// A line that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Counted from 1; the header of a CSV file is line 1, the first row of a Parquet file row 1.
    pub line: u64,
    pub reason: String,
}

/// What became of a file: `rows = accepted + duplicate + rejected_rows`, and 1 more when its last line closes the period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Imported {
    pub rows: u64,
    pub accepted: u64,
    pub duplicate: u64,
    /// Of the accepted: those that contradict what was stored.
    pub conflict: u64,
    pub rejected_rows: u64,
    /// The first of them.
    pub rejected: Vec<Rejected>,
    pub unit: String,
    pub first_ms: Option<i64>,
    /// The time of the last line; when `closed`, the end of the period, otherwise the last reading.
    pub last_ms: Option<i64>,
    pub closed: bool,
}

/// Why nothing of a file was taken.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the file has no time column; it has: {found}")]
    TimeColumn { found: String },
    #[error("the file has no value column `{wanted}`; it has: {found}")]
    ValueColumn { wanted: String, found: String },
    #[error("the unit of column `{column}` is not known: name it")]
    Unit { column: String },
    #[error("the file says that it is in {column}, and the request that it is in {asked}")]
    UnitConflict { column: Unit, asked: Unit },
    #[error("`{point}` is not the name of a point: use lower-case letters, digits and underscores")]
    Point { point: String },
    #[error("the file is not CSV with a header line")]
    Csv(#[source] csv::Error),
    #[error("the file is not Parquet that can be read here")]
    Parquet(#[source] ::parquet::errors::ParquetError),
    #[error("column `{column}` has a type that cannot be a {role}")]
    Type { column: String, role: &'static str },
    #[error("row {row} {reason}")]
    Row { row: u64, reason: String },
    #[error(transparent)]
    Store(#[from] CommitError),
}

impl Import {
    /// Takes a CSV file.
    pub fn csv(&self, store: &Store, body: &[u8], now: Timestamp) -> Result<Imported, ImportError> {
        self.take(store, &text::read(body, self.column.as_deref())?, now)
    }

    /// Takes a Parquet file.
    pub fn parquet(&self, store: &Store, body: bytes::Bytes, now: Timestamp) -> Result<Imported, ImportError> {
        self.take(store, &parquet::read(body, self.column.as_deref())?, now)
    }

    fn take(&self, store: &Store, table: &Table, now: Timestamp) -> Result<Imported, ImportError> {
        let unit = self.unit_of(table)?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if self.point.is_empty() || self.point.len() > 64 || !self.point.bytes().all(plain) {
            return Err(ImportError::Point { point: self.point.clone() });
        }
        let mut imported = Imported {
            rows: table.lines.len() as u64,
            accepted: 0,
            duplicate: 0,
            conflict: 0,
            rejected_rows: 0,
            rejected: Vec::new(),
            unit: unit.symbol().to_owned(),
            first_ms: None,
            last_ms: None,
            closed: false,
        };
        let readings = self.readings(table, now, &mut imported);
        let series = Series { device: self.device.clone(), point: self.point.clone(), unit, readings };
        let bulk = Bulk { tenant: self.tenant.clone(), facility: self.facility.clone(), series: vec![series] };
        let taken = bulk.commit(store, |_, _| true)?;
        (imported.accepted, imported.duplicate, imported.conflict) = (taken.accepted, taken.duplicate, taken.conflict);
        Ok(imported)
    }

    fn unit_of(&self, table: &Table) -> Result<Unit, ImportError> {
        match (table.unit, self.unit) {
            (Some(column), Some(asked)) if column != asked => Err(ImportError::UnitConflict { column, asked }),
            (Some(unit), _) | (None, Some(unit)) => Ok(unit),
            (None, None) => Err(ImportError::Unit { column: table.column.clone() }),
        }
    }

    /// The good lines, in order of time; the others are noted.
    fn readings(&self, table: &Table, now: Timestamp, imported: &mut Imported) -> Vec<Reading> {
        let mut seen: HashMap<i64, u64> = HashMap::with_capacity(table.lines.len());
        let mut rows = Vec::with_capacity(table.lines.len());
        let last = table.lines.len().saturating_sub(1);
        for (index, line) in table.lines.iter().enumerate() {
            let checked = self.check(line, now).and_then(|(ts_ms, quality)| match seen.insert(ts_ms, line.number) {
                Some(earlier) => Err(format!("has the time of line {earlier}")),
                None => Ok((ts_ms, quality, scaled(&line.value)?)),
            });
            match checked {
                Ok((ts_ms, _, None)) if index == last => {
                    imported.closed = true;
                    imported.last_ms = Some(ts_ms);
                }
                Ok((ts_ms, quality, raw)) => {
                    let quality = if raw.is_some() { quality } else { Quality::bad(Reason::NoValue) };
                    rows.push(Reading { ts_ms, raw, quality });
                }
                Err(reason) => {
                    imported.rejected_rows += 1;
                    if imported.rejected.len() < REJECTED_MAX {
                        imported.rejected.push(Rejected { line: line.number, reason });
                    }
                }
            }
        }
        rows.sort_by_key(|row| row.ts_ms);
        imported.first_ms = rows.first().map(|row| row.ts_ms);
        imported.last_ms = imported.last_ms.or_else(|| rows.last().map(|row| row.ts_ms));
        rows
    }

    fn check(&self, line: &Line, now: Timestamp) -> Result<(i64, Quality), String> {
        let (at, quality) = match line.when.as_ref().map_err(Clone::clone)? {
            When::At(at) => (*at, Quality::GOOD),
            When::Local(local) => {
                let zone = self.zone.as_ref().ok_or("has a time without a zone, and no zone was named")?;
                let at = zone.to_ambiguous_timestamp(*local);
                let quality = if at.is_ambiguous() { Quality::uncertain(Reason::DstAmbiguous) } else { Quality::GOOD };
                (at.compatible().map_err(|err| err.to_string())?, quality)
            }
        };
        if at.duration_since(now) > AHEAD_MAX {
            return Err("has a time in the future".to_owned());
        }
        Ok((at.as_millisecond(), quality))
    }
}

/// The value with six decimals, half away from zero; `None` when there is none.
fn scaled(value: &Result<Option<f64>, String>) -> Result<Option<i64>, String> {
    let Some(value) = value.clone()? else { return Ok(None) };
    if !value.is_finite() || value.abs() > VALUE_MAX {
        return Err(format!("has a value that cannot be: {value}"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "finite, and at most 10^18 after scaling")]
    let raw = (value * SCALE).round() as i64;
    Ok(Some(raw))
}

/// One row of a file: its time, and its value in millionths of the unit; nothing when there is none.
pub type ParsedRow = (Timestamp, Option<i64>);

/// The rows of a Parquet file as an import would take them, and the unit that the name of the value column says.
///
/// * Errors: a row that an import would reject is refused by its number.
pub fn parquet_rows(body: bytes::Bytes) -> Result<(Option<Unit>, Vec<ParsedRow>), ImportError> {
    let table = parquet::read(body, None)?;
    let refused = |line: &Line, reason: &str| ImportError::Row { row: line.number, reason: reason.to_owned() };
    let mut rows = Vec::with_capacity(table.lines.len());
    for line in &table.lines {
        let at = match &line.when {
            Ok(When::At(at)) => *at,
            Ok(When::Local(_)) => return Err(refused(line, "has a time without a zone")),
            Err(reason) => return Err(refused(line, reason)),
        };
        rows.push((at, scaled(&line.value).map_err(|reason| refused(line, &reason))?));
    }
    Ok((table.unit, rows))
}

#[cfg(test)]
mod tests;
