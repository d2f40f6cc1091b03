//! Groups of messages become one commit, and then they are acknowledged.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use daemon::Clock;
use store::{Batch, CommitError, Committed, DeadLetter, Origin, Store};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use wire::{Ack, Channel, Frame, GatewayPath, Lost, Message as _, SeqRange};

use super::acks::Spool;
use super::{Acks, Decoder, Gate, Message};
use crate::config::Config;
use crate::live::Live;
use crate::mqtt::{Delivery, Speaker};
use crate::quota::Quotas;
use crate::vee::Cause;

/// A group is not made larger than this.
const GROUP_BYTES_MAX: usize = 8 << 20;
const RETRY: Duration = Duration::from_millis(500);

/// Why the collector cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error("readings can no longer be stored")]
    Store(#[source] CommitError),
    #[error("the thread that writes to the store has ended")]
    Thread,
}

/// The task between the broker and the store.
#[derive(Debug)]
pub(crate) struct Ingest {
    pub(crate) config: Arc<Config>,
    pub(crate) live: Arc<Live>,
    pub(crate) store: Arc<Store>,
    pub(crate) speaker: Arc<Speaker>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) quotas: Arc<Quotas>,
}

impl Ingest {
    /// Takes messages until there are no more.
    ///
    /// * Errors: the store has failed for good. Nothing that was not durable has been acknowledged.
    pub(crate) async fn run(self, mut deliveries: mpsc::Receiver<Delivery>, stop: CancellationToken) -> Result<(), IngestError> {
        let mut acks = Acks::new(self.config.ack_interval);
        let mut gate = Gate::new(self.config.points_per_second, self.quotas.clone());
        loop {
            let due = acks.next_due();
            let first = tokio::select! {
                delivery = deliveries.recv() => delivery,
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.tell(acks.take_due(Instant::now()), &mut acks);
                    continue;
                }
            };
            let Some(first) = first else { break };
            self.live.waits(first.arrived);
            let group = self.gather(first, &mut deliveries).await;
            gate = self.take(group, &mut acks, gate, &stop).await?;
        }
        self.tell(acks.take_all(), &mut acks);
        Ok(())
    }

    /// Waits a little for messages that can share a commit.
    async fn gather(&self, first: Delivery, deliveries: &mut mpsc::Receiver<Delivery>) -> Vec<Delivery> {
        let until = Instant::now() + self.config.commit_interval;
        let mut bytes = first.payload.len();
        let mut group = vec![first];
        while group.len() < self.config.commit_messages && bytes < GROUP_BYTES_MAX {
            let next = match deliveries.try_recv() {
                Ok(next) => Some(next),
                Err(mpsc::error::TryRecvError::Disconnected) => None,
                Err(mpsc::error::TryRecvError::Empty) => tokio::time::timeout_at(until, deliveries.recv()).await.ok().flatten(),
            };
            let Some(next) = next else { break };
            bytes += next.payload.len();
            group.push(next);
        }
        group
    }

    async fn take(&self, group: Vec<Delivery>, acks: &mut Acks, mut gate: Gate, stop: &CancellationToken) -> Result<Gate, IngestError> {
        let readings = group.iter().filter(|delivery| !delivery.is_state);
        let messages: Vec<(String, bytes::Bytes)> = readings.map(|delivery| (delivery.topic.clone(), delivery.payload.clone())).collect();
        let offered = messages.len();
        let decoder = Decoder { message_bytes_max: self.config.message_bytes_max, clock_ahead_max: self.config.clock_ahead_max };
        let now = self.clock.now();
        let decoded = move || {
            let mut passed = Vec::with_capacity(messages.len());
            for (topic, payload) in &messages {
                let mut message = decoder.decode(topic, payload, now);
                if gate.pass(&mut message, topic, payload, now.as_millisecond()) {
                    passed.push(message);
                }
            }
            (passed, gate)
        };
        let (messages, gate) = tokio::task::spawn_blocking(decoded).await.map_err(|_panicked| IngestError::Thread)?;
        self.live.count(&self.live.deferred, (offered - messages.len()) as u64);
        self.live.count(&self.live.received, messages.iter().map(Message::points).sum());
        let inflight = group.len() as u64;
        if let Some(spools) = self.commit(messages, stop).await? {
            self.live.done_with(group.iter().map(|delivery| delivery.arrived));
            group.into_iter().for_each(Delivery::confirm);
            spools.into_iter().for_each(|spool| acks.note(spool));
            self.tell(acks.take_due(Instant::now()), acks);
        }
        self.live.inflight.fetch_sub(inflight, Ordering::Relaxed);
        Ok(gate)
    }

    /// Commits until it succeeds. `None` when we were asked to stop before it did: then nothing is acknowledged.
    async fn commit(&self, messages: Vec<Message>, stop: &CancellationToken) -> Result<Option<Vec<Spool>>, IngestError> {
        let mut spools = Vec::with_capacity(messages.len());
        let (mut batches, mut letters, mut frames) = (Vec::with_capacity(messages.len()), Vec::new(), Vec::new());
        for message in messages {
            if let Some(letter) = message.letter() {
                warn!(mqtt.topic = letter.topic, reason = letter.reason, bytes = letter.payload.len(), "a message became a dead letter");
                self.live.letter(&letter.reason);
            }
            match message {
                Message::Batch { path, batch, frame, numbered } => {
                    if numbered {
                        spools.push((path.clone(), batch.spool_id));
                    }
                    frames.extend(frame.map(|frame| (path, *frame, batches.len())));
                    batches.push(*batch);
                }
                Message::Letter(letter) => letters.push(*letter),
            }
        }
        let (batches, letters) = (Arc::new(batches), Arc::new(letters));
        let committed = loop {
            let started = Instant::now();
            match self.try_commit(&batches, &letters).await? {
                Ok(committed) => {
                    self.live.committed(started.elapsed());
                    break committed;
                }
                Err(err) if err.is_transient() => {
                    let problem = daemon::chain(&err);
                    error!(error = problem, retry_ms = RETRY.as_millis(), "nothing is acknowledged: readings cannot be stored");
                    self.live.set_problem(Some(problem));
                    tokio::select! {
                        () = tokio::time::sleep(RETRY) => {}
                        () = stop.cancelled() => return Ok(None),
                    }
                }
                Err(err) => {
                    self.live.set_problem(Some(daemon::chain(&err)));
                    return Err(IngestError::Store(err));
                }
            }
        };
        self.live.set_problem(None);
        let accounted = committed.iter().map(|outcome| outcome.accepted + outcome.duplicate).sum::<u64>();
        // Of a batch that came again, the letter is among the duplicates.
        let letter_of = |(batch, outcome): (&Batch, &Committed)| {
            let is_new = outcome.accepted + outcome.duplicate == batch.rows.len() as u64;
            batch.letter.as_ref().filter(|_| is_new).map_or(0, |letter| letter.points)
        };
        let lettered = batches.iter().zip(&committed).map(letter_of).sum::<u64>();
        let unnumbered = letters.iter().map(|letter| letter.points).sum::<u64>();
        self.live.count(&self.live.accounted, accounted + lettered + unnumbered);
        for (batch, _) in batches.iter().zip(&committed).filter(|(_, outcome)| outcome.accepted > 0) {
            self.live.hub.publish(&batch.origin, &batch.rows);
        }
        let now_ms = self.clock.now().as_millisecond();
        for (batch, outcome) in batches.iter().zip(&committed) {
            self.live.count_late(batch, outcome, now_ms);
        }
        for (path, frame, batch) in frames {
            let news = committed.get(batch).is_some_and(|outcome| outcome.accepted > 0);
            self.note_what_is_gone(&path, &frame, news);
            if frame.lost == 0 {
                self.live.pulses.frame(&path, frame.tick_ms, now_ms);
                self.live.frame(path, frame);
            }
        }
        Ok(Some(spools))
    }

    /// A gateway says when its spool had to give something up: that is an alarm here too, and never only a gap.
    fn note_what_is_gone(&self, path: &GatewayPath, frame: &Frame, news: bool) {
        if frame.lost != 0 {
            self.live.count(&self.live.frames_lost, 1);
            self.live.pulses.lost(path, frame.tick_ms, Cause::of_loss(frame.lost));
            let why = if frame.lost == Lost::MadeRoom.code() { "made room in a full spool" } else { "was damaged on disk" };
            error!(gateway = %path, "a frame of `{path}` {why} before it was delivered: its readings are gone");
        }
        if frame.left_out > 0 && news {
            self.live.count(&self.live.points_left_out, u64::from(frame.left_out));
            warn!(gateway = %path, tick_ms = frame.tick_ms, points = frame.left_out, "`{path}` left out points to make room in a full spool");
        }
    }

    async fn try_commit(
        &self,
        batches: &Arc<Vec<Batch>>,
        letters: &Arc<Vec<DeadLetter>>,
    ) -> Result<Result<Vec<Committed>, CommitError>, IngestError> {
        let (store, batches, letters) = (self.store.clone(), batches.clone(), letters.clone());
        let commit = move || store.commit_with(&batches, &letters);
        tokio::task::spawn_blocking(commit).await.map_err(|_panicked| IngestError::Thread)
    }

    fn tell(&self, spools: Vec<Spool>, acks: &mut Acks) {
        for (path, spool_id) in spools {
            let origin = Origin { tenant: path.tenant.clone(), facility: path.facility.clone(), gateway: path.gateway.clone() };
            let state = self.store.ack_state(&origin, spool_id);
            let ack = Ack {
                schema: wire::SCHEMA,
                spool_id: spool_id.to_vec(),
                contiguous_seq: state.contiguous_seq,
                holes: state.holes.into_iter().map(|(first, last)| SeqRange { first, last }).collect(),
            };
            if self.speaker.say(path.topic(&Channel::Ack), ack.encode_to_vec()) {
                self.live.count(&self.live.acks, 1);
            } else {
                // There is no connection: it is said again when the interval is over.
                acks.note((path, spool_id));
            }
        }
    }
}
