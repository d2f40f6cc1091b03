//! Difference in differences: what treated facilities avoided beyond what a comparison group changed without a project.
//!
//! Each meter's own baseline is the first difference: avoided Aᵢ = Kᵢ − Oᵢ, with Kᵢ what its baseline would have used and
//! Oᵢ what it used. The comparison group had no project, so what it "avoided" is what happened to everybody: a recession,
//! a mild spring that no model knew, a tariff. Its share p = Σ_C A / Σ_C K is taken off the treated meters' counterfactual:
//!
//! ```text
//! net = Σ_T A − p·Σ_T K
//! ```
//!
//! Three errors enter the net. The baselines of the treated enter with the weight 1 − p each, those of the comparison group
//! with −(1 − p)·Σ_T K/Σ_C K, because p falls as K rises. And another comparison group would have had another p: with
//! eⱼ = Aⱼ − p·Kⱼ its variance is n/(n−1)·Σ eⱼ²/(Σ_C K)², that of a ratio of n meters, at Student's t with n − 1 degrees of
//! freedom. The eⱼ hold what the comparison baselines err each on its own already, so of these two the larger one counts
//! and not both. Where errors are shared (one sky, one method) the minus of the comparison group takes them away again:
//! that is what it is there for. They do not show in the eⱼ, so there only the part that is not shared is held against them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::uncertainty::{Common, Member, PortfolioError, Spread, quantile, spread};

/// Comparison meters that a stratum needs: of one nothing is known of how they differ.
const COMPARISON_MIN: u32 = 2;

/// On which side of the difference a meter is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It had the project.
    #[default]
    Treated,
    /// It had none, and shows what happened to everybody.
    Comparison,
}

impl Role {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Treated, Self::Comparison];

    /// The name in lists and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Treated => "treated",
            Self::Comparison => "comparison",
        }
    }
}

/// A meter's result with the place it has in the comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// Its figures.
    pub member: Member,
    /// Its side.
    pub role: Role,
    /// Facilities alike: the treated ones of a stratum are compared with the others of the same.
    pub stratum: u32,
}

/// The difference of one stratum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Which.
    pub stratum: u32,
    /// Treated meters.
    pub treated: u32,
    /// Comparison meters.
    pub comparison: u32,
    /// What the treated meters avoided against their own baselines, Wh.
    pub gross_wh: f64,
    /// What their baselines would have used, Wh.
    pub counterfactual_wh: f64,
    /// The share of its counterfactual that the comparison group avoided without a project.
    pub drift: f64,
    /// `gross_wh − drift·counterfactual_wh`.
    pub net_wh: f64,
    /// Half of the interval if every meter erred on its own, Wh.
    pub independent_wh: f64,
    /// Half of the interval with the errors that meters share, Wh.
    pub shared_wh: f64,
    /// Half of the interval that the choice of the comparison meters alone gives, Wh.
    pub sampling_wh: f64,
}

/// The differences of all strata and their sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Differences {
    /// Each stratum that has a comparison group, in order.
    pub strata: Vec<Difference>,
    /// What the treated meters of these strata avoided against their own baselines, Wh.
    pub gross_wh: f64,
    /// What they avoided beyond the comparison groups, Wh.
    pub net_wh: f64,
    /// Half of the interval of `net_wh` if every meter erred on its own, Wh.
    pub independent_wh: f64,
    /// The same with shared errors, Wh.
    pub shared_wh: f64,
    /// Treated meters of strata without a comparison group; they are in no sum here.
    pub uncompared: u32,
}

/// Meters between which there is no difference.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum DifferenceError {
    /// No stratum has both sides.
    #[error("no stratum has treated meters and {COMPARISON_MIN} comparison meters that can be used")]
    NoComparison,
    /// Shares that are none.
    #[error(transparent)]
    Common(#[from] PortfolioError),
}

