//! Parquet with any number of value columns, as pandas, polars and most databases write it.

use bytes::Bytes;
use units::Quality;

use super::SourceError;
use super::check::{Checker, Found};
use super::csv::{Places, number};
use super::fault::Rule;
use super::mapping::Mapping;
use crate::import::ImportError;
use crate::import::parquet::Table;

/// Reads a file group by group.
///
/// * Errors: it is no Parquet that can be read here; columns of the mapping are absent or of another type.
pub(super) fn read(body: Bytes, mapping: &Mapping, checker: &mut Checker<'_>) -> Result<u64, SourceError> {
    if mapping.time.columns.len() > 1 || mapping.points.iter().any(|point| point.only.is_some()) {
        return Err(SourceError::NotOfParquet);
    }
    let table = Table::open(body)?;
    let places = Places::find(mapping, &table.names)?;
    let time = places.time.first().copied().unwrap_or_default();
    let clock = table.clock(time)?;
    let mut row = 0;
    for group in 0..table.groups() {
        let times = table.integers(group, time)?;
        let column = |value| Ok(table.numbers(group, value)?.into_iter().collect());
        let columns = places.points.iter().map(|place| column(place.value)).collect::<Result<Vec<Vec<Option<f64>>>, ImportError>>()?;
        for (index, units) in times.into_iter().enumerate() {
            row += 1;
            let when = units.ok_or_else(|| (Rule::TimeMissing, "has no time".to_owned()));
            let when = when.and_then(|units| clock.when(units).map_err(|reason| (Rule::TimeFormat, reason)));
            for (place, column) in places.points.iter().zip(&columns) {
                // A number that is not one is how some writers say that there is none.
                let value = match column.get(index).copied().flatten().filter(|value| !value.is_nan()) {
                    None => Ok(None),
                    Some(value) if value.is_infinite() => Err((Rule::ValueFormat, format!("has no number: `{value}`"))),
                    // The shortest text that is this number: 0.1 is a tenth and not what binary digits make of it.
                    Some(value) => number(&value.to_string().replace('.', mark(mapping)), mapping, place.point),
                };
                checker.take(Found { row, point: place.point, when: when.clone(), value, quality: Quality::GOOD })?;
            }
        }
    }
    Ok(row)
}

const fn mark(mapping: &Mapping) -> &'static str {
    if mapping.csv.decimal_comma { "," } else { "." }
}
