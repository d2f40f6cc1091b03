//! Time of week and temperature, in the form of Lawrence Berkeley: occupied and other intervals as two regressions.
//!
//! Each has a level for every interval of the week and one continuous line over temperature segments of equal counts. It
//! fits rows of any interval: hours (168 in a week), quarters of an hour (672) or days (seven).

use serde::{Deserialize, Serialize};

use super::ols::Orthogonal;
use super::select::FitError;
use super::statistics::{Metrics, Residual, Residuals, metrics_of, squared_correlation};
use super::time_of_week::{Bins, FEATURES, Sums, Ties, solve};
use crate::baseline::{Commodity, Day, Hour};

/// The name of the method and of our edition of it.
pub const TOWT_METHOD: &str = "lbnl-towt/1";

/// An outer knot needs at least this many rows beyond it.
const BEYOND: usize = 20;
/// An interval is occupied when the plain line stays below it in more than this share of its rows.
const OCCUPIED: f64 = 0.65;
/// So few occupied intervals are none.
const OCCUPIED_MIN: usize = 3;
/// The knees of the plain line, °F.
const KNEES_F: (f64, f64) = (50.0, 65.0);

/// One row: its interval of the week, its weather and its use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// The interval of the week, from zero.
    pub slot: u16,
    /// Mean outdoor temperature, °F.
    pub temperature_f: f64,
    /// Energy of the interval, Wh.
    pub use_wh: f64,
    /// Whether the row before is its neighbour in time.
    pub follows: bool,
}

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TowtSearch {
    /// Temperature segments of equal counts before outer knots are dropped, at most seven.
    pub segments: u8,
    /// Whether temperature is used at all; without it only the levels remain.
    pub temperature: bool,
    /// Whether a negative expectation becomes zero, as in the reference.
    pub floor_at_zero: bool,
}

impl Default for TowtSearch {
    fn default() -> Self {
        Self { segments: 6, temperature: true, floor_at_zero: false }
    }
}

/// A fitted model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TowtFit {
    /// [`TOWT_METHOD`] at the time of the fit.
    pub method: String,
    /// What the meter measures.
    pub commodity: Commodity,
    /// What was asked for.
    pub search: TowtSearch,
    /// Intervals of a week.
    pub slots: u16,
    /// The knots between temperature segments, °F.
    pub knots_f: Vec<f64>,
    /// The occupied intervals in ascending order.
    pub occupied: Vec<u16>,
    /// Slopes in occupied intervals, Wh per °F; empty when there are none.
    pub slopes_occupied: Vec<f64>,
    /// Slopes in the others, Wh per °F.
    pub slopes: Vec<f64>,
    /// The level of each interval of the week, Wh; `None` for one that was never seen.
    pub levels: Vec<Option<f64>>,
    /// Σr², Wh².
    pub sse: f64,
    /// How well it fits.
    pub metrics: Metrics,
    /// Rows whose expectation is negative: they are counted, never hidden.
    pub negative_expectations: u32,
}

impl TowtFit {
    /// What is expected of an interval; `None` for one that was never seen.
    pub fn expected_wh(&self, slot: u16, temperature_f: f64) -> Option<f64> {
        let level = (*self.levels.get(usize::from(slot))?)?;
        let own = !self.slopes_occupied.is_empty() && self.occupied.binary_search(&slot).is_ok();
        let slopes = if own { &self.slopes_occupied } else { &self.slopes };
        let expected = level + if slopes.is_empty() { 0.0 } else { Bins(&self.knots_f).response(slopes, temperature_f) };
        Some(if self.search.floor_at_zero { expected.max(0.0) } else { expected })
    }
}

/// Hours as rows: 168 intervals, the first on Monday at midnight.
pub fn slots_of_hours(hours: &[Hour]) -> Vec<Slot> {
    let mut before = None;
    let usable = hours.iter().filter_map(|hour| Some((hour, hour.use_wh?, hour.temperature_f?)));
    usable
        .map(|(hour, use_wh, temperature_f)| {
            let follows = before == Some(hour.start.as_second() - 3_600);
            before = Some(hour.start.as_second());
            Slot { slot: u16::from(hour.hour_of_week), temperature_f, use_wh, follows }
        })
        .collect()
}

/// Days as rows, their use per 24 hours: seven intervals, the first on Monday.
pub fn slots_of_days(days: &[Day]) -> Vec<Slot> {
    let mut before = None;
    let usable = days.iter().filter_map(|day| Some((day, day.use_wh?, day.temperature_f?)));
    usable
        .map(|(day, use_wh, temperature_f)| {
            let follows = before.is_some() && before == day.date.yesterday().ok();
            before = Some(day.date);
            Slot { slot: weekday(day), temperature_f, use_wh: use_wh / day.length(), follows }
        })
        .collect()
}

/// The interval of the week of a day: Monday is zero.
pub(super) fn weekday(day: &Day) -> u16 {
    weekday_of(day.date)
}

pub(super) fn weekday_of(date: jiff::civil::Date) -> u16 {
    u16::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0)
}

