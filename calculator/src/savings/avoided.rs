//! Avoided energy of the days of a reporting period.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::rounding::{Running, whole_wh};
use crate::baseline::{Commodity, Day};
use crate::model::{Fit, Metrics};
use crate::uncertainty::{self, Bands, CONFIDENCE, Interval};

/// Below this share of days with energy and weather a period is not billable without an agreed imputation.
pub const BILLABLE_COVERAGE: f64 = 0.9;

/// What was not used, and how sure that is.
///
/// * Units: Wh, integers; `avoided_wh = counterfactual_wh − observed_wh`, and the days sum to the totals, exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Avoided {
    /// The first day that was asked about.
    pub first: Date,
    /// The last day that was asked about.
    pub last: Date,
    /// What the baseline would have used.
    pub counterfactual_wh: i64,
    /// What was used.
    pub observed_wh: i64,
    /// The difference; negative when more was used.
    pub avoided_wh: i64,
    /// Half of the interval around `avoided_wh` at `confidence`.
    pub uncertainty_wh: i64,
    /// The confidence of `uncertainty_wh`.
    pub confidence: f64,
    /// The counterfactual's base load; base, heating and cooling sum to `counterfactual_wh`.
    pub base_wh: i64,
    /// The counterfactual's heating.
    pub heating_wh: i64,
    /// The counterfactual's cooling.
    pub cooling_wh: i64,
    /// Days that were asked about.
    pub days_total: u32,
    /// Days with both energy and weather; only these are compared.
    pub days_compared: u32,
    /// `days_compared / days_total`.
    pub coverage: f64,
    /// Days left out, each with what it lacks.
    pub masked: Vec<Missing>,
    /// How `uncertainty_wh` was made.
    pub interval: Interval,
    /// The bands of the reference implementation at the same confidence.
    pub reference: Bands,
    /// The totals before rounding, for comparison with other programs.
    pub exact: Exact,
    /// The compared days in order of time.
    pub days: Vec<AvoidedDay>,
}

impl Avoided {
    /// Whether enough of the period was measured to bill it.
    pub fn is_billable(&self) -> bool {
        self.coverage >= BILLABLE_COVERAGE
    }
}

/// Totals before rounding, Wh.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exact {
    /// What the baseline would have used.
    pub counterfactual_wh: f64,
    /// What was used.
    pub observed_wh: f64,
    /// The difference.
    pub avoided_wh: f64,
}

/// One compared day.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AvoidedDay {
    /// The civil day.
    pub date: Date,
    /// Mean outdoor temperature, °F.
    pub temperature_f: f64,
    /// What the baseline would have used, Wh.
    pub counterfactual_wh: i64,
    /// What was used, Wh.
    pub observed_wh: i64,
    /// The difference, Wh.
    pub avoided_wh: i64,
}

/// A day that could not be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The civil day.
    pub date: Date,
    /// Whether it has energy.
    pub has_energy: bool,
    /// Whether it has weather.
    pub has_weather: bool,
    /// Whether it has every variable that the model asks for besides; absent where it has.
    #[serde(default = "has", skip_serializing_if = "is_there")]
    pub has_variables: bool,
}

const fn has() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_there(there: &bool) -> bool {
    *there
}

/// Days that give no avoided energy.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SavingsError {
    /// No day has both energy and weather.
    #[error("none of {days} reporting days has both energy and weather")]
    NothingToCompare {
        /// Days that were asked about.
        days: usize,
    },
    /// A day is named twice.
    #[error("the reporting day {date} appears twice")]
    DuplicateDay {
        /// The day.
        date: Date,
    },
    /// A day belongs to the baseline or comes before it.
    #[error("the reporting day {date} is not after the baseline, which ends before {end}")]
    NotAfterBaseline {
        /// The day.
        date: Date,
        /// The day after the baseline.
        end: Date,
    },
    /// A value is NaN or infinite.
    #[error("a value of the reporting day {date} is not a finite number")]
    NotFinite {
        /// The day.
        date: Date,
    },
    /// Fuel use is negative.
    #[error("the fuel use of the reporting day {date} is negative")]
    NegativeFuel {
        /// The day.
        date: Date,
    },
    /// The total is beyond what can be counted.
    #[error("the energy up to {date} is beyond what can be counted in watt-hours")]
    Overflow {
        /// The day.
        date: Date,
    },
}

/// Compares reporting days with what the baseline would have used, at the confidence that invoices state.
///
/// * Shape: `days` in any order, all after the baseline; days lacking energy or weather are masked and listed.
/// * Units: Wh and °F.
/// * Errors: no day to compare, contradictions, values that cannot be.
/// * Source: CalTRACK 2.0, 3.5 and 4.1; zero electricity is missing (2.2.1.4).
pub fn avoided(fit: &Fit, days: &[Day]) -> Result<Avoided, SavingsError> {
    avoided_at(fit, days, CONFIDENCE)
}

