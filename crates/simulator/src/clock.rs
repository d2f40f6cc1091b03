//! Time that jumps instead of passing.
//!
//! A task that sleeps on this clock is woken as soon as nobody else wants to wake earlier, and the time becomes the moment it asked
//! for. A month of minutes costs what the work of those minutes costs.
//!
//! Two kinds of users look at one clock. Those who *drive* it ([`DrivenClock`] itself) make time pass by sleeping. Those who *follow*
//! it ([`DrivenClock::follower`]) wait until the drivers have brought the time; a housekeeping timer that follows can never race
//! ahead of the meters. With several drivers, [`DrivenClock::set_drivers`] says how many must be asleep before time may pass.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daemon::Clock;
use jiff::Timestamp;
use tokio::sync::Notify;

/// A clock that is driven by those who sleep on it. Clones share one time.
#[derive(Clone, Debug)]
pub struct DrivenClock(Arc<Shared>);

/// A view of a [`DrivenClock`] whose sleepers wait for the time and never make it pass.
#[derive(Clone, Debug)]
pub struct Follower(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Nanoseconds since 1970, readable without a lock; written only under the lock.
    now_ns: AtomicI64,
    state: Mutex<State>,
    changed: Notify,
    reached: Notify,
}

#[derive(Debug)]
struct State {
    limit_ns: i64,
    paused: bool,
    drivers: usize,
    at_limit: bool,
    next_id: u64,
    /// Who drives and sleeps: when each wants to wake.
    asleep: BTreeSet<(i64, u64)>,
    /// Who follows and sleeps.
    following: BTreeSet<(i64, u64)>,
}

impl DrivenClock {
    /// A clock that stands at `start` and may be driven up to and including `limit`.
    #[must_use]
    pub fn new(start: Timestamp, limit: Timestamp) -> Self {
        let state = State {
            limit_ns: nanoseconds(limit),
            paused: false,
            drivers: 1,
            at_limit: false,
            next_id: 0,
            asleep: BTreeSet::new(),
            following: BTreeSet::new(),
        };
        Self(Arc::new(Shared {
            now_ns: AtomicI64::new(nanoseconds(start)),
            state: Mutex::new(state),
            changed: Notify::new(),
            reached: Notify::new(),
        }))
    }

    /// The view for those who must not make time pass.
    #[must_use]
    pub fn follower(&self) -> Follower {
        Follower(Arc::clone(&self.0))
    }

    /// Lets time pass only while at least `drivers` tasks sleep on the clock itself; 1 at the beginning.
    pub fn set_drivers(&self, drivers: usize) {
        self.0.change(|state| state.drivers = drivers.max(1));
    }

    /// Stops the time; sleepers stay asleep.
    pub fn pause(&self) {
        self.0.change(|state| state.paused = true);
    }

    /// Lets the time pass again.
    pub fn resume(&self) {
        self.0.change(|state| state.paused = false);
    }

    /// Moves the limit; sleepers beyond the old one go on.
    pub fn set_limit(&self, limit: Timestamp) {
        self.0.change(|state| {
            state.limit_ns = nanoseconds(limit);
            state.at_limit = false;
        });
    }

    /// Sets the time forward by hand; a time in the past changes nothing.
    pub fn advance_to(&self, at: Timestamp) {
        let ns = nanoseconds(at);
        self.0.change(|_| {
            self.0.now_ns.fetch_max(ns, Ordering::SeqCst);
        });
    }

    /// Waits until every driver sleeps past the limit: all that was due up to the limit has been done, and the time stands there.
    pub async fn reached_limit(&self) {
        loop {
            let reached = self.0.reached.notified();
            let mut reached = std::pin::pin!(reached);
            reached.as_mut().enable();
            if self.0.lock().at_limit {
                return;
            }
            reached.await;
        }
    }
}

impl Clock for DrivenClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.sleep(at, Role::Driver))
    }
}

impl Clock for Follower {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.sleep(at, Role::Follower))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Driver,
    Follower,
}

impl Shared {
    fn now(&self) -> Timestamp {
        timestamp(self.now_ns.load(Ordering::SeqCst))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_waiters();
    }

    async fn sleep(&self, at: Timestamp, role: Role) {
        let at_ns = nanoseconds(at);
        let sleeper = Sleeper::register(self, at_ns, role);
        // Whoever is ready now goes first: time passes only between pieces of work.
        tokio::task::yield_now().await;
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if sleeper.is_over() {
                return;
            }
            changed.await;
        }
    }
}

/// A registered wish to wake; dropped when it is fulfilled or given up.
struct Sleeper<'a> {
    shared: &'a Shared,
    key: (i64, u64),
    role: Role,
}

