//! A bus in memory, for bulk: a paced half-duplex line or a network connection with meters on it, in tokio's time.
//!
//! It does what the line between two pseudo-terminals does, without threads and without waiting: under paused time an exchange takes
//! microseconds. Everything that goes wrong is drawn from the seed and from the number of the exchange, so that a run can be
//! repeated. It keeps a book of what it was asked and when each device looked at its registers, which is the truth that a reader is
//! held against.

mod carrier;
mod clock;
mod connection;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use devices::Table;
use jiff::Timestamp;
use tokio::time::Instant;

pub use self::carrier::Carrier;
pub use self::clock::TokioClock;
pub use self::connection::Connection;
use self::connection::READ_BYTES;
use crate::converter::Converter;
use crate::fault::{Fault, Faults, Injection};
use crate::meter::Meter;
use crate::pdu;
use crate::rtu::framed;

/// Most of what is remembered of exchanges until somebody takes them.
const BOOK_MAX: usize = 4096;
/// Newest pieces of what was said that are remembered.
const TRACE_MAX: usize = 192;
/// What a collision does to a byte.
const GARBLE: u8 = 0x5A;

/// A request as it arrived on the bus.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    pub unit: u8,
    pub table: Table,
    pub address: u16,
    pub count: u16,
    /// When it was asked.
    pub asked: Timestamp,
    /// When the device looked at its registers; nothing where it never did.
    pub sampled: Option<Timestamp>,
    /// What went wrong, if anything did.
    pub fault: Option<Fault>,
}

/// A bus in memory with meters on it. It stays when its connections come and go.
#[derive(Clone)]
pub struct Channel(Arc<Mutex<State>>);

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel")
    }
}

struct State {
    carrier: Carrier,
    clock: TokioClock,
    units: BTreeMap<u8, Arc<Meter>>,
    /// Somebody else's device with the same unit ids.
    twins: BTreeMap<u8, Arc<Meter>>,
    turnaround: Duration,
    faults: Arc<Faults>,
    converter: Converter,
    /// The device answers nothing before this moment, and in order.
    busy_until: BTreeMap<u8, Instant>,
    /// Both sides are set to different rates until then.
    garbled_until: Instant,
    /// What is on the line, in the order in which it arrives.
    air: Vec<Chunk>,
    connection: u64,
    /// The newest connection is dead from now on.
    ending: Option<Ending>,
    /// The port is not there until then.
    absent_until: Option<Instant>,
    book: VecDeque<Exchange>,
    /// What was said last, and by whom.
    trace: VecDeque<(Instant, Direction, Vec<u8>)>,
    reader: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    /// By the reader.
    Asked,
    /// On the line, from this moment on.
    Said,
    /// By the reader.
    Heard,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Reset,
    /// Nothing arrives any more, in either direction.
    HalfOpen,
    /// Nothing may be sent any more.
    ZeroWindow,
    /// The port is gone: reads give nothing.
    Unplugged,
}

/// Bytes that arrive at once, the last of them at `due`.
struct Chunk {
    due: Instant,
    connection: u64,
    /// A converter has made a frame of it already.
    labelled: bool,
    bytes: Vec<u8>,
}

impl Channel {
    #[must_use]
    pub fn new(carrier: Carrier, clock: TokioClock, turnaround: Duration, faults: Arc<Faults>) -> Self {
        Self(Arc::new(Mutex::new(State {
            carrier,
            clock,
            units: BTreeMap::new(),
            twins: BTreeMap::new(),
            turnaround,
            faults,
            converter: Converter::default(),
            busy_until: BTreeMap::new(),
            garbled_until: Instant::now(),
            air: Vec::new(),
            connection: 0,
            ending: None,
            absent_until: None,
            book: VecDeque::new(),
            trace: VecDeque::new(),
            reader: None,
        })))
    }

