//! Parquet, as pandas, polars and most databases write it.

use bytes::Bytes;
use jiff::{Timestamp, civil, tz::TimeZone};
use parquet::basic::{LogicalType, TimeUnit, Type as Physical};
use parquet::column::reader::{ColumnReader, get_typed_column_reader};
use parquet::data_type::{DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::ColumnDescriptor;

use super::ImportError;
use super::table::{Columns, Line, Table, When};

pub(super) fn read(body: Bytes, wanted: Option<&str>) -> Result<Table, ImportError> {
    let Columnar { times, values, clock, columns } = columns(body, wanted)?;
    let mut lines = Vec::with_capacity(times.len());
    for (when, value) in times.into_iter().zip(values) {
        let when = when.ok_or_else(|| "has no time".to_owned()).and_then(|units| clock.when(units));
        // A number that is not one is how some writers say that there is none.
        let value = Ok(value.filter(|value| !value.is_nan()));
        lines.push(Line { number: lines.len() as u64 + 1, when, value });
    }
    Ok(Table { lines, unit: columns.unit(), column: columns.name })
}

/// The two columns of a file, as they lie in it.
pub(super) struct Columnar {
    pub(super) times: Vec<Option<i64>>,
    pub(super) values: Vec<Option<f64>>,
    pub(super) clock: Clock,
    pub(super) columns: Columns,
}

pub(super) fn columns(body: Bytes, wanted: Option<&str>) -> Result<Columnar, ImportError> {
    let reader = SerializedFileReader::new(body).map_err(ImportError::Parquet)?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let names: Vec<String> = schema.columns().iter().map(|column| column.name().to_owned()).collect();
    let columns = Columns::find(&names, wanted)?;
    let (time, value) = (schema.column(columns.time), schema.column(columns.value));
    let clock = Clock::of(&time).ok_or_else(|| ImportError::Type { column: time.name().to_owned(), role: "time" })?;
    let (mut times, mut values) = (Vec::new(), Vec::new());
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index).map_err(ImportError::Parquet)?;
        times.append(&mut integers(group.as_ref(), columns.time, &time)?);
        values.append(&mut numbers(group.as_ref(), columns.value, &value)?);
    }
    Ok(Columnar { times, values, clock, columns })
}

/// How a column counts time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Clock {
    Units { per_second: i64, is_utc: bool },
    Days,
}

impl Clock {
    fn of(column: &ColumnDescriptor) -> Option<Self> {
        match column.logical_type_ref()? {
            LogicalType::Timestamp(timestamp) => {
                let per_second = match timestamp.unit {
                    TimeUnit::MILLIS => 1_000,
                    TimeUnit::MICROS => 1_000_000,
                    TimeUnit::NANOS => 1_000_000_000,
                };
                Some(Self::Units { per_second, is_utc: timestamp.is_adjusted_to_u_t_c })
            }
            LogicalType::Date => Some(Self::Days),
            _ => None,
        }
    }

    /// The whole second of a time that says its zone; none where it does not.
    pub(super) const fn second(self, units: i64) -> Option<i64> {
        match self {
            Self::Units { per_second, is_utc: true } => Some(units.div_euclid(per_second)),
            Self::Units { is_utc: false, .. } | Self::Days => None,
        }
    }

    pub(super) fn when(self, units: i64) -> Result<When, String> {
        let outside = |_| format!("has a time outside of the calendar: {units}");
        match self {
            Self::Units { per_second, is_utc } => {
                let nanos = i32::try_from(units.rem_euclid(per_second) * (1_000_000_000 / per_second)).unwrap_or(0);
                let at = Timestamp::new(units.div_euclid(per_second), nanos).map_err(outside)?;
                Ok(if is_utc { When::At(at) } else { When::Local(TimeZone::UTC.to_datetime(at)) })
            }
            Self::Days => {
                let date = civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(units).map_err(outside)?).map_err(outside)?;
                Ok(When::Local(date.to_datetime(civil::Time::midnight())))
            }
        }
    }
}

fn integers(group: &dyn RowGroupReader, index: usize, column: &ColumnDescriptor) -> Result<Vec<Option<i64>>, ImportError> {
    let reader = group.get_column_reader(index).map_err(ImportError::Parquet)?;
    match column.physical_type() {
        Physical::INT64 => all::<Int64Type>(reader, column),
        Physical::INT32 => Ok(all::<Int32Type>(reader, column)?.into_iter().map(|value| value.map(i64::from)).collect()),
        _ => Err(ImportError::Type { column: column.name().to_owned(), role: "time" }),
    }
}

fn numbers(group: &dyn RowGroupReader, index: usize, column: &ColumnDescriptor) -> Result<Vec<Option<f64>>, ImportError> {
    let reader = group.get_column_reader(index).map_err(ImportError::Parquet)?;
    match column.physical_type() {
        Physical::DOUBLE => all::<DoubleType>(reader, column),
        Physical::FLOAT => Ok(all::<FloatType>(reader, column)?.into_iter().map(|value| value.map(f64::from)).collect()),
        Physical::INT32 => Ok(all::<Int32Type>(reader, column)?.into_iter().map(|value| value.map(f64::from)).collect()),
        #[expect(clippy::cast_precision_loss, reason = "a meter's value, far below 2^53")]
        Physical::INT64 if column.logical_type_ref().is_none_or(|logical| matches!(logical, LogicalType::Integer(_))) => {
            Ok(all::<Int64Type>(reader, column)?.into_iter().map(|value| value.map(|value| value as f64)).collect())
        }
        _ => Err(ImportError::Type { column: column.name().to_owned(), role: "value" }),
    }
}

fn all<T: DataType>(reader: ColumnReader, column: &ColumnDescriptor) -> Result<Vec<Option<T::T>>, ImportError> {
    if column.max_rep_level() > 0 || column.max_def_level() > 1 {
        return Err(ImportError::Type { column: column.name().to_owned(), role: "single column" });
    }
    let read = || -> Result<Vec<Option<T::T>>, ParquetError> {
        let mut reader = get_typed_column_reader::<T>(reader);
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        while reader.read_records(usize::MAX >> 1, Some(&mut levels), None, &mut values)?.0 > 0 {}
        if column.max_def_level() == 0 {
            return Ok(values.into_iter().map(Some).collect());
        }
        let mut values = values.into_iter();
        Ok(levels.into_iter().map(|level| if level == 1 { values.next() } else { None }).collect())
    };
    read().map_err(ImportError::Parquet)
}
