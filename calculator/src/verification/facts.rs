//! What is known about a baseline; `None` is what nobody knows, and no check passes on it.

use serde::{Deserialize, Serialize};

use super::unseen::OutOfSample;
use crate::baseline::{Baseline, Clause};

/// How the clocks of meter and weather agree.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterClock {
    /// The facility's zone is known.
    pub zone_known: bool,
    /// How far the meter's clock was off at most, minutes.
    pub offset_minutes: f64,
    /// Days of 23 and 25 hours have as many.
    pub long_days_right: bool,
    /// The lag of the best correlation of load and temperature is the same all year; none where nobody says, and then hourly rows may.
    #[serde(default)]
    pub lag_stable: Option<bool>,
}

/// The facts that the fifteen categories are judged by.
///
/// * Shape: shares from 0 to 1; differences relative and with their sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Facts {
    /// Whether the model is one of hours.
    pub hourly: bool,
    /// Days with energy and weather over days.
    pub valid_share: Option<f64>,
    /// The same of the worst calendar month.
    pub worst_month_share: Option<f64>,
    /// Days in a row without both.
    pub longest_gap_days: Option<f64>,
    /// Accuracy class of the meter; 0.5 for 0.5S.
    pub meter_class: Option<f64>,
    /// Months since its certificate ran out; zero while it is in date.
    pub certificate_expired_months: Option<f64>,
    /// The ratio of its transformers was checked.
    pub transformer_ratio_verified: Option<bool>,
    /// Sum of the intervals against the register.
    pub register_difference: Option<f64>,
    /// The worst bill against the meter.
    pub worst_bill_difference: Option<f64>,
    /// All bills of the year against the meter.
    pub year_bill_difference: Option<f64>,
    /// The clocks.
    pub clock: Option<MeterClock>,
    /// Outliers and stuck values over all values.
    pub flagged_share: Option<f64>,
    /// Energy of flagged values that nobody explained, over all energy.
    pub unexplained_energy_share: Option<f64>,
    /// Energy of estimated and edited values over all energy.
    pub estimated_energy_share: Option<f64>,
    /// A sensor at the facility.
    pub weather_on_site: Option<bool>,
    /// How far the station is, km.
    pub station_distance_km: Option<f64>,
    /// How much higher it is, m.
    pub station_elevation_m: Option<f64>,
    /// Hours with weather over hours.
    pub weather_coverage: Option<f64>,
    /// Days of the baseline.
    pub baseline_days: Option<f64>,
    /// How far the reporting weather goes beyond the baseline's, over the baseline's range; zero before there is any.
    pub temperature_beyond: Option<f64>,
    /// Production or occupancy is declared relevant.
    pub production_relevant: bool,
    /// Crop cycles or shifts with known production over all.
    pub production_coverage: Option<f64>,
    /// As `temperature_beyond`.
    pub production_beyond: Option<f64>,
    /// CV(RMSE) of months that the model had not seen.
    pub cv_out_of_sample: Option<f64>,
    /// NMBE of the same.
    pub nmbe_out_of_sample: Option<f64>,
    /// Expected half-width at 90 % over the savings that are expected.
    pub expected_fsu: Option<f64>,
    /// Both parties signed the inventory of static factors.
    pub inventory_signed: Option<bool>,
    /// Changes in the baseline that an adjustment explains.
    pub explained_changes: Option<f64>,
    /// Changes that none explains.
    pub unexplained_changes: Option<f64>,
    /// Every record follows from the one before.
    pub chain_unbroken: Option<bool>,
    /// No record came late.
    pub records_in_time: Option<bool>,
    /// The auditor belongs to neither party.
    pub auditor_independent: Option<bool>,
    /// The auditor computed the same.
    pub rerun_identical: Option<bool>,
}

/// The facts that follow from the baseline itself; the others stay as they are given.
///
/// * Shape: `unseen` is of the model that is billed.
pub fn baseline_facts(given: Facts, baseline: &Baseline, unseen: Option<OutOfSample>) -> Facts {
    let days = baseline.days();
    let valid: Vec<bool> = days.iter().map(|day| day.use_wh.is_some() && day.temperature_f.is_some()).collect();
    let count = valid.iter().filter(|valid| **valid).count() as f64;
    let longest = valid.split(|valid| *valid).map(<[bool]>::len).max().unwrap_or(0) as f64;
    // A warning is given where the worst month is below the limit; without one it is at least that.
    let month =
        baseline.warnings().iter().find(|finding| finding.clause == Clause::MonthlyCoverage).map_or(0.9, |finding| finding.measured);
    let extreme = baseline.warnings().iter().find(|finding| finding.clause == Clause::ExtremeUse).map_or(0.0, |finding| finding.measured);
    Facts {
        valid_share: Some(count / days.len() as f64),
        worst_month_share: Some(month),
        longest_gap_days: Some(longest),
        flagged_share: Some(given.flagged_share.unwrap_or(0.0).max(extreme / count.max(1.0))),
        baseline_days: Some(days.len() as f64),
        cv_out_of_sample: unseen.map(|unseen| unseen.cv),
        nmbe_out_of_sample: unseen.map(|unseen| unseen.nmbe),
        ..given
    }
}
