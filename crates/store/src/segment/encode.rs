//! Writing a segment, series by series.

use std::sync::Arc;

use parquet::basic::{Compression, Encoding, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, Type};
use units::Unit;

use super::pack::{Cut, Packer};
use super::{COLUMNS, Encoded, NAMES, Names, Span};
use crate::row::Sample;
use crate::series::{SeriesId, SeriesKey};

/// A row group is closed at the first change of series after this many rows. In a file that stays it is twice as many where series are
/// short: who asks for one of those unpacks its neighbours anyway.
const GROUP_ROWS: usize = 32_768;
const SHORT_SERIES_ROWS: u64 = 4_096;
pub(super) const ZSTD_LEVEL: i32 = 3;

/// How the pages of a file are packed, beyond their encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// LZ4, for a file that will soon be part of a larger one. A tenth larger than [`Self::Small`], and nothing has to be set up for it:
    /// zstd begins anew with each column, for whoever writes and for whoever reads, and in small files that is most of the work.
    Fast,
    /// Zstandard, and blocks that are cut for it, for a file that stays.
    Small,
}

/// A file in the making.
pub(crate) struct Encoder {
    writer: SerializedFileWriter<Vec<u8>>,
    /// For a file that stays.
    packer: Option<Packer>,
    group: Group,
    spans: Vec<Span>,
    names: Names,
    first_row: u64,
    flushed_lsn: Option<u64>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("spans", &self.spans).finish_non_exhaustive()
    }
}

impl Encoder {
    /// * Shape: `flushed_lsn` is the log entry that every row gets, when they come from memory.
    pub(crate) fn new(flushed_lsn: Option<u64>, packing: Packing) -> Result<Self, ParquetError> {
        let writer = SerializedFileWriter::new(Vec::new(), schema()?, Arc::new(properties(packing)?))?;
        let packer = (packing == Packing::Small).then(|| Packer::new(writer.schema_descr())).transpose()?;
        Ok(Self { writer, packer, group: Group::default(), spans: Vec::new(), names: Names::default(), first_row: 0, flushed_lsn })
    }

    /// Adds readings of a series.
    ///
    /// * Shape: series ascending; the readings sorted by time and version, also from one call to the next.
    pub(crate) fn push(&mut self, id: SeriesId, key: &SeriesKey, samples: &[Sample]) -> Result<(), ParquetError> {
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Ok(()) };
        let rows = samples.len() as u64;
        match self.spans.last_mut() {
            Some(span) if span.series == id => (span.rows, span.max_ts) = (span.rows + rows, last.ts_ms),
            _ => {
                let is_short = self.packer.is_some() && self.spans.last().is_some_and(|span| span.rows < SHORT_SERIES_ROWS);
                if self.group.ts_ms.len() >= if is_short { 2 * GROUP_ROWS } else { GROUP_ROWS } {
                    self.close_group()?;
                }
                self.spans.push(Span { series: id, first_row: self.first_row, rows, min_ts: first.ts_ms, max_ts: last.ts_ms });
                self.names.insert(id, key);
                self.group.begin(key);
            }
        }
        self.first_row += rows;
        for sample in samples {
            self.group.push(id, sample, self.flushed_lsn.unwrap_or(sample.lsn));
        }
        Ok(())
    }

    /// Readings that were added.
    pub(crate) fn rows(&self) -> u64 {
        self.first_row
    }

    pub(crate) fn finish(mut self) -> Result<Encoded, ParquetError> {
        self.close_group()?;
        self.writer.append_key_value_metadata(KeyValue::new(NAMES.to_owned(), self.names.into_text()));
        Ok(Encoded { bytes: self.writer.into_inner()?, spans: self.spans })
    }

    fn close_group(&mut self) -> Result<(), ParquetError> {
        if !self.group.ts_ms.is_empty() {
            let group = self.writer.next_row_group()?;
            match &mut self.packer {
                Some(packer) => self.group.pack(group, packer)?,
                None => self.group.write(group)?,
            }
            self.group.clear();
        }
        Ok(())
    }
}

/// The columns of a row group in the making.
#[derive(Debug, Default)]
struct Group {
    series: Vec<i32>,
    ts_ms: Vec<i64>,
    raw: Vec<i64>,
    raw_present: Vec<i16>,
    quality: Vec<i32>,
    words: Vec<ByteArray>,
    words_present: Vec<i16>,
    seq: Vec<i64>,
    version: Vec<i32>,
    lsn: Vec<i64>,
    /// What the last series measures, and the rows at which that changes.
    kind: Option<(String, Unit, i8)>,
    kinds: Vec<usize>,
}

impl Group {
    /// The rows to come are of this series.
    fn begin(&mut self, key: &SeriesKey) {
        let is_alike = |(point, unit, exponent): &(String, Unit, i8)| (point, *unit, *exponent) == (&key.point, key.unit, key.exponent);
        if !self.kind.as_ref().is_some_and(is_alike) {
            self.kind = Some((key.point.clone(), key.unit, key.exponent));
            self.kinds.push(self.ts_ms.len());
        }
    }

