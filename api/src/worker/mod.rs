//! The background worker: follows everything that is not finished to its end.
//!
//! Webhooks only make it look earlier. Whatever is open, a payment, a payout, an unread webhook, has a job; jobs run
//! under a lease, come back with growing pauses when they fail, and lie dead after the last attempt until somebody
//! has looked. A job may run twice: what it does is written so that the second time changes nothing.

use ids::{PaymentId, PayoutId};
use jiff::{SignedDuration, Timestamp};
use settlement::PayoutState;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::db::jobs::{self, Job, Kind};
use crate::db::{DbError, inbox, payments, payouts};
use crate::service::{ServiceError, collect, pay};
use crate::state::{Api, Metrics};

/// How long a job may be held before another execution takes it over.
const LEASE_MS: i64 = 120_000;
/// The first pause after a failure; each further one is twice as long.
const BACKOFF_MS: i64 = 2_000;
/// The longest pause.
const BACKOFF_MS_MAX: i64 = 3_600_000;
/// Failures after which a job lies dead: about a day and a half.
const FAILURES_MAX: i64 = 40;
/// How often an open payment or payout is looked at when nothing is heard of it.
const POLL_MS: i64 = 30_000;
/// The longest sleep.
const SLEEP_MS_MAX: i64 = 30_000;

/// What became of a job.
#[derive(Debug)]
enum Outcome {
    /// Its subject is finished.
    Done,
    /// Its subject is open: look again later.
    Open,
}

/// Works until `stop` is cancelled.
pub(crate) async fn run(api: Api, stop: CancellationToken) {
    loop {
        if let Err(err) = work(&api, &stop).await {
            error!(error = %daemon::chain(&err), "the worker could not work; it tries again");
        }
        let wake = wake_at(&api).await;
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = api.kick.notified() => {}
            () = api.clock.sleep_until(wake) => {}
        }
    }
}

/// Runs every job that is due.
pub(crate) async fn work(api: &Api, stop: &CancellationToken) -> Result<(), ServiceError> {
    enqueue_open(api).await?;
    while !stop.is_cancelled() {
        let now_ms = api.now_ms();
        let mut tx = api.db.write().await?;
        let taken = jobs::take(&mut tx, now_ms, LEASE_MS).await?;
        tx.commit().await?;
        let Some(job) = taken else { return Ok(()) };
        execute(api, &job).await?;
    }
    Ok(())
}

/// Makes sure that everything open has a job: what a lost webhook, a crash or a restored backup left behind.
async fn enqueue_open(api: &Api) -> Result<(), ServiceError> {
    let payments = payments::open(api.db.read()).await?;
    let payouts = payouts::open(api.db.read(), None).await?;
    if payments.is_empty() && payouts.is_empty() {
        return Ok(());
    }
    let now_ms = api.now_ms();
    let mut tx = api.db.write().await?;
    for payment in payments {
        jobs::enqueue(&mut tx, Kind::Payment, &payment.to_string(), now_ms).await?;
    }
    for payout in payouts {
        jobs::enqueue(&mut tx, Kind::Payout, &payout.to_string(), now_ms).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn execute(api: &Api, job: &Job) -> Result<(), ServiceError> {
    let outcome = match job.kind {
        Kind::Inbox => read_webhook(api, &job.subject).await,
        Kind::Payment => follow_payment(api, &job.subject).await,
        Kind::Payout => follow_payout(api, &job.subject).await,
    };
    let now_ms = api.now_ms();
    let mut tx = api.db.write().await?;
    match outcome {
        Ok(Outcome::Done) => {
            Metrics::count(&api.metrics.jobs_done);
            jobs::done(&mut tx, job.id).await?;
        }
        Ok(Outcome::Open) => jobs::again(&mut tx, job.id, now_ms + POLL_MS).await?,
        Err(err) => {
            Metrics::count(&api.metrics.jobs_failed);
            let failure = daemon::chain(&err);
            let next = (job.attempts + 1 < FAILURES_MAX).then(|| now_ms + backoff_ms(job.attempts));
            match next {
                Some(_) => warn!(job = job.kind.name(), subject = job.subject, error = failure, "a job failed and will run again"),
                None => error!(job = job.kind.name(), subject = job.subject, error = failure, "a job lies dead"),
            }
            jobs::failed(&mut tx, job.id, next, &failure).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// The pause after so many earlier failures.
fn backoff_ms(failures: i64) -> i64 {
    let doublings = u32::try_from(failures.min(20)).unwrap_or(0);
    BACKOFF_MS.saturating_mul(1 << doublings).min(BACKOFF_MS_MAX)
}

/// A webhook says where to look, and nothing else is believed of it.
async fn read_webhook(api: &Api, event: &str) -> Result<Outcome, ServiceError> {
    let Some((kind, object)) = inbox::waiting(api.db.read(), event).await? else { return Ok(Outcome::Done) };
    if kind.starts_with("payment_intent.") {
        // An intent we do not know yet belongs to an attempt whose answer is still on its way: polling finds it.
        if let Some(payment) = payments::by_intent(api.db.read(), &object).await? {
            collect::follow(api, payment.id).await?;
        }
    } else if kind == "transfer.reversed" {
        pay::reversed(api, &object).await?;
    } else {
        debug!(stripe.event.kind = kind, "nothing to look at for this kind");
    }
    let mut tx = api.db.write().await?;
    inbox::processed(&mut tx, event, api.now_ms()).await?;
    tx.commit().await?;
    Ok(Outcome::Done)
}

async fn follow_payment(api: &Api, subject: &str) -> Result<Outcome, ServiceError> {
    let id: PaymentId = subject.parse().map_err(|_| malformed(subject))?;
    let payment = collect::follow(api, id).await?;
    Ok(if matches!(payment.status.as_str(), "succeeded" | "failed") { Outcome::Done } else { Outcome::Open })
}

async fn follow_payout(api: &Api, subject: &str) -> Result<Outcome, ServiceError> {
    let id: PayoutId = subject.parse().map_err(|_| malformed(subject))?;
    let payout = pay::transfer(api, id).await?;
    let finished = matches!(payout.payout.state, PayoutState::Completed | PayoutState::Cancelled);
    Ok(if finished { Outcome::Done } else { Outcome::Open })
}

fn malformed(subject: &str) -> ServiceError {
    ServiceError::Db(DbError::Malformed { column: "subject", found: subject.to_owned(), expected: "what its job is about" })
}

/// When the next job is due, at most [`SLEEP_MS_MAX`] from now.
async fn wake_at(api: &Api) -> Timestamp {
    let now = api.now();
    let latest = now + SignedDuration::from_millis(SLEEP_MS_MAX);
    let due = jobs::next_due(api.db.read()).await.ok().flatten();
    // A due job is one that failed to be taken: a short pause keeps a broken database from spinning.
    let soonest = now + SignedDuration::from_millis(200);
    due.and_then(|ms| Timestamp::from_millisecond(ms).ok()).map_or(latest, |due| due.clamp(soonest, latest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        assert_eq!([0, 1, 2, 3].map(backoff_ms), [2_000, 4_000, 8_000, 16_000]);
        assert_eq!(backoff_ms(1_000), BACKOFF_MS_MAX);
    }
}
