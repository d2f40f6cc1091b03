//! Monthly bills against PySAM: a flat price, two tiers by season and hour, demand by season and hour, tiers of demand.
//!
//! The load is the hourly sample of 2017, twenty times as large. PySAM's years begin on a Monday, so here the load stands in
//! 2018, which does. PySAM gives each period its share of each tier.

use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use negawatt_calculator::tariff::{
    Account, Allocation, Averaging, Bill, Biller, DemandCharge, DemandMeter, DemandPeriod, EnergyCharge, EnergyPeriod, FixedCharge,
    LineKind, Per, Profile, Proration, Rate, RateTerms, Tariff, Tier, TierUnit, Version, Weekday, Window, calendar_months,
};
use negawatt_calculator::tariff::{EnergySlot, Flat, PricePeriod, TimeOfUse};
use rust_decimal::Decimal;

use crate::fixtures::{document, energy_rows};

/// The load of the year, hour by hour.
fn load() -> Profile {
    let (first, end): (Timestamp, Timestamp) = ("2017-01-01T00:00:00Z".parse().unwrap(), "2018-01-01T00:00:00Z".parse().unwrap());
    let rows = energy_rows("il-electricity-cdd-hdd-hourly");
    let year = rows.iter().filter(|row| (first..end).contains(&row.start));
    let wh: Vec<i64> = year.map(|row| format!("{:.0}", row.value.unwrap() * 20_000.0).parse().unwrap()).collect();
    assert_eq!(wh.len(), 8_760, "the sample of 2017 has no gap");
    Profile::new(first + SignedDuration::from_hours(365 * 24), 60, wh).unwrap()
}

/// Twelve decimals of the reference, as they are written there.
fn reference(pointer: &str) -> Vec<Decimal> {
    let document = document("expected-tariff.json");
    let months = document.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}")).as_array().unwrap();
    months.iter().map(|month| month.to_string().parse().unwrap()).collect()
}

fn seasons() -> (Vec<Window>, Vec<Window>) {
    let (summer, winter) = (vec![6, 7, 8, 9], vec![1, 2, 3, 4, 5, 10, 11, 12]);
    let in_summer = |window: Window| Window { months: summer.clone(), ..window };
    let dear = vec![in_summer(Window::hours(&Weekday::WORKING, 12, 20))];
    let cheap = vec![
        in_summer(Window::hours(&Weekday::WORKING, 0, 12)),
        in_summer(Window::hours(&Weekday::WORKING, 20, 24)),
        in_summer(Window::whole_days(&Weekday::WEEKEND)),
        Window { months: winter, ..Window::whole_days(&Weekday::ALL) },
    ];
    (cheap, dear)
}

#[test]
fn prices_of_contracts_agree_to_the_last_decimal() {
    let (cheap, dear) = seasons();
    let period = |name: &str, cents, windows| PricePeriod { name: name.to_owned(), price_per_kwh: Decimal::new(cents, 2), windows };
    let periods = vec![period("dear", 21, dear), period("cheap", 9, cheap)];
    let flat = |cents| Tariff::Flat(Flat::new("flat", "USD", Decimal::new(cents, 2)).unwrap());
    let by_hour = Tariff::TimeOfUse(TimeOfUse::new("seasons", "USD", periods, Vec::new(), Weekday::Sunday).unwrap());
    let load = load();
    let hours = |month| {
        let slots =
            (0_i64..).zip(load.wh()).map(|(hour, wh)| EnergySlot { start: load.start() + SignedDuration::from_hours(hour), wh: *wh });
        slots.filter(|slot| slot.start.to_zoned(TimeZone::UTC).month() == month).collect::<Vec<_>>()
    };
    for (tariff, name) in [(flat(12), "/flat_0_12"), (flat(8), "/flat_0_08"), (by_hour, "/time_of_use_0_09_0_21")] {
        for (month, (expected, kwh)) in (1..).zip(reference(name).into_iter().zip(reference("/monthly_kwh"))) {
            let priced = tariff.price(&hours(month), &TimeZone::UTC).unwrap();
            assert_eq!((Decimal::new(priced.energy_wh, 3), priced.amount), (kwh, expected.normalize()), "{name}, month {month}");
        }
    }
}

fn tier(up_to: Option<i64>, mantissa: i64, scale: u32) -> Tier {
    Tier { up_to: up_to.map(Decimal::from), price: Decimal::new(mantissa, scale) }
}

fn energy(cheap: Vec<Tier>, dear: Vec<Tier>) -> EnergyCharge {
    let (cheap_hours, dear_hours) = seasons();
    let period = |name: &str, windows, tiers| EnergyPeriod { name: name.to_owned(), windows, tiers, sell_per_kwh: None };
    let periods = if dear.is_empty() {
        vec![period("all hours", Vec::new(), cheap)]
    } else {
        vec![period("cheap", cheap_hours, cheap), period("dear", dear_hours, dear)]
    };
    EnergyCharge { name: "energy".to_owned(), tiers_by: TierUnit::Kwh, allocation: Allocation::Proportional, periods }
}

