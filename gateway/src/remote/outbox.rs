//! What the gateway has to say beside its readings: answers and events, waiting until the broker has taken them.
//!
//! Bounded everywhere. Events of one kind about one thing that wait together become one with a count; when too many
//! wait, the least urgent goes and is counted; and only so many leave in a minute, whatever flaps.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use wire::{Channel, EVENT_SCHEMA, GatewayEvent, Reply, SeqRange, Urgency};

/// Different events that wait at once.
const EVENTS_MAX: usize = 64;
/// Answers that wait at once; the oldest goes first.
const REPLIES_MAX: usize = 32;
/// Ranges of frames that somebody wants again and that the uplink has not taken over.
const REPLAYS_MAX: usize = 16;
/// Events that may leave at once, and how soon one more may.
const BURST: u32 = 10;
const REFILL: Duration = Duration::from_secs(2);

/// Shared by those who have something to say and the uplink, which says it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    next_id: u64,
    replies: VecDeque<Reply>,
    events: VecDeque<GatewayEvent>,
    /// Handed to the broker, which has not taken them yet.
    under_way: Vec<(u64, Message)>,
    replays: VecDeque<SeqRange>,
    /// Whether the retained state is out of date.
    state_due: bool,
    left_out: u64,
    replies_left_out: u64,
    spent: u32,
    refilled: Option<Instant>,
}

#[derive(Clone, Debug)]
enum Message {
    Reply(Reply),
    Event(GatewayEvent),
}

/// Something that happened, as whoever noticed tells it.
#[derive(Clone, Debug)]
pub(crate) struct Happened<'a> {
    pub(crate) kind: &'static str,
    /// The device, or nothing.
    pub(crate) subject: &'a str,
    pub(crate) urgency: Urgency,
    pub(crate) detail: String,
}

impl Outbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that something happened.
    pub(crate) fn raise(&self, happened: Happened<'_>, at_ms: i64) {
        self.waiting().raise(happened, at_ms);
        self.0.changed.notify_one();
    }

    /// Answers a command.
    pub(crate) fn reply(&self, reply: Reply) {
        let mut waiting = self.waiting();
        if waiting.replies.len() == REPLIES_MAX {
            waiting.replies.pop_front();
            waiting.replies_left_out += 1;
            tracing::warn!(left_out = waiting.replies_left_out, "too many answers wait for the broker; the oldest was dropped");
        }
        waiting.replies.push_back(reply);
        drop(waiting);
        self.0.changed.notify_one();
    }

    /// Asks for frames to be sent once more. Says whether there was room for the wish.
    pub(crate) fn replay(&self, range: SeqRange) -> bool {
        let mut waiting = self.waiting();
        let room = waiting.replays.len() < REPLAYS_MAX;
        if room {
            waiting.replays.push_back(range);
        }
        drop(waiting);
        self.0.changed.notify_one();
        room
    }

    pub(crate) fn next_replay(&self) -> Option<SeqRange> {
        self.waiting().replays.pop_front()
    }

    /// Has the retained state sent anew.
    pub(crate) fn state_changed(&self) {
        self.waiting().state_due = true;
        self.0.changed.notify_one();
    }

    /// Whether the retained state is out of date; it is not, once asked.
    pub(crate) fn take_state_due(&self) -> bool {
        std::mem::take(&mut self.waiting().state_due)
    }

    /// The next message, under the id that [`taken`](Self::taken) wants back.
    pub(crate) fn next(&self, now: Instant) -> Option<(u64, Channel, Vec<u8>)> {
        let mut waiting = self.waiting();
        let message = match waiting.replies.pop_front() {
            Some(reply) => Message::Reply(reply),
            None => Message::Event(waiting.next_event(now)?),
        };
        let told = match &message {
            Message::Reply(reply) => (Channel::Reply, serde_json::to_vec(reply)),
            Message::Event(event) => (Channel::Event, serde_json::to_vec(event)),
        };
        let id = waiting.next_id;
        waiting.next_id += 1;
        waiting.under_way.push((id, message));
        let (channel, text) = told;
        Some((id, channel, text.expect("a message of numbers and texts is JSON")))
    }

    /// The broker has it.
    pub(crate) fn taken(&self, id: u64) {
        self.waiting().under_way.retain(|(under_way, _)| *under_way != id);
    }

    /// The connection is gone, and with it what the broker had not taken: it waits again.
    pub(crate) fn connection_lost(&self) {
        let mut waiting = self.waiting();
        for (_, message) in std::mem::take(&mut waiting.under_way).into_iter().rev() {
            match message {
                Message::Reply(reply) if waiting.replies.len() < REPLIES_MAX => waiting.replies.push_front(reply),
                Message::Event(event) if waiting.events.len() < EVENTS_MAX => waiting.events.push_front(event),
                Message::Reply(_) => waiting.replies_left_out += 1,
                Message::Event(event) => waiting.left_out += event.count,
            }
        }
    }

    /// Whether everything was taken.
    pub(crate) fn is_empty(&self) -> bool {
        let waiting = self.waiting();
        waiting.replies.is_empty() && waiting.events.is_empty() && waiting.under_way.is_empty()
    }

    /// Returns when there may be something new to say.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// When an event that waits for its turn may leave.
    pub(crate) fn due(&self) -> Option<Instant> {
        let waiting = self.waiting();
        (!waiting.events.is_empty() && waiting.spent >= BURST).then_some(waiting.refilled? + REFILL)
    }
}

