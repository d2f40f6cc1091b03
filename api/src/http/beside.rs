//! What stands beside a period's savings: how far they may be believed, and what grew.

use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

/// How far the savings may be believed, never without its day, its edition and its parts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Trust {
    /// From 1 to 100; at most 40 where a category fails.
    #[schema(example = 87.31)]
    score: f64,
    /// The edition of the score.
    #[schema(example = "negawatt.trust/1")]
    version: String,
    /// The day it was given.
    #[schema(value_type = String, example = "2026-02-03")]
    date: Date,
    /// Whether a category that fails holds it down.
    capped: bool,
    parts: Vec<TrustPart>,
    /// Categories of verification that pass.
    passed: u8,
    /// Those that pass under a condition only.
    conditional: Vec<String>,
    /// Those that fail, or of which nobody has shown anything.
    failed: Vec<String>,
    /// Invoices issued before.
    invoices: u32,
    /// Of them, those that were disputed.
    disputed: u32,
}

/// A part of a score.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TrustPart {
    #[schema(example = "data quality")]
    name: String,
    /// From 0.01 to 1.
    score: f64,
    /// All of them sum to 1.
    weight: f64,
}

impl From<&settlement::Trust> for Trust {
    fn from(trust: &settlement::Trust) -> Self {
        let part = |part: &settlement::TrustPart| TrustPart {
            name: part.name.clone(),
            score: f64::from(part.score_ppm) / 1e6,
            weight: f64::from(part.weight_ppm) / 1e6,
        };
        Self {
            score: f64::from(trust.score_ppm) / 1e4,
            version: trust.version.clone(),
            date: trust.date,
            capped: trust.capped,
            parts: trust.parts.iter().map(part).collect(),
            passed: trust.passed,
            conditional: trust.conditional.clone(),
            failed: trust.failed.clone(),
            invoices: trust.invoices,
            disputed: trust.disputed,
        }
    }
}

/// What grew on the days that were compared.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Yield {
    /// Marketable produce by its crop cycles, g.
    grown_g: i64,
    /// What the baseline would have used for a kilogram, at the output that was reached.
    expected_wh_per_kg: Option<i64>,
    /// What was used for it.
    used_wh_per_kg: Option<i64>,
    /// The difference.
    avoided_wh_per_kg: Option<i64>,
    /// Why no saving is claimed by the kilogram.
    not_claimed: Option<String>,
}

impl From<&settlement::Yield> for Yield {
    fn from(yielded: &settlement::Yield) -> Self {
        Self {
            grown_g: yielded.grown_g,
            expected_wh_per_kg: yielded.per_kg.map(|per_kg| per_kg.expected_wh),
            used_wh_per_kg: yielded.per_kg.map(|per_kg| per_kg.used_wh),
            avoided_wh_per_kg: yielded.per_kg.map(|per_kg| per_kg.avoided_wh),
            not_claimed: yielded.not_claimed.clone(),
        }
    }
}

/// The value of a saving that was drawn many times, since what would have been used is known by days alone.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Drawn {
    /// How often.
    draws: u32,
    /// A tenth of the draws is below it, in major units of the currency.
    #[schema(example = "1180.25")]
    p10: String,
    /// A tenth of the draws is above it.
    p90: String,
    /// The value by the mean shape of days, which sees no peaks.
    by_mean_shape: String,
}

impl From<&settlement::Drawn> for Drawn {
    fn from(drawn: &settlement::Drawn) -> Self {
        let text = |amount: rust_decimal::Decimal| amount.to_string();
        Self { draws: drawn.draws, p10: text(drawn.p10), p90: text(drawn.p90), by_mean_shape: text(drawn.by_mean_shape) }
    }
}
