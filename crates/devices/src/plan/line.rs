//! What a read costs on the wire.

use crate::profile::{Parity, Profile};

/// Silence that ends a frame, in tenths of a character (Modbus over serial line, 2.5.1.1).
const FRAME_GAP_TENTHS: u64 = 35;
/// Above this speed the silence is a fixed time.
const FAST_BAUD: u32 = 19_200;
const FAST_FRAME_GAP_US: u64 = 1_750;
/// Unit id, function, address, count, checksum.
const REQUEST_BYTES: u64 = 8;
/// Unit id, function, byte count, checksum.
const ANSWER_BYTES: u64 = 5;
/// A round trip in a local network, where registers cost next to nothing.
const TCP_ROUND_TRIP_US: u64 = 2_000;
const TCP_REGISTER_US: u64 = 1;

/// The wire a device is on, as far as it decides what a request costs.
///
/// * Units: microseconds of bus time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    request_us: u64,
    register_us: u64,
}

impl Line {
    /// A serial line.
    ///
    /// * Shape: `bits` of one character on the wire, start, parity and stop bits included: 10 for 8N1, 11 for 8E1 and 8N2.
    /// * Units: `wait_ms` is what passes besides the line's own time: until the device answers, and the silence it asks for.
    #[must_use]
    pub fn serial(baud: u32, bits: u8, wait_ms: u32) -> Self {
        let character_ns = u64::from(bits) * 1_000_000_000 / u64::from(baud.max(1));
        let gap_us = if baud > FAST_BAUD { FAST_FRAME_GAP_US } else { character_ns * FRAME_GAP_TENTHS / 10_000 };
        Self {
            request_us: (REQUEST_BYTES + ANSWER_BYTES) * character_ns / 1000 + 2 * gap_us + u64::from(wait_ms) * 1000,
            register_us: 2 * character_ns / 1000,
        }
    }

    /// A network, where a round trip costs far more than what is in it.
    #[must_use]
    pub fn tcp(wait_ms: u32) -> Self {
        Self { request_us: TCP_ROUND_TRIP_US + u64::from(wait_ms) * 1000, register_us: TCP_REGISTER_US }
    }

    /// The bus time of one read.
    #[must_use]
    pub fn cost_us(&self, registers: u16) -> u64 {
        self.request_us + self.register_us * u64::from(registers)
    }
}

impl Profile {
    /// The line that a new device of this model is on: its factory setting, or the network where it has no serial port.
    #[must_use]
    pub fn factory_line(&self) -> Line {
        let timing = self.timing();
        match self.serial() {
            None => Line::tcp(timing.reply_ms),
            Some(serial) => self.line(serial.baud, serial.parity, serial.stop_bits),
        }
    }

    /// A serial line at another setting than the factory's, with this device's own patience.
    #[must_use]
    pub fn line(&self, baud: u32, parity: Parity, stop_bits: u8) -> Line {
        let timing = self.timing();
        let bits = 9 + stop_bits.min(2) + u8::from(parity != Parity::None);
        Line::serial(baud, bits, timing.reply_ms.saturating_add(timing.gap_ms))
    }
}
