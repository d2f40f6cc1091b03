//! Months of one meter, and of all.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::assessment::AssessedRow;
use crate::savings::Running;

/// A calendar month of a meter, or of many.
///
/// * Units: Wh, integers, so that sums are the same in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Month {
    /// Months since the year 0: twelve times the year, and the month from 0.
    pub number: i32,
    /// What the model expects.
    pub counterfactual_wh: i64,
    /// What was used.
    pub observed_wh: i64,
}

impl Month {
    /// Its first day.
    pub fn first(&self) -> Date {
        let part = |value: i32, fallback| i16::try_from(value).unwrap_or(fallback);
        let month = i8::try_from(self.number.rem_euclid(12) + 1).unwrap_or(1);
        Date::new(part(self.number.div_euclid(12), 0), month, 1).unwrap_or(Date::constant(0, 1, 1))
    }
}

/// The months of rows in order of time; a bill belongs to the month in which it begins.
///
/// * Units: `per_unit` is the watt-hours of one unit of the rows. Months sum to the rounded totals.
/// * Errors: `None` beyond what can be counted in watt-hours.
pub fn months_of(rows: &[AssessedRow], per_unit: f64) -> Option<Vec<Month>> {
    let (mut expected, mut observed) = (Running::default(), Running::default());
    let mut months: Vec<Month> = Vec::with_capacity(13);
    for rows in rows.chunk_by(|one, next| number(one.date) == number(next.date)) {
        let Some(first) = rows.first() else { continue };
        months.push(Month {
            number: number(first.date),
            counterfactual_wh: expected.add(rows.iter().map(|row| row.expected).sum::<f64>() * per_unit)?,
            observed_wh: observed.add(rows.iter().map(|row| row.observed).sum::<f64>() * per_unit)?,
        });
    }
    Some(months)
}

fn number(date: Date) -> i32 {
    i32::from(date.year()) * 12 + i32::from(date.month()) - 1
}

/// The months of many meters together.
#[derive(Clone, Debug, Default)]
pub struct Months {
    months: BTreeMap<i32, (u64, i64, i64)>,
}

impl Months {
    /// Adds those of a meter.
    pub fn add(&mut self, months: &[Month]) {
        for month in months {
            let (meters, expected, observed) = self.months.entry(month.number).or_default();
            *meters += 1;
            *expected = expected.saturating_add(month.counterfactual_wh);
            *observed = observed.saturating_add(month.observed_wh);
        }
    }

    /// Each month in order, and how many meters it has.
    pub fn all(&self) -> impl Iterator<Item = (u64, Month)> {
        self.months.iter().map(|(number, (meters, counterfactual_wh, observed_wh))| {
            (*meters, Month { number: *number, counterfactual_wh: *counterfactual_wh, observed_wh: *observed_wh })
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn months_sum_to_the_rounded_total() {
        let rows: Vec<AssessedRow> = date(2016, 12, 30)
            .series(jiff::Span::new().days(1))
            .take(64)
            .map(|date| AssessedRow { date, temperature_f: 50.0, observed: 0.000_3, expected: 0.000_45 })
            .collect();
        let months = months_of(&rows, 1_000.0).unwrap();
        assert_eq!(
            months.iter().map(|month| month.first()).collect::<Vec<_>>(),
            [date(2016, 12, 1), date(2017, 1, 1), date(2017, 2, 1), date(2017, 3, 1)]
        );
        assert_eq!(months.iter().map(|month| month.counterfactual_wh).sum::<i64>(), 29);
        assert_eq!(months.iter().map(|month| month.observed_wh).sum::<i64>(), 19);
        let mut all = Months::default();
        all.add(&months);
        all.add(&months[1..]);
        let found: Vec<(u64, Month)> = all.all().collect();
        assert_eq!(found.iter().map(|(meters, _)| *meters).collect::<Vec<_>>(), [1, 2, 2, 2]);
        assert_eq!(found[1].1.counterfactual_wh, 2 * months[1].counterfactual_wh);
        assert_eq!(months_of(&[AssessedRow { expected: f64::NAN, ..rows[0] }], 1.0), None);
    }
}