    fn push(&mut self, id: SeriesId, sample: &Sample, lsn: u64) {
        self.series.push(id.0.cast_signed());
        self.ts_ms.push(sample.ts_ms);
        self.raw_present.push(i16::from(sample.raw.is_some()));
        self.raw.extend(sample.raw);
        self.quality.push(i32::from(sample.quality.bits()));
        self.words_present.push(i16::from(sample.words.is_some()));
        self.words.extend(sample.words.as_ref().map(|words| ByteArray::from(words.as_slice().to_vec())));
        self.seq.push(sample.seq.cast_signed());
        self.version.push(i32::from(sample.version));
        self.lsn.push(lsn.cast_signed());
    }

    fn clear(&mut self) {
        self.series.clear();
        self.ts_ms.clear();
        self.raw.clear();
        self.raw_present.clear();
        self.quality.clear();
        self.words.clear();
        self.words_present.clear();
        self.seq.clear();
        self.version.clear();
        self.lsn.clear();
        self.kind = None;
        self.kinds.clear();
    }

    fn write(&self, mut group: SerializedRowGroupWriter<'_, Vec<u8>>) -> Result<(), ParquetError> {
        put::<Int32Type>(&mut group, &self.series, None)?;
        put::<Int64Type>(&mut group, &self.ts_ms, None)?;
        put::<Int64Type>(&mut group, &self.raw, Some(&self.raw_present))?;
        put::<Int32Type>(&mut group, &self.quality, None)?;
        put::<ByteArrayType>(&mut group, &self.words, Some(&self.words_present))?;
        put::<Int64Type>(&mut group, &self.seq, None)?;
        put::<Int32Type>(&mut group, &self.version, None)?;
        put::<Int64Type>(&mut group, &self.lsn, None)?;
        group.close()?;
        Ok(())
    }

    /// As [`Self::write`], smaller.
    fn pack(&self, mut group: SerializedRowGroupWriter<'_, Vec<u8>>, packer: &mut Packer) -> Result<(), ParquetError> {
        let [series, ts_ms, raw, quality, _words, seq, version, lsn] = COLUMNS;
        let wide = |values: &[i32]| values.iter().copied().map(i64::from).collect::<Vec<_>>();
        packer.put(&mut group, series, Cut::Repeats, &wide(&self.series), None)?;
        packer.put(&mut group, ts_ms, Cut::Repeats, &self.ts_ms, None)?;
        packer.put(&mut group, raw, Cut::Values(&self.kinds), &self.raw, Some(&self.raw_present))?;
        packer.put(&mut group, quality, Cut::Repeats, &wide(&self.quality), None)?;
        put::<ByteArrayType>(&mut group, &self.words, Some(&self.words_present))?;
        packer.put(&mut group, seq, Cut::Repeats, &self.seq, None)?;
        packer.put(&mut group, version, Cut::Repeats, &wide(&self.version), None)?;
        packer.put(&mut group, lsn, Cut::Repeats, &self.lsn, None)?;
        group.close()?;
        Ok(())
    }
}

fn put<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[T::T],
    present: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.ok_or_else(|| ParquetError::General("the schema has more columns".to_owned()))?;
    column.typed::<T>().write_batch(values, present, None)?;
    column.close()
}

fn schema() -> Result<Arc<Type>, ParquetError> {
    let field =
        |name: &str, physical, repetition| Type::primitive_type_builder(name, physical).with_repetition(repetition).build().map(Arc::new);
    let [series, ts_ms, raw, quality, words, seq, version, lsn] = COLUMNS;
    let fields = vec![
        field(series, Physical::INT32, Repetition::REQUIRED)?,
        field(ts_ms, Physical::INT64, Repetition::REQUIRED)?,
        field(raw, Physical::INT64, Repetition::OPTIONAL)?,
        field(quality, Physical::INT32, Repetition::REQUIRED)?,
        field(words, Physical::BYTE_ARRAY, Repetition::OPTIONAL)?,
        field(seq, Physical::INT64, Repetition::REQUIRED)?,
        field(version, Physical::INT32, Repetition::REQUIRED)?,
        field(lsn, Physical::INT64, Repetition::REQUIRED)?,
    ];
    Type::group_type_builder("readings").with_fields(fields).build().map(Arc::new)
}

fn properties(packing: Packing) -> Result<WriterProperties, ParquetError> {
    let compression = match packing {
        Packing::Fast => Compression::LZ4_RAW,
        Packing::Small => Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?),
    };
    Ok(WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by("negawatt".to_owned())
        .set_compression(compression)
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_BINARY_PACKED)
        .set_column_encoding(ColumnPath::from("words"), Encoding::DELTA_BYTE_ARRAY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(None)
        // Each page says how long it is.
        .set_offset_index_disabled(true)
        .build())
}
