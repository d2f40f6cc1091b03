use std::collections::BTreeMap;

use ids::{BaselineId, ContractId, FacilityId, InvoiceId, PayeeId, StatementId};
use jiff::Timestamp;
use jiff::civil::date;
use money::{Currency, Money, Share};
use proptest::prelude::*;
use rust_decimal::Decimal;
use units::Energy;

use super::*;
use crate::{
    Beside, BilledCharge, Bills, ContractError, Fee, Figures, NegativeMonth, Party, PriceTerms, PricedEnergy, Savings, SettleError, Terms,
    Worth,
};

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::Usd)
}

fn share(ppm: u32) -> Share {
    Share::parts_per_million(ppm).unwrap()
}

fn terms(billed_ppm: u32, split: &[(PartyKind, u32)], negative_month: NegativeMonth) -> Terms {
    let party = |(index, (kind, ppm)): (usize, &(PartyKind, u32))| Party {
        payee: PayeeId::from_parts(u64::try_from(index).unwrap(), [9; 10]),
        kind: *kind,
        name: kind.to_string(),
        share: share(*ppm),
    };
    Terms {
        id: ContractId::from_parts(1, [1; 10]),
        facility: FacilityId::from_parts(1, [2; 10]),
        currency: Currency::Usd,
        baseline: BaselineId::from_parts(1, [3; 10]),
        starts_on: date(2026, 1, 1),
        ends_on: None,
        price: PriceTerms::Flat { price_per_kwh: Decimal::new(12_345, 5) },
        billed_share: share(billed_ppm),
        fees: Vec::new(),
        split: split.iter().enumerate().map(party).collect(),
        negative_month,
        invoice_prefix: "NW".to_owned(),
        due_days: 30,
        hold_days: 5,
    }
}

const FIVE: [(PartyKind, u32); 5] = [
    (PartyKind::Platform, 50_000),
    (PartyKind::Network, 150_000),
    (PartyKind::Facility, 100_000),
    (PartyKind::Investor, 650_000),
    (PartyKind::Partner, 50_000),
];

fn statement(contract: &Contract, avoided: i64, carried_in: i64) -> Statement {
    let savings = Savings {
        counterfactual_wh: Energy::wh(1_000_000 + avoided),
        adjustments_wh: Energy::ZERO,
        observed_wh: Energy::wh(1_000_000),
        avoided_wh: Energy::wh(avoided),
        uncertainty_wh: Energy::wh(10),
        confidence_ppm: 900_000,
        days_total: 31,
        days_compared: 31,
        method: "test".to_owned(),
    };
    let PriceTerms::Flat { price_per_kwh } = contract.terms().price else { panic!("flat") };
    let figures = Figures {
        id: StatementId::from_parts(1, [4; 10]),
        period: Period::new(date(2026, 1, 1), date(2026, 2, 1)).unwrap(),
        savings,
        worth: Worth::Priced(vec![PricedEnergy { label: "flat".to_owned(), price_per_kwh, energy_wh: avoided }]),
        carried_in: usd(carried_in),
        beside: Beside::default(),
        inputs: BTreeMap::from([("energy".to_owned(), "00".to_owned())]),
    };
    Statement::settle(contract, figures).unwrap()
}

fn invoice(contract: &Contract, statement: &Statement) -> Invoice {
    let issue = Issue {
        id: InvoiceId::from_parts(1, [5; 10]),
        number: InvoiceNumber::new("NW", 2026, 1).unwrap(),
        issued_at: Timestamp::UNIX_EPOCH,
        issued_on: date(2026, 2, 1),
    };
    Invoice::issue(contract, statement, issue).unwrap()
}

