//! The same bills reckoned a second time, without intervals: by counting days and hours of a month.
//!
//! The load is one power in the afternoons of working days, another in all other hours, and a quarter-hour of more on one day.
//! Its month then has closed forms: energy is days × hours × power, demand the highest of three powers, and a tier is cut where
//! the running sum of whole stretches of the day reaches its bound. Everything is counted in integers, prices in ten-thousandths.
//! Both reckonings must agree exactly.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use negawatt_calculator::tariff::{
    Account, Allocation, Averaging, Biller, DemandCharge, DemandMeter, DemandPeriod, EnergyCharge, EnergyPeriod, FixedCharge, LineKind,
    Minimum, Per, PowerFactor, Profile, Proration, Ratchet, Rate, RateTerms, Rider, RiderPrice, Tax, Tier, TierUnit, Version, Weekday,
    Window, calendar_months,
};
use proptest::prelude::*;
use rust_decimal::Decimal;

/// Ten-thousandths of the currency per kWh, kW or month.
type Price = i64;

/// The figures of a rate and of a load.
#[derive(Clone, Debug)]
struct Case {
    allocation: u8,
    /// On-peak and off-peak, low and high.
    prices: [[Price; 2]; 2],
    bounds_kwh: [i64; 2],
    capacity: [Price; 2],
    capacity_bound_kw: i64,
    afternoon: Price,
    ratchet_percent: i64,
    /// In percent; 100 where the capacity is charged by its kW.
    power_factor: i64,
    customer: Price,
    fuel: Price,
    surcharge_percent: i64,
    minimum: Price,
    tax_percent: i64,
    /// Watts; quarter-hours of them are whole watt-hours.
    on_w: i64,
    off_w: i64,
    /// The day of the month with a quarter-hour of more, and how much more.
    spike_day: i8,
    spike_w: [i64; 12],
}

fn case() -> impl Strategy<Value = Case> {
    let price = || 0_i64..5_000;
    let prices = (price(), price(), price(), price()).prop_map(|(a, b, c, d)| [[a, b], [c, d]]);
    let bounds = (1_i64..3_000, 1_i64..3_000).prop_map(|(on, off)| [on, off]);
    let power_factor = prop_oneof![Just(100), 50_i64..100];
    let capacity = ((0_i64..200_000), (0_i64..200_000), 1_i64..30, 0_i64..200_000, 0_i64..120, power_factor);
    let amounts = (0_i64..1_000_000, -500_i64..500, 0_i64..30, 0_i64..20_000_000, 0_i64..25);
    let powers = (0_i64..5_000, 0_i64..5_000, 1_i8..=28, proptest::array::uniform12(0_i64..10_000));
    (0_u8..3, prices, bounds, capacity, amounts, powers).prop_map(|(allocation, prices, bounds_kwh, capacity, amounts, powers)| Case {
        allocation,
        prices,
        bounds_kwh,
        capacity: [capacity.0, capacity.1],
        capacity_bound_kw: capacity.2,
        afternoon: capacity.3,
        ratchet_percent: capacity.4,
        power_factor: capacity.5,
        customer: amounts.0,
        fuel: amounts.1,
        surcharge_percent: amounts.2,
        minimum: amounts.3,
        tax_percent: amounts.4,
        on_w: powers.0 * 4,
        off_w: powers.1 * 4,
        spike_day: powers.2,
        spike_w: powers.3.map(|watts| watts * 4),
    })
}

fn is_working(day: Date) -> bool {
    !matches!(day.weekday(), jiff::civil::Weekday::Saturday | jiff::civil::Weekday::Sunday)
}

/// The hours of a day before noon: the clocks change at night.
fn morning(day: Date) -> i64 {
    if day == date(2025, 3, 9) {
        11
    } else if day == date(2025, 11, 2) {
        13
    } else {
        12
    }
}

/// The stretches of a month in order of time: off-peak or on-peak, and their watt-hours. The spike is the last of its evening.
fn stretches(case: &Case, month: i8) -> Vec<(usize, i64)> {
    let first = date(2025, month, 1);
    let mut stretches = Vec::new();
    for day in first.series(jiff::Span::new().days(1)).take_while(|day| day.month() == month) {
        let (afternoon, power) = if is_working(day) { (0, case.on_w) } else { (1, case.off_w) };
        stretches.push((1, morning(day) * case.off_w));
        stretches.push((afternoon, 8 * power));
        stretches.push((1, 4 * case.off_w));
        if day.day() == case.spike_day {
            stretches.push((1, case.spike_w[spike_of(month)] / 4));
        }
    }
    stretches
}

