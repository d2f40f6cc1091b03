//! Readings as they are committed, to whoever watches a facility.
//!
//! A facility that is watched has a ring of what was committed lately. A client is a place in that ring, and nothing else
//! is kept for it: one that is slow misses the oldest, and is told so by a gap with its two ends, never in silence.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ids::Slug;
use serde::Serialize;
use store::{Origin, Row};
use tokio::sync::watch;
use tokio::time::Instant;
use units::Measured;

/// Clients at the same time.
pub(crate) const CLIENTS_MAX: usize = 2_000;
/// Readings of one facility that are kept for clients that are slow, or come again.
const RING_READINGS: usize = 20_000;
/// How long the ring of a facility is kept after the last client has gone, so that it can come again.
const UNWATCHED: Duration = Duration::from_secs(600);

type Facility = (Slug, Slug);

/// What a commit brought to one facility.
#[derive(Debug)]
struct Event {
    id: u64,
    readings: Vec<((Slug, Arc<str>), Reading)>,
}

/// The latest of a point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Reading {
    ts_ms: i64,
    /// A decimal number, exactly as measured; absent when there is none.
    value: Option<String>,
    unit: &'static str,
    quality: String,
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    readings: usize,
    /// The last event that is not there any more, or was before the ring.
    gone: u64,
    watchers: usize,
    unwatched: Option<Instant>,
}

#[derive(Debug)]
struct Topic {
    ring: Mutex<Ring>,
    news: watch::Sender<u64>,
}

/// All facilities that are watched.
#[derive(Debug)]
pub(crate) struct Hub {
    /// Distinguishes the ids of this process from those of the one before.
    boot: u32,
    last: AtomicU64,
    clients: AtomicUsize,
    gaps: AtomicU64,
    topics: Mutex<HashMap<Facility, Arc<Topic>>>,
}

/// What a client is told next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The latest of each point that has changed since, by device and point.
    Readings { id: String, devices: BTreeMap<String, BTreeMap<String, Reading>> },
    /// What was committed after the first and up to the second is not told: it is to be read from the store.
    Gap { id: String, after: String },
}

/// A client.
#[derive(Debug)]
pub(crate) struct Watcher {
    hub: Arc<Hub>,
    topic: Arc<Topic>,
    news: watch::Receiver<u64>,
    at: u64,
    /// Where a client says that it was, when that is unknown here.
    stranger: Option<String>,
}

impl Default for Hub {
    fn default() -> Self {
        let [a, b, c, d, ..] = crate::ingest::random_spool();
        Self::new(u32::from_be_bytes([a, b, c, d]))
    }
}

impl Hub {
    pub(crate) fn new(boot: u32) -> Self {
        Self { boot, last: AtomicU64::new(0), clients: AtomicUsize::new(0), gaps: AtomicU64::new(0), topics: Mutex::default() }
    }

