//! Meters behind a TCP port, as one device or as a gateway with many units.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::fault::{Fault, Faults};
use crate::meter::Meter;
use crate::pdu;

/// Transaction id, protocol id, length, unit id.
const HEADER_BYTES: usize = 7;
/// Largest length field the specification allows: unit id and 253 bytes.
const LENGTH_MAX: usize = 254;
/// What a Modbus gateway answers for a unit that is not there.
const TARGET_SILENT: u8 = 0x0B;

/// A running Modbus TCP server. Dropping it closes the port and every connection.
#[derive(Debug)]
pub struct TcpServer {
    address: SocketAddr,
    exchanges: Arc<AtomicU64>,
    _stop: DropGuard,
}

impl TcpServer {
    /// Serves meters by unit id on a free port of the loopback address.
    ///
    /// * Errors: no port to be had.
    pub async fn start(units: Vec<(u8, Arc<Meter>)>, faults: Arc<Faults>) -> io::Result<Self> {
        Self::bind(SocketAddr::from(([127, 0, 0, 1], 0)), units, faults).await
    }

    /// Serves meters by unit id on the given address.
    ///
    /// * Errors: the address is in use or not ours.
    pub async fn bind(address: SocketAddr, units: Vec<(u8, Arc<Meter>)>, faults: Arc<Faults>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let exchanges = Arc::new(AtomicU64::new(0));
        let host = Arc::new(Host { units: units.into_iter().collect(), faults, exchanges: Arc::clone(&exchanges) });
        tokio::spawn(accept(listener, host, stop.clone()));
        Ok(Self { address, exchanges, _stop: stop.drop_guard() })
    }

    /// Where the server listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests were received so far.
    #[must_use]
    pub fn exchanges(&self) -> u64 {
        self.exchanges.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Host {
    units: BTreeMap<u8, Arc<Meter>>,
    faults: Arc<Faults>,
    exchanges: Arc<AtomicU64>,
}

async fn accept(listener: TcpListener, host: Arc<Host>, stop: CancellationToken) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                let (host, stop) = (Arc::clone(&host), stop.clone());
                tokio::spawn(async move {
                    if let Some(Err(err)) = stop.run_until_cancelled(serve(stream, &host)).await {
                        tracing::debug!(error = %err, "a connection to a simulated meter ended");
                    }
                });
            }
            Err(err) => {
                tracing::warn!(error = %err, "simulated meters could not accept a connection");
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Answers everything that has arrived, then writes all answers at once.
async fn serve(mut stream: TcpStream, host: &Host) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut chunk = vec![0; 4096];
    let mut input: Vec<u8> = Vec::with_capacity(4096);
    let mut output: Vec<u8> = Vec::with_capacity(4096);
    loop {
        let received = stream.read(&mut chunk).await?;
        if received == 0 {
            return Ok(());
        }
        input.extend_from_slice(&chunk[..received]);
        let mut done = 0;
        while let Some(request) = next_request(&input[done..])? {
            done += HEADER_BYTES - 1 + request.length;
            if !answer(host, &request, &mut stream, &mut output).await? {
                return Ok(());
            }
        }
        input.drain(..done);
        stream.write_all(&output).await?;
        output.clear();
    }
}

struct Request<'a> {
    transaction: [u8; 2],
    /// As sent: unit id and what follows.
    length: usize,
    unit: u8,
    pdu: &'a [u8],
}

/// The first whole request, or `None` until it is whole.
fn next_request(input: &[u8]) -> io::Result<Option<Request<'_>>> {
    let &[a, b, c, d, e, f, ref rest @ ..] = input else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([e, f]));
    if [c, d] != [0, 0] || !(2..=LENGTH_MAX).contains(&length) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a Modbus TCP header"));
    }
    Ok(rest.get(..length).and_then(<[u8]>::split_first).map(|(&unit, pdu)| Request { transaction: [a, b], length, unit, pdu }))
}

/// Appends the answer to `output`; `false` where the connection is to be closed.
async fn answer(host: &Host, request: &Request<'_>, stream: &mut TcpStream, output: &mut Vec<u8>) -> io::Result<bool> {
    host.exchanges.fetch_add(1, Ordering::Relaxed);
    let function = request.pdu.first().copied().unwrap_or(0);
    let respond = || match host.units.get(&request.unit) {
        Some(meter) => pdu::answer(meter, request.pdu),
        None => pdu::exception(function, TARGET_SILENT),
    };
    let Some(injection) = host.faults.next(request.unit) else {
        push_frame(output, request.transaction, request.unit, &respond());
        return Ok(true);
    };
    // What was answered before the fault has left before it.
    stream.write_all(output).await?;
    output.clear();
    let (mut unit, mut pdu) = (request.unit, None);
    match injection.fault {
        Fault::Silent | Fault::BaudChange(_) => return Ok(true),
        // Nothing is read and nothing said any more, until the reader gives up.
        Fault::HalfOpen | Fault::ZeroWindow => return std::future::pending().await,
        Fault::Reset => {
            // What is closed with no time to linger is reset.
            stream.set_zero_linger()?;
            return Ok(false);
        }
        Fault::HangUp | Fault::Unplugged(_) => return Ok(false),
        Fault::Exception(code) => pdu = Some(pdu::exception(function, code)),
        Fault::WrongUnit => unit = unit.wrapping_add(1),
        Fault::OtherCount(by) => pdu = Some(pdu::resized(&respond(), by)),
        Fault::OtherFunction => pdu = Some(pdu::of_other_function(&respond())),
        Fault::Late(delay) | Fault::Busy(delay) => {
            pdu = Some(respond());
            tokio::time::sleep(delay).await;
        }
        _ => {}
    }
    let mut frame = Vec::new();
    push_frame(&mut frame, request.transaction, unit, &pdu.unwrap_or_else(respond));
    if let Fault::Trickle(pause) = injection.fault {
        for byte in frame {
            stream.write_all(&[byte]).await?;
            tokio::time::sleep(pause).await;
        }
        return Ok(true);
    }
    if let Fault::Repeat(delay) = injection.fault {
        stream.write_all(&frame).await?;
        tokio::time::sleep(delay).await;
    }
    output.append(&mut injection.spoil(frame, request.transaction.len()));
    Ok(true)
}

fn push_frame(output: &mut Vec<u8>, transaction: [u8; 2], unit: u8, pdu: &[u8]) {
    let length = u16::try_from(pdu.len() + 1).expect("a PDU has at most 253 bytes");
    output.extend_from_slice(&transaction);
    output.extend_from_slice(&[0, 0]);
    output.extend_from_slice(&length.to_be_bytes());
    output.push(unit);
    output.extend_from_slice(pdu);
}
