//! What happens to a spool that somebody should hear of.

use std::fmt;

use wire::Urgency;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SpoolEvent {
    /// Frames that the collector does not have fill more, or less, of the allowance than before.
    Filled {
        /// The level that holds now: 0, 50, 80 or 95 percent.
        level: u8,
        /// How much it is.
        percent: u8,
        /// Whether it is more than before.
        rising: bool,
    },
    /// The oldest frames lost points to make room.
    LeftOut {
        /// The first frame it happened to.
        first: u64,
        /// The last.
        last: u64,
        /// How many points.
        points: u64,
        /// What the points were: `diagnostic` or `power`.
        class: &'static str,
    },
    /// The oldest frames made room before the collector had them.
    Dropped {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// Damaged bytes were found on disk and put aside.
    Damaged {
        /// The segment, by its first frame.
        segment: u64,
        /// How many stretches.
        stretches: u64,
        /// How many bytes.
        bytes: usize,
    },
}

impl SpoolEvent {
    /// Its name for programs.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Filled { .. } => "spool_filled",
            Self::LeftOut { .. } => "spool_left_out",
            Self::Dropped { .. } => "spool_dropped",
            Self::Damaged { .. } => "spool_damaged",
        }
    }

    /// How soon somebody should look.
    pub(crate) const fn urgency(&self) -> Urgency {
        match self {
            Self::Filled { rising: false, .. } => Urgency::Info,
            Self::Dropped { .. } | Self::Filled { level: 95.., .. } => Urgency::Alarm,
            Self::Filled { .. } | Self::LeftOut { .. } | Self::Damaged { .. } => Urgency::Warning,
        }
    }
}

impl fmt::Display for SpoolEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filled { level, percent, rising: true } => {
                write!(f, "frames that the collector does not have fill {percent} % of the spool: more than {level} %")
            }
            Self::Filled { level: 0, percent, .. } => {
                write!(f, "frames that the collector does not have fill {percent} % of the spool: less than half again")
            }
            Self::Filled { percent, .. } => {
                write!(f, "frames that the collector does not have fill {percent} % of the spool: less than before")
            }
            Self::LeftOut { first, last, points, class } => {
                write!(
                    f,
                    "the spool is full: {points} {class} points were left out of frames {first} to {last} before the collector had them"
                )
            }
            Self::Dropped { first, last } => {
                write!(f, "the spool is full: frames {first} to {last} were dropped before the collector had them")
            }
            Self::Damaged { segment, stretches, bytes } => {
                write!(f, "found {stretches} damaged stretches of {bytes} bytes in segment {segment} of the spool; kept in quarantine")
            }
        }
    }
}
