//! What others say of the same energy, and what nobody read.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::super::criteria;
use super::super::days;
use super::super::question::Question;
use super::super::series::{Origin, Row, Series, Stretch};
use super::super::spans::{self, DAY};
use super::Work;

/// Sums may differ by this share, or by the class of the meter where that is more.
const TOLERANCE: f64 = 0.005;
/// A bill that begins with reads nobody took ends with the next one that somebody took, if that is no later than this.
const MERGED_MAX: i64 = 70 * DAY;

/// How the rows of a meter and the bills of the same energy agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SumCheck {
    /// Bills of which the meter has every row.
    pub bills: usize,
    /// Those that differ by more than is allowed.
    pub beyond: usize,
    /// The largest difference of a bill, relative to it: rows less bill.
    pub worst: f64,
    /// The difference of all of them together.
    pub whole: f64,
    /// What is allowed.
    pub allowed: f64,
}

/// The sum of the rows against the register that they are differences of, and against the bills of the same energy.
pub(super) fn sums(work: &mut Work<'_>, question: &Question, meter: &Series) -> Option<SumCheck> {
    let mut found = Vec::new();
    if let Some(counted) = work.counted.filter(|counted| *counted > 0.0) {
        let rows: f64 = work.rows.iter().filter_map(|row| row.value).sum();
        let lost = (counted - rows) / counted;
        if lost.abs() > 1e-9 {
            found.push(format!("the register counted {counted:.3}, of which {:.3} % is in no row", 100.0 * lost));
        }
    }
    let allowed = TOLERANCE.max(question.meter.accuracy_class.unwrap_or(0.0) / 100.0);
    let check = against_bills(&work.rows, meter, allowed);
    if let Some(check) = &check {
        let (bills, worst, whole) = (check.bills, 100.0 * check.worst, 100.0 * check.whole);
        let noun = if bills == 1 { "bill" } else { "bills" };
        found.push(format!("against {bills} {noun} the rows differ by {whole:.3} %, of one at most by {worst:.3} %"));
        work.found.extend(criteria::SUM_CHECK.allowing(allowed).found(check.worst.abs()));
    }
    work.note(9, "sum check", 0, check.map_or(0, |check| check.beyond), found.join(", "));
    check
}

/// * Shape: a bill that lacks rows is not compared.
fn against_bills(rows: &[Row], meter: &Series, allowed: f64) -> Option<SumCheck> {
    let step = meter.step_seconds().max(1);
    let mut check = SumCheck { allowed, ..SumCheck::default() };
    let (mut billed, mut counted) = (0.0, 0.0);
    for pair in meter.bills().windows(2) {
        let Some(bill) = pair[0].value.filter(|bill| *bill != 0.0) else { continue };
        let inside = spans::between(rows, pair[0].at, pair[1].at - 1);
        let present = inside.iter().filter(|row| row.value.is_some()).count();
        let expected = (pair[1].at - pair[0].at + step / 2) / step;
        let whole = inside.first().is_some_and(|row| row.at - pair[0].at < step) && i64::try_from(present) == Ok(expected);
        if !whole {
            continue;
        }
        let sum: f64 = inside.iter().filter_map(|row| row.value).sum();
        let difference = (sum - bill) / bill.abs();
        check.bills += 1;
        check.beyond += usize::from(difference.abs() > allowed);
        if difference.abs() > check.worst.abs() {
            check.worst = difference;
        }
        billed += bill;
        counted += sum;
    }
    check.whole = if billed == 0.0 { 0.0 } else { (counted - billed) / billed.abs() };
    (check.bills > 0).then_some(check)
}

/// Reads that nobody took: bills are joined with the next one that somebody read, rows of the baseline take no part, rows
/// after the intervention stay as long as they are few.
///
/// * Source: CalTRACK 2.0, 2.2.3.1; where several in a row are estimated the energy of all of them is carried forward, of
///   which the published program loses the first.
pub(super) fn estimates(work: &mut Work<'_>, question: &Question, meter: &Series) {
    let estimated: Vec<Stretch> = meter.stretches().iter().filter(|stretch| stretch.origin == Origin::Estimated).copied().collect();
    let of_register = question.meter.register_digits.is_some();
    if estimated.is_empty() {
        return work.note(10, "estimated reads", 0, 0, String::new());
    }
    let start = days::beginning(question, meter, question.blackout_start);
    let before = estimated.iter().filter(|stretch| stretch.from < start).count();
    work.found.extend(criteria::ESTIMATED_READS.found(f64::from(u32::try_from(before).unwrap_or(u32::MAX))));
    if of_register {
        // Their energy is in the difference of the readings around them.
        return work.note(10, "estimated reads", 0, estimated.len(), format!("readings that nobody took: {}", estimated.len()));
    }
    if meter.step_seconds() > 2 * DAY {
        return joined(work, meter, start);
    }
    let after = question.blackout_end.map_or(i64::MAX, |end| days::beginning(question, meter, end));
    let (mut changed, mut kept, mut all) = (0, 0.0, 0.0);
    for row in work.rows.to_mut() {
        let is_estimated = meter.is_estimated(row.at);
        if is_estimated && row.at < start {
            changed += usize::from(row.value.is_some());
            row.value = None;
        }
        if row.at >= after {
            all += row.value.unwrap_or(0.0);
            kept += if is_estimated { row.value.unwrap_or(0.0) } else { 0.0 };
        }
    }
    if all > 0.0 {
        work.found.extend(criteria::ESTIMATED_AFTER.found(kept / all));
    }
    let mut found = vec![format!("rows that nobody read: {}, of which those of the baseline take no part: {changed}", estimated.len())];
    if all > 0.0 && kept != 0.0 {
        found.push(format!("their share of the energy after the intervention: {:.3} %", 100.0 * kept / all));
    }
    work.note(10, "estimated reads", changed, estimated.len(), found.join(", "));
}

/// Bills that nobody read with the next one that somebody read.
fn joined(work: &mut Work<'_>, meter: &Series, start: i64) {
    let mut rows: Vec<Row> = Vec::with_capacity(work.rows.len());
    let (mut joined, mut long, mut open) = (0_usize, 0_usize, 0_usize);
    let mut carried: Option<(i64, Option<f64>, usize)> = None;
    for (index, row) in work.rows.iter().enumerate() {
        let end = work.rows.get(index + 1).map_or(row.at, |next| next.at);
        if end > row.at && meter.is_estimated(row.at) {
            let (from, sum, reads) = carried.unwrap_or((row.at, Some(0.0), 0));
            carried = Some((from, sum.zip(row.value).map(|(sum, value)| sum + value), reads + 1));
            continue;
        }
        let Some((from, sum, reads)) = carried.take() else {
            rows.push(*row);
            continue;
        };
        if end == row.at {
            // The file ends before anybody read: what is after the intervention is believed until then.
            open += reads;
            rows.push(Row { at: from, value: sum.filter(|_| from >= start) });
            rows.push(*row);
        } else if end - from > MERGED_MAX {
            long += reads;
            rows.push(Row { at: from, value: None });
        } else {
            joined += reads;
            rows.push(Row { at: from, value: sum.zip(row.value).map(|(sum, value)| sum + value) });
        }
    }
    let parts = [
        (joined, "bills that nobody read, joined with the next that somebody did"),
        (long, "bills that nobody read for more than 70 days, which are missing with the one after them"),
        (open, "bills that nobody read until the end of the file"),
    ];
    let found: Vec<String> = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{what}: {count}")).collect();
    work.rows = Cow::Owned(rows);
    work.note(10, "estimated reads", joined + long, open, found.join(", "));
}
