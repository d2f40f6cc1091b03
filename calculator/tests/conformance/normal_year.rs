//! Normalised savings of eemeter: a model of each year, both asked about the calendar year 2016.

use jiff::civil::date;
use jiff::tz::TimeZone;
use negawatt_calculator::baseline::{Commodity, Cut, Day, EnergyDay, Period, TemperatureDay, qualify, temperature_days};
use negawatt_calculator::model::{Conditions, Fitted, Method, Mode, Observations, fit_by};
use negawatt_calculator::savings::normal_year;

use crate::caltrack_billing::meter;
use crate::fixtures::{assert_close, baseline_period, document, number, reporting_period, sample, temperatures};

/// The 366 days that the reference asks about.
fn weather_of_2016() -> Vec<Day> {
    let year = Period::new(date(2016, 1, 1), date(2017, 1, 1)).unwrap();
    let means = temperature_days(&temperatures(), &TimeZone::UTC, year).unwrap();
    means.iter().map(|day| Day { date: day.date, minutes: 1_440, use_wh: None, temperature_f: day.mean_f }).collect()
}

fn agrees(name: &str, before: &Fitted, after: &Fitted) {
    let expected = document("expected-billing.json")[name]["modeled_savings_2016"].clone();
    let parameters = after.parameters(1_000.0);
    assert_eq!(expected["reporting_model"]["model_type"].as_str(), Some(parameters.kind.as_str()), "{name}");
    for (parameter, value) in expected["reporting_model"]["model_params"].as_object().unwrap() {
        assert_close(parameters.number(parameter).unwrap(), value.as_f64().unwrap(), 1e-9, parameter);
    }
    let saved = normal_year(before, after, Conditions::Days(&weather_of_2016()), 0.9).unwrap();
    let bands = saved.reference.unwrap();
    for (found, pointer) in [
        (saved.exact_wh.0, "/sum_baseline"),
        (saved.exact_wh.1, "/sum_reporting"),
        (saved.exact_wh.0 - saved.exact_wh.1, "/sum_modeled_savings"),
        (bands.baseline_wh, "/error_bands/FSU Error Band: Baseline"),
        (bands.reporting_wh, "/error_bands/FSU Error Band: Reporting"),
        (bands.savings_wh, "/error_bands/FSU Error Band"),
    ] {
        assert_close(found / 1e3, number(&expected, pointer), 1e-9, &format!("{name} {pointer}"));
    }
    assert_eq!(saved.base_wh + saved.heating_wh + saved.cooling_wh, saved.savings_wh);
}

#[test]
fn models_of_days_agree() {
    for (name, commodity) in [("il-electricity-cdd-hdd-daily", Commodity::Electricity), ("il-gas-hdd-only-daily", Commodity::Gas)] {
        let sample = sample(&format!("{name}.csv.gz"), commodity);
        let of = |energy: &[EnergyDay], weather: &[TemperatureDay], period: Period| {
            let baseline = qualify(energy, weather, commodity, period).unwrap();
            fit_by(Method::CaltrackDaily, Mode::Compatible, commodity, Observations::Days(&baseline)).unwrap()
        };
        let before = of(&sample.energy, &sample.weather, baseline_period());
        let weather = temperature_days(&temperatures(), &TimeZone::UTC, reporting_period()).unwrap();
        agrees(name, &before, &of(&sample.energy, &weather, reporting_period()));
    }
}

#[test]
fn models_of_bills_agree() {
    for name in ["il-electricity-cdd-hdd-billing_monthly", "il-gas-hdd-only-billing_monthly"] {
        let meter = meter(name, &Cut::FromStart);
        let of = |bills| fit_by(Method::CaltrackBilling, Mode::Compatible, meter.commodity, Observations::Bills(bills)).unwrap();
        agrees(name, &of(&meter.baseline), &of(&meter.reporting));
    }
}
