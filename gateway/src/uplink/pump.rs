//! Moves frames from the spool to the collector, over one connection after another.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use daemon::Clock;
use ids::SpoolId;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use wire::{Channel, Envelope, Frame, GatewayState, Lost, Message, STATE_SCHEMA, Urgency};

use super::{
    Link, LinkError, LinkEvent, Sent, Uplink,
    window::{Lane, Window},
};
use crate::{
    config::{BrokerConfig, Config},
    modbus::BackOff,
    remote::{Active, Happened, Outbox, Received},
    spool::{SharedSpool, SpoolError, Stored},
    status::Status,
};

/// Bytes of frames read from the spool at once.
const READ_BYTES: usize = 256 << 10;
const RECONNECT_FIRST: Duration = Duration::from_millis(200);
const RECONNECT_CEILING: Duration = Duration::from_secs(10);
/// How long a broker that refuses a frame is left alone.
const REFUSED_FIRST: Duration = Duration::from_secs(1);
const REFUSED_CEILING: Duration = Duration::from_secs(60);
/// How often what the collector confirmed is made durable here.
const CHECKPOINT: Duration = Duration::from_secs(10);
/// How often the retained state is looked at, and sent if something in it changed.
const STATE_INTERVAL: Duration = Duration::from_secs(60);

/// Whose frames they are.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) spool_id: SpoolId,
    pub(crate) boot_id: u64,
}

/// What a connection works with.
pub(crate) struct Pump {
    pub(crate) identity: Identity,
    pub(crate) spool: SharedSpool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) status: Arc<Status>,
    pub(crate) outbox: Outbox,
    /// Orders for the gateway.
    pub(crate) commands: mpsc::Sender<Received>,
}

/// Why one connection was left.
enum Leaving {
    Link(LinkError),
    Spool(SpoolError),
    Reconfigured,
    Stopped,
}

/// Frames read ahead, one queue for each lane.
#[derive(Default)]
struct Ready {
    backlog: VecDeque<Stored>,
    live: VecDeque<Stored>,
    replay: VecDeque<Stored>,
}

/// What lasts as long as one connection.
struct Connection<L> {
    link: L,
    window: Window,
    ready: Ready,
    /// The configuration that the connection was made with, or that has not changed it since.
    active: Arc<Active>,
    refused: BackOff,
    /// The state that was sent last, but for its time.
    told: Option<GatewayState>,
    state_due: bool,
}

