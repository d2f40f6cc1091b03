//! Which local day of a facility is told next, and what is said of it.

use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use serde_json::Value;
use store::{SegmentError, SeriesInfo};
use units::FacilityCalendar;

use super::desk::time;
use super::journal::Progress;
use super::report::SeriesGaps;
use super::scene::Scene;
use crate::config::VeeConfig;

pub(super) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4)
}

/// The next day of a facility.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) date: Date,
    pub(super) range: Range<i64>,
    /// Each with the first time it is expected at.
    pub(super) series: Vec<(SeriesInfo, i64)>,
    /// What has made it complete; nothing when no series was in service before this day, and it is only gone to.
    pub(super) passed_by: Option<&'static str>,
}

/// The next day that can be told.
pub(super) fn due(
    calendar: &FacilityCalendar,
    next: Option<Date>,
    required: &[(SeriesInfo, Progress)],
    now: Timestamp,
    config: &VeeConfig,
) -> Option<Due> {
    let day_of = |ts_ms: i64| Timestamp::from_millisecond(ts_ms).ok().map(|at| calendar.day_of(at));
    let first = || required.iter().map(|(_, progress)| progress.first_ms).min().and_then(day_of);
    let date = match next {
        Some(date) => date,
        None => first()?,
    };
    let bounds = calendar.bounds(date).ok()?;
    let range = bounds.start.as_millisecond()..bounds.end.as_millisecond();
    let (now_ms, retired_ms) = (now.as_millisecond(), millis(config.retired_after));
    let in_service =
        |progress: &Progress| progress.first_ms < range.end && (progress.last_ms >= range.start || now_ms - progress.last_ms <= retired_ms);
    let serving: Vec<_> = required.iter().filter(|(_, progress)| in_service(progress)).collect();
    if serving.is_empty() {
        let later = required.iter().map(|(_, progress)| progress.first_ms).filter(|first_ms| *first_ms >= range.end).min();
        let date = later.and_then(day_of)?;
        return Some(Due { date, range, series: Vec::new(), passed_by: None });
    }
    let passed_by = if now_ms < range.end {
        return None;
    } else if now_ms >= range.end.saturating_add(millis(config.grace)) {
        "grace"
    } else if serving.iter().all(|(_, progress)| progress.through_ms >= range.end) {
        "watermark"
    } else {
        return None;
    };
    Some(Due { date, series: expected(&serving, &range), range, passed_by: Some(passed_by) })
}

/// What was in service on a day: heard before its end, and on it, or lately.
fn serving<'a>(
    required: &'a [(SeriesInfo, Progress)],
    range: &Range<i64>,
    now_ms: i64,
    retired_ms: i64,
) -> Vec<&'a (SeriesInfo, Progress)> {
    let is_serving =
        |progress: &Progress| progress.first_ms < range.end && (progress.last_ms >= range.start || now_ms - progress.last_ms <= retired_ms);
    required.iter().filter(|(_, progress)| is_serving(progress)).collect()
}

fn expected(serving: &[&(SeriesInfo, Progress)], range: &Range<i64>) -> Vec<(SeriesInfo, i64)> {
    serving.iter().map(|(info, progress)| (info.clone(), progress.first_ms.max(range.start))).collect()
}

/// A day that was told, as it is now.
pub(super) fn again(
    calendar: &FacilityCalendar,
    date: Date,
    required: &[(SeriesInfo, Progress)],
    now_ms: i64,
    retired_ms: i64,
) -> Option<Due> {
    let bounds = calendar.bounds(date).ok()?;
    let range = bounds.start.as_millisecond()..bounds.end.as_millisecond();
    let series = expected(&serving(required, &range, now_ms, retired_ms), &range);
    Some(Due { date, range, series, passed_by: Some("late") })
}

/// How many readings of a day a meter has said, of what [`day`] says.
pub(super) fn measured(day: &Value) -> Option<u64> {
    let count = |key: &str| day.get(key)?.as_u64();
    count("usable")?.checked_sub(count("estimated")? + count("edited")?)
}

/// What is said of a day. Schema `negawatt.vee.day/1`.
#[derive(Clone, Debug, Serialize)]
struct Day {
    schema: &'static str,
    date: String,
    zone: String,
    from: String,
    to: String,
    /// Whether every expected moment has a value that may be used.
    complete: bool,
    passed_by: &'static str,
    expected: u64,
    present: u64,
    usable: u64,
    estimated: u64,
    edited: u64,
    /// As of this entry of the log.
    lsn: u64,
    series: Vec<SeriesGaps>,
}

pub(super) fn day(
    scene: &Scene<'_>,
    date: Date,
    range: &Range<i64>,
    series: &[(SeriesInfo, i64)],
    zone: &str,
    passed_by: &'static str,
) -> Result<Value, SegmentError> {
    let around = scene.around(range)?;
    let mut said = Vec::with_capacity(series.len());
    for (info, first_ms) in series {
        let wide = range.start - 3_600_000..range.end + 3_600_000;
        let Some(track) = scene.track(info, &wide)? else { continue };
        let coverage = scene.coverage(&track, &(*first_ms..range.end), &around);
        said.push(SeriesGaps::of(info, track.grid.interval_ms(), &coverage));
    }
    let sum = |of: fn(&SeriesGaps) -> u64| said.iter().map(of).sum::<u64>();
    let (expected, usable) = (sum(|series| series.expected), sum(|series| series.usable));
    let day = Day {
        schema: "negawatt.vee.day/1",
        date: date.to_string(),
        zone: zone.to_owned(),
        from: time(range.start),
        to: time(range.end),
        complete: said.len() == series.len() && usable == expected,
        passed_by,
        expected,
        present: sum(|series| series.present),
        usable,
        estimated: sum(|series| series.estimated),
        edited: sum(|series| series.edited),
        lsn: scene.reader().last_lsn(),
        series: said,
    };
    Ok(serde_json::to_value(day).unwrap_or_default())
}
