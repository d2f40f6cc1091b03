//! Monthly energy charges against PySAM: a flat price, and prices by season, weekday and hour.
//!
//! The load is the hourly sample of 2017, twenty times as large. PySAM's years begin on a Monday, so here the load stands in
//! 2018, which does. Tiers and demand charges of the same reference are not there yet.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use negawatt_calculator::tariff::{EnergySlot, Flat, PricePeriod, Tariff, TimeOfUse, Weekday, Window};
use rust_decimal::Decimal;

use crate::fixtures::{document, hourly_energy};

/// The hours of each month.
fn months() -> Vec<Vec<EnergySlot>> {
    let (first, end): (Timestamp, Timestamp) = ("2017-01-01T00:00:00Z".parse().unwrap(), "2018-01-01T00:00:00Z".parse().unwrap());
    let mut months = vec![Vec::new(); 12];
    for row in hourly_energy().iter().filter(|row| (first..end).contains(&row.start)) {
        let wh = format!("{:.0}", row.value.unwrap() * 20_000.0).parse().unwrap();
        let start = row.start + SignedDuration::from_hours(365 * 24);
        let month = start.to_zoned(TimeZone::UTC).month();
        months[usize::from(month.unsigned_abs()) - 1].push(EnergySlot { start, wh });
    }
    assert_eq!(months.iter().map(Vec::len).sum::<usize>(), 8_760, "the sample of 2017 has no gap");
    months
}

/// Twelve decimals of the reference, as they are written there.
fn reference(name: &str) -> Vec<Decimal> {
    let months = document("expected-tariff.json")[name].as_array().unwrap().clone();
    months.iter().map(|month| month.to_string().parse().unwrap()).collect()
}

fn agrees(tariff: &Tariff, name: &str) {
    for ((month, expected), kwh) in months().iter().zip(reference(name)).zip(reference("monthly_kwh")) {
        let priced = tariff.price(month, &TimeZone::UTC).unwrap();
        assert_eq!(Decimal::new(priced.energy_wh, 3), kwh, "{name}");
        assert_eq!(priced.amount, expected.normalize(), "{name}");
    }
}

#[test]
fn flat_prices_agree_to_the_last_decimal() {
    for (name, price) in [("flat_0_12", Decimal::new(12, 2)), ("flat_0_08", Decimal::new(8, 2))] {
        agrees(&Tariff::Flat(Flat::new(name, "USD", price).unwrap()), name);
    }
}

#[test]
fn prices_by_season_weekday_and_hour_agree_to_the_last_decimal() {
    let (summer, winter) = (vec![6, 7, 8, 9], vec![1, 2, 3, 4, 5, 10, 11, 12]);
    let in_summer = |window: Window| Window { months: summer.clone(), ..window };
    let dear = vec![in_summer(Window::hours(&Weekday::WORKING, 12, 20))];
    let cheap = vec![
        in_summer(Window::hours(&Weekday::WORKING, 0, 12)),
        in_summer(Window::hours(&Weekday::WORKING, 20, 24)),
        in_summer(Window::whole_days(&Weekday::WEEKEND)),
        Window { months: winter, ..Window::whole_days(&Weekday::ALL) },
    ];
    let period = |name: &str, cents, windows| PricePeriod { name: name.to_owned(), price_per_kwh: Decimal::new(cents, 2), windows };
    let periods = vec![period("dear", 21, dear), period("cheap", 9, cheap)];
    let tariff = Tariff::TimeOfUse(TimeOfUse::new("seasons", "USD", periods, Vec::new(), Weekday::Sunday).unwrap());
    agrees(&tariff, "time_of_use_0_09_0_21");
}
