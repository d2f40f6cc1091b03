//! From readings to paid-out cents, over the API alone.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::DemoError;
use super::building::Building;
use super::client::{Client, figure, integer, number, text};
use super::outcome::{Baseline, Invoice, Ledger, Line, Payout, Savings};
use super::rig::{BILLED, FACILITY};

/// What a kilowatt-hour that was not used is worth, in dollars.
const PRICE_PER_KWH: &str = "0.1425";
/// How much of the savings' value is billed, in parts per million; the rest stays with the facility.
const BILLED_SHARE_PPM: u32 = 600_000;
/// Who gets which part of the invoice, in parts per million.
const SPLIT: [(&str, &str, u32); 5] = [
    ("Negawatt", "platform", 50_000),
    ("Midwest Efficiency Network", "network", 150_000),
    ("North Hall Cooperative", "facility", 100_000),
    ("Prairie Capital", "investor", 600_000),
    ("Lakeside Retrofits", "partner", 100_000),
];

/// What came of the money's way.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) baseline: Baseline,
    pub(crate) savings: Savings,
    pub(crate) invoice: Invoice,
    pub(crate) payouts: Vec<Payout>,
    pub(crate) ledger: Ledger,
    pub(crate) evidence: PathBuf,
    /// The invoice as it is sent.
    pub(crate) paper: PathBuf,
}

/// Registers the facility and fits its baseline; the identifiers of both, and the fit.
pub(crate) async fn baseline(api: &mut Client, building: &Building) -> Result<(String, String, Baseline), DemoError> {
    let facility = api.post("/v1/facilities", &json!({ "slug": FACILITY, "name": "North Hall", "zone": building.zone })).await?;
    let facility = text(&facility, "id")?;
    for (device, profile, _) in BILLED {
        let body = json!({ "slug": device, "name": device, "kind": "meter", "profile": profile });
        api.post(&format!("/v1/facilities/{facility}/devices"), &body).await?;
    }
    let period = json!({ "start": building.baseline.start, "end": building.baseline.end });
    let asked = json!({ "facility": facility, "meters": ["utility-meter"], "weather": "weather-station", "period": period });
    let fitted = api.post("/v1/baselines", &asked).await?;
    let id = text(&fitted, "id")?;
    api.post(&format!("/v1/baselines/{id}/verify"), &json!({ "verified_by": "Demo Auditor" })).await?;
    let summary = &fitted["summary"];
    let baseline = Baseline {
        method: text(&fitted, "method")?,
        r_squared_adj: figure(summary, "r_squared_adj")?,
        cv_rmse: figure(summary, "cv_rmse")?,
        nmbe: figure(summary, "nmbe")?,
    };
    Ok((facility, id, baseline))
}

