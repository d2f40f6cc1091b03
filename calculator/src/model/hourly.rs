//! The CalTRACK hourly method: for every month a model of the hour of the week and of temperature bins.
//!
//! A month is fitted to itself with weight one and to its neighbours with one half. An hour of the week counts as occupied
//! when a plain degree-hour model mostly stays below it; occupied and other hours have slopes of their own. One pass over
//! the rows makes the sums of every month and hour; the twelve overlapping segments are weighted sums of those.

use serde::{Deserialize, Serialize};

use super::select::FitError;
use super::statistics::{Metrics, Residual, metrics_of, squared_correlation};
use super::time_of_week::{Bins, Solution, Sums, Ties, solve};
use crate::baseline::{Commodity, Hour};

/// The name of the method and of our edition of it.
pub const HOURLY_METHOD: &str = "caltrack-2.0-hourly/1";

/// Hours of a week.
pub(super) const WEEK: usize = 168;
/// Endpoints of the temperature bins before any is dropped, °F (CalTRACK 3.9.1).
pub(super) const ENDPOINTS_F: [f64; 6] = [30.0, 45.0, 55.0, 65.0, 75.0, 90.0];
/// Fewer hours than this do not carry a bin.
const BIN_HOURS: u32 = 20;
/// An hour of the week is occupied when more than this share of its residuals is positive.
const OCCUPIED: f64 = 0.65;
/// Heating below this many degrees and cooling above the other, in the model that finds occupancy, °F.
const DEGREE_HOURS_F: (f64, f64) = (50.0, 65.0);
/// The weight of a neighbouring month.
pub(super) const NEIGHBOUR: f64 = 0.5;
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Twelve models, one for each month that has rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HourlyFit {
    /// [`HOURLY_METHOD`] at the time of the fit.
    pub method: String,
    /// What the meter measures.
    pub commodity: Commodity,
    /// The models in order of months.
    pub segments: Vec<Segment>,
    /// How well each hour of the baseline is met by the model of its own month.
    pub metrics: Metrics,
    /// Residuals of the baseline's hours in order of time, Wh; `None` where an hour was not fitted.
    pub residuals_wh: Vec<Option<f64>>,
}

/// The model of one month.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// The reference's name of it, as `dec-jan-feb-weighted`.
    pub name: String,
    /// The month that it predicts, 1 to 12.
    pub month: u8,
    /// The endpoints that were kept, °F.
    pub endpoints_f: Vec<f64>,
    /// The occupied hours of the week, ascending; 0 begins on Monday at midnight.
    pub occupied: Vec<u8>,
    /// Slopes of the bins in occupied hours, Wh per °F; empty when all hours share theirs.
    pub slopes_occupied: Vec<f64>,
    /// Slopes of the bins in the other hours, or in all, Wh per °F.
    pub slopes: Vec<f64>,
    /// The level of each hour of the week, Wh; `None` for one that was never seen.
    pub levels: Vec<Option<f64>>,
    /// How well the hours of the month itself are met. R² is a squared correlation, as in the reference.
    pub metrics: Metrics,
}

impl HourlyFit {
    /// The model of a month.
    pub fn segment(&self, month: u8) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.month == month)
    }

    /// What is expected of an hour; `None` for an hour of the week or a month that was never seen.
    pub fn expected_wh(&self, month: u8, hour_of_week: u8, temperature_f: f64) -> Option<f64> {
        self.segment(month)?.expected_wh(hour_of_week, temperature_f)
    }
}

/// The models by their months, with the occupied hours at hand: for many hours one after another.
#[derive(Debug)]
pub(super) struct ByMonth<'a>([Option<(&'a Segment, [bool; WEEK])>; 12]);

impl<'a> ByMonth<'a> {
    pub(super) fn of(segments: &'a [Segment]) -> Self {
        let mut months = [None; 12];
        for segment in segments {
            let mut own = [false; WEEK];
            if !segment.slopes_occupied.is_empty() {
                segment.occupied.iter().for_each(|slot| own[usize::from(*slot).min(WEEK - 1)] = true);
            }
            months[usize::from(segment.month.clamp(1, 12)) - 1] = Some((segment, own));
        }
        Self(months)
    }

