//! What stands beside a period's savings: how far they may be believed, and what grew meanwhile.
//!
//! Both are counted in integers, as everything here: a score in parts per million of full trust, produce in grams.

use ids::StatementId;
use jiff::civil::Date;
use money::Share;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::statement::{Savings, SettleError};

/// What a statement says besides its figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// How far the savings may be believed; nothing where nobody asked.
    pub trust: Option<Trust>,
    /// What grew; nothing where nobody weighs it.
    pub yielded: Option<Yield>,
    /// How the value was drawn; nothing where it was not.
    pub drawn: Option<Drawn>,
}

/// The value of a saving that was drawn many times, since what would have been used is known by days alone.
///
/// * Units: major units of the currency, exact; decimal strings on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drawn {
    /// How often.
    pub draws: u32,
    /// A tenth of the draws is below it.
    pub p10: Decimal,
    /// A tenth of the draws is above it.
    pub p90: Decimal,
    /// The value by the mean shape of days, which sees no peaks.
    pub by_mean_shape: Decimal,
}

/// How far a statement may be believed, never without its day, its edition and its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// The edition of the score.
    pub version: String,
    /// The day it was given.
    pub date: Date,
    /// Parts per million of full trust; 400,000 is a score of 40.
    pub score_ppm: u32,
    /// Whether a category that fails holds it down.
    pub capped: bool,
    /// What it is made of.
    pub parts: Vec<TrustPart>,
    /// Categories of verification that pass.
    pub passed: u8,
    /// Those that pass under a condition only.
    pub conditional: Vec<String>,
    /// Those that fail, or of which nobody has shown anything.
    pub failed: Vec<String>,
    /// Invoices issued before.
    pub invoices: u32,
    /// Of them, those that were disputed.
    pub disputed: u32,
}

/// A part of a score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustPart {
    /// Its name.
    pub name: String,
    /// Parts per million.
    pub score_ppm: u32,
    /// Its weight; all of them are the whole.
    pub weight_ppm: u32,
}

impl Trust {
    /// Whether it can be a score: a weighted mean of its parts, which are all there.
    fn holds(&self) -> bool {
        let whole = Share::WHOLE.ppm();
        let weights: u64 = self.parts.iter().map(|part| u64::from(part.weight_ppm)).sum();
        let greatest = self.parts.iter().map(|part| part.score_ppm).max().unwrap_or(0);
        weights == u64::from(whole)
            && greatest <= whole
            && self.score_ppm <= greatest
            && self.disputed <= self.invoices
            && self.capped != self.failed.is_empty()
    }
}

/// What grew on the days that were compared.
///
/// * Law: energies of a kilogram are those of the statement over what grew, each rounded once, and only there when claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Yield {
    /// Marketable produce by its crop cycles, g.
    pub grown_g: i64,
    /// Energy of a kilogram at this very output; absent where the saving must not be claimed by the kilogram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_kg: Option<PerKilogram>,
    /// Why it must not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_claimed: Option<String>,
}

/// Energy of a kilogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerKilogram {
    /// What the baseline would have used for it, at the output that was reached.
    pub expected_wh: i64,
    /// What was used for it.
    pub used_wh: i64,
    /// The difference.
    pub avoided_wh: i64,
}

impl PerKilogram {
    /// Energies over produce; nothing where nothing grew.
    fn of(savings: &Savings, grown_g: i64) -> Option<Self> {
        let per_kg = |wh: i64| {
            let (thousandfold, grams) = (i128::from(wh) * 1_000, i128::from(grown_g));
            // Half away from zero, as watt-hours are rounded everywhere.
            let whole = (thousandfold.abs() + grams / 2) / grams * thousandfold.signum();
            i64::try_from(whole).ok()
        };
        if grown_g <= 0 {
            return None;
        }
        let (expected_wh, used_wh) = (per_kg(savings.counterfactual_wh.as_wh())?, per_kg(savings.observed_wh.as_wh())?);
        Some(Self { expected_wh, used_wh, avoided_wh: expected_wh.checked_sub(used_wh)? })
    }
}

impl Yield {
    /// Produce that explains the use, so that savings may be told by the kilogram.
    #[must_use]
    pub fn claimed(grown_g: i64, savings: &Savings) -> Self {
        let per_kg = PerKilogram::of(savings, grown_g);
        let not_claimed = per_kg.is_none().then(|| "nothing grew on the days that were compared".to_owned());
        Self { grown_g, per_kg, not_claimed }
    }