/// Fits rows.
///
/// * Shape: rows in order of time, their intervals below `slots`.
/// * Errors: [`FitError::Empty`], [`FitError::NoUse`].
/// * Source: Mathieu et al. 2011 as LBNL and nmecr 1.0.17 run it: occupancy by a line with knees at 50 and 65 °F, knots by equal
///   counts with outer ones dropped below twenty rows, two regressions.
pub fn fit_towt(rows: &[Slot], slots: u16, commodity: Commodity, search: &TowtSearch) -> Result<TowtFit, FitError> {
    let rows: Vec<Slot> = rows.iter().copied().filter(|row| row.slot < slots).collect();
    if rows.is_empty() {
        return Err(FitError::Empty);
    }
    if rows.iter().map(|row| row.use_wh).sum::<f64>() == 0.0 {
        return Err(FitError::NoUse { days: rows.len() });
    }
    let knots_f = if search.temperature { knots(&rows, search.segments) } else { Vec::new() };
    let occupied = if search.temperature { occupancy(&rows, slots) } else { vec![false; usize::from(slots)] };
    let mut sums = vec![Sums::ZERO; usize::from(slots)];
    for row in &rows {
        let features = if search.temperature { Bins(&knots_f).features(row.temperature_f) } else { [0.0; FEATURES] };
        sums[usize::from(row.slot)].admit(&features, row.use_wh);
    }
    let kept = vec![true; knots_f.len()];
    let part = |wanted: bool| {
        let own: Vec<Option<&Sums>> = sums.iter().zip(&occupied).map(|(sums, occupied)| (*occupied == wanted).then_some(sums)).collect();
        solve(&own, &kept, Ties::DropLater)
    };
    let (other, own) = (part(false), part(true));
    let occupied: Vec<u16> = (0..slots).zip(occupied).filter(|(_, occupied)| *occupied).map(|(slot, _)| slot).collect();
    let slopes_of = |slopes: Vec<f64>, used: bool| if used && search.temperature { slopes } else { Vec::new() };
    let mut fit = TowtFit {
        method: TOWT_METHOD.to_owned(),
        commodity,
        search: *search,
        slots,
        knots_f,
        levels: own.levels.iter().zip(&other.levels).map(|(own, other)| own.or(*other)).collect(),
        slopes_occupied: slopes_of(own.slopes, !occupied.is_empty()),
        slopes: slopes_of(other.slopes, true),
        occupied,
        sse: 0.0,
        metrics: metrics_of(&Residuals::default(), 0, 0),
        negative_expectations: 0,
    };
    let unbounded = TowtFit { search: TowtSearch { floor_at_zero: false, ..*search }, ..fit.clone() };
    let expected: Vec<f64> = rows.iter().map(|row| unbounded.expected_wh(row.slot, row.temperature_f).unwrap_or(0.0)).collect();
    let residuals: Residuals = rows
        .iter()
        .zip(&expected)
        .map(|(row, expected)| Residual { observed: row.use_wh, residual: row.use_wh - expected, follows: row.follows })
        .collect();
    let quantities = fit.levels.iter().flatten().count() + fit.slopes.len() + fit.slopes_occupied.len();
    let quantities = u16::try_from(quantities).unwrap_or(u16::MAX);
    fit.sse = residuals.squares();
    fit.metrics = metrics_of(&residuals, quantities, quantities);
    fit.metrics.set_r_squared(squared_correlation(&residuals));
    fit.negative_expectations = u32::try_from(expected.iter().filter(|wh| **wh < 0.0).count()).unwrap_or(u32::MAX);
    Ok(fit)
}

/// Knots that cut the rows into segments of equal counts, without outer ones that have too few rows beyond.
fn knots(rows: &[Slot], segments: u8) -> Vec<f64> {
    let mut sorted: Vec<f64> = rows.iter().map(|row| row.temperature_f).collect();
    sorted.sort_by(f64::total_cmp);
    let (count, segments) = (sorted.len(), usize::from(segments).clamp(1, FEATURES));
    // The reference counts from the warm end in equal steps and takes whole positions, the first of them being one.
    let mut knots: Vec<f64> = (1..=segments).filter_map(|cut| (count * cut / segments).checked_sub(1).map(|index| sorted[index])).collect();
    knots.dedup();
    while knots.len() > 1 && sorted.iter().filter(|degrees| knots.last().is_some_and(|knot| *degrees > knot)).count() < BEYOND {
        knots.pop();
    }
    while knots.len() > 1 && sorted.iter().filter(|degrees| **degrees < knots[0]).count() < BEYOND {
        knots.remove(0);
    }
    knots.truncate(FEATURES - 1);
    knots
}

/// Which intervals a line with two knees mostly underestimates.
fn occupancy(rows: &[Slot], slots: u16) -> Vec<bool> {
    let cold = |degrees: f64| (degrees - KNEES_F.0).min(0.0);
    let warm = |degrees: f64| (degrees - KNEES_F.1).max(0.0);
    let column = |value: &dyn Fn(f64) -> f64| rows.iter().map(|row| value(row.temperature_f)).collect::<Vec<f64>>();
    let use_wh: Vec<f64> = rows.iter().map(|row| row.use_wh).collect();
    let (_, line) = Orthogonal::solving(vec![vec![1.0; rows.len()], column(&cold), column(&warm)], &use_wh);
    let (mut above, mut all) = (vec![0_u32; usize::from(slots)], vec![0_u32; usize::from(slots)]);
    for row in rows {
        let slot = usize::from(row.slot);
        all[slot] += 1;
        let expected = line[0] + line[1] * cold(row.temperature_f) + line[2] * warm(row.temperature_f);
        above[slot] += u32::from(row.use_wh - expected > 0.0);
    }
    let occupied: Vec<bool> = above.iter().zip(&all).map(|(above, all)| f64::from(*above) > OCCUPIED * f64::from(*all)).collect();
    let few = occupied.iter().filter(|occupied| **occupied).count() < OCCUPIED_MIN;
    if few { vec![false; usize::from(slots)] } else { occupied }
}

#[cfg(test)]
#[path = "towt_tests.rs"]
mod tests;
