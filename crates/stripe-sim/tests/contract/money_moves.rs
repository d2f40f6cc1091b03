//! What works: collect, pay the shares, take one back, pay out.

use stripe::{BalanceTransactionKind, ChargeStatus, Created, IntentStatus, PayoutStatus, Readiness, StripeError};
use stripe_sim::{BookAccount, Onboarding};

use super::*;

#[tokio::test]
async fn an_invoice_is_collected_and_its_shares_paid() {
    let stage = Stage::new().await;
    let (investor, partner) = (stage.payee("investor").await, stage.payee("partner").await);
    assert_eq!(investor.readiness(), Readiness::Ready);

    let intent = stage.collect("inv_1", 100_000, "pm_card_visa", 1).await.unwrap();
    assert_eq!(intent.status, IntentStatus::Succeeded);
    assert_eq!((intent.amount(), intent.amount_received()), (usd(100_000), usd(100_000)));
    let charge_id = intent.latest_charge().unwrap();
    let charge = stage.client.retrieve_charge(&charge_id).await.unwrap();
    let movement = charge.balance_transaction().unwrap();
    assert_eq!(charge.status, ChargeStatus::Succeeded);
    assert_eq!((movement.fee(), movement.net()), (usd(2_930), usd(97_070)));
    assert_eq!(movement.available_on, START_S + 2 * DAY_S);

    // The money is not available yet; with the charge as its source a transfer succeeds all the same.
    let paid = stage.pay(&share("inv_1", &investor.id, 60_000, Some(charge_id.clone())), 1).await.unwrap();
    stage.pay(&share("inv_1", &partner.id, 5_000, Some(charge_id.clone())), 1).await.unwrap();
    assert_eq!(paid.source_transaction(), Some(charge_id.clone()));
    let poor = stage.pay(&share("inv_2", &partner.id, 1, None), 1).await.unwrap_err();
    assert_eq!(poor.code(), Some("balance_insufficient"));
    let too_much = stage.pay(&share("inv_1", &investor.id, 35_001, Some(charge_id)), 2).await.unwrap_err();
    assert!(matches!(too_much, StripeError::InvalidRequest { status: 400, .. }));

    let listed = stage.client.list_transfers("inv_1").await.unwrap();
    assert_eq!(listed.iter().map(|transfer| transfer.amount().minor).collect::<Vec<_>>(), [5_000, 60_000]);
    assert_eq!(stage.client.retrieve_transfer(&paid.id).await.unwrap().destination(), Some(investor.id.clone()));
    assert_eq!(stage.client.retrieve_payment_intent(&intent.id).await.unwrap().status, IntentStatus::Succeeded);

    let books = stage.sim.books();
    assert_eq!((books.collected("usd"), books.transferred("inv_1")), (100_000, 65_000));
    assert_eq!(books.balance(&BookAccount::Platform, "usd"), 32_070);
    assert_eq!(books.balance(&BookAccount::Fees, "usd"), 2_930);
    let balance = stage.client.retrieve_balance().await.unwrap();
    assert_eq!((balance.available(Currency::Usd), balance.pending(Currency::Usd)), (usd(0), usd(32_070)));
    stage.advance(2 * DAY_S);
    assert_eq!(stage.client.retrieve_balance().await.unwrap().available(Currency::Usd), usd(32_070));
    stage.pay(&share("batch_1", &partner.id, 70, None), 1).await.unwrap();
    stage.check();
    stage.sim.stop().await;
}

#[tokio::test]
async fn balance_transactions_tell_the_whole_story() {
    let stage = Stage::new().await;
    let payee = stage.payee("investor").await;
    let charge = stage.collect("inv_1", 10_000, "pm_card_visa", 1).await.unwrap().latest_charge();
    stage.pay(&share("inv_1", &payee.id, 4_000, charge), 1).await.unwrap();
    stage.advance(DAY_S);
    stage.collect("inv_2", 20_000, "pm_card_visa", 1).await.unwrap();
    let rows = stage.client.list_balance_transactions(Created::default()).await.unwrap();
    let kinds: Vec<_> = rows.iter().map(|row| (row.kind.clone(), row.net().minor)).collect();
    let charge = BalanceTransactionKind::Charge;
    assert_eq!(kinds, [(charge.clone(), 19_390), (BalanceTransactionKind::Transfer, -4_000), (charge, 9_680)]);
    let first_day = Created { from: Some(START_S), until: Some(START_S + 1) };
    assert_eq!(stage.client.list_balance_transactions(first_day).await.unwrap().len(), 2);
    stage.check();
}