    /// Produce that must not explain the use.
    #[must_use]
    pub const fn not_claimed(grown_g: i64, why: String) -> Self {
        Self { grown_g, per_kg: None, not_claimed: Some(why) }
    }

    fn holds(&self, savings: &Savings) -> bool {
        let claim = match (&self.per_kg, &self.not_claimed) {
            (Some(per_kg), None) => Some(*per_kg) == PerKilogram::of(savings, self.grown_g),
            (None, Some(why)) => !why.is_empty(),
            _ => false,
        };
        claim && self.grown_g >= 0
    }
}

/// Whether all of it can be.
pub(crate) fn holds(
    statement: StatementId,
    (trust, yielded, drawn): (Option<&Trust>, Option<&Yield>, Option<&Drawn>),
    savings: &Savings,
) -> Result<(), SettleError> {
    let refused = |what| Err(SettleError::Beside { statement, what });
    if trust.is_some_and(|trust| !trust.holds()) {
        return refused("the trust score is not one of its parts");
    }
    if yielded.is_some_and(|yielded| !yielded.holds(savings)) {
        return refused("the energy of a kilogram is not the energy over the yield");
    }
    if drawn.is_some_and(|drawn| drawn.draws == 0 || drawn.p10 > drawn.p90) {
        return refused("of its draws a tenth is below what a tenth is above");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use units::Energy;

    use super::*;

    fn savings(expected: i64, used: i64) -> Savings {
        Savings {
            counterfactual_wh: Energy::wh(expected),
            adjustments_wh: Energy::ZERO,
            observed_wh: Energy::wh(used),
            avoided_wh: Energy::wh(expected - used),
            uncertainty_wh: Energy::ZERO,
            confidence_ppm: 900_000,
            days_total: 31,
            days_compared: 31,
            method: "controlled-environment/1".to_owned(),
        }
    }

    fn trust() -> Trust {
        let part = |name: &str, score_ppm, weight_ppm| TrustPart { name: name.to_owned(), score_ppm, weight_ppm };
        Trust {
            version: "negawatt.trust/1".to_owned(),
            date: Date::constant(2026, 2, 3),
            score_ppm: 612_372,
            capped: false,
            parts: vec![part("data quality", 500_000, 500_000), part("metering", 750_000, 500_000)],
            passed: 15,
            conditional: Vec::new(),
            failed: Vec::new(),
            invoices: 3,
            disputed: 1,
        }
    }

    #[test]
    fn energy_of_a_kilogram_is_rounded_once_and_a_month_without_harvest_claims_none() {
        let claimed = Yield::claimed(1_500, &savings(10_000, 6_001));
        // 10,000 Wh over 1.5 kg are 6,666.7 Wh, 6,001 over the same 4,000.7.
        assert_eq!(claimed.per_kg, Some(PerKilogram { expected_wh: 6_667, used_wh: 4_001, avoided_wh: 2_666 }));
        assert!(claimed.holds(&savings(10_000, 6_001)) && !claimed.holds(&savings(10_000, 6_100)));
        let none = Yield::claimed(0, &savings(10_000, 6_001));
        assert_eq!((none.per_kg, none.not_claimed.is_some(), none.holds(&savings(1, 1))), (None, true, true));
        let both = Yield { not_claimed: Some("why".to_owned()), ..claimed };
        assert!(!both.holds(&savings(10_000, 6_001)), "claimed and not claimed");
        assert!(!Yield::not_claimed(-1, "why".to_owned()).holds(&savings(1, 1)));
    }

    #[test]
    fn a_score_is_a_mean_of_parts_that_are_the_whole() {
        assert!(trust().holds());
        for broken in [
            Trust { score_ppm: 750_001, ..trust() },
            Trust { parts: trust().parts[..1].to_vec(), ..trust() },
            Trust { disputed: 4, ..trust() },
            Trust { capped: true, ..trust() },
            Trust { failed: vec!["metering".to_owned()], ..trust() },
        ] {
            let refused = super::holds(StatementId::from_parts(1, [4; 10]), (Some(&broken), None, None), &savings(1, 1)).unwrap_err();
            assert!(refused.to_string().ends_with("the trust score is not one of its parts"), "{refused}");
        }
    }
}
