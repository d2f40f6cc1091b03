use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use rust_decimal::Decimal;

use crate::tariff::{
    Account, Allocation, Averaging, Bill, BillError, BillPeriod, Biller, CoincidentCharge, DemandCharge, DemandMeter, DemandPeriod,
    EnergyCharge, EnergyPeriod, Export, FixedCharge, Half, LineKind, LineRounding, Minimum, Note, PastDemand, Per, PowerFactor, PriceFrom,
    Profile, Proration, Quantity, Ratchet, Rate, RateTerms, Rider, RiderPrice, Tariff, Tax, Tier, TierUnit, Version, Weekday, Window,
    calendar_months, value,
};

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn chicago() -> TimeZone {
    TimeZone::get("America/Chicago").unwrap()
}

/// Intervals from local midnight to local midnight, each with the energy that `wh` says for its number.
fn profile(first: Date, end: Date, minutes: u8, wh: impl Fn(usize) -> i64) -> Profile {
    let midnight = |day: Date| day.to_zoned(chicago()).unwrap().timestamp();
    let length = (midnight(end).as_second() - midnight(first).as_second()) / 60 / i64::from(minutes);
    Profile::new(midnight(first), minutes, (0..usize::try_from(length).unwrap()).map(wh).collect()).unwrap()
}

fn one_tier(price: &str) -> Vec<Tier> {
    vec![Tier { up_to: None, price: dec(price) }]
}

fn two_tiers(bound: &str, low: &str, high: &str) -> Vec<Tier> {
    vec![Tier { up_to: Some(dec(bound)), price: dec(low) }, Tier { up_to: None, price: dec(high) }]
}

fn energy(tiers: Vec<Tier>) -> EnergyCharge {
    let period = EnergyPeriod { name: "all hours".into(), windows: vec![], tiers, sell_per_kwh: None };
    EnergyCharge { name: "energy".into(), tiers_by: TierUnit::Kwh, allocation: Allocation::Chronological, periods: vec![period] }
}

fn demand(tiers: Vec<Tier>) -> DemandCharge {
    let periods = vec![DemandPeriod { name: "all hours".into(), windows: vec![], tiers }];
    DemandCharge { name: "demand".into(), periods, minimum_kw: None, power_factor: None, ratchet: None }
}

fn afternoons() -> Window {
    Window::hours(&Weekday::WORKING, 12, 20)
}

fn other_hours() -> Vec<Window> {
    vec![Window::hours(&Weekday::WORKING, 0, 12), Window::hours(&Weekday::WORKING, 20, 24), Window::whole_days(&Weekday::WEEKEND)]
}

fn terms(version: Version) -> RateTerms {
    let (name, currency) = ("a rate".to_owned(), "USD".to_owned());
    RateTerms { name, currency, proration: Proration::CalendarDays, rounding: None, versions: vec![version] }
}

fn rate(version: Version) -> Rate {
    Rate::try_from(terms(version)).unwrap()
}

fn bills(rate: &Rate, profile: &Profile, periods: &[BillPeriod], account: &Account) -> Vec<Bill> {
    Biller::new(rate, profile, &chicago(), periods).unwrap().bills(profile, account).unwrap()
}

fn one_bill(rate: &Rate, profile: &Profile, first: Date, end: Date) -> Bill {
    bills(rate, profile, &[BillPeriod { first, end }], &Account::default()).remove(0)
}

fn amounts(bill: &Bill) -> Vec<(LineKind, Decimal)> {
    bill.lines.iter().map(|line| (line.kind, line.amount)).collect()
}

const MARCH: (Date, Date) = (date(2025, 3, 1), date(2025, 4, 1));
const JANUARY: (Date, Date) = (date(2025, 1, 1), date(2025, 2, 1));

