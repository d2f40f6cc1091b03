//! A network cable that can be pulled.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often taking back the port is tried before the cable counts as broken.
const REBIND_ATTEMPTS: u32 = 100;

/// A TCP proxy between two of our processes. Dropping it cuts it for good.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    target: watch::Sender<SocketAddr>,
    connections: Arc<AtomicU64>,
    plugged: Option<Plugged>,
}

/// The part that exists only while the cable is in.
#[derive(Debug)]
struct Plugged {
    stop: DropGuard,
    /// Resolves when the port is closed.
    closed: oneshot::Receiver<()>,
}

impl Link {
    /// A link to `target`, on a free port of the loopback address.
    ///
    /// * Errors: no port to be had.
    pub async fn to(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let mut link =
            Self { address: listener.local_addr()?, target: watch::Sender::new(target), connections: Arc::default(), plugged: None };
        link.plug(listener);
        Ok(link)
    }

    /// Where to connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were carried so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Whether the cable is in.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.plugged.is_some()
    }

    /// Leads future connections to another place, for a peer that came back on another port.
    pub fn retarget(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// Drops every connection and refuses new ones. Returns when the port is closed.
    pub async fn cut(&mut self) {
        if let Some(Plugged { stop, closed }) = self.plugged.take() {
            drop(stop);
            if closed.await.is_err() {
                tracing::debug!("a simulated link was already down");
            }
        }
    }

    /// Puts the cable back in.
    ///
    /// * Errors: somebody else took the port meanwhile.
    pub async fn restore(&mut self) -> io::Result<()> {
        if self.plugged.is_some() {
            return Ok(());
        }
        let mut attempt = 0;
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(err) if attempt == REBIND_ATTEMPTS => return Err(err),
                Err(_) => attempt += 1,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        self.plug(listener);
        Ok(())
    }

    fn plug(&mut self, listener: TcpListener) {
        let stop = CancellationToken::new();
        let (on_closed, closed) = oneshot::channel();
        let (target, connections, inner) = (self.target.subscribe(), Arc::clone(&self.connections), stop.clone());
        tokio::spawn(async move {
            accept(&listener, target, &connections, &inner).await;
            drop(listener);
            // Nobody waits when the link was dropped rather than cut.
            on_closed.send(()).unwrap_or_default();
        });
        self.plugged = Some(Plugged { stop: stop.drop_guard(), closed });
    }
}

async fn accept(listener: &TcpListener, target: watch::Receiver<SocketAddr>, connections: &AtomicU64, stop: &CancellationToken) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((near, _)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        connections.fetch_add(1, Ordering::Relaxed);
        let (target, stop) = (*target.borrow(), stop.clone());
        tokio::spawn(async move {
            if let Some(Err(err)) = stop.run_until_cancelled(carry(near, target)).await {
                tracing::debug!(error = %err, "a connection over a simulated link ended");
            }
        });
    }
}

async fn carry(mut near: TcpStream, target: SocketAddr) -> io::Result<()> {
    let mut far = TcpStream::connect(target).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn echo_server() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    tokio::io::copy(&mut reader, &mut writer).await.unwrap_or_default();
                });
            }
        });
        address
    }

    async fn says_hello(stream: &mut TcpStream) -> bool {
        let mut heard = [0; 5];
        stream.write_all(b"hello").await.is_ok() && stream.read_exact(&mut heard).await.is_ok() && &heard == b"hello"
    }

    #[tokio::test]
    async fn a_cut_link_refuses_and_a_restored_one_carries() {
        let mut link = Link::to(echo_server().await).await.unwrap();
        let mut before = TcpStream::connect(link.address()).await.unwrap();
        assert!(says_hello(&mut before).await);
        for _ in 0..3 {
            link.cut().await;
            assert!(!link.is_whole());
            assert!(TcpStream::connect(link.address()).await.is_err(), "a cut link must refuse");
            assert!(!says_hello(&mut before).await, "a cut link must drop what was connected");
            link.restore().await.unwrap();
            before = TcpStream::connect(link.address()).await.unwrap();
            assert!(says_hello(&mut before).await);
        }
        assert_eq!(link.connections(), 4);
    }

    #[tokio::test]
    async fn a_peer_may_come_back_elsewhere() {
        let gone = SocketAddr::from(([127, 0, 0, 1], 1));
        let link = Link::to(gone).await.unwrap();
        let mut nowhere = TcpStream::connect(link.address()).await.unwrap();
        assert!(!says_hello(&mut nowhere).await);
        link.retarget(echo_server().await);
        let mut somewhere = TcpStream::connect(link.address()).await.unwrap();
        assert!(says_hello(&mut somewhere).await);
    }
}
