//! The two daily samples of eemeter: every candidate, the winner, the statistics, the savings and the bands.

use negawatt_calculator::baseline::{Clause, Commodity, qualify};
use negawatt_calculator::model::{Candidate, Fit, Outcome, Search, fit};
use negawatt_calculator::savings::{Avoided, avoided};

use crate::fixtures::{Sample, assert_close, baseline_period, expected, number, sample, table, value};

fn fitted(sample: &Sample) -> Fit {
    let baseline = qualify(&sample.energy, &sample.weather, sample.commodity, baseline_period()).unwrap();
    fit(&baseline, &Search::compatible()).unwrap()
}

/// Status and numbers of every candidate in canonical order.
pub(crate) fn candidates_agree(meter: &str, candidates: &[Candidate]) {
    let rows = table(&format!("expected-candidates-{meter}.csv.gz"));
    assert_eq!(rows.len(), candidates.len());
    for (row, candidate) in rows.iter().zip(candidates) {
        let what = format!("{meter} {:?}", candidate.points);
        assert_eq!(value(&row[1]), candidate.points.heating_f.map(f64::from), "{what}");
        assert_eq!(value(&row[2]), candidate.points.cooling_f.map(f64::from), "{what}");
        let status = match candidate.outcome {
            Outcome::Qualified(_) => "QUALIFIED",
            Outcome::Disqualified(..) => "DISQUALIFIED",
            Outcome::NotAttempted(_) => "NOT ATTEMPTED",
        };
        assert_eq!(&row[3], status, "{what}");
        let Some(estimate) = candidate.estimate() else { continue };
        let r_squared_adj = value(&row[7]).unwrap();
        assert!((estimate.r_squared_adj - r_squared_adj).abs() <= 1e-9, "{what}: R2adj {} against {r_squared_adj}", estimate.r_squared_adj);
        assert_close(estimate.intercept / 1_000.0, value(&row[4]).unwrap(), 1e-7, &what);
        for (found, text) in [(estimate.hdd, &row[5]), (estimate.cdd, &row[6])] {
            if let Some(slope) = value(text) {
                // A slope near zero is known as exactly as the use that it explains.
                assert!((found / 1_000.0 - slope).abs() <= 1e-7 * slope.abs().max(1e-3), "{what}: slope {found} against {slope}");
            }
        }
    }
}

/// Balance points, parameters and adjusted R² of the selected model.
pub(crate) fn the_winner_agrees(fit: &Fit, expected: &serde_json::Value) {
    let parameters = |name: &str| expected.pointer(&format!("/model/model_params/{name}")).and_then(serde_json::Value::as_f64);
    assert_eq!(fit.model.hdd.map(|term| term.balance_f), parameters("heating_balance_point"));
    assert_eq!(fit.model.cdd.map(|term| term.balance_f), parameters("cooling_balance_point"));
    assert_close(fit.model.intercept / 1e3, number(expected, "/model/model_params/intercept"), 1e-10, "intercept");
    for (term, name) in [(fit.model.hdd, "beta_hdd"), (fit.model.cdd, "beta_cdd")] {
        if let Some(term) = term {
            assert_close(term.beta / 1e3, parameters(name).unwrap(), 1e-10, name);
        }
    }
    assert_close(fit.r_squared_adj, number(expected, "/model/r_squared_adj"), 1e-12, "winner");
}

/// Every statistic that the reference gives.
pub(crate) fn metrics_agree(fit: &Fit, expected: &serde_json::Value) {
    let metrics = &fit.metrics;
    for (found, name) in [
        (f64::from(metrics.observations), "observed_length"),
        (metrics.observed_mean_wh / 1e3, "observed_mean"),
        (metrics.observed_variance / 1e6, "observed_variance"),
        (metrics.r_squared, "r_squared"),
        (metrics.r_squared_adj, "r_squared_adj"),
        (metrics.rmse_wh / 1e3, "rmse"),
        (metrics.rmse_adj_wh / 1e3, "rmse_adj"),
        (metrics.cv_rmse, "cvrmse"),
        (metrics.cv_rmse_adj, "cvrmse_adj"),
        (metrics.mape, "mape"),
        (metrics.nmae, "nmae"),
        (metrics.reference.effective_observations, "n_prime"),
    ] {
        assert_close(found, number(expected, &format!("/metrics/{name}")), 1e-9, name);
    }
    // Near zero a correlation is known as exactly as the residuals are.
    let correlation = number(expected, "/metrics/autocorr_resid");
    assert!((metrics.reference.autocorrelation - correlation).abs() < 1e-10, "autocorrelation {correlation}");
    assert!(metrics.nmbe.abs() < 1e-12);
}

