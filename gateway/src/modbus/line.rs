//! The transport that stands between the Modbus crate and a connection.
//!
//! The crate writes a request into it and reads the answer out of it; in between it decides what may pass, see
//! [`framing`](super::framing). A call is never cancelled: the deadline is in here, and a call that missed it ends by
//! itself with an error. The actor keeps a second handle, so that a poisoned Modbus context can be dropped without
//! closing the port.
//!
//! On a serial line an answer is handed on only when the line has been silent behind it: two devices with one unit id,
//! or an old answer on the heels of another, show themselves there. It costs nothing, because the next request waits for
//! that silence anyhow.

use std::{
    borrow::Cow,
    fmt,
    future::{Future, poll_fn},
    io, mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep, timeout_at},
};

use super::framing::{Expected, FrameFault, Framing, check_before, check_behind, is_damaged};

/// A connection to a bus.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Bytes read from a connection at once, and most that are kept while an answer is awaited.
const CHUNK_BYTES: usize = 512;
const ARRIVED_BYTES_MAX: usize = 8 * CHUNK_BYTES;
/// A damaged answer that is all there is waited for no longer than this: adapters hold bytes back for up to 16 ms.
const DAMAGED_SILENCE: Duration = Duration::from_millis(50);

/// How the wait for an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// At the deadline, with nothing.
    Waiting,
    /// Soon, because what came is all there and not right.
    Damaged,
    /// When the line has been silent behind the answer.
    Settling,
}

