//! A small facility for the tests: every number made by a rule, no file read.

use calculator::baseline::Commodity;
use calculator::events::Ledger;
use calculator::model::{Grid, Search};
use calculator::tariff::{Flat, PricePeriod, Tariff, TimeOfUse, Weekday, Window};
use devices::{Profile, encode as encode_words};
use ids::{BaselineId, ContractId, FacilityId, InvoiceId, PayeeId, Slug, StatementId, TransactionId};
use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan};
use money::{Currency, Money, Share};
use rust_decimal::Decimal;
use settlement::{Contract, InvoiceNumber, NegativeMonth, Party, PartyKind, Period, PriceTerms, Terms};
use units::{FacilityCalendar, Measured, Quality, Unit};

use crate::{BaselineInputs, CounterRow, Facility, Inputs, IssueInputs, Meter, MeterProfile, Reporting, SampleRow, Series, Words};

pub(crate) const ZONE: &str = "America/Chicago";

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

/// Degrees Fahrenheit in tenths: warm in summer, with a swing that repeats.
fn tenths(day: i64) -> i64 {
    let season = (day.rem_euclid(365) - 182).abs() * 4;
    700 - season + day * 37 % 97
}

/// Watt-hours of a day before the retrofit.
fn use_wh(day: i64) -> i64 {
    let tenths = tenths(day);
    400_000 + (550 - tenths).max(0) * 600 + (tenths - 650).max(0) * 900 + day * 7_919 % 2_003
}

fn number(day: Date) -> i64 {
    i64::from(day.since(date(2025, 1, 1)).unwrap().get_days())
}

/// The counter of a meter, in watt-hours: each share of the day's use after the retrofit, evenly over the day's minutes.
fn counter(bounds: &[(i64, i64, i64)], share_percent: i64, ts_ms: i64) -> i64 {
    let mut total = 1_234_567;
    for (start, end, wh) in bounds {
        let passed = (ts_ms.clamp(*start, *end) - start) / 1_000;
        total += wh * share_percent / 100 * passed / ((end - start) / 1_000);
    }
    total
}

fn weather(calendar: &FacilityCalendar, end: Date, hours: i64) -> Series {
    let mut rows = Vec::new();
    for day in FacilityCalendar::days(date(2025, 1, 1)..end) {
        let start = calendar.start_of(day).unwrap().as_millisecond();
        rows.extend((0..hours).map(|hour| SampleRow {
            ts_ms: start + hour * 3_600_000,
            raw: Some(tenths(number(day))),
            quality: Quality::GOOD,
        }));
    }
    Series { device: slug("weather-station"), point: "temp".to_owned(), unit: Unit::Fahrenheit, exponent: -1, rows }
}

fn meter(calendar: &FacilityCalendar, period: (Date, Date), device: &str, profile: &str, share_percent: i64, minutes: i64) -> Meter {
    let profile: &Profile = devices::find(profile).unwrap();
    let point = profile.point("e_imp").unwrap();
    let bounds: Vec<_> = FacilityCalendar::days(period.0..period.1)
        .map(|day| {
            let bounds = calendar.bounds(day).unwrap();
            (bounds.start.as_millisecond(), bounds.end.as_millisecond(), use_wh(number(day)) * 4 / 5)
        })
        .collect();
    let (first, last) = (bounds.first().unwrap().0, bounds.last().unwrap().1);
    let count = (last - first) / (minutes * 60_000);
    let rows = (0..=count).map(|index| {
        let ts_ms = first + index * minutes * 60_000;
        if index % 101 == 100 {
            return CounterRow { ts_ms, raw: None, quality: Quality::SILENT, words: Words::NONE };
        }
        let wh = counter(&bounds, share_percent, ts_ms);
        let kwh = Measured { raw: wh, exponent: -3, unit: Unit::KilowattHour };
        let shown = if point.unit == Unit::WattHour { Measured { raw: wh, exponent: 0, unit: Unit::WattHour } } else { kwh };
        let words = encode_words(point, shown).unwrap();
        let raw = devices::decode(point, &words).unwrap().raw;
        CounterRow { ts_ms, raw: Some(raw), quality: Quality::GOOD, words: Words::new(&words).unwrap() }
    });
    Meter {
        device: slug(device),
        point: "e_imp".to_owned(),
        unit: point.unit,
        exponent: point.exponent,
        profile: MeterProfile { id: profile.id().to_owned(), hash: profile.hash_hex(), text: profile.text().to_owned() },
        rows: rows.collect(),
    }
}

