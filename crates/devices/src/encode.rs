//! From a number to register words: the way back, for simulated meters and for the law that decoding is exact.

use units::{Measured, Unit};

use crate::decode::{divide, times_power_of_ten};
use crate::encoding::{Encoding, integer_bits, split};
use crate::point::Point;

/// Why a number cannot be put into a point's registers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("point {point} is in {}, not in {}", expected.symbol(), found.symbol())]
    Unit { point: String, expected: Unit, found: Unit },
    #[error("value does not fit the registers of point {point}")]
    OutOfRange { point: String },
    /// The registers would say "no value".
    #[error("value of point {point} would read as not available")]
    Reserved { point: String },
}

/// Writes one point into register words, as its device would.
///
/// * Shape: [`Point::word_count`] words, the scale factor last, as [`decode`](crate::decode) expects them.
/// * Exactness: the nearest number the registers can hold, half away from zero; what `decode` returned comes back unchanged.
/// * Errors: another unit, a number too large, a number that collides with the device's "no value" pattern.
pub fn encode(point: &Point, measured: Measured) -> Result<Vec<u16>, EncodeError> {
    if measured.unit != point.unit {
        return Err(EncodeError::Unit { point: point.id.clone(), expected: point.unit, found: measured.unit });
    }
    let typical = point.scale_factor.map_or(0, |factor| factor.typical);
    let power = i32::from(measured.exponent) - i32::from(point.scale.exponent) - i32::from(typical);
    let bits = match (if point.negated { measured.raw.checked_neg() } else { Some(measured.raw) }, point.encoding.is_float()) {
        (Some(raw), true) => float_bits(point, raw, power),
        (Some(raw), false) => scaled_bits(point, raw, power),
        (None, _) => None,
    };
    let bits = bits.ok_or_else(|| EncodeError::OutOfRange { point: point.id.clone() })?;
    if point.invalid.contains(&bits) {
        return Err(EncodeError::Reserved { point: point.id.clone() });
    }
    let mut words = split(bits, point.encoding.words(), point.word_order, point.byte_order);
    if point.scale_factor.is_some() {
        words.push(i16::from(typical).cast_unsigned());
    }
    Ok(words)
}

/// The words with which this device says that it has no value, where it has a way to say so.
#[must_use]
pub fn absent(point: &Point) -> Option<Vec<u16>> {
    let bits = point.invalid.first().copied().or(match point.encoding {
        Encoding::F32 => Some(u64::from(f32::NAN.to_bits())),
        Encoding::F64 => Some(f64::NAN.to_bits()),
        _ => None,
    })?;
    let mut words = split(bits, point.encoding.words(), point.word_order, point.byte_order);
    if let Some(factor) = point.scale_factor {
        words.push(i16::from(factor.typical).cast_unsigned());
    }
    Some(words)
}

fn scaled_bits(point: &Point, raw: i64, power: i32) -> Option<u64> {
    let integer = if power >= 0 {
        divide(times_power_of_ten(i128::from(raw), power)?, i128::from(point.scale.mantissa))
    } else {
        // One division, so that there is one rounding.
        let divisor = 10_i128.checked_pow(power.unsigned_abs())?.checked_mul(i128::from(point.scale.mantissa))?;
        divide(i128::from(raw), divisor)
    };
    match point.bits {
        Some(field) => field.place(u64::try_from(integer).ok()?),
        None => integer_bits(point.encoding, integer),
    }
}

/// Decimal text is the intermediate, because the standard library's parser is correctly rounded. It is exact where the scale is a
/// power of ten; a transformer's ratio leaves it with eighteen more digits than the number has, far finer than any float.
fn float_bits(point: &Point, raw: i64, power: i32) -> Option<u64> {
    let text = match point.scale.mantissa {
        1 => format!("{raw}e{power}"),
        mantissa => format!("{}e{}", divide(times_power_of_ten(i128::from(raw), 18)?, i128::from(mantissa)), power - 18),
    };
    if point.encoding == Encoding::F32 {
        text.parse().ok().filter(|float: &f32| float.is_finite()).map(|float| u64::from(float.to_bits()))
    } else {
        text.parse().ok().filter(|float: &f64| float.is_finite()).map(f64::to_bits)
    }
}
