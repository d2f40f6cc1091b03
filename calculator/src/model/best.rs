//! The best of all methods for the rows that there are.

use serde::{Deserialize, Serialize};

use super::change_point::{ChangePointSearch, information};
use super::fitted::{Fitted, MethodError, Observations, fit_by};
use super::method::{Method, Mode};
use super::splits::fit_splits;
use crate::baseline::Commodity;

/// A model that took part, by the edition of its method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contender {
    /// The name of the method and of our edition of it.
    pub edition: String,
    /// n·ln(Σr²/n) + q·ln n on the same rows, or why there is no model.
    pub outcome: Result<f64, String>,
}

impl Fitted {
    /// n·ln(Σr²/n) + q·ln n: comparable between models of the same rows; every balance point and every level counts.
    pub fn bic(&self) -> f64 {
        let metrics = self.metrics();
        let rows = usize::try_from(metrics.observations).unwrap_or(usize::MAX);
        information(metrics.rmse_wh * metrics.rmse_wh * f64::from(metrics.observations), rows, metrics.fitted_quantities)
    }
}

/// Fits the rows by every method that takes them and keeps the model with the least information criterion.
///
/// Days: CalTRACK daily, time of week and temperature, change-points, and splits by season and weekday. Hours: CalTRACK
/// hourly, time of week and temperature. Bills: CalTRACK billing.
///
/// * Errors: those of the last method, when none gave a model.
pub fn fit_best(mode: Mode, commodity: Commodity, rows: Observations<'_>) -> Result<(Fitted, Vec<Contender>), MethodError> {
    let named = |method: Method| (method.name().to_owned(), fit_by(method, mode, commodity, rows));
    let fits = match rows {
        Observations::Days(baseline) => {
            // A split is never compatible with anything: it has our rules in both modes.
            let splits = fit_splits(baseline.days(), commodity, &ChangePointSearch::strict());
            vec![
                named(Method::CaltrackDaily),
                named(Method::ChangePoint),
                named(Method::Towt),
                ("splits".to_owned(), splits.map(|fit| Fitted::Splits(Box::new(fit))).map_err(MethodError::from)),
            ]
        }
        Observations::Bills(_) => vec![named(Method::CaltrackBilling)],
        Observations::Hours(_) => vec![named(Method::CaltrackHourly), named(Method::Towt)],
        Observations::Driven(..) => vec![named(Method::ControlledEnvironment)],
    };
    let mut contenders = Vec::with_capacity(fits.len());
    let mut best: Result<(f64, Fitted), MethodError> =
        Err(MethodError::Rows { method: Method::Best, rows: "no rows", wanted: "days, bills or hours" });
    for (name, fit) in fits {
        match fit {
            Ok(fit) => {
                let bic = fit.bic();
                contenders.push(Contender { edition: fit.edition().to_owned(), outcome: Ok(bic) });
                if best.as_ref().map_or(true, |(least, _)| bic < *least) {
                    best = Ok((bic, fit));
                }
            }
            Err(error) => {
                contenders.push(Contender { edition: name, outcome: Err(error.to_string()) });
                if best.is_err() {
                    best = Err(error);
                }
            }
        }
    }
    best.map(|(_, fit)| (fit, contenders))
}