fn demand(name: &str, periods: Vec<(&str, Vec<Window>, Vec<Tier>)>) -> DemandCharge {
    let periods = periods.into_iter().map(|(name, windows, tiers)| DemandPeriod { name: name.to_owned(), windows, tiers });
    DemandCharge { name: name.to_owned(), periods: periods.collect(), minimum_kw: None, power_factor: None, ratchet: None }
}

fn fixed(amount: i64) -> Vec<FixedCharge> {
    vec![FixedCharge { name: "customer".to_owned(), amount: Decimal::from(amount), per: Per::Month }]
}

/// The four cases of the reference.
fn cases() -> Vec<(&'static str, Version)> {
    let hourly = DemandMeter { window_minutes: 60, averaging: Averaging::Fixed };
    let version =
        |energy, demand, fixed| Version { energy: vec![energy], demand, fixed, demand_meter: hourly, ..Version::empty(date(2018, 1, 1)) };
    let one = |mantissa, scale| vec![tier(None, mantissa, scale)];
    let (cheap, dear) = seasons();
    let months = |months: Vec<i8>| vec![Window { months, ..Window::whole_days(&Weekday::ALL) }];
    let by_hour = demand("by hour", vec![("cheap", cheap, one(4, 0)), ("dear", dear, one(15, 0))]);
    let by_month = demand(
        "by month",
        vec![("winter", months(vec![1, 2, 3, 4, 5, 10, 11, 12]), one(6, 0)), ("summer", months(vec![6, 7, 8, 9]), one(8, 0))],
    );
    let in_tiers = demand("by month", vec![("all year", Vec::new(), vec![tier(Some(50), 5, 0), tier(None, 9, 0)])]);
    vec![
        ("flat_fixed", version(energy(one(12, 2), vec![]), vec![], fixed(25))),
        (
            "tou_two_tier",
            version(
                energy(vec![tier(Some(8_000), 10, 2), tier(None, 14, 2)], vec![tier(Some(8_000), 24, 2), tier(None, 30, 2)]),
                vec![],
                fixed(40),
            ),
        ),
        ("tou_demand", version(energy(one(9, 2), one(21, 2)), vec![by_month, by_hour], fixed(100))),
        ("demand_tiers", version(energy(one(8, 2), vec![]), vec![in_tiers], vec![])),
    ]
}

/// A column of the reference, of one of our bills.
type Column<'a> = &'a dyn Fn(&Bill) -> Decimal;

fn sum_of(bill: &Bill, kind: LineKind, name: &str) -> Decimal {
    bill.lines.iter().filter(|line| line.kind == kind && line.name == name).map(|line| line.amount).sum()
}

#[test]
fn bills_agree_to_the_cent() {
    let (load, cent) = (load(), Decimal::new(1, 2));
    let months = calendar_months(date(2018, 1, 1), date(2019, 1, 1));
    for (name, version) in cases() {
        let terms = RateTerms {
            name: name.to_owned(),
            currency: "USD".to_owned(),
            proration: Proration::BillingMonth,
            rounding: None,
            versions: vec![version],
        };
        let rate = Rate::try_from(terms).unwrap();
        let bills = Biller::new(&rate, &load, &TimeZone::UTC, &months).unwrap().bills(&load, &Account::default()).unwrap();
        let columns: [(&str, Column); 5] = [
            ("utility_bill_wo_sys_ym", &|bill| bill.total),
            ("charge_wo_sys_ec_ym", &|bill| sum_of(bill, LineKind::Energy, "energy")),
            ("charge_wo_sys_dc_fixed_ym", &|bill| sum_of(bill, LineKind::Demand, "by month")),
            ("charge_wo_sys_dc_tou_ym", &|bill| sum_of(bill, LineKind::Demand, "by hour")),
            ("charge_wo_sys_fixed_ym", &|bill| sum_of(bill, LineKind::Fixed, "customer")),
        ];
        for (column, of) in columns {
            for (bill, expected) in bills.iter().zip(reference(&format!("/cases/{name}/{column}"))) {
                let found = of(bill);
                // The reference shares tiers by fractions of a watt-hour and prints six places; every other figure is exact.
                let close = if name == "tou_two_tier" { (found - expected).abs() < cent } else { found == expected };
                assert!(close, "{name} {column} from {}: {found}, expected {expected}", bill.period.first);
            }
        }
        let peaks: Vec<_> = bills.iter().map(|bill| Decimal::new(bill.peak_w, 3)).collect();
        assert_eq!(peaks, reference("/monthly_peak_kw"), "{name}");
        let year: Decimal = bills.iter().map(|bill| bill.total).sum();
        let expected: Decimal = document("expected-tariff.json")["cases"][name]["annual_bill"].to_string().parse().unwrap();
        assert!((year - expected).abs() < cent, "{name}: {year}, expected {expected}");
    }
}
