//! How a number lies in 16-bit registers.
//!
//! Modbus itself knows only 16-bit words, sent with the high byte first. How wider numbers are cut into words is every maker's own
//! choice, so the order is stated per point and never guessed.

/// The type of a number in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
    /// A SunSpec accumulator: `u32` in which 0 says that nothing is accumulated here.
    Acc32,
}

impl Encoding {
    /// Every encoding, in the order of its declaration.
    pub const ALL: [Self; 9] = [Self::U16, Self::I16, Self::U32, Self::I32, Self::U64, Self::I64, Self::F32, Self::F64, Self::Acc32];

    /// How many registers a number of this type takes.
    #[must_use]
    pub const fn words(self) -> u16 {
        match self {
            Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 | Self::Acc32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
        }
    }

    /// Whether the register holds a binary fraction, so that a point needs a stated resolution.
    #[must_use]
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// The name used in profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Acc32 => "acc32",
        }
    }
}

/// Which word of a wide number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WordOrder {
    /// Most significant register at the lowest address (ABCD).
    HighFirst,
    /// Least significant register at the lowest address (CDAB).
    LowFirst,
}

impl WordOrder {
    /// The name used in profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HighFirst => "high-first",
            Self::LowFirst => "low-first",
        }
    }
}

/// What a register holds, before scale and unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Raw {
    Integer(i128),
    Float(f64),
}

/// Puts up to four words together, in the given order, as the low bits of a `u64`.
pub(crate) fn join(words: &[u16], order: WordOrder) -> u64 {
    let fold = |bits: u64, word: &u16| (bits << 16) | u64::from(*word);
    match order {
        WordOrder::HighFirst => words.iter().fold(0, fold),
        WordOrder::LowFirst => words.iter().rev().fold(0, fold),
    }
}

/// Cuts the low `width` words out of `bits`, in the given order.
pub(crate) fn split(bits: u64, width: u16, order: WordOrder) -> Vec<u16> {
    let [a, b, c, d, e, f, g, h] = bits.to_be_bytes();
    let all = [[a, b], [c, d], [e, f], [g, h]].map(u16::from_be_bytes);
    let mut words: Vec<u16> = all.into_iter().skip(4 - usize::from(width)).collect();
    if order == WordOrder::LowFirst {
        words.reverse();
    }
    words
}

/// Reads the low bits as the given type.
pub(crate) fn interpret(encoding: Encoding, bits: u64) -> Raw {
    let [_, _, _, _, e, f, g, h] = bits.to_be_bytes();
    match encoding {
        Encoding::U16 | Encoding::U32 | Encoding::U64 | Encoding::Acc32 => Raw::Integer(i128::from(bits)),
        Encoding::I16 => Raw::Integer(i128::from(i16::from_be_bytes([g, h]))),
        Encoding::I32 => Raw::Integer(i128::from(i32::from_be_bytes([e, f, g, h]))),
        Encoding::I64 => Raw::Integer(i128::from(bits.cast_signed())),
        Encoding::F32 => Raw::Float(f64::from(f32::from_be_bytes([e, f, g, h]))),
        Encoding::F64 => Raw::Float(f64::from_bits(bits)),
    }
}

/// The bits of an integer in the given type, or `None` where it does not fit or the type is a float.
pub(crate) fn integer_bits(encoding: Encoding, integer: i128) -> Option<u64> {
    match encoding {
        Encoding::U16 => u16::try_from(integer).ok().map(u64::from),
        Encoding::I16 => i16::try_from(integer).ok().map(|i| u64::from(i.cast_unsigned())),
        Encoding::U32 | Encoding::Acc32 => u32::try_from(integer).ok().map(u64::from),
        Encoding::I32 => i32::try_from(integer).ok().map(|i| u64::from(i.cast_unsigned())),
        Encoding::U64 => u64::try_from(integer).ok(),
        Encoding::I64 => i64::try_from(integer).ok().map(i64::cast_unsigned),
        Encoding::F32 | Encoding::F64 => None,
    }
}
