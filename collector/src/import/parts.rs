//! A file with many meters in one table, apart: a column names the meter of each row.
//!
//! Each part is a file of its own, in the text that a meter of its own would have been written in, so that it is read as such.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::rows::{FileRemark, PARQUET, REMARKS};
use super::table::{Columns, When};
use super::{ImportError, parquet};

/// The rows of one meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePart {
    /// What the column calls it.
    pub name: String,
    /// CSV with the other columns of the file, in its order.
    pub body: Bytes,
    /// Which row of the file each row is, counted from 1.
    pub rows: Vec<u32>,
}

/// Takes a Parquet or CSV file apart by what stands in a column; in the order of the names.
///
/// * Errors: no such column, a row without a name in it, a file that cannot be read.
pub fn file_parts(body: Bytes, column: &str) -> Result<Vec<FilePart>, ImportError> {
    let parts = if body.starts_with(PARQUET) { of_parquet(body, column)? } else { of_text(&body, column)? };
    parts.into_iter().map(|(name, part)| part.done(name)).collect()
}

/// A part that is being written.
struct Part {
    text: csv::Writer<Vec<u8>>,
    rows: Vec<u32>,
}

impl Part {
    /// * Shape: `header` are the columns of the file but the one that names meters.
    fn new<'a>(header: impl Iterator<Item = &'a str>) -> Result<Self, ImportError> {
        // Thousands of them are open at once.
        let mut text = csv::WriterBuilder::new().flexible(true).buffer_capacity(256).from_writer(Vec::new());
        text.write_record(header).map_err(ImportError::Csv)?;
        Ok(Self { text, rows: Vec::new() })
    }

    fn add<'a>(&mut self, row: usize, fields: impl Iterator<Item = &'a str>) -> Result<(), ImportError> {
        self.rows.push(u32::try_from(row).unwrap_or(u32::MAX));
        self.text.write_record(fields).map_err(ImportError::Csv)
    }

    fn done(self, name: String) -> Result<FilePart, ImportError> {
        let body = self.text.into_inner().map_err(|err| ImportError::Csv(err.into_error().into()))?;
        Ok(FilePart { name, body: Bytes::from(body), rows: self.rows })
    }
}

type Parts = BTreeMap<String, Part>;

/// The part of a meter, which may be new.
fn part<'a, 'h>(
    parts: &'a mut Parts,
    name: Option<&str>,
    row: usize,
    header: impl Iterator<Item = &'h str>,
) -> Result<&'a mut Part, ImportError> {
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Err(ImportError::Row { row: row as u64, reason: "names no meter".to_owned() });
    };
    if !parts.contains_key(name) {
        parts.insert(name.to_owned(), Part::new(header)?);
    }
    Ok(parts.get_mut(name).expect("it was put there where it was not"))
}

fn of_text(body: &[u8], column: &str) -> Result<Parts, ImportError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(body);
    let names: Vec<String> =
        reader.headers().map_err(ImportError::Csv)?.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
    Columns::find(&names, None)?;
    let meter = place(&names, column)?;
    let others = |index: &usize| *index != meter;
    let mut parts = Parts::new();
    for (index, record) in reader.records().enumerate() {
        let (row, record) = (index + 1, record.map_err(ImportError::Csv)?);
        let header = names.iter().enumerate().filter(|(index, _)| others(index)).map(|(_, name)| name.as_str());
        let part = part(&mut parts, record.get(meter), row, header)?;
        part.add(row, record.iter().enumerate().filter(|(index, _)| others(index)).map(|(_, field)| field))?;
    }
    Ok(parts)
}

fn of_parquet(body: Bytes, column: &str) -> Result<Parts, ImportError> {
    let table = parquet::Table::open(body)?;
    let (meters, remarks) = (table.said(column)?, table.remarks()?);
    let parquet::Columnar { times, values, clock, columns } = table.columns(None)?;
    let header = || {
        let remarked = if remarks.is_empty() { &REMARKS[..0] } else { &REMARKS[..] };
        ["start", columns.name.as_str()].into_iter().chain(remarked.iter().copied())
    };
    let mut parts = Parts::new();
    for (index, ((units, value), meter)) in times.into_iter().zip(values).zip(meters).enumerate() {
        let row = index + 1;
        let refused = |reason: String| ImportError::Row { row: row as u64, reason };
        let when = clock.when(units.ok_or_else(|| refused("has no time".to_owned()))?).map_err(refused)?;
        let at = match when {
            When::At(at) => at.to_string(),
            When::Local(local) => local.to_string(),
        };
        // A number that is not one is how some writers say that there is none; the shortest text reads back as the same number.
        let value = value.filter(|value| !value.is_nan()).map(|value| value.to_string()).unwrap_or_default();
        let said = remarks.get(index).map(|FileRemark { quality, estimated, serial }| [quality, estimated, serial]);
        let said = said.into_iter().flatten().map(|word| word.as_deref().unwrap_or_default());
        let part = part(&mut parts, meter.as_deref(), row, header())?;
        part.add(row, [at.as_str(), value.as_str()].into_iter().chain(said))?;
    }
    Ok(parts)
}

pub(super) fn place(names: &[String], column: &str) -> Result<usize, ImportError> {
    let missing = || ImportError::ValueColumn { wanted: column.to_owned(), found: names.join(", ") };
    names.iter().position(|name| name == column).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::file_rows;

    fn parts(text: &str) -> Result<Vec<FilePart>, String> {
        file_parts(Bytes::copy_from_slice(text.as_bytes()), "meter").map_err(|err| err.to_string())
    }

    #[test]
    fn each_meter_is_a_file_of_its_own_and_knows_which_rows_it_has() {
        let text = "start,meter,value,estimated\n1970-01-01T00:00:00Z,north,1.5,\n1970-01-01T00:00:00Z,\"a, b\",7,yes\n\
                    1970-01-02T00:00:00Z,north,2.25,\n1970-01-02T00:00:00Z,\"a, b\",,\n";
        let found = parts(text).unwrap();
        let names: Vec<(&str, &[u32])> = found.iter().map(|part| (part.name.as_str(), part.rows.as_slice())).collect();
        assert_eq!(names, [("a, b", [2, 4].as_slice()), ("north", [1, 3].as_slice())]);
        let rows = file_rows(found[1].body.clone(), None, None).unwrap();
        assert_eq!(rows.rows, [(0, Some(1.5)), (86_400, Some(2.25))]);
        assert_eq!(file_rows(found[0].body.clone(), None, None).unwrap().remarks[0].estimated.as_deref(), Some("yes"));
    }

    #[test]
    fn a_row_of_nobody_and_a_file_without_the_column_are_refused() {
        assert_eq!(parts("meter,start,value\na,1970-01-01T00:00:00Z,1\n,1970-01-01T00:00:00Z,1\n").unwrap_err(), "row 2 names no meter");
        let refused = parts("name,start,value\na,1970-01-01T00:00:00Z,1\n").unwrap_err();
        assert!(refused.contains("meter") && refused.contains("name, start, value"), "{refused}");
        assert!(parts("meter,when,value\n").is_err());
    }
}
