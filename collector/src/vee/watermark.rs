//! How far everything is there.
//!
//! A series' watermark is the first moment without a row. What says why there is no value is a row too: the gateway has
//! asked, and nothing more will come. A moment without a row is waited for until the grace is over; then the watermark
//! goes past it, and the day says that it has a gap. A device's watermark is the least of its series', a facility's the
//! least of what is required.

use std::collections::BTreeMap;

use ids::Slug;
use jiff::Timestamp;
use serde_json::{Value, json};
use store::{Sample, SeriesInfo};

use super::day::millis;
use super::desk::time;
use super::grid::Grid;
use super::journal::{Alert, Journal, JournalError, Progress};
use crate::config::VeeConfig;

/// Moments that a watermark moves at once.
pub(crate) const SLOTS_MAX: i64 = 50_000;

/// Fewer readings do not make another grid.
const READINGS_MIN: usize = 20;

/// What a look at a series found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) progress: Progress,
    /// There is more to look at at once.
    pub(crate) behind: bool,
}

impl Progress {
    /// The first look at a series, with everything there is of it. None when that is too little.
    pub(crate) fn begin(samples: &[Sample]) -> Option<Self> {
        let times: Vec<i64> = samples.iter().map(|sample| sample.ts_ms).collect();
        let grid = Grid::of(&times)?;
        let (first, last) = (*times.first()?, *times.last()?);
        Some(Self {
            first_ms: grid.at(grid.slot(first)),
            through_ms: grid.at(grid.slot(first)),
            last_ms: last,
            usable_ms: last_usable(samples).unwrap_or(first),
            interval_ms: grid.interval_ms(),
            phase_ms: grid.phase_ms(),
        })
    }

    pub(crate) fn grid(&self) -> Grid {
        Grid::new(self.interval_ms, self.phase_ms)
    }

    /// The times to read for the next move.
    pub(crate) fn window(&self, now_ms: i64) -> std::ops::Range<i64> {
        let end = self.through_ms.saturating_add(self.interval_ms.saturating_mul(SLOTS_MAX));
        self.through_ms - self.interval_ms..end.min(now_ms.saturating_add(self.interval_ms))
    }

    /// Moves past every moment that has a row among the readings of [`Self::window`], or was waited for long enough.
    pub(crate) fn advance(mut self, samples: &[Sample], now_ms: i64, grace_ms: i64) -> Moved {
        let window = self.window(now_ms);
        // Readings that come at another step from some time on are another grid.
        let times: Vec<i64> = samples.iter().map(|sample| sample.ts_ms).filter(|ts_ms| *ts_ms >= self.through_ms).collect();
        if times.len() >= READINGS_MIN
            && let Some(grid) = Grid::of(&times).filter(|grid| grid.is_of_most(&times))
        {
            (self.interval_ms, self.phase_ms) = (grid.interval_ms(), grid.phase_ms());
        }
        self.last_ms = samples.last().map_or(self.last_ms, |sample| sample.ts_ms.max(self.last_ms));
        self.usable_ms = last_usable(samples).map_or(self.usable_ms, |ts_ms| ts_ms.max(self.usable_ms));
        let grid = self.grid();
        let mut rows = samples.iter().map(|sample| grid.slot(sample.ts_ms)).peekable();
        let mut slot = grid.slot(self.through_ms);
        let behind = window.end < now_ms;
        while grid.at(slot) < window.end.min(now_ms) {
            while rows.next_if(|row| *row < slot).is_some() {}
            let present = rows.peek() == Some(&slot);
            if !present && grid.at(slot).saturating_add(grace_ms) > now_ms {
                break;
            }
            slot += 1;
        }
        self.through_ms = self.through_ms.max(grid.at(slot));
        Moved { progress: self, behind }
    }
}

fn last_usable(samples: &[Sample]) -> Option<i64> {
    samples.iter().rev().find(|sample| sample.raw.is_some() && sample.quality.is_usable()).map(|sample| sample.ts_ms)
}

