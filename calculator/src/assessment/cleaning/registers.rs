//! Readings of a register: what was used between two of them, and what nobody knows.

use std::borrow::Cow;

use super::super::question::Question;
use super::super::series::{Row, Series};
use super::super::spans::DAY;
use super::{Work, fits};

/// A register rolls over from above this share of its range to below the other.
const ROLLOVER: (f64, f64) = (0.9, 0.1);

/// What was met on the way.
#[derive(Default)]
struct Met {
    rollovers: usize,
    resets: usize,
    exchanges: usize,
    spread: usize,
    merged: usize,
}

/// Differences of readings; never across a reset or an exchange, and over a rollover only when it can be one.
///
/// A reading that was estimated is none: the difference of the two readings around it is exact.
pub(super) fn differences(work: &mut Work<'_>, question: &Question, meter: &Series) {
    let Some(digits) = question.meter.register_digits else {
        return work.note(4, "registers", 0, 0, exchanged(meter));
    };
    let range = power_of_ten(digits) * question.meter.multiplier;
    let mut met = Met::default();
    let is_reading = |row: &&Row| row.value.is_some() && !meter.is_estimated(row.at);
    let readings: Vec<Row> = work.rows.iter().filter(is_reading).copied().collect();
    let mut rows: Vec<Row> = work.rows.iter().map(|row| Row { at: row.at, value: None }).collect();
    let of_bills = meter.step_seconds() > 2 * DAY;
    let mut inside = Vec::new();
    let mut counted = 0.0;
    for pair in readings.windows(2) {
        let (Some(one), Some(next)) = (pair[0].value, pair[1].value) else { continue };
        let lasted = pair[1].at - pair[0].at;
        if meter.exchanges().iter().any(|at| pair[0].at < *at && *at <= pair[1].at) {
            met.exchanges += 1;
            continue;
        }
        let used = if next >= one {
            next - one
        } else if one > ROLLOVER.0 * range && next < ROLLOVER.1 * range && fits(next - one + range, lasted, question) {
            met.rollovers += 1;
            next - one + range
        } else {
            met.resets += 1;
            continue;
        };
        counted += used;
        let from = rows.partition_point(|row| row.at < pair[0].at);
        let to = rows.partition_point(|row| row.at < pair[1].at);
        let between = to.saturating_sub(from + 1);
        // A longer bill is a bill; of rows that are days or less the energy of a gap is known, but when within it is not, so
        // that a day's sum is the most that can be made of it.
        if between > 0 && of_bills {
            met.merged += between;
            inside.extend(from + 1..to);
            rows[from].value = Some(used);
            continue;
        }
        if between > 0 && lasted > DAY {
            continue;
        }
        met.spread += between;
        #[expect(clippy::cast_precision_loss, reason = "rows of a day")]
        let share = used / (between + 1) as f64;
        for row in rows.get_mut(from..to).unwrap_or_default() {
            row.value = Some(share);
        }
    }
    for index in inside.into_iter().rev() {
        rows.remove(index);
    }
    let changed = rows.iter().filter(|row| row.value.is_some()).count();
    work.rows = Cow::Owned(rows);
    work.counted = Some(counted);
    let parts = [
        (met.rollovers, "rollovers that were bridged"),
        (met.resets, "resets, over which nothing is known"),
        (met.exchanges, "exchanges of the meter, over which nothing is known"),
        (met.spread, "rows without a reading that share what was used within their day"),
        (met.merged, "readings that nobody took, whose bills are joined"),
    ];
    let found: Vec<String> = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{what}: {count}")).collect();
    work.note(4, "registers", changed, met.resets + met.exchanges, found.join(", "));
}

/// Where rows are what was used, another meter goes on where the one before ended.
fn exchanged(meter: &Series) -> String {
    let exchanges = meter.exchanges().len();
    if exchanges > 0 { format!("exchanges of the meter: {exchanges}") } else { String::new() }
}

fn power_of_ten(digits: u8) -> f64 {
    (0..digits.min(15)).fold(1.0, |range, _| range * 10.0)
}
