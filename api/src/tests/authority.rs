//! Who may do what, how refusals look, and what a repetition does.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

use super::room::{AUDITOR_KEY, KEY, OTHER_KEY, Room, id};
use crate::http::problem::Kind;

#[tokio::test]
async fn without_a_valid_key_nothing_is_told() {
    let room = Room::new().await;
    for header in [None, Some("Bearer nwk_wrong_0123456789abcdef"), Some("Basic abc"), Some("Bearer x")] {
        let mut request = Request::get("/v1/facilities");
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let answer = room.send(request.body(Body::empty()).unwrap()).await.expect(StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert_eq!(answer.json()["code"], "unauthorized");
    }
}

#[tokio::test]
async fn an_auditor_reads_and_changes_nothing() {
    let room = Room::new().await;
    let facility = room.facility(KEY, "north-hall").await;
    room.get_as(AUDITOR_KEY, &format!("/v1/facilities/{facility}")).await.expect(StatusCode::OK);
    let body = json!({ "slug": "x", "name": "X", "zone": "UTC" });
    let refused = room.post_as(AUDITOR_KEY, "/v1/facilities", None, &body).await.expect(StatusCode::FORBIDDEN);
    assert_eq!(refused.json()["code"], "forbidden");
}

#[tokio::test]
async fn a_problem_says_what_where_and_under_which_name() {
    let room = Room::new().await;
    let missing = "/v1/facilities/fac_0192f0c1d2e37abc8def0123456789ab";
    let answer = room.get(missing).await.expect(StatusCode::NOT_FOUND);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.headers["x-request-id"], answer.json()["request_id"].as_str().unwrap());
    let mut body = answer.json();
    body["request_id"] = "req_…".into();
    insta::assert_json_snapshot!(body, @r#"
    {
      "code": "not_found",
      "detail": "there is no facility fac_0192f0c1d2e37abc8def0123456789ab",
      "instance": "/v1/facilities/fac_0192f0c1d2e37abc8def0123456789ab",
      "request_id": "req_…",
      "status": 404,
      "title": "There is no such thing",
      "type": "urn:negawatt:problem:not_found"
    }
    "#);
}

#[tokio::test]
async fn every_kind_of_bad_request_is_a_problem() {
    let room = Room::new().await;
    let code = |answer: super::room::Answer| (answer.status.as_u16(), answer.json()["code"].as_str().unwrap().to_owned());
    assert_eq!(code(room.get("/nowhere").await), (404, "not_found".to_owned()));
    assert_eq!(code(room.get("/v1/facilities/inv_1").await), (404, "not_found".to_owned()));
    assert_eq!(code(room.get("/v1/facilities?limit=0").await), (400, "invalid_parameter".to_owned()));
    assert_eq!(code(room.get("/v1/facilities?colour=red").await), (400, "invalid_parameter".to_owned()));
    let unknown = json!({ "slug": "x", "name": "X", "zone": "UTC", "tenant": "ten_1" });
    assert_eq!(code(room.post_as(KEY, "/v1/facilities", None, &unknown).await), (422, "invalid_body".to_owned()));
    let zone = json!({ "slug": "x", "name": "X", "zone": "Mars/Olympus" });
    assert_eq!(code(room.post_as(KEY, "/v1/facilities", None, &zone).await), (422, "invalid_body".to_owned()));
    let large = json!({ "slug": "x", "name": "X".repeat(2 << 20), "zone": "UTC" });
    assert_eq!(code(room.post_as(KEY, "/v1/facilities", None, &large).await), (413, "body_too_large".to_owned()));
    let delete = Request::delete("/v1/facilities").header("authorization", format!("Bearer {KEY}"));
    assert_eq!(code(room.send(delete.body(Body::empty()).unwrap()).await), (405, "method_not_allowed".to_owned()));
    assert_eq!(code(room.post_as(KEY, "/v1/payouts", None, &json!({})).await), (400, "idempotency_key_required".to_owned()));
}

#[test]
fn codes_are_unique_words() {
    let mut codes: Vec<_> = Kind::ALL.iter().map(|kind| kind.code()).collect();
    assert!(codes.iter().all(|code| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Kind::ALL.len());
}

#[tokio::test]
async fn a_repetition_gets_the_first_answer_and_changes_nothing() {
    let room = Room::new().await;
    let body = json!({ "slug": "north-hall", "name": "North Hall", "zone": "America/Chicago" });
    let first = room.post_as(KEY, "/v1/facilities", Some("k1"), &body).await.expect(StatusCode::CREATED);
    let again = room.post_as(KEY, "/v1/facilities", Some("k1"), &body).await.expect(StatusCode::CREATED);
    assert_eq!(first.bytes, again.bytes);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let other = json!({ "slug": "south-hall", "name": "South Hall", "zone": "America/Chicago" });
    let refused = room.post_as(KEY, "/v1/facilities", Some("k1"), &other).await.expect(StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.json()["code"], "idempotency_key_reused");
    // Another tenant's key of the same name is another key.
    room.post_as(OTHER_KEY, "/v1/facilities", Some("k1"), &other).await.expect(StatusCode::CREATED);
    // The name is taken, so the same intention under a new key is a conflict.
    let taken = room.post_as(KEY, "/v1/facilities", Some("k2"), &body).await.expect(StatusCode::CONFLICT);
    assert_eq!(taken.json()["code"], "already_exists");
    assert_eq!(room.get("/v1/facilities").await.json()["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn lists_come_in_pages_and_single_things_with_a_tag() {
    let room = Room::new().await;
    let mut made = Vec::new();
    for number in 0..5 {
        room.clock.advance(std::time::Duration::from_millis(1));
        made.push(room.facility(KEY, &format!("hall-{number}")).await);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = room.get(&format!("/v1/facilities?limit=2{cursor}")).await.expect(StatusCode::OK).json();
        seen.extend(page["data"].as_array().unwrap().iter().map(id));
        let Some(next) = page["next_cursor"].as_str() else {
            assert_eq!(page["has_more"], false);
            break;
        };
        cursor = format!("&starting_after={next}");
    }
    assert_eq!(seen, made);
    let path = format!("/v1/facilities/{}", made[0]);
    let tag = room.get(&path).await.headers["etag"].clone();
    let known = Request::get(&path).header("authorization", format!("Bearer {KEY}")).header("if-none-match", tag);
    let answer = room.send(known.body(Body::empty()).unwrap()).await.expect(StatusCode::NOT_MODIFIED);
    assert!(answer.bytes.is_empty());
}

#[tokio::test]
async fn another_tenant_sees_nothing() {
    let room = Room::new().await;
    let facility = room.facility(KEY, "north-hall").await;
    let device = json!({ "slug": "main-meter", "name": "Main", "kind": "meter", "profile": "eastron-sdm630" });
    room.post(&format!("/v1/facilities/{facility}/devices"), device.clone()).await;
    for path in [format!("/v1/facilities/{facility}"), format!("/v1/facilities/{facility}/devices")] {
        room.get(&path).await.expect(StatusCode::OK);
        room.get_as(OTHER_KEY, &path).await.expect(StatusCode::NOT_FOUND);
    }
    let path = format!("/v1/facilities/{facility}/devices");
    room.post_as(OTHER_KEY, &path, None, &device).await.expect(StatusCode::NOT_FOUND);
    for list in ["/v1/facilities", "/v1/payees", "/v1/payouts", "/v1/ledger/transactions"] {
        assert_eq!(room.get_as(OTHER_KEY, list).await.expect(StatusCode::OK).json()["data"], json!([]), "{list}");
    }
}
