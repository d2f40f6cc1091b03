//! One bus: a connection, one request at a time, and what is remembered of requests that went unanswered.

use std::{io, time::Duration};

use tokio::time::Instant;
use tokio_modbus::{
    ExceptionCode, Response, Slave,
    client::{Client as _, Context, rtu, tcp},
    slave::SlaveContext as _,
};

use super::{
    backoff::BackOff,
    endpoint::{Endpoint, Open},
    framing::Framing,
    line::Line,
};

/// Longest silence that is waited for after a fault.
const SILENCE_AFTER_FAULT_MAX: Duration = Duration::from_secs(1);
/// How long a line may keep talking before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(2);
/// For how many timeouts an unanswered request may still be answered.
const GHOST_TIMEOUTS: u32 = 10;
const RECONNECT_FIRST: Duration = Duration::from_millis(200);
const RECONNECT_CEILING: Duration = Duration::from_secs(30);

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

    /// Whether the device is there and another request may succeed.
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Refused { .. }) && !self.is_transient() || matches!(self, Self::Ambiguous { .. })
    }
}

/// A read of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) unit: u8,
    /// Function code, 3 or 4.
    pub(crate) function: u8,
    pub(crate) address: u16,
    pub(crate) count: u16,
    pub(crate) timeout: Duration,
    /// Least silence before the request.
    pub(crate) gap: Duration,
}

/// A request whose answer may still come.
#[derive(Debug)]
struct Ghost {
    request: Request,
    until: Instant,
}

/// A bus and whoever talks on it. Nothing else may use the port.
pub(crate) struct Bus {
    endpoint: Endpoint,
    opener: Box<dyn Open>,
    line: Option<Line>,
    context: Option<Context>,
    /// What arrives now may be an answer to an earlier request.
    dirty: bool,
    ghosts: Vec<Ghost>,
    back_off: BackOff,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bus({})", self.endpoint)
    }
}

impl Bus {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        let opener = Box::new(endpoint.clone());
        Self::with_opener(endpoint, opener)
    }

    pub(crate) fn with_opener(endpoint: Endpoint, opener: Box<dyn Open>) -> Self {
        let back_off = BackOff::new(RECONNECT_FIRST, RECONNECT_CEILING, &endpoint.to_string());
        Self { endpoint, opener, line: None, context: None, dirty: false, ghosts: Vec::new(), back_off }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Reads registers: exactly as many words as were asked for, or an error.
    ///
    /// Runs to its end: dropping the future half way would leave an answer behind.
    pub(crate) async fn read(&mut self, request: Request) -> Result<Vec<u16>, BusError> {
        let line = self.connected().await?;
        if self.endpoint.framing() == Framing::Rtu {
            self.check_ghosts(request)?;
            let after_fault = request.timeout.min(SILENCE_AFTER_FAULT_MAX);
            let silence = if self.dirty { after_fault } else { request.gap.max(self.endpoint.frame_silence()) };
            if let Err(err) = line.quiet(silence, PATIENCE).await {
                self.close();
                return Err(BusError::Broken { unit: request.unit, endpoint: self.endpoint.clone(), err });
            }
            self.dirty = false;
        }
        let answer_bytes = 2 * u64::from(request.count) + 5;
        line.begin(request.timeout + self.endpoint.line_time(8 + answer_bytes));
        let answer = self.call(&line, request).await;
        let err = match answer {
            Ok(Ok(words)) if words.len() == usize::from(request.count) => return Ok(words),
            Ok(Ok(words)) => {
                io::Error::new(io::ErrorKind::InvalidData, format!("{} registers came, {} were asked for", words.len(), request.count))
            }
            Ok(Err(exception)) => return Err(self.refused(request, exception)),
            Err(tokio_modbus::Error::Transport(err)) => err,
            Err(tokio_modbus::Error::Protocol(err)) => io::Error::new(io::ErrorKind::InvalidData, err),
        };
        Err(self.failed(&line, request, err))
    }

    async fn call(&mut self, line: &Line, request: Request) -> tokio_modbus::Result<Vec<u16>> {
        let framing = self.endpoint.framing();
        let context = self.context.get_or_insert_with(|| match framing {
            Framing::Tcp => tcp::attach(line.clone()),
            Framing::Rtu => rtu::attach(line.clone()),
        });
        context.set_slave(Slave(request.unit));
        let question = match request.function {
            3 => tokio_modbus::Request::ReadHoldingRegisters(request.address, request.count),
            _ => tokio_modbus::Request::ReadInputRegisters(request.address, request.count),
        };
        Ok(context.call(question).await?.map(|response| match (request.function, response) {
            (3, Response::ReadHoldingRegisters(words)) | (4, Response::ReadInputRegisters(words)) => words,
            _ => Vec::new(),
        }))
    }

    async fn connected(&mut self) -> Result<Line, BusError> {
        if let Some(line) = &self.line {
            return Ok(line.clone());
        }
        if let Some(left) = self.back_off.left(Instant::now()) {
            return Err(BusError::Resting { endpoint: self.endpoint.clone(), left_ms: left.as_millis() });
        }
        match self.opener.open().await {
            Ok(line) => {
                self.back_off.succeed();
                // Whoever used the port before us may still be owed an answer.
                self.dirty = self.endpoint.framing() == Framing::Rtu;
                self.line = Some(line.clone());
                Ok(line)
            }
            Err(err) => {
                self.back_off.fail(Instant::now());
                Err(BusError::Connect { endpoint: self.endpoint.clone(), err })
            }
        }
    }

    /// Drops the poisoned context and whatever else may still bring an old answer.
    fn failed(&mut self, line: &Line, request: Request, err: io::Error) -> BusError {
        self.context = None;
        let silent = err.kind() == io::ErrorKind::TimedOut;
        if self.endpoint.framing() == Framing::Tcp || !(silent || err.kind() == io::ErrorKind::InvalidData) {
            self.close();
        } else {
            self.dirty = true;
            line.touch();
            self.ghosts.push(Ghost { request, until: Instant::now() + request.timeout * GHOST_TIMEOUTS });
        }
        let (unit, endpoint) = (request.unit, self.endpoint.clone());
        if silent {
            BusError::Silent { unit, endpoint, timeout_ms: request.timeout.as_millis() }
        } else {
            BusError::Broken { unit, endpoint, err }
        }
    }

    fn refused(&self, request: Request, exception: ExceptionCode) -> BusError {
        let Request { unit, function, address, count, .. } = request;
        BusError::Refused { unit, endpoint: self.endpoint.clone(), function, address, count, exception }
    }

    fn check_ghosts(&mut self, request: Request) -> Result<(), BusError> {
        let now = Instant::now();
        self.ghosts.retain(|ghost| ghost.until > now);
        let same_shape = |ghost: &Request| (ghost.unit, ghost.function, ghost.count) == (request.unit, request.function, request.count);
        let ambiguous = self.ghosts.iter().any(|ghost| same_shape(&ghost.request) && ghost.request.address != request.address);
        if ambiguous { Err(BusError::Ambiguous { unit: request.unit, endpoint: self.endpoint.clone() }) } else { Ok(()) }
    }

    fn close(&mut self) {
        self.context = None;
        self.line = None;
    }
}