proptest! {
    #[test]
    fn lines_and_parts_are_the_total_whatever_is_agreed(
        avoided in -1_000_000_000_i64..1_000_000_000,
        carried in -1_000_000_i64..=0,
        billed in 0_u32..=1_000_000,
        cuts in prop::collection::vec(0_u32..=1_000_000, 4),
        fee in 0_i64..10_000,
        forward: bool,
    ) {
        let mut cuts = cuts;
        cuts.extend([0, 1_000_000]);
        cuts.sort_unstable();
        let split: Vec<_> = cuts.windows(2).zip(FIVE).map(|(pair, (kind, _))| (kind, pair[1] - pair[0])).collect();
        let policy = if forward { NegativeMonth::CarryForward } else { NegativeMonth::FloorZero };
        let mut terms = terms(billed, &split, policy);
        terms.fees.push(Fee { name: "Verification".to_owned(), amount: usd(fee) });
        let contract = Contract::new(terms).unwrap();
        let statement = statement(&contract, avoided, carried);
        let invoice = invoice(&contract, &statement);
        let sum = |amounts: &[Money]| Money::sum(Currency::Usd, amounts.iter().copied()).unwrap();
        prop_assert_eq!(sum(&invoice.lines().iter().map(|line| line.amount).collect::<Vec<_>>()), invoice.total());
        prop_assert_eq!(sum(&invoice.parts().iter().map(|part| part.amount).collect::<Vec<_>>()), invoice.total());
        prop_assert!(invoice.total().minor >= 0 && invoice.parts().iter().all(|part| part.amount.minor >= 0));
        prop_assert_eq!(invoice.total(), statement.billed().checked_add(usd(fee)).unwrap());
        // What is not billed now is carried, forgotten or kept; nothing disappears.
        let balance = statement.value().minor + carried;
        prop_assert_eq!(statement.billable().minor + statement.carried_out().minor - statement.floored().minor, balance);
        let text = serde_json::to_string(&invoice).unwrap();
        prop_assert_eq!(serde_json::from_str::<Invoice>(&text).unwrap(), invoice);
        let text = serde_json::to_string(&statement).unwrap();
        prop_assert_eq!(serde_json::from_str::<Statement>(&text).unwrap(), statement);
        let text = serde_json::to_string(&contract).unwrap();
        prop_assert_eq!(serde_json::from_str::<Contract>(&text).unwrap(), contract);
    }
}

#[test]
fn an_invoice_reads_savings_then_share_then_fees() {
    let mut terms = terms(800_000, &FIVE, NegativeMonth::CarryForward);
    terms.fees.push(Fee { name: "Verification".to_owned(), amount: usd(2_500) });
    let contract = Contract::new(terms).unwrap();
    let statement = statement(&contract, 12_345_678, 0);
    let invoice = invoice(&contract, &statement);
    let lines: Vec<_> = invoice.lines().iter().map(|line| (line.description.as_str(), line.amount.minor)).collect();
    assert_eq!(lines, [("Energy not used, flat", 152_407), ("Savings kept by the facility, 20 %", -30_481), ("Verification", 2_500)]);
    assert_eq!(invoice.total(), usd(124_426));
    assert_eq!(invoice.due_on(), date(2026, 3, 3));
    let parts: Vec<_> = invoice.parts().iter().map(|part| part.amount.minor).collect();
    assert_eq!(parts, [6_221, 18_664, 12_443, 80_877, 6_221]);
}

#[test]
fn a_shortfall_is_carried_until_it_is_made_good() {
    let contract = Contract::new(terms(1_000_000, &FIVE, NegativeMonth::CarryForward)).unwrap();
    let bad = statement(&contract, -1_000_000, 0);
    assert_eq!((bad.value(), bad.billed(), bad.carried_out()), (usd(-12_345), usd(0), usd(-12_345)));
    assert_eq!(invoice(&contract, &bad).total(), usd(0));
    let better = statement(&contract, 1_500_000, bad.carried_out().minor);
    assert_eq!((better.billed(), better.carried_out()), (usd(18_518 - 12_345), usd(0)));
    let forgiving = Contract::new(terms(1_000_000, &FIVE, NegativeMonth::FloorZero)).unwrap();
    let forgotten = statement(&forgiving, -1_000_000, 0);
    assert_eq!((forgotten.floored(), forgotten.carried_out(), invoice(&forgiving, &forgotten).total()), (usd(12_345), usd(0), usd(0)));
}

