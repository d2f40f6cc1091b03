//! What a saving is worth where the counterfactual is known by days alone.
//!
//! A fitted shape lays a day's energy into its hours. But the highest of mean shapes is lower than a mean highest: a bill of
//! demand by the fitted shape alone pays too little. So the counterfactual is drawn many times, each day with the shape of a
//! real day of its kind and each week with the errors of a real week of the model, and the expected bill is what counts.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::bill::{Account, Bill, BillError, Biller};
use super::profile::{BillPeriod, Profile, ProfileError};
use super::rate::Rate;
use super::shape::{Shape, ShapeFit, days_of};
use super::value::{Difference, Valued, compare};
use crate::uncertainty::Draws;

/// Draws that the command line asks for where nobody says another number.
pub const BILL_DRAWS: u32 = 200;

/// Days of the model's errors that are drawn together.
const BLOCK_DAYS: usize = 7;

/// What would have been used, day by day.
#[derive(Clone, Copy, Debug)]
pub struct DailyCounterfactual<'a> {
    /// The days and their energy, Wh; days that are not named count as used.
    pub days: &'a [(Date, i64)],
    /// How a day's energy lies in its hours.
    pub shape: &'a Shape,
    /// The model's errors on the days of its baseline in order of time, Wh; may be empty.
    pub residuals_wh: &'a [i64],
}

/// The expected value of a saving.
///
/// * Law: `value` is the sum of the differences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpectedValue {
    /// The code of the currency.
    pub currency: String,
    /// What was not used, Wh; the same in every draw.
    pub avoided_wh: i64,
    /// The expected value.
    pub value: Decimal,
    /// A tenth of the draws is below it.
    pub p10: Decimal,
    /// A tenth of the draws is above it.
    pub p90: Decimal,
    /// The value by the fitted shape alone, which sees no peaks.
    pub by_mean_shape: Decimal,
    /// The expected differences by charge and period.
    pub differences: Vec<Difference>,
    /// How often it was drawn.
    pub draws: u32,
    /// From what the draws follow.
    pub seed: u64,
    /// How well the shape fits.
    pub shape: ShapeFit,
    /// Days of the profile without a counterfactual.
    pub days_masked: usize,
    /// The bills of what was used.
    pub measured: Vec<Bill>,
}

/// A counterfactual that has no bill.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpectError {
    /// A bill that cannot be made.
    #[error(transparent)]
    Bill(#[from] BillError),
    /// Energy that no profile holds.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Shape and profile have other intervals.
    #[error("the shape has intervals of {shape} minutes, the profile of {profile}: fit the shape to intervals of the same length")]
    Intervals {
        /// The shape's.
        shape: u8,
        /// The profile's.
        profile: u8,
    },
    /// No draw.
    #[error("an expected value needs at least one draw")]
    NoDraws,
}

