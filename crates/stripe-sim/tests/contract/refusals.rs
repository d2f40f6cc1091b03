//! What is refused, and how that looks from the client.

use stripe::{Outcome, SecretKey, StripeError};
use stripe_sim::spec::Spec;

use super::*;

#[tokio::test]
async fn a_decline_tells_why_and_moves_nothing() {
    let stage = Stage::new().await;
    let cases = [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline", Some("try_again_later")),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds", Some("try_again_later")),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card", Some("do_not_try_again")),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card", None),
        ("pm_card_authenticationRequired", "authentication_required", "authentication_required", None),
    ];
    for (attempt, (method, code, decline_code, advice)) in (1..).zip(cases) {
        let error = stage.collect("inv_1", 10_000, method, attempt).await.unwrap_err();
        assert_eq!((error.outcome(), error.is_retryable()), (Outcome::Refused, false));
        let StripeError::Card(decline) = error else { panic!("{method}: {error}") };
        assert_eq!((decline.code.as_str(), decline.decline_code.as_deref()), (code, Some(decline_code)));
        assert_eq!(decline.advice_code.as_deref(), advice);
        let intent = stripe::PaymentIntentId::new(decline.payment_intent.unwrap());
        let intent = stage.client.retrieve_payment_intent(&intent).await.unwrap();
        assert_eq!(intent.status, stripe::IntentStatus::RequiresPaymentMethod);
        assert_eq!(intent.last_failure(), Some(decline_code));
    }
    assert_eq!(stage.sim.books().entries.len(), 0);
    // The same attempt again gives the stored decline; the next attempt with another card goes through.
    assert!(matches!(stage.collect("inv_1", 10_000, "pm_card_chargeDeclined", 1).await, Err(StripeError::Card(_))));
    assert_eq!(stage.sim.executed("POST /v1/payment_intents"), 5);
    stage.collect("inv_1", 10_000, "pm_card_visa", 6).await.unwrap();
    stage.check();
}

#[tokio::test]
async fn the_secret_key_is_checked_and_never_shown() {
    let stage = Stage::new().await;
    let stranger = Client::with_options(&stage.sim.base_url(), SecretKey::new("sk_test_secretive"), quick(3)).unwrap();
    let error = stranger.retrieve_balance().await.unwrap_err();
    assert!(matches!(error, StripeError::Authentication { status: 401, .. }));
    let shown = format!("{error} {error:?} {stranger:?} {:?}", stage.sim);
    assert!(!shown.contains("sk_test"), "{shown}");
}

#[tokio::test]
async fn what_does_not_exist_is_missing() {
    let stage = Stage::new().await;
    let missing = stage.client.retrieve_transfer(&stripe::TransferId::new("tr_../accounts")).await.unwrap_err();
    assert!(matches!(&missing, StripeError::InvalidRequest { status: 404, .. }));
    assert_eq!(missing.code(), Some("resource_missing"));
    let nobody = stage.pay(&share("inv_1", &AccountId::new("acct_nobody"), 100, None), 1).await.unwrap_err();
    assert_eq!(nobody.code(), Some("resource_missing"));
}

/// Raw requests, as a client that is wrong would send them.
async fn raw(stage: &Stage, method: &str, path: &str, form: &str) -> (u16, serde_json::Value) {
    let url = format!("{}{path}", stage.sim.base_url());
    let request = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let request = request.request(method.parse().unwrap(), url).bearer_auth("sk_test_negawatt").body(form.to_owned());
    let reply = request.send().await.unwrap();
    (reply.status().as_u16(), serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap())
}

#[tokio::test]
async fn the_published_shapes_are_enforced() {
    let stage = Stage::new().await;
    let (status, body) = raw(&stage, "POST", "/v1/payment_intents", "amount=100&currency=usd&payment_method_types[]=card").await;
    assert_eq!((status, &body["error"]["code"]), (400, &"parameter_unknown".into()));
    assert_eq!(body["error"]["param"], "payment_method_types");
    let (status, body) = raw(&stage, "POST", "/v1/transfers", "amount=100&currency=usd").await;
    assert_eq!((status, &body["error"]["code"]), (400, &"parameter_missing".into()));
    for (method, path) in [("GET", "/v1/nothing"), ("DELETE", "/v1/transfers"), ("GET", "/_truth"), ("GET", "/")] {
        let (status, body) = raw(&stage, method, path, "").await;
        assert_eq!((status, &body["error"]["type"]), (404, &"invalid_request_error".into()), "{method} {path}");
    }
    let (status, _) = raw(&stage, "GET", "/v1/transfers?limit=101", "").await;
    assert_eq!(status, 400);
    let (status, body) = raw(&stage, "GET", "/v1/balance_transactions?expand[]=data.nothing", "").await;
    assert_eq!((status, &body["data"]), (200, &serde_json::json!([])));
    assert_eq!(stage.sim.executed("POST /v1/transfers"), 0);
}

#[test]
fn the_description_holds_every_operation_we_use() {
    let spec = Spec::get();
    assert_eq!(spec.info()["version"], stripe::API_VERSION);
    assert_eq!(spec.info()["license"]["name"], "MIT");
    assert!(spec.info()["x-notice"].as_str().is_some_and(|notice| notice.contains("Permission is hereby granted")));
    assert_eq!(spec.events().len(), 86);
    let mut used: Vec<(&str, &str)> = vec![
        ("POST", "/v1/customers"),
        ("GET", "/v1/customers/cus_1"),
        ("POST", "/v1/payment_methods/pm_1/attach"),
        ("GET", "/v1/payment_methods/pm_1"),
        ("POST", "/v1/payment_intents"),
        ("GET", "/v1/payment_intents"),
        ("GET", "/v1/payment_intents/pi_1"),
        ("GET", "/v1/charges/ch_1"),
        ("POST", "/v1/accounts"),
        ("GET", "/v1/accounts/acct_1"),
        ("POST", "/v1/account_links"),
        ("POST", "/v1/transfers"),
        ("GET", "/v1/transfers"),
        ("GET", "/v1/transfers/tr_1"),
        ("POST", "/v1/transfers/tr_1/reversals"),
        ("POST", "/v1/payouts"),
        ("GET", "/v1/payouts/po_1"),
        ("GET", "/v1/balance"),
        ("GET", "/v1/balance_transactions"),
        ("GET", "/v1/events"),
    ];
    used.retain(|(method, path)| spec.operation(method, path).is_none());
    assert_eq!(used, [], "operations of the client that the description lacks");
}
