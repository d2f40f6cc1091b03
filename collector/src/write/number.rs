//! Numbers as they are written become whole numbers at a power of ten, without a float in between.

use super::Reason;

/// Digits that are read; a decimal has no more.
const DIGITS_MAX: u32 = 38;
/// Digits that always fit into 64 bits: almost every number has fewer, and wider arithmetic takes several times as long.
const SMALL_DIGITS: u32 = 19;

/// The number that `text` writes, in units of 10^`exponent`, rounded half away from zero.
///
/// * Errors: it is no number, or is too large.
pub(crate) fn scaled(text: &[u8], exponent: i8) -> Result<i64, Reason> {
    Decimal::read(text)?.scaled(exponent)
}

/// A number as it is written: ± `mantissa` × 10^`power`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    mantissa: u128,
    power: i32,
}

impl Decimal {
    pub(crate) const ONE: Self = Self { negative: false, mantissa: 1, power: 0 };

    /// `mantissa` × 10^`power`.
    pub(crate) fn new(mantissa: i64, power: i32) -> Self {
        Self { negative: mantissa < 0, mantissa: u128::from(mantissa.unsigned_abs()), power }
    }

    /// * Errors: it is no number, or its power of ten is none.
    pub(crate) fn read(text: &[u8]) -> Result<Self, Reason> {
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let (mut small, mut wide) = (0_u64, 0_u128);
        let (mut digits, mut power, mut seen, mut point) = (0_u32, 0_i32, false, false);
        let mut rest = text;
        while let [byte, after @ ..] = rest {
            match byte {
                b'0'..=b'9' => {
                    seen = true;
                    if digits < SMALL_DIGITS {
                        small = small * 10 + u64::from(byte - b'0');
                        digits += u32::from(small > 0);
                        power -= i32::from(point);
                    } else if digits < DIGITS_MAX {
                        wide = wide * 10 + u128::from(byte - b'0');
                        digits += 1;
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
        let behind = 10_u128.pow(digits.saturating_sub(SMALL_DIGITS));
        let mantissa = u128::from(small) * behind + wide;
        if seen { Ok(Self { negative, mantissa, power }) } else { Err(Reason::Value) }
    }

    /// In units of 10^`exponent`, rounded half away from zero.
    ///
    /// * Errors: it is too large.
    pub(crate) fn scaled(self, exponent: i8) -> Result<i64, Reason> {
        if let Some(value) = self.scaled_small(exponent) {
            return Ok(value);
        }
        let magnitude = shifted(self.mantissa, self.power.saturating_sub(i32::from(exponent))).ok_or(Reason::Range)?;
        let value = i128::try_from(magnitude).map_err(|_too_large| Reason::Range)?;
        i64::try_from(if self.negative { -value } else { value }).map_err(|_too_large| Reason::Range)
    }

    /// As [`Self::scaled`], where 64 bits are enough and nothing has to be rounded.
    fn scaled_small(self, exponent: i8) -> Option<i64> {
        let places = u32::try_from(self.power.checked_sub(i32::from(exponent))?).ok()?;
        let magnitude = u64::try_from(self.mantissa).ok()?.checked_mul(10_u64.checked_pow(places)?)?;
        let value = i64::try_from(magnitude).ok()?;
        Some(if self.negative { -value } else { value })
    }

    /// The product, with every digit.
    ///
    /// * Errors: it has more digits than are kept.
    pub(crate) fn times(self, other: Self) -> Result<Self, Reason> {
        let mantissa = self.mantissa.checked_mul(other.mantissa).ok_or(Reason::Range)?;
        Ok(Self { negative: self.negative != other.negative, mantissa, power: self.power.saturating_add(other.power) })
    }

    pub(crate) const fn is_zero(self) -> bool {
        self.mantissa == 0
    }
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
    // Nineteen digits fit.
    let value = i128::from(digits.iter().fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0')));
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

        /// Whatever the length: as arithmetic that is always wide finds it.
        #[test]
        fn any_digits_are_read_as_they_stand(before in "[0-9]{0,30}", behind in "[0-9]{1,24}", negative: bool, exponent in -12_i8..=3) {
            let text = format!("{}{before}.{behind}", if negative { "-" } else { "" });
            let digits = format!("{before}{behind}");
            let significant: String = digits.trim_start_matches('0').chars().take(38).collect();
            let cut = digits.trim_start_matches('0').len() - significant.len();
            let power = i32::try_from(cut).unwrap() - i32::try_from(behind.len()).unwrap() - i32::from(exponent);
            let wide = shifted(significant.parse().unwrap_or(0), power).and_then(|value| i128::try_from(value).ok());
            let expected = wide.and_then(|value| i64::try_from(if negative { -value } else { value }).ok());
            prop_assert_eq!(scaled(text.as_bytes(), exponent).ok(), expected, "{}", text);
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
