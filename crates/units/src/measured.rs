//! A value as a device gave it: a whole number and a power of ten.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Unit;

/// `raw` times ten to the `exponent`, in `unit`. Exact: no float on the way from the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Measured {
    /// The whole number.
    pub raw: i64,
    /// The power of ten.
    pub exponent: i8,
    /// The unit.
    pub unit: Unit,
}

/// Why a number cannot be carried over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeasuredError {
    /// The text is not a decimal number that fits.
    #[error("`{0}` is not a decimal number of at most 18 digits")]
    Text(String),
    /// The number does not fit the other power of ten.
    #[error("{0} cannot be written exactly with exponent {1}")]
    Exponent(Measured, i8),
}

impl Measured {
    /// Reads a decimal number such as `-12.50`; the exponent is minus the number of decimals.
    pub fn parse(text: &str, unit: Unit) -> Result<Self, MeasuredError> {
        let refused = || MeasuredError::Text(text.to_owned());
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, decimals) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = format!("{whole}{decimals}");
        if whole.is_empty() || digits.len() > 18 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refused());
        }
        let magnitude: i64 = digits.parse().map_err(|_overflow| refused())?;
        let exponent = i8::try_from(decimals.len()).map(|count| -count).map_err(|_overflow| refused())?;
        Ok(Self { raw: if text.starts_with('-') { -magnitude } else { magnitude }, exponent, unit })
    }

    /// The same value with another exponent, if it is still exact.
    pub fn rescale(self, exponent: i8) -> Result<Self, MeasuredError> {
        let refused = MeasuredError::Exponent(self, exponent);
        let shift = i32::from(self.exponent) - i32::from(exponent);
        let power = 10_i64.checked_pow(shift.unsigned_abs());
        let raw = match power {
            _ if self.raw == 0 => Some(0),
            Some(power) if shift >= 0 => self.raw.checked_mul(power),
            Some(power) if self.raw % power == 0 => Some(self.raw / power),
            _ => None,
        };
        raw.map(|raw| Self { raw, exponent, unit: self.unit }).ok_or(refused)
    }

    /// The value as decimal text, without an exponent and without trailing zeros beyond the point: `230.1`, `-0.05`, `1200`.
    #[must_use]
    pub fn decimal_text(self) -> String {
        let sign = if self.raw < 0 { "-" } else { "" };
        let digits = self.raw.unsigned_abs().to_string();
        if self.raw == 0 {
            return "0".to_owned();
        }
        let Ok(decimals) = usize::try_from(-i32::from(self.exponent)) else {
            return format!("{sign}{digits}{}", "0".repeat(usize::from(self.exponent.unsigned_abs())));
        };
        let padded = format!("{digits:0>width$}", width = decimals + 1);
        let (whole, fraction) = padded.split_at(padded.len() - decimals);
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }

    /// The nearest float, for charts and models; never for money.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "charts and models work with 53 bits")]
        let raw = self.raw as f64;
        let power = 10_f64.powi(i32::from(self.exponent.unsigned_abs()));
        if self.exponent < 0 { raw / power } else { raw * power }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal_text(), self.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_and_back_is_the_same_value(raw in -999_999_999_999_i64..999_999_999_999, exponent in -9_i8..=0) {
            let measured = Measured { raw, exponent, unit: Unit::Watt };
            let read = Measured::parse(&measured.decimal_text(), Unit::Watt).unwrap();
            prop_assert_eq!(read.rescale(exponent).unwrap(), measured);
            let float: f64 = measured.decimal_text().parse().unwrap();
            prop_assert!((measured.to_f64() - float).abs() <= float.abs() * f64::EPSILON);
        }

        /// Another exponent is another spelling of the same value, or refused.
        #[test]
        fn rescaling_never_changes_the_value(raw: i64, exponent in -18_i8..=18, other in -18_i8..=18) {
            let measured = Measured { raw, exponent, unit: Unit::Watt };
            if let Ok(spelled) = measured.rescale(other) {
                prop_assert_eq!((spelled.exponent, spelled.decimal_text()), (other, measured.decimal_text()));
            } else {
                prop_assert!(raw != 0 && other != exponent);
            }
        }
    }

    #[test]
    fn text_is_what_a_display_shows() {
        let text = |raw, exponent| Measured { raw, exponent, unit: Unit::Volt }.decimal_text();
        assert_eq!(text(2301, -1), "230.1");
        assert_eq!(text(-5, -2), "-0.05");
        assert_eq!(text(12, 2), "1200");
        assert_eq!(text(2300, -1), "230");
        assert_eq!(text(0, -3), "0");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for bad in ["", "-", ".5", "1e3", "nan", "1.2.3", "--1", "1234567890123456789"] {
            assert!(Measured::parse(bad, Unit::Watt).is_err(), "{bad}");
        }
        assert!(Measured { raw: 5, exponent: -1, unit: Unit::Watt }.rescale(0).is_err());
    }
}
