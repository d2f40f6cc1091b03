//! How sure the sum over many facilities is: as if each erred on its own, and as they do when they share weather and method.
//!
//! Independent errors average out: a hundred facilities of ±30 % each make ±3 %. Facilities under one sky, fitted by one
//! method, do not err independently, so both figures are given and a contract says which one counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One facility's result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// What it did not use, Wh.
    pub avoided_wh: f64,
    /// Half of the interval around it at the portfolio's confidence, Wh.
    pub half_width_wh: f64,
    /// What the baseline would have used, Wh; the bias is a share of it.
    pub counterfactual_wh: f64,
    /// The weather station, as a number; facilities of one station err together.
    pub station: u32,
}

/// What the errors of facilities have in common.
///
/// * Shape: shares of the error variance, each at least 0 and together at most 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Common {
    /// The share that all facilities of one weather station have in common.
    pub station: f64,
    /// The share that all facilities have in common, because one method was used for all.
    pub method: f64,
    /// How far the method errs in the mean, as a share of the counterfactual; known from placebo years.
    pub bias: f64,
}

impl Common {
    /// Nothing in common and no bias.
    pub const NOTHING: Self = Self { station: 0.0, method: 0.0, bias: 0.0 };

    /// The same, when they are shares.
    ///
    /// * Errors: a share below 0, more than all of the variance, a bias that is no number.
    pub fn checked(self) -> Result<Self, PortfolioError> {
        let Self { station, method, bias } = self;
        let holds = station >= 0.0 && method >= 0.0 && station + method <= 1.0 && bias.is_finite();
        if holds { Ok(self) } else { Err(PortfolioError::Shares { station, method, bias }) }
    }
}

/// The sum over facilities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Portfolio {
    /// Facilities.
    pub members: u32,
    /// What they did not use together, Wh.
    pub avoided_wh: f64,
    /// Half of the interval if every facility erred on its own: √ΣΔ², Wh.
    pub independent_wh: f64,
    /// Half of the interval with the shared errors: √(ΣΔ² + 2Σρᵢⱼ·Δᵢ·Δⱼ), Wh.
    pub shared_wh: f64,
    /// What the method's bias may add to either, Wh.
    pub bias_wh: f64,
    /// (`independent_wh` + `bias_wh`) over `avoided_wh`; `None` when nothing was avoided.
    pub fractional_independent: Option<f64>,
    /// (`shared_wh` + `bias_wh`) over `avoided_wh`; `None` when nothing was avoided.
    pub fractional_shared: Option<f64>,
}

/// A portfolio without a sum.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PortfolioError {
    /// Nobody is in it.
    #[error("a portfolio without facilities has no savings")]
    Empty,
    /// A value is NaN, infinite or a negative width.
    #[error("facility {index} of the portfolio has a value that is no finite number, or a negative interval")]
    NotFinite {
        /// Its place, from zero.
        index: usize,
    },
    /// Shares that are none.
    #[error("the shares {station} and {method} of the errors must be at least 0 and together at most 1, and the bias {bias} finite")]
    Shares {
        /// The station's share.
        station: f64,
        /// The method's share.
        method: f64,
        /// The bias.
        bias: f64,
    },
}

/// Adds up facilities.
///
/// * Units: Wh; every half-width at the same confidence.
/// * Shape: they are asked for more than once, so that nobody has to keep many thousands of them.
/// * Errors: no facility, values that are no numbers, shares that are none.
/// * Source: fractional uncertainty √Σ(Δᵢ²)/ΣSᵢ with the fractional bias added; the covariance of errors that facilities share.
pub fn portfolio(members: impl Iterator<Item = Member> + Clone, common: Common) -> Result<Portfolio, PortfolioError> {
    common.checked()?;
    let count = members.clone().count();
    if count == 0 {
        return Err(PortfolioError::Empty);
    }
    let holds = |member: &Member| {
        let values = [member.avoided_wh, member.half_width_wh, member.counterfactual_wh];
        values.iter().all(|value| value.is_finite()) && member.half_width_wh >= 0.0
    };
    if let Some(index) = members.clone().position(|member| !holds(&member)) {
        return Err(PortfolioError::NotFinite { index });
    }
    let sum = |value: fn(Member) -> f64| members.clone().map(value).sum::<f64>();
    let avoided_wh = sum(|member| member.avoided_wh);
    let Spread { independent, shared } = spread(members.clone().map(|member| (member.half_width_wh, member.station)), common);
    let bias_wh = (common.bias * sum(|member| member.counterfactual_wh)).abs();
    let fractional = |width: f64| (avoided_wh.abs() > 0.0).then(|| (width + bias_wh) / avoided_wh.abs());
    let (independent_wh, shared_wh) = (independent.sqrt(), shared.sqrt());
    Ok(Portfolio {
        members: u32::try_from(count).unwrap_or(u32::MAX),
        avoided_wh,
        independent_wh,
        shared_wh,
        bias_wh,
        fractional_independent: fractional(independent_wh),
        fractional_shared: fractional(shared_wh),
    })
}