    /// As [`HourlyFit::expected_wh`].
    pub(super) fn expected_wh(&self, month: u8, hour_of_week: u8, temperature_f: f64) -> Option<f64> {
        let (segment, own) = self.0.get(usize::from(month).checked_sub(1)?)?.as_ref()?;
        let slot = usize::from(hour_of_week);
        let level = (*segment.levels.get(slot)?)?;
        let slopes = if *own.get(slot)? { &segment.slopes_occupied } else { &segment.slopes };
        Some(level + Bins(&segment.endpoints_f).response(slopes, temperature_f))
    }
}

impl Segment {
    fn new(month: usize, endpoints_f: Vec<f64>, occupied: &[bool; WEEK], parts: (Solution, Option<Solution>)) -> Self {
        let (other, own) = parts;
        let levels = match &own {
            Some(own) => own.levels.iter().zip(&other.levels).map(|(own, other)| own.or(*other)).collect(),
            None => other.levels,
        };
        Self {
            name: format!("{}-{}-{}-weighted", MONTHS[(month + 11) % 12], MONTHS[month], MONTHS[(month + 1) % 12]),
            month: u8::try_from(month + 1).unwrap_or(0),
            endpoints_f,
            occupied: (0..).zip(occupied).filter(|(_, occupied)| **occupied).map(|(hour, _)| hour).collect(),
            slopes_occupied: own.map(|own| own.slopes).unwrap_or_default(),
            slopes: other.slopes,
            levels,
            metrics: metrics_of(&[], 0, 0),
        }
    }

    /// What is expected of an hour of this month; `None` for an hour of the week that was never seen.
    pub fn expected_wh(&self, hour_of_week: u8, temperature_f: f64) -> Option<f64> {
        let level = (*self.levels.get(usize::from(hour_of_week))?)?;
        let own = !self.slopes_occupied.is_empty() && self.occupied.binary_search(&hour_of_week).is_ok();
        let slopes = if own { &self.slopes_occupied } else { &self.slopes };
        Some(level + Bins(&self.endpoints_f).response(slopes, temperature_f))
    }

    /// Levels and slopes, each counted as one quantity, determined or not.
    pub fn quantities(&self) -> u16 {
        let levels = self.levels.iter().flatten().count();
        u16::try_from(levels + self.slopes.len() + self.slopes_occupied.len()).unwrap_or(u16::MAX)
    }
}

/// One usable row.
#[derive(Clone, Copy, Debug)]
struct Row {
    slot: u8,
    temperature_f: f64,
    /// Cooling and heating degree hours.
    degrees: [f64; 2],
    use_wh: f64,
}

