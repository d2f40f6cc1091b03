//! Synthetic meters with known truth: the interval must hold it, and the one with too many gaps must be refused.

use negawatt_calculator::baseline::{Clause, Commodity, qualify};
use negawatt_calculator::model::{Search, fit};
use negawatt_calculator::savings::avoided;

use crate::fixtures::{assert_close, baseline_period, expected, number, sample};

fn truth_is_inside(meter: &str) {
    let sample = sample(&format!("{meter}.csv.gz"), Commodity::Electricity);
    let expected = expected(meter);
    let baseline = qualify(&sample.energy, &sample.weather, sample.commodity, baseline_period()).unwrap();
    let fit = fit(&baseline, &Search::compatible()).unwrap();
    let heating = expected.pointer("/model/model_params/heating_balance_point").and_then(serde_json::Value::as_f64);
    let cooling = expected.pointer("/model/model_params/cooling_balance_point").and_then(serde_json::Value::as_f64);
    assert_eq!((fit.model.hdd.map(|term| term.balance_f), fit.model.cdd.map(|term| term.balance_f)), (heating, cooling));
    assert_close(fit.model.intercept / 1e3, number(&expected, "/model/model_params/intercept"), 1e-9, meter);
    assert_close(fit.metrics.reference.autocorrelation, number(&expected, "/metrics/autocorr_resid"), 1e-8, meter);

    let avoided = avoided(&fit, &sample.reporting).unwrap();
    assert_close(avoided.exact.avoided_wh / 1e3, number(&expected, "/savings/metered_savings_sum"), 1e-9, meter);
    assert_close(avoided.reference.fsu_wh / 1e3, number(&expected, "/savings/error_bands_90/FSU Error Band"), 1e-9, meter);
    assert_close(avoided.reference.ols_wh / 1e3, number(&expected, "/savings/error_bands_90/OLS Error Band"), 1e-9, meter);

    let error = (avoided.exact.avoided_wh / 1e3 - number(&expected, "/truth/true_savings_sum")).abs();
    assert!(error <= avoided.interval.half_width_wh / 1e3, "{meter}: off by {error} kWh, interval {:?}", avoided.interval);
    assert!(error <= avoided.reference.fsu_wh / 1e3, "{meter}: off by {error} kWh");
}

#[test]
fn the_interval_holds_the_truth() {
    for meter in ["syn01", "syn02", "syn03", "syn05"] {
        truth_is_inside(meter);
    }
}

#[test]
fn forty_five_missing_days_disqualify() {
    let sample = sample("syn04.csv.gz", Commodity::Electricity);
    let refused = qualify(&sample.energy, &sample.weather, sample.commodity, baseline_period()).unwrap_err();
    let clauses: Vec<Clause> = refused.violations.iter().map(|finding| finding.clause).collect();
    assert_eq!(clauses, [Clause::JointCoverage, Clause::EnergyCoverage]);
    assert_eq!(
        refused.to_string(),
        "the baseline is disqualified by 2 clause(s): 2.2.1.2: share of days with energy and weather 0.8767, allowed at least 0.9; \
         2.2.1.2: share of days with energy 0.8767, allowed at least 0.9"
    );
}
