//! The two charts of a meter: what adds up day by day, and what it uses at which temperature.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use crate::assessment::AssessedRow;

/// On which side of the intervention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Before.
    Baseline,
    /// After.
    Reporting,
}

impl Part {
    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Reporting => "reporting",
        }
    }
}

/// A point of the cumulative chart, in the unit of the meter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ChartRow {
    /// On which side.
    pub part: Part,
    /// The day, or the first of a bill.
    pub date: Date,
    /// Mean outdoor temperature, °F.
    pub temperature_f: f64,
    /// What was used.
    pub observed: f64,
    /// What the model expects.
    pub expected: f64,
    /// `expected − observed`: avoided after the intervention, a residual before it.
    pub avoided: f64,
    /// The sum of `avoided` from the beginning of its part on. A baseline ends near zero, savings rise.
    pub cumulative: f64,
}

/// The cumulative chart: each part begins at zero.
pub fn cusum(before: &[AssessedRow], after: &[AssessedRow]) -> Vec<ChartRow> {
    let mut chart = Vec::with_capacity(before.len() + after.len());
    for (part, rows) in [(Part::Baseline, before), (Part::Reporting, after)] {
        let mut cumulative = 0.0;
        for row in rows {
            let avoided = row.expected - row.observed;
            cumulative += avoided;
            let AssessedRow { date, temperature_f, observed, expected } = *row;
            chart.push(ChartRow { part, date, temperature_f, observed, expected, avoided, cumulative });
        }
    }
    chart
}

/// A point of the temperature chart: the days of one whole degree.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ResponseRow {
    /// The whole degree that is nearest, °F.
    pub temperature_f: i16,
    /// What the model expects of such days, in the mean.
    pub expected: f64,
    /// What such days used before, in the mean.
    pub baseline: Option<f64>,
    /// Such days before.
    pub baseline_days: u32,
    /// What such days used after, in the mean.
    pub reporting: Option<f64>,
    /// Such days after.
    pub reporting_days: u32,
}

/// The temperature chart, degree by degree from the coldest to the warmest.
pub fn response(before: &[AssessedRow], after: &[AssessedRow]) -> Vec<ResponseRow> {
    #[derive(Default)]
    struct Bin {
        expected: f64,
        used: [f64; 2],
        days: [u32; 2],
    }
    let mut bins: BTreeMap<i16, Bin> = BTreeMap::new();
    for (part, rows) in [before, after].into_iter().enumerate() {
        for row in rows {
            #[expect(clippy::cast_possible_truncation, reason = "clamped to what thermometers show")]
            let degree = row.temperature_f.round().clamp(-500.0, 500.0) as i16;
            let bin = bins.entry(degree).or_default();
            bin.expected += row.expected;
            bin.used[part] += row.observed;
            bin.days[part] += 1;
        }
    }
    let mean = |sum: f64, days: u32| (days > 0).then(|| sum / f64::from(days));
    bins.into_iter()
        .map(|(temperature_f, bin)| ResponseRow {
            temperature_f,
            expected: bin.expected / f64::from(bin.days[0] + bin.days[1]),
            baseline: mean(bin.used[0], bin.days[0]),
            baseline_days: bin.days[0],
            reporting: mean(bin.used[1], bin.days[1]),
            reporting_days: bin.days[1],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn row(day: i8, temperature_f: f64, observed: f64, expected: f64) -> AssessedRow {
        AssessedRow { date: date(2025, 1, day), temperature_f, observed, expected }
    }

    #[test]
    fn each_part_adds_up_from_zero() {
        let chart = cusum(&[row(1, 30.0, 10.0, 11.0), row(2, 30.0, 12.0, 11.0)], &[row(5, 30.0, 8.0, 11.0), row(7, 40.0, 9.0, 10.0)]);
        assert_eq!(chart.iter().map(|row| row.cumulative).collect::<Vec<_>>(), vec![1.0, 0.0, 3.0, 4.0]);
        assert_eq!(chart.iter().map(|row| row.part.name()).collect::<Vec<_>>(), ["baseline", "baseline", "reporting", "reporting"]);
        assert_eq!(chart[3].date, date(2025, 1, 7));
    }

    #[test]
    fn days_of_one_degree_are_one_point() {
        let before = [row(1, 29.6, 10.0, 11.0), row(2, 30.4, 12.0, 11.0), row(3, -4.5, 20.0, 21.0)];
        let found = response(&before, &[row(5, 30.0, 8.0, 11.0), row(7, 41.0, 9.0, 10.0)]);
        assert_eq!(found.iter().map(|row| row.temperature_f).collect::<Vec<_>>(), [-5, 30, 41]);
        assert_eq!((found[1].baseline, found[1].baseline_days, found[1].reporting, found[1].reporting_days), (Some(11.0), 2, Some(8.0), 1));
        assert_eq!((found[2].baseline, found[2].expected), (None, 10.0));
    }
}
