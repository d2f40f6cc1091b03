//! Moves frames from the spool to the collector, over one connection after another.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use daemon::Clock;
use ids::SpoolId;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use wire::{Envelope, Frame, Message};

use super::{Link, LinkError, LinkEvent, Uplink, window::Window};
use crate::{
    modbus::BackOff,
    spool::{SharedSpool, SpoolError, Stored},
    status::Status,
};

/// Bytes of frames read from the spool at once.
const READ_BYTES: usize = 256 << 10;
const RECONNECT_FIRST: Duration = Duration::from_millis(200);
const RECONNECT_CEILING: Duration = Duration::from_secs(10);
/// How often what the collector confirmed is made durable here.
const CHECKPOINT: Duration = Duration::from_secs(10);

/// Whose frames they are.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) spool_id: SpoolId,
    pub(crate) boot_id: u64,
    pub(crate) config_hash: Vec<u8>,
}

/// How the pump is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PumpOptions {
    pub(crate) ack_timeout: Duration,
    pub(crate) window_bytes: u64,
}

/// What a connection works with.
pub(crate) struct Pump {
    pub(crate) identity: Identity,
    pub(crate) options: PumpOptions,
    pub(crate) spool: SharedSpool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) status: Arc<Status>,
}

/// Why one connection was left.
enum Leaving {
    Link(LinkError),
    Spool(SpoolError),
    Stopped,
}

/// Delivers until stopped. Reconnects for ever.
pub(crate) async fn pump(mut uplink: impl Uplink, pump: Pump, mut committed: watch::Receiver<u64>, stop: CancellationToken) {
    let mut back_off = BackOff::new(RECONNECT_FIRST, RECONNECT_CEILING, &pump.identity.spool_id.to_string());
    let mut told = false;
    loop {
        let connected = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            connected = uplink.connect() => connected,
        };
        let (error, pause) = match connected {
            Ok(link) => {
                tracing::info!("connected to the broker");
                pump.status.connected(true, None);
                told = false;
                let since = Instant::now();
                let leaving = pump.deliver(link, &mut committed, &stop).await;
                if since.elapsed() > RECONNECT_CEILING {
                    back_off.succeed();
                }
                match leaving {
                    Leaving::Stopped => break,
                    Leaving::Link(err) => (daemon::chain(&err), back_off.fail(Instant::now())),
                    Leaving::Spool(err) => (daemon::chain(&err), back_off.fail(Instant::now())),
                }
            }
            Err(err) => (daemon::chain(&err), back_off.fail(Instant::now())),
        };
        pump.status.connected(false, Some(error.clone()));
        if !told {
            tracing::warn!(error, "readings are kept here until the collector can be reached");
            told = true;
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep(pause) => {}
        }
    }
    pump.status.connected(false, None);
    if let Err(err) = pump.spool.with(|spool| spool.checkpoint()).await {
        tracing::warn!(error = daemon::chain(&err), "some frames will be sent twice");
    }
}

impl Pump {
    /// Delivers over one connection, until it ends.
    async fn deliver(&self, mut link: impl Link, committed: &mut watch::Receiver<u64>, stop: &CancellationToken) -> Leaving {
        let acknowledged = self.spool.lock().counters().acknowledged;
        let mut window = Window::new(acknowledged, self.options.ack_timeout, self.options.window_bytes, Instant::now());
        let mut ready: VecDeque<Stored> = VecDeque::new();
        let mut checkpoint = interval(CHECKPOINT);
        checkpoint.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let durable = *committed.borrow_and_update();
            if let Err(leaving) = self.fill(&mut link, &mut window, &mut ready, durable).await {
                return leaving;
            }
            let due = window.due();
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    link.close().await;
                    return Leaving::Stopped;
                }
                event = link.event() => match event {
                    Ok(LinkEvent::Taken) => {}
                    Ok(LinkEvent::Ack(ack)) => match self.acknowledge(&mut window, &ack).await {
                        Ok(true) => ready.clear(),
                        Ok(false) => {}
                        Err(err) => return Leaving::Spool(err),
                    },
                    Err(err) => return Leaving::Link(err),
                },
                changed = committed.changed() => if changed.is_err() {
                    // The writer is done; what is left is delivered until we are stopped.
                    stop.cancelled().await;
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if window.tick(Instant::now()) {
                        tracing::debug!("the collector confirms nothing; the oldest frames are sent again");
                        ready.clear();
                    }
                }
                _ = checkpoint.tick() => if let Err(err) = self.spool.with(|spool| spool.checkpoint()).await {
                    tracing::warn!(error = daemon::chain(&err), "some frames may be sent twice after a restart");
                },
            }
        }
    }

    /// Hands over what is due and what the broker has room for.
    async fn fill(&self, link: &mut impl Link, window: &mut Window, ready: &mut VecDeque<Stored>, committed: u64) -> Result<(), Leaving> {
        while link.has_room() {
            let Some(stored) = ready.pop_front() else {
                let Some(range) = window.next(committed) else { return Ok(()) };
                let read = self.spool.with(move |spool| spool.read(range.first, READ_BYTES)).await.map_err(Leaving::Spool)?;
                ready.extend(read.into_iter().filter(|stored| stored.seq <= range.last));
                if ready.is_empty() {
                    return Ok(());
                }
                continue;
            };
            let frame = stored.payload.unwrap_or_else(|| self.lost(stored.seq));
            let bytes = frame.len();
            let envelope = Envelope { schema: wire::SCHEMA, spool_id: self.identity.spool_id.as_bytes().to_vec(), seq: stored.seq, frame };
            link.send(envelope.encode_to_vec()).map_err(Leaving::Link)?;
            let again = window.sent(stored.seq, bytes, Instant::now());
            self.status.sent(again);
        }
        Ok(())
    }

    /// Stands for a frame that is gone: no device, so that the collector can close the gap and count it.
    fn lost(&self, seq: u64) -> Vec<u8> {
        tracing::warn!(seq, "a frame is gone from the spool; the collector is told");
        let Identity { boot_id, ref config_hash, .. } = self.identity;
        let tick_ms = self.clock.now().as_millisecond();
        let frame =
            Frame { schema: wire::SCHEMA, boot_id, config_hash: config_hash.clone(), tick_ms, clock_synced: false, devices: Vec::new() };
        frame.encode_to_vec()
    }

    /// Takes the collector's word. Says whether frames that were read ahead are out of date.
    async fn acknowledge(&self, window: &mut Window, ack: &wire::Ack) -> Result<bool, SpoolError> {
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
        noted?;
        if seq < counters.acknowledged {
            tracing::warn!(seq, acknowledged = counters.acknowledged, "the collector has less than it confirmed before; sending again");
        }
        // Holes are filled first: reading ahead would be out of order.
        let rewound = window.acknowledge(seq, &ack.holes, Instant::now());
        Ok(rewound || !ack.holes.is_empty())
    }
}

#[cfg(test)]
mod tests;
