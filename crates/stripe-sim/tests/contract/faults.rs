//! Every way an answer can be lost, and what must be true afterwards: paid once.

use std::error::Error as _;

use stripe::{Outcome, RateLimit, StripeError};
use stripe_sim::Fault;

use super::*;

const TRANSFER: &str = "POST /v1/transfers";

async fn ready() -> (Stage, NewTransfer) {
    let stage = Stage::new().await;
    let payee = stage.payee("investor").await;
    let charge = stage.collect("inv_1", 100_000, "pm_card_visa", 1).await.unwrap().latest_charge();
    let new = share("inv_1", &payee.id, 60_000, charge);
    (stage, new)
}

#[tokio::test]
async fn the_same_key_pays_once() {
    let (stage, new) = ready().await;
    let first = stage.pay(&new, 1).await.unwrap();
    let again = stage.pay(&new, 1).await.unwrap();
    assert_eq!(first.id, again.id);
    assert_eq!((stage.sim.executed(TRANSFER), stage.sim.books().transferred("inv_1")), (1, 60_000));
    let other = NewTransfer { amount: usd(59_999), ..new.clone() };
    let reused = stage.pay(&other, 1).await.unwrap_err();
    assert!(matches!(reused, StripeError::KeyReused { .. }), "{reused}");
    assert!(!reused.is_retryable());
    // Keys are forgotten after a day: whoever sends then without looking up pays twice, and the charge still bounds it.
    stage.advance(DAY_S);
    assert!(matches!(stage.pay(&new, 1).await, Err(StripeError::InvalidRequest { .. })));
    assert_eq!(stage.sim.executed(TRANSFER), 2);
    stage.check();
}

#[tokio::test]
async fn lost_answers_are_asked_for_again_with_the_same_key() {
    for fault in [Fault::ErrorBefore, Fault::ErrorAfter, Fault::ResetBefore, Fault::ResetAfter, Fault::RateLimit, Fault::LockTimeout] {
        let (stage, new) = ready().await;
        stage.sim.inject(TRANSFER, fault);
        stage.sim.inject(TRANSFER, fault);
        let transfer = stage.pay(&new, 1).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(transfer.amount(), usd(60_000));
        assert_eq!(stage.sim.executed(TRANSFER), 1, "{fault:?}");
        assert_eq!(stage.sim.books().transferred("inv_1"), 60_000, "{fault:?}");
        stage.check();
    }
}

#[tokio::test]
async fn collecting_is_as_safe_as_paying() {
    for fault in [Fault::ErrorAfter, Fault::ResetAfter] {
        let stage = Stage::new().await;
        stage.sim.inject("POST /v1/payment_intents", fault);
        stage.collect("inv_1", 10_000, "pm_card_visa", 1).await.unwrap();
        assert_eq!(stage.sim.books().collected("usd"), 10_000, "{fault:?}");
        stage.check();
    }
}

#[tokio::test]
async fn a_stored_error_is_replayed_for_ever_and_only_a_look_up_helps() {
    let (stage, new) = ready().await;
    stage.sim.inject(TRANSFER, Fault::StoredErrorAfter);
    let error = stage.pay(&new, 1).await.unwrap_err();
    assert!(matches!(error, StripeError::Api { status: 500, replayed: true, .. }), "{error:?}");
    assert_eq!((error.outcome(), error.is_retryable()), (Outcome::Unknown, false));
    let found = stage.client.list_transfers("inv_1").await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].amount(), usd(60_000));
    stage.check();
}

#[tokio::test]
async fn silence_is_an_unknown_outcome_and_the_look_up_finds_it() {
    let (stage, new) = ready().await;
    stage.sim.inject(TRANSFER, Fault::TimeoutAfter);
    let error = stage.impatient().create_transfer(&new, &key("payout:1")).await.unwrap_err();
    assert!(matches!(&error, StripeError::UnknownOutcome { operation, .. } if operation == TRANSFER));
    assert_eq!((error.outcome(), error.is_retryable()), (Outcome::Unknown, true));
    assert!(error.source().is_some());
    let found = stage.client.list_transfers("inv_1").await.unwrap();
    assert_eq!(found.len(), 1);
    // And repeating under the same key gives that very transfer.
    let again = stage.client.create_transfer(&new, &key("payout:1")).await.unwrap();
    assert_eq!(again.id, found[0].id);
    assert_eq!(stage.sim.executed(TRANSFER), 1);
    stage.check();
    stage.sim.stop().await;
}

#[tokio::test]
async fn a_key_in_use_is_waited_for() {
    let (stage, new) = ready().await;
    stage.sim.inject(TRANSFER, Fault::Slow(Duration::from_millis(1_500)));
    let first_key = key("payout:1");
    let slow = stage.client.create_transfer(&new, &first_key);
    let second = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let once = stage.impatient().create_transfer(&new, &key("payout:1")).await;
        assert!(matches!(once, Err(StripeError::KeyInUse)), "{once:?}");
        let retry = RetryPolicy { tries_max: 500, base: Duration::from_millis(20), cap: Duration::from_millis(20) };
        let options = ClientOptions { timeout: Duration::from_secs(5), retry };
        let patient = Client::with_options(&stage.sim.base_url(), SecretKey::new("sk_test_negawatt"), options).unwrap();
        patient.create_transfer(&new, &key("payout:1")).await
    };
    let (first, second) = tokio::join!(slow, second);
    assert_eq!(first.unwrap().id, second.unwrap().id);
    assert_eq!(stage.sim.executed(TRANSFER), 1);
}

#[tokio::test]
async fn limits_are_told_apart_and_nothing_happened() {
    let (stage, new) = ready().await;
    for (fault, expected) in [(Fault::RateLimit, RateLimit::Calls), (Fault::LockTimeout, RateLimit::Lock)] {
        stage.sim.inject(TRANSFER, fault);
        let error = stage.impatient().create_transfer(&new, &key("payout:1")).await.unwrap_err();
        assert!(matches!(error, StripeError::RateLimited { limit, .. } if limit == expected));
        assert_eq!(error.outcome(), Outcome::NotExecuted);
    }
    assert_eq!(stage.sim.executed(TRANSFER), 0);
}

#[tokio::test]
async fn an_early_unknown_is_not_undone_by_a_later_refusal_to_listen() {
    let (stage, new) = ready().await;
    // First try: executed, no answer. Second and third: turned away at the door.
    stage.sim.inject(TRANSFER, Fault::ResetAfter);
    stage.sim.inject(TRANSFER, Fault::RateLimit);
    stage.sim.inject(TRANSFER, Fault::RateLimit);
    let error = stage.pay(&new, 1).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
    assert_eq!(stage.sim.books().transferred("inv_1"), 60_000);
}

#[tokio::test]
async fn nobody_listening_is_certainly_not_executed() {
    let (stage, new) = ready().await;
    let client = stage.client.clone();
    stage.sim.stop().await;
    let error = client.create_transfer(&new, &key("payout:1")).await.unwrap_err();
    assert!(matches!(error, StripeError::Unreachable { .. }), "{error:?}");
    assert_eq!((error.outcome(), error.is_retryable()), (Outcome::NotExecuted, true));
}
