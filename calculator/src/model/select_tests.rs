use jiff::civil::date;
use proptest::prelude::*;

use super::super::candidate::Reason;
use super::super::shape::Grid;
use super::*;
use crate::baseline::{Baseline, Commodity, EnergyDay, Period, TemperatureDay, qualify};

fn year() -> Period {
    Period::before(date(2025, 1, 1), 365).unwrap()
}

/// A year of temperatures between winter and summer, with weather that changes from day to day.
fn temperatures() -> Vec<f64> {
    (0..365_u32).map(|day| 52.0 - 28.0 * (f64::from(day) * std::f64::consts::TAU / 365.0).cos() + f64::from(day * 37 % 23) - 11.0).collect()
}

fn baseline(use_wh: impl Fn(usize, f64) -> f64) -> Baseline {
    let days = year().dates().zip(temperatures()).enumerate();
    let (energy, weather): (Vec<_>, Vec<_>) = days
        .map(|(index, (date, mean_f))| (EnergyDay::whole(date, Some(use_wh(index, mean_f))), TemperatureDay::whole(date, Some(mean_f))))
        .unzip();
    qualify(&energy, &weather, Commodity::Electricity, year()).unwrap()
}

/// Noise between −1 and 1 that knows nothing of the weather.
fn noise(index: usize) -> f64 {
    let mixed = u32::try_from(index).unwrap().wrapping_mul(2_654_435_761) >> 8;
    f64::from(mixed % 2_001) / 1_000.0 - 1.0
}

#[test]
fn a_constant_use_gives_the_mean_and_says_that_weather_does_not_matter() {
    let fit = fit(&baseline(|_, _| 5_000.0), &Search::compatible()).unwrap();
    assert!(!fit.responds_to_weather());
    assert!((fit.model.intercept - 5_000.0).abs() < 1e-6 && fit.r_squared_adj.abs() < f64::EPSILON);
    assert!(fit.metrics.cv_rmse < 1e-12);
}

#[test]
fn the_kernel_keeps_the_canonical_order() {
    let search = Search { grid: Grid::new(41, 57).unwrap(), ..Search::compatible() };
    let fit = fit(&baseline(|index, mean_f| 9_000.0 + mean_f + noise(index)), &search).unwrap();
    let order: Vec<BalancePoints> = fit.candidates.iter().map(|candidate| candidate.points).collect();
    assert_eq!(order, search.candidates(Commodity::Electricity).collect::<Vec<_>>());
}

#[test]
fn strict_search_refuses_a_spurious_weather_model() {
    let days = baseline(|index, _| 50_000.0 + 8_000.0 * noise(index));
    let compatible = fit(&days, &Search::compatible()).unwrap();
    assert!(compatible.r_squared_adj < 0.05);
    assert!(!fit(&days, &Search { gain_min: 0.05, ..Search::strict() }).unwrap().responds_to_weather());
}

/// The reference's spurious model (adjusted R² below 0.01) is what strictness is for; a real one is kept.
#[test]
fn strict_means_one_per_cent_of_the_variance() {
    let with = |slope: f64| baseline(move |index, mean_f| 50_000.0 + 8_000.0 * noise(index) + slope * (60.0 - mean_f).max(0.0));
    let weak = with(20.0);
    let compatible = fit(&weak, &Search::compatible()).unwrap();
    assert!(compatible.responds_to_weather() && compatible.r_squared_adj < 0.01, "{}", compatible.r_squared_adj);
    assert!(!fit(&weak, &Search::strict()).unwrap().responds_to_weather());
    let strong = with(80.0);
    let kept = fit(&strong, &Search::strict()).unwrap();
    assert!(kept.responds_to_weather() && (0.01..0.1).contains(&kept.r_squared_adj), "{}", kept.r_squared_adj);
}

