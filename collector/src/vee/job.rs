//! What the running collector does by itself: watermarks move, days are told as complete, alerts begin and end.
//!
//! Everything that is told is told by one transaction of the journal together with what makes it true, so a collector that
//! is killed anywhere tells nothing twice and leaves nothing out. A look that fails is tried again at the next.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use daemon::Clock;
use ids::Slug;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};
use store::{Reader, SegmentError, SeriesInfo};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use units::FacilityCalendar;

use super::change::ChangeError;
use super::day::{Due, again, day, due, measured, millis};
use super::desk::{Desk, time};
use super::gaps::Coverage;
use super::journal::{Alert, JournalError, News, Progress};
use super::scene::{Facts, Scene};
use crate::config::VeeConfig;
use crate::live::Live;

/// Looks between two looks back at days that were told.
const LOOKS_BACK: u64 = 60;
/// Days of one facility that are told in one look.
const DAYS_MAX: usize = 31;
/// What is on its way from a meter to here.
const DELIVERY_MS: i64 = 60_000;
const STALE: &str = "device_stale";
const SKEWED: &str = "clock_skew";

/// What a look found, for the metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauges {
    /// What keeps watermarks from moving.
    pub(crate) gaps: BTreeMap<&'static str, u64>,
    pub(crate) stale: u64,
    /// The largest, in milliseconds, whatever its sign.
    pub(crate) skew_ms: i64,
    /// How far the watermark of the last facility is behind.
    pub(crate) lag_ms: i64,
    pub(crate) told: BTreeMap<String, u64>,
    pub(crate) estimated: u64,
    pub(crate) looks: u64,
    pub(crate) failed: u64,
}

/// Shared with the metrics.
#[derive(Debug, Default)]
pub(crate) struct Watched(Mutex<Gauges>);

impl Watched {
    fn lock(&self) -> MutexGuard<'_, Gauges> {
        self.0.lock().expect("no thread panics while it holds the gauges")
    }

    pub(crate) fn gauges(&self) -> Gauges {
        self.lock().clone()
    }
}

/// The task of the running collector.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) desk: Desk,
    pub(crate) live: Arc<Live>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What a look at the series of a facility found.
#[derive(Debug, Default)]
struct Walked {
    changed: Vec<(u32, Progress)>,
    gaps: BTreeMap<&'static str, u64>,
    devices: BTreeMap<Slug, Heard>,
    /// What makes a day complete.
    required: Vec<(SeriesInfo, Progress)>,
    behind: bool,
}

/// When a device was last heard.
#[derive(Clone, Copy, Debug)]
struct Heard {
    usable_ms: i64,
    interval_ms: i64,
}

