//! The fifteen categories: what was measured, what passes, what passes with a reason.

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use crate::events::is_sha256;

/// What is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// 1: valid days of the year and of each month.
    Completeness,
    /// 2: the longest gap.
    LongestGap,
    /// 3: class, certificate and current transformers of the meter.
    MeterAccuracy,
    /// 4: the sum of the intervals against the register.
    RegisterAgreement,
    /// 5: the meter against the bills.
    BillReconciliation,
    /// 6: clocks and the days on which they change.
    TimeAlignment,
    /// 7: outliers and stuck values.
    Outliers,
    /// 8: estimated and edited data.
    EstimatedData,
    /// 9: the weather station and its coverage.
    Weather,
    /// 10: the length of the baseline and the range of its weather.
    Seasonality,
    /// 11: production and occupancy, where they are declared relevant.
    Production,
    /// 12: how well the model fits days that it has not seen.
    ModelFit,
    /// 13: whether the expected savings can be seen at all.
    Uncertainty,
    /// 14: static factors, and changes that nobody explains.
    Stability,
    /// 15: the chain of records and the independence of the auditor.
    Integrity,
}

impl Category {
    /// All of them in order.
    pub const ALL: [Self; 15] = [
        Self::Completeness,
        Self::LongestGap,
        Self::MeterAccuracy,
        Self::RegisterAgreement,
        Self::BillReconciliation,
        Self::TimeAlignment,
        Self::Outliers,
        Self::EstimatedData,
        Self::Weather,
        Self::Seasonality,
        Self::Production,
        Self::ModelFit,
        Self::Uncertainty,
        Self::Stability,
        Self::Integrity,
    ];

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completeness => "completeness",
            Self::LongestGap => "longest_gap",
            Self::MeterAccuracy => "meter_accuracy",
            Self::RegisterAgreement => "register_agreement",
            Self::BillReconciliation => "bill_reconciliation",
            Self::TimeAlignment => "time_alignment",
            Self::Outliers => "outliers",
            Self::EstimatedData => "estimated_data",
            Self::Weather => "weather",
            Self::Seasonality => "seasonality",
            Self::Production => "production",
            Self::ModelFit => "model_fit",
            Self::Uncertainty => "uncertainty",
            Self::Stability => "stability",
            Self::Integrity => "integrity",
        }
    }

    /// Its number, from 1.
    pub fn number(self) -> u8 {
        Self::ALL.into_iter().zip(1..).find(|(category, _)| *category == self).map_or(0, |(_, number)| number)
    }
}

/// How a check went; the worse the larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It holds if an auditor accepts it, with a reason.
    Conditional,
    /// It does not hold, or nobody knows.
    Fail,
}

/// One measured value against its two limits.
///
/// * Shape: `value` is `None` where nobody knows, which fails; a limit that is crossed downwards has `pass > conditional`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// What.
    pub name: &'static str,
    /// How much.
    pub value: Option<f64>,
    /// What passes.
    pub pass: f64,
    /// What passes with a reason.
    pub conditional: f64,
    /// How it went.
    pub verdict: Verdict,
}

impl Measurement {
    fn at_most(name: &'static str, value: Option<f64>, pass: f64, conditional: f64) -> Self {
        Self { name, value, pass, conditional, verdict: graded(value, |value| value <= pass, |value| value <= conditional) }
    }

    fn at_least(name: &'static str, value: Option<f64>, pass: f64, conditional: f64) -> Self {
        Self { name, value, pass, conditional, verdict: graded(value, |value| value >= pass, |value| value >= conditional) }
    }

    /// Yes or no.
    fn holds(name: &'static str, value: Option<bool>, otherwise: Verdict) -> Self {
        let conditional = if otherwise == Verdict::Conditional { 0.0 } else { 1.0 };
        Self::at_least(name, value.map(|holds| if holds { 1.0 } else { 0.0 }), 1.0, conditional)
    }
}

fn graded(value: Option<f64>, passes: impl Fn(f64) -> bool, conditionally: impl Fn(f64) -> bool) -> Verdict {
    match value {
        Some(value) if passes(value) => Verdict::Pass,
        Some(value) if conditionally(value) => Verdict::Conditional,
        _ => Verdict::Fail,
    }
}

