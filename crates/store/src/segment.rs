//! Immutable files of readings: Parquet, sorted by (series, time, version).
//!
//! Values are scaled integers, so delta encoding leaves about half a byte of each; the default settings of Parquet
//! would take thirteen times that. Any Parquet reader can read the files: the names of the series are in the metadata.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Repetition, Type as Physical, ZstdLevel};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, Type};
use units::Quality;

use crate::row::{Sample, Words};
use crate::series::{SeriesId, SeriesKey};

/// A row group is closed at the first change of series after this many rows.
const GROUP_ROWS: usize = 32_768;
const ZSTD_LEVEL: i32 = 3;

/// The columns, in order.
pub(crate) const COLUMNS: [&str; 7] = ["series", "ts_ms", "raw", "quality", "words", "seq", "version"];

/// Where a series lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) series: SeriesId,
    pub(crate) first_row: u64,
    pub(crate) rows: u64,
    pub(crate) min_ts: i64,
    pub(crate) max_ts: i64,
}

/// A file before it is one.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) spans: Vec<Span>,
}

/// Encodes readings.
///
/// * Shape: series ascending, each sorted by time and version.
pub(crate) fn encode(series: &[(SeriesId, &SeriesKey, Vec<Sample>)]) -> Result<Encoded, ParquetError> {
    let schema = schema()?;
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties(series)?))?;
    let mut group = Group::default();
    let mut spans = Vec::new();
    let mut first_row = 0;
    for (id, _, samples) in series {
        let rows = samples.len() as u64;
        if let (Some(first), Some(last)) = (samples.first(), samples.last()) {
            spans.push(Span { series: *id, first_row, rows, min_ts: first.ts_ms, max_ts: last.ts_ms });
        }
        first_row += rows;
        for sample in samples {
            group.push(*id, sample);
        }
        if group.ts_ms.len() >= GROUP_ROWS {
            group.write(writer.next_row_group()?)?;
            group = Group::default();
        }
    }
    if !group.ts_ms.is_empty() {
        group.write(writer.next_row_group()?)?;
    }
    Ok(Encoded { bytes: writer.into_inner()?, spans })
}

/// Reads `rows_wanted` rows from `first_row` on.
pub(crate) fn read(path: &Path, first_row: u64, rows_wanted: u64) -> Result<Vec<(SeriesId, Sample)>, ParquetError> {
    rows(&SerializedFileReader::new(File::open(path)?)?, first_row, rows_wanted)
}

/// As [`read`], of the bytes of a file.
pub(crate) fn decode(bytes: Bytes, first_row: u64, rows_wanted: u64) -> Result<Vec<(SeriesId, Sample)>, ParquetError> {
    rows(&SerializedFileReader::new(bytes)?, first_row, rows_wanted)
}

fn rows(reader: &impl FileReader, first_row: u64, rows: u64) -> Result<Vec<(SeriesId, Sample)>, ParquetError> {
    let mut found = Vec::with_capacity(usize::try_from(rows).unwrap_or(0));
    let mut start = 0_u64;
    let end = first_row.saturating_add(rows);
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index)?;
        let group_rows = u64::try_from(group.metadata().num_rows()).unwrap_or(0);
        let from = first_row.clamp(start, start + group_rows) - start;
        let to = end.clamp(start, start + group_rows) - start;
        if from < to {
            let skip = usize::try_from(from).map_err(|err| ParquetError::General(err.to_string()))?;
            let count = usize::try_from(to - from).map_err(|err| ParquetError::General(err.to_string()))?;
            read_group(group.as_ref(), skip, count, &mut found)?;
        }
        start += group_rows;
    }
    if found.len() as u64 == rows {
        Ok(found)
    } else {
        Err(ParquetError::General(format!("has {} of {rows} rows from row {first_row} on", found.len())))
    }
}

fn read_group(group: &dyn RowGroupReader, skip: usize, count: usize, found: &mut Vec<(SeriesId, Sample)>) -> Result<(), ParquetError> {
    let (series, _) = column::<Int32Type>(group, 0, skip, count)?;
    let (ts_ms, _) = column::<Int64Type>(group, 1, skip, count)?;
    let (raw, raw_present) = column::<Int64Type>(group, 2, skip, count)?;
    let (quality, _) = column::<Int32Type>(group, 3, skip, count)?;
    let (words, words_present) = column::<ByteArrayType>(group, 4, skip, count)?;
    let (seq, _) = column::<Int64Type>(group, 5, skip, count)?;
    let (version, _) = column::<Int32Type>(group, 6, skip, count)?;
    let (mut raw, mut words) = (raw.into_iter(), words.into_iter());
    let fixed = series.into_iter().zip(ts_ms).zip(quality).zip(seq).zip(version);
    for (((((series, ts_ms), quality), seq), version), (has_raw, has_words)) in fixed.zip(raw_present.iter().zip(&words_present)) {
        let corrupt = |_| ParquetError::General("has a number that cannot be".to_owned());
        let sample = Sample {
            ts_ms,
            raw: if *has_raw == 1 { raw.next() } else { None },
            quality: Quality::from_bits(u16::try_from(quality).map_err(corrupt)?),
            words: if *has_words == 1 { words.next().and_then(|bytes| Words::new(bytes.data())) } else { None },
            seq: seq.cast_unsigned(),
            version: u16::try_from(version).map_err(corrupt)?,
        };
        found.push((SeriesId(series.cast_unsigned()), sample));
    }
    Ok(())
}