impl Waiting {
    fn raise(&mut self, happened: Happened<'_>, at_ms: i64) {
        let Happened { kind, subject, urgency, detail } = happened;
        if let Some(same) = self.events.iter_mut().find(|event| event.kind == kind && event.subject == subject) {
            same.urgency = same.urgency.max(urgency);
            same.detail = detail;
            same.at_ms = at_ms;
            same.count += 1;
            return;
        }
        if self.events.len() == EVENTS_MAX {
            let least = self.events.iter().enumerate().min_by_key(|(at, event)| (event.urgency, *at)).map(|(at, _)| at);
            let gone = least.and_then(|at| self.events.remove(at));
            self.left_out += gone.map_or(0, |event| event.count);
        }
        self.events.push_back(GatewayEvent {
            schema: EVENT_SCHEMA.to_owned(),
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            urgency,
            detail,
            at_ms,
            first_ms: at_ms,
            count: 1,
            left_out: 0,
        });
    }

    fn next_event(&mut self, now: Instant) -> Option<GatewayEvent> {
        let refilled = *self.refilled.get_or_insert(now);
        let refills = u32::try_from(now.saturating_duration_since(refilled).as_millis() / REFILL.as_millis()).unwrap_or(u32::MAX);
        if refills > 0 {
            self.spent = self.spent.saturating_sub(refills);
            self.refilled = Some(now);
        }
        if self.spent >= BURST {
            return None;
        }
        let mut event = self.events.pop_front()?;
        self.spent += 1;
        event.left_out = std::mem::take(&mut self.left_out);
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened<'a>(kind: &'static str, subject: &'a str, urgency: Urgency) -> Happened<'a> {
        Happened { kind, subject, urgency, detail: format!("{kind} {subject}") }
    }

    fn sent(outbox: &Outbox, now: Instant) -> Vec<GatewayEvent> {
        let mut events = Vec::new();
        while let Some((id, _, text)) = outbox.next(now) {
            events.push(serde_json::from_slice(&text).unwrap());
            outbox.taken(id);
        }
        events
    }

    #[tokio::test]
    async fn what_repeats_while_it_waits_is_told_once_with_a_count() {
        let (outbox, now) = (Outbox::default(), Instant::now());
        for at_ms in 1..=5 {
            outbox.raise(happened("device_lost", "pump", Urgency::Warning), at_ms);
        }
        outbox.raise(happened("device_lost", "main", Urgency::Warning), 9);
        let events = sent(&outbox, now);
        assert_eq!(events.len(), 2);
        assert_eq!((events[0].count, events[0].first_ms, events[0].at_ms), (5, 1, 5));
        assert!(outbox.is_empty());
    }

    #[tokio::test]
    async fn a_thousand_events_leave_slowly_and_the_least_urgent_stay_behind() {
        let (outbox, start) = (Outbox::default(), Instant::now());
        outbox.raise(happened("spool_fill", "", Urgency::Alarm), 1);
        for number in 0..1_000 {
            outbox.raise(happened("device_back", &number.to_string(), Urgency::Info), number);
        }
        let first = sent(&outbox, start);
        assert_eq!((first.len(), first[0].kind.as_str()), (10, "spool_fill"));
        assert_eq!(first[0].left_out, 1_001 - 64);
        assert_eq!(sent(&outbox, start + Duration::from_secs(1)).len(), 0);
        assert_eq!(outbox.due(), Some(start + REFILL));
        let mut now = start;
        let mut rest = 0;
        for _ in 0..60 {
            now += REFILL;
            rest += sent(&outbox, now).len();
        }
        assert_eq!(rest, 54);
    }

    #[tokio::test]
    async fn what_the_broker_had_not_taken_is_said_again() {
        let (outbox, now) = (Outbox::default(), Instant::now());
        outbox.raise(happened("clock", "", Urgency::Warning), 1);
        outbox.raise(happened("config_applied", "", Urgency::Info), 2);
        let (first, _, _) = outbox.next(now).unwrap();
        outbox.next(now).unwrap();
        outbox.taken(first);
        outbox.connection_lost();
        let again = sent(&outbox, now);
        assert_eq!(again.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["config_applied"]);
    }
}
