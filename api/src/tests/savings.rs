//! From stored readings to an issued invoice and its evidence.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use ids::Slug;
use jiff::Timestamp;
use serde_json::json;
use store::{Batch, Options, Origin, ProfileSeen, Row, Store};
use units::{Quality, Unit};

use super::room::{AUDITOR_KEY, KEY, OTHER_KEY, Room, id};
use crate::Partition;

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

/// One series on its way into the store: a value and its instant.
struct Series {
    device: &'static str,
    point: &'static str,
    unit: Unit,
    exponent: i8,
    values: Vec<(i64, i64)>,
}

/// Stores series as an importer or a gateway would.
fn store_series(room: &Room, tenant: &str, series: Vec<Series>) {
    for (number, series) in (1_u8..).zip(series) {
        store_batch(room, tenant, number, series);
    }
}

fn store_batch(room: &Room, tenant: &str, number: u8, series: Series) {
    let store = Store::open(room.store(), Options::default()).unwrap();
    let origin = Origin { tenant: slug(tenant), facility: slug("north-hall"), gateway: slug("import") };
    let row = |(ts_ms, raw): (i64, i64)| Row {
        device: slug(series.device),
        point: series.point.into(),
        unit: series.unit,
        exponent: series.exponent,
        ts_ms,
        raw: Some(raw),
        quality: Quality::GOOD,
        words: None,
    };
    let rows = series.values.iter().copied().map(row).collect();
    let profile = ProfileSeen {
        device: slug(series.device),
        profile: "test-meter".to_owned(),
        profile_hash: vec![0xab; 32],
        config_hash: vec![0xcd; 32],
    };
    let batch = Batch { origin, spool_id: [number; 16], seq: 1, rows, profiles: vec![profile], letter: None };
    store.commit(&[batch]).unwrap();
    store.flush().unwrap();
}

#[tokio::test]
async fn readings_are_exact_paged_and_the_tenants_own() {
    let room = Room::new().await;
    let facility = room.facility(KEY, "north-hall").await;
    let foreign = room.facility(OTHER_KEY, "north-hall").await;
    let start: Timestamp = "2026-02-03T09:00:00Z".parse().unwrap();
    let values = (0..5_i64).map(|minute| (start.as_millisecond() + minute * 60_000, 12_000 + minute)).collect();
    store_series(&room, "demo", vec![Series { device: "main-meter", point: "e_imp", unit: Unit::KilowattHour, exponent: -2, values }]);
    let path = format!("/v1/facilities/{facility}/readings?device=main-meter&point=e_imp&limit=3");
    let page = room.get(&path).await.expect(StatusCode::OK).json();
    assert_eq!(
        page["data"][1],
        json!({ "at": "2026-02-03T09:01:00Z", "value": "120.01", "raw": 12001, "exponent": -2, "unit": "kWh", "quality": "good" })
    );
    assert_eq!((&page["has_more"], &page["next_cursor"]), (&json!(true), &json!("2026-02-03T09:02:00Z")));
    let rest = room.get(&format!("{path}&starting_after=2026-02-03T09:02:00Z")).await.expect(StatusCode::OK).json();
    assert_eq!(rest["data"].as_array().unwrap().len(), 2);
    let other = path.replace("main-meter", "other-meter");
    assert_eq!(room.get(&other).await.expect(StatusCode::OK).json()["data"], json!([]));
    // Another tenant's facility of the same name has its own readings: none.
    let path = path.replace(&facility, &foreign);
    assert_eq!(room.get_as(OTHER_KEY, &path).await.expect(StatusCode::OK).json()["data"], json!([]));
    room.get(&path).await.expect(StatusCode::NOT_FOUND);
    room.clock.advance(Duration::from_secs(48 * 3_600));
    assert_eq!(room.get(&path.replace(&foreign, &facility)).await.json()["data"], json!([]), "the last day, by default");
}