fn spike_of(month: i8) -> usize {
    usize::from(month.unsigned_abs()) - 1
}

/// The part of `from..to` that lies below and above a bound.
fn cut(from: i64, to: i64, bound: i64) -> [i64; 2] {
    let low = to.min(bound) - from.min(bound);
    [low, to - from - low]
}

/// The energy of each period and tier, Wh.
fn tiers(case: &Case, stretches: &[(usize, i64)]) -> [[i64; 2]; 2] {
    let bounds = case.bounds_kwh.map(|kwh| kwh * 1_000);
    let of = |period| stretches.iter().filter(|stretch| stretch.0 == period).map(|stretch| stretch.1).sum::<i64>();
    let sums: [i64; 2] = [of(0), of(1)];
    let total = sums[0] + sums[1];
    match case.allocation {
        0 => {
            let (mut filled, mut before) = ([[0; 2]; 2], 0);
            for (period, wh) in stretches {
                let parts = cut(before, before + wh, bounds[*period]);
                filled[*period][0] += parts[0];
                filled[*period][1] += parts[1];
                before += wh;
            }
            filled
        }
        1 => [0, 1].map(|period| {
            let low = if total == 0 { 0 } else { (2 * sums[period] * bounds[period].min(total) + total) / (2 * total) };
            [low, sums[period] - low]
        }),
        _ => [0, 1].map(|period| cut(0, sums[period], bounds[period])),
    }
}

/// The twelve totals, in units of 10^-13 of the currency.
fn reckoned(case: &Case) -> Vec<i128> {
    let wide = i128::from;
    let mut past = Vec::new();
    let mut totals = Vec::new();
    for month in 1..=12 {
        let stretches = stretches(case, month);
        let filled = tiers(case, &stretches);
        let mut wh = 0;
        let mut energy = 0;
        for (tiers, prices) in filled.iter().zip(case.prices) {
            for (part, price) in tiers.iter().zip(prices) {
                // Wh at a ten-thousandth per kWh are 10^-7.
                energy += wide(*part) * wide(price) * 1_000_000;
                wh += part;
            }
        }
        // The last quarter-hour of an evening is off-peak on every day.
        let highest_off = case.off_w + case.spike_w[spike_of(month)];
        let highest = case.on_w.max(highest_off);
        let remembered = past.iter().rev().take(11).copied().max().unwrap_or(0);
        // Hundredths of a watt.
        let billed = apparent((highest * 100).max(remembered * case.ratchet_percent), case.power_factor);
        past.push(highest);
        let [low, high] = cut(0, billed, case.capacity_bound_kw * 100_000);
        let unit = 10_000;
        let capacity = (wide(low) * wide(case.capacity[0]) + wide(high) * wide(case.capacity[1])) * unit;
        let afternoon = wide(case.on_w * 100) * wide(case.afternoon) * unit;
        let demand = capacity + afternoon;
        let fixed = wide(case.customer) * 1_000_000_000;
        let fuel = wide(wh) * wide(case.fuel) * 1_000_000;
        let surcharge = (energy + demand) * wide(case.surcharge_percent) / 100;
        let so_far = energy + demand + fixed + fuel + surcharge;
        let least = so_far.max(wide(case.minimum) * 1_000_000_000);
        totals.push(least + least * wide(case.tax_percent) / 100);
    }
    totals
}

/// Hundredths of a watt as hundredths of a volt-ampere, whole volt-amperes of them; watts where the factor is 100 percent.
const fn apparent(active: i64, percent: i64) -> i64 {
    if percent == 100 {
        return active;
    }
    let (whole, rest) = (active / percent, active % percent);
    let up = 2 * rest > percent || (2 * rest == percent && whole % 2 == 1);
    100 * (whole + if up { 1 } else { 0 })
}