/// One category, checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// Which.
    pub category: Category,
    /// Its number.
    pub number: u8,
    /// The worst of its measurements.
    pub verdict: Verdict,
    /// What it was judged by; nothing where the category does not apply.
    pub measurements: Vec<Measurement>,
    /// SHA-256 of the frozen inputs that the facts were taken from, in hexadecimal.
    pub evidence: String,
    /// The auditor's reason, where a condition was waived.
    pub waiver: Option<Waiver>,
}

/// An auditor's reason for accepting what is conditional.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Why.
    pub reason: String,
    /// Who.
    pub auditor: String,
    /// SHA-256 of the signed reason, in hexadecimal; the signature is checked by the caller.
    pub signed: String,
}

/// A waiver that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaiverError {
    /// Only conditions can be waived.
    #[error("{0:?} is not conditional; only a condition can be waived, never a failure")]
    NotConditional(Category),
    /// No reason, or none that was signed.
    #[error("the waiver of {0:?} needs a reason, an auditor and the SHA-256 of what was signed")]
    Unsigned(Category),
}

impl Check {
    /// Accepts a condition.
    ///
    /// * Errors: [`WaiverError`]; the check is as before.
    pub fn waive(&mut self, waiver: Waiver) -> Result<(), WaiverError> {
        if self.verdict != Verdict::Conditional {
            return Err(WaiverError::NotConditional(self.category));
        }
        if waiver.reason.trim().is_empty() || waiver.auditor.trim().is_empty() || !is_sha256(&waiver.signed) {
            return Err(WaiverError::Unsigned(self.category));
        }
        self.waiver = Some(waiver);
        Ok(())
    }
}

/// What all checks together say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Categories that pass.
    pub passed: u8,
    /// Categories that pass with a reason.
    pub conditional: u8,
    /// Of them, those that the auditor accepted.
    pub waived: u8,
    /// Categories that fail.
    pub failed: u8,
    /// No failure and at most three conditions: the auditor may sign.
    pub verifiable: bool,
    /// And every condition is accepted.
    pub acceptable: bool,
}

/// Conditions beyond this number are too many.
const CONDITIONS_MAX: u8 = 3;

/// Adds the checks up.
pub fn verdict(checks: &[Check]) -> Judged {
    let count = |holds: &dyn Fn(&Check) -> bool| u8::try_from(checks.iter().filter(|check| holds(check)).count()).unwrap_or(u8::MAX);
    let conditional = count(&|check| check.verdict == Verdict::Conditional);
    let waived = count(&|check| check.waiver.is_some());
    let failed = count(&|check| check.verdict == Verdict::Fail);
    let verifiable = failed == 0 && conditional <= CONDITIONS_MAX && checks.len() == Category::ALL.len();
    Judged {
        passed: count(&|check| check.verdict == Verdict::Pass),
        conditional,
        waived,
        failed,
        verifiable,
        acceptable: verifiable && waived == conditional,
    }
}

/// Checks every category.
///
/// * Shape: `evidence` is the SHA-256 of the frozen inputs, in hexadecimal.
/// * Source: design of the calculator, section 5; limits as there.
pub fn check(facts: &Facts, evidence: &str) -> Vec<Check> {
    Category::ALL
        .into_iter()
        .map(|category| {
            let measurements = measure(category, facts);
            let verdict = measurements.iter().map(|measurement| measurement.verdict).max().unwrap_or(Verdict::Pass);
            Check { category, number: category.number(), verdict, measurements, evidence: evidence.to_owned(), waiver: None }
        })
        .collect()
}

