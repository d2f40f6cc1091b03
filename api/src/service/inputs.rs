//! What a savings figure is computed from: rows of the store in the shapes that `evidence` takes.

use std::ops::Range;

use calculator::baseline::{Commodity, Period as BaselinePeriod};
use calculator::events::{Adjustment, Ledger};
use calculator::model::Search;
use calculator::model::cea::Crop;
use calculator::verification::Dossier;
use evidence::{BOUNDARY_SLACK_MS, BaselineInputs, CounterRow, Meter, MeterProfile, Reporting, SampleRow, Series, Words};
use ids::{BaselineId, Slug};
use settlement::Period;
use sha2::{Digest, Sha256};
use units::{FacilityCalendar, Unit};

use super::ServiceError;
use super::history::{self, Part, Question};
use crate::config::DeviceProfile;
use crate::db::baselines::Sources;
use crate::db::facilities::Facility;
use crate::state::Api;

/// The point of imported interval energy.
const INTERVAL_ENERGY: &str = "e_int";
/// The point of a meter's import counter.
const COUNTER: &str = "e_imp";
/// The interval of energy rows when there are too few to tell.
const INTERVAL_MINUTES: u16 = 60;

/// A facility and the tenant's short name, which name its rows in the store.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) tenant: Slug,
    pub(crate) facility: Facility,
}

impl Place {
    /// As evidence writes it.
    pub(crate) fn evidence(&self) -> evidence::Facility {
        evidence::Facility {
            id: self.facility.id,
            tenant: self.tenant.clone(),
            slug: self.facility.slug.clone(),
            name: self.facility.name.clone(),
            zone: self.facility.zone.clone(),
        }
    }

    /// The instants of some local days, UTC milliseconds.
    fn range(&self, first: jiff::civil::Date, end: jiff::civil::Date) -> Result<Range<i64>, ServiceError> {
        let beyond = |err| ServiceError::Internal { what: "the days of the facility cannot be told", err: Box::new(err) };
        let calendar = FacilityCalendar::named(&self.facility.zone).map_err(beyond)?;
        let instant = |day| calendar.start_of(day).map(|start| start.as_millisecond()).map_err(beyond);
        Ok(instant(first)?..instant(end)?)
    }

    fn question(&self, device: &Slug, point: Option<&str>, range: &Range<i64>) -> Question {
        Question {
            tenant: self.tenant.clone(),
            facility: self.facility.slug.clone(),
            device: Some(device.clone()),
            point: point.map(str::to_owned),
            range: range.clone(),
        }
    }
}

/// Reads what a baseline is fitted to.
pub(crate) async fn baseline(
    api: &Api,
    place: &Place,
    id: BaselineId,
    meters: &[Slug],
    weather: &Slug,
    period: BaselinePeriod,
) -> Result<Sources, ServiceError> {
    let range = place.range(period.first(), period.end())?;
    let mut energy = Vec::with_capacity(meters.len());
    for meter in meters {
        let parts = history::parts(api, place.question(meter, Some(INTERVAL_ENERGY), &range)).await?;
        energy.push(series(only(parts, meter, INTERVAL_ENERGY, is_energy)?));
    }
    let weather = temperature(api, place, weather, &range).await?;
    let baseline = BaselineInputs {
        id,
        period,
        commodity: Commodity::Electricity,
        search: Search::compatible(),
        interval_minutes: interval_minutes(&energy),
        energy,
    };
    Ok(Sources { baseline, weather })
}

/// Reads the rows of a stored baseline again.
///
/// * Errors: they are not what was fitted and verified any more.
pub(crate) async fn same_baseline(api: &Api, place: &Place, sources: &Sources, digest_then: &str) -> Result<Sources, ServiceError> {
    let then = &sources.baseline;
    let meters: Vec<_> = then.energy.iter().map(|series| series.device.clone()).collect();
    let now = baseline(api, place, then.id, &meters, &sources.weather.device, then.period).await?;
    if digest(&now)? == digest_then {
        return Ok(now);
    }
    Err(ServiceError::conflict(format!(
        "the readings behind baseline {} are not those it was fitted to; fit and verify a new one",
        then.id
    )))
}

/// What is known of a baseline besides its rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// With the day of the score; nothing where no score is asked for.
    pub(crate) dossier: Option<Dossier>,
    /// What grows, where somebody weighs it.
    pub(crate) crop: Option<Crop>,
    /// How often a value under a rate is drawn.
    pub(crate) draws: Option<u32>,
}

/// Reads the counters of the billed period, and the weather of it.
pub(crate) async fn reporting(
    api: &Api,
    place: &Place,
    meters: &[Slug],
    weather: &Slug,
    period: Period,
    adjustments: Ledger,
    known: Known,
) -> Result<(Reporting, Series), ServiceError> {
    let range = place.range(period.first(), period.end())?;
    // The reading that stands for the first midnight may be older, and the one of the last midnight is part of it.
    let counted = range.start - BOUNDARY_SLACK_MS..range.end + 1;
    let mut read = Vec::with_capacity(meters.len());
    for device in meters {
        let parts = history::parts(api, place.question(device, Some(COUNTER), &counted)).await?;
        read.push(meter(api, only(parts, device, COUNTER, is_energy)?)?);
    }
    let weather = temperature(api, place, weather, &range).await?;
    let Known { dossier, crop, draws } = known;
    let adjustments = in_force(adjustments, period)?;
    Ok((Reporting { period, meters: read, adjustments, dossier: dossier.map(Box::new), crop, draws }, weather))
}

/// The adjustments that hold on some day of a period; the others are no part of its evidence.
fn in_force(ledger: Ledger, period: Period) -> Result<Ledger, ServiceError> {
    let mut entries: Vec<Adjustment> = ledger.into();
    entries.retain(|entry| entry.first < period.end() && entry.end.is_none_or(|end| period.first() < end));
    Ledger::try_from(entries)
        .map_err(|err| ServiceError::Internal { what: "the adjustments of a period make no ledger", err: Box::new(err) })
}

