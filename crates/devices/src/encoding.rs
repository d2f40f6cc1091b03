//! How a number lies in 16-bit registers.
//!
//! Modbus itself knows only 16-bit words, sent with the high byte first. How wider numbers are cut into words is every maker's own
//! choice, and some makers swap the bytes too, so both orders are stated per point and never guessed.

mod decimal;
mod moment;

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
    /// A SunSpec accumulator of 64 bits.
    Acc64,
    /// Four decimal digits, one in every four bits.
    Bcd16,
    /// Eight decimal digits.
    Bcd32,
    /// Sixteen decimal digits.
    Bcd64,
    /// Modulo 10,000: every register holds four decimal digits as -9999 to 9999, and all of them the same sign.
    Mod10k32,
    /// Modulo 10,000 in three registers.
    Mod10k48,
    /// Modulo 10,000 in four registers.
    Mod10k64,
    /// A date and time in four registers, of the kind of IEC 60870-5-4: year of the century; month and day; hour and minute;
    /// milliseconds of the minute. Seconds since 1970 by the device's own clock, whatever zone that is in.
    DateTimeIec,
    /// A date and time in the bytes of three registers: year of the century, month, day, hour, minute, second.
    DateTimeBytes,
}

impl Encoding {
    /// Every encoding, in the order of its declaration.
    pub const ALL: [Self; 18] = [
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::U64,
        Self::I64,
        Self::F32,
        Self::F64,
        Self::Acc32,
        Self::Acc64,
        Self::Bcd16,
        Self::Bcd32,
        Self::Bcd64,
        Self::Mod10k32,
        Self::Mod10k48,
        Self::Mod10k64,
        Self::DateTimeIec,
        Self::DateTimeBytes,
    ];

    /// How many registers a number of this type takes.
    #[must_use]
    pub const fn words(self) -> u16 {
        match self {
            Self::U16 | Self::I16 | Self::Bcd16 => 1,
            Self::U32 | Self::I32 | Self::F32 | Self::Acc32 | Self::Bcd32 | Self::Mod10k32 => 2,
            Self::Mod10k48 | Self::DateTimeBytes => 3,
            Self::U64 | Self::I64 | Self::F64 | Self::Acc64 | Self::Bcd64 | Self::Mod10k64 | Self::DateTimeIec => 4,
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
            Self::Acc64 => "acc64",
            Self::Bcd16 => "bcd16",
            Self::Bcd32 => "bcd32",
            Self::Bcd64 => "bcd64",
            Self::Mod10k32 => "mod10k32",
            Self::Mod10k48 => "mod10k48",
            Self::Mod10k64 => "mod10k64",
            Self::DateTimeIec => "datetime-iec",
            Self::DateTimeBytes => "datetime-bytes",
        }
    }

    /// Whether it is a whole number, so that bits of it may be a number of their own.
    #[must_use]
    pub const fn is_plain_integer(self) -> bool {
        matches!(self, Self::U16 | Self::I16 | Self::U32 | Self::I32 | Self::U64 | Self::I64)
    }

    /// Whether it is a moment rather than a quantity.
    #[must_use]
    pub const fn is_date_time(self) -> bool {
        matches!(self, Self::DateTimeIec | Self::DateTimeBytes)
    }
}

/// Which byte of a register is sent first. Modbus says the high one; some devices do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ByteOrder {
    /// As Modbus has it.
    #[default]
    HighFirst,
    /// Swapped in every register: BADC with the high word first, DCBA with the low word first.
    LowFirst,
}

impl ByteOrder {
    /// The name used in profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HighFirst => "high-first",
            Self::LowFirst => "low-first",
        }
    }
}

/// Some bits of a register, counted from the least significant one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BitField {
    /// The lowest bit.
    pub first: u8,
    /// How many; 1 to 32.
    pub count: u8,
}

impl BitField {
    fn mask(self) -> u64 {
        (1_u64 << self.count.min(63)) - 1
    }

    pub(crate) fn of(self, bits: u64) -> u64 {
        (bits >> self.first.min(63)) & self.mask()
    }

