//! Reading parts of a segment, and no column more than was asked for.
//!
//! Most columns say the same in every row of a group: its statistics tell, and nothing is decoded then.

use std::ops::Range;

use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::file::statistics::Statistics;
use units::Quality;

use crate::row::{Sample, Words};
use crate::series::SeriesId;

const SERIES: usize = 0;
const TS_MS: usize = 1;
const RAW: usize = 2;
const QUALITY: usize = 3;
const WORDS: usize = 4;
const SEQ: usize = 5;
const VERSION: usize = 6;
/// Segments of the first versions do not have it.
const LSN: usize = 7;

/// An open segment.
pub(crate) struct Segment<R: ChunkReader> {
    reader: SerializedFileReader<R>,
}

impl<R: ChunkReader> std::fmt::Debug for Segment<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment").finish_non_exhaustive()
    }
}

/// A column of some rows.
#[derive(Debug)]
enum Column<T> {
    Same(T),
    Each(Vec<T>),
}

impl<T: Copy> Column<T> {
    fn at(&self, row: usize) -> Option<T> {
        match self {
            Self::Same(value) => Some(*value),
            Self::Each(values) => values.get(row).copied(),
        }
    }
}

/// A column of which not every row has a value: the values that there are, and which rows have one.
#[derive(Debug)]
enum Sparse<T> {
    Nowhere,
    Everywhere(Vec<T>),
    Somewhere(Vec<T>, Vec<i16>),
}

impl<T> Sparse<T> {
    /// Each row's value, in order.
    fn rows(self, count: usize) -> impl Iterator<Item = Option<T>> {
        let (values, levels) = match self {
            Self::Nowhere => (Vec::new(), None),
            Self::Everywhere(values) => (values, None),
            Self::Somewhere(values, levels) => (values, Some(levels)),
        };
        let nowhere = values.is_empty();
        let mut values = values.into_iter();
        (0..count).map(move |row| {
            let present = levels.as_ref().map_or(!nowhere, |levels| levels.get(row) == Some(&1));
            if present { values.next() } else { None }
        })
    }
}