/// Every number of a fit is written into evidence as JSON, which has no infinity and no NaN.
#[test]
fn a_fit_is_made_of_numbers_also_when_use_alternates_from_day_to_day() -> Result<(), String> {
    for step in [1.0, 3.0, 500.0, 1_234.567] {
        let days = baseline(|index, _| 10_000.0 + if index % 2 == 0 { step } else { -step });
        let fit = fit(&days, &Search { gain_min: 0.05, ..Search::strict() }).unwrap();
        let metrics = fit.metrics;
        assert!(metrics.autocorrelation >= -1.0 && metrics.reference.effective_observations >= metrics.effective_observations);
        let text = serde_json::to_string(&fit).unwrap();
        assert!(serde_json::from_str::<Fit>(&text).map_err(|err| err.to_string())? == fit);
    }
    Ok(())
}

#[test]
fn a_year_that_used_nothing_has_no_model() {
    let (energy, weather): (Vec<_>, Vec<_>) = year()
        .dates()
        .zip(temperatures())
        .map(|(date, mean_f)| (EnergyDay::whole(date, Some(0.0)), TemperatureDay::whole(date, Some(mean_f))))
        .unzip();
    let unused = qualify(&energy, &weather, Commodity::Gas, year()).unwrap();
    let refused = fit(&unused, &Search::compatible()).unwrap_err();
    assert!(matches!(refused, FitError::NoUse { days: 365 }), "{refused}");
}

#[test]
fn use_that_falls_on_average_below_zero_has_no_model() {
    let refused = fit(&baseline(|index, _| -1_000.0 - noise(index)), &Search::compatible()).unwrap_err();
    let FitError::NoneAdmissible { candidates } = refused else { panic!("{refused}") };
    assert_eq!(candidates.len(), 2_014);
    assert!(candidates.iter().all(|candidate| !matches!(candidate.outcome, Outcome::Qualified(_))));
}

#[test]
fn equal_candidates_are_settled_by_canonical_order() {
    // Every day is colder than 60 °F, so all heating points from there up explain the same.
    let days = year().dates().zip(0..).map(|(date, day)| (date, f64::from(day % 41) + 15.0));
    let (energy, weather): (Vec<_>, Vec<_>) = days
        .map(|(date, mean_f)| (EnergyDay::whole(date, Some(90_000.0 - 700.0 * mean_f)), TemperatureDay::whole(date, Some(mean_f))))
        .unzip();
    let fit = fit(&qualify(&energy, &weather, Commodity::Electricity, year()).unwrap(), &Search::compatible()).unwrap();
    assert_eq!(fit.model.hdd.map(|term| term.balance_f), Some(55.0));
    assert!(fit.model.cdd.is_none());
}

#[test]
fn a_reason_stands_beside_every_loser() {
    let fit =
        fit(&baseline(|index, mean_f| 20_000.0 + 500.0 * (55.0 - mean_f).max(0.0) + 900.0 * noise(index)), &Search::compatible()).unwrap();
    let outcome = |heating_f, cooling_f| {
        fit.candidates.iter().find(|candidate| candidate.points == BalancePoints { heating_f, cooling_f }).unwrap().outcome
    };
    assert!(matches!(outcome(None, Some(40)), Outcome::Disqualified(Reason::NegativeCooling, _)));
    assert!(matches!(outcome(None, Some(90)), Outcome::NotAttempted(Reason::FewCoolingDegreeDays | Reason::FewCoolingDays)));
}

/// A day of 25 hours that used the same every hour is a day like the others.
#[test]
fn use_is_compared_by_the_hour() {
    let days = baseline(|_, mean_f| 24_000.0 + 240.0 * (60.0 - mean_f).max(0.0));
    let changed = |date, minutes| {
        let all = days.days().iter().map(|day| {
            let minutes = if day.date == date { minutes } else { day.minutes };
            let wh = day.use_wh.map(|wh| wh * f64::from(minutes) / 1_440.0);
            EnergyDay { date: day.date, minutes, wh, present: 24, expected: 24 }
        });
        let weather: Vec<_> = days.days().iter().map(|day| TemperatureDay::whole(day.date, day.temperature_f)).collect();
        fit(&qualify(&all.collect::<Vec<_>>(), &weather, Commodity::Electricity, year()).unwrap(), &Search::compatible()).unwrap()
    };
    for (date, minutes) in [(date(2024, 3, 10), 1_380), (date(2024, 11, 3), 1_500)] {
        let fit = changed(date, minutes);
        assert!(fit.metrics.cv_rmse < 1e-9, "{date}: {}", fit.metrics.cv_rmse);
        assert!((fit.model.intercept - 24_000.0).abs() < 1e-6);
    }
}

