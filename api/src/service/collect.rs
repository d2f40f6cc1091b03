//! Collecting an invoice, so that no crash and no lost answer collects twice.
//!
//! Every call that moves money is written down first, under a key derived from what it does and which attempt it is.
//! After a crash the attempt is found open: what the processor knows of it is looked up before anything is sent again.
//! An answer that did not arrive leaves the attempt open; only the processor's word closes it.

use ids::{InvoiceId, PaymentId, TenantId};
use money::{Currency, Money};
use settlement::{Payout, PayoutState};
use stripe::{
    CustomerId, IdempotencyKey, IntentStatus, NewCustomer, NewPaymentIntent, PaymentIntent, PaymentIntentId, PaymentMethodId,
    PaymentMethodType, StripeError,
};
use tracing::info;

use super::{ServiceError, books};
use crate::db::contracts::StoredContract;
use crate::db::events::Actor;
use crate::db::payments::StoredPayment;
use crate::db::payouts::StoredPayout;
use crate::db::{contracts, events, invoices, jobs, ledger, payments, payouts};
use crate::state::{Api, derived_id};

/// How long a fresh attempt is left alone by the worker: its request is still being answered.
const GRACE_MS: i64 = 30_000;
/// A day of a hold.
const DAY_MS: i64 = 86_400_000;

/// Collects an issued invoice, or goes on with the attempt that is open already.
///
/// * Answer: the attempt as it stands: `succeeded`, `processing` or `failed` (with the reason).
/// * Errors: the processor did not answer. The attempt stays open and the worker follows it.
pub(crate) async fn collect(api: &Api, tenant: TenantId, id: InvoiceId) -> Result<StoredPayment, ServiceError> {
    let _till = api.till.lock().await;
    let invoice = invoices::by_id(api.db.read(), tenant, id).await?;
    let invoice = invoice.ok_or_else(|| ServiceError::not_found("invoice", id))?;
    let attempts = payments::of_invoice(api.db.read(), tenant, id).await?;
    if let Some(open) = attempts.iter().find(|attempt| attempt.status != "failed") {
        return advance(api, open.clone(), Known::Maybe).await;
    }
    if invoice.status != "issued" {
        return Err(ServiceError::conflict(format!("invoice {id} is {}; only an issued one is collected", invoice.status)));
    }
    if invoice.total_minor <= 0 {
        return Err(ServiceError::conflict(format!("invoice {id} has nothing to collect")));
    }
    let contract = contract_of(api, tenant, id).await?;
    let (_, method) = ensure_payer(api, tenant, &contract).await?;
    let attempt = i64::try_from(attempts.len()).unwrap_or(i64::MAX - 1) + 1;
    let now_ms = api.now_ms();
    let payment = StoredPayment {
        id: derived_id(now_ms, &format!("{id}:payment:{attempt}")),
        tenant,
        invoice: id,
        attempt,
        status: "pending".to_owned(),
        currency: invoice.currency.clone(),
        amount_minor: invoice.total_minor,
        payment_method: method,
        intent: None,
        charge: None,
        failure: None,
        created_ms: now_ms,
    };
    let mut tx = api.db.write().await?;
    payments::insert(&mut tx, &payment).await?;
    jobs::enqueue(&mut tx, jobs::Kind::Payment, &payment.id.to_string(), now_ms + GRACE_MS).await?;
    events::happened(&mut tx, tenant, "payment.started", &payment.id.to_string(), &Actor::WORKER, now_ms).await?;
    tx.commit().await?;
    advance(api, payment, Known::Never).await
}

/// Looks how an attempt stands, and books it when it has ended.
pub(crate) async fn follow(api: &Api, id: PaymentId) -> Result<StoredPayment, ServiceError> {
    let _till = api.till.lock().await;
    let payment = payments::by_id(api.db.read(), id).await?;
    advance(api, payment.ok_or_else(|| ServiceError::not_found("payment", id))?, Known::Maybe).await
}

/// Whether the processor may have heard of an attempt before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Never,
    Maybe,
}