fn column<T: DataType>(group: &dyn RowGroupReader, index: usize, skip: usize, count: usize) -> Result<(Vec<T::T>, Vec<i16>), ParquetError> {
    let mut reader = get_typed_column_reader::<T>(group.get_column_reader(index)?);
    reader.skip_records(skip)?;
    let (mut values, mut levels) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut left = count;
    while left > 0 {
        let (records, _, _) = reader.read_records(left, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            return Err(ParquetError::EOF(format!("column {index} ends {left} rows early")));
        }
        left -= records;
    }
    Ok((values, levels))
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
}

impl Group {
    fn push(&mut self, id: SeriesId, sample: &Sample) {
        self.series.push(id.0.cast_signed());
        self.ts_ms.push(sample.ts_ms);
        self.raw_present.push(i16::from(sample.raw.is_some()));
        self.raw.extend(sample.raw);
        self.quality.push(i32::from(sample.quality.bits()));
        self.words_present.push(i16::from(sample.words.is_some()));
        self.words.extend(sample.words.as_ref().map(|words| ByteArray::from(words.as_slice().to_vec())));
        self.seq.push(sample.seq.cast_signed());
        self.version.push(i32::from(sample.version));
    }

    fn write(&self, mut group: SerializedRowGroupWriter<'_, Vec<u8>>) -> Result<(), ParquetError> {
        put::<Int32Type>(&mut group, &self.series, None)?;
        put::<Int64Type>(&mut group, &self.ts_ms, None)?;
        put::<Int64Type>(&mut group, &self.raw, Some(&self.raw_present))?;
        put::<Int32Type>(&mut group, &self.quality, None)?;
        put::<ByteArrayType>(&mut group, &self.words, Some(&self.words_present))?;
        put::<Int64Type>(&mut group, &self.seq, None)?;
        put::<Int32Type>(&mut group, &self.version, None)?;
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
    let [series, ts_ms, raw, quality, words, seq, version] = COLUMNS;
    let fields = vec![
        field(series, Physical::INT32, Repetition::REQUIRED)?,
        field(ts_ms, Physical::INT64, Repetition::REQUIRED)?,
        field(raw, Physical::INT64, Repetition::OPTIONAL)?,
        field(quality, Physical::INT32, Repetition::REQUIRED)?,
        field(words, Physical::BYTE_ARRAY, Repetition::OPTIONAL)?,
        field(seq, Physical::INT64, Repetition::REQUIRED)?,
        field(version, Physical::INT32, Repetition::REQUIRED)?,
    ];
    Type::group_type_builder("readings").with_fields(fields).build().map(Arc::new)
}

fn properties(series: &[(SeriesId, &SeriesKey, Vec<Sample>)]) -> Result<WriterProperties, ParquetError> {
    let names: serde_json::Map<String, serde_json::Value> = series
        .iter()
        .map(|(id, key, _)| {
            let name = serde_json::json!({
                "tenant": key.tenant, "facility": key.facility, "device": key.device, "point": key.point,
                "unit": key.unit.symbol(), "exponent": key.exponent,
            });
            (id.0.to_string(), name)
        })
        .collect();
    let names = serde_json::to_string(&names).map_err(|err| ParquetError::External(Box::new(err)))?;
    Ok(WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by("negawatt".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_BINARY_PACKED)
        .set_column_encoding(ColumnPath::from("words"), Encoding::PLAIN)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(None)
        .set_key_value_metadata(Some(vec![KeyValue::new("negawatt.series".to_owned(), names)]))
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Slug;
    use proptest::prelude::*;
    use units::Unit;

    fn sample() -> impl Strategy<Value = Sample> {
        let words = proptest::option::of(proptest::collection::vec(any::<u8>(), 1..=8));
        (any::<i64>(), proptest::option::of(any::<i64>()), any::<u16>(), words, any::<u64>(), any::<u16>()).prop_map(
            |(ts_ms, raw, quality, words, seq, version)| Sample {
                ts_ms,
                raw,
                quality: Quality::from_bits(quality),
                words: words.and_then(|words| Words::new(&words)),
                seq,
                version,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_written_is_read(mut first in proptest::collection::vec(sample(), 1..60), second in proptest::collection::vec(sample(), 1..60)) {
            first.sort_by_key(|sample| (sample.ts_ms, sample.version));
            let slug = |text| Slug::parse(text).unwrap();
            let key = SeriesKey { tenant: slug("t"), facility: slug("f"), device: slug("d"), point: "p".to_owned(), unit: Unit::Watt, exponent: 0 };
            let encoded = encode(&[(SeriesId(3), &key, first.clone()), (SeriesId(9), &key, second.clone())]).unwrap();
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.parquet");
            std::fs::write(&path, &encoded.bytes).unwrap();
            for (span, (id, samples)) in encoded.spans.iter().zip([(3, first), (9, second)]) {
                let expected: Vec<_> = samples.into_iter().map(|sample| (SeriesId(id), sample)).collect();
                prop_assert_eq!(read(&path, span.first_row, span.rows).unwrap(), expected);
            }
        }
    }
}
