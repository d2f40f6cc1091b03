//! The transport that stands between the Modbus crate and a connection.
//!
//! The crate writes a request into it and reads the answer out of it; in between it decides what may pass, see
//! [`framing`](super::framing). A call is never cancelled: the deadline is in here, and a call that missed it ends by
//! itself with an error. The actor keeps a second handle, so that a poisoned Modbus context can be dropped without
//! closing the port.

use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep, timeout_at},
};

use super::framing::{Expected, Framing};

/// A connection to a bus.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Bytes read from a connection at once, and most that are kept while an answer is awaited.
const CHUNK_BYTES: usize = 512;
const ARRIVED_BYTES_MAX: usize = 8 * CHUNK_BYTES;

struct State {
    stream: Box<dyn Stream>,
    framing: Framing,
    request: Vec<u8>,
    expected: Option<Expected>,
    arrived: Vec<u8>,
    answer: Vec<u8>,
    deadline: Pin<Box<Sleep>>,
    last_activity: Instant,
}

/// A handle to a connection; the Modbus context holds one, the actor the other.
#[derive(Clone)]
pub(crate) struct Line(Arc<Mutex<State>>);

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

impl Line {
    pub(crate) fn new(stream: Box<dyn Stream>, framing: Framing) -> Self {
        Self(Arc::new(Mutex::new(State {
            stream,
            framing,
            request: Vec::new(),
            expected: None,
            arrived: Vec::new(),
            answer: Vec::new(),
            deadline: Box::pin(sleep(Duration::ZERO)),
            last_activity: Instant::now(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request that must be answered within `timeout`.
    pub(crate) fn begin(&self, timeout: Duration) {
        let mut state = self.state();
        state.request.clear();
        state.expected = None;
        state.answer.clear();
        if state.framing == Framing::Rtu {
            state.arrived.clear();
        }
        state.deadline.as_mut().reset(Instant::now() + timeout);
    }

    /// Counts silence from now on.
    pub(crate) fn touch(&self) {
        self.state().last_activity = Instant::now();
    }

    /// Drops what arrives until the line has been silent for a while.
    ///
    /// * Errors: the connection broke, or never fell silent within `patience`.
    pub(crate) async fn quiet(&self, silence: Duration, patience: Duration) -> io::Result<()> {
        let limit = Instant::now() + patience;
        loop {
            let due = self.state().last_activity + silence;
            match timeout_at(due, poll_fn(|cx| self.state().poll_drop(cx))).await {
                Err(_silent) => return Ok(()),
                Ok(result) => result?,
            }
            if Instant::now() > limit {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, "the line does not fall silent: is another master on this bus?"));
            }
        }
    }
}

impl State {
    /// Reads more from the connection. Nothing is an error: a serial line and a live peer do not end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<([u8; CHUNK_BYTES], usize)>> {
        let mut chunk = [0; CHUNK_BYTES];
        let mut buf = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut *self.stream).poll_read(cx, &mut buf))?;
        let read = buf.filled().len();
        if read == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed by the other side")));
        }
        self.last_activity = Instant::now();
        Poll::Ready(Ok((chunk, read)))
    }

    fn poll_drop(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_more(cx).map_ok(|_dropped| ())
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(expected) = self.expected else {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidInput, "no read request was written")));
        };
        loop {
            let taken = self.framing.take(expected, &self.request, &mut self.arrived);
            if let Some(answer) = taken.map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))? {
                self.answer = answer;
                self.expected = None;
                return Poll::Ready(Ok(()));
            }
            let (chunk, read) = ready!(self.poll_more(cx))?;
            self.arrived.extend_from_slice(chunk.get(..read).unwrap_or_default());
            if self.arrived.len() > ARRIVED_BYTES_MAX {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "bytes keep coming and none are an answer")));
            }
        }
    }

    /// What `progress` says, unless the deadline has passed.
    fn within_deadline<T>(&mut self, cx: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_pending() {
            ready!(self.deadline.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        progress
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        if state.answer.is_empty() {
            let progress = state.poll_answer(cx);
            ready!(state.within_deadline(cx, progress))?;
        }
        let count = state.answer.len().min(buf.remaining());
        buf.put_slice(state.answer.get(..count).unwrap_or_default());
        state.answer.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        let progress = Pin::new(&mut *state.stream).poll_write(cx, bytes);
        let written = ready!(state.within_deadline(cx, progress))?;
        state.request.extend_from_slice(bytes.get(..written).unwrap_or_default());
        state.expected = state.framing.expected(&state.request);
        state.last_activity = Instant::now();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        let progress = Pin::new(&mut *state.stream).poll_flush(cx);
        state.within_deadline(cx, progress)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.state().stream).poll_shutdown(cx)
    }
}