impl<R: ChunkReader + 'static> Segment<R> {
    pub(crate) fn open(source: R) -> Result<Self, ParquetError> {
        Ok(Self { reader: SerializedFileReader::new(source)? })
    }

    /// Whole rows, with their series.
    pub(crate) fn rows(&self, rows: Range<u64>) -> Result<Vec<(SeriesId, Sample)>, ParquetError> {
        let mut found = Vec::with_capacity(usize::try_from(rows.end.saturating_sub(rows.start)).unwrap_or(0));
        self.groups(&rows, |part| {
            let series = part.column::<Int32Type>(SERIES)?;
            let mut row = 0;
            part.samples(|sample| {
                let id = series.at(row).unwrap_or_default();
                row += 1;
                found.push((SeriesId(id.cast_unsigned()), sample));
            })
        })?;
        Ok(found)
    }

    /// Calls `visit` with each row of what is known to be one series.
    pub(crate) fn samples(&self, rows: Range<u64>, mut visit: impl FnMut(Sample)) -> Result<(), ParquetError> {
        self.groups(&rows, |part| part.samples(&mut visit))
    }

    /// The times alone.
    pub(crate) fn times(&self, rows: Range<u64>) -> Result<Vec<i64>, ParquetError> {
        let mut found = Vec::new();
        self.groups(&rows, |part| {
            let times = part.column::<Int64Type>(TS_MS)?;
            found.extend((0..part.count).filter_map(|row| times.at(row)));
            Ok(())
        })?;
        Ok(found)
    }

    /// Calls `visit` with time, value and quality of each row.
    #[cfg(feature = "frames")]
    pub(crate) fn values(&self, rows: Range<u64>, mut visit: impl FnMut(i64, Option<i64>, i32)) -> Result<(), ParquetError> {
        self.groups(&rows, |part| {
            let (times, quality) = (part.column::<Int64Type>(TS_MS)?, part.column::<Int32Type>(QUALITY)?);
            for (row, raw) in part.sparse::<Int64Type>(RAW)?.rows(part.count).enumerate() {
                let (Some(ts_ms), Some(quality)) = (times.at(row), quality.at(row)) else { return Err(impossible()) };
                visit(ts_ms, raw, quality);
            }
            Ok(())
        })
    }

    /// Times with value and version: what a late reading is compared with.
    pub(crate) fn known(&self, rows: Range<u64>) -> Result<Vec<(i64, Option<i64>, u16)>, ParquetError> {
        let mut found = Vec::new();
        self.groups(&rows, |part| {
            let (times, version) = (part.column::<Int64Type>(TS_MS)?, part.column::<Int32Type>(VERSION)?);
            for (row, raw) in part.sparse::<Int64Type>(RAW)?.rows(part.count).enumerate() {
                if let (Some(ts_ms), Some(version)) = (times.at(row), version.at(row)) {
                    found.push((ts_ms, raw, u16::try_from(version).map_err(|_| impossible())?));
                }
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Calls `visit` with the part of each row group that lies in `rows`.
    fn groups(&self, rows: &Range<u64>, mut visit: impl FnMut(&Part<'_>) -> Result<(), ParquetError>) -> Result<(), ParquetError> {
        let (mut start, mut seen) = (0_u64, 0_u64);
        for index in 0..self.reader.num_row_groups() {
            let metadata = self.reader.metadata().row_group(index);
            let end = start + u64::try_from(metadata.num_rows()).unwrap_or(0);
            let (from, to) = (rows.start.clamp(start, end) - start, rows.end.clamp(start, end) - start);
            if from < to {
                let size = |rows: u64| usize::try_from(rows).map_err(|err| ParquetError::General(err.to_string()));
                let group = self.reader.get_row_group(index)?;
                visit(&Part { group: group.as_ref(), skip: size(from)?, count: size(to - from)? })?;
                seen += to - from;
            }
            start = end;
        }
        let wanted = rows.end.saturating_sub(rows.start);
        if seen == wanted { Ok(()) } else { Err(ParquetError::General(format!("has {seen} of {wanted} rows from row {} on", rows.start))) }
    }
}

fn impossible() -> ParquetError {
    ParquetError::General("has a number that cannot be".to_owned())
}

/// Some rows of one row group.
struct Part<'a> {
    group: &'a dyn RowGroupReader,
    skip: usize,
    count: usize,
}

/// The one value of a whole column chunk, when its statistics say so.
trait Statistic: DataType {
    fn only(statistics: &Statistics) -> Option<Self::T>;
}

impl Statistic for Int32Type {
    fn only(statistics: &Statistics) -> Option<i32> {
        let Statistics::Int32(values) = statistics else { return None };
        values.min_opt().filter(|min| values.max_opt() == Some(*min)).copied()
    }
}

impl Statistic for Int64Type {
    fn only(statistics: &Statistics) -> Option<i64> {
        let Statistics::Int64(values) = statistics else { return None };
        values.min_opt().filter(|min| values.max_opt() == Some(*min)).copied()
    }
}

impl Part<'_> {
    fn samples(&self, mut visit: impl FnMut(Sample)) -> Result<(), ParquetError> {
        let ts_ms = self.column::<Int64Type>(TS_MS)?;
        let raw = self.sparse::<Int64Type>(RAW)?;
        let quality = self.column::<Int32Type>(QUALITY)?;
        let words = self.sparse::<ByteArrayType>(WORDS)?;
        let seq = self.column::<Int64Type>(SEQ)?;
        let version = self.column::<Int32Type>(VERSION)?;
        let lsn = if self.group.num_columns() > LSN { self.column::<Int64Type>(LSN)? } else { Column::Same(0) };
        for (row, (raw, words)) in raw.rows(self.count).zip(words.rows(self.count)).enumerate() {
            let (Some(ts_ms), Some(quality), Some(seq)) = (ts_ms.at(row), quality.at(row), seq.at(row)) else { return Err(impossible()) };
            let (Some(version), Some(lsn)) = (version.at(row), lsn.at(row)) else { return Err(impossible()) };
            visit(Sample {
                ts_ms,
                raw,
                quality: Quality::from_bits(u16::try_from(quality).map_err(|_| impossible())?),
                words: words.and_then(|bytes| Words::new(bytes.data())),
                seq: seq.cast_unsigned(),
                version: u16::try_from(version).map_err(|_| impossible())?,
                lsn: lsn.cast_unsigned(),
            });
        }
        Ok(())
    }

    /// A column without gaps.
    fn column<T: Statistic>(&self, index: usize) -> Result<Column<T::T>, ParquetError> {
        if let Some(only) = self.group.metadata().column(index).statistics().and_then(T::only) {
            return Ok(Column::Same(only));
        }
        let mut values = Vec::with_capacity(self.count);
        self.read::<T>(index, &mut values, None)?;
        if values.len() == self.count { Ok(Column::Each(values)) } else { Err(impossible()) }
    }

    /// A column with gaps.
    fn sparse<T: DataType>(&self, index: usize) -> Result<Sparse<T::T>, ParquetError> {
        let nulls = self.group.metadata().column(index).statistics().and_then(Statistics::null_count_opt);
        if nulls.is_some() && nulls == u64::try_from(self.group.metadata().num_rows()).ok() {
            return Ok(Sparse::Nowhere);
        }
        let (mut values, mut levels) = (Vec::with_capacity(self.count), Vec::with_capacity(self.count));
        self.read::<T>(index, &mut values, Some(&mut levels))?;
        Ok(if values.len() == self.count { Sparse::Everywhere(values) } else { Sparse::Somewhere(values, levels) })
    }

    fn read<T: DataType>(&self, index: usize, values: &mut Vec<T::T>, mut levels: Option<&mut Vec<i16>>) -> Result<(), ParquetError> {
        let mut reader = get_typed_column_reader::<T>(self.group.get_column_reader(index)?);
        reader.skip_records(self.skip)?;
        let mut left = self.count;
        while left > 0 {
            let (records, _, _) = reader.read_records(left, levels.as_deref_mut(), None, values)?;
            if records == 0 {
                return Err(ParquetError::EOF(format!("column {index} ends {left} rows early")));
            }
            left -= records;
        }
        Ok(())
    }
}