/// Savings, and all four bands of them.
pub(crate) fn savings_agree(avoided: &Avoided, expected: &serde_json::Value) {
    for (found, name) in [
        (avoided.exact.avoided_wh, "metered_savings_sum"),
        (avoided.exact.counterfactual_wh, "counterfactual_sum"),
        (avoided.exact.observed_wh, "reporting_observed_sum"),
        (avoided.reference.fsu_wh, "error_bands_90/FSU Error Band"),
        (avoided.reference.ols_wh, "error_bands_90/OLS Error Band"),
        (avoided.reference.ols_model_wh, "error_bands_90/OLS Error Band: Model Error"),
        (avoided.reference.ols_noise_wh, "error_bands_90/OLS Error Band: Noise"),
    ] {
        assert_close(found / 1e3, number(expected, &format!("/savings/{name}")), 1e-9, name);
    }
}

fn agrees(meter: &str, commodity: Commodity) {
    let sample = sample(&format!("{meter}.csv.gz"), commodity);
    let expected = expected(meter);
    let fit = fitted(&sample);
    candidates_agree(meter, &fit.candidates);

    the_winner_agrees(&fit, &expected);
    metrics_agree(&fit, &expected);
    let avoided = avoided(&fit, &sample.reporting).unwrap();
    savings_agree(&avoided, &expected);
    assert_eq!(avoided.avoided_wh, avoided.counterfactual_wh - avoided.observed_wh);
    assert_eq!(avoided.base_wh + avoided.heating_wh + avoided.cooling_wh, avoided.counterfactual_wh);
    assert_eq!(avoided.days.iter().map(|day| day.avoided_wh).sum::<i64>(), avoided.avoided_wh);
    every_day_agrees(meter, &avoided);
}

fn every_day_agrees(meter: &str, avoided: &Avoided) {
    let rows: Vec<_> =
        table(&format!("expected-savings-{meter}.csv.gz")).into_iter().filter(|row| !row[2].is_empty() && !row[1].is_empty()).collect();
    assert_eq!(rows.len(), avoided.days.len());
    for (row, day) in rows.iter().zip(&avoided.days) {
        assert!(row[0].starts_with(&day.date.to_string()));
        // Rows are cut from a running total, so each is within one watt-hour of its own rounding.
        let counterfactual = value(&row[2]).unwrap() * 1e3;
        let found = f64::from(i32::try_from(day.counterfactual_wh).unwrap());
        assert!((found - counterfactual).abs() <= 1.0 + 1e-6, "{}: {found} against {counterfactual}", day.date);
    }
    let parts = |column: usize| rows.iter().map(|row| value(&row[column]).unwrap()).sum::<f64>() * 1e3;
    for (found, column) in [(avoided.base_wh, 4), (avoided.heating_wh, 5), (avoided.cooling_wh, 6)] {
        let found = f64::from(i32::try_from(found).unwrap());
        assert!((found - parts(column)).abs() <= 1.5, "part {column}: {found} against {}", parts(column));
    }
}

#[test]
fn electricity_agrees_with_the_reference_in_all_2014_candidates() {
    agrees("il-electricity-cdd-hdd-daily", Commodity::Electricity);
}

#[test]
fn gas_agrees_with_the_reference_in_all_62_candidates() {
    agrees("il-gas-hdd-only-daily", Commodity::Gas);
}

#[test]
fn extreme_days_are_flagged_and_do_not_disqualify() {
    for (meter, commodity) in [("il-electricity-cdd-hdd-daily", Commodity::Electricity), ("il-gas-hdd-only-daily", Commodity::Gas)] {
        let sample = sample(&format!("{meter}.csv.gz"), commodity);
        let baseline = qualify(&sample.energy, &sample.weather, commodity, baseline_period()).unwrap();
        let extreme = baseline.warnings().iter().find(|finding| finding.clause == Clause::ExtremeUse).unwrap();
        assert_close(extreme.measured, number(&expected(meter), "/n_extreme_values"), 0.0, "extreme values");
    }
}

#[test]
fn a_fit_is_the_same_bytes_again_and_survives_json() {
    let sample = sample("il-electricity-cdd-hdd-daily.csv.gz", Commodity::Electricity);
    let (once, again) = (fitted(&sample), fitted(&sample));
    let text = serde_json::to_string(&once).unwrap();
    assert!(text == serde_json::to_string(&again).unwrap(), "two fits of the same days differ");
    let read: Fit = serde_json::from_str(&text).unwrap();
    assert!(serde_json::to_string(&read).unwrap() == text, "a fit read from JSON writes other JSON");
    assert!(text.len() < 300_000, "a fit with all candidates takes {} bytes", text.len());

    let avoided_then = avoided(&once, &sample.reporting).unwrap();
    assert_eq!(avoided(&read, &sample.reporting).unwrap(), avoided_then);
}
