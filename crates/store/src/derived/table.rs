//! Quarters as a file: Parquet, whole numbers only, sorted by series and time. Any Parquet reader can read it.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Repetition, Type as Physical};
use parquet::data_type::Int64Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::reader::ChunkReader;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use units::Quality;

use super::differences;
use super::quarter::{Figures, Quarter};
use crate::segment::{Ahead, NAMES, Names, Part, Segment, Source};
use crate::series::{SeriesId, SeriesKey};

/// Where each series lies: its first row, the number of its rows, and CRC-32C over what they say. Files of the first versions
/// do not have the last; those in [`super::differences`] have a fourth.
const SPANS: &str = "negawatt.spans";
/// CRC-32C over the text of the spans, so that what is asked for one series does not have to read all of a file to be sure.
const SPANS_CHECKSUM: &str = "negawatt.spans.crc32c";
/// A row group is closed at the first change of series after this many rows.
const GROUP_ROWS: usize = 16_384;
/// Rows of a page at most.
const PAGE_ROWS: usize = 1_500;

/// The columns, in order; those of usable values have gaps.
const COLUMNS: [(&str, bool); 20] = [
    ("series", false),
    ("start_ms", false),
    ("readings", false),
    ("good", false),
    ("uncertain", false),
    ("estimated", false),
    ("edited", false),
    ("quality", false),
    ("from_ms", false),
    ("to_ms", false),
    ("step_ms", false),
    ("lsn_from", false),
    ("lsn_to", false),
    ("smallest", true),
    ("largest", true),
    ("sum", true),
    ("first_ms", true),
    ("first", true),
    ("last_ms", true),
    ("last", true),
];
/// Behind them: the sum's upper half, and how often a value falls.
const MORE: [(&str, bool); 2] = [("sum_high", true), ("falls", true)];

/// One column in the making.
#[derive(Debug, Default)]
struct Cells {
    values: Vec<i64>,
    present: Vec<i16>,
}

/// A file in the making.
pub(crate) struct TableWriter {
    writer: SerializedFileWriter<Vec<u8>>,
    cells: Vec<Cells>,
    names: Names,
    spans: Map<String, Value>,
    rows: u64,
}

impl std::fmt::Debug for TableWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableWriter").field("rows", &self.rows).finish_non_exhaustive()
    }
}

fn columns() -> impl Iterator<Item = (&'static str, bool)> {
    COLUMNS.into_iter().chain(MORE)
}