/// Compares treated meters with those that had no project, stratum by stratum.
///
/// * Units: Wh; every half-width at `confidence`.
/// * Errors: no stratum with both sides; shares that are none.
/// * Source: the page above; the ratio's variance is that of Cochran, Sampling Techniques, 6.3, without the finite correction.
pub fn differences(meters: &[Compared], common: Common, confidence: f64) -> Result<Differences, DifferenceError> {
    let common = common.checked()?;
    let mut strata: BTreeMap<u32, Stratum<'_>> = BTreeMap::new();
    for meter in meters {
        let stratum = strata.entry(meter.stratum).or_default();
        match meter.role {
            Role::Treated => stratum.treated.push(&meter.member),
            Role::Comparison => stratum.comparison.push(&meter.member),
        }
    }
    let (mut found, mut widths, mut uncompared) = (Vec::new(), Vec::new(), 0);
    let mut extra = Spread { independent: 0.0, shared: 0.0 };
    for (name, stratum) in &strata {
        let Some((difference, of_meters, more)) = stratum.difference(*name, common, confidence) else {
            uncompared += count(&stratum.treated);
            continue;
        };
        found.push(difference);
        widths.extend(of_meters);
        extra.independent += more.independent;
        extra.shared += more.shared;
    }
    if found.is_empty() {
        return Err(DifferenceError::NoComparison);
    }
    let sum = |value: fn(&Difference) -> f64| found.iter().map(value).sum::<f64>();
    let all = spread(widths.into_iter(), common);
    Ok(Differences {
        gross_wh: sum(|stratum| stratum.gross_wh),
        net_wh: sum(|stratum| stratum.net_wh),
        independent_wh: (all.independent + extra.independent).sqrt(),
        shared_wh: (all.shared + extra.shared).max(0.0).sqrt(),
        strata: found,
        uncompared,
    })
}

/// Half-widths with their weights, and the station of each.
type Widths = Vec<(f64, u32)>;

/// The two sides of a stratum.
#[derive(Debug, Default)]
struct Stratum<'a> {
    treated: Vec<&'a Member>,
    comparison: Vec<&'a Member>,
}

impl Stratum<'_> {
    /// The difference, each meter's weighted half-width with its station, and the variance that sampling adds.
    fn difference(&self, stratum: u32, common: Common, confidence: f64) -> Option<(Difference, Widths, Spread)> {
        let (treated, comparison) = (count(&self.treated), count(&self.comparison));
        let base = total(&self.comparison, |meter| meter.counterfactual_wh);
        if treated == 0 || comparison < COMPARISON_MIN || base.abs() <= 0.0 {
            return None;
        }
        let drift = total(&self.comparison, |meter| meter.avoided_wh) / base;
        let gross_wh = total(&self.treated, |meter| meter.avoided_wh);
        let counterfactual_wh = total(&self.treated, |meter| meter.counterfactual_wh);
        let (weight, against) = (1.0 - drift, -(1.0 - drift) * counterfactual_wh / base);
        let weighted = |meters: &[&Member], weight: f64| -> Widths {
            meters.iter().map(|meter| (weight * meter.half_width_wh, meter.station)).collect()
        };
        let mut widths = weighted(&self.comparison, against);
        let of_comparison = spread(widths.iter().copied(), common).independent;
        widths.extend(weighted(&self.treated, weight));
        let n = f64::from(comparison);
        let off: f64 = self.comparison.iter().map(|meter| (meter.avoided_wh - drift * meter.counterfactual_wh).powi(2)).sum();
        let error = counterfactual_wh / base * (n / (n - 1.0) * off).sqrt();
        let sampling_wh = (quantile(f64::midpoint(1.0, confidence), n - 1.0) * error).abs();
        let beyond = |seen: f64| (sampling_wh * sampling_wh - seen).max(0.0);
        let alone = 1.0 - common.station - common.method;
        let extra = Spread { independent: beyond(of_comparison), shared: beyond(alone * of_comparison) };
        let all = spread(widths.iter().copied(), common);
        let difference = Difference {
            stratum,
            treated,
            comparison,
            gross_wh,
            counterfactual_wh,
            drift,
            net_wh: gross_wh - drift * counterfactual_wh,
            independent_wh: (all.independent + extra.independent).sqrt(),
            shared_wh: (all.shared + extra.shared).max(0.0).sqrt(),
            sampling_wh,
        };
        Some((difference, widths, extra))
    }
}

fn total(meters: &[&Member], value: fn(&Member) -> f64) -> f64 {
    meters.iter().map(|meter| value(meter)).sum()
}

fn count(meters: &[&Member]) -> u32 {
    u32::try_from(meters.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "difference_tests.rs"]
mod tests;
