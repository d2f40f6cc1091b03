//! The same for hours: a model of hours of the week and of the temperature, and the interval of drawn weeks.

use negawatt_calculator::uncertainty::{HourlyResiduals, hourly_interval};

use super::noise::{Noise, Season, Tail};

const WEEK: usize = 168;
const YEAR: usize = 8_760;

/// How often the hourly interval held the truth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HourlyOutcome {
    pub(crate) name: &'static str,
    pub(crate) runs: u32,
    pub(crate) covered: f64,
    /// If only the drawn weeks were believed.
    pub(crate) bootstrap_alone: f64,
    /// If only the daily sums were believed.
    pub(crate) daily_alone: f64,
    pub(crate) half_width: f64,
}

/// Correlation of days, of hours within them, and the name.
pub(crate) const HOURLY: [(&str, f64, f64); 3] =
    [("hours correlate 0.7", 0.0, 0.7), ("and their days 0.3", 0.3, 0.7), ("and their days 0.6", 0.6, 0.7)];

/// * Shape: two years of hourly temperatures, °F, the second behind the first without a gap.
pub(crate) fn simulate(
    (name, daily, hourly): (&'static str, f64, f64),
    weather: &[f64],
    runs: u32,
    draws: u32,
    seed: u64,
) -> HourlyOutcome {
    let (before, after) = weather.split_at(YEAR);
    let after = after.get(..YEAR).unwrap_or(after);
    let design = Design::new(before, after);
    let (mut held, mut by_weeks, mut by_days, mut half_width) = (0_u32, 0_u32, 0_u32, 0.0);
    for run in 0..runs {
        let mut noise = Noise::new(seed, 2_000, u64::from(run));
        let days = noise.series(daily, Tail::Normal, Season::None, 2 * 365);
        let hours = noise.series(hourly, Tail::Normal, Season::None, 2 * YEAR);
        let shock = |hour: usize| 600.0 * hours[hour] + if daily > 0.0 { 250.0 * days[hour / 24] } else { 0.0 };
        let use_at = |hour: usize, temperature: f64| {
            let work = if (32..152).contains(&(hour % WEEK)) && (8..18).contains(&(hour % 24)) { 1_500.0 } else { 0.0 };
            2_000.0 + work + 60.0 * (50.0 - temperature).max(0.0) + 90.0 * (temperature - 65.0).max(0.0) + shock(hour)
        };
        let baseline: Vec<f64> = before.iter().enumerate().map(|(hour, temperature)| use_at(hour, *temperature)).collect();
        let truth: f64 = after.iter().enumerate().map(|(hour, temperature)| use_at(YEAR + hour, *temperature)).sum();
        let (predicted, residuals) = design.fit(&baseline);
        let given = HourlyResiduals {
            residuals_wh: &residuals,
            weights: &design.weights,
            reporting_hours: after.len(),
            levels: 3.0,
            day_levels: 9.0,
        };
        let found = hourly_interval(&given, draws, seed ^ u64::from(run), 0.9).expect("a simulated year has its weeks");
        let error = (predicted - truth).abs();
        held += u32::from(error <= found.half_width_wh);
        by_weeks += u32::from(error <= found.bootstrap_wh);
        by_days += u32::from(error <= found.daily_wh);
        half_width += found.half_width_wh / truth;
    }
    let share = |count: u32| f64::from(count) / f64::from(runs);
    HourlyOutcome {
        name,
        runs,
        covered: share(held),
        bootstrap_alone: share(by_weeks),
        daily_alone: share(by_days),
        half_width: half_width / f64::from(runs),
    }
}

/// The milliseconds that the interval of one hourly year takes with so many draws: the median of nine.
pub(crate) fn interval_ms(weather: &[f64], draws: u32, seed: u64) -> f64 {
    let (before, after) = weather.split_at(YEAR);
    let after = after.get(..YEAR).unwrap_or(after);
    let design = Design::new(before, after);
    let baseline = Noise::new(seed, 2_001, 0).series(0.7, Tail::Normal, Season::None, YEAR);
    let (_, residuals) = design.fit(&baseline);
    let given =
        HourlyResiduals { residuals_wh: &residuals, weights: &design.weights, reporting_hours: after.len(), levels: 3.0, day_levels: 9.0 };
    let mut taken: Vec<f64> = (0..9)
        .map(|_| {
            let begun = std::time::Instant::now();
            let found = hourly_interval(&given, draws, seed, 0.9).expect("a simulated year has its weeks");
            assert!(found.half_width_wh > 0.0);
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    taken.sort_by(f64::total_cmp);
    taken[4]
}

/// Hours of the week and two slopes: the hours taken out of the temperatures once, so that a fit is two sums.
struct Design {
    /// Temperature variables less their mean in the hour of the week.
    within: Vec<[f64; 2]>,
    means: Vec<[f64; 2]>,
    counts: Vec<f64>,
    inverse: [[f64; 2]; 2],
    after_counts: Vec<f64>,
    after_totals: [f64; 2],
    weights: Vec<f64>,
}

fn variables(temperature: f64) -> [f64; 2] {
    [(50.0 - temperature).max(0.0), (temperature - 65.0).max(0.0)]
}

impl Design {
    fn new(before: &[f64], after: &[f64]) -> Self {
        let mut counts = vec![0.0; WEEK];
        let mut means = vec![[0.0; 2]; WEEK];
        for (hour, temperature) in before.iter().enumerate() {
            let x = variables(*temperature);
            counts[hour % WEEK] += 1.0;
            means[hour % WEEK][0] += x[0];
            means[hour % WEEK][1] += x[1];
        }
        for (mean, count) in means.iter_mut().zip(&counts) {
            *mean = [mean[0] / count, mean[1] / count];
        }
        let within: Vec<[f64; 2]> = before
            .iter()
            .enumerate()
            .map(|(hour, temperature)| {
                let (x, mean) = (variables(*temperature), means[hour % WEEK]);
                [x[0] - mean[0], x[1] - mean[1]]
            })
            .collect();
        let sum = |i: usize, j: usize| within.iter().map(|x| x[i] * x[j]).sum::<f64>();
        let (a, b, c) = (sum(0, 0), sum(0, 1), sum(1, 1));
        let determinant = a * c - b * b;
        let inverse = [[c / determinant, -b / determinant], [-b / determinant, a / determinant]];
        let mut after_counts = vec![0.0; WEEK];
        let mut after_totals = [0.0; 2];
        for (hour, temperature) in after.iter().enumerate() {
            let x = variables(*temperature);
            after_counts[(YEAR + hour) % WEEK] += 1.0;
            after_totals[0] += x[0];
            after_totals[1] += x[1];
        }
        let mut design = Self { within, means, counts, inverse, after_counts, after_totals, weights: Vec::new() };
        let rest = design.rest();
        let slope = [
            design.inverse[0][0] * rest[0] + design.inverse[0][1] * rest[1],
            design.inverse[1][0] * rest[0] + design.inverse[1][1] * rest[1],
        ];
        design.weights = (0..before.len())
            .map(|hour| {
                let x = design.within[hour];
                design.after_counts[hour % WEEK] / design.counts[hour % WEEK] + x[0] * slope[0] + x[1] * slope[1]
            })
            .collect();
        design
    }

    /// What the slopes predict beyond the means of the hours.
    fn rest(&self) -> [f64; 2] {
        let of_hours = |i: usize| self.after_counts.iter().zip(&self.means).map(|(count, mean)| count * mean[i]).sum::<f64>();
        [self.after_totals[0] - of_hours(0), self.after_totals[1] - of_hours(1)]
    }

    /// The predicted total and the residuals.
    fn fit(&self, baseline: &[f64]) -> (f64, Vec<Option<f64>>) {
        let mut hours = vec![0.0; WEEK];
        let mut along = [0.0; 2];
        for (hour, wh) in baseline.iter().enumerate() {
            hours[hour % WEEK] += wh / self.counts[hour % WEEK];
            along[0] += self.within[hour][0] * wh;
            along[1] += self.within[hour][1] * wh;
        }
        let slope =
            [self.inverse[0][0] * along[0] + self.inverse[0][1] * along[1], self.inverse[1][0] * along[0] + self.inverse[1][1] * along[1]];
        let rest = self.rest();
        let predicted =
            self.after_counts.iter().zip(&hours).map(|(count, mean)| count * mean).sum::<f64>() + slope[0] * rest[0] + slope[1] * rest[1];
        let residuals = baseline.iter().enumerate().map(|(hour, wh)| {
            let x = self.within[hour];
            Some(wh - hours[hour % WEEK] - slope[0] * x[0] - slope[1] * x[1])
        });
        (predicted, residuals.collect())
    }
}