impl<'a> Sleeper<'a> {
    fn register(shared: &'a Shared, at_ns: i64, role: Role) -> Self {
        let mut state = shared.lock();
        let key = (at_ns, state.next_id);
        state.next_id += 1;
        match role {
            Role::Driver => state.asleep.insert(key),
            Role::Follower => state.following.insert(key),
        };
        let others_wait = state.asleep.len() + state.following.len() > 1;
        drop(state);
        if role == Role::Driver && others_wait {
            // With one more driver asleep, time may now pass for an earlier one.
            shared.changed.notify_waiters();
        }
        Self { shared, key, role }
    }

    /// Whether the time has come; the earliest driver makes it come.
    fn is_over(&self) -> bool {
        let mut state = self.shared.lock();
        let (at_ns, _) = self.key;
        if at_ns <= self.shared.now_ns.load(Ordering::SeqCst) {
            return true;
        }
        let earliest = state.asleep.first() == Some(&self.key);
        if self.role == Role::Follower || !earliest || state.paused || state.asleep.len() < state.drivers {
            return false;
        }
        let arrives = at_ns <= state.limit_ns;
        // A follower that was due on the way is woken too; it sees the later time, as after any sleep.
        self.shared.now_ns.fetch_max(at_ns.min(state.limit_ns), Ordering::SeqCst);
        let wakes_others = state.asleep.len() + state.following.len() > 1;
        if !arrives && !state.at_limit {
            state.at_limit = true;
            self.shared.reached.notify_waiters();
            self.shared.changed.notify_waiters();
        } else if arrives && wakes_others {
            self.shared.changed.notify_waiters();
        }
        arrives
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        match self.role {
            Role::Driver => state.asleep.remove(&self.key),
            Role::Follower => state.following.remove(&self.key),
        };
        let others_wait = !state.asleep.is_empty();
        drop(state);
        if others_wait {
            self.shared.changed.notify_waiters();
        }
    }
}

fn nanoseconds(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(if at < Timestamp::UNIX_EPOCH { i64::MIN } else { i64::MAX })
}

fn timestamp(ns: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(ns)).expect("64 bits of nanoseconds reach from 1677 to 2262")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::ToSpan;

    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + minutes.minutes()
    }

    #[tokio::test]
    async fn a_year_of_minutes_passes_at_once() {
        let clock = DrivenClock::new(at(0), at(525_600));
        for minute in 1..=525_600 {
            clock.sleep_until(at(minute)).await;
            assert_eq!(clock.now(), at(minute));
        }
    }

    #[tokio::test]
    async fn the_limit_is_reported_and_held() {
        let clock = DrivenClock::new(at(0), at(10));
        let driver = {
            let clock = clock.clone();
            tokio::spawn(async move {
                for minute in (3..).step_by(3) {
                    clock.sleep_until(at(minute)).await;
                }
            })
        };
        clock.reached_limit().await;
        assert_eq!(clock.now(), at(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(clock.now(), at(10));
        clock.set_limit(at(12));
        clock.reached_limit().await;
        assert_eq!(clock.now(), at(12));
        driver.abort();
    }

    #[tokio::test]
    async fn paused_time_stands() {
        let clock = DrivenClock::new(at(0), at(100));
        clock.pause();
        let sleeper = {
            let clock = clock.clone();
            tokio::spawn(async move { clock.sleep_until(at(50)).await })
        };
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!sleeper.is_finished());
        assert_eq!(clock.now(), at(0));
        clock.resume();
        sleeper.await.unwrap();
        assert_eq!(clock.now(), at(50));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn drivers_wait_for_one_another() {
        let clock = DrivenClock::new(at(0), at(3000));
        clock.set_drivers(2);
        let drive = |step: usize| {
            let clock = clock.clone();
            async move {
                for minute in (0..=3000).step_by(step) {
                    clock.sleep_until(at(minute)).await;
                    assert_eq!(clock.now(), at(minute), "the time ran away from a driver");
                    if minute % 100 == 0 {
                        tokio::time::sleep(Duration::from_micros(200)).await;
                        assert_eq!(clock.now(), at(minute), "the time ran away from a working driver");
                    }
                }
                clock.set_drivers(1);
            }
        };
        let (first, second) = (tokio::spawn(drive(2)), tokio::spawn(drive(5)));
        first.await.unwrap();
        second.await.unwrap();
    }

    #[tokio::test]
    async fn followers_never_make_time_pass() {
        let clock = DrivenClock::new(at(0), at(100));
        let follower = clock.follower();
        let waiting = tokio::spawn(async move {
            follower.sleep_until(at(7)).await;
            follower.now()
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(clock.now(), at(0));
        clock.sleep_until(at(5)).await;
        clock.sleep_until(at(10)).await;
        assert_eq!(waiting.await.unwrap(), at(10));
    }

    #[tokio::test]
    async fn a_sleep_given_up_leaves_no_trace() {
        let clock = DrivenClock::new(at(0), at(100));
        clock.set_drivers(2);
        let given_up = tokio::time::timeout(Duration::from_millis(10), clock.sleep_until(at(5))).await;
        assert!(given_up.is_err());
        clock.set_drivers(1);
        clock.sleep_until(at(50)).await;
        assert_eq!(clock.now(), at(50));
    }
}
