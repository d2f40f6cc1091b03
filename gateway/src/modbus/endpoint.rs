//! Where a bus is, and opening it.

use std::{fmt, future::Future, io, path::PathBuf, pin::Pin, time::Duration};

use tokio::{net::TcpStream, time::timeout};

use super::{
    framing::Framing,
    line::Stream,
    listen::{Doors, Listen},
    serial::Port,
};

/// Longest that opening a port or a connection may take.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Above this rate the silence between frames has a fixed length (Modbus over serial line V1.02, 2.5.1.1).
const BAUD_OF_FIXED_SILENCE: u32 = 19_200;
const FIXED_SILENCE: Duration = Duration::from_micros(1_750);
/// Bits of one character on the line, parity or second stop bit included.
const BITS_PER_BYTE: u64 = 11;

/// Parity of a serial line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parity {
    /// None, as most Asian meters come.
    #[default]
    None,
    /// Even, the standard's own choice.
    Even,
    /// Odd.
    Odd,
}

impl Parity {
    /// Reads `none`, `even` or `odd`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Self::None),
            "even" => Some(Self::Even),
            "odd" => Some(Self::Odd),
            _ => None,
        }
    }
}

/// Where a bus is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Modbus TCP at `host:port`.
    Tcp(String),
    /// Serial frames through a TCP connection, as simple converters offer it.
    RtuOverTcp(String),
    /// A serial port.
    Rtu {
        /// The device file; prefer `/dev/serial/by-path/…`, which survives re-plugging.
        path: PathBuf,
        /// Bits per second.
        baud: u32,
        /// Parity.
        parity: Parity,
    },
    /// A connection that the device makes to us.
    Listen(Listen),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::RtuOverTcp(address) => write!(f, "rtu+tcp://{address}"),
            Self::Rtu { path, .. } => write!(f, "rtu://{}", path.display()),
            Self::Listen(listen) => listen.fmt(f),
        }
    }
}

/// Why a text does not name a bus.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not one of the known beginnings.
    #[error(
        "`{0}` does not name a bus: write tcp://HOST:PORT, rtu+tcp://HOST:PORT, rtu:///dev/ttyUSB0?baud=9600&parity=none or listen://HOST:PORT"
    )]
    Shape(String),
    /// The port is missing or none.
    #[error("`{0}` has no port between 1 and 65535: write HOST:PORT, the usual port is 502")]
    Port(String),
    /// A setting of a serial line that does not exist.
    #[error("`{0}` is not a setting of a serial line: write baud=9600 (300 to 921600) or parity=none, even or odd")]
    Setting(String),
    /// A setting of a connection that is waited for, which does not exist.
    #[error("`{0}` says nothing about who dials in: write framing=rtu or tcp, peer=10.0.0.7 or hello=TEXT")]
    Caller(String),
}

impl Endpoint {
    /// Reads `tcp://192.168.1.20:502`, `rtu+tcp://…` or `rtu:///dev/ttyUSB0?baud=9600&parity=none`.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let shape = || EndpointError::Shape(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(shape)?;
        match scheme {
            "tcp" => Ok(Self::Tcp(host_and_port(rest)?)),
            "rtu+tcp" => Ok(Self::RtuOverTcp(host_and_port(rest)?)),
            "rtu" => {
                let (path, settings) = rest.split_once('?').unwrap_or((rest, ""));
                let (mut baud, mut parity) = (9_600, Parity::None);
                for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
                    let refused = || EndpointError::Setting(setting.to_owned());
                    match setting.split_once('=').ok_or_else(refused)? {
                        ("baud", value) => baud = value.parse().ok().filter(|&baud| is_baud(baud)).ok_or_else(refused)?,
                        ("parity", value) => parity = Parity::parse(value).ok_or_else(refused)?,
                        _ => return Err(refused()),
                    }
                }
                if !path.starts_with('/') {
                    return Err(shape());
                }
                Ok(Self::Rtu { path: path.into(), baud, parity })
            }
            "listen" => Ok(Self::Listen(Listen::parse(rest)?)),
            _ => Err(shape()),
        }
    }

    /// Opens the port or connection, with nothing of ours on top.
    pub(crate) async fn stream(&self) -> io::Result<Box<dyn Stream>> {
        self.opener().open().await
    }

    /// What opens this bus, again and again.
    pub fn opener(&self) -> Box<dyn Open> {
        match self {
            Self::Tcp(address) | Self::RtuOverTcp(address) => Box::new(Connector(address.clone())),
            Self::Rtu { path, baud, parity } => Box::new(Port::new(path.clone(), *baud, *parity, None)),
            Self::Listen(listen) => Doors::default().opener(listen),
        }
    }

    pub(crate) fn framing(&self) -> Framing {
        match self {
            Self::Tcp(_) => Framing::Tcp,
            Self::RtuOverTcp(_) | Self::Rtu { .. } => Framing::Rtu,
            Self::Listen(listen) => listen.framing,
        }
    }

    /// The silence that separates two frames on the line.
    pub(crate) fn frame_silence(&self) -> Duration {
        match self {
            Self::Rtu { baud, .. } if *baud <= BAUD_OF_FIXED_SILENCE => self.line_time(7) / 2,
            _ if self.framing() == Framing::Rtu => FIXED_SILENCE,
            _ => Duration::ZERO,
        }
    }

    /// How long so many bytes take on the line.
    pub(crate) fn line_time(&self, bytes: u64) -> Duration {
        match self {
            Self::Rtu { baud, .. } => Duration::from_micros(bytes * BITS_PER_BYTE * 1_000_000 / u64::from((*baud).max(1))),
            _ => Duration::ZERO,
        }
    }
}

