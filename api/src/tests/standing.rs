//! Trust and yield beside the savings: over HTTP, on paper, in the evidence.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;

use super::room::{AUDITOR_KEY, KEY, OTHER_KEY, Room, id};
use super::savings::{january, set_up, set_up_for};

/// Trust: every statement has a score; what people bring together for the baseline raises it, and it stays what it was.
#[tokio::test]
async fn a_statement_says_how_far_it_may_be_believed() {
    let room = Room::new().await;
    let (facility, baseline, contract) = set_up(&room).await;
    room.post(&format!("/v1/baselines/{baseline}/verify"), json!({ "verified_by": "A. Auditor" })).await;
    let savings = format!("/v1/savings?facility={facility}&start=2026-01-01&end=2026-02-01");
    let bare = room.get(&savings).await.expect(StatusCode::OK).json();
    let score = |answer: &serde_json::Value| answer["trust"]["score"].as_f64().unwrap();
    assert_eq!((&bare["trust"]["date"], &bare["trust"]["capped"]), (&json!("2026-02-03"), &json!(true)));
    assert!(score(&bare) <= 40.0 && bare["trust"]["failed"].as_array().unwrap().contains(&json!("meter accuracy")), "{}", bare["trust"]);
    assert_eq!(bare["verification"]["checks"].as_array().unwrap().len(), 15);

    let path = format!("/v1/baselines/{baseline}/dossier");
    assert_eq!(room.get(&path).await.expect(StatusCode::OK).json(), json!({ "version": 0, "document": null, "created_at": null }));
    let lamps = json!({
        "name": "lamps", "unit": "piece", "value": 500.0, "tolerance": 5.0, "evidence": "a".repeat(64),
        "valid_from": "2025-01-01", "valid_to": null, "formula": null,
    });
    let dossier = json!({
        "facts": {
            "meter_class": 0.5, "certificate_expired_months": 0.0, "transformer_ratio_verified": true, "register_difference": 0.001,
            "worst_bill_difference": 0.004, "year_bill_difference": 0.001, "unexplained_energy_share": 0.0, "weather_on_site": true,
            "clock": { "zone_known": true, "offset_minutes": 0.5, "long_days_right": true, "lag_stable": true },
            "inventory_signed": true, "chain_unbroken": true, "records_in_time": true, "auditor_independent": true, "rerun_identical": true,
        },
        "inventory": [lamps], "past": { "signed_share": 1.0, "invoices": 4, "disputed": 1 },
    });
    room.post_as(OTHER_KEY, &path, None, &dossier).await.expect(StatusCode::NOT_FOUND);
    room.post_as(AUDITOR_KEY, &path, None, &dossier).await.expect(StatusCode::FORBIDDEN);
    let mut wrong = dossier.clone();
    wrong["past"]["disputed"] = json!(5);
    room.post_as(KEY, &path, None, &wrong).await.expect(StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(room.post(&path, dossier.clone()).await["version"], 1);
    assert_eq!(room.get(&path).await.json()["document"]["past"]["invoices"], 4);

    let known = room.get(&savings).await.expect(StatusCode::OK).json();
    assert_eq!(known["trust"]["failed"], json!([]), "{}", known["verification"]);
    assert!(score(&known) > 60.0 && known["trust"]["capped"] == false, "{}", known["trust"]);
    let statement = room.post("/v1/statements", january(&contract)).await;
    assert_eq!(statement["trust"], known["trust"]);
    assert_eq!((&statement["trust"]["invoices"], &statement["trust"]["disputed"]), (&json!(4), &json!(1)));

    // On another day the invoice is of the statement as it was made.
    room.clock.advance(Duration::from_secs(5 * 86_400));
    let invoice = room.post("/v1/invoices", json!({ "statement": id(&statement) })).await;
    let path = format!("/v1/invoices/{}", id(&invoice));
    room.get(&format!("{path}/pdf")).await.expect(StatusCode::OK);
    let evidence = room.get(&format!("{path}/evidence")).await.expect(StatusCode::OK);
    let bundle = evidence::Bundle::decode(evidence.bytes).unwrap();
    let derived = evidence::derive(&bundle.inputs().unwrap()).unwrap();
    assert_eq!(serde_json::to_value(derived.statement.trust().unwrap()).unwrap(), statement["document"]["trust"]);
    let after = room.get(&savings).await.json();
    assert_eq!((&after["trust"]["date"], &after["trust"]["invoices"]), (&json!("2026-02-08"), &json!(5)));
}

/// Yield: agreed before the baseline is verified, claimed by the kilogram where no measure moves it.
#[tokio::test]
async fn produce_stands_beside_the_energy_that_it_took() {
    let room = Room::new().await;
    let (_, baseline, contract) = set_up(&room).await;
    let path = format!("/v1/baselines/{baseline}/yield");
    let cycle = |number: i64| {
        let day = |days: i64| jiff::civil::date(2025, 1, 1).checked_add(jiff::Span::new().days(days)).unwrap().to_string();
        let kg = 2_000 + number * 5 % 12 * 150;
        json!({ "from": day(number * 30), "on": day(number * 30 + 29), "marketable_kg": if number > 11 { 2_800 } else { kg } })
    };
    let crop = |measure: &str, cycles: i64| {
        let harvests: Vec<_> = (0..cycles).map(cycle).collect();
        json!({ "measures": [measure], "election": "energy_only", "growth": { "midpoint": 0.6, "steepness": 8.0 }, "harvests": harvests })
    };
    let mut backwards = crop("lighting", 1);
    backwards["harvests"][0]["on"] = json!("2024-12-01");
    let refused = room.post_as(KEY, &path, None, &backwards).await.expect(StatusCode::UNPROCESSABLE_ENTITY).json();
    assert!(refused["detail"].as_str().unwrap().contains("begins on 2025-01-01, which is later"), "{refused}");
    room.post_as(OTHER_KEY, &path, None, &crop("lighting", 13)).await.expect(StatusCode::NOT_FOUND);
    assert_eq!(room.post(&path, crop("lighting", 13)).await["version"], 1);
    room.post(&format!("/v1/baselines/{baseline}/verify"), json!({ "verified_by": "A. Auditor" })).await;
    let late = room.post_as(KEY, &path, None, &crop("growing", 14)).await.expect(StatusCode::CONFLICT).json();
    assert!(late["detail"].as_str().unwrap().contains("was to be agreed before"), "{late}");
    // The cycle of the month's last days is not weighed yet: they are not compared, and too many are missing.
    let early = room.post_as(KEY, "/v1/statements", None, &january(&contract)).await.expect(StatusCode::UNPROCESSABLE_ENTITY).json();
    assert!(early["detail"].as_str().unwrap().contains("25 of 31 days"), "{early}");
    assert_eq!(room.post(&path, crop("lighting", 14)).await["version"], 2, "harvests follow as they are weighed");
    assert_eq!(room.get(&path).await.json()["document"]["harvests"].as_array().unwrap().len(), 14);

    let statement = room.post("/v1/statements", january(&contract)).await;
    let grown = &statement["yield"];
    let number = |name: &str| grown[name].as_i64().unwrap();
    assert!(number("grown_g") > 2_000_000 && grown["not_claimed"].is_null(), "{grown}");
    assert_eq!(number("avoided_wh_per_kg"), number("expected_wh_per_kg") - number("used_wh_per_kg"));
    assert_eq!(statement["document"]["savings"]["method"], "controlled-environment/1");
    let invoice = room.post("/v1/invoices", json!({ "statement": id(&statement) })).await;
    room.get(&format!("/v1/invoices/{}/pdf", id(&invoice))).await.expect(StatusCode::OK);
    let evidence = room.get(&format!("/v1/invoices/{}/evidence", id(&invoice))).await.expect(StatusCode::OK);
    let bundle = evidence::Bundle::decode(evidence.bytes).unwrap();
    let derived = evidence::derive(&bundle.inputs().unwrap()).unwrap();
    assert_eq!(serde_json::to_value(derived.statement.yielded().unwrap()).unwrap(), statement["document"]["yield"]);
}

/// A rate with a price for the month's highest hour: what the building would have used is known by days, so its hours are drawn.
#[tokio::test]
async fn the_value_under_a_rate_is_drawn_and_drawn_again_by_the_evidence() {
    let room = Room::new().await;
    let rate = json!({
        "kind": "rate", "name": "general service", "currency": "USD",
        "versions": [{
            "from": "2020-01-01",
            "energy": [{ "name": "energy", "periods": [{ "name": "all hours", "tiers": [{ "price": "0.10" }] }] }],
            "demand_meter": { "window_minutes": 60, "averaging": "fixed" },
            "demand": [{ "name": "capacity", "periods": [{ "name": "all hours", "tiers": [{ "price": "12" }] }] }],
        }],
    });
    let (_, baseline, contract) = set_up_for(&room, KEY, "demo", json!({ "tariff": rate })).await;
    room.post(&format!("/v1/baselines/{baseline}/verify"), json!({ "verified_by": "A. Auditor" })).await;
    let statement = room.post("/v1/statements", january(&contract)).await;
    let drawn = &statement["drawn"];
    let amount = |name: &str| drawn[name].as_str().unwrap().parse::<f64>().unwrap();
    assert!(drawn["draws"].as_u64().unwrap() >= 100 && amount("p10") <= amount("p90"), "{drawn}");
    let worth: f64 = ["counterfactual", "measured"].map(|which| lines_sum(&statement, which)).into_iter().reduce(|a, b| a - b).unwrap();
    let spread = amount("p90") - amount("p10");
    assert!(worth > amount("p10") - spread && worth < amount("p90") + spread, "{worth} {drawn}");
    // A quarter of the energy is not used: at the least the energy of it is worth something, and the peak more.
    let energy = statement["avoided_energy_wh"].as_f64().unwrap() / 1e3 * 0.10;
    assert!(worth > energy, "{worth} {energy}");

    let invoice = room.post("/v1/invoices", json!({ "statement": id(&statement) })).await;
    room.get(&format!("/v1/invoices/{}/pdf", id(&invoice))).await.expect(StatusCode::OK);
    let evidence = room.get(&format!("/v1/invoices/{}/evidence", id(&invoice))).await.expect(StatusCode::OK);
    let bundle = evidence::Bundle::decode(evidence.bytes).unwrap();
    let derived = evidence::derive(&bundle.inputs().unwrap()).unwrap();
    assert_eq!(serde_json::to_value(derived.statement.drawn().unwrap()).unwrap(), statement["document"]["drawn"]);
    assert_eq!(derived.invoice.total().minor, invoice["total_minor"].as_i64().unwrap());
}

/// What both bills of a statement come to, in major units.
fn lines_sum(statement: &serde_json::Value, which: &str) -> f64 {
    let lines = statement["document"]["lines"].as_array().unwrap();
    lines.iter().map(|line| line["bills"][which].as_str().unwrap().parse::<f64>().unwrap()).sum()
}
