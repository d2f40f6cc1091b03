//! The interval formulas of three published programs, on the statistics that each of them printed.

use negawatt_calculator::uncertainty::{BandInputs, Cadence, Factor, Sample, bands_of, share};
use serde_json::Value;

use crate::fixtures::{assert_close, document, expected, number};

/// The cases of one program by name.
fn cases(program: &str) -> Vec<(String, Value)> {
    let document = document("expected-uncertainty.json");
    document[program].as_object().unwrap().iter().map(|(name, case)| (name.clone(), case.clone())).collect()
}

#[test]
fn eemeter_on_bills() {
    let cases = cases("eemeter");
    assert_eq!(cases.len(), 4);
    for (name, case) in cases {
        let inputs = BandInputs {
            observations: number(&case, "/observed_length"),
            effective_observations: number(&case, "/n_prime"),
            slopes: number(&case, "/num_parameters"),
            observed_mean_wh: number(&case, "/observed_mean"),
            observed_variance: number(&case, "/observed_variance"),
            rmse_adj_wh: number(&case, "/rmse_adj"),
            cv_rmse_adj: number(&case, "/cvrmse_adj"),
        };
        let months = (number(&case, "/reporting_days") / 30.0).round();
        let mean = number(&case, "/observed_sum") / number(&case, "/rows");
        let bands = bands_of(Cadence::Billing, &inputs, months, mean, 0.9);
        for (found, band) in [
            (bands.fsu_wh, "FSU Error Band"),
            (bands.ols_wh, "OLS Error Band"),
            (bands.ols_model_wh, "OLS Error Band: Model Error"),
            (bands.ols_noise_wh, "OLS Error Band: Noise"),
        ] {
            // The reference's own t at four degrees of freedom is 2.3e-9 too small; the closed form is in the tests of ours.
            let tolerance = if (inputs.observations - inputs.slopes - 4.0).abs() < 0.5 { 1e-8 } else { 1e-9 };
            assert_close(found, number(&case, &format!("/bands/{band}")), tolerance, &format!("{name} {band}"));
        }
    }
}

#[test]
fn opendsm_on_hours_days_and_bills() {
    let cases = cases("opendsm");
    assert_eq!(cases.len(), 10);
    for (name, case) in cases {
        let sample = Sample {
            observations: number(&case, "/observations"),
            effective_observations: number(&case, "/n_prime"),
            // This version takes t with one degree of freedom less than it reports, which was corrected later.
            degrees_of_freedom: number(&case, "/ddof") - 1.0,
            cv_rmse: number(&case, "/cvrmse_adj"),
        };
        let factor = match case["kind"].as_str().unwrap() {
            "hourly" => Factor::Guideline14,
            "daily" => Factor::SunBaltazar(Cadence::Daily, 12.0),
            _ => Factor::SunBaltazar(Cadence::Billing, 12.0),
        };
        let width = number(&case, "/predicted_sum") * share(&sample, factor, number(&case, "/reporting"), 0.9);
        assert_close(width, number(&case, "/g14_total_savings_uncertainty_90"), 1e-9, &name);
    }
}

/// nmecr divides by the savings fraction, here one half; it takes the months of the baseline, and leaves `n′` out below a
/// correlation of one half.
#[test]
fn nmecr_on_days() {
    let cases = cases("nmecr");
    assert_eq!(cases.len(), 11);
    let mean = |meter: &str| number(&expected(&format!("{meter}-daily")), "/metrics/observed_mean");
    for (name, case) in cases {
        let (n, degrees_of_freedom) = (number(&case, "/n"), number(&case, "/degrees_of_freedom"));
        let cv_rmse = (number(&case, "/sse") / degrees_of_freedom).sqrt() / mean(name.split('|').next().unwrap());
        let sample = Sample { observations: n, effective_observations: n, degrees_of_freedom, cv_rmse };
        let found = share(&sample, Factor::SunBaltazar(Cadence::Daily, n / 30.0), n, 0.9) / 0.5;
        assert_close(found, number(&case, "/for_50pct"), 1e-9, &name);
    }
}