#[tokio::test]
async fn a_facility_is_looked_for_in_the_store_of_its_partition() {
    let mut room = Room::new().await;
    let facility = room.facility(KEY, "north-hall").await;
    let start: Timestamp = "2026-02-03T09:00:00Z".parse().unwrap();
    let (others, north) = (room.config.store.clone(), room.store().with_file_name("north"));
    for (store, raw) in [(&others, 1), (&north, 2)] {
        room.config.store = store.clone();
        let values = vec![(start.as_millisecond(), raw)];
        store_series(&room, "demo", vec![Series { device: "main-meter", point: "p", unit: Unit::Kilowatt, exponent: 0, values }]);
    }
    room.config.store = others;
    let path = format!("/v1/facilities/{facility}/readings?device=main-meter&point=p");
    assert_eq!(room.get(&path).await.expect(StatusCode::OK).json()["data"][0]["raw"], json!(1));
    for (filter, raw) in [("demo/annex", 1), ("other/*", 1), ("demo/north-hall", 2), ("demo/*", 2)] {
        room.config.partitions = vec![Partition { facilities: vec![filter.parse().unwrap()], store: north.clone() }];
        room.restart().await;
        assert_eq!(room.get(&path).await.expect(StatusCode::OK).json()["data"][0]["raw"], json!(raw), "{filter}");
    }
}

#[tokio::test]
async fn readings_come_to_quarters_hours_and_days_of_the_facility() {
    let room = Room::new().await;
    let facility = room.facility(KEY, "north-hall").await;
    let start: Timestamp = "2026-02-02T00:00:00Z".parse().unwrap();
    let values = |of: fn(i64) -> i64| (0..1_440_i64).map(|minute| (start.as_millisecond() + minute * 60_000, of(minute))).collect();
    let series = |point, unit, exponent, values| Series { device: "main-meter", point, unit, exponent, values };
    store_series(
        &room,
        "demo",
        vec![
            series("e_imp", Unit::KilowattHour, -2, values(|minute| 12_000 + 2 * minute)),
            series("p", Unit::Kilowatt, -1, values(|minute| minute % 10)),
        ],
    );
    let ask = |more: &str| {
        format!("/v1/facilities/{facility}/readings?device=main-meter&from=2026-02-02T00:00:00Z&to=2026-02-03T00:00:00Z{more}")
    };
    let quarters = room.get(&ask("&point=e_imp&resolution=15m&limit=90")).await.expect(StatusCode::OK).json();
    assert_eq!((quarters["data"].as_array().unwrap().len(), &quarters["has_more"]), (90, &json!(true)));
    let second = json!({
        "at": "2026-02-02T00:15:00Z", "value": "0.3", "raw": 30, "exponent": -2, "unit": "kWh", "quality": "good",
        "summary": {
            "to": "2026-02-02T00:30:00Z", "expected": 15, "readings": 15, "usable": 15, "estimated": 0, "edited": 0, "smallest": "120.3",
            "largest": "120.58", "first": "120.3", "last": "120.58", "passed_to": "2026-02-02T00:30:00Z", "breaks": 0,
            "lsn_from": quarters["data"][1]["summary"]["lsn_from"], "lsn_to": quarters["data"][1]["summary"]["lsn_to"],
        },
    });
    assert_eq!(quarters["data"][1], second);
    let next = quarters["next_cursor"].as_str().unwrap();
    let rest = room.get(&ask(&format!("&point=e_imp&resolution=15m&limit=90&starting_after={next}"))).await.expect(StatusCode::OK).json();
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["has_more"]), (6, &json!(false)));
    let hours = room.get(&ask("&point=p&resolution=1h")).await.expect(StatusCode::OK).json();
    assert_eq!(hours["data"].as_array().unwrap().len(), 24);
    assert_eq!((&hours["data"][3]["value"], &hours["data"][3]["summary"]["passed_to"]), (&json!("0.45"), &json!(null)));
    // The facility's day begins at six o'clock UTC, and the day before it lies outside of what is asked for.
    let days = room.get(&ask("&point=e_imp&resolution=1d")).await.expect(StatusCode::OK).json();
    let day = &days["data"][0];
    assert_eq!(
        (&day["at"], &day["summary"]["readings"], days["data"].as_array().unwrap().len()),
        (&json!("2026-02-02T06:00:00Z"), &json!(1_080), 1)
    );
    room.get(&ask("&point=p&resolution=2h")).await.expect(StatusCode::BAD_REQUEST);
}

/// How warm it is at an hour, and what the building uses in it before the retrofit.
fn hour(start: Timestamp, number: i32) -> (f64, f64) {
    let day = f64::from(number) / 24.0;
    let season = 50.0 - 28.0 * (std::f64::consts::TAU * day / 365.0).cos();
    let fahrenheit = season + 8.0 * (std::f64::consts::TAU * day).sin() + f64::from((number / 24 * 37) % 17 - 8);
    let noise = f64::from((number * 7_919) % 13 - 6) * 60.0;
    assert!(start.as_second() % 3_600 == 0);
    (fahrenheit, 10_000.0 + 450.0 * (60.0 - fahrenheit).max(0.0) + noise)
}

