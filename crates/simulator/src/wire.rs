//! Two wires and one pair of ends: what happens to bytes between two transceivers.
//!
//! A byte takes eleven bit times, whatever the operating system's timers do: due times are counted from the first byte of a
//! transmission, so that lateness of one byte does not delay the next. The line is half duplex: when both ends talk at once, both are
//! garbled. A two-wire adapter may hear itself.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use devices::Parity;
use rustix::termios::{ControlModes, InputModes};
use tokio::time::Instant;

use crate::pty::{read_available, wait_readable, write_or_lose};

/// Start bit, eight data bits, parity or second stop bit, stop bit.
const BITS_PER_BYTE: u64 = 11;
/// Bytes of one transmission are handed over in lumps of this length at most, and always at its end.
const LUMP: Duration = Duration::from_millis(1);
/// How often a quiet line looks whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(50);
/// What a collision does to a byte.
const GARBLE: u8 = 0x5A;

/// The medium between a near and a far end.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) near: OwnedFd,
    pub(crate) far: OwnedFd,
    pub(crate) baud: u32,
    pub(crate) echo: bool,
    /// The near port, where its settings matter.
    pub(crate) port: Option<OwnedFd>,
    /// The parity of the devices, where it matters.
    pub(crate) parity: Option<Parity>,
    pub(crate) stop: Arc<AtomicBool>,
    /// Bytes that were carried, both ways.
    pub(crate) carried: Arc<AtomicU64>,
}

/// A transmission on its way.
#[derive(Debug, Default)]
struct Flight {
    /// When the transmission began and how many of its bytes were queued so far.
    began: Option<Instant>,
    queued: u32,
    bytes: VecDeque<(Instant, u8)>,
}

impl Flight {
    fn launch(&mut self, bytes: &[u8], byte_time: impl Fn(u32) -> Duration, now: Instant, garbled: bool) {
        if self.bytes.is_empty() {
            // Idle until now: a new transmission with its own count.
            (self.began, self.queued) = (Some(now), 0);
        }
        let began = *self.began.get_or_insert(now);
        for byte in bytes {
            self.queued += 1;
            let byte = if garbled { byte ^ GARBLE } else { *byte };
            self.bytes.push_back((began + byte_time(self.queued), byte));
        }
    }

    fn garble(&mut self) {
        self.bytes.iter_mut().for_each(|(_, byte)| *byte ^= GARBLE);
    }

    fn landed(&mut self, now: Instant) -> Vec<u8> {
        let count = self.bytes.partition_point(|(due, _)| *due <= now);
        self.bytes.drain(..count).map(|(_, byte)| byte).collect()
    }

    /// When to look again.
    fn next(&self) -> Option<Instant> {
        let (first, last) = (self.bytes.front()?.0, self.bytes.back()?.0);
        Some(last.min(first + LUMP))
    }
}

impl Wire {
    /// Carries bytes until told to stop.
    pub(crate) fn run(self) -> io::Result<()> {
        let byte_time = |count: u32| Duration::from_nanos(u64::from(count) * BITS_PER_BYTE * 1_000_000_000 / u64::from(self.baud.max(1)));
        let (mut outward, mut inward) = (Flight::default(), Flight::default());
        while !self.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            let next = [outward.next(), inward.next()].into_iter().flatten().min();
            let wait = next.map_or(PATIENCE, |next| next.saturating_duration_since(now));
            wait_readable(&[&self.near, &self.far], wait)?;
            let now = Instant::now();
            self.land(&mut outward, &mut inward, now)?;
            let (sent, answered) = (read_available(&self.near)?, read_available(&self.far)?);
            if !sent.is_empty() {
                let collides = !inward.bytes.is_empty() || !answered.is_empty() || self.is_set_wrongly()?;
                outward.launch(&sent, byte_time, now, collides);
                if collides {
                    inward.garble();
                }
            }
            if !answered.is_empty() {
                let collides = !outward.bytes.is_empty() || self.is_set_wrongly()?;
                inward.launch(&answered, byte_time, now, collides);
                if collides && sent.is_empty() {
                    outward.garble();
                }
            }
        }
        Ok(())
    }

    /// Whether the near port has another rate or parity than the devices: nobody understands anybody then.
    ///
    /// A pseudo-terminal sends no parity bit, and remembers whether one is to be checked and which.
    fn is_set_wrongly(&self) -> io::Result<bool> {
        let Some(port) = &self.port else { return Ok(false) };
        let set = rustix::termios::tcgetattr(port)?;
        let parity = match (set.input_modes.contains(InputModes::INPCK), set.control_modes.contains(ControlModes::PARODD)) {
            (false, _) => Parity::None,
            (true, false) => Parity::Even,
            (true, true) => Parity::Odd,
        };
        Ok(set.output_speed() != self.baud || self.parity.is_some_and(|wanted| wanted != parity))
    }

    fn land(&self, outward: &mut Flight, inward: &mut Flight, now: Instant) -> io::Result<()> {
        let (out, back) = (outward.landed(now), inward.landed(now));
        self.carried.fetch_add(u64::try_from(out.len() + back.len()).unwrap_or(0), Ordering::Relaxed);
        write_or_lose(&self.far, &out)?;
        if self.echo {
            write_or_lose(&self.near, &out)?;
        }
        write_or_lose(&self.near, &back)
    }
}
