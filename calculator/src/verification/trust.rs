//! The trust score: a geometric mean, so that one bad part cannot be averaged away.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::categories::{Category, Check, Verdict};

/// The edition of the score; changes whenever the same facts could give another number.
pub const VERSION: &str = "negawatt.trust/1";
/// What no part falls below.
const PART_MIN: f64 = 0.01;
/// The most that a baseline with a failed category can have.
const FAILED_MAX: f64 = 40.0;

/// What the score takes from outside of the checks.
///
/// * Shape: shares from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// How much better the model predicts months it has not seen than the mean does: 1 − Σr²/Σ(y−ȳ)² out of sample.
    pub skill: f64,
    /// Half-width at 90 % over the savings.
    pub fsu: f64,
    /// Records that are signed and without a gap, over all records.
    pub signed_share: f64,
    /// Non-routine adjustments over savings, without their sign.
    pub adjusted_share: f64,
    /// Past invoices.
    pub invoices: u32,
    /// Of them, those that were disputed.
    pub disputed: u32,
}

/// A part of the score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// From 0.01 to 1.
    pub score: f64,
    /// Its weight; all weights sum to 1.
    pub weight: f64,
}

/// A score, never without its date, its edition and its parts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trust {
    /// [`VERSION`].
    pub version: &'static str,
    /// The day it was given.
    pub date: Date,
    /// From 1 to 100; at most 40 where a category fails.
    pub score: f64,
    /// Whether a failed category holds it down.
    pub capped: bool,
    /// What it is made of.
    pub parts: Vec<Part>,
}

/// Scores a baseline.
///
/// * Source: T = 100·Π sᵢ^wᵢ; a category scores 1 when it passes, ½ when it is conditional, 0.01 when it fails, and a part
///   has the mean of its categories; past invoices are shrunk by Beta(5, 1).
pub fn trust(checks: &[Check], record: &Record, date: Date) -> Trust {
    use Category::{
        BillReconciliation, Completeness, EstimatedData, Integrity, LongestGap, MeterAccuracy, ModelFit, Outliers, RegisterAgreement,
    };
    let of = |categories: &[Category]| {
        let scores = categories.iter().map(|category| {
            let found = checks.iter().find(|check| check.category == *category);
            match found.map(|check| check.verdict) {
                Some(Verdict::Pass) => 1.0,
                Some(Verdict::Conditional) => 0.5,
                Some(Verdict::Fail) | None => PART_MIN,
            }
        });
        scores.sum::<f64>() / categories.len() as f64
    };
    let invoices = f64::from(record.invoices);
    let undisputed = f64::from(record.invoices.saturating_sub(record.disputed));
    let part =
        |name, weight, score: f64| Part { name, score: if score.is_finite() { score.clamp(PART_MIN, 1.0) } else { PART_MIN }, weight };
    let parts = vec![
        part("data quality", 0.25, of(&[Completeness, LongestGap, Outliers, EstimatedData])),
        part("metering", 0.15, of(&[MeterAccuracy, RegisterAgreement, BillReconciliation])),
        part("model", 0.20, f64::midpoint(of(&[ModelFit]), record.skill)),
        part("uncertainty", 0.15, 1.0 - record.fsu / 0.5),
        part("integrity", 0.15, f64::midpoint(of(&[Integrity]), record.signed_share)),
        part("adjustments", 0.05, 1.0 - record.adjusted_share),
        part("track record", 0.05, (undisputed + 5.0) / (invoices + 6.0)),
    ];
    let sum: f64 = parts.iter().map(|part| part.weight * libm::log(part.score)).sum();
    let whole = 100.0 * libm::exp(sum);
    let failed = checks.len() < Category::ALL.len() || checks.iter().any(|check| check.verdict == Verdict::Fail);
    Trust { version: VERSION, date, score: if failed { whole.min(FAILED_MAX) } else { whole }, capped: failed, parts }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::super::categories::{check, tests::good};
    use super::*;

    const FLAWLESS: Record = Record { skill: 1.0, fsu: 0.0, signed_share: 1.0, adjusted_share: 0.0, invoices: 0, disputed: 0 };

    #[test]
    fn a_flawless_baseline_lacks_only_a_past() {
        let trust = trust(&check(&good(), ""), &FLAWLESS, date(2025, 7, 1));
        assert!((trust.parts.iter().map(|part| part.weight).sum::<f64>() - 1.0).abs() < 1e-12);
        // 5 of 6 for the past, to the twentieth part.
        assert!((trust.score - 100.0 * (5.0_f64 / 6.0).powf(0.05)).abs() < 1e-9, "{}", trust.score);
        assert_eq!((trust.version, trust.capped), ("negawatt.trust/1", false));
    }

    #[test]
    fn one_bad_part_is_not_averaged_away() {
        let checks = check(&good(), "");
        let unsure = trust(&checks, &Record { fsu: 0.5, ..FLAWLESS }, date(2025, 7, 1));
        assert!(unsure.score < 51.0, "0.01 to the power of 0.15 is a half: {}", unsure.score);
        let better = trust(&checks, &Record { fsu: 0.1, invoices: 24, ..FLAWLESS }, date(2025, 7, 1));
        let disputed = trust(&checks, &Record { fsu: 0.1, invoices: 24, disputed: 12, ..FLAWLESS }, date(2025, 7, 1));
        assert!(better.score > 90.0 && disputed.score < better.score);
    }

    #[test]
    fn a_failure_caps_it_at_forty() {
        let mut facts = good();
        facts.longest_gap_days = Some(15.0);
        let capped = trust(&check(&facts, ""), &FLAWLESS, date(2025, 7, 1));
        assert!(capped.capped && (capped.score - 40.0).abs() < 1e-12);
        assert!(trust(&[], &FLAWLESS, date(2025, 7, 1)).capped, "unchecked is not passed");
        let nonsense = trust(&check(&good(), ""), &Record { skill: f64::NAN, ..FLAWLESS }, date(2025, 7, 1));
        assert!(nonsense.score.is_finite() && nonsense.score < 50.0);
    }
}
