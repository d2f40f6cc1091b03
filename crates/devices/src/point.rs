//! One quantity of a device: where it lies, how it is coded, and what one step of it is worth.

use units::Unit;

use crate::encoding::{BitField, ByteOrder, Encoding, WordOrder};

/// The table a register belongs to, which decides the function code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Read with function code 4.
    Input,
    /// Read with function code 3.
    Holding,
}

impl Table {
    /// The function code that reads this table.
    #[must_use]
    pub const fn function(self) -> u8 {
        match self {
            Self::Input => 4,
            Self::Holding => 3,
        }
    }

    /// The name used in profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Holding => "holding",
        }
    }
}

/// What a register's number is multiplied by, as an exact decimal: `mantissa * 10^exponent`.
///
/// The mantissa is positive and does not end in a zero, so that equal scales are equal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scale {
    /// Positive, without trailing zeros.
    pub mantissa: i64,
    /// Power of ten.
    pub exponent: i8,
}

impl Scale {
    /// The register holds the value itself.
    pub const ONE: Self = Self { mantissa: 1, exponent: 0 };

    /// Reads a positive decimal such as `0.1` or `1000`.
    ///
    /// * Errors: `None` for signs, exponents, zero, blanks, or more than 18 digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let only_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || text.ends_with('.') || !only_digits(whole) || !only_digits(fraction) || whole.len() + fraction.len() > 18 {
            return None;
        }
        let mut mantissa: i64 = format!("{whole}{fraction}").parse().ok()?;
        let mut exponent = -i8::try_from(fraction.len()).ok()?;
        if mantissa == 0 {
            return None;
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        Some(Self { mantissa, exponent })
    }

    /// The product, where it can be one.
    pub(crate) fn times(self, other: Self) -> Option<Self> {
        let mut mantissa = self.mantissa.checked_mul(other.mantissa)?;
        let mut exponent = self.exponent.checked_add(other.exponent)?;
        while mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        Some(Self { mantissa, exponent })
    }
}

/// A SunSpec scale factor: a register that holds the power of ten of other registers.
///
/// The device may change it at any time, so it is read in the same request as the value it belongs to and is kept with it as evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScaleFactor {
    /// Wire address of the factor, in the same table as the point.
    pub address: u16,
    /// What the factor usually is; simulated meters report this.
    pub typical: i8,
}

/// How often a point changes, and so how often it is worth reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Read in every poll.
    #[default]
    Fast,
    /// Read now and then: settings, clocks, counters that only explain others.
    Slow,
}

impl Group {
    /// The name used in profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Slow => "slow",
        }
    }
}

/// One quantity of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Our name for the quantity: `v1`, `p`, `e_imp`.
    pub id: String,
    /// The maker's name for it, where that says more than ours.
    pub label: Option<String>,
    pub table: Table,
    /// As sent in the request, counted from 0.
    pub address: u16,
    pub encoding: Encoding,
    pub word_order: WordOrder,
    pub byte_order: ByteOrder,
    /// The bits that hold the value, where the registers hold others too.
    pub bits: Option<BitField>,
    pub scale: Scale,
    /// The exponent of every reading of this point: a series never changes its step.
    pub exponent: i8,
    pub unit: Unit,
    /// Register contents that mean "no value", as bits with the most significant word first.
    pub invalid: Vec<u64>,
    /// Whether money is computed from it, so that its register words are kept.
    pub billing: bool,
    pub scale_factor: Option<ScaleFactor>,
    pub group: Group,
    /// Whether the direction is the other one at this installation.
    pub negated: bool,
    /// Where it is less sure than the profile it is in.
    pub doubtful: bool,
}

impl Point {
    /// How many words [`decode`](crate::decode) expects: those of the value, then the scale factor where there is one.
    #[must_use]
    pub fn word_count(&self) -> usize {
        usize::from(self.encoding.words()) + usize::from(self.scale_factor.is_some())
    }

    /// The first register and one past the last that a single read must cover.
    #[must_use]
    pub fn span(&self) -> (u32, u32) {
        let first = u32::from(self.address);
        let end = first + u32::from(self.encoding.words());
        match self.scale_factor {
            None => (first, end),
            Some(factor) => (first.min(u32::from(factor.address)), end.max(u32::from(factor.address) + 1)),
        }
    }

    /// Whether one of the registers it needs lies there.
    pub(crate) fn has_register(&self, register: u32) -> bool {
        let first = u32::from(self.address);
        let own = first..first + u32::from(self.encoding.words());
        own.contains(&register) || self.scale_factor.is_some_and(|factor| u32::from(factor.address) == register)
    }
}
