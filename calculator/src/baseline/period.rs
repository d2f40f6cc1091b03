//! A span of civil days: the baseline year, a billed month.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Whole civil days from `first` up to and without `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Bounds")]
pub struct Period {
    first: Date,
    end: Date,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    first: Date,
    end: Date,
}

impl TryFrom<Bounds> for Period {
    type Error = PeriodError;

    fn try_from(bounds: Bounds) -> Result<Self, PeriodError> {
        Self::new(bounds.first, bounds.end)
    }
}

/// Two dates that are no period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// The end is not after the first day.
    #[error("a period must end after its first day: first {first}, end {end} (the end itself is not part of it)")]
    Empty {
        /// The first day.
        first: Date,
        /// The day after the last.
        end: Date,
    },
    /// The period would begin before the calendar does.
    #[error("{days} days before {end} is outside the calendar")]
    BeforeCalendar {
        /// The day after the last.
        end: Date,
        /// How many days were asked for.
        days: u16,
    },
}

impl Period {
    /// The days from `first` up to and without `end`.
    ///
    /// * Errors: [`PeriodError::Empty`] unless `end` is later than `first`.
    pub fn new(first: Date, end: Date) -> Result<Self, PeriodError> {
        if end <= first {
            return Err(PeriodError::Empty { first, end });
        }
        Ok(Self { first, end })
    }

    /// The `days` days immediately before `end`, which is itself outside.
    ///
    /// * Source: CalTRACK 2.0, 3.1.3: a daily baseline is 365 days immediately before the intervention.
    pub fn before(end: Date, days: u16) -> Result<Self, PeriodError> {
        let span = jiff::Span::new().days(i64::from(days));
        let first = end.checked_sub(span).map_err(|_| PeriodError::BeforeCalendar { end, days })?;
        Self::new(first, end)
    }

    /// The first day.
    pub const fn first(&self) -> Date {
        self.first
    }

    /// The day after the last day.
    pub const fn end(&self) -> Date {
        self.end
    }

    /// How many days; at least one.
    pub fn len(&self) -> usize {
        usize::try_from(day_number(self.end) - day_number(self.first)).unwrap_or(0)
    }

    /// Never: a period has at least one day.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Whether the day lies inside.
    pub fn contains(&self, date: Date) -> bool {
        self.first <= date && date < self.end
    }

    /// Its days in order.
    pub fn dates(&self) -> impl Iterator<Item = Date> + use<> {
        let (first, end) = (self.first, self.end);
        first.series(jiff::Span::new().days(1)).take_while(move |date| *date < end)
    }
}

/// Days since 1970-01-01, so that differences of dates are exact integers.
pub(crate) fn day_number(date: Date) -> i64 {
    const EPOCH: Date = Date::constant(1970, 1, 1);
    date.duration_since(EPOCH).as_hours() / 24
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_baseline_year_is_365_days_leap_day_or_not() {
        let leap = Period::before(date(2016, 12, 26), 365).unwrap();
        assert_eq!((leap.first(), leap.len()), (date(2015, 12, 27), 365));
        assert_eq!(leap.dates().count(), 365);
        assert!(leap.contains(date(2016, 12, 25)) && !leap.contains(date(2016, 12, 26)));
    }

    #[test]
    fn an_empty_period_is_refused_also_from_json() {
        let error = Period::new(date(2020, 5, 1), date(2020, 5, 1)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a period must end after its first day: first 2020-05-01, end 2020-05-01 (the end itself is not part of it)"
        );
        assert!(serde_json::from_str::<Period>(r#"{"first":"2020-05-02","end":"2020-05-01"}"#).is_err());
    }
}