/// Takes an open attempt as far as it goes now. The caller holds the till.
async fn advance(api: &Api, mut payment: StoredPayment, known: Known) -> Result<StoredPayment, ServiceError> {
    if matches!(payment.status.as_str(), "succeeded" | "failed") {
        return Ok(payment);
    }
    let intent = match &payment.intent {
        Some(intent) => {
            let id = PaymentIntentId::new(intent.clone());
            api.stripe()?.retrieve_payment_intent(&id).await.map_err(ServiceError::Provider)?
        }
        None => match request(api, &payment, known).await? {
            Requested::Intent(intent) => *intent,
            Requested::Refused { intent, reason } => {
                payment.intent = intent;
                return fail(api, payment, reason).await;
            }
        },
    };
    api.crash_point("payment.sent")?;
    if intent.amount() != amount(payment.amount_minor, &payment.currency)? {
        return Err(contradiction("the processor's payment intent has another amount than the attempt"));
    }
    payment.intent = Some(intent.id.as_str().to_owned());
    match intent.status {
        IntentStatus::Succeeded => succeed(api, payment, &intent).await,
        IntentStatus::RequiresPaymentMethod | IntentStatus::Canceled => {
            let reason = intent.last_failure().unwrap_or(intent.status.as_str()).to_owned();
            fail(api, payment, reason).await
        }
        _ => {
            payment.status = "processing".to_owned();
            let now_ms = api.now_ms();
            let mut tx = api.db.write().await?;
            payments::record(&mut tx, &payment, now_ms).await?;
            tx.commit().await?;
            api.changed();
            Ok(payment)
        }
    }
}

enum Requested {
    Intent(Box<PaymentIntent>),
    Refused { intent: Option<String>, reason: String },
}

/// Finds the attempt's intent at the processor, or makes it.
async fn request(api: &Api, payment: &StoredPayment, known: Known) -> Result<Requested, ServiceError> {
    let invoice = invoices::by_id(api.db.read(), payment.tenant, payment.invoice).await?;
    let invoice = invoice.ok_or_else(|| ServiceError::not_found("invoice", payment.invoice))?;
    let contract = contract_of(api, payment.tenant, payment.invoice).await?;
    let (customer, _) = ensure_payer(api, payment.tenant, &contract).await?;
    let customer = CustomerId::new(customer);
    if known == Known::Maybe {
        let intents = api.stripe()?.list_payment_intents(&customer).await.map_err(ServiceError::Provider)?;
        let ours = payment.id.to_string();
        if let Some(found) = intents.into_iter().find(|intent| intent.metadata.get("payment") == Some(&ours)) {
            return Ok(Requested::Intent(Box::new(found)));
        }
    }
    let number = invoice.number.clone().unwrap_or_default();
    let new = NewPaymentIntent {
        amount: amount(payment.amount_minor, &payment.currency)?,
        customer,
        payment_method: PaymentMethodId::new(payment.payment_method.clone()),
        allowed: vec![PaymentMethodType::Card, PaymentMethodType::UsBankAccount],
        transfer_group: number.clone(),
        description: Some(format!("Invoice {number}")),
        metadata: vec![
            ("tenant".to_owned(), payment.tenant.to_string()),
            ("invoice".to_owned(), payment.invoice.to_string()),
            ("payment".to_owned(), payment.id.to_string()),
        ],
    };
    let key = IdempotencyKey::derive(&format!("invoice:{}:collect", payment.invoice), attempt_number(payment.attempt));
    match api.stripe()?.create_payment_intent(&new, &key).await {
        Ok(intent) => Ok(Requested::Intent(Box::new(intent))),
        Err(StripeError::Card(decline)) => {
            let reason = decline.decline_code.clone().unwrap_or_else(|| decline.code.clone());
            Ok(Requested::Refused { intent: decline.payment_intent.clone(), reason })
        }
        Err(StripeError::InvalidRequest { code, message, .. }) => Ok(Requested::Refused { intent: None, reason: code.unwrap_or(message) }),
        Err(err) => Err(ServiceError::Provider(err)),
    }
}

/// Closes an attempt that brought nothing; the next one takes the next number.
async fn fail(api: &Api, mut payment: StoredPayment, reason: String) -> Result<StoredPayment, ServiceError> {
    info!(payment.id = %payment.id, reason, "an attempt to collect failed");
    payment.status = "failed".to_owned();
    payment.failure = Some(reason);
    let now_ms = api.now_ms();
    let mut tx = api.db.write().await?;
    payments::record(&mut tx, &payment, now_ms).await?;
    let subject = payment.id.to_string();
    events::happened(&mut tx, payment.tenant, "payment.failed", &subject, &Actor::WORKER, now_ms).await?;
    tx.commit().await?;
    api.changed();
    Ok(payment)
}

