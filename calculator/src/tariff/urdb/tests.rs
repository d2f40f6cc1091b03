use jiff::civil::date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::*;
use crate::tariff::{Account, Biller, LineKind, Profile, calendar_months};

/// A year of one period, but for the hours from 12 to 20 in some months.
fn schedule(afternoon: usize, months: &[usize]) -> Vec<Vec<usize>> {
    (0..12)
        .map(|month| (0..24).map(|hour| if months.contains(&month) && (12..20).contains(&hour) { afternoon } else { 0 }).collect())
        .collect()
}

/// A rate with everything that the public form has.
fn public() -> Value {
    json!({
        "label": "5374efea9bef51471a6965d0", "utility": "Example Electric Co", "name": "GS-3 TOU", "sector": "Commercial",
        "description": "for customers above 200 kW", "startdate": 1_704_067_200, "enddate": 1_735_689_600, "approved": true,
        "energyratestructure": [
            [{"max": 8000, "rate": 0.08, "adj": 0.02, "unit": "kWh"}, {"rate": 0.14, "unit": "kWh"}],
            [{"max": 8000, "rate": 0.24, "unit": "kWh"}, {"max": 1e38, "rate": 0.3, "unit": "kWh"}],
            [{"rate": 9.9}]
        ],
        "energyweekdayschedule": schedule(1, &[5, 6, 7, 8]),
        "energyweekendschedule": schedule(0, &[]),
        "demandwindow": 30,
        "demandrateunit": "kW",
        "demandratestructure": [[{"rate": 4}], [{"rate": 15}]],
        "demandweekdayschedule": schedule(1, &[5, 6, 7, 8]),
        "demandweekendschedule": schedule(0, &[]),
        "flatdemandunit": "kW",
        "flatdemandstructure": [[{"max": 50, "rate": 5}, {"rate": 9, "adj": 1}], [{"rate": 2}]],
        "flatdemandmonths": [1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1],
        "fixedchargefirstmeter": 40.5, "fixedchargeunits": "$/month",
        "mincharge": 1.25, "minchargeunits": "$/day",
        "usenetmetering": false
    })
}

fn fields(imported: &Imported) -> Vec<&str> {
    imported.not_understood.iter().map(|named| named.field.as_str()).collect()
}

#[test]
fn a_public_rate_is_billed_like_one_written_by_hand() {
    let imported = urdb(&public(), "USD").unwrap();
    assert_eq!(imported.not_understood, []);
    assert_eq!(imported.for_people, ["approved", "description", "label", "name", "sector", "utility"]);
    assert_eq!((imported.ends_on, imported.rate.name()), (Some(date(2025, 1, 1)), "GS-3 TOU"));
    let version = &imported.rate.terms().versions[0];
    assert_eq!((version.from, version.demand_meter.window_minutes), (date(2024, 1, 1), 30));
    assert_eq!(version.energy[0].periods.len(), 2, "the third period is in no schedule");

    // June 2024 has 20 working days; 100 kW by day then, 20 kW otherwise.
    let mut wh = Vec::new();
    for at in date(2024, 6, 1).at(0, 0, 0, 0).series(jiff::Span::new().minutes(30)).take(30 * 48) {
        let on = at.date().weekday().to_monday_one_offset() <= 5 && (12..20).contains(&at.hour());
        wh.push(if on { 50_000 } else { 10_000 });
    }
    let load = Profile::new(date(2024, 6, 1).to_zoned(TimeZone::UTC).unwrap().timestamp(), 30, wh).unwrap();
    let months = calendar_months(date(2024, 6, 1), date(2024, 7, 1));
    let bill = Biller::new(&imported.rate, &load, &TimeZone::UTC, &months).unwrap().bills(&load, &Account::default()).unwrap().remove(0);
    let sum = |kind| bill.lines.iter().filter(|line| line.kind == kind).map(|line| line.amount).sum::<Decimal>();
    // 16,000 kWh of 27,200 on-peak, and 8/27.2 of each period in the first tier:
    // 4,705.88 × 0.24 + 11,294.12 × 0.30 + 3,294.12 × 0.10 + 7,905.88 × 0.14.
    let dec = |text: &str| text.parse::<Decimal>().unwrap();
    assert_eq!(sum(LineKind::Energy).round_dp(2), dec("5953.88"));
    assert_eq!(sum(LineKind::Demand), dec("2330"), "4 × 20 + 15 × 100, and 5 × 50 + 10 × 50");
    assert_eq!(sum(LineKind::Fixed), dec("40.5"));
}

