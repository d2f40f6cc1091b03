//! How the process lives: its health, its page, its document, its port and its tables.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use daemon::{ExitCode, SystemClock};
use ids::IdSource;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::room::{KEY, Room};
use crate::config::StatusPage;
use crate::serve;

#[tokio::test]
async fn operators_get_their_answers_without_a_key() {
    let room = Room::new().await;
    room.facility(KEY, "north-hall").await;
    for path in ["/livez", "/startupz", "/readyz", "/version", "/metrics", "/v1/openapi.json"] {
        let answer = room.send(Request::get(path).body(Body::empty()).unwrap()).await;
        answer.expect(StatusCode::OK);
    }
    let metrics = room.get("/metrics").await.text();
    assert!(metrics.contains("negawatt_api_http_requests_total 8"), "{metrics}");
    assert!(metrics.contains("negawatt_api_ledger_balanced 1"), "{metrics}");
    assert!(!metrics.contains("nwk_"));
}

#[tokio::test]
async fn what_the_alerts_and_the_dashboard_ask_for_is_on_the_page() {
    let room = Room::new().await;
    let metrics = room.get("/metrics").await.text();
    let monitoring = [include_str!("../../../config/monitoring/alerts.yml"), include_str!("../../../config/monitoring/dashboard.json")];
    let words = monitoring.iter().flat_map(|text| text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')));
    let asked: Vec<&str> = words.filter(|word| word.starts_with("negawatt_api_")).collect();
    assert!(asked.len() >= 5, "{asked:?}");
    for name in asked {
        assert!(metrics.contains(&format!("# HELP {name} ")), "nobody offers {name}:\n{metrics}");
    }
}

#[tokio::test]
async fn the_page_reads_without_javascript_and_shows_no_secret() {
    let room = Room::new().await;
    let page = room.send(Request::get("/").body(Body::empty()).unwrap()).await.expect(StatusCode::OK);
    let text = page.text();
    assert!(text.contains("No collector is configured") && text.contains("Nothing has been invoiced yet"), "{text}");
    assert!(text.contains("<noscript><meta http-equiv=\"refresh\"") && text.contains("balanced"));
    assert!(!text.contains("nwk_") && !text.contains("sk_test") && !text.contains("http://") && !text.contains("https://"));
    assert!(page.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    for asset in ["/assets/page.css", "/assets/live.js"] {
        room.send(Request::get(asset).body(Body::empty()).unwrap()).await.expect(StatusCode::OK);
    }
}

#[tokio::test]
async fn the_page_stays_live() {
    let room = Room::new().await;
    let response = room.stream("/v1/events").await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut events = response.into_body().into_data_stream();
    let first = events.next().await.unwrap().unwrap();
    let first = String::from_utf8_lossy(&first).into_owned();
    assert!(first.contains("event: status") && first.contains("id: 1") && first.contains("data: <section"), "{first}");
    // When the process stops, the stream ends, and so does not hold the process.
    room.api.stop.cancel();
    while let Some(more) = events.next().await {
        more.unwrap();
    }
}

#[tokio::test]
async fn the_page_can_be_switched_off() {
    let mut room = Room::new().await;
    room.config.status_page = StatusPage::Off;
    room.restart().await;
    for path in ["/", "/v1/events"] {
        room.send(Request::get(path).body(Body::empty()).unwrap()).await.expect(StatusCode::NOT_FOUND);
    }
}

#[test]
fn the_committed_document_is_what_the_code_says() {
    let committed = include_str!("../../openapi.json");
    assert!(serve::openapi_json() == committed, "run `negawatt api openapi > api/openapi.json` and look at the difference");
    assert!(committed.contains("\"openapi\": \"3.1.0\""));
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_next_step() {
    let room = Room::new().await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = room.config.clone();
    config.listen = taken.local_addr().unwrap();
    let stop = CancellationToken::new();
    let err = serve::start(config.clone(), Arc::new(SystemClock), IdSource::seeded(1), stop.clone()).await.unwrap_err();
    let text = err.to_string();
    assert_eq!(
        text,
        format!("could not listen on {}: another program does; stop it, or choose another address in `listen`", config.listen)
    );
    assert_eq!(err.exit_code(), ExitCode::DependencyDown);
    drop(taken);
    config.listen.set_port(0);
    let running = serve::start(config, Arc::new(SystemClock), IdSource::seeded(1), stop.clone()).await.unwrap();
    assert_ne!(running.address().port(), 0);
    stop.cancel();
    running.finished().await.unwrap();
}
