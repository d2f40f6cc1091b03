use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub(super) fn day_and_night() -> Tariff {
    let periods = vec![
        PricePeriod { name: "on-peak".into(), price_per_kwh: dec("0.2465"), windows: vec![Window::hours(&Weekday::WORKING, 12, 20)] },
        PricePeriod {
            name: "off-peak".into(),
            price_per_kwh: dec("0.0912"),
            windows: vec![
                Window::hours(&Weekday::WORKING, 0, 12),
                Window::hours(&Weekday::WORKING, 20, 24),
                Window::whole_days(&Weekday::WEEKEND),
            ],
        },
    ];
    Tariff::TimeOfUse(TimeOfUse::new("day and night", "USD", periods, vec![date(2017, 7, 4)], Weekday::Sunday).unwrap())
}

fn hours(first: &str, count: i64, wh: i64) -> Vec<EnergySlot> {
    let first: Timestamp = first.parse().unwrap();
    (0..count).map(|hour| EnergySlot { start: first + SignedDuration::from_hours(hour), wh }).collect()
}

fn chicago() -> TimeZone {
    TimeZone::get("America/Chicago").unwrap()
}

#[test]
fn a_flat_tariff_is_energy_times_price_exactly() {
    let tariff = Tariff::Flat(Flat::new("general service", "USD", dec("0.11873")).unwrap());
    let priced = tariff.price(&hours("2017-07-03T05:00:00Z", 24, 1_001), &chicago()).unwrap();
    assert_eq!((priced.energy_wh, priced.amount), (24_024, dec("2.85236952")));
    assert_eq!(priced.lines.len(), 1);
    assert_eq!(priced.currency, "USD");
}

#[test]
fn hours_are_priced_by_the_clock_on_the_wall() {
    let on_peak = |first: &str, count| day_and_night().price(&hours(first, count, 1_000), &chicago()).unwrap().lines[0].energy_wh;
    assert_eq!(on_peak("2017-07-03T05:00:00Z", 24), 8_000, "a Monday");
    assert_eq!(on_peak("2017-07-04T05:00:00Z", 24), 0, "Independence Day is priced as a Sunday");
    assert_eq!(on_peak("2017-07-08T05:00:00Z", 24), 0, "a Saturday");
    assert_eq!(on_peak("2017-01-09T17:00:00Z", 1), 0, "11 o'clock in winter");
    assert_eq!(on_peak("2017-07-10T17:00:00Z", 1), 1_000, "12 o'clock in summer is the same instant of the day in UTC");
}

#[test]
fn a_negative_hour_takes_away() {
    let mut series = hours("2017-07-03T17:00:00Z", 2, 1_000);
    series[1].wh = -400;
    let priced = day_and_night().price(&series, &chicago()).unwrap();
    assert_eq!((priced.energy_wh, priced.amount), (600, dec("0.1479")));
}

#[test]
fn the_year_must_be_covered_once() {
    let one = |windows: Vec<Window>| {
        TimeOfUse::new("x", "USD", vec![PricePeriod { name: "all".into(), price_per_kwh: dec("1"), windows }], vec![], Weekday::Sunday)
    };
    assert!(one(vec![Window::whole_days(&Weekday::ALL)]).is_ok());
    let gap = one(vec![Window::hours(&Weekday::ALL, 0, 23)]).unwrap_err();
    assert_eq!(gap.to_string(), "no price in month 1, Monday, hour 23");
    let window = one(vec![Window::hours(&Weekday::ALL, 20, 6)]).unwrap_err();
    assert_eq!(window.to_string(), "a window of all is not valid: hours must run from 0 to 24, and a window over midnight is two windows");

    let period = |name: &str, from| PricePeriod {
        name: name.into(),
        price_per_kwh: dec("1"),
        windows: vec![Window::hours(&Weekday::ALL, from, 24)],
    };
    let twice = TimeOfUse::new("x", "USD", vec![period("a", 0), period("b", 22)], vec![], Weekday::Sunday).unwrap_err();
    assert_eq!(twice.to_string(), "a and b both price month 1, Monday, hour 22");
    let named = TimeOfUse::new("x", "USD", vec![period("a", 0), period("a", 22)], vec![], Weekday::Sunday).unwrap_err();
    assert_eq!(named.to_string(), "two price periods are named \"a\"");
}

#[test]
fn what_is_no_price_and_no_currency_is_refused() {
    assert_eq!(Flat::new("x", "dollar", dec("0.1")).unwrap_err().to_string(), "currency \"dollar\" is not a code of three capital letters");
    assert_eq!(
        Flat::new("x", "USD", dec("0.12345678901")).unwrap_err().to_string(),
        "the price of x has 11 decimal places; allowed: at most 10"
    );
    assert!(matches!(Flat::new("x", "USD", dec("1000001")), Err(TariffError::PriceRange { .. })));
}

#[test]
fn json_keeps_prices_as_text_and_is_checked_when_read() {
    let text = serde_json::to_string(&day_and_night()).unwrap();
    assert!(
        text.starts_with(
            r#"{"kind":"time_of_use","name":"day and night","currency":"USD","periods":[{"name":"on-peak","price_per_kwh":"0.2465""#
        ),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<Tariff>(&text).unwrap(), day_and_night());
    let broken = text.replace(r#""to_hour":12"#, r#""to_hour":11"#);
    assert_eq!(serde_json::from_str::<Tariff>(&broken).unwrap_err().to_string(), "no price in month 1, Monday, hour 11");
}

proptest! {
    #[test]
    fn spreading_loses_nothing(total in -1_000_000_000_i64..1_000_000_000, weights in proptest::collection::vec(-10_i64..100_000, 1..30)) {
        let parts = spread(total, &weights);
        prop_assert_eq!(parts.len(), weights.len());
        prop_assert_eq!(parts.iter().sum::<i64>(), total);
        prop_assert!(parts.iter().all(|part| part.signum() * total.signum() >= 0));
    }

    #[test]
    fn lines_sum_to_the_amount(wh in proptest::collection::vec(-1_000_000_i64..1_000_000, 24)) {
        let mut series = hours("2017-07-05T05:00:00Z", 24, 0);
        series.iter_mut().zip(&wh).for_each(|(slot, wh)| slot.wh = *wh);
        let priced = day_and_night().price(&series, &chicago()).unwrap();
        prop_assert_eq!(priced.lines.iter().map(|line| line.amount).sum::<Decimal>(), priced.amount);
        prop_assert_eq!(priced.lines.iter().map(|line| line.energy_wh).sum::<i64>(), wh.iter().sum::<i64>());
    }
}

#[test]
fn a_shape_decides_the_hours() {
    assert_eq!(spread(10, &[1, 1, 1]), [4, 3, 3]);
    assert_eq!(spread(-10, &[0, 3, 1]), [0, -8, -2]);
    assert_eq!(spread(7, &[0, 0]), [4, 3]);
    assert_eq!(spread(7, &[]), Vec::<i64>::new());
}