#[test]
fn tiers_are_cut_at_the_kilowatt_hour() {
    let mut version = Version::empty(date(2020, 1, 1));
    version.energy = vec![energy(two_tiers("500.5", "0.10", "0.25"))];
    // 743 hours of one kWh: March has an hour less.
    let bill = one_bill(&rate(version), &profile(MARCH.0, MARCH.1, 60, |_| 1_000), MARCH.0, MARCH.1);
    assert_eq!(bill.energy_wh, 743_000);
    let quantities: Vec<_> = bill.lines.iter().map(|line| (line.tier, line.quantity)).collect();
    assert_eq!(quantities, [(Some(1), Quantity::Kwh(dec("500.5"))), (Some(2), Quantity::Kwh(dec("242.5")))]);
    assert_eq!(bill.total, dec("110.675"));
}

#[test]
fn periods_fill_tiers_as_the_rate_says() {
    let priced = |allocation| {
        let mut charge = energy(vec![]);
        charge.allocation = allocation;
        charge.periods = vec![
            EnergyPeriod { name: "on".into(), windows: vec![afternoons()], tiers: two_tiers("300", "0.2", "0.3"), sell_per_kwh: None },
            EnergyPeriod { name: "off".into(), windows: other_hours(), tiers: two_tiers("300", "0.1", "0.15"), sell_per_kwh: None },
        ];
        let mut version = Version::empty(date(2020, 1, 1));
        version.energy = vec![charge];
        let bill = one_bill(&rate(version), &profile(JANUARY.0, JANUARY.1, 30, |_| 500), JANUARY.0, JANUARY.1);
        assert_eq!(bill.energy_wh, 744_000);
        let kwh = |line: &super::BillLine| match line.quantity {
            Quantity::Kwh(kwh) => kwh,
            _ => panic!("{line:?}"),
        };
        bill.lines.iter().map(kwh).collect::<Vec<_>>()
    };
    // 23 working days with 8 hours: 184 of 744 kWh are on-peak.
    assert_eq!(priced(Allocation::ByPeriod), [dec("184"), dec("300"), dec("260")]);
    assert_eq!(priced(Allocation::Proportional), [dec("74.194"), dec("109.806"), dec("225.806"), dec("334.194")]);
    // The 300th kWh is used at 12 o'clock on the 13th: 8 working days were full, the 1st to the 12th without two weekends.
    assert_eq!(priced(Allocation::Chronological), [dec("64"), dec("120"), dec("236"), dec("324")]);
}

#[test]
fn demand_is_the_highest_window_of_its_period() {
    // 100 kW in the last and 40 kW in the first quarter-hour around 12 o'clock of the 2nd, a working day.
    let noon = 24 * 4 + 12 * 4;
    let load = profile(JANUARY.0, JANUARY.1, 15, |slot| {
        if slot + 1 == noon {
            25_000
        } else if slot == noon {
            10_000
        } else {
            1_000
        }
    });
    let peaks = |window_minutes, averaging| {
        let mut version = Version::empty(date(2020, 1, 1));
        let mut charge = demand(one_tier("10"));
        charge.periods = vec![DemandPeriod { name: "afternoon".into(), windows: vec![afternoons()], tiers: one_tier("10") }];
        version.demand = vec![demand(one_tier("2")), DemandCharge { name: "afternoon".into(), ..charge }];
        version.demand_meter = DemandMeter { window_minutes, averaging };
        let bill = one_bill(&rate(version), &load, JANUARY.0, JANUARY.1);
        bill.lines.iter().map(|line| line.amount).collect::<Vec<_>>()
    };
    assert_eq!(peaks(15, Averaging::Fixed), [dec("200"), dec("400")]);
    assert_eq!(peaks(30, Averaging::Fixed), [dec("104"), dec("220")], "100 with 4 kW before, 40 with 4 kW after");
    assert_eq!(peaks(30, Averaging::Rolling), [dec("140"), dec("220")], "the sliding window holds both, but no period does");
}

#[test]
fn intervals_longer_than_the_window_are_named() {
    let mut version = Version::empty(date(2020, 1, 1));
    version.demand = vec![demand(one_tier("1"))];
    let bill = one_bill(&rate(version.clone()), &profile(JANUARY.0, JANUARY.1, 60, |_| 5_000), JANUARY.0, JANUARY.1);
    assert_eq!((bill.total, bill.peak_w), (dec("5"), 5_000));
    assert_eq!(bill.notes, [Note::CoarseIntervals { interval_minutes: 60, window_minutes: 15 }]);
    let (rate, load) = (rate(version), profile(JANUARY.0, JANUARY.1, 10, |_| 1));
    let refused = Biller::new(&rate, &load, &chicago(), &[BillPeriod { first: JANUARY.0, end: JANUARY.1 }]).unwrap_err();
    assert_eq!(refused.to_string(), "intervals of 10 minutes do not fit into demand windows of 15 minutes");
}