#[tokio::test]
async fn lists_are_followed_to_their_end() {
    let stage = Stage::new().await;
    let payee = stage.payee("investor").await;
    let charge = stage.collect("inv_1", 1_000_000, "pm_card_visa", 1).await.unwrap().latest_charge();
    for number in 1..=101 {
        stage.pay(&share("inv_1", &payee.id, number, charge.clone()), u32::try_from(number).unwrap()).await.unwrap();
    }
    let amounts: Vec<i64> = stage.client.list_transfers("inv_1").await.unwrap().iter().map(|t| t.amount().minor).collect();
    assert_eq!(amounts, (1..=101).rev().collect::<Vec<_>>());
    assert_eq!(stage.client.list_transfers("inv_2").await.unwrap().len(), 0);
    stage.check();
}

#[tokio::test]
async fn a_transfer_is_taken_back_while_the_payee_has_it() {
    let stage = Stage::new().await;
    let payee = stage.payee("investor").await;
    let charge = stage.collect("inv_1", 10_000, "pm_card_visa", 1).await.unwrap().latest_charge();
    let transfer = stage.pay(&share("inv_1", &payee.id, 6_000, charge), 1).await.unwrap();
    let reversal = stage.client.reverse_transfer(&transfer.id, usd(1_000), &key("reverse:1")).await.unwrap();
    assert_eq!(reversal.amount(), usd(1_000));
    stage.advance(2 * DAY_S);
    let payout = stage.client.create_payout(&payee.id, usd(5_000), &key("payout:1")).await.unwrap();
    assert_eq!(payout.status, PayoutStatus::Pending);
    let gone = stage.client.reverse_transfer(&transfer.id, usd(5_000), &key("reverse:2")).await.unwrap_err();
    assert_eq!(gone.code(), Some("balance_insufficient"));
    let now = stage.client.retrieve_transfer(&transfer.id).await.unwrap();
    assert_eq!((now.amount_reversed(), now.reversed), (usd(1_000), false));

    // A paid payout can still come back.
    assert!(stage.sim.settle_payout(payout.id.as_str(), None));
    assert_eq!(stage.client.retrieve_payout(&payee.id, &payout.id).await.unwrap().status, PayoutStatus::Paid);
    assert!(stage.sim.settle_payout(payout.id.as_str(), Some("account_closed")));
    let failed = stage.client.retrieve_payout(&payee.id, &payout.id).await.unwrap();
    assert_eq!((failed.status, failed.failure_code.as_deref()), (PayoutStatus::Failed, Some("account_closed")));
    stage.client.reverse_transfer(&transfer.id, usd(5_000), &key("reverse:3")).await.unwrap();
    assert_eq!(stage.sim.books().transferred("inv_1"), 0);
    stage.check();
}