/// Fits a model for every month that the rows know.
///
/// * Shape: hours of a baseline year in order of time; those without energy or weather take no part.
/// * Units: Wh and °F.
/// * Errors: [`FitError::Empty`], [`FitError::NoUse`].
/// * Source: CalTRACK 2.0, 3.8-3.9. Where bins cannot be told from levels the shortest solution is taken, as the reference's
///   pseudo-inverse does; its predictions are the same, its single parameters mean nothing.
pub fn fit_hours(hours: &[Hour], commodity: Commodity) -> Result<HourlyFit, FitError> {
    let mut months: [Vec<Row>; 12] = std::array::from_fn(|_| Vec::with_capacity(744));
    for hour in hours {
        let (Some(use_wh), Some(temperature_f)) = (hour.use_wh, hour.temperature_f) else { continue };
        let degrees = degree_hours(temperature_f);
        months[month_of(hour)].push(Row { slot: hour.hour_of_week.min(167), temperature_f, degrees, use_wh });
    }
    let used: usize = months.iter().map(Vec::len).sum();
    if used == 0 {
        return Err(FitError::Empty);
    }
    if months.iter().flatten().map(|row| row.use_wh).sum::<f64>() == 0.0 {
        return Err(FitError::NoUse { days: used / 24 });
    }
    let sums: Vec<Vec<Sums>> = months.iter().map(|rows| slot_sums(rows)).collect();
    let plain: Vec<Plain> = months.iter().map(|rows| Plain::of(rows)).collect();
    let counts: Vec<[u32; 7]> = months.iter().map(|rows| bin_counts(rows)).collect();
    let mut segments: Vec<Segment> = (0..12)
        .filter(|month| !months[*month].is_empty())
        .map(|month| {
            let near = [((month + 11) % 12, NEIGHBOUR), (month, 1.0), ((month + 1) % 12, NEIGHBOUR)];
            let occupied = occupancy(&months, &plain, near);
            let kept = kept_endpoints(near.map(|(month, _)| counts[month]));
            let mut week = vec![Sums::ZERO; WEEK];
            for (neighbour, weight) in near {
                for (slot, sums) in week.iter_mut().zip(&sums[neighbour]) {
                    slot.add(sums, weight);
                }
            }
            let endpoints_f = ENDPOINTS_F.iter().zip(kept).filter(|(_, kept)| *kept).map(|(end, _)| *end).collect();
            let split = |wanted: bool| -> Vec<Option<&Sums>> {
                week.iter().zip(&occupied).map(|(sums, occupied)| (*occupied == wanted).then_some(sums)).collect()
            };
            let seen = |wanted: bool| week.iter().zip(&occupied).any(|(sums, occupied)| *occupied == wanted && sums.weight > 0.0);
            let parts = if seen(true) && seen(false) {
                (solve(&split(false), &kept, Ties::Shortest), Some(solve(&split(true), &kept, Ties::Shortest)))
            } else {
                (solve(&week.iter().map(Some).collect::<Vec<_>>(), &kept, Ties::Shortest), None)
            };
            Segment::new(month, endpoints_f, &occupied, parts)
        })
        .collect();
    let residuals_wh = residuals(hours, &segments);
    let mut by_month: [Vec<(&Hour, &Option<f64>)>; 12] = std::array::from_fn(|_| Vec::with_capacity(744));
    for row in hours.iter().zip(&residuals_wh) {
        by_month[month_of(row.0)].push(row);
    }
    for segment in &mut segments {
        let own = by_month[usize::from(segment.month.clamp(1, 12)) - 1].iter().copied();
        segment.metrics = metrics_of_hours(own, segment.quantities());
    }
    let quantities = segments.iter().fold(0_u16, |sum, segment| sum.saturating_add(segment.quantities()));
    let metrics = metrics_of_hours(hours.iter().zip(&residuals_wh), quantities);
    Ok(HourlyFit { method: HOURLY_METHOD.to_owned(), commodity, segments, metrics, residuals_wh })
}

fn month_of(hour: &Hour) -> usize {
    usize::from(hour.month.clamp(1, 12)) - 1
}

fn slot_sums(rows: &[Row]) -> Vec<Sums> {
    let mut sums = vec![Sums::ZERO; WEEK];
    for row in rows {
        sums[usize::from(row.slot)].admit(&Bins(&ENDPOINTS_F).features(row.temperature_f), row.use_wh);
    }
    sums
}

/// What least squares of use on degree hours needs of a month: products of (1, cooling, heating, use).
#[derive(Clone, Copy, Debug, Default)]
struct Plain([[f64; 4]; 4]);

impl Plain {
    fn of(rows: &[Row]) -> Self {
        let mut products = [[0.0; 4]; 4];
        for row in rows {
            let [cooling, heating] = row.degrees;
            let values = [1.0, cooling, heating, row.use_wh];
            for (products, value) in products.iter_mut().zip(values) {
                for (product, other) in products.iter_mut().zip(values) {
                    *product += value * other;
                }
            }
        }
        Self(products)
    }

    fn add(&mut self, other: &Self, weight: f64) {
        for (products, others) in self.0.iter_mut().zip(&other.0) {
            for (product, other) in products.iter_mut().zip(others) {
                *product += weight * other;
            }
        }
    }

    /// (intercept, cooling slope, heating slope); a variable that never varies has no slope.
    fn solve(&self) -> [f64; 3] {
        let [n, c, h, y] = self.0[0];
        if n <= 0.0 {
            return [0.0; 3];
        }
        let around = |row: usize, column: usize| self.0[row][column] - self.0[0][row] * self.0[0][column] / n;
        let (cc, hh, ch, cy, hy) = (around(1, 1), around(2, 2), around(1, 2), around(1, 3), around(2, 3));
        let (varies_c, varies_h) = (cc > 1e-12 * self.0[1][1], hh > 1e-12 * self.0[2][2]);
        let determinant = cc * hh - ch * ch;
        let (cooling, heating) = match (varies_c, varies_h) {
            (true, true) if determinant > 1e-12 * cc * hh => ((cy * hh - hy * ch) / determinant, (hy * cc - cy * ch) / determinant),
            (true, _) => (cy / cc, 0.0),
            (false, true) => (0.0, hy / hh),
            (false, false) => (0.0, 0.0),
        };
        [(y - cooling * c - heating * h) / n, cooling, heating]
    }
}

