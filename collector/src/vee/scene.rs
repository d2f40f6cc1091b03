//! A facility's series, with all that is known of them.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use ids::Slug;
use store::{Reader, Sample, SegmentError, SeriesInfo, SeriesKey};
use units::{Measured, Unit};

use super::counter::{Exchange, Nameplate};
use super::estimate::{Beside, Kind, Plan, Reach, Subject};
use super::gaps::{Cause, Coverage, Surroundings};
use super::grid::Grid;
use super::journal::{Journal, JournalError};
use super::validate::{Checked, Finding};
use crate::config::{FacilityRules, VeeConfig};
use crate::ingest::is_counter;

/// Like days lie so far before.
const LIKE_DAYS_MS: i64 = 29 * 86_400_000;

/// What the journal knows of a facility.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    exchanges: Vec<(String, String, i8, Exchange)>,
    losses: Vec<(i64, Cause)>,
}

impl Facts {
    pub(crate) async fn of(journal: &Journal, tenant: &Slug, facility: &Slug, range: &Range<i64>) -> Result<Self, JournalError> {
        Ok(Self { exchanges: journal.exchanges(tenant, facility).await?, losses: journal.losses(tenant, facility, range).await? })
    }
}

impl Kind {
    pub(crate) fn of(key: &SeriesKey) -> Self {
        if is_counter(&key.point, key.unit) {
            Self::Counter
        } else if key.unit.watt_hour_exponent().is_some() && key.point.starts_with("e_int") {
            Self::Interval
        } else {
            Self::Sampled
        }
    }
}

/// A series as it stands in a range.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    pub(crate) info: SeriesInfo,
    pub(crate) kind: Kind,
    pub(crate) grid: Grid,
    pub(crate) samples: Vec<Sample>,
    pub(crate) nameplate: Nameplate,
}