#[tokio::test]
async fn a_bank_debit_takes_days_and_may_fail() {
    let stage = Stage::new().await;
    let good = stage.collect("inv_1", 50_000, "pm_usBankAccount_success", 1).await.unwrap();
    let bad = stage.collect("inv_2", 50_000, "pm_usBankAccount_insufficientFunds", 1).await.unwrap();
    assert_eq!((&good.status, &bad.status), (&IntentStatus::Processing, &IntentStatus::Processing));
    assert_eq!(stage.sim.books().collected("usd"), 0);
    let payee = stage.payee("investor").await;
    let early = stage.pay(&share("inv_1", &payee.id, 1_000, good.latest_charge()), 1).await.unwrap_err();
    assert!(matches!(early, StripeError::InvalidRequest { param: Some(param), .. } if param == "source_transaction"));

    stage.advance(4 * DAY_S);
    assert_eq!(stage.sim.settle_bank_debits(), 2);
    assert_eq!(stage.client.retrieve_payment_intent(&good.id).await.unwrap().status, IntentStatus::Succeeded);
    let bad = stage.client.retrieve_payment_intent(&bad.id).await.unwrap();
    assert_eq!((bad.status.clone(), bad.last_failure()), (IntentStatus::RequiresPaymentMethod, Some("insufficient_funds")));
    let charge = stage.client.retrieve_charge(&good.latest_charge().unwrap()).await.unwrap();
    assert_eq!(charge.balance_transaction().unwrap().fee(), usd(400));
    assert_eq!(stage.sim.books().collected("usd"), 50_000);
    stage.check();
}

#[tokio::test]
async fn nobody_is_paid_before_onboarding() {
    let stage = Stage::with(|config| config.onboarding = Onboarding::OnRequest).await;
    let payee = stage.payee("investor").await;
    assert!(matches!(payee.readiness(), Readiness::Waiting { due } if due.contains(&"external_account".to_owned())));
    let link = stage.client.create_account_link(&payee.id, "https://x.test/again", "https://x.test/done", &key("link:1")).await;
    assert!(link.unwrap().url.starts_with("https://connect.stripe.com/"));
    let charge = stage.collect("inv_1", 10_000, "pm_card_visa", 1).await.unwrap().latest_charge();
    let refused = stage.pay(&share("inv_1", &payee.id, 100, charge.clone()), 1).await.unwrap_err();
    assert_eq!(refused.code(), Some("insufficient_capabilities_for_transfer"));
    assert!(stage.sim.onboard(payee.id.as_str()));
    assert_eq!(stage.client.retrieve_account(&payee.id).await.unwrap().readiness(), Readiness::Ready);
    stage.pay(&share("inv_1", &payee.id, 100, charge), 1).await.unwrap();
    stage.check();
}

#[tokio::test]
async fn a_method_is_kept_for_later() {
    let stage = Stage::new().await;
    let new = NewCustomer { name: "Plant Eight".to_owned(), email: Some("pay@plant8.test".to_owned()), metadata: vec![] };
    let customer = stage.client.create_customer(&new, &key("customer:8")).await.unwrap();
    let visa = PaymentMethodId::new("pm_card_visa");
    let method = stage.client.attach_payment_method(&visa, &customer.id, &key("method:8")).await.unwrap();
    assert_ne!(method.id, visa);
    let mut intent = stage.intent("inv_8", 5_000, method.id.as_str()).await;
    let stolen = stage.client.create_payment_intent(&intent, &key("collect:8")).await.unwrap_err();
    assert!(matches!(stolen, StripeError::InvalidRequest { .. }), "another customer's method");
    intent.customer = customer.id.clone();
    stage.client.create_payment_intent(&intent, &IdempotencyKey::derive("collect:8", 2)).await.unwrap();
    let listed = stage.client.list_payment_intents(&customer.id).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].metadata.get("invoice").map(String::as_str), Some("inv_8"));
    assert_eq!(stage.client.retrieve_customer(&customer.id).await.unwrap().email.as_deref(), Some("pay@plant8.test"));
    assert_eq!(stage.client.retrieve_payment_method(&method.id).await.unwrap().kind, PaymentMethodType::Card);
    stage.check();
}

#[tokio::test]
async fn the_same_seed_gives_the_same_ids() {
    let mut ids = Vec::new();
    for _ in 0..2 {
        let stage = Stage::new().await;
        let payee = stage.payee("investor").await;
        let charge = stage.collect("inv_1", 10_000, "pm_card_visa", 1).await.unwrap().latest_charge();
        ids.push((payee.id.clone(), charge.clone(), stage.pay(&share("inv_1", &payee.id, 100, charge), 1).await.unwrap().id));
    }
    assert_eq!(ids[0], ids[1]);
}
