//! An event as a variable of its own beside base load and weather: the second best way to an adjustment.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::detect::{DayResidual, Noise};
use super::ledger::Moves;
use crate::baseline::day_number;
use crate::model::{Orthogonal, dot};

/// What an event adds to the use of its days.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventEffect {
    /// What of the model it moves.
    pub moves: Moves,
    /// Wh a day, as a mean over its days; positive where more is used.
    pub wh_per_day: f64,
    /// Its standard error, Wh a day.
    pub error_wh_per_day: f64,
    /// Its days that were measured.
    pub days: u32,
}

/// Days on either side that an estimate needs at least.
const DAYS_MIN: usize = 8;

/// Estimates an event in one model of the days with it and those without.
///
/// * Shape: days in order of time, of baseline and reporting period alike; `holds` says which the event covers. `None` when
///   there are fewer than eight with it or without it.
/// * Units: Wh.
/// * Source: least squares of the residuals on level, response to the weather and the event, with the correlation of
///   neighbours taken out of all of them; a shift of the base load, or one that grows with what the model expects.
pub fn event_effect(days: &[DayResidual], holds: impl Fn(Date) -> bool, noise: Noise, moves: Moves) -> Option<EventEffect> {
    let with = days.iter().filter(|day| holds(day.date)).count();
    if with < DAYS_MIN || days.len() < with + DAYS_MIN {
        return None;
    }
    let mean = days.iter().map(|day| day.expected_wh).sum::<f64>() / days.len() as f64;
    let event = |day: &DayResidual| match (holds(day.date), moves) {
        (false, _) => 0.0,
        (true, Moves::Base) => 1.0,
        (true, Moves::Slope) => day.expected_wh / mean,
    };
    let row = |day: &DayResidual| [day.residual_wh, 1.0, day.expected_wh - mean, event(day)];
    let mut columns: [Vec<f64>; 4] = Default::default();
    let mut before: Option<&DayResidual> = None;
    for day in days {
        let mut values = row(day);
        if let Some(last) = before {
            let rho = noise.correlation_after(day_number(day.date) - day_number(last.date));
            let scale = (1.0 - rho * rho).sqrt();
            for (value, before) in values.iter_mut().zip(row(last)) {
                *value = (*value - rho * before) / scale;
            }
        }
        before = Some(day);
        for (column, value) in columns.iter_mut().zip(values) {
            column.push(value);
        }
    }
    let [residuals, ones, slopes, events] = columns;
    let (design, solution) = Orthogonal::solving(vec![ones, slopes, events], &residuals);
    let along: f64 = design.basis().iter().map(|direction| dot(direction, &residuals)).map(|length| length * length).sum();
    let left = (dot(&residuals, &residuals) - along).max(0.0) / (days.len() as f64 - 3.0);
    let weights = design.weights(&[0.0, 0.0, 1.0], days.len());
    let share = days.iter().map(event).sum::<f64>() / with as f64;
    Some(EventEffect {
        moves,
        wh_per_day: solution.get(2)? * share,
        error_wh_per_day: (left * dot(&weights, &weights)).sqrt() * share.abs(),
        days: u32::try_from(with).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::uncertainty::Draws;

    /// Two years of which the event covers the last hundred days.
    fn days(shift_wh: f64, of_expected: f64, rho: f64, seed: u64) -> Vec<DayResidual> {
        let mut draws = Draws::new(seed);
        let mut noise = 0.0;
        (0..730_i32)
            .map(|day| {
                let expected_wh = 30_000.0 + 9_000.0 * (f64::from(day) / 58.0).sin();
                let news: f64 = (0..12).map(|_| draws.below(1_000) as f64 / 1_000.0).sum::<f64>() - 6.0;
                noise = rho * noise + (1.0 - rho * rho).sqrt() * 2_000.0 * news;
                let event = if day >= 630 { shift_wh + of_expected * expected_wh } else { 0.0 };
                let date = date(2024, 1, 1).checked_add(jiff::Span::new().days(day)).unwrap();
                DayResidual { date, expected_wh, residual_wh: noise + event }
            })
            .collect()
    }

    fn holds(day: Date) -> bool {
        day >= date(2024, 1, 1).checked_add(jiff::Span::new().days(630)).unwrap()
    }

    #[test]
    fn a_known_shift_lies_within_its_error() {
        for (rho, seed) in [(0.0, 1), (0.3, 2), (0.6, 3)] {
            let noise = Noise { rho, sigma_wh: 2_000.0 };
            let base = event_effect(&days(4_000.0, 0.0, rho, seed), holds, noise, Moves::Base).unwrap();
            assert_eq!(base.days, 100);
            assert!((base.wh_per_day - 4_000.0).abs() < 3.0 * base.error_wh_per_day, "{base:?}");
            assert!((150.0..1_000.0).contains(&base.error_wh_per_day), "{base:?}");
            let slope = event_effect(&days(0.0, -0.1, rho, seed), holds, noise, Moves::Slope).unwrap();
            assert!((slope.wh_per_day + 3_000.0).abs() < 900.0 && slope.wh_per_day < 0.0, "{slope:?}");
        }
    }

    #[test]
    fn errors_grow_with_the_correlation_of_neighbours_and_too_few_days_say_nothing() {
        let error =
            |rho| event_effect(&days(0.0, 0.0, rho, 7), holds, Noise { rho, sigma_wh: 2_000.0 }, Moves::Base).unwrap().error_wh_per_day;
        assert!(error(0.6) > 1.5 * error(0.0));
        let noise = Noise { rho: 0.0, sigma_wh: 1.0 };
        assert_eq!(event_effect(&days(0.0, 0.0, 0.0, 7)[..640], |day| day > date(2025, 9, 25), noise, Moves::Base), None);
        assert_eq!(event_effect(&[], holds, noise, Moves::Base), None);
    }
}
