//! Differences of numbers in blocks of our own choice: `DELTA_BINARY_PACKED`.
//!
//! The parquet crate writes blocks of 256 numbers, each with a least difference of its own and as many bits as its widest needs.
//! Much is lost with that:
//!
//! * A step from one series to the next widens 64 values. Blocks of the least size that Parquet has lose 32: [`Blocks::Narrow`].
//! * Steps that are seldom cost as much as those that are frequent. In whole bytes, from one least difference, zstd sees which are
//!   which, and gives each as many bits as it deserves: [`Blocks::Common`]. A page of values is the smaller of the two.
//! * Times and entries of the log repeat themselves from series to series, but bits that begin anywhere in a byte do not look
//!   alike. In whole bytes, and long blocks, zstd finds them again: [`Blocks::Even`].
//!
//! * Source: Apache Parquet, "Encodings": `DELTA_BINARY_PACKED`.

use crate::varint::{put_varint, zigzag};

/// How the differences of a page are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocks {
    /// In the smallest that there are, each as narrow as it can be: for values that nothing else packs.
    Narrow,
    /// In small parts of whole bytes, above what most of them have in common.
    Common,
    /// In large ones of whole bytes: for what repeats itself.
    Even,
}

/// Numbers in a block and in its parts, which are as many as the widths that a block has.
const NARROW: (usize, usize) = (128, 32);
const COMMON: (usize, usize) = (1_024, 32);
const EVEN: (usize, usize) = (4_096, 4_096);

/// Appends the numbers as their differences, in the wrapping arithmetic of 64 bits, or of 32.
pub(super) fn differences(values: &[i64], blocks: Blocks, is_short: bool, body: &mut Vec<u8>) {
    let wrapped = |step: i64| if is_short { step << 32 >> 32 } else { step };
    let bits = if is_short { u64::from(u32::MAX) } else { u64::MAX };
    let steps: Vec<i64> = values.iter().zip(values.iter().skip(1)).map(|(one, next)| wrapped(next.wrapping_sub(*one))).collect();
    let (block, part) = match blocks {
        Blocks::Narrow => NARROW,
        Blocks::Common => COMMON,
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
    let least_of_all = match blocks {
        Blocks::Narrow => None,
        Blocks::Common => Some(common(&steps, part)),
        Blocks::Even => Some(least(&steps)),
    };
    for steps in steps.chunks(block) {
        let least = least_of_all.unwrap_or_else(|| least(steps));
        put_varint(body, zigzag(least));
        let above = |step: &i64| step.wrapping_sub(least).cast_unsigned() & bits;
        let width = |steps: &[i64]| {
            let bits = u64::BITS - steps.iter().map(above).fold(0, |all, one| all | one).leading_zeros();
            if blocks == Blocks::Narrow { bits } else { bits.next_multiple_of(8) }
        };
        let widths: Vec<u32> = steps.chunks(part).map(width).collect();
        body.extend((0..block / part).map(|at| widths.get(at).map_or(0, |width| u8::try_from(*width).unwrap_or(0))));
        for (steps, width) in steps.chunks(part).zip(widths) {
            pack(steps.iter().map(above), width, part, body);
        }
    }
}

fn least(steps: &[i64]) -> i64 {
    steps.iter().min().copied().unwrap_or(0)
}

/// The difference from which on most parts need the fewest bytes. The few that have a lower one, as where another series begins, go
/// round the end of the numbers for it, and take all eight.
fn common(steps: &[i64], part: usize) -> i64 {
    /// So many bytes are about what is left by zstd of a part that goes round.
    const ROUND: u32 = 3;
    let parts: Vec<(i64, i64)> = steps.chunks(part).map(|steps| (least(steps), steps.iter().max().copied().unwrap_or(0))).collect();
    let mut candidates: Vec<i64> = parts.iter().map(|(least, _)| *least).collect();
    candidates.sort_unstable();
    let bytes = |from: i64| -> u32 {
        let of_part = |(least, most): &(i64, i64)| {
            if *least < from { ROUND } else { (u64::BITS - most.wrapping_sub(from).cast_unsigned().leading_zeros()).div_ceil(8) }
        };
        parts.iter().map(of_part).sum()
    };
    // The lower half has all that can be most: sixteen of them lie close enough.
    let half = candidates.len().div_ceil(2).max(1);
    candidates.iter().take(half).step_by(half.div_ceil(16)).copied().min_by_key(|from| bytes(*from)).unwrap_or(0)
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
        prop_oneof![Just(Blocks::Narrow), Just(Blocks::Common), Just(Blocks::Even)]
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

    }

    /// A step that is far below the others takes eight bytes, and thirty-one beside it do: the others stay at one.
    #[test]
    fn where_another_series_begins_the_rest_stays_narrow() {
        let series = |from: i64| (0..500).map(move |at| from + at * 100 + at * at % 90);
        let values: Vec<i64> = (0..20).flat_map(|number| series(1_000_000 - number * 1_000)).collect();
        let (mut common, mut narrow) = (Vec::new(), Vec::new());
        differences(&values, Blocks::Common, false, &mut common);
        differences(&values, Blocks::Narrow, false, &mut narrow);
        assert!(common.len() < values.len() + 20 * 32 * 7 + 600, "{} bytes", common.len());
        let packed = |body: &[u8]| zstd::bulk::compress(body, 1).unwrap().len();
        assert!(packed(&common) < packed(&narrow) * 95 / 100, "{} and {} bytes", packed(&common), packed(&narrow));
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