#[test]
fn terms_that_do_not_hold_together_are_refused() {
    let mut short = FIVE;
    short[4].1 -= 1;
    let refused = Contract::new(terms(1_000_000, &short, NegativeMonth::FloorZero)).unwrap_err();
    assert!(matches!(refused, ContractError::Shares { found: 999_999, .. }));
    let mut twice = terms(1_000_000, &FIVE, NegativeMonth::FloorZero);
    twice.split[1] = twice.split[0].clone();
    twice.split[1].share = share(150_000);
    assert!(matches!(Contract::new(twice), Err(ContractError::Repeated { .. })));
    let mut over = terms(1_000_000, &FIVE, NegativeMonth::FloorZero);
    over.ends_on = Some(date(2026, 1, 1));
    assert!(matches!(Contract::new(over), Err(ContractError::Dates { .. })));
    let with = |change: &dyn Fn(&mut Terms)| {
        let mut terms = terms(1_000_000, &FIVE, NegativeMonth::FloorZero);
        change(&mut terms);
        Contract::new(terms)
    };
    let fee = |amount| Fee { name: "Verification".to_owned(), amount };
    assert!(matches!(with(&|terms| terms.fees.push(fee(usd(-1)))), Err(ContractError::Fee { .. })));
    assert!(matches!(with(&|terms| terms.fees.push(fee(Money::new(1, Currency::Eur)))), Err(ContractError::Fee { .. })));
    assert!(with(&|terms| terms.fees.push(fee(usd(0)))).is_ok());
    let price = |price_per_kwh| PriceTerms::Flat { price_per_kwh };
    assert!(matches!(with(&|terms| terms.price = price(Decimal::new(-1, 2))), Err(ContractError::Price { .. })));
    assert!(with(&|terms| terms.price = price(Decimal::ZERO)).is_ok());
    assert!(matches!(with(&|terms| terms.split.clear()), Err(ContractError::NoParties(_))));
    let mut prefix = terms(1_000_000, &FIVE, NegativeMonth::FloorZero);
    prefix.invoice_prefix = "nw-".to_owned();
    assert!(matches!(Contract::new(prefix), Err(ContractError::Prefix { .. })));
}