/// As [`avoided`], at another confidence between 0 and 1.
pub fn avoided_at(fit: &Fit, days: &[Day], confidence: f64) -> Result<Avoided, SavingsError> {
    let days = sorted(fit, days)?;
    let (Some(first), Some(last)) = (days.first(), days.last()) else {
        return Err(SavingsError::NothingToCompare { days: 0 });
    };
    let mut sums = Sums::default();
    let mut rows = Vec::with_capacity(days.len());
    let mut masked = Vec::new();
    let mut weather = Vec::with_capacity(days.len());
    for day in &days {
        let energy = day.use_wh.filter(|wh| *wh != 0.0 || fit.commodity == Commodity::Gas);
        let (Some(mean_f), Some(observed)) = (day.temperature_f, energy) else {
            masked.push(Missing {
                date: day.date,
                has_energy: energy.is_some(),
                has_weather: day.temperature_f.is_some(),
                has_variables: true,
            });
            continue;
        };
        let expected = [fit.model.predict_wh(mean_f, day.length()), fit.model.heating_wh(mean_f), fit.model.cooling_wh(mean_f)];
        rows.push(sums.add(day.date, mean_f, expected, observed).ok_or(SavingsError::Overflow { date: day.date })?);
        weather.push((day.date, mean_f, day.length()));
    }
    if rows.is_empty() {
        return Err(SavingsError::NothingToCompare { days: days.len() });
    }
    let interval = uncertainty::interval(fit, &weather, confidence);
    let period = Asked { first: first.date, last: last.date, days: days.len(), confidence };
    sums.avoided(&period, rows, masked, interval, &fit.metrics)
}

/// The period that was asked about.
pub(super) struct Asked {
    pub(super) first: Date,
    pub(super) last: Date,
    pub(super) days: usize,
    pub(super) confidence: f64,
}

/// Running totals; each is rounded as a whole and never its parts.
#[derive(Debug, Default)]
pub(super) struct Sums {
    counterfactual: Running,
    observed: Running,
    heating: Running,
    cooling: Running,
}

impl Sums {
    /// Adds a day: what was expected of it, of that for heating and for cooling, and what it used.
    pub(super) fn add(
        &mut self,
        date: Date,
        temperature_f: f64,
        [expected, heating, cooling]: [f64; 3],
        observed: f64,
    ) -> Option<AvoidedDay> {
        let counterfactual_wh = self.counterfactual.add(expected)?;
        let observed_wh = self.observed.add(observed)?;
        self.heating.add(heating)?;
        self.cooling.add(cooling)?;
        Some(AvoidedDay { date, temperature_f, counterfactual_wh, observed_wh, avoided_wh: counterfactual_wh - observed_wh })
    }

    /// What these come to, over days of which there is at least one.
    pub(super) fn avoided(
        &self,
        asked: &Asked,
        rows: Vec<AvoidedDay>,
        masked: Vec<Missing>,
        interval: Interval,
        metrics: &Metrics,
    ) -> Result<Avoided, SavingsError> {
        let days_compared = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let reference = uncertainty::bands(metrics, days_compared, self.observed.exact() / f64::from(days_compared), asked.confidence);
        let uncertainty_wh = whole_wh(interval.half_width_wh).ok_or(SavingsError::Overflow { date: asked.last })?;
        let (counterfactual_wh, observed_wh) = (self.counterfactual.whole(), self.observed.whole());
        Ok(Avoided {
            first: asked.first,
            last: asked.last,
            counterfactual_wh,
            observed_wh,
            avoided_wh: counterfactual_wh - observed_wh,
            uncertainty_wh,
            confidence: asked.confidence,
            base_wh: counterfactual_wh - self.heating.whole() - self.cooling.whole(),
            heating_wh: self.heating.whole(),
            cooling_wh: self.cooling.whole(),
            days_total: u32::try_from(asked.days).unwrap_or(u32::MAX),
            days_compared,
            coverage: rows.len() as f64 / asked.days as f64,
            masked,
            interval,
            reference,
            exact: Exact {
                counterfactual_wh: self.counterfactual.exact(),
                observed_wh: self.observed.exact(),
                avoided_wh: self.counterfactual.exact() - self.observed.exact(),
            },
            days: rows,
        })
    }
}

fn sorted(fit: &Fit, days: &[Day]) -> Result<Vec<Day>, SavingsError> {
    let mut by_date = BTreeMap::new();
    let end = fit.period.end();
    for day in days {
        let date = day.date;
        if date < end {
            return Err(SavingsError::NotAfterBaseline { date, end });
        }
        if [day.use_wh, day.temperature_f].into_iter().flatten().any(|value| !value.is_finite()) {
            return Err(SavingsError::NotFinite { date });
        }
        if fit.commodity == Commodity::Gas && day.use_wh.is_some_and(|wh| wh < 0.0) {
            return Err(SavingsError::NegativeFuel { date });
        }
        if by_date.insert(date, *day).is_some() {
            return Err(SavingsError::DuplicateDay { date });
        }
    }
    Ok(by_date.into_values().collect())
}

#[cfg(test)]
#[path = "avoided_tests.rs"]
mod tests;
