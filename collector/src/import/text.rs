//! CSV.

use jiff::{Timestamp, civil};

use super::ImportError;
use super::rows::{FileRemark, REMARKS};
use super::table::{Columns, Line, Table, When};

pub(crate) fn read(body: &[u8], wanted: Option<&str>) -> Result<Table, ImportError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(body);
    let names: Vec<String> =
        reader.headers().map_err(ImportError::Csv)?.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
    let columns = Columns::find(&names, wanted)?;
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record.map_err(ImportError::Csv)?;
        let number = record.position().map_or(0, csv::Position::line);
        let when = when(record.get(columns.time).unwrap_or_default());
        let value = value(record.get(columns.value).unwrap_or_default());
        lines.push(Line { number, when, value });
    }
    Ok(Table { lines, unit: columns.unit(), column: columns.name })
}

/// What the lines say beside their values; nothing where no column does.
pub(crate) fn remarks(body: &[u8]) -> Result<Vec<FileRemark>, ImportError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(body);
    let header = reader.headers().map_err(ImportError::Csv)?.clone();
    let columns = REMARKS.map(|name| header.iter().position(|found| found == name));
    if columns.iter().all(Option::is_none) {
        return Ok(Vec::new());
    }
    let mut remarks = Vec::new();
    for record in reader.records() {
        let record = record.map_err(ImportError::Csv)?;
        let word = |column: Option<usize>| column.and_then(|column| record.get(column)).filter(|text| !text.is_empty()).map(str::to_owned);
        remarks.push(FileRemark::of(columns.map(word)));
    }
    Ok(remarks)
}

fn when(text: &str) -> Result<When, String> {
    let at = text.parse::<Timestamp>().map(When::At);
    let local = || text.parse::<civil::DateTime>().map(When::Local);
    at.or_else(|_no_zone| local()).map_err(|_unread| format!("has no time: `{text}`"))
}

fn value(text: &str) -> Result<Option<f64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_unread| format!("has no number: `{text}`"))
}
