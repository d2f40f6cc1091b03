//! A column of a file, as it lies there: its values one after the other, and which rows have none.

use std::vec;

/// The cells of a column.
#[derive(Debug)]
pub(super) struct Cells<T> {
    values: Vec<T>,
    /// 1 for each row that has a value, 0 for each that has none; empty where every row has one.
    levels: Vec<i16>,
}

impl<T> Cells<T> {
    /// * Shape: as many ones among the levels as there are values, or no level at all.
    pub(super) fn new(values: Vec<T>, mut levels: Vec<i16>) -> Self {
        if levels.len() == values.len() {
            levels.clear();
        }
        Self { values, levels }
    }

    pub(super) const fn empty() -> Self {
        Self { values: Vec::new(), levels: Vec::new() }
    }

    /// The same cells in another type.
    pub(super) fn map<U>(self, of: impl Fn(T) -> U) -> Cells<U> {
        Cells { values: self.values.into_iter().map(of).collect(), levels: self.levels }
    }

    /// One more group's rows; those of the only one are not copied.
    pub(super) fn append(&mut self, mut more: Self) {
        if self.values.is_empty() && self.levels.is_empty() {
            *self = more;
            return;
        }
        if !(self.levels.is_empty() && more.levels.is_empty()) {
            self.fill();
            more.fill();
        }
        self.levels.append(&mut more.levels);
        self.values.append(&mut more.values);
    }

    /// Says of each row whether it has a value.
    fn fill(&mut self) {
        if self.levels.is_empty() {
            self.levels = vec![1; self.values.len()];
        }
    }

    pub(super) const fn len(&self) -> usize {
        if self.levels.is_empty() { self.values.len() } else { self.levels.len() }
    }
}

impl<T> IntoIterator for Cells<T> {
    type Item = Option<T>;
    type IntoIter = Rows<T>;

    fn into_iter(self) -> Rows<T> {
        Rows { whole: self.levels.is_empty(), values: self.values.into_iter(), levels: self.levels.into_iter() }
    }
}

/// Row by row.
#[derive(Debug)]
pub(super) struct Rows<T> {
    whole: bool,
    values: vec::IntoIter<T>,
    levels: vec::IntoIter<i16>,
}

impl<T> Iterator for Rows<T> {
    type Item = Option<T>;

    fn next(&mut self) -> Option<Option<T>> {
        if self.whole {
            return self.values.next().map(Some);
        }
        self.levels.next().map(|level| if level == 1 { self.values.next() } else { None })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        if self.whole { self.values.size_hint() } else { self.levels.size_hint() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cells: Cells<i64>) -> Vec<Option<i64>> {
        let told = cells.len();
        let rows: Vec<Option<i64>> = cells.into_iter().collect();
        assert_eq!(told, rows.len());
        rows
    }

    #[test]
    fn groups_with_and_without_gaps_are_one_column() {
        let whole = || Cells::new(vec![1, 2], vec![1, 1]);
        let gap = || Cells::new(vec![3], vec![0, 1]);
        for (parts, expected) in [
            (vec![], vec![]),
            (vec![whole(), whole()], vec![Some(1), Some(2), Some(1), Some(2)]),
            (vec![whole(), gap()], vec![Some(1), Some(2), None, Some(3)]),
            (vec![gap(), whole()], vec![None, Some(3), Some(1), Some(2)]),
            (vec![Cells::new(vec![], vec![0]), gap()], vec![None, None, Some(3)]),
        ] {
            let mut all = Cells::empty();
            parts.into_iter().for_each(|part| all.append(part));
            assert_eq!(rows(all), expected);
        }
        assert_eq!(rows(gap().map(|value| value * 10)), [None, Some(30)]);
    }
}