#[test]
fn a_poor_power_factor_is_paid_for() {
    let price = |power_factor, tiers| {
        let mut version = Version::empty(date(2020, 1, 1));
        version.demand = vec![DemandCharge { power_factor, ..demand(tiers) }];
        one_bill(&rate(version), &profile(JANUARY.0, JANUARY.1, 15, |slot| if slot == 7 { 25_000 } else { 1_000 }), JANUARY.0, JANUARY.1)
    };
    // 100 kW at a factor of 0.9 are 111.111 kVA.
    let apparent = price(Some(PowerFactor::Apparent { factor: dec("0.9") }), two_tiers("110", "2", "3"));
    let quantities: Vec<_> = apparent.lines.iter().map(|line| (line.quantity, line.amount)).collect();
    assert_eq!(quantities, [(Quantity::Kva(dec("110")), dec("220")), (Quantity::Kva(dec("1.111")), dec("3.333"))]);
    let penalised = |factor: &str| {
        let factor = PowerFactor::Penalised { factor: dec(factor), at_least: dec("0.9") };
        price(Some(factor), one_tier("1")).lines[0].quantity
    };
    assert_eq!((penalised("0.8"), penalised("0.95")), (Quantity::Kw(dec("112.5")), Quantity::Kw(dec("100"))));
    for factor in ["0", "1.01", "-0.9"] {
        let mut version = Version::empty(date(2020, 1, 1));
        version.demand = vec![DemandCharge { power_factor: Some(PowerFactor::Apparent { factor: dec(factor) }), ..demand(one_tier("1")) }];
        let refused = Rate::try_from(terms(version)).unwrap_err().to_string();
        assert!(refused.contains("a power factor is above 0 and at most 1"), "{refused}");
    }
}

#[test]
fn a_ratchet_and_the_least_are_those_of_apparent_power() {
    let charge = |minimum_kw: &str| {
        let mut version = Version::empty(date(2020, 1, 1));
        let ratchet = Ratchet { percent: dec("80"), bills: 11, months: vec![] };
        let power_factor = Some(PowerFactor::Apparent { factor: dec("0.8") });
        version.demand =
            vec![DemandCharge { power_factor, ratchet: Some(ratchet), minimum_kw: Some(dec(minimum_kw)), ..demand(one_tier("1")) }];
        let (rate, load) = (rate(version), profile(JANUARY.0, JANUARY.1, 60, |_| 10_000));
        let known = Account { history: vec![PastDemand { charge: "demand".into(), end: JANUARY.0, watts: 50_000 }], ..Account::default() };
        bills(&rate, &load, &calendar_months(JANUARY.0, JANUARY.1), &known)[0].lines[0].quantity
    };
    assert_eq!((charge("0"), charge("60")), (Quantity::Kva(dec("50")), Quantity::Kva(dec("60"))), "40 kW are remembered");
}

