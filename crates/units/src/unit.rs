//! The units that registers come in.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! registry {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $symbol:literal;)+) => {
        /// A physical unit, with a stable code for the wire and a symbol for people.
        ///
        /// Codes are never re-used: they stand in spools and segments that outlive a release.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Unit {
            $($(#[$doc])* #[serde(rename = $symbol)] $name,)+
        }

        impl Unit {
            /// Every unit, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code on the wire.
            #[must_use]
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code,)+ }
            }

            /// The unit with this code on the wire, if we know it.
            #[must_use]
            pub const fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$name),)+ _ => None }
            }

            /// The symbol, as device profiles and people write it; empty for a plain ratio.
            #[must_use]
            pub const fn symbol(self) -> &'static str {
                match self { $(Self::$name => $symbol,)+ }
            }

            /// The unit with this symbol, if we know it.
            #[must_use]
            pub fn from_symbol(symbol: &str) -> Option<Self> {
                match symbol { $($symbol => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

registry! {
    /// A plain ratio, such as a power factor.
    Ratio = 0, "";
    /// Volt.
    Volt = 1, "V";
    /// Ampere.
    Ampere = 2, "A";
    /// Watt.
    Watt = 3, "W";
    /// Volt-ampere reactive.
    Var = 4, "var";
    /// Volt-ampere.
    VoltAmpere = 5, "VA";
    /// Hertz.
    Hertz = 6, "Hz";
    /// Watt-hour.
    WattHour = 7, "Wh";
    /// Kilowatt-hour.
    KilowattHour = 8, "kWh";
    /// Volt-ampere reactive hour.
    VarHour = 9, "varh";
    /// Kilovolt-ampere reactive hour.
    KilovarHour = 10, "kvarh";
    /// Volt-ampere hour.
    VoltAmpereHour = 11, "VAh";
    /// Kilovolt-ampere hour.
    KilovoltAmpereHour = 12, "kVAh";
    /// Degree Celsius.
    Celsius = 13, "degC";
    /// Degree Fahrenheit.
    Fahrenheit = 14, "degF";
    /// Relative humidity, percent.
    PercentRh = 15, "%RH";
    /// Parts per million.
    Ppm = 16, "ppm";
    /// Lux.
    Lux = 17, "lx";
    /// Photon flux density of photosynthetic light, micromole per square metre and second.
    MicromolePerSquareMetreSecond = 18, "umol/m2/s";
    /// Gram.
    Gram = 19, "g";
    /// Kilogram.
    Kilogram = 20, "kg";
    /// A pulse of a counter.
    Pulse = 21, "pulse";
    /// Degree of angle.
    Degree = 22, "deg";
    /// Second.
    Second = 23, "s";
    /// Kilowatt.
    Kilowatt = 24, "kW";
    /// Percent.
    Percent = 25, "%";
    /// Therm, 100,000 British thermal units of gas.
    Therm = 26, "therm";
    /// Cubic metre.
    CubicMetre = 27, "m3";
    /// Ampere-hour.
    AmpereHour = 28, "Ah";
    /// Watt per square metre.
    WattPerSquareMetre = 29, "W/m2";
    /// Hectopascal.
    Hectopascal = 30, "hPa";
    /// Milliwatt-hour.
    MilliwattHour = 31, "mWh";
}

impl Unit {
    /// The power of ten that turns this unit of energy into watt-hours; nothing for what is not electrical energy.
    #[must_use]
    pub const fn watt_hour_exponent(self) -> Option<i8> {
        match self {
            Self::MilliwattHour => Some(-3),
            Self::WattHour => Some(0),
            Self::KilowattHour => Some(3),
            _ => None,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_symbols_are_unique_and_go_back() {
        for unit in Unit::ALL {
            assert_eq!(Unit::from_code(unit.code()), Some(*unit));
            assert_eq!(Unit::from_symbol(unit.symbol()), Some(*unit));
        }
        assert_eq!(Unit::from_code(999), None);
    }

    #[test]
    fn electrical_energy_has_its_power_of_ten_and_nothing_else_has_one() {
        let powers: Vec<_> = Unit::ALL.iter().filter_map(|unit| Some((unit.symbol(), unit.watt_hour_exponent()?))).collect();
        assert_eq!(powers, [("Wh", 0), ("kWh", 3), ("mWh", -3)]);
    }
}