/// The watermarks of every facility and its devices, as of the last look. Schema `negawatt.vee.watermarks/1`.
pub(crate) async fn watermarks(
    journal: &Journal,
    series: &[SeriesInfo],
    config: &VeeConfig,
    now: Timestamp,
) -> Result<Value, JournalError> {
    let known = journal.progress().await?;
    let (now_ms, retired_ms) = (now.as_millisecond(), millis(config.retired_after));
    let mut facilities: BTreeMap<(Slug, Slug), BTreeMap<Slug, (i64, i64)>> = BTreeMap::new();
    for info in series {
        let Some(progress) = known.get(&info.id.0) else { continue };
        let of_facility = facilities.entry((info.key.tenant.clone(), info.key.facility.clone())).or_default();
        let device = of_facility.entry(info.key.device.clone()).or_insert((progress.through_ms, progress.last_ms));
        *device = (device.0.min(progress.through_ms), device.1.max(progress.last_ms));
    }
    let mut said = Vec::with_capacity(facilities.len());
    for ((tenant, facility), devices) in facilities {
        let next = journal.next_day(&tenant, &facility).await?;
        let serving = devices.values().filter(|(_, last_ms)| now_ms - last_ms <= retired_ms);
        let through = serving.map(|(through_ms, _)| *through_ms).min();
        let devices: Vec<Value> = devices
            .iter()
            .map(|(device, (through_ms, last_ms))| {
                json!({ "device": device.as_str(), "through": time(*through_ms), "last": time(*last_ms), "retired": now_ms - last_ms > retired_ms })
            })
            .collect();
        said.push(json!({
            "tenant": tenant.as_str(),
            "facility": facility.as_str(),
            "through": through.map(time),
            "next_day": next.map(|day| day.to_string()),
            "devices": devices,
        }));
    }
    let alerts: Vec<Value> = journal
        .alerts()
        .await?
        .into_iter()
        .map(|Alert { topic, tenant, facility, subject, since_ms }| {
            json!({ "alert": topic, "tenant": tenant, "facility": facility, "subject": subject, "since": time(since_ms) })
        })
        .collect();
    Ok(json!({ "schema": "negawatt.vee.watermarks/1", "facilities": said, "alerts": alerts }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use units::Quality;

    const MINUTE: i64 = 60_000;

    fn row(minute: i64, raw: Option<i64>) -> Sample {
        let quality = if raw.is_some() { Quality::GOOD } else { Quality::SILENT };
        Sample { ts_ms: minute * MINUTE, raw, quality, words: None, seq: 1, version: 0, lsn: 1 }
    }

    proptest! {
        /// However often one looks: it never goes back, everything before it has a row or is older than the grace, and
        /// the moment it stands at is one to wait for.
        #[test]
        fn stands_at_the_first_moment_to_wait_for(minutes in prop::collection::btree_map(3_i64..300, any::<bool>(), 0..250), looks in prop::collection::vec(1_i64..80, 1..12), grace in 1_i64..200) {
            let rows: Vec<Sample> = [(0, true), (1, true), (2, true)].into_iter().chain(minutes).map(|(minute, has)| row(minute, has.then_some(minute))).collect();
            let mut now = 3;
            let mut progress = Progress::begin(&rows[..3]).unwrap();
            for look in looks {
                now += look;
                let window = progress.window(now * MINUTE);
                let seen: Vec<Sample> = rows.iter().filter(|row| window.contains(&row.ts_ms) && row.ts_ms <= now * MINUTE).copied().collect();
                let moved = progress.advance(&seen, now * MINUTE, grace * MINUTE).progress;
                prop_assert!(moved.through_ms >= progress.through_ms);
                progress = moved;
                let through = progress.through_ms / MINUTE;
                let present = |minute: i64| rows.iter().any(|row| row.ts_ms == minute * MINUTE && minute <= now);
                prop_assert!((0..through).all(|minute| present(minute) || minute + grace <= now), "{} at {}", through, now);
                prop_assert!(through >= now || (!present(through) && through + grace > now), "{} at {}", through, now);
            }
        }
    }

    /// What comes now and then is not what comes every five minutes, and minutes not yet waited for are not gone past.
    #[test]
    fn irregular_readings_are_no_other_grid() {
        let minutes = [174, 178, 182, 187, 193, 198, 202, 208, 213, 218, 223, 228, 232, 238, 243, 247, 253, 258, 263, 268, 273, 279];
        let first: Vec<Sample> = (0..3).map(|minute| row(minute, Some(minute))).collect();
        let seen: Vec<Sample> = minutes.into_iter().map(|minute| row(minute, Some(minute))).collect();
        let begun = Progress::begin(&first).unwrap();
        let moved = begun.advance(&seen, 279 * MINUTE, 38 * MINUTE).progress;
        assert_eq!((moved.interval_ms, moved.through_ms), (MINUTE, 242 * MINUTE));
        let steady: Vec<Sample> = (35..56).map(|five| row(five * 5, Some(five))).collect();
        let moved = begun.advance(&steady, 279 * MINUTE, 38 * MINUTE).progress;
        assert_eq!((moved.interval_ms, moved.through_ms), (5 * MINUTE, 280 * MINUTE));
    }

    #[test]
    fn a_long_past_is_gone_through_in_parts() {
        let rows: Vec<Sample> = (0..3).map(|minute| row(minute, Some(1))).collect();
        let now_ms = 200_000 * MINUTE;
        let (mut progress, mut looks) = (Progress::begin(&rows).unwrap(), 0);
        loop {
            let moved = progress.advance(&[], now_ms, 100 * MINUTE);
            (progress, looks) = (moved.progress, looks + 1);
            if !moved.behind {
                break;
            }
        }
        assert_eq!((looks, progress.through_ms), (4, now_ms - 99 * MINUTE));
        assert_eq!((progress.last_ms, progress.usable_ms), (2 * MINUTE, 2 * MINUTE));
    }
}