fn rate(case: &Case) -> Rate {
    let price = |price| Decimal::new(price, 4);
    let tiers = |bound, prices: [Price; 2]| {
        vec![Tier { up_to: Some(Decimal::from(bound)), price: price(prices[0]) }, Tier { up_to: None, price: price(prices[1]) }]
    };
    let on = vec![Window::hours(&Weekday::WORKING, 12, 20)];
    let off =
        vec![Window::hours(&Weekday::WORKING, 0, 12), Window::hours(&Weekday::WORKING, 20, 24), Window::whole_days(&Weekday::WEEKEND)];
    let period = |name: &str, windows, index: usize| EnergyPeriod {
        name: name.to_owned(),
        windows,
        tiers: tiers(case.bounds_kwh[index], case.prices[index]),
        sell_per_kwh: None,
    };
    let allocation = [Allocation::Chronological, Allocation::Proportional, Allocation::ByPeriod][usize::from(case.allocation)];
    let mut version = Version::empty(date(2025, 1, 1));
    let periods = vec![period("on", on.clone(), 0), period("off", off, 1)];
    version.energy = vec![EnergyCharge { name: "energy".to_owned(), tiers_by: TierUnit::Kwh, allocation, periods }];
    let demand = |name: &str, windows, tiers, ratchet, power_factor| DemandCharge {
        name: name.to_owned(),
        periods: vec![DemandPeriod { name: name.to_owned(), windows, tiers }],
        minimum_kw: None,
        power_factor,
        ratchet,
    };
    let power_factor = (case.power_factor < 100).then(|| PowerFactor::Apparent { factor: Decimal::new(case.power_factor, 2) });
    let ratchet = Ratchet { percent: Decimal::from(case.ratchet_percent), bills: 11, months: Vec::new() };
    version.demand = vec![
        demand("capacity", Vec::new(), tiers(case.capacity_bound_kw, case.capacity), Some(ratchet), power_factor),
        demand("afternoon", on, vec![Tier { up_to: None, price: price(case.afternoon) }], None, None),
    ];
    version.demand_meter = DemandMeter { window_minutes: 15, averaging: Averaging::Rolling };
    version.fixed = vec![FixedCharge { name: "customer".to_owned(), amount: price(case.customer), per: Per::Month }];
    let percent = Decimal::from(case.surcharge_percent);
    version.riders = vec![
        Rider { name: "fuel".to_owned(), adds: RiderPrice::PerKwh { price: price(case.fuel) } },
        Rider { name: "surcharge".to_owned(), adds: RiderPrice::Percent { percent, of: vec![LineKind::Energy, LineKind::Demand] } },
    ];
    version.minimum = Some(Minimum { name: "least".to_owned(), amount: price(case.minimum), per: Per::Month, of: Vec::new() });
    version.taxes = vec![Tax { name: "tax".to_owned(), percent: Decimal::from(case.tax_percent), of: Vec::new() }];
    let (name, currency) = ("twin".to_owned(), "USD".to_owned());
    Rate::try_from(RateTerms { name, currency, proration: Proration::CalendarDays, rounding: None, versions: vec![version] }).unwrap()
}

/// The load in quarter-hours.
fn load(case: &Case, zone: &TimeZone) -> Profile {
    let midnight = |day: Date| day.to_zoned(zone.clone()).unwrap().timestamp();
    let (start, end) = (midnight(date(2025, 1, 1)), midnight(date(2026, 1, 1)));
    let mut wh = Vec::new();
    for at in start.series(jiff::Span::new().minutes(15)).take_while(|at| *at < end) {
        let local = zone.to_datetime(at);
        let on = is_working(local.date()) && (12..20).contains(&local.hour());
        let spike = local.day() == case.spike_day && (local.hour(), local.minute()) == (23, 45);
        let more = if spike { case.spike_w[spike_of(local.month())] } else { 0 };
        wh.push((if on { case.on_w } else { case.off_w } + more) / 4);
    }
    Profile::new(start, 15, wh).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn both_reckonings_agree_exactly(case in case()) {
        let zone = TimeZone::get("America/Chicago").unwrap();
        let (rate, load) = (rate(&case), load(&case, &zone));
        let months = calendar_months(date(2025, 1, 1), date(2026, 1, 1));
        let bills = Biller::new(&rate, &load, &zone, &months).unwrap().bills(&load, &Account::default()).unwrap();
        for (bill, expected) in bills.iter().zip(reckoned(&case)) {
            prop_assert_eq!(bill.total, Decimal::from_i128_with_scale(expected, 13).normalize(), "{:?}", bill);
        }
    }
}
