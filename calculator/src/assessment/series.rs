//! Rows of a file: ordered, finite, one per instant.

use jiff::Timestamp;

/// One row: seconds since 1970 UTC, and the value where there is one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// When it begins, seconds since 1970-01-01 UTC.
    pub at: i64,
    /// Its value; `None` where the file has none.
    pub value: Option<f64>,
}

/// Rows in order of time, each instant once, every value a finite number.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    rows: Vec<Row>,
    /// Rows that said what another row said already.
    repeated: usize,
    /// The usual distance of neighbours, seconds.
    step: i64,
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
        if rows.len() < 2 {
            return Err(RowFault::TooShort { rows: rows.len() });
        }
        if let Some(index) = rows.iter().position(|row| row.value.is_some_and(|value| !value.is_finite())) {
            return Err(RowFault::NotFinite { row: index + 1 });
        }
        let (rows, repeated) = if rows.windows(2).all(|pair| pair[0].at < pair[1].at) { (rows, 0) } else { sorted(&rows)? };
        let step = usual_step(&rows);
        Ok(Self { rows, repeated, step })
    }

    /// The same instants with other values.
    pub(super) fn with_rows(&self, rows: Vec<Row>) -> Self {
        Self { rows, repeated: self.repeated, step: self.step }
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

/// The rows by time; what repeats goes, what contradicts is refused.
fn sorted(rows: &[Row]) -> Result<(Vec<Row>, usize), RowFault> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|index| (rows[*index].at, *index));
    let mut kept: Vec<Row> = Vec::with_capacity(rows.len());
    let mut numbers: Vec<usize> = Vec::with_capacity(rows.len());
    let mut repeated = 0;
    for index in order {
        let row = rows[index];
        match kept.last_mut() {
            Some(last) if last.at == row.at => {
                match (last.value, row.value) {
                    (Some(first), Some(second)) if first.total_cmp(&second).is_ne() => {
                        return Err(RowFault::Overlap {
                            row: index + 1,
                            earlier: numbers.last().map_or(0, |earlier| earlier + 1),
                            at: Timestamp::from_second(row.at).unwrap_or(Timestamp::UNIX_EPOCH),
                            first: first.to_string(),
                            second: second.to_string(),
                        });
                    }
                    // A value says more than none.
                    (None, value) => last.value = value,
                    (Some(_), _) => {}
                }
                repeated += 1;
            }
            _ => {
                kept.push(row);
                numbers.push(index);
            }
        }
    }
    if kept.len() < 2 {
        return Err(RowFault::TooShort { rows: kept.len() });
    }
    Ok((kept, repeated))
}

/// The median distance of neighbours.
fn usual_step(rows: &[Row]) -> i64 {
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
