//! Paying each payee's part of a collected invoice, so that no crash and no lost answer pays twice.
//!
//! The rules are `settlement`'s: a payout is moved by facts, each recorded with what it posts. A transfer is recorded as
//! sent before it is sent, under a key derived from the payout and the attempt. Whoever finds a payout sent without an
//! answer asks the processor what it knows before anything is sent again.

use ids::{PayoutId, TenantId};
use settlement::{Contradiction, Entry, Fact, PayoutState, Transition};
use stripe::{AccountId, ChargeId, IdempotencyKey, NewAccount, NewTransfer, Outcome, Transfer, TransferId};
use tracing::info;

use super::collect::contradiction;
use super::{ServiceError, books};
use crate::db::events::Actor;
use crate::db::payees::StoredPayee;
use crate::db::payouts::StoredPayout;
use crate::db::{events, invoices, ledger, payees, payments, payouts};
use crate::state::{Api, Metrics};

/// Takes a payout as far as it goes now.
///
/// * Answer: the payout as it stands; `pending` when its hold is not over.
/// * Errors: the processor refused, and the next execution is the next attempt; or did not answer, and the next
///   execution asks what became of it.
pub(crate) async fn transfer(api: &Api, id: PayoutId) -> Result<StoredPayout, ServiceError> {
    let _till = api.till.lock().await;
    let stored = payouts::by_id(api.db.read(), id).await?;
    let mut stored = stored.ok_or_else(|| ServiceError::not_found("payout", id))?;
    if matches!(stored.payout.state, PayoutState::Completed | PayoutState::Cancelled) {
        return Ok(stored);
    }
    if api.now_ms() < stored.release_ms {
        return Ok(stored);
    }
    let new = wanted(api, &stored).await?;
    if matches!(stored.payout.state, PayoutState::Processing | PayoutState::Unknown) {
        // Sent, and the answer was lost: with the process, or on its way.
        if let Some(made) = made_before(api, &stored, &new).await? {
            return confirm(api, stored, &new, &made).await;
        }
        let attempt = stored.payout.attempt;
        stored = step(api, stored, &Fact::NotFound { attempt }, None).await?;
    }
    stored = step(api, stored, &Fact::Released, None).await?;
    stored = step(api, stored, &Fact::Retried, None).await?;
    let attempt = stored.payout.attempt;
    stored = step(api, stored, &Fact::Sent { attempt }, None).await?;
    let key = IdempotencyKey::derive(&format!("payout:{id}:transfer"), attempt);
    match api.stripe()?.create_transfer(&new, &key).await {
        Ok(made) => confirm(api, stored, &new, &made).await,
        Err(err) => {
            let refused = err.outcome() == Outcome::Refused;
            let fact = if refused { Fact::Refused { attempt } } else { Fact::NoAnswer { attempt } };
            step(api, stored, &fact, Some(daemon::chain(&err))).await?;
            Err(ServiceError::Provider(err))
        }
    }
}

/// A transfer was taken back at the processor: looks, and books it.
pub(crate) async fn reversed(api: &Api, transfer: &str) -> Result<(), ServiceError> {
    let _till = api.till.lock().await;
    let Some(stored) = payouts::by_transfer(api.db.read(), transfer).await? else { return Ok(()) };
    let id = TransferId::new(transfer);
    let found = api.stripe()?.retrieve_transfer(&id).await.map_err(ServiceError::Provider)?;
    if found.reversed {
        let fact = Fact::Reversed { transfer: transfer.to_owned() };
        step(api, stored, &fact, Some("the transfer was taken back in full".to_owned())).await?;
    }
    Ok(())
}

/// Applies a fact and records what it makes of the payout, with what it posts, in one transaction.
async fn step(api: &Api, mut stored: StoredPayout, fact: &Fact, failure: Option<String>) -> Result<StoredPayout, ServiceError> {
    let was = stored.payout.state;
    let Transition::Moved { to, post } = stored.payout.apply(fact).map_err(contradicted)? else { return Ok(stored) };
    stored.payout = to;
    stored.failure = failure;
    let now = api.now();
    let now_ms = now.as_millisecond();
    stored.updated_ms = now_ms;
    let mut tx = api.db.write().await?;
    if !payouts::record(&mut tx, &stored, was, now_ms).await? {
        return Err(ServiceError::conflict(format!("payout {} moved meanwhile", stored.payout.id)));
    }
    if let Some(entry) = post {
        let posted = match entry {
            Entry::Transfer => books::transferred(&stored.payout, now)?,
            Entry::Reverse => books::reversed(&stored.payout, now)?,
        };
        ledger::append(&mut tx, stored.tenant, &posted, now_ms).await?;
        let subject = stored.payout.id.to_string();
        let kind = format!("payout.{}", stored.payout.state);
        events::happened(&mut tx, stored.tenant, &kind, &subject, &Actor::WORKER, now_ms).await?;
    }
    tx.commit().await?;
    api.changed();
    Ok(stored)
}