struct State {
    stream: Box<dyn Stream>,
    framing: Framing,
    /// The silence behind an answer; none where it is believed at once.
    settle: Duration,
    /// On a network: the number that the request travels under, and the one that the Modbus crate gave it.
    number: [u8; 2],
    given: [u8; 2],
    request: Vec<u8>,
    expected: Option<Expected>,
    arrived: Vec<u8>,
    stage: Stage,
    /// Found, and not yet handed on.
    found: Vec<u8>,
    answer: Vec<u8>,
    deadline: Pin<Box<Sleep>>,
    last_activity: Instant,
    /// What was dropped since somebody last asked; the newest bytes of it.
    dropped: Vec<u8>,
    echoes: u64,
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
    /// * `settle`: how long a serial line is silent behind an answer; zero for a network.
    pub(crate) fn new(stream: Box<dyn Stream>, framing: Framing, settle: Duration) -> Self {
        Self(Arc::new(Mutex::new(State {
            stream,
            framing,
            settle,
            number: [0; 2],
            given: [0; 2],
            request: Vec::new(),
            expected: None,
            arrived: Vec::new(),
            stage: Stage::Waiting,
            found: Vec::new(),
            answer: Vec::new(),
            deadline: Box::pin(sleep(Duration::ZERO)),
            last_activity: Instant::now(),
            dropped: Vec::new(),
            echoes: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request that must be answered within `timeout`. On a network it travels under this number, as the Modbus crate begins
    /// to count anew with each connection.
    pub(crate) fn begin(&self, timeout: Duration, number: u16) {
        let mut state = self.state();
        state.number = number.to_be_bytes();
        state.request.clear();
        state.expected = None;
        state.answer.clear();
        state.found.clear();
        state.stage = Stage::Waiting;
        if state.framing == Framing::Rtu {
            state.arrived.clear();
        }
        state.deadline.as_mut().reset(Instant::now() + timeout);
    }

    /// Counts silence from now on.
    pub(crate) fn touch(&self) {
        self.state().last_activity = Instant::now();
    }

    /// What was heard and was no answer, since the last time.
    pub(crate) fn take_dropped(&self) -> Vec<u8> {
        let mut state = self.state();
        state.drop_unfinished();
        mem::take(&mut state.dropped)
    }

    /// How often our own voice was heard.
    pub(crate) fn echoes(&self) -> u64 {
        self.state().echoes
    }

    /// Drops what has arrived by now, without waiting for anything.
    ///
    /// * Errors: the connection broke.
    pub(crate) async fn drop_waiting(&self) -> io::Result<()> {
        poll_fn(|cx| {
            let mut state = self.state();
            loop {
                match state.poll_drop(cx) {
                    Poll::Pending => return Poll::Ready(Ok(())),
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(err)) => return Poll::Ready(Err(err)),
                }
                // A peer that never stops is not waited for: what it sent is enough to close the connection.
                if state.dropped.len() >= ARRIVED_BYTES_MAX {
                    return Poll::Ready(Ok(()));
                }
            }
        })
        .await
    }

    /// Drops what arrives until the line has been silent for a while.
    ///
    /// * Errors: the connection broke, or never fell silent within `patience`.
    pub(crate) async fn quiet(&self, silence: Duration, patience: Duration) -> io::Result<()> {
        let limit = Instant::now() + patience;
        self.state().drop_unfinished();
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
        let (chunk, read) = ready!(self.poll_more(cx))?;
        self.drop_bytes(chunk.get(..read).unwrap_or_default());
        Poll::Ready(Ok(()))
    }

    /// What arrived so far is no answer any more; the rest of it may follow.
    fn drop_unfinished(&mut self) {
        let unfinished = mem::take(&mut self.arrived);
        self.drop_bytes(&unfinished);
    }

    fn drop_bytes(&mut self, bytes: &[u8]) {
        self.dropped.extend_from_slice(bytes);
        let excess = self.dropped.len().saturating_sub(ARRIVED_BYTES_MAX);
        self.dropped.drain(..excess);
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(expected) = self.expected else {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidInput, "no read request was written")));
        };
        loop {
            if let Err(fault) = self.look(expected) {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault)));
            }
            if !self.answer.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if self.arrived.len() > ARRIVED_BYTES_MAX {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "bytes keep coming and none are an answer")));
            }
            match self.poll_more(cx) {
                Poll::Ready(more) => {
                    let (chunk, read) = more?;
                    self.arrived.extend_from_slice(chunk.get(..read).unwrap_or_default());
                }
                Poll::Pending => {
                    ready!(self.deadline.as_mut().poll(cx));
                    return Poll::Ready(self.wait_is_over());
                }
            }
        }
    }

    /// Looks at what has arrived by now.
    fn look(&mut self, expected: Expected) -> Result<(), FrameFault> {
        if self.stage == Stage::Settling {
            return self.settle();
        }
        if let Some(taken) = self.framing.take(expected, &self.request, &mut self.arrived)? {
            self.echoes += u64::from(taken.before.starts_with(&self.request));
            self.drop_bytes(&taken.before);
            self.found = taken.answer;
            if self.framing == Framing::Rtu {
                check_before(&taken.before, &self.request)?;
            }
            if self.settle.is_zero() {
                self.hand_on();
                return Ok(());
            }
            self.stage = Stage::Settling;
            return self.settle();
        }
        if self.framing == Framing::Rtu && self.stage == Stage::Waiting && is_damaged(expected, &self.request, &self.arrived) {
            self.stage = Stage::Damaged;
            let soon = Instant::now() + DAMAGED_SILENCE;
            if soon < self.deadline.deadline() {
                self.deadline.as_mut().reset(soon);
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), FrameFault> {
        check_behind(&self.found, &self.arrived)?;
        self.deadline.as_mut().reset(self.last_activity + self.settle);
        Ok(())
    }

    fn wait_is_over(&mut self) -> io::Result<()> {
        match self.stage {
            Stage::Waiting => Err(io::ErrorKind::TimedOut.into()),
            Stage::Damaged => Err(io::Error::new(io::ErrorKind::InvalidData, FrameFault::Damaged)),
            Stage::Settling => {
                self.hand_on();
                self.arrived.clear();
                Ok(())
            }
        }
    }

    fn hand_on(&mut self) {
        self.answer = mem::take(&mut self.found);
        self.expected = None;
        if self.framing == Framing::Tcp {
            for (byte, given) in self.answer.iter_mut().zip(self.given) {
                *byte = given;
            }
        }
    }

    /// The bytes of a request as they travel: under our own number.
    fn numbered(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut numbered = bytes.to_vec();
        let (at, number) = (self.request.len(), self.number);
        for ((byte, number), given) in numbered.iter_mut().zip(number.iter().skip(at)).zip(self.given.iter_mut().skip(at)) {
            *given = *byte;
            *byte = *number;
        }
        numbered
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
            ready!(state.poll_answer(cx))?;
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
        let numbered = if state.framing == Framing::Tcp { Cow::Owned(state.numbered(bytes)) } else { Cow::Borrowed(bytes) };
        let progress = Pin::new(&mut *state.stream).poll_write(cx, &numbered);
        let written = ready!(state.within_deadline(cx, progress))?;
        state.request.extend_from_slice(numbered.get(..written).unwrap_or_default());
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