/// A year of history, and a January in which a quarter less is used.
fn history() -> Vec<Series> {
    let start: Timestamp = "2025-01-01T06:00:00Z".parse().unwrap();
    let (mut energy, mut temperature, mut counter) = (Vec::new(), Vec::new(), Vec::new());
    let mut total_wh = 5_000_000_i64;
    for number in 0..(365 + 31) * 24 {
        let at = start.as_millisecond() + i64::from(number) * 3_600_000;
        let (fahrenheit, wh) = hour(start, number);
        #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
        let (fahrenheit_micro, wh) = ((fahrenheit * 1e6) as i64, wh as i64);
        temperature.push((at, fahrenheit_micro));
        if number < 365 * 24 {
            energy.push((at, wh * 1_000));
        } else {
            for quarter in 0..4 {
                counter.push((at + quarter * 900_000, total_wh));
                total_wh += wh * 3 / 16;
            }
        }
    }
    counter.push((start.as_millisecond() + (365 + 31) * 86_400_000, total_wh));
    let series = |device, point, unit, exponent, values| Series { device, point, unit, exponent, values };
    vec![
        series("utility-meter", "e_int", Unit::KilowattHour, -6, energy),
        series("weather-station", "temp", Unit::Fahrenheit, -6, temperature),
        series("main-meter", "e_imp", Unit::WattHour, 0, counter),
    ]
}

/// Facility, baseline, payees and contract; the identifiers of baseline and contract.
pub(super) async fn set_up(room: &Room) -> (String, String, String) {
    set_up_for(room, KEY, "demo", json!({ "price_per_kwh": "0.1325" })).await
}

/// `price` are the keys of the contract that say what a saving is worth.
pub(super) async fn set_up_for(room: &Room, key: &str, tenant: &str, price: serde_json::Value) -> (String, String, String) {
    let facility = room.facility(key, "north-hall").await;
    store_series(room, tenant, history());
    let devices = [("utility-meter", "meter"), ("weather-station", "weather"), ("main-meter", "meter")];
    for (slug, kind) in devices {
        let body = json!({ "slug": slug, "name": slug, "kind": kind, "profile": null });
        room.make_as(key, &format!("/v1/facilities/{facility}/devices"), body).await;
    }
    let baseline = room
        .make_as(
            key,
            "/v1/baselines",
            json!({
                "facility": facility, "meters": ["utility-meter"], "weather": "weather-station",
                "period": { "start": "2025-01-01", "end": "2026-01-01" }, "method": "caltrack-daily",
            }),
        )
        .await;
    assert_eq!(baseline["verification_status"], "unverified");
    assert!(baseline["summary"]["r_squared_adj"].as_f64().unwrap() > 0.9, "{}", baseline["summary"]);
    let shares = [("platform", 50_000), ("network", 175_000), ("facility", 100_000), ("investor", 600_000), ("partner", 75_000)];
    let mut split = Vec::new();
    for (kind, share_ppm) in shares {
        let payee = room.make_as(key, "/v1/payees", json!({ "name": format!("The {kind}"), "kind": kind })).await;
        split.push(json!({ "payee": id(&payee), "share_ppm": share_ppm }));
    }
    let mut terms = json!({
        "facility": facility, "baseline": id(&baseline), "meters": ["main-meter"], "weather": "weather-station",
        "currency": "USD", "billed_share_ppm": 600_000, "split": split,
        "starts_on": "2026-01-01", "payer": { "name": "North Hall LLC", "payment_method": "pm_card_visa" },
    });
    terms.as_object_mut().unwrap().append(&mut price.as_object().unwrap().clone());
    let contract = room.make_as(key, "/v1/contracts", terms).await;
    (facility, id(&baseline), id(&contract))
}

const JANUARY: &str = r#"{ "start": "2026-01-01", "end": "2026-02-01" }"#;

pub(super) fn january(contract: &str) -> serde_json::Value {
    let period: serde_json::Value = serde_json::from_str(JANUARY).unwrap();
    json!({ "contract": contract, "period": period })
}