#[test]
fn a_changed_figure_is_noticed_on_reading() {
    let contract = Contract::new(terms(1_000_000, &FIVE, NegativeMonth::FloorZero)).unwrap();
    let statement = statement(&contract, 1_000_000, 0);
    let text = serde_json::to_string(&invoice(&contract, &statement)).unwrap();
    let changed = text.replace(r#""total":{"minor":12345"#, r#""total":{"minor":12346"#);
    assert_ne!(changed, text);
    assert!(serde_json::from_str::<Invoice>(&changed).unwrap_err().to_string().contains("the lines sum to 123.45 USD"));
    let text = serde_json::to_string(&statement).unwrap();
    let changed = text.replace(r#""billed":{"minor":12345"#, r#""billed":{"minor":12346"#);
    assert_ne!(changed, text);
    assert!(serde_json::from_str::<Statement>(&changed).is_err());
}

#[test]
fn days_outside_the_contract_and_unpriced_energy_are_refused() {
    let mut early = terms(1_000_000, &FIVE, NegativeMonth::FloorZero);
    early.starts_on = date(2026, 1, 2);
    let contract = Contract::new(early).unwrap();
    let good = Contract::new(terms(1_000_000, &FIVE, NegativeMonth::FloorZero)).unwrap();
    let made = statement(&good, 5, 0);
    let figures = |energy_wh| Figures {
        id: made.id(),
        period: made.period(),
        savings: made.savings().clone(),
        worth: Worth::Priced(vec![PricedEnergy { label: String::new(), price_per_kwh: Decimal::ONE, energy_wh }]),
        carried_in: usd(0),
        beside: Beside::default(),
        inputs: BTreeMap::new(),
    };
    assert!(matches!(Statement::settle(&contract, figures(5)), Err(SettleError::NotCovered { .. })));
    let until = |ends_on| {
        let mut terms = terms(1_000_000, &FIVE, NegativeMonth::FloorZero);
        terms.ends_on = Some(ends_on);
        Statement::settle(&Contract::new(terms).unwrap(), figures(5)).is_ok()
    };
    assert!(until(date(2026, 2, 1)) && !until(date(2026, 1, 31)), "the last day is the one before the end");
    assert!(Period::new(date(2026, 1, 1), date(2026, 1, 1)).is_err(), "a period has a day");
    let claim = Figures { carried_in: usd(1), ..figures(5) };
    assert!(matches!(Statement::settle(&good, claim), Err(SettleError::CarriedIn(_))));
    let other = Figures { carried_in: Money::new(-1, Currency::Eur), ..figures(5) };
    assert!(matches!(Statement::settle(&good, other), Err(SettleError::Money(_))));
    assert!(matches!(Statement::settle(&good, figures(6)), Err(SettleError::Priced { priced: 6, avoided: 5 })));
}

/// Under a rate each line is a charge of one bill less that of another: rounded once, and read back as it was frozen.
#[test]
fn the_difference_of_two_bills_is_worth_its_charges() {
    let contract = Contract::new(terms(600_000, &FIVE, NegativeMonth::CarryForward)).unwrap();
    let made = statement(&contract, 1_000_000, 0);
    let bills = |counterfactual: &str, measured: &str| Bills {
        counterfactual: counterfactual.parse().unwrap(),
        measured: measured.parse().unwrap(),
    };
    let charge = |label: &str, bills| BilledCharge { label: label.to_owned(), bills };
    let figures = |charges| Figures {
        id: made.id(),
        period: made.period(),
        savings: made.savings().clone(),
        worth: Worth::Billed(charges),
        carried_in: usd(0),
        beside: Beside::default(),
        inputs: BTreeMap::new(),
    };
    let charges = vec![charge("energy, on peak", bills("1234.565", "1111.11")), charge("capacity", bills("95.005", "95.01"))];
    let billed = Statement::settle(&contract, figures(charges)).unwrap();
    assert_eq!(billed.lines().iter().map(|line| line.amount.minor).collect::<Vec<_>>(), [12_346, 0], "half to even, once");
    assert_eq!(billed.lines()[0].description, "Not charged by the supplier, energy, on peak: 1234.56 would have been, 1111.11 was");
    assert_eq!((billed.value(), billed.billed()), (usd(12_346), usd(7_408)));
    let mut document = serde_json::to_value(&billed).unwrap();
    assert_eq!(serde_json::from_value::<Statement>(document.clone()).unwrap(), billed);
    document["lines"][0]["bills"]["measured"] = "1110.11".into();
    let refused = serde_json::from_value::<Statement>(document.clone()).unwrap_err().to_string();
    assert!(refused.contains("is 123.46 USD, it should be 124.46 USD"), "{refused}");
    document["lines"][1] = serde_json::to_value(&made.lines()[0]).unwrap();
    let mixed = serde_json::from_value::<Statement>(document).unwrap_err().to_string();
    assert!(mixed.contains("not as the others have") || mixed.contains("it should be"), "{mixed}");
    let empty = Statement::settle(&contract, figures(Vec::new()));
    assert!(matches!(empty, Err(SettleError::Priced { priced: 0, avoided: 1_000_000 })), "energy without a bill is worth nothing known");
}

/// Figures that add up and still cannot be: what is frozen obeys every law of its document, however it was read.
#[test]
fn a_stored_document_that_breaks_a_law_is_refused_by_name() {
    let contract = Contract::new(terms(1_000_000, &FIVE, NegativeMonth::CarryForward)).unwrap();
    let statement = statement(&contract, 1_000_000, 0);
    let json = |document: &serde_json::Value| document.to_string();
    let usd_json = |minor: i64| serde_json::json!({ "currency": "USD", "minor": minor });
    let invoice_refused = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut document = serde_json::to_value(invoice(&contract, &statement)).unwrap();
        change(&mut document);
        serde_json::from_str::<Invoice>(&json(&document)).map_or_else(|err| err.to_string(), |read| format!("read: {}", read.total()))
    };
    let negative = invoice_refused(&|document| {
        document["total"] = usd_json(-5);
        document["lines"][0]["amount"] = usd_json(-5);
        for part in document["parts"].as_array_mut().unwrap() {
            part["amount"] = usd_json(-1);
        }
    });
    assert_eq!(negative, "invoice NW-2026-000001 asks for -0.05 USD; an invoice is never negative, a credit is a document of its own");
    let moved = invoice_refused(&|document| {
        document["parts"][0]["amount"] = usd_json(717);
        document["parts"][1]["amount"] = usd_json(1_752);
    });
    assert_eq!(moved, "invoice NW-2026-000001: the part of platform is 7.17 USD, which is not 5 % of 123.45 USD");
    let early = invoice_refused(&|document| document["due_on"] = "2026-01-31".into());
    assert_eq!(early, "invoice NW-2026-000001 is due on 2026-01-31, before it was issued on 2026-02-01");

    let statement_refused = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut document = serde_json::to_value(&statement).unwrap();
        change(&mut document);
        let id = statement.id().to_string();
        serde_json::from_str::<Statement>(&json(&document)).map_or_else(|err| err.to_string().replace(&id, "ID"), |_| "read".to_owned())
    };
    assert_eq!(statement_refused(&|_| {}), "read");
    let dearer = statement_refused(&|document| document["lines"][0]["price_per_kwh"] = "0.2".into());
    assert_eq!(dearer, "statement ID: the line `Energy not used, flat` is 123.45 USD, it should be 200.00 USD");
    let more = statement_refused(&|document| {
        document["savings"]["counterfactual_wh"] = 3_000_000.into();
        document["savings"]["avoided_wh"] = 2_000_000.into();
    });
    assert_eq!(more, "1000000 Wh were priced, but 2000000 Wh were avoided");
    let claim = statement_refused(&|document| {
        document["carried_out"] = usd_json(-100);
    });
    assert_eq!(claim, "statement ID: the shortfall carried on is -1.00 USD, it should be 0.00 USD");
    let too_sure = statement_refused(&|document| document["savings"]["confidence_ppm"] = 1_000_001.into());
    assert_eq!(too_sure, "an uncertainty of 10 Wh at 1000001 parts per million on 31 of 31 days cannot be");
    let too_many = statement_refused(&|document| document["savings"]["days_compared"] = 32.into());
    assert_eq!(too_many, "an uncertainty of 10 Wh at 900000 parts per million on 32 of 31 days cannot be");
    let gift = statement_refused(&|document| document["carried_in"] = usd_json(1));
    assert_eq!(gift, "0.01 USD cannot be carried into a month: only a shortfall is carried, as zero or a negative amount");
    let both = statement_refused(&|document| document["floored"] = usd_json(1));
    assert_eq!(both, "statement ID: the shortfall forgotten is 0.01 USD, it should be 0.00 USD");
    let unpriced = statement_refused(&|document| drop(document["lines"][0].as_object_mut().unwrap().remove("price_per_kwh")));
    assert_eq!(
        unpriced,
        "statement ID: the line `Energy not used, flat` has neither its energy and price nor its two bills, or not as the others have"
    );
    let wider = statement_refused(&|document| document["savings"]["uncertainty_wh"] = (-10).into());
    assert_eq!(wider, "an uncertainty of -10 Wh at 900000 parts per million on 31 of 31 days cannot be");
}

