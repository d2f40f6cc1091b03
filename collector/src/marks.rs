//! How many readings there were at which entry of the log, as far as this process remembers: what a sink lacks, in readings.

use std::sync::Mutex;

/// A mark is made once a second. When there are so many, every second one goes: hours of a sink that waits stay countable.
const MARKS_MAX: usize = 4_096;

/// So many readings had been accepted up to this entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    lsn: u64,
    points: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Marks(Mutex<Vec<Mark>>);

impl Marks {
    /// * Shape: both only grow.
    pub(crate) fn note(&self, lsn: u64, points: u64) {
        let mut marks = self.0.lock().expect("no thread panics while it holds the marks");
        match marks.last_mut() {
            // What came meanwhile had been accepted before it was an entry, or is none.
            Some(last) if last.lsn >= lsn => last.points = last.points.max(points),
            _ => marks.push(Mark { lsn, points }),
        }
        if marks.len() > MARKS_MAX {
            let last = marks.len() - 1;
            let mut at = 0;
            marks.retain(|_| {
                at += 1;
                at % 2 == 1 || at > last
            });
        }
    }

    /// Readings that came after an entry of the log. Between two marks they are taken to have come evenly.
    ///
    /// `None`: the entry is older than what is remembered.
    pub(crate) fn after(&self, lsn: u64) -> Option<u64> {
        let marks = self.0.lock().expect("no thread panics while it holds the marks");
        let last = marks.last()?;
        let behind = marks.partition_point(|mark| mark.lsn <= lsn);
        let Some(next) = marks.get(behind) else { return Some(0) };
        let before = marks.get(behind.checked_sub(1)?)?;
        let (way, whole) = (u128::from(lsn - before.lsn), u128::from(next.lsn - before.lsn));
        let come = u128::from(next.points.saturating_sub(before.points)) * way / whole;
        Some(last.points.saturating_sub(before.points + u64::try_from(come).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_after_an_entry_is_counted_as_far_as_it_is_remembered() {
        let marks = Marks::default();
        assert_eq!(marks.after(0), None);
        for (lsn, points) in [(10, 100), (20, 200), (20, 200), (40, 1_000)] {
            marks.note(lsn, points);
        }
        let expected = [(9, None), (10, Some(900)), (15, Some(850)), (20, Some(800)), (30, Some(400)), (40, Some(0)), (41, Some(0))];
        for (lsn, points) in expected {
            assert_eq!(marks.after(lsn), points, "{lsn}");
        }
    }

    #[test]
    fn many_marks_become_fewer_and_the_first_and_the_last_stay() {
        let marks = Marks::default();
        for at in 0..50_000 {
            marks.note(at, at * 7);
        }
        assert!(marks.0.lock().unwrap().len() <= MARKS_MAX);
        for lsn in [0, 1, 777, 25_000, 49_998, 49_999] {
            assert_eq!(marks.after(lsn), Some((49_999 - lsn) * 7), "{lsn}");
        }
    }
}
