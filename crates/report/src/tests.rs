use std::io::Read as _;

use ids::{BaselineId, ContractId, FacilityId, InvoiceId, PayeeId, StatementId};
use jiff::civil::date;
use money::{Currency, Money, Share};
use proptest::prelude::*;
use rust_decimal::Decimal;
use settlement::{
    Beside, Contract, Fee, Figures, Invoice, InvoiceNumber, Issue, NegativeMonth, Party, PartyKind, Period, PriceTerms, PricedEnergy,
    Savings, Statement, Terms, Trust, TrustPart, Worth, Yield,
};
use sha2::{Digest as _, Sha256};
use units::Energy;

use super::*;
use crate::sheet::{BOTTOM, INNER, LEFT, Mark, Meaning, Sheet};

/// What a test's documents are about.
#[derive(Clone, Debug)]
struct Case {
    currency: Currency,
    /// The label, the price and the energy of each line.
    priced: Vec<(String, Decimal, i64)>,
    fees: Vec<Fee>,
    names: [String; 3],
    carried_in: i64,
    trust: Option<Trust>,
    grown_g: Option<i64>,
    adjustments_wh: i64,
}

impl Case {
    fn july() -> Self {
        let names = ["Negawatt", "Summit Energy Partners", "North Hall Growers' Cooperative"].map(str::to_owned);
        let priced = vec![("flat".to_owned(), Decimal::new(1285, 4), total(&july()).2)];
        Self { currency: Currency::Usd, priced, fees: Vec::new(), names, carried_in: 0, trust: None, grown_g: None, adjustments_wh: 0 }
    }

    fn documents(&self) -> (Statement, Invoice) {
        let kinds = [PartyKind::Platform, PartyKind::Investor, PartyKind::Facility];
        let shares = [50_000, 650_000, 300_000].map(|ppm| Share::parts_per_million(ppm).unwrap());
        let party = |index: usize| Party {
            payee: PayeeId::from_parts(u64::try_from(index).unwrap(), [9; 10]),
            kind: kinds[index],
            name: self.names[index].clone(),
            share: shares[index],
        };
        let terms = Terms {
            id: ContractId::from_parts(1_767_225_600_000, [1; 10]),
            facility: FacilityId::from_parts(1_767_225_600_000, [2; 10]),
            currency: self.currency,
            baseline: BaselineId::from_parts(1_767_225_600_000, [3; 10]),
            starts_on: date(2026, 1, 1),
            ends_on: None,
            price: PriceTerms::Tariff { name: "by the hour".to_owned() },
            billed_share: Share::parts_per_million(625_000).unwrap(),
            fees: self.fees.clone(),
            split: (0..3).map(party).collect(),
            negative_month: NegativeMonth::CarryForward,
            invoice_prefix: "NW".to_owned(),
            due_days: 30,
            hold_days: 5,
        };
        let contract = Contract::new(terms).unwrap();
        let (expected, observed, _) = total(&july());
        let mut priced = self.priced.clone();
        priced[0].2 += self.adjustments_wh;
        let avoided: i64 = priced.iter().map(|(_, _, wh)| wh).sum();
        let savings = Savings {
            counterfactual_wh: Energy::wh(if avoided == expected - observed { expected } else { observed + avoided }),
            adjustments_wh: Energy::wh(self.adjustments_wh),
            observed_wh: Energy::wh(observed),
            avoided_wh: Energy::wh(avoided),
            uncertainty_wh: Energy::wh(1_204_311),
            confidence_ppm: 900_000,
            days_total: 31,
            days_compared: 30,
            method: "caltrack-daily/2.0".to_owned(),
        };
        let yielded = self.grown_g.map(|grown_g| Yield::claimed(grown_g, &savings));
        let figures = Figures {
            id: StatementId::from_parts(1_785_542_400_000, [4; 10]),
            period: Period::new(date(2026, 7, 1), date(2026, 8, 1)).unwrap(),
            savings,
            worth: Worth::Priced(
                priced.into_iter().map(|(label, price_per_kwh, energy_wh)| PricedEnergy { label, price_per_kwh, energy_wh }).collect(),
            ),
            carried_in: Money::new(self.carried_in, self.currency),
            beside: Beside { trust: self.trust.clone(), yielded, drawn: None },
            inputs: ["contract.json", "inputs.json", "rows/meters/main.e_imp.csv", "rows/weather.csv"]
                .map(|name| (name.to_owned(), hex::encode(Sha256::digest(name))))
                .into(),
        };
        let statement = Statement::settle(&contract, figures).unwrap();
        let issue = Issue {
            id: InvoiceId::from_parts(1_785_542_400_000, [5; 10]),
            number: InvoiceNumber::new("NW", 2026, 42).unwrap(),
            issued_at: "2026-08-03T14:05:09Z".parse().unwrap(),
            issued_on: date(2026, 8, 3),
        };
        let invoice = Invoice::issue(&contract, &statement, issue).unwrap();
        (statement, invoice)
    }
}

