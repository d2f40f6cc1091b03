//! What a meter and a weather station hand over: one row per interval, with its unit.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the meter measures; rules differ (a zero is missing electricity, but a warm day of gas).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Commodity {
    /// Electric energy: heating and cooling models; a zero counts as missing (CalTRACK 2.2.1.4).
    Electricity,
    /// Fuel: heating models only; a zero is a zero, a negative value is refused.
    Gas,
}

/// The unit of an energy row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EnergyUnit {
    /// Watt-hours.
    #[serde(rename = "Wh")]
    WattHour,
    /// Kilowatt-hours.
    #[serde(rename = "kWh")]
    KilowattHour,
    /// Megawatt-hours.
    #[serde(rename = "MWh")]
    MegawattHour,
    /// US therms: 100,000 Btu at 59 °F, 105,480,400 J.
    #[serde(rename = "therm")]
    Therm,
    /// Megajoules.
    #[serde(rename = "MJ")]
    Megajoule,
    /// Gigajoules.
    #[serde(rename = "GJ")]
    Gigajoule,
    /// A thousand Btu: a hundredth of a therm.
    #[serde(rename = "kBtu")]
    KiloBtu,
    /// A million Btu: ten therms.
    #[serde(rename = "MMBtu")]
    MillionBtu,
    /// Kilowatt-hours of heat.
    #[serde(rename = "kWh_th")]
    ThermalKilowattHour,
    /// Cubic metres of fuel. A volume has no watt-hours without its calorific value: what is counted of it are litres.
    #[serde(rename = "m3")]
    CubicMetre,
}

impl EnergyUnit {
    /// Every unit that a meter may have.
    pub const ALL: [Self; 10] = [
        Self::WattHour,
        Self::KilowattHour,
        Self::MegawattHour,
        Self::Therm,
        Self::Megajoule,
        Self::Gigajoule,
        Self::KiloBtu,
        Self::MillionBtu,
        Self::ThermalKilowattHour,
        Self::CubicMetre,
    ];

    /// The unit as printed.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::WattHour => "Wh",
            Self::KilowattHour => "kWh",
            Self::MegawattHour => "MWh",
            Self::Therm => "therm",
            Self::Megajoule => "MJ",
            Self::Gigajoule => "GJ",
            Self::KiloBtu => "kBtu",
            Self::MillionBtu => "MMBtu",
            Self::ThermalKilowattHour => "kWh_th",
            Self::CubicMetre => "m3",
        }
    }

    /// The unit with this symbol.
    pub fn from_symbol(symbol: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.symbol() == symbol)
    }

    /// The unit of a stored series, when it is one of energy that this crate knows.
    pub const fn of_series(unit: units::Unit) -> Option<Self> {
        match unit {
            units::Unit::WattHour => Some(Self::WattHour),
            units::Unit::KilowattHour => Some(Self::KilowattHour),
            _ => None,
        }
    }

    /// Watt-hours in this many of the unit; litres where the unit is a volume.
    pub fn to_wh(self, value: f64) -> f64 {
        match self {
            Self::WattHour => value,
            Self::KilowattHour | Self::ThermalKilowattHour | Self::CubicMetre => value * 1_000.0,
            Self::MegawattHour => value * 1_000_000.0,
            Self::Therm => value * 105_480_400.0 / 3_600.0,
            Self::Megajoule => value * 1_000_000.0 / 3_600.0,
            Self::Gigajoule => value * 1_000_000_000.0 / 3_600.0,
            Self::KiloBtu => value * 1_054_804.0 / 3_600.0,
            Self::MillionBtu => value * 1_054_804_000.0 / 3_600.0,
        }
    }
}

impl fmt::Display for EnergyUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

/// The unit of a temperature row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TemperatureUnit {
    /// Degrees Celsius.
    #[serde(rename = "degC")]
    Celsius,
    /// Degrees Fahrenheit, the unit of the balance point grid.
    #[serde(rename = "degF")]
    Fahrenheit,
}

impl TemperatureUnit {
    /// The unit as printed.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Celsius => "degC",
            Self::Fahrenheit => "degF",
        }
    }

    /// The unit of a stored series, when it is a temperature.
    pub const fn of_series(unit: units::Unit) -> Option<Self> {
        match unit {
            units::Unit::Celsius => Some(Self::Celsius),
            units::Unit::Fahrenheit => Some(Self::Fahrenheit),
            _ => None,
        }
    }

    /// Degrees Fahrenheit of this temperature.
    pub fn to_fahrenheit(self, value: f64) -> f64 {
        match self {
            Self::Celsius => value * 9.0 / 5.0 + 32.0,
            Self::Fahrenheit => value,
        }
    }
}

impl fmt::Display for TemperatureUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

/// The energy of one interval of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnergyRow {
    /// When the interval begins.
    pub start: Timestamp,
    /// The energy of the interval in `unit`; `None` where the meter has no value.
    pub value: Option<f64>,
    /// The unit of `value`.
    pub unit: EnergyUnit,
}

/// One outdoor temperature.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemperatureRow {
    /// When it was measured.
    pub at: Timestamp,
    /// The temperature in `unit`; `None` where the station has no value.
    pub value: Option<f64>,
    /// The unit of `value`.
    pub unit: TemperatureUnit,
}
