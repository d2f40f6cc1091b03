//! Avoided energy of days of which more is known than their weather.

use jiff::civil::Date;

use super::avoided::{Asked, Avoided, Missing, SavingsError, Sums};
use crate::baseline::Commodity;
use crate::model::cea::{CeaDay, CeaFit};
use crate::uncertainty::{self, CONFIDENCE};

/// As [`avoided`](super::avoided()), by the model of a controlled environment.
///
/// * Shape: `baseline` are the days that the model was fitted to, `days` come later and each is there once; days that lack
///   energy, weather or a variable are masked and listed.
/// * Units: Wh, °F, and those of the variables.
/// * Errors: as those of days without variables.
pub fn avoided_driven(fit: &CeaFit, baseline: &[CeaDay], days: &[CeaDay]) -> Result<Avoided, SavingsError> {
    let (Some(first), Some(last)) = (days.first(), days.last()) else {
        return Err(SavingsError::NothingToCompare { days: 0 });
    };
    let end = fit.days.last().map_or(Date::MIN, |day| day.date);
    let mut sums = Sums::default();
    let (mut rows, mut compared, mut masked) = (Vec::with_capacity(days.len()), Vec::with_capacity(days.len()), Vec::new());
    for (index, day) in days.iter().enumerate() {
        let date = day.day.date;
        if date <= end {
            return Err(SavingsError::NotAfterBaseline { date, end });
        }
        if days.get(index + 1).is_some_and(|next| next.day.date <= date) {
            return Err(SavingsError::DuplicateDay { date });
        }
        if [day.day.use_wh, day.day.temperature_f].into_iter().flatten().any(|value| !value.is_finite()) {
            return Err(SavingsError::NotFinite { date });
        }
        if fit.commodity == Commodity::Gas && day.day.use_wh.is_some_and(|wh| wh < 0.0) {
            return Err(SavingsError::NegativeFuel { date });
        }
        let energy = day.day.use_wh.filter(|wh| *wh != 0.0 || fit.commodity == Commodity::Gas);
        let load = fit.expected(day);
        let (Some(mean_f), Some(observed), Some(load)) = (day.day.temperature_f, energy, load) else {
            masked.push(Missing {
                date,
                has_energy: energy.is_some(),
                has_weather: day.day.temperature_f.is_some(),
                has_variables: day.day.temperature_f.is_none() || load.is_some(),
            });
            continue;
        };
        rows.push(
            sums.add(date, mean_f, [load.total_wh(), load.heating_wh, load.cooling_wh], observed).ok_or(SavingsError::Overflow { date })?,
        );
        compared.push(day.clone());
    }
    if rows.is_empty() {
        return Err(SavingsError::NothingToCompare { days: days.len() });
    }
    let interval = uncertainty::interval_driven(fit, baseline, &compared, CONFIDENCE);
    let asked = Asked { first: first.day.date, last: last.day.date, days: days.len(), confidence: CONFIDENCE };
    sums.avoided(&asked, rows, masked, interval, &fit.metrics)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::ToSpan as _;
    use jiff::civil::date;

    use super::*;
    use crate::baseline::Day;
    use crate::model::Search;
    use crate::model::cea::{Election, Measure, Plan, Variable, fit_cea};

    /// Days of a greenhouse that uses a base load, heat below 60 °F and 300 Wh a kilogram, and after the first year a fifth less.
    fn days(count: i32) -> Vec<CeaDay> {
        (0..count)
            .map(|index| {
                let mean_f = 55.0 - 0.2 * f64::from((index % 365 - 182).abs()) + f64::from(index * 37 % 13);
                let kg = 400.0 + f64::from(index * 61 % 300);
                let whole = 500_000.0 + 9_000.0 * (60.0 - mean_f).max(0.0) + 300.0 * kg + f64::from(index * 7_919 % 801) - 400.0;
                CeaDay {
                    day: Day {
                        date: date(2025, 1, 1).checked_add(index.days()).unwrap(),
                        minutes: 1_440,
                        use_wh: Some(if index < 365 { whole } else { whole * 0.8 }),
                        temperature_f: Some(mean_f),
                    },
                    stage: None,
                    values: vec![Some(kg)],
                }
            })
            .collect()
    }

    #[test]
    fn output_moves_what_would_have_been_used_and_a_day_without_it_is_masked() {
        let all = days(365 + 30);
        let (before, after) = all.split_at(365);
        let plan = Plan { allowed: BTreeMap::from([(Measure::Climate, vec![Variable::Production])]) };
        let search = Search::compatible();
        let fit = fit_cea(before, &[Variable::Production], &plan, Election::EnergyOnly, Commodity::Electricity, &search).unwrap();
        let found = avoided_driven(&fit, before, after).unwrap();
        assert_eq!((found.days_total, found.days_compared, found.masked.len()), (30, 30, 0));
        let share = found.exact.avoided_wh / found.exact.counterfactual_wh;
        assert!((share - 0.2).abs() < 0.002, "{share}");
        assert_eq!(found.days.iter().map(|day| day.avoided_wh).sum::<i64>(), found.avoided_wh);
        assert!(found.uncertainty_wh > 0 && found.uncertainty_wh < found.avoided_wh / 20, "{}", found.uncertainty_wh);

        let mut lacking = after.to_vec();
        lacking[3].values[0] = None;
        let found = avoided_driven(&fit, before, &lacking).unwrap();
        assert_eq!((found.days_compared, found.masked[0].has_variables, found.masked[0].has_energy), (29, false, true));
        assert!(matches!(avoided_driven(&fit, before, before), Err(SavingsError::NotAfterBaseline { .. })));
        let twice = [after[0].clone(), after[0].clone()];
        assert!(matches!(avoided_driven(&fit, before, &twice), Err(SavingsError::DuplicateDay { .. })));

        let mut less_than_none = after.to_vec();
        less_than_none[2].day.use_wh = Some(-1.0);
        assert!(avoided_driven(&fit, before, &less_than_none).is_ok(), "a facility may feed electricity in");
        let fuel = CeaFit { commodity: Commodity::Gas, ..fit };
        assert_eq!(avoided_driven(&fuel, before, &less_than_none), Err(SavingsError::NegativeFuel { date: after[2].day.date }));
    }
}
