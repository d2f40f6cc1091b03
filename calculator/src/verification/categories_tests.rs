use super::super::facts::MeterClock;
use super::*;

/// Facts that pass in every category.
pub(in crate::verification) fn good() -> Facts {
    Facts {
        hourly: false,
        valid_share: Some(0.99),
        worst_month_share: Some(0.97),
        longest_gap_days: Some(2.0),
        meter_class: Some(0.5),
        certificate_expired_months: Some(0.0),
        transformer_ratio_verified: Some(true),
        register_difference: Some(-0.004),
        worst_bill_difference: Some(0.009),
        year_bill_difference: Some(-0.004),
        clock: Some(MeterClock { zone_known: true, offset_minutes: -1.0, long_days_right: true, lag_stable: Some(true) }),
        flagged_share: Some(0.001),
        unexplained_energy_share: Some(0.0),
        estimated_energy_share: Some(0.002),
        weather_on_site: Some(false),
        station_distance_km: Some(20.0),
        station_elevation_m: Some(-40.0),
        weather_coverage: Some(0.99),
        baseline_days: Some(365.0),
        temperature_beyond: Some(0.02),
        production_relevant: true,
        production_coverage: Some(0.97),
        production_beyond: Some(0.0),
        cv_out_of_sample: Some(0.12),
        nmbe_out_of_sample: Some(-0.002),
        expected_fsu: Some(0.2),
        inventory_signed: Some(true),
        explained_changes: Some(0.0),
        unexplained_changes: Some(0.0),
        chain_unbroken: Some(true),
        records_in_time: Some(true),
        auditor_independent: Some(true),
        rerun_identical: Some(true),
    }
}

/// The verdict of one category after a change of good facts; all others pass.
fn after(category: Category, change: impl Fn(&mut Facts)) -> Verdict {
    let mut facts = good();
    change(&mut facts);
    let checks = check(&facts, "");
    let others = checks.iter().filter(|check| check.category != category);
    assert!(others.clone().all(|check| check.verdict == Verdict::Pass), "{category:?} moves {others:?}");
    checks.iter().find(|check| check.category == category).unwrap().verdict
}

#[test]
fn good_facts_pass_and_no_facts_fail() {
    let checks = check(&good(), "hash");
    let numbers: Vec<u8> = checks.iter().map(|check| check.number).collect();
    assert_eq!(numbers, (1..=15).collect::<Vec<u8>>());
    assert!(checks.iter().all(|check| check.verdict == Verdict::Pass && check.evidence == "hash"));
    let judged = verdict(&checks);
    assert_eq!((judged.passed, judged.verifiable, judged.acceptable), (15, true, true));

    let unknown = verdict(&check(&Facts::default(), ""));
    // Production is not declared relevant, which is no failure.
    assert_eq!((unknown.passed, unknown.failed, unknown.verifiable), (1, 14, false));
    assert!(!verdict(&checks[..14]).verifiable, "a category that was not checked");
}

