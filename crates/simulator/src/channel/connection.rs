//! The end of a bus in memory that a reader holds.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{Channel, Chunk, Direction, Ending, State};
use crate::rtu::is_right;

/// A request for registers: eight bytes on a line, twelve on a network.
pub(super) const READ_BYTES: usize = 8;
const NETWORK_READ_BYTES: usize = 12;

/// The near end of a bus in memory.
#[derive(Debug)]
pub struct Connection {
    pub(super) channel: Channel,
    pub(super) number: u64,
    pub(super) heard: Vec<u8>,
    pub(super) timer: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    fn ending(&self, state: &State) -> Option<Ending> {
        if self.number == state.connection { state.ending } else { Some(Ending::Reset) }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let channel = self.channel.clone();
            let mut state = channel.lock();
            match self.ending(&state) {
                Some(Ending::Reset) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Some(Ending::Unplugged) => return Poll::Ready(Ok(())),
                Some(Ending::HalfOpen) => return Poll::Pending,
                Some(Ending::ZeroWindow) | None => {}
            }
            if let Some(mut bytes) = state.landed(self.number) {
                let rest = bytes.split_off(bytes.len().min(buf.remaining()));
                buf.put_slice(&bytes);
                state.note(Instant::now(), Direction::Heard, &bytes);
                if !rest.is_empty() {
                    let connection = self.number;
                    state.air.insert(0, Chunk { due: Instant::now(), connection, labelled: true, bytes: rest });
                }
                return Poll::Ready(Ok(()));
            }
            state.reader = Some(cx.waker().clone());
            let Some(due) = state.next_due() else { return Poll::Pending };
            drop(state);
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(cx));
            self.timer = None;
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let channel = self.channel.clone();
        let mut state = channel.lock();
        match self.ending(&state) {
            Some(Ending::Reset | Ending::Unplugged) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Some(Ending::ZeroWindow) => return Poll::Pending,
            Some(Ending::HalfOpen) => return Poll::Ready(Ok(bytes.len())),
            None => {}
        }
        state.note(Instant::now(), Direction::Asked, bytes);
        self.heard.extend_from_slice(bytes);
        if state.carrier.has_header() {
            while let Some(&[t0, t1, _, _, _, _, unit, function, a, b, c, d]) = self.heard.first_chunk::<NETWORK_READ_BYTES>() {
                self.heard.drain(..NETWORK_READ_BYTES);
                state.hear([t0, t1], [unit, function, a, b, c, d]);
            }
        } else {
            while let Some(&request) = self.heard.first_chunk::<READ_BYTES>() {
                self.heard.drain(..READ_BYTES);
                if is_right(&request) {
                    let [unit, function, a, b, c, d, _, _] = request;
                    state.hear([0; 2], [unit, function, a, b, c, d]);
                }
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
