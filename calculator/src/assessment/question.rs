//! What is asked: which method, by whose rules, about which meter and which intervention.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::baseline::{Commodity, EnergyUnit};

/// How savings are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// CalTRACK 2.0 on days.
    CaltrackDaily,
    /// CalTRACK 2.0 on bills.
    CaltrackBilling,
    /// CalTRACK 2.0 on hours: twelve weighted segments.
    CaltrackHourly,
    /// Time of week and temperature in the form of LBNL.
    Towt,
    /// Change-point models with two to five parameters.
    ChangePoint,
    /// Whichever fits best, by a rule that is stated.
    Best,
}

impl Method {
    /// Its name on the command line and in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CaltrackDaily => "caltrack-daily",
            Self::CaltrackBilling => "caltrack-billing",
            Self::CaltrackHourly => "caltrack-hourly",
            Self::Towt => "towt",
            Self::ChangePoint => "change-point",
            Self::Best => "best",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whose rules decide where the published program and the method's text differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Those of eemeter 2.10: its criteria, its statistics, its bands. Its listed defects are not repeated.
    Compatible,
    /// Those that we bill by.
    Strict,
}

/// A question that an [`assess`](super::assess) answers.
#[derive(Clone, Debug)]
pub struct Question {
    /// How.
    pub method: Method,
    /// By whose rules.
    pub mode: Mode,
    /// What the meter measures.
    pub commodity: Commodity,
    /// The unit of its rows, and of the answer.
    pub unit: EnergyUnit,
    /// Where its days begin. Without one only rows that begin at midnight UTC have days.
    pub zone: Option<TimeZone>,
    /// The day on which the intervention begins; the baseline is the 365 days before it.
    pub blackout_start: Date,
    /// The first day after the intervention; without one nothing is compared.
    pub blackout_end: Option<Date>,
}

impl Question {
    /// The name of the zone, as settings and digests hold it.
    pub(super) fn zone_name(&self) -> Option<&str> {
        self.zone.as_ref().map(|zone| zone.iana_name().unwrap_or("unnamed"))
    }
}
