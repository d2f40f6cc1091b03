//! Events as an endpoint of ours sees them: signed, repeated, doubled, late, out of order, or not at all.

use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use stripe::Created;
use stripe::webhook::{Event, EventKind, WebhookSecret, verify};
use stripe_sim::{WebhookFaults, WebhookTarget};

use super::*;

/// An endpoint that keeps what it believed, after refusing the first `refusals`.
#[derive(Default)]
struct Inbox {
    events: Mutex<Vec<Event>>,
    refusals: AtomicI64,
    now_s: Arc<AtomicI64>,
}

async fn receive(State(inbox): State<Arc<Inbox>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if inbox.refusals.fetch_sub(1, Ordering::SeqCst) > 0 {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let signature = headers.get("stripe-signature").unwrap().to_str().unwrap();
    match verify(&body, signature, &[WebhookSecret::new("whsec_ours")], inbox.now_s.load(Ordering::SeqCst)) {
        Ok(event) => {
            inbox.events.lock().unwrap().push(event);
            StatusCode::OK
        }
        Err(_) => StatusCode::BAD_REQUEST,
    }
}

async fn endpoint(stage: &Stage, refusals: i64, secrets: &[&str]) -> Arc<Inbox> {
    let inbox = Arc::new(Inbox { refusals: refusals.into(), now_s: Arc::clone(&stage.now_s), ..Inbox::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks", listener.local_addr().unwrap());
    let router = Router::new().fallback(receive).with_state(Arc::clone(&inbox));
    tokio::spawn(async move { axum::serve(listener, router).await });
    stage.sim.add_webhook(WebhookTarget { url, secrets: secrets.iter().map(|secret| (*secret).to_owned()).collect() });
    inbox
}

fn received(inbox: &Inbox) -> Vec<Event> {
    inbox.events.lock().unwrap().clone()
}

/// What the simulator says happened, oldest first.
async fn happened(stage: &Stage) -> Vec<Event> {
    let mut events = stage.client.list_events(Created::default()).await.unwrap();
    events.reverse();
    events
}

/// Five invoices, collected and paid on.
async fn business(stage: &Stage) {
    let payee = stage.payee("investor").await;
    for number in 1..=5 {
        let invoice = format!("inv_{number}");
        let charge = stage.collect(&invoice, 10_000, "pm_card_visa", 1).await.unwrap().latest_charge();
        stage.pay(&share(&invoice, &payee.id, 5_000, charge), 1).await.unwrap();
    }
    tokio::time::timeout(Duration::from_secs(10), stage.sim.delivered()).await.unwrap();
}

#[tokio::test]
async fn every_event_arrives_in_order_when_nothing_goes_wrong() {
    let stage = Stage::new().await;
    let inbox = endpoint(&stage, 0, &["whsec_old", "whsec_ours"]).await;
    business(&stage).await;
    let events = received(&inbox);
    assert_eq!(events, happened(&stage).await);
    let transfers = events.iter().filter(|event| event.kind == EventKind::TransferCreated);
    assert_eq!(transfers.count(), 5);
    let account = events.iter().find(|event| event.kind == EventKind::AccountUpdated).unwrap();
    assert_eq!(account.account.as_ref().map(|id| id.as_str()), account.object_id.as_deref());
    stage.check();
    stage.sim.stop().await;
}

#[tokio::test]
async fn a_refused_delivery_is_repeated() {
    let stage = Stage::new().await;
    let inbox = endpoint(&stage, 3, &["whsec_ours"]).await;
    business(&stage).await;
    let mut ids: Vec<_> = received(&inbox).into_iter().map(|event| event.id).collect();
    let mut all: Vec<_> = happened(&stage).await.into_iter().map(|event| event.id).collect();
    ids.sort();
    all.sort();
    assert_eq!(ids, all);
    assert!(stage.sim.deliveries().iter().any(|delivery| delivery.tries == 2 && delivery.status == Some(200)));
}

#[tokio::test]
async fn a_wrong_secret_convinces_nobody() {
    let stage = Stage::new().await;
    let inbox = endpoint(&stage, 0, &["whsec_theirs"]).await;
    stage.payee("investor").await;
    stage.sim.delivered().await;
    assert_eq!(received(&inbox), []);
    assert!(stage.sim.deliveries().iter().all(|delivery| delivery.status == Some(400)));
    assert_eq!(stage.sim.deliveries().iter().map(|delivery| delivery.tries).max(), Some(4));
}

#[tokio::test]
async fn doubled_late_and_swapped_events_are_the_same_events() {
    let stage = Stage::new().await;
    let faults = WebhookFaults {
        duplicate_per_mille: 400,
        reorder_per_mille: 400,
        delay_per_mille: 200,
        delay: Duration::from_millis(30),
        ..WebhookFaults::default()
    };
    stage.sim.set_webhook_faults(faults);
    let inbox = endpoint(&stage, 0, &["whsec_ours"]).await;
    business(&stage).await;
    let (events, all) = (received(&inbox), happened(&stage).await);
    assert!(events.len() > all.len(), "some came twice");
    let mut once: Vec<Event> = Vec::new();
    for event in events {
        if !once.contains(&event) {
            once.push(event);
        }
    }
    assert_ne!(once, all, "some came out of order");
    assert!(all.iter().all(|event| once.contains(event)) && once.len() == all.len());
}

#[tokio::test]
async fn dropped_events_are_found_by_asking() {
    let stage = Stage::new().await;
    stage.sim.set_webhook_faults(WebhookFaults { drop_per_mille: 500, ..WebhookFaults::default() });
    let inbox = endpoint(&stage, 0, &["whsec_ours"]).await;
    business(&stage).await;
    let (events, all) = (received(&inbox), happened(&stage).await);
    assert!(!events.is_empty() && events.len() < all.len());
    assert!(events.iter().all(|event| all.contains(event)));
    assert_eq!(stage.client.list_transfers("inv_5").await.unwrap().len(), 1);
    stage.check();
}