/// Squares of half-widths of a weighted sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// Σ(wΔ)².
    pub(crate) independent: f64,
    /// ΣΣ ρᵢⱼ·wᵢΔᵢ·wⱼΔⱼ.
    pub(crate) shared: f64,
}

/// How far a weighted sum errs, given each weight times its half-width and its station; what is subtracted has a minus.
pub(crate) fn spread(widths: impl Iterator<Item = (f64, u32)>, common: Common) -> Spread {
    let (mut squares, mut all) = (0.0, 0.0);
    let mut stations: BTreeMap<u32, f64> = BTreeMap::new();
    for (width, station) in widths {
        squares += width * width;
        all += width;
        *stations.entry(station).or_default() += width;
    }
    let together: f64 = stations.values().map(|width| width * width).sum();
    let alone = 1.0 - common.station - common.method;
    Spread { independent: squares, shared: alone * squares + common.station * together + common.method * all * all }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facility(avoided_wh: f64, half_width_wh: f64, station: u32) -> Member {
        Member { avoided_wh, half_width_wh, counterfactual_wh: 10.0 * avoided_wh, station }
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} instead of {expected}");
    }

    #[test]
    fn thirty_six_independent_facilities_of_thirty_per_cent_make_five() {
        let found = portfolio([facility(100.0, 30.0, 0); 36].into_iter(), Common::NOTHING).unwrap();
        close(found.fractional_independent.unwrap(), 0.05);
        close(found.shared_wh, found.independent_wh);
        assert_eq!(found.members, 36);
    }

    /// Against the double sum over all pairs.
    #[test]
    fn shared_errors_are_the_covariance_of_every_pair() {
        let members = [facility(100.0, 30.0, 1), facility(50.0, 10.0, 2), facility(-20.0, 5.0, 1), facility(70.0, 40.0, 2)];
        let common = Common { station: 0.3, method: 0.1, bias: -0.002 };
        let mut variance = 0.0;
        for (i, one) in members.iter().enumerate() {
            for (j, other) in members.iter().enumerate() {
                let correlation = if i == j { 1.0 } else { 0.1 + if one.station == other.station { 0.3 } else { 0.0 } };
                variance += correlation * one.half_width_wh * other.half_width_wh;
            }
        }
        let found = portfolio(members.into_iter(), common).unwrap();
        close(found.shared_wh, f64::sqrt(variance));
        close(found.independent_wh, f64::sqrt(900.0 + 100.0 + 25.0 + 1_600.0));
        close(found.bias_wh, 0.002 * 2_000.0);
        close(found.fractional_shared.unwrap(), (found.shared_wh + 4.0) / 200.0);
        assert!(found.shared_wh > found.independent_wh);
    }

    #[test]
    fn one_sky_for_all_does_not_average_out() {
        let common = Common { station: 1.0, ..Common::NOTHING };
        let found = portfolio([facility(100.0, 30.0, 4); 36].into_iter(), common).unwrap();
        close(found.fractional_shared.unwrap(), 0.3);
    }

    #[test]
    fn what_cannot_be_added_up_is_refused() {
        let refused = |members: &[Member], common| portfolio(members.iter().copied(), common).unwrap_err().to_string();
        assert_eq!(refused(&[], Common::NOTHING), "a portfolio without facilities has no savings");
        let shares = Common { station: 0.7, method: 0.4, bias: 0.0 };
        assert!(refused(&[facility(1.0, 1.0, 0)], shares).contains("together at most 1"));
        assert!(refused(&[facility(1.0, 1.0, 0), facility(1.0, -1.0, 0)], Common::NOTHING).starts_with("facility 1 "));
        assert!(refused(&[facility(f64::NAN, 1.0, 0)], Common::NOTHING).starts_with("facility 0 "));
        assert_eq!(portfolio([facility(0.0, 1.0, 0)].into_iter(), Common::NOTHING).unwrap().fractional_shared, None);
    }
}
