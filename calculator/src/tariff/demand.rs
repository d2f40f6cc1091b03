//! Demand: the highest average power of a bill, and what earlier bills make of it.

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::bill::PastDemand;
use super::charge::{Averaging, DemandMeter, Ratchet, Tier};

/// How many intervals a window has. At least one: where intervals are longer than the window, each is a window.
pub(super) fn intervals(meter: DemandMeter, interval_minutes: u8) -> Option<usize> {
    if interval_minutes >= meter.window_minutes {
        return Some(1);
    }
    meter.window_minutes.is_multiple_of(interval_minutes).then(|| usize::from(meter.window_minutes / interval_minutes))
}

/// The highest average of each period, in watts; none where no window lies wholly in a period.
///
/// * Shape: `wh` and `minute` are each interval's energy and the minute of the hour it begins at, `period` is what it belongs to.
/// * Exact: a window divides an hour, so its average is a whole number of watts.
pub(super) fn highest(
    wh: &[i64],
    minute: &[u8],
    meter: DemandMeter,
    interval_minutes: u8,
    periods: usize,
    period: impl Fn(usize) -> Option<usize>,
) -> Option<Vec<Option<i64>>> {
    let length = intervals(meter, interval_minutes)?;
    let per_hour = 60 / (i64::try_from(length).ok()? * i64::from(interval_minutes));
    let mut highest = vec![None; periods];
    for (first, window) in wh.windows(length).enumerate() {
        if length > 1 && meter.averaging == Averaging::Fixed && !minute[first].is_multiple_of(meter.window_minutes) {
            continue;
        }
        let Some(of) = period(first) else { continue };
        if (first + 1..first + length).any(|other| period(other) != Some(of)) {
            continue;
        }
        let watts = window.iter().sum::<i64>().max(0) * per_hour;
        if highest[of].is_none_or(|so_far| so_far < watts) {
            highest[of] = Some(watts);
        }
    }
    Some(highest)
}

/// The demand that a ratchet asks for, kW, and how many earlier bills it found.
pub(super) fn ratcheted(ratchet: &Ratchet, charge: &str, history: &[PastDemand], first: Date) -> Option<(Decimal, usize)> {
    let mut past: Vec<&PastDemand> = history.iter().filter(|past| past.charge == charge && past.end <= first).collect();
    past.sort_by_key(|past| past.end);
    let known = past.len().min(usize::from(ratchet.bills));
    let counted = past.iter().rev().take(usize::from(ratchet.bills)).filter(|past| {
        let month = past.end.yesterday().map_or(past.end.month(), |last| last.month());
        ratchet.months.is_empty() || ratchet.months.contains(&month)
    });
    let highest = counted.map(|past| past.watts).max().unwrap_or(0);
    let kw = Decimal::new(highest, 3).checked_mul(ratchet.percent)?.checked_div(Decimal::ONE_HUNDRED)?;
    Some((kw, known))
}

/// What of a quantity lies in each tier.
pub(super) fn in_tiers(quantity: Decimal, tiers: &[Tier]) -> Vec<Decimal> {
    let mut below = Decimal::ZERO;
    let mut parts = Vec::with_capacity(tiers.len());
    for tier in tiers {
        let bound = tier.up_to.unwrap_or(quantity).min(quantity);
        parts.push((bound - below).max(Decimal::ZERO));
        below = below.max(bound);
    }
    parts
}
