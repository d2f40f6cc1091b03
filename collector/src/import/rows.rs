//! The rows of a file for a computation: every row or none, and no digit less than the file has.
//!
//! An import stores what it can and reports the rest; a computation must not begin with rows that somebody would have to
//! leave out. So the first row that cannot be read ends the reading, with its number.

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use units::Unit;

use super::table::{Line, When};
use super::{ImportError, parquet, text};

/// The first four bytes of a Parquet file.
pub(super) const PARQUET: &[u8] = b"PAR1";

/// A row: seconds since 1970 UTC, and its value where it has one.
pub type FileRow = (i64, Option<f64>);

/// What a file says of a row beside its value, in its own words; `None` where it has no such column, or nothing in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileRemark {
    /// `quality`.
    pub quality: Option<String>,
    /// `estimated`.
    pub estimated: Option<String>,
    /// `serial`, the number of the meter.
    pub serial: Option<String>,
}

/// The columns of remarks, in the order of [`FileRemark`].
pub(super) const REMARKS: [&str; 3] = ["quality", "estimated", "serial"];

impl FileRemark {
    pub(super) fn of([quality, estimated, serial]: [Option<String>; 3]) -> Self {
        Self { quality, estimated, serial }
    }
}

/// A file, read whole.
#[derive(Clone, Debug, PartialEq)]
pub struct FileRows {
    /// In the order of the file.
    pub rows: Vec<FileRow>,
    /// The value column.
    pub column: String,
    /// What its name says of the unit.
    pub unit: Option<Unit>,
    /// One for each row, or none where the file has no column of remarks.
    pub remarks: Vec<FileRemark>,
}

/// Reads a Parquet or CSV file whole; which it is, its first bytes say.
///
/// Times without a zone are those of `zone`. An hour that the clocks show twice is resolved by the order of the rows.
///
/// * Errors: [`ImportError::Row`] for the first row without a time, with text for a number, or whose time has no meaning.
pub fn file_rows(body: Bytes, column: Option<&str>, zone: Option<&TimeZone>) -> Result<FileRows, ImportError> {
    if !body.starts_with(PARQUET) {
        let table = text::read(&body, column)?;
        let mut rows = Vec::with_capacity(table.lines.len());
        for (index, Line { when, value, .. }) in table.lines.into_iter().enumerate() {
            let row = placed(when, zone, rows.last().map(|(at, _)| *at)).and_then(|at| Ok((at, value?)));
            let row = row.and_then(|(at, value)| match value {
                Some(value) if !value.is_finite() => Err(format!("has a value that is no number: `{value}`")),
                value => Ok((at, value)),
            });
            rows.push(row.map_err(|reason| ImportError::Row { row: index as u64 + 1, reason })?);
        }
        return Ok(FileRows { rows, column: table.column, unit: table.unit, remarks: text::remarks(&body)? });
    }
    let table = parquet::Table::open(body)?;
    let remarks = table.remarks()?;
    let parquet::Columnar { times, values, clock, columns } = table.columns(column)?;
    let mut rows: Vec<FileRow> = Vec::with_capacity(times.len());
    for (index, (units, value)) in times.into_iter().zip(values).enumerate() {
        let refused = |reason: String| ImportError::Row { row: index as u64 + 1, reason };
        let units = units.ok_or_else(|| refused("has no time".to_owned()))?;
        let at = match clock.second(units) {
            Some(at) => at,
            None => placed(clock.when(units), zone, rows.last().map(|(at, _)| *at)).map_err(refused)?,
        };
        // A number that is not one is how some writers say that there is none.
        rows.push((at, value.filter(|value| !value.is_nan())));
    }
    Ok(FileRows { rows, unit: columns.unit(), column: columns.name, remarks })
}

/// The second of a time as it was written, after that of the row before.
fn placed(when: Result<When, String>, zone: Option<&TimeZone>, before: Option<i64>) -> Result<i64, String> {
    let before = before.and_then(|second| Timestamp::from_second(second).ok());
    when?.place(zone, before).map(Timestamp::as_second).map_err(|err| err.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, zone: Option<&str>) -> Result<FileRows, String> {
        let zone = zone.map(|zone| TimeZone::get(zone).unwrap());
        file_rows(Bytes::copy_from_slice(text.as_bytes()), None, zone.as_ref()).map_err(|err| err.to_string())
    }

    #[test]
    fn rows_keep_every_digit_and_say_what_they_are() {
        let found = read("t,temp_f\n1970-01-01T00:00:00Z,61.379047123456\n1970-01-01 02:00:00+01:00,\n", None).unwrap();
        assert_eq!((found.rows, found.unit), (vec![(0, Some(61.379_047_123_456)), (3_600, None)], Some(Unit::Fahrenheit)));
    }

    #[test]
    fn remarks_stand_beside_the_rows_they_are_of() {
        let found = read("start,value,estimated,serial\n1970-01-01T00:00:00Z,1,yes,A-17\n1970-01-02T00:00:00Z,2,,A-18\n", None).unwrap();
        let remark = |estimated: Option<&str>, serial: &str| FileRemark {
            quality: None,
            estimated: estimated.map(str::to_owned),
            serial: Some(serial.to_owned()),
        };
        assert_eq!(found.remarks, [remark(Some("yes"), "A-17"), remark(None, "A-18")]);
        assert!(read("start,value\n1970-01-01T00:00:00Z,1\n", None).unwrap().remarks.is_empty());
    }

    #[test]
    fn the_first_row_that_cannot_be_read_is_named() {
        let told = |text| read(text, None).unwrap_err();
        assert_eq!(told("start,value\n1970-01-01T00:00:00Z,1\n1970-01-02T00:00:00Z,six\n"), "row 2 has no number: `six`");
        assert_eq!(told("start,value\n1970-01-01T00:00:00Z,NaN\n"), "row 1 has a value that is no number: `NaN`");
        assert_eq!(told("start,value\nyesterday,1\n"), "row 1 has no time: `yesterday`");
        assert_eq!(told("start,value\n1970-01-01T00:00:00,1\n"), "row 1 has a time without a zone, and no zone was named");
    }

    #[test]
    fn the_doubled_hour_is_resolved_by_the_order_of_rows_or_refused() {
        let hours = "start,value\n2016-11-06T00:00:00,1\n2016-11-06T01:00:00,2\n2016-11-06T01:00:00,3\n2016-11-06T02:00:00,4\n";
        let found = read(hours, Some("America/Chicago")).unwrap().rows;
        assert!(found.windows(2).all(|pair| pair[1].0 - pair[0].0 == 3_600), "{found:?}");
        let first = read("start,value\n2016-11-06T01:00:00,2\n", Some("America/Chicago")).unwrap_err();
        assert_eq!(first, "row 1 has the time 2016-11-06T01:00:00, which the clocks of its zone show twice; write the offset");
        let skipped = read("start,value\n2016-03-13T02:30:00,2\n", Some("America/Chicago")).unwrap_err();
        assert_eq!(skipped, "row 1 has the time 2016-03-13T02:30:00, which the clocks of its zone skip");
    }
}
