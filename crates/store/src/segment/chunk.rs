//! Some rows of one column chunk, page by page. Pages that hold none of them are passed over, and not unpacked.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::ChunkReader;
use parquet::file::statistics::Statistics;

use super::delta;
use super::pages::Pages;
use crate::row::Words;
use crate::varint::Input;

/// A column of some rows.
#[derive(Debug)]
pub(crate) enum Column {
    Same(i64),
    Each(Vec<i64>),
}

impl Column {
    pub(crate) fn at(&self, row: usize) -> Option<i64> {
        match self {
            Self::Same(value) => Some(*value),
            Self::Each(values) => values.get(row).copied(),
        }
    }

    /// Each of some rows' values.
    pub(crate) fn each(&self, rows: usize) -> Cow<'_, [i64]> {
        match self {
            Self::Same(value) => vec![*value; rows].into(),
            Self::Each(values) => values.into(),
        }
    }

    /// Each row's value from a row on, in order.
    pub(crate) fn from(&self, row: usize) -> Cells<'_> {
        match self {
            Self::Same(value) => Cells::Same(*value),
            Self::Each(values) => Cells::Each(values.get(row..).unwrap_or_default().iter()),
        }
    }
}

/// What [`Column::from`] goes through. Where all are the same it has no end of its own.
#[derive(Debug)]
pub(crate) enum Cells<'a> {
    Same(i64),
    Each(std::slice::Iter<'a, i64>),
}

impl Cells<'_> {
    pub(crate) fn next(&mut self) -> Option<i64> {
        match self {
            Self::Same(value) => Some(*value),
            Self::Each(values) => values.next().copied(),
        }
    }
}

/// A column of which not every row has a value: the values that there are, and which rows have one.
#[derive(Debug)]
pub(crate) enum Sparse<T> {
    Nowhere,
    Everywhere(Vec<T>),
    Somewhere(Vec<T>, Vec<bool>),
}

impl<T: Copy> Sparse<T> {
    /// Each row's value, in order.
    pub(crate) fn rows(&self) -> Rows<'_, T> {
        match self {
            Self::Nowhere => Rows { values: [].iter(), present: None },
            Self::Everywhere(values) => Rows { values: values.iter(), present: None },
            Self::Somewhere(values, present) => Rows { values: values.iter(), present: Some(present.iter()) },
        }
    }
}

/// What [`Sparse::rows`] goes through. It has no end of its own: behind the last row nothing has a value.
#[derive(Debug)]
pub(crate) struct Rows<'a, T> {
    values: std::slice::Iter<'a, T>,
    present: Option<std::slice::Iter<'a, bool>>,
}

impl<T: Copy> Rows<'_, T> {
    pub(crate) fn next(&mut self) -> Option<T> {
        let present = self.present.as_mut().is_none_or(|present| present.next() == Some(&true));
        if present { self.values.next().copied() } else { None }
    }
}

/// A row group, and which of its rows are wanted.
#[derive(Debug)]
pub(crate) struct Part<'a, R: ChunkReader> {
    pub(crate) source: &'a Arc<R>,
    pub(crate) group: &'a RowGroupMetaData,
    pub(crate) rows: Range<usize>,
}

