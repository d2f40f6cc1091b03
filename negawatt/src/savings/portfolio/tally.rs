//! What a run knows of all meters: of each a few numbers, of their months the sums.

use calculator::portfolio::{Likeness, Month, Months, Role};

use super::journal::Span;
use super::row::{Figures, Outcome};

/// A finished meter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) line: Span,
    pub(super) outcome: Outcome,
    pub(super) figures: Option<Figures>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Tally {
    /// In the order of meters; none where one is not finished.
    pub(super) known: Vec<Option<Known>>,
    /// Months of the treated meters that are added up.
    pub(super) months: Months,
    pub(super) likeness: Likeness,
    /// Meters that were finished before this run.
    pub(super) kept: usize,
}

impl Tally {
    pub(super) fn new(meters: usize) -> Self {
        Self { known: vec![None; meters], months: Months::default(), likeness: Likeness::default(), kept: 0 }
    }

    /// Takes a meter. Sums are of integers: in which order meters come changes nothing.
    pub(super) fn add(&mut self, meter: usize, known: Known, role: Role, station: u32, before: &[Month], after: &[Month]) {
        if known.figures.is_some() {
            self.likeness.add(station, before);
            if role == Role::Treated {
                self.months.add(after);
            }
        }
        if let Some(place) = self.known.get_mut(meter) {
            *place = Some(known);
        }
    }
}
