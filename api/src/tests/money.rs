//! An issued invoice is collected and paid out, whatever happens on the way.

use std::time::Duration;

use axum::http::StatusCode;
use calculator::baseline::Commodity;
use calculator::model::Search;
use evidence::{BaselineInputs, Series};
use ids::{BaselineId, InvoiceId, PayeeId, TenantId};
use ledger::Account;
use ledger::flow::{self, Credited};
use money::{Currency, Money, Share};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use settlement::{Contract, NegativeMonth, Party, PriceTerms, Terms};
use stripe_sim::{BookAccount, Fault, WebhookFaults};

use units::Unit;

use super::room::{KEY, OTHER_KEY, Room, id};
use crate::db::baselines::{Sources, StoredBaseline, Verification};
use crate::db::contracts::{Agreement, Payer, StoredContract};
use crate::db::invoices::{StoredInvoice, StoredLine, StoredPart};
use crate::db::payees::kind_of;
use crate::db::statements::StoredStatement;
use crate::db::{baselines, contracts, invoices, keys, ledger as books, statements};

const NUMBER: &str = "NW-2026-000001";
const TOTAL: i64 = 100_001;
const SPLIT: [(&str, i64); 5] = [("platform", 5_000), ("network", 17_500), ("facility", 10_000), ("investor", 60_001), ("partner", 7_500)];

/// An issued invoice of 1000.01 USD, its split and its postings, as settlement leaves them.
struct Issued {
    tenant: TenantId,
    invoice: InvoiceId,
    facility: String,
}

async fn issued(room: &Room, method: &str) -> Issued {
    issued_with_hold(room, method, 0).await
}

async fn issued_with_hold(room: &Room, method: &str, hold_days: u16) -> Issued {
    let facility = room.facility(KEY, "north-hall").await;
    let mut parts = Vec::new();
    for (kind, amount_minor) in SPLIT {
        let payee = room.post("/v1/payees", json!({ "name": format!("The {kind}"), "kind": kind })).await;
        assert_eq!(payee["stripe_account"].is_null(), kind == "platform");
        parts.push(StoredPart { payee: id(&payee).parse().unwrap(), kind: kind_of(kind).unwrap(), amount_minor });
    }
    let api = &room.api;
    let tenant = keys::tenant_by_slug(api.db.read(), &room.config.tenants[0].slug).await.unwrap().unwrap();
    let now = api.now();
    let now_ms = now.as_millisecond();
    let day = jiff::civil::date(2026, 1, 1);
    let baseline_id = api.new_id();
    let baseline = StoredBaseline {
        id: baseline_id,
        facility: facility.parse().unwrap(),
        method: "caltrack-daily".to_owned(),
        meters: Vec::new(),
        weather: ids::Slug::parse("weather-station").unwrap(),
        period_start: day,
        period_end: day,
        verification: Verification::Unverified,
        verified_by: None,
        verified_ms: None,
        inputs: no_sources(baseline_id),
        summary: json!({}),
        fit: json!({}),
        digest: String::new(),
        created_ms: now_ms,
    };
    let share = |ppm| Share::parts_per_million(ppm).unwrap();
    let split = parts.iter().map(|part| Party { payee: part.payee, kind: part.kind, name: part.kind.to_string(), share: share(200_000) });
    let terms = Terms {
        id: api.new_id(),
        facility: baseline.facility,
        currency: Currency::Usd,
        baseline: baseline.id,
        starts_on: day,
        ends_on: None,
        price: PriceTerms::Flat { price_per_kwh: Decimal::new(13, 2) },
        billed_share: share(500_000),
        fees: Vec::new(),
        split: split.collect(),
        negative_month: NegativeMonth::CarryForward,
        invoice_prefix: "NW".to_owned(),
        due_days: 30,
        hold_days,
    };
    let contract = StoredContract {
        id: terms.id,
        facility: baseline.facility,
        baseline: baseline.id,
        currency: "USD".to_owned(),
        starts_on: day,
        ends_on: None,
        agreement: Agreement {
            contract: Contract::new(terms).unwrap(),
            tariff: None,
            meters: Vec::new(),
            weather: baseline.weather.clone(),
        },
        payer: Payer { name: "North Hall".to_owned(), email: None, payment_method: method.to_owned() },
        stripe: None,
        created_ms: now_ms,
    };
    let statement = StoredStatement {
        id: api.new_id(),
        facility: baseline.facility,
        contract: contract.id,
        baseline: baseline.id,
        period_start: day,
        period_end: day,
        document: json!({}),
        digest: String::new(),
        created_ms: now_ms,
    };
    let invoice = StoredInvoice {
        id: api.new_id(),
        tenant,
        facility: baseline.facility,
        statement: statement.id,
        number: Some(NUMBER.to_owned()),
        status: "issued".to_owned(),
        currency: "USD".to_owned(),
        total_minor: TOTAL,
        paid_minor: 0,
        document: json!({}),
        issued_ms: Some(now_ms),
        paid_ms: None,
        evidence_file: None,
        evidence_sha256: None,
        created_ms: now_ms,
    };
    let usd = |minor| Money::new(minor, Currency::Usd);
    let credited: Vec<_> = parts
        .iter()
        .map(|part| Credited {
            account: if part.kind.is_ours() { Account::PlatformRevenue } else { Account::Payable(part.payee) },
            amount: usd(part.amount_minor),
        })
        .collect();
    let posted = flow::issue(api.new_id(), now, invoice.id, invoice.facility, usd(TOTAL), &credited).unwrap();
    let lines = [StoredLine { description: "Savings".to_owned(), amount_minor: TOTAL }];
    let mut tx = api.db.write().await.unwrap();
    baselines::insert(&mut tx, tenant, &baseline).await.unwrap();
    contracts::insert(&mut tx, tenant, &contract).await.unwrap();
    statements::insert(&mut tx, tenant, &statement).await.unwrap();
    invoices::insert(&mut tx, &invoice, &lines, &parts).await.unwrap();
    books::append(&mut tx, tenant, &posted, now_ms).await.unwrap();
    tx.commit().await.unwrap();
    Issued { tenant, invoice: invoice.id, facility }
}