impl<R: ChunkReader> Part<'_, R> {
    pub(crate) fn columns(&self) -> usize {
        self.group.num_columns()
    }

    /// A column without gaps. Most say the same in every row of a group: its statistics tell, and nothing is decoded.
    pub(crate) fn column(&self, index: usize) -> Result<Column, ParquetError> {
        if let Some(only) = self.group.column(index).statistics().and_then(only) {
            return Ok(Column::Same(only));
        }
        let mut values = Vec::with_capacity(self.rows.len());
        self.pages(index, |page, wanted| {
            let from = values.len();
            page.encoded_as(Encoding::DELTA_BINARY_PACKED)?;
            delta::numbers(&mut Input(page.bytes), page.rows, &mut values)?;
            cut(&mut values, from, wanted)
        })?;
        if self.group.column(index).column_type() == parquet::basic::Type::INT32 {
            for value in &mut values {
                let [a, b, c, d, ..] = value.to_le_bytes();
                *value = i64::from(i32::from_le_bytes([a, b, c, d]));
            }
        }
        Ok(Column::Each(values))
    }

    /// A column of numbers with gaps.
    pub(crate) fn numbers(&self, index: usize) -> Result<Sparse<i64>, ParquetError> {
        self.sparse(index, Encoding::DELTA_BINARY_PACKED, delta::numbers)
    }

    /// A column of bytes with gaps.
    pub(crate) fn words(&self, index: usize) -> Result<Sparse<Words>, ParquetError> {
        let mut lengths = Vec::new();
        self.sparse(index, Encoding::DELTA_BYTE_ARRAY, |input, count, values| delta::words(input, count, &mut lengths, values))
    }

    fn sparse<T: Copy>(
        &self,
        index: usize,
        encoding: Encoding,
        mut decode: impl FnMut(&mut Input<'_>, usize, &mut Vec<T>) -> Option<()>,
    ) -> Result<Sparse<T>, ParquetError> {
        let nulls = self.group.column(index).statistics().and_then(Statistics::null_count_opt);
        if nulls.is_some() && nulls == u64::try_from(self.group.num_rows()).ok() {
            return Ok(Sparse::Nowhere);
        }
        let (mut values, mut present) = (Vec::with_capacity(self.rows.len()), Vec::with_capacity(self.rows.len()));
        self.pages(index, |page, wanted| {
            page.encoded_as(encoding)?;
            let (first_value, first_row, mut input) = (values.len(), present.len(), Input(page.bytes));
            delta::present(&mut input, page.rows, &mut present)?;
            let count =
                |rows: Range<usize>| Some(present.get(first_row + rows.start..first_row + rows.end)?.iter().filter(|row| **row).count());
            let (before, within) = (count(0..wanted.start)?, count(wanted.clone())?);
            decode(&mut input, count(0..page.rows)?, &mut values)?;
            cut(&mut values, first_value, before..before + within)?;
            cut(&mut present, first_row, wanted)
        })?;
        Ok(if values.len() == self.rows.len() { Sparse::Everywhere(values) } else { Sparse::Somewhere(values, present) })
    }

    /// Calls `visit` with each page that has any of the rows, and which of the page's they are.
    fn pages(&self, index: usize, mut visit: impl FnMut(&Bare<'_>, Range<usize>) -> Option<()>) -> Result<(), ParquetError> {
        let damaged = || ParquetError::General(format!("column {index} has a page that cannot be"));
        let rows = usize::try_from(self.group.num_rows()).map_err(|_| damaged())?;
        let column = self.group.column(index);
        let (start, length) = column.byte_range();
        let chunk = self.source.get_bytes(start, usize::try_from(length).map_err(|_| damaged())?)?;
        let mut pages = Pages::new(&chunk, column.compression());
        let (mut at, mut seen) = (0, 0);
        while at < self.rows.end {
            let (header, packed) = pages.next().ok_or_else(damaged)?;
            let end = at + header.rows;
            if end > rows || header.rows == 0 {
                return Err(damaged());
            }
            let wanted = self.rows.start.clamp(at, end) - at..self.rows.end.clamp(at, end) - at;
            if !wanted.is_empty() {
                seen += wanted.len();
                let page = Bare { bytes: pages.unpack(header, packed)?, rows: header.rows, encoding: header.encoding };
                visit(&page, wanted).ok_or_else(damaged)?;
            }
            at = end;
        }
        if seen == self.rows.len() { Ok(()) } else { Err(damaged()) }
    }
}

/// A page without its header.
#[derive(Debug)]
struct Bare<'a> {
    bytes: &'a [u8],
    rows: usize,
    encoding: i64,
}

impl Bare<'_> {
    fn encoded_as(&self, encoding: Encoding) -> Option<()> {
        let number = match encoding {
            Encoding::DELTA_BINARY_PACKED => 5,
            Encoding::DELTA_BYTE_ARRAY => 7,
            _ => return None,
        };
        (self.encoding == number).then_some(())
    }
}

/// Keeps of what was appended behind `from` the part that is wanted.
fn cut<T>(values: &mut Vec<T>, from: usize, wanted: Range<usize>) -> Option<()> {
    if values.len() < from + wanted.end {
        return None;
    }
    values.truncate(from + wanted.end);
    if wanted.start > 0 {
        values.drain(from..from + wanted.start);
    }
    Some(())
}

/// The one value of a whole column chunk, when its statistics say so.
fn only(statistics: &Statistics) -> Option<i64> {
    match statistics {
        Statistics::Int32(values) => values.min_opt().filter(|min| values.max_opt() == Some(*min)).map(|only| i64::from(*only)),
        Statistics::Int64(values) => values.min_opt().filter(|min| values.max_opt() == Some(*min)).copied(),
        _ => None,
    }
}
