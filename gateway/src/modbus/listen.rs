//! Devices that dial in: modems behind a network that lets nobody in make the connection themselves.
//!
//! One address may serve many devices. Who is calling is known by the address it calls from, by the first bytes it says (most
//! modems can be told to introduce themselves so), or by being the only one. A device that calls again replaces its old
//! connection: modems lose theirs without a word.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
    task::AbortHandle,
    time::timeout,
};

use super::{
    endpoint::{EndpointError, Open, Opening, host_and_port},
    framing::Framing,
    line::Stream,
};

/// Longest wait for a device to dial in when it is asked for.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for the first bytes of a caller.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Callers that may be about to say who they are; more wait at the door.
const STRANGERS_MAX: usize = 16;
/// Most first bytes that name a caller.
pub(crate) const HELLO_BYTES_MAX: usize = 64;

/// Who is waited for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// Whoever calls: the only device of this address.
    Any,
    /// Who calls from this address.
    Peer(IpAddr),
    /// Who begins with these bytes.
    Hello(Vec<u8>),
}

/// Where a device dials in, and how it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// `host:port` of ours.
    pub address: String,
    /// How its frames are marked; modems pass serial frames through.
    pub framing: Framing,
    /// Who it is.
    pub caller: Caller,
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listen://{}", self.address)?;
        match &self.caller {
            Caller::Any => Ok(()),
            Caller::Peer(peer) => write!(f, "?peer={peer}"),
            Caller::Hello(hello) => write!(f, "?hello={}", hello.escape_ascii()),
        }
    }
}

impl Listen {
    /// Reads `HOST:PORT?framing=rtu&hello=MODEM-7`.
    pub(crate) fn parse(text: &str) -> Result<Self, EndpointError> {
        let (address, settings) = text.split_once('?').unwrap_or((text, ""));
        let mut listen = Self { address: host_and_port(address)?, framing: Framing::Rtu, caller: Caller::Any };
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            let refused = || EndpointError::Caller(setting.to_owned());
            match setting.split_once('=').ok_or_else(refused)? {
                ("framing", "rtu") => listen.framing = Framing::Rtu,
                ("framing", "tcp") => listen.framing = Framing::Tcp,
                ("peer", peer) => listen.caller = Caller::Peer(peer.parse().map_err(|_not_an_address| refused())?),
                ("hello", hello) if (1..=HELLO_BYTES_MAX).contains(&hello.len()) => listen.caller = Caller::Hello(hello.into()),
                _ => return Err(refused()),
            }
        }
        Ok(listen)
    }
}

/// Every address on which devices may dial in; those of one address share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doors(Arc<Mutex<BTreeMap<String, Arc<Door>>>>);

impl Doors {
    /// What hands over the connections of one device.
    pub(crate) fn opener(&self, listen: &Listen) -> Box<dyn Open> {
        let mut doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let door = doors.entry(listen.address.clone()).or_insert_with(|| Arc::new(Door::new(listen.address.clone())));
        let seat = Arc::new(Seat::default());
        door.lock().seats.push((listen.caller.clone(), Arc::clone(&seat)));
        Box::new(DialIn { door: Arc::clone(door), seat, name: listen.to_string() })
    }
}

/// An address of ours.
#[derive(Debug)]
struct Door {
    address: String,
    state: Mutex<DoorState>,
    /// Binding happens once.
    binding: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct DoorState {
    seats: Vec<(Caller, Arc<Seat>)>,
    task: Option<AbortHandle>,
}

/// Where the newest connection of a device waits.
#[derive(Debug, Default)]
struct Seat {
    waiting: Mutex<Option<TcpStream>>,
    arrived: Notify,
}

impl Seat {
    fn put(&self, stream: TcpStream) {
        // The one that waited until now was lost without a word.
        drop(self.waiting.lock().unwrap_or_else(PoisonError::into_inner).replace(stream));
        self.arrived.notify_one();
    }