/// The whole walk, from history to payouts; the invoice and its evidence.
async fn walk(seed: u64) -> (serde_json::Value, Vec<u8>) {
    let room = Room::seeded(seed).await;
    let (facility, baseline, contract) = set_up(&room).await;
    let refused = room.post_as(KEY, "/v1/statements", None, &january(&contract)).await.expect(StatusCode::CONFLICT);
    assert_eq!(refused.json()["code"], "baseline_not_verified");
    let verdict = json!({ "verified_by": "A. Auditor" });
    let verified = room.post(&format!("/v1/baselines/{baseline}/verify"), verdict.clone()).await;
    assert_eq!(verified["verification_status"], "verified");
    let again = room.post_as(KEY, &format!("/v1/baselines/{baseline}/verify"), None, &verdict).await;
    again.expect(StatusCode::CONFLICT);

    let path = format!("/v1/savings?facility={facility}&start=2026-01-01&end=2026-02-01");
    let savings = room.get(&path).await.expect(StatusCode::OK).json();
    room.get_as(OTHER_KEY, &path).await.expect(StatusCode::NOT_FOUND);
    let avoided = savings["avoided_energy_wh"].as_i64().unwrap();
    let observed = savings["observed_wh"].as_i64().unwrap();
    assert!((avoided - observed / 3).abs() < observed / 20, "a quarter less: {avoided} of {observed}");
    assert!(savings["uncertainty_wh"].as_i64().unwrap() > 0 && savings["confidence"] == 0.9);
    assert_eq!((&savings["days_total"], &savings["days_compared"]), (&json!(31), &json!(31)));

    let statement = room.post("/v1/statements", january(&contract)).await;
    assert_eq!(statement["avoided_energy_wh"], avoided);
    let overlapping = room.post_as(KEY, "/v1/statements", Some("again"), &january(&contract)).await;
    overlapping.expect(StatusCode::CONFLICT);
    let bill = json!({ "statement": id(&statement) });
    room.post_as(OTHER_KEY, "/v1/invoices", Some("theirs"), &bill).await.expect(StatusCode::NOT_FOUND);
    let invoice = room.post("/v1/invoices", bill.clone()).await;
    assert_eq!(invoice["number"], "NW-2026-000001");
    assert_eq!(invoice["total_minor"], statement["billed"]["amount_minor"]);
    let total = invoice["total_minor"].as_i64().unwrap();
    let sum = |list: &str| invoice[list].as_array().unwrap().iter().map(|part| part["amount_minor"].as_i64().unwrap()).sum::<i64>();
    assert_eq!((sum("lines"), sum("split")), (total, total));
    room.post_as(KEY, "/v1/invoices", Some("again"), &bill).await.expect(StatusCode::CONFLICT);

    let path = format!("/v1/invoices/{}", id(&invoice));
    let evidence = room.get(&format!("{path}/evidence")).await.expect(StatusCode::OK);
    assert_eq!(evidence::sha256_hex(&evidence.bytes), invoice["evidence_sha256"].as_str().unwrap());
    let manifest = evidence::verify(&evidence.bytes).unwrap();
    assert_eq!(manifest.invoice.total_minor, total);
    room.get_as(OTHER_KEY, &format!("{path}/evidence")).await.expect(StatusCode::NOT_FOUND);

    let printed = paper(&room, &path, "NW-2026-000001").await;
    paper(&room, &format!("/v1/statements/{}", id(&statement)), &id(&statement)).await;

    let payment = room.post(&format!("{path}/collect"), json!({})).await;
    assert_eq!(payment["status"], "succeeded");
    assert!(paper(&room, &path, "NW-2026-000001").await == printed, "the paper changes when it is paid");
    room.post("/v1/payouts", json!({})).await;
    let paid = room.get("/v1/payouts").await.json();
    assert_eq!(paid["data"].as_array().unwrap().iter().map(|payout| payout["amount_minor"].as_i64().unwrap()).sum::<i64>(), total);
    assert!(paid["data"].as_array().unwrap().iter().all(|payout| payout["status"] == "completed"), "{paid:#}");
    let books = room.get("/v1/ledger/balances").await.json();
    assert_eq!((&books["balanced"], &books["transactions"]), (&json!(true), &json!(1 + 1 + 4)));
    assert_eq!(room.sim.books().transferred("NW-2026-000001"), total - invoice["split"][0]["amount_minor"].as_i64().unwrap());
    nobody_elses(&room, &[&facility, &baseline, &contract, &id(&statement), &id(&invoice), &id(&paid["data"][0])]).await;
    let page = room.get("/").await.text();
    for shown in ["NW-2026-000001", "paid", "investor", "completed", "balanced", "2026-01-01 to 2026-01-31"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    (invoice, evidence.bytes)
}

/// The document on paper, which is the same each time, has its digest as tag, and is nobody else's.
async fn paper(room: &Room, path: &str, name: &str) -> Vec<u8> {
    let path = format!("{path}/pdf");
    let printed = room.get(&path).await.expect(StatusCode::OK);
    assert_eq!(printed.headers["content-type"], "application/pdf");
    assert_eq!(printed.headers["content-disposition"], format!("inline; filename=\"{name}.pdf\""));
    assert_eq!(printed.headers["etag"], format!("\"{}\"", evidence::sha256_hex(&printed.bytes)));
    assert!(printed.bytes.starts_with(b"%PDF-1.7"));
    let known = Request::get(&path).header("authorization", format!("Bearer {KEY}")).header("if-none-match", &printed.headers["etag"]);
    let known = room.send(known.body(Body::empty()).unwrap()).await.expect(StatusCode::NOT_MODIFIED);
    assert!(known.bytes.is_empty() && known.headers["etag"] == printed.headers["etag"]);
    room.get_as(AUDITOR_KEY, &path).await.expect(StatusCode::OK);
    room.get_as(OTHER_KEY, &path).await.expect(StatusCode::NOT_FOUND);
    room.send(Request::get(&path).body(Body::empty()).unwrap()).await.expect(StatusCode::UNAUTHORIZED);
    printed.bytes
}

/// Every documented route that names a thing answers its tenant and tells nobody else that the thing exists.
async fn nobody_elses(room: &Room, ids: &[&str]) {
    let nouns = [("facilities", "fac_"), ("baselines", "bas_"), ("contracts", "ctr_"), ("statements", "sta_"), ("invoices", "inv_")];
    let document = room.get("/v1/openapi.json").await.json();
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let Some((_, prefix)) = nouns.iter().find(|(noun, _)| path.starts_with(&format!("/v1/{noun}/{{id}}"))) else { continue };
        let id = ids.iter().find(|id| id.starts_with(prefix)).unwrap();
        let mut path = path.replace("{id}", id);
        if path.ends_with("/readings") {
            path.push_str("?device=main-meter&point=e_imp");
        }
        if operations.get("get").is_some() {
            room.get(&path).await.expect(StatusCode::OK);
            let told = room.get_as(OTHER_KEY, &path).await.expect(StatusCode::NOT_FOUND);
            assert_eq!(told.json()["code"], "not_found");
            asked += 1;
        }
    }
    assert_eq!(asked, 13, "the routes that name a thing");
    for list in ["facilities", "baselines", "payees", "contracts", "statements", "invoices", "payouts", "ledger/transactions"] {
        let path = format!("/v1/{list}");
        assert_ne!(room.get(&path).await.json()["data"], json!([]), "{list}");
        assert_eq!(room.get_as(OTHER_KEY, &path).await.json()["data"], json!([]), "{list}");
    }
}