/// The statistics of a small table, worked out by hand: residuals 2, −1, 3 and −4 about a mean of 100 (a gap after the second).
#[test]
fn statistics_are_those_of_the_formulas() {
    let day = |day, residual_wh| FittedDay { date: date(2025, 1, day), temperature_f: 50.0, use_wh: 100.0 + residual_wh, residual_wh };
    let days = [day(1, 2.0), day(2, -1.0), day(4, 3.0), day(5, -4.0)];
    let found = super::super::statistics::metrics_of_days(&days, 1, 3);
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
    assert_eq!((found.observations, found.slopes, found.fitted_quantities), (4, 1, 3));
    close(found.nmbe, 0.0);
    close(found.rmse_wh, 7.5_f64.sqrt());
    close(found.rmse_adj_wh, 10_f64.sqrt());
    close(found.cv_rmse_adj, 10_f64.sqrt() / 100.0);
    close(found.cv_rmse_strict, 30_f64.sqrt() / 100.0);
    close(found.nmae, 10.0 / 400.0);
    // Neighbours are (2, −1) and (3, −4): a line that falls. In row order there is (−1, 3) too.
    close(found.autocorrelation, -1.0);
    close(found.durbin_watson, (9.0 + 49.0) / 30.0);
    assert!(found.reference.autocorrelation > -1.0);
    // One sign, so that the bias is not zero: r = y − ŷ is positive where more was used than the model says.
    let biased = super::super::statistics::metrics_of_days(&[day(1, 2.0), day(2, 4.0), day(3, 2.0), day(4, 4.0)], 1, 3);
    close(biased.nmbe, 12.0 / 412.0);
    close(biased.nmbe_g14, 12.0 / 103.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_known_building_is_recovered(base in 1e3..1e6_f64, heat in 50.0..5e3_f64, cool in 50.0..5e3_f64, heating_f in 45_u8..55, gap in 3_u8..15, percent in 0.0..4.0_f64) {
        let cooling_f = heating_f + gap;
        let truth = Model {
            kind: Shape::CddHdd,
            intercept: base,
            hdd: Some(Term { balance_f: f64::from(heating_f), beta: heat }),
            cdd: Some(Term { balance_f: f64::from(cooling_f), beta: cool }),
        };
        let fit = fit(&baseline(|index, mean_f| truth.predict_wh(mean_f, 1.0) * (1.0 + percent / 100.0 * noise(index))), &Search::compatible()).unwrap();
        let year_of = |model: &Model| temperatures().iter().map(|mean_f| model.predict_wh(*mean_f, 1.0)).sum::<f64>();
        let error = year_of(&fit.model) / year_of(&truth) - 1.0;
        prop_assert!(error.abs() <= 0.003 * percent.max(1e-6), "off by {error} with {percent} % noise");
        if percent < 1e-3 {
            prop_assert_eq!(fit.model.hdd.map(|term| term.balance_f), Some(f64::from(heating_f)));
        }
    }

    #[test]
    fn the_order_of_the_days_does_not_matter(seed in any::<u64>()) {
        let days = baseline(|index, mean_f| 40_000.0 + 800.0 * (60.0 - mean_f).max(0.0) + 4_000.0 * noise(index));
        let mut shuffled: Vec<_> = days.days().iter().map(|day| (EnergyDay::whole(day.date, day.use_wh), TemperatureDay::whole(day.date, day.temperature_f))).collect();
        let mut state = seed;
        for index in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(index, usize::try_from(state >> 33).unwrap() % (index + 1));
        }
        let (energy, weather): (Vec<_>, Vec<_>) = shuffled.into_iter().unzip();
        let again = qualify(&energy, &weather, Commodity::Electricity, year()).unwrap();
        prop_assert_eq!(fit(&again, &Search::compatible()).unwrap(), fit(&days, &Search::compatible()).unwrap());
    }
}