/// A month with two days of more use and one that is missing.
fn july() -> Vec<Day> {
    let days = (1..=31).filter(|day| *day != 19).map(|day: i8| {
        let wave = i64::from(day % 7) * 61_237 + i64::from(day) * 9_001;
        let saved = if day % 13 == 5 { -38_500 } else { 118_250 + i64::from(day % 5) * 17_333 };
        let expected = 640_000 + wave;
        Day { date: date(2026, 7, day), counterfactual_wh: Energy::wh(expected), observed_wh: Energy::wh(expected - saved) }
    });
    days.collect()
}

fn total(days: &[Day]) -> (i64, i64, i64) {
    let sum = |of: fn(&Day) -> Energy| days.iter().map(|day| of(day).as_wh()).sum::<i64>();
    let (expected, observed) = (sum(|day| day.counterfactual_wh), sum(|day| day.observed_wh));
    (expected, observed, expected - observed)
}

const SHA256: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn attachment(name: &str) -> Attachment {
    Attachment { name: name.to_owned(), description: "The invoice as the evidence holds it".to_owned(), json: b"{}\n".to_vec() }
}

fn paper<'a>((statement, invoice): &'a (Statement, Invoice), days: &'a [Day]) -> InvoicePaper<'a> {
    InvoicePaper {
        issuer: "Negawatt Demonstration Ltd",
        payer: "North Hall Cooperative",
        facility: "North Hall",
        invoice,
        statement,
        days,
        evidence: Some(Evidence { file: "NW-2026-000042.nwev", sha256: SHA256 }),
        attachments: vec![attachment("invoice.json")],
    }
}

fn statement_paper<'a>(statement: &'a Statement, days: &'a [Day]) -> StatementPaper<'a> {
    StatementPaper {
        issuer: "Negawatt Demonstration Ltd",
        facility: "North Hall",
        statement,
        made_at: "2026-08-03T14:05:09Z".parse().unwrap(),
        digest: SHA256,
        days,
        attachments: Vec::new(),
    }
}

/// The texts of a page with such a meaning, in the order in which they were put there.
fn texts(page: &[(Meaning, Mark)], of: fn(Meaning) -> bool) -> Vec<&str> {
    let mut texts = Vec::new();
    for (meaning, mark) in page {
        if let Mark::Text { run, .. } = mark
            && of(*meaning)
        {
            texts.push(run.text.as_str());
        }
    }
    texts
}

fn is_read(meaning: Meaning) -> bool {
    matches!(meaning, Meaning::Read(_))
}

fn all(sheet: &Sheet) -> Vec<&str> {
    sheet.pages.iter().flat_map(|page| texts(page, is_read)).collect()
}

/// The streams of a file without their compression, which depends on what else is built; not the metadata, which carry a hash of it.
fn streams(pdf: &[u8]) -> Vec<Vec<u8>> {
    let find = |from: usize, what: &[u8]| pdf[from..].windows(what.len()).position(|part| part == what).map(|at| from + at);
    let (mut streams, mut at) = (Vec::new(), 0);
    while let Some(begin) = find(at, b"stream\n") {
        let end = find(begin, b"\nendstream").unwrap();
        let mut inflated = Vec::new();
        if flate2::read::ZlibDecoder::new(&pdf[begin + 7..end]).read_to_end(&mut inflated).is_ok() {
            streams.push(inflated);
        }
        at = end + 10;
    }
    streams
}

#[test]
fn equal_arguments_give_equal_bytes() {
    let documents = Case::july().documents();
    let days = july();
    let bytes = super::invoice(paper(&documents, &days)).unwrap();
    assert_eq!(bytes, super::invoice(paper(&documents, &days)).unwrap());
    let streams = streams(&bytes);
    assert!(streams.len() >= 8, "pages, fonts, their maps, the profile and the attachment: {}", streams.len());
    let mut digest = Sha256::new();
    for stream in &streams {
        digest.update(stream);
    }
    // Another layout or another edition of the engine gives another digest: look at the pages before it is written here.
    assert_eq!(hex::encode(digest.finalize()), "6803ad99750675c7809cb3e79ac8a6c44a5d093ea771882bf0d96140fa04ab1c");
}

#[test]
fn the_date_and_the_names_are_the_documents_own() {
    let documents = Case::july().documents();
    let bytes = super::invoice(paper(&documents, &[])).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("(D:20260803140509Z)"), "the instant of issue");
    assert!(text.contains("<pdfaid:part>3</pdfaid:part>") && text.contains("<pdfaid:conformance>A</pdfaid:conformance>"));
    assert!(text.contains("<pdfuaid:part>1</pdfuaid:part>"));
    assert!(text.contains("<xmp:CreateDate>2026-08-03T14:05:09+00:00</xmp:CreateDate>"));
}

