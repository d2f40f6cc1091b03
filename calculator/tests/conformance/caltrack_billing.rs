//! The four billing samples of eemeter, monthly and of two months: every candidate, the winner, savings and bands.

use jiff::tz::TimeZone;
use negawatt_calculator::baseline::{Bill, Commodity, Cut, bills, bills_after, bills_before};
use negawatt_calculator::model::{BillingFit, Conditions, Fitted, Method, Mode, Observations, Search, fit_bills, fit_by};
use negawatt_calculator::savings::{Comparison, compare};
use negawatt_calculator::uncertainty::{Cadence, bands_of};

use crate::caltrack_daily::candidates_agree;
use crate::fixtures::{
    BLACKOUT_END, BLACKOUT_START, assert_close, commodity_of, document, energy_rows, instant, midnight, number, table, temperatures, value,
};

pub(crate) struct Meter {
    pub(crate) commodity: Commodity,
    pub(crate) baseline: Vec<Bill>,
    pub(crate) reporting: Vec<Bill>,
}

pub(crate) fn meter(name: &str, cut: &Cut) -> Meter {
    let all = bills(&energy_rows(name), &temperatures(), cut).unwrap();
    Meter {
        commodity: commodity_of(name),
        baseline: bills_before(&all, midnight(BLACKOUT_START), 365).to_vec(),
        reporting: bills_after(&all, midnight(BLACKOUT_END), 365).to_vec(),
    }
}

fn agrees(name: &str) {
    let meter = meter(name, &Cut::FromStart);
    let expected = document("expected-billing.json")[name].clone();
    let stamp = |pointer: &str| instant(&expected[pointer].as_str().unwrap().replace(' ', "T"));
    assert_eq!(meter.baseline.first().unwrap().start, stamp("baseline_start"));
    assert_eq!(meter.baseline.last().unwrap().end, stamp("baseline_end"));
    assert_eq!(meter.reporting.first().unwrap().start, stamp("reporting_start"));
    assert_eq!(meter.reporting.last().unwrap().end, stamp("reporting_end"));

    let fit = fit_bills(&meter.baseline, meter.commodity, &Search::billing()).unwrap();
    candidates_agree(name, &fit.candidates);
    winner_agrees(&fit, &expected);
    metrics_agree(&fit, &expected);
    let fitted = Fitted::CaltrackBilling(Box::new(fit));
    let comparison = compare(&fitted, Conditions::Bills(&meter.reporting)).unwrap();
    savings_agree(name, &fitted, &meter.reporting, &comparison, &expected);
}

fn winner_agrees(fit: &BillingFit, expected: &serde_json::Value) {
    let parameters = fit.model.parameters(1_000.0);
    assert_eq!(expected["model"]["model_type"].as_str(), Some(parameters.kind.as_str()));
    let reference = expected["model"]["model_params"].as_object().unwrap();
    assert_eq!(reference.len(), parameters.params.len());
    for (name, value) in reference {
        assert_close(parameters.number(name).unwrap(), value.as_f64().unwrap(), 1e-9, name);
    }
    assert_close(fit.r_squared_adj, number(expected, "/model/r_squared_adj"), 1e-12, "adjusted R²");
}

fn metrics_agree(fit: &BillingFit, expected: &serde_json::Value) {
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
        (metrics.reference.autocorrelation, "autocorr_resid"),
        (metrics.reference.effective_observations, "n_prime"),
    ] {
        assert_close(found, number(expected, &format!("/metrics/{name}")), 1e-9, name);
    }
    assert!(metrics.nmbe.abs() < 1e-12);
    assert!(metrics.effective_observations <= f64::from(metrics.observations), "ours never exceeds n");
}