/// The weather of two times, as one series.
pub(crate) fn both(mut earlier: Series, later: Series) -> Result<Series, ServiceError> {
    if (earlier.unit, earlier.exponent, &earlier.point) != (later.unit, later.exponent, &later.point) {
        return Err(ServiceError::conflict(format!(
            "the temperatures of {} are {} in the baseline year and {} in the billed period; import both in one unit",
            earlier.device, earlier.unit, later.unit
        )));
    }
    let last = earlier.rows.last().map_or(i64::MIN, |row| row.ts_ms);
    earlier.rows.extend(later.rows.into_iter().filter(|row| row.ts_ms > last));
    Ok(earlier)
}

/// SHA-256 over the sources and their rows.
pub(crate) fn digest(sources: &Sources) -> Result<String, ServiceError> {
    let unwritable = |err| ServiceError::Internal { what: "the sources cannot be written", err: Box::new(err) };
    let mut hash = Sha256::new();
    hash.update(evidence::canonical_json(sources).map_err(unwritable)?);
    for series in sources.baseline.energy.iter().chain([&sources.weather]) {
        for row in &series.rows {
            hash.update(row.ts_ms.to_be_bytes());
            hash.update([u8::from(row.raw.is_some())]);
            hash.update(row.raw.unwrap_or_default().to_be_bytes());
            hash.update(row.quality.bits().to_be_bytes());
        }
    }
    Ok(hex::encode(hash.finalize()))
}

async fn temperature(api: &Api, place: &Place, device: &Slug, range: &Range<i64>) -> Result<Series, ServiceError> {
    let parts = history::parts(api, place.question(device, None, range)).await?;
    Ok(series(only(parts, device, "temperature", |unit| matches!(unit, Unit::Celsius | Unit::Fahrenheit))?))
}

fn is_energy(unit: Unit) -> bool {
    unit.watt_hour_exponent().is_some()
}

/// The one series that has rows.
fn only(mut parts: Vec<Part>, device: &Slug, what: &str, fits: impl Fn(Unit) -> bool) -> Result<Part, ServiceError> {
    parts.retain(|part| fits(part.key.unit) && !part.samples.is_empty());
    match parts.len() {
        1 => Ok(parts.remove(0)),
        0 => Err(ServiceError::Insufficient { err: format!("there are no {what} readings of {device} in the period").into() }),
        count => Err(ServiceError::conflict(format!(
            "{device} has {count} series of {what} in the period; one unit and exponent must hold throughout"
        ))),
    }
}

fn series(part: Part) -> Series {
    let rows = part.samples.into_iter();
    Series {
        device: part.key.device,
        point: part.key.point,
        unit: part.key.unit,
        exponent: part.key.exponent,
        rows: rows.map(|sample| SampleRow { ts_ms: sample.ts_ms, raw: sample.raw, quality: sample.quality }).collect(),
    }
}

/// A meter's counter with its profile, which must be one throughout.
fn meter(api: &Api, part: Part) -> Result<Meter, ServiceError> {
    let profile = profile(&api.profiles, &part)?;
    let device = part.key.device;
    let mut rows = Vec::with_capacity(part.samples.len());
    for sample in part.samples {
        let words = match sample.words {
            Some(words) => Words::from_be_bytes(words.as_slice())
                .map_err(|err| ServiceError::Internal { what: "stored register words cannot be read", err: Box::new(err) })?,
            None => Words::NONE,
        };
        rows.push(CounterRow { ts_ms: sample.ts_ms, raw: sample.raw, quality: sample.quality, words });
    }
    Ok(Meter { device, point: part.key.point, unit: part.key.unit, exponent: part.key.exponent, profile, rows })
}

fn profile(known: &[DeviceProfile], part: &Part) -> Result<MeterProfile, ServiceError> {
    let device = &part.key.device;
    let first = part.samples.first().map_or(i64::MIN, |sample| sample.ts_ms);
    let last = part.samples.last().map_or(i64::MAX, |sample| sample.ts_ms);
    // In effect: the last one that began before the first row, and all that began since.
    let started = part.profiles.partition_point(|period| period.from_ms <= first).saturating_sub(1);
    let mut in_effect = part.profiles.iter().skip(started).filter(|period| period.from_ms <= last);
    let Some(used) = in_effect.next() else {
        return Err(ServiceError::conflict(format!("{device} has no device profile, so its registers prove nothing")));
    };
    if in_effect.any(|other| other.profile_hash != used.profile_hash) {
        return Err(ServiceError::conflict(format!("the device profile of {device} changed within the period")));
    }
    let hash = hex::encode(&used.profile_hash);
    let text = known.iter().find(|known| known.id == used.profile && known.hash == hash);
    let text = text.ok_or_else(|| {
        ServiceError::conflict(format!("this release does not know the profile {} with hash {hash} of {device}", used.profile))
    })?;
    Ok(MeterProfile { id: used.profile.clone(), hash, text: text.text.clone() })
}

/// The shortest step between rows, in whole minutes.
fn interval_minutes(energy: &[Series]) -> u16 {
    let steps = energy.iter().flat_map(|series| series.rows.windows(2));
    let steps = steps.filter_map(|pair| match pair {
        [a, b] => Some(b.ts_ms - a.ts_ms),
        _ => None,
    });
    let minutes = steps.filter(|step| *step > 0).min().map(|step| step / 60_000);
    minutes.and_then(|minutes| u16::try_from(minutes).ok()).filter(|minutes| *minutes > 0).unwrap_or(INTERVAL_MINUTES)
}
