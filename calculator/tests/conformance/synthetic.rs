//! Synthetic meters with known truth: the interval must hold it, and the one with too many gaps must be refused.

use negawatt_calculator::baseline::{Clause, Commodity, qualify};
use negawatt_calculator::model::{Search, fit};
use negawatt_calculator::savings::avoided;

use crate::caltrack_daily::{metrics_agree, savings_agree, the_winner_agrees};
use crate::fixtures::{assert_close, baseline_period, expected, number, sample};

fn truth_is_inside(meter: &str) {
    let sample = sample(&format!("{meter}.csv.gz"), Commodity::Electricity);
    let expected = expected(meter);
    let baseline = qualify(&sample.energy, &sample.weather, sample.commodity, baseline_period()).unwrap();
    let fit = fit(&baseline, &Search::compatible()).unwrap();
    the_winner_agrees(&fit, &expected);
    metrics_agree(&fit, &expected);
    assert_close(f64::from(fit.metrics.slopes), number(&expected, "/metrics/num_parameters"), 0.0, "slopes");
    assert_close(f64::from(fit.metrics.observations), number(&expected, "/n_valid_days"), 0.0, "valid days");
    let extreme = baseline.warnings().iter().find(|finding| finding.clause == Clause::ExtremeUse).map_or(0.0, |finding| finding.measured);
    assert_close(extreme, number(&expected, "/n_extreme_values"), 0.0, "extreme values");

    let avoided = avoided(&fit, &sample.reporting).unwrap();
    assert_close(f64::from(avoided.days_compared), number(&expected, "/savings/n"), 0.0, "compared days");
    savings_agree(&avoided, &expected);

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
    let present = sample.energy.iter().filter(|day| baseline_period().contains(day.date) && day.wh.is_some()).count();
    assert_eq!(Some(present), expected("syn04")["n_valid_days"].as_u64().and_then(|days| usize::try_from(days).ok()));
    assert_eq!(
        refused.to_string(),
        "the baseline is disqualified by 2 clause(s): 2.2.1.2: share of days with energy and weather 0.8767, allowed at least 0.9; \
         2.2.1.2: share of days with energy 0.8767, allowed at least 0.9"
    );
}