    fn take(&self) -> Option<TcpStream> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is_taken(&self) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Door {
    fn new(address: String) -> Self {
        Self { address, state: Mutex::default(), binding: tokio::sync::Mutex::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, DoorState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens from now on, if it does not yet.
    async fn stand_open(self: &Arc<Self>) -> io::Result<()> {
        let _one_at_a_time = self.binding.lock().await;
        if self.lock().task.as_ref().is_some_and(|task| !task.is_finished()) {
            return Ok(());
        }
        let listener = TcpListener::bind(&self.address).await?;
        tracing::info!(address = %self.address, "devices may dial in at {}", self.address);
        // Weak: the task ends with the last device that could call here.
        let task = tokio::spawn(answer(listener, Arc::downgrade(self)));
        self.lock().task = Some(task.abort_handle());
        Ok(())
    }

    /// Who calls from `peer` and says `hello` first; `Err` while more bytes may tell.
    fn seat(&self, peer: IpAddr, hello: &[u8]) -> Result<Option<Arc<Seat>>, MoreBytes> {
        let state = self.lock();
        let of = |is: &dyn Fn(&Caller) -> bool| state.seats.iter().find(|(caller, _)| is(caller)).map(|(_, seat)| Arc::clone(seat));
        if let Some(seat) = of(&|caller| *caller == Caller::Peer(peer)) {
            return Ok(Some(seat));
        }
        if let Some(seat) = of(&|caller| matches!(caller, Caller::Hello(known) if known == hello)) {
            return Ok(Some(seat));
        }
        if of(&|caller| matches!(caller, Caller::Hello(known) if known.starts_with(hello))).is_some() {
            return Err(MoreBytes);
        }
        Ok(of(&|caller| *caller == Caller::Any))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(task) = self.lock().task.take() {
            task.abort();
        }
    }
}

/// The caller has not said enough.
#[derive(Debug)]
struct MoreBytes;

async fn answer(listener: TcpListener, door: std::sync::Weak<Door>) {
    let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&strangers).acquire_owned().await else { return };
        let accepted = listener.accept().await;
        let Some(door) = door.upgrade() else { return };
        match accepted {
            Ok((stream, peer)) => {
                tokio::spawn(async move {
                    match timeout(HELLO_TIMEOUT, introduce(stream, &door)).await {
                        Ok(Ok(())) => tracing::info!(peer = %peer, address = %door.address, "a device dialled in"),
                        Ok(Err(err)) => tracing::warn!(peer = %peer, address = %door.address, error = %err, "a caller was sent away"),
                        Err(_elapsed) => tracing::warn!(peer = %peer, address = %door.address, "a caller never said who it is"),
                    }
                    drop(permit);
                });
            }
            Err(err) => {
                tracing::warn!(address = %door.address, error = %err, "a call could not be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn introduce(mut stream: TcpStream, door: &Door) -> io::Result<()> {
    let peer = stream.peer_addr()?.ip().to_canonical();
    stream.set_nodelay(true)?;
    let mut hello = Vec::new();
    let seat = loop {
        match door.seat(peer, &hello) {
            Ok(seat) => break seat,
            Err(MoreBytes) => hello.push(stream.read_u8().await?),
        }
    };
    let Some(seat) = seat else {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("no device is known by `{}`", hello.escape_ascii())));
    };
    seat.put(stream);
    Ok(())
}

/// Hands over the connections of one device.
#[derive(Debug)]
struct DialIn {
    door: Arc<Door>,
    seat: Arc<Seat>,
    name: String,
}

impl Open for DialIn {
    fn open(&mut self) -> Opening<'_> {
        Box::pin(async {
            self.door.stand_open().await?;
            let arrival = async {
                loop {
                    if let Some(stream) = self.seat.take() {
                        return stream;
                    }
                    self.seat.arrived.notified().await;
                }
            };
            match timeout(CALL_TIMEOUT, arrival).await {
                Ok(stream) => Ok(Box::new(stream) as Box<dyn Stream>),
                Err(_elapsed) => Err(io::Error::new(io::ErrorKind::NotConnected, format!("no device has dialled in at {}", self.name))),
            }
        })
    }

    fn is_renewed(&self) -> bool {
        self.seat.is_taken()
    }
}

impl Drop for DialIn {
    fn drop(&mut self) {
        self.door.lock().seats.retain(|(_, seat)| !Arc::ptr_eq(seat, &self.seat));
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn says(stream: &mut Box<dyn Stream>) -> u8 {
        stream.read_u8().await.unwrap()
    }

    /// A free port, which nobody else takes meanwhile for all we know.
    fn address() -> String {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
    }

    #[tokio::test]
    async fn callers_of_one_address_are_told_apart() {
        let (doors, address) = (Doors::default(), address());
        let opener = |text: &str| doors.opener(&Listen::parse(&format!("{address}?{text}")).unwrap());
        let (mut one, mut two, mut rest) = (opener("hello=MODEM-1"), opener("hello=MODEM-22&framing=tcp"), opener(""));
        assert!(one.open().await.is_err(), "nobody called yet, but the door is open");
        let call = async |hello: &str| {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(hello.as_bytes()).await.unwrap();
            stream
        };
        let _two = call("MODEM-22B").await;
        let old = call("MODEM-1A").await;
        let _rest = call("hello?").await;
        assert_eq!(says(&mut two.open().await.unwrap()).await, b'B');
        let mut first = one.open().await.unwrap();
        assert_eq!(says(&mut first).await, b'A');
        // The first byte told that it is nobody we know by it.
        assert_eq!(says(&mut rest.open().await.unwrap()).await, b'e');
        assert!(!one.is_renewed());
        let _again = call("MODEM-1C").await;
        while !one.is_renewed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(says(&mut one.open().await.unwrap()).await, b'C', "the newest connection counts");
        drop(old);
    }

    #[tokio::test]
    async fn a_caller_is_known_by_its_address_or_sent_away() {
        let (doors, address) = (Doors::default(), address());
        let opener = |text: &str| doors.opener(&Listen::parse(&format!("{address}?{text}")).unwrap());
        let (mut here, mut elsewhere) = (opener("peer=127.0.0.1"), opener("peer=10.9.8.7"));
        assert!(elsewhere.open().await.is_err());
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"x").await.unwrap();
        assert_eq!(says(&mut here.open().await.unwrap()).await, b'x');
        drop((here, elsewhere));
        let nobody = opener("peer=10.9.8.7").open().await;
        assert!(nobody.is_err());
    }

    #[test]
    fn a_place_to_dial_in_is_named_by_a_url() {
        let listen = Listen::parse("0.0.0.0:5020?framing=tcp&hello=A7").unwrap();
        assert_eq!(
            (listen.framing, &listen.caller, listen.to_string().as_str()),
            (Framing::Tcp, &Caller::Hello(b"A7".to_vec()), "listen://0.0.0.0:5020?hello=A7")
        );
        for bad in ["0.0.0.0:5020?peer=me", "0.0.0.0:5020?hello=", "0.0.0.0:5020?framing=ascii", "0.0.0.0"] {
            assert!(Listen::parse(bad).is_err(), "{bad}");
        }
    }
}
