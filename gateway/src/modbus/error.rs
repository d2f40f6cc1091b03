//! Why a read failed, and what follows from that.

use std::io;

use tokio_modbus::ExceptionCode;

use super::endpoint::Endpoint;

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The connection or port could not be opened.
    #[error("could not connect to {endpoint}")]
    Connect {
        /// The bus.
        endpoint: Endpoint,
        /// What the system said.
        #[source]
        err: io::Error,
    },
    /// The last attempt to connect failed a moment ago.
    #[error("{endpoint} is left alone for another {left_ms} ms after it could not be reached")]
    Resting {
        /// The bus.
        endpoint: Endpoint,
        /// Until the next attempt.
        left_ms: u128,
    },
    /// No answer.
    #[error("unit {unit} on {endpoint} gave no answer within {timeout_ms} ms")]
    Silent {
        /// The unit id.
        unit: u8,
        /// The bus.
        endpoint: Endpoint,
        /// How long was waited.
        timeout_ms: u128,
    },
    /// The device answered that it will not.
    #[error("unit {unit} on {endpoint} refused to read {count} registers at {address} with function {function}: {exception}")]
    Refused {
        /// The unit id.
        unit: u8,
        /// The bus.
        endpoint: Endpoint,
        /// Function code.
        function: u8,
        /// First register.
        address: u16,
        /// How many.
        count: u16,
        /// Its reason.
        exception: ExceptionCode,
    },
    /// The connection broke, or what came is not Modbus.
    #[error("the exchange with unit {unit} on {endpoint} failed")]
    Broken {
        /// The unit id.
        unit: u8,
        /// The bus.
        endpoint: Endpoint,
        /// What happened.
        #[source]
        err: io::Error,
    },
    /// An earlier request of the same length is still unanswered: an answer now could belong to either.
    #[error("unit {unit} on {endpoint} still owes an answer that could be taken for this one")]
    Ambiguous {
        /// The unit id.
        unit: u8,
        /// The bus.
        endpoint: Endpoint,
    },
}

impl BusError {
    /// Whether asking again at once, unchanged, may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Silent { .. } | Self::Broken { .. } => true,
            Self::Refused { exception, .. } => matches!(
                exception,
                ExceptionCode::Acknowledge
                    | ExceptionCode::ServerDeviceBusy
                    | ExceptionCode::GatewayPathUnavailable
                    | ExceptionCode::GatewayTargetDevice
            ),
            Self::Connect { .. } | Self::Resting { .. } | Self::Ambiguous { .. } => false,
        }
    }

    /// Whether nobody could be asked, because the bus itself cannot be reached.
    pub fn is_of_bus(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Resting { .. })
    }

    /// Whether another request may succeed all the same.
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Refused { .. }) && !self.is_transient() || matches!(self, Self::Ambiguous { .. })
    }
}
