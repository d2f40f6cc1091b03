//! How well a model predicts months that it has not seen: each calendar month by the others, balance points kept.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::model::cea::{CeaDay, CeaFit};
use crate::model::{Fit, Orthogonal, dot};

/// How well each month is predicted by the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutOfSample {
    /// CV(RMSE).
    pub cv: f64,
    /// NMBE.
    pub nmbe: f64,
    /// How much better than the mean: 1 − Σr²/Σ(y−ȳ)².
    pub skill: f64,
}

/// A day, and what the model knows of it.
struct Row {
    date: Date,
    variables: Vec<f64>,
    /// Wh per 24 hours.
    use_wh: f64,
}

/// Leaves out one calendar month after the other; none where a year has one month, or nothing is used.
pub fn out_of_sample(fit: &Fit) -> Option<OutOfSample> {
    let row = |mean_f: f64| {
        let heating = fit.model.hdd.map(|term| crate::degree_days::heating(term.balance_f, mean_f));
        let cooling = fit.model.cdd.map(|term| crate::degree_days::cooling(term.balance_f, mean_f));
        std::iter::once(1.0).chain(heating).chain(cooling).collect()
    };
    let days = fit.days.iter();
    by_the_others(&days.map(|day| Row { date: day.date, variables: row(day.temperature_f), use_wh: day.use_wh }).collect::<Vec<_>>())
}

/// As [`out_of_sample`], of the model of a controlled environment, with all that it knows of a day.
///
/// * Shape: the days that the model was fitted to; those that lack something take no part, as in the fit.
pub fn out_of_sample_driven(fit: &CeaFit, baseline: &[CeaDay]) -> Option<OutOfSample> {
    let row = |day: &CeaDay| {
        let use_wh = day.day.use_wh? / day.day.length();
        Some(Row { date: day.day.date, variables: fit.columns_of(day)?, use_wh })
    };
    by_the_others(&baseline.iter().filter_map(row).collect::<Vec<_>>())
}

fn by_the_others(days: &[Row]) -> Option<OutOfSample> {
    let (mut squares, mut sum, mut used) = (0.0, 0.0, 0.0);
    for month in 1..=12 {
        let (out, kept): (Vec<&Row>, Vec<&Row>) = days.iter().partition(|day| day.date.month() == month);
        let first = kept.first()?;
        let columns = (0..first.variables.len()).map(|column| kept.iter().map(|day| day.variables[column]).collect()).collect();
        let use_wh: Vec<f64> = kept.iter().map(|day| day.use_wh).collect();
        let (_, solution) = Orthogonal::solving(columns, &use_wh);
        for day in out {
            let residual = day.use_wh - dot(&day.variables, &solution);
            squares += residual * residual;
            sum += residual;
            used += day.use_wh;
        }
    }
    let n = days.len() as f64;
    let mean = used / n;
    let spread: f64 = days.iter().map(|day| (day.use_wh - mean) * (day.use_wh - mean)).sum();
    let skill = if spread > 0.0 { 1.0 - squares / spread } else { 0.0 };
    (mean.abs() > 0.0).then(|| OutOfSample { cv: (squares / n).sqrt() / mean, nmbe: sum / used, skill })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::ToSpan as _;
    use jiff::civil::date;

    use super::*;
    use crate::assessment::changes_driven;
    use crate::baseline::{Commodity, Day, Period};
    use crate::model::cea::{Election, Measure, Plan, Variable, fit_cea};
    use crate::model::{FittedDay, Search, fit_days};

    /// A greenhouse that grows twice as much in spring as in autumn, whatever the weather.
    fn greenhouse() -> Vec<CeaDay> {
        (0..365_i32)
            .map(|index| {
                let mean_f = 55.0 - 0.2 * f64::from((index - 182).abs()) + f64::from(index * 37 % 13);
                let kg = if (60..240).contains(&index) { 600.0 } else { 300.0 } + f64::from(index * 61 % 50);
                let used = 100_000.0 + 4_000.0 * (60.0 - mean_f).max(0.0) + 600.0 * kg + f64::from(index * 7_919 % 8_001) - 4_000.0;
                let day = Day {
                    date: date(2025, 1, 1).checked_add(index.days()).unwrap(),
                    minutes: 1_440,
                    use_wh: Some(used),
                    temperature_f: Some(mean_f),
                };
                CeaDay { day, stage: None, values: vec![(index % 50 != 0).then_some(kg)] }
            })
            .collect()
    }

    /// What moves with the produce is a bad model for who does not know of it.
    #[test]
    fn who_knows_the_produce_predicts_months_that_he_has_not_seen() {
        let days = greenhouse();
        let plan = Plan { allowed: BTreeMap::from([(Measure::Climate, vec![Variable::Production])]) };
        let (election, commodity, search) = (Election::EnergyOnly, Commodity::Electricity, Search::compatible());
        let driven = fit_cea(&days, &[Variable::Production], &plan, election, commodity, &search).unwrap();
        let weather = days.iter().map(|day| FittedDay {
            date: day.day.date,
            temperature_f: day.day.temperature_f.unwrap(),
            use_wh: day.day.use_wh.unwrap(),
            residual_wh: 0.0,
        });
        let weather = fit_days(weather.collect(), commodity, Period::before(date(2026, 1, 1), 365).unwrap(), &search).unwrap();
        let (by_weather, by_both) = (out_of_sample(&weather).unwrap(), out_of_sample_driven(&driven, &days).unwrap());
        assert!(by_weather.cv > 0.15 && by_weather.skill < 0.0, "{by_weather:?}");
        assert!(by_both.cv < 0.01 && by_both.nmbe.abs() < 0.001 && by_both.skill > 0.99, "{by_both:?}");
        assert_eq!(changes_driven(&driven, &days), []);
    }
}
