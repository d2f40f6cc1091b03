//! The two hourly samples of eemeter: bins, occupancy, statistics of each month, and every hour of the reporting year.

use jiff::tz::TimeZone;
use negawatt_calculator::baseline::{Commodity, Hour, hours};
use negawatt_calculator::model::{Conditions, Fitted, HourlyFit, Method, Mode, Observations, fit_by};
use negawatt_calculator::savings::compare;

use crate::fixtures::{
    assert_close, baseline_period, document, energy_rows, instant, midnight, number, reporting_period, table, temperatures, value,
};

/// The hours of the baseline and of the reporting year, in UTC as the reference ran.
pub(crate) fn sample(meter: &str) -> (Vec<Hour>, Vec<Hour>) {
    let (rows, weather) = (energy_rows(meter), temperatures());
    let of = |period: negawatt_calculator::baseline::Period| {
        hours(&rows, 60, &weather, &TimeZone::UTC, midnight(period.first()), midnight(period.end())).unwrap()
    };
    (of(baseline_period()), of(reporting_period()))
}

fn segments_agree(fit: &HourlyFit, expected: &serde_json::Value) {
    assert_eq!(fit.segments.len(), 12);
    for segment in &fit.segments {
        let name = &segment.name;
        let kept: Vec<f64> = [30, 45, 55, 65, 75, 90]
            .into_iter()
            .filter(|end| expected["temperature_bins"][name][end.to_string()].as_bool().unwrap())
            .map(f64::from)
            .collect();
        assert_eq!(segment.endpoints_f, kept, "{name}");
        let occupied: Vec<u8> = serde_json::from_value(expected["occupied"][name].clone()).unwrap();
        assert_eq!(segment.occupied, occupied, "{name}");
        let of = |metric: &str| number(expected, &format!("/totals_metrics_by_segment/{name}/{metric}"));
        let metrics = &segment.metrics;
        assert_close(f64::from(segment.quantities()), of("num_parameters"), 0.0, name);
        for (found, metric) in [
            (f64::from(metrics.observations), "observed_length"),
            (metrics.observed_mean_wh / 1e3, "observed_mean"),
            (metrics.r_squared, "r_squared"),
            (metrics.r_squared_adj, "r_squared_adj"),
            (metrics.rmse_wh / 1e3, "rmse"),
            (metrics.rmse_adj_wh / 1e3, "rmse_adj"),
            (metrics.cv_rmse, "cvrmse"),
            (metrics.cv_rmse_adj, "cvrmse_adj"),
            (-metrics.nmbe, "nmbe"),
            (metrics.reference.effective_observations, "n_prime"),
        ] {
            assert!((found - of(metric)).abs() <= 1e-8 * of(metric).abs().max(1e-2), "{name} {metric}: {found} against {}", of(metric));
        }
    }
}

fn agrees(meter: &str, commodity: Commodity) {
    let (baseline, reporting) = sample(meter);
    let expected = document("expected-hourly.json")[meter].clone();
    let fitted = fit_by(Method::CaltrackHourly, Mode::Compatible, commodity, Observations::Hours(&baseline)).unwrap();
    let Fitted::CaltrackHourly(fit) = &fitted else { panic!("another method") };
    segments_agree(fit, &expected);

    let mean = number(&expected, "/counterfactual_sum") / 8_760.0;
    let loads = fitted.predict(Conditions::Hours(&reporting)).unwrap();
    let rows = table(&format!("expected-savings-{meter}.csv.gz"));
    let mut compared = 0;
    for ((row, hour), load) in rows.iter().zip(&reporting).zip(&loads) {
        assert_eq!(instant(&row[0]), hour.start);
        let Some(reference) = value(&row[1]) else { continue };
        let found = load.unwrap().total_wh() / 1e3;
        assert!((found - reference).abs() <= 1e-6 * mean, "{meter} {}: {found} against {reference}", &row[0]);
        compared += 1;
    }
    assert_eq!(compared, 8_760);
    let comparison = compare(&fitted, Conditions::Hours(&reporting)).unwrap();
    assert_close(comparison.exact.avoided_wh / 1e3, number(&expected, "/metered_savings_sum"), 1e-8, "savings");
    assert_close(comparison.exact.counterfactual_wh / 1e3, number(&expected, "/counterfactual_sum"), 1e-9, "counterfactual");
    assert_close(comparison.exact.observed_wh / 1e3, number(&expected, "/reporting_observed_sum"), 1e-9, "observed");
    assert_eq!(comparison.base_wh + comparison.heating_wh + comparison.cooling_wh, comparison.counterfactual_wh);
}

#[test]
fn electricity_agrees_with_the_reference_in_every_hour() {
    agrees("il-electricity-cdd-hdd-hourly", Commodity::Electricity);
}

#[test]
fn gas_agrees_with_the_reference_in_every_hour() {
    agrees("il-gas-hdd-only-hourly", Commodity::Gas);
}
