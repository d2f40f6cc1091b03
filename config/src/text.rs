//! Quantities that are written with their unit: `"15s"`, `"64MiB"`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a quantity with a unit could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Not a whole number directly followed by one of the units.
    #[error("\"{found}\" is not {noun}; write a whole number and a unit: {units}")]
    Shape { found: String, noun: &'static str, units: &'static str },
    /// More than can be counted.
    #[error("\"{found}\" is more than can be counted")]
    TooLarge { found: String },
}

/// A span of time as written in a configuration: `"500ms"`, `"15s"`, `"1m"`, `"1h"`, `"1d"`.
///
/// * Units: whole milliseconds; `1d` is 24 hours, not a day of a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DurationText(Duration);

const DURATION_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl DurationText {
    /// Of whole milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// Of whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// The span itself.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl From<DurationText> for Duration {
    fn from(text: DurationText) -> Self {
        text.0
    }
}

impl FromStr for DurationText {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        quantity(text, "a duration", "ms, s, m, h or d", &DURATION_UNITS).map(Self::from_millis)
    }
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Built from whole milliseconds, at most u64 of them.
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        write_quantity(f, millis, &DURATION_UNITS)
    }
}

/// A number of bytes as written in a configuration: `"512B"`, `"64MiB"`, `"2GiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSizeText(u64);

const BYTE_UNITS: [(&str, u64); 5] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

impl ByteSizeText {
    /// Of bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSizeText {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        quantity(text, "a size", "B, KiB, MiB, GiB or TiB", &BYTE_UNITS).map(Self)
    }
}

impl fmt::Display for ByteSizeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_quantity(f, self.0, &BYTE_UNITS)
    }
}

/// Reads a whole number and a unit, in the smallest unit. A space between them is allowed, a sign is not.
fn quantity(text: &str, noun: &'static str, units: &'static str, table: &[(&str, u64)]) -> Result<u64, TextError> {
    let shape = || TextError::Shape { found: text.to_owned(), noun, units };
    let too_large = || TextError::TooLarge { found: text.to_owned() };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = table.iter().find(|(name, _)| *name == unit.trim_start()).ok_or_else(shape)?;
    if number.is_empty() {
        return Err(shape());
    }
    // Digits only, so the one thing that can be wrong is the size.
    let number: u64 = number.parse().map_err(|_| too_large())?;
    number.checked_mul(*factor).ok_or_else(too_large)
}

/// Writes with the largest unit that divides without a rest.
fn write_quantity(f: &mut fmt::Formatter<'_>, smallest: u64, table: &[(&str, u64)]) -> fmt::Result {
    let fits = table.iter().rev().find(|(_, factor)| smallest != 0 && smallest.is_multiple_of(*factor));
    match fits.or(table.first()) {
        Some((unit, factor)) => write!(f, "{}{unit}", smallest / factor),
        None => write!(f, "{smallest}"),
    }
}

macro_rules! serde_as_text {
    ($($name:ident $expecting:literal),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    )*};
}

serde_as_text!(
    DurationText "a duration with its unit in quotes, like \"15s\"",
    ByteSizeText "a size with its unit in quotes, like \"64MiB\""
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_and_sizes_read_as_written() {
        for (text, millis) in [("0s", 0), ("500ms", 500), ("15s", 15_000), ("2 m", 120_000), ("1h", 3_600_000), ("1d", 86_400_000)] {
            assert_eq!(text.parse::<DurationText>().unwrap(), DurationText::from_millis(millis), "{text}");
        }
        for (text, bytes) in [("0B", 0), ("64MiB", 64 << 20), ("3 GiB", 3 << 30)] {
            assert_eq!(text.parse::<ByteSizeText>().unwrap(), ByteSizeText::from_bytes(bytes), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_units() {
        for text in ["", "15", "s", "-1s", "1.5s", "15 seconds", "15S", "15sec", "１５s"] {
            assert!(matches!(text.parse::<DurationText>(), Err(TextError::Shape { .. })), "{text}");
        }
        assert!(matches!("64MB".parse::<ByteSizeText>(), Err(TextError::Shape { .. })));
        assert!(matches!("99999999999999999999TiB".parse::<ByteSizeText>(), Err(TextError::TooLarge { .. })));
        assert!(matches!("18446744073709551615KiB".parse::<ByteSizeText>(), Err(TextError::TooLarge { .. })));
        insta::assert_snapshot!("15".parse::<DurationText>().unwrap_err(), @r#""15" is not a duration; write a whole number and a unit: ms, s, m, h or d"#);
    }

    proptest! {
        #[test]
        fn written_and_read_again_is_the_same(number: u64) {
            let duration = DurationText::from_millis(number);
            prop_assert_eq!(duration.to_string().parse::<DurationText>().unwrap(), duration);
            let size = ByteSizeText::from_bytes(number);
            prop_assert_eq!(size.to_string().parse::<ByteSizeText>().unwrap(), size);
        }
    }
}
