//! One candidate, and what became of it.

use serde::{Deserialize, Serialize};

use super::shape::{BalancePoints, Shape};

/// The numbers of a fitted candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Base load, Wh per day.
    pub intercept: f64,
    /// Heating slope, Wh per °F·day; zero when the shape has none.
    pub hdd: f64,
    /// Cooling slope, Wh per °F·day; zero when the shape has none.
    pub cdd: f64,
    /// Adjusted R² with `n − c − 1` degrees of freedom.
    pub r_squared_adj: f64,
}

/// Why a candidate did not take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Too few heating degree days in the baseline.
    FewHeatingDegreeDays,
    /// Too few cooling degree days in the baseline.
    FewCoolingDegreeDays,
    /// Too few days with heating degree days.
    FewHeatingDays,
    /// Too few days with cooling degree days.
    FewCoolingDays,
    /// The variables are the same line; no slope can be told from another.
    Singular,
    /// The base load is negative.
    NegativeIntercept,
    /// Heating falls when it gets colder.
    NegativeHeating,
    /// Cooling falls when it gets warmer.
    NegativeCooling,
}

impl Reason {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FewHeatingDegreeDays => "few_heating_degree_days",
            Self::FewCoolingDegreeDays => "few_cooling_degree_days",
            Self::FewHeatingDays => "few_heating_days",
            Self::FewCoolingDays => "few_cooling_days",
            Self::Singular => "singular",
            Self::NegativeIntercept => "negative_intercept",
            Self::NegativeHeating => "negative_heating",
            Self::NegativeCooling => "negative_cooling",
        }
    }
}

/// What became of a candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// Takes part in the selection.
    Qualified(Estimate),
    /// Was fitted and must not be used.
    Disqualified(Reason, Estimate),
    /// Was not fitted.
    NotAttempted(Reason),
}

/// One candidate of a search.
///
/// * Wire: an array `[heating point or null, cooling point or null, status, reason or null, intercept, heating slope,
///   cooling slope, adjusted R²]`, because two thousand of them are kept with every fit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Candidate {
    /// Its balance points.
    pub points: BalancePoints,
    /// What became of it.
    pub outcome: Outcome,
}

impl Candidate {
    /// Its shape.
    pub const fn shape(&self) -> Shape {
        self.points.shape()
    }

    /// Its numbers, when it was fitted.
    pub const fn estimate(&self) -> Option<Estimate> {
        match self.outcome {
            Outcome::Qualified(estimate) | Outcome::Disqualified(_, estimate) => Some(estimate),
            Outcome::NotAttempted(_) => None,
        }
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Qualified,
    Disqualified,
    NotAttempted,
}

/// The wire form.
#[derive(Clone, Serialize, Deserialize)]
struct Row(Option<u8>, Option<u8>, Status, Option<Reason>, Option<f64>, Option<f64>, Option<f64>, Option<f64>);

impl From<Candidate> for Row {
    fn from(candidate: Candidate) -> Self {
        let (status, reason) = match candidate.outcome {
            Outcome::Qualified(_) => (Status::Qualified, None),
            Outcome::Disqualified(reason, _) => (Status::Disqualified, Some(reason)),
            Outcome::NotAttempted(reason) => (Status::NotAttempted, Some(reason)),
        };
        let points = candidate.points;
        let estimate = candidate.estimate();
        Self(
            points.heating_f,
            points.cooling_f,
            status,
            reason,
            estimate.map(|estimate| estimate.intercept),
            estimate.filter(|_| points.heating_f.is_some()).map(|estimate| estimate.hdd),
            estimate.filter(|_| points.cooling_f.is_some()).map(|estimate| estimate.cdd),
            estimate.map(|estimate| estimate.r_squared_adj),
        )
    }
}

impl From<Row> for Candidate {
    fn from(row: Row) -> Self {
        let Row(heating_f, cooling_f, status, reason, intercept, hdd, cdd, r_squared_adj) = row;
        let estimate = Estimate {
            intercept: intercept.unwrap_or(0.0),
            hdd: hdd.unwrap_or(0.0),
            cdd: cdd.unwrap_or(0.0),
            r_squared_adj: r_squared_adj.unwrap_or(0.0),
        };
        let outcome = match (status, reason) {
            (Status::Qualified, _) => Outcome::Qualified(estimate),
            (Status::Disqualified, reason) => Outcome::Disqualified(reason.unwrap_or(Reason::Singular), estimate),
            (Status::NotAttempted, reason) => Outcome::NotAttempted(reason.unwrap_or(Reason::Singular)),
        };
        Self { points: BalancePoints { heating_f, cooling_f }, outcome }
    }
}
