//! Columns of numbers as a file that stays has them: in pages that end with a kind of values, each as small as we can make it.
//!
//! * Source: Apache Parquet, "Encodings": the RLE / bit-packing hybrid; "Data Pages".

use std::ops::Range;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type as Physical, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};
use zstd::bulk::Compressor;

use super::blocks::{Blocks, differences};
use super::encode::ZSTD_LEVEL;
use crate::varint::put_varint;

/// How a column is cut into pages, and these into blocks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut<'a> {
    /// What was measured. Pages are as long as the parquet crate makes them, so that whoever asks for one series of many does not unpack
    /// all of a row group, and end before rows that are of another kind: what steps of one are frequent says nothing of another.
    Values(&'a [usize]),
    /// What is soon unpacked, and the longer a page is the more repeats itself in it.
    Repeats,
}

const VALUES_PAGE_ROWS: usize = 20_000;
const REPEATS_PAGE_ROWS: usize = 1 << 16;
/// A page costs about a hundred bytes beside its values: shorter ones than this do not end for a kind.
const KIND_ROWS_MIN: usize = 4_096;

impl Cut<'_> {
    fn pages(self, rows: usize) -> Vec<Range<usize>> {
        let (most, kinds) = match self {
            Self::Values(kinds) => (VALUES_PAGE_ROWS, kinds),
            Self::Repeats => (REPEATS_PAGE_ROWS, [].as_slice()),
        };
        let (mut pages, mut from) = (Vec::new(), 0);
        while from < rows {
            let after = kinds.partition_point(|kind| *kind < from + KIND_ROWS_MIN);
            let alike = kinds.get(after).copied().unwrap_or(rows).min(rows) - from;
            let count = alike.div_ceil(most);
            pages.extend((0..count).map(|page| from + alike * page / count..from + alike * (page + 1) / count));
            from += alike;
        }
        pages
    }
}

/// Looks for the best use of each byte, and takes its time.
const THOROUGH_LEVEL: i32 = 15;

/// Writes columns, with one set of zstd's tables for all of them.
pub(super) struct Packer {
    columns: Vec<ColumnDescPtr>,
    zstd: Compressor<'static>,
    /// For [`Blocks::Common`]. What lies between takes repeats that are none for worth their while.
    quick: Compressor<'static>,
    thorough: Compressor<'static>,
}

/// A page as it will be, and its bytes before zstd.
type Packed = (Vec<u8>, usize);

impl Packer {
    pub(super) fn new(schema: &SchemaDescriptor) -> Result<Self, ParquetError> {
        let (zstd, quick, thorough) = (Compressor::new(ZSTD_LEVEL)?, Compressor::new(1)?, Compressor::new(THOROUGH_LEVEL)?);
        Ok(Self { columns: schema.columns().to_vec(), zstd, quick, thorough })
    }

    /// A page of these values in the encoding that makes it the smallest.
    fn page(&mut self, levels: Option<&[i16]>, values: &[i64], cut: Cut<'_>, is_short: bool) -> Result<Packed, ParquetError> {
        let body = |blocks: Blocks| {
            let mut body = Vec::new();
            if let Some(levels) = levels {
                presence(levels, &mut body);
            }
            differences(values, blocks, is_short, &mut body);
            body
        };
        let even = matches!(cut, Cut::Repeats);
        let plain = body(if even { Blocks::Even } else { Blocks::Narrow });
        let packed = self.zstd.compress(&plain)?;
        if even {
            return Ok((packed, plain.len()));
        }
        let common = body(Blocks::Common);
        let mut found = self.quick.compress(&common)?;
        // So little may still be found.
        if found.len() < packed.len() + packed.len() / 32 {
            let more = self.thorough.compress(&common)?;
            if more.len() < found.len() {
                found = more;
            }
        }
        Ok(if found.len() < packed.len() { (found, common.len()) } else { (packed, plain.len()) })
    }

