//! Tells when the wall clock cannot be trusted, or was set.
//!
//! A reading is worth as much as its minute. So it is an event when the clock is not set, when it is, and when it jumps
//! while the gateway runs: forward, back, or back to where it had been. Jumps are seen by a clock that nobody sets, which
//! runs beside it. What NTP does in small steps is none.

use std::{sync::Arc, time::Duration};

use daemon::Clock;
use jiff::SignedDuration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use wire::Urgency;

use crate::{remote::Happened, status::Status};

/// How often the two clocks are compared.
const LOOK_EACH: Duration = Duration::from_secs(1);
/// A difference from which on it is a jump: a slewed clock gains or loses half a millisecond in that time.
const JUMP_MS: i64 = 500;

/// Watches the clock until stopped.
pub(super) async fn watch(clock: Arc<dyn Clock>, status: Arc<Status>, stop: CancellationToken) {
    let mut watched: Option<Watched> = None;
    let mut look = interval(LOOK_EACH);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = look.tick() => {}
        }
        let seen = Seen::of(&*clock);
        let news = match &mut watched {
            None => {
                watched = Some(Watched::begin(seen));
                (!seen.set).then_some(ClockEvent::Unset)
            }
            Some(watched) => watched.look(seen),
        };
        if let Some(event) = news {
            tell(event, seen.wall_ms, &status);
        }
    }
}

fn tell(event: ClockEvent, at_ms: i64, status: &Status) {
    let (kind, urgency, detail) = (event.code(), event.urgency(), event.detail());
    if urgency == Urgency::Info {
        tracing::info!(event = kind, "{detail}");
    } else {
        tracing::warn!(event = kind, "{detail}");
    }
    status.outbox().raise(Happened { kind, subject: "", urgency, detail }, at_ms);
    // It is one of the alarms while it lasts.
    status.outbox().state_changed();
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
struct Seen {
    set: bool,
    wall_ms: i64,
    /// The wall clock minus the one that nobody sets: the same for as long as nobody does.
    apart_ms: i64,
}

impl Seen {
    fn of(clock: &dyn Clock) -> Self {
        let wall_ms = clock.now().as_millisecond();
        let monotonic_ms = i64::try_from(clock.monotonic().as_millis()).unwrap_or(i64::MAX);
        Self { set: clock.is_set(), wall_ms, apart_ms: wall_ms.saturating_sub(monotonic_ms) }
    }
}

/// What happened to the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClockEvent {
    /// It cannot be right.
    Unset,
    /// It was set, and moved by so much.
    Set { by_ms: i64 },
    /// It jumped by so much.
    Jumped { by_ms: i64 },
    /// It jumped by so much, to where it was before it jumped away.
    Resynchronised { by_ms: i64 },
}

impl ClockEvent {
    const fn code(self) -> &'static str {
        match self {
            Self::Unset => "clock_unset",
            Self::Set { .. } => "clock_set",
            Self::Jumped { by_ms: ..0 } => "clock_jumped_back",
            Self::Jumped { .. } => "clock_jumped_forward",
            Self::Resynchronised { .. } => "clock_resynchronised",
        }
    }

    const fn urgency(self) -> Urgency {
        match self {
            Self::Unset | Self::Jumped { .. } => Urgency::Warning,
            Self::Set { .. } | Self::Resynchronised { .. } => Urgency::Info,
        }
    }

    fn detail(self) -> String {
        let by = |by_ms: i64| SignedDuration::from_millis(by_ms.saturating_abs());
        match self {
            Self::Unset => "the clock is not set: readings are marked, and wait for up to an hour until it is".to_owned(),
            Self::Set { by_ms } => {
                format!("the clock was set, by {:#}: readings from before that waited get their right time", by(by_ms))
            }
            Self::Jumped { by_ms: by_ms @ ..0 } => {
                format!("the clock was set back by {:#}: the minutes that come twice are read twice, and both readings are kept", by(by_ms))
            }
            Self::Jumped { by_ms } => {
                format!("the clock jumped forward by {:#}: the minutes between were not read, or the machine slept", by(by_ms))
            }
            Self::Resynchronised { by_ms } => format!("the clock is back where it was before it jumped, by {:#}", by(by_ms)),
        }
    }
}

/// What is known of the clock.
#[derive(Debug)]
struct Watched {
    last: Seen,
    /// Where the clock stood before it jumped away.
    before: Option<i64>,
}

impl Watched {
    const fn begin(seen: Seen) -> Self {
        Self { last: seen, before: None }
    }

    fn look(&mut self, seen: Seen) -> Option<ClockEvent> {
        let last = std::mem::replace(&mut self.last, seen);
        let by_ms = seen.apart_ms.saturating_sub(last.apart_ms);
        match (last.set, seen.set) {
            (false, true) => return Some(ClockEvent::Set { by_ms }),
            (true, false) => return Some(ClockEvent::Unset),
            // What is wrong cannot become more so.
            (false, false) => return None,
            (true, true) => {}
        }
        if by_ms.saturating_abs() < JUMP_MS {
            return None;
        }
        if self.before.is_some_and(|before| seen.apart_ms.saturating_sub(before).saturating_abs() < JUMP_MS) {
            self.before = None;
            return Some(ClockEvent::Resynchronised { by_ms });
        }
        self.before.get_or_insert(last.apart_ms);
        Some(ClockEvent::Jumped { by_ms })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::Pin,
        sync::atomic::{AtomicI64, Ordering},
    };

    use jiff::Timestamp;
    use tokio::time::{Instant, sleep};

    use super::*;

    const HOUR: i64 = 3_600_000;
    const NOW: i64 = 1_750_000_000_000;

    /// A clock that somebody sets, beside one that goes on.
    #[derive(Debug)]
    struct Board {
        start: Instant,
        apart_ms: AtomicI64,
    }

    impl Clock for Board {
        fn now(&self) -> Timestamp {
            let apart = SignedDuration::from_millis(self.apart_ms.load(Ordering::SeqCst));
            Timestamp::UNIX_EPOCH + apart + SignedDuration::try_from(self.monotonic()).unwrap()
        }

        fn is_set(&self) -> bool {
            self.now().as_millisecond() > NOW / 2
        }

        fn monotonic(&self) -> Duration {
            self.start.elapsed()
        }

        fn sleep_until(&self, _at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_to_the_clock_is_told_and_what_ntp_does_is_not() {
        let clock = Arc::new(Board { start: Instant::now(), apart_ms: AtomicI64::new(0) });
        let (status, stop) = (Arc::new(Status::default()), CancellationToken::new());
        let watching = tokio::spawn(watch(clock.clone(), Arc::clone(&status), stop.clone()));
        let mut told = Vec::new();
        let steps = [0, 5, NOW, NOW + 1, NOW + 400, NOW + HOUR, NOW + HOUR + 3, NOW, NOW - HOUR, NOW + HOUR, NOW + 90, 7];
        for apart_ms in steps {
            clock.apart_ms.store(apart_ms, Ordering::SeqCst);
            sleep(3 * LOOK_EACH).await;
            while let Some((id, _, text)) = status.outbox().next(Instant::now()) {
                let event: wire::GatewayEvent = serde_json::from_slice(&text).unwrap();
                told.push(format!("{apart_ms}: {} {:?}: {}", event.kind, event.urgency, event.detail));
                status.outbox().taken(id);
            }
            sleep(Duration::from_secs(60)).await;
        }
        stop.cancel();
        watching.await.unwrap();
        insta::assert_snapshot!(told.join("\n"));
    }
}
