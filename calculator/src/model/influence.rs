//! How each hour of a baseline enters a predicted total, for the interval of hourly models.
//!
//! A model that is linear in what it was fitted to has an error of `Σ w·r`, with `w` the derivative of the predicted total
//! by each hour. The months of the CalTRACK method overlap, so an hour enters the models of three months.

use super::hourly::{ENDPOINTS_F, HourlyFit, NEIGHBOUR, WEEK};
use super::time_of_week::{Bins, FEATURES, Normal, Sums};
use super::towt::TowtFit;
use crate::baseline::Hour;

/// Hours of a day.
const DAY: usize = 24;

/// What the interval of an hourly model needs of it.
#[derive(Clone, Debug)]
pub(crate) struct HourlyInfluence {
    /// Use minus expectation of each hour of the baseline, Wh.
    pub(crate) residuals_wh: Vec<Option<f64>>,
    /// The weight of each of them in the predicted total.
    pub(crate) weights: Vec<f64>,
    /// How many of the sums of weeks the model could have chosen freely.
    pub(crate) week_levels: f64,
    /// How many of the sums of days.
    pub(crate) day_levels: f64,
}

/// One model of the hours of the week: those that share their slopes, and those that have their own.
struct Slots {
    /// Other hours, then occupied ones; without occupied slopes all are in the first.
    groups: [Option<Normal>; 2],
    occupied: Vec<bool>,
}

impl Slots {
    fn new(sums: &[Sums], kept: &[bool], occupied: Vec<bool>) -> Self {
        let group = |wanted: bool| {
            let own: Vec<Option<&Sums>> = sums.iter().zip(&occupied).map(|(sums, own)| (*own == wanted).then_some(sums)).collect();
            own.iter().flatten().any(|sums| sums.weight > 0.0).then(|| Normal::of(&own, kept))
        };
        Self { groups: [group(false), group(true)], occupied }
    }

    fn group(&self, slot: usize) -> usize {
        usize::from(self.occupied.get(slot).copied().unwrap_or(false))
    }

    fn normal(&self, slot: usize) -> Option<&Normal> {
        self.groups[self.group(slot)].as_ref()
    }
}

/// The trace of what a model takes out of the sums of blocks of hours.
struct Trace<'a> {
    slots: &'a Slots,
    length: usize,
    block: usize,
    deviations: [[f64; FEATURES]; 2],
    total: f64,
}

impl<'a> Trace<'a> {
    const fn new(slots: &'a Slots, length: usize) -> Self {
        Self { slots, length, block: 0, deviations: [[0.0; FEATURES]; 2], total: 0.0 }
    }

    fn admit(&mut self, index: usize, slot: usize, features: &[f64; FEATURES]) {
        if index / self.length != self.block {
            self.flush();
            self.block = index / self.length;
        }
        let Some((normal, deviation)) = self.slots.normal(slot).and_then(|normal| Some((normal, normal.deviation(slot, features)?))) else {
            return;
        };
        self.total += normal.share_of_level(slot) / self.length as f64;
        for (sum, value) in self.deviations[self.slots.group(slot)].iter_mut().zip(deviation) {
            *sum += value;
        }
    }

    fn flush(&mut self) {
        for (normal, deviations) in self.slots.groups.iter().zip(&mut self.deviations) {
            self.total += normal.as_ref().map_or(0.0, |normal| normal.taken(deviations)) / self.length as f64;
            *deviations = [0.0; FEATURES];
        }
    }

    fn finish(mut self) -> f64 {
        self.flush();
        self.total
    }
}

/// An hour that the model was fitted to: its place, its slot, its features.
struct Used {
    index: usize,
    slot: usize,
    features: [f64; FEATURES],
}

fn slot_of(hour: &Hour) -> usize {
    usize::from(hour.hour_of_week).min(WEEK - 1)
}

fn used(hours: &[Hour], bins: &Bins<'_>) -> Vec<Used> {
    let of = |(index, hour): (usize, &Hour)| {
        hour.use_wh?;
        Some(Used { index, slot: slot_of(hour), features: bins.features(hour.temperature_f?) })
    };
    hours.iter().enumerate().filter_map(of).collect()
}

fn sums_of<'a>(rows: impl Iterator<Item = &'a Used>) -> Vec<Sums> {
    let mut sums = vec![Sums::ZERO; WEEK];
    for row in rows {
        sums[row.slot].admit(&row.features, 0.0);
    }
    sums
}

