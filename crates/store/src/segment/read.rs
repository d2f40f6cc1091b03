//! Reading parts of a segment, and no column more than was asked for.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::ChunkReader;
use units::Quality;

use super::NAMES;
#[cfg(feature = "frames")]
use super::chunk::Sparse;
use super::chunk::{Column, Part};
use super::source::{Ahead, Source};
use crate::row::Sample;
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
#[derive(Debug)]
pub(crate) struct Segment<R: ChunkReader> {
    source: Arc<R>,
    footer: Arc<ParquetMetaData>,
}

/// Times, values and qualities of some rows.
#[cfg(feature = "frames")]
#[derive(Debug)]
pub(crate) struct Columns {
    pub(crate) ts_ms: Column,
    pub(crate) raw: Sparse<i64>,
    pub(crate) quality: Column,
    pub(crate) rows: usize,
}

impl Segment<Source> {
    /// Opens a file. A footer that was read before is not read again.
    pub(crate) fn file(path: &Path, footer: Option<Arc<ParquetMetaData>>) -> Result<Self, ParquetError> {
        let source = Source::new(File::open(path)?)?;
        match footer {
            Some(footer) => Ok(Self { source: Arc::new(source), footer }),
            None => Self::open(source),
        }
    }
}

impl<R: ChunkReader + Ahead + 'static> Segment<R> {
    pub(crate) fn open(source: R) -> Result<Self, ParquetError> {
        let footer = ParquetMetaDataReader::new().parse_and_finish(&source)?;
        if !footer.row_groups().iter().all(|group| is_sound(group, source.len())) {
            return Err(ParquetError::General("has a footer that cannot be".to_owned()));
        }
        Ok(Self { source: Arc::new(source), footer: Arc::new(footer) })
    }

    /// Where each column of each row group lies, and its statistics.
    pub(crate) fn footer(&self) -> &Arc<ParquetMetaData> {
        &self.footer
    }

    /// What the file calls its series, by their numbers.
    pub(crate) fn names(&self) -> serde_json::Map<String, serde_json::Value> {
        let metadata = self.footer.file_metadata().key_value_metadata();
        let text = metadata.into_iter().flatten().find(|pair| pair.key == NAMES).and_then(|pair| pair.value.as_deref());
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// Whole rows, with their series.
    pub(crate) fn rows(&self, rows: Range<u64>) -> Result<Vec<(SeriesId, Sample)>, ParquetError> {
        let mut found = Vec::with_capacity(usize::try_from(rows.end.saturating_sub(rows.start)).unwrap_or(0));
        self.parts(&rows, |part| {
            let (series, mut row) = (part.column(SERIES)?, 0);
            samples(part, None, |sample| {
                let id = series.at(row).and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
                row += 1;
                found.push((SeriesId(id.cast_unsigned()), sample));
            })
        })?;
        Ok(found)
    }

    /// Calls `visit` with each row. With a range, with those in it: the rows are of one series and ascend then.
    pub(crate) fn samples(&self, rows: Range<u64>, range: Option<&Range<i64>>, mut visit: impl FnMut(Sample)) -> Result<(), ParquetError> {
        self.parts(&rows, |part| samples(part, range, &mut visit))
    }

    /// The times alone.
    pub(crate) fn times(&self, rows: Range<u64>) -> Result<Vec<i64>, ParquetError> {
        let mut found = Vec::new();
        self.parts(&rows, |part| {
            let times = part.column(TS_MS)?;
            found.extend((0..part.rows.len()).filter_map(|row| times.at(row)));
            Ok(())
        })?;
        Ok(found)
    }

    /// Calls `visit` with time, value and quality of the rows, a row group at a time.
    #[cfg(feature = "frames")]
    pub(crate) fn columns(&self, rows: Range<u64>, mut visit: impl FnMut(&Columns) -> Option<()>) -> Result<(), ParquetError> {
        self.parts(&rows, |part| {
            let (ts_ms, raw, quality) = (part.column(TS_MS)?, part.numbers(RAW)?, part.column(QUALITY)?);
            visit(&Columns { ts_ms, raw, quality, rows: part.rows.len() }).ok_or_else(impossible)
        })
    }

    /// Times with value and version: what a late reading is compared with.
    pub(crate) fn known(&self, rows: Range<u64>) -> Result<Vec<(i64, Option<i64>, u16)>, ParquetError> {
        let mut found = Vec::new();
        self.parts(&rows, |part| {
            let (times, version, raw) = (part.column(TS_MS)?, part.column(VERSION)?, part.numbers(RAW)?);
            let mut raws = raw.rows();
            for row in 0..part.rows.len() {
                let (Some(ts_ms), Some(version)) = (times.at(row), version.at(row)) else { return Err(impossible()) };
                found.push((ts_ms, raws.next(), u16::try_from(version).map_err(|_| impossible())?));
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Calls `visit` with the part of each row group that lies in `rows`.
    fn parts(&self, rows: &Range<u64>, mut visit: impl FnMut(&Part<'_, R>) -> Result<(), ParquetError>) -> Result<(), ParquetError> {
        let (mut start, mut seen) = (0_u64, 0_u64);
        for group in self.footer.row_groups() {
            let end = start + u64::try_from(group.num_rows()).unwrap_or(0);
            let (from, to) = (rows.start.clamp(start, end) - start, rows.end.clamp(start, end) - start);
            if from < to {
                let size = |rows: u64| usize::try_from(rows).map_err(|err| ParquetError::General(err.to_string()));
                self.source.ahead(stretch(group))?;
                visit(&Part { source: &self.source, group, rows: size(from)?..size(to)? })?;
                seen += to - from;
            }
            start = end;
        }
        let wanted = rows.end.saturating_sub(rows.start);
        if seen == wanted { Ok(()) } else { Err(ParquetError::General(format!("has {seen} of {wanted} rows from row {} on", rows.start))) }
    }
}

/// Whether its columns are ours and lie in the file: the parquet crate panics over some that do not.
fn is_sound(group: &RowGroupMetaData, file_bytes: u64) -> bool {
    let lies_in_file = |column: &ColumnChunkMetaData| {
        let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
        let range = u64::try_from(start).ok().zip(u64::try_from(column.compressed_size()).ok());
        range.and_then(|(start, length)| start.checked_add(length)).is_some_and(|end| end <= file_bytes)
    };
    group.num_columns() >= LSN && group.num_rows() >= 0 && group.columns().iter().all(lies_in_file)
}

/// Where the columns of a row group lie.
fn stretch(group: &RowGroupMetaData) -> Range<u64> {
    let ranges = || group.columns().iter().map(ColumnChunkMetaData::byte_range);
    let start = ranges().map(|(start, _)| start).min().unwrap_or(0);
    start..ranges().map(|(start, length)| start.saturating_add(length)).max().unwrap_or(start)
}

fn impossible() -> ParquetError {
    ParquetError::General("has a number that cannot be".to_owned())
}

fn samples<R: ChunkReader>(part: &Part<'_, R>, range: Option<&Range<i64>>, mut visit: impl FnMut(Sample)) -> Result<(), ParquetError> {
    let ts_ms = part.column(TS_MS)?;
    let first = |bound: i64| match &ts_ms {
        Column::Each(values) => values.partition_point(|ts_ms| *ts_ms < bound),
        Column::Same(value) => {
            if *value < bound {
                part.rows.len()
            } else {
                0
            }
        }
    };
    let within = range.map_or(0..part.rows.len(), |range| first(range.start)..first(range.end));
    if within.is_empty() {
        return Ok(());
    }
    // Nothing is decoded of the others that is not wanted.
    let part = Part { rows: part.rows.start + within.start..part.rows.start + within.end, ..*part };
    let (raw, words) = (part.numbers(RAW)?, part.words(WORDS)?);
    let (quality, seq, version) = (part.column(QUALITY)?, part.column(SEQ)?, part.column(VERSION)?);
    let lsn = if part.columns() > LSN { part.column(LSN)? } else { Column::Same(0) };
    let (mut raws, mut all_words, mut times) = (raw.rows(), words.rows(), ts_ms.from(within.start));
    let (mut qualities, mut seqs, mut versions, mut lsns) = (quality.from(0), seq.from(0), version.from(0), lsn.from(0));
    for _row in part.rows {
        let (Some(ts_ms), Some(quality), Some(seq)) = (times.next(), qualities.next(), seqs.next()) else { return Err(impossible()) };
        let (Some(version), Some(lsn)) = (versions.next(), lsns.next()) else { return Err(impossible()) };
        visit(Sample {
            ts_ms,
            raw: raws.next(),
            quality: Quality::from_bits(u16::try_from(quality).map_err(|_| impossible())?),
            words: all_words.next(),
            seq: seq.cast_unsigned(),
            version: u16::try_from(version).map_err(|_| impossible())?,
            lsn: lsn.cast_unsigned(),
        });
    }
    Ok(())
}
