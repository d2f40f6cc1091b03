//! Columns of numbers as a file that stays has them: `DELTA_BINARY_PACKED` in blocks of our own choice.
//!
//! The parquet crate writes blocks of 256 numbers, each with a least difference of its own and as many bits as its widest needs.
//! Two things are lost with that, and both where many short series lie in a file:
//!
//! * A step from one series to the next widens 64 values. Blocks of the least size that Parquet has lose 32: [`Blocks::Narrow`].
//! * Times and entries of the log repeat themselves from series to series, but bits that begin anywhere in a byte do not look
//!   alike. In whole bytes from one least difference zstd finds them again: [`Blocks::Even`].
//!
//! * Source: Apache Parquet, "Encodings": `DELTA_BINARY_PACKED`, the RLE / bit-packing hybrid.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type as Physical, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use super::encode::ZSTD_LEVEL;
use crate::varint::{put_varint, zigzag};

/// How the differences of a column are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocks {
    /// In the smallest that there are, each as narrow as it can be: for values that nothing else packs.
    Narrow,
    /// In large ones of whole bytes: for what repeats itself.
    Even,
}

impl Blocks {
    /// Rows of a page at most. What is narrow has them as the parquet crate does, so that whoever asks for one series of many does not
    /// unpack all of a row group; what repeats itself is soon unpacked, and the longer a page is the more repeats itself in it.
    const fn page_rows(self) -> usize {
        match self {
            Self::Narrow => 20_000,
            Self::Even => 1 << 16,
        }
    }
}

/// Writes columns, with one set of zstd's tables for all of them.
pub(super) struct Packer {
    columns: Vec<ColumnDescPtr>,
    zstd: zstd::bulk::Compressor<'static>,
}

impl Packer {
    pub(super) fn new(schema: &SchemaDescriptor) -> Result<Self, ParquetError> {
        Ok(Self { columns: schema.columns().to_vec(), zstd: zstd::bulk::Compressor::new(ZSTD_LEVEL)? })
    }

