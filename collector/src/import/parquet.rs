//! Parquet, as pandas, polars and most databases write it.

use bytes::Bytes;
use jiff::{Timestamp, civil, tz::TimeZone};
use parquet::basic::{LogicalType, TimeUnit, Type as Physical};
use parquet::column::reader::{ColumnReader, get_typed_column_reader};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};

use super::ImportError;
use super::cells::Cells;
use super::rows::{FileRemark, REMARKS};
use super::table::{self, Columns, Line, When};

pub(super) fn read(body: Bytes, wanted: Option<&str>) -> Result<table::Table, ImportError> {
    let Columnar { times, values, clock, columns } = Table::open(body)?.columns(wanted)?;
    let mut lines = Vec::with_capacity(times.len());
    for (when, value) in times.into_iter().zip(values) {
        let when = when.ok_or_else(|| "has no time".to_owned()).and_then(|units| clock.when(units));
        // A number that is not one is how some writers say that there is none.
        let value = Ok(value.filter(|value| !value.is_nan()));
        lines.push(Line { number: lines.len() as u64 + 1, when, value });
    }
    Ok(table::Table { lines, unit: columns.unit(), column: columns.name })
}

/// The two columns of a file, as they lie in it.
pub(super) struct Columnar {
    pub(super) times: Cells<i64>,
    pub(super) values: Cells<f64>,
    pub(super) clock: Clock,
    pub(super) columns: Columns,
}

/// Room for this many rows is made on the word of the file; for more when they are read.
const ROWS_FORESEEN: usize = 65_536;

/// A file, and the names of its columns.
pub(super) struct Table {
    reader: SerializedFileReader<Bytes>,
    pub(super) names: Vec<String>,
}

impl Table {
    pub(super) fn open(body: Bytes) -> Result<Self, ImportError> {
        let reader = SerializedFileReader::new(body).map_err(ImportError::Parquet)?;
        let schema = reader.metadata().file_metadata().schema_descr();
        let names = schema.columns().iter().map(|column| column.name().to_owned()).collect();
        Ok(Self { reader, names })
    }

    /// The column of times and the one of values.
    pub(super) fn columns(&self, wanted: Option<&str>) -> Result<Columnar, ImportError> {
        let columns = Columns::find(&self.names, wanted)?;
        let clock = self.clock(columns.time)?;
        let (mut times, mut values) = (Cells::empty(), Cells::empty());
        for group in 0..self.groups() {
            times.append(self.integers(group, columns.time)?);
            values.append(self.numbers(group, columns.value)?);
        }
        Ok(Columnar { times, values, clock, columns })
    }

    /// What the rows say beside their values; nothing where no column does.
    pub(super) fn remarks(&self) -> Result<Vec<FileRemark>, ImportError> {
        let columns = REMARKS.map(|name| self.names.iter().position(|found| found == name));
        if columns.iter().all(Option::is_none) {
            return Ok(Vec::new());
        }
        let mut remarks = Vec::new();
        for group in 0..self.groups() {
            let [quality, estimated, serial] = columns.map(|column| column.map(|column| self.words(group, column)).transpose());
            let mut words = [quality?, estimated?, serial?].map(|words| words.map(Vec::into_iter));
            let length = words.iter().flatten().map(ExactSizeIterator::len).max().unwrap_or(0);
            let next = |words: &mut Option<std::vec::IntoIter<Option<String>>>| words.as_mut().and_then(Iterator::next).flatten();
            remarks.extend((0..length).map(|_| FileRemark::of(words.each_mut().map(next))));
        }
        Ok(remarks)
    }

    /// What a column says of each row, in words.
    pub(super) fn said(&self, column: &str) -> Result<Vec<Option<String>>, ImportError> {
        let column = super::parts::place(&self.names, column)?;
        let mut said = Vec::new();
        for group in 0..self.groups() {
            said.append(&mut self.words(group, column)?);
        }
        Ok(said)
    }

    pub(super) fn groups(&self) -> usize {
        self.reader.num_row_groups()
    }

    /// How a column counts time.
    pub(super) fn clock(&self, column: usize) -> Result<Clock, ImportError> {
        let column = self.column(column);
        Clock::of(&column).ok_or_else(|| ImportError::Type { column: column.name().to_owned(), role: "time" })
    }

    pub(super) fn integers(&self, group: usize, column: usize) -> Result<Cells<i64>, ImportError> {
        let group = self.reader.get_row_group(group).map_err(ImportError::Parquet)?;
        integers(group.as_ref(), column, &self.column(column))
    }

