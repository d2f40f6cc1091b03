//! Files of quarters as one version of ours wrote them: each number as what it adds to one that is there already. They are read, and no
//! longer written; where readings were dropped, such a file is all there is.

use super::quarter::QUARTER_MS;

/// Makes of the cells of a row what a plain file has in them; `None` when they cannot be.
///
/// * Shape: the columns in their order. `start_ms` counted quarters from 1970; `from_ms` was behind it, `to_ms` behind that; `lsn_to`
///   behind `lsn_from`; `first_ms` behind `from_ms`, `last_ms` behind that; `first` over `base`; `smallest`, `largest` and `last` over
///   `first`, and `sum` over as many times `first`, with its sign in the lowest bit.
pub(super) fn undo(cells: &mut [i64; 13], figures: &mut [Option<i64>; 9], base: i64) -> Option<()> {
    let [_, start_ms, _, good, uncertain, _, _, _, from_ms, to_ms, _, lsn_from, lsn_to] = cells;
    *start_ms = start_ms.checked_mul(QUARTER_MS)?;
    *from_ms = from_ms.wrapping_add(*start_ms);
    *to_ms = to_ms.wrapping_add(*from_ms);
    *lsn_to = lsn_to.wrapping_add(*lsn_from);
    let [Some(smallest), Some(largest), Some(low), Some(first_ms), Some(first), Some(last_ms), Some(last), Some(high), _] = figures else {
        return Some(());
    };
    *first = first.wrapping_add(base);
    *first_ms = first_ms.wrapping_add(*from_ms);
    *last_ms = last_ms.wrapping_add(*first_ms);
    for over in [smallest, largest, last] {
        *over = over.wrapping_add(*first);
    }
    let bits = u128::from(high.cast_unsigned()) << 64 | u128::from(low.cast_unsigned());
    let over = (bits >> 1).cast_signed() ^ -((bits & 1).cast_signed());
    let sum = i128::from(*first).wrapping_mul(i128::from(*good) + i128::from(*uncertain)).wrapping_add(over);
    let half = |sum: i128| i64::from_le_bytes(sum.to_le_bytes().first_chunk().copied().unwrap_or_default());
    (*low, *high) = (half(sum), half(sum >> 64));
    Some(())
}
