//! One bus: a connection, one request at a time, and what is remembered of requests that went unanswered.

use std::{collections::VecDeque, io, time::Duration};

use tokio::time::{Instant, sleep_until};
use tokio_modbus::{
    ExceptionCode, Response, Slave,
    client::{Client as _, Context, rtu, tcp},
    slave::SlaveContext as _,
};

use super::{
    backoff::BackOff,
    counters::BusCounters,
    endpoint::{Endpoint, Open},
    error::BusError,
    framing::{FrameFault, Framing},
    line::Line,
    owed::Owed,
};

/// Longest silence that is waited for after a fault.
const SILENCE_AFTER_FAULT_MAX: Duration = Duration::from_secs(1);
/// How long a line may keep talking before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(2);
/// Answers that are remembered, and for how long, to know one that is repeated behind a later question.
const RECENT_MAX: usize = 8;
const RECENT_LIFE: Duration = Duration::from_secs(2);
/// Silence behind a serial answer before it is believed, if nobody says otherwise: whoever has the same unit id and thinks a little
/// longer is heard in it.
pub(crate) const SETTLE: Duration = Duration::from_millis(10);
const RECONNECT_FIRST: Duration = Duration::from_millis(200);
const RECONNECT_CEILING: Duration = Duration::from_secs(30);
/// How long a port that broke stays closed: an adapter that was pulled out needs it to come back under its name.
const REOPEN_PAUSE: Duration = Duration::from_millis(200);
/// Unanswered requests in a row, to whatever units, after which a serial connection is opened anew.
const SILENT_TO_REOPEN: u32 = 8;

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

impl Request {
    /// All that an answer on a serial line says about its question.
    pub(super) fn shape(&self) -> (u8, u8, u16) {
        (self.unit, self.function, self.count)
    }
}

/// An answer that was handed on.
#[derive(Debug)]
struct Recent {
    request: Request,
    words: Vec<u16>,
    at: Instant,
}

/// A bus and whoever talks on it. Nothing else may use the port.
pub(crate) struct Bus {
    endpoint: Endpoint,
    opener: Box<dyn Open>,
    line: Option<Line>,
    context: Option<Context>,
    /// What arrives now may be an answer to an earlier request.
    dirty: bool,
    /// An answer to what was asked before this moment is old, even where the question is the same.
    fresh_from: Instant,
    owed: Owed,
    recent: VecDeque<Recent>,
    /// Who was talked to last, and the least silence before somebody else is.
    last_unit: Option<u8>,
    foreign_gap: Duration,
    settle: Duration,
    /// Behind the network address there is a serial line.
    converter: bool,
    /// Of the newest request; no other one for a long time had it.
    number: u16,
    silent_in_row: u32,
    reopen_at: Option<Instant>,
    back_off: BackOff,
    latency: Duration,
    lateness: Option<(u8, Duration)>,
    counters: BusCounters,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bus({})", self.endpoint)
    }
}

