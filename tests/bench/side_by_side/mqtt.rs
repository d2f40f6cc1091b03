//! MQTT 5 by hand, as little of it as a load needs: a client library would take more of the machine than what is measured.
//!
//! * Source: OASIS, MQTT Version 5.0, sections 2 and 3.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::Result;
use super::field::Message;

/// Messages that were published and are not confirmed: below what the broker is told to allow.
const WINDOW: usize = 400;
/// Messages that are written in one go.
const CHUNK: usize = 64;
const PATIENCE: Duration = Duration::from_secs(30);

const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const SUBACK: u8 = 9;

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    /// What was read and is no whole packet yet.
    buffer: Vec<u8>,
    next_id: u16,
    unconfirmed: usize,
}

impl Client {
    /// A session of its own that ends with the connection, or one that stays for an hour.
    pub(crate) fn connect(broker: SocketAddr, client_id: &str, stays: bool) -> Result<Self> {
        let stream = TcpStream::connect(broker)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Self { stream, buffer: Vec::new(), next_id: 0, unconfirmed: 0 };
        let mut body = b"\x00\x04MQTT\x05".to_vec();
        // Clean start or not; no keep-alive.
        body.extend([if stays { 0 } else { 2 }, 0, 0]);
        if stays {
            // Session expiry interval 3,600 s; receive maximum 1,000.
            body.extend([8, 0x11, 0, 0, 0x0e, 0x10, 0x21, 0x03, 0xe8]);
        } else {
            body.push(0);
        }
        text(&mut body, client_id)?;
        client.write(0x10, &body)?;
        let (kind, answer) = client.packet()?;
        match (kind, answer.get(1)) {
            (CONNACK, Some(0)) => Ok(client),
            (kind, reason) => Err(format!("the broker does not let us in: packet {kind}, reason {reason:?}").into()),
        }
    }

    /// Publishes with QoS 1 and returns when every message is confirmed.
    pub(crate) fn publish(&mut self, messages: &[Message]) -> Result<()> {
        for chunk in messages.chunks(CHUNK) {
            self.send(chunk)?;
            while self.unconfirmed > WINDOW - CHUNK {
                self.confirmation()?;
            }
        }
        self.confirmed()
    }

    /// Publishes, and waits for nothing.
    pub(crate) fn send(&mut self, messages: &[Message]) -> Result<()> {
        let mut packets = Vec::new();
        for Message { topic, payload, .. } in messages {
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            let mut body = Vec::with_capacity(topic.len() + payload.len() + 8);
            text(&mut body, topic)?;
            body.extend(self.next_id.to_be_bytes());
            body.push(0);
            body.extend(payload);
            packet(&mut packets, 0x32, &body);
        }
        self.unconfirmed += messages.len();
        Ok(self.stream.write_all(&packets)?)
    }

    /// Waits until everything is confirmed.
    pub(crate) fn confirmed(&mut self) -> Result<()> {
        while self.unconfirmed > 0 {
            self.confirmation()?;
        }
        Ok(())
    }

    fn confirmation(&mut self) -> Result<()> {
        let (kind, body) = self.packet()?;
        // From 0x80 on it is refused; that nobody has subscribed (0x10) is no refusal.
        match (kind, body.get(2)) {
            (PUBACK, Some(reason)) if *reason >= 0x80 => Err(format!("the broker refuses a message: {reason:#x}").into()),
            (PUBACK, _) => {
                self.unconfirmed -= 1;
                Ok(())
            }
            (kind, _) => Err(format!("packet {kind} instead of a confirmation").into()),
        }
    }

    pub(crate) fn subscribe(&mut self, filter: &str) -> Result<()> {
        let mut body = vec![0, 1, 0];
        text(&mut body, filter)?;
        body.push(1);
        self.write(0x82, &body)?;
        loop {
            if self.packet()?.0 == SUBACK {
                return Ok(());
            }
        }
    }

    /// Takes messages until none has come for a while, confirms each, and gives how many there were.
    pub(crate) fn drain(&mut self, quiet: Duration) -> Result<u64> {
        self.stream.set_read_timeout(Some(quiet))?;
        let (mut count, began) = (0, Instant::now());
        while began.elapsed() < PATIENCE {
            let (kind, body) = match self.packet() {
                Ok(packet) => packet,
                Err(err) if is_quiet(err.as_ref()) => break,
                Err(err) => return Err(err),
            };
            if kind == PUBLISH {
                let length = body.first_chunk().map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
                let id = body.get(2 + length..4 + length).ok_or("a message without a number")?.to_vec();
                self.write(0x40, &id)?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Says goodbye: what the session has stays with the broker.
    pub(crate) fn disconnect(mut self) -> Result<()> {
        self.write(0xe0, &[])
    }

    fn write(&mut self, first: u8, body: &[u8]) -> Result<()> {
        let mut bytes = Vec::new();
        packet(&mut bytes, first, body);
        Ok(self.stream.write_all(&bytes)?)
    }

    /// The next packet: its kind, and what stands behind its header.
    fn packet(&mut self) -> Result<(u8, Vec<u8>)> {
        loop {
            if let Some((kind, start, end)) = whole(&self.buffer) {
                let body = self.buffer.get(start..end).unwrap_or_default().to_vec();
                self.buffer.drain(..end);
                return Ok((kind, body));
            }
            let mut part = [0; 1 << 14];
            let read = self.stream.read(&mut part)?;
            if read == 0 {
                return Err("the broker has closed the connection".into());
            }
            self.buffer.extend_from_slice(part.get(..read).unwrap_or_default());
        }
    }
}

fn is_quiet(err: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    err.downcast_ref::<std::io::Error>().is_some_and(|err| matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

fn text(bytes: &mut Vec<u8>, text: &str) -> Result<()> {
    bytes.extend(u16::try_from(text.len())?.to_be_bytes());
    bytes.extend(text.bytes());
    Ok(())
}

fn packet(bytes: &mut Vec<u8>, first: u8, body: &[u8]) {
    bytes.push(first);
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or(0);
        rest >>= 7;
        bytes.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    bytes.extend(body);
}

/// The first packet of a buffer, when it is there to its end: its kind, and where its body lies.
fn whole(buffer: &[u8]) -> Option<(u8, usize, usize)> {
    let kind = buffer.first()? >> 4;
    let (mut length, mut at) = (0_usize, 1);
    loop {
        let byte = *buffer.get(at)?;
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 || at > 4 {
            break;
        }
    }
    (buffer.len() >= at + length).then_some((kind, at, at + length))
}