    /// Puts a meter on the bus, and a stranger that has the same unit id where a fault says so.
    pub fn add(&self, unit: u8, meter: Arc<Meter>, twin: Arc<Meter>) {
        let mut state = self.lock();
        state.units.insert(unit, meter);
        state.twins.insert(unit, twin);
    }

    /// The one connection or the port; the one before it is closed.
    ///
    /// * Errors: the port is not there.
    pub fn connect(&self) -> io::Result<Connection> {
        let mut state = self.lock();
        if state.absent_until.take_if(|until| *until <= Instant::now()).is_none() && state.absent_until.is_some() {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.connection += 1;
        state.ending = None;
        if !matches!(state.carrier, Carrier::Serial { .. }) {
            // What came while nobody was connected went nowhere.
            let now = Instant::now();
            state.air.retain(|chunk| chunk.due > now);
        }
        Ok(Connection { channel: self.clone(), number: state.connection, heard: Vec::new(), timer: None })
    }

    /// The exchanges since the last time.
    #[must_use]
    pub fn take_book(&self) -> Vec<Exchange> {
        self.lock().book.drain(..).collect()
    }

    /// What was asked (`>`), said on the line (`=`) and heard (`<`) last, in bytes and with the time: to find out why a value was wrong.
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        let state = self.lock();
        let line = |(at, direction, bytes): &(Instant, Direction, Vec<u8>)| {
            let arrow = match direction {
                Direction::Asked => '>',
                Direction::Said => '=',
                Direction::Heard => '<',
            };
            format!("{} {arrow} {}", state.clock.at(*at), hex(bytes))
        };
        let mut trace: Vec<_> = state.trace.iter().collect();
        trace.sort_by_key(|(at, ..)| *at);
        trace.into_iter().map(line).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl State {
    fn note(&mut self, at: Instant, direction: Direction, bytes: &[u8]) {
        if self.trace.len() == TRACE_MAX {
            self.trace.pop_front();
        }
        self.trace.push_back((at, direction, bytes.to_vec()));
    }

    /// Puts bytes on the line from `start` on, in up to three pieces; whoever talks at the same time is garbled, and so are they.
    fn launch(&mut self, start: Instant, mut bytes: Vec<u8>, entropy: u64) {
        let carrier = self.carrier;
        let end = start + carrier.time(bytes.len());
        if !carrier.is_network() {
            for chunk in &mut self.air {
                let began = chunk.due.checked_sub(carrier.time(chunk.bytes.len())).unwrap_or(chunk.due);
                let (from, to) = (began.max(start), chunk.due.min(end));
                if from < to {
                    garble(&mut chunk.bytes, carrier, began, from, to);
                    garble(&mut bytes, carrier, start, from, to);
                }
            }
        }
        self.note(start, Direction::Said, &bytes);
        let mut cuts = [entropy % 64, (entropy >> 8) % 64].map(|part| bytes.len() * usize::try_from(part).unwrap_or(0) / 64);
        cuts.sort_unstable();
        let mut begin = 0;
        for cut in cuts.into_iter().chain([bytes.len()]) {
            if let Some(piece) = bytes.get(begin..cut).filter(|piece| !piece.is_empty()) {
                self.air.push(Chunk {
                    due: start + carrier.time(cut),
                    connection: self.connection,
                    labelled: false,
                    bytes: piece.to_vec(),
                });
            }
            begin = cut;
        }
        self.air.sort_by_key(|chunk| chunk.due);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Whether what is said from `start` on meets something else on the line.
    fn collides(&mut self, start: Instant, bytes: usize) -> bool {
        let (carrier, end) = (self.carrier, start + self.carrier.time(bytes));
        let mut collides = false;
        for chunk in &mut self.air {
            let began = chunk.due.checked_sub(carrier.time(chunk.bytes.len())).unwrap_or(chunk.due);
            let (from, to) = (began.max(start), chunk.due.min(end));
            if from < to {
                garble(&mut chunk.bytes, carrier, began, from, to);
                collides = true;
            }
        }
        collides
    }

    /// A request was said. `transaction` is its number on a network.
    fn hear(&mut self, transaction: [u8; 2], request: [u8; 6]) {
        let [unit, function, a, b, c, d] = request;
        let now = Instant::now();
        let serial = !self.carrier.is_network();
        if matches!(self.carrier, Carrier::Converter { .. }) {
            self.converter.asked(transaction);
        }
        let end = now + self.carrier.time(READ_BYTES);
        let (address, count) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let table = if function == 3 { Table::Holding } else { Table::Input };
        let mut exchange = Exchange { unit, table, address, count, asked: self.clock.at(now), sampled: None, fault: None };
        let spoilt = serial && self.collides(now, READ_BYTES) || now < self.garbled_until;
        if let Carrier::Serial { echo: true, .. } = self.carrier {
            self.launch(now, framed(unit, &request[1..]), 0);
        }
        let injection = self.faults.next(unit);
        exchange.fault = injection.map(|injection| injection.fault);
        if !spoilt && let Some(meter) = self.units.get(&unit).cloned() {
            // A device does one thing after another; what it is asked meanwhile waits, or is lost.
            let busy = self.busy_until.get(&unit).copied().filter(|until| *until > end);
            let lost =
                busy.is_some() && injection.map_or(address, |injection| u16::from_be_bytes([0, injection.noise(1)[0]])).is_multiple_of(2);
            if !lost {
                let start = busy.unwrap_or(end) + self.turnaround;
                let sampled = self.clock.at(start);
                exchange.sampled = Some(sampled);
                let pdu = pdu::answer_at(&meter, &request[1..], sampled);
                self.reply(transaction, request, start, sampled, pdu, injection);
            }
        }
        if self.book.len() == BOOK_MAX {
            self.book.pop_front();
        }
        self.book.push_back(exchange);
    }

    fn reply(
        &mut self,
        transaction: [u8; 2],
        request: [u8; 6],
        start: Instant,
        sampled: Timestamp,
        pdu: Vec<u8>,
        injection: Option<Injection>,
    ) {
        let unit = request[0];
        let Some(injection) = injection else {
            let end = self.say(transaction, unit, start, &pdu, 0);
            self.busy_until.insert(unit, end);
            return;
        };
        let entropy = u64::from_be_bytes(injection.noise(8).try_into().unwrap_or_default());
        let mut busy = start;
        match injection.fault {
            Fault::BaudChange(time) => self.garbled_until = Instant::now() + time,
            Fault::Busy(time) => busy = start + time,
            Fault::Reset => self.ending = Some(Ending::Reset),
            Fault::HalfOpen => self.ending = Some(Ending::HalfOpen),
            Fault::ZeroWindow => self.ending = Some(Ending::ZeroWindow),
            Fault::Unplugged(time) => {
                self.ending = Some(Ending::Unplugged);
                self.absent_until = Some(Instant::now() + time);
                // What was under way is gone with the adapter.
                self.air.clear();
            }
            Fault::Trickle(pause) if self.carrier.is_network() => {
                let frame = self.frame(transaction, unit, &pdu);
                for (at, byte) in (0..).zip(frame) {
                    let due = start + pause * at;
                    self.air.push(Chunk { due, connection: self.connection, labelled: false, bytes: vec![byte] });
                    busy = due;
                }
                self.air.sort_by_key(|chunk| chunk.due);
            }
            _ if self.carrier.is_network() => busy = self.reply_over_network(transaction, request, start, &pdu, injection),
            _ => {
                let twin = self.twins.get(&unit).map(|twin| pdu::answer_at(twin, &request[1..], sampled)).unwrap_or_default();
                let question = framed(unit, &request[1..]);
                for (delay, bytes) in injection.serial(unit, &pdu, &twin, &question) {
                    let begins = start + delay;
                    busy = busy.max(begins + self.carrier.time(bytes.len()));
                    self.launch(begins, bytes, entropy);
                }
            }
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        self.busy_until.insert(unit, busy);
    }

    /// On a network the bytes are seen to by the checks of the network itself; what goes wrong is what the device says.
    fn reply_over_network(&mut self, transaction: [u8; 2], request: [u8; 6], start: Instant, pdu: &[u8], injection: Injection) -> Instant {
        let (unit, function) = (request[0], request[1]);
        match injection.fault {
            Fault::Silent | Fault::Garbage => start,
            Fault::HangUp => {
                self.ending = Some(Ending::Reset);
                start
            }
            Fault::Exception(code) => self.say(transaction, unit, start, &pdu::exception(function, code), 0),
            Fault::WrongUnit => self.say(transaction, unit.wrapping_add(1), start, pdu, 0),
            Fault::OtherCount(by) => self.say(transaction, unit, start, &pdu::resized(pdu, by), 0),
            Fault::AtMost(registers) => self.say(transaction, unit, start, &pdu::at_most(pdu, registers), 0),
            Fault::OtherFunction => self.say(transaction, unit, start, &pdu::of_other_function(pdu), 0),
            Fault::FlipBit => {
                let [a, b] = transaction;
                self.say([a ^ 1, b], unit, start, pdu, 0)
            }
            Fault::Truncate => {
                let frame = self.frame(transaction, unit, pdu);
                let kept = frame.get(..1 + injection.below(frame.len() - 1)).unwrap_or_default().to_vec();
                self.launch(start, kept, 0);
                start
            }
            Fault::Duplicate | Fault::Repeat(_) => {
                self.say(transaction, unit, start, pdu, 0);
                self.say(transaction, unit, start, pdu, 0)
            }
            Fault::Late(delay) => self.say(transaction, unit, start + delay, pdu, 0),
            _ => self.say(transaction, unit, start, pdu, 0),
        }
    }

    fn say(&mut self, transaction: [u8; 2], unit: u8, start: Instant, pdu: &[u8], entropy: u64) -> Instant {
        let frame = self.frame(transaction, unit, pdu);
        let end = start + self.carrier.time(frame.len());
        self.launch(start, frame, entropy);
        end
    }

    fn frame(&self, transaction: [u8; 2], unit: u8, pdu: &[u8]) -> Vec<u8> {
        if !self.carrier.is_network() {
            return framed(unit, pdu);
        }
        let length = u16::try_from(pdu.len() + 1).unwrap_or(u16::MAX).to_be_bytes();
        let [a, b] = transaction;
        let mut frame = vec![a, b, 0, 0, length[0], length[1], unit];
        frame.extend_from_slice(pdu);
        frame
    }

    /// What has arrived by now at this connection.
    fn landed(&mut self, connection: u64) -> Option<Vec<u8>> {
        let now = Instant::now();
        // What a line delivers goes to whoever is there.
        let carrier = self.carrier;
        let mine = |chunk: &Chunk| chunk.connection == connection || !carrier.is_network();
        self.air.retain(|chunk| mine(chunk) || chunk.due > now);
        loop {
            let at = self.air.iter().position(|chunk| chunk.due <= now && mine(chunk))?;
            let chunk = self.air.remove(at);
            let bytes = match carrier {
                Carrier::Converter { labels, .. } if !chunk.labelled => self.converter.heard(&chunk.bytes, labels),
                _ => chunk.bytes,
            };
            if !bytes.is_empty() {
                return Some(bytes);
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.air.iter().map(|chunk| chunk.due).min()
    }
}

/// Spoils the bytes that are on the line between two moments.
fn garble(bytes: &mut [u8], carrier: Carrier, began: Instant, from: Instant, to: Instant) {
    for (index, byte) in bytes.iter_mut().enumerate() {
        let (starts, ends) = (began + carrier.time(index), began + carrier.time(index + 1));
        if starts < to && ends > from {
            *byte ^= GARBLE;
        }
    }
}
