//! Numbers as they are written become whole numbers at a power of ten, without a float in between.

use super::Reason;

/// Digits that are read; a decimal has no more.
const DIGITS_MAX: u32 = 38;

/// The number that `text` writes, in units of 10^`exponent`, rounded half away from zero.
///
/// * Errors: it is no number, or is too large.
pub(crate) fn scaled(text: &[u8], exponent: i8) -> Result<i64, Reason> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (mut mantissa, mut digits, mut power, mut seen, mut point) = (0_u128, 0_u32, 0_i32, false, false);
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        match byte {
            b'0'..=b'9' => {
                seen = true;
                if digits < DIGITS_MAX {
                    mantissa = mantissa * 10 + u128::from(byte - b'0');
                    digits += u32::from(mantissa > 0);
                    power -= i32::from(point);
                } else {
                    // Only its place counts: what is this far to the right of the first digit changes nothing.
                    power += i32::from(!point);
                }
            }
            b'.' if !point => point = true,
            b'e' | b'E' if seen => break,
            _ => return Err(Reason::Value),
        }
        rest = after;
    }
    if let [_, power_of_ten @ ..] = rest {
        power = power.saturating_add(signed(power_of_ten)?);
    }
    if !seen {
        return Err(Reason::Value);
    }
    let magnitude = shifted(mantissa, power.saturating_sub(i32::from(exponent))).ok_or(Reason::Range)?;
    let value = i128::try_from(magnitude).map_err(|_too_large| Reason::Range)?;
    i64::try_from(if negative { -value } else { value }).map_err(|_too_large| Reason::Range)
}

/// `mantissa` × 10^`power`, rounded half up.
fn shifted(mantissa: u128, power: i32) -> Option<u128> {
    if mantissa == 0 {
        return Some(0);
    }
    let places = power.unsigned_abs();
    if power >= 0 {
        return mantissa.checked_mul(10_u128.checked_pow(places)?);
    }
    let Some(divisor) = 10_u128.checked_pow(places) else { return Some(0) };
    let (quotient, remainder) = (mantissa / divisor, mantissa % divisor);
    Some(quotient + u128::from(remainder >= divisor - remainder))
}

/// The power behind an `e`.
fn signed(text: &[u8]) -> Result<i32, Reason> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let power = whole(digits)?.min(100_000);
    let power = i32::try_from(power).map_err(|_too_large| Reason::Range)?;
    Ok(if negative { -power } else { power })
}

/// Digits and nothing else.
fn whole(digits: &[u8]) -> Result<i64, Reason> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Reason::Value);
    }
    Ok(digits.iter().fold(0_i64, |value, digit| value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))))
}

/// A whole number, as a field or a time has it.
///
/// * Errors: it is none (`not`), or too large.
pub(super) fn integer(text: &[u8], not: Reason) -> Result<i64, Reason> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(not);
    }
    let value = digits.iter().fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'));
    i64::try_from(if digits.len() == text.len() { value } else { -value }).map_err(|_too_large| not)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_what_is_kept() {
        let cases: [(&str, i8, i64); 16] = [
            ("230.1", -6, 230_100_000),
            ("-0.05", -2, -5),
            ("0", 0, 0),
            ("-0", -6, 0),
            ("1e3", 0, 1_000),
            ("1.5E+2", -1, 1_500),
            ("12e-1", -1, 12),
            (".5", -1, 5),
            ("7.", 0, 7),
            ("0.0000005", -6, 1),
            ("-0.0000005", -6, -1),
            ("0.00000049999", -6, 0),
            ("25.123456789012345", -6, 25_123_457),
            ("9223372036854775807", 0, i64::MAX),
            ("-9223372036854775808", 0, i64::MIN),
            ("1e-400", -6, 0),
        ];
        for (text, exponent, raw) in cases {
            assert_eq!(scaled(text.as_bytes(), exponent), Ok(raw), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", ".", "abc", "1.2.3", "--1", "+1", "1e", "1e+", "e5", "nan", "NaN", "inf", "-Inf", "0x10", "1_000", "1 "] {
            assert_eq!(scaled(text.as_bytes(), -6), Err(Reason::Value), "{text}");
        }
        for text in ["9223372036854775808", "1e300", "1e99999999999999999999", "10000000000000"] {
            let exponent = if text.len() == 14 { -6 } else { 0 };
            assert_eq!(scaled(text.as_bytes(), exponent), Err(Reason::Range), "{text}");
        }
        for text in ["", "-", "1.0", "1e3", "99999999999999999999", "9223372036854775808", "+1"] {
            assert_eq!(integer(text.as_bytes(), Reason::Time), Err(Reason::Time), "{text}");
        }
        assert_eq!(integer(b"-9223372036854775808", Reason::Time), Ok(i64::MIN));
    }

    proptest! {
        /// The way back: a decimal text of a whole number of millionths is that number.
        #[test]
        fn decimals_come_back_exactly(raw: i64) {
            let measured = units::Measured { raw, exponent: -6, unit: units::Unit::Watt };
            prop_assert_eq!(scaled(measured.decimal_text().as_bytes(), -6), Ok(raw));
        }

        /// Beside the float that other servers make of it.
        #[test]
        fn never_further_than_half_a_unit_from_the_float(value in -1e9_f64..1e9) {
            let raw = scaled(value.to_string().as_bytes(), -3).unwrap();
            #[expect(clippy::cast_precision_loss, reason = "at most 10^12")]
            let back = raw as f64 / 1e3;
            prop_assert!((back - value).abs() <= 0.000_500_1, "{} became {}", value, back);
        }

        #[test]
        fn any_bytes_are_a_number_or_refused(text in proptest::collection::vec(any::<u8>(), 0..40), exponent in -18_i8..=18) {
            let float = std::str::from_utf8(&text).ok().and_then(|text| text.parse::<f64>().ok());
            if scaled(&text, exponent).is_ok() {
                prop_assert!(float.is_some_and(f64::is_finite) || float.is_some(), "{:?}", text);
            }
        }
    }
}
