//! Where to look for devices: serial ports, hosts, or every host of a network.

use std::{
    fmt,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use super::{
    ports::{SerialPort, serial_ports},
    settings::LineSettings,
};
use crate::modbus::{Endpoint, EndpointError};

/// Most hosts in one scan.
pub const HOSTS_MAX: u32 = 1_024;

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A serial port, with the one setting to try if it is known.
    Serial {
        /// The device file.
        path: PathBuf,
        /// Only this setting.
        only: Option<LineSettings>,
        /// What the kernel knows of it.
        port: Option<SerialPort>,
    },
    /// `host:port`; which framing it speaks is found out unless it is given.
    Host {
        /// Host and port.
        address: String,
        /// Only serial frames.
        serial_frames_only: bool,
    },
}

/// Why a text does not say where to look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No such way to write it.
    #[error("`{0}` is no place to look: write auto, /dev/ttyUSB0, tcp://HOST:PORT or tcp://192.168.1.0/24:502")]
    Shape(String),
    /// As an address of a bus it would have to be right, and is not.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Too large a network.
    #[error("`{network}` has {hosts} hosts; at most {HOSTS_MAX} are asked at once: write a smaller network, such as /24")]
    Network {
        /// As written.
        network: String,
        /// How many.
        hosts: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial { path, .. } => write!(f, "{}", path.display()),
            Self::Host { address, serial_frames_only: true } => write!(f, "rtu+tcp://{address}"),
            Self::Host { address, serial_frames_only: false } => write!(f, "tcp://{address}"),
        }
    }
}

impl Place {
    /// Reads `auto`, a device file, or an address; a network becomes its hosts.
    ///
    /// * Shape: `root` is where the machine's files begin, `/` but in tests.
    /// * Errors: what is wrong with the text.
    pub fn parse(text: &str, root: &Path) -> Result<Vec<Self>, PlaceError> {
        if text == "auto" {
            let ports = serial_ports(root).into_iter();
            return Ok(ports.map(|port| Self::Serial { path: port.path.clone(), only: None, port: Some(port) }).collect());
        }
        if text.starts_with('/') {
            let known = serial_ports(root).into_iter().find(|port| port.path == Path::new(text) || port.device == Path::new(text));
            return Ok(vec![Self::Serial { path: text.into(), only: None, port: known }]);
        }
        let Some((scheme, rest)) = text.split_once("://") else { return Err(PlaceError::Shape(text.to_owned())) };
        let serial_frames_only = scheme == "rtu+tcp";
        if scheme == "tcp" || serial_frames_only {
            return Ok(hosts(rest)?.into_iter().map(|address| Self::Host { address, serial_frames_only }).collect());
        }
        Endpoint::parse(text)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        Ok(vec![Self::Serial { path: path.into(), only: LineSettings::from_query(query), port: None }])
    }
}

/// `host:port`, or every host of `a.b.c.d/n:port` but its first and last.
fn hosts(text: &str) -> Result<Vec<String>, PlaceError> {
    let Some((network, rest)) = text.split_once('/') else {
        Endpoint::parse(&format!("tcp://{text}"))?;
        return Ok(vec![text.to_owned()]);
    };
    let shape = || PlaceError::Shape(text.to_owned());
    let (bits, port) = rest.split_once(':').ok_or_else(shape)?;
    let base: Ipv4Addr = network.parse().map_err(|_err| shape())?;
    let bits: u32 = bits.parse().ok().filter(|bits| (0..=32).contains(bits)).ok_or_else(shape)?;
    let port: u16 = port.parse().ok().filter(|&port| port > 0).ok_or_else(shape)?;
    let size = 1_u64 << (32 - bits);
    if size > u64::from(HOSTS_MAX) {
        return Err(PlaceError::Network { network: text.to_owned(), hosts: size });
    }
    let first = u64::from(u32::from(base)) & !(size - 1);
    let inside = if size > 2 { first + 1..first + size - 1 } else { first..first + size };
    Ok(inside.filter_map(|host| u32::try_from(host).ok()).map(|host| format!("{}:{port}", Ipv4Addr::from(host))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        Place::parse(text, Path::new("/nowhere")).unwrap().iter().map(Place::to_string).collect()
    }

    #[test]
    fn places_are_ports_hosts_and_networks() {
        assert_eq!(shown("auto"), [] as [&str; 0]);
        assert_eq!(shown("/dev/ttyUSB0"), ["/dev/ttyUSB0"]);
        assert_eq!(shown("tcp://meter.local:502"), ["tcp://meter.local:502"]);
        assert_eq!(shown("rtu+tcp://10.0.0.1:4001"), ["rtu+tcp://10.0.0.1:4001"]);
        assert_eq!(shown("tcp://10.0.0.9/30:502"), ["tcp://10.0.0.9:502", "tcp://10.0.0.10:502"]);
        assert_eq!(shown("tcp://10.0.0.77/24:502").len(), 254);
        let Some(Place::Serial { only: Some(only), .. }) =
            Place::parse("rtu:///dev/ttyS1?baud=19200&parity=even", Path::new("/nowhere")).unwrap().pop()
        else {
            panic!("a port with its setting")
        };
        assert_eq!(only.to_string(), "19200 8E1");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        let refused = |text: &str| Place::parse(text, Path::new("/nowhere")).unwrap_err();
        assert!(matches!(refused("ttyUSB0"), PlaceError::Shape(_)));
        assert!(matches!(refused("tcp://10.0.0.1"), PlaceError::Endpoint(_)));
        assert!(matches!(refused("tcp://10.0.0.0/8:502"), PlaceError::Network { hosts: 16_777_216, .. }));
        assert!(matches!(refused("tcp://10.0.0.0/40:502"), PlaceError::Shape(_)));
        assert!(matches!(refused("rtu:///dev/ttyUSB0?bits=7"), PlaceError::Endpoint(_)));
    }
}
