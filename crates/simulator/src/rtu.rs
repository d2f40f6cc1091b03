//! Meters on the far end of a serial line.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use crate::fault::Faults;
use crate::meter::Meter;
use crate::pdu;
use crate::pty::{read_available, wait_readable, write_or_lose};

/// A read request: unit id, function, address, count, check sum.
const READ_BYTES: usize = 8;
/// Bytes that make no request are forgotten after this silence.
const SILENCE: Duration = Duration::from_millis(15);
/// How often a quiet bus looks whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(50);

/// Everybody who listens on a bus.
#[derive(Debug)]
pub(crate) struct Bus {
    pub(crate) line: OwnedFd,
    /// Several where somebody gave two devices one address.
    pub(crate) units: BTreeMap<u8, Vec<Arc<Meter>>>,
    pub(crate) faults: Arc<Faults>,
    /// Time a device takes to think.
    pub(crate) turnaround: Duration,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Bus {
    /// Answers requests until told to stop.
    pub(crate) fn run(self) -> io::Result<()> {
        let mut heard: Vec<u8> = Vec::new();
        let mut last = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            wait_readable(&[&self.line], if heard.is_empty() { PATIENCE } else { SILENCE })?;
            // The descriptor blocks: it is read only when something is there.
            let bytes = if is_readable(&self.line)? { read_available(&self.line)? } else { Vec::new() };
            if bytes.is_empty() {
                if last.elapsed() >= SILENCE {
                    self.answer_other(&heard)?;
                    heard.clear();
                }
                continue;
            }
            last = Instant::now();
            heard.extend(bytes);
            while let Some(request) = take_read(&mut heard) {
                self.answer(request[0], &request[1..READ_BYTES - 2])?;
            }
        }
        Ok(())
    }

    /// Answers whole requests of another shape than a read, known by their check sum and the silence after them.
    fn answer_other(&self, heard: &[u8]) -> io::Result<()> {
        match heard.split_last_chunk::<2>() {
            Some((&[unit, ref pdu @ ..], sum)) if !pdu.is_empty() && crc(&heard[..heard.len() - 2]) == *sum => self.answer(unit, pdu),
            _ => Ok(()),
        }
    }

    fn answer(&self, unit: u8, request: &[u8]) -> io::Result<()> {
        let Some((meter, doubles)) = self.units.get(&unit).and_then(|meters| meters.split_first()) else { return Ok(()) };
        let pdu = pdu::answer(meter, request);
        thread::sleep(self.turnaround);
        if !doubles.is_empty() {
            let frames = doubles.iter().map(|double| framed(unit, &pdu::answer(double, request)));
            return write_or_lose(&self.line, &frames.fold(framed(unit, &pdu), superposed));
        }
        let Some(injection) = self.faults.next(unit) else { return write_or_lose(&self.line, &framed(unit, &pdu)) };
        let begun = Instant::now();
        for (delay, bytes) in injection.serial(unit, &pdu, &twin_of(&pdu), &framed(unit, request)) {
            thread::sleep((begun + delay).saturating_duration_since(Instant::now()));
            write_or_lose(&self.line, &bytes)?;
        }
        Ok(())
    }
}

/// What another device of the same kind would say: every register differs.
fn twin_of(pdu: &[u8]) -> Vec<u8> {
    (0..).zip(pdu).map(|(index, byte)| if index < 2 { *byte } else { *byte ^ 0x11 }).collect()
}

/// What two devices that talk at once make of their frames: a driver that pulls low wins.
fn superposed(one: Vec<u8>, other: Vec<u8>) -> Vec<u8> {
    let (mut longer, shorter) = if one.len() >= other.len() { (one, other) } else { (other, one) };
    for (byte, second) in longer.iter_mut().zip(shorter) {
        *byte &= second;
    }
    longer
}

/// Whether the check sum of a frame is right.
pub(crate) fn is_right(frame: &[u8]) -> bool {
    frame.split_last_chunk::<2>().is_some_and(|(body, sum)| crc(body) == *sum)
}

fn is_readable(line: &OwnedFd) -> io::Result<bool> {
    Ok(rustix::io::ioctl_fionread(line)? > 0)
}

/// Takes the first read request with a right check sum out of what was heard, with everything before it.
fn take_read(heard: &mut Vec<u8>) -> Option<[u8; READ_BYTES]> {
    let is_read = |window: &[u8]| {
        let is_function = window.get(1).is_some_and(|function| (1..=6).contains(function));
        is_function && window.split_last_chunk::<2>().is_some_and(|(body, sum)| crc(body) == *sum)
    };
    let at = heard.windows(READ_BYTES).position(is_read)?;
    let request = heard.get(at..at + READ_BYTES)?.try_into().ok()?;
    heard.drain(..at + READ_BYTES);
    Some(request)
}

pub(crate) fn framed(unit: u8, pdu: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(pdu.len() + 3);
    frame.push(unit);
    frame.extend_from_slice(pdu);
    let sum = crc(&frame);
    frame.extend_from_slice(&sum);
    frame
}

/// The check sum of Modbus RTU, low byte first (Modbus over Serial Line 1.02, 6.2.2).
fn crc(bytes: &[u8]) -> [u8; 2] {
    let mut sum = 0xFFFF_u16;
    for byte in bytes {
        sum ^= u16::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xA001 } else { sum >> 1 };
        }
    }
    sum.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_is_that_of_the_specification() {
        assert_eq!(crc(&[0x01, 0x04, 0x00, 0x00, 0x00, 0x02]), [0x71, 0xCB]);
        assert_eq!(crc(b"123456789"), [0x37, 0x4B]);
    }

    #[test]
    fn a_request_is_found_behind_noise() {
        let mut heard = vec![0x55, 0x01];
        heard.extend(framed(1, &[4, 0, 0, 0, 2]));
        heard.push(9);
        assert_eq!(take_read(&mut heard), Some([1, 4, 0, 0, 0, 2, 0x71, 0xCB]));
        assert_eq!(heard, [9]);
        assert_eq!(take_read(&mut heard), None);
    }
}
