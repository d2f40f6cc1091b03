//! A reporting period against a model of any method, row by row.

use serde::{Deserialize, Serialize};

use super::avoided::Exact;
use super::rounding::Running;
use crate::baseline::Commodity;
use crate::model::{Conditions, Fitted, MethodError};

/// What was not used, without a statement of how sure that is: intervals depend on the method.
///
/// * Units: Wh, integers; the rows sum to the totals exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What the baseline would have used.
    pub counterfactual_wh: i64,
    /// What was used.
    pub observed_wh: i64,
    /// The difference; negative when more was used.
    pub avoided_wh: i64,
    /// The counterfactual's base load; base, heating and cooling sum to `counterfactual_wh`.
    pub base_wh: i64,
    /// The counterfactual's heating.
    pub heating_wh: i64,
    /// The counterfactual's cooling.
    pub cooling_wh: i64,
    /// Rows that were asked about.
    pub rows_total: u32,
    /// Rows with energy, weather and an expectation; only these are compared.
    pub rows_compared: u32,
    /// `rows_compared / rows_total`.
    pub coverage: f64,
    /// The totals before rounding.
    pub exact: Exact,
    /// One entry per row in the order given; `None` where it could not be compared.
    pub rows: Vec<Option<ComparedRow>>,
}

/// One compared row, Wh.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparedRow {
    /// What the baseline would have used.
    pub counterfactual_wh: i64,
    /// What was used.
    pub observed_wh: i64,
    /// The difference.
    pub avoided_wh: i64,
}

/// Rows that give no comparison.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ComparisonError {
    /// The model cannot be asked about such rows.
    #[error(transparent)]
    Rows(#[from] MethodError),
    /// No row has energy, weather and an expectation.
    #[error("none of {rows} reporting rows has energy, weather and an expectation")]
    NothingToCompare {
        /// Rows that were asked about.
        rows: usize,
    },
    /// A value is NaN or infinite.
    #[error("the energy or the weather of reporting row {row} is not a finite number (the first row is 1)")]
    NotFinite {
        /// Which row.
        row: usize,
    },
    /// The total is beyond what can be counted.
    #[error("the energy up to reporting row {row} is beyond what can be counted in watt-hours (the first row is 1)")]
    Overflow {
        /// Which row.
        row: usize,
    },
}

/// Compares reporting rows with what the baseline would have used.
///
/// * Shape: rows in order of time, all after the baseline; those lacking something are masked.
/// * Source: CalTRACK 2.0, 3.5 and 4.1: sums only over rows with both parts, never scaled up to a year.
pub fn compare(fitted: &Fitted, reporting: Conditions<'_>) -> Result<Comparison, ComparisonError> {
    let expected = fitted.predict(reporting)?;
    let (mut counterfactual, mut observed) = (Running::default(), Running::default());
    let (mut heating, mut cooling) = (Running::default(), Running::default());
    let zero_is_missing = fitted.commodity() == Commodity::Electricity && !matches!(reporting, Conditions::Hours(_));
    let mut rows = Vec::with_capacity(expected.len());
    for (index, (load, used)) in expected.iter().zip(reporting.observed()).enumerate() {
        let row = index + 1;
        let used = used.filter(|wh| *wh != 0.0 || !zero_is_missing);
        let (Some(load), Some(used)) = (load, used) else {
            rows.push(None);
            continue;
        };
        if !(load.total_wh().is_finite() && used.is_finite()) {
            return Err(ComparisonError::NotFinite { row });
        }
        let overflow = || ComparisonError::Overflow { row };
        let counterfactual_wh = counterfactual.add(load.total_wh()).ok_or_else(overflow)?;
        let observed_wh = observed.add(used).ok_or_else(overflow)?;
        heating.add(load.heating_wh).ok_or_else(overflow)?;
        cooling.add(load.cooling_wh).ok_or_else(overflow)?;
        rows.push(Some(ComparedRow { counterfactual_wh, observed_wh, avoided_wh: counterfactual_wh - observed_wh }));
    }
    let compared = rows.iter().flatten().count();
    if compared == 0 {
        return Err(ComparisonError::NothingToCompare { rows: rows.len() });
    }
    Ok(Comparison {
        counterfactual_wh: counterfactual.whole(),
        observed_wh: observed.whole(),
        avoided_wh: counterfactual.whole() - observed.whole(),
        base_wh: counterfactual.whole() - heating.whole() - cooling.whole(),
        heating_wh: heating.whole(),
        cooling_wh: cooling.whole(),
        rows_total: u32::try_from(rows.len()).unwrap_or(u32::MAX),
        rows_compared: u32::try_from(compared).unwrap_or(u32::MAX),
        coverage: compared as f64 / rows.len() as f64,
        exact: Exact {
            counterfactual_wh: counterfactual.exact(),
            observed_wh: observed.exact(),
            avoided_wh: counterfactual.exact() - observed.exact(),
        },
        rows,
    })
}
