use super::*;
use crate::model::ReferenceMetrics;

fn metrics(cv_rmse_strict: f64, nmbe_g14: f64, r_squared: f64) -> Metrics {
    Metrics {
        observations: 365,
        slopes: 2,
        fitted_quantities: 5,
        observed_mean_wh: 1.0,
        observed_variance: 1.0,
        r_squared,
        r_squared_adj: r_squared,
        rmse_wh: 0.0,
        rmse_adj_wh: 0.0,
        cv_rmse: 0.0,
        cv_rmse_adj: 0.0,
        cv_rmse_strict,
        nmbe: 0.0,
        nmbe_g14,
        mape: 0.0,
        nmae: 0.0,
        autocorrelation: 0.0,
        effective_observations: 365.0,
        durbin_watson: 2.0,
        reference: ReferenceMetrics { autocorrelation: 0.0, effective_observations: 365.0 },
    }
}

/// An interval of a standard error of 10 Wh at 360 degrees of freedom.
fn interval() -> Interval {
    let t = student::quantile(0.95, 360.0);
    Interval {
        confidence: 0.9,
        half_width_wh: 10.0 * t,
        autocorrelation: 0.0,
        sigma_wh: 1.0,
        effective_observations: 365.0,
        degrees_of_freedom: 360.0,
        t,
        model_share: 0.0,
        noise_share: 0.0,
        shared: 0.0,
    }
}

fn open(metrics: &Metrics, avoided_wh: f64, months: u32, quantity: Quantity) -> Vec<Gate> {
    gates(metrics, avoided_wh, &interval(), months, quantity).iter().filter(|tried| tried.holds).map(|tried| tried.gate).collect()
}

#[test]
fn each_gate_opens_at_its_limit() {
    use Gate::{CaltrackNonWires, CaltrackPayForPerformance, Guideline14Performance, Ipmvp};
    let good = metrics(0.2, 0.0, 0.7);
    assert_eq!(open(&good, 200.0, 6, Quantity::Energy), Gate::ALL);
    // 16.49 Wh of interval: 15 % of 109.9, 25 % of 65.96; half of the 68 % interval's 19.91 is 9.96.
    assert!(!open(&good, 109.0, 6, Quantity::Energy).contains(&CaltrackNonWires));
    assert!(open(&good, 111.0, 6, Quantity::Energy).contains(&CaltrackNonWires));
    assert!(!open(&good, 65.0, 6, Quantity::Energy).contains(&CaltrackPayForPerformance));
    assert!(open(&good, 67.0, 6, Quantity::Energy).contains(&CaltrackPayForPerformance));
    assert!(!open(&good, 19.8, 6, Quantity::Energy).contains(&Guideline14Performance));
    assert!(open(&good, 20.0, 6, Quantity::Energy).contains(&Guideline14Performance));
    assert!(!open(&good, 19.9, 6, Quantity::Energy).contains(&Ipmvp));
    assert!(open(&good, 20.0, 6, Quantity::Energy).contains(&Ipmvp));
}

#[test]
fn the_longer_one_reports_the_looser_is_guideline_14() {
    let holds = |cv, months, quantity| open(&metrics(cv, 0.0, 0.9), 200.0, months, quantity).contains(&Gate::Guideline14Cv);
    for (months, limit) in [(0, 0.20), (11, 0.20), (12, 0.25), (60, 0.25), (61, 0.30)] {
        assert!(holds(limit - 1e-9, months, Quantity::Energy) && !holds(limit + 1e-9, months, Quantity::Energy), "{months} months");
        assert!(holds(limit + 0.1 - 1e-9, months, Quantity::Demand) && !holds(limit + 0.1 + 1e-9, months, Quantity::Demand));
    }
}

#[test]
fn bias_counts_in_both_directions_and_savings_of_nothing_are_sure_of_nothing() {
    for bias in [-0.001, 0.001] {
        let open = open(&metrics(0.1, bias, 0.9), 200.0, 6, Quantity::Energy);
        assert!(!open.contains(&Gate::Guideline14Bias) && open.contains(&Gate::AdvancedBias));
    }
    let none = gates(&metrics(0.1, 0.0, 0.9), -50.0, &interval(), 6, Quantity::Energy);
    let of = |gate| none.iter().find(|tried| tried.gate == gate).unwrap();
    assert!(!of(Gate::CaltrackNonWires).holds && of(Gate::CaltrackNonWires).measured.is_none());
    assert!(!of(Gate::Ipmvp).holds && of(Gate::Ipmvp).measured.is_some_and(|ratio| (ratio + 5.0).abs() < 1e-9));
}
