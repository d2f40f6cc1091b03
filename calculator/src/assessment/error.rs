//! Input that no method may use.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::baseline::DaysError;
use crate::model::Method;
use crate::model::cea::CeaError;
use crate::savings::SavingsError;

/// The file that is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The meter's.
    Meter,
    /// The weather station's.
    Temperature,
    /// That of the variables.
    Drivers,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Meter => "the meter",
            Self::Temperature => "the temperature",
            Self::Drivers => "the variables",
        })
    }
}

/// Why there is no answer. Each knows its file, its row where one is at fault, and its rule.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AssessError {
    /// No row in the baseline.
    #[error("row {row}: no value in the 365 days before {end}; the file has rows from {first} to {last}")]
    NoBaseline {
        /// The row that comes nearest.
        row: usize,
        /// The day on which the intervention begins.
        end: Date,
        /// The first row.
        first: Timestamp,
        /// The last.
        last: Timestamp,
    },
    /// No row after the intervention.
    #[error("row {row}: no value in the 365 days from {start}; the file has rows from {first} to {last}")]
    NoReporting {
        /// The last row.
        row: usize,
        /// The first day after the intervention.
        start: Date,
        /// The first row.
        first: Timestamp,
        /// The last.
        last: Timestamp,
    },
    /// Nothing but zeros.
    #[error("row {row}: every value of the baseline from here on is zero ({rows} rows); check the meter")]
    Zeros {
        /// The first row of the baseline.
        row: usize,
        /// How many.
        rows: usize,
    },
    /// The weather stops before the energy does.
    #[error("row {row}: the temperatures end at {last}, but the {period} period needs them until {needed}")]
    EndsEarly {
        /// The last row.
        row: usize,
        /// When it is.
        last: Timestamp,
        /// Until when they are needed.
        needed: Timestamp,
        /// Of which period.
        period: &'static str,
    },
    /// Temperatures less often than every hour.
    #[error("row 2: the temperatures are {seconds} seconds apart; they are needed every hour, 3600 seconds, or more often")]
    Coarse {
        /// The usual distance.
        seconds: i64,
    },
    /// Rows longer than a day.
    #[error("row 2: the rows are {days} days apart, which are bills and not days; ask for caltrack-billing")]
    Bills {
        /// The usual distance, days.
        days: i64,
    },
    /// Nothing says where days begin.
    #[error("row 1: it does not begin at midnight UTC, so that a zone must say where its days begin; name one, such as America/Chicago")]
    Zone,
    /// The days of the intervention are no period.
    #[error("the intervention begins on {start} and ends on {end}, which is not later")]
    Blackout {
        /// First day.
        start: Date,
        /// First day after it.
        end: Date,
    },
    /// Fuel use is negative in the reporting period, or values are beyond what can be counted.
    #[error("the reporting period cannot be compared")]
    Reporting(#[source] SavingsError),
    /// The rows make no days.
    #[error("the rows make no days")]
    Days(#[source] DaysError),
    /// The method does not answer this.
    #[error("the method {method} is not answered from these rows")]
    Method {
        /// Which.
        method: Method,
    },
    /// A controlled environment without its variables.
    #[error("a controlled environment is explained by light, moisture, water and crop; give its days with --drivers")]
    NoDrivers,
    /// Variables that the method would leave aside.
    #[error("the method {method} knows no variables but the weather; ask for controlled-environment, or leave --drivers out")]
    DriversUnused {
        /// Which.
        method: Method,
    },
    /// The variables make no model.
    #[error("the variables make no model")]
    Drivers(#[source] CeaError),
}

impl AssessError {
    /// The file at fault; none where it is the question.
    pub const fn file(&self) -> Option<Source> {
        match self {
            Self::NoBaseline { .. } | Self::NoReporting { .. } | Self::Zeros { .. } | Self::Bills { .. } | Self::Zone => {
                Some(Source::Meter)
            }
            Self::Reporting(_) | Self::Days(_) => Some(Source::Meter),
            Self::EndsEarly { .. } | Self::Coarse { .. } => Some(Source::Temperature),
            Self::Drivers(_) => Some(Source::Drivers),
            Self::Blackout { .. } | Self::Method { .. } | Self::NoDrivers | Self::DriversUnused { .. } => None,
        }
    }

    /// The row at fault, counted from 1; none where it is the question.
    pub const fn row(&self) -> Option<usize> {
        match self {
            Self::NoBaseline { row, .. } | Self::NoReporting { row, .. } | Self::Zeros { row, .. } | Self::EndsEarly { row, .. } => {
                Some(*row)
            }
            Self::Coarse { .. } | Self::Bills { .. } => Some(2),
            Self::Zone => Some(1),
            Self::Blackout { .. } | Self::Reporting(_) | Self::Days(_) | Self::Method { .. } => None,
            Self::NoDrivers | Self::DriversUnused { .. } | Self::Drivers(_) => None,
        }
    }

    /// The rule that is violated.
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::NoBaseline { .. } => "CalTRACK 2.2.1.1: the baseline is the 365 days before the intervention",
            Self::NoReporting { .. } => "CalTRACK 3.5: savings are those of the days after the intervention",
            Self::Zeros { .. } => "CalTRACK 2.2.1.4: zero electricity is missing, and a year of it is no meter",
            Self::EndsEarly { .. } => "CalTRACK 2.2.1.2: each day has energy and weather",
            Self::Coarse { .. } => "CalTRACK 2.2.2.3: days have hourly temperatures",
            Self::Bills { .. } => "CalTRACK 3.1: the daily method needs days",
            Self::Zone => "cleaning 2: the zone is known",
            Self::Blackout { .. } => "CalTRACK 3.1.3: the intervention lies between the periods",
            Self::Reporting(_) => "CalTRACK 3.5: savings are those of the days after the intervention",
            Self::Days(_) => "cleaning 2: rows make civil days",
            Self::Method { .. } => "the method says which rows it needs",
            Self::NoDrivers | Self::DriversUnused { .. } => "IPMVP: independent variables are those that the plan declares",
            Self::Drivers(_) => "IPMVP: independent variables are not moved by the measure, and each says something of its own",
        }
    }
}
