//! Readings that are durable in the log and not yet in a segment.

use std::collections::BTreeMap;

use crate::row::Sample;
use crate::series::SeriesId;

/// One series: a run in order of time, which almost every reading extends, and whatever came late.
#[derive(Debug, Default)]
struct SeriesHead {
    run: Vec<Sample>,
    late: BTreeMap<(i64, u16), Sample>,
}

/// All series, by number.
#[derive(Debug, Default)]
pub(crate) struct Head {
    series: Vec<SeriesHead>,
    rows: usize,
}

impl Head {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Puts a version in. The caller has made sure that it is new.
    pub(crate) fn put(&mut self, id: SeriesId, sample: Sample) {
        if self.series.len() <= id.index() {
            self.series.resize_with(id.index() + 1, SeriesHead::default);
        }
        self.rows += 1;
        let Some(series) = self.series.get_mut(id.index()) else { return };
        if series.run.last().is_none_or(|last| last.ts_ms < sample.ts_ms) {
            series.run.push(sample);
        } else {
            series.late.insert((sample.ts_ms, sample.version), sample);
        }
    }

    /// Whether the series has any reading at this time or later: when not, the next one cannot be a duplicate of the head.
    pub(crate) fn is_newest(&self, id: SeriesId, ts_ms: i64) -> bool {
        self.series.get(id.index()).and_then(|series| series.run.last()).is_none_or(|last| last.ts_ms < ts_ms)
    }

    /// Calls `visit` with each version at this time.
    pub(crate) fn versions(&self, id: SeriesId, ts_ms: i64, mut visit: impl FnMut(&Sample)) {
        let Some(series) = self.series.get(id.index()) else { return };
        if let Ok(at) = series.run.binary_search_by_key(&ts_ms, |sample| sample.ts_ms)
            && let Some(sample) = series.run.get(at)
        {
            visit(sample);
        }
        for sample in series.late.range((ts_ms, 0)..=(ts_ms, u16::MAX)).map(|(_, sample)| sample) {
            visit(sample);
        }
    }

    /// Every version of a series in order of time and version.
    pub(crate) fn sorted(&self, id: SeriesId) -> Vec<Sample> {
        let Some(series) = self.series.get(id.index()) else { return Vec::new() };
        let mut all = series.run.clone();
        if !series.late.is_empty() {
            all.extend(series.late.values());
            all.sort_by_key(|sample| (sample.ts_ms, sample.version));
        }
        all
    }

    /// The numbers of the series that have readings here.
    pub(crate) fn ids(&self) -> impl Iterator<Item = SeriesId> + '_ {
        self.series.iter().zip(0..).filter(|(series, _)| !series.run.is_empty() || !series.late.is_empty()).map(|(_, id)| SeriesId(id))
    }
}
