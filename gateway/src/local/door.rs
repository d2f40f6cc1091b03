//! Who is let in: so many at once, and nobody who says nothing.
//!
//! A board with ten megabytes to spare must not be filled by whoever opens connections.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep, sleep_until},
};

/// Connections at once. Another waits until one of them has gone.
const CONNECTIONS_MAX: usize = 32;
/// A connection on which nothing moves is closed.
const IDLE: Duration = Duration::from_secs(20);
/// Before another attempt where the system has no file for a connection.
const BREATH: Duration = Duration::from_millis(200);

/// The listener behind the page.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    idle: Duration,
}

impl Door {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)), idle: IDLE }
    }
}

impl Listener for Door {
    type Io = Visit;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visit, SocketAddr) {
        let place = loop {
            // The semaphore is never closed.
            if let Ok(place) = Arc::clone(&self.places).acquire_owned().await {
                break place;
            }
            sleep(BREATH).await;
        };
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let patience = Box::pin(sleep(self.idle));
                    return (Visit { stream, idle: self.idle, patience, _place: place }, peer);
                }
                Err(err) => {
                    tracing::debug!(error = %err, "a connection was not accepted");
                    sleep(BREATH).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection; its place is free again when it goes.
#[derive(Debug)]
pub(super) struct Visit {
    stream: TcpStream,
    idle: Duration,
    patience: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Visit {
    /// Something moved, or has not for too long.
    fn moved<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            let until = Instant::now() + self.idle;
            self.patience.set(sleep_until(until));
            return done;
        }
        match self.patience.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Visit {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.moved(cx, done)
    }
}

impl AsyncWrite for Visit {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.moved(cx, done)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        time::timeout,
    };

    use super::*;

    #[tokio::test]
    async fn there_is_room_for_so_many_and_who_says_nothing_goes() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let idle = Duration::from_millis(300);
        let mut door = Door { places: Arc::new(Semaphore::new(1)), idle, ..Door::new(listener) };
        let mut first = TcpStream::connect(address).await.unwrap();
        let _second = TcpStream::connect(address).await.unwrap();
        let (mut visit, _) = door.accept().await;
        assert!(timeout(Duration::from_millis(100), door.accept()).await.is_err(), "there is one place");
        first.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        visit.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        let gone = visit.read_exact(&mut heard).await.unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::TimedOut);
        drop(visit);
        timeout(Duration::from_secs(5), door.accept()).await.expect("its place is free again");
    }
}
