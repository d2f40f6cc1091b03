//! Rows of a file: ordered, finite, one per instant, with what the file says of them beside their values.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One row: seconds since 1970 UTC, and the value where there is one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// When it begins, seconds since 1970-01-01 UTC.
    pub at: i64,
    /// Its value; `None` where the file has none.
    pub value: Option<f64>,
}

/// How a value came to be; the better first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The meter counted it.
    #[default]
    Measured,
    /// Somebody changed it.
    Edited,
    /// Nobody read the meter.
    Estimated,
}

/// What a file says of a row beside its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remark {
    /// How its value came to be.
    pub origin: Origin,
    /// The serial number of the meter that counted it.
    pub serial: Option<String>,
}

/// Time whose energy was not measured: of one row, before rows are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// When it begins, seconds since 1970-01-01 UTC.
    pub from: i64,
    /// When it ends.
    pub to: i64,
    /// How its value came to be.
    pub origin: Origin,
}

/// Rows in order of time, each instant once, every value a finite number.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    rows: Vec<Row>,
    /// Rows that said what another row said already.
    repeated: usize,
    /// Rows that said something else than one of better origin.
    outranked: usize,
    /// The usual distance of neighbours, seconds.
    step: i64,
    /// What was not measured, in order of time.
    stretches: Vec<Stretch>,
    /// Rows with which another meter begins.
    exchanges: Vec<i64>,
    /// Bills for the same energy, which closes with their last row; empty where there are none.
    bills: Vec<Row>,
}

/// A row that no method can use; rows count from 1 in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    /// A value is infinite or not a number.
    #[error("row {row}: the value is not a finite number")]
    NotFinite {
        /// Which.
        row: usize,
    },
    /// Two rows of one instant disagree.
    #[error("row {row}: it begins at {at} as row {earlier} does, and says something else: {second} after {first}")]
    Overlap {
        /// Which.
        row: usize,
        /// The row before.
        earlier: usize,
        /// When both begin.
        at: Timestamp,
        /// What the earlier row says.
        first: String,
        /// What this row says.
        second: String,
    },
    /// One row, or none: nothing says how long it lasts.
    #[error("row {rows}: it is the last of {rows}, and a period needs a row that opens it and one that closes it")]
    TooShort {
        /// How many there are.
        rows: usize,
    },
}

impl RowFault {
    /// The rule that is violated.
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::NotFinite { .. } => "cleaning 1: every value is a finite number or absent",
            Self::Overlap { .. } => "cleaning 3: rows do not overlap (CalTRACK 2.3.2.2)",
            Self::TooShort { .. } => "cleaning 5: the last row closes the period",
        }
    }
}

impl Series {
    /// Checks and orders rows.
    ///
    /// * Shape: in any order; rows that repeat another exactly count once.
    /// * Errors: [`RowFault`] with the number of the row.
    pub fn new(rows: Vec<Row>) -> Result<Self, RowFault> {
        Self::remarked(rows, &[])
    }

    /// As [`Self::new`], with what the file says of each row; of rows that contradict each other the one of better origin
    /// stands.
    ///
    /// * Shape: one remark for each row, or none at all.
    pub fn remarked(rows: Vec<Row>, remarks: &[Remark]) -> Result<Self, RowFault> {
        if rows.len() < 2 {
            return Err(RowFault::TooShort { rows: rows.len() });
        }
        if let Some(index) = rows.iter().position(|row| row.value.is_some_and(|value| !value.is_finite())) {
            return Err(RowFault::NotFinite { row: index + 1 });
        }
        let ordered = rows.windows(2).all(|pair| pair[0].at < pair[1].at);
        let Sorted { rows, numbers, repeated, outranked } =
            if ordered { Sorted { rows, ..Sorted::default() } } else { sorted(&rows, remarks)? };
        let remark = |index: usize| remarks.get(if ordered { index } else { numbers.get(index).copied().unwrap_or(usize::MAX) });
        let (mut stretches, mut exchanges) = (Vec::new(), Vec::new());
        let mut serial: Option<&str> = None;
        for (index, row) in rows.iter().enumerate().take(if remarks.is_empty() { 0 } else { rows.len() }) {
            let Some(remark) = remark(index) else { continue };
            if let Some(own) = remark.serial.as_deref() {
                if serial.is_some_and(|serial| serial != own) {
                    exchanges.push(row.at);
                }
                serial = Some(own);
            }
            let to = rows.get(index + 1).map_or(row.at, |next| next.at);
            if remark.origin != Origin::Measured && row.value.is_some() && to > row.at {
                stretches.push(Stretch { from: row.at, to, origin: remark.origin });
            }
        }
        let step = usual_step(&rows);
        Ok(Self { rows, repeated, outranked, step, stretches, exchanges, bills: Vec::new() })
    }

    /// The same, to be held against the bills of the same energy.
    #[must_use]
    pub fn billed(self, bills: &Self) -> Self {
        Self { bills: bills.rows.clone(), ..self }
    }

    /// Other rows of the same meter.
    pub(super) fn with_rows(&self, rows: Vec<Row>) -> Self {
        Self { rows, ..self.clone() }
    }

    /// What was not measured, in order of time.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// The instants with which another meter begins.
    pub fn exchanges(&self) -> &[i64] {
        &self.exchanges
    }

    /// Bills for the same energy; the last row closes.
    pub fn bills(&self) -> &[Row] {
        &self.bills
    }

    /// How many rows said something else than one of better origin.
    pub const fn outranked(&self) -> usize {
        self.outranked
    }

    /// Whether the second lies in what nobody read.
    pub(super) fn is_estimated(&self, second: i64) -> bool {
        self.estimated_seconds(second, second + 1) > 0
    }

