use std::collections::BTreeMap;

use jiff::civil::date;

use super::*;

const VARIABLES: [Variable; 4] = [Variable::LightDemand, Variable::Humidity, Variable::Irrigation, Variable::Production];

fn plan() -> Plan {
    Plan { allowed: BTreeMap::from([(Measure::Climate, VARIABLES.to_vec())]) }
}

fn pseudo(index: i32, step: i32) -> f64 {
    f64::from(index * step % 1_009) / 1_009.0
}

/// A greenhouse of two crop stages with known coefficients.
fn greenhouse(noise: f64) -> Vec<CeaDay> {
    (0..365_i32)
        .map(|index| {
            let date = date(2025, 1, 1).checked_add(jiff::Span::new().days(index)).unwrap();
            let mean_f = 52.0 - 26.0 * f64::from((index - 200).abs() - 90) / 90.0 + 20.0 * (pseudo(index, 337) - 0.5);
            let light = (17.0 - 25.0 * pseudo(index, 191)).max(0.0);
            let humid = (mean_f - 60.0).max(0.0) * 1e-4 * (0.5 + pseudo(index, 523));
            let (water, grown) = (20.0 + 30.0 * pseudo(index, 89), 400.0 + 300.0 * pseudo(index, 661));
            let stage = if index % 60 < 15 { "seedling" } else { "bearing" };
            let use_wh = 500_000.0
                + 20_000.0 * (61.0 - mean_f).max(0.0)
                + 9_000.0 * (mean_f - 72.0).max(0.0)
                + 60_000.0 * light
                + 3e7 * humid
                + 2_000.0 * water
                + 300.0 * grown
                - if stage == "seedling" { 90_000.0 } else { 0.0 }
                + noise * (pseudo(index, 757) - 0.5);
            CeaDay {
                day: Day { date, minutes: 1_440, use_wh: Some(use_wh), temperature_f: Some(mean_f) },
                stage: Some(stage.to_owned()),
                values: vec![Some(light), Some(humid), Some(water), Some(grown)],
            }
        })
        .collect()
}

fn fit(days: &[CeaDay]) -> CeaFit {
    fit_cea(days, &VARIABLES, &plan(), Election::EnergyOnly, Commodity::Electricity, &Search::compatible()).unwrap()
}

#[test]
fn a_greenhouse_is_found_again() {
    let fit = fit(&greenhouse(0.0));
    assert_eq!((fit.hdd.unwrap().balance_f, fit.cdd.unwrap().balance_f), (61.0, 72.0));
    assert!((fit.hdd.unwrap().beta - 20_000.0).abs() < 1e-3 && (fit.cdd.unwrap().beta - 9_000.0).abs() < 1e-3);
    assert!((fit.intercept - 500_000.0).abs() < 1e-2);
    let found: Vec<(&str, f64)> = fit.coefficients.iter().map(|coefficient| (coefficient.name.as_str(), coefficient.value)).collect();
    let expected =
        [("light_demand", 60_000.0), ("humidity", 3e7), ("irrigation", 2_000.0), ("production", 300.0), ("stage:seedling", -90_000.0)];
    for ((name, value), (expected_name, expected)) in found.iter().zip(expected) {
        assert_eq!(*name, expected_name);
        assert!((value / expected - 1.0).abs() < 1e-6, "{name}: {value}");
    }
}

#[test]
fn standard_errors_hold_the_truth_under_noise() {
    let fit = fit(&greenhouse(400_000.0));
    for (coefficient, truth) in fit.coefficients.iter().zip([60_000.0, 3e7, 2_000.0, 300.0, -90_000.0]) {
        let off = (coefficient.value - truth).abs() / coefficient.standard_error;
        assert!(off < 3.5, "{}: {} standard errors from the truth", coefficient.name, off);
        assert!(coefficient.standard_error > 0.0);
    }
    assert!(fit.metrics.r_squared > 0.8 && fit.metrics.fitted_quantities == 10);
}

#[test]
fn expectations_follow_the_parts_and_unknown_stages_have_none() {
    let days = greenhouse(0.0);
    let fit = fit(&days);
    for day in days.iter().step_by(37) {
        assert!((fit.expected(day).unwrap().total_wh() - day.day.use_wh.unwrap()).abs() < 1.0);
    }
    let other = CeaDay { stage: Some("clearing".to_owned()), ..days[0].clone() };
    assert_eq!(fit.expected(&other), None);
    let lacking = CeaDay { values: vec![None, Some(0.0), Some(1.0), Some(1.0)], ..days[0].clone() };
    assert_eq!(fit.expected(&lacking), None);
}

#[test]
fn energy_per_kilogram_falls_with_output_although_nothing_is_saved() {
    let days = greenhouse(0.0);
    let fit = fit(&days);
    let (little, much) = (fit.specific_energy_wh(&days[10], 400.0).unwrap(), fit.specific_energy_wh(&days[10], 700.0).unwrap());
    assert!(little > 1.4 * much);
    assert_eq!(fit.specific_energy_wh(&days[10], 0.0), None);
}

#[test]
fn output_far_outside_the_baseline_is_found_and_not_billable() {
    let fit = fit(&greenhouse(0.0));
    let with = |kg: f64| -> Vec<CeaDay> {
        greenhouse(0.0)
            .into_iter()
            .take(30)
            .map(|mut day| {
                day.values[3] = Some(kg);
                day
            })
            .collect()
    };
    assert!(fit.range_findings(&with(690.0)).is_empty());
    assert!(fit.range_findings(&with(720.0)).is_empty(), "within a tenth of the range");
    let some = fit.range_findings(&with(750.0));
    assert!(some.len() == 1 && some[0].variable == Variable::Production && some[0].billable);
    assert!(!fit.range_findings(&with(900.0))[0].billable);
}

#[test]
fn what_cannot_be_fitted_is_refused_by_name() {
    let days = greenhouse(10.0);
    let refused = |days: &[CeaDay], variables: &[Variable], plan: &Plan| {
        fit_cea(days, variables, plan, Election::EnergyOnly, Commodity::Electricity, &Search::compatible()).unwrap_err().to_string()
    };
    let lighting = Plan { allowed: BTreeMap::from([(Measure::Lighting, vec![Variable::LampHours])]) };
    assert!(refused(&days, &[Variable::LampHours], &lighting).starts_with("the measure Lighting moves lamp_hours"));
    assert_eq!(refused(&days, &VARIABLES[..3], &plan()), "the day 2025-01-01 has 4 values for 3 declared variables");
    assert_eq!(
        refused(&days[..15], &VARIABLES, &plan()),
        "15 complete days do not carry 9 quantities; at least twice as many days are needed"
    );
    let mut same = days.clone();
    same.iter_mut().for_each(|day| day.values[2] = day.values[0]);
    assert!(refused(&same, &VARIABLES, &plan()).starts_with("irrigation says nothing that"));
    let mut nan = days;
    nan[7].values[0] = Some(f64::NAN);
    assert_eq!(refused(&nan, &VARIABLES, &plan()), "a value of the day 2025-01-08 is not a finite number");
}
