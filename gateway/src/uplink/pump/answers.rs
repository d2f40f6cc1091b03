//! What the broker and the collector say, and what follows from it.

use tokio::time::Instant;
use wire::Urgency;

use super::{Connection, Leaving, Pump, frames::Ready};
use crate::{
    remote::{Happened, Received},
    spool::SpoolError,
    uplink::{Link, LinkEvent, Sent},
};

impl Pump {
    /// Does what an event of the connection asks for.
    pub(super) async fn happened<L: Link>(&self, on: &mut Connection<L>, event: LinkEvent) -> Result<(), Leaving> {
        if let LinkEvent::Taken { what: Sent::Frame, .. } | LinkEvent::Refused { what: Sent::Frame, .. } = event {
            on.pace.answered(Instant::now());
        }
        match event {
            LinkEvent::Taken { what: Sent::Frame, heard } => {
                // One that was under way before the refusal says nothing.
                if on.window.was_refused() && !on.window.is_refused(Instant::now()) {
                    on.window.accepted();
                    on.refused.succeed();
                    tracing::info!("the broker takes readings again");
                    self.status.connected(true, None);
                    on.state_due = true;
                }
                if !heard && on.window.unheard(Instant::now()) {
                    self.status
                        .connected(true, Some("the broker has nobody who listens to our readings: is the collector running?".into()));
                    on.ready = Ready::default();
                    on.state_due = true;
                }
            }
            LinkEvent::Taken { what: Sent::Message(id), .. } => self.outbox.taken(id),
            LinkEvent::Taken { what: Sent::State, .. } => {}
            LinkEvent::Refused { what: Sent::Frame, reason } => self.frame_refused(on, &reason),
            LinkEvent::Refused { what, reason } => {
                if let Sent::Message(id) = what {
                    // Again and again would not help; the frames go on.
                    self.outbox.taken(id);
                }
                tracing::warn!(reason, what = ?what, "the broker refused something that is not a reading; left out");
            }
            LinkEvent::Ack(ack) => match self.acknowledge(on, &ack).await {
                Ok(true) => on.ready = Ready::default(),
                Ok(false) => {}
                Err(err) => return Err(Leaving::Spool(err)),
            },
            LinkEvent::Command { verb, payload } => {
                let bytes = payload.len();
                if self.commands.try_send(Received { verb, payload }).is_err() {
                    tracing::warn!(bytes, "a command was dropped: too many wait");
                }
            }
        }
        Ok(())
    }

    /// The broker will not have a frame: nothing is given up, and it is left alone for a while.
    fn frame_refused<L: Link>(&self, on: &mut Connection<L>, reason: &str) {
        let now = Instant::now();
        if on.window.is_refused(now) {
            return;
        }
        let pause = on.refused.fail(now);
        on.window.refused(now + pause);
        on.ready = Ready::default();
        let fault = format!("the broker refused a frame: {reason}");
        if self.status.snapshot().uplink_fault.as_deref() != Some(fault.as_str()) {
            tracing::error!(reason, "the broker refuses our readings; they are kept, and offered to it now and then");
            let happened = Happened { kind: "publish_refused", subject: "", urgency: Urgency::Alarm, detail: fault.clone() };
            self.outbox.raise(happened, self.clock.now().as_millisecond());
            on.state_due = true;
        }
        self.status.connected(true, Some(fault));
    }

    /// Takes the collector's word. Says whether frames that were read ahead are out of date.
    async fn acknowledge<L: Link>(&self, on: &mut Connection<L>, ack: &wire::Ack) -> Result<bool, SpoolError> {
        match ack.validate() {
            Ok(spool_id) if spool_id == self.identity.spool_id => {}
            Ok(other) => {
                tracing::debug!(spool_id = %other, "an acknowledgement of another spool");
                return Ok(false);
            }
            Err(err) => {
                tracing::warn!(error = %err, "an acknowledgement that makes no sense; left aside");
                return Ok(false);
            }
        }
        let seq = ack.contiguous_seq;
        let (counters, noted) = self
            .spool
            .with(move |spool| {
                let noted = spool.acknowledge(seq);
                (spool.counters(), noted)
            })
            .await;
        self.status.acknowledged(counters);
        self.status.acknowledged_under(on.active.generation);
        if !on.window.was_refused() {
            self.status.connected(true, None);
        }
        noted?;
        if seq < counters.acknowledged {
            tracing::warn!(seq, acknowledged = counters.acknowledged, "the collector has less than it confirmed before; sending again");
        }
        // Holes are filled first: what was read ahead of them stays where it is.
        Ok(on.window.acknowledge(seq, &ack.holes, Instant::now()))
    }
}