    /// Writes the next column of a row group, which has this name.
    ///
    /// * Shape: the column is of 32 or 64 bits; `values` are those that there are; `present` says for each row whether it has one, and is not there where all have to.
    pub(super) fn put(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
        name: &str,
        blocks: Blocks,
        values: &[i64],
        present: Option<&[i16]>,
    ) -> Result<(), ParquetError> {
        let column = self.columns.iter().find(|column| column.name() == name).cloned();
        let column = column.ok_or_else(|| ParquetError::General(format!("the schema has no {name}")))?;
        let rows = present.map_or(values.len(), <[i16]>::len);
        let is_short = column.physical_type() == Physical::INT32;
        let (mut sink, mut unpacked, mut left) = (TrackedWrite::new(Vec::new()), 0, values);
        let mut pages = SerializedPageWriter::new(&mut sink);
        for from in (0..rows).step_by(blocks.page_rows()) {
            let here = blocks.page_rows().min(rows - from);
            let mut body = Vec::new();
            let levels = present.map(|present| present.get(from..from + here).unwrap_or_default());
            if let Some(levels) = levels {
                presence(levels, &mut body);
            }
            let count = levels.map_or(here, |levels| levels.iter().filter(|level| **level != 0).count());
            let (of_page, rest) = left.split_at_checked(count).ok_or_else(|| ParquetError::General("a column lacks values".to_owned()))?;
            left = rest;
            differences(of_page, blocks, is_short, &mut body);
            let page = Page::DataPage {
                buf: Bytes::from(self.zstd.compress(&body)?),
                num_values: u32::try_from(here).map_err(|err| ParquetError::General(err.to_string()))?,
                encoding: Encoding::DELTA_BINARY_PACKED,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            };
            unpacked += pages.write_page(CompressedPage::new(page, body.len()))?.uncompressed_size;
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

/// Numbers in a block and in its parts, which are as many as the widths that a block has.
const NARROW: (usize, usize) = (128, 32);
const EVEN: (usize, usize) = (4_096, 4_096);

/// Appends the numbers as their differences, in the wrapping arithmetic of 64 bits, or of 32.
fn differences(values: &[i64], blocks: Blocks, is_short: bool, body: &mut Vec<u8>) {
    let wrapped = |step: i64| if is_short { step << 32 >> 32 } else { step };
    let steps: Vec<i64> = values.iter().zip(values.iter().skip(1)).map(|(one, next)| wrapped(next.wrapping_sub(*one))).collect();
    let (block, part) = match blocks {
        Blocks::Narrow => NARROW,
        // Parquet fills the last part up: no more than the next number of values that a block may have.
        Blocks::Even => {
            let size = steps.len().next_multiple_of(NARROW.0).clamp(NARROW.0, EVEN.0);
            (size, size)
        }
    };
    put_varint(body, block as u64);
    put_varint(body, (block / part) as u64);
    put_varint(body, values.len() as u64);
    put_varint(body, zigzag(values.first().copied().unwrap_or(0)));
    let least_of_all = steps.iter().min().copied().unwrap_or(0);
    for steps in steps.chunks(block) {
        let least = if blocks == Blocks::Even { least_of_all } else { steps.iter().min().copied().unwrap_or(0) };
        put_varint(body, zigzag(least));
        let above = |step: &i64| step.wrapping_sub(least).cast_unsigned();
        let width = |steps: &[i64]| {
            let bits = u64::BITS - steps.iter().map(above).fold(0, |all, one| all | one).leading_zeros();
            if blocks == Blocks::Even { bits.next_multiple_of(8) } else { bits }
        };
        let widths: Vec<u32> = steps.chunks(part).map(width).collect();
        body.extend((0..block / part).map(|at| widths.get(at).map_or(0, |width| u8::try_from(*width).unwrap_or(0))));
        for (steps, width) in steps.chunks(part).zip(widths) {
            pack(steps.iter().map(above), width, part, body);
        }
    }
}

/// Appends numbers of `width` bits each, lowest bit first, filled up to `count` of them.
fn pack(numbers: impl Iterator<Item = u64>, width: u32, count: usize, body: &mut Vec<u8>) {
    let end = body.len() + usize::try_from(width).unwrap_or(0) * count / 8;
    let (mut held, mut bits) = (0_u128, 0);
    for number in numbers {
        held |= u128::from(number) << bits;
        bits += width;
        while bits >= 8 {
            body.push(held.to_le_bytes()[0]);
            held >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        body.push(held.to_le_bytes()[0]);
    }
    body.resize(end, 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::segment::delta;
    use crate::varint::Input;

    fn blocks() -> impl Strategy<Value = Blocks> {
        prop_oneof![Just(Blocks::Narrow), Just(Blocks::Even)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_packed_is_unpacked(blocks in blocks(), values in prop_oneof![
            proptest::collection::vec(any::<i64>(), 0..600),
            proptest::collection::vec(-3_i64..3, 0..9_000),
        ]) {
            let mut body = Vec::new();
            differences(&values, blocks, false, &mut body);
            let (mut input, mut found) = (Input(&body), Vec::new());
            delta::numbers(&mut input, values.len(), &mut found).unwrap();
            prop_assert_eq!(found, values);
            prop_assert!(input.0.is_empty());
        }

        #[test]
        fn short_numbers_take_no_more_than_their_bits(blocks in blocks(), values in proptest::collection::vec(any::<i32>(), 0..600)) {
            let (mut body, mut found) = (Vec::new(), Vec::new());
            let values: Vec<i64> = values.into_iter().map(i64::from).collect();
            differences(&values, blocks, true, &mut body);
            delta::numbers(&mut Input(&body), values.len(), &mut found).unwrap();
            prop_assert_eq!(found.iter().map(|value| value << 32 >> 32).collect::<Vec<i64>>(), values.clone());
            prop_assert!(body.len() <= 16 + 5 * values.len().next_multiple_of(128), "a width beyond 32 bits is refused by others");
        }

        #[test]
        fn who_has_a_value_is_known_again(levels in proptest::collection::vec(prop_oneof![8 => Just(1_i16), 1 => Just(0)], 1..700)) {
            let mut body = Vec::new();
            presence(&levels, &mut body);
            let (mut input, mut found) = (Input(&body), Vec::new());
            delta::present(&mut input, levels.len(), &mut found).unwrap();
            prop_assert_eq!(found, levels.iter().map(|level| *level != 0).collect::<Vec<_>>());
        }
    }

    /// The bytes that a stranger reads: 5 and 6 and 8 in a block of 128 with parts of 32, by hand.
    #[test]
    fn a_block_is_written_as_parquet_says() {
        let mut body = Vec::new();
        differences(&[5, 6, 8], Blocks::Narrow, false, &mut body);
        let mut expected = vec![0x80, 0x01, 4, 3, 10, 2, 1, 0, 0, 0, 0b10];
        expected.resize(expected.len() + 3, 0);
        assert_eq!(body, expected);
        body.clear();
        differences(&[5, 6, 8], Blocks::Even, false, &mut body);
        let mut expected = vec![0x80, 0x01, 1, 3, 10, 2, 8, 0, 1];
        expected.resize(expected.len() + 126, 0);
        assert_eq!(body, expected);
    }
}