/// Adds the model's derivatives to the weights of the rows, each of which counts so much.
fn add_weights<'a>(weights: &mut [f64], slots: &Slots, asked: &[Sums], rows: impl Iterator<Item = (&'a Used, f64)>) {
    let influences = slots.groups.each_ref().map(|normal| normal.as_ref().map(|normal| normal.influence(asked)));
    for (row, count) in rows {
        let along = influences[slots.group(row.slot)].as_ref().and_then(|influence| influence.of(row.slot, &row.features));
        weights[row.index] += count * along.unwrap_or(0.0);
    }
}

impl HourlyFit {
    /// * Shape: the hours that it was fitted to, and the hours whose total is asked for; all of them have an expectation.
    pub(crate) fn influence(&self, baseline: &[Hour], asked: &[Hour]) -> HourlyInfluence {
        let by_month = |hours: &[Hour], rows: Vec<Used>| -> Vec<Vec<Used>> {
            let mut months: Vec<Vec<Used>> = (0..12).map(|_| Vec::new()).collect();
            for row in rows {
                months[usize::from(hours[row.index].month.clamp(1, 12)) - 1].push(row);
            }
            months
        };
        let grid = Bins(&ENDPOINTS_F);
        let (before, after) = (by_month(baseline, used(baseline, &grid)), by_month(asked, used(asked, &grid)));
        let month_sums: Vec<Vec<Sums>> = before.iter().map(|rows| sums_of(rows.iter())).collect();
        let mut found = HourlyInfluence {
            residuals_wh: self.residuals_wh.clone(),
            weights: vec![0.0; baseline.len()],
            week_levels: 0.0,
            day_levels: 0.0,
        };
        for segment in &self.segments {
            let month = usize::from(segment.month.clamp(1, 12)) - 1;
            let near = [((month + 11) % 12, NEIGHBOUR), (month, 1.0), ((month + 1) % 12, NEIGHBOUR)];
            let week = Sums::weighted(near.map(|(month, weight)| (month_sums[month].as_slice(), weight)));
            let kept = ENDPOINTS_F.map(|end| segment.endpoints_f.iter().any(|kept| kept.total_cmp(&end).is_eq()));
            let apart = !segment.slopes_occupied.is_empty();
            let occupied = (0..168_u8).map(|slot| apart && segment.occupied.binary_search(&slot).is_ok()).collect();
            let slots = Slots::new(&week, &kept, occupied);
            let rows = near.iter().flat_map(|(month, weight)| before[*month].iter().map(|row| (row, *weight)));
            add_weights(&mut found.weights, &slots, &sums_of(after[month].iter()), rows);
            let (mut weeks, mut days) = (Trace::new(&slots, WEEK), Trace::new(&slots, DAY));
            for row in &before[month] {
                weeks.admit(row.index, row.slot, &row.features);
                days.admit(row.index, row.slot, &row.features);
            }
            found.week_levels += weeks.finish();
            found.day_levels += days.finish();
        }
        found
    }
}

impl TowtFit {
    /// As [`HourlyFit::influence`], for a model of 168 intervals.
    pub(crate) fn influence(&self, baseline: &[Hour], asked: &[Hour]) -> HourlyInfluence {
        let bins = Bins(&self.knots_f);
        let (before, after) = (used(baseline, &bins), used(asked, &bins));
        let occupied = (0..168_u16).map(|slot| self.occupied.binary_search(&slot).is_ok()).collect();
        let slots = Slots::new(&sums_of(before.iter()), &vec![true; self.knots_f.len()], occupied);
        let mut weights = vec![0.0; baseline.len()];
        add_weights(&mut weights, &slots, &sums_of(after.iter()), before.iter().map(|row| (row, 1.0)));
        let (mut weeks, mut days) = (Trace::new(&slots, WEEK), Trace::new(&slots, DAY));
        for row in &before {
            weeks.admit(row.index, row.slot, &row.features);
            days.admit(row.index, row.slot, &row.features);
        }
        let residual = |hour: &Hour| Some(hour.use_wh? - self.expected_wh(u16::from(hour.hour_of_week), hour.temperature_f?)?);
        HourlyInfluence {
            residuals_wh: baseline.iter().map(residual).collect(),
            weights,
            week_levels: weeks.finish(),
            day_levels: days.finish(),
        }
    }
}
