//! From stored readings to an issued invoice and its evidence.

use std::time::Duration;

use axum::http::StatusCode;
use ids::Slug;
use jiff::Timestamp;
use serde_json::json;
use store::{Batch, Options, Origin, Row, Store};
use units::{Quality, Unit};

use super::room::{KEY, OTHER_KEY, Room};

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
    let store = Store::open(room.store(), Options::default()).unwrap();
    for (number, series) in (1_u8..).zip(series) {
        let origin = Origin { tenant: slug(tenant), facility: slug("north-hall"), gateway: slug("import") };
        let row = |(ts_ms, raw): (i64, i64)| Row {
            device: slug(series.device),
            point: series.point.to_owned(),
            unit: series.unit,
            exponent: series.exponent,
            ts_ms,
            raw: Some(raw),
            quality: Quality::GOOD,
            words: None,
        };
        let rows = series.values.iter().copied().map(row).collect();
        let batch = Batch { origin, spool_id: [number; 16], seq: 1, rows, profiles: Vec::new() };
        store.commit(&[batch]).unwrap();
    }
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
