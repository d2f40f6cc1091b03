//! Numbers whose registers hold decimal digits.

/// The number in binary coded decimal digits; `None` where four bits are no digit.
pub(super) fn of_bcd(bits: u64) -> Option<u64> {
    (0..16).rev().try_fold(0_u64, |number, place| {
        let digit = (bits >> (4 * place)) & 0xF;
        (digit <= 9).then(|| number * 10 + digit)
    })
}

/// The binary coded decimal digits of a number; `None` where it has more than fit.
pub(super) fn bcd(number: u64, words: u16) -> Option<u64> {
    let digits = 4 * u32::from(words);
    (number < 10_u64.checked_pow(digits)?)
        .then(|| (0..digits).fold(0, |bits, place| bits | ((number / 10_u64.pow(place) % 10) << (4 * place))))
}

/// The number in registers of four decimal digits each; `None` where one is beyond 9999 or the signs differ.
pub(super) fn of_mod10k(bits: u64, words: u16) -> Option<i128> {
    let mut number = 0_i128;
    for place in (0..words).rev() {
        let [.., high, low] = (bits >> (16 * u32::from(place))).to_be_bytes();
        let group = i128::from(i16::from_be_bytes([high, low]));
        if group.abs() > 9999 || number.signum() * group.signum() < 0 {
            return None;
        }
        number = number * 10_000 + group;
    }
    Some(number)
}

/// The registers of four decimal digits each, all with the sign of the number; `None` where it has more than fit.
pub(super) fn mod10k(number: i128, words: u16) -> Option<u64> {
    if number.unsigned_abs() >= 10_000_u128.checked_pow(u32::from(words))? {
        return None;
    }
    let mut bits = 0;
    for place in 0..u32::from(words) {
        let group = i16::try_from(number / 10_000_i128.pow(place) % 10_000).ok()?;
        bits |= u64::from(group.cast_unsigned()) << (16 * place);
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_and_written() {
        assert_eq!(of_bcd(0x0000_0000_1234_5678), Some(12_345_678));
        assert_eq!(of_bcd(0x9999_9999_9999_9999), Some(9_999_999_999_999_999));
        assert_eq!(of_bcd(0x12A4), None);
        assert_eq!(bcd(12_345_678, 2), Some(0x1234_5678));
        assert_eq!(bcd(10_000, 1), None);
    }

    #[test]
    fn four_digits_a_register() {
        // 1234 5678 in two registers, high one first: 0x04D2, 0x162E.
        assert_eq!(of_mod10k(0x04D2_162E, 2), Some(12_345_678));
        assert_eq!(mod10k(12_345_678, 2), Some(0x04D2_162E));
        // -1 and -2: both registers carry the sign.
        assert_eq!(of_mod10k(0xFFFF_FFFE, 2), Some(-10_002));
        assert_eq!(mod10k(-10_002, 2), Some(0xFFFF_FFFE));
        assert_eq!(of_mod10k(0x0001_FFFF, 2), None, "one sign per number");
        assert_eq!(of_mod10k(0x2710_0000, 2), None, "10,000 is no group of four digits");
        assert_eq!(mod10k(100_000_000, 2), None);
    }
}