proptest! {
    /// The split of a settlement: each part is its exact share to less than a cent, whatever the total.
    #[test]
    fn each_part_is_its_share_to_less_than_a_cent(avoided in -1_000_000_000_i64..1_000_000_000, billed in 0_u32..=1_000_000, forward: bool) {
        let policy = if forward { NegativeMonth::CarryForward } else { NegativeMonth::FloorZero };
        let contract = Contract::new(terms(billed, &FIVE, policy)).unwrap();
        let statement = statement(&contract, avoided, 0);
        prop_assert_eq!(statement.value().minor.signum() * avoided.signum() >= 0, true);
        prop_assert!(statement.carried_out().minor == 0 || statement.floored().minor == 0);
        prop_assert!(statement.billed().minor <= statement.billable().minor);
        let invoice = invoice(&contract, &statement);
        for part in invoice.parts() {
            let exact = i128::from(invoice.total().minor) * i128::from(part.share.ppm());
            prop_assert!((i128::from(part.amount.minor) * 1_000_000 - exact).abs() < 1_000_000);
        }
    }
}

#[test]
fn an_invoice_of_another_contract_or_series_is_refused() {
    let contract = Contract::new(terms(1_000_000, &FIVE, NegativeMonth::FloorZero)).unwrap();
    let statement = statement(&contract, 1_000_000, 0);
    let issue = |prefix, due: Date| Issue {
        id: InvoiceId::from_parts(1, [5; 10]),
        number: InvoiceNumber::new(prefix, 2026, 1).unwrap(),
        issued_at: Timestamp::UNIX_EPOCH,
        issued_on: due,
    };
    let series = Invoice::issue(&contract, &statement, issue("AB", date(2026, 2, 1))).unwrap_err().to_string();
    assert_eq!(series, "invoice number AB-2026-000001 does not begin with the contract's prefix NW");
    let end_of_time = Invoice::issue(&contract, &statement, issue("NW", Date::MAX)).unwrap_err();
    assert!(matches!(end_of_time, InvoiceError::DueDate { days: 30, .. }));
    let mut other = terms(1_000_000, &FIVE, NegativeMonth::FloorZero);
    other.id = ContractId::from_parts(1, [77; 10]);
    let other = Contract::new(other).unwrap();
    assert!(matches!(Invoice::issue(&other, &statement, issue("NW", date(2026, 2, 1))), Err(InvoiceError::Contract { .. })));
}