/// What is to be sent. Opens the payee's account when it has none yet.
async fn wanted(api: &Api, stored: &StoredPayout) -> Result<NewTransfer, ServiceError> {
    let payout = &stored.payout;
    let payee = payees::by_id(api.db.read(), stored.tenant, payout.payee).await?;
    let payee = payee.ok_or_else(|| ServiceError::not_found("payee", payout.payee))?;
    let payment = payments::by_id(api.db.read(), stored.payment).await?;
    let payment = payment.ok_or_else(|| ServiceError::not_found("payment", stored.payment))?;
    let invoice = invoices::by_id(api.db.read(), stored.tenant, payout.invoice).await?;
    let invoice = invoice.ok_or_else(|| ServiceError::not_found("invoice", payout.invoice))?;
    let charge = payment.charge.ok_or_else(|| contradiction("a payout exists whose payment has no charge"))?;
    Ok(NewTransfer {
        amount: payout.amount,
        destination: AccountId::new(connect(api, stored.tenant, &payee).await?),
        source_transaction: Some(ChargeId::new(charge)),
        transfer_group: invoice.number.unwrap_or_default(),
        metadata: vec![
            ("tenant".to_owned(), stored.tenant.to_string()),
            ("payout".to_owned(), payout.id.to_string()),
            ("attempt".to_owned(), payout.attempt.to_string()),
        ],
    })
}

/// The transfer that an interrupted execution made, if it did.
async fn made_before(api: &Api, stored: &StoredPayout, new: &NewTransfer) -> Result<Option<Transfer>, ServiceError> {
    let ours = stored.payout.id.to_string();
    let made = api.stripe()?.list_transfers(&new.transfer_group).await.map_err(ServiceError::Provider)?;
    Ok(made.into_iter().find(|made| made.metadata.get("payout") == Some(&ours) && !made.reversed))
}

/// The processor has the transfer: books it.
async fn confirm(api: &Api, stored: StoredPayout, new: &NewTransfer, made: &Transfer) -> Result<StoredPayout, ServiceError> {
    api.crash_point("transfer.sent")?;
    if made.destination().as_ref() != Some(&new.destination) {
        return Err(contradiction("the processor's transfer has another destination than the payout"));
    }
    let fact = Fact::Confirmed { transfer: made.id.as_str().to_owned(), amount: made.amount() };
    let stored = step(api, stored, &fact, None).await?;
    Metrics::count(&api.metrics.transfers);
    let amount = stored.payout.amount;
    info!(payout.id = %stored.payout.id, money.minor = amount.minor, money.currency = %amount.currency, "paid a payee");
    Ok(stored)
}

/// Facts that cannot both be true: nothing is booked, a human looks.
fn contradicted(err: Contradiction) -> ServiceError {
    ServiceError::Internal { what: "the books and the processor disagree about a payout", err: Box::new(err) }
}

/// The connected account of a payee, opened when there is none yet. The key is derived from the payee, so that a crash
/// between the call and the record opens none twice.
pub(crate) async fn connect(api: &Api, tenant: TenantId, payee: &StoredPayee) -> Result<String, ServiceError> {
    if let Some(account) = &payee.stripe_account {
        return Ok(account.clone());
    }
    let new = NewAccount {
        country: payee.country.clone(),
        email: payee.email.clone(),
        metadata: vec![("tenant".to_owned(), tenant.to_string()), ("payee".to_owned(), payee.id.to_string())],
    };
    let key = IdempotencyKey::derive(&format!("payee:{}:account", payee.id), 1);
    let account = api.stripe()?.create_account(&new, &key).await.map_err(ServiceError::Provider)?;
    let mut tx = api.db.write().await?;
    payees::set_account(&mut tx, tenant, payee.id, account.id.as_str()).await?;
    tx.commit().await?;
    Ok(account.id.as_str().to_owned())
}
