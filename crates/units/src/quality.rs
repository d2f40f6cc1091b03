//! Whether a reading may be believed, and why not.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far a reading may be believed, as OPC UA grades it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Use it.
    Good,
    /// Use it with a remark.
    Uncertain,
    /// Do not use it.
    Bad,
}

/// Why a reading is not simply good. A bit each, so that several can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reason {
    /// Not renewed by the device since an earlier poll.
    Stale = 0,
    /// The same non-zero value suspiciously often.
    Frozen = 1,
    /// Beyond what is physically possible here.
    OutOfRange = 2,
    /// A counter went back.
    CounterReset = 3,
    /// The gateway's clock was not set.
    ClockUnsynced = 4,
    /// The source's local time stamp was ambiguous.
    DstAmbiguous = 5,
    /// The device was asked and gave no usable answer.
    CommError = 6,
    /// Filled in by a method.
    Estimated = 7,
    /// Changed by a person.
    Edited = 8,
    /// Taken from another source.
    Substituted = 9,
    /// A repeat of this time carried another value.
    Conflict = 10,
    /// The device answered its own pattern for "no value".
    InvalidMarker = 11,
    /// Arrived long after its time.
    Late = 12,
    /// There is no value at all.
    NoValue = 13,
}

impl Reason {
    const ALL: [(Self, &'static str); 14] = [
        (Self::Stale, "stale"),
        (Self::Frozen, "frozen"),
        (Self::OutOfRange, "out_of_range"),
        (Self::CounterReset, "counter_reset"),
        (Self::ClockUnsynced, "clock_unsynced"),
        (Self::DstAmbiguous, "dst_ambiguous"),
        (Self::CommError, "comm_error"),
        (Self::Estimated, "estimated"),
        (Self::Edited, "edited"),
        (Self::Substituted, "substituted"),
        (Self::Conflict, "conflict"),
        (Self::InvalidMarker, "invalid_marker"),
        (Self::Late, "late"),
        (Self::NoValue, "no_value"),
    ];

    const fn bit(self) -> u16 {
        1 << (self as u8)
    }
}

/// The quality of one reading: a severity in the top two bits, reasons in the others.
///
/// * Wire: the sixteen bits as they are.
/// * Source: severities as in OPC UA part 8; the reasons are ours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quality(u16);

impl Quality {
    /// A reading that may be used as it is.
    pub const GOOD: Self = Self(0);
    /// A device that was asked and did not answer: no value.
    pub const SILENT: Self = Self::bad(Reason::CommError).with(Reason::NoValue);

    const UNCERTAIN_BITS: u16 = 0b01 << 14;
    const BAD_BITS: u16 = 0b10 << 14;

    /// A reading that must not be used, for this reason.
    #[must_use]
    pub const fn bad(reason: Reason) -> Self {
        Self(Self::BAD_BITS | reason.bit())
    }

    /// A reading that may be used with a remark.
    #[must_use]
    pub const fn uncertain(reason: Reason) -> Self {
        Self(Self::UNCERTAIN_BITS | reason.bit())
    }

    /// The same, with one more reason.
    #[must_use]
    pub const fn with(self, reason: Reason) -> Self {
        Self(self.0 | reason.bit())
    }

    /// Whether this reason holds.
    #[must_use]
    pub const fn has(self, reason: Reason) -> bool {
        self.0 & reason.bit() != 0
    }

    /// The grade. The pattern that OPC UA leaves unused counts as bad.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self.0 >> 14 {
            0b00 => Severity::Good,
            0b01 => Severity::Uncertain,
            _ => Severity::Bad,
        }
    }

    /// Whether the value may enter a settlement.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        !matches!(self.severity(), Severity::Bad)
    }

    /// Whether it is what a device said: neither estimated nor edited nor taken from elsewhere.
    #[must_use]
    pub const fn is_measured(self) -> bool {
        !(self.has(Reason::Estimated) || self.has(Reason::Edited) || self.has(Reason::Substituted))
    }

    /// The sixteen bits.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The quality with these sixteen bits; every pattern means something.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.severity() {
            Severity::Good => "good",
            Severity::Uncertain => "uncertain",
            Severity::Bad => "bad",
        })?;
        let mut mark = ':';
        for (reason, name) in Reason::ALL {
            if self.has(reason) {
                write!(f, "{mark}{name}")?;
                mark = '+';
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_a_sentence() {
        assert_eq!(Quality::GOOD.to_string(), "good");
        assert_eq!(Quality::SILENT.to_string(), "bad:comm_error+no_value");
        assert_eq!(Quality::uncertain(Reason::Late).to_string(), "uncertain:late");
        assert!(!Quality::SILENT.is_usable());
        assert!(Quality::GOOD.is_usable() && Quality::uncertain(Reason::ClockUnsynced).is_usable(), "a remark is no refusal");
        for reason in [Reason::Estimated, Reason::Edited, Reason::Substituted] {
            assert!(Quality::uncertain(reason).is_usable() && !Quality::uncertain(reason).is_measured());
        }
        assert!(Quality::GOOD.is_measured() && Quality::GOOD.with(Reason::Late).is_measured());
        assert!(!Quality::from_bits(0b11 << 14).is_usable(), "an unknown severity is a bad one");
        assert_eq!(Quality::from_bits(0xffff).severity(), Severity::Bad);
    }

    /// The bits stand in spools and segments: they are for ever.
    #[test]
    fn bits_are_as_they_were() {
        let bits = Reason::ALL.map(|(reason, name)| (name, Quality::bad(reason).bits() ^ Quality::BAD_BITS));
        let names = [
            "stale",
            "frozen",
            "out_of_range",
            "counter_reset",
            "clock_unsynced",
            "dst_ambiguous",
            "comm_error",
            "estimated",
            "edited",
            "substituted",
            "conflict",
            "invalid_marker",
            "late",
            "no_value",
        ];
        for (place, (name, bit)) in bits.into_iter().enumerate() {
            assert_eq!((name, bit), (names[place], 1 << place));
        }
        assert_eq!((Quality::SILENT.bits(), Quality::uncertain(Reason::Stale).bits()), (0xa040, 0x4001));
    }
}
