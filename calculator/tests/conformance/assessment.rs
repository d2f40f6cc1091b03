//! The whole way from the rows of two files to the answer, against what eemeter 2.10.11 says of the same files.

use std::collections::BTreeMap;

use jiff::civil::date;
use jiff::tz::TimeZone;
use negawatt_calculator::assessment::{
    Answer, Assessment, MeterSettings, Method, Mode, Question, Row, Series, Site, Status, Verdict, Weather,
};
use negawatt_calculator::baseline::{Commodity, EnergyUnit, TemperatureUnit};
use negawatt_calculator::model::Candidate;

use crate::fixtures::{assert_close, expected, instant, number, table, value};

fn rows(file: &str) -> Series {
    let rows = table(file).iter().map(|row| Row { at: instant(&row[0]).as_second(), value: value(&row[1]) }).collect();
    Series::new(rows).unwrap()
}

pub(crate) fn weather() -> Weather {
    Weather { series: rows("il_temperature_hourly.csv.gz"), unit: TemperatureUnit::Fahrenheit }
}

fn question(commodity: Commodity, mode: Mode) -> Question {
    Question {
        method: Method::CaltrackDaily,
        mode,
        commodity,
        unit: if commodity == Commodity::Gas { EnergyUnit::Therm } else { EnergyUnit::KilowattHour },
        zone: Some(TimeZone::UTC),
        blackout_start: date(2016, 12, 26),
        blackout_end: Some(date(2017, 1, 4)),
        drivers: None,
        site: Site::default(),
        meter: MeterSettings::default(),
    }
}

const METERS: [(&str, Commodity); 7] = [
    ("il-electricity-cdd-hdd-daily", Commodity::Electricity),
    ("il-gas-hdd-only-daily", Commodity::Gas),
    ("syn01", Commodity::Electricity),
    ("syn02", Commodity::Electricity),
    ("syn03", Commodity::Electricity),
    ("syn04", Commodity::Electricity),
    ("syn05", Commodity::Electricity),
];

#[test]
fn the_answer_is_the_published_programs_in_every_number() {
    let weather = weather();
    for (meter, commodity) in METERS {
        let answer = Answer::to(&question(commodity, Mode::Compatible), &rows(&format!("{meter}.csv.gz")), &weather).unwrap();
        let expected = expected(meter);
        let found = &answer.assessment;
        let passes = meter != "syn04";
        assert_eq!(found.status, if passes { Status::Qualified } else { Status::Disqualified }, "{meter}");
        assert_eq!(found.sufficiency.status, if passes { Verdict::Pass } else { Verdict::Fail }, "{meter}");
        // The published result of this meter is kept in the fixtures as its refusal alone.
        let Some(params) = expected.pointer("/model/model_params").and_then(|params| params.as_object()) else { continue };
        let model = found.model.as_ref().unwrap();
        assert_eq!(model.params.len(), params.len(), "{meter}");
        for (name, param) in params {
            assert_close(model.number(name).unwrap(), param.as_f64().unwrap(), 1e-9, name);
        }
        assert_close(found.r_squared_adj.unwrap(), number(&expected, "/model/r_squared_adj"), 1e-9, "r_squared_adj");
        let statistics: BTreeMap<String, Option<f64>> =
            serde_json::from_value(serde_json::to_value(found.metrics.unwrap()).unwrap()).unwrap();
        for (name, metric) in expected["metrics"].as_object().unwrap() {
            let metric = metric.as_f64().unwrap();
            let found = statistics[name].unwrap();
            assert!((found - metric).abs() <= 1e-9 * metric.abs().max(1e-4), "{meter} {name}: {found} against {metric}");
        }
        let avoided = found.avoided.as_ref().unwrap();
        for (found, name) in [
            (avoided.savings, "metered_savings_sum"),
            (avoided.counterfactual, "counterfactual_sum"),
            (avoided.observed, "reporting_observed_sum"),
            (avoided.fsu_band.unwrap(), "error_bands_90/FSU Error Band"),
            (avoided.ols_band.unwrap(), "error_bands_90/OLS Error Band"),
            (avoided.ols_band_model.unwrap(), "error_bands_90/OLS Error Band: Model Error"),
            (avoided.ols_band_noise.unwrap(), "error_bands_90/OLS Error Band: Noise"),
        ] {
            assert_close(found, number(&expected, &format!("/savings/{name}")), 1e-9, name);
        }
    }
}

/// Labels at midnight UTC are dates to us: the facility's own days, and the 837 kWh that six hours of shift had hidden.
#[test]
fn strict_mode_takes_the_days_of_the_facility() {
    let asked = Question { zone: Some(TimeZone::fixed(jiff::tz::offset(-6))), ..question(Commodity::Electricity, Mode::Strict) };
    let answer = Answer::to(&asked, &rows("il-electricity-cdd-hdd-daily.csv.gz"), &weather()).unwrap();
    let model = answer.assessment.model.unwrap();
    let point = |name: &str| model.number(name);
    assert_eq!((point("cooling_balance_point"), point("heating_balance_point")), (Some(67.0), Some(53.0)));
    assert!((answer.assessment.r_squared_adj.unwrap() - 0.7719).abs() < 5e-5);
    assert!((answer.assessment.avoided.unwrap().savings - 837.1).abs() < 0.05);
}

