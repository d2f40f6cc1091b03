//! How readings are validated, when a day is complete, and what may be estimated.

use std::collections::HashMap;
use std::time::Duration;

use config::{DurationText, Fault, Faults};
use ids::Slug;
use jiff::tz::TimeZone;
use serde::Deserialize;

/// Validation, estimation, completeness.
#[derive(Clone, Debug)]
pub struct VeeConfig {
    /// How often the collector looks.
    pub every: Duration,
    /// A day is told with its gaps when it is over for so long; until then, only whole.
    pub grace: Duration,
    /// Polls that a device may miss before it is stale.
    pub stale_polls: u32,
    /// A gateway's clock may be off by this.
    pub skew_max: Duration,
    /// What was not heard for so long is not waited for.
    pub retired_after: Duration,
    /// The same value so many times in a row is suspicious; never when 0.
    pub frozen_readings: usize,
    /// No meter passes more, in watts.
    pub power_max_w: u64,
    /// Gaps up to here are filled by a straight line.
    pub linear_max: Duration,
    /// Longer gaps are not estimated.
    pub estimate_max: Duration,
    /// Whether the collector estimates by itself, before it tells that a day is complete.
    pub estimate: bool,
    /// The zone of facilities without rules of their own.
    pub zone: TimeZone,
    pub facilities: HashMap<(Slug, Slug), FacilityRules>,
}

/// What holds for one facility.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacilityRules {
    pub zone: TimeZone,
    /// Device and point of what must be there; every counter and interval of energy when empty.
    pub required: Vec<(Slug, String)>,
}

impl Default for VeeConfig {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(60),
            grace: Duration::from_secs(48 * 3_600),
            stale_polls: 3,
            skew_max: Duration::from_secs(30),
            retired_after: Duration::from_secs(7 * 86_400),
            frozen_readings: 60,
            power_max_w: 10_000_000,
            linear_max: Duration::from_secs(2 * 3_600),
            estimate_max: Duration::from_secs(7 * 86_400),
            estimate: false,
            zone: TimeZone::UTC,
            facilities: HashMap::new(),
        }
    }
}

impl VeeConfig {
    /// The rules of a facility.
    #[must_use]
    pub fn of(&self, tenant: &Slug, facility: &Slug) -> FacilityRules {
        let own = self.facilities.get(&(tenant.clone(), facility.clone())).cloned();
        own.unwrap_or_else(|| FacilityRules { zone: self.zone.clone(), required: Vec::new() })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawVee {
    every: Option<DurationText>,
    grace: Option<DurationText>,
    stale_polls: Option<u32>,
    skew_max: Option<DurationText>,
    retired_after: Option<DurationText>,
    frozen_readings: Option<usize>,
    power_max_kw: Option<u64>,
    linear_max: Option<DurationText>,
    estimate_max: Option<DurationText>,
    estimate: Option<bool>,
    zone: Option<String>,
    facility: Vec<RawFacility>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFacility {
    tenant: Slug,
    facility: Slug,
    zone: Option<String>,
    #[serde(default)]
    required: Vec<String>,
}

/// A look costs reading what is new: more often is of no use.
const EVERY_MIN: Duration = Duration::from_millis(100);

pub(super) fn validate(raw: RawVee, faults: &mut Faults) -> VeeConfig {
    let defaults = VeeConfig::default();
    let or = |text: Option<DurationText>, default: Duration| text.map_or(default, DurationText::duration);
    let every = or(raw.every, defaults.every);
    if every < EVERY_MIN {
        faults.add(Fault::at("vee.every", "too often").allowed("100ms or more"));
    }
    let stale_polls = raw.stale_polls.unwrap_or(defaults.stale_polls);
    if stale_polls == 0 {
        faults.add(Fault::at("vee.stale_polls", "0 would call every device stale").allowed("1 or more"));
    }
    let zone = zone("vee.zone", raw.zone.as_deref(), &defaults.zone, faults);
    let mut facilities = HashMap::new();
    for (at, raw) in raw.facility.into_iter().enumerate() {
        let own = self::zone(&format!("vee.facility[{at}].zone"), raw.zone.as_deref(), &zone, faults);
        let mut required = Vec::new();
        for (place, text) in raw.required.iter().enumerate() {
            match text.split_once('/').and_then(|(device, point)| Some((Slug::parse(device).ok()?, point.to_owned()))) {
                Some(named) => required.push(named),
                None => {
                    let key = format!("vee.facility[{at}].required[{place}]");
                    faults.add(Fault::at(&key, format_args!("\"{text}\" names no point")).allowed("DEVICE/POINT, like main/e_imp"));
                }
            }
        }
        if facilities.insert((raw.tenant, raw.facility), FacilityRules { zone: own, required }).is_some() {
            faults.add(Fault::at(format!("vee.facility[{at}]"), "the same facility again"));
        }
    }
    VeeConfig {
        every,
        grace: or(raw.grace, defaults.grace),
        stale_polls,
        skew_max: or(raw.skew_max, defaults.skew_max),
        retired_after: or(raw.retired_after, defaults.retired_after),
        frozen_readings: raw.frozen_readings.unwrap_or(defaults.frozen_readings),
        power_max_w: raw.power_max_kw.map_or(defaults.power_max_w, |kw| kw.saturating_mul(1_000)),
        linear_max: or(raw.linear_max, defaults.linear_max),
        estimate_max: or(raw.estimate_max, defaults.estimate_max),
        estimate: raw.estimate.unwrap_or(defaults.estimate),
        zone,
        facilities,
    }
}

fn zone(key: &str, name: Option<&str>, default: &TimeZone, faults: &mut Faults) -> TimeZone {
    let Some(name) = name else { return default.clone() };
    TimeZone::get(name).unwrap_or_else(|_unknown| {
        faults.add(
            Fault::at(key, format_args!("\"{name}\" is not a time zone"))
                .allowed("a name of the time-zone database, like America/New_York"),
        );
        default.clone()
    })
}
