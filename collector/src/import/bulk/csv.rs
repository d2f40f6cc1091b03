//! CSV as meters, utilities and portals export it: any columns, any order, a few lines of prose before the header.

use csv::{ByteRecord, ReaderBuilder, Trim};
use jiff::{Timestamp, civil, fmt::strtime::BrokenDownTime};
use units::Quality;

use super::SourceError;
use super::check::{Broken, Checker, Found};
use super::fault::Rule;
use super::mapping::{Mapping, TimeForm};
use crate::import::table::{TIME_COLUMNS, When};
use crate::write::{Decimal, Reason};

/// A header line with more columns than this is none.
const COLUMNS_MAX: usize = 4_096;
/// Of a field that cannot be read, what is told.
const EXCERPT_CHARACTERS: usize = 40;

/// Where each point of the mapping is.
pub(super) struct Places {
    pub(super) time: Vec<usize>,
    pub(super) points: Vec<PointPlace>,
}

pub(super) struct PointPlace {
    pub(super) point: usize,
    pub(super) value: usize,
    pub(super) only: Option<usize>,
}

impl Places {
    /// Finds the columns that the mapping names.
    ///
    /// * Errors: all that are not there, at once.
    pub(super) fn find(mapping: &Mapping, names: &[String]) -> Result<Self, SourceError> {
        let mut absent = Vec::new();
        let mut position = |name: &str| {
            let found = names.iter().position(|known| known == name);
            if found.is_none() && !absent.iter().any(|known| known == name) {
                absent.push(name.to_owned());
            }
            found.unwrap_or_default()
        };
        let time = match mapping.time.columns.as_slice() {
            [] => {
                let usual = TIME_COLUMNS.into_iter().find_map(|name| names.iter().position(|known| known == name));
                vec![usual.unwrap_or_else(|| position("start"))]
            }
            columns => columns.iter().map(|name| position(name)).collect(),
        };
        let mut points = Vec::with_capacity(mapping.points.len());
        for (point, rule) in mapping.points.iter().enumerate() {
            let value = position(rule.column.as_deref().unwrap_or("value"));
            let only = rule.only.as_ref().map(|only| position(&only.column));
            points.push(PointPlace { point, value, only });
        }
        if absent.is_empty() { Ok(Self { time, points }) } else { Err(SourceError::Columns { absent, found: names.join(", ") }) }
    }
}

/// Reads a file row by row.
///
/// * Errors: it has no header line with the columns of the mapping, or more readings than one import may have.
pub(super) fn read(body: &[u8], mapping: &Mapping, checker: &mut Checker<'_>) -> Result<u64, SourceError> {
    let (skipped, body) = skip_lines(body, mapping.csv.skip_lines);
    let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).delimiter(mapping.csv.delimiter).from_reader(body);
    let header = reader.byte_headers().map_err(SourceError::Csv)?;
    if header.len() > COLUMNS_MAX {
        return Err(SourceError::TooManyColumns { found: header.len() });
    }
    let names: Vec<String> =
        header.iter().map(|name| String::from_utf8_lossy(name).trim_start_matches('\u{feff}').trim().to_owned()).collect();
    let places = Places::find(mapping, &names)?;
    let (mut record, mut rows) = (ByteRecord::new(), 0);
    while reader.read_byte_record(&mut record).map_err(SourceError::Csv)? {
        let row = record.position().map_or(0, csv::Position::line) + skipped;
        rows += 1;
        let when = time(&places, &record, mapping);
        for place in &places.points {
            if place.only.is_some_and(|column| !is_of(&record, column, mapping, place.point)) {
                continue;
            }
            let (when, value) = (when.clone(), value(&record, place, mapping));
            checker.take(Found { row, point: place.point, when, value, quality: Quality::GOOD })?;
        }
    }
    Ok(rows)
}