/// A facility with two meters over `days` days of January 2026, polled every `minutes`.
pub(crate) fn inputs(days: i8, minutes: i64) -> Inputs {
    let calendar = FacilityCalendar::named(ZONE).unwrap();
    let (first, end) = (date(2026, 1, 1), date(2026, 1, days).tomorrow().unwrap());
    let at = |seed: u8| [seed; 10];
    let facility = Facility {
        id: FacilityId::from_parts(1, at(1)),
        tenant: slug("green"),
        slug: slug("north-hall"),
        name: "North hall".to_owned(),
        zone: ZONE.to_owned(),
    };
    let baseline_rows = FacilityCalendar::days(date(2025, 1, 1)..date(2026, 1, 1)).map(|day| SampleRow {
        ts_ms: calendar.start_of(day).unwrap().as_millisecond(),
        raw: Some(use_wh(number(day))),
        quality: Quality::GOOD,
    });
    let baseline = BaselineInputs {
        id: BaselineId::from_parts(1, at(2)),
        period: calculator::baseline::Period::new(date(2025, 1, 1), date(2026, 1, 1)).unwrap(),
        commodity: Commodity::Electricity,
        search: Search { grid: Grid::new(54, 66).unwrap(), ..Search::compatible() },
        interval_minutes: 1_440,
        energy: vec![Series {
            device: slug("utility-meter"),
            point: "e_int".to_owned(),
            unit: Unit::KilowattHour,
            exponent: -3,
            rows: baseline_rows.collect(),
        }],
    };
    let parties = [
        (PartyKind::Platform, "Negawatt", 50_000),
        (PartyKind::Network, "Umbrella", 150_000),
        (PartyKind::Facility, "North hall venture", 100_000),
        (PartyKind::Investor, "Sun fund", 650_000),
        (PartyKind::Partner, "Lamp doctor", 50_000),
    ];
    let party = |(index, (kind, name, ppm)): (u8, (PartyKind, &str, u32))| Party {
        payee: PayeeId::from_parts(1, at(100 + index)),
        kind,
        name: name.to_owned(),
        share: Share::parts_per_million(ppm).unwrap(),
    };
    let contract = Contract::new(Terms {
        id: ContractId::from_parts(1, at(3)),
        facility: facility.id,
        currency: Currency::Usd,
        baseline: baseline.id,
        starts_on: date(2026, 1, 1),
        ends_on: None,
        price: PriceTerms::Flat { price_per_kwh: Decimal::new(1_425, 4) },
        billed_share: Share::parts_per_million(800_000).unwrap(),
        fees: Vec::new(),
        split: (0..).zip(parties).map(party).collect(),
        negative_month: NegativeMonth::CarryForward,
        invoice_prefix: "NW".to_owned(),
        due_days: 30,
        hold_days: 5,
    })
    .unwrap();
    let issued_at: Timestamp = calendar.start_of(end).unwrap() + 6.hours();
    Inputs {
        contract,
        tariff: None,
        weather: weather(&calendar, end, 13),
        reporting: Reporting {
            period: Period::new(first, end).unwrap(),
            meters: vec![
                meter(&calendar, (first, end), "main", "eastron-sdm630", 60, minutes),
                meter(&calendar, (first, end), "annex", "abb-b23", 40, minutes),
            ],
            adjustments: Ledger::default(),
            dossier: None,
            crop: None,
            draws: None,
        },
        issue: IssueInputs {
            statement: StatementId::from_parts(2, at(4)),
            invoice: InvoiceId::from_parts(2, at(5)),
            transaction: TransactionId::from_parts(2, at(6)),
            number: InvoiceNumber::new("NW", 2026, 1).unwrap(),
            issued_at,
            carried_in: Money::zero(Currency::Usd),
        },
        facility,
        baseline,
    }
}

/// The same terms under a tariff with a dear afternoon.
pub(crate) fn time_of_use() -> Tariff {
    let period = |name: &str, price, windows| PricePeriod { name: name.to_owned(), price_per_kwh: Decimal::new(price, 4), windows };
    let dear = vec![Window::hours(&Weekday::WORKING, 14, 19)];
    let cheap =
        vec![Window::hours(&Weekday::WORKING, 0, 14), Window::hours(&Weekday::WORKING, 19, 24), Window::whole_days(&Weekday::WEEKEND)];
    Tariff::TimeOfUse(
        TimeOfUse::new("tou-1", "USD", vec![period("peak", 2_900, dear), period("off-peak", 900, cheap)], Vec::new(), Weekday::Sunday)
            .unwrap(),
    )
}

pub(crate) fn flat(name: &str, currency: &str) -> Tariff {
    Tariff::Flat(Flat::new(name, currency, Decimal::new(1, 1)).unwrap())
}