#[tokio::test]
async fn from_history_to_payouts_twice_with_the_same_bits() {
    let (first, second) = (walk(7).await, walk(7).await);
    assert_eq!(first.0, second.0);
    assert!(first.1 == second.1, "the evidence differs");
    assert_ne!(walk(8).await.0["id"], first.0["id"]);
}

/// Lamps that were added after the retrofit: agreed upon by both parties, and from then on in figures, paper and evidence.
#[tokio::test]
async fn what_both_parties_signed_is_in_every_figure() {
    let room = Room::new().await;
    let (facility, baseline, contract) = set_up(&room).await;
    room.post(&format!("/v1/baselines/{baseline}/verify"), json!({ "verified_by": "A. Auditor" })).await;
    let savings = format!("/v1/savings?facility={facility}&start=2026-01-01&end=2026-02-01");
    let before = room.get(&savings).await.expect(StatusCode::OK).json();
    let path = format!("/v1/baselines/{baseline}/adjustments");
    let mut lamps = json!({
        "name": "lamps", "cause": "a third row of lamps", "first": "2026-01-02", "end": null, "method": "sub_meter",
        "why_not_better": null, "moves": "base", "wh_per_day": 10_000, "error_wh_per_day": 500,
        "evidence": [evidence::sha256_hex(b"the reading of the sub-meter")], "digest": "0".repeat(64), "signatures": [],
    });
    // A wrong digest is answered with the right one, which is what is signed.
    let refused = room.post_as(KEY, &path, None, &lamps).await.expect(StatusCode::UNPROCESSABLE_ENTITY).json();
    let detail = refused["detail"].as_str().unwrap();
    let digest = detail.split(" is ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    lamps["digest"] = json!(digest);
    let unsigned = room.post_as(KEY, &path, None, &lamps).await.expect(StatusCode::CONFLICT).json();
    assert!(unsigned["detail"].as_str().unwrap().contains("lacks the signature of the Facility"), "{unsigned}");
    let signed = |party: &str| json!({ "party": party, "signer": format!("the {party}"), "over": digest, "signed_on": "2026-01-20" });
    lamps["signatures"] = json!([signed("facility"), signed("provider")]);
    room.post_as(OTHER_KEY, &path, None, &lamps).await.expect(StatusCode::NOT_FOUND);
    room.post_as(AUDITOR_KEY, &path, None, &lamps).await.expect(StatusCode::FORBIDDEN);
    assert_eq!(room.post(&path, lamps.clone()).await["name"], "lamps");
    let twice = room.post_as(KEY, &path, Some("twice"), &lamps).await.expect(StatusCode::CONFLICT).json();
    assert!(twice["detail"].as_str().unwrap().contains("in the ledger already"), "{twice}");
    assert_eq!(room.get(&path).await.json()["data"], json!([lamps]));

    let after = room.get(&savings).await.expect(StatusCode::OK).json();
    let number = |object: &serde_json::Value, name: &str| object[name].as_i64().unwrap();
    assert_eq!((number(&before, "adjustments_wh"), number(&after, "adjustments_wh")), (0, 300_000));
    assert_eq!(number(&after, "avoided_energy_wh"), number(&before, "avoided_energy_wh") + 300_000);
    let statement = room.post("/v1/statements", january(&contract)).await;
    assert_eq!(number(&statement, "adjustments_wh"), 300_000);
    assert_eq!(number(&statement, "avoided_energy_wh"), number(&after, "avoided_energy_wh"));
    let invoice = room.post("/v1/invoices", json!({ "statement": id(&statement) })).await;
    let evidence = room.get(&format!("/v1/invoices/{}/evidence", id(&invoice))).await.expect(StatusCode::OK);
    let manifest = evidence::verify(&evidence.bytes).unwrap();
    assert_eq!(manifest.invoice.total_minor, number(&invoice, "total_minor"));
    room.get(&format!("/v1/statements/{}/pdf", id(&statement))).await.expect(StatusCode::OK);
    room.get(&format!("/v1/invoices/{}/pdf", id(&invoice))).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn what_the_evidence_contradicts_is_not_printed() {
    let room = Room::new().await;
    let (_, baseline, contract) = set_up(&room).await;
    room.post(&format!("/v1/baselines/{baseline}/verify"), json!({ "verified_by": "A. Auditor" })).await;
    let statement = room.post("/v1/statements", january(&contract)).await;
    let invoice = room.post("/v1/invoices", json!({ "statement": id(&statement) })).await;
    let path = format!("/v1/invoices/{}/pdf", id(&invoice));
    room.get(&path).await.expect(StatusCode::OK);
    let file = std::fs::read_dir(room.config.evidence.join("demo")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let refused = room.get(&path).await.expect(StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!((refused.json()["code"].as_str(), refused.headers.get("etag")), (Some("internal"), None));
    std::fs::remove_file(&file).unwrap();
    room.get(&path).await.expect(StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn data_that_does_not_suffice_is_refused_with_the_reason() {
    let room = Room::new().await;
    let facility = room.facility(KEY, "north-hall").await;
    let body = |start: &str, meter: &str| json!({ "facility": facility, "meters": [meter], "weather": "weather-station", "period": { "start": start, "end": "2026-01-01" } });
    let absent = room.post_as(KEY, "/v1/baselines", None, &body("2025-01-01", "utility-meter")).await;
    assert_eq!(absent.expect(StatusCode::SERVICE_UNAVAILABLE).json()["code"], "store_unavailable");
    store_series(&room, "demo", history());
    let unknown = room.post_as(KEY, "/v1/baselines", None, &body("2025-01-01", "no-meter")).await;
    let unknown = unknown.expect(StatusCode::UNPROCESSABLE_ENTITY).json();
    assert_eq!(unknown["code"], "data_insufficient");
    assert!(unknown["detail"].as_str().unwrap().contains("no-meter"), "{unknown}");
    let short = room.post_as(KEY, "/v1/baselines", None, &body("2025-06-01", "utility-meter")).await;
    let short = short.expect(StatusCode::UNPROCESSABLE_ENTITY).json();
    assert!(short["detail"].as_str().unwrap().contains("214"), "{short}");
}

#[tokio::test]
async fn a_statement_whose_readings_changed_is_not_billed() {
    let room = Room::new().await;
    let (_, baseline, contract) = set_up(&room).await;
    room.post(&format!("/v1/baselines/{baseline}/verify"), json!({ "verified_by": "A. Auditor" })).await;
    let statement = room.post("/v1/statements", january(&contract)).await;
    // A reading of the billed month is contradicted: a newer version now stands for it.
    let at: Timestamp = "2026-01-10T06:00:00Z".parse().unwrap();
    let series = Series { device: "main-meter", point: "e_imp", unit: Unit::WattHour, exponent: 0, values: vec![(at.as_millisecond(), 1)] };
    store_batch(&room, "demo", 77, series);
    let refused = room.post_as(KEY, "/v1/invoices", Some("k"), &json!({ "statement": id(&statement) })).await;
    let refused = refused.expect(StatusCode::CONFLICT).json();
    assert!(refused["detail"].as_str().unwrap().contains("come out differently"), "{refused}");
    // So is a baseline whose history changed.
    let at: Timestamp = "2025-03-10T06:00:00Z".parse().unwrap();
    let series =
        Series { device: "utility-meter", point: "e_int", unit: Unit::KilowattHour, exponent: -6, values: vec![(at.as_millisecond(), 1)] };
    store_batch(&room, "demo", 78, series);
    let refused = room.post_as(KEY, "/v1/invoices", Some("k2"), &json!({ "statement": id(&statement) })).await;
    assert!(refused.expect(StatusCode::CONFLICT).json()["detail"].as_str().unwrap().contains("fit and verify a new one"));
}

/// Verifies, states and bills January for a tenant; the invoice.
async fn bill_january(room: &Room, key: &str, tenant: &str) -> serde_json::Value {
    let (_, baseline, contract) = set_up_for(room, key, tenant, json!({ "price_per_kwh": "0.1325" })).await;
    room.make_as(key, &format!("/v1/baselines/{baseline}/verify"), json!({ "verified_by": "A. Auditor" })).await;
    let statement = room.make_as(key, "/v1/statements", january(&contract)).await;
    room.make_as(key, "/v1/invoices", json!({ "statement": id(&statement) })).await
}

#[tokio::test]
async fn two_tenants_with_one_invoice_number_each_keep_their_own_evidence() {
    let room = Room::new().await;
    let mut billed = Vec::new();
    for (key, tenant) in [(KEY, "demo"), (OTHER_KEY, "other")] {
        billed.push((key, bill_january(&room, key, tenant).await));
    }
    assert_eq!(billed[0].1["number"], billed[1].1["number"], "numbers are counted for each tenant");
    for (key, invoice) in billed {
        let evidence = room.get_as(key, &format!("/v1/invoices/{}/evidence", id(&invoice))).await.expect(StatusCode::OK);
        assert_eq!(evidence::sha256_hex(&evidence.bytes), invoice["evidence_sha256"].as_str().unwrap(), "not this tenant's evidence");
        let disposition = evidence.headers["content-disposition"].to_str().unwrap();
        assert_eq!(disposition, "attachment; filename=\"NW-2026-000001.nwev\"");
    }
}

#[tokio::test]
async fn an_instant_at_the_edge_of_the_calendar_is_no_accident() {
    let room = Room::new().await;
    let facility = room.facility(KEY, "north-hall").await;
    drop(Store::open(room.store(), Options::default()).unwrap());
    for instant in ["-009999-01-02T01:59:59Z", "9999-12-30T22:00:00Z"] {
        let path = format!("/v1/facilities/{facility}/readings?device=main-meter&point=e_imp&to={instant}");
        assert_eq!(room.get(&path).await.expect(StatusCode::OK).json()["data"], json!([]));
    }
}
