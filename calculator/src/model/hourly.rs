//! The CalTRACK hourly method: for every month a model of the hour of the week and of temperature bins.
//!
//! A month is fitted to itself with weight one and to its neighbours with one half. An hour of the week counts as occupied
//! when a plain degree-hour model mostly stays below it; occupied and other hours have slopes of their own. One pass over
//! the rows makes the sums of every month and hour; the twelve overlapping segments are weighted sums of those.

use serde::{Deserialize, Serialize};

use super::by_month::Month;
use super::hour_sums::{MonthRows, Near, Row, bin_of, level, products};
use super::select::FitError;
use super::statistics::{Metrics, Residual, Residuals, metrics_of, squared_correlation};
use super::time_of_week::{Bins, FEATURES, Level, Normal, Solution, Sums, Ties};
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
            metrics: metrics_of(&Residuals::default(), 0, 0),
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

/// Fits a model for every month that the rows know.
///
/// * Shape: hours of a baseline year in order of time; those without energy or weather take no part.
/// * Units: Wh and °F.
/// * Errors: [`FitError::Empty`], [`FitError::NoUse`].
/// * Source: CalTRACK 2.0, 3.8-3.9. Where bins cannot be told from levels the shortest solution is taken, as the reference's
///   pseudo-inverse does; its predictions are the same, its single parameters mean nothing.
pub fn fit_hours(hours: &[Hour], commodity: Commodity) -> Result<HourlyFit, FitError> {
    let mut months: [MonthRows; 12] = std::array::from_fn(|_| MonthRows::new());
    for (index, hour) in (0..).zip(hours) {
        let (Some(use_wh), Some(temperature_f)) = (hour.use_wh, hour.temperature_f) else { continue };
        let (slot, bin, degrees) = (hour.hour_of_week.min(167), bin_of(temperature_f), degree_hours(temperature_f));
        months[month_of(hour)].admit(Row { hour: index, slot, bin, temperature_f, degrees, use_wh });
    }
    months.iter_mut().for_each(MonthRows::finish);
    let used: usize = months.iter().map(|month| month.rows.len()).sum();
    if used == 0 {
        return Err(FitError::Empty);
    }
    if months.iter().flat_map(|month| &month.rows).map(|row| row.use_wh).sum::<f64>() == 0.0 {
        return Err(FitError::NoUse { days: used / 24 });
    }
    let plain: Vec<Plain> = months.iter().map(|month| Plain::of(&month.rows)).collect();
    let counts: Vec<[u32; FEATURES]> = months.iter().map(MonthRows::counts).collect();
    let mut segments: Vec<Segment> = (0..12)
        .filter(|month| !months[*month].rows.is_empty())
        .map(|month| {
            let near = [((month + 11) % 12, NEIGHBOUR), (month, 1.0), ((month + 1) % 12, NEIGHBOUR)];
            let rows = near.map(|(month, weight)| (&months[month], weight));
            let occupied = occupancy(rows, near.map(|(month, weight)| (plain[month], weight)));
            let kept = kept_endpoints(near.map(|(month, _)| counts[month]));
            let endpoints_f = ENDPOINTS_F.iter().zip(kept).filter(|(_, kept)| *kept).map(|(end, _)| *end).collect();
            let levels: Vec<Level> = (0..WEEK).map(|slot| level(rows, slot)).collect();
            let seen = |wanted: bool| levels.iter().zip(&occupied).any(|(level, occupied)| *occupied == wanted && level.weight > 0.0);
            let [mut all, own] = products(rows, &occupied);
            let solved = |slots, all: &Sums| Normal::around(slots, all, &kept).solution(Ties::Shortest);
            let parts = if seen(true) && seen(false) {
                let part = |wanted: bool| levels.iter().zip(&occupied).map(|(level, own)| (*own == wanted).then_some(*level)).collect();
                (solved(part(false), &all), Some(solved(part(true), &own)))
            } else {
                all.add(&own, 1.0);
                (solved(levels.iter().copied().map(Some).collect(), &all), None)
            };
            Segment::new(month, endpoints_f, &occupied, parts)
        })
        .collect();
    let mut residuals_wh = vec![None; hours.len()];
    for segment in &mut segments {
        let rows = &months[usize::from(segment.month.clamp(1, 12)) - 1].rows;
        let own = Month::of(segment);
        let mut of_month = Residuals::with_capacity(rows.len());
        let mut before = None;
        for row in rows {
            let place = usize::try_from(row.hour).unwrap_or(usize::MAX);
            let Some(expected) = own.expected_in(row.slot, row.bin, row.temperature_f) else { continue };
            let residual = row.use_wh - expected;
            residuals_wh[place] = Some(residual);
            let follows = after(&mut before, &hours[place]);
            of_month.push(Residual { observed: row.use_wh, residual, follows });
        }
        segment.metrics = metrics_of_hours(&of_month, segment.quantities());
    }
    let quantities = segments.iter().fold(0_u16, |sum, segment| sum.saturating_add(segment.quantities()));
    let (mut of_year, mut before) = (Residuals::with_capacity(used), None);
    for (hour, residual) in hours.iter().zip(&residuals_wh) {
        if let (Some(observed), Some(residual)) = (hour.use_wh, *residual) {
            let follows = after(&mut before, hour);
            of_year.push(Residual { observed, residual, follows });
        }
    }
    let metrics = metrics_of_hours(&of_year, quantities);
    Ok(HourlyFit { method: HOURLY_METHOD.to_owned(), commodity, segments, metrics, residuals_wh })
}

fn month_of(hour: &Hour) -> usize {
    usize::from(hour.month.clamp(1, 12)) - 1
}

/// What least squares of use on degree hours needs of a month: products of (1, cooling, heating, use).
#[derive(Clone, Copy, Debug, Default)]
struct Plain([[f64; 4]; 3]);

impl Plain {
    fn of(rows: &[Row]) -> Self {
        let mut products = [[0.0; 4]; 3];
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
fn occupancy(near: Near<'_>, plain: [(Plain, f64); 3]) -> [bool; WEEK] {
    let mut sum = Plain::default();
    for (month, weight) in &plain {
        sum.add(month, *weight);
    }
    let [intercept, cooling, heating] = sum.solve();
    let mut above = [0_u32; WEEK];
    for row in near.iter().flat_map(|(month, _)| &month.rows) {
        let [c, h] = row.degrees;
        above[usize::from(row.slot).min(WEEK - 1)] += u32::from(row.use_wh > intercept + cooling * c + heating * h);
    }
    let all = |slot| near.iter().map(|(month, _)| month.rows_of(slot)).sum::<f64>();
    std::array::from_fn(|slot| all(slot) > 0.0 && f64::from(above[slot]) / all(slot) > OCCUPIED)
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

/// Whether an hour is the one after the one before, which it then is itself.
#[inline]
fn after(before: &mut Option<i64>, hour: &Hour) -> bool {
    let at = hour.start.as_second();
    before.replace(at) == Some(at - 3_600)
}

fn metrics_of_hours(rows: &Residuals, quantities: u16) -> Metrics {
    let mut metrics = metrics_of(rows, quantities, quantities);
    metrics.set_r_squared(squared_correlation(rows));
    metrics
}

#[cfg(test)]
#[path = "hourly_tests.rs"]
mod tests;
