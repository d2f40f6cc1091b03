use jiff::civil::date;

use super::*;

fn year() -> Period {
    Period::before(date(2025, 1, 1), 365).unwrap()
}

fn good() -> (Vec<EnergyDay>, Vec<TemperatureDay>) {
    let days = year().dates().zip((0..30).cycle());
    days.map(|(date, step)| {
        (EnergyDay::whole(date, Some(1_000.0 + f64::from(step))), TemperatureDay::whole(date, Some(30.0 + f64::from(step))))
    })
    .unzip()
}

/// The clauses that a change of good data violates.
fn violated(commodity: Commodity, change: impl Fn(&mut Vec<EnergyDay>, &mut Vec<TemperatureDay>)) -> Vec<Clause> {
    let (mut energy, mut weather) = good();
    change(&mut energy, &mut weather);
    qualify(&energy, &weather, commodity, year())
        .map_or_else(|refused| refused.violations.iter().map(|finding| finding.clause).collect(), |_| Vec::new())
}

#[test]
fn good_days_qualify_without_warnings() {
    let (energy, weather) = good();
    let baseline = qualify(&energy, &weather, Commodity::Electricity, year()).unwrap();
    assert_eq!((baseline.days().len(), baseline.warnings()), (365, [].as_slice()));
}

#[test]
fn each_kind_of_bad_data_is_refused_by_its_clause() {
    use Clause::{EnergyCoverage, FiniteValues, JointCoverage, NegativeUse, UniqueDays, WeatherCoverage};
    use Commodity::{Electricity, Gas};
    assert_eq!(violated(Electricity, |energy, _| energy[7].wh = Some(f64::NAN)), [FiniteValues]);
    assert_eq!(violated(Electricity, |_, weather| weather[7].mean_f = Some(f64::INFINITY)), [FiniteValues]);
    assert_eq!(violated(Gas, |energy, _| energy[7].wh = Some(-5.0)), [NegativeUse]);
    assert_eq!(violated(Electricity, |energy, _| energy.push(energy[3])), [UniqueDays]);
    assert_eq!(violated(Electricity, |_, weather| weather.push(weather[3])), [UniqueDays]);
    assert_eq!(violated(Electricity, |energy, _| energy.truncate(328)), [JointCoverage, EnergyCoverage]);
    assert_eq!(violated(Electricity, |_, weather| weather.truncate(328)), [JointCoverage, WeatherCoverage]);
    assert_eq!(violated(Electricity, |energy, _| energy.clear()), [JointCoverage, EnergyCoverage]);
    // Gaps on different days add up.
    let both = |energy: &mut Vec<EnergyDay>, weather: &mut Vec<TemperatureDay>| {
        energy.truncate(345);
        weather.drain(..20);
    };
    assert_eq!(violated(Electricity, both), [JointCoverage]);
}

#[test]
fn the_limit_of_missing_days_is_the_one_of_the_reference() {
    assert_eq!(violated(Commodity::Electricity, |energy, _| energy.truncate(329)), []);
    assert_eq!(violated(Commodity::Electricity, |energy, _| energy.truncate(328)).len(), 2);
}

#[test]
fn zero_is_missing_electricity_but_a_warm_day_of_gas() {
    let zeros = |energy: &mut Vec<EnergyDay>, _: &mut Vec<TemperatureDay>| energy.iter_mut().take(60).for_each(|day| day.wh = Some(0.0));
    assert_eq!(violated(Commodity::Electricity, zeros).len(), 2);
    assert_eq!(violated(Commodity::Gas, zeros), []);
}

#[test]
fn a_period_that_is_not_a_year_is_refused_with_the_number_of_days() {
    let (energy, weather) = good();
    let short = Period::before(date(2025, 1, 1), 300).unwrap();
    let refused = qualify(&energy, &weather, Commodity::Electricity, short).unwrap_err();
    assert_eq!(refused.to_string(), "the baseline is disqualified by 1 clause(s): 2.2.1.1: days in the baseline 300, allowed exactly 365");
}

#[test]
fn what_needs_an_eye_is_a_warning() {
    let (mut energy, weather) = good();
    energy[0].wh = Some(-3.0);
    energy[1].wh = Some(90_000.0);
    energy[40..50].iter_mut().for_each(|day| day.wh = None);
    let baseline = qualify(&energy, &weather, Commodity::Electricity, year()).unwrap();
    let clauses: Vec<Clause> = baseline.warnings().iter().map(|finding| finding.clause).collect();
    assert_eq!(clauses, [Clause::NegativeUse, Clause::ExtremeUse, Clause::MonthlyCoverage]);
}

#[test]
fn a_baseline_from_json_is_qualified_again() {
    let (energy, weather) = good();
    let baseline = qualify(&energy, &weather, Commodity::Electricity, year()).unwrap();
    let text = serde_json::to_string(&baseline).unwrap();
    assert_eq!(serde_json::from_str::<Baseline>(&text).unwrap(), baseline);
    let mut cut: serde_json::Value = serde_json::from_str(&text).unwrap();
    cut["days"].as_array_mut().unwrap().truncate(300);
    let error = serde_json::from_value::<Baseline>(cut).unwrap_err().to_string();
    assert!(error.contains("2.2.1.2: share of days with energy 0.8219"), "{error}");
}