fn degree_hours(temperature_f: f64) -> [f64; 2] {
    [(temperature_f - DEGREE_HOURS_F.1).max(0.0), (DEGREE_HOURS_F.0 - temperature_f).max(0.0)]
}

/// Which hours of the week are occupied; one that was never seen is not.
fn occupancy(months: &[Vec<Row>; 12], plain: &[Plain], near: [(usize, f64); 3]) -> [bool; WEEK] {
    let mut sum = Plain::default();
    for (month, weight) in near {
        sum.add(&plain[month], weight);
    }
    let [intercept, cooling, heating] = sum.solve();
    let (mut above, mut all) = ([0_u32; WEEK], [0_u32; WEEK]);
    for row in near.iter().flat_map(|(month, _)| &months[*month]) {
        let [c, h] = row.degrees;
        let slot = usize::from(row.slot);
        all[slot] += 1;
        above[slot] += u32::from(row.use_wh - (intercept + cooling * c + heating * h) > 0.0);
    }
    std::array::from_fn(|slot| all[slot] > 0 && f64::from(above[slot]) / f64::from(all[slot]) > OCCUPIED)
}

/// Hours of each bin; an endpoint belongs to the bin below it.
fn bin_counts(rows: &[Row]) -> [u32; 7] {
    let mut counts = [0; 7];
    for row in rows {
        counts[ENDPOINTS_F.partition_point(|end| *end < row.temperature_f)] += 1;
    }
    counts
}

/// Endpoints that leave enough hours in every bin, dropped from the outside in.
///
/// * Source: CalTRACK 2.0, 3.9.1.
fn kept_endpoints(months: [[u32; 7]; 3]) -> [bool; 6] {
    let counts: [u32; 7] = std::array::from_fn(|bin| months.iter().map(|month| month[bin]).sum());
    let mut kept = [true; 6];
    loop {
        // The merged bins, each with the endpoint above it.
        let mut bins: Vec<(u32, Option<usize>)> = Vec::with_capacity(7);
        let mut hours = 0;
        for (bin, count) in counts.iter().enumerate() {
            hours += count;
            if kept.get(bin).copied().unwrap_or(true) {
                bins.push((hours, Some(bin).filter(|bin| *bin < kept.len())));
                hours = 0;
            }
        }
        if bins.len() == 1 {
            return kept;
        }
        let mut dropped: Vec<usize> = Vec::new();
        let few = |bin: usize| bins[bin].0 < BIN_HOURS;
        if few(0) {
            dropped.extend(bins[0].1);
        }
        if few(bins.len() - 1) {
            dropped.extend(bins[bins.len() - 2].1);
        }
        if dropped.is_empty() {
            dropped.extend((1..bins.len() - 1).filter(|bin| few(*bin)).filter_map(|bin| bins[bin].1));
        }
        if dropped.is_empty() {
            return kept;
        }
        for endpoint in dropped {
            kept[endpoint] = false;
        }
    }
}

fn residuals(hours: &[Hour], segments: &[Segment]) -> Vec<Option<f64>> {
    let by_month = ByMonth::of(segments);
    hours
        .iter()
        .map(|hour| Some(hour.use_wh? - by_month.expected_wh(hour.month.clamp(1, 12), hour.hour_of_week, hour.temperature_f?)?))
        .collect()
}

fn metrics_of_hours<'a>(rows: impl Iterator<Item = (&'a Hour, &'a Option<f64>)>, quantities: u16) -> Metrics {
    let mut before = None;
    let rows: Vec<Residual> = rows
        .filter_map(|(hour, residual)| {
            let (observed, residual) = (hour.use_wh?, (*residual)?);
            let follows = before == Some(hour.start.as_second() - 3_600);
            before = Some(hour.start.as_second());
            Some(Residual { observed, residual, follows })
        })
        .collect();
    let mut metrics = metrics_of(&rows, quantities, quantities);
    metrics.set_r_squared(squared_correlation(&rows));
    metrics
}

#[cfg(test)]
#[path = "hourly_tests.rs"]
mod tests;