#[test]
fn what_is_printed_is_what_was_issued() {
    let documents = Case::july().documents();
    let days = july();
    let (sheet, _) = invoice::lay_out(&paper(&documents, &days));
    let texts = all(&sheet);
    for expected in [
        "Negawatt Demonstration Ltd",
        "Invoice NW-2026-000042",
        "North Hall Cooperative",
        "North Hall",
        "1 to 31 July 2026",
        "3 August 2026",
        "2 September 2026",
        "320.92 USD",
        "3995.899",
        "0.1285",
        "513.47",
        "-192.55",
        "Savings kept by the facility, 37.5 %",
        "Summit Energy Partners",
        "208.60",
        "28698.622",
        "24702.723",
        "negawatt audit NW-2026-000042.nwev",
        SHA256,
    ] {
        assert!(texts.contains(&expected), "{expected} is not in {texts:#?}");
    }
    let running = texts.join(" ");
    assert!(running.contains("Avoided energy: 3995.899 kWh ± 1204.311 kWh at 90 % confidence. 30 of 31 days"), "{running}");
}

#[test]
fn many_lines_go_on_over_pages_that_are_counted() {
    let mut case = Case::july();
    case.priced = (1..=90).map(|hour: i64| (format!("price period {hour}"), Decimal::new(1_000 + hour, 4), hour * 1_000)).collect();
    let documents = case.documents();
    let (sheet, _) = invoice::lay_out(&paper(&documents, &[]));
    let count = sheet.pages.len();
    assert!(count >= 4, "{count}");
    for (index, page) in sheet.pages.iter().enumerate() {
        let margins = texts(page, |meaning| meaning == Meaning::Margin);
        assert!(margins.contains(&format!("Page {} of {count}", index + 1).as_str()), "{margins:?}");
        let has_lines = texts(page, is_read).iter().any(|text| text.starts_with("Energy not used"));
        assert!(index == 0 || !has_lines || margins.contains(&"Energy, kWh"), "the head is repeated: {margins:?}");
    }
    let read = all(&sheet);
    for hour in 1..=90 {
        let name = format!("Energy not used, price period {hour}");
        assert_eq!(read.iter().filter(|text| **text == name).count(), 1, "{name}");
    }
    // The last line, the sum and the total stand together.
    let last = sheet.pages.iter().find(|page| texts(page, is_read).contains(&"Total due")).unwrap();
    assert!(texts(last, is_read).contains(&"Savings kept by the facility, 37.5 %"));
    super::invoice(paper(&documents, &[])).unwrap();
}

#[test]
fn long_names_wrap_and_stay_on_the_paper() {
    let mut case = Case::july();
    case.names = [40, 90, 200].map(|length| "Mutual Energy Association ".chars().cycle().take(length).collect());
    case.names[0] = "W".repeat(200);
    case.fees = vec![Fee { name: "Measurement and verification, ".repeat(12), amount: Money::new(12_345, Currency::Usd) }];
    let documents = case.documents();
    let days = july();
    let mut paper = paper(&documents, &days);
    let long = "Cooperative of the Growers of the North Hall and all its Annexes ".repeat(3);
    (paper.issuer, paper.payer, paper.facility) = (&long, &long, &long);
    let (sheet, _) = invoice::lay_out(&paper);
    for (meaning, mark) in sheet.pages.iter().flatten() {
        if let Mark::Text { x, y, run } = mark {
            assert!(*x >= LEFT - 0.1 && x + run.width <= LEFT + INNER + 0.5, "{} at {x} is {} wide", run.text, run.width);
            assert!(*meaning == Meaning::Margin || *y <= BOTTOM, "{} at {y}", run.text);
        }
    }
    let read = all(&sheet).join(" ");
    assert_eq!(read.matches("Measurement and verification,").count(), 12, "no word is lost");
    super::invoice(paper).unwrap();
}

#[test]
fn a_statement_shows_its_shortfall_and_its_inputs() {
    let mut case = Case::july();
    case.carried_in = -60_000;
    let (statement, _) = case.documents();
    let days = july();
    let (sheet, _) = statement::lay_out(&statement_paper(&statement, &days));
    let read = all(&sheet);
    let weather = hex::encode(Sha256::digest("rows/weather.csv"));
    for expected in
        ["Statement of savings", "513.47 USD", "-600.00", "-86.53", "0.00", "Billed of it, 62.5 %", "rows/weather.csv", &weather]
    {
        assert!(read.contains(&expected), "{expected} is not in {read:#?}");
    }
    super::statement(statement_paper(&statement, &days)).unwrap();
}