/// Makes the contract, the statement and the invoice, collects it, pays everybody, and fetches the evidence.
pub(crate) async fn settle(
    api: &mut Client,
    building: &Building,
    (facility, baseline_id, baseline): (String, String, Baseline),
    folder: &Path,
) -> Result<Settled, DemoError> {
    let mut split = Vec::new();
    let mut names = std::collections::BTreeMap::new();
    for (name, kind, share_ppm) in SPLIT {
        let payee = text(&api.post("/v1/payees", &json!({ "name": name, "kind": kind })).await?, "id")?;
        split.push(json!({ "payee": payee, "share_ppm": share_ppm }));
        names.insert(payee, name);
    }
    let contract = json!({
        "facility": facility,
        "baseline": baseline_id,
        "meters": BILLED.map(|(device, _, _)| device),
        "weather": "weather-station",
        "currency": "USD",
        "price_per_kwh": PRICE_PER_KWH,
        "billed_share_ppm": BILLED_SHARE_PPM,
        "split": split,
        "starts_on": building.reporting.start,
        "payer": { "name": "North Hall Cooperative", "email": null, "payment_method": "pm_card_visa" },
    });
    let contract = text(&api.post("/v1/contracts", &contract).await?, "id")?;
    let period = json!({ "start": building.reporting.start, "end": building.reporting.end });
    let statement = api.post("/v1/statements", &json!({ "contract": contract, "period": period })).await?;
    let confidence_ppm = number(&statement, "confidence_ppm")?;
    let savings = Savings {
        period: format!("{}..{}", building.reporting.start, building.reporting.end),
        avoided_energy_wh: integer(&statement, "avoided_energy_wh")?,
        uncertainty_wh: integer(&statement, "uncertainty_wh")?,
        confidence: f64::from(u32::try_from(confidence_ppm).unwrap_or(0)) / 1e6,
    };
    let issued = api.post("/v1/invoices", &json!({ "statement": text(&statement, "id")? })).await?;
    let id = text(&issued, "id")?;
    if integer(&issued, "total_minor")? > 0 {
        api.post(&format!("/v1/invoices/{id}/collect"), &json!({})).await?;
        pay_everybody(api, &id).await?;
    }
    let evidence = folder.join(format!("{}.nwev", text(&issued, "number")?));
    let bundle = api.bytes(&format!("/v1/invoices/{id}/evidence")).await?;
    std::fs::write(&evidence, bundle).map_err(|err| DemoError::File { path: evidence.clone(), err })?;
    let paper = folder.join(format!("{}.pdf", text(&issued, "number")?));
    let printed = api.bytes(&format!("/v1/invoices/{id}/pdf")).await?;
    std::fs::write(&paper, printed).map_err(|err| DemoError::File { path: paper.clone(), err })?;
    let books = api.get("/v1/ledger/balances").await?;
    Ok(Settled {
        baseline,
        savings,
        invoice: invoice(&issued)?,
        payouts: payouts(api, &names).await?,
        ledger: Ledger {
            transactions: number(&books, "transactions")?,
            postings: number(&books, "postings")?,
            balanced: books["balanced"] == true && books["chain_intact"] == true,
        },
        evidence,
        paper,
    })
}

/// Runs the payouts until none is open. Collected money is there at once; the worker would come to it by itself.
async fn pay_everybody(api: &mut Client, invoice: &str) -> Result<(), DemoError> {
    const TRIES: u32 = 100;
    for _try in 0..TRIES {
        api.post("/v1/payouts", &json!({})).await?;
        let paid = api.get(&format!("/v1/invoices/{invoice}")).await?["status"] == "paid";
        let payouts = api.get("/v1/payouts").await?;
        let listed = payouts["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        if paid && !listed.is_empty() && listed.iter().all(|payout| payout["status"] == "completed") {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let payouts = api.get("/v1/payouts").await?;
    Err(DemoError::Answer { path: "/v1/payouts".to_owned(), reason: format!("not all were paid: {payouts}") })
}

fn invoice(issued: &Value) -> Result<Invoice, DemoError> {
    let lines = issued["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
    let line = |line: &Value| Ok(Line { description: text(line, "description")?, amount_minor: integer(line, "amount_minor")? });
    Ok(Invoice {
        number: text(issued, "number")?,
        currency: text(issued, "currency")?,
        total_minor: integer(issued, "total_minor")?,
        lines: lines.iter().map(line).collect::<Result<_, DemoError>>()?,
    })
}

async fn payouts(api: &Client, names: &std::collections::BTreeMap<String, &str>) -> Result<Vec<Payout>, DemoError> {
    let listed = api.get("/v1/payouts").await?;
    let listed = listed["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut payouts = Vec::with_capacity(listed.len());
    for payout in listed {
        let payee = text(payout, "payee")?;
        payouts.push(Payout {
            payee: names.get(&payee).map_or(payee.clone(), |name| (*name).to_owned()),
            kind: text(payout, "kind")?,
            amount_minor: integer(payout, "amount_minor")?,
        });
    }
    payouts.sort_by_key(|payout| SPLIT.iter().position(|(_, kind, _)| *kind == payout.kind));
    Ok(payouts)
}