/// Delivers until stopped. Reconnects for ever.
pub(crate) async fn pump(
    mut uplink: impl Uplink,
    pump: Pump,
    mut configs: watch::Receiver<Arc<Active>>,
    mut committed: watch::Receiver<u64>,
    stop: CancellationToken,
) {
    let mut back_off = BackOff::new(RECONNECT_FIRST, RECONNECT_CEILING, &pump.identity.spool_id.to_string());
    let mut told = false;
    loop {
        let active = Arc::clone(&configs.borrow_and_update());
        let connected = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            connected = uplink.connect(&active.config, pump.state(&active, false)) => connected,
        };
        let (error, pause) = match connected {
            Ok(link) => {
                tracing::info!("connected to the broker");
                pump.status.connected(true, None);
                told = false;
                let since = Instant::now();
                let leaving = pump.deliver(link, active, &mut configs, &mut committed, &stop).await;
                pump.outbox.connection_lost();
                if since.elapsed() > RECONNECT_CEILING {
                    back_off.succeed();
                }
                match leaving {
                    Leaving::Stopped => break,
                    Leaving::Reconfigured => {
                        pump.status.connected(false, None);
                        continue;
                    }
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
            // Another configuration may name another broker.
            changed = configs.changed() => if changed.is_err() {
                stop.cancelled().await;
            },
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
    async fn deliver(
        &self,
        link: impl Link,
        active: Arc<Active>,
        configs: &mut watch::Receiver<Arc<Active>>,
        committed: &mut watch::Receiver<u64>,
        stop: &CancellationToken,
    ) -> Leaving {
        let acknowledged = self.spool.lock().counters().acknowledged;
        let broker = &active.config.broker;
        let mut spread = phase(&active.config);
        let mut on = Connection {
            link,
            window: Window::new(acknowledged, broker.ack_timeout, broker.window_bytes, Instant::now()),
            ready: Ready::default(),
            refused: BackOff::new(REFUSED_FIRST, REFUSED_CEILING, &self.identity.spool_id.to_string()),
            told: None,
            state_due: true,
            active,
        };
        // What is durable here, and how much of it may be sent already.
        let mut visible = *committed.borrow_and_update();
        let mut release: Option<Instant> = None;
        let mut checkpoint = interval(CHECKPOINT);
        checkpoint.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut state = interval(STATE_INTERVAL);
        state.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if release.is_some_and(|at| Instant::now() >= at) {
                release = None;
                visible = *committed.borrow_and_update();
            }
            if let Err(leaving) = self.fill(&mut on, visible).await {
                return leaving;
            }
            let due = [on.window.due(), self.outbox.due(), release].into_iter().flatten().min();
            // The connection comes after what happens now and then: a broker that takes one frame after another always has
            // something to tell, and what is read meanwhile would wait for the end of the backlog. And it comes before the
            // deadline: what the collector said is heard before it counts as silent.
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    let state = self.state(&on.active, false);
                    on.link.close(state).await;
                    return Leaving::Stopped;
                }
                changed = committed.changed() => match changed {
                    Ok(()) if spread.is_zero() || release.is_some() || on.window.next(visible, Instant::now()).is_some() => {
                        if release.is_none() {
                            visible = *committed.borrow_and_update();
                        }
                    }
                    // Nothing is under way: this gateway's moment comes a little after the minute.
                    Ok(()) => release = Some(Instant::now() + spread),
                    // The writer is done; what is left is delivered until we are stopped.
                    Err(_done) => {
                        visible = *committed.borrow();
                        if let Err(leaving) = self.fill(&mut on, visible).await {
                            return leaving;
                        }
                        stop.cancelled().await;
                    }
                },
                changed = configs.changed() => {
                    if changed.is_err() {
                        stop.cancelled().await;
                    }
                    let next = Arc::clone(&configs.borrow_and_update());
                    if needs_another_link(&on.active.config, &next.config) {
                        tracing::info!("the way to the broker has changed: connecting anew");
                        let state = self.state(&next, false);
                        on.link.close(state).await;
                        return Leaving::Reconfigured;
                    }
                    on.window.set(next.config.broker.ack_timeout, next.config.broker.window_bytes);
                    spread = phase(&next.config);
                    on.active = next;
                    on.state_due = true;
                }
                () = self.outbox.changed() => {}
                _ = state.tick() => on.state_due = true,
                _ = checkpoint.tick() => if let Err(err) = self.spool.with(|spool| spool.checkpoint()).await {
                    tracing::warn!(error = daemon::chain(&err), "some frames may be sent twice after a restart");
                },
                event = on.link.event() => match event {
                    Ok(event) => if let Err(leaving) = self.happened(&mut on, event).await {
                        return leaving;
                    },
                    Err(err) => return Leaving::Link(err),
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => if on.window.tick(Instant::now()) {
                    tracing::debug!("the collector confirms nothing; the oldest frames are sent again");
                    on.ready = Ready::default();
                },
            }
        }
    }

    /// Does what an event of the connection asks for.
    async fn happened<L: Link>(&self, on: &mut Connection<L>, event: LinkEvent) -> Result<(), Leaving> {
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

    /// Hands over what is due and what the broker has room for: answers and events first, then the state, then frames.
    async fn fill<L: Link>(&self, on: &mut Connection<L>, committed: u64) -> Result<(), Leaving> {
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
            let again = on.window.sent(lane, stored.seq, bytes, Instant::now());
            self.status.sent(again);
        }
        Ok(())
    }

    /// Sends the retained state, if there is news in it.
    fn tell_state<L: Link>(&self, on: &mut Connection<L>) -> Result<(), Leaving> {
        on.state_due = false;
        let state = self.state_of(&on.active, true);
        let mut timeless = state.clone();
        if let Some(facts) = &mut timeless.facts {
            facts.at_ms = 0;
        }
        if on.told.as_ref() == Some(&timeless) {
            return Ok(());
        }
        on.told = Some(timeless);
        on.link.send(Sent::State, &Channel::State, text(&state).into_bytes()).map_err(Leaving::Link)
    }

    fn state(&self, active: &Active, online: bool) -> String {
        text(&self.state_of(active, online))
    }

    fn state_of(&self, active: &Active, online: bool) -> GatewayState {
        GatewayState {
            schema: STATE_SCHEMA.to_owned(),
            online,
            spool_id: self.identity.spool_id.to_string(),
            boot_id: self.identity.boot_id,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            facts: online.then(|| self.status.facts(active, &*self.clock)),
        }
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

fn text(state: &GatewayState) -> String {
    serde_json::to_string(state).expect("texts and numbers are JSON")
}

/// When within its spread a gateway sends: always the same, and different from the others'.
fn phase(config: &Config) -> Duration {
    let mut hasher = DefaultHasher::new();
    config.path.to_string().hash(&mut hasher);
    let share = u32::try_from(hasher.finish() % 1_024).unwrap_or(0);
    config.broker.spread * share / 1_024
}

/// Whether a change of the configuration is one of the connection.
fn needs_another_link(old: &Config, new: &Config) -> bool {
    // How long to wait and how much to send needs no other connection.
    let alike =
        |broker: &BrokerConfig| BrokerConfig { ack_timeout: Duration::ZERO, window_bytes: 0, spread: Duration::ZERO, ..broker.clone() };
    alike(&old.broker) != alike(&new.broker) || old.commands.is_some() != new.commands.is_some()
}

#[cfg(test)]
mod tests;