/// A facility in a range of time.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    reader: &'a Reader,
    config: &'a VeeConfig,
    pub(crate) rules: FacilityRules,
    pub(crate) tenant: Slug,
    pub(crate) facility: Slug,
    facts: Facts,
    series: Vec<SeriesInfo>,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(reader: &'a Reader, config: &'a VeeConfig, tenant: &Slug, facility: &Slug, facts: Facts) -> Self {
        let mut series = reader.series(tenant, facility);
        series.sort_by(|one, other| (&one.key.device, &one.key.point, one.id).cmp(&(&other.key.device, &other.key.point, other.id)));
        let rules = config.of(tenant, facility);
        Self { reader, config, rules, tenant: tenant.clone(), facility: facility.clone(), facts, series }
    }

    pub(crate) fn reader(&self) -> &'a Reader {
        self.reader
    }

    /// Its series, by device and point.
    pub(crate) fn series(&self) -> &[SeriesInfo] {
        &self.series
    }

    /// The series that make a day complete: those that are named, or every counter and interval of energy, or all.
    pub(crate) fn required(&self) -> Vec<&SeriesInfo> {
        if !self.rules.required.is_empty() {
            let named = |info: &&SeriesInfo| {
                self.rules.required.iter().any(|(device, point)| *device == info.key.device && *point == info.key.point)
            };
            return self.series.iter().filter(named).collect();
        }
        let counted: Vec<_> = self.series.iter().filter(|info| Kind::of(&info.key) != Kind::Sampled).collect();
        if counted.is_empty() { self.series.iter().collect() } else { counted }
    }

    /// One series of each device that is in none of these.
    pub(crate) fn others<'b>(&'b self, required: &[&SeriesInfo]) -> Vec<&'b SeriesInfo> {
        let mut seen: HashSet<&Slug> = required.iter().map(|info| &info.key.device).collect();
        let mut others = Vec::new();
        for info in &self.series {
            if !seen.contains(&info.key.device) {
                seen.insert(&info.key.device);
                others.push(info);
            }
        }
        others
    }

    /// What else is known of a range: who was heard, what was lost, what could not be read.
    pub(crate) fn around(&self, range: &Range<i64>) -> Result<Surroundings, SegmentError> {
        let mut heard = BTreeSet::new();
        let mut devices = HashSet::new();
        for info in &self.series {
            if devices.insert(&info.key.device) {
                let samples = self.reader.scan(info.id, range.clone())?;
                heard.extend(samples.iter().map(|sample| sample.ts_ms.div_euclid(Surroundings::MINUTE_MS)));
            }
        }
        let topic = format!("/{}/{}/", self.tenant, self.facility);
        let of_facility = |topics: &str| topics.strip_prefix("nw/1").is_some_and(|rest| rest.starts_with(&topic));
        let letters = self.reader.dead_letters().into_iter().filter(|letter| of_facility(&letter.topic));
        let letters =
            letters.map(|letter| (letter.received_ms, if letter.reason == "clock_window" { Cause::Clock } else { Cause::DeadLetter }));
        Ok(Surroundings { heard, lost: self.facts.losses.clone(), letters: letters.collect() })
    }

    /// A series in a range; none when there are too few readings to say how often there is one.
    pub(crate) fn track(&self, info: &SeriesInfo, range: &Range<i64>) -> Result<Option<Track>, SegmentError> {
        let samples = self.reader.scan(info.id, range.clone())?;
        let times: Vec<i64> = samples.iter().map(|sample| sample.ts_ms).collect();
        let Some(grid) = Grid::of(&times) else { return Ok(None) };
        Ok(Some(Track { kind: Kind::of(&info.key), grid, samples, nameplate: self.nameplate(&info.key), info: info.clone() }))
    }

    fn nameplate(&self, key: &SeriesKey) -> Nameplate {
        let changed = self.reader.nameplate(key).exchanged.into_iter();
        let of_series = |told: &&(String, String, i8, Exchange)| told.0 == key.device.as_str() && told.1 == key.point;
        let told = self.facts.exchanges.iter().filter(of_series).map(|(_, _, exponent, exchange)| {
            let scaled =
                |raw| Measured { raw, exponent: *exponent, unit: key.unit }.rescale(key.exponent).ok().map(|measured| measured.raw);
            let displays = exchange.displays.and_then(|(closing, opening)| Some((scaled(closing)?, scaled(opening)?)));
            Exchange { displays, ..*exchange }
        });
        let mut exchanged: Vec<Exchange> = changed.chain(told).collect();
        exchanged.sort_by_key(|exchange| exchange.at_ms);
        Nameplate { per_hour_max: Nameplate::steps_per_hour(self.config.power_max_w, key.unit, key.exponent), exchanged }
    }

    /// How complete a series is in a range.
    pub(crate) fn coverage(&self, track: &Track, range: &Range<i64>, around: &Surroundings) -> Coverage {
        Coverage::of(&track.samples, track.grid, range, around)
    }

    /// What the rules find in a series. The device's own power is looked at beside its counters.
    pub(crate) fn findings(&self, track: &Track) -> Result<Vec<Finding>, SegmentError> {
        let key = &track.info.key;
        let beside = |info: &&SeriesInfo| {
            info.key.device == key.device && info.key.point == "p" && matches!(info.key.unit, Unit::Watt | Unit::Kilowatt)
        };
        let power = match (track.kind, self.series.iter().find(beside), track.samples.first(), track.samples.last()) {
            (Kind::Counter, Some(info), Some(first), Some(last)) => {
                Some((self.reader.scan(info.id, first.ts_ms..last.ts_ms + 1)?, info.key.unit, info.key.exponent))
            }
            _ => None,
        };
        let checked = Checked {
            kind: track.kind,
            unit: key.unit,
            exponent: key.exponent,
            samples: &track.samples,
            nameplate: &track.nameplate,
            zone: &self.rules.zone,
            frozen_readings: self.config.frozen_readings,
            power: power.as_ref().map(|(samples, unit, exponent)| (samples.as_slice(), *unit, *exponent)),
        };
        Ok(checked.findings())
    }

    /// What can be estimated of a series in a range.
    pub(crate) fn plan(&self, info: &SeriesInfo, range: &Range<i64>) -> Result<Plan, SegmentError> {
        let millis = |span: std::time::Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4);
        let reach = Reach { linear_ms: millis(self.config.linear_max), longest_ms: millis(self.config.estimate_max) };
        let wide = range.start.saturating_sub(LIKE_DAYS_MS)..range.end.saturating_add(reach.longest_ms);
        let Some(track) = self.track(info, &wide)? else { return Ok(Plan::default()) };
        let subject = Subject {
            kind: track.kind,
            grid: track.grid,
            samples: &track.samples,
            nameplate: &track.nameplate,
            zone: &self.rules.zone,
            reach,
        };
        let key = &info.key;
        let counter =
            |other: &&SeriesInfo| other.key.device == key.device && Kind::of(&other.key) == Kind::Counter && other.key.point == "e_imp";
        let counter = match track.kind {
            Kind::Interval => self.series.iter().find(counter).map(|info| self.track(info, &wide)).transpose()?.flatten(),
            _ => None,
        };
        let beside = counter.as_ref().and_then(|counter| {
            let of = |key: &SeriesKey| Some(i32::from(key.unit.watt_hour_exponent()?) + i32::from(key.exponent));
            let shift = of(&counter.info.key)? - of(key)?;
            Some(Beside { samples: &counter.samples, grid: counter.grid, nameplate: &counter.nameplate, shift })
        });
        Ok(subject.plan(range, beside.as_ref()))
    }
}