/// What is behind the first lines, and how many there were.
fn skip_lines(body: &[u8], lines: usize) -> (u64, &[u8]) {
    let mut rest = body;
    let mut skipped = 0;
    for _ in 0..lines {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return (skipped, &[]) };
        rest = rest.get(end + 1..).unwrap_or_default();
        skipped += 1;
    }
    (skipped, rest)
}

fn is_of(record: &ByteRecord, column: usize, mapping: &Mapping, point: usize) -> bool {
    let wanted = mapping.points.get(point).and_then(|rule| rule.only.as_ref());
    wanted.is_none_or(|only| record.get(column) == Some(only.is.as_bytes()))
}

fn field(record: &ByteRecord, column: usize) -> Result<&str, Broken> {
    let bytes = record.get(column).ok_or_else(|| (Rule::Fields, format!("has too few fields: {}", record.len())))?;
    std::str::from_utf8(bytes).map_err(|_| (Rule::Encoding, "has a field that is not UTF-8".to_owned()))
}

fn time(places: &Places, record: &ByteRecord, mapping: &Mapping) -> Result<When, Broken> {
    match places.time.as_slice() {
        [one] => when(field(record, *one)?, &mapping.time.form),
        several => {
            let parts = several.iter().map(|column| field(record, *column)).collect::<Result<Vec<_>, _>>()?;
            when(&parts.join(" "), &mapping.time.form)
        }
    }
}

/// A time as it is written.
pub(super) fn when(text: &str, form: &TimeForm) -> Result<When, Broken> {
    if text.trim().is_empty() {
        return Err((Rule::TimeMissing, "has no time".to_owned()));
    }
    let broken = || (Rule::TimeFormat, format!("has no time that is written as the mapping says: `{}`", excerpt(text)));
    let epoch = |per_second: i64| {
        let number: i64 = text.parse().map_err(|_| broken())?;
        let nanos = i32::try_from(number.rem_euclid(per_second) * (1_000_000_000 / per_second)).unwrap_or(0);
        Timestamp::new(number.div_euclid(per_second), nanos).map(When::At).map_err(|_| broken())
    };
    match form {
        TimeForm::Iso => {
            let at = text.parse::<Timestamp>().map(When::At);
            at.or_else(|_no_zone| text.parse::<civil::DateTime>().map(When::Local)).map_err(|_| broken())
        }
        TimeForm::EpochSeconds => epoch(1),
        TimeForm::EpochMilliseconds => epoch(1_000),
        TimeForm::Written(written) => {
            let read = BrokenDownTime::parse(written, text).map_err(|_| broken())?;
            let at = read.to_timestamp().map(When::At);
            at.or_else(|_no_offset| read.to_datetime().map(When::Local)).map_err(|_| broken())
        }
    }
}

fn value(record: &ByteRecord, place: &PointPlace, mapping: &Mapping) -> Result<Option<Decimal>, Broken> {
    number(field(record, place.value)?, mapping, place.point)
}

/// A value as it is written, its factor applied.
pub(super) fn number(text: &str, mapping: &Mapping, point: usize) -> Result<Option<Decimal>, Broken> {
    if text.is_empty() || mapping.missing.iter().any(|missing| missing == text) {
        return Ok(None);
    }
    let plain = if mapping.csv.decimal_comma { text.replace('.', "?").replace(',', ".") } else { text.to_owned() };
    let plain = plain.strip_prefix('+').unwrap_or(&plain);
    let factor = mapping.points.get(point).map_or(Decimal::ONE, |rule| rule.factor);
    let value = Decimal::read(plain.as_bytes()).and_then(|value| value.times(factor));
    value.map(Some).map_err(|reason| match reason {
        Reason::Range => (Rule::ValueTooLarge, format!("has more digits than a reading: `{}`", excerpt(text))),
        _ => (Rule::ValueFormat, format!("has no number: `{}`", excerpt(text))),
    })
}

pub(super) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(EXCERPT_CHARACTERS).map(|c| if c.is_control() { '·' } else { c }).collect();
    if text.chars().nth(EXCERPT_CHARACTERS).is_some() {
        short.push('…');
    }
    short
}
