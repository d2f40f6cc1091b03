//! From register words to an exact number.

use units::Measured;

use crate::encoding::{Raw, interpret, join};
use crate::point::Point;

/// Why register words are not a reading.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The device's own way to say that it has no value.
    #[error("point {point} is not available on this device")]
    NotAvailable { point: String },
    /// A float register holds NaN or an infinity.
    #[error("point {point} is not a finite number")]
    NotFinite { point: String },
    /// The value does not fit a scaled 64-bit integer.
    #[error("point {point} is beyond what a reading can hold")]
    OutOfRange { point: String },
    /// The scale factor register holds no power of ten that SunSpec allows.
    #[error("point {point} has scale factor {found}; allowed: -10 to 10")]
    ScaleFactor { point: String, found: i16 },
    /// Registers of decimal digits or of a date hold something else.
    #[error("point {point} holds 0x{bits:X}, which is no {encoding}")]
    Malformed { point: String, encoding: &'static str, bits: u64 },
    /// The caller brought too many or too few words.
    #[error("point {point} takes {expected} words, found {found}")]
    Width { point: String, expected: usize, found: usize },
}

/// "Not implemented" in a SunSpec scale factor.
const FACTOR_ABSENT: u16 = 0x8000;

/// Reads one point out of its register words.
///
/// * Shape: `words` in the order of their addresses, [`Point::word_count`] of them, the scale factor last.
/// * Units: the profile's unit; the exponent is always [`Point::exponent`].
/// * Exactness: integers scale exactly. Floats, and values whose scale factor is finer than the point's step, are rounded once to
///   the step, half away from zero, from their exact binary value.
/// * Errors: the device's "no value" patterns, non-finite floats, overflow; never a silent zero.
pub fn decode(point: &Point, words: &[u16]) -> Result<Measured, DecodeError> {
    if words.len() != point.word_count() {
        return Err(DecodeError::Width { point: point.id.clone(), expected: point.word_count(), found: words.len() });
    }
    let (value, factor) = words.split_at(usize::from(point.encoding.words()));
    let bits = join(value, point.word_order, point.byte_order);
    if point.invalid.contains(&bits) {
        return Err(DecodeError::NotAvailable { point: point.id.clone() });
    }
    let factor = match factor.first() {
        None => 0,
        Some(&word) => power(point, word)?,
    };
    let steps = i32::from(point.scale.exponent) + i32::from(factor) - i32::from(point.exponent);
    let raw = match point.bits {
        Some(field) => Some(Raw::Integer(i128::from(field.of(bits)))),
        None => interpret(point.encoding, bits),
    };
    let malformed = || DecodeError::Malformed { point: point.id.clone(), encoding: point.encoding.name(), bits };
    let scaled = match raw.ok_or_else(malformed)? {
        Raw::Integer(integer) => {
            integer.checked_mul(i128::from(point.scale.mantissa)).and_then(|product| times_power_of_ten(product, steps))
        }
        Raw::Float(float) if float.is_finite() => times_binary(float, point.scale.mantissa, steps),
        Raw::Float(_) => return Err(DecodeError::NotFinite { point: point.id.clone() }),
    };
    let signed = scaled.map(|scaled| if point.negated { -scaled } else { scaled });
    let raw = signed.and_then(|scaled| i64::try_from(scaled).ok()).ok_or_else(|| DecodeError::OutOfRange { point: point.id.clone() })?;
    Ok(Measured { raw, exponent: point.exponent, unit: point.unit })
}

/// The power of ten in a scale factor register.
fn power(point: &Point, word: u16) -> Result<i8, DecodeError> {
    if word == FACTOR_ABSENT {
        return Err(DecodeError::NotAvailable { point: point.id.clone() });
    }
    let found = word.cast_signed();
    match i8::try_from(found) {
        Ok(power) if (-10..=10).contains(&power) => Ok(power),
        _ => Err(DecodeError::ScaleFactor { point: point.id.clone(), found }),
    }
}

/// `number * 10^power`, rounded half away from zero where the power is negative.
pub(crate) fn times_power_of_ten(number: i128, power: i32) -> Option<i128> {
    let factor = 10_i128.checked_pow(power.unsigned_abs())?;
    if power >= 0 { number.checked_mul(factor) } else { Some(divide(number, factor)) }
}

/// `number / divisor`, rounded half away from zero; the divisor is positive.
pub(crate) fn divide(number: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (number / divisor, number % divisor);
    if rest.abs() >= divisor - rest.abs() { quotient + number.signum() } else { quotient }
}

/// `float * factor * 10^power` for a power that is not negative, rounded half away from zero from the exact binary value.
fn times_binary(float: f64, factor: i64, power: i32) -> Option<i128> {
    let bits = float.to_bits();
    let fraction = i128::from(bits & ((1 << 52) - 1));
    let biased = i32::try_from((bits >> 52) & 0x7FF).ok()?;
    let (mantissa, shift) = if biased == 0 { (fraction, -1074) } else { (fraction | (1 << 52), biased - 1075) };
    if mantissa == 0 {
        return Some(0);
    }
    let factor = i128::from(factor).checked_mul(10_i128.checked_pow(u32::try_from(power).ok()?)?)?;
    let product = mantissa.checked_mul(factor)?;
    let magnitude = match shift {
        // A reading is a 64-bit integer: more than that is out of range anyhow.
        64.. => return None,
        0..64 => product.checked_mul(1 << shift)?,
        -126..0 => divide(product, 1 << -shift),
        _ => 0,
    };
    Some(if float.is_sign_negative() { -magnitude } else { magnitude })
}
