//! The client against the simulator, over real sockets.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]

// Own tests see the package by its long name; everybody else imports it as `stripe_sim`.
extern crate negawatt_stripe_sim as stripe_sim;

mod faults;
mod forms;
mod money_moves;
mod random;
mod refusals;
mod webhooks;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use money::{Currency, Money};
use stripe::{
    Account, AccountId, ChargeId, Client, ClientOptions, IdempotencyKey, NewAccount, NewCustomer, NewPaymentIntent, NewTransfer,
    PaymentIntent, PaymentMethodId, PaymentMethodType, RetryPolicy, SecretKey, StripeError, Transfer,
};
use stripe_sim::{Clock, Sim, SimConfig};

/// 2026-11-01T00:00:00Z.
const START_S: i64 = 1_793_491_200;
const DAY_S: i64 = 24 * 3_600;

/// A simulator, a client and a clock to drive.
struct Stage {
    sim: Sim,
    client: Client,
    now_s: Arc<AtomicI64>,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut SimConfig)) -> Self {
        let now_s = Arc::new(AtomicI64::new(START_S));
        let clock = Arc::clone(&now_s);
        let mut config = SimConfig::new(7, Clock::new(move || clock.load(Ordering::SeqCst)));
        change(&mut config);
        let secret = SecretKey::new(config.secret_key.clone());
        let sim = Sim::start(config).await.unwrap();
        let client = Client::with_options(&sim.base_url(), secret, quick(3)).unwrap();
        Self { sim, client, now_s }
    }

    fn advance(&self, seconds: i64) {
        self.now_s.fetch_add(seconds, Ordering::SeqCst);
    }

    fn impatient(&self) -> Client {
        let options = ClientOptions { timeout: Duration::from_secs(1), retry: RetryPolicy::ONCE };
        Client::with_options(&self.sim.base_url(), SecretKey::new("sk_test_negawatt"), options).unwrap()
    }

    async fn collect(&self, invoice: &str, cents: i64, method: &str, attempt: u32) -> Result<PaymentIntent, StripeError> {
        let key = IdempotencyKey::derive(&format!("invoice:{invoice}:collect"), attempt);
        self.client.create_payment_intent(&self.intent(invoice, cents, method).await, &key).await
    }

    async fn intent(&self, invoice: &str, cents: i64, method: &str) -> NewPaymentIntent {
        let new = NewCustomer { name: "Plant Seven".to_owned(), email: None, metadata: pairs(&[("facility", "plant-7")]) };
        let customer = self.client.create_customer(&new, &key("customer:plant-7")).await.unwrap();
        NewPaymentIntent {
            amount: usd(cents),
            customer: customer.id,
            payment_method: PaymentMethodId::new(method),
            allowed: vec![PaymentMethodType::Card, PaymentMethodType::UsBankAccount],
            transfer_group: invoice.to_owned(),
            description: Some("avoided energy, October & November".to_owned()),
            metadata: pairs(&[("invoice", invoice)]),
        }
    }

    async fn payee(&self, name: &str) -> Account {
        let new = NewAccount { country: "US".to_owned(), email: None, metadata: pairs(&[("payee", name)]) };
        self.client.create_account(&new, &key(&format!("payee:{name}:account"))).await.unwrap()
    }

    async fn pay(&self, share: &NewTransfer, attempt: u32) -> Result<Transfer, StripeError> {
        let operation = format!("{}:{}:transfer", share.transfer_group, share.destination);
        self.client.create_transfer(share, &IdempotencyKey::derive(&operation, attempt)).await
    }

    /// The books balance and no reply strayed from the published shapes.
    fn check(&self) {
        self.sim.books().check().unwrap();
        assert_eq!(self.sim.drift(), Vec::<String>::new());
    }
}

fn share(invoice: &str, destination: &AccountId, cents: i64, charge: Option<ChargeId>) -> NewTransfer {
    NewTransfer {
        amount: usd(cents),
        destination: destination.clone(),
        source_transaction: charge,
        transfer_group: invoice.to_owned(),
        metadata: pairs(&[("invoice", invoice)]),
    }
}

fn quick(tries_max: u32) -> ClientOptions {
    let retry = RetryPolicy { tries_max, base: Duration::from_millis(2), cap: Duration::from_millis(8) };
    ClientOptions { timeout: Duration::from_secs(5), retry }
}

fn usd(cents: i64) -> Money {
    Money::new(cents, Currency::Usd)
}

fn key(operation: &str) -> IdempotencyKey {
    IdempotencyKey::derive(operation, 1)
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