fn savings_agree(name: &str, fitted: &Fitted, reporting: &[Bill], comparison: &Comparison, expected: &serde_json::Value) {
    let days = reporting.last().unwrap().end.duration_since(reporting.first().unwrap().start).as_hours() / 24;
    let mean = comparison.exact.observed_wh / f64::from(comparison.rows_compared);
    let months = (f64::from(i32::try_from(days).unwrap()) / 30.0).round_ties_even();
    let bands = bands_of(Cadence::Billing, &fitted.metrics().into(), months, mean, 0.9);
    // The reference's t at four degrees of freedom (SciPy 1.10) is 2.3e-9 off; later ones agree with ours.
    let bands_agree = if fitted.metrics().observations - 1 == 4 && fitted.metrics().slopes == 1 { 3e-9 } else { 1e-9 };
    for (found, pointer) in [
        (comparison.exact.avoided_wh, "metered_savings_sum"),
        (comparison.exact.counterfactual_wh, "counterfactual_sum"),
        (comparison.exact.observed_wh, "reporting_observed_sum"),
        (bands.fsu_wh, "error_bands_90/FSU Error Band"),
        (bands.ols_wh, "error_bands_90/OLS Error Band"),
        (bands.ols_model_wh, "error_bands_90/OLS Error Band: Model Error"),
        (bands.ols_noise_wh, "error_bands_90/OLS Error Band: Noise"),
    ] {
        let relative = if pointer.starts_with("error_bands_90") { bands_agree } else { 1e-9 };
        assert_close(found / 1e3, number(expected, &format!("/{pointer}")), relative, pointer);
    }
    let loads = fitted.predict(Conditions::Bills(reporting)).unwrap();
    let rows: Vec<_> = table(&format!("expected-savings-{name}.csv.gz")).into_iter().filter(|row| !row[2].is_empty()).collect();
    assert_eq!(rows.len(), loads.len());
    for (row, load) in rows.iter().zip(loads.iter().flatten()) {
        for (found, column) in [(load.total_wh(), 2), (load.base_wh, 4), (load.heating_wh, 5), (load.cooling_wh, 6)] {
            assert_close(found / 1e3, value(&row[column]).unwrap(), 1e-9, &format!("{name} {} column {column}", &row[0]));
        }
    }
    assert_eq!(comparison.base_wh + comparison.heating_wh + comparison.cooling_wh, comparison.counterfactual_wh);
}

#[test]
fn monthly_electricity_agrees_in_all_2014_candidates() {
    agrees("il-electricity-cdd-hdd-billing_monthly");
}

#[test]
fn five_bills_of_two_months_agree_and_are_called_thin() {
    agrees("il-electricity-cdd-hdd-billing_bimonthly");
    let meter = meter("il-electricity-cdd-hdd-billing_bimonthly", &Cut::FromStart);
    assert!(fit_bills(&meter.baseline, meter.commodity, &Search::billing()).unwrap().is_thin());
}

#[test]
fn gas_bills_agree_in_all_62_candidates() {
    agrees("il-gas-hdd-only-billing_monthly");
    agrees("il-gas-hdd-only-billing_bimonthly");
}

#[test]
fn civil_days_of_chicago_change_the_degree_days_a_little_and_the_method_not() {
    let cut = Cut::CivilDays(TimeZone::get("America/Chicago").unwrap());
    let meter = meter("il-electricity-cdd-hdd-billing_monthly", &cut);
    let fitted = fit_by(Method::CaltrackBilling, Mode::Strict, meter.commodity, Observations::Bills(&meter.baseline)).unwrap();
    assert!(meter.baseline.iter().all(|bill| (f64::from(bill.days_total) - bill.days()).abs() < 0.05));
    let comparison = compare(&fitted, Conditions::Bills(&meter.reporting)).unwrap();
    assert!((700_000..900_000).contains(&comparison.avoided_wh), "{}", comparison.avoided_wh);
    let text = serde_json::to_string(&fitted).unwrap();
    assert!(text.starts_with(r#"{"method":"caltrack-billing","fit":{"#));
    assert_eq!(serde_json::from_str::<Fitted>(&text).unwrap(), fitted);
}