    pub(crate) fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// Gaps that clients were told of.
    pub(crate) fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }

    /// Tells what has been committed. Costs nothing when nobody watches the facility.
    pub(crate) fn publish(&self, origin: &Origin, rows: &[Row]) {
        let facility = (origin.tenant.clone(), origin.facility.clone());
        let topic = {
            let mut topics = lock(&self.topics);
            if topics.is_empty() || rows.is_empty() {
                return;
            }
            topics.retain(|_, topic| lock(&topic.ring).unwatched.is_none_or(|since| since.elapsed() < UNWATCHED));
            topics.get(&facility).cloned()
        };
        let Some(topic) = topic else { return };
        let readings: Vec<_> = rows.iter().map(reading).collect();
        let mut ring = lock(&topic.ring);
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        ring.readings += readings.len();
        ring.events.push_back(Arc::new(Event { id, readings }));
        // The newest is kept, however large it is.
        while ring.readings > RING_READINGS && ring.events.len() > 1 {
            if let Some(oldest) = ring.events.pop_front() {
                ring.readings -= oldest.readings.len();
                ring.gone = oldest.id;
            }
        }
        drop(ring);
        topic.news.send_replace(id);
    }

    /// Watches a facility, from where the client says it was. Nothing when there are too many clients.
    pub(crate) fn watch(self: &Arc<Self>, tenant: Slug, facility: Slug, last_id: Option<&str>) -> Option<Watcher> {
        if self.clients.fetch_add(1, Ordering::Relaxed) >= CLIENTS_MAX {
            self.clients.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let now = self.last.load(Ordering::Relaxed);
        let new = || {
            let ring = Ring { events: VecDeque::new(), readings: 0, gone: now, watchers: 0, unwatched: None };
            Arc::new(Topic { ring: Mutex::new(ring), news: watch::Sender::new(now) })
        };
        let topic = lock(&self.topics).entry((tenant, facility)).or_insert_with(new).clone();
        let latest = {
            let mut ring = lock(&topic.ring);
            ring.watchers += 1;
            ring.unwatched = None;
            ring.events.back().map_or(ring.gone, |event| event.id)
        };
        let known = last_id.and_then(|id| self.number(id)).filter(|number| *number <= now);
        let stranger = last_id.filter(|_| known.is_none()).map(str::to_owned);
        let mut news = topic.news.subscribe();
        // What came before is told at once.
        news.mark_changed();
        Some(Watcher { hub: self.clone(), topic, news, at: known.unwrap_or(latest), stranger })
    }

    fn id(&self, number: u64) -> String {
        format!("{:08x}-{number}", self.boot)
    }

    /// The number of one of our ids.
    fn number(&self, id: &str) -> Option<u64> {
        let (boot, number) = id.split_once('-')?;
        (u32::from_str_radix(boot, 16) == Ok(self.boot)).then(|| number.parse().ok())?
    }
}

impl Watcher {
    /// Waits until there may be something to be told. False when there will be nothing any more.
    pub(crate) async fn news(&mut self) -> bool {
        self.news.changed().await.is_ok()
    }