#[test]
fn each_category_has_its_limits() {
    use Category as C;
    use Verdict::{Conditional, Fail, Pass};
    type Change = fn(&mut Facts, f64);
    let limits: [(Category, Change, f64, f64, f64); 19] = [
        (C::Completeness, |facts, value| facts.valid_share = Some(value), 0.95, 0.90, 0.899),
        (C::LongestGap, |facts, value| facts.longest_gap_days = Some(value), 3.0, 14.0, 15.0),
        (C::MeterAccuracy, |facts, value| facts.meter_class = Some(value), 1.0, 2.0, 3.0),
        (C::MeterAccuracy, |facts, value| facts.certificate_expired_months = Some(value), 0.0, 12.0, 13.0),
        (C::RegisterAgreement, |facts, value| facts.register_difference = Some(-value), 0.005, 0.02, 0.021),
        (C::BillReconciliation, |facts, value| facts.worst_bill_difference = Some(-value), 0.01, 0.03, 0.031),
        (C::BillReconciliation, |facts, value| facts.year_bill_difference = Some(value), 0.005, 0.015, 0.016),
        (C::Outliers, |facts, value| facts.flagged_share = Some(value), 0.005, 0.02, 0.021),
        (C::Outliers, |facts, value| facts.unexplained_energy_share = Some(value), 0.0, 0.05, 0.051),
        (C::EstimatedData, |facts, value| facts.estimated_energy_share = Some(value), 0.01, 0.05, 0.051),
        (C::Weather, |facts, value| facts.weather_coverage = Some(value), 0.98, 0.90, 0.89),
        (C::Weather, |facts, value| facts.station_distance_km = Some(value), 50.0, 200.0, 201.0),
        (C::Seasonality, |facts, value| facts.baseline_days = Some(value), 365.0, 330.0, 328.0),
        (C::Seasonality, |facts, value| facts.temperature_beyond = Some(value), 0.10, 0.20, 0.21),
        (C::Production, |facts, value| facts.production_coverage = Some(value), 0.95, 0.90, 0.89),
        (C::Production, |facts, value| facts.production_beyond = Some(value), 0.10, 0.25, 0.26),
        (C::ModelFit, |facts, value| facts.cv_out_of_sample = Some(value), 0.15, 0.25, 0.26),
        (C::ModelFit, |facts, value| facts.nmbe_out_of_sample = Some(-value), 0.005, 0.02, 0.021),
        (C::Uncertainty, |facts, value| facts.expected_fsu = Some(value), 0.25, 0.50, 0.51),
    ];
    for (category, change, pass, conditional, fail) in limits {
        let of = |value| after(category, |facts| change(facts, value));
        assert_eq!([of(pass), of(conditional), of(fail)], [Pass, Conditional, Fail], "{category:?} at {pass}");
    }
    assert_eq!(after(C::TimeAlignment, |facts| facts.clock.as_mut().unwrap().offset_minutes = 14.0), Conditional);
    assert_eq!(after(C::TimeAlignment, |facts| facts.clock.as_mut().unwrap().offset_minutes = -16.0), Fail);
    assert_eq!(after(C::TimeAlignment, |facts| facts.clock.as_mut().unwrap().long_days_right = false), Conditional);
    assert_eq!(after(C::TimeAlignment, |facts| facts.clock.as_mut().unwrap().zone_known = false), Fail);
    assert_eq!(after(C::TimeAlignment, |facts| facts.clock = None), Fail);
    assert_eq!(after(C::Completeness, |facts| facts.worst_month_share = Some(0.89)), Conditional);
    assert_eq!(after(C::Weather, |facts| facts.station_elevation_m = Some(-300.0)), Conditional);
    let on_site = |facts: &mut Facts| (facts.weather_on_site, facts.station_distance_km) = (Some(true), None);
    assert_eq!(after(C::Weather, on_site), Pass);
    assert_eq!(after(C::Stability, |facts| facts.explained_changes = Some(2.0)), Conditional);
    assert_eq!(after(C::Stability, |facts| facts.unexplained_changes = Some(1.0)), Fail);
    assert_eq!(after(C::Stability, |facts| facts.inventory_signed = Some(false)), Fail);
    assert_eq!(after(C::Integrity, |facts| facts.records_in_time = Some(false)), Conditional);
    assert_eq!(after(C::Integrity, |facts| facts.chain_unbroken = Some(false)), Fail);
    assert_eq!(after(C::Integrity, |facts| facts.auditor_independent = None), Fail);
    assert_eq!(after(C::Integrity, |facts| facts.rerun_identical = Some(false)), Fail);
    assert_eq!(after(C::MeterAccuracy, |facts| facts.transformer_ratio_verified = Some(false)), Fail);
    // Hours vary more than days.
    let hourly = |facts: &mut Facts| {
        (facts.hourly, facts.cv_out_of_sample, facts.longest_gap_days) = (true, Some(0.25), Some(0.25));
    };
    assert_eq!(after(C::ModelFit, hourly), Pass);
    // Six hours in a row are the most that passes for them, where days may lack three.
    let gap = |facts: &mut Facts| (facts.hourly, facts.longest_gap_days) = (true, Some(0.3));
    assert_eq!(after(C::LongestGap, gap), Conditional);
}

#[test]
fn only_conditions_can_be_waived_and_only_three_of_them() {
    let waiver =
        || Waiver { reason: "the gap was the meter's exchange".to_owned(), auditor: "A. Uditor".to_owned(), signed: "a".repeat(64) };
    let mut facts = good();
    facts.longest_gap_days = Some(10.0);
    facts.valid_share = Some(0.92);
    facts.meter_class = Some(2.0);
    let mut checks = check(&facts, "");
    assert_eq!((verdict(&checks).conditional, verdict(&checks).verifiable, verdict(&checks).acceptable), (3, true, false));
    for check in checks.iter_mut().filter(|check| check.verdict == Verdict::Conditional) {
        assert!(check.waive(Waiver { reason: String::new(), ..waiver() }).is_err());
        assert!(check.waive(Waiver { signed: "yes".to_owned(), ..waiver() }).is_err());
        check.waive(waiver()).unwrap();
    }
    assert!(verdict(&checks).acceptable);
    assert_eq!(checks[14].waive(waiver()), Err(WaiverError::NotConditional(Category::Integrity)));
    facts.expected_fsu = Some(0.4);
    assert!(!verdict(&check(&facts, "")).verifiable, "four conditions");
    facts.expected_fsu = Some(0.6);
    let mut failed = check(&facts, "");
    assert_eq!(failed[12].waive(waiver()), Err(WaiverError::NotConditional(Category::Uncertainty)));
}

#[test]
fn a_category_is_called_as_json_calls_it() {
    for category in Category::ALL {
        assert_eq!(serde_json::to_value(category).unwrap(), serde_json::Value::from(category.name()));
    }
}