impl TableWriter {
    pub(crate) fn new() -> Result<Self, ParquetError> {
        let fields = columns().map(|(name, gaps)| {
            let repetition = if gaps { Repetition::OPTIONAL } else { Repetition::REQUIRED };
            Type::primitive_type_builder(name, Physical::INT64).with_repetition(repetition).build().map(Arc::new)
        });
        let schema = Type::group_type_builder("quarters").with_fields(fields.collect::<Result<Vec<_>, _>>()?).build()?;
        let properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_1_0)
            .set_created_by("negawatt".to_owned())
            // As small as with zstd, which begins anew with each of the columns.
            .set_compression(Compression::LZ4_RAW)
            .set_dictionary_enabled(false)
            .set_encoding(Encoding::DELTA_BINARY_PACKED)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_max_row_group_row_count(None)
            .set_offset_index_disabled(true)
            // A page is about a month of one series: whoever asks for one does not decode its neighbours.
            .set_write_batch_size(PAGE_ROWS)
            .set_data_page_row_count_limit(PAGE_ROWS)
            .build();
        let writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
        let cells = columns().map(|_| Cells::default()).collect();
        Ok(Self { writer, cells, names: Names::default(), spans: Map::new(), rows: 0 })
    }

    /// Adds the quarters of a series. Series ascend.
    pub(crate) fn push(&mut self, id: SeriesId, key: &SeriesKey, quarters: &[Quarter]) -> Result<(), ParquetError> {
        if quarters.is_empty() {
            return Ok(());
        }
        if self.cells.first().is_some_and(|series| series.values.len() >= GROUP_ROWS) {
            self.close_group()?;
        }
        self.names.insert(id, key);
        self.spans.insert(id.0.to_string(), json!([self.rows, quarters.len(), checksum(id, quarters)]));
        self.rows += quarters.len() as u64;
        for quarter in quarters {
            for (cells, value) in self.cells.iter_mut().zip(row(id, quarter)) {
                cells.present.push(i16::from(value.is_some()));
                cells.values.extend(value);
            }
        }
        Ok(())
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The bytes of the file. `about` says what it was made of.
    pub(crate) fn finish(mut self, about: &Value) -> Result<Vec<u8>, ParquetError> {
        self.close_group()?;
        let (names, spans) = (self.names.into_text(), Value::Object(self.spans).to_string());
        let sum = crc32c::crc32c(spans.as_bytes()).to_string();
        for (key, value) in [(NAMES, names), (SPANS, spans), (SPANS_CHECKSUM, sum), ("negawatt.derived", about.to_string())] {
            self.writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        self.writer.into_inner()
    }

    fn close_group(&mut self) -> Result<(), ParquetError> {
        if self.cells.first().is_none_or(|series| series.values.is_empty()) {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for (cells, (_, gaps)) in self.cells.iter_mut().zip(columns()) {
            let mut column = group.next_column()?.ok_or_else(|| ParquetError::General("the schema has more columns".to_owned()))?;
            column.typed::<Int64Type>().write_batch(&cells.values, gaps.then_some(cells.present.as_slice()), None)?;
            column.close()?;
            cells.values.clear();
            cells.present.clear();
        }
        group.close().map(|_| ())
    }
}

/// A quarter as cells, in the order of the columns.
fn row(id: SeriesId, quarter: &Quarter) -> [Option<i64>; 22] {
    let whole = |count: u32| Some(i64::from(count));
    let figures = quarter.figures.as_ref();
    let low = |sum: i128| i64::from_le_bytes(sum.to_le_bytes().first_chunk().copied().unwrap_or_default());
    [
        whole(id.0),
        Some(quarter.start_ms),
        whole(quarter.readings),
        whole(quarter.good),
        whole(quarter.uncertain),
        whole(quarter.estimated),
        whole(quarter.edited),
        Some(i64::from(quarter.quality.bits())),
        Some(quarter.from_ms),
        Some(quarter.to_ms),
        Some(quarter.step_ms),
        Some(quarter.lsn_from.cast_signed()),
        Some(quarter.lsn_to.cast_signed()),
        figures.map(|figures| figures.smallest),
        figures.map(|figures| figures.largest),
        figures.map(|figures| low(figures.sum)),
        figures.map(|figures| figures.first.0),
        figures.map(|figures| figures.first.1),
        figures.map(|figures| figures.last.0),
        figures.map(|figures| figures.last.1),
        figures.map(|figures| low(figures.sum >> 64)),
        figures.map(|figures| i64::from(figures.falls)),
    ]
}

/// What quarters of a series say, whatever they are encoded as.
fn checksum(id: SeriesId, quarters: &[Quarter]) -> u32 {
    quarters.iter().flat_map(|quarter| row(id, quarter)).fold(0, |sum, cell| match cell {
        Some(value) => crc32c::crc32c_append(crc32c::crc32c_append(sum, &[1]), &value.to_le_bytes()),
        None => crc32c::crc32c_append(sum, &[0]),
    })
}

/// The quarters of a series in a file: as they were written, or not at all.
///
/// * Errors: the file is not there, or is not what was written: the readings say what it said, and nobody has to guess.
pub(crate) fn quarters_of(path: &Path, hash: &str, id: SeriesId) -> Result<Vec<Quarter>, ParquetError> {
    let file = Segment::file(path, None)?;
    let Some(spans) = checked_spans(&file) else { return Table::open(path, hash)?.quarters(id) };
    Table { file, spans }.quarters(id)
}

/// None when the file does not say by what to check them, or when they are not what was written.
fn checked_spans(file: &Segment<Source>) -> Option<Map<String, Value>> {
    let sum: u32 = file.text(SPANS_CHECKSUM)?.parse().ok()?;
    let text = file.text(SPANS).filter(|text| crc32c::crc32c(text.as_bytes()) == sum)?;
    let spans: Map<String, Value> = serde_json::from_str(text).ok()?;
    // What those say of a series is not what we would: the whole file has to be what was written.
    spans.values().all(|span| span.get(BASE).is_none()).then_some(spans)
}

/// Where the span of a series has its first value, in files of differences.
const BASE: usize = 3;

/// A file that is read.
#[derive(Debug)]
pub(crate) struct Table<R: ChunkReader> {
    file: Segment<R>,
    spans: Map<String, Value>,
}

impl Table<Bytes> {
    /// Opens a file that is what was written.
    ///
    /// * Errors: it is not there, or a byte of it is another one: the readings say what it said, and nobody has to guess.
    pub(crate) fn open(path: &Path, hash: &str) -> Result<Self, ParquetError> {
        let bytes = std::fs::read(path)?;
        if hex::encode(Sha256::digest(&bytes)) != hash {
            return Err(ParquetError::General("it is not what was written".to_owned()));
        }
        Self::bytes(bytes.into())
    }

    fn bytes(bytes: Bytes) -> Result<Self, ParquetError> {
        let file = Segment::open(bytes)?;
        let spans = file.said(SPANS);
        Ok(Self { file, spans })
    }
}

impl<R: ChunkReader + Ahead + 'static> Table<R> {
    /// The series that have any.
    pub(crate) fn ids(&self) -> Vec<SeriesId> {
        let mut ids: Vec<SeriesId> = self.spans.keys().filter_map(|id| id.parse().ok().map(SeriesId)).collect();
        ids.sort();
        ids
    }

    /// The quarters of a series, in order.
    pub(crate) fn quarters(&self, id: SeriesId) -> Result<Vec<Quarter>, ParquetError> {
        let Some(span) = self.spans.get(&id.0.to_string()) else { return Ok(Vec::new()) };
        let number = |at: usize| span.get(at).and_then(Value::as_u64).ok_or_else(impossible);
        let (first, rows) = (number(0)?, number(1)?);
        let base = span.get(BASE).map(|base| base.as_i64().ok_or_else(impossible)).transpose()?;
        let mut found = Vec::new();
        self.file.parts(&(first..first.saturating_add(rows)), |part| of_part(part, (id, base), &mut found))?;
        let same = base.is_some() || span.get(2).is_none_or(|sum| sum.as_u64() == Some(checksum(id, &found).into()));
        if same && found.len() as u64 == rows { Ok(found) } else { Err(ParquetError::General("it is not what was written".to_owned())) }
    }
}

fn impossible() -> ParquetError {
    ParquetError::General("has a quarter that cannot be".to_owned())
}

fn of_part<R: ChunkReader + Ahead + 'static>(
    part: &Part<'_, R>,
    (id, base): (SeriesId, Option<i64>),
    found: &mut Vec<Quarter>,
) -> Result<(), ParquetError> {
    if part.columns() < COLUMNS.len() + MORE.len() {
        return Err(impossible());
    }
    let (mut whole, mut sparse) = (Vec::new(), Vec::new());
    for (at, (_, gaps)) in columns().enumerate() {
        if gaps { sparse.push(part.numbers(at)?) } else { whole.push(part.column(at)?) }
    }
    let mut whole: Vec<_> = whole.iter().map(|column| column.from(0)).collect();
    let mut sparse: Vec<_> = sparse.iter().map(|column| column.rows()).collect();
    for _row in 0..part.rows.len() {
        let mut cells = [0_i64; 13];
        for (cell, column) in cells.iter_mut().zip(&mut whole) {
            *cell = column.next().ok_or_else(impossible)?;
        }
        let mut figures = [None; 9];
        for (figure, column) in figures.iter_mut().zip(&mut sparse) {
            *figure = column.next();
        }
        if let Some(base) = base {
            differences::undo(&mut cells, &mut figures, base).ok_or_else(impossible)?;
        }
        found.push(quarter(id, cells, figures).ok_or_else(impossible)?);
    }
    Ok(())
}