impl Bus {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        let opener = endpoint.opener();
        Self::with_opener(endpoint, opener)
    }

    pub(crate) fn with_opener(endpoint: Endpoint, opener: Box<dyn Open>) -> Self {
        let back_off = BackOff::new(RECONNECT_FIRST, RECONNECT_CEILING, &endpoint.to_string());
        Self {
            endpoint,
            opener,
            line: None,
            context: None,
            dirty: false,
            fresh_from: Instant::now(),
            owed: Owed::default(),
            recent: VecDeque::new(),
            last_unit: None,
            foreign_gap: Duration::ZERO,
            settle: SETTLE,
            converter: false,
            number: 0,
            silent_in_row: 0,
            reopen_at: None,
            back_off,
            latency: Duration::ZERO,
            lateness: None,
            counters: BusCounters::default(),
        }
    }

    /// Leaves at least this much silence before another unit is talked to than the last one.
    ///
    /// Some devices take a while to see that a frame was not for them (volkszaehler/mbmd#333).
    pub(crate) fn set_foreign_gap(&mut self, gap: Duration) {
        self.foreign_gap = gap;
    }

    /// Believes a serial answer after this much silence behind it, and never before that which ends a frame.
    pub(crate) fn set_settle(&mut self, settle: Duration) {
        self.settle = settle;
    }

    /// Says how long after its question was given up an answer may still come; nothing: as long as the timeout suggests.
    ///
    /// A radio link may keep an answer for a minute. For as long nothing is believed that it could be taken for.
    pub(crate) fn set_late(&mut self, late: Option<Duration>) {
        self.owed.set_life(late);
    }

    /// Says that behind the network address there is a converter with a serial line.
    ///
    /// Many of them put the number of the newest question on whatever the line delivers, so the number proves nothing, and the fences
    /// of a serial line stand here too.
    pub(crate) fn set_converter(&mut self, converter: bool) {
        self.converter = converter;
    }

    /// Whether an answer is told from others by what a serial line says about it.
    fn is_serial(&self) -> bool {
        self.converter || self.endpoint.framing() == Framing::Rtu
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn counters(&self) -> BusCounters {
        let echoes = self.line.as_ref().map_or(0, Line::echoes);
        BusCounters { echoes: self.counters.echoes + echoes, ..self.counters }
    }

    /// How long the device took to answer the last read that succeeded, time on the line aside.
    pub(crate) fn latency(&self) -> Duration {
        self.latency
    }

    /// How long a device took for an answer that came too late, once.
    pub(crate) fn take_lateness(&mut self, unit: u8) -> Option<Duration> {
        self.lateness.take_if(|(of, _)| *of == unit).map(|(_, late)| late)
    }

    /// From now on an answer to an earlier request is stale, even where the same is asked again.
    pub(crate) fn begin_poll(&mut self) {
        self.fresh_from = Instant::now();
    }

    /// Reads registers: exactly as many words as were asked for, or an error.
    ///
    /// Runs to its end: dropping the future half way would leave an answer behind.
    pub(crate) async fn read(&mut self, request: Request) -> Result<Vec<u16>, BusError> {
        let began = Instant::now();
        let mut words = self.exchange(request).await?;
        if self.is_repeated(request, &words) {
            // The same words as another question got a moment ago: an echo of that answer, or truly the same. A late copy
            // does not come twice.
            self.counters.repeated += 1;
            self.dirty = true;
            words = self.exchange(request).await?;
        }
        // As many answers as the device owes may be to older questions; the one after them is not.
        let mut answers = 1;
        while answers <= self.owed.doubts(request, self.fresh_from) {
            self.counters.doubted += 1;
            words = self.exchange(request).await?;
            answers += 1;
        }
        self.dirty |= self.owed.settle(request, began, answers > 1);
        self.remember(request, &words);
        Ok(words)
    }

    async fn exchange(&mut self, request: Request) -> Result<Vec<u16>, BusError> {
        let mut line = self.connected().await?;
        self.check_owed(request)?;
        if self.is_serial() {
            let foreign = self.last_unit.is_some_and(|unit| unit != request.unit);
            let gap = if foreign { request.gap.max(self.foreign_gap) } else { request.gap };
            let after_fault = request.timeout.min(SILENCE_AFTER_FAULT_MAX);
            let silence = if self.dirty { after_fault.max(gap) } else { gap }.max(self.endpoint.frame_silence());
            let quiet = line.quiet(silence, PATIENCE).await;
            self.hear_owed(&line);
            if let Err(err) = quiet {
                self.broke();
                return Err(BusError::Broken { unit: request.unit, endpoint: self.endpoint.clone(), err });
            }
            self.dirty = false;
            // What was heard meanwhile may have settled it, or not.
            self.check_owed(request)?;
        } else if line.drop_waiting().await.is_err() || !line.take_dropped().is_empty() {
            // What came unasked belongs to nothing that is asked now.
            self.close();
            line = self.connected().await?;
        }
        self.last_unit = Some(request.unit);
        let on_the_line = self.endpoint.line_time(8 + 5 + 2 * u64::from(request.count));
        let asked = Instant::now();
        self.number = self.number.wrapping_add(1);
        line.begin(request.timeout + on_the_line, self.number);
        self.counters.exchanges += 1;
        let answer = self.call(&line, request).await;
        let err = match answer {
            Ok(Ok(words)) if words.len() == usize::from(request.count) => {
                if self.is_serial() {
                    self.hear_owed(&line);
                }
                self.silent_in_row = 0;
                self.latency = asked.elapsed().saturating_sub(on_the_line + self.settle_time());
                self.counters.answered += 1;
                return Ok(words);
            }
            Ok(Ok(words)) => {
                io::Error::new(io::ErrorKind::InvalidData, format!("{} registers came, {} were asked for", words.len(), request.count))
            }
            Ok(Err(exception)) => {
                self.silent_in_row = 0;
                self.counters.refused += 1;
                // A refusal does not say of what. Where something older was open, this question may be answered yet.
                if self.owed.doubts(request, self.fresh_from) > 0 {
                    self.owed.add(request, asked);
                }
                return Err(self.refused(request, exception));
            }
            Err(tokio_modbus::Error::Transport(err)) => err,
            Err(tokio_modbus::Error::Protocol(err)) => io::Error::new(io::ErrorKind::InvalidData, err),
        };
        Err(self.failed(&line, request, asked, err))
    }

    /// The silence behind an answer before it is believed.
    fn settle_time(&self) -> Duration {
        if self.is_serial() { self.endpoint.frame_silence().max(self.settle) } else { Duration::ZERO }
    }

    /// Looks for answers that came too late in what was dropped: they will not come again.
    fn hear_owed(&mut self, line: &Line) {
        let heard = line.take_dropped();
        for (unit, late) in self.owed.hear(self.endpoint.framing(), &heard) {
            self.counters.late += 1;
            self.lateness = Some((unit, late));
        }
    }

    fn check_owed(&mut self, request: Request) -> Result<(), BusError> {
        if self.owed.forbids(request, self.fresh_from) {
            self.counters.ambiguous += 1;
            return Err(BusError::Ambiguous { unit: request.unit, endpoint: self.endpoint.clone() });
        }
        Ok(())
    }

    /// Whether the very words were the answer to another question of the same shape a moment ago.
    fn is_repeated(&mut self, request: Request, words: &[u16]) -> bool {
        if !self.is_serial() {
            return false;
        }
        self.recent.retain(|recent| recent.at.elapsed() < RECENT_LIFE);
        let same = |recent: &Recent| recent.request.shape() == request.shape() && recent.request.address != request.address;
        self.recent.iter().any(|recent| same(recent) && recent.words == words)
    }

    fn remember(&mut self, request: Request, words: &[u16]) {
        if !self.is_serial() {
            return;
        }
        self.recent.retain(|recent| (recent.request.shape(), recent.request.address) != (request.shape(), request.address));
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent { request, words: words.to_vec(), at: Instant::now() });
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
        if self.opener.is_renewed() {
            self.close();
        }
        if let Some(line) = &self.line {
            return Ok(line.clone());
        }
        if let Some(left) = self.back_off.left(Instant::now()) {
            return Err(BusError::Resting { endpoint: self.endpoint.clone(), left_ms: left.as_millis() });
        }
        if let Some(at) = self.reopen_at.take() {
            sleep_until(at).await;
        }
        match self.opener.open().await {
            Ok(stream) => {
                self.back_off.succeed();
                self.counters.opened += 1;
                // Whoever used the port before us may still be owed an answer.
                self.dirty = self.is_serial();
                let line = Line::new(stream, self.endpoint.framing(), self.settle_time());
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
    fn failed(&mut self, line: &Line, request: Request, asked: Instant, err: io::Error) -> BusError {
        self.context = None;
        let silent = err.kind() == io::ErrorKind::TimedOut;
        let misunderstood = err.kind() == io::ErrorKind::InvalidData;
        self.silent_in_row = if silent { self.silent_in_row + 1 } else { 0 };
        // Behind a connection there may be a serial line of its own, so this holds for both framings.
        self.owed.add(request, asked);
        if self.endpoint.framing() == Framing::Tcp {
            self.close();
        } else if !(silent || misunderstood) {
            self.broke();
        } else {
            self.dirty = true;
            line.touch();
            if self.silent_in_row >= SILENT_TO_REOPEN {
                self.silent_in_row = 0;
                self.broke();
            }
        }
        let (unit, endpoint) = (request.unit, self.endpoint.clone());
        if silent {
            self.counters.silent += 1;
            BusError::Silent { unit, endpoint, timeout_ms: request.timeout.as_millis() }
        } else {
            let doubled = err.get_ref().and_then(|cause| cause.downcast_ref()) == Some(&FrameFault::MoreBehind);
            self.counters.doubled += u64::from(doubled);
            self.counters.damaged += u64::from(misunderstood && !doubled);
            self.counters.broken += u64::from(!misunderstood);
            BusError::Broken { unit, endpoint, err }
        }
    }

    fn refused(&self, request: Request, exception: ExceptionCode) -> BusError {
        let Request { unit, function, address, count, .. } = request;
        BusError::Refused { unit, endpoint: self.endpoint.clone(), function, address, count, exception }
    }

    /// Closes a port that failed, and leaves it closed for a moment.
    fn broke(&mut self) {
        self.close();
        self.reopen_at = Some(Instant::now() + REOPEN_PAUSE);
    }

    fn close(&mut self) {
        self.context = None;
        if let Some(line) = self.line.take() {
            self.counters.echoes += line.echoes();
        }
    }
}