    /// The bits of a register in which only this field is set; nothing where the number has more bits.
    pub(crate) fn place(self, number: u64) -> Option<u64> {
        (number <= self.mask()).then_some(number << self.first.min(63))
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
pub(crate) fn join(words: &[u16], order: WordOrder, bytes: ByteOrder) -> u64 {
    let fold = |bits: u64, word: &u16| (bits << 16) | u64::from(in_order(*word, bytes));
    match order {
        WordOrder::HighFirst => words.iter().fold(0, fold),
        WordOrder::LowFirst => words.iter().rev().fold(0, fold),
    }
}

const fn in_order(word: u16, bytes: ByteOrder) -> u16 {
    match bytes {
        ByteOrder::HighFirst => word,
        ByteOrder::LowFirst => word.swap_bytes(),
    }
}

/// Cuts the low `width` words out of `bits`, in the given order.
pub(crate) fn split(bits: u64, width: u16, order: WordOrder, bytes: ByteOrder) -> Vec<u16> {
    let [a, b, c, d, e, f, g, h] = bits.to_be_bytes();
    let all = [[a, b], [c, d], [e, f], [g, h]].map(u16::from_be_bytes);
    let mut words: Vec<u16> = all.into_iter().skip(4 - usize::from(width)).map(|word| in_order(word, bytes)).collect();
    if order == WordOrder::LowFirst {
        words.reverse();
    }
    words
}

/// Reads the low bits as the given type; `None` for bits that are no number in it.
pub(crate) fn interpret(encoding: Encoding, bits: u64) -> Option<Raw> {
    let [_, _, _, _, e, f, g, h] = bits.to_be_bytes();
    Some(match encoding {
        Encoding::U16 | Encoding::U32 | Encoding::U64 | Encoding::Acc32 | Encoding::Acc64 => Raw::Integer(i128::from(bits)),
        Encoding::I16 => Raw::Integer(i128::from(i16::from_be_bytes([g, h]))),
        Encoding::I32 => Raw::Integer(i128::from(i32::from_be_bytes([e, f, g, h]))),
        Encoding::I64 => Raw::Integer(i128::from(bits.cast_signed())),
        Encoding::F32 => Raw::Float(f64::from(f32::from_be_bytes([e, f, g, h]))),
        Encoding::F64 => Raw::Float(f64::from_bits(bits)),
        Encoding::Bcd16 | Encoding::Bcd32 | Encoding::Bcd64 => Raw::Integer(i128::from(decimal::of_bcd(bits)?)),
        Encoding::Mod10k32 | Encoding::Mod10k48 | Encoding::Mod10k64 => Raw::Integer(decimal::of_mod10k(bits, encoding.words())?),
        Encoding::DateTimeIec => Raw::Integer(i128::from(moment::of_iec(bits)?)),
        Encoding::DateTimeBytes => Raw::Integer(i128::from(moment::of_bytes(bits)?)),
    })
}

/// The bits of an integer in the given type, or `None` where it does not fit or the type is a float.
pub(crate) fn integer_bits(encoding: Encoding, integer: i128) -> Option<u64> {
    match encoding {
        Encoding::U16 => u16::try_from(integer).ok().map(u64::from),
        Encoding::I16 => i16::try_from(integer).ok().map(|i| u64::from(i.cast_unsigned())),
        Encoding::U32 | Encoding::Acc32 => u32::try_from(integer).ok().map(u64::from),
        Encoding::I32 => i32::try_from(integer).ok().map(|i| u64::from(i.cast_unsigned())),
        Encoding::U64 | Encoding::Acc64 => u64::try_from(integer).ok(),
        Encoding::I64 => i64::try_from(integer).ok().map(i64::cast_unsigned),
        Encoding::F32 | Encoding::F64 => None,
        Encoding::Bcd16 | Encoding::Bcd32 | Encoding::Bcd64 => decimal::bcd(u64::try_from(integer).ok()?, encoding.words()),
        Encoding::Mod10k32 | Encoding::Mod10k48 | Encoding::Mod10k64 => decimal::mod10k(integer, encoding.words()),
        Encoding::DateTimeIec => moment::iec(i64::try_from(integer).ok()?),
        Encoding::DateTimeBytes => moment::bytes(i64::try_from(integer).ok()?),
    }
}