impl Job {
    /// Looks until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let every = self.desk.config.every;
        let mut looks = 0_u64;
        loop {
            // A device is not stale because we were away: what waited for us comes first.
            let settled = looks >= 2;
            let behind = match self.look(settled).await {
                Ok(behind) => behind,
                Err(err) => {
                    let error: &(dyn std::error::Error + 'static) = &err;
                    warn!(error, "watermarks stand, and are looked at again");
                    self.live.watched.lock().failed += 1;
                    false
                }
            };
            if looks % LOOKS_BACK == 1
                && let Err(err) = self.look_back().await
            {
                let error: &(dyn std::error::Error + 'static) = &err;
                warn!(error, "days that were told are looked at again later");
            }
            looks += 1;
            self.live.watched.lock().looks += 1;
            let pause = if behind { Duration::ZERO } else { every };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => break,
            }
        }
        if let Err(err) = self.note_losses().await {
            let error: &(dyn std::error::Error + 'static) = &err;
            warn!(error, "that gateways gave frames up is not written down");
        }
        self.desk.journal.close().await;
    }

    /// Writes down which frames gateways gave up since the last look.
    async fn note_losses(&self) -> Result<(), JournalError> {
        let losses = self.live.pulses.take_losses();
        if losses.is_empty() {
            return Ok(());
        }
        let losses: Vec<_> = losses.into_iter().map(|(path, at_ms, cause)| (path.tenant, path.facility, at_ms, cause)).collect();
        self.desk.journal.note_losses(&losses).await
    }

    /// One look at everything. True when there is more to do at once.
    pub(super) async fn look(&self, settled: bool) -> Result<bool, ChangeError> {
        let (now, journal) = (self.clock.now(), &self.desk.journal);
        let now_ms = now.as_millisecond();
        self.note_losses().await?;
        let known = journal.progress().await?;
        let facilities = self.desk.reading(Reader::facilities).await?;
        let (mut behind, mut gauges) = (false, Gauges::default());
        for (tenant, facility) in facilities {
            let walked = self.walk(&tenant, &facility, &known, now_ms).await?;
            journal.keep_progress(&walked.changed).await?;
            walked.gaps.iter().for_each(|(cause, count)| *gauges.gaps.entry(cause).or_default() += count);
            if let Some(through_ms) = facility_through(&walked.required, now_ms, self.retired_ms()) {
                gauges.lag_ms = gauges.lag_ms.max(now_ms - through_ms);
            }
            behind |= walked.behind;
            if !walked.behind {
                behind |= self.tell_days(&tenant, &facility, &walked.required, now).await?;
            }
            if settled {
                self.tell_stale(&tenant, &facility, &walked.devices, now_ms).await?;
            }
        }
        self.tell_skew(now_ms, &mut gauges).await?;
        gauges.stale = journal.alerts().await?.iter().filter(|alert| alert.topic == STALE).count() as u64;
        gauges.told = journal.told().await?;
        let mut watched = self.live.watched.lock();
        let Gauges { estimated, looks, failed, .. } = *watched;
        *watched = Gauges { estimated, looks, failed, ..gauges };
        Ok(behind)
    }

    /// Tells the days of late that have more readings now than when they were told: a spool was emptied after its grace.
    pub(super) async fn look_back(&self) -> Result<(), ChangeError> {
        let (now, journal, config) = (self.clock.now(), &self.desk.journal, &self.desk.config);
        let known = journal.progress().await?;
        let back = jiff::SignedDuration::try_from(config.grace + config.retired_after).unwrap_or_default();
        for (tenant, facility) in self.desk.reading(Reader::facilities).await? {
            let calendar = FacilityCalendar::new(config.of(&tenant, &facility).zone);
            let from = calendar.day_of(now.saturating_sub(back).unwrap_or(now));
            let told = journal.told_days(&tenant, &facility, from).await?;
            if told.is_empty() {
                continue;
            }
            let (of_tenant, of_facility, config, known) = (tenant.clone(), facility.clone(), config.clone(), known.clone());
            let work = move |reader: &Reader| {
                let scene = Scene::new(reader, &config, &of_tenant, &of_facility, Facts::default());
                let required = scene.required();
                required.into_iter().filter_map(|info| Some((info.clone(), *known.get(&info.id.0)?))).collect::<Vec<_>>()
            };
            let required = self.desk.reading(work).await?;
            for (date, before) in told {
                let Some(due) = again(&calendar, date, &required, now.as_millisecond(), self.retired_ms()) else { continue };
                let payload = self.day(&tenant, &facility, &due, "late").await?;
                let Some(count) = measured(&payload).filter(|count| *count > before) else { continue };
                let subject = format!("{date}/late-{count}");
                journal.tell_once(&news("facility_day_changed", (&tenant, &facility), subject, now.as_millisecond(), payload)).await?;
                info!(tenant = %tenant, facility = %facility, date = %date, "readings of {date} came late to {tenant}/{facility}");
            }
        }
        Ok(())
    }

    fn retired_ms(&self) -> i64 {
        millis(self.desk.config.retired_after)
    }

    async fn walk(&self, tenant: &Slug, facility: &Slug, known: &HashMap<u32, Progress>, now_ms: i64) -> Result<Walked, ChangeError> {
        let config = self.desk.config.clone();
        let recent = now_ms.saturating_sub(2 * millis(config.grace))..now_ms;
        let facts = Facts::of(&self.desk.journal, tenant, facility, &recent).await?;
        let (tenant, facility, known) = (tenant.clone(), facility.clone(), known.clone());
        let work = move |reader: &Reader| walk(&Scene::new(reader, &config, &tenant, &facility, facts), &config, &known, now_ms);
        Ok(self.desk.reading(work).await??)
    }

    /// Tells every day that is over and complete, or was waited for long enough. True when there are more.
    async fn tell_days(
        &self,
        tenant: &Slug,
        facility: &Slug,
        required: &[(SeriesInfo, Progress)],
        now: Timestamp,
    ) -> Result<bool, ChangeError> {
        let config = &self.desk.config;
        let calendar = FacilityCalendar::new(config.of(tenant, facility).zone);
        let mut next = self.desk.journal.next_day(tenant, facility).await?;
        for _ in 0..DAYS_MAX {
            let Some(due) = due(&calendar, next, required, now, config) else { return Ok(false) };
            let after = due.date.checked_add(1.day()).unwrap_or(due.date);
            let Some(passed_by) = due.passed_by else {
                next = Some(due.date);
                self.desk.journal.step(tenant, facility, due.date, None).await?;
                continue;
            };
            if config.estimate {
                let range = due.range.start.saturating_sub(millis(config.estimate_max))..due.range.end;
                let estimated = self.desk.estimate(tenant, facility, range, &format!("before {} is complete", due.date), now).await?;
                self.live.watched.lock().estimated += estimated as u64;
            }
            let payload = self.day(tenant, facility, &due, passed_by).await?;
            let news = News {
                at_ms: now.as_millisecond(),
                topic: "facility_day_complete",
                tenant: tenant.clone(),
                facility: facility.clone(),
                subject: due.date.to_string(),
                payload,
            };
            self.desk.journal.step(tenant, facility, after, Some(&news)).await?;
            info!(tenant = %tenant, facility = %facility, date = %due.date, "the day {} of {tenant}/{facility} is told, by its {passed_by}", due.date);
            next = Some(after);
        }
        Ok(true)
    }

    async fn day(&self, tenant: &Slug, facility: &Slug, due: &Due, passed_by: &'static str) -> Result<Value, ChangeError> {
        let facts = Facts::of(&self.desk.journal, tenant, facility, &due.range).await?;
        let (config, tenant, facility) = (self.desk.config.clone(), tenant.clone(), facility.clone());
        let (date, range, series) = (due.date, due.range.clone(), due.series.clone());
        let zone = config.of(&tenant, &facility).zone.iana_name().unwrap_or("UTC").to_owned();
        let work = move |reader: &Reader| {
            let scene = Scene::new(reader, &config, &tenant, &facility, facts);
            day(&scene, date, &range, &series, &zone, passed_by)
        };
        Ok(self.desk.reading(work).await??)
    }

    async fn tell_stale(&self, tenant: &Slug, facility: &Slug, devices: &BTreeMap<Slug, Heard>, now_ms: i64) -> Result<(), JournalError> {
        let (journal, config) = (&self.desk.journal, &self.desk.config);
        let standing = journal.alerts().await?;
        for (device, heard) in devices {
            let silent_ms = now_ms - heard.usable_ms;
            let stale = silent_ms > heard.interval_ms.saturating_mul(i64::from(config.stale_polls)).saturating_add(DELIVERY_MS);
            let retired = silent_ms > self.retired_ms();
            let alert = standing.iter().find(|alert| {
                alert.topic == STALE
                    && alert.tenant == tenant.as_str()
                    && alert.facility == facility.as_str()
                    && alert.subject == device.as_str()
            });
            let last = time(heard.usable_ms);
            match alert {
                None if stale && !retired => {
                    let payload = json!({ "device": device.as_str(), "last": last, "interval_s": heard.interval_ms / 1_000 });
                    let news = news(STALE, (tenant, facility), format!("{device}@{now_ms}"), now_ms, payload);
                    if journal.raise(device.as_str(), &news).await? {
                        warn!(tenant = %tenant, facility = %facility, device = %device, "nothing usable was heard of `{device}` since {last}");
                    }
                }
                Some(alert) if !stale || retired => {
                    let payload = json!({ "device": device.as_str(), "last": last, "since": time(alert.since_ms), "retired": retired });
                    let subject = format!("{device}@{}", alert.since_ms);
                    journal.clear(alert, &news("device_fresh", (tenant, facility), subject, now_ms, payload)).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn tell_skew(&self, now_ms: i64, gauges: &mut Gauges) -> Result<(), JournalError> {
        let (journal, most) = (&self.desk.journal, millis(self.desk.config.skew_max));
        let standing = journal.alerts().await?;
        for (path, skew_ms) in self.live.pulses.skews() {
            if skew_ms.abs() > gauges.skew_ms.abs() {
                gauges.skew_ms = skew_ms;
            }
            let of_gateway = |alert: &&Alert| {
                alert.topic == SKEWED
                    && alert.tenant == path.tenant.as_str()
                    && alert.facility == path.facility.as_str()
                    && alert.subject == path.gateway.as_str()
            };
            let of = (&path.tenant, &path.facility);
            let payload = json!({ "gateway": path.gateway.as_str(), "skew_s": skew_ms / 1_000 });
            match standing.iter().find(of_gateway) {
                None if skew_ms.abs() > most => {
                    let news = news(SKEWED, of, format!("{}@{now_ms}", path.gateway), now_ms, payload);
                    if journal.raise(path.gateway.as_str(), &news).await? {
                        warn!(gateway = %path, skew_ms, "the clock of `{path}` is off by {} s", skew_ms / 1_000);
                    }
                }
                Some(alert) if skew_ms.abs() <= most => {
                    let news = news("clock_true", of, format!("{}@{}", path.gateway, alert.since_ms), now_ms, payload);
                    journal.clear(alert, &news).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn news(topic: &'static str, (tenant, facility): (&Slug, &Slug), subject: String, at_ms: i64, payload: Value) -> News {
    News { at_ms, topic, tenant: tenant.clone(), facility: facility.clone(), subject, payload }
}

/// Moves the watermark of every series that is watched.
fn walk(scene: &Scene<'_>, config: &VeeConfig, known: &HashMap<u32, Progress>, now_ms: i64) -> Result<Walked, SegmentError> {
    let mut walked = Walked::default();
    let required = scene.required();
    let others = scene.others(&required);
    let (grace_ms, retired_ms) = (millis(config.grace), millis(config.retired_after));
    let mut open: Vec<(SeriesInfo, Progress, Vec<store::Sample>)> = Vec::new();
    for (info, counts) in required.iter().map(|info| (*info, true)).chain(others.into_iter().map(|info| (info, false))) {
        let progress = match known.get(&info.id.0) {
            Some(progress) => *progress,
            None => match Progress::begin(&scene.reader().scan(info.id, i64::MIN..i64::MAX)?) {
                Some(progress) => progress,
                None => continue,
            },
        };
        let samples = scene.reader().scan(info.id, progress.window(now_ms))?;
        let moved = progress.advance(&samples, now_ms, grace_ms);
        if known.get(&info.id.0) != Some(&moved.progress) {
            walked.changed.push((info.id.0, moved.progress));
        }
        walked.behind |= moved.behind;
        let progress = moved.progress;
        if now_ms - progress.last_ms <= retired_ms && !moved.behind {
            let now_heard = Heard { usable_ms: progress.usable_ms, interval_ms: progress.interval_ms };
            let heard = walked.devices.entry(info.key.device.clone()).or_insert(now_heard);
            if now_heard.usable_ms > heard.usable_ms {
                *heard = now_heard;
            }
            if counts && progress.through_ms < now_ms - 2 * progress.interval_ms - DELIVERY_MS {
                open.push((info.clone(), progress, samples));
            }
        } else if !moved.behind {
            // Whoever has an alert for it learns that it is not waited for any more.
            let heard = Heard { usable_ms: progress.usable_ms, interval_ms: progress.interval_ms };
            walked.devices.entry(info.key.device.clone()).or_insert(heard);
        }
        if counts {
            walked.required.push((info.clone(), progress));
        }
    }
    if let Some(from_ms) = open.iter().map(|(_, progress, _)| progress.through_ms).min() {
        let around = scene.around(&(from_ms..now_ms))?;
        for (_, progress, samples) in open {
            let range = progress.through_ms..now_ms - 2 * progress.interval_ms - DELIVERY_MS;
            for gap in Coverage::of(&samples, progress.grid(), &range, &around).gaps {
                *walked.gaps.entry(gap.cause.name()).or_default() += 1;
            }
        }
    }
    Ok(walked)
}

/// The least watermark of what is in service.
fn facility_through(required: &[(SeriesInfo, Progress)], now_ms: i64, retired_ms: i64) -> Option<i64> {
    required.iter().filter(|(_, progress)| now_ms - progress.last_ms <= retired_ms).map(|(_, progress)| progress.through_ms).min()
}
