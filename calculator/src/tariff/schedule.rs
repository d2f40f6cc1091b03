//! Which price applies in which hour: windows of months, weekdays and hours, laid out once.

use jiff::civil::{Date, DateTime};

use super::{TariffError, Weekday, Window};

/// Hours of the year by month, weekday and hour of the day.
pub(super) const CELLS: usize = 12 * 7 * 24;

/// For each month, weekday and hour the index of what applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schedule(Vec<Option<u16>>);

/// Whether every hour must have its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coverage {
    /// Energy: every hour has exactly one.
    Whole,
    /// Demand: hours without a window are not charged.
    Partial,
}

impl Schedule {
    /// * Errors: a window that is none, the first hour with two periods, or with none where all must have one.
    pub(super) fn new(periods: &[(&str, &[Window])], coverage: Coverage) -> Result<Self, TariffError> {
        for (name, windows) in periods {
            if let Some(problem) = windows.iter().find_map(Window::problem) {
                return Err(TariffError::Window { period: (*name).to_owned(), problem });
            }
        }
        let mut cells = Vec::with_capacity(CELLS);
        for month in 1..=12 {
            for weekday in Weekday::ALL {
                for hour in 0..24 {
                    cells.push(only(periods, month, weekday, hour, coverage)?);
                }
            }
        }
        Ok(Self(cells))
    }

    /// What applies in a cell.
    pub(super) fn at(&self, cell: u16) -> Option<usize> {
        self.0.get(usize::from(cell)).copied().flatten().map(usize::from)
    }

    /// Whether this period has any hour in the month.
    pub(super) fn has_month(&self, period: usize, month: i8) -> bool {
        let first = (usize::from(month.unsigned_abs()) - 1) * 168;
        self.0.iter().skip(first).take(168).any(|cell| cell.map(usize::from) == Some(period))
    }
}

fn only(periods: &[(&str, &[Window])], month: i8, weekday: Weekday, hour: i8, coverage: Coverage) -> Result<Option<u16>, TariffError> {
    let covers = |(_, (_, windows)): &(usize, &(&str, &[Window]))| windows.iter().any(|window| window.covers(month, weekday, hour));
    let mut applying = periods.iter().enumerate().filter(covers);
    match (applying.next(), applying.next()) {
        (Some((_, (first, _))), Some((_, (second, _)))) => {
            Err(TariffError::Overlap { first: (*first).to_owned(), second: (*second).to_owned(), month, weekday, hour })
        }
        (Some((index, (name, _))), None) => {
            u16::try_from(index).map(Some).map_err(|_too_many| TariffError::TooMany { what: "periods", name: (*name).to_owned() })
        }
        (None, _) if coverage == Coverage::Whole => Err(TariffError::Gap { month, weekday, hour }),
        (None, _) => Ok(None),
    }
}

/// The cell of a civil time, a holiday counting as another weekday.
pub(super) fn cell(at: DateTime, holidays: &[Date], holidays_as: Weekday) -> u16 {
    let date = at.date();
    let weekday = if holidays.binary_search(&date).is_ok() { holidays_as } else { Weekday::of(date) };
    let weekday: u16 = match weekday {
        Weekday::Monday => 0,
        Weekday::Tuesday => 1,
        Weekday::Wednesday => 2,
        Weekday::Thursday => 3,
        Weekday::Friday => 4,
        Weekday::Saturday => 5,
        Weekday::Sunday => 6,
    };
    (u16::from(at.month().unsigned_abs()) - 1) * 168 + weekday * 24 + u16::from(at.hour().unsigned_abs())
}