fn no_sources(id: BaselineId) -> Sources {
    let rowless = Series {
        device: ids::Slug::parse("weather-station").unwrap(),
        point: "temp".to_owned(),
        unit: Unit::Celsius,
        exponent: -1,
        rows: Vec::new(),
    };
    let day = jiff::civil::date(2025, 1, 1);
    let baseline = BaselineInputs {
        id,
        period: calculator::baseline::Period::new(day, jiff::civil::date(2026, 1, 1)).unwrap(),
        commodity: Commodity::Electricity,
        search: Search::compatible(),
        interval_minutes: 60,
        energy: Vec::new(),
    };
    Sources { baseline, weather: rowless }
}

impl Issued {
    async fn collect(&self, room: &Room, key: &str) -> super::room::Answer {
        room.post_as(KEY, &format!("/v1/invoices/{}/collect", self.invoice), Some(key), &json!({})).await
    }
}

async fn payouts(room: &Room) -> Vec<Value> {
    room.get("/v1/payouts").await.expect(StatusCode::OK).json()["data"].as_array().unwrap().clone()
}

/// Everything is paid exactly once, and the processor's books agree with ours.
async fn assert_settled(room: &Room, issued: &Issued) {
    let paid: Vec<_> = payouts(room).await;
    assert!(paid.iter().all(|payout| payout["status"] == "completed"), "{paid:#?}");
    let sum: i64 = paid.iter().map(|payout| payout["amount_minor"].as_i64().unwrap()).sum();
    assert_eq!(sum, TOTAL);
    let outside = TOTAL - SPLIT[0].1;
    let books = room.sim.books();
    books.check().unwrap();
    assert_eq!(books.collected("usd"), TOTAL);
    assert_eq!(books.transferred(NUMBER), outside);
    let ours = room.get("/v1/ledger/balances").await.json();
    assert_eq!((&ours["balanced"], &ours["chain_intact"]), (&json!(true), &json!(true)));
    assert_eq!(ours["transactions"], 2 + 4);
    let of = |account: &str| {
        let found = ours["accounts"].as_array().unwrap().iter().find(|balance| balance["account"] == account);
        found.map_or(0, |balance| balance["amount_minor"].as_i64().unwrap())
    };
    assert_eq!(of(&Account::Receivable(issued.facility.parse().unwrap()).to_string()), 0);
    assert_eq!(of(&Account::PlatformRevenue.to_string()), -SPLIT[0].1);
    let fee = of(&Account::ProcessorFees.to_string());
    assert_eq!(of(&Account::ProcessorBalance.to_string()), TOTAL - fee - outside);
    for payout in paid.iter().filter(|payout| payout["kind"] != "platform") {
        let payee: PayeeId = payout["payee"].as_str().unwrap().parse().unwrap();
        assert_eq!(of(&Account::Payable(payee).to_string()), 0);
        let account = room.get(&format!("/v1/payees/{payee}")).await.json()["stripe_account"].clone();
        let held = books.balance(&BookAccount::Connected(account.as_str().unwrap().to_owned()), "usd");
        assert_eq!(held, payout["amount_minor"]);
    }
    let invoice = invoices::by_id(room.api.db.read(), issued.tenant, issued.invoice).await.unwrap().unwrap();
    assert_eq!((invoice.status.as_str(), invoice.paid_minor), ("paid", TOTAL));
    assert!(room.sim.drift().is_empty(), "{:?}", room.sim.drift());
}