/// Books a collected invoice: the payment, the postings and the payouts become true together.
async fn succeed(api: &Api, mut payment: StoredPayment, intent: &PaymentIntent) -> Result<StoredPayment, ServiceError> {
    let whole = amount(payment.amount_minor, &payment.currency)?;
    if intent.amount_received() != whole {
        return Err(contradiction("the processor received another amount than the attempt asked for"));
    }
    let charge = intent.latest_charge().ok_or_else(|| contradiction("a succeeded payment intent has no charge"))?;
    let details = api.stripe()?.retrieve_charge(&charge).await.map_err(ServiceError::Provider)?;
    let fee = details.balance_transaction().map_or(Money::zero(whole.currency), stripe::BalanceTransaction::fee);
    payment.status = "succeeded".to_owned();
    payment.charge = Some(charge.as_str().to_owned());
    let now = api.now();
    let now_ms = now.as_millisecond();
    let contract = contract_of(api, payment.tenant, payment.invoice).await?;
    let mut tx = api.db.write().await?;
    let invoice = invoices::by_id(&mut *tx, payment.tenant, payment.invoice).await?;
    let invoice = invoice.ok_or_else(|| ServiceError::not_found("invoice", payment.invoice))?;
    payments::record(&mut tx, &payment, now_ms).await?;
    invoices::mark_paid(&mut tx, payment.tenant, invoice.id, now_ms).await?;
    let posted = books::collected(&payment, &invoice, whole, fee, now)?;
    ledger::append(&mut tx, payment.tenant, &posted, now_ms).await?;
    let hold_ms = i64::from(contract.agreement.contract.terms().hold_days) * DAY_MS;
    for part in invoices::parts(&mut *tx, payment.tenant, invoice.id).await? {
        if part.amount_minor <= 0 {
            continue;
        }
        let id = derived_id(payment.created_ms, &format!("{}:payout:{}:{}", invoice.id, part.payee, part.kind));
        let part_of = Money::new(part.amount_minor, whole.currency);
        let mut payout = Payout::pending(id, invoice.id, part.payee, part.kind, part_of);
        if part.kind.is_ours() {
            // Our own part is income and stays where it was collected.
            payout.state = PayoutState::Completed;
        } else {
            jobs::enqueue(&mut tx, jobs::Kind::Payout, &id.to_string(), now_ms).await?;
        }
        let stored = StoredPayout {
            tenant: payment.tenant,
            payment: payment.id,
            payout,
            release_ms: now_ms + hold_ms,
            failure: None,
            created_ms: now_ms,
            updated_ms: now_ms,
        };
        payouts::insert(&mut tx, &stored).await?;
    }
    let subject = invoice.id.to_string();
    events::happened(&mut tx, payment.tenant, "invoice.paid", &subject, &Actor::WORKER, now_ms).await?;
    tx.commit().await?;
    info!(invoice.id = %invoice.id, money.minor = payment.amount_minor, money.currency = payment.currency, "collected an invoice");
    api.changed();
    Ok(payment)
}

async fn contract_of(api: &Api, tenant: TenantId, invoice: InvoiceId) -> Result<StoredContract, ServiceError> {
    let contract = contracts::of_invoice(api.db.read(), tenant, invoice).await?;
    contract.ok_or_else(|| ServiceError::not_found("contract of invoice", invoice))
}

/// The processor's customer and payment method of a contract, registered when they are not yet.
///
/// Both calls carry keys derived from the contract, so that a crash between them and the record repeats them.
async fn ensure_payer(api: &Api, tenant: TenantId, contract: &StoredContract) -> Result<(String, String), ServiceError> {
    if let Some(registered) = &contract.stripe {
        return Ok(registered.clone());
    }
    let new = NewCustomer {
        name: contract.payer.name.clone(),
        email: contract.payer.email.clone(),
        metadata: vec![
            ("tenant".to_owned(), tenant.to_string()),
            ("facility".to_owned(), contract.facility.to_string()),
            ("contract".to_owned(), contract.id.to_string()),
        ],
    };
    let key = |what: &str| IdempotencyKey::derive(&format!("contract:{}:{what}", contract.id), 1);
    let customer = api.stripe()?.create_customer(&new, &key("customer")).await.map_err(ServiceError::Provider)?;
    let method = PaymentMethodId::new(contract.payer.payment_method.clone());
    let attach = key(&format!("method:{method}"));
    let method = api.stripe()?.attach_payment_method(&method, &customer.id, &attach).await.map_err(ServiceError::Provider)?;
    let registered = (customer.id.as_str().to_owned(), method.id.as_str().to_owned());
    let mut tx = api.db.write().await?;
    contracts::set_stripe(&mut tx, tenant, contract.id, &registered.0, &registered.1).await?;
    tx.commit().await?;
    Ok(registered)
}

fn amount(minor: i64, currency: &str) -> Result<Money, ServiceError> {
    let currency: Currency =
        currency.parse().map_err(|err| ServiceError::Internal { what: "a stored currency cannot be read", err: Box::new(err) })?;
    Ok(Money::new(minor, currency))
}

/// Attempts are counted from 1 and few.
fn attempt_number(attempt: i64) -> u32 {
    u32::try_from(attempt).unwrap_or(u32::MAX)
}

/// The processor says something that contradicts our books: nothing is booked, a human looks.
pub(super) fn contradiction(what: &'static str) -> ServiceError {
    ServiceError::Internal { what, err: "the books and the processor disagree".into() }
}
