//! Poppler and qpdf read what we print: every amount, the tags, the fonts and the attachments.

use std::{collections::BTreeMap, path::Path, path::PathBuf};

use ids::{BaselineId, ContractId, FacilityId, InvoiceId, PayeeId, StatementId};
use jiff::civil::date;
use money::{Currency, Share};
use report::{Attachment, Day, Evidence, InvoicePaper};
use rust_decimal::Decimal;
use settlement::{
    Contract, Figures, Invoice, InvoiceNumber, Issue, NegativeMonth, Party, PartyKind, Period, PriceTerms, PricedEnergy, Savings,
    Statement, Terms,
};
use tempfile::TempDir;
use units::Energy;

use crate::peer::{installed, output, text};

const SHA256: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const INVESTOR: &str = "Żółta Łąka Société d’Énergie";

/// June, with its days and so many prices.
fn june(currency: Currency, prices: i64) -> (Statement, Invoice, Vec<Day>) {
    let days: Vec<Day> = (1..=30)
        .map(|day: i8| Day {
            date: date(2026, 6, day),
            counterfactual_wh: Energy::wh(900_000 + i64::from(day) * 7_001),
            observed_wh: Energy::wh(700_000 + i64::from(day) * 5_003),
        })
        .collect();
    let sum = |of: fn(&Day) -> Energy| days.iter().map(|day| of(day).as_wh()).sum::<i64>();
    let (expected, observed) = (sum(|day| day.counterfactual_wh), sum(|day| day.observed_wh));
    let avoided = expected - observed;
    let each = avoided / prices;
    let priced = (0..prices).map(|price| PricedEnergy {
        label: format!("price period {}", price + 1),
        price_per_kwh: Decimal::new(1_325 + price, 4),
        energy_wh: if price == 0 { avoided - each * (prices - 1) } else { each },
    });
    let party = |at: u64, kind, name: &str, ppm| Party {
        payee: PayeeId::from_parts(at, [9; 10]),
        kind,
        name: name.to_owned(),
        share: Share::parts_per_million(ppm).unwrap(),
    };
    let terms = Terms {
        id: ContractId::from_parts(1, [1; 10]),
        facility: FacilityId::from_parts(1, [2; 10]),
        currency,
        baseline: BaselineId::from_parts(1, [3; 10]),
        starts_on: date(2026, 1, 1),
        ends_on: None,
        price: PriceTerms::Tariff { name: "hours".to_owned() },
        billed_share: Share::parts_per_million(600_000).unwrap(),
        fees: Vec::new(),
        split: vec![party(1, PartyKind::Platform, "Negawatt", 50_001), party(2, PartyKind::Investor, INVESTOR, 949_999)],
        negative_month: NegativeMonth::CarryForward,
        invoice_prefix: "NW".to_owned(),
        due_days: 30,
        hold_days: 0,
    };
    let contract = Contract::new(terms).unwrap();
    let savings = Savings {
        counterfactual_wh: Energy::wh(expected),
        observed_wh: Energy::wh(observed),
        adjustments_wh: Energy::ZERO,
        avoided_wh: Energy::wh(avoided),
        uncertainty_wh: Energy::wh(654_321),
        confidence_ppm: 900_000,
        days_total: 30,
        days_compared: 30,
        method: "caltrack-daily/2.0".to_owned(),
    };
    let figures = Figures {
        id: StatementId::from_parts(1, [4; 10]),
        period: Period::new(date(2026, 6, 1), date(2026, 7, 1)).unwrap(),
        savings,
        worth: settlement::Worth::Priced(priced.collect()),
        carried_in: money::Money::zero(currency),
        beside: settlement::Beside::default(),
        inputs: BTreeMap::new(),
    };
    let statement = Statement::settle(&contract, figures).unwrap();
    let issue = Issue {
        id: InvoiceId::from_parts(1, [5; 10]),
        number: InvoiceNumber::new("NW", 2026, 7).unwrap(),
        issued_at: "2026-07-02T09:30:00Z".parse().unwrap(),
        issued_on: date(2026, 7, 2),
    };
    let invoice = Invoice::issue(&contract, &statement, issue).unwrap();
    (statement, invoice, days)
}

/// The invoice in a file, with a document inside.
fn printed(folder: &TempDir, (statement, invoice, days): &(Statement, Invoice, Vec<Day>), json: &[u8]) -> PathBuf {
    let attachment = Attachment { name: "invoice.json".to_owned(), description: "The invoice".to_owned(), json: json.to_vec() };
    let bytes = report::invoice(InvoicePaper {
        issuer: "Negawatt",
        payer: "North Hall Cooperative",
        facility: "North Hall",
        invoice,
        statement,
        days,
        evidence: Some(Evidence { file: "NW-2026-000007.nwev", sha256: SHA256 }),
        attachments: vec![attachment],
    });
    let file = folder.path().join(format!("{}.pdf", invoice.currency()));
    std::fs::write(&file, bytes.unwrap()).unwrap();
    file
}