/// The expected value of a saving.
///
/// * Shape: `measured` is the profile of what was used; each side has its account, the grid's peaks are the counterfactual's.
/// * Determinism: the draws follow from `seed`, which the caller takes from the hash of its inputs.
pub fn expected_value(
    rate: &Rate,
    zone: &TimeZone,
    periods: &[BillPeriod],
    counterfactual: (DailyCounterfactual<'_>, &Account),
    measured: (&Profile, &Account),
    draws: u32,
    seed: u64,
) -> Result<ExpectedValue, ExpectError> {
    let ((given, account), (profile, measured_account)) = (counterfactual, measured);
    if given.shape.interval_minutes() != profile.interval_minutes() {
        return Err(ExpectError::Intervals { shape: given.shape.interval_minutes(), profile: profile.interval_minutes() });
    }
    if draws == 0 {
        return Err(ExpectError::NoDraws);
    }
    let days = days_of(profile, zone);
    let expected = |date: Date| given.days.iter().find(|day| day.0 == date).map(|day| day.1);
    let totals: Vec<Option<i64>> = days.iter().map(|(date, ..)| expected(*date)).collect();
    let laid = |spread: &mut dyn FnMut(usize, i64) -> Vec<i64>| {
        let mut wh = profile.wh().to_vec();
        for (index, ((_, range, _), total)) in days.iter().zip(&totals).enumerate() {
            if let Some(total) = total {
                wh[range.clone()].copy_from_slice(&spread(index, *total));
            }
        }
        profile.with(wh)
    };

    let biller = Biller::new(rate, profile, zone, periods)?;
    let measured_account = Account { grid_peaks: account.grid_peaks.clone(), ..measured_account.clone() };
    let measured_bills = biller.bills(profile, &measured_account)?;
    let mean = laid(&mut |index, total| given.shape.spread(days[index].0, total, &days[index].2))?;
    let of_mean = compare(biller.bills(&mean, account)?, measured_bills.clone(), rate.currency())?;

    let bill_of: Vec<Option<usize>> =
        days.iter().map(|(date, ..)| periods.iter().position(|bill| bill.first <= *date && *date < bill.end)).collect();
    let mut stream = Draws::new(seed);
    let mut values = Vec::new();
    let mut sums: Vec<Difference> = Vec::new();
    for _ in 0..draws {
        let errors = errors(given.residuals_wh, &bill_of, periods.len(), &totals, &mut stream);
        let drawn = laid(&mut |index, total| {
            let (date, _, intervals) = &days[index];
            given.shape.spread_as(*date, (total + errors[index]).max(0), intervals, |count| stream.below(count))
        })?;
        let Valued { value, differences, .. } = compare(biller.bills(&drawn, account)?, measured_bills.clone(), rate.currency())?;
        values.push(value);
        add(&mut sums, differences);
    }
    values.sort_unstable();
    let tenth = values.len() / 10;
    let mut value = Decimal::ZERO;
    for difference in &mut sums {
        let mean = |sum: Decimal| sum.checked_div(Decimal::from(draws)).map_or(sum, |mean| rate.rounded(mean.round_dp(10)));
        difference.counterfactual = mean(difference.counterfactual);
        difference.measured = mean(difference.measured);
        difference.value = difference.counterfactual - difference.measured;
        value += difference.value;
    }
    Ok(ExpectedValue {
        currency: rate.currency().to_owned(),
        avoided_wh: of_mean.avoided_wh,
        value: value.normalize(),
        p10: values[tenth],
        p90: values[values.len() - 1 - tenth],
        by_mean_shape: of_mean.value,
        differences: sums,
        draws,
        seed,
        shape: given.shape.fitted(),
        days_masked: totals.iter().filter(|total| total.is_none()).count(),
        measured: measured_bills,
    })
}

fn add(sums: &mut Vec<Difference>, differences: Vec<Difference>) {
    for difference in differences {
        let same = |sum: &&mut Difference| sum.kind == difference.kind && sum.name == difference.name && sum.period == difference.period;
        match sums.iter_mut().find(same) {
            Some(sum) => {
                sum.counterfactual += difference.counterfactual;
                sum.measured += difference.measured;
            }
            None => sums.push(difference),
        }
    }
}

/// An error for each day, drawn in weeks; over the days of each bill they sum to zero, so that no draw changes its energy.
fn errors(residuals: &[i64], bill_of: &[Option<usize>], bills: usize, totals: &[Option<i64>], stream: &mut Draws) -> Vec<i64> {
    let mut errors = vec![0; bill_of.len()];
    if residuals.is_empty() {
        return errors;
    }
    for block in errors.chunks_mut(BLOCK_DAYS) {
        let first = stream.below(residuals.len());
        for (day, error) in block.iter_mut().enumerate() {
            *error = residuals[(first + day) % residuals.len()];
        }
    }
    for bill in 0..bills {
        let days: Vec<usize> = (0..errors.len()).filter(|day| bill_of[*day] == Some(bill) && totals[*day].is_some()).collect();
        let Ok(count) = i64::try_from(days.len()) else { continue };
        let sum: i64 = days.iter().map(|day| errors[*day]).sum();
        for (index, day) in (0_i64..).zip(days) {
            errors[day] -= (index + 1) * sum / count - index * sum / count;
        }
    }
    errors
}

#[cfg(test)]
#[path = "expected_tests.rs"]
mod tests;
