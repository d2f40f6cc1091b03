//! Whatever is asked for, in whatever order and with whatever fault: the books balance.

use proptest::prelude::*;
use stripe_sim::{Books, Fault};

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Collect { cents: i64, method: usize },
    Pay { charge: usize, payee: usize, cents: i64, sourced: bool },
    Reverse { transfer: usize, cents: i64 },
    PayOut { payee: usize, cents: i64 },
    Bank,
    Days(i64),
}

const METHODS: [&str; 5] =
    ["pm_card_visa", "pm_card_chargeDeclined", "pm_usBankAccount_success", "pm_usBankAccount_accountClosed", "pm_card_visa"];

fn step() -> impl Strategy<Value = (Step, usize)> {
    let step = prop_oneof![
        3 => (50..90_000_i64, 0..METHODS.len()).prop_map(|(cents, method)| Step::Collect { cents, method }),
        4 => (0..8_usize, 0..3_usize, 1..60_000_i64, any::<bool>())
            .prop_map(|(charge, payee, cents, sourced)| Step::Pay { charge, payee, cents, sourced }),
        2 => (0..8_usize, 1..30_000_i64).prop_map(|(transfer, cents)| Step::Reverse { transfer, cents }),
        2 => (0..3_usize, 1..30_000_i64).prop_map(|(payee, cents)| Step::PayOut { payee, cents }),
        1 => Just(Step::Bank),
        1 => (0..4_i64).prop_map(Step::Days),
    ];
    (step, 0..12_usize)
}

const FAULTS: [Fault; 4] = [Fault::ErrorAfter, Fault::ResetAfter, Fault::RateLimit, Fault::StoredErrorAfter];

async fn run(steps: Vec<(Step, usize)>) -> (Books, Vec<String>) {
    let stage = Stage::new().await;
    let mut payees = Vec::new();
    for name in ["platform", "investor", "partner"] {
        payees.push(stage.payee(name).await.id);
    }
    let (mut charges, mut transfers, mut payouts) = (Vec::new(), Vec::new(), Vec::new());
    for (number, (step, fault)) in (1_u32..).zip(steps) {
        let operation = match step {
            Step::Collect { .. } => "POST /v1/payment_intents",
            Step::Pay { .. } => "POST /v1/transfers",
            Step::Reverse { .. } => "POST /v1/transfers/{id}/reversals",
            _ => "POST /v1/payouts",
        };
        if let Some(fault) = FAULTS.get(fault) {
            stage.sim.inject(operation, *fault);
        }
        let key = IdempotencyKey::derive("step", number);
        // Refusals and lost answers are part of the game: only what is known to have happened is built upon.
        match step {
            Step::Collect { cents, method } => {
                if let Ok(intent) = stage.collect(&format!("inv_{number}"), cents, METHODS[method], number).await {
                    charges.extend(intent.latest_charge());
                }
            }
            Step::Pay { charge, payee, cents, sourced } => {
                let charge = charges.get(charge).cloned().filter(|_| sourced);
                let new = share("group", &payees[payee], cents, charge);
                transfers.extend(stage.client.create_transfer(&new, &key).await.map(|transfer| transfer.id));
            }
            Step::Reverse { transfer, cents } => {
                if let Some(id) = transfers.get(transfer) {
                    drop(stage.client.reverse_transfer(id, usd(cents), &key).await);
                }
            }
            Step::PayOut { payee, cents } => {
                payouts.extend(stage.client.create_payout(&payees[payee], usd(cents), &key).await.map(|payout| payout.id));
            }
            Step::Bank => {
                stage.sim.settle_bank_debits();
                for (index, payout) in payouts.iter().enumerate() {
                    stage.sim.settle_payout(payout.as_str(), (index % 3 == 0).then_some("account_closed"));
                }
            }
            Step::Days(days) => stage.advance(days * DAY_S),
        }
        stage.sim.books().check().unwrap();
    }
    (stage.sim.books(), stage.sim.drift())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_books_always_balance(steps in prop::collection::vec(step(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (books, drift) = runtime.block_on(run(steps));
        prop_assert_eq!(books.check(), Ok(()));
        prop_assert_eq!(drift, Vec::<String>::new());
        let total: i64 = books.entries.iter().flat_map(|entry| &entry.legs).map(|leg| leg.amount).sum();
        prop_assert_eq!(total, 0);
    }
}
