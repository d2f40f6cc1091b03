//! What a model saw of each row, day by day: what charts are drawn of, and what months are added up of.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::outcome::AssessedRow;
use crate::model::Conditions;

/// The rows that have an observation and an expectation; hours become the sums of their civil days.
///
/// * Shape: `pairs` of what was observed and what was expected, one for each row.
pub(super) fn assessed(rows: Conditions<'_>, pairs: impl IntoIterator<Item = Option<(f64, f64)>>, zone: &TimeZone) -> Vec<AssessedRow> {
    let mut calendar = Days { zone, known: None };
    let pairs = pairs.into_iter();
    let row = |date, temperature_f: Option<f64>, pair: Option<(f64, f64)>| {
        let ((observed, expected), temperature_f) = pair.zip(temperature_f)?;
        Some(AssessedRow { date, temperature_f, observed, expected })
    };
    match rows {
        Conditions::Days(days) => days.iter().zip(pairs).filter_map(|(day, pair)| row(day.date, day.temperature_f, pair)).collect(),
        Conditions::Driven(days) => {
            days.iter().zip(pairs).filter_map(|(day, pair)| row(day.day.date, day.day.temperature_f, pair)).collect()
        }
        Conditions::Bills(bills) => bills
            .iter()
            .zip(pairs)
            .filter_map(|(bill, pair)| {
                let mean_f = (!bill.days_f.is_empty()).then(|| bill.days_f.iter().sum::<f64>() / bill.kept_days());
                row(calendar.of(bill.start), mean_f, pair)
            })
            .collect(),
        Conditions::Hours(hours) => folded(
            hours.iter().zip(pairs).filter_map(|(hour, pair)| row(calendar.of(hour.start), hour.temperature_f, pair)),
            hours.len() / 24 + 1,
        ),
    }
}

/// Hours of one day as one row, with the mean of their temperatures.
fn folded(hours: impl Iterator<Item = AssessedRow>, days: usize) -> Vec<AssessedRow> {
    let mut folded: Vec<AssessedRow> = Vec::with_capacity(days);
    let mut count = 0.0;
    for hour in hours {
        match folded.last_mut().filter(|day| day.date == hour.date) {
            Some(day) => {
                count += 1.0;
                day.temperature_f += (hour.temperature_f - day.temperature_f) / count;
                day.observed += hour.observed;
                day.expected += hour.expected;
            }
            None => {
                count = 1.0;
                folded.push(hour);
            }
        }
    }
    folded
}

/// The civil days of moments in order; the zone is asked once a day.
struct Days<'a> {
    zone: &'a TimeZone,
    known: Option<(Date, Timestamp)>,
}

impl Days<'_> {
    fn of(&mut self, at: Timestamp) -> Date {
        if let Some((date, _)) = self.known.filter(|(_, end)| at < *end) {
            return date;
        }
        let date = self.zone.to_datetime(at).date();
        let next = date.checked_add(Span::new().days(1)).ok();
        let end = next.and_then(|next| self.zone.to_ambiguous_timestamp(next.at(0, 0, 0, 0)).compatible().ok());
        self.known = end.filter(|end| at < *end).map(|end| (date, end));
        date
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::baseline::Hour;

    #[test]
    fn hours_become_the_days_of_their_zone_and_what_lacks_something_is_left_out() {
        let zone = TimeZone::get("America/Chicago").unwrap();
        // The day on which the clocks go back has 25 hours.
        let first: Timestamp = "2016-11-06T05:00:00Z".parse().unwrap();
        let hour = |index: i64| Hour {
            start: first + jiff::SignedDuration::from_hours(index),
            month: 11,
            hour_of_week: 0,
            use_wh: Some(1.0),
            temperature_f: Some(if index < 25 { 40.0 + (index % 2) as f64 } else { 60.0 }),
        };
        let hours: Vec<Hour> = (0..30).map(hour).collect();
        let pairs = (0..30).map(|index| (index != 27).then_some((1.0, 2.0)));
        let found = assessed(Conditions::Hours(&hours), pairs, &zone);
        assert_eq!(
            found.iter().map(|row| (row.date, row.observed, row.expected)).collect::<Vec<_>>(),
            [(date(2016, 11, 6), 25.0, 50.0), (date(2016, 11, 7), 4.0, 8.0),]
        );
        assert!((found[0].temperature_f - (13.0 * 40.0 + 12.0 * 41.0) / 25.0).abs() < 1e-12);
        assert!((found[1].temperature_f - 60.0).abs() < 1e-12);
    }
}