    /// Writes the next column of a row group, which has this name.
    ///
    /// * Shape: the column is of 32 or 64 bits; `values` are those that there are; `present` says for each row whether it has one, and is not there where all have to.
    pub(super) fn put(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
        name: &str,
        cut: Cut<'_>,
        values: &[i64],
        present: Option<&[i16]>,
    ) -> Result<(), ParquetError> {
        let column = self.columns.iter().find(|column| column.name() == name).cloned();
        let column = column.ok_or_else(|| ParquetError::General(format!("the schema has no {name}")))?;
        let rows = present.map_or(values.len(), <[i16]>::len);
        let is_short = column.physical_type() == Physical::INT32;
        let (mut sink, mut unpacked, mut left) = (TrackedWrite::new(Vec::new()), 0, values);
        let mut pages = SerializedPageWriter::new(&mut sink);
        for page in cut.pages(rows) {
            let here = page.len();
            let levels = present.map(|present| present.get(page).unwrap_or_default());
            let count = levels.map_or(here, |levels| levels.iter().filter(|level| **level != 0).count());
            let (of_page, rest) = left.split_at_checked(count).ok_or_else(|| ParquetError::General("a column lacks values".to_owned()))?;
            left = rest;
            let (packed, unpacked_bytes) = self.page(levels, of_page, cut, is_short)?;
            let page = Page::DataPage {
                buf: Bytes::from(packed),
                num_values: u32::try_from(here).map_err(|err| ParquetError::General(err.to_string()))?,
                encoding: Encoding::DELTA_BINARY_PACKED,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            };
            unpacked += pages.write_page(CompressedPage::new(page, unpacked_bytes))?.uncompressed_size;
        }
        pages.close()?;
        let bytes = Bytes::from(sink.into_inner()?);
        let nulls = u64::try_from(rows - values.len()).ok();
        let (least, most) = (values.iter().min().copied(), values.iter().max().copied());
        let statistics = if is_short {
            let half = |value: i64| i32::try_from(value).ok();
            Statistics::int32(least.and_then(half), most.and_then(half), None, nulls, false)
        } else {
            Statistics::int64(least, most, None, nulls, false)
        };
        let metadata = ColumnChunkMetaData::builder(column)
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
            .set_encodings(vec![Encoding::RLE, Encoding::DELTA_BINARY_PACKED])
            .set_num_values(i64::try_from(rows).unwrap_or(i64::MAX))
            .set_total_compressed_size(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
            .set_total_uncompressed_size(i64::try_from(unpacked).unwrap_or(i64::MAX))
            .set_data_page_offset(0)
            .set_statistics(statistics)
            .build()?;
        let (bytes_written, rows_written) = (bytes.len() as u64, rows as u64);
        let closed =
            ColumnCloseResult { bytes_written, rows_written, metadata, bloom_filter: None, column_index: None, offset_index: None };
        group.append_column(&bytes, closed)
    }
}

/// Which rows have a value, with the length before it.
fn presence(levels: &[i16], body: &mut Vec<u8>) {
    let mut runs = Vec::new();
    for run in levels.chunk_by(|one, next| one == next) {
        put_varint(&mut runs, (run.len() as u64) << 1);
        runs.push(u8::from(run.first().is_some_and(|level| *level != 0)));
    }
    let bits = levels.len().div_ceil(8);
    if runs.len() > bits {
        // Here and there one is missing: a bit for each takes less.
        runs.clear();
        put_varint(&mut runs, (bits as u64) << 1 | 1);
        runs.extend(levels.chunks(8).map(|eight| eight.iter().rev().fold(0, |byte, level| byte << 1 | u8::from(*level != 0))));
    }
    body.extend(u32::try_from(runs.len()).unwrap_or(u32::MAX).to_le_bytes());
    body.extend(runs);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::segment::delta;
    use crate::varint::Input;

    #[test]
    fn a_page_ends_where_another_kind_begins_unless_it_is_short() {
        let pages = |kinds: &[usize], rows| Cut::Values(kinds).pages(rows).into_iter().map(|page| page.end).collect::<Vec<_>>();
        assert_eq!(pages(&[0, 5_000, 10_000], 12_000), [5_000, 10_000, 12_000]);
        assert_eq!(pages(&[0, 500, 1_000, 5_000, 6_000], 9_000), [5_000, 9_000]);
        assert_eq!(pages(&[0, 43_200], 86_400), [14_400, 28_800, 43_200, 57_600, 72_000, 86_400]);
        assert_eq!(Cut::Repeats.pages(100_000), [0..50_000, 50_000..100_000]);
        assert!(Cut::Repeats.pages(0).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn who_has_a_value_is_known_again(levels in proptest::collection::vec(prop_oneof![8 => Just(1_i16), 1 => Just(0)], 1..700)) {
            let mut body = Vec::new();
            presence(&levels, &mut body);
            let (mut input, mut found) = (Input(&body), Vec::new());
            delta::present(&mut input, levels.len(), &mut found).unwrap();
            prop_assert_eq!(found, levels.iter().map(|level| *level != 0).collect::<Vec<_>>());
        }
    }
}