fn measure(category: Category, facts: &Facts) -> Vec<Measurement> {
    use Measurement as M;
    match category {
        Category::Completeness => vec![
            M::at_least("valid days over days", facts.valid_share, 0.95, 0.90),
            M::at_least("the same in the worst month", facts.worst_month_share, 0.90, 0.0),
        ],
        Category::LongestGap => {
            // A model of hours is hurt by six of them.
            let pass = if facts.hourly { 0.25 } else { 3.0 };
            vec![M::at_most("days without a value in a row", facts.longest_gap_days, pass, 14.0)]
        }
        Category::MeterAccuracy => vec![
            M::at_most("accuracy class", facts.meter_class, 1.0, 2.0),
            M::at_most("months since the certificate ran out", facts.certificate_expired_months, 0.0, 12.0),
            M::holds("transformer ratio verified", facts.transformer_ratio_verified, Verdict::Fail),
        ],
        Category::RegisterAgreement => {
            vec![M::at_most("intervals against register", facts.register_difference.map(f64::abs), 0.005, 0.02)]
        }
        Category::BillReconciliation => vec![
            M::at_most("worst bill against meter", facts.worst_bill_difference.map(f64::abs), 0.01, 0.03),
            M::at_most("the year's bills against meter", facts.year_bill_difference.map(f64::abs), 0.005, 0.015),
        ],
        Category::TimeAlignment => vec![
            M::holds("zone known", facts.clock.map(|clock| clock.zone_known), Verdict::Fail),
            M::at_most("clock offset in minutes", facts.clock.map(|clock| clock.offset_minutes.abs()), 2.0, 15.0),
            M::holds("days of 23 and 25 hours right", facts.clock.map(|clock| clock.long_days_right), Verdict::Conditional),
            M::holds("lag of load behind weather stable", facts.clock.and_then(|clock| clock.lag_stable), Verdict::Conditional),
        ],
        Category::Outliers => vec![
            M::at_most("flagged values", facts.flagged_share, 0.005, 0.02),
            M::at_most("unexplained share of the energy", facts.unexplained_energy_share, 0.0, 0.05),
        ],
        Category::EstimatedData => vec![M::at_most("estimated share of the energy", facts.estimated_energy_share, 0.01, 0.05)],
        Category::Weather => {
            let mut found = vec![M::at_least("hours of weather", facts.weather_coverage, 0.98, 0.90)];
            if facts.weather_on_site != Some(true) {
                found.push(M::at_most("distance of the station in km", facts.station_distance_km, 50.0, 200.0));
                // Design: 200 m passes; between 50 and 200 km the elevation is a matter of judgement.
                found.push(M::at_most("difference in elevation in m", facts.station_elevation_m.map(f64::abs), 200.0, f64::MAX));
            }
            found
        }
        Category::Seasonality => vec![
            M::at_least("days of the baseline", facts.baseline_days, 365.0, 329.0),
            M::at_most("reporting weather beyond the baseline's range", facts.temperature_beyond, 0.10, 0.20),
        ],
        Category::Production if !facts.production_relevant => Vec::new(),
        Category::Production => vec![
            M::at_least("cycles with production", facts.production_coverage, 0.95, 0.90),
            M::at_most("reporting production beyond the baseline's range", facts.production_beyond, 0.10, 0.25),
        ],
        Category::ModelFit => {
            let (pass, conditional) = if facts.hourly { (0.25, 0.40) } else { (0.15, 0.25) };
            vec![
                M::at_most("CV(RMSE) out of sample", facts.cv_out_of_sample, pass, conditional),
                M::at_most("NMBE out of sample", facts.nmbe_out_of_sample.map(f64::abs), 0.005, 0.02),
            ]
        }
        Category::Uncertainty => vec![M::at_most("expected uncertainty over savings at 90 %", facts.expected_fsu, 0.25, 0.50)],
        Category::Stability => vec![
            M::holds("inventory of static factors signed", facts.inventory_signed, Verdict::Fail),
            M::at_most("changes with an adjustment", facts.explained_changes, 0.0, f64::MAX),
            M::at_most("changes nobody explains", facts.unexplained_changes, 0.0, 0.0),
        ],
        Category::Integrity => vec![
            M::holds("hash chain unbroken", facts.chain_unbroken, Verdict::Fail),
            M::holds("records in time", facts.records_in_time, Verdict::Conditional),
            M::holds("auditor independent of both parties", facts.auditor_independent, Verdict::Fail),
            M::holds("computed again with the same result", facts.rerun_identical, Verdict::Fail),
        ],
    }
}

#[cfg(test)]
#[path = "categories_tests.rs"]
pub(super) mod tests;
