//! A Modbus TCP server that costs next to nothing: every float is 230.1, whatever is asked for.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use daemon::{Clock as _, SystemClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Result;

/// 230.1 as two registers, the first at even addresses.
const WORDS: [[u8; 2]; 2] = [[0x43, 0x66], [0x19, 0x9A]];
/// Transaction, protocol, length, unit, function, address, count.
const REQUEST_BYTES: usize = 12;

/// When requests came: number of the port, microseconds since 1970.
pub(super) type Arrivals = Arc<Mutex<Vec<(usize, u64)>>>;

/// Running servers, until the process ends.
pub(super) struct Servers {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) arrivals: Arrivals,
}

impl Servers {
    /// So many ports on the loopback address, all served by one thread on the last core.
    pub(super) fn start(ports: usize) -> Result<Self> {
        let listeners: Vec<TcpListener> = (0..ports).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::result::Result<_, _>>()?;
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<std::result::Result<_, _>>()?;
        let arrivals = Arrivals::default();
        let noted = Arc::clone(&arrivals);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("registers".to_owned()).spawn(move || {
            super::process::stay_on_core(super::process::cores().saturating_sub(1));
            runtime.block_on(serve(listeners, noted));
        })?;
        Ok(Self { addresses, arrivals })
    }
}

async fn serve(listeners: Vec<TcpListener>, arrivals: Arrivals) {
    let mut ports = Vec::new();
    for (port, listener) in listeners.into_iter().enumerate() {
        let arrivals = Arc::clone(&arrivals);
        ports.push(tokio::spawn(async move {
            listener.set_nonblocking(true).expect("a listener of ours");
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener of ours");
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, port, Arc::clone(&arrivals)));
            }
        }));
    }
    for port in ports {
        drop(port.await);
    }
}

/// Answers until the connection ends, however it does.
async fn answer(mut stream: TcpStream, port: usize, arrivals: Arrivals) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let (mut request, mut reply) = ([0; REQUEST_BYTES], Vec::with_capacity(512));
    while stream.read_exact(&mut request).await.is_ok() {
        arrivals.lock().expect("nobody panicked").push((port, now_micros()));
        let [.., unit, function, _, address, _, count] = request;
        reply.clear();
        reply.extend_from_slice(&request[..4]);
        reply.extend_from_slice(&u16::from(count).saturating_mul(2).saturating_add(3).to_be_bytes());
        reply.extend_from_slice(&[unit, function, count.saturating_mul(2)]);
        for register in 0..count {
            reply.extend_from_slice(&WORDS[usize::from(address.wrapping_add(register) & 1)]);
        }
        if stream.write_all(&reply).await.is_err() {
            return;
        }
    }
}

/// The time, in microseconds since 1970.
pub(super) fn now_micros() -> u64 {
    u64::try_from(SystemClock.now().as_microsecond()).unwrap_or(0)
}
