//! The pages of a column chunk: what their headers say, and what is in them.
//!
//! The parquet crate reads them too. But over a header that is damaged it panics, and it sets zstd up anew for each page, which is
//! most of what a short one takes. Everything here checks what it reads.
//!
//! * Source: Apache Parquet, `parquet.thrift`: `PageHeader`, in Thrift's compact protocol.

use std::cell::RefCell;

use parquet::basic::Compression;
use parquet::errors::ParquetError;
use zstd::bulk::Decompressor;

use crate::varint::Input;

/// No page of ours comes near it. A header that says more is damaged, and takes no memory.
const UNPACKED_MAX: usize = 64 << 20;
/// Structures in structures that are passed over.
const DEPTH_MAX: u8 = 8;
/// The first of the kinds of pages that there are, and the only one of ours.
const DATA_PAGE: i64 = 0;

/// What is said of a page before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) rows: usize,
    /// As Parquet numbers them.
    pub(super) encoding: i64,
    packed: usize,
    unpacked: usize,
}

/// Goes through the pages of a chunk.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    input: Input<'a>,
    compression: Compression,
    buffer: Vec<u8>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(chunk: &'a [u8], compression: Compression) -> Self {
        Self { input: Input(chunk), compression, buffer: Vec::new() }
    }

    /// The next page's header, and the page as it is packed.
    pub(super) fn next(&mut self) -> Option<(Header, &'a [u8])> {
        let header = header(&mut self.input)?;
        Some((header, self.input.take(header.packed)?))
    }

    /// What is in a page. It stays until the next one is unpacked.
    pub(super) fn unpack<'b>(&'b mut self, header: Header, packed: &'b [u8]) -> Result<&'b [u8], ParquetError> {
        let buffer = &mut self.buffer;
        buffer.clear();
        let unpacked = match self.compression {
            Compression::UNCOMPRESSED => return Ok(packed),
            Compression::ZSTD(_) => zstd_into(packed, header.unpacked, buffer)?,
            Compression::LZ4_RAW => {
                buffer.resize(header.unpacked, 0);
                lz4_flex::block::decompress_into(packed, buffer).map_err(|err| ParquetError::External(Box::new(err)))?
            }
            other => return Err(ParquetError::NYI(format!("pages packed by {other}"))),
        };
        if unpacked == header.unpacked { Ok(buffer) } else { Err(ParquetError::General("has a page of another length".to_owned())) }
    }
}

fn zstd_into(packed: &[u8], length: usize, buffer: &mut Vec<u8>) -> Result<usize, ParquetError> {
    thread_local! {
        static ZSTD: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    ZSTD.with_borrow_mut(|zstd| {
        let zstd = match zstd {
            Some(zstd) => zstd,
            None => zstd.insert(Decompressor::new()?),
        };
        buffer.reserve(length);
        Ok(zstd.decompress_to_buffer(packed, buffer)?)
    })
}

/// Reads a header; `None` when it is no header of ours.
fn header(input: &mut Input<'_>) -> Option<Header> {
    let (mut kind, mut packed, mut unpacked, mut page) = (None, None, None, None);
    fields(input, |input, field| {
        match field {
            (1, I32) => kind = Some(input.zigzag()?),
            (2, I32) => unpacked = Some(input.zigzag()?),
            (3, I32) => packed = Some(input.zigzag()?),
            (5, STRUCT) => page = Some(page_header(input)?),
            (_, other) => skip(input, other, 0)?,
        }
        Some(())
    })?;
    let ((rows, encoding), size) = (page?, |size: Option<i64>| usize::try_from(size?).ok().filter(|size| *size <= UNPACKED_MAX));
    let header = Header { rows: usize::try_from(rows).ok()?, encoding, packed: size(packed)?, unpacked: size(unpacked)? };
    (kind == Some(DATA_PAGE)).then_some(header)
}

/// The number of values, those that are not there included, and their encoding.
fn page_header(input: &mut Input<'_>) -> Option<(i64, i64)> {
    let (mut values, mut encoding) = (None, None);
    fields(input, |input, field| {
        match field {
            (1, I32) => values = Some(input.zigzag()?),
            (2, I32) => encoding = Some(input.zigzag()?),
            (_, other) => skip(input, other, 0)?,
        }
        Some(())
    })?;
    values.zip(encoding)
}

const I32: u8 = 5;
const STRUCT: u8 = 12;

/// Calls `visit` with number and type of each field of a structure; it reads the field.
fn fields(input: &mut Input<'_>, mut visit: impl FnMut(&mut Input<'_>, (i64, u8)) -> Option<()>) -> Option<()> {
    let mut id = 0_i64;
    loop {
        let head = input.byte()?;
        if head == 0 {
            return Some(());
        }
        id = if head >> 4 == 0 { input.zigzag()? } else { id.checked_add(i64::from(head >> 4))? };
        visit(input, (id, head & 15))?;
    }
}