#[tokio::test]
async fn an_invoice_is_collected_and_its_parts_are_paid() {
    let room = Room::new().await;
    let issued = issued(&room, "pm_card_visa").await;
    let payment = issued.collect(&room, "k1").await.expect(StatusCode::OK).json();
    assert_eq!(payment["status"], "succeeded");
    let run = room.post_as(KEY, "/v1/payouts", Some("k2"), &json!({})).await.expect(StatusCode::OK).json();
    assert_eq!(run["data"].as_array().unwrap().len(), 4);
    assert_settled(&room, &issued).await;
    // Again, under the same and under other keys, and by the worker: nothing more is paid.
    issued.collect(&room, "k1").await.expect(StatusCode::OK);
    issued.collect(&room, "k3").await.expect(StatusCode::OK);
    room.post_as(KEY, "/v1/payouts", Some("k4"), &json!({})).await.expect(StatusCode::OK);
    room.clock.advance(Duration::from_secs(3_600));
    room.work().await;
    assert_settled(&room, &issued).await;
    issued_is_another_tenants(&room, &issued).await;
}

async fn issued_is_another_tenants(room: &Room, issued: &Issued) {
    let path = format!("/v1/invoices/{}", issued.invoice);
    room.get_as(OTHER_KEY, &path).await.expect(StatusCode::NOT_FOUND);
    let collect = format!("{path}/collect");
    room.post_as(OTHER_KEY, &collect, Some("k1"), &json!({})).await.expect(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn collected_money_waits_for_the_end_of_its_hold() {
    let room = Room::new().await;
    let issued = issued_with_hold(&room, "pm_card_visa", 5).await;
    issued.collect(&room, "k1").await.expect(StatusCode::OK);
    room.work().await;
    room.clock.advance(Duration::from_secs(4 * 86_400));
    room.work().await;
    assert_eq!(room.sim.executed("POST /v1/transfers"), 0);
    assert!(payouts(&room).await.iter().filter(|payout| payout["status"] == "pending").count() == 4);
    room.clock.advance(Duration::from_secs(86_400));
    room.work().await;
    assert_settled(&room, &issued).await;
}

#[tokio::test]
async fn a_crash_after_the_transfer_and_before_its_record_pays_once() {
    let mut room = Room::new().await;
    let issued = issued(&room, "pm_card_visa").await;
    issued.collect(&room, "k1").await.expect(StatusCode::OK);
    for crash in 1..=4 {
        *room.api.crash_at.lock().unwrap() = Some("transfer.sent");
        room.work().await;
        assert!(room.api.crash_at.lock().unwrap().is_none(), "crash {crash} happened");
        room.restart().await;
        room.clock.advance(Duration::from_secs(120));
    }
    room.clock.advance(Duration::from_secs(7_200));
    room.work().await;
    assert_settled(&room, &issued).await;
    assert_eq!(room.sim.executed("POST /v1/transfers"), 4);
}

#[tokio::test]
async fn a_crash_after_the_payment_and_before_its_record_collects_once() {
    let mut room = Room::new().await;
    let issued = issued(&room, "pm_card_visa").await;
    *room.api.crash_at.lock().unwrap() = Some("payment.sent");
    issued.collect(&room, "k1").await.expect(StatusCode::INTERNAL_SERVER_ERROR);
    room.restart().await;
    room.clock.advance(Duration::from_secs(120));
    // The same request again finds the attempt instead of making another.
    let payment = issued.collect(&room, "k1").await.expect(StatusCode::OK).json();
    assert_eq!((&payment["status"], &payment["attempt"]), (&json!("succeeded"), &json!(1)));
    room.work().await;
    assert_settled(&room, &issued).await;
    assert_eq!(room.sim.executed("POST /v1/payment_intents"), 1);
}

#[tokio::test]
async fn answers_that_do_not_arrive_are_looked_up() {
    for fault in [Fault::ResetAfter, Fault::StoredErrorAfter, Fault::ErrorAfter, Fault::ErrorBefore, Fault::RateLimit] {
        let room = Room::new().await;
        let issued = issued(&room, "pm_card_visa").await;
        // More often than the client tries by itself, so that the answer stays unknown to the request.
        for _ in 0..8 {
            room.sim.inject("POST /v1/payment_intents", fault);
            room.sim.inject("POST /v1/transfers", fault);
        }
        let status = issued.collect(&room, "k1").await.status;
        assert!(status == StatusCode::OK || status == StatusCode::SERVICE_UNAVAILABLE, "{fault:?}: {status}");
        for _ in 0..20 {
            room.clock.advance(Duration::from_secs(3_600));
            room.work().await;
        }
        assert_settled(&room, &issued).await;
    }
}

#[tokio::test]
async fn a_declined_card_is_an_attempt_that_failed_and_the_next_one_may_succeed() {
    let room = Room::new().await;
    let issued = issued(&room, "pm_card_chargeDeclinedInsufficientFunds").await;
    let payment = issued.collect(&room, "k1").await.expect(StatusCode::OK).json();
    assert_eq!((&payment["status"], &payment["failure"]), (&json!("failed"), &json!("insufficient_funds")));
    assert!(payouts(&room).await.is_empty());
    // The payer brings another card.
    sqlx::query("UPDATE contracts SET stripe_method_id = NULL, payer = json_set(payer, '$.payment_method', 'pm_card_visa')")
        .execute(room.api.db.read())
        .await
        .unwrap();
    let payment = issued.collect(&room, "k2").await.expect(StatusCode::OK).json();
    assert_eq!((&payment["status"], &payment["attempt"]), (&json!("succeeded"), &json!(2)));
    room.work().await;
    assert_settled(&room, &issued).await;
}

#[tokio::test]
async fn webhooks_may_come_twice_late_in_disorder_or_never() {
    let weather = |drop, duplicate, reorder| WebhookFaults {
        drop_per_mille: drop,
        duplicate_per_mille: duplicate,
        reorder_per_mille: reorder,
        ..WebhookFaults::default()
    };
    let mut ends = Vec::new();
    for faults in [weather(0, 0, 0), weather(0, 1_000, 500), weather(500, 500, 500), weather(1_000, 0, 0)] {
        let room = Room::new().await;
        room.sim.set_webhook_faults(faults);
        room.listen_for_webhooks().await;
        let issued = issued(&room, "pm_usBankAccount_success").await;
        let payment = issued.collect(&room, "k1").await.expect(StatusCode::OK).json();
        assert_eq!(payment["status"], "processing");
        assert_eq!(room.sim.settle_bank_debits(), 1);
        room.sim.delivered().await;
        room.work().await;
        if faults.drop_per_mille == 0 {
            assert_eq!(payouts(&room).await.len(), 5, "the webhook made the worker look at once");
        }
        for _ in 0..3 {
            room.clock.advance(Duration::from_secs(60));
            room.work().await;
            room.sim.delivered().await;
        }
        assert_settled(&room, &issued).await;
        let mut accounts = room.get("/v1/ledger/balances").await.json();
        accounts["accounts"].as_array_mut().unwrap().iter_mut().for_each(|balance| {
            balance["account"] = json!(balance["account"].as_str().unwrap().split("_0").next());
        });
        ends.push(accounts);
    }
    assert!(ends.windows(2).all(|pair| pair[0]["accounts"] == pair[1]["accounts"]), "{ends:#?}");
}

#[tokio::test]
async fn a_webhook_nobody_signed_is_refused() {
    let room = Room::new().await;
    for signature in ["", "t=1,v1=00", "t=1770112800,v1=0000000000000000000000000000000000000000000000000000000000000000"] {
        let request = axum::http::Request::post("/v1/webhooks/stripe")
            .header("stripe-signature", signature)
            .body(axum::body::Body::from("{}"))
            .unwrap();
        let answer = room.send(request).await.expect(StatusCode::BAD_REQUEST);
        assert_eq!(answer.json()["code"], "signature_invalid");
    }
}

#[tokio::test]
async fn an_issued_invoice_is_frozen_by_the_database() {
    let room = Room::new().await;
    let issued = issued(&room, "pm_card_visa").await;
    let id = issued.invoice.to_string();
    for sql in [
        "UPDATE invoices SET total_minor = total_minor + 1 WHERE id = ?",
        "UPDATE invoices SET number = 'X' WHERE id = ?",
        "UPDATE invoices SET document = '{}' || ' ' WHERE id = ?",
        "DELETE FROM invoices WHERE id = ?",
        "UPDATE invoice_lines SET amount_minor = 1 WHERE invoice_id = ?",
        "DELETE FROM invoice_lines WHERE invoice_id = ?",
        "UPDATE invoice_parts SET amount_minor = 1 WHERE invoice_id = ?",
        "UPDATE statements SET digest = 'x' WHERE id = (SELECT statement_id FROM invoices WHERE id = ?)",
    ] {
        let refused = sqlx::query(sql).bind(&id).execute(room.api.db.read()).await;
        assert!(refused.unwrap_err().to_string().contains("frozen"), "{sql}");
    }
}
