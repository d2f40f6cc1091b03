//! Many readings at once, as a replay brings them.
//!
//! The log has them minute by minute, and memory has them series by series: one at a time, each would be a walk to
//! another end of the memory. So some are gathered, brought into the order of their series, and put in together.

use super::day::Packed;
use crate::series::SeriesId;

/// Readings in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    rows: Vec<(SeriesId, i32, Packed)>,
    /// By series: how many readings the series before it have.
    starts: Vec<u32>,
    order: Vec<u32>,
}

impl Gathered {
    /// So many are put in together: about 12 MB.
    const ROWS_MAX: usize = 1 << 18;

    /// Adds a reading, and says whether it is time to put them in.
    pub(super) fn add(&mut self, id: SeriesId, day: i32, packed: Packed) -> bool {
        self.rows.push((id, day, packed));
        self.rows.len() >= Self::ROWS_MAX
    }

    /// Calls `visit` with the readings of each series and day, in the order in which they came, and forgets them.
    pub(super) fn by_day(&mut self, mut visit: impl FnMut(SeriesId, i32, &mut dyn Iterator<Item = Packed>)) {
        self.sort();
        let row = |index: &u32| usize::try_from(*index).ok().and_then(|index| self.rows.get(index));
        let place = |index: &u32| row(index).map(|(id, day, _)| (*id, *day));
        for run in self.order.chunk_by(|one, next| place(one) == place(next)) {
            if let Some((id, day)) = run.first().and_then(place) {
                visit(id, day, &mut run.iter().filter_map(row).map(|(_, _, packed)| *packed));
            }
        }
        self.rows.clear();
    }

    /// Counts, so that it takes the same time whatever the order is.
    fn sort(&mut self) {
        let series = self.rows.iter().map(|(id, ..)| id.index()).max().map_or(0, |max| max + 2);
        self.starts.clear();
        self.starts.resize(series, 0);
        for (id, ..) in &self.rows {
            if let Some(count) = self.starts.get_mut(id.index() + 1) {
                *count += 1;
            }
        }
        let mut before = 0;
        for start in &mut self.starts {
            before += *start;
            *start = before;
        }
        self.order.clear();
        self.order.resize(self.rows.len(), 0);
        for ((id, ..), index) in self.rows.iter().zip(0..) {
            let Some(next) = self.starts.get_mut(id.index()) else { continue };
            if let Some(place) = usize::try_from(*next).ok().and_then(|at| self.order.get_mut(at)) {
                *place = index;
            }
            *next += 1;
        }
    }
}
