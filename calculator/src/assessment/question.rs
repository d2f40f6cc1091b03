//! What is asked: which method, by whose rules, about which meter and which intervention.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

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
    /// What is known of the site and speaks against its numbers.
    pub site: Site,
    /// What the rows of the meter are made of.
    pub meter: MeterSettings,
}

/// How the rows of a meter become energy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MeterSettings {
    /// What the transformers divide by: current times voltage transformer.
    pub multiplier: f64,
    /// The digits of the register, where rows are readings of it and not what was used.
    pub register_digits: Option<u8>,
    /// What the connection carries, kW; much more cannot be energy.
    pub rated_kw: Option<f64>,
    /// The class of its accuracy, percent; sums of rows and bills may differ by as much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_class: Option<f64>,
}

impl Default for MeterSettings {
    fn default() -> Self {
        Self { multiplier: 1.0, register_digits: None, rated_kw: None, accuracy_class: None }
    }
}

impl MeterSettings {
    /// Whether rows are energy as they stand.
    pub(super) fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// What no row tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Site {
    /// Net metering began, ended or changed in the baseline or the reporting period (CalTRACK 2.2.6).
    pub net_metering_changed: bool,
    /// A charger of vehicles was installed (CalTRACK 2.2.7).
    pub electric_vehicle_installed: bool,
    /// How far the weather station is, km (CalTRACK 2.4).
    pub station_km: Option<f64>,
    /// The weather station lies in another climate zone (CalTRACK 2.4).
    #[serde(skip_serializing_if = "is_false")]
    pub other_climate_zone: bool,
}

impl Site {
    /// Whether nothing was told.
    pub(super) fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

impl Question {
    /// The name of the zone, as settings and digests hold it.
    pub(super) fn zone_name(&self) -> Option<&str> {
        self.zone.as_ref().map(|zone| zone.iana_name().unwrap_or("unnamed"))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}
