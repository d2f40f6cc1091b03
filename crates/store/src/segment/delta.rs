//! The three encodings that our segments have: differences of numbers, bytes that share their beginning with the bytes
//! before them, and which rows have a value at all.
//!
//! The parquet crate reads them too, but gives every value of bytes an allocation or three of its own, and a year of
//! one series has half a million. Everything here checks what it reads: a damaged page is `None` and never a panic.
//!
//! * Source: Apache Parquet, "Encodings": `DELTA_BINARY_PACKED`, `DELTA_BYTE_ARRAY`, the RLE / bit-packing hybrid.

use crate::row::Words;
use crate::varint::Input;

/// Appends `count` numbers, in the wrapping arithmetic of 64 bits; `input` is behind them then.
///
/// * Shape: numbers of 32 bits are the low halves of what is appended.
pub(super) fn numbers(input: &mut Input<'_>, count: usize, values: &mut Vec<i64>) -> Option<()> {
    let (block, minis, found): (usize, usize, usize) = (input.number()?, input.number()?, input.number()?);
    let first = input.zigzag()?;
    let of_mini = block.checked_div(minis)?;
    if found != count || of_mini == 0 || of_mini % 8 != 0 || of_mini > OF_MINI_MAX {
        return None;
    }
    if count == 0 {
        return Some(());
    }
    values.reserve(count);
    values.push(first);
    let (mut last, mut left) = (first, count - 1);
    while left > 0 {
        let least = input.zigzag()?;
        for width in input.take(minis)? {
            let (width, here) = (usize::from(*width), left.min(of_mini));
            if here == 0 {
                break;
            }
            if width > 64 || input.0.len() < width * (of_mini / 8) {
                return None;
            }
            if width == 0 {
                values.extend((0..here).map(|_| {
                    last = last.wrapping_add(least);
                    last
                }));
            } else if width == 8 {
                values.extend(input.0.iter().take(here).map(|above| {
                    last = last.wrapping_add(least).wrapping_add(i64::from(*above));
                    last
                }));
            } else {
                let packed = Packed { bytes: input.0, width, mask: u64::MAX >> (64 - width) };
                values.extend((0..here).map(|index| {
                    last = last.wrapping_add(least).wrapping_add(packed.at(index).cast_signed());
                    last
                }));
            }
            input.take(width * (of_mini / 8))?;
            left -= here;
        }
    }
    Some(())
}

/// Larger ones are not believed; ours have 32 numbers, or 4,096.
const OF_MINI_MAX: usize = 1 << 16;

/// Numbers of `width` bits each, lowest bit first. What lies behind them is read over, and masked away.
#[derive(Clone, Copy, Debug)]
struct Packed<'a> {
    bytes: &'a [u8],
    width: usize,
    mask: u64,
}

impl Packed<'_> {
    fn at(self, index: usize) -> u64 {
        let bit = index * self.width;
        let (byte, shift) = (bit / 8, bit % 8);
        let mut value = eight(self.bytes, byte) >> shift;
        if shift + self.width > 64 {
            value |= u64::from(self.bytes.get(byte + 8).copied().unwrap_or(0)) << (64 - shift);
        }
        value & self.mask
    }
}

/// Eight bytes from `at` on, with zeros behind the end.
fn eight(bytes: &[u8], at: usize) -> u64 {
    if let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        return u64::from_le_bytes(*eight);
    }
    let mut eight = [0; 8];
    for (place, byte) in eight.iter_mut().zip(bytes.get(at..).unwrap_or_default()) {
        *place = *byte;
    }
    u64::from_le_bytes(eight)
}

/// Appends `count` values of one to eight bytes each. `lengths` is room that is used again.
pub(super) fn words(input: &mut Input<'_>, count: usize, lengths: &mut Vec<i64>, values: &mut Vec<Words>) -> Option<()> {
    lengths.clear();
    numbers(input, count, lengths)?;
    numbers(input, count, lengths)?;
    let (shared, own) = lengths.split_at_checked(count)?;
    values.reserve(count);
    // The value before, from the top of a number down: what it shares is kept by a mask.
    let (mut before, mut before_len, mut at) = (0_u64, 0, 0_usize);
    for (shared, own) in shared.iter().zip(own) {
        // The second number in a Parquet column of 32 bits may have anything above them.
        let (shared, own) = (low_half(*shared)?, low_half(*own)?);
        if shared > before_len || shared + own > 8 {
            return None;
        }
        let end = at.checked_add(own)?;
        if end > input.0.len() {
            return None;
        }
        let kept = before & top(shared);
        let new = eight(input.0, at).swap_bytes() & top(own);
        before = kept | new.checked_shr(u32::try_from(shared * 8).ok()?).unwrap_or(0);
        (before_len, at) = (shared + own, end);
        values.push(Words::from_parts(u8::try_from(before_len).ok()?, before.to_be_bytes())?);
    }
    input.take(at).map(|_| ())
}

/// The bits of so many bytes from the top.
fn top(bytes: usize) -> u64 {
    if bytes == 0 { 0 } else { u64::MAX << (64 - 8 * bytes) }
}

fn low_half(number: i64) -> Option<usize> {
    let [a, b, c, d, ..] = number.to_le_bytes();
    usize::try_from(i32::from_le_bytes([a, b, c, d])).ok()
}

/// Appends for each of `count` rows whether it has a value; `input` is behind them then.
pub(super) fn present(input: &mut Input<'_>, count: usize, rows: &mut Vec<bool>) -> Option<()> {
    let len = usize::try_from(u32::from_le_bytes(*input.take(4)?.first_chunk()?)).ok()?;
    let mut runs = Input(input.take(len)?);
    let end = rows.len().checked_add(count)?;
    while rows.len() < end {
        let head = runs.varint()?;
        let left = end - rows.len();
        let many = usize::try_from(head >> 1).ok()?;
        if head & 1 == 0 {
            let value = runs.byte()? & 1 == 1;
            rows.resize(rows.len() + many.min(left), value);
            if many == 0 {
                return None;
            }
        } else {
            let bits = runs.take(many)?;
            rows.extend(bits.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1)).take(left));
            if many == 0 {
                return None;
            }
        }
    }
    Some(())
}
