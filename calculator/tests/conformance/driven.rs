//! A greenhouse through the door of every other question: variables beside the meter, and what they may not be.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};
use negawatt_calculator::assessment::{
    Answer, AssessError, MeterSettings, Method, Mode, Question, Row, Series, Site, Source, Status, Weather,
};
use negawatt_calculator::baseline::{Commodity, EnergyUnit, TemperatureUnit};
use negawatt_calculator::model::cea::{DriverRow, Drivers, Election, Measure, Plan, Variable};

use crate::coverage::noise::Noise;

const DAY: i64 = 86_400;
const FIRST: Date = date(2024, 1, 1);
const DAYS: i32 = 740;
const SAVED_KWH: f64 = 60.0;

/// A number between 0 and 1 for each day and each thing that varies.
fn pseudo(day: i32, thing: u64) -> f64 {
    Noise::new(2_026, thing, u64::try_from(day).unwrap()).uniform()
}

fn light(day: i32) -> f64 {
    (17.0 - 25.0 * pseudo(day, 1)).max(0.0)
}

fn degrees(day: i32) -> f64 {
    55.0 - 22.0 * f64::from(((day % 365) - 200).abs() - 90) / 90.0 + 12.0 * (pseudo(day, 2) - 0.5)
}

/// 500 kWh a day, heating, lamps, 0.3 kWh for each kg; from the 376th day on 60 kWh less.
fn used(day: i32, kg: f64) -> f64 {
    let saved = if day >= 376 { SAVED_KWH } else { 0.0 };
    500.0 + 9.0 * (60.0 - degrees(day)).max(0.0) + 30.0 * light(day) + 0.3 * kg + 40.0 * (pseudo(day, 3) - 0.5) - saved
}

fn answer(variables: &[Variable], measure: Measure, growth: f64, method: Method) -> Result<Answer, AssessError> {
    let kg = |day: i32| (400.0 + 300.0 * pseudo(day, 4)) * if day >= 376 { growth } else { 1.0 };
    let start = FIRST.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second();
    let meter = (0..=DAYS).map(|day| Row { at: start + i64::from(day) * DAY, value: (day < DAYS).then(|| used(day, kg(day))) });
    let weather = (0..=DAYS * 24).map(|hour| Row { at: start + i64::from(hour) * 3_600, value: Some(degrees(hour / 24)) });
    let rows: BTreeMap<Date, DriverRow> = (0..DAYS)
        .map(|day| {
            let values = variables.iter().map(|variable| Some(if *variable == Variable::Production { kg(day) } else { light(day) }));
            (FIRST.checked_add(jiff::Span::new().days(day)).unwrap(), DriverRow { stage: None, values: values.collect() })
        })
        .collect();
    let plan = Plan { allowed: BTreeMap::from([(measure, variables.to_vec())]) };
    let question = Question {
        method,
        mode: Mode::Strict,
        commodity: Commodity::Electricity,
        unit: EnergyUnit::KilowattHour,
        zone: None,
        blackout_start: date(2025, 1, 1),
        blackout_end: Some(date(2025, 1, 11)),
        drivers: (!variables.is_empty()).then(|| Drivers { variables: variables.to_vec(), rows, plan, election: Election::EnergyOnly }),
        site: Site::default(),
        meter: MeterSettings::default(),
    };
    let weather = Weather { series: Series::new(weather.collect()).unwrap(), unit: TemperatureUnit::Fahrenheit };
    Answer::to(&question, &Series::new(meter.collect()).unwrap(), &weather)
}

const BOTH: [Variable; 2] = [Variable::LightDemand, Variable::Production];

#[test]
fn what_the_lamps_and_the_crop_explain_is_not_saved() {
    let found = answer(&BOTH, Measure::Climate, 1.2, Method::ControlledEnvironment).unwrap();
    assert_eq!((found.assessment.status, found.inputs.drivers_rows), (Status::Qualified, Some(740)));
    let model = found.assessment.model.unwrap();
    assert!(
        (model.number("beta_light_demand").unwrap() - 30.0).abs() < 1.0 && (model.number("beta_production").unwrap() - 0.3).abs() < 0.05
    );
    let avoided = found.assessment.avoided.unwrap();
    let (truth, [low, high]) = (SAVED_KWH * f64::from(avoided.rows_compared), avoided.interval_90.unwrap());
    assert!(low < truth && truth < high && high - low < 0.2 * truth, "{avoided:?} against {truth}");
    // The weather alone would call the larger harvest waste.
    let blind = answer(&[], Measure::Climate, 1.2, Method::CaltrackDaily).unwrap().assessment.avoided.unwrap();
    assert!(blind.savings < 0.8 * truth, "{blind:?}");
}

#[test]
fn a_harvest_far_outside_the_baseline_is_not_billable() {
    let found = answer(&BOTH, Measure::Climate, 2.0, Method::ControlledEnvironment).unwrap().assessment;
    assert_eq!(found.status, Status::Disqualified);
    let finding = found.sufficiency.findings.iter().find(|finding| finding.name == "production_outside_baseline").unwrap();
    assert!(finding.measured > 0.25, "{finding:?}");
}

#[test]
fn variables_are_refused_where_they_cannot_be_used() {
    let moved = answer(&[Variable::LampHours], Measure::Lighting, 1.0, Method::ControlledEnvironment).unwrap_err();
    assert_eq!(moved.file(), Some(Source::Drivers));
    let unused = answer(&BOTH, Measure::Climate, 1.0, Method::ChangePoint).unwrap_err().to_string();
    assert!(unused.contains("change-point knows no variables"), "{unused}");
    let without = answer(&[], Measure::Climate, 1.0, Method::ControlledEnvironment).unwrap_err().to_string();
    assert!(without.contains("--drivers"), "{without}");
}

/// The variables are part of what the digest is over.
#[test]
fn another_variable_is_another_digest() {
    let digest =
        |variables| answer(variables, Measure::Climate, 1.0, Method::ControlledEnvironment).unwrap().inputs.drivers_digest.unwrap();
    assert_ne!(digest(&BOTH), digest(&[Variable::LightDemand]));
    assert_eq!(digest(&BOTH), digest(&BOTH));
}