#[test]
fn a_ratchet_remembers_eleven_bills() {
    let mut version = Version::empty(date(2020, 1, 1));
    let ratchet = Ratchet { percent: dec("80"), bills: 11, months: vec![] };
    version.demand = vec![DemandCharge { ratchet: Some(ratchet), minimum_kw: Some(dec("7")), ..demand(one_tier("10")) }];
    let summer = Ratchet { percent: dec("50"), bills: 11, months: vec![6, 7, 8] };
    version.demand.push(DemandCharge { name: "summer".into(), ratchet: Some(summer), ..demand(one_tier("1")) });
    let rate = rate(version);
    // 100 kW in January 2024, 60 kW in July, 5 kW otherwise.
    let (first, end) = (date(2024, 1, 1), date(2025, 3, 1));
    let load = profile(first, end, 60, |slot| {
        if slot < 31 * 24 {
            100_000
        } else if (4_400..4_500).contains(&slot) {
            60_000
        } else {
            5_000
        }
    });
    let bills = bills(&rate, &load, &calendar_months(first, end), &Account::default());
    let billed: Vec<_> = bills.iter().map(|bill| bill.lines[0].amount).collect();
    assert_eq!(billed[0], dec("1000"));
    assert_eq!(billed[6], dec("800"), "80 % of January are more than July");
    assert_eq!(billed[11], dec("800"), "December is the last that remembers January");
    assert_eq!(billed[12], dec("480"), "then July is the highest");
    let summer: Vec<_> = bills.iter().map(|bill| bill.lines[1].amount).collect();
    assert_eq!((summer[5], summer[7], summer[13]), (dec("5"), dec("30"), dec("30")), "January is no summer");
    assert!(bills[10].notes.contains(&Note::ShortHistory { charge: "demand".into(), known: 10, wanted: 11 }));
    assert!(bills[11].notes.iter().all(|note| !matches!(note, Note::ShortHistory { .. })));

    let known = Account { history: vec![PastDemand { charge: "demand".into(), end: first, watts: 200_000 }], ..Account::default() };
    let with_history = self::bills(&rate, &load, &calendar_months(first, date(2024, 2, 1)), &known);
    assert_eq!(with_history[0].lines[0].amount, dec("1600"));
    let february = self::bills(&rate, &load, &[BillPeriod { first: date(2025, 2, 1), end }], &Account::default());
    assert_eq!(february[0].lines[0].amount, dec("70"), "without a memory there is still the contracted power");
}

#[test]
fn every_kind_of_line_in_its_order() {
    let mut version = Version::empty(date(2020, 1, 1));
    version.energy = vec![energy(one_tier("0.1"))];
    version.demand = vec![demand(two_tiers("3", "4", "6"))];
    version.demand_meter = DemandMeter { window_minutes: 60, averaging: Averaging::Fixed };
    version.coincident = vec![CoincidentCharge { name: "grid".into(), months: vec![], tiers: one_tier("2.5") }];
    version.fixed = vec![
        FixedCharge { name: "customer".into(), amount: dec("25"), per: Per::Month },
        FixedCharge { name: "meter".into(), amount: dec("0.5"), per: Per::Day },
    ];
    version.riders = vec![
        Rider { name: "fuel".into(), adds: RiderPrice::PerKwh { price: dec("-0.01") } },
        Rider { name: "transition".into(), adds: RiderPrice::Percent { percent: dec("10"), of: vec![LineKind::Energy, LineKind::Demand] } },
    ];
    version.minimum = Some(Minimum { name: "least".into(), amount: dec("1000"), per: Per::Month, of: vec![] });
    version.taxes = vec![
        Tax { name: "city".into(), percent: dec("5"), of: vec![] },
        Tax { name: "fund".into(), percent: dec("1"), of: vec![LineKind::Energy, LineKind::Tax] },
    ];
    let rate = rate(version);
    let load = profile(JANUARY.0, JANUARY.1, 60, |slot| if slot == 100 { 6_000 } else { 1_000 });
    let peaks =
        Account { grid_peaks: vec![date(2025, 1, 5).at(4, 20, 0, 0).to_zoned(chicago()).unwrap().timestamp()], ..Account::default() };
    let period = [BillPeriod { first: JANUARY.0, end: JANUARY.1 }];
    let bill = bills(&rate, &load, &period, &peaks).remove(0);
    let expected = [
        (LineKind::Energy, "74.9"),
        (LineKind::Demand, "12"),
        (LineKind::Demand, "18"),
        (LineKind::Coincident, "15"),
        (LineKind::Fixed, "25"),
        (LineKind::Fixed, "15.5"),
        (LineKind::Rider, "-7.49"),
        (LineKind::Rider, "10.49"),
        (LineKind::Minimum, "836.6"),
        (LineKind::Tax, "50"),
        (LineKind::Tax, "1.249"),
    ];
    assert_eq!(amounts(&bill), expected.map(|(kind, amount)| (kind, dec(amount))));
    assert_eq!(bill.total, dec("1051.249"));

    let missing = Biller::new(&rate, &load, &chicago(), &period).unwrap().bills(&load, &Account::default()).unwrap_err();
    assert_eq!(
        missing.to_string(),
        r#""grid" charges the demand at the grid's peak, and no peak is given for the bill from 2025-01-01 to 2025-02-01"#
    );
}

