//! What is asked: which method, by whose rules, about which meter and which intervention.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::baseline::{Commodity, EnergyUnit};
use crate::model::cea::Drivers;
use crate::model::{Method, Mode};

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
    /// What is known of each day beside the meter, for [`Method::ControlledEnvironment`].
    pub drivers: Option<Drivers>,
}

impl Question {
    /// The name of the zone, as settings and digests hold it.
    pub(super) fn zone_name(&self) -> Option<&str> {
        self.zone.as_ref().map(|zone| zone.iana_name().unwrap_or("unnamed"))
    }
}
