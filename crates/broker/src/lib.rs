//! An MQTT 5 broker inside our own process, for one machine: the demo, `negawatt up` and tests. Hides rumqttd.
//!
//! Nothing depends on what it keeps: a gateway holds its readings until the collector has acknowledged them, so a
//! broker that is killed, or drops the oldest messages of a slow subscriber because its memory is capped, delays
//! readings and never loses one.
//!
//! What rumqttd 0.20 does and does not, each checked by a test here:
//!
//! * MQTT 5 on its own listener; QoS 1 both ways; retained messages; persistent sessions while the process lives.
//! * Shared subscriptions (`$share/group/filter`), round robin.
//! * All of it is in memory: after a restart there are no sessions and no retained messages.
//! * Client ids with `/`, `+`, `#` or `$` in them are refused.
//! * It cannot be stopped: it runs its own threads until the process ends. Whoever wants to stop it runs it as a process
//!   of its own ([`run`]).

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rumqttd::{Config, ConnectionSettings, RouterConfig, ServerSettings};

/// What the broker may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub connections: usize,
    /// The largest message.
    pub payload_bytes: usize,
    /// Messages on their way to one subscriber that it has not confirmed.
    pub inflight: usize,
    /// Memory for the messages of one filter that are kept for slow subscribers: the oldest go first.
    pub backlog_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 1_000, payload_bytes: 1 << 20, inflight: 200, backlog_bytes: 64 << 20 }
    }
}

/// Why the broker did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("could not listen on {addr}: is another program using the port?")]
    Listen {
        addr: SocketAddr,
        #[source]
        err: std::io::Error,
    },
    #[error("could not start a thread for the broker")]
    Thread(#[source] std::io::Error),
    #[error("the broker did not accept a connection on {addr} within {seconds} s")]
    Silent { addr: SocketAddr, seconds: u64 },
    #[error("the broker on {addr} has ended")]
    Ended { addr: SocketAddr },
}

/// A broker that runs until the process ends.
#[derive(Debug)]
pub struct Broker {
    addr: SocketAddr,
    thread: thread::JoinHandle<()>,
}

impl Broker {
    const SEGMENTS: usize = 16;
    const START_SECONDS: u64 = 10;
    const POLL: Duration = Duration::from_millis(5);

    /// Starts a broker and returns when it accepts connections. Port 0 takes a free one.
    pub fn start(addr: SocketAddr, limits: Limits) -> Result<Self, BrokerError> {
        let addr = free(addr)?;
        let thread = thread::Builder::new().name("broker".to_owned()).spawn(move || serve(addr, limits)).map_err(BrokerError::Thread)?;
        let broker = Self { addr, thread };
        broker.wait_until_accepting()?;
        Ok(broker)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }

    fn wait_until_accepting(&self) -> Result<(), BrokerError> {
        if wait_until_accepting(self.addr, Duration::from_secs(Self::START_SECONDS)) {
            return Ok(());
        }
        Err(BrokerError::Silent { addr: self.addr, seconds: Self::START_SECONDS })
    }
}

/// Runs a broker on this thread. Returns only when it has failed.
pub fn run(addr: SocketAddr, limits: Limits) -> Result<(), BrokerError> {
    let broker = Broker::start(addr, limits)?;
    // A panic of the broker's thread is reported by its own hook.
    let ended = broker.thread.join();
    tracing::debug!(panicked = ended.is_err(), "the broker's thread has ended");
    Err(BrokerError::Ended { addr: broker.addr })
}

/// Waits until something accepts connections at the address.
#[must_use]
pub fn wait_until_accepting(addr: SocketAddr, patience: Duration) -> bool {
    let tries = patience.as_millis() / Broker::POLL.as_millis();
    for _attempt in 0..tries.max(1) {
        if TcpStream::connect_timeout(&addr, Duration::from_secs(1)).is_ok() {
            return true;
        }
        thread::sleep(Broker::POLL);
    }
    false
}

/// The broker itself only logs that a port is taken: so it is tried here first.
fn free(addr: SocketAddr) -> Result<SocketAddr, BrokerError> {
    let listen = |err| BrokerError::Listen { addr, err };
    TcpListener::bind(addr).map_err(listen)?.local_addr().map_err(listen)
}

fn serve(addr: SocketAddr, limits: Limits) {
    let connections = ConnectionSettings {
        connection_timeout_ms: 10_000,
        max_payload_size: limits.payload_bytes,
        max_inflight_count: limits.inflight,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = ServerSettings { name: "mqtt5".to_owned(), listen: addr, tls: None, next_connection_delay_ms: 1, connections };
    let router = RouterConfig {
        max_connections: limits.connections,
        max_outgoing_packet_count: 200,
        max_segment_size: limits.backlog_bytes / Broker::SEGMENTS,
        max_segment_count: Broker::SEGMENTS,
        ..RouterConfig::default()
    };
    let config = Config { router, v5: Some(HashMap::from([("mqtt5".to_owned(), server)])), ..Config::default() };
    if let Err(err) = rumqttd::Broker::new(config).start() {
        tracing::error!(error = %err, "the broker has ended");
    }
}

#[cfg(test)]
mod tests;