fn poppler(program: &str, args: &[&str]) -> String {
    let ended = output(&installed(program, "poppler-utils"), args);
    assert!(ended.status.success(), "{program} {args:?}: {}", text(&ended.stderr));
    text(&ended.stdout)
}

fn name(file: &Path) -> &str {
    file.to_str().unwrap()
}

#[test]
fn poppler_reads_every_amount_as_it_was_issued() {
    let folder = tempfile::tempdir().unwrap();
    for currency in Currency::ALL {
        let documents = june(currency, 3);
        let file = printed(&folder, &documents, b"{}");
        let read = poppler("pdftotext", &["-raw", name(&file), "-"]);
        let invoice = &documents.1;
        assert!(read.lines().any(|line| line == invoice.total().to_string()), "{}: {read}", invoice.total());
        for line in invoice.lines() {
            let amount = line.amount.decimal_text();
            let printed = read.lines().any(|row| row.starts_with(&line.description) && row.ends_with(&format!(" {amount}")));
            assert!(printed, "{} {amount}: {read}", line.description);
        }
        for part in invoice.parts() {
            let row = format!("{} {} {} {}", part.name, part.kind, part.share, part.amount.decimal_text());
            assert!(read.lines().any(|line| line == row), "{row}: {read}");
        }
        for expected in [
            "Invoice NW-2026-000007",
            "North Hall Cooperative",
            "1 to 30 June 2026",
            "Avoided energy: 6929.070 kWh ± 654.321 kWh at 90 % confidence.",
            "negawatt audit NW-2026-000007.nwev",
            SHA256,
            "Page 2 of 2",
        ] {
            assert!(read.contains(expected), "{expected}: {read}");
        }
    }
}

#[test]
fn a_long_invoice_goes_on_over_counted_pages() {
    let folder = tempfile::tempdir().unwrap();
    let documents = june(Currency::Eur, 80);
    let file = printed(&folder, &documents, b"{}");
    let read = poppler("pdftotext", &["-raw", name(&file), "-"]);
    let pages: Vec<&str> = read.split('\u{c}').filter(|page| !page.trim().is_empty()).collect();
    assert!(pages.len() > 3, "{read}");
    for (page, number) in pages.iter().zip(1..) {
        assert!(page.contains(&format!("Page {number} of {}", pages.len())), "{page}");
    }
    for line in documents.1.lines() {
        let rows = read.lines().filter(|row| row.starts_with(&format!("{} ", line.description)));
        assert_eq!(rows.count(), 1, "{}", line.description);
    }
}

#[test]
fn readers_find_tags_fonts_and_the_attached_document() {
    let folder = tempfile::tempdir().unwrap();
    let json = br#"{"number":"NW-2026-000007"}"#;
    let file = printed(&folder, &june(Currency::Usd, 1), json);
    let about = poppler("pdfinfo", &[name(&file)]);
    for (key, value) in [
        ("Title", "Invoice NW-2026-000007, North Hall"),
        ("Author", "Negawatt"),
        ("Tagged", "yes"),
        ("Pages", "2"),
        ("Page size", "595.276 x 841.89 pts (A4)"),
        ("JavaScript", "no"),
    ] {
        let found = about.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        assert_eq!(found.map(str::trim), Some(value), "{key}: {about}");
    }
    let structure = poppler("pdfinfo", &["-struct-text", name(&file)]);
    for expected in ["H1 \"Invoice NW-2026-000007\"", "Table", "TH", "Figure", "\"Total due\"", "\"negawatt audit NW-2026-000007.nwev\""] {
        assert!(structure.contains(expected), "{expected}: {structure}");
    }
    let fonts = poppler("pdffonts", &[name(&file)]);
    let fonts: Vec<&str> = fonts.lines().skip(2).collect();
    assert_eq!(fonts.len(), 2, "{fonts:?}");
    for font in fonts {
        // Embedded, a subset, and with its characters.
        assert!(font.contains("+Inter-") && font.contains(" yes yes yes "), "{font}");
    }
    let into = folder.path().join("attached");
    std::fs::create_dir(&into).unwrap();
    poppler("pdfdetach", &["-saveall", "-o", name(&into), name(&file)]);
    assert_eq!(std::fs::read(into.join("invoice.json")).unwrap(), json);
}

#[test]
fn qpdf_finds_nothing_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = printed(&folder, &june(Currency::Jpy, 60), b"{}");
    let ended = output(&installed("qpdf", "qpdf"), ["--check", name(&file)]);
    let said = text(&ended.stdout);
    assert!(ended.status.success() && said.contains("No syntax or stream encoding errors found"), "{said}{}", text(&ended.stderr));
}