#[test]
fn trust_yield_and_adjustments_stand_on_both_papers() {
    let mut case = Case::july();
    let parts = [("data quality", 912_345, 600_000), ("metering", 500_000, 400_000)];
    let part = |(name, score_ppm, weight_ppm): (&str, u32, u32)| TrustPart { name: name.to_owned(), score_ppm, weight_ppm };
    let trust = Trust {
        version: "negawatt.trust/1".to_owned(),
        date: date(2026, 8, 3),
        score_ppm: 400_000,
        capped: true,
        parts: parts.map(part).to_vec(),
        passed: 12,
        conditional: vec!["weather".to_owned(), "seasonality".to_owned()],
        failed: vec!["bill reconciliation".to_owned()],
        invoices: 6,
        disputed: 0,
    };
    case.trust = Some(trust);
    case.grown_g = Some(12_345_678);
    case.adjustments_wh = 500_000;
    let days = july();
    let documents = case.documents();
    let (on_statement, _) = statement::lay_out(&statement_paper(&documents.0, &days));
    let (on_invoice, _) = invoice::lay_out(&paper(&documents, &days));
    for sheet in [&on_statement, &on_invoice] {
        let running = all(sheet).join(" ");
        for expected in [
            "12345.678 kg of marketable produce grew",
            "would have taken 2.365 kWh and took 2.001 kWh: 0.364 kWh less",
            "Trust score 40.00 of 100, given on 3 August 2026 by negawatt.trust/1: 12 of the categories of verification pass",
            "under a condition: weather, seasonality; not, or nobody has shown them: bill reconciliation",
            "Both parties agreed upon adjustments",
        ] {
            assert!(running.contains(expected), "{expected} is not in {running}");
        }
    }
    assert!(all(&on_statement).contains(&"91.23"), "the parts stand on the statement");
    super::statement(statement_paper(&documents.0, &days)).unwrap();
    super::invoice(paper(&documents, &days)).unwrap();

    case.grown_g = Some(0);
    let (sheet, _) = statement::lay_out(&statement_paper(&case.documents().0, &days));
    let running = all(&sheet).join(" ");
    assert!(running.contains("No saving is claimed by the kilogram: nothing grew"), "{running}");
}

#[test]
fn figures_of_another_document_are_refused() {
    let documents = Case::july().documents();
    let mut days = july();
    days[3].observed_wh = Energy::wh(1);
    let refused = super::invoice(paper(&documents, &days)).unwrap_err();
    assert!(matches!(refused, ReportError::Days { .. }) && refused.to_string().contains("which is not what statement sta_"), "{refused}");
    let mut paper = paper(&documents, &[]);
    paper.attachments = vec![attachment("a.json"), attachment("a.json")];
    assert_eq!(super::invoice(paper).unwrap_err().to_string(), "the PDF engine refused the document: two attachments are named a.json");
}

fn names() -> impl Strategy<Value = [String; 3]> {
    [any::<String>(), "\\PC{1,200}", "[A-Za-zÀ-žΑ-ωА-я '’.-]{1,80}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn amounts_are_printed_as_money_writes_them(
        currency in prop::sample::select(&Currency::ALL[..]),
        prices in prop::collection::vec((0_i64..1_000_000, 0_u32..8, -50_000_000_i64..900_000_000_000), 1..5),
        fee in 0_i64..1_000_000_000,
        carried_in in -100_000_i64..=0,
    ) {
        let label = |index: usize| format!("period {index}");
        let priced = prices.iter().enumerate().map(|(index, (price, scale, wh))| (label(index), Decimal::new(*price, *scale), *wh));
        let fees = vec![Fee { name: "Verification".to_owned(), amount: Money::new(fee, currency) }];
        let documents = Case { currency, priced: priced.collect(), fees, carried_in, ..Case::july() }.documents();
        let (sheet, _) = invoice::lay_out(&paper(&documents, &[]));
        let read = all(&sheet);
        let invoice = &documents.1;
        prop_assert!(read.contains(&invoice.total().to_string().as_str()), "{} in {read:?}", invoice.total());
        let amounts = invoice.lines().iter().map(|line| line.amount).chain(invoice.parts().iter().map(|part| part.amount));
        for amount in amounts {
            prop_assert!(read.contains(&amount.decimal_text().as_str()), "{amount} in {read:?}");
        }
    }

    #[test]
    fn whatever_somebody_is_called_it_can_be_printed_and_archived(names in names(), facility in any::<String>()) {
        let documents = Case { names, ..Case::july() }.documents();
        let mut paper = paper(&documents, &[]);
        (paper.payer, paper.facility, paper.issuer) = (&facility, &facility, &facility);
        let printed = super::invoice(paper);
        prop_assert!(printed.is_ok(), "{printed:?}");
    }
}