/// The digest of a year ago is the digest of today, in every build and on every machine.
#[test]
fn the_digest_is_the_same_from_day_to_day() {
    let meter = rows("il-electricity-cdd-hdd-daily.csv.gz");
    let digest = |mode| Answer::to(&question(Commodity::Electricity, mode), &meter, &weather()).unwrap().digest;
    let found = [digest(Mode::Compatible), digest(Mode::Strict)];
    assert_eq!(found, [include_str!("digest-compatible.txt").trim(), include_str!("digest-strict.txt").trim()]);
}

#[test]
fn an_answer_survives_its_text() {
    let answer = Answer::to(&question(Commodity::Gas, Mode::Compatible), &rows("il-gas-hdd-only-daily.csv.gz"), &weather()).unwrap();
    let text = serde_json::to_string(&answer).unwrap();
    let read: Answer = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
}

/// How many candidates of an answer are the selected one.
fn selected(found: &Assessment) -> usize {
    let point = |name: &str| found.model.as_ref().and_then(|model| model.number(name));
    let winner = (point("heating_balance_point"), point("cooling_balance_point"));
    let of_grid = |candidate: &&Candidate| (candidate.points.heating_f.map(f64::from), candidate.points.cooling_f.map(f64::from)) == winner;
    found.candidates.iter().filter(of_grid).count() + found.tried.iter().filter(|row| row.selected).count()
}

/// Whatever won, and by whatever rules: one candidate is the selected one, and each other says why it is not.
#[test]
fn exactly_one_candidate_is_selected() {
    let weather = weather();
    for (method, meter) in [
        (Method::CaltrackDaily, "il-electricity-cdd-hdd-daily"),
        (Method::ChangePoint, "syn01"),
        (Method::Best, "il-electricity-cdd-hdd-daily"),
        (Method::Best, "il-gas-hdd-only-daily"),
        (Method::Best, "syn01"),
        (Method::Best, "syn03"),
        (Method::Best, "syn05"),
        (Method::Best, "il-electricity-cdd-hdd-billing_monthly"),
    ] {
        let commodity = if meter.contains("gas") { Commodity::Gas } else { Commodity::Electricity };
        for mode in Mode::ALL {
            let asked = Question { method, ..question(commodity, mode) };
            let found = Answer::to(&asked, &rows(&format!("{meter}.csv.gz")), &weather).unwrap().assessment;
            if found.model.is_some() {
                assert_eq!(selected(&found), 1, "{method} {meter} {mode:?}");
            }
        }
    }
}

/// Bills and hours through the same door, against the published savings.
#[test]
fn the_other_methods_answer_through_the_same_door() {
    let weather = weather();
    let ask = |method, meter: &str, commodity| {
        let asked = Question { method, ..question(commodity, Mode::Compatible) };
        Answer::to(&asked, &rows(&format!("{meter}.csv.gz")), &weather).unwrap().assessment
    };
    let expected = crate::fixtures::document("expected-billing.json");
    for (meter, commodity) in [
        ("il-electricity-cdd-hdd-billing_monthly", Commodity::Electricity),
        ("il-gas-hdd-only-billing_monthly", Commodity::Gas),
        ("il-gas-hdd-only-billing_bimonthly", Commodity::Gas),
    ] {
        let found = ask(Method::CaltrackBilling, meter, commodity);
        let names: Vec<&str> = found.sufficiency.findings.iter().map(|finding| finding.name.as_str()).collect();
        assert_eq!((found.status, names.as_slice()), (Status::Disqualified, ["incorrect_number_of_total_days"].as_slice()), "{meter}");
        let avoided = found.avoided.unwrap();
        let of = |name: &str| number(&expected[meter], name);
        assert_close(avoided.savings, of("/metered_savings_sum"), 1e-9, meter);
        assert_close(avoided.fsu_band.unwrap(), of("/error_bands_90/FSU Error Band"), 3e-9, meter);
        assert_close(found.metrics.unwrap().cvrmse_adj.unwrap(), of("/metrics/cvrmse_adj"), 1e-9, meter);
        assert!(avoided.interval_90_half_width.unwrap() > 0.0);
    }
    let expected = crate::fixtures::document("expected-hourly.json");
    let meter = "il-electricity-cdd-hdd-hourly";
    let found = ask(Method::CaltrackHourly, meter, Commodity::Electricity);
    assert_eq!((found.status, found.sufficiency.status), (Status::Qualified, Verdict::Pass));
    assert_eq!((found.tried.len(), selected(&found)), (13, 1), "twelve months, and the model that they are");
    let avoided = found.avoided.unwrap();
    assert_close(avoided.savings, number(&expected[meter], "/metered_savings_sum"), 1e-8, meter);
    assert!((100.0..400.0).contains(&avoided.interval_90_half_width.unwrap()), "{avoided:?}");
    for method in [Method::Towt, Method::ChangePoint, Method::Best] {
        let found = ask(method, meter, Commodity::Electricity);
        assert_eq!(found.status, Status::Qualified, "{method}");
        assert_eq!(selected(&found), 1, "{method}");
        let avoided = found.avoided.unwrap();
        assert!((700.0..1_300.0).contains(&avoided.savings), "{method}: {avoided:?}");
        let [low, high] = avoided.interval_90.unwrap();
        assert!(low < avoided.savings && avoided.savings < high && (100.0..900.0).contains(&(high - low)), "{method}: {avoided:?}");
    }
}