/// Whether a serial line can have this rate.
pub(crate) fn is_baud(baud: u32) -> bool {
    (300..=921_600).contains(&baud)
}

/// Checks `host:port`.
pub(crate) fn host_and_port(text: &str) -> Result<String, EndpointError> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse::<u16>().ok());
    match port {
        Some(port) if port > 0 => Ok(text.to_owned()),
        _ => Err(EndpointError::Port(text.to_owned())),
    }
}

/// A connection being opened.
pub type Opening<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 'a>>;

/// Opens connections to a bus, again and again; whoever simulates one brings their own.
pub trait Open: Send + fmt::Debug {
    /// Opens one. The one before it is closed.
    fn open(&mut self) -> Opening<'_>;

    /// Whether a better connection than the one that was opened is waiting.
    fn is_renewed(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct Connector(String);

impl Open for Connector {
    fn open(&mut self) -> Opening<'_> {
        Box::pin(async {
            let connecting = timeout(OPEN_TIMEOUT, TcpStream::connect(&self.0));
            let stream = connecting.await.map_err(|_elapsed| io::ErrorKind::TimedOut)??;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_is_named_by_a_url() {
        assert_eq!(Endpoint::parse("tcp://10.0.0.7:502"), Ok(Endpoint::Tcp("10.0.0.7:502".into())));
        assert_eq!(Endpoint::parse("tcp://[::1]:502"), Ok(Endpoint::Tcp("[::1]:502".into())));
        let port = |baud, parity| Ok(Endpoint::Rtu { path: "/dev/ttyUSB0".into(), baud, parity });
        assert_eq!(Endpoint::parse("rtu:///dev/ttyUSB0"), port(9_600, Parity::None));
        assert_eq!(Endpoint::parse("rtu:///dev/ttyUSB0?baud=19200&parity=even"), port(19_200, Parity::Even));
        for bad in ["10.0.0.7:502", "http://10.0.0.7:502", "rtu://ttyUSB0"] {
            assert!(matches!(Endpoint::parse(bad), Err(EndpointError::Shape(_))), "{bad}");
        }
        for bad in ["tcp://10.0.0.7", "tcp://10.0.0.7:0", "tcp://10.0.0.7:99999", "tcp://:502"] {
            assert!(matches!(Endpoint::parse(bad), Err(EndpointError::Port(_))), "{bad}");
        }
        for bad in ["baud=fast", "baud=1", "parity=mark", "bits=8", "baud"] {
            assert!(matches!(Endpoint::parse(&format!("rtu:///dev/ttyUSB0?{bad}")), Err(EndpointError::Setting(_))), "{bad}");
        }
    }

    #[test]
    fn silence_follows_the_rate() {
        let silence = |baud| Endpoint::Rtu { path: "/dev/tty".into(), baud, parity: Parity::None }.frame_silence().as_micros();
        assert_eq!((silence(9_600), silence(19_200), silence(115_200)), (4_010, 2_005, 1_750));
    }
}