#[test]
fn what_is_not_understood_is_named() {
    let mut rate = public();
    let set = |rate: &mut Value, field: &str, value: Value| rate[field] = value;
    set(&mut rate, "demandrateunit", json!("kVA"));
    set(&mut rate, "demandreactivepowercharge", json!(0.3));
    set(&mut rate, "demandratchetpercentage", json!([0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8]));
    set(&mut rate, "energyattrs", json!([{"Power Cost Adjustment": "see tariff"}]));
    set(&mut rate, "annualmincharge", json!(100));
    set(&mut rate, "dgrules", json!("Buy All Sell All"));
    set(&mut rate, "coincidentrateunit", json!("kW"));
    set(&mut rate, "coincidentratestructure", json!([[{"rate": 0}], [{"rate": 7.5}]]));
    set(&mut rate, "coincidentrateschedule", json!(schedule(1, &[6])));
    set(&mut rate, "moonphase", json!("full"));
    rate["energyratestructure"][0][0]["tide"] = json!("high");
    let imported = urdb(&rate, "USD").unwrap();
    assert_eq!(
        fields(&imported),
        [
            "dgrules",
            "energyratestructure[0][0].tide",
            "demandratchetpercentage",
            "demandratestructure",
            "demandreactivepowercharge",
            "coincidentratestructure",
            "annualmincharge",
            "energyattrs",
            "moonphase"
        ]
    );
    let version = &imported.rate.terms().versions[0];
    assert_eq!(version.demand.len(), 1, "a price per kVA is not one per kW");
    assert_eq!(version.demand[0].ratchet, Some(Ratchet { percent: Decimal::from(80), bills: 11, months: vec![] }));
    assert_eq!((version.coincident.len(), version.coincident[0].months.as_slice()), (1, [7_i8].as_slice()));
}

#[test]
fn fuel_adjustments_come_on_top_month_by_month() {
    let rate = json!({"name": "r", "energyratestructure": [[{"rate": 0.1}]], "fueladjustmentsmonthly": [0.01, 0.01, 0.02, 0, 0, 0, 0, 0, 0, 0, 0, 0]});
    let version = urdb(&rate, "USD").unwrap().rate.terms().versions[0].clone();
    let months: Vec<_> = version.energy[1].periods.iter().map(|period| period.windows[0].months.len()).collect();
    assert_eq!(months, [2, 1, 9]);
}

#[test]
fn versions_follow_one_another_or_are_refused() {
    let mut later = public();
    (later["label"], later["supersedes"], later["startdate"]) = (json!("b"), json!("5374efea9bef51471a6965d0"), json!(1_735_689_600));
    later["energyratestructure"][1][1]["rate"] = json!(0.35);
    let both = json!({"items": [later, public()]});
    let versions = urdb(&both, "USD").unwrap().rate.terms().versions.clone();
    assert_eq!(versions.iter().map(|version| version.from).collect::<Vec<_>>(), [date(2024, 1, 1), date(2025, 1, 1)]);
    let mut strangers = both.clone();
    strangers["items"][0]["supersedes"] = json!("another");
    assert_eq!(urdb(&strangers, "USD").unwrap_err(), UrdbError::NotAChain { label: "b".to_owned() });
}

#[test]
fn what_is_no_rate_is_refused_with_its_field() {
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut rate = public();
        change(&mut rate);
        urdb(&rate, "USD").unwrap_err().to_string()
    };
    assert_eq!(
        refused(&|rate| rate["energyweekdayschedule"][3][7] = json!(9)),
        "energyweekdayschedule names period 9, of which there are 3"
    );
    assert_eq!(refused(&|rate| rate["flatdemandmonths"][0] = json!(4)), "flatdemandmonths names period 4, of which there are 2");
    assert_eq!(refused(&|rate| rate["energyratestructure"][0][0]["rate"] = json!("cheap")), "energyratestructure[0][0].rate is no number");
    let no_bound = refused(&|rate| rate["energyratestructure"][0][0]["max"] = Value::Null);
    assert_eq!(no_bound, "energyratestructure has a tier of period 1 without its max");
    assert_eq!(urdb(&json!({}), "USD").unwrap_err(), UrdbError::Nothing);
    assert_eq!(urdb(&json!({"items": []}), "USD").unwrap_err(), UrdbError::Nothing);
    assert!(matches!(urdb(&public(), "dollar").unwrap_err(), UrdbError::Terms(_)));
}