/// Passes over a field of a type.
fn skip(input: &mut Input<'_>, kind: u8, depth: u8) -> Option<()> {
    match kind {
        // A truth is in the type itself.
        1 | 2 => {}
        3 => drop(input.byte()?),
        4..=6 => drop(input.varint()?),
        7 => drop(input.take(8)?),
        8 => {
            let length = input.number()?;
            input.take(length)?;
        }
        9 | 10 => {
            let head = input.byte()?;
            let count = if head >> 4 == 15 { input.varint()? } else { u64::from(head >> 4) };
            (0..count).try_for_each(|_| element(input, head & 15, depth))?;
        }
        11 => {
            let count = input.varint()?;
            let types = if count == 0 { 0 } else { input.byte()? };
            (0..count).try_for_each(|_| element(input, types >> 4, depth).and_then(|()| element(input, types & 15, depth)))?;
        }
        STRUCT if depth < DEPTH_MAX => fields(input, |input, (_, kind)| skip(input, kind, depth + 1))?,
        _ => return None,
    }
    Some(())
}

/// Passes over what is in a list: a truth has a byte there.
fn element(input: &mut Input<'_>, kind: u8, depth: u8) -> Option<()> {
    if matches!(kind, 1 | 2) {
        input.byte().map(drop)
    } else {
        skip(input, kind, depth.checked_add(1).filter(|depth| *depth <= DEPTH_MAX)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By hand: 7 rows, encoding 5, 9 bytes for 30, with statistics, a checksum and a field that nobody knows yet.
    const HEADER: [u8; 31] = [
        0x15, 0, 0x15, 60, 0x15, 18, 0x15, 6, // kind, unpacked, packed, checksum
        0x1c, 0x15, 14, 0x15, 10, 0x15, 6, 0x15, 6, // the page: rows, encoding, levels
        0x1c, 0x18, 2, 1, 2, 0x16, 4, 0, 0, // its statistics, and both ends
        0x59, 0x11, 1, 0, 0xff, // a list of one truth
    ];

    #[test]
    fn a_header_is_read_as_parquet_writes_it() {
        let mut input = Input(&HEADER);
        assert_eq!(header(&mut input), Some(Header { rows: 7, encoding: 5, packed: 9, unpacked: 30 }));
        assert_eq!(input.0, [0xff], "what is behind it is the page");
        for end in 0..HEADER.len() - 1 {
            assert_eq!(header(&mut Input(&HEADER[..end])), None, "cut at {end}");
        }
        // Pages of the second kind, and those that say a terabyte.
        for (at, byte) in [(1, 6), (8, 0x4c), (3, 0xff)] {
            let mut other = HEADER;
            other[at] = byte;
            assert_eq!(header(&mut Input(&other)), None, "{at}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_a_header_is_read_or_is_none(bytes in proptest::collection::vec(any::<u8>(), 0..80), at in 0..HEADER.len(), bits in any::<u8>()) {
            let _read_or_not = header(&mut Input(&bytes));
            let mut damaged = HEADER;
            damaged[at] ^= bits;
            let _read_or_not = header(&mut Input(&damaged));
        }
    }
}