#[test]
fn lines_are_rounded_where_the_rate_says_so() {
    let total = |half| {
        let mut version = Version::empty(date(2020, 1, 1));
        version.energy = vec![energy(one_tier("0.005"))];
        version.fixed = vec![FixedCharge { name: "meter".into(), amount: dec("0.125"), per: Per::Month }];
        let rounding = Some(LineRounding { places: 2, half });
        let rate = Rate::try_from(RateTerms { rounding, ..terms(version) }).unwrap();
        one_bill(&rate, &profile(JANUARY.0, JANUARY.1, 60, |slot| i64::from(slot == 0) * 1_000), JANUARY.0, JANUARY.1).total
    };
    assert_eq!((total(Half::ToEven), total(Half::AwayFromZero)), (dec("0.12"), dec("0.14")));
}

#[test]
fn a_change_of_prices_inside_a_bill_counts_days() {
    let mut before = Version::empty(date(2020, 1, 1));
    before.energy = vec![energy(two_tiers("310", "0.10", "0.20"))];
    before.fixed = vec![FixedCharge { name: "customer".into(), amount: dec("31"), per: Per::Month }];
    before.demand = vec![demand(one_tier("3.1"))];
    let mut after = before.clone();
    after.from = date(2025, 1, 11);
    after.energy = vec![energy(two_tiers("310", "0.30", "0.40"))];
    after.fixed[0].amount = dec("62");
    let rate = Rate::try_from(RateTerms { versions: vec![before, after], ..terms(Version::empty(date(2020, 1, 1))) }).unwrap();
    let bill = one_bill(&rate, &profile(JANUARY.0, JANUARY.1, 15, |_| 250), JANUARY.0, JANUARY.1);
    let lines: Vec<_> = bill.lines.iter().map(|line| (line.version, line.kind, line.amount.round_dp(9).normalize())).collect();
    let (old, new) = (date(2020, 1, 1), date(2025, 1, 11));
    let expected = [
        (old, LineKind::Energy, dec("10")),
        (old, LineKind::Energy, dec("28")),
        (old, LineKind::Demand, dec("1")),
        (old, LineKind::Fixed, dec("10")),
        (new, LineKind::Energy, dec("63")),
        (new, LineKind::Energy, dec("117.6")),
        (new, LineKind::Demand, dec("2.1")),
        (new, LineKind::Fixed, dec("42")),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_bill_between_two_seasons_charges_each_for_its_days() {
    let season = |name: &str, months: Vec<i8>, price| DemandPeriod {
        name: name.into(),
        windows: vec![Window { months, ..Window::whole_days(&Weekday::ALL) }],
        tiers: one_tier(price),
    };
    let mut version = Version::empty(date(2020, 1, 1));
    let mut charge = demand(vec![]);
    charge.periods = vec![season("summer", vec![6, 7, 8, 9], "8"), season("winter", vec![1, 2, 3, 4, 5, 10, 11, 12], "6")];
    version.demand = vec![charge];
    let rate = Rate::try_from(RateTerms { proration: Proration::BillingMonth, ..terms(version) }).unwrap();
    let (first, end) = (date(2025, 5, 17), date(2025, 6, 16));
    let bill = one_bill(&rate, &profile(first, end, 60, |slot| if slot < 15 * 24 { 10_000 } else { 20_000 }), first, end);
    let lines: Vec<_> = bill.lines.iter().map(|line| (line.period.as_deref(), line.months, line.amount)).collect();
    assert_eq!(lines, [(Some("summer"), Some(dec("0.5")), dec("80")), (Some("winter"), Some(dec("0.5")), dec("30"))]);
}

#[test]
fn fuel_changes_from_month_to_month() {
    let mut version = Version::empty(date(2020, 1, 1));
    let price = |from, price| PriceFrom { from, price: dec(price) };
    let prices = vec![price(date(2025, 1, 1), "0.01"), price(date(2025, 2, 1), "0.03")];
    version.riders = vec![Rider { name: "fuel".into(), adds: RiderPrice::PerKwhFrom { prices } }];
    let rate = rate(version);
    let (first, end) = (date(2025, 1, 20), date(2025, 2, 10));
    let bill = one_bill(&rate, &profile(first, end, 60, |_| 1_000), first, end);
    assert_eq!(amounts(&bill), [(LineKind::Rider, dec("2.88")), (LineKind::Rider, dec("6.48"))]);
    let early = profile(date(2024, 12, 31), end, 60, |_| 1_000);
    let refused = Biller::new(&rate, &early, &chicago(), &[BillPeriod { first: date(2024, 12, 31), end }]).unwrap();
    assert_eq!(refused.bills(&early, &Account::default()).unwrap_err().to_string(), "rider \"fuel\" has no price on 2024-12-31");
}

#[test]
fn what_is_given_to_the_grid() {
    let priced = |export, sell: Option<&str>| {
        let mut version = Version::empty(date(2020, 1, 1));
        version.export = export;
        version.energy = vec![energy(one_tier("0.2"))];
        version.energy[0].periods[0].sell_per_kwh = sell.map(dec);
        // Twice as much is given by night as is taken by day.
        let load = profile(JANUARY.0, date(2025, 1, 2), 60, |slot| if slot < 12 { -2_000 } else { 1_000 });
        one_bill(&rate(version), &load, JANUARY.0, date(2025, 1, 2))
    };
    let unpaid = priced(Export::Unpaid, Some("0.05"));
    assert_eq!((unpaid.total, unpaid.export_wh, unpaid.notes), (dec("2.4"), 24_000, vec![Note::ExportUnpaid { wh: 24_000 }]));
    let sold = priced(Export::Sell, Some("0.05"));
    assert_eq!(amounts(&sold), [(LineKind::Energy, dec("2.4")), (LineKind::Export, dec("-1.2"))]);
    let net = priced(Export::Net, Some("0.05"));
    assert_eq!(amounts(&net), [(LineKind::Energy, dec("0")), (LineKind::Export, dec("-0.6"))]);
    assert_eq!(priced(Export::Net, None).notes, [Note::ExportUnpaid { wh: 12_000 }]);
}

#[test]
fn hours_of_use_grow_with_demand() {
    let mut version = Version::empty(date(2020, 1, 1));
    version.energy = vec![EnergyCharge { tiers_by: TierUnit::KwhPerKw, ..energy(two_tiers("200", "0.2", "0.1")) }];
    version.demand_meter = DemandMeter { window_minutes: 60, averaging: Averaging::Fixed };
    let bill = one_bill(&rate(version), &profile(JANUARY.0, JANUARY.1, 60, |_| 2_000), JANUARY.0, JANUARY.1);
    assert_eq!(amounts(&bill), [(LineKind::Energy, dec("80")), (LineKind::Energy, dec("108.8"))], "400 kWh, then 1,088");
}

#[test]
fn terms_that_do_not_hold_together_are_refused() {
    let refused = |change: &dyn Fn(&mut Version)| {
        let mut version = Version::empty(date(2020, 1, 1));
        version.energy = vec![energy(two_tiers("10", "1", "2"))];
        version.demand = vec![demand(one_tier("1"))];
        change(&mut version);
        Rate::try_from(terms(version)).unwrap_err().to_string()
    };
    assert_eq!(
        refused(&|version| version.energy[0].periods[0].tiers[1].up_to = Some(dec("20"))),
        "\"energy\" is not a valid charge: the last tier must have no upper bound"
    );
    assert_eq!(
        refused(&|version| version.energy[0].periods[0].tiers[0].up_to = Some(dec("-1"))),
        "\"energy\" is not a valid charge: the bounds of its tiers must rise from above zero, and only the last tier has none"
    );
    assert_eq!(refused(&|version| version.energy[0].periods[0].windows = vec![afternoons()]), "no price in month 1, Monday, hour 0");
    assert_eq!(
        refused(&|version| version.export = Export::Net),
        "\"energy\" is not a valid charge: tiers of net energy are filled by_period or proportional, not in order of time"
    );
    assert_eq!(
        refused(&|version| version.demand_meter.window_minutes = 25),
        "\"the demand meter\" is not a valid charge: its window must divide an hour: 5, 10, 15, 20, 30 or 60 minutes"
    );
    assert_eq!(refused(&|version| version.demand.push(demand(one_tier("2")))), "two demand charges are named \"demand\"");
    let none = RateTerms { versions: vec![], ..terms(Version::empty(date(2020, 1, 1))) };
    assert_eq!(
        Rate::try_from(none).unwrap_err().to_string(),
        "\"a rate\" is not a valid charge: it needs at least one version, and each must begin later than the one before"
    );
}

#[test]
fn days_without_intervals_or_prices_are_named() {
    let rate = rate(Version::empty(date(2025, 1, 2)));
    let load = profile(JANUARY.0, JANUARY.1, 60, |_| 1);
    let lay = |first, end| Biller::new(&rate, &load, &chicago(), &[BillPeriod { first, end }]).unwrap_err();
    assert_eq!(lay(JANUARY.0, JANUARY.1).to_string(), "rate \"a rate\" has no version on 2025-01-01");
    assert_eq!(lay(date(2025, 1, 5), date(2025, 1, 5)), BillError::Days { first: date(2025, 1, 5), end: date(2025, 1, 5) });
    let beyond = "the profile does not cover the bill from 2025-01-05 to 2025-02-02: give the intervals of all its days";
    assert_eq!(lay(date(2025, 1, 5), date(2025, 2, 2)).to_string(), beyond);
    let utc = Biller::new(&rate, &load, &TimeZone::fixed(jiff::tz::Offset::from_seconds(1_800).unwrap()), &[]).unwrap();
    assert!(utc.bills(&profile(JANUARY.0, JANUARY.1, 30, |_| 1), &Account::default()).is_err(), "other intervals");
}

#[test]
fn a_rate_reads_as_it_was_written() {
    let text = r#"{"name":"r","currency":"EUR","versions":[{"from":"2025-01-01","energy":[{"name":"e","periods":[{"name":"p","tiers":[{"price":"0.3"}]}]}]}]}"#;
    let rate: Rate = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::from_str::<Rate>(&serde_json::to_string(&rate).unwrap()).unwrap(), rate);
    assert!(serde_json::from_str::<Rate>(&text.replace("\"tiers\"", "\"tier\"")).unwrap_err().to_string().contains("unknown field"));
    assert!(serde_json::from_str::<Rate>(&text.replace("EUR", "euro")).is_err());
}

/// A year of half-hours with any shape, and prices that rise from tier to tier.
fn rising() -> Rate {
    let mut charge = energy(vec![]);
    charge.periods = vec![
        EnergyPeriod { name: "on".into(), windows: vec![afternoons()], tiers: two_tiers("40", "0.2", "0.31"), sell_per_kwh: None },
        EnergyPeriod { name: "off".into(), windows: other_hours(), tiers: two_tiers("55", "0.1", "0.4"), sell_per_kwh: None },
    ];
    let mut version = Version::empty(date(2020, 1, 1));
    version.energy = vec![charge];
    version.demand = vec![demand(two_tiers("3", "5", "7"))];
    version.demand_meter = DemandMeter { window_minutes: 60, averaging: Averaging::Rolling };
    version.fixed = vec![FixedCharge { name: "customer".into(), amount: dec("33.33"), per: Per::Month }];
    version.riders = vec![Rider { name: "fuel".into(), adds: RiderPrice::PerKwh { price: dec("0.0123") } }];
    version.taxes = vec![Tax { name: "city".into(), percent: dec("6.25"), of: vec![] }];
    rate(version)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_bill_grows_with_use(shape in prop::collection::vec(0_i64..3_000, 48), slot in 0_usize..480, more in 1_i64..20_000) {
        let rate = rising();
        let load = profile(date(2025, 1, 3), date(2025, 1, 13), 30, |slot| shape[slot % 48]);
        let mut wh = load.wh().to_vec();
        wh[slot] += more;
        let (first, end) = (date(2025, 1, 3), date(2025, 1, 13));
        prop_assert!(one_bill(&rate, &load.with(wh).unwrap(), first, end).total >= one_bill(&rate, &load, first, end).total);
    }

    #[test]
    fn lines_sum_and_no_watt_hour_is_lost(shape in prop::collection::vec(0_i64..3_000, 48), allocation in 0_u8..3) {
        let mut rate_terms = rising().terms().clone();
        let allocation = [Allocation::Chronological, Allocation::Proportional, Allocation::ByPeriod][usize::from(allocation)];
        rate_terms.versions[0].energy[0].allocation = allocation;
        let bill = one_bill(&Rate::try_from(rate_terms).unwrap(), &profile(MARCH.0, MARCH.1, 30, |slot| shape[slot % 48]), MARCH.0, MARCH.1);
        prop_assert_eq!(bill.lines.iter().map(|line| line.amount).sum::<Decimal>(), bill.total);
        let kwh = |line: &super::BillLine| if let (LineKind::Energy, Quantity::Kwh(kwh)) = (line.kind, line.quantity) { kwh } else { Decimal::ZERO };
        prop_assert_eq!(bill.lines.iter().map(kwh).sum::<Decimal>(), Decimal::new(bill.energy_wh, 3));
    }

    /// Bills between any read dates sum to the months they cover, to the last decimal place.
    #[test]
    fn parts_of_a_month_sum_to_the_month(cuts in prop::collection::btree_set(2_i8..=28, 0..4), cents in 1_i64..1_000_000) {
        let mut version = Version::empty(date(2020, 1, 1));
        version.fixed = vec![FixedCharge { name: "customer".into(), amount: Decimal::new(cents, 2), per: Per::Month }];
        let rate = rate(version);
        let mut ends: Vec<Date> = cuts.iter().map(|day| date(2025, 2, *day)).collect();
        ends.push(date(2025, 3, 1));
        let mut first = date(2025, 2, 1);
        let mut periods = Vec::new();
        for end in ends {
            periods.push(BillPeriod { first, end });
            first = end;
        }
        let load = profile(date(2025, 2, 1), date(2025, 3, 1), 60, |_| 0);
        let sum: Decimal = bills(&rate, &load, &periods, &Account::default()).iter().map(|bill| bill.total).sum();
        prop_assert_eq!(sum, Decimal::new(cents, 2));
    }

    /// Under a tariff of energy alone, what a saving is worth is the price of the saved energy.
    #[test]
    fn a_contract_tariff_prices_the_difference(used in prop::collection::vec(0_i64..3_000, 24), saved in prop::collection::vec(-500_i64..2_000, 24)) {
        let tariff: Tariff = super::super::tests::day_and_night();
        let rate = Rate::try_from(&tariff).unwrap();
        let (first, end) = (date(2017, 7, 1), date(2017, 7, 8));
        let measured = profile(first, end, 60, |slot| used[slot % 24]);
        let counterfactual = measured.with(measured.wh().iter().enumerate().map(|(slot, wh)| (wh + saved[slot % 24]).max(0)).collect()).unwrap();
        let account = Account::default();
        let valued = value(&rate, &chicago(), &[BillPeriod { first, end }], (&counterfactual, &account), (&measured, &account)).unwrap();
        let avoided: Vec<_> = (0_i64..)
            .zip(counterfactual.wh().iter().zip(measured.wh()))
            .map(|(hour, (expected, used))| crate::tariff::EnergySlot {
                start: measured.start() + jiff::SignedDuration::from_hours(hour),
                wh: expected - used,
            })
            .collect();
        let priced = tariff.price(&avoided, &chicago()).unwrap();
        prop_assert_eq!(valued.value, priced.amount);
        prop_assert_eq!(valued.avoided_wh, priced.energy_wh);
        prop_assert_eq!(valued.differences.iter().map(|difference| difference.value).sum::<Decimal>(), valued.value);
    }
}