    pub(super) fn numbers(&self, group: usize, column: usize) -> Result<Cells<f64>, ImportError> {
        let group = self.reader.get_row_group(group).map_err(ImportError::Parquet)?;
        numbers(group.as_ref(), column, &self.column(column))
    }

    /// A column of text or of yes and no, in words.
    fn words(&self, group: usize, index: usize) -> Result<Vec<Option<String>>, ImportError> {
        let column = self.column(index);
        let group = self.reader.get_row_group(group).map_err(ImportError::Parquet)?;
        let rows = rows_of(group.as_ref());
        let reader = group.get_column_reader(index).map_err(ImportError::Parquet)?;
        match column.physical_type() {
            Physical::BOOLEAN => {
                Ok(all::<BoolType>(reader, &column, rows)?.into_iter().map(|value| value.map(|value| value.to_string())).collect())
            }
            Physical::BYTE_ARRAY => {
                let word = |value: ByteArray| value.as_utf8().ok().map(str::to_owned);
                Ok(all::<ByteArrayType>(reader, &column, rows)?.into_iter().map(|value| value.and_then(word)).collect())
            }
            Physical::INT64 => {
                Ok(all::<Int64Type>(reader, &column, rows)?.into_iter().map(|value| value.map(|value| value.to_string())).collect())
            }
            _ => Err(ImportError::Type { column: column.name().to_owned(), role: "remark" }),
        }
    }

    fn column(&self, index: usize) -> ColumnDescPtr {
        self.reader.metadata().file_metadata().schema_descr().column(index)
    }
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
            // Division by a number that is known beforehand is quick.
            Self::Units { per_second: 1_000_000_000, is_utc: true } => Some(units.div_euclid(1_000_000_000)),
            Self::Units { per_second: 1_000_000, is_utc: true } => Some(units.div_euclid(1_000_000)),
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

fn integers(group: &dyn RowGroupReader, index: usize, column: &ColumnDescriptor) -> Result<Cells<i64>, ImportError> {
    let rows = rows_of(group);
    let reader = group.get_column_reader(index).map_err(ImportError::Parquet)?;
    match column.physical_type() {
        Physical::INT64 => all::<Int64Type>(reader, column, rows),
        Physical::INT32 => Ok(all::<Int32Type>(reader, column, rows)?.map(i64::from)),
        _ => Err(ImportError::Type { column: column.name().to_owned(), role: "time" }),
    }
}

fn numbers(group: &dyn RowGroupReader, index: usize, column: &ColumnDescriptor) -> Result<Cells<f64>, ImportError> {
    let rows = rows_of(group);
    let reader = group.get_column_reader(index).map_err(ImportError::Parquet)?;
    match column.physical_type() {
        Physical::DOUBLE => all::<DoubleType>(reader, column, rows),
        Physical::FLOAT => Ok(all::<FloatType>(reader, column, rows)?.map(f64::from)),
        Physical::INT32 => Ok(all::<Int32Type>(reader, column, rows)?.map(f64::from)),
        #[expect(clippy::cast_precision_loss, reason = "a meter's value, far below 2^53")]
        Physical::INT64 if column.logical_type_ref().is_none_or(|logical| matches!(logical, LogicalType::Integer(_))) => {
            Ok(all::<Int64Type>(reader, column, rows)?.map(|value| value as f64))
        }
        _ => Err(ImportError::Type { column: column.name().to_owned(), role: "value" }),
    }
}

/// How many rows the file says that a group has, as far as room is made for them beforehand.
fn rows_of(group: &dyn RowGroupReader) -> usize {
    usize::try_from(group.metadata().num_rows()).unwrap_or(0).min(ROWS_FORESEEN)
}

fn all<T: DataType>(reader: ColumnReader, column: &ColumnDescriptor, rows: usize) -> Result<Cells<T::T>, ImportError> {
    if column.max_rep_level() > 0 || column.max_def_level() > 1 {
        return Err(ImportError::Type { column: column.name().to_owned(), role: "single column" });
    }
    let read = || -> Result<Cells<T::T>, ParquetError> {
        let mut reader = get_typed_column_reader::<T>(reader);
        let (mut values, mut levels) = (Vec::with_capacity(rows), Vec::with_capacity(if column.max_def_level() == 0 { 0 } else { rows }));
        while reader.read_records(usize::MAX >> 1, Some(&mut levels), None, &mut values)?.0 > 0 {}
        Ok(Cells::new(values, levels))
    };
    read().map_err(ImportError::Parquet)
}
