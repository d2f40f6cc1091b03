//! Reading parts of a segment, and no column more than was asked for.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::ChunkReader;
use units::Quality;

use super::chunk::{Column, Part, Sparse};
use super::names::{self, NAMES};
use super::source::{Ahead, Source};
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
        names::read(self.said(NAMES))
    }

    /// What its metadata says under a key.
    pub(crate) fn said(&self, key: &str) -> serde_json::Map<String, serde_json::Value> {
        self.text(key).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// As [`Self::said`], as it stands there.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        let metadata = self.footer.file_metadata().key_value_metadata();
        metadata.into_iter().flatten().find(|pair| pair.key == key).and_then(|pair| pair.value.as_deref())
    }

    /// Whole rows, with their series.
    pub(crate) fn rows(&self, rows: Range<u64>) -> Result<Vec<(SeriesId, Sample)>, ParquetError> {
        let mut found = Vec::with_capacity(usize::try_from(rows.end.saturating_sub(rows.start)).unwrap_or(0));
        self.parts(&rows, |part| {
            let (series, mut row) = (part.column(SERIES)?, 0);
            let Some(decoded) = Decoded::of(part, None)? else { return Ok(()) };
            decoded.each(|sample| {
                let id = series.at(row).and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
                row += 1;
                found.push((SeriesId(id.cast_unsigned()), sample));
            })
        })?;
        Ok(found)
    }

    /// Calls `visit` with each row. With a range, with those in it: the rows are of one series and ascend then.
    pub(crate) fn samples(&self, rows: Range<u64>, range: Option<&Range<i64>>, mut visit: impl FnMut(Sample)) -> Result<(), ParquetError> {
        self.parts(&rows, |part| Decoded::of(part, range)?.map_or(Ok(()), |decoded| decoded.each(&mut visit)))
    }

    /// The rows in a range, a row group at a time: they are of one series and ascend.
    pub(crate) fn decode(&self, rows: Range<u64>, range: &Range<i64>) -> Result<Vec<Decoded>, ParquetError> {
        let mut found = Vec::new();
        self.parts(&rows, |part| {
            found.extend(Decoded::of(part, Some(range))?);
            Ok(())
        })?;
        Ok(found)
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

    /// The rows of each row group.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Range<u64>> {
        self.footer.row_groups().iter().scan(0_u64, |start, group| {
            let from = *start;
            *start += u64::try_from(group.num_rows()).unwrap_or(0);
            Some(from..*start)
        })
    }

    /// Calls `visit` with the part of each row group that lies in `rows`.
    pub(crate) fn parts(
        &self,
        rows: &Range<u64>,
        mut visit: impl FnMut(&Part<'_, R>) -> Result<(), ParquetError>,
    ) -> Result<(), ParquetError> {
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

/// Rows of one part, column by column.
#[derive(Debug)]
pub(crate) struct Decoded {
    times: Column,
    /// The first of them that is wanted.
    from: usize,
    rows: usize,
    raw: Sparse<i64>,
    words: Sparse<Words>,
    quality: Column,
    seq: Column,
    version: Column,
    lsn: Column,
}

impl Decoded {
    /// `None` when none of the rows is in the range. Nothing is decoded that is not wanted, but for the times.
    fn of<R: ChunkReader>(part: &Part<'_, R>, range: Option<&Range<i64>>) -> Result<Option<Self>, ParquetError> {
        let times = part.column(TS_MS)?;
        let first = |bound: i64| match &times {
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
            return Ok(None);
        }
        let (from, rows) = (within.start, within.len());
        let part = Part { rows: part.rows.start + within.start..part.rows.start + within.end, ..*part };
        let (raw, words) = (part.numbers(RAW)?, part.words(WORDS)?);
        let (quality, seq, version) = (part.column(QUALITY)?, part.column(SEQ)?, part.column(VERSION)?);
        let lsn = if part.columns() > LSN { part.column(LSN)? } else { Column::Same(0) };
        Ok(Some(Self { times, from, rows, raw, words, quality, seq, version, lsn }))
    }

    fn each(&self, mut visit: impl FnMut(Sample)) -> Result<(), ParquetError> {
        let (mut raws, mut all_words, mut times) = (self.raw.rows(), self.words.rows(), self.times.from(self.from));
        let (mut qualities, mut seqs) = (self.quality.from(0), self.seq.from(0));
        let (mut versions, mut lsns) = (self.version.from(0), self.lsn.from(0));
        for _row in 0..self.rows {
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

    /// Adds the rows, and says whether each is later than the one before it, the last of `found` included.
    pub(crate) fn append(&self, found: &mut Vec<Sample>) -> Result<bool, ParquetError> {
        let mut last = found.last().map(|sample| sample.ts_ms);
        if self.append_plain(found).is_some() {
            let times = self.times.each(self.rows);
            let times = times.get(self.from..).unwrap_or_default();
            let after = times.first().is_none_or(|first| last.is_none_or(|last| last < *first));
            return Ok(
                after && times.iter().zip(times.iter().skip(1)).take(self.rows - 1).fold(true, |so_far, (one, next)| so_far & (one < next))
            );
        }
        let mut ascending = true;
        self.each(|sample| {
            ascending &= last < Some(sample.ts_ms);
            last = Some(sample.ts_ms);
            found.push(sample);
        })?;
        Ok(ascending)
    }

    /// Adds rows that all have a value and are of one quality and version, as almost all are: nothing has to be asked of each.
    fn append_plain(&self, found: &mut Vec<Sample>) -> Option<()> {
        let (Column::Each(times), Sparse::Everywhere(raws)) = (&self.times, &self.raw) else { return None };
        let (Column::Same(quality), Column::Same(version)) = (&self.quality, &self.version) else { return None };
        let (quality, version) = (Quality::from_bits(u16::try_from(*quality).ok()?), u16::try_from(*version).ok()?);
        let (times, seqs, lsns) = (times.get(self.from..self.from + self.rows)?, self.seq.each(self.rows), self.lsn.each(self.rows));
        if [raws.len(), seqs.len(), lsns.len()] != [self.rows; 3] {
            return None;
        }
        let numbers = times.iter().zip(raws).zip(seqs.iter().zip(lsns.iter()));
        let sample = |((ts_ms, raw), (seq, lsn)): ((&i64, &i64), (&i64, &i64)), words| Sample {
            ts_ms: *ts_ms,
            raw: Some(*raw),
            quality,
            words,
            seq: seq.cast_unsigned(),
            version,
            lsn: lsn.cast_unsigned(),
        };
        match &self.words {
            Sparse::Nowhere => found.extend(numbers.map(|row| sample(row, None))),
            Sparse::Everywhere(words) if words.len() == self.rows => {
                found.extend(numbers.zip(words).map(|(row, words)| sample(row, Some(*words))));
            }
            _ => return None,
        }
        Some(())
    }
}
