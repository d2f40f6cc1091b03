//! What carries the frames, and how long they take.

use std::time::Duration;

use crate::converter::Labels;

const BITS_PER_BYTE: u32 = 11;

/// How a bus in memory carries frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A line with this rate.
    Serial { baud: u32, echo: bool },
    /// Serial frames through a connection to a converter, with a line of this rate behind it.
    Tunnel { baud: u32 },
    /// Modbus TCP to a converter, with a line of this rate behind it.
    Converter { baud: u32, labels: Labels },
    /// Modbus TCP to the device itself.
    Network,
}

impl Carrier {
    pub(super) const fn is_network(self) -> bool {
        matches!(self, Self::Network)
    }

    /// Whether frames travel to and from the reader with the header of a network.
    pub(super) const fn has_header(self) -> bool {
        matches!(self, Self::Network | Self::Converter { .. })
    }

    pub(super) fn time(self, bytes: usize) -> Duration {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        match self {
            Self::Serial { baud, .. } | Self::Tunnel { baud } | Self::Converter { baud, .. } => {
                Duration::from_secs(u64::from(BITS_PER_BYTE) * u64::from(bytes)) / baud
            }
            Self::Network => Duration::from_micros(20),
        }
    }
}
