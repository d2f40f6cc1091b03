//! Time of week and temperature, and change-point models, against nmecr 1.0.17.

use negawatt_calculator::baseline::{Commodity, qualify};
use negawatt_calculator::model::{
    ChangePointKind, ChangePointSearch, Conditions, Fitted, Slot, TowtFit, TowtSearch, fit_change_points, fit_towt, slots_of_days,
    slots_of_hours,
};

use crate::fixtures::{assert_close, baseline_period, document, number, sample};

fn sse_agrees(fit: &TowtFit, key: &str) -> serde_json::Value {
    let expected = document("expected-nmecr.json")[key].clone();
    assert_close(f64::from(fit.metrics.observations), number(&expected, "/n"), 0.0, key);
    assert_close(fit.sse / 1e6, number(&expected, "/sse"), 1e-8, key);
    if let Some(knots) = expected.get("temp_knots") {
        let knots: Vec<f64> = serde_json::from_value(knots.clone()).unwrap();
        assert_eq!(fit.knots_f.len(), knots.len(), "{key}");
        for (found, knot) in fit.knots_f.iter().zip(knots) {
            assert_close(*found, knot, 1e-12, key);
        }
    }
    assert!(fit.occupied.is_empty(), "no interval of these samples is occupied");
    expected
}

const COMPATIBLE: TowtSearch = TowtSearch { segments: 6, temperature: true, floor_at_zero: true };

fn days_agree(meter: &str, commodity: Commodity) {
    let sample = sample(&format!("{meter}-daily.csv.gz"), commodity);
    let baseline = qualify(&sample.energy, &sample.weather, commodity, baseline_period()).unwrap();
    let fit = fit_towt(&slots_of_days(baseline.days()), 7, commodity, &COMPATIBLE).unwrap();
    let expected = sse_agrees(&fit, &format!("{meter}|daily|TOWT"));
    let fitted = Fitted::Towt(Box::new(fit));
    let sum: f64 = fitted.predict(Conditions::Days(&sample.reporting)).unwrap().iter().flatten().map(|load| load.total_wh()).sum();
    assert_close(sum / 1e3, number(&expected, "/predicted_sum"), 1e-9, meter);
}

fn hours_agree(meter: &str, commodity: Commodity) {
    let (baseline, reporting) = crate::caltrack_hourly::sample(&format!("{meter}-hourly"));
    let rows: Vec<Slot> = slots_of_hours(&baseline);
    let fit = fit_towt(&rows, 168, commodity, &COMPATIBLE).unwrap();
    let expected = sse_agrees(&fit, &format!("{meter}|hourly|TOWT"));
    let fitted = Fitted::Towt(Box::new(fit));
    let sum: f64 = fitted.predict(Conditions::Hours(&reporting)).unwrap().iter().flatten().map(|load| load.total_wh()).sum();
    assert_close(sum / 1e3, number(&expected, "/predicted_sum"), 1e-9, meter);
    let levels = fit_towt(&rows, 168, commodity, &TowtSearch { temperature: false, ..COMPATIBLE }).unwrap();
    sse_agrees(&levels, &format!("{meter}|hourly|TOW"));
}

#[test]
fn time_of_week_and_temperature_agrees_on_days() {
    days_agree("il-electricity-cdd-hdd", Commodity::Electricity);
    days_agree("il-gas-hdd-only", Commodity::Gas);
}

#[test]
fn time_of_week_and_temperature_agrees_on_hours() {
    hours_agree("il-electricity-cdd-hdd", Commodity::Electricity);
    hours_agree("il-gas-hdd-only", Commodity::Gas);
}

/// The forms by the reference's names of them.
const FORMS: [(&str, ChangePointKind); 5] = [
    ("SLR", ChangePointKind::TwoParameter),
    ("3PC", ChangePointKind::ThreeParameterCooling),
    ("3PH", ChangePointKind::ThreeParameterHeating),
    ("4P", ChangePointKind::FourParameter),
    ("5P", ChangePointKind::FiveParameterSloped),
];

fn never_worse(meter: &str, commodity: Commodity) {
    let sample = sample(&format!("{meter}-daily.csv.gz"), commodity);
    let baseline = qualify(&sample.energy, &sample.weather, commodity, baseline_period()).unwrap();
    let free = fit_change_points(baseline.days(), commodity, &ChangePointSearch::compatible()).unwrap();
    for (name, kind) in FORMS {
        let expected = document("expected-nmecr.json")[format!("{meter}|daily|{name}")].clone();
        let reference = number(&expected, "/sse");
        let found = free.candidates.iter().find(|candidate| candidate.kind == kind).unwrap();
        let sse = found.sse / 1e6;
        assert!(sse <= reference * (1.0 + 1e-9), "{meter} {name}: {sse} against {reference}");
        // Its iteration stays in another minimum for fuel that is asked to cool; elsewhere it is close to the optimum.
        let least = if commodity == Commodity::Gas && name == "3PC" { 0.8 } else { 0.985 };
        assert!(sse >= reference * least, "{meter} {name}: {sse} against {reference}: another form?");
        // Where the reference has found the optimum, its change-points are ours.
        if (sse / reference - 1.0).abs() < 1e-7 && name != "SLR" {
            let model = found.model.unwrap();
            let knees: Vec<f64> = [model.heating, model.cooling].into_iter().flatten().map(|knee| knee.at_f).collect();
            for point in expected["breakpoints"].as_array().unwrap() {
                let point = point.as_f64().unwrap();
                assert!(knees.iter().any(|knee| (knee - point).abs() < 0.05), "{meter} {name}: {knees:?} against {point}");
            }
        }
    }
}

#[test]
fn change_points_are_never_worse_than_the_reference() {
    never_worse("il-electricity-cdd-hdd", Commodity::Electricity);
    never_worse("il-gas-hdd-only", Commodity::Gas);
}