    /// What has happened since: first the gap, when there is one.
    pub(crate) fn take(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        let ring = lock(&self.topic.ring);
        if let Some(after) = self.stranger.take() {
            told.push(Told::Gap { id: self.hub.id(self.at), after });
        } else if self.at < ring.gone {
            told.push(Told::Gap { id: self.hub.id(ring.gone), after: self.hub.id(self.at) });
            self.at = ring.gone;
        }
        let events: Vec<Arc<Event>> = ring.events.iter().filter(|event| event.id > self.at).cloned().collect();
        drop(ring);
        self.hub.gaps.fetch_add(told.len() as u64, Ordering::Relaxed);
        let Some(last) = events.last() else { return told };
        self.at = last.id;
        let mut devices: BTreeMap<String, BTreeMap<String, Reading>> = BTreeMap::new();
        for ((device, point), reading) in events.iter().flat_map(|event| &event.readings) {
            let points = devices.entry(device.to_string()).or_default();
            // What comes late does not look like the latest.
            let newer = points.get(&**point).is_none_or(|known| known.ts_ms <= reading.ts_ms);
            if newer {
                points.insert(point.to_string(), reading.clone());
            }
        }
        told.push(Told::Readings { id: self.hub.id(self.at), devices });
        told
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut ring = lock(&self.topic.ring);
        ring.watchers -= 1;
        if ring.watchers == 0 {
            ring.unwatched = Some(Instant::now());
        }
        self.hub.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

fn reading(row: &Row) -> ((Slug, Arc<str>), Reading) {
    let value = row.raw.map(|raw| Measured { raw, exponent: row.exponent, unit: row.unit }.decimal_text());
    let reading = Reading { ts_ms: row.ts_ms, value, unit: row.unit.symbol(), quality: row.quality.to_string() };
    ((row.device.clone(), row.point.clone()), reading)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread panics while it holds a ring")
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::{Quality, Unit};

    fn slug(text: &str) -> Slug {
        Slug::parse(text).unwrap()
    }

    fn publish(hub: &Hub, facility: &str, points: &[(&str, i64, i64)]) {
        let origin = Origin { tenant: slug("acme"), facility: slug(facility), gateway: slug("gw") };
        let row = |(point, ts_ms, raw): &(&str, i64, i64)| Row {
            device: slug("main"),
            point: (*point).into(),
            unit: Unit::Watt,
            exponent: -1,
            ts_ms: *ts_ms,
            raw: Some(*raw),
            quality: Quality::GOOD,
            words: None,
        };
        hub.publish(&origin, &points.iter().map(row).collect::<Vec<_>>());
    }

    /// Points with their values, and gaps as a word.
    fn told(watcher: &mut Watcher) -> Vec<String> {
        let text = |told: Told| match told {
            Told::Gap { id, after } => format!("gap {after} {id}"),
            Told::Readings { id, devices } => {
                let values = devices.values().flatten().map(|(point, reading)| format!("{point}={}", reading.value.clone().unwrap()));
                format!("{id} {}", values.collect::<Vec<_>>().join(" "))
            }
        };
        watcher.take().into_iter().map(text).collect()
    }

    #[test]
    fn a_client_is_told_the_latest_of_what_it_watches() {
        let hub = Arc::new(Hub::new(0xb007));
        publish(&hub, "hall", &[("p", 1, 10)]);
        let mut watcher = hub.watch(slug("acme"), slug("hall"), None).unwrap();
        assert_eq!(told(&mut watcher), Vec::<String>::new(), "what nobody watched was not kept");
        publish(&hub, "attic", &[("p", 1, 99)]);
        publish(&hub, "hall", &[("p", 3, 30), ("q", 3, 5)]);
        publish(&hub, "hall", &[("p", 2, 20)]);
        assert_eq!(told(&mut watcher), ["0000b007-2 p=3 q=0.5"], "a late reading is not the latest, and another hall is not ours");
        assert_eq!(told(&mut watcher), Vec::<String>::new());
        assert_eq!(hub.clients(), 1);
        drop(watcher);
        assert_eq!(hub.clients(), 0);
    }

    #[test]
    fn a_client_that_comes_again_goes_on_where_it_was_or_is_told_the_gap() {
        let hub = Arc::new(Hub::new(1));
        let watch = |last: Option<&str>| hub.watch(slug("acme"), slug("hall"), last).unwrap();
        let first = watch(None);
        publish(&hub, "hall", &[("p", 1, 10)]);
        drop(first);
        publish(&hub, "hall", &[("p", 2, 20)]);
        assert_eq!(told(&mut watch(Some("00000001-1"))), ["00000001-2 p=2"]);
        assert_eq!(told(&mut watch(Some("00000001-2"))), Vec::<String>::new());
        for unknown in ["00000007-1", "rubbish", "00000001-99"] {
            assert_eq!(told(&mut watch(Some(unknown))), [format!("gap {unknown} 00000001-2")], "another process, or none of ours");
        }
        let many: Vec<_> = (0..15_000).map(|at| ("p", at, at)).collect();
        let mut slow = watch(Some("00000001-1"));
        publish(&hub, "hall", &many);
        publish(&hub, "hall", &many);
        assert_eq!(told(&mut slow), ["gap 00000001-1 00000001-3".to_owned(), "00000001-4 p=1499.9".to_owned()]);
        assert_eq!(hub.gaps(), 4);
    }

    #[test]
    fn there_are_no_more_clients_than_allowed() {
        let hub = Arc::new(Hub::new(1));
        let mut clients: Vec<_> = (0..CLIENTS_MAX).map(|_| hub.watch(slug("acme"), slug("hall"), None).unwrap()).collect();
        assert!(hub.watch(slug("acme"), slug("hall"), None).is_none());
        clients.pop();
        assert!(hub.watch(slug("acme"), slug("hall"), None).is_some());
    }
}