fn quarter(id: SeriesId, cells: [i64; 13], figures: [Option<i64>; 9]) -> Option<Quarter> {
    let [series, start_ms, readings, good, uncertain, estimated, edited, quality, from_ms, to_ms, step_ms, lsn_from, lsn_to] = cells;
    let count = |cell: i64| u32::try_from(cell).ok();
    let figures = match figures {
        [Some(smallest), Some(largest), Some(low), Some(first_ms), Some(first), Some(last_ms), Some(last), Some(high), Some(falls)] => {
            let sum = i128::from(high) << 64 | i128::from(low.cast_unsigned());
            Some(Figures { smallest, largest, sum, first: (first_ms, first), last: (last_ms, last), falls: count(falls)? })
        }
        [None, None, None, None, None, None, None, None, None] => None,
        _ => return None,
    };
    (count(series)? == id.0).then_some(Quarter {
        start_ms,
        readings: count(readings)?,
        good: count(good)?,
        uncertain: count(uncertain)?,
        estimated: count(estimated)?,
        edited: count(edited)?,
        quality: Quality::from_bits(u16::try_from(quality).ok()?),
        from_ms,
        to_ms,
        step_ms,
        figures,
        lsn_from: lsn_from.cast_unsigned(),
        lsn_to: lsn_to.cast_unsigned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derived::quarter::quarters;
    use crate::row::Sample;
    use ids::Slug;
    use proptest::prelude::*;
    use units::Unit;

    fn key() -> SeriesKey {
        let slug = |text| Slug::parse(text).unwrap();
        SeriesKey { tenant: slug("t"), facility: slug("f"), device: slug("d"), point: "p".to_owned(), unit: Unit::Watt, exponent: 0 }
    }

    /// Written by the one version that wrote differences: a month of minutes of one series, and its quarters.
    #[test]
    fn a_file_of_differences_says_what_its_readings_say() {
        let file = |name: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/store-differences").join(name);
            Bytes::from(std::fs::read(path).unwrap())
        };
        let mut readings = Vec::new();
        Segment::open(file("readings.parquet")).unwrap().samples(0..27_200, None, |sample| readings.push(sample)).unwrap();
        let table = Table::bytes(file("quarters.parquet")).unwrap();
        let found = table.quarters(SeriesId(10_001)).unwrap();
        assert_eq!((found.len(), found.first().unwrap().start_ms), (1_814, 1_746_057_600_000));
        assert_eq!(found, quarters(&readings));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_written_is_read(rows in proptest::collection::btree_map(any::<i32>(), (proptest::option::of(any::<i64>()), any::<u16>(), any::<u64>()), 0..80)) {
            let samples: Vec<Sample> = rows.iter().map(|(at, (raw, quality, lsn))| Sample {
                ts_ms: i64::from(*at) * 100, raw: *raw, quality: Quality::from_bits(*quality), words: None, seq: 1, version: 0, lsn: *lsn,
            }).collect();
            let (one, other) = samples.split_at(samples.len() / 3);
            let series = [(SeriesId(2), quarters(one)), (SeriesId(11), quarters(other))];
            let mut writer = TableWriter::new().unwrap();
            for (id, quarters) in &series {
                writer.push(*id, &key(), quarters).unwrap();
            }
            let table = Table::bytes(writer.finish(&json!({})).unwrap().into()).unwrap();
            for (id, quarters) in series {
                prop_assert_eq!(table.ids().contains(&id), !quarters.is_empty());
                prop_assert_eq!(table.quarters(id).unwrap(), quarters);
            }
            prop_assert_eq!(table.quarters(SeriesId(3)).unwrap(), vec![]);
        }
    }
}