    /// How much of `from..to` nobody read, seconds.
    pub(super) fn estimated_seconds(&self, from: i64, to: i64) -> i64 {
        let first = self.stretches.partition_point(|stretch| stretch.to <= from);
        let inside = self.stretches.iter().skip(first).take_while(|stretch| stretch.from < to);
        inside.filter(|stretch| stretch.origin == Origin::Estimated).map(|stretch| stretch.to.min(to) - stretch.from.max(from)).sum()
    }

    /// The rows in order of time.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// How many rows repeated another.
    pub const fn repeated(&self) -> usize {
        self.repeated
    }

    /// The usual distance of neighbouring rows, seconds.
    pub const fn step_seconds(&self) -> i64 {
        self.step
    }
}

/// Rows by time, with where each stood.
#[derive(Default)]
struct Sorted {
    rows: Vec<Row>,
    numbers: Vec<usize>,
    repeated: usize,
    outranked: usize,
}

/// The rows by time; what repeats goes, what contradicts is refused unless one is of better origin.
fn sorted(rows: &[Row], remarks: &[Remark]) -> Result<Sorted, RowFault> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|index| (rows[*index].at, *index));
    let origin = |index: usize| remarks.get(index).map_or(Origin::Measured, |remark| remark.origin);
    let mut kept = Sorted::default();
    for index in order {
        let row = rows[index];
        let (Some(last), Some(number)) = (kept.rows.last_mut().filter(|last| last.at == row.at), kept.numbers.last_mut()) else {
            kept.rows.push(row);
            kept.numbers.push(index);
            continue;
        };
        match (last.value, row.value) {
            (Some(first), Some(second)) if first.total_cmp(&second).is_ne() => {
                if origin(*number) == origin(index) {
                    return Err(RowFault::Overlap {
                        row: index + 1,
                        earlier: *number + 1,
                        at: Timestamp::from_second(row.at).unwrap_or(Timestamp::UNIX_EPOCH),
                        first: first.to_string(),
                        second: second.to_string(),
                    });
                }
                if origin(index) < origin(*number) {
                    (last.value, *number) = (row.value, index);
                }
                kept.outranked += 1;
            }
            // A value says more than none.
            (None, value) => {
                (last.value, *number) = (value, index);
                kept.repeated += 1;
            }
            (Some(_), second) => {
                if second.is_some() && origin(index) < origin(*number) {
                    *number = index;
                }
                kept.repeated += 1;
            }
        }
    }
    if kept.rows.len() < 2 {
        return Err(RowFault::TooShort { rows: kept.rows.len() });
    }
    Ok(kept)
}

/// The median distance of neighbours.
fn usual_step(rows: &[Row]) -> i64 {
    let first = rows.get(1).zip(rows.first()).map_or(0, |(second, first)| second.at - first.at);
    let alike = rows.windows(2).filter(|pair| pair[1].at - pair[0].at == first).count();
    // What more than half of them are is their median.
    if 2 * alike > rows.len() {
        return first;
    }
    let mut steps: Vec<i64> = rows.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    let middle = steps.len() / 2;
    *steps.select_nth_unstable(middle).1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(given: &[(i64, Option<f64>)]) -> Vec<Row> {
        given.iter().map(|(at, value)| Row { at: *at, value: *value }).collect()
    }

    #[test]
    fn rows_are_ordered_and_what_repeats_counts_once() {
        let series = Series::new(rows(&[(7_200, Some(3.0)), (0, Some(1.0)), (3_600, None), (3_600, Some(2.0)), (0, Some(1.0))])).unwrap();
        assert_eq!(series.rows(), rows(&[(0, Some(1.0)), (3_600, Some(2.0)), (7_200, Some(3.0))]));
        assert_eq!((series.repeated(), series.step_seconds()), (2, 3_600));
    }

    #[test]
    fn of_rows_that_contradict_each_other_the_better_one_stands() {
        let remark = |origin, serial: &str| Remark { origin, serial: Some(serial.to_owned()) };
        let given = rows(&[(0, Some(1.0)), (3_600, Some(9.0)), (3_600, Some(2.0)), (7_200, Some(3.0)), (10_800, Some(4.0))]);
        let remarks = [
            remark(Origin::Measured, "A"),
            remark(Origin::Estimated, "A"),
            remark(Origin::Edited, "A"),
            remark(Origin::Estimated, "B"),
            remark(Origin::Measured, "B"),
        ];
        let series = Series::remarked(given.clone(), &remarks).unwrap();
        assert_eq!(series.rows().iter().filter_map(|row| row.value).collect::<Vec<_>>(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!((series.outranked(), series.exchanges()), (1, [7_200].as_slice()));
        let stretch = |from, to, origin| Stretch { from, to, origin };
        assert_eq!(series.stretches(), [stretch(3_600, 7_200, Origin::Edited), stretch(7_200, 10_800, Origin::Estimated)]);
        assert_eq!((series.estimated_seconds(0, 9_000), series.is_estimated(3_600)), (1_800, false));
        assert!(matches!(Series::new(given), Err(RowFault::Overlap { row: 3, earlier: 2, .. })));
    }

    #[test]
    fn what_cannot_be_used_is_named_by_its_row() {
        let told = |given: &[(i64, Option<f64>)]| Series::new(rows(given)).unwrap_err().to_string();
        assert_eq!(told(&[(0, Some(1.0)), (60, Some(f64::INFINITY))]), "row 2: the value is not a finite number");
        assert_eq!(
            told(&[(0, Some(1.0)), (60, Some(2.0)), (0, Some(5.0))]),
            "row 3: it begins at 1970-01-01T00:00:00Z as row 1 does, and says something else: 5 after 1"
        );
        assert_eq!(told(&[(0, Some(1.0))]), "row 1: it is the last of 1, and a period needs a row that opens it and one that closes it");
    }
}
