//! What goes out, and in which order.

use std::collections::VecDeque;

use tokio::time::Instant;
use wire::{Channel, Envelope, Frame, Lost, Message};

use super::{Connection, Leaving, Pump};
use crate::{
    config::Config,
    spool::Stored,
    uplink::{Link, Sent, window::Lane},
};

/// Bytes of frames read from the spool at once.
const READ_BYTES: usize = 256 << 10;

/// Frames read ahead, one queue for each lane.
#[derive(Default)]
pub(super) struct Ready {
    backlog: VecDeque<Stored>,
    live: VecDeque<Stored>,
    replay: VecDeque<Stored>,
}

impl Pump {
    /// Hands over what is due and what the broker has room for: answers and events first, then the state, then frames.
    pub(super) async fn fill<L: Link>(&self, on: &mut Connection<L>, committed: u64) -> Result<(), Leaving> {
        while on.link.has_room(Sent::State)
            && let Some((id, channel, payload)) = self.outbox.next(Instant::now())
        {
            on.link.send(Sent::Message(id), &channel, payload).map_err(Leaving::Link)?;
        }
        while let Some(range) = self.outbox.next_replay() {
            if !on.window.replay(range) {
                tracing::warn!(first = range.first, last = range.last, "too many ranges wait to be sent again; this one is left out");
            }
        }
        if self.outbox.take_state_due() {
            on.state_due = true;
        }
        if on.state_due && on.link.has_room(Sent::State) {
            self.tell_state(on)?;
        }
        while on.link.has_room(Sent::Frame) {
            let Some((lane, range)) = on.window.next(committed, Instant::now()) else { return Ok(()) };
            if lane != Lane::Live && !on.pace.has_room() {
                return Ok(());
            }
            let ready = match lane {
                Lane::Backlog => &mut on.ready.backlog,
                Lane::Live => &mut on.ready.live,
                Lane::Replay => &mut on.ready.replay,
            };
            while ready.front().is_some_and(|stored| stored.seq != range.first) {
                ready.pop_front();
            }
            if ready.is_empty() {
                let bytes = if range.first == range.last { 1 } else { READ_BYTES };
                let read = self.spool.with(move |spool| spool.read(range.first, bytes)).await.map_err(Leaving::Spool)?;
                ready.extend(read.into_iter().filter(|stored| stored.seq <= range.last));
            }
            let Some(stored) = ready.pop_front() else { return Ok(()) };
            let frame = match (stored.payload, lane) {
                (Ok(frame), _) => frame,
                // It was confirmed once; there is no gap to close.
                (Err(_gone), Lane::Replay) => {
                    on.window.skip_replay(stored.seq);
                    continue;
                }
                (Err(why), _) => self.lost(stored.seq, why, &on.active.config),
            };
            let bytes = frame.len();
            let envelope = Envelope { schema: wire::SCHEMA, spool_id: self.identity.spool_id.as_bytes().to_vec(), seq: stored.seq, frame };
            on.link.send(Sent::Frame, &Channel::Data, envelope.encode_to_vec()).map_err(Leaving::Link)?;
            on.pace.sent(bytes, Instant::now());
            let again = on.window.sent(lane, stored.seq, bytes, Instant::now());
            self.status.sent(again);
        }
        Ok(())
    }

    /// Stands for a frame that is gone: no device, so that the collector can close the gap and count it.
    fn lost(&self, seq: u64, why: Lost, config: &Config) -> Vec<u8> {
        tracing::warn!(seq, "a frame is gone from the spool; the collector is told");
        let tick_ms = self.clock.now().as_millisecond();
        let frame = Frame {
            schema: wire::SCHEMA,
            boot_id: self.identity.boot_id,
            config_hash: config.hash().to_vec(),
            tick_ms,
            lost: why.code(),
            ..Frame::default()
        };
        frame.encode_to_vec()
    }
}
