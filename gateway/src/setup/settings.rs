//! How serial devices may be set, in the order in which it pays to try.
//!
//! Parity matters more than rate, and a new device has its maker's settings: what the profiles know of factory settings decides
//! the order, the five settings that most installations use come first, and the rest of the common rates last.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};

use crate::modbus::Endpoint;

/// Rate and parity of a serial line; eight data bits, and the stop bits that the parity asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineSettings {
    /// Bits per second.
    pub baud: u32,
    /// Parity.
    pub parity: LineParity,
}

/// Parity as it is written in files and addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineParity {
    /// No parity bit.
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

impl LineParity {
    /// The word used in configuration files and addresses.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Even => "even",
            Self::Odd => "odd",
        }
    }
}

impl From<devices::Parity> for LineParity {
    fn from(parity: devices::Parity) -> Self {
        match parity {
            devices::Parity::None => Self::None,
            devices::Parity::Even => Self::Even,
            devices::Parity::Odd => Self::Odd,
        }
    }
}

impl fmt::Display for LineSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.parity {
            LineParity::None => 'N',
            LineParity::Even => 'E',
            LineParity::Odd => 'O',
        };
        write!(f, "{} 8{letter}1", self.baud)
    }
}

/// What most installations use, in the order of likelihood.
const USUAL: [(u32, LineParity); 8] = [
    (9_600, LineParity::None),
    (9_600, LineParity::Even),
    (19_200, LineParity::Even),
    (2_400, LineParity::None),
    (19_200, LineParity::None),
    (38_400, LineParity::None),
    (115_200, LineParity::None),
    (4_800, LineParity::None),
];

impl LineSettings {
    /// The port set like this, as the bus wants it.
    #[must_use]
    pub fn url(self, path: &Path) -> String {
        format!("rtu://{}?baud={}&parity={}", path.display(), self.baud, self.parity.word())
    }

    /// The setting in `baud=9600&parity=even`; what is not named is as a port has it by itself.
    pub(super) fn from_query(query: &str) -> Option<Self> {
        let mut found = Self { baud: 9_600, parity: LineParity::None };
        for setting in query.split('&').filter(|setting| !setting.is_empty()) {
            match setting.split_once('=')? {
                ("baud", baud) => found.baud = baud.parse().ok()?,
                ("parity", "even") => found.parity = LineParity::Even,
                ("parity", "odd") => found.parity = LineParity::Odd,
                ("parity", "none") => found.parity = LineParity::None,
                _ => return None,
            }
        }
        (!query.is_empty()).then_some(found)
    }

    pub(super) fn endpoint(self, path: &Path) -> Option<Endpoint> {
        Endpoint::parse(&self.url(path)).ok()
    }

    /// Every setting worth trying: the usual ones, then factory settings of known devices that are not among them.
    #[must_use]
    pub fn in_scan_order() -> Vec<Self> {
        let usual = USUAL.iter().map(|&(baud, parity)| Self { baud, parity });
        let factory = devices::builtin().iter().filter_map(|profile| profile.serial());
        let mut order: Vec<Self> = Vec::new();
        for setting in usual.chain(factory.map(|serial| Self { baud: serial.baud, parity: serial.parity.into() })) {
            if !order.contains(&setting) {
                order.push(setting);
            }
        }
        order
    }
}

/// Unit ids as new devices have them: 1 first, then what profiles know, then 2 to 10.
#[must_use]
pub fn likely_units() -> Vec<u8> {
    let mut units = vec![1];
    let factory = devices::builtin().iter().map(devices::Profile::unit_id).filter(|unit| (1..=247).contains(unit));
    for unit in factory.chain(2..=10) {
        if !units.contains(&unit) {
            units.push(unit);
        }
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_likelihood_and_names_nothing_twice() {
        let order = LineSettings::in_scan_order();
        let shown: Vec<String> = order.iter().take(5).map(LineSettings::to_string).collect();
        assert_eq!(shown, ["9600 8N1", "9600 8E1", "19200 8E1", "2400 8N1", "19200 8N1"]);
        let distinct: std::collections::HashSet<_> = order.iter().collect();
        assert_eq!(distinct.len(), order.len());
        for profile in devices::builtin() {
            let Some(serial) = profile.serial() else { continue };
            let factory = LineSettings { baud: serial.baud, parity: serial.parity.into() };
            assert!(order.contains(&factory), "a new {} would not be found", profile.id());
        }
        assert_eq!(likely_units().first(), Some(&1));
        assert!((2..=10).all(|unit| likely_units().contains(&unit)) && likely_units().iter().all(|unit| (1..=247).contains(unit)));
    }

    #[test]
    fn a_setting_is_an_address() {
        let setting = LineSettings { baud: 19_200, parity: LineParity::Even };
        assert_eq!(setting.url(Path::new("/dev/ttyUSB0")), "rtu:///dev/ttyUSB0?baud=19200&parity=even");
        assert!(setting.endpoint(Path::new("/dev/ttyUSB0")).is_some());
    }
}
